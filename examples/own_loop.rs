//! A chat on an event loop of your own: the registry decides, this file only moves bytes.
//! `cargo run --example own_loop`, then connect WebSocket clients to `ws://127.0.0.1:7400/`.

use headcount::*;
use mio::{Events, Interest, Poll, Token, net::TcpListener, net::TcpStream};
use std::{collections::HashMap, io};
use tungstenite::handshake::{HandshakeError, MidHandshake, server};
use tungstenite::{Message as Frame, WebSocket, protocol::CloseFrame};

struct Peer {
    shaking: Option<MidHandshake<server::ServerHandshake<TcpStream, server::NoCallback>>>,
    socket: Option<WebSocket<TcpStream>>,
    handed: u64, // the cost of all that was queued: what is flushed once nothing waits
    held: Option<Frame>, // a message that the registry has paused
}

/// `None` if the socket has ended, `Some(None)` if it would block.
fn go_on<T>(result: tungstenite::Result<T>) -> Option<Option<T>> {
    match result {
        Err(tungstenite::Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Some(None),
        other => other.ok().map(Some),
    }
}

/// Flushes, then reads until there is no more or the registry says stop. `None`: it has ended.
fn serve(peer: &mut Peer, conn: ConnId, registry: &mut Registry, now: Timestamp) -> Option<()> {
    let lobby = RoomId::new("lobby").ok()?;
    if let Some(shaking) = peer.shaking.take() {
        match shaking.handshake() {
            Ok(socket) => peer.socket = Some(socket),
            Err(HandshakeError::Interrupted(more)) => peer.shaking = Some(more),
            Err(HandshakeError::Failure(_)) => return None,
        }
        let guest = format!("guest {}", conn.index()).parse().ok()?; // no credentials here
        let who = Principal::new(guest).with_thread("main".parse().ok()?);
        if peer.socket.is_some() {
            registry.connect(now, conn, who, Start::OpenRuns, None).ok()?;
            registry.join(now, conn, &lobby, Start::Now).ok()?;
        }
    }
    let Some(socket) = &mut peer.socket else { return Some(()) };
    go_on(socket.flush())?.map(|()| registry.flushed(now, conn, peer.handed));
    while let Some(frame) = go_on(peer.held.take().map_or_else(|| socket.read(), Ok))? {
        let Frame::Text(text) = &frame else {
            // tungstenite answers pings by itself, also one that is too many: it counts all the same.
            let other = match &frame {
                Frame::Ping(_) => Inbound::Ping,
                Frame::Binary(binary) => Inbound::Data { bytes: binary.len() as u64 },
                Frame::Close(_) => {
                    registry.close(now, Target::Conn(conn), CloseReason::PeerClosed);
                    continue; // tungstenite echoes it
                }
                _ => Inbound::Pong,
            };
            let _ = registry.message(now, conn, other);
            continue;
        };
        match registry.message(now, conn, Inbound::Data { bytes: text.len() as u64 }) {
            Ok(Intake::Taken) => {
                let line = Message::text(text.as_str()).except_connection(conn);
                registry.send(now, Target::Room(&lobby), line);
            }
            Ok(Intake::Paused) => {
                peer.held = Some(frame);
                break;
            }
            Err(_) => {} // it is closing
        }
    }
    Some(())
}

/// Queues an action on the sockets that it is for.
fn queue(action: &Action<'_>, peers: &mut HashMap<ConnId, Peer>, dirty: &mut Vec<ConnId>) {
    let frame = match action {
        Action::Send { body, .. } => {
            Frame::text(String::from_utf8_lossy(body.as_bytes()).into_owned())
        }
        Action::Gap { .. } => Frame::text("(lines are lost)"),
        Action::Ping { .. } => Frame::Ping(Default::default()),
        Action::Left { .. } => Frame::text("(this session goes on without you)"),
        Action::Draining { .. } => Frame::text("(this server goes away)"),
        Action::Close { reason, .. } => {
            let close = CloseFrame { code: reason.code().into(), reason: reason.name().into() };
            Frame::Close(Some(close))
        }
        Action::Cleanup { what: Ended::Conn(conn), .. } => return drop(peers.remove(conn)),
        Action::Cleanup { what: Ended::Session(_), .. } | Action::Presence { .. } => return,
    };
    for conn in action.recipients() {
        let Some(peer) = peers.get_mut(conn) else { continue };
        peer.handed += action.cost();
        peer.socket.as_mut().map(|socket| socket.write(frame.clone()).ok()); // the flush will tell
        dirty.push(*conn);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut listener = TcpListener::bind("127.0.0.1:7400".parse()?)?;
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?; // no ConnId is so low
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
    let (clock, mut registry) = (Clock::new(), Registry::new(Config::new(seed)));
    let (mut peers, mut dirty, mut wait) = (HashMap::<ConnId, Peer>::new(), Vec::new(), None);
    loop {
        let _interrupted = poll.poll(&mut events, wait);
        let (now, mut more) = (clock.now(), true);
        while let Ok((mut stream, _)) = listener.accept() {
            let Ok(conn) = registry.reserve(now, None) else { continue };
            let (token, both) = (conn.to_bits() as usize, Interest::READABLE | Interest::WRITABLE);
            poll.registry().register(&mut stream, Token(token), both)?;
            let shaking = Some(server::ServerHandshake::start(stream, server::NoCallback, None));
            peers.insert(conn, Peer { shaking, socket: None, handed: 0, held: None });
        }
        dirty.extend(events.iter().filter_map(|e| ConnId::from_bits(e.token().0 as u64)));
        while more {
            for conn in dirty.drain(..) {
                let Some(peer) = peers.get_mut(&conn) else { continue };
                if serve(peer, conn, &mut registry, now).is_none() {
                    let _ = registry.disconnect(now, conn);
                }
            }
            registry.tick(now);
            while let Some(action) = registry.poll_action() {
                queue(&action, &mut peers, &mut dirty);
            }
            more = !dirty.is_empty() || registry.has_actions();
        }
        wait = registry.poll_timeout().map(|at| at.saturating_since(clock.now()));
    }
}
