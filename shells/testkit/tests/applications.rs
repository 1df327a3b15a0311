//! The kit on applications: what it shows of good ones, and that it catches bad ones.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use headcount::{
    CloseReason, Config, Message, Principal, Registry, RoomId, Start, Target, ThreadId, Timestamp,
    UserId,
};
use headcount_testkit::{Event, Received, Testkit};

fn who(user: &str) -> Principal {
    Principal::new(UserId::new(user).unwrap()).with_thread(ThreadId::new("main").unwrap())
}

/// All are in one room, and what one says the others read.
fn chat(registry: &mut Registry, now: Timestamp, event: Event) {
    let lobby = RoomId::new("lobby").unwrap();
    match event {
        Event::Admitted(conn, _) => drop(registry.join(now, conn, &lobby, Start::Now)),
        Event::Message(conn, said) => {
            registry.send(now, Target::Room(&lobby), said.except_connection(conn));
        }
        _ => {}
    }
}

#[test]
fn a_day_of_heartbeats_closes_nobody_who_answers() {
    let mut kit = Testkit::new(Config::new(1), chat);
    let alice = kit.admit(who("alice")).unwrap();
    let silent = kit.admit(who("bob")).unwrap();
    kit.fall_silent(silent);
    kit.pass_secs(24 * 3_600);
    assert!(kit.is_open(alice) && !kit.is_open(silent));
    let closed = kit.read(silent);
    assert!(matches!(
        closed[..],
        [Received::Closed { reason: CloseReason::PongTimeout, code: 4412, .. }]
    ));
    assert!(kit.registry().stats().pings_sent > 3_000);
    kit.finish();
}

#[test]
fn a_reconnect_storm_loses_nothing_that_was_said() {
    let mut kit = Testkit::new(Config::new(1), |_: &mut Registry, _: Timestamp, _: Event| {});
    let tabs: Vec<_> = (0..200).map(|it| kit.admit(who(&format!("user-{it}"))).unwrap()).collect();
    let session =
        |kit: &Testkit<_>, conn| kit.registry().connection(conn).unwrap().session().unwrap();
    let mut positions = Vec::new();
    for conn in &tabs {
        let session = session(&kit, *conn);
        let sent = kit.call(|registry, now| {
            registry.send(now, Target::Session(session), Message::text("before"))
        });
        positions.push((session, sent.stored()[0].position));
        kit.vanish(*conn);
    }
    for (session, _) in &positions {
        kit.call(|registry, now| {
            registry.send(now, Target::Session(*session), Message::text("meanwhile"));
        });
    }
    kit.pass(Duration::from_secs(30));
    for (number, (_, position)) in positions.into_iter().enumerate() {
        let start = Start::After(position);
        let conn = kit.admit_from(who(&format!("user-{number}")), start, None).unwrap();
        assert_eq!(kit.read(conn), ["meanwhile"]);
    }
    kit.finish();
}

#[test]
fn a_slow_reader_is_told_what_it_has_lost_and_a_stuck_one_is_closed() {
    let config = Config::builder(1).send_window(200).room_messages(4).build().unwrap();
    let mut kit = Testkit::new(config, chat);
    let [alice, slow] = ["alice", "slow"].map(|user| kit.admit(who(user)).unwrap());
    kit.stall(slow);
    for number in 0..10 {
        kit.say(alice, number.to_string());
    }
    kit.pass(Duration::from_secs(5));
    kit.go_on(slow);
    let read = kit.read(slow);
    assert_eq!(read.first(), Some(&Received::Message("0".into())));
    assert!(read.iter().any(|it| matches!(it, Received::Gap { .. })), "{read:?}");
    assert_eq!(read.last(), Some(&Received::Message("9".into())));
    kit.stall(slow);
    kit.say(alice, "one more");
    kit.pass(Duration::from_secs(60));
    assert!(!kit.is_open(slow));
    kit.finish();
}

#[test]
fn a_pending_client_names_itself_and_a_client_that_leaves_is_heard_first() {
    let heard = Rc::new(Cell::new(0));
    let count = Rc::clone(&heard);
    let application = move |registry: &mut Registry, now: Timestamp, event: Event| {
        let Event::Message(conn, said) = event else { return };
        if registry.connection(conn).and_then(|it| it.user()).is_none() {
            registry.connect(now, conn, who("alice"), Start::Now, None).unwrap();
            registry.reply(now, conn, "welcome".into()).unwrap();
        } else {
            count.set(count.get() + 1);
            registry.reply(now, conn, said).unwrap();
        }
    };
    let config = Config::builder(1).send_window(200).build().unwrap();
    let mut kit = Testkit::new(config, application);
    let conn = kit.reserve().unwrap();
    assert!(!kit.is_open(conn));
    kit.say(conn, "it is me, alice");
    assert!(kit.is_open(conn));
    assert_eq!(kit.read(conn), ["welcome"]);
    // Its input is paused while it stalls: the close frame waits behind what it has said.
    kit.stall(conn);
    for number in 0..6 {
        kit.say(conn, number.to_string());
    }
    assert!(heard.get() < 6);
    kit.leave(conn);
    kit.go_on(conn);
    assert_eq!((heard.get(), kit.is_open(conn)), (6, false));
    kit.finish();
}

/// What a test of the application's own rule says to a policy that breaks it.
#[test]
fn a_policy_that_shows_a_message_to_all_is_caught() {
    let whisper = |to_all: bool| {
        move |registry: &mut Registry, now: Timestamp, event: Event| {
            if let Event::Message(conn, said) = event {
                // The rule: a message that begins with "(" is for the speaker's own tabs.
                let own = said.payload().starts_with(b"(") && !to_all;
                let target = if own { Target::UserOf(conn) } else { Target::Everyone };
                registry.send(now, target, said);
            }
        }
    };
    let run = |to_all| {
        let mut kit = Testkit::new(Config::new(1), whisper(to_all));
        let bytes: Vec<u8> =
            (0..400_u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut read = 0;
        let said = |user: &UserId, _| Message::text(format!("({user} thinks aloud"));
        kit.run(&bytes, said, |kit| {
            for conn in kit.clients().collect::<Vec<_>>() {
                let user = kit.registry().connection(conn).and_then(|it| it.user().cloned());
                for received in kit.read(conn) {
                    if let (Some(user), Received::Message(message)) = (&user, received) {
                        read += 1;
                        let own = format!("({user} thinks aloud");
                        assert_eq!(message.payload(), own.as_bytes(), "read by {user}");
                    }
                }
            }
        });
        assert!(read > 10, "nothing was tried");
        kit.finish();
    };
    run(false);
    assert!(catch_unwind(AssertUnwindSafe(|| run(true))).is_err());
}
