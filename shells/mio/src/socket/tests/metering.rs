//! Peers that say too much, or too slowly: every byte is a sign of life, and every frame has a price.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Ping after a second of silence, pong within another: a message that takes longer shows whether its
/// bytes are life.
fn hurried() -> ConfigBuilder {
    config().ping_interval(1_000 * MS).pong_timeout(1_000 * MS)
}

/// One byte each 50 ms; after each, time acts.
fn trickle(rig: &mut Rig, (conn, fake): &(ConnId, Fake), bytes: &[u8]) {
    for byte in bytes {
        fake.0.borrow_mut().input.push_back(*byte);
        rig.stir(*conn);
        rig.turn();
        rig.now += 50 * MS;
        rig.turn();
    }
}

/// The reason in the close frame that was written last.
fn told(fake: &Fake) -> String {
    let output = &fake.0.borrow().output;
    let frames = frames_of(output);
    let (first, payload) = frames.last().expect("a frame");
    assert_eq!(*first, 0x88, "{frames:?}");
    String::from_utf8(payload[2..].to_vec()).unwrap()
}

#[test]
fn a_frame_of_which_a_byte_comes_every_50_ms_is_taken_and_its_peer_lives() {
    let mut rig = Rig::new(hurried());
    let peer = rig.open();
    let message = [b'x'; 200];
    // Header and mask included: half a header is life too.
    trickle(&mut rig, &peer, &frame(0x81, &message));
    assert_eq!(frames_of(&peer.1.0.borrow().output), [(0x81, message.to_vec())], "no ping either");
    assert!(rig.handler.gone.is_empty());
}

#[test]
fn a_frame_that_takes_longer_than_its_deadline_is_told_4414() {
    let mut rig = Rig::new(hurried().frame_deadline(5_000 * MS));
    let peer = rig.open();
    trickle(&mut rig, &peer, &frame(0x81, &[b'x'; 200])[..99]);
    assert!(frames_of(&peer.1.0.borrow().output).is_empty());
    trickle(&mut rig, &peer, b"x");
    assert_eq!(told(&peer.1), "frame_timeout");
    let output = &peer.1.0.borrow().output;
    assert!(output.windows(2).any(|pair| pair == 4414u16.to_be_bytes()));
}

#[test]
fn the_fragments_of_a_message_share_its_deadline_and_the_next_message_has_its_own() {
    let mut rig = Rig::new(hurried().frame_deadline(5_000 * MS));
    let peer = rig.open();
    let message =
        [frame(0x01, b""), frame(0x89, b""), frame(0x00, b"xy"), frame(0x80, b"")].concat();
    for _ in 0..10 {
        // 1.3 s each, and one begins where the other ends.
        trickle(&mut rig, &peer, &message);
    }
    assert_eq!(frames_of(&peer.1.0.borrow().output).len(), 20, "a pong and an echo each");
    let endless = [frame(0x01, b""), frame(0x00, b"").repeat(20)].concat();
    trickle(&mut rig, &peer, &endless);
    assert_eq!(told(&peer.1), "frame_timeout");
}

#[test]
fn what_waits_for_its_turn_is_no_delay_of_the_peer() {
    let mut rig = Rig::new(hurried().frame_deadline(5_000 * MS));
    let (conn, fake) = rig.open();
    // More whole frames than a turn takes, and then time passes.
    fake.0.borrow_mut().input.extend(frame(0x81, b"x").repeat(300));
    rig.stir(conn);
    rig.turn();
    assert!(rig.sockets.ready() > 0);
    assert_eq!(rig.registry.connection(conn).unwrap().silence(), Duration::ZERO);
    rig.now += 500 * MS;
    rig.settle(conn);
    assert_eq!(frames_of(&fake.0.borrow().output).len(), 300);
}

/// Twenty messages a second, and ten at once.
fn metered() -> ConfigBuilder {
    config().message_rate(20).message_burst(10)
}

#[test]
fn floods_of_pings_pongs_and_empty_fragments_are_told_4413() {
    let empty_message = [frame(0x01, b""), frame(0x80, b"")].concat();
    let mut fragments = frame(0x01, b"");
    fragments.extend(frame(0x00, b"").repeat(1_000));
    for (what, flood) in [
        ("pings", frame(0x89, b"?").repeat(1_000)),
        ("pongs", frame(0x8a, b"!").repeat(1_000)),
        ("fragments", fragments),
        ("empty messages", frame(0x81, b"").repeat(1_000)),
        ("empty messages in two", empty_message.repeat(1_000)),
    ] {
        let mut rig = Rig::new(metered());
        let (conn, fake) = rig.open();
        fake.0.borrow_mut().input.extend(flood);
        rig.settle(conn);
        assert_eq!(told(&fake), "rate_limited", "{what}");
        // What still comes is thrown away, and not parsed.
        assert!(rig.unparsed(conn).0.is_empty(), "{what}");
        let socket = rig.sockets.get_mut(conn).unwrap();
        assert!(matches!(socket.stage, Stage::Discarding), "{what}");
    }
}

#[test]
fn a_ping_that_is_too_many_is_not_answered_and_later_ones_are() {
    let mut rig = Rig::new(metered());
    let (conn, fake) = rig.open();
    fake.0.borrow_mut().input.extend((0..100).flat_map(|number| frame(0x89, &[number])));
    rig.settle(conn);
    // Of the answers that wait for a flush sixteen stay, the latest among them.
    let latest = |fake: &Fake| frames_of(&fake.0.borrow().output).pop();
    assert_eq!(latest(&fake), Some((0x8a, vec![79])));
    rig.now += 50 * MS;
    fake.0.borrow_mut().input.extend((100..120).flat_map(|number| frame(0x89, &[number])));
    rig.settle(conn);
    assert_eq!(latest(&fake), Some((0x8a, vec![107])), "a token is eight pings");
    assert!(rig.handler.gone.is_empty());
}

#[test]
fn a_rate_of_bytes_counts_all_that_is_read() {
    let limits = || config().byte_rate(1_000).message_bytes(1_000);
    let mut rig = Rig::new(limits());
    let (conn, fake) = rig.open();
    for _ in 0..20 {
        // 100 bytes with their header and mask, each tenth of a second.
        fake.0.borrow_mut().input.extend(frame(0x82, &[0; 94]));
        rig.stir(conn);
        rig.turn();
        rig.now += 100 * MS;
    }
    assert_eq!(frames_of(&fake.0.borrow().output).len(), 20);
    assert!(rig.handler.gone.is_empty());

    let mut rig = Rig::new(limits());
    let (conn, fake) = rig.open();
    // 166 empty messages are 996 bytes of headers and masks.
    fake.0.borrow_mut().input.extend(frame(0x82, b"").repeat(166 + 167));
    rig.settle(conn);
    assert!(
        rig.registry.connection(conn).map(|it| it.state()) == Some(headcount::ConnState::Open),
        "1,998 bytes"
    );
    fake.0.borrow_mut().input.extend(frame(0x82, b""));
    rig.settle(conn);
    assert_eq!(told(&fake), "rate_limited", "2,004 bytes");
}

#[test]
fn a_socket_that_is_nobody_yet_is_metered_too() {
    let mut rig = Rig::new(metered());
    rig.handler.nobody = true;
    let (conn, fake) = rig.open();
    fake.0.borrow_mut().input.extend(frame(0x89, b"?").repeat(1_000));
    rig.settle(conn);
    assert_eq!(told(&fake), "rate_limited");
}
