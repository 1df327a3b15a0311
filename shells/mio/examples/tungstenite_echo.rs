//! Sends every message back on tungstenite alone, one thread per connection: what the echo on the
//! registry is measured against.
//!
//! `cargo run --release -p headcount-mio --example tungstenite_echo -- [address]`, by default
//! `127.0.0.1:9002`.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Until the connection ends, well or not: tungstenite has answered what it answers.
fn echo(stream: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(|| echo(stream));
    }
    Ok(())
}
