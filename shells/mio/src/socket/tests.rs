//! Sockets on a wire that fails in every way a wire can, with the real registry.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use headcount::{
    CloseReason, Config, ConfigBuilder, Gone, Message, Principal, Registry, StreamRef, Target,
    ThreadId, Timestamp, UserId,
};
use proptest::prelude::*;

use super::input::{FRAMES_PER_TURN, KEPT_CAPACITY};
use super::*;
use crate::actions::Encoder;
use crate::handler::{Handler, Kind, Payload, Verdict};
use crate::http::Request;
use crate::sockets::Sockets;

/// Both ends of a wire: what the peer has sent, and what it has received.
#[derive(Default)]
struct Wire {
    input: VecDeque<u8>,
    /// The peer will send no more.
    eof: bool,
    /// Bytes that one read gives at most; each is used once, then there is no limit. 0 blocks.
    reads: VecDeque<usize>,
    output: Vec<u8>,
    /// Bytes that the peer still has room for.
    room: usize,
    /// Bytes that one write takes at most, as for reads. 0 is an interruption.
    writes: VecDeque<usize>,
    broken: bool,
    shut: bool,
}

#[derive(Clone)]
struct Fake(Rc<RefCell<Wire>>);

impl Read for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        match wire.reads.pop_front() {
            Some(0) if wire.input.len().is_multiple_of(2) => Err(ErrorKind::WouldBlock.into()),
            Some(0) => Err(ErrorKind::Interrupted.into()),
            limit => {
                let length = limit.unwrap_or(usize::MAX).min(buffer.len()).min(wire.input.len());
                if length == 0 && !wire.eof {
                    return Err(ErrorKind::WouldBlock.into());
                }
                for (place, byte) in buffer.iter_mut().zip(wire.input.drain(..length)) {
                    *place = byte;
                }
                Ok(length)
            }
        }
    }
}

impl Write for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        assert!(!wire.shut, "nothing is written after the end");
        if wire.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if wire.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let limit = match wire.writes.pop_front() {
            Some(0) => return Err(ErrorKind::Interrupted.into()),
            limit => limit.unwrap_or(usize::MAX),
        };
        let length = limit.min(bytes.len()).min(wire.room);
        wire.output.extend_from_slice(&bytes[..length]);
        wire.room -= length;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Fake {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().shut = true;
        Ok(())
    }
}

/// Echoes, and counts.
#[derive(Default)]
struct Echo {
    messages: usize,
    gone: Vec<CloseReason>,
}

impl Handler for Echo {
    fn authenticate(&mut self, _: &Request<'_>) -> Verdict {
        let (user, thread) = (UserId::new("u").unwrap(), ThreadId::new("t").unwrap());
        Verdict::Admit { who: Principal::new(user, thread), resume: None }
    }

    fn message(&mut self, turn: &mut Turn<'_>, conn: ConnId, payload: Payload<'_>) {
        self.messages += 1;
        let message = match payload {
            Payload::Text("bye") => {
                turn.registry.close(turn.now, Target::Conn(conn), CloseReason::Application);
                return;
            }
            Payload::Text(text) => Message::text(text),
            Payload::Binary(bytes) => Message::binary(bytes.to_vec()),
        };
        turn.registry.reply(turn.now, conn, message).unwrap();
    }

    fn encode_gap(&mut self, _: StreamRef<'_>, _: u64, _: u64, _: &mut Vec<u8>) -> Kind {
        Kind::Text
    }

    fn encode_draining(&mut self, _: Range<Duration>, _: &mut Vec<u8>) -> Kind {
        Kind::Text
    }

    fn cleanup(&mut self, what: Gone, reason: CloseReason) {
        if matches!(what, Gone::Conn(_)) {
            self.gone.push(reason);
        }
    }
}

/// A loop without a poll.
struct Rig {
    registry: Registry,
    sockets: Sockets<Fake>,
    handler: Echo,
    encoder: Encoder,
    options: Options,
    buffer: Vec<u8>,
    now: Timestamp,
}

impl Rig {
    fn new(config: ConfigBuilder) -> Self {
        Self {
            registry: Registry::new(config.build().unwrap()),
            sockets: Sockets::new(),
            handler: Echo::default(),
            encoder: Encoder::default(),
            options: Options::new(),
            buffer: vec![0; BYTES_PER_TURN],
            now: Timestamp::from_secs(1),
        }
    }

    fn accept(&mut self) -> (ConnId, Fake) {
        let conn = self.registry.reserve(self.now).unwrap();
        let wire = Wire { room: usize::MAX, ..Wire::default() };
        let fake = Fake(Rc::new(RefCell::new(wire)));
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        self.sockets.insert(Socket::new(conn, fake.clone(), peer));
        (conn, fake)
    }

