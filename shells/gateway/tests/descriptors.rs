//! How many descriptors strangers can take, counted from outside.
#![cfg(target_os = "linux")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server};

/// Connections that the admin port has at a time.
const PLACES: usize = 256;
/// More than the process needs for itself.
const OTHERS: usize = 32;

#[test]
fn half_sent_requests_take_a_bounded_number_of_descriptors() {
    let server = Server::start();
    let descriptors = format!("/proc/{}/fd", server.child.id());
    let count = || std::fs::read_dir(&descriptors).unwrap().count();
    let half = || {
        let mut stream = TcpStream::connect(server.admin).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: ").unwrap();
        stream
    };
    // The last of them wait in the kernel.
    let halves: Vec<_> = (0..PLACES + 2 * OTHERS).map(|_| half()).collect();
    let start = Instant::now();
    while count() < PLACES {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    // Who connects by WebSocket is served by another thread, and all that it asks is answered.
    let mut client = server.connect("user=a");
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
    assert!(count() <= PLACES + OTHERS, "{}", count());
    drop(halves);
    assert_eq!(server.get("/livez").status, 200);
}
