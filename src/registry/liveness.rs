//! Facts about sockets: message, flushed, disconnect.

use crate::action::CloseReason;
use crate::conn::{Ask, ConnKey, Heard, State};
use crate::error::{InboundError, UnknownConn};
use crate::id::ConnId;
use crate::input::{Inbound, Input};
use crate::message::MESSAGE_OVERHEAD;
use crate::stats::{Intake, Notice};
use crate::store::Rate;
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::OwnedAction;

/// # What sockets report
///
/// Each call says that something has happened. A handle that names nothing any more is an ordinary error.
impl Registry {
    /// Something came in: a sign of life, unless it is answered [`Intake::Paused`]. Costs O(1),
    /// or what the [`close`](Self::close) of one connection costs, if it makes the registry close it.
    ///
    /// While more than the window is queued for or handed out to an admitted connection, data is
    /// answered [`Intake::Paused`]: a reply would not be sure to fit. The deadlines of silence stand
    /// still from then until [`flushed`](Self::flushed) answers `true`.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// match registry.message(now, conn, Inbound::Data { bytes: 4 }) {
    ///     Ok(Intake::Taken) => registry.reply(now, conn, Message::text("pong"))?,
    ///     Ok(Intake::Paused) => {} // Kept, and offered again when `flushed` answers `true`.
    ///     Err(_) => {}             // Dropped.
    /// }
    /// assert!(matches!(registry.poll_action(), Some(Action::Send { .. })));
    /// let huge = registry.message(now, conn, Inbound::Data { bytes: u64::MAX });
    /// assert_eq!(huge, Err(InboundError::TooBig));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InboundError::UnknownConn`] also for a connection that is closing: drop the message.
    /// [`InboundError::TooBig`] closes the connection: the message, or its request head, is too large.
    /// [`InboundError::RateLimited`]: drop a message, leave a ping unanswered; as much excess as a
    /// burst closes the connection.
    pub fn message(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        inbound: Inbound,
    ) -> Result<Intake, InboundError> {
        self.enter(now, Input::Message { conn, inbound });
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        let hot = self.conns.hot_mut(slot);
        let open = match hot.state {
            State::Pending => false,
            State::Open => true,
            State::Closing | State::Gone => return Err(InboundError::UnknownConn),
        };
        let paused = open && hot.window.load() > self.config.send_window;
        let attended = self.attended();
        if let Inbound::Bytes { bytes, .. } = inbound
            && !open
            && !self.conns.cold(slot).upgraded
        {
            return self.take_head(slot, bytes, attended);
        }
        self.note_progress(slot, inbound, attended);
        match inbound {
            Inbound::Data { bytes } if bytes > self.config.message_bytes => {
                self.begin_close(slot, CloseReason::MessageTooBig);
                return Err(InboundError::TooBig);
            }
            Inbound::Data { .. } if paused => {
                self.conns.hot_mut(slot).paused = true;
                return Ok(Intake::Paused);
            }
            Inbound::Data { .. } if open => {
                self.conns.cold_mut(slot).waits_since = attended;
            }
            Inbound::Pong => {
                self.counters.pongs_received += 1;
                // A pong that waited through a pause says nothing of the way.
                let (hot, cold) = self.conns.both_mut(slot);
                hot.pulse.measure(&mut cold.probe, attended);
            }
            Inbound::Data { .. } | Inbound::Bytes { .. } | Inbound::Fragment | Inbound::Ping => {}
        }
        let within = self.is_within_rates(slot, inbound);
        if !within && self.conns.hot(slot).state == State::Closing {
            return Err(InboundError::RateLimited);
        }
        self.hear(slot, within && matches!(inbound, Inbound::Data { .. }), attended);
        if within { Ok(Intake::Taken) } else { Err(InboundError::RateLimited) }
    }

