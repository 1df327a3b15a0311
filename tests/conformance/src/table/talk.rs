//! Request and reply.

use crate::Client;
use crate::application::WELCOME;
use crate::server::{Server, Shell, config};
use crate::wire::{BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame};

pub(super) fn replies_come_first_and_in_order<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    let numbers: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    let said: Vec<u8> = numbers.iter().flat_map(|it| frame(TEXT, it.as_bytes())).collect();
    client.send(&said);
    for number in &numbers {
        assert_eq!(client.text(), *number);
    }
    drop(client);
    server.end();
}

pub(super) fn binary_stays_binary<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let payload: Vec<u8> = (0..length).map(|it| it as u8).collect();
        client.send(&frame(BINARY, &payload));
        let (first, echoed) = client.frame();
        assert!(first == BINARY && echoed == payload, "of {length} bytes");
    }
    drop(client);
    server.end();
}

pub(super) fn fragments_are_one_message<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    client.send(&frame(TEXT & 0x0f, b"one, "));
    client.send(&frame(PING, b"between"));
    assert_eq!(client.frame(), (PONG, b"between".to_vec()));
    client.send(&frame(0x00, b"two, "));
    client.send(&frame(0x80, b"three"));
    assert_eq!(client.text(), "one, two, three");
    drop(client);
    server.end();
}

pub(super) fn a_ping_is_answered<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    for payload in [&b""[..], b"are you there"] {
        client.send(&frame(PING, payload));
        assert_eq!(client.frame(), (PONG, payload.to_vec()));
    }
    drop(client);
    server.end();
}

pub(super) fn a_pending_client_names_itself<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = Client::upgraded(server.shell().address(), "");
    assert_eq!((server.stats().pending, server.stats().live), (1, 0));
    client.say("alice");
    assert_eq!(client.text(), WELCOME);
    assert_eq!((server.stats().pending, server.stats().live), (0, 1));
    client.say("hello");
    assert_eq!(client.text(), "hello");
    drop(client);
    server.end();
}

pub(super) fn bad_credentials_close<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = Client::upgraded(server.shell().address(), "");
    client.say("null");
    client.expect_close(4500);
    client.send(&frame(CLOSE, &close_payload(4500)));
    client.expect_end();
    server.end();
}
