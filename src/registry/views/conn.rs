//! One connection.

use core::time::Duration;

use crate::action::{CloseReason, Position, StreamRef};
use crate::conn::{Cold, Conn, ConnKey, Due, State, deadline};
use crate::id::{ConnId, RoomId, SessionId, ThreadId, UserId};
use crate::principal::ConnKind;
use crate::registry::Registry;
use crate::stats::ConnState;
use crate::stream::Owner;
use crate::time::Timestamp;

/// One connection whose `Cleanup` was not polled: [`Registry::connection`].
#[derive(Clone, Copy)]
pub struct ConnView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: ConnKey,
}

/// Where a connection stands in one stream. [`ConnView::cursors`](crate::ConnView::cursors) has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorView<'a> {
    /// The session or the room.
    pub stream: StreamRef<'a>,
    /// Up to here everything was handed out to it, told as lost, or was not for it.
    pub position: Position,
    /// The head of the stream.
    pub head: u64,
    /// How many of the entries that the stream keeps wait for it: those left out that are not for it,
    /// or that one that is behind passes over.
    pub backlog: u32,
    /// The last offset that its client said it has dealt with; 0 if it never did.
    pub acknowledged: u64,
    /// Whether it is behind, and catches up by itself.
    pub lagging: bool,
}

/// What happens to a connection at its next deadline. [`ConnView::next`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Upcoming {
    /// It is pinged.
    Ping,
    /// It is found suspect: its ping is unanswered for half of the time that it has.
    Suspect,
    /// It is closed.
    Close(CloseReason),
    /// Its close handshake is cut short.
    Cleanup,
}

impl<'a> ConnView<'a> {
    /// Its handle.
    #[must_use]
    pub fn id(&self) -> ConnId {
        self.registry.conns.id(self.key)
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> ConnState {
        let hot = self.hot();
        match hot.state {
            State::Pending => ConnState::Pending,
            State::Open if hot.pulse.is_suspect() => ConnState::Suspect,
            State::Open => ConnState::Open,
            State::Closing => ConnState::Closing,
            State::Gone => ConnState::Gone,
        }
    }

    /// Its user; `None` if it was not admitted. It stays true to the end: that the user's sessions have
    /// ended, by [`Registry::revoke`] for instance, does not change whose connection it is.
    #[must_use]
    pub fn user(&self) -> Option<&'a UserId> {
        let sessions = &self.registry.sessions;
        self.hot().is_admitted().then(|| &sessions.user(self.registry.conns.user(self.key)).name)
    }

    /// The label of its principal; `None` if that had none, or it was not admitted.
    #[must_use]
    pub fn label(&self) -> Option<&'a str> {
        self.cold().extras.label.as_deref()
    }

    /// What it is to its client.
    #[must_use]
    pub fn kind(&self) -> ConnKind {
        self.cold().kind
    }

    /// The session that it follows longest, or that it followed longest when it began to close; `None` if it
    /// follows none.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.registry.first_session_id(self.key)
    }

    /// The sessions that it follows, or followed when it began to close, and their threads: the one first
    /// that it follows longest.
    pub fn followed(&self) -> impl Iterator<Item = (SessionId, &'a ThreadId)> + use<'a> {
        let registry = self.registry;
        let sessions = registry.conns.sessions(self.key).iter();
        sessions.map(|it| (registry.sessions.id(*it), &registry.sessions.get(*it).thread))
    }

    /// The rooms that it is in, or was in when it began to close, in the order in which it joined them. Those
    /// that have ended since are among them.
    pub fn rooms(&self) -> impl Iterator<Item = &'a RoomId> + use<'a> {
        self.registry.rooms_joined(self.key).chain(self.cold().rooms_left())
    }

    /// Why it closes or has gone; `None` while it does neither.
    #[must_use]
    pub fn reason(&self) -> Option<CloseReason> {
        let leaves = matches!(self.hot().state, State::Closing | State::Gone);
        leaves.then(|| self.cold().reason)
    }

    /// How long it has been in this phase: reserved, upgraded, admitted, or told to close.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.registry.now.saturating_since(self.cold().phase)
    }

    /// How long its peer has been silent.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.registry.attended().saturating_since(self.hot().pulse.last_seen())
    }

    /// The smoothed round trip of its pings; `None` before the first answer.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        let micros = Some(self.cold().probe.round_trip_micros()).filter(|micros| *micros > 0);
        micros.map(|micros| Duration::from_micros(micros.into()))
    }

    /// The cost of everything that was ever flushed to it, in bytes.
    #[must_use]
    pub fn flushed(&self) -> u64 {
        self.hot().window.flushed()
    }

    /// The cost of what waits for it directly or is handed out and not flushed, in bytes: its window's load.
    #[must_use]
    pub fn load(&self) -> u64 {
        self.hot().window.load()
    }

    /// How long nothing has been flushed although something is handed out; `None` if nothing is.
    #[must_use]
    pub fn stuck_for(&self) -> Option<Duration> {
        let since = self.hot().window.stuck_since()?;
        Some(self.registry.attended().saturating_since(since))
    }

    /// Whether its input is paused because its window is exceeded.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.hot().paused
    }

    /// When its principal expires; `None` for never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Some(self.cold().expires_at).filter(|at| *at < Timestamp::MAX)
    }

    /// What happens to it next if nothing else does, and when; `None`: nothing until its shell polls or
    /// reports something.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let (at, what) = registry.connection(conn).and_then(|tab| tab.next()).expect("it is open");
    /// assert_eq!(what, Upcoming::Ping);
    /// registry.tick(at);
    /// assert!(matches!(registry.poll_action(), Some(Action::Ping { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next(&self) -> Option<(Timestamp, Upcoming)> {
        let (at, due) = deadline(self.hot(), self.cold(), &self.registry.rules())?;
        let upcoming = match due {
            Due::Ping => Upcoming::Ping,
            Due::Suspect => Upcoming::Suspect,
            Due::Close(reason) => Upcoming::Close(reason),
            Due::Cleanup => Upcoming::Cleanup,
        };
        Some((at.instant()?, upcoming))
    }

    /// Where it stands in each stream that it follows, in the order in which it came to them. None once it
    /// closes. Each costs O(the entries that the log keeps behind its cursor).
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// for _ in 0..2 {
    ///     registry.send(now, Target::SessionOf(conn), Message::text("hello"));
    /// }
    /// let tab = registry.connection(conn).expect("it is open");
    /// let cursor = tab.cursors().next().expect("it follows a session");
    /// assert_eq!((cursor.position.offset, cursor.head, cursor.backlog), (0, 2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cursors(&self) -> impl Iterator<Item = CursorView<'a>> + use<'a> {
        let registry = self.registry;
        registry.conns.cold(self.key).memberships.iter().map(|membership| {
            let stream = &registry.streams[membership.stream];
            let member = &stream.members[membership.index as usize];
            let reader = registry.reader(membership.stream, *member);
            CursorView {
                stream: match stream.owner {
                    Owner::Session(session) => StreamRef::Session(registry.sessions.id(session)),
                    Owner::Room(room) => StreamRef::Room(&registry.rooms.get(room).name),
                },
                position: stream.position(member.cursor),
                head: stream.log.head(),
                backlog: stream.log.waiting(member.cursor, &reader),
                acknowledged: membership.acknowledged,
                lagging: member.lagging,
            }
        })
    }

    fn hot(&self) -> &'a Conn {
        self.registry.conns.hot(self.key)
    }

    fn cold(&self) -> &'a Cold {
        self.registry.conns.cold(self.key)
    }
}
