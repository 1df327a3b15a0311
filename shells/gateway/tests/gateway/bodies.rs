//! What the bodies of the admin port may take together.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;

use crate::common::{PATIENCE, Server};

/// A publish whose body has been announced and does not come.
fn announce(server: &Server, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.admin).unwrap();
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Publishes until the status is this one: other requests are taken up at their own time.
fn until(publish: impl Fn() -> crate::common::Answer, status: u16) -> crate::common::Answer {
    let start = Instant::now();
    loop {
        let answer = publish();
        if answer.status == status {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{answer:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn all_bodies_together_have_a_bound_and_small_ones_always_find_room() {
    let server = Server::with(&["stream.bytes=16MiB"]);
    let data = "x".repeat(9_000);
    let large = format!("{{\"to\":{{\"user\":\"a\"}},\"data\":\"{data}\"}}");
    let publish = || server.post("/v1/publish", &large);
    assert_eq!(publish().status, 200);
    // Four that don't come leave less than the 9,000 bytes of the next one.
    let length = "Content-Length: 16777216";
    let mut waiting: Vec<_> = (0..3).map(|_| announce(&server, length)).collect();
    waiting.push(announce(&server, "Content-Length: 16770000"));
    let busy = until(publish, 503);
    assert_eq!(busy.code(), "busy");
    assert!(busy.head.contains("retry-after:"), "{busy:?}");
    let chunked = "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(crate::common::raw(server.admin, chunked.as_bytes()).code(), "busy");
    // What an operator sends is small.
    assert_eq!(server.post("/v1/close", r#"{"to":{"user":"a"}}"#).status, 200);
    assert_eq!(server.publish(r#"{"user":"a"}"#, "1")["sent"], 0);
    assert_eq!(server.get("/v1/stats").status, 200);
    // Room comes back with the end of one of them.
    waiting.pop();
    until(publish, 200);
}
