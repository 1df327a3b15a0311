//! Two clients of a chat, each of which has to read what the other says. `.ci/embedding` runs them against
//! the servers of `docs/embedding.md`.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use headcount_conformance::{Client, PATIENCE};

fn main() {
    let address = std::env::args().nth(1).and_then(|it| it.parse().ok());
    let address: SocketAddr =
        address.expect("the address of a server, which may be about to start");
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE, "no server at {address}");
        thread::sleep(Duration::from_millis(20));
    }
    let names = ["alice", "bob"];
    let [mut alice, mut bob] = names.map(|name| Client::upgraded(address, &format!("?{name}")));
    hear(&mut bob, &mut alice, "hello");
    hear(&mut alice, &mut bob, "good evening");
    println!("alice and bob have talked");
}

/// Says something until it is heard: the reader may not be in the room yet.
fn hear(reader: &mut Client, writer: &mut Client, text: &str) {
    let mut again = Client { stream: writer.stream.try_clone().expect("a second handle") };
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while told.recv_timeout(Duration::from_millis(100)).is_err_and(|error| {
                again.say(text);
                error == std::sync::mpsc::RecvTimeoutError::Timeout
            }) {}
        });
        while !reader.text().contains(text) {}
        drop(tell);
    });
}
