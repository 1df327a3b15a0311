//! What a peer may do on the wire, and what must come of it.

mod common;

use std::io::Write;
use std::time::Duration;

use common::*;
use headcount::CloseReason;
use headcount_mio::Options;

#[test]
fn messages_are_echoed_by_kind() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    client.say("zażółć");
    assert_eq!(client.text(), "zażółć");
    for length in [0, 1, 125, 126, 1_000, 65_535, 65_536] {
        let payload = vec![length as u8; length];
        client.send(&frame(BINARY, &payload));
        assert_eq!(client.frame(), (BINARY, payload));
    }
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let server = TestServer::start(config());
    let mut client = Client::bare(server.address);
    for byte in upgrade("?user=alice").as_bytes() {
        client.send(&[*byte]);
    }
    assert!(client.head().starts_with("HTTP/1.1 101"));
    assert_eq!(client.text(), "welcome");
    for byte in frame(TEXT, &[b'x'; 200]) {
        client.send(&[byte]);
    }
    assert_eq!(client.text(), "x".repeat(200));
}

#[test]
fn frames_may_follow_the_request_at_once() {
    let server = TestServer::start(config());
    let mut client = Client::bare(server.address);
    let mut bytes = upgrade("?user=alice").into_bytes();
    bytes.extend(frame(TEXT, b"one"));
    bytes.extend(frame(PING, b"two"));
    bytes.extend(&frame(TEXT, b"three")[..5]);
    client.send(&bytes);
    assert!(client.head().starts_with("HTTP/1.1 101"));
    // A pong is no message: it need not wait for those.
    let mut frames = [client.frame(), client.frame(), client.frame()];
    frames.sort();
    let expected = [(TEXT, b"one".to_vec()), (TEXT, b"welcome".to_vec()), (PONG, b"two".to_vec())];
    assert_eq!(frames, expected);
    client.send(&frame(TEXT, b"three")[5..]);
    assert_eq!(client.text(), "three");
}

#[test]
fn a_message_may_come_in_parts_with_a_ping_between() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    client.send(&frame(0x01, b"one "));
    client.send(&frame(PING, b"still there?"));
    assert_eq!(client.frame(), (PONG, b"still there?".to_vec()));
    client.send(&frame(0x00, b"message"));
    client.send(&frame(0x80, b""));
    assert_eq!(client.text(), "one message");
}

#[test]
fn each_ping_of_a_burst_is_answered_in_order() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    let burst: Vec<u8> = (0..10u8).flat_map(|n| frame(PING, &[n])).collect();
    client.send(&burst);
    for n in 0..10 {
        assert_eq!(client.frame(), (PONG, vec![n]));
    }
}

#[test]
fn many_small_frames_are_all_processed() {
    let server = TestServer::start(config().reply_reserve(1 << 20));
    let mut client = Client::admitted(server.address, "alice");
    // More than one socket's share of a turn, in frames and in bytes.
    let burst: Vec<u8> =
        (0..3_000).flat_map(|n| frame(TEXT, format!("{n:030}").as_bytes())).collect();
    let mut reader = Client { stream: client.stream.try_clone().unwrap() };
    let sender = std::thread::spawn(move || client.send(&burst));
    for n in 0..3_000 {
        assert_eq!(reader.text(), format!("{n:030}"));
    }
    sender.join().unwrap();
}

/// A fault is answered with its code, then the end, also for a peer that goes on talking; nothing
/// after the fault is looked at.
fn expect_fault(bytes: &[u8], code: u16, reason: CloseReason) {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    client.send(bytes);
    client.send(&frame(TEXT, b"to all: not to be seen"));
    client.send(&frame(PING, b"not to be answered"));
    client.expect_close(code);
    client.expect_end();
    // The server waits for the peer's end, so that nothing it said is lost in a reset.
    let _ = client.stream.write_all(&frame(CLOSE, &close_payload(code)));
    drop(client);
    assert_eq!(server.next_gone(), reason);
    assert_eq!(server.until_empty().closed(reason), 1);
}

#[test]
fn an_unmasked_frame_is_a_protocol_error() {
    expect_fault(&[TEXT, 2, b'h', b'i'], 1002, CloseReason::ProtocolError);
}

