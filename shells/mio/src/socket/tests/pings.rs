//! Peers that ping and do not read what they are answered.

use super::*;
use crate::fair::MOST;

/// A peer that has pinged so often, with numbers, and has no room for anything.
fn flooded(rig: &mut Rig, pings: u32, neighbour: &(ConnId, Fake)) -> (ConnId, Fake) {
    let (conn, fake) = rig.open();
    fake.0.borrow_mut().room = 0;
    for number in 0..pings {
        let payload = number.to_be_bytes().repeat(31);
        fake.0.borrow_mut().input.extend(frame(0x89, &payload));
    }
    rig.stir(conn);
    while rig.sockets.ready() > 0 {
        rig.assert_served(neighbour);
    }
    assert!(fake.0.borrow().input.is_empty());
    assert!(rig.sockets.dirty() == 0, "a blocked socket makes no work");
    (conn, fake)
}

/// It goes on with a ping per second, for so many seconds.
fn go_on(rig: &mut Rig, seconds: u32, peer: &(ConnId, Fake), neighbour: &(ConnId, Fake)) {
    for _ in 0..seconds {
        rig.now += Duration::from_secs(1);
        peer.1.0.borrow_mut().input.extend(frame(0x89, b"?"));
        rig.stir(peer.0);
        rig.assert_served(neighbour);
    }
}

#[test]
fn a_flood_of_pings_leaves_sixteen_pongs_and_the_latest_is_among_them() {
    const PINGS: u32 = 50_000;
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let (conn, fake) = flooded(&mut rig, PINGS, &neighbour);
    assert!(rig.handler.messages >= PINGS as usize / MOST.steps, "it has its share, no more");
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    let pongs = frames_of(&fake.0.borrow().output);
    assert_eq!(pongs.len(), 16);
    assert!(pongs.iter().all(|(first, payload)| *first == 0x8a && payload.len() == 124));
    assert!(pongs[15].1.starts_with(&(PINGS - 1).to_be_bytes()));
}

#[test]
fn pings_do_not_save_a_peer_that_is_idle() {
    let mut rig =
        Rig::new(config().session_idle(Duration::from_secs(60)).ping_interval(Duration::ZERO));
    let neighbour = rig.open();
    let peer = flooded(&mut rig, 1_000, &neighbour);
    go_on(&mut rig, 120, &peer, &neighbour);
    assert_eq!(rig.handler.gone, [CloseReason::Idle]);
    assert_eq!((rig.sockets.len(), peer.1.0.borrow().output.len()), (1, 129));
}

#[test]
fn pings_do_not_save_a_peer_that_does_not_read_what_it_is_sent() {
    let mut rig = Rig::new(config().slow_deadline(Duration::from_secs(20)));
    let neighbour = rig.open();
    let peer = flooded(&mut rig, 1_000, &neighbour);
    assert!(!rig.registry.send(rig.now, Target::Conn(peer.0), Message::text("well?")).full);
    go_on(&mut rig, 60, &peer, &neighbour);
    assert_eq!(rig.handler.gone, [CloseReason::SlowConsumer]);
    assert_eq!(rig.sockets.len(), 1);
}

/// Pings that are answered in one turn, more than the pongs that may wait, and the reply to a message
/// behind them: the kernel takes so many bytes at first.
fn answered_in_part(first: usize) {
    const PINGS: u8 = 40;
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.open();
    let numbered = (0..PINGS).flat_map(|number| frame(0x89, &[number]));
    fake.0.borrow_mut().input.extend(numbered.chain(frame(0x81, b"echo")));
    fake.0.borrow_mut().room = first;
    rig.settle(conn);
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    let frames = frames_of(&fake.0.borrow().output);
    let pongs: Vec<_> = frames
        .iter()
        .filter(|(opcode, _)| *opcode == 0x8a)
        .map(|(_, payload)| payload[0])
        .collect();
    assert!(pongs.is_sorted_by(|a, b| a < b), "after {first} bytes: {pongs:?}");
    assert_eq!(pongs.last(), Some(&(PINGS - 1)), "after {first} bytes");
    assert!(pongs.len() >= (first / 3 + 16).min(PINGS.into()), "after {first} bytes: {pongs:?}");
    let others: Vec<_> = frames.iter().filter(|(opcode, _)| *opcode != 0x8a).collect();
    assert_eq!(others, [&(0x81, b"echo".to_vec())], "after {first} bytes");
    assert_eq!(rig.flushed_and_load(conn).1, 0);
}

#[test]
fn pongs_that_the_kernel_took_a_part_of_leave_whole_frames() {
    (0..=40 * 3 + 6).for_each(answered_in_part);
}

#[test]
fn no_pong_follows_a_close_frame_of_the_same_turn() {
    for room in [0, 1, 60, 80] {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.open();
        let pings = (0..40).flat_map(|number| frame(0x89, &[number]));
        fake.0.borrow_mut().input.extend(pings.chain(frame(0x81, b"bye")));
        fake.0.borrow_mut().room = room;
        rig.settle(conn);
        fake.0.borrow_mut().room = usize::MAX;
        rig.settle(conn);
        let frames = frames_of(&fake.0.borrow().output);
        assert_eq!(frames.last().unwrap().0, 0x88, "{room} bytes at first: {frames:?}");
        assert_eq!(frames[frames.len() - 2], (0x8a, vec![39]), "{room} bytes at first");
    }
}
