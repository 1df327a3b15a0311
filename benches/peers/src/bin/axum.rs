//! axum as its examples use it: an echo loop, and a broadcast channel for what is published.
//!
//! `axum PORT` serves `/echo`, `/sub` and `/pub` on loopback.

use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::broadcast::Sender;

/// Messages that a subscriber may be behind: as many as the load has outstanding, several times over.
const BEHIND: usize = 128;

const fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn subscribe(mut socket: WebSocket, published: Sender<Message>) {
    let mut published = published.subscribe();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(message)) if is_data(&message) => {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return,
            },
            message = published.recv() => {
                // One that is behind has lost messages: it ends, and the load says so.
                let Ok(message) = message else { return };
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn publish(mut socket: WebSocket, published: Sender<Message>) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) {
            // Without a subscriber the channel takes no message.
            let _ = published.send(message);
        }
    }
}

type Published = State<Sender<Message>>;

async fn sub(State(published): Published, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| subscribe(socket, published))
}

async fn r#pub(State(published): Published, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| publish(socket, published))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("give a port")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ws://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/echo", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/sub", get(sub))
        .route("/pub", get(r#pub))
        .with_state(Sender::new(BEHIND));
    let listener = listener.tap_io(|stream| {
        // Without it the figures are worse, and no error of the server's.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}
