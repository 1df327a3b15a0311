//! What the gateway does on the WebSocket port: the handler of the shell's loop.

mod introduction;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headcount::{
    Admitted, Body, CloseReason, ConnId, ConnState, Ended, Notice, Position, Registry, ReplyError,
    RoomId, SessionId, Source, Start, StreamRef, ThreadId,
};
use headcount_mio::{
    Answer, BufMut, Context, Dialect, FrameKind, Handler, HangUp, Outcome, Payload, Request,
    Verdict,
};
use headcount_protocol::client_frames::{self, Ask, Frame};
use headcount_protocol::handles::{show_connection, show_session};
use headcount_protocol::identity::{self, Identity};
use headcount_protocol::problem::Problem;
use headcount_protocol::run_events;
use headcount_protocol::server_frames::{self, Terms};
use tokio::sync::Notify;
use tracing::{debug, error, info};

use crate::auth::TokenAuth;
use crate::auth::credentials;
use crate::auth::entrance::{self, Entry};
use crate::auth::grants::Grant;
use crate::auth::room_access::{self, Right, may_join};
use crate::clock::wall_clock::WallClock;
use crate::following::Following;
use crate::live_settings::LiveSettings;
use crate::requests;
use crate::telemetry::counters::Counters;
use crate::telemetry::fault;
use crate::telemetry::lifecycle;

/// The application of the loop. The registry has all state but what a reload changes: see
/// [`LiveSettings`].
pub(crate) struct Gateway {
    /// Of the registry: which connections clients may name.
    instance: u64,
    live_settings: LiveSettings,
    wall: WallClock,
    counters: Arc<Counters>,
    /// Asks for a reload; `None`: there is no file to read again.
    reload: Option<Arc<Notify>>,
    /// What the token of the request that is being answered grants, until its connection has it.
    arriving: Option<Grant>,
    following: Following,
}

impl Gateway {
    pub(crate) fn new(
        instance: u64,
        live_settings: LiveSettings,
        counters: Arc<Counters>,
        reload: Option<Arc<Notify>>,
    ) -> Self {
        // The loop, and with it the registry's time, begins when this has been made.
        Self {
            instance,
            live_settings,
            wall: WallClock::start(),
            counters,
            reload,
            arriving: None,
            following: Following::default(),
        }
    }

    /// The answer to an address that has used up its rate.
    fn over_rate(&self, request: &Request<'_>) -> Option<Answer> {
        // It was counted when it came.
        if request.has_waited() {
            return None;
        }
        let forwarded = request.headers("x-forwarded-for");
        let wait = self.live_settings.lock().admit(request.peer().ip(), forwarded).err()?;
        let message = "too many connects from this address (limits.connect_rate_per_ip)";
        Some(Answer::json(429, "connect_rate_per_ip", message).retry_after(wait))
    }

    /// Who a request is.
    fn identify(&mut self, request: &Request<'_>) -> Result<Verdict, Problem> {
        let mut live = self.live_settings.lock();
        live.sites().check(request.headers("host"), request.headers("origin"))?;
        let (entry, query) = (live.token_auth(), request.query().unwrap_or(""));
        let Some(token_auth) = entry else {
            if credentials::are_in_headers(request) {
                return Err(identity::no_key());
            }
            let Identity { who, start, previous } = identity::from_query(query, self.instance)?;
            return Ok(Verdict::Admit { who, start, previous });
        };
        match entrance::enter(request, token_auth, self.wall.anchor(), self.instance)? {
            Entry::Known(Identity { who, start, previous }, grant) => {
                self.arriving = Some(grant);
                Ok(Verdict::Admit { who, start, previous })
            }
            Entry::Pending => Ok(Verdict::Pending),
            Entry::Later => Ok(Verdict::Later),
        }
    }

    /// Whether a connection may join a room.
    fn may_join(&self, registry: &Registry, conn: ConnId, room: &RoomId) -> bool {
        let Some(user) = registry.connection(conn).and_then(|conn| conn.user()) else {
            return false;
        };
        match self.live_settings.lock().token_auth() {
            None => may_join(user, room, Right::Development),
            Some(TokenAuth { grants, open, .. }) => {
                let token = grants.get(conn).map(Grant::rooms);
                may_join(user, room, Right::Client { token, open })
            }
        }
    }

    /// Whether the token of a connection is for one thread, and this is another one.
    fn is_pinned_to_another(&self, conn: ConnId, thread: &ThreadId) -> bool {
        let mut live = self.live_settings.lock();
        let grant = live.token_auth().and_then(|token_auth| token_auth.grants.get(conn));
        grant.and_then(Grant::thread).is_some_and(|pinned| pinned != thread)
    }

