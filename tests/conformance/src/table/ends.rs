//! How connections end, and the server.

use std::time::{Duration, Instant};

use headcount::{CloseReason, CloseWords, Target, UserId};

use crate::client::{Client, PATIENCE};
use crate::server::{Server, Shell, config};
use crate::wire::{CLOSE, TEXT, close_payload, frame, upgrade};

pub(super) fn a_goodbye_is_answered<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    client.send(&frame(CLOSE, &close_payload(1000)));
    client.expect_close(1000);
    client.expect_end();
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerClosed), 1);
    server.end();
}

pub(super) fn the_code_of_a_close_is_echoed<S: Shell>() {
    let server = Server::<S>::start(config());
    for code in [1001, 3000, 4999] {
        let mut client = server.client("alice");
        client.send(&frame(CLOSE, &close_payload(code)));
        client.expect_close(code);
        client.expect_end();
    }
    server.end();
}

pub(super) fn a_client_that_vanishes_is_gone<S: Shell>() {
    let server = Server::<S>::start(config());
    server.client("alice").reset();
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerGone), 1);
    server.end();
}

pub(super) fn an_end_without_a_close_is_gone<S: Shell>() {
    let server = Server::<S>::start(config());
    server.client("alice").shutdown_write();
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerGone), 1);
    server.end();
}

pub(super) fn a_half_request_leaves_nothing<S: Shell>() {
    let server = Server::<S>::start(config());
    let request = upgrade("?user=alice");
    for _ in 0..20 {
        let mut half = Client::bare(server.shell().address());
        half.send(&request.as_bytes()[..40]);
        half.reset();
        let mut whole = Client::bare(server.shell().address());
        whole.send(request.as_bytes());
        whole.reset();
    }
    // It has taken all of them: this one came last.
    drop(server.client("bob"));
    server.end();
}

pub(super) fn a_close_says_why<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    server.shell().call(|registry, now| {
        let words = CloseWords::new(4200, "lunch").expect("a code of the application");
        let user = UserId::new("alice").expect("a valid name");
        registry.close(now, Target::User(&user), words);
    });
    let (first, payload) = client.frame();
    assert_eq!((first, &payload[2..]), (CLOSE, &b"lunch"[..]));
    assert_eq!(payload[..2], 4200_u16.to_be_bytes());
    client.send(&frame(CLOSE, &payload));
    client.expect_end();
    server.end();
}

pub(super) fn text_that_is_not_utf8_closes<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    client.send(&frame(TEXT, b"caf\xe9"));
    client.expect_close(1007);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::InvalidPayload), 1);
    server.end();
}

pub(super) fn a_frame_without_a_mask_closes<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut client = server.client("alice");
    client.send(&[TEXT, 2, b'h', b'i']);
    client.expect_close(1002);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::ProtocolError), 1);
    server.end();
}

pub(super) fn a_client_that_ignores_a_close_is_dropped<S: Shell>() {
    let server = Server::<S>::start(config().close_handshake(Duration::from_millis(300)));
    let mut client = server.client("alice");
    client.say("close me");
    client.expect_close(4503);
    let began = Instant::now();
    client.expect_dropped();
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(200) && waited < Duration::from_secs(5), "{waited:?}");
    server.end();
}

pub(super) fn a_drain_tells_everyone_and_ends<S: Shell>() {
    let server = Server::<S>::start(config().drain_deadline(Duration::from_secs(1)));
    let address = server.shell().address();
    let mut clients: Vec<_> = (0..10).map(|it| server.client(&format!("user-{it}"))).collect();
    server.shell().stop();
    let end = Instant::now() + PATIENCE;
    while !server.shell().call(|registry, _| registry.is_draining()) {
        assert!(Instant::now() < end, "the drain does not begin");
    }
    let mut late = Client::bare(address);
    late.send(upgrade("?user=late").as_bytes());
    let head = late.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 503 ") && head.contains("\r\nretry-after: "), "{head}");
    drop(late);
    for client in &mut clients {
        client.expect_drain();
        client.send(&frame(CLOSE, &close_payload(1012)));
        client.expect_end();
    }
    server.into_shell().join();
}

pub(super) fn nothing_is_lost_count_of<S: Shell>() {
    let server = Server::<S>::start(config());
    let mut clients = Vec::new();
    for round in 0..60 {
        let mut client = server.client(&format!("user-{}", round % 7));
        client.say("to all: here I am");
        match round % 5 {
            0 => client.reset(),
            1 => client.say("close me"),
            2 => client.send(&frame(CLOSE, &close_payload(1000))),
            3 => client.send(&[0xff; 16]),
            _ => clients.push(client),
        }
    }
    let kept = clients.len() as u32;
    server.until("only those that stay are open", |stats| stats.open == kept);
    assert_eq!(server.shell().call(|registry, _| registry.check()), Ok(()));
    drop(clients);
    let stats = server.until_empty();
    assert_eq!(stats.opened, 60);
    server.end();
}
