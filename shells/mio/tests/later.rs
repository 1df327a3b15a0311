//! Requests that are decided about later, on real sockets.

mod common;

use std::time::Duration;

use common::*;
use headcount::CloseReason;
use headcount_mio::{HandleError, Options};

fn asking(server: &TestServer, user: &str) -> Client {
    let mut client = Client::bare(server.address);
    client.send(upgrade(&format!("?later={user}")).as_bytes());
    client
}

#[test]
fn requests_wait_until_they_can_be_decided_about() {
    let server = TestServer::start(config());
    let mut clients: Vec<_> =
        (0..50).map(|number| asking(&server, &format!("u{number}"))).collect();
    server.until("all wait", |stats| stats.pending == 50);
    // Others are served meanwhile.
    let mut other = Client::admitted(server.address, "other");
    other.say("hello");
    assert_eq!(other.text(), "hello");
    server.decide();
    for client in &mut clients {
        assert!(client.head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.text(), "welcome");
        client.say("hello");
        assert_eq!(client.text(), "hello");
    }
    drop((clients, other));
    assert_eq!(server.until_empty().opened, 51);
}

#[test]
fn one_that_is_asked_about_again_too_early_waits_on() {
    let server = TestServer::start(config());
    let mut client = asking(&server, "alice");
    server.until("it waits", |stats| stats.pending == 1);
    for _ in 0..100 {
        server.handle.authenticate_again();
        assert_eq!(server.stats().pending, 1);
    }
    server.decide();
    assert!(client.head().starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_client_that_hangs_up_while_it_waits_is_noticed() {
    let server = TestServer::start(config().auth_deadline(Duration::from_secs(3_600)));
    for hang_up in [Client::reset, drop, |mut client: Client| {
        client.send(b"unread");
        client.shutdown_write();
        client.expect_dropped();
    }] {
        let client = asking(&server, "alice");
        server.until("it waits", |stats| stats.pending == 1);
        hang_up(client);
        assert_eq!(server.next_gone(), CloseReason::PeerGone);
    }
    assert_eq!(server.until_empty().abandoned, 3);
}

#[test]
fn a_client_that_has_waited_too_long_is_told_when_to_come_back() {
    let server = TestServer::bind(
        config().auth_deadline(Duration::from_millis(50)),
        Options::new().subprotocol("v1").refuse_in_band(true),
    )
    .run();
    let mut client = asking(&server, "alice");
    let (status, head, body) = client.answer();
    assert_eq!(status, 503, "{body}");
    assert!(
        head.contains("\r\nRetry-After: 5\r\n") && body.contains("auth_timeout"),
        "{head}{body}"
    );
    let mut browser = Client::bare(server.address);
    let offer = upgrade("?later=bob").replace("Host:", "Sec-WebSocket-Protocol: v1\r\nHost:");
    browser.send(offer.as_bytes());
    assert!(browser.head().contains("\r\nSec-WebSocket-Protocol: v1\r\n"));
    browser.expect_close(1013);
    drop((client, browser));
    assert_eq!(server.next_gone(), CloseReason::AuthTimeout);
    server.until_empty();
}

#[test]
fn a_server_that_stops_answers_those_that_wait() {
    let server = TestServer::start(config().auth_deadline(Duration::from_secs(3_600)));
    let mut client = asking(&server, "alice");
    server.until("it waits", |stats| stats.pending == 1);
    let handle = server.handle.clone();
    handle.stop();
    assert_eq!(client.answer().0, 503);
    drop(client);
    server.join().unwrap();
    // It is harmless then.
    handle.authenticate_again();
    assert_eq!(handle.post(|_| ()), Err(HandleError::Stopped));
}
