//! fastwebsockets on hyper, as its examples use it: an echo loop, and for subscribers a task that writes what
//! comes through a channel.
//!
//! `fast PORT` serves `/echo`, `/sub` and `/pub` on loopback.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Message = (OpCode, Bytes);

#[derive(Default)]
struct Subscribers {
    by_number: DashMap<u64, UnboundedSender<Message>>,
    opened: AtomicU64,
}

async fn echo(upgrading: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgrading.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn publish(upgrading: UpgradeFut, subscribers: &Subscribers) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgrading.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => {
                let payload = Bytes::copy_from_slice(&frame.payload);
                for subscriber in &subscribers.by_number {
                    // One that has ended is about to be removed.
                    let _ = subscriber.send((frame.opcode, payload.clone()));
                }
            }
            _ => {}
        }
    }
}

/// What a subscriber says is not sent back: its writer belongs to another task.
async fn subscribe(
    upgrading: UpgradeFut,
    subscribers: Arc<Subscribers>,
) -> Result<(), WebSocketError> {
    let (mut reader, mut writer) = upgrading.await?.split(tokio::io::split);
    let number = subscribers.opened.fetch_add(1, Ordering::Relaxed);
    let (sender, mut receiver) = unbounded_channel::<Message>();
    subscribers.by_number.insert(number, sender.clone());
    let writing = tokio::spawn(async move {
        while let Some((opcode, payload)) = receiver.recv().await {
            let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
            if writer.write_frame(frame).await.is_err() {
                return;
            }
        }
    });
    let mut answer = |frame: Frame<'_>| {
        let sent = sender.send((frame.opcode, Bytes::copy_from_slice(&frame.payload)));
        async move { sent }
    };
    let ended = loop {
        match reader.read_frame(&mut answer).await {
            Ok(frame) if frame.opcode == OpCode::Close => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    subscribers.by_number.remove(&number);
    writing.abort();
    ended
}

async fn answer(
    mut request: Request<Incoming>,
    subscribers: Arc<Subscribers>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if is_upgrade_request(&request)
        && let Ok((response, upgrading)) = upgrade(&mut request)
    {
        tokio::spawn(async move {
            // How a client ends is its own affair.
            let _ = match &*path {
                "/sub" => subscribe(upgrading, subscribers).await,
                "/pub" => publish(upgrading, &subscribers).await,
                _ => echo(upgrading).await,
            };
        });
        return Ok(response);
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("give a port")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ws://{}", listener.local_addr()?);
    let subscribers = Arc::new(Subscribers::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let subscribers = Arc::clone(&subscribers);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&subscribers)));
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // How a client ends is its own affair.
            let _ = connection.await;
        });
    }
}