    /// Bytes of the request head.
    fn take_head(
        &mut self,
        slot: ConnKey,
        bytes: u64,
        attended: Timestamp,
    ) -> Result<Intake, InboundError> {
        let cold = self.conns.cold_mut(slot);
        cold.head_bytes = cold.head_bytes.saturating_add(bytes.try_into().unwrap_or(u32::MAX));
        if u64::from(cold.head_bytes) > self.config.head_bytes {
            self.begin_close(slot, CloseReason::BadRequest);
            return Err(InboundError::TooBig);
        }
        self.hear(slot, false, attended);
        Ok(Intake::Taken)
    }

    /// Whether a message is in progress after this, and since when.
    fn note_progress(&mut self, slot: ConnKey, inbound: Inbound, attended: Timestamp) {
        let extras = &mut self.conns.cold_mut(slot).extras;
        let begins = matches!(inbound, Inbound::Fragment | Inbound::Bytes { partial: true, .. });
        if !begins && extras.message_began == Timestamp::MAX {
            return;
        }
        let has_begun = extras.edit(|it| {
            let partial = match inbound {
                Inbound::Data { .. } => {
                    it.fragmented = false;
                    false
                }
                Inbound::Fragment => {
                    it.fragmented = true;
                    true
                }
                Inbound::Ping | Inbound::Pong => it.fragmented,
                Inbound::Bytes { partial, .. } => {
                    it.fragmented &= partial;
                    partial
                }
            };
            let is_new = partial && it.message_began == Timestamp::MAX;
            if is_new {
                it.message_began = attended;
            } else if !partial {
                it.message_began = Timestamp::MAX;
            }
            is_new
        });
        if has_begun {
            self.arm(slot);
        }
    }

    /// Pays for what came in. `false`: it is more than the rate of frames, or that of bytes, allows.
    /// After a burst's worth of such excess without a calm in between the connection closes.
    fn is_within_rates(&mut self, slot: ConnKey, inbound: Inbound) -> bool {
        match inbound {
            Inbound::Data { .. } => self.take_eighths(slot, 8),
            Inbound::Fragment | Inbound::Ping => self.take_eighths(slot, 1),
            Inbound::Pong => {
                let owed = self.conns.cold_mut(slot).probe.take_owed_pong();
                owed || self.take_eighths(slot, 1)
            }
            Inbound::Bytes { bytes, .. } => self.take_bytes(slot, bytes),
        }
    }

    /// A sign of life; data that was `taken` ends a pause.
    fn hear(&mut self, slot: ConnKey, taken: bool, attended: Timestamp) {
        let hot = self.conns.hot_mut(slot);
        hot.pulse.restart(attended);
        if hot.state == State::Pending {
            self.note_waiting(slot);
        }
        let hot = self.conns.hot_mut(slot);
        if !hot.pulse.is_calm() || (hot.paused && taken) {
            hot.paused &= !taken;
            self.clear_ping(slot);
            // The silence that is measured from now on is another one, and may end sooner.
            self.arm(slot);
        }
    }

    /// Takes so many eighths of a token of the connection's bucket of frames, or nothing.
    fn take_eighths(&mut self, slot: ConnKey, eighths: u32) -> bool {
        let rate = Rate::new(self.config.message_rate, self.config.message_burst);
        let Some(rate) = rate else { return true };
        let cold = self.conns.cold_mut(slot);
        if cold.extras.excess > 0 && cold.frames.is_full(self.now) {
            cold.extras.edit(|it| it.excess = 0);
        }
        let price = rate.token() * u64::from(eighths) / 8;
        if cold.frames.take(self.now, rate, price).is_ok() {
            return true;
        }
        let excess = cold.extras.edit(|it| {
            it.excess += eighths;
            it.excess
        });
        if excess / 8 >= self.config.message_burst {
            self.begin_close(slot, CloseReason::RateLimited);
        }
        false
    }

