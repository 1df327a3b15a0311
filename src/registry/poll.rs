//! What to do next: actions, deadlines and notices are polled.

use core::ops::Range;
use core::time::Duration;

use crate::action::{Action, Body, StreamRef};
use crate::id::{ConnId, UserId};
use crate::log::{Content, Entry};
use crate::message::Message;
use crate::stats::Notice;
use crate::stream::{Owner, StreamKey};
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::OwnedAction;
use super::ready::Ready;

/// What a poll lends until the next call. Its recipients are in [`Registry::recipients`].
#[derive(Clone)]
pub(super) enum Lent {
    /// Out of the outbox.
    Owned(OwnedAction),
    /// An entry, or what of it lies behind a cursor.
    Entry {
        stream: StreamKey,
        offset: u64,
        after: u64,
    },
    Gap {
        stream: StreamKey,
        conn: ConnId,
        from: u64,
        to: u64,
    },
    Announcement(Message),
    Draining {
        within: Range<Duration>,
    },
    Presence {
        user: UserId,
        online: bool,
    },
}

/// How much that gives nothing one poll may pass: void items of the outbox, turns, members that lag or
/// fall behind, slots without a recipient. A poll costs a slice, also when a million connections
/// lag or have gone.
pub(super) struct Passes(u32);

impl Passes {
    const OF_A_POLL: u32 = 1_024;

    pub(super) const fn take(&mut self, count: u32) {
        self.0 = self.0.saturating_sub(count);
    }

    pub(super) const fn are_left(&self) -> bool {
        self.0 > 0
    }
}