    /// Deals with a message. `has_waited`: it was asked about before, and the outcome was
    /// [`Outcome::Later`].
    fn hear(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
        has_waited: bool,
    ) -> Outcome {
        if context.registry.connection(conn).map(|it| it.state()) == Some(ConnState::Pending) {
            return self.introduce(context, conn, payload, has_waited);
        }
        let answer = match payload {
            Payload::Text(text) => match client_frames::parse(text) {
                Ok(frame) => self.act(context, conn, frame, has_waited),
                Err(wrong) => Some(server_frames::error(wrong.code, &wrong.message, wrong.request)),
            },
            Payload::Binary(_) => {
                Some(server_frames::error("binary_frame", "frames are JSON in text messages", None))
            }
        };
        let Some(answer) = answer else { return Outcome::Later };
        reply(context, conn, &answer, &self.counters);
        Outcome::Done
    }

    /// Does what a client asks; the answer is the frame to send back. `None`: it can't be done yet.
    fn act(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        frame: Frame<'_>,
        has_waited: bool,
    ) -> Option<String> {
        let Frame { request, ask } = frame;
        Some(match ask {
            Ask::Ping => server_frames::ok(request),
            Ask::Join { room, .. } if !self.may_join(context.registry, conn, &room) => {
                let message = "no right to join this room: neither the token (rooms) nor a rule of \
                               the server (rooms.open) gives it";
                server_frames::error(room_access::FORBIDDEN, message, request)
            }
            Ask::Join { room, since } => {
                let start = since.map_or(Start::Now, Start::After);
                match context.registry.join(context.now, conn, &room, start) {
                    Ok(joined) => {
                        server_frames::joined(&room, joined.position, joined.recovered, request)
                    }
                    Err(refused) => server_frames::error(
                        server_frames::join_code(refused),
                        &refused.to_string(),
                        request,
                    ),
                }
            }
            Ask::Follow { thread, .. } if self.is_pinned_to_another(conn, &thread) => {
                let message =
                    "the token is for one thread (its claim thread), and this is another one";
                server_frames::error("other_thread", message, request)
            }
            Ask::Follow { thread, start } => self.following.follow(
                context.registry,
                context.now,
                conn,
                (&thread, start),
                request,
            ),
            Ask::Unfollow { thread } => {
                self.following.unfollow(context.registry, context.now, conn, &thread, request)
            }
            Ask::Ack { stream, offset } => {
                // The registry says of what is no stream that the connection does not follow it.
                let stream = self.following.stream(context.registry, conn, &stream);
                let stream = stream.unwrap_or(StreamRef::Direct);
                match context.registry.acknowledge(context.now, conn, stream, offset) {
                    Ok(()) => server_frames::ok(request),
                    Err(refused) => {
                        server_frames::error("ack_refused", &refused.to_string(), request)
                    }
                }
            }
            // Not to have been in it is no error: what was asked for is the case.
            Ask::Leave { room } => match context.registry.leave(context.now, conn, &room) {
                Ok(_) => server_frames::left(&room, request),
                Err(unknown) => {
                    server_frames::error("leave_refused", &unknown.to_string(), request)
                }
            },
            Ask::Refresh { token } => match self.refresh(context, conn, &token, has_waited) {
                Ok(Some(())) => server_frames::ok(request),
                Ok(None) => return None,
                Err(problem) => server_frames::error(problem.code(), problem.message(), request),
            },
            Ask::RunRequest { thread, run, input } => {
                requests::run(context, conn, (thread, run), &input, request)
            }
            Ask::RunCancel { run, reason } => {
                requests::cancel(context, conn, &run, reason.as_deref(), request)
            }
            Ask::Auth(_) => {
                let message = "the connection has its user already: send refresh with a new token";
                server_frames::error("already_authenticated", message, request)
            }
        })
    }
}

/// What an upgrade is refused with.
fn answer(problem: &Problem) -> Answer {
    let answer = Answer::json(problem.status(), problem.code(), problem.message());
    match problem.wait() {
        Some(wait) => answer.retry_after(wait),
        None => answer,
    }
}

/// Sends one connection a frame outside any stream.
pub(crate) fn reply(context: &mut Context<'_>, conn: ConnId, frame: &str, counters: &Counters) {
    if context.reply(conn, frame) == Err(ReplyError::Full) {
        counters.replies_dropped.fetch_add(1, Ordering::Relaxed);
        debug!(
            connection = show_connection(context.registry.config().instance(), conn),
            "a frame was dropped: the connection reads too slowly"
        );
    }
}

