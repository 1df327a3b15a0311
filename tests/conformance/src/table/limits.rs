//! Limits, and the heartbeat.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use headcount::{CloseReason, OverCap};

use crate::application::WELCOME;
use crate::client::Client;
use crate::server::{Server, Shell, config};
use crate::wire::{BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame, upgrade};

/// The status and head of the answer to an upgrade that is refused.
fn refused<S: Shell>(server: &Server<S>, query: &str) -> (u16, String) {
    let mut client = Client::bare(server.shell().address());
    client.send(upgrade(query).as_bytes());
    let head = client.head();
    (head[9..12].parse().expect("a status"), head.to_ascii_lowercase())
}

pub(super) fn the_cap_of_a_user_is_exact<S: Shell>() {
    let retry_after = Duration::from_secs(3);
    let config = config().connections_per_user(2).over_cap(OverCap::Refuse { retry_after });
    let server = Server::<S>::start(config);
    let (first, second) = (server.client("alice"), server.client("alice"));
    let (status, head) = refused(&server, "?user=alice");
    assert!(status == 429 && head.contains("\r\nretry-after: 3\r\n"), "{head}");
    let other = server.client("bob");
    drop(second);
    server.until("one has left", |stats| stats.live == 2);
    let again = server.client("alice");
    drop((first, other, again));
    server.end();
}

pub(super) fn a_full_house_is_503<S: Shell>() {
    let server =
        Server::<S>::start(config().connections(2).connections_per_user(2).sessions_per_user(2));
    let (first, second) = (server.client("alice"), server.client("bob"));
    let (status, head) = refused(&server, "?user=carol");
    assert!(status == 503 && head.contains("\r\nretry-after: "), "{head}");
    drop((first, second));
    server.end();
}

pub(super) fn a_full_waiting_room_is_503<S: Shell>() {
    let server = Server::<S>::start(config().pending(1));
    let mut waits = Client::upgraded(server.shell().address(), "");
    let (status, head) = refused(&server, "");
    assert!(status == 503 && head.contains("\r\nretry-after: "), "{head}");
    waits.say("alice");
    assert_eq!(waits.text(), WELCOME);
    drop((Client::upgraded(server.shell().address(), ""), waits));
    server.end();
}

pub(super) fn an_evicted_connection_is_told<S: Shell>() {
    let server = Server::<S>::start(config().connections_per_user(1));
    let mut old = server.client("alice");
    let new = server.client("alice");
    old.expect_close(4504);
    old.send(&frame(CLOSE, &close_payload(4504)));
    old.expect_end();
    drop(new);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::Evicted), 1);
    server.end();
}

pub(super) fn a_message_that_is_too_large_closes<S: Shell>() {
    let server = Server::<S>::start(config().message_bytes(1_000));
    let mut client = server.client("alice");
    client.send(&frame(BINARY, &[0; 1_000]));
    assert_eq!(client.frame().1.len(), 1_000);
    client.send(&frame(BINARY, &[0; 1_001]));
    client.expect_close(1009);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::MessageTooBig), 1);
    server.end();
}

pub(super) fn a_flood_closes<S: Shell>() {
    let server = Server::<S>::start(config().message_rate(1).message_burst(5));
    let mut client = server.client("alice");
    let flood: Vec<u8> = (0..11).flat_map(|_| frame(TEXT, b"me again")).collect();
    client.send(&flood);
    for _ in 0..5 {
        assert_eq!(client.text(), "me again");
    }
    client.expect_close(4413);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::RateLimited), 1);
    server.end();
}

pub(super) fn a_silent_client_is_pinged_and_closed<S: Shell>() {
    let config =
        config().ping_interval(Duration::from_millis(100)).pong_timeout(Duration::from_millis(200));
    let server = Server::<S>::start(config);
    let mut client = server.client("alice");
    assert_eq!(client.frame(), (PING, Vec::new()));
    client.expect_close(4412);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PongTimeout), 1);
    server.end();
}

pub(super) fn a_pong_that_waits_counts<S: Shell>() {
    let config =
        config().ping_interval(Duration::from_millis(300)).pong_timeout(Duration::from_millis(300));
    let server = Server::<S>::start(config);
    let mut client = server.client("alice");
    let (first, payload) = client.frame();
    assert_eq!(first, PING);
    let (begins, begun) = channel();
    let late = &mut client;
    thread::scope(|scope| {
        scope.spawn(move || {
            begun.recv().expect("it is busy");
            late.send(&frame(PONG, &payload));
        });
        // The server is busy until the pong is late: it is there, and was not read.
        server.shell().call(move |_, _| {
            begins.send(()).expect("the client waits");
            thread::sleep(Duration::from_millis(700));
        });
    });
    let stats = server.until("its pong counts, or its deadline", |stats| {
        stats.pongs_received == 1 || stats.open == 0
    });
    assert_eq!((stats.pongs_received, stats.open), (1, 1));
    drop(client);
    server.end();
}

pub(super) fn a_client_that_answers_pings_stays<S: Shell>() {
    let config =
        config().ping_interval(Duration::from_millis(50)).pong_timeout(Duration::from_secs(10));
    let server = Server::<S>::start(config);
    let mut client = server.client("alice");
    for _ in 0..5 {
        let (first, payload) = client.frame();
        assert_eq!(first, PING);
        client.send(&frame(PONG, &payload));
    }
    server.until("its pongs count", |stats| stats.pongs_received >= 5);
    assert_eq!(server.stats().open, 1);
    drop(client);
    server.end();
}