/// # Polling
///
/// After each input the shell polls actions until there are none, and sleeps until the next input or
/// [deadline](Self::poll_timeout).
impl Registry {
    /// The next thing to do. `None`: nothing until the next input or deadline, or, if
    /// [`has_actions`](Self::has_actions) says so, nothing within the slice that one poll looks through.
    ///
    /// First comes what is directed at one connection, in the order of its causes. Everything else that has
    /// something to give takes turns, first in, first out: streams, connections that catch up,
    /// announcements, changes of presence, a drain, a close of all. A storm of one holds up no other.
    /// A stream's turn is one stretch: at most `fanout_chunk` members are handed at most 16 entries each,
    /// one action per entry, and the stream goes to the back; a stretch in which all lag or have everything
    /// takes no turn. Members are served in the order in which they joined, but that one that leaves gives
    /// its place to the last. A connection that catches up gets one entry a turn, of its streams one after
    /// the other: an entry that does not fit holds back all of them. An announcement reaches at most
    /// `fanout_chunk` connections a turn, and so does a drain, in the order of their
    /// [`index`](ConnId::index). Of one user it is said a turn whether it is online, in the order in which
    /// there came to be something to say.
    ///
    /// Costs O(`fanout_chunk`), for a `Cleanup` O(the sessions and rooms of its connection), and up to 1,024
    /// of what is passed over on the way to the action: members that lag or fall behind, slots without a
    /// recipient, turns of connections whose window has no room, and what waited for connections that have
    /// gone. The [loop](crate#the-loop) has an example.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        // A poll that has nothing to do changes nothing, and a loop that idles makes many.
        let is_shown = self.tapped.get().is_some() && self.has_actions();
        self.lent = self.choose();
        if is_shown && let Some(mut tap) = self.tapped.take() {
            tap.polled(self.action().as_ref());
            self.tapped.set(Some(tap));
        }
        self.action()
    }

    /// Takes the next thing to do out of its queue, with its recipients.
    fn choose(&mut self) -> Option<Lent> {
        self.recipients.clear();
        self.trim_lent();
        let mut passes = Passes(Passes::OF_A_POLL);
        while passes.are_left() {
            if let Some(owned) = self.outbox.pop() {
                if !self.hand_out_owned(&owned) {
                    passes.take(1);
                    continue;
                }
                if let OwnedAction::Send { conn, .. } = &owned {
                    self.recipients.push(*conn);
                }
                return Some(Lent::Owned(owned));
            }
            let Some(turn) = self.next_turn() else {
                // Whoever had nothing left to catch up on has come to the end without a word.
                self.trim_lent();
                return None;
            };
            let lent = match turn {
                Ready::Stream(key) => self.serve_stream(key, &mut passes),
                Ready::Conn(conn) => self.serve_conn(conn),
                Ready::Announcement => self.serve_announcement(&mut passes),
                Ready::Presence => self.serve_presence(),
                Ready::Drain => self.serve_drain(&mut passes),
                Ready::CloseEveryone => {
                    self.serve_mass_close(&mut passes);
                    None
                }
            };
            if lent.is_some() {
                return lent;
            }
            passes.take(1);
        }
        None
    }

    /// The action that is lent.
    fn action(&self) -> Option<Action<'_>> {
        Some(match self.lent.as_ref()? {
            Lent::Owned(owned) => owned.action(&self.recipients),
            Lent::Entry { stream, offset, after } => {
                let stream = &self.streams[*stream];
                Action::Send {
                    to: &self.recipients,
                    stream: self.stream_ref(stream.owner),
                    position: Some(stream.position(*offset)),
                    body: self.body(stream.log.get(*offset)?, *after)?,
                }
            }
            Lent::Gap { stream, conn, from, to } => {
                let stream = self.stream_ref(self.streams[*stream].owner);
                Action::Gap { conn: *conn, stream, from: *from, to: *to }
            }
            Lent::Draining { within } => {
                Action::Draining { to: &self.recipients, within: within.clone() }
            }
            Lent::Presence { user, online } => Action::Presence { user, online: *online },
            Lent::Announcement(message) => Action::Send {
                to: &self.recipients,
                stream: StreamRef::Everyone,
                position: None,
                body: Body::Message(message),
            },
        })
    }

    /// What of an entry lies behind a cursor.
    pub(super) fn body<'a>(&'a self, entry: &'a Entry, after: u64) -> Option<Body<'a>> {
        Some(match entry.content_after(after)? {
            Content::Message(message) => Body::Message(message),
            Content::Event(event) => Body::Run(self.fact(entry.at, event)),
            Content::Text(text) => Body::Text(self.text(entry.at, text)),
        })
    }

    /// Whether to poll again before sleeping. It may be `true` when the next poll finds nothing, and is
    /// `true` after a poll that has found nothing within its slice. The [loop](crate#the-loop) has an
    /// example.
    #[must_use]
    pub fn has_actions(&self) -> bool {
        !self.outbox.is_empty() || !self.ready.is_empty() || self.to_trim.is_some()
    }

    /// When `tick` has something to do: possibly early, never late. `None`: never, without further
    /// input. An instant in the past: at once, the last tick's budget was used up. The
    /// [loop](crate#the-loop) has an example.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let leave = self.first_leave().map(|(_, at)| at);
        let first = self.timers.first().into_iter().chain(self.hard_stop()).chain(leave).min();
        // A deadline after the last instant never comes: there is nothing to wake up for.
        first?.instant()
    }

    /// The oldest fact that was not polled.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.disconnect(now, conn)?;
    /// while registry.poll_action().is_some() {}
    /// let mut reasons = Vec::new();
    /// while let Some(notice) = registry.poll_notice() {
    ///     if let Notice::Closed { reason, .. } = notice {
    ///         reasons.push(reason);
    ///     }
    /// }
    /// assert_eq!(reasons, [CloseReason::PeerGone]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_notice(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front()?;
        if let Some(tap) = self.tapped.get_mut() {
            tap.noticed();
        }
        Some(notice)
    }

    fn stream_ref(&self, owner: Owner) -> StreamRef<'_> {
        match owner {
            Owner::Session(session) => StreamRef::Session(self.sessions.id(session)),
            Owner::Room(room) => StreamRef::Room(&self.rooms.get(room).name),
        }
    }
}