    /// An edge of both kinds.
    fn stir(&mut self, conn: ConnId) {
        if let Some(socket) = self.sockets.get_mut(conn) {
            let ending = socket.stream.0.borrow().eof;
            socket.note_readable(ending);
            socket.note_writable();
        }
        self.sockets.note(conn);
    }

    fn turn(&mut self) {
        let mut turn = Turn { registry: &mut self.registry, now: self.now };
        let mut desk = Desk {
            turn: &mut turn,
            handler: &mut self.handler,
            options: &self.options,
            buffer: &mut self.buffer,
        };
        self.sockets.for_ready(|socket| socket.read(&mut desk));
        self.registry.tick(self.now);
        loop {
            while let Some(action) = self.registry.poll_action() {
                self.encoder.carry_out(action, &mut self.sockets, &mut self.handler);
            }
            let mut turn = Turn { registry: &mut self.registry, now: self.now };
            self.sockets.for_dirty(|socket| {
                socket.flush(&mut turn);
            });
            if !self.registry.has_actions() {
                return;
            }
        }
    }

    /// Turns with edges until nothing changes any more.
    fn settle(&mut self, conn: ConnId) {
        for _ in 0..2_000 {
            self.stir(conn);
            self.turn();
            let Some(socket) = self.sockets.get_mut(conn) else { return };
            let quiet = {
                let wire = socket.stream.0.borrow();
                wire.reads.is_empty() && wire.input.is_empty()
            };
            if quiet && !socket.unparsed_whole && socket.held.is_none() && !socket.wants_flush() {
                // Once more, for what the last turn made possible.
                self.stir(conn);
                self.turn();
                return;
            }
        }
        panic!("it never settles");
    }
}

fn config() -> ConfigBuilder {
    Config::builder(1).connect_rate(0).message_rate(0).linger(Duration::ZERO)
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame of a client, with a mask of zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    if payload.len() < 126 {
        out.push(0x80 | payload.len() as u8);
    } else {
        out.extend([0x80 | 126, (payload.len() >> 8) as u8, payload.len() as u8]);
    }
    out.extend([0; 4]);
    out.extend(payload);
    out
}

/// The frames behind the answer 101, and whether the last one is cut.
fn frames_of(output: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(output.starts_with(b"HTTP/1.1 101 "));
    let (mut rest, mut frames) = (&output[end..], Vec::new());
    while let [first, length, tail @ ..] = rest {
        let (length, tail) = match *length {
            126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
            short => (usize::from(short), tail),
        };
        frames.push((*first, tail[..length].to_vec()));
        rest = &tail[length..];
    }
    frames
}