impl Handler for Gateway {
    fn journal_failed(&mut self, error: std::io::Error) {
        self.counters.journal.ended_by(&error);
        error!(%error, "the journal ends here; the server goes on");
    }

    fn hang_up(&mut self, was_ignored: bool) -> HangUp {
        let Some(reload) = &self.reload else {
            let (hang_up, what) = match was_ignored {
                true => (HangUp::GoOn, "the server was started to ignore it (nohup), and goes on"),
                false => (HangUp::Stop, "the server stops"),
            };
            info!("SIGHUP: there is no file or key set to read again (--config), so {what}");
            return hang_up;
        };
        // The admin port's thread reads it. Files can be slow.
        reload.notify_one();
        HangUp::GoOn
    }

    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        if let Some(answer) = self.over_rate(request) {
            return Verdict::Refuse(answer);
        }
        match self.identify(request) {
            Ok(verdict) => verdict,
            Err(problem) => Verdict::Refuse(answer(&problem)),
        }
    }

    fn turned_away(&mut self, peer: SocketAddr, answer: &Answer) {
        let (status, code) = (answer.status(), answer.code());
        self.counters.refusals.count(code);
        debug!(%peer, status, code, "a client was not admitted");
    }

    fn source(&mut self, peer: SocketAddr) -> Option<Source> {
        self.live_settings.lock().source(peer.ip())
    }

    fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, admitted: Admitted) {
        let grant = self.arriving.take();
        if let (Some(grant), Some(token_auth)) = (grant, self.live_settings.lock().token_auth()) {
            token_auth.grants.insert(conn, grant);
        }
        let registry = &*context.registry;
        let (Some(known), Some(followed)) = (registry.connection(conn), admitted.followed) else {
            return;
        };
        let (Some(user), Some((_, thread))) = (known.user(), known.followed().next()) else {
            return;
        };
        let runs = run_events::open(registry, followed.session);
        let welcome = server_frames::welcome(
            &show_connection(self.instance, conn),
            (user, thread),
            followed.position,
            followed.recovered,
            &runs,
            Terms::from(registry.config()),
        );
        reply(context, conn, &welcome, &self.counters);
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        fault::point("loop");
        self.hear(context, conn, payload, false)
    }

    fn message_again(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        self.hear(context, conn, payload, true)
    }

    fn rate_limited(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let message = "the message was dropped: more per second than limits.message_rate";
        let frame = server_frames::error("rate_limited", message, None);
        reply(context, conn, &frame, &self.counters);
    }

    fn dialect(&self, conn: ConnId, stream: StreamRef<'_>) -> Dialect {
        self.following.dialect(conn, stream)
    }

    fn encode(
        &mut self,
        dialect: Dialect,
        stream: StreamRef<'_>,
        position: Option<Position>,
        body: Body<'_>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        let (Some(name), Some(position)) = (self.following.name(dialect, stream), position) else {
            // What is for everyone was made as a whole frame.
            out.put_slice(body.as_bytes());
            return FrameKind::Text;
        };
        server_frames::entry(&name, position, &body, self.wall.anchor(), out);
        FrameKind::Text
    }

    fn encode_gap(
        &mut self,
        dialect: Dialect,
        stream: StreamRef<'_>,
        from: u64,
        to: u64,
        out: &mut impl BufMut,
    ) -> FrameKind {
        let name = self.following.name(dialect, stream).unwrap_or_default();
        out.put_slice(server_frames::gap(&name, from, to).as_bytes());
        FrameKind::Text
    }

    fn encode_left(
        &mut self,
        _: Dialect,
        session: SessionId,
        reason: CloseReason,
        out: &mut impl BufMut,
    ) -> FrameKind {
        // A connection that is told so has followed another session, too, so that the thread is known.
        if let Some(thread) = self.following.thread(session) {
            let session = show_session(self.instance, session);
            out.put_slice(server_frames::sent_away(thread, &session, reason).as_bytes());
        }
        FrameKind::Text
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        within: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(server_frames::draining(&within).as_bytes());
        FrameKind::Text
    }

    fn cleanup(&mut self, what: Ended, _: CloseReason) {
        self.following.remove(what);
        if let (Ended::Conn(conn), Some(token_auth)) =
            (what, self.live_settings.lock().token_auth())
        {
            token_auth.grants.remove(conn);
        }
    }

    fn notice(&mut self, context: &Context<'_>, notice: Notice) {
        lifecycle::log(context.registry, notice);
    }
}
