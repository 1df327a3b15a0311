//! What one socket may take of a turn, and what it may keep.

use super::super::input::KEPT_CAPACITY;
use super::*;

#[test]
fn a_socket_that_does_not_read_is_not_read() {
    let mut rig = Rig::new(config().send_window(1_000).reply_reserve(2_000));
    let (conn, fake) = rig.accept();
    let message = frame(0x82, &[7; 500]);
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(UPGRADE);
        for _ in 0..1_000 {
            wire.input.extend(&message);
        }
        // The answer 101 and half a frame.
        wire.room = 400;
        wire.reads.extend([600; 2_000]);
    }
    for _ in 0..50 {
        rig.stir(conn);
        rig.turn();
    }
    // Those that fit the window, and one more that was answered before it was full.
    assert!(rig.handler.messages <= 3, "{}", rig.handler.messages);
    let unread = fake.0.borrow().input.len();
    assert!(unread > 990 * message.len(), "it stops reading: {unread}");
    assert!(
        !rig.sockets.get_mut(conn).unwrap().wants_read(),
        "it waits for the flush, not in a loop"
    );
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    assert_eq!(rig.handler.messages, 1_000);
    assert_eq!(frames_of(&fake.0.borrow().output).len(), 1_000);
}

#[test]
fn a_turn_has_a_share_for_each() {
    let mut rig = Rig::new(config().reply_reserve(1 << 20));
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(UPGRADE);
    for _ in 0..1_000 {
        fake.0.borrow_mut().input.extend(frame(0x81, b"x"));
    }
    rig.stir(conn);
    rig.turn();
    assert_eq!(rig.handler.messages, MOST.steps);
    // It asks for its turns itself, without any edge.
    for _ in 0..3 {
        assert!(rig.sockets.ready() > 0);
        rig.turn();
    }
    assert!(rig.sockets.ready() == 0);
    assert_eq!(rig.handler.messages, 1_000);
    let half = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0];
    fake.0.borrow_mut().input.extend(half);
    rig.stir(conn);
    rig.turn();
    assert!(rig.sockets.ready() == 0, "half a frame is nothing to do");
}

#[test]
fn a_long_frame_leaves_no_buffer_behind() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(UPGRADE);
        wire.input.extend(frame(0x82, &[1; 60_000]));
        wire.input.extend([0x82]);
        wire.reads.extend([UPGRADE.len(), 30_000, 20_000]);
    }
    rig.settle(conn);
    assert_eq!(rig.handler.messages, 1);
    let (unparsed, capacity) = rig.unparsed(conn);
    assert_eq!(unparsed, [0x82]);
    assert!(capacity <= KEPT_CAPACITY);
}
