//! What the gateway does on the WebSocket port: the handler of the shell's loop.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headcount::{
    Admitted, Body, ConnId, Message, Notice, Position, Registry, ReplyError, Source, StreamRef,
    Timestamp,
};
use headcount_mio::{Answer, Handler, HangUp, Kind, Payload, Request, Turn, Verdict};
use tokio::sync::Notify;
use tracing::{debug, error, info};

use crate::client::{self, Ask, Frame};
use crate::events;
use crate::fault;
use crate::frames::{self, Terms};
use crate::handles::show_connection;
use crate::identity::{self, Identity};
use crate::journal;
use crate::lifecycle;
use crate::own::Shared;
use crate::refusals::Refusals;
use crate::wall::WallClock;

/// What the gateway counts beside the registry; shared with the admin port.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Frames for one connection that found its window and lane full.
    pub(crate) replies_dropped: AtomicU64,
    /// Lines that found the log's queue full: stderr is read too slowly, or not at all.
    pub(crate) log_lines_lost: AtomicU64,
    /// Clients that were not admitted.
    pub(crate) refusals: Refusals,
    /// Calls of the admin port that were refused for their key.
    pub(crate) admin_refusals: Refusals,
    pub(crate) journal: journal::Status,
}

/// The application of the loop. The registry has all state but what is shared with a reload: who
/// knocks too often.
pub(crate) struct Gateway {
    /// Of the registry: which connections clients may name.
    instance: u64,
    own: Shared,
    wall: WallClock,
    counters: Arc<Counters>,
    /// Asks for a reload; `None`: there is no file to read again.
    reload: Option<Arc<Notify>>,
}

impl Gateway {
    pub(crate) fn new(
        instance: u64,
        own: Shared,
        counters: Arc<Counters>,
        reload: Option<Arc<Notify>>,
    ) -> Self {
        // The loop, and with it the registry's time, begins when this has been made.
        Self { instance, own, wall: WallClock::start(), counters, reload }
    }

    /// The answer to an address that has used up its rate.
    fn over_rate(&self, request: &Request<'_>) -> Option<Answer> {
        let forwarded = request.headers("x-forwarded-for");
        let wait = self.own.lock().admit(request.peer().ip(), forwarded).err()?;
        let message = "too many connects from this address (limits.connect_rate_per_ip)";
        Some(Answer::json(429, "connect_rate_per_ip", message).retry_after(wait))
    }

    /// Does what a client asks; the answer is the frame to send back.
    fn act(turn: &mut Turn<'_>, conn: ConnId, frame: Frame<'_>) -> String {
        let Frame { request, ask } = frame;
        match ask {
            Ask::Ping => frames::ok(request),
            // In development mode anyone may join any room.
            Ask::Join { room, since } => match turn.registry.join(turn.now, conn, &room, since) {
                Ok(joined) => frames::joined(&room, &joined, request),
                Err(refused) => {
                    frames::error(frames::join_code(refused), &refused.to_string(), request)
                }
            },
            Ask::Ack { room, offset } => {
                match turn.registry.acknowledge(turn.now, conn, room.as_ref(), offset) {
                    Ok(()) => frames::ok(request),
                    Err(refused) => frames::error("ack_refused", &refused.to_string(), request),
                }
            }
            // Not to have been in it is no error: what was asked for is the case.
            Ask::Leave { room } => match turn.registry.leave(turn.now, conn, &room) {
                Ok(_) => frames::left(&room, request),
                Err(unknown) => frames::error("leave_refused", &unknown.to_string(), request),
            },
        }
    }
}

/// Sends one connection a frame outside any stream.
pub(crate) fn reply(
    registry: &mut Registry,
    now: Timestamp,
    conn: ConnId,
    frame: String,
    counters: &Counters,
) {
    if registry.reply(now, conn, Message::text(frame)) == Err(ReplyError::Full) {
        counters.replies_dropped.fetch_add(1, Ordering::Relaxed);
        debug!(
            connection = show_connection(registry.config().instance(), conn),
            "a frame was dropped: the connection reads too slowly"
        );
    }
}

