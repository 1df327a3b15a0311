//! The application: what it says to whom, and the limits that it runs with.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use headcount::{
    Admitted, CloseReason, Config, ConfigBuilder, ConnId, Ended, JoinError, MESSAGE_OVERHEAD,
    Message, Principal, ReplyError, RoomId, Start, StreamRef, Target, ThreadId, UserId,
};
use headcount_mio::{
    Answer, BufMut, Context, Dialect, FrameKind, Handler, Options, Outcome, Payload, Request,
    Verdict,
};

/// The longest message, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a log holds at most, in bytes.
const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// Limits that load does not reach on a machine with 20,000 descriptors for a process. All else is as
/// it is by default: heartbeats, deadlines, the window of each connection.
pub(crate) fn config(seed: u64) -> ConfigBuilder {
    Config::builder(seed)
        .connections(19_900)
        .pending(8_192)
        .pending_per_source(8_192)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .message_bytes(LONGEST)
        .reply_reserve(LONGEST + MESSAGE_OVERHEAD)
        .stream_bytes(LOG_BYTES)
        .room_bytes(LOG_BYTES)
        .room_messages(65_536)
        .room_history(0)
        .process_bytes(1 << 30)
        // A client does not come back under the same name.
        .session_linger(Duration::ZERO)
}

/// How it speaks HTTP: the path says what a client wants.
pub(crate) fn options() -> Options {
    Options::new().paths(["/echo", "/sub", "/pub"])
}

/// What a client wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Echo,
    Subscribe,
    Publish,
}

impl Wish {
    fn of(request: &Request<'_>) -> Option<Self> {
        match request.path() {
            "/echo" => Some(Self::Echo),
            "/sub" => Some(Self::Subscribe),
            "/pub" => Some(Self::Publish),
            _ => None,
        }
    }
}

/// Sends messages back to who sent them, or to all subscribers.
pub(crate) struct Relay {
    subscribers: RoomId,
    /// Few: a benchmark has one or two.
    publishers: HashSet<ConnId>,
    /// How many asked to be admitted.
    clients: u64,
    /// Of the one that is about to be admitted.
    wish: Wish,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self {
            subscribers: RoomId::new("subscribers").expect("a valid name"),
            publishers: HashSet::new(),
            clients: 0,
            wish: Wish::Echo,
        }
    }
}

impl Handler for Relay {
    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        let Some(wish) = Wish::of(request) else {
            let message = "ask for /echo, /sub or /pub";
            return Verdict::Refuse(Answer::json(404, "not_found", message));
        };
        self.wish = wish;
        self.clients += 1;
        // Names of 36 bytes, as a UUID has them.
        let user = UserId::new(format!("user-{:031}", self.clients)).expect("a valid name");
        let thread = ThreadId::new(format!("thread-{:029}", self.clients)).expect("a valid name");
        let who = Principal::new(user).with_thread(thread);
        Verdict::Admit { who, start: Start::Now, previous: None }
    }

    fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, _: Admitted) {
        match self.wish {
            Wish::Echo => {}
            Wish::Publish => {
                self.publishers.insert(conn);
            }
            Wish::Subscribe => {
                let joined =
                    context.registry.join(context.now, conn, &self.subscribers, Start::Now);
                match joined {
                    Ok(_) | Err(JoinError::UnknownConn) => {}
                    // A subscriber who is none would make the figures too good.
                    Err(_) => close(context, conn),
                }
            }
        }
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        if self.publishers.contains(&conn) {
            let message = match payload {
                Payload::Text(text) => Message::text(text),
                Payload::Binary(bytes) => Message::binary(bytes.to_vec()),
            };
            context.registry.send(context.now, Target::Room(&self.subscribers), message);
        } else if context.reply(conn, payload) == Err(ReplyError::Full) {
            // One reply to each message is sure to fit: the reserve is as long as a message may be.
            close(context, conn);
        }
        Outcome::Done
    }

    fn encode_gap(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        from: u64,
        to: u64,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(format!("lost {from}..={to}").as_bytes());
        FrameKind::Text
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        _: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(b"draining");
        FrameKind::Text
    }

    fn cleanup(&mut self, what: Ended, _: CloseReason) {
        if let Ended::Conn(conn) = what {
            self.publishers.remove(&conn);
        }
    }
}

fn close(context: &mut Context<'_>, conn: ConnId) {
    context.registry.close(context.now, Target::Conn(conn), CloseReason::InternalError);
}