#[test]
fn reserved_bits_and_opcodes_are_protocol_errors() {
    for first in [TEXT | 0x40, TEXT | 0x20, TEXT | 0x10, 0x83, 0x8b] {
        expect_fault(&frame(first, b"x"), 1002, CloseReason::ProtocolError);
    }
}

#[test]
fn an_oversize_or_divided_control_frame_is_a_protocol_error() {
    expect_fault(&frame(PING, &[0; 126]), 1002, CloseReason::ProtocolError);
    expect_fault(&frame(0x09, b""), 1002, CloseReason::ProtocolError);
}

#[test]
fn text_that_is_not_utf_8_is_invalid() {
    expect_fault(&frame(TEXT, b"\xff\xfe"), 1007, CloseReason::InvalidPayload);
    let parts = [frame(0x01, b"ok \xc5"), frame(0x80, b"\xc5")].concat();
    expect_fault(&parts, 1007, CloseReason::InvalidPayload);
}

#[test]
fn a_message_may_be_too_big_in_one_piece_or_in_parts() {
    // The default is 64 KiB. The header is enough to tell.
    expect_fault(&frame(BINARY, &[0; 65_537])[..20], 1009, CloseReason::MessageTooBig);
    let parts = [frame(0x02, &[0; 40_000]), frame(0x80, &[0; 40_000])].concat();
    expect_fault(&parts, 1009, CloseReason::MessageTooBig);
}

#[test]
fn a_close_is_echoed() {
    let server = TestServer::start(config());
    for (payload, answer) in [
        (close_payload(1000), 1000),
        (close_payload(4321), 4321),
        ([close_payload(1001), b"going away".to_vec()].concat(), 1001),
        (Vec::new(), 1000),
    ] {
        let mut client = Client::admitted(server.address, "alice");
        client.say("last words");
        // In one write: what comes after the server has closed the socket makes a reset.
        client.send(&[frame(CLOSE, &payload), frame(TEXT, b"after the close")].concat());
        assert_eq!(client.text(), "last words");
        client.expect_close(answer);
        client.expect_end();
        drop(client);
        assert_eq!(server.next_gone(), CloseReason::PeerClosed);
    }
    server.until_empty();
}

#[test]
fn a_close_with_a_code_that_may_not_be_on_the_wire_is_counted_as_it_is_answered() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        expect_fault(&frame(CLOSE, &close_payload(code)), 1002, CloseReason::ProtocolError);
    }
    expect_fault(&frame(CLOSE, b"x"), 1002, CloseReason::ProtocolError);
    // A peer may say of us that we broke the protocol, and that is its own word.
    let server = TestServer::start(config());
    for code in [1002, 1007, 1011, 1014, 3000, 4999] {
        let mut client = Client::admitted(server.address, "alice");
        client.send(&frame(CLOSE, &close_payload(code)));
        client.expect_close(code);
        drop(client);
        assert_eq!(server.next_gone(), CloseReason::PeerClosed);
    }
}

#[test]
fn a_close_is_answered_to_a_peer_that_has_shut_down_its_side() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    client.send(&frame(CLOSE, &close_payload(1000)));
    client.shutdown_write();
    client.expect_close(1000);
    client.expect_end();
    assert_eq!(server.next_gone(), CloseReason::PeerClosed);

    let mut client = Client::admitted(server.address, "alice");
    client.send(&[TEXT, 0]);
    client.shutdown_write();
    client.expect_close(1002);
    client.expect_end();
    assert_eq!(server.next_gone(), CloseReason::ProtocolError);
}

#[test]
fn a_close_of_ours_waits_for_the_peers() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    client.say("close me");
    client.expect_close(4503);
    // Both are too late, and neither is answered.
    client.say("hello?");
    client.send(&frame(PING, b"hello?"));
    client.send(&frame(CLOSE, &close_payload(4503)));
    client.expect_end();
    drop(client);
    assert_eq!(server.next_gone(), CloseReason::Application);
}

#[test]
fn when_both_have_closed_nobody_waits_for_the_peer_to_hang_up() {
    let server = TestServer::start(config().close_handshake(Duration::from_secs(3600)));
    // The peer begins, also with more to say than it may; or it answers.
    for (words, code) in [(&[][..], 1000), (&[0xff; 100_000], 1000)] {
        let mut client = Client::admitted(server.address, "alice");
        client.send(&[&frame(CLOSE, &close_payload(code)), words].concat());
        client.expect_close(code);
        assert_eq!(server.next_gone(), CloseReason::PeerClosed);
    }
    let mut client = Client::admitted(server.address, "alice");
    client.say("close me");
    client.expect_close(4503);
    client.send(&frame(CLOSE, &close_payload(4503)));
    assert_eq!(server.next_gone(), CloseReason::Application);
    client.expect_end();
    server.until_empty();
}