proptest! {
    /// However the wire cuts, blocks and interrupts, the peer sees what it would see on a calm one.
    #[test]
    fn a_rough_wire_changes_nothing(
        messages in prop::collection::vec((any::<bool>(), 0usize..300), 0..20),
        reads in prop::collection::vec(0usize..120, 0..200),
        writes in prop::collection::vec(0usize..120, 0..200),
        room in 0usize..2_000,
        end in 0..4,
    ) {
        let mut stream = UPGRADE.to_vec();
        for (number, (text, length)) in messages.iter().enumerate() {
            let payload = vec![b'a' + (number % 26) as u8; *length];
            let (front, back) = payload.split_at(length / 2);
            if *text {
                stream.extend(frame(0x81, &payload));
            } else {
                stream.extend(frame(0x02, front));
                stream.extend(frame(0x80, back));
            }
        }
        match end {
            0 => {}
            1 => stream.extend(frame(0x88, &4000u16.to_be_bytes())),
            2 => stream.extend([0xff; 20]),
            _ => stream.extend(frame(0x81, b"bye")),
        }
        let run = |rough: bool| {
            let mut rig = Rig::new(config().window(1_000).lane(400));
            let (conn, fake) = rig.accept();
            fake.0.borrow_mut().input.extend(&stream);
            if rough {
                let mut wire = fake.0.borrow_mut();
                wire.reads.extend(&reads);
                wire.writes.extend(&writes);
                wire.room = room;
            }
            for _ in 0..20 {
                rig.stir(conn);
                rig.turn();
            }
            fake.0.borrow_mut().room = usize::MAX;
            rig.settle(conn);
            assert_eq!(rig.registry.check(), Ok(()));
            assert_eq!(fake.0.borrow().shut, end == 2, "ours waits for the peer's");
            assert_eq!(rig.sockets.len(), usize::from(end != 1), "both have passed: the end");
            // The peer goes: nothing stays.
            fake.0.borrow_mut().eof = true;
            rig.settle(conn);
            assert!(rig.registry.is_idle() && rig.sockets.len() == 0);
            let output = fake.0.borrow().output.clone();
            (frames_of(&output), rig.handler.gone)
        };
        let (frames, gone) = run(true);
        prop_assert_eq!(&(frames.clone(), gone.clone()), &run(false));
        let (echoed, reason, code) = match end {
            0 => (messages.len(), CloseReason::PeerGone, None),
            1 => (messages.len(), CloseReason::PeerClosed, Some(4000u16)),
            2 => (messages.len(), CloseReason::ProtocolError, Some(1002)),
            _ => (messages.len(), CloseReason::Application, Some(4503)),
        };
        prop_assert_eq!(gone, vec![reason]);
        prop_assert_eq!(frames.len(), echoed + usize::from(code.is_some()));
        for ((first, payload), (text, length)) in frames.iter().zip(&messages) {
            prop_assert_eq!((*first, payload.len()), (if *text { 0x81 } else { 0x82 }, *length));
        }
        if let Some(code) = code {
            let (first, payload) = frames.last().unwrap();
            prop_assert_eq!((*first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        }
    }
}

#[test]
fn a_socket_that_does_not_read_is_not_read() {
    let mut rig = Rig::new(config().window(1_000).lane(2_000));
    let (conn, fake) = rig.accept();
    let message = frame(0x82, &[7; 500]);
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(UPGRADE);
        for _ in 0..1_000 {
            wire.input.extend(&message);
        }
        // The answer 101 and half a frame.
        wire.room = 400;
        wire.reads.extend([600; 2_000]);
    }
    for _ in 0..50 {
        rig.stir(conn);
        rig.turn();
    }
    // Those that fit the window, and one more that was answered before it was full.
    assert!(rig.handler.messages <= 3, "{}", rig.handler.messages);
    let unread = fake.0.borrow().input.len();
    assert!(unread > 990 * message.len(), "it stops reading: {unread}");
    assert!(
        !rig.sockets.get_mut(conn).unwrap().wants_read(),
        "it waits for the flush, not in a loop"
    );
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    assert_eq!(rig.handler.messages, 1_000);
    assert_eq!(frames_of(&fake.0.borrow().output).len(), 1_000);
}

#[test]
fn a_turn_has_a_share_for_each() {
    let mut rig = Rig::new(config().lane(1 << 20));
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(UPGRADE);
    for _ in 0..1_000 {
        fake.0.borrow_mut().input.extend(frame(0x81, b"x"));
    }
    rig.stir(conn);
    rig.turn();
    assert_eq!(rig.handler.messages, FRAMES_PER_TURN);
    // It asks for its turns itself, without any edge.
    for _ in 0..3 {
        assert!(rig.sockets.has_ready());
        rig.turn();
    }
    assert!(!rig.sockets.has_ready());
    assert_eq!(rig.handler.messages, 1_000);
    let half = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0];
    fake.0.borrow_mut().input.extend(half);
    rig.stir(conn);
    rig.turn();
    assert!(!rig.sockets.has_ready(), "half a frame is nothing to do");
}

#[test]
fn a_fault_is_told_and_nothing_is_parsed_after_it() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(UPGRADE);
        wire.input.extend([0x81, 0x01, b'x']);
        wire.input.extend(frame(0x81, b"not to be seen"));
        wire.room = 200;
    }
    rig.settle(conn);
    fake.0.borrow_mut().input.extend(frame(0x89, b"not to be answered"));
    rig.settle(conn);
    let wire = fake.0.borrow();
    assert_eq!(rig.handler.messages, 0);
    assert_eq!(frames_of(&wire.output), [(0x88, b"\x03\xeaprotocol_error".to_vec())]);
    assert!(wire.shut && wire.input.is_empty(), "the rest is thrown away");
    drop(wire);
    assert!(rig.handler.gone.is_empty(), "it waits for the peer");
    // Not for ever, though: the registry bounds it.
    rig.now += Duration::from_secs(2);
    rig.turn();
    assert_eq!(rig.handler.gone, [CloseReason::ProtocolError]);
    assert_eq!(rig.sockets.len(), 0);
}

