//! The example that is measured bypasses nothing: the registry counts all that it does.

mod common;
#[path = "../examples/peer/relay.rs"]
mod relay;

use std::net::TcpStream;
use std::thread;

use common::PATIENCE;
use headcount_mio::{Handle, Server};
use relay::Relay;
use tungstenite::{Message, WebSocket};

const ECHOES: u64 = 40;
const SUBSCRIBERS: u64 = 5;
const PUBLISHED: u64 = 30;

type Client = WebSocket<TcpStream>;

fn connect(address: &str, wish: &str) -> Client {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{address}/{wish}"), stream).unwrap().0
}

/// Text and binary, short and long.
fn message(number: u64) -> Message {
    let length = if number.is_multiple_of(7) { 20_000 } else { 64 };
    let payload = number.to_string().repeat(length);
    if number.is_multiple_of(2) {
        Message::text(payload)
    } else {
        Message::binary(payload.into_bytes())
    }
}

fn stats(handle: &Handle) -> headcount::Stats {
    handle.call(|context| context.registry.stats()).unwrap()
}

#[test]
fn the_registry_counts_every_client_and_message_of_the_peer() {
    let config = relay::config(1).build().unwrap();
    let server = Server::bind(([127, 0, 0, 1], 0).into(), config, relay::options()).unwrap();
    let (address, handle) = (server.local_addr().to_string(), server.handle());
    let running = thread::spawn(|| server.run(Relay::new()));

    let mut echo = connect(&address, "echo");
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| connect(&address, "sub")).collect();
    let mut publisher = connect(&address, "pub");
    let before = stats(&handle);
    let clients = SUBSCRIBERS + 2;
    assert_eq!((before.opened, before.open as u64), (clients, clients));
    assert_eq!((before.users as u64, before.sessions as u64), (clients, clients));
    assert_eq!((before.rooms, before.refused, before.sent, before.stored), (1, 0, 0, 0));

    for number in 0..ECHOES {
        echo.write(message(number)).unwrap();
    }
    echo.flush().unwrap();
    for number in 0..ECHOES {
        assert_eq!(echo.read().unwrap(), message(number));
    }
    let echoed = stats(&handle);
    assert_eq!((echoed.sent, echoed.stored), (ECHOES, 0));

    for number in 0..PUBLISHED {
        publisher.send(message(number)).unwrap();
    }
    for subscriber in &mut subscribers {
        for number in 0..PUBLISHED {
            assert_eq!(subscriber.read().unwrap(), message(number));
        }
    }
    let published = stats(&handle);
    assert_eq!(published.stored, PUBLISHED);
    assert_eq!(published.sent - echoed.sent, PUBLISHED * SUBSCRIBERS);
    assert_eq!((published.gaps, published.shed, published.log_messages), (0, 0, 0));

    // One that is unknown is refused before the registry knows of it.
    let refused = TcpStream::connect(&address).unwrap();
    assert!(tungstenite::client(format!("ws://{address}/?other"), refused).is_err());
    assert_eq!(stats(&handle).opened, clients);

    drop((echo, subscribers, publisher));
    handle.stop();
    running.join().unwrap().unwrap();
}
