//! Replies that are written while their message is read.

use super::*;

/// What a peer has read after it has sent these frames at once.
fn answers(rig: &mut Rig, (conn, fake): &(ConnId, Fake), frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    fake.0.borrow_mut().input.extend(frames.concat());
    rig.settle(*conn);
    frames_of(&fake.0.borrow().output).into_iter().map(|(_, payload)| payload).collect()
}

#[test]
fn a_reply_at_once_is_charged_and_flushed() {
    let mut rig = Rig::new(config());
    let client = rig.open();
    let before = rig.flushed_and_load(client.0);
    assert_eq!(answers(&mut rig, &client, &[frame(0x81, b"echo")]), [b"echo"]);
    assert_eq!(rig.flushed_and_load(client.0), (before.0 + 64 + 4, 0));
    assert_eq!(rig.registry.check(), Ok(()));
}

#[test]
fn a_reply_follows_what_was_sent_to_its_connection_before() {
    let mut rig = Rig::new(config());
    let client = rig.open();
    // It is queued, and a reply at once would overtake it.
    rig.registry.send(rig.now, Target::Conn(client.0), Message::text("sent before"));
    let frames = [frame(0x81, b"one"), frame(0x81, b"two")];
    let expected = [&b"sent before"[..], b"one", b"two"];
    assert_eq!(answers(&mut rig, &client, &frames), expected);
}

#[test]
fn replies_to_a_peer_that_does_not_read_wait_in_their_order() {
    let mut rig = Rig::new(config());
    let client = rig.open();
    client.1.0.borrow_mut().room = 0;
    let frames: Vec<_> =
        (0..20).map(|number| frame(0x81, format!("{number}").as_bytes())).collect();
    assert!(answers(&mut rig, &client, &frames).is_empty());
    let (_, load) = rig.flushed_and_load(client.0);
    assert_eq!(load, 20 * 64 + 10 + 2 * 10);
    client.1.0.borrow_mut().room = usize::MAX;
    let expected: Vec<_> = (0..20).map(|number| format!("{number}").into_bytes()).collect();
    assert_eq!(answers(&mut rig, &client, &[]), expected);
    assert_eq!(rig.flushed_and_load(client.0).1, 0);
}
