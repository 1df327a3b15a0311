//! Clients that read slowly, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headcount::{CloseReason, Message, Target};

use crate::application::room;
use crate::client::{Client, PATIENCE};
use crate::server::{Server, Shell, config};
use crate::wire::{BINARY, CLOSE, close_payload, frame};

/// More than a window and the buffers of two kernels hold.
const MESSAGES: u32 = 400;
const BYTES: usize = 32 * 1024;

/// A message that says which it is.
fn numbered(number: u32) -> Vec<u8> {
    let mut payload = vec![b'x'; BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

fn expect_numbered(client: &mut Client, number: u32) {
    let (first, payload) = client.frame();
    assert_eq!((first, payload.len()), (BINARY, BYTES));
    assert_eq!(payload[..4], number.to_be_bytes());
}

pub(super) fn the_input_of_a_slow_reader_waits<S: Shell>() {
    let server = Server::<S>::start(config().slow_deadline(Duration::from_secs(60)));
    let mut client = server.narrow_client("alice");
    let mut writer = Client { stream: client.stream.try_clone().expect("a second handle") };
    let written = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&written);
    let writing = thread::spawn(move || {
        for number in 0..MESSAGES {
            writer.send(&frame(BINARY, &numbered(number)));
            count.store(number + 1, Ordering::Relaxed);
        }
    });
    // It gets on until nothing is read any more.
    server.until_still("it is not read any more", |_| written.load(Ordering::Relaxed).into());
    assert!(written.load(Ordering::Relaxed) < MESSAGES, "all was read, though no reply was");
    for number in 0..MESSAGES {
        expect_numbered(&mut client, number);
    }
    writing.join().expect("it has written");
    drop(client);
    server.end();
}

pub(super) fn a_stuck_reader_is_closed_alone<S: Shell>() {
    let server = Server::<S>::start(config().slow_deadline(Duration::from_millis(500)));
    let stuck = server.narrow_client("alice");
    let mut others: Vec<_> = (0..3).map(|it| server.client(&format!("user-{it}"))).collect();
    let began = Instant::now();
    for number in 0..MESSAGES {
        server.shell().call(move |registry, now| {
            registry.send(now, Target::Room(&room()), Message::binary(numbered(number)));
        });
        for client in &mut others {
            expect_numbered(client, number);
        }
    }
    server.until("the stuck reader is closed", |stats| {
        stats.closed(CloseReason::SlowConsumer) == 1 || stats.open == 3
    });
    assert!(began.elapsed() > Duration::from_millis(500), "before its deadline");
    assert_eq!(server.stats().open, 3);
    drop((stuck, others));
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::SlowConsumer), 1);
    server.end();
}

pub(super) fn a_reader_that_stops_within_a_message_is_closed<S: Shell>() {
    let config = config()
        .slow_deadline(Duration::from_millis(500))
        // A ping behind the message would be stuck, too.
        .ping_interval(3 * PATIENCE)
        .stream_bytes(64 << 20)
        .user_bytes(64 << 20);
    let server = Server::<S>::start(config);
    let mut client = server.narrow_client("alice");
    let conn = client.conn();
    server.shell().call(move |registry, now| {
        let long = Message::binary(vec![b'x'; MESSAGES as usize * BYTES]);
        let delivery = registry.send(now, Target::SessionOf(conn), long);
        assert_eq!(delivery.live, 1);
    });
    server.until("it is closed", |stats| stats.open == 0);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::SlowConsumer), 1);
    server.end();
}

/// A client that reads nothing while its session is sent more than its socket takes.
fn overwhelmed<S: Shell>() -> (Server<S>, Client) {
    let config = config()
        .slow_deadline(Duration::from_secs(60))
        .stream_messages(MESSAGES)
        .stream_bytes(64 << 20)
        .user_bytes(64 << 20);
    let server = Server::<S>::start(config);
    let mut client = server.narrow_client("alice");
    let conn = client.conn();
    server.shell().call(move |registry, now| {
        for number in 0..MESSAGES {
            registry.send(now, Target::SessionOf(conn), Message::binary(numbered(number)));
        }
    });
    server.until_still("its socket is full", |stats| stats.sent);
    (server, client)
}

pub(super) fn a_slow_reader_catches_up<S: Shell>() {
    let (server, mut client) = overwhelmed::<S>();
    for number in 0..MESSAGES {
        expect_numbered(&mut client, number);
    }
    drop(client);
    server.end();
}

pub(super) fn the_goodbye_of_a_slow_reader_is_answered<S: Shell>() {
    let (server, mut client) = overwhelmed::<S>();
    client.send(&frame(CLOSE, &close_payload(1000)));
    server.until("its goodbye is heard", |stats| stats.open == 0);
    let mut number: u32 = 0;
    let payload = loop {
        let (first, payload) = client.frame();
        if first == CLOSE {
            break payload;
        }
        assert_eq!(
            (first, payload.len(), &payload[..4]),
            (BINARY, BYTES, &number.to_be_bytes()[..])
        );
        number += 1;
    };
    assert!(payload == close_payload(1000) && number < MESSAGES, "after {number}: {payload:?}");
    client.expect_end();
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerClosed), 1);
    server.end();
}
