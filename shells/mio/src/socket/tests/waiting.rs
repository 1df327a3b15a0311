//! Messages that the handler deals with later.

use super::undecided::ask_again;
use super::*;

/// An open connection whose message waits.
fn waiting(rig: &mut Rig) -> (ConnId, Fake) {
    let (conn, fake) = rig.open();
    rig.handler.messages_later = true;
    say(rig, &(conn, fake.clone()), &frame(0x81, b"later"));
    assert!(replies(&fake).is_empty());
    assert!(rig.sockets.get_mut(conn).unwrap().is_undecided());
    (conn, fake)
}

fn say(rig: &mut Rig, (conn, fake): &(ConnId, Fake), bytes: &[u8]) {
    fake.0.borrow_mut().input.extend(bytes);
    rig.stir(*conn);
    rig.turn();
}

fn replies(fake: &Fake) -> Vec<(u8, Vec<u8>)> {
    frames_of(&fake.0.borrow().output)
}

#[test]
fn a_message_waits_and_those_behind_it_come_after_it() {
    let mut rig = Rig::new(config());
    let client = waiting(&mut rig);
    say(&mut rig, &client, &frame(0x81, b"second"));
    say(&mut rig, &client, &frame(0x81, b"later too"));
    // One of them is kept, and the next stays in the kernel.
    assert_eq!(rig.handler.messages, 1);
    assert!(!client.1.0.borrow().input.is_empty());
    // The outcome may be the same once more.
    ask_again(&mut rig);
    assert_eq!((rig.handler.asked_again, replies(&client.1).len()), (1, 0));
    rig.handler.messages_later = false;
    rig.turn();
    assert_eq!(rig.handler.asked_again, 1, "only when it is to be asked again");
    ask_again(&mut rig);
    rig.settle(client.0);
    let texts: Vec<_> = replies(&client.1).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, [&b"later"[..], b"second", b"later too"]);
    ask_again(&mut rig);
    assert_eq!(rig.handler.asked_again, 2);
}

#[test]
fn its_connection_goes_on_meanwhile() {
    let mut rig = Rig::new(config().ping_interval(Duration::from_secs(4)));
    let client = waiting(&mut rig);
    // A ping of the client is answered, and a pong is a sign of life.
    say(&mut rig, &client, &frame(0x89, b"hello?"));
    assert_eq!(replies(&client.1), [(0x8a, b"hello?".to_vec())]);
    for _ in 0..10 {
        rig.now += Duration::from_secs(3);
        say(&mut rig, &client, &frame(0x8a, b""));
    }
    assert_eq!(
        rig.registry.connection(client.0).map(|it| it.state()),
        Some(headcount::ConnState::Open)
    );
    let message = Message::text("for it");
    assert_eq!(rig.registry.send(rig.now, Target::Conn(client.0), message).live, 1);
    rig.turn();
    assert_eq!(replies(&client.1).last().unwrap().1, b"for it");
}

#[test]
fn one_that_is_closed_or_hangs_up_leaves_nothing_behind() {
    for hangs_up in [true, false] {
        let mut rig = Rig::new(config());
        let (conn, fake) = waiting(&mut rig);
        if !hangs_up {
            rig.registry.close(rig.now, Target::Conn(conn), CloseReason::Application);
            rig.turn();
            assert_eq!(replies(&fake)[0].1[..2], 4503u16.to_be_bytes());
        }
        ask_again(&mut rig);
        let asked = usize::from(hangs_up);
        assert_eq!(rig.handler.asked_again, asked, "a message of a closing connection is dropped");
        fake.0.borrow_mut().eof = true;
        rig.settle(conn);
        assert_eq!(rig.sockets.len(), 0);
        ask_again(&mut rig);
        assert_eq!(rig.handler.asked_again, asked);
        assert!(rig.registry.is_idle());
    }
}

#[test]
fn one_that_has_introduced_itself_in_time_may_try_again() {
    // Longer silences would be a pause of the process, which no deadline counts.
    let wait = Duration::from_secs(4);
    for speaks in [true, false] {
        let mut rig = Rig::new(config().head_deadline(wait / 4).auth_deadline(wait));
        rig.handler.nobody = true;
        let (conn, fake) = rig.open();
        rig.handler.messages_later = true;
        if speaks {
            say(&mut rig, &(conn, fake.clone()), &frame(0x81, b"later"));
        }
        rig.now += wait - Duration::from_nanos(1);
        ask_again(&mut rig);
        assert!(replies(&fake).is_empty());
        rig.now += Duration::from_millis(2);
        rig.turn();
        let (code, text) = match speaks {
            true => (1013u16, "auth_timeout retry_after=5"),
            false => (4502, "auth_timeout"),
        };
        let reason = [&code.to_be_bytes()[..], text.as_bytes()].concat();
        assert_eq!(replies(&fake), [(0x88, reason)]);
    }
}

#[test]
fn a_thousand_that_wait_have_their_turns_between_those_of_others() {
    const MANY: usize = 1_000;
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let waits: Vec<_> = (0..MANY).map(|_| waiting(&mut rig)).collect();
    rig.handler.messages_later = false;
    rig.sockets.authenticate_again();
    let mut turns = 0;
    while rig.sockets.asks_again() || rig.sockets.ready() > 0 {
        let before = rig.handler.asked_again;
        rig.assert_served(&neighbour);
        let asked = rig.handler.asked_again - before;
        assert!(asked <= READ.steps / 64, "{asked} in one turn");
        turns += 1;
        assert!(turns <= MANY);
    }
    assert_eq!(rig.handler.asked_again, MANY);
    drop(waits);
}