    /// Takes so many bytes of the connection's bucket of bytes. Of what comes at once as many are paid
    /// for as there are, so that it makes no difference in how many reads they come.
    fn take_bytes(&mut self, slot: ConnKey, bytes: u64) -> bool {
        let (rate, burst) = (self.config.byte_rate, self.config.byte_burst());
        if rate == 0 {
            return true;
        }
        let now = self.now;
        let (beyond, excess) = self.conns.cold_mut(slot).extras.edit(|it| {
            if it.bytes.is_full(now) {
                it.excess_bytes = 0;
            }
            let beyond = bytes - it.bytes.take_some(now, rate, burst, bytes);
            it.excess_bytes = it.excess_bytes.saturating_add(beyond);
            (beyond, it.excess_bytes)
        });
        if beyond == 0 {
            return true;
        }
        if excess >= burst {
            self.begin_close(slot, CloseReason::RateLimited);
        }
        false
    }

    /// There is life: nothing is left to ask.
    fn clear_ping(&mut self, slot: ConnKey) {
        let (hot, cold) = self.conns.both_mut(slot);
        match hot.pulse.clear(&mut cold.probe) {
            Heard::Life | Heard::Asked => {}
            Heard::Queued => hot.window.withdraw(MESSAGE_OVERHEAD),
            Heard::Late => {
                self.counters.recovered += 1;
                let conn = self.conns.id(slot);
                self.notice(Notice::Recovered { conn });
            }
        }
        self.ready_if_room(slot);
    }

    /// Asks for a sign of life.
    pub(super) fn queue_ping(&mut self, slot: ConnKey) {
        let conn = self.conns.id(slot);
        let hot = self.conns.hot_mut(slot);
        match hot.pulse.ask() {
            Ask::Enqueue => self.enqueue(OwnedAction::Ping { conn }),
            Ask::Recharge => hot.window.queue(MESSAGE_OVERHEAD),
        }
    }

    /// The kernel took bytes: `total` is the sum of [`Action::cost`](crate::Action::cost) over all
    /// that was handed out to this connection since it was reserved, in proportion for what went
    /// out in part. A [`Ledger`](crate::Ledger) makes it of bytes. A total that runs backwards, or
    /// ahead of what was handed out, is clamped.
    ///
    /// Answers whether the connection's input may go on: after a message was answered
    /// [`Intake::Paused`], not before the window is at most half full.
    ///
    /// A report that leaves the window at most half full makes the registry look again at a
    /// connection that is behind. A connection whose next entry does not fit has something in
    /// flight, and an empty window admits an entry of any size: so it comes to its turn. A
    /// [`reload`](Registry::reload) looks again too. Nothing looks because the entry in the way
    /// shrinks, which a bound, a budget or its age may take away: the next report finds that out. The
    /// [loop](crate#the-loop) has an example.
    ///
    /// # Errors
    /// [`UnknownConn`] for a dead handle.
    pub fn flushed(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        total: u64,
    ) -> Result<bool, UnknownConn> {
        self.enter(now, Input::Flushed { conn, total });
        self.flush_to(conn, total, self.attended())
    }