#[test]
fn what_must_arrive_is_written_before_the_end() {
    // The peer has shut down its side and reads slowly: it is told all the same.
    for tail in [frame(0x88, b"\x03\xe8"), vec![0x81, 0x00]] {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.accept();
        {
            let mut wire = fake.0.borrow_mut();
            wire.input.extend(UPGRADE);
            wire.input.extend(tail);
            wire.eof = true;
            wire.room = 10;
        }
        for _ in 0..20 {
            rig.stir(conn);
            rig.turn();
            assert_eq!(rig.sockets.len(), 1);
            fake.0.borrow_mut().room = 5;
        }
        fake.0.borrow_mut().room = usize::MAX;
        rig.settle(conn);
        let wire = fake.0.borrow();
        assert_eq!(frames_of(&wire.output).len(), 1);
        assert_eq!(rig.sockets.len(), 0);
    }
}

#[test]
fn an_answer_in_http_is_written_before_the_end() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(b"GET / HTTP/1.1\r\n\r\nand more");
        wire.eof = true;
        wire.room = 20;
    }
    rig.settle(conn);
    assert_eq!(rig.sockets.len(), 1);
    fake.0.borrow_mut().room = usize::MAX;
    rig.settle(conn);
    let wire = fake.0.borrow();
    assert!(wire.output.starts_with(b"HTTP/1.1 404 ") && wire.output.ends_with(b"\"}}"));
    assert_eq!((rig.sockets.len(), rig.registry.is_idle()), (0, true));
}

#[test]
fn a_close_of_ours_that_is_answered_is_the_end() {
    for room in [usize::MAX, 140] {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.accept();
        fake.0.borrow_mut().input.extend(UPGRADE);
        fake.0.borrow_mut().input.extend(frame(0x81, b"bye"));
        fake.0.borrow_mut().room = room;
        rig.settle(conn);
        assert!(!fake.0.borrow().shut && rig.sockets.len() == 1);
        fake.0.borrow_mut().input.extend(frame(0x81, b"too late"));
        fake.0.borrow_mut().input.extend(frame(0x88, b"\x03\xe8"));
        rig.settle(conn);
        // It may have crossed ours, which is then still to be told.
        assert_eq!(rig.sockets.len(), usize::from(room != usize::MAX));
        fake.0.borrow_mut().room = usize::MAX;
        rig.settle(conn);
        assert_eq!(rig.handler.gone, [CloseReason::Application]);
        assert_eq!(frames_of(&fake.0.borrow().output), [(0x88, b"\x11\x97application".to_vec())]);
    }
}

#[test]
fn a_broken_wire_is_the_end_at_any_moment() {
    for bytes in [0, 10, UPGRADE.len(), UPGRADE.len() + 3, UPGRADE.len() + 7] {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.accept();
        let stream = [UPGRADE, &frame(0x81, b"x")].concat();
        fake.0.borrow_mut().input.extend(&stream[..bytes]);
        rig.settle(conn);
        fake.0.borrow_mut().broken = true;
        rig.settle(conn);
        assert_eq!(rig.handler.gone, [CloseReason::PeerGone], "after {bytes} bytes");
        assert!(rig.registry.is_idle() && rig.sockets.len() == 0);
    }
    // Found out by a write.
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(UPGRADE);
    rig.settle(conn);
    fake.0.borrow_mut().broken = true;
    rig.registry.reply(rig.now, conn, Message::text("x")).unwrap();
    rig.turn();
    assert_eq!(rig.sockets.len(), 0);
}

#[test]
fn a_stale_handle_finds_nothing_in_the_slot_of_another() {
    let mut rig = Rig::new(config());
    let (first, fake) = rig.accept();
    fake.0.borrow_mut().eof = true;
    rig.settle(first);
    let (second, other) = rig.accept();
    assert_eq!((first.index(), first == second), (second.index(), false));
    other.0.borrow_mut().input.extend(UPGRADE);
    // An event that was under way for the first.
    rig.stir(first);
    rig.turn();
    assert_eq!(other.0.borrow().input.len(), UPGRADE.len(), "it is not the second's");
    rig.sockets.close(first, CloseReason::Application, 64);
    rig.sockets.send(first, &Bytes::from_static(b"x"), 64);
    assert!(!rig.sockets.remove(first));
    rig.settle(second);
    assert!(frames_of(&other.0.borrow().output).is_empty());
}

#[test]
fn a_long_frame_leaves_no_buffer_behind() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.accept();
    {
        let mut wire = fake.0.borrow_mut();
        wire.input.extend(UPGRADE);
        wire.input.extend(frame(0x82, &[1; 60_000]));
        wire.input.extend([0x82]);
        wire.reads.extend([UPGRADE.len(), 30_000, 20_000]);
    }
    rig.settle(conn);
    assert_eq!(rig.handler.messages, 1);
    let socket = rig.sockets.get_mut(conn).unwrap();
    assert_eq!(socket.unparsed, [0x82]);
    assert!(socket.unparsed.capacity() <= KEPT_CAPACITY);
}
