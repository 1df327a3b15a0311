//! Streams: order, audience and resume.

use std::time::Duration;

use headcount::{ConnId, Message, Position, Registry, SessionId, Target, Timestamp};

use crate::application::{Application, GREETING, gap, greeting, room};
use crate::server::{Server, Shell, config, since};

pub(super) fn a_room_has_one_order<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut clients: Vec<_> = (0..5).map(|it| server.client(&format!("user-{it}"))).collect();
    for round in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.say(&format!("to all: {round} of {number}"));
        }
    }
    let mut read = clients.iter_mut().map(|client| (0..100).map(|_| client.text()).collect());
    let first: Vec<String> = read.next().expect("five");
    for other in read {
        assert_eq!(first, other);
    }
    for number in 0..5 {
        let own = first.iter().filter(|text| text.ends_with(&format!("of {number}")));
        let in_order = (0..20).map(|round| format!("{round} of {number}"));
        assert!(own.cloned().eq(in_order), "{first:?}");
    }
    drop(clients);
    server.end();
}

pub(super) fn the_sender_can_be_left_out<S: Shell>() {
    let server = Server::<S>::start(config());
    let (mut alice, mut bob) = (server.client("alice"), server.client("bob"));
    for round in 0..20 {
        alice.say(&format!("to others: {round}"));
        assert_eq!(bob.text(), round.to_string());
    }
    alice.say("still here");
    assert_eq!(alice.text(), "still here");
    drop((alice, bob));
    server.end();
}

pub(super) fn a_crowd_gets_everything<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut clients: Vec<_> = (0..100).map(|it| server.client(&format!("user-{it}"))).collect();
    server.shell().call(|registry, now| {
        for number in 0..100 {
            registry.send(now, Target::Room(&room()), Message::text(format!("news {number}")));
        }
    });
    for client in &mut clients {
        for number in 0..100 {
            assert_eq!(client.text(), format!("news {number}"));
        }
    }
    drop(clients);
    server.end();
}

pub(super) fn each_reads_its_own_dialect<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut clients: Vec<_> = (0..6).map(|it| server.client(&format!("user-{it}"))).collect();
    let dialects: Vec<_> =
        clients.iter_mut().map(|client| Application.dialect(client.conn())).collect();
    assert!(dialects.contains(&0) && dialects.contains(&1), "{dialects:?}");
    server.shell().call(|registry, now| {
        for _ in 0..20 {
            registry.send(now, Target::Room(&room()), Message::text(GREETING));
        }
    });
    for (client, dialect) in clients.iter_mut().zip(dialects) {
        for _ in 0..20 {
            assert_eq!(client.text(), greeting(dialect));
        }
    }
    drop(clients);
    server.end();
}

/// The session of a connection, and the head of its log.
fn head(registry: &mut Registry, now: Timestamp, conn: ConnId) -> (SessionId, Position) {
    let session = registry.connection(conn).and_then(|it| it.session()).expect("it has one");
    let delivery = registry.send(now, Target::Session(session), Message::text("here"));
    (session, delivery.stored()[0].position)
}

/// A client that has gone while five messages were sent to its session, and the position that it had.
fn missed<S: Shell>(server: &Server<S>) -> Position {
    let mut client = server.client("alice");
    let conn = client.conn();
    let (session, position) = server.shell().call(move |registry, now| head(registry, now, conn));
    assert_eq!(client.text(), "here");
    client.reset();
    server.until("the connection has gone", |stats| stats.live == 0);
    server.shell().call(move |registry, now| {
        for number in 0..5 {
            registry.send(now, Target::Session(session), Message::text(format!("missed {number}")));
        }
    });
    position
}

pub(super) fn a_resume_has_what_was_missed<S: Shell>() {
    let server = Server::<S>::start(config().session_linger(Duration::from_secs(2)));
    let position = missed(&server);
    let mut client = server.client(&format!("alice{}", since(position)));
    for number in 0..5 {
        assert_eq!(client.text(), format!("missed {number}"));
    }
    client.say("nothing else");
    assert_eq!(client.text(), "nothing else");
    drop(client);
    server.end();
}

pub(super) fn what_is_lost_is_told<S: Shell>() {
    let config = config().session_linger(Duration::from_secs(2));
    let server = Server::<S>::start(config.stream_messages(2).stream_history(2));
    let position = missed(&server);
    let mut client = server.client(&format!("alice{}", since(position)));
    assert_eq!(client.text(), gap(position.offset + 1, position.offset + 3));
    assert_eq!(client.text(), "missed 3");
    assert_eq!(client.text(), "missed 4");
    drop(client);
    server.end();
}
