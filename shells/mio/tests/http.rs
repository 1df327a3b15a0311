//! Requests that are no upgrade, or are refused one: always a complete answer.

mod common;

use std::time::Duration;

use common::*;
use headcount::{CloseReason, OverCap};

fn answer(server: &TestServer, request: &str) -> (u16, String, String) {
    let mut client = Client::bare(server.address);
    client.send(request.as_bytes());
    client.answer()
}

#[test]
fn every_kind_of_request_gets_a_complete_answer() {
    let server = TestServer::start(config());
    let upgrade = upgrade("?user=alice");
    for (request, status, header) in [
        ("hello\r\n\r\n".to_owned(), 400, ""),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404, ""),
        (upgrade.replace("/ws", "/other"), 404, ""),
        (upgrade.replace("GET", "POST"), 405, "\r\nAllow: GET\r\n"),
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 426, "\r\nUpgrade: websocket\r\n"),
        (upgrade.replace("Version: 13", "Version: 7"), 426, "\r\nSec-WebSocket-Version: 13\r\n"),
        (upgrade.replace("ZQ==", "Z"), 400, ""),
        (upgrade.replace("user=alice", "user=null"), 400, ""),
        (upgrade.replace("Host:", &format!("X: {}\r\nHost:", "x".repeat(33_000))), 431, ""),
        (upgrade.replace("Host:", &format!("{}Host:", "X: y\r\n".repeat(128))), 431, ""),
        (upgrade.replace("Host:", "Content-Length: 5\r\nHost:") + "hello", 400, ""),
        (upgrade.replace("Host:", "Transfer-Encoding: chunked\r\nHost:") + "0\r\n\r\n", 400, ""),
    ] {
        let (got, head, body) = answer(&server, &request);
        assert_eq!(got, status, "{request}\n{head}{body}");
        assert!(head.contains(header), "{head}");
    }
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.abandoned), (0, 12));
}

#[test]
fn lines_may_end_without_a_carriage_return_and_nothing_is_skipped() {
    let server = TestServer::start(config());
    let mut client = Client::bare(server.address);
    let bytes = upgrade("?user=alice").replace("\r\n", "\n").into_bytes();
    client.send(&[bytes, b"no frame\r\n\r\n".to_vec()].concat());
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    loop {
        // What follows the head is frames, whatever it looks like.
        match client.frame() {
            (CLOSE, payload) => break assert_eq!(payload[..2], 1002u16.to_be_bytes()),
            (first, payload) => assert_eq!((first, payload), (TEXT, b"welcome".to_vec())),
        }
    }
}

#[test]
fn a_head_request_is_answered_with_a_head() {
    let server = TestServer::start(config());
    let mut client = Client::bare(server.address);
    client.send(b"HEAD /ws HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 405 "));
    client.expect_end();
}

#[test]
fn an_answer_arrives_though_the_client_goes_on_sending() {
    let server = TestServer::start(config());
    let mut client = Client::bare(server.address);
    client.send(b"POST /publish HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    for _ in 0..100 {
        client.send(&[b'x'; 10_000]);
    }
    assert_eq!(client.answer().0, 404);
}

#[test]
fn an_answer_arrives_though_the_client_has_shut_down_its_side() {
    let server = TestServer::start(config());
    let mut client = Client::bare(server.address);
    client.send(b"GET /nothing HTTP/1.0\r\n\r\n");
    client.shutdown_write();
    assert_eq!(client.answer().0, 404);
    server.until_empty();
}

#[test]
fn a_large_head_of_many_lines_is_a_head() {
    let server = TestServer::start(config());
    let cookies = format!("Cookie: {}\r\n", "c".repeat(250)).repeat(120);
    let mut client = Client::bare(server.address);
    client.send(upgrade("?user=alice").replace("Host:", &format!("{cookies}Host:")).as_bytes());
    assert!(client.head().starts_with("HTTP/1.1 101 "));
}

#[test]
fn what_is_no_http_is_told_at_once() {
    // The whole deadline is longer than a test waits.
    let server = TestServer::start(config().head_deadline(Duration::from_secs(3_600)));
    let tls = [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03][..], &[7; 500]];
    for (hello, code) in [
        (tls.concat(), "plain_http"),
        (b"\x16".to_vec(), "plain_http"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "malformed_request"),
        (b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), "malformed_request"),
        (b"\x00\x00".to_vec(), "malformed_request"),
        (b"GET /ws\r\n".to_vec(), "malformed_request"),
    ] {
        let mut client = Client::bare(server.address);
        client.send(&hello);
        let (status, _, body) = client.answer();
        assert_eq!(status, 400, "{}", hello.escape_ascii());
        assert!(body.contains(code), "{body}");
    }
}

#[test]
fn a_half_sent_head_is_answered_when_its_time_is_over() {
    let server = TestServer::start(config().head_deadline(Duration::from_millis(60)));
    let mut half = Client::bare(server.address);
    half.send(b"GET /ws HTTP/1.1\r\nHost: loc");
    let mut mute = Client::bare(server.address);
    assert_eq!(half.answer().0, 408);
    let (status, _, body) = mute.answer();
    assert_eq!(status, 408);
    assert!(body.contains("head_timeout"), "{body}");
    drop((half, mute));
    assert_eq!(server.next_gone(), CloseReason::HeadTimeout);
    assert_eq!(server.until_empty().abandoned, 2);
}

#[test]
fn limits_are_answered_with_whose_they_are_and_when_to_come_back() {
    let refuse = OverCap::Refuse { retry_after: Duration::from_secs(3) };
    let config = config().connections(2).connections_per_user(1).sessions_per_user(1);
    let server = TestServer::start(config.over_cap(refuse));
    let _alice = Client::admitted(server.address, "alice");
    let (status, head, body) = answer(&server, &upgrade("?user=alice"));
    assert_eq!(status, 429, "{body}");
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    let _bob = Client::admitted(server.address, "bob");
    let (status, head, body) = answer(&server, &upgrade("?user=carol"));
    assert_eq!(status, 503, "{body}");
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    assert_eq!(server.until("both stay", |stats| stats.pending == 0).open, 2);
}

#[test]
fn beyond_the_pending_limit_the_longest_silent_of_the_same_source_is_turned_away() {
    let server = TestServer::start(config().pending(2).pending_per_source(2));
    let mut first = Client::bare(server.address);
    server.until("one waits", |stats| stats.pending == 1);
    let _second = Client::bare(server.address);
    server.until("both wait", |stats| stats.pending == 2);
    let _third = Client::bare(server.address);
    let (status, _, body) = first.answer();
    assert_eq!(status, 408, "{body}");
    assert_eq!(server.until("the first is gone", |stats| stats.pending == 2).abandoned, 1);
}

#[test]
fn a_client_that_was_answered_can_not_stay() {
    let server = TestServer::start(config().close_handshake(Duration::from_millis(50)));
    let mut client = Client::bare(server.address);
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer().0, 404);
    // It keeps its side open. Its place is free all the same, in time.
    assert_eq!(server.next_gone(), CloseReason::BadRequest);
    assert_eq!(server.until_empty().abandoned, 1);
}
