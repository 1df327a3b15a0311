//! Messages in very many pieces, and messages that are announced and do not come.

use super::*;
use crate::fair::MOST;

const PIECES: usize = 100_000;

/// Lets turns pass until a socket has nothing to do any more; a neighbour is served in each. Returns
/// how many it took.
fn turns(rig: &mut Rig, conn: ConnId, neighbour: &(ConnId, Fake)) -> usize {
    rig.stir(conn);
    let mut turns = 0;
    loop {
        rig.assert_served(neighbour);
        turns += 1;
        if rig.sockets.ready() == 0 {
            return turns;
        }
        assert!(turns < 10 * PIECES / MOST.steps, "it never ends");
    }
}

#[test]
fn a_message_of_100_000_empty_pieces_is_a_message() {
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let (conn, fake) = rig.open();
    let mut input = frame(0x01, b"so ");
    input.extend(frame(0x00, b"").repeat(PIECES));
    input.extend(frame(0x80, b"what"));
    fake.0.borrow_mut().input.extend(input);
    let turns = turns(&mut rig, conn, &neighbour);
    assert!(turns >= PIECES / MOST.steps, "{turns}: more than its share of each turn");
    assert_eq!(frames_of(&fake.0.borrow().output), [(0x81, b"so what".to_vec())]);
}

#[test]
fn pings_among_100_000_pieces_are_answered() {
    let mut rig = Rig::new(config().message_bytes(PIECES as u64));
    let neighbour = rig.open();
    let (conn, fake) = rig.open();
    let mut input = frame(0x02, b"x");
    let group = [frame(0x00, b"x").repeat(99), frame(0x89, b"?"), frame(0x00, b"x")].concat();
    input.extend(group.repeat(PIECES / 100));
    input.truncate(input.len() - 7);
    input.extend(frame(0x80, b""));
    fake.0.borrow_mut().input.extend(input);
    turns(&mut rig, conn, &neighbour);
    let mut frames = frames_of(&fake.0.borrow().output);
    assert_eq!(frames.pop(), Some((0x82, vec![b'x'; PIECES])));
    assert_eq!(frames, vec![(0x8a, b"?".to_vec()); PIECES / 100]);
}

#[test]
fn a_message_of_100_000_bytes_in_as_many_pieces_is_too_big_by_default() {
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let (conn, fake) = rig.open();
    let mut input = frame(0x02, b"x");
    input.extend(frame(0x00, b"x").repeat(PIECES));
    fake.0.borrow_mut().input.extend(input);
    turns(&mut rig, conn, &neighbour);
    let frames = frames_of(&fake.0.borrow().output);
    assert_eq!((frames.len(), &frames[0].1[..2]), (1, &1009u16.to_be_bytes()[..]));
    assert!(fake.0.borrow().input.is_empty(), "the rest is thrown away");
    assert_eq!(rig.unparsed(conn).1, 0, "and not kept");
}

/// The header of a frame of so many bytes, which follow or do not.
fn header(first: u8, bytes: u64) -> Vec<u8> {
    [&[first, 0x80 | 127], &bytes.to_be_bytes()[..], &[0; 4]].concat()
}

#[test]
fn an_announced_frame_takes_no_place_before_it_comes() {
    const ANNOUNCED: u64 = 16 << 20;
    let mut rig = Rig::new(config().message_bytes(ANNOUNCED));
    let neighbour = rig.open();
    let (conn, fake) = rig.open();
    let head = header(0x82, ANNOUNCED);
    fake.0.borrow_mut().input.extend(&head);
    assert_eq!(turns(&mut rig, conn, &neighbour), 1);
    let kept = |rig: &mut Rig| rig.unparsed(conn).1;
    assert!(kept(&mut rig) <= 2 * head.len());
    let mut arrived = head.len();
    for length in [1, 100, 10_000, 1_000_000] {
        fake.0.borrow_mut().input.extend(vec![0; length]);
        arrived += length;
        turns(&mut rig, conn, &neighbour);
        assert!(kept(&mut rig) <= 2 * arrived, "{} for {arrived}", kept(&mut rig));
    }
    // And gives it back when it does not come any more.
    fake.0.borrow_mut().eof = true;
    rig.settle(conn);
    assert_eq!((rig.handler.gone.len(), rig.sockets.len()), (1, 1));
}

#[test]
fn what_can_not_be_accepted_is_refused_by_its_header() {
    let parts =
        |first: usize, next: u64| [frame(0x02, &vec![0; first]), header(0x00, next)].concat();
    for (input, code) in [
        (header(0x82, 1001), 1009u16),
        (header(0x82, 16 << 20), 1009),
        (header(0x81, i64::MAX as u64), 1009),
        // The next part makes it too long: what has come of both would be two messages.
        (parts(1000, 1), 1009),
        (parts(600, 401), 1009),
        (parts(1, i64::MAX as u64), 1009),
        (header(0x89, 126), 1002),
    ] {
        let mut rig = Rig::new(config().message_bytes(1000));
        let (conn, fake) = rig.open();
        fake.0.borrow_mut().input.extend(&input);
        rig.settle(conn);
        let frames = frames_of(&fake.0.borrow().output);
        let told: Vec<_> = frames.iter().map(|(first, payload)| (*first, &payload[..2])).collect();
        assert_eq!(told, [(0x88, &code.to_be_bytes()[..])], "{:x?}", &input[..14.min(input.len())]);
        assert!(rig.unparsed(conn).0.is_empty());
    }
    // As long as they fit there is nothing against them.
    let mut rig = Rig::new(config().message_bytes(1000));
    let (conn, fake) = rig.open();
    fake.0.borrow_mut().input.extend(parts(600, 400));
    rig.settle(conn);
    fake.0.borrow_mut().input.extend([0; 400]);
    fake.0.borrow_mut().input.extend(frame(0x80, b""));
    fake.0.borrow_mut().input.extend(parts(600, 400));
    rig.settle(conn);
    assert_eq!(frames_of(&fake.0.borrow().output), [(0x82, vec![0; 1000])]);
}