impl Handler for Gateway {
    fn journal_failed(&mut self, error: std::io::Error) {
        self.counters.journal.ended_by(&error);
        error!(%error, "the journal ends here; the server goes on");
    }

    fn hang_up(&mut self) -> HangUp {
        let Some(reload) = &self.reload else {
            info!("SIGHUP: there is no file to read again (--config), so the server stops");
            return HangUp::Stop;
        };
        // The admin port's thread reads it. Files can be slow.
        reload.notify_one();
        HangUp::GoOn
    }

    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        if let Some(answer) = self.over_rate(request) {
            return Verdict::Refuse(answer);
        }
        let (hosts, origins) = (request.headers("host"), request.headers("origin"));
        if let Err(problem) = self.own.lock().sites().check(hosts, origins) {
            return Verdict::Refuse(problem.answer());
        }
        match identity::identify(request, self.instance) {
            Ok(Identity { who, resume }) => Verdict::Admit { who, resume },
            Err(problem) => Verdict::Refuse(problem.answer()),
        }
    }

    fn turned_away(&mut self, peer: SocketAddr, answer: &Answer) {
        let (status, code) = (answer.status(), answer.code());
        self.counters.refusals.count(code);
        debug!(%peer, status, code, "a client was not admitted");
    }

    fn source(&mut self, peer: SocketAddr) -> Option<Source> {
        self.own.lock().source(peer.ip())
    }

    fn admitted(&mut self, turn: &mut Turn<'_>, conn: ConnId, admitted: Admitted) {
        let Some(who) = turn.registry.who(conn) else { return };
        let config = turn.registry.config();
        let terms =
            Terms { ping_interval: config.interval(), max_message_bytes: config.message_bytes() };
        let runs = events::list(turn.registry.open_runs(admitted.session));
        let welcome =
            frames::welcome(&show_connection(self.instance, conn), &who, &admitted, &runs, terms);
        reply(turn.registry, turn.now, conn, welcome, &self.counters);
    }

    fn message(&mut self, turn: &mut Turn<'_>, conn: ConnId, payload: Payload<'_>) {
        fault::point("loop");
        let answer = match payload {
            Payload::Text(text) => match client::parse(text) {
                Ok(frame) => Self::act(turn, conn, frame),
                Err(wrong) => frames::error(wrong.code, &wrong.message, wrong.request),
            },
            Payload::Binary(_) => {
                frames::error("binary_frame", "frames are JSON in text messages", None)
            }
        };
        reply(turn.registry, turn.now, conn, answer, &self.counters);
    }

    fn rate_limited(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let message = "the message was dropped: more per second than limits.message_rate";
        let frame = frames::error("rate_limited", message, None);
        reply(turn.registry, turn.now, conn, frame, &self.counters);
    }

    fn encode(
        &mut self,
        stream: StreamRef<'_>,
        position: Option<Position>,
        body: Body<'_>,
        out: &mut Vec<u8>,
    ) -> Kind {
        let (Some(name), Some(position)) = (frames::stream_name(stream), position) else {
            // What is in no stream was made as a whole frame.
            out.extend_from_slice(body.as_bytes());
            return Kind::Text;
        };
        match body {
            Body::Message(message) => frames::event(&name, position, message.payload(), out),
            Body::Run(fact) => events::fact(&name, position, &fact, self.wall.anchor(), out),
            Body::Text(text) => events::text(&name, position, &text, self.wall.anchor(), out),
        }
        Kind::Text
    }

    fn encode_gap(&mut self, stream: StreamRef<'_>, from: u64, to: u64, out: &mut Vec<u8>) -> Kind {
        let name = frames::stream_name(stream).unwrap_or_default();
        out.extend_from_slice(frames::gap(&name, from, to).as_bytes());
        Kind::Text
    }

    fn encode_draining(&mut self, within: Range<Duration>, out: &mut Vec<u8>) -> Kind {
        out.extend_from_slice(frames::draining(&within).as_bytes());
        Kind::Text
    }

    fn notice(&mut self, turn: &Turn<'_>, notice: Notice) {
        lifecycle::log(turn.registry, notice);
    }
}
