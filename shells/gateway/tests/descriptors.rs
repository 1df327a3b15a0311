//! How many descriptors strangers can take, counted from outside.
#![cfg(target_os = "linux")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server};

#[test]
fn half_sent_requests_take_a_bounded_number_of_descriptors() {
    let server = Server::start();
    let descriptors = format!("/proc/{}/fd", server.child.id());
    let count = || std::fs::read_dir(&descriptors).unwrap().count();
    let before = count();
    let half = || {
        let mut stream = TcpStream::connect(server.admin).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: ").unwrap();
        stream
    };
    // The last of them wait in the kernel.
    let halves: Vec<_> = (0..320).map(|_| half()).collect();
    let start = Instant::now();
    while count() < before + 256 {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    // Who connects by WebSocket is served by another thread, and all that it asks is answered.
    let mut client = server.connect("user=a");
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
    assert!(count() <= before + 256 + 1, "{before}, then {}", count());
    drop(halves);
    assert_eq!(server.get("/livez").status, 200);
}
