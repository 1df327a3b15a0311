//! The last bytes of a socket: what must arrive before it ends, and which input is dropped.

use super::*;

#[test]
fn a_fault_is_told_and_nothing_is_parsed_after_it() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(UPGRADE);
        wire.input.extend([0x81, 0x01, b'x']);
        wire.input.extend(frame(0x81, b"not to be seen"));
        wire.room = 200;
    }
    rig.settle(conn);
    fake.0.borrow_mut().input.extend(frame(0x89, b"not to be answered"));
    rig.settle(conn);
    let wire = fake.0.borrow();
    assert_eq!(rig.handler.messages, 0);
    assert_eq!(frames_of(&wire.output), [(0x88, b"\x03\xeaprotocol_error".to_vec())]);
    assert!(wire.shut && wire.input.is_empty(), "the rest is thrown away");
    drop(wire);
    assert!(rig.handler.gone.is_empty(), "it waits for the peer");
    // Not for ever, though: the registry bounds it.
    rig.now += Duration::from_secs(2);
    rig.turn();
    assert_eq!(rig.handler.gone, [CloseReason::ProtocolError]);
    assert_eq!(rig.sockets.len(), 0);
}

#[test]
fn what_must_arrive_is_written_before_the_end() {
    // The peer has shut down its side and reads slowly: it is told all the same.
    for tail in [frame(0x88, b"\x03\xe8"), vec![0x81, 0x00]] {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.accept();
        {
            let mut wire = fake.0.borrow_mut();
            wire.input.extend(UPGRADE);
            wire.input.extend(tail);
            wire.eof = true;
            wire.room = 10;
        }
        for _ in 0..20 {
            rig.stir(conn);
            rig.turn();
            assert_eq!(rig.sockets.len(), 1);
            fake.0.borrow_mut().room = 5;
        }
        fake.0.borrow_mut().room = usize::MAX;
        rig.settle(conn);
        let wire = fake.0.borrow();
        assert_eq!(frames_of(&wire.output).len(), 1);
        assert_eq!(rig.sockets.len(), 0);
    }
}

#[test]
fn an_answer_in_http_is_written_before_the_end() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(b"GET / HTTP/1.1\r\n\r\nand more");
        wire.eof = true;
        wire.room = 20;
    }
    rig.settle(conn);
    assert_eq!(rig.sockets.len(), 1);
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    let wire = fake.0.borrow();
    assert!(wire.output.starts_with(b"HTTP/1.1 404 ") && wire.output.ends_with(b"\"}}"));
    assert_eq!((rig.sockets.len(), rig.registry.is_idle()), (0, true));
}

#[test]
fn a_close_of_ours_that_is_answered_is_the_end() {
    for room in [usize::MAX, 140] {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.accept();
        fake.0.borrow_mut().input.extend(UPGRADE);
        fake.0.borrow_mut().input.extend(frame(0x81, b"bye"));
        fake.0.borrow_mut().room = room;
        rig.settle(conn);
        assert!(!fake.0.borrow().shut && rig.sockets.len() == 1);
        fake.0.borrow_mut().input.extend(frame(0x81, b"too late"));
        fake.0.borrow_mut().input.extend(frame(0x88, b"\x03\xe8"));
        rig.settle(conn);
        // It may have crossed ours, which is then still to be told.
        assert_eq!(rig.sockets.len(), usize::from(room != usize::MAX));
        fake.0.borrow_mut().room = usize::MAX;
        rig.settle(conn);
        assert_eq!(rig.handler.gone, [CloseReason::Application]);
        assert_eq!(frames_of(&fake.0.borrow().output), [(0x88, b"\x11\x97application".to_vec())]);
    }
}

#[test]
fn a_stale_handle_finds_nothing_in_the_slot_of_another() {
    let mut rig = Rig::new(config());
    let (first, fake) = rig.accept();
    fake.0.borrow_mut().eof = true;
    rig.settle(first);
    let (second, other) = rig.accept();
    assert_eq!((first.index(), first == second), (second.index(), false));
    other.0.borrow_mut().input.extend(UPGRADE);
    // An event that was under way for the first.
    rig.stir(first);
    rig.turn();
    assert_eq!(other.0.borrow().input.len(), UPGRADE.len(), "it is not the second's");
    rig.sockets.close(first, &CloseReason::Application.into(), 64, &mut rig.output);
    let frame = rig.output.whole(b"x", 64, crate::output::Class::Plain);
    rig.sockets.send(first, frame, &mut rig.output);
    assert!(!rig.sockets.remove(first));
    rig.settle(second);
    assert!(frames_of(&other.0.borrow().output).is_empty());
}
