//! A client that waits: one socket, one frame at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any wait that is worth a figure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A client that has read its welcome.
pub(crate) fn upgrade(address: SocketAddr, user: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the gateway listens");
    socket.set_nodelay(true).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.write_all(request(user).as_bytes()).expect("it is accepted");
    let mut reader = BufReader::with_capacity(1, &socket);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert!(line.contains(" 101 "), "{line}");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).expect("a head");
    }
    assert_eq!(read_frame(&mut socket).0, 0x01, "the welcome");
    socket
}

pub(crate) fn request(user: &str) -> String {
    format!(
        "GET /ws?user={user} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The opcode and the payload of the next frame.
pub(crate) fn read_frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 2];
    socket.read_exact(&mut header).expect("a frame");
    let mut extended = [0; 8];
    let length = match header[1] {
        126 => {
            socket.read_exact(&mut extended[6..]).expect("a length");
            u64::from_be_bytes(extended)
        }
        127 => {
            socket.read_exact(&mut extended).expect("a length");
            u64::from_be_bytes(extended)
        }
        short => short.into(),
    };
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload).expect("a payload");
    (header[0] & 0x0f, payload)
}
