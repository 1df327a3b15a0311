//! What is counted is what a server has seen, over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use headcount_load::{Broadcast, Crowd, Echo, LoadError, Storm, Target};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Message, WebSocket};

const SHORT: Duration = Duration::from_millis(50);

/// What the server has answered.
#[derive(Default)]
struct Seen {
    echoes: AtomicU64,
    delivered: AtomicU64,
    subscribers: Mutex<Vec<WebSocket<TcpStream>>>,
}

#[allow(clippy::result_large_err)] // The form of a refusal is tungstenite's.
fn serve(stream: TcpStream, seen: &Seen) {
    let mut path = String::new();
    let upgraded = tungstenite::accept_hdr(stream, |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        if path == "/none" { Err(ErrorResponse::new(None)) } else { Ok(response) }
    });
    let Ok(mut socket) = upgraded else { return };
    if path == "/sub" {
        seen.subscribers.lock().unwrap().push(socket);
        return;
    }
    while let Ok(message) = socket.read() {
        if !message.is_text() || path == "/end" {
            return;
        }
        assert!(message.to_text().unwrap().starts_with("abc"));
        if path == "/echo" {
            socket.send(Message::Ping(Default::default())).unwrap();
            socket.send(message).unwrap();
            assert!(socket.read().unwrap().is_pong());
            seen.echoes.fetch_add(1, Ordering::Relaxed);
        } else {
            for subscriber in seen.subscribers.lock().unwrap().iter_mut() {
                subscriber.send(message.clone()).unwrap();
                seen.delivered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn server() -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(stream.unwrap(), &shared));
        }
    });
    (url, seen)
}

fn target(url: &str, path: &str) -> Target {
    Target::new(&format!("{url}{path}")).unwrap()
}

#[test]
fn an_echo_counts_what_came_back() {
    let (url, seen) = server();
    let mut crowd = Crowd::new().unwrap();
    let mut opened = 0;
    let connections = crowd.connect(&target(&url, "/echo"), 3, |_| opened += 1).unwrap();
    assert_eq!((opened, crowd.open()), (3, 3));
    // The server pings before it answers, and reads the pong next: one in flight.
    let echo = Echo { connections, in_flight: 1, bytes: 300, length: SHORT };
    let outcome = echo.run(&mut crowd).unwrap();
    let echoes = seen.echoes.load(Ordering::Relaxed);
    assert!(outcome.messages >= 3 && outcome.messages.abs_diff(echoes) <= 3);
    assert_eq!(outcome.latency.total(), outcome.messages);
    assert!(outcome.lasted >= SHORT && outcome.rate() > 0.0);
    let arrived = outcome.series.samples().iter().map(|sample| sample.arrived);
    assert_eq!(arrived.sum::<u64>(), outcome.messages);
}

/// A server may be full: it upgrades a client, and closes it with what it writes next.
#[test]
fn a_connection_that_is_closed_with_its_upgrade_was_never_open() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        let closed = [0x88, 2, 0x03, 0xe8];
        stream.write_all(&[upgraded.as_bytes(), &closed].concat()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let mut crowd = Crowd::new().unwrap();
    let lost = crowd.connect(&target(&url, "/"), 1, |_| {}).unwrap_err();
    assert!(matches!(lost, LoadError::Lost { connections: 1 }), "{lost}");
    assert_eq!(crowd.open(), 0);
    drop(crowd);
    server.join().unwrap();
}

#[test]
fn a_broadcast_counts_every_delivery() {
    let (url, seen) = server();
    let mut crowd = Crowd::new().unwrap();
    let subscribers = crowd.connect(&target(&url, "/sub"), 5, |_| {}).unwrap();
    let publisher = crowd.connect(&target(&url, "/pub"), 1, |_| {}).unwrap().start;
    while seen.subscribers.lock().unwrap().len() < 5 {}
    let work = Broadcast { subscribers, publisher, outstanding: 4, bytes: 64, length: SHORT };
    let outcome = work.run(&mut crowd).unwrap();
    assert_eq!(outcome.messages, outcome.latency.total() * 5);
    crowd.hold(SHORT).unwrap();
    assert_eq!(outcome.messages, seen.delivered.load(Ordering::Relaxed));
}

#[test]
fn a_storm_has_a_calm_half() {
    let (url, seen) = server();
    let mut crowd = Crowd::new().unwrap();
    let subscribers = crowd.connect(&target(&url, "/sub"), 4, |_| {}).unwrap();
    let publisher = crowd.connect(&target(&url, "/pub"), 1, |_| {}).unwrap().start;
    let probe = crowd.connect(&target(&url, "/echo"), 1, |_| {}).unwrap().start;
    while seen.subscribers.lock().unwrap().len() < 4 {}
    let (every, probe_every) = (Duration::from_millis(2), Duration::from_millis(1));
    let storm =
        Storm { subscribers, publisher, probe, every, probe_every, bytes: 64, length: SHORT };
    let outcome = storm.run(&mut crowd).unwrap();
    let (alone, stormy) = (outcome.alone, outcome.stormy);
    assert!(alone.latency.total() > 0 && stormy.latency.total() > 0);
    assert!(alone.messages == 0 && stormy.messages > 0 && stormy.messages.is_multiple_of(4));
}

#[test]
fn connections_that_end_are_told() {
    let (url, _) = server();
    let mut crowd = Crowd::new().unwrap();
    let refused = crowd.connect(&target(&url, "/none"), 1, |_| {}).unwrap_err();
    assert!(matches!(refused, LoadError::NotUpgraded { .. }), "{refused}");

    let mut crowd = Crowd::new().unwrap();
    let connections = crowd.connect(&target(&url, "/end"), 2, |_| {}).unwrap();
    let echo = Echo { connections, in_flight: 1, bytes: 8, length: SHORT };
    let lost = echo.run(&mut crowd).unwrap_err();
    assert!(matches!(lost, LoadError::Lost { .. }), "{lost}");
}

#[test]
fn nothing_lasts_beyond_the_end_that_a_crowd_has() {
    let (url, _) = server();
    let mut crowd = Crowd::new().unwrap();
    crowd.ends_at(Instant::now() + SHORT);
    let connections = crowd.connect(&target(&url, "/echo"), 1, |_| {}).unwrap();
    let length = Duration::from_secs(3_600);
    let over = Echo { connections, in_flight: 1, bytes: 8, length }.run(&mut crowd).unwrap_err();
    assert!(matches!(over, LoadError::TimeOver), "{over}");
}

#[test]
fn connections_end_when_they_are_ended_and_their_numbers_are_given_again() {
    let (url, _) = server();
    let mut crowd = Crowd::new().unwrap();
    let outcome = crowd.connect_and_end(&target(&url, "/echo"), SHORT).unwrap();
    assert_eq!((outcome.latency.total(), crowd.open()), (outcome.messages, 0));
    assert!(outcome.messages >= 64);
    assert_eq!(crowd.connect(&target(&url, "/echo"), 2, |_| {}).unwrap(), 0..2);
    assert_eq!(crowd.hold(SHORT).unwrap(), 0);
}
