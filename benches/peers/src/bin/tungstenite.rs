//! tokio-tungstenite with a DashMap of senders: what people write by hand. A task for each connection reads
//! its socket and its channel, and flushes each message.
//!
//! `tungstenite PORT [BUFFER_BYTES]` serves `/echo`, `/sub` and `/pub` on loopback. Without a size the
//! buffers are as large as the library makes them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// A connection that the server can send to.
struct Client {
    subscribes: bool,
    sender: UnboundedSender<Message>,
}

#[derive(Default)]
struct Clients {
    by_number: DashMap<u64, Client>,
    opened: AtomicU64,
}

impl Clients {
    fn publish(&self, message: &Message) {
        for client in self.by_number.iter().filter(|client| client.subscribes) {
            // One that has ended is about to be removed.
            let _ = client.sender.send(message.clone());
        }
    }
}

#[allow(clippy::result_large_err)] // The form of a refusal is tungstenite's.
async fn serve(
    stream: TcpStream,
    config: WebSocketConfig,
    clients: &Clients,
    number: u64,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut path = String::new();
    let upgrade = |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let mut socket = accept_hdr_async_with_config(stream, upgrade, Some(config)).await?;
    let (sender, mut receiver) = unbounded_channel();
    clients.by_number.insert(number, Client { subscribes: path == "/sub", sender });
    let publishes = path == "/pub";
    loop {
        tokio::select! {
            message = socket.next() => match message {
                None => return Ok(()),
                Some(message) => {
                    let message = message?;
                    if !message.is_text() && !message.is_binary() {
                        continue;
                    }
                    if publishes {
                        clients.publish(&message);
                    } else {
                        socket.send(message).await?;
                    }
                }
            },
            Some(message) = receiver.recv() => socket.send(message).await?,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("give a port")?.parse()?;
    let mut config = WebSocketConfig::default();
    if let Some(bytes) = arguments.next() {
        let bytes = bytes.parse()?;
        config = config.read_buffer_size(bytes).write_buffer_size(bytes);
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ws://{}", listener.local_addr()?);
    let clients = Arc::new(Clients::default());
    loop {
        let (stream, _) = listener.accept().await?;
        let clients = Arc::clone(&clients);
        tokio::spawn(async move {
            let number = clients.opened.fetch_add(1, Ordering::Relaxed);
            // How a client ends is its own affair.
            let _ = serve(stream, config, &clients, number).await;
            clients.by_number.remove(&number);
        });
    }
}