    /// The kernel took bytes of several connections: [`flushed`](Self::flushed) for each report, in
    /// their order, as one input with one stamp. A shell that writes all its sockets once a turn reports
    /// what it wrote with one call.
    ///
    /// `answer` is called once for each report, in their order, with what `flushed` would have answered.
    /// So a dead handle among them is an answer, and the reports behind it count. A connection may be
    /// reported more than once. Costs O(reports), and keeps nothing of them.
    ///
    /// ```
    /// use headcount::{Action, Config, Message, Principal, Registry, Start, Target, Timestamp};
    ///
    /// let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// for thread in ["garden", "kitchen"] {
    ///     let who = Principal::new("alice".parse()?).with_thread(thread.parse()?);
    ///     registry.admit(now, who, Start::OpenRuns, None)?;
    /// }
    /// registry.send(now, Target::User(&"alice".parse()?), Message::text("hello"));
    ///
    /// let mut reports = Vec::new();
    /// while let Some(action) = registry.poll_action() {
    ///     // A shell queues and writes here. These sockets take everything at once.
    ///     reports.extend(action.recipients().iter().map(|conn| (*conn, action.cost())));
    /// }
    /// registry.flushed_many(now, &reports, |conn, answer| {
    ///     assert_eq!(answer, Ok(true), "the input of {conn} may go on");
    /// });
    /// assert!(reports.iter().all(|(conn, _)| registry.connection(*conn).unwrap().load() == 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flushed_many(
        &mut self,
        now: Timestamp,
        reports: &[(ConnId, u64)],
        mut answer: impl FnMut(ConnId, Result<bool, UnknownConn>),
    ) {
        self.enter(now, Input::FlushedMany { reports });
        let attended = self.attended();
        for &(conn, total) in reports {
            let takes_input = self.flush_to(conn, total, attended);
            answer(conn, takes_input);
        }
    }

    /// Touches the hot record of the connection alone, unless a ping was handed out, it is paused, or it
    /// lags.
    fn flush_to(
        &mut self,
        conn: ConnId,
        total: u64,
        attended: Timestamp,
    ) -> Result<bool, UnknownConn> {
        let (slot, hot) = self.conns.resolve_mut(conn).ok_or(UnknownConn)?;
        if hot.state == State::Gone {
            return Err(UnknownConn);
        }
        let is_asked = hot.window.flush_to(total, attended) && hot.pulse.is_asked();
        let (paused, lags) = (hot.paused, hot.lagging > 0);
        if is_asked {
            self.flush_ping(slot, attended);
        }
        let takes_input = !paused || self.unpause_if_room(slot);
        if lags {
            self.ready_if_room(slot);
        }
        Ok(takes_input)
    }

    /// Something was flushed while a ping waits for its answer, or for its own flush.
    fn flush_ping(&mut self, slot: ConnKey, attended: Timestamp) {
        let (hot, cold) = self.conns.both_mut(slot);
        let (flushed, window) = (hot.window.flushed(), self.config.send_window);
        // Only a ping that begins to wait for its answer brings a deadline nearer.
        if hot.pulse.flushed(&mut cold.probe, flushed, attended, window) {
            self.arm(slot);
        }
    }

    /// Ends a pause once the window is at most half full. Whether there is none.
    pub(super) fn unpause_if_room(&mut self, slot: ConnKey) -> bool {
        let attended = self.attended();
        let (hot, cold) = self.conns.both_mut(slot);
        if !hot.paused {
            return true;
        }
        if !hot.window.is_half_empty(self.config.send_window) {
            return false;
        }
        // Its silence was ours: it starts anew.
        hot.paused = false;
        hot.pulse.restart(attended);
        if hot.state == State::Open {
            cold.waits_since = attended;
        }
        cold.probe.restart(attended);
        cold.restart_message(attended);
        self.arm(slot);
        true
    }

    /// The socket has ended: end of file, a reset or an error. The connection leaves everything at once,
    /// and its `Cleanup` follows. After a `Close` this is the regular end: the `Close`'s reason counts.
    /// Costs O(the connection's rooms × the rooms of the member that takes its place in each), and the
    /// entries that the logs keep behind its cursors.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.disconnect(now, conn)?;
    /// let what = Ended::Conn(conn);
    /// assert!(matches!(registry.poll_action(), Some(Action::Cleanup { what: it, .. }) if it == what));
    /// assert_eq!(registry.disconnect(now, conn), Err(UnknownConn));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`UnknownConn`] for a dead handle.
    pub fn disconnect(&mut self, now: Timestamp, conn: ConnId) -> Result<(), UnknownConn> {
        self.enter(now, Input::Disconnect { conn });
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        let (hot, cold) = self.conns.both_mut(slot);
        match hot.state {
            State::Gone => return Err(UnknownConn),
            State::Pending | State::Open => cold.reason = CloseReason::PeerGone,
            State::Closing => {}
        }
        self.finish(slot);
        Ok(())
    }
}
