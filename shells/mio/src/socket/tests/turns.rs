//! What a turn has for a socket is written at once, and what the kernel does not take is kept.

use super::*;

/// Clients that are open.
fn open<const N: usize>(rig: &mut Rig) -> [(ConnId, Fake); N] {
    std::array::from_fn(|_| rig.open())
}

fn calls(fake: &Fake) -> usize {
    fake.0.borrow().calls
}

#[test]
fn all_frames_of_a_turn_are_one_write() {
    let mut rig = Rig::new(config());
    let clients = open::<3>(&mut rig);
    let before = clients.each_ref().map(|(_, fake)| calls(fake));
    for number in 0..16 {
        let message = Message::text(format!("{number}"));
        rig.registry.send(rig.now, Target::Everyone, message);
        // Only the first gets this, between the others.
        rig.registry.send(rig.now, Target::Conn(clients[0].0), Message::text("direct"));
    }
    rig.turn();
    for ((_, fake), before) in clients.iter().zip(before) {
        assert_eq!(calls(fake), before + 1, "one write");
    }
    assert_eq!(frames_of(&clients[0].1.0.borrow().output).len(), 32);
    assert_eq!(frames_of(&clients[2].1.0.borrow().output).len(), 16);
}

/// More than a turn writes to, and so many messages at once.
#[test]
fn a_stretch_of_a_room_is_written_once() {
    let mut rig = Rig::new(config());
    let room = headcount::RoomId::new("room").unwrap();
    let clients = open::<1_200>(&mut rig);
    for (conn, _) in &clients {
        rig.registry.join(rig.now, *conn, &room, Start::Now).unwrap();
    }
    for round in 0..2 {
        let before = clients.each_ref().map(|(_, fake)| calls(fake));
        for number in 0..8 {
            let message = Message::text(format!("{number}"));
            rig.registry.send(rig.now, Target::Room(&room), message);
        }
        rig.turn();
        for ((_, fake), before) in clients.iter().zip(before) {
            assert_eq!(calls(fake), before + 1, "one write");
            assert_eq!(frames_of(&fake.0.borrow().output).len(), 8 * (round + 1));
        }
    }
}

#[test]
fn a_reply_is_written_in_the_turn_in_which_the_message_came() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.open();
    for _ in 0..16 {
        fake.0.borrow_mut().input.extend(frame(0x81, b"echo"));
    }
    let before = calls(&fake);
    rig.stir(conn);
    rig.turn();
    assert_eq!(calls(&fake), before + 2, "one read and one write");
    assert_eq!(frames_of(&fake.0.borrow().output), vec![(0x81, b"echo".to_vec()); 16]);
}

#[test]
fn an_idle_socket_holds_nothing() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.open();
    let idle = |rig: &mut Rig| rig.sockets.get_mut(conn).unwrap().held.is_none();
    assert!(idle(&mut rig));
    // A frame in two pieces, a message in two frames, and output that has to wait.
    let message = frame(0x81, b"in pieces");
    fake.0.borrow_mut().input.extend(&message[..5]);
    rig.settle(conn);
    assert!(!idle(&mut rig));
    fake.0.borrow_mut().input.extend(&message[5..]);
    fake.0.borrow_mut().input.extend([frame(0x01, b"a"), frame(0x80, b"b")].concat());
    fake.0.borrow_mut().room = 3;
    rig.settle(conn);
    assert!(!idle(&mut rig));
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    assert!(idle(&mut rig));
    let expected = [(0x81, b"in pieces".to_vec()), (0x81, b"ab".to_vec())];
    assert_eq!(frames_of(&fake.0.borrow().output), expected);
}

/// A stream that encrypts takes what it is given, and sends it when the peer has room.
#[test]
fn what_a_stream_keeps_is_sent_before_it_ends() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.open();
    {
        let mut wire = fake.0.borrow_mut();
        wire.keeps = true;
        wire.room = 3;
    }
    rig.registry.send(rig.now, Target::Conn(conn), Message::text("hello"));
    rig.registry.close(rig.now, Target::Conn(conn), CloseReason::Application);
    rig.turn();
    assert_eq!(fake.0.borrow().output.len() - 129, 3);
    assert!(rig.sockets.dirty() == 0, "it waits for the edge, not in a loop");
    fake.0.borrow_mut().input.extend(frame(0x88, b""));
    for room in [1, 2, 1, 100] {
        assert!(rig.handler.gone.is_empty(), "it ends when all is sent");
        fake.0.borrow_mut().room += room;
        rig.settle(conn);
    }
    let frames = frames_of(&fake.0.borrow().output);
    assert_eq!(frames[0], (0x81, b"hello".to_vec()));
    assert_eq!((frames[1].0, frames.len(), rig.handler.gone.len()), (0x88, 2, 1));
}

/// One share of the actions, written as a whole.
fn act(rig: &mut Rig) {
    let mut context = Context::new(&mut rig.registry, rig.now, &mut rig.output);
    let mut flushed = Flushed::default();
    rig.acting.turn(&mut context, &mut rig.handler, &mut rig.sockets, |sockets, output| {
        sockets.for_dirty(|socket| {
            socket.flush(output, &mut flushed, &mut usize::MAX.clone());
            true
        });
        sockets.keep_chains(output);
        output.clear();
    });
    flushed.report(&mut context, &mut rig.sockets);
}

#[test]
fn a_turn_cleans_up_so_many_connections() {
    let mut rig = Rig::new(config());
    let clients = open::<500>(&mut rig);
    for (conn, _) in &clients {
        rig.registry.disconnect(rig.now, *conn).unwrap();
    }
    let mut turns = 0;
    while rig.registry.has_actions() {
        let before = rig.sockets.len();
        act(&mut rig);
        assert!(before - rig.sockets.len() <= 1_024 / 16 + 1);
        turns += 1;
    }
    assert!(rig.sockets.len() == 0 && turns > 7, "{turns} turns");
}

#[test]
fn a_turn_tells_of_the_presence_of_so_many_users() {
    let mut rig = Rig::new(config().with_presence());
    for number in 0..3_000 {
        let user = UserId::new(format!("user-{number}")).unwrap();
        let who = Principal::new(user).with_thread(ThreadId::new("t").unwrap());
        rig.registry.admit(rig.now, who, Start::Now, None).unwrap();
    }
    for _ in 0..2 {
        act(&mut rig);
        assert!(rig.registry.has_actions());
    }
}

#[test]
fn a_turn_has_so_many_frames_for_one_connection() {
    let mut rig = Rig::new(config().send_window(1 << 20));
    let (conn, fake) = rig.open();
    for _ in 0..3_000 {
        assert!(!rig.registry.send(rig.now, Target::Conn(conn), Message::text("direct")).full);
    }
    let mut before = 0;
    for _ in 0..3 {
        act(&mut rig);
        let frames = frames_of(&fake.0.borrow().output).len();
        assert!((1..=1_024 / 2 + 17).contains(&(frames - before)), "{frames} after {before}");
        before = frames;
    }
}