#[test]
fn a_peer_that_never_answers_a_close_is_dropped_in_time() {
    let server = TestServer::start(config().close_handshake(Duration::from_millis(50)));
    let mut client = Client::admitted(server.address, "alice");
    client.say("close me");
    client.expect_close(4503);
    assert_eq!(server.next_gone(), CloseReason::Application);
    client.expect_dropped();
}

#[test]
fn a_peer_that_is_gone_is_cleaned_up() {
    let server = TestServer::start(config());
    for _ in 0..3 {
        let mut client = Client::admitted(server.address, "alice");
        // Killed in the middle of a frame.
        client.send(&frame(TEXT, b"unfinished")[..8]);
        drop(client);
        assert_eq!(server.next_gone(), CloseReason::PeerGone);
    }
    // Reset: what was sent to it was not read.
    let mut client = Client::admitted(server.address, "alice");
    client.say("an answer that nobody reads");
    server.until("the answer was handed out", |stats| stats.sent >= 5);
    drop(client);
    assert_eq!(server.next_gone(), CloseReason::PeerGone);
    server.until_empty();
}

#[test]
fn a_pending_socket_says_who_it_is_in_its_first_message() {
    let server = TestServer::start(config());
    let mut client = Client::upgraded(server.address, "");
    assert_eq!(server.stats().pending, 1);
    client.say("alice");
    assert_eq!(client.text(), "welcome");
    assert_eq!((server.stats().pending, server.stats().open), (0, 1));
    let mut stranger = Client::upgraded(server.address, "");
    stranger.say("undefined");
    stranger.expect_close(4500);
}

#[test]
fn a_pending_socket_has_a_deadline() {
    let server = TestServer::start(config().auth_deadline(Duration::from_millis(30)));
    let mut client = Client::upgraded(server.address, "");
    client.expect_close(4502);
    client.send(&frame(CLOSE, &close_payload(4502)));
    client.expect_end();
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let config =
        config().ping_interval(Duration::from_millis(20)).pong_timeout(Duration::from_millis(400));
    let server = TestServer::start(config);
    let mut client = Client::admitted(server.address, "alice");
    for _ in 0..2 {
        assert_eq!(client.frame(), (PING, Vec::new()));
        client.send(&frame(PONG, b""));
    }
    server.until("pongs were counted", |stats| stats.pongs_received >= 2);
    loop {
        match client.frame() {
            (PING, _) => {}
            (CLOSE, payload) => {
                assert_eq!(payload[..2], 4412u16.to_be_bytes());
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_subprotocol_is_confirmed() {
    let server =
        TestServer::bind(config(), Options::new().paths(["/chat", "/talk"]).subprotocol("v1.test"))
            .run();
    let mut client = Client::bare(server.address);
    let request = upgrade("?user=alice")
        .replace("/ws", "/chat")
        .replace("Host:", "Sec-WebSocket-Protocol: other, v1.test\r\nHost:");
    client.send(request.as_bytes());
    assert!(client.head().contains("\r\nSec-WebSocket-Protocol: v1.test\r\n"));
}

#[test]
fn the_paths_are_those_of_the_options_and_the_handler_tells_them_apart() {
    let status = |options: Options, path: &str| {
        let server = TestServer::bind(config(), options).run();
        let mut client = Client::bare(server.address);
        client.send(upgrade("?user=alice").replace("/ws", path).as_bytes());
        client.head().split(' ').nth(1).map(str::to_owned)
    };
    for (path, expected) in [("/chat", "101"), ("/talk", "101"), ("/ws", "404"), ("/chat/", "404")]
    {
        let options = Options::new().paths(["/chat", "/talk"]);
        assert_eq!(status(options, path).as_deref(), Some(expected), "{path}");
    }
    let any = Options::new().paths([] as [&str; 0]);
    assert_eq!(status(any, "/anything").as_deref(), Some("101"));
}
