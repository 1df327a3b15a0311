//! Recounting everything: each index against the others, each gauge against what it counts.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use foldhash::quality::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::action::Ended;
use crate::conn::{ConnKey, State, deadline};
use crate::error::Violation;
use crate::room::RoomKey;
use crate::run::RunState;
use crate::store::SlotKey;
use crate::stream::Owner;
use crate::time::PackedDeadline;

use super::Registry;
use super::owned_action::OwnedAction;
use super::ready::Ready;
use super::timer::Timer;

/// Returns from a check with a description if something does not hold.
macro_rules! hold {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

mod queues;
mod sessions;
mod tenants;

/// # Checking
///
/// For tests, for a simulator, and for operators who doubt.
impl Registry {
    /// Recounts everything, in O(everything): for tests, and for operators who doubt.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.disconnect(now, conn)?;
    /// assert_eq!(registry.check(), Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Violation`] describes the first thing that is wrong: a bug in this crate.
    pub fn check(&self) -> Result<(), Violation> {
        self.check_conns()
            .and_then(|()| self.check_streams())
            .and_then(|()| self.check_sessions())
            .and_then(|()| self.check_tenants())
            .and_then(|()| self.check_rooms())
            .and_then(|()| self.check_runs())
            .and_then(|()| self.check_queues())
            .and_then(|()| self.check_budgets())
            .and_then(|()| self.check_outbox())
            .and_then(|()| self.check_counters())
            .map_err(|what| Violation { what })
    }

    fn check_conns(&self) -> Result<(), String> {
        let (mut open, mut closing, mut live, mut pending) = (0, 0, 0, 0);
        let (mut waiting, mut leaving, mut of_a_source) = (0, 0, 0);
        for (slot, hot, cold) in self.conns.iter() {
            let id = self.conns.id(slot);
            match hot.is_admitted() {
                true => live += 1,
                false => pending += 1,
            }
            open += u32::from(hot.state == State::Open);
            closing += usize::from(hot.state == State::Closing && hot.is_admitted());
            waiting += u32::from(hot.state == State::Pending);
            leaving += usize::from(hot.state == State::Closing && !hot.is_admitted());
            of_a_source += u32::from(cold.source.is_some());
            hold!(
                hot.state == State::Pending || cold.source.is_none(),
                "{id:?} is {:?}, and in the queue of its source",
                hot.state
            );
            hold!(
                hot.state == State::Open || cold.memberships.is_empty(),
                "{id:?} is {:?} with {} memberships",
                hot.state,
                cold.memberships.len()
            );
            let of_sessions = cold.memberships.iter().filter_map(|membership| {
                match self.streams.get(membership.stream)?.owner {
                    Owner::Session(session) => Some(session),
                    Owner::Room(_) => None,
                }
            });
            hold!(
                hot.state != State::Open || of_sessions.eq(cold.sessions().iter().copied()),
                "{id:?} is no member of the sessions that it follows"
            );
            hold!(hot.window.queued() <= hot.window.load(), "{id:?} has more queued than its load");
            hold!(hot.state == State::Open || hot.lagging == 0, "{id:?} lags, and is not open");
            hold!(
                !hot.pulse.is_on_its_way() || hot.window.in_flight() > 0,
                "{id:?}: a ping is flushed"
            );
            let lagging = cold.memberships.iter().filter(|membership| {
                let stream = self.streams.get(membership.stream);
                stream.is_some_and(|stream| {
                    stream
                        .members
                        .get(membership.index as usize)
                        .is_some_and(|member| member.lagging)
                })
            });
            hold!(
                lagging.count() == hot.lagging as usize,
                "{id:?} miscounts its lagging memberships"
            );
            for membership in &cold.memberships {
                let stream = self.streams.get(membership.stream);
                let member =
                    stream.and_then(|stream| stream.members.get(membership.index as usize));
                hold!(
                    member.is_some_and(|member| member.conn == slot),
                    "{id:?} sits where it is no member"
                );
            }
            let armed = self.timers.at(Timer::Conn(slot)).map(PackedDeadline::new);
            hold!(
                armed.unwrap_or(PackedDeadline::NONE) == hot.armed,
                "{id:?} is armed for {:?}, and the wheel has it at {armed:?}",
                hot.armed
            );
            if let Some((at, due)) = deadline(hot, cold, &self.rules()) {
                hold!(hot.covers(at), "{id:?}: {due:?} at {at:?} is not armed in time");
            }
            // Whoever lags has a turn, or something in flight whose flush gives it one.
            hold!(
                hot.lagging == 0 || self.has_turn(Ready::Conn(slot)) || hot.window.load() > 0,
                "{id:?} lags, and nothing will wake it"
            );
        }
        let counters = &self.counters;
        hold!(
            (open, closing, live, pending)
                == (counters.open, self.closing.len(), counters.live, counters.pending),
            "counted {open} open, {closing} closing, {live} live, {pending} pending"
        );
        hold!(
            (waiting, leaving) == (counters.waiting, self.leaving.len()),
            "counted {waiting} that wait and {leaving} that leave"
        );
        let queued = self.waiting.recount(&self.conns).map(|(_, sockets)| sockets);
        hold!(queued == Some(of_a_source), "the queues of sources have {queued:?} sockets");
        // A reload enforces this cap on those that are there, and the other caps on newcomers only.
        hold!(open <= self.config.connections, "{open} open connections");
        Ok(())
    }

    fn check_streams(&self) -> Result<(), String> {
        let (mut messages, mut bytes) = (0, 0);
        for (key, stream) in self.streams.iter() {
            let owner = stream.owner;
            let log = &stream.log;
            let bounds = self.bounds(key);
            messages += log.len() as u64;
            bytes += log.bytes();
            let kept = log.iter().filter(|entry| entry.content().is_some());
            let (count, cost) =
                kept.fold((0, 0), |(count, cost), entry| (count + 1, cost + entry.cost()));
            hold!(
                (count, cost) == (log.len(), log.bytes()),
                "{owner:?} miscounts its log: {count} messages of {cost} bytes"
            );
            let front = log.iter().next();
            hold!(
                front.is_none_or(|entry| entry.content().is_some()),
                "{owner:?}: a tombstone in front"
            );
            hold!(
                log.tombstones() <= log.len() + 17,
                "{owner:?} keeps {} tombstones",
                log.tombstones()
            );
            hold!(
                log.bounded() <= bounds.messages as usize,
                "{owner:?} keeps {} messages",
                log.bounded()
            );
            hold!(!log.exceeds(bounds), "{owner:?} keeps {cost} bytes");
            let mut last = log.lost();
            for entry in log.iter() {
                hold!(entry.offset > last, "{owner:?} has offset {} after {last}", entry.offset);
                last = entry.offset;
            }
            hold!(last <= log.head(), "{owner:?} has entries beyond its head");
            let lagging = stream.members.iter().filter(|member| member.lagging).count();
            hold!(lagging == stream.lagging as usize, "{owner:?} miscounts lagging members");
            hold!(
                stream.extras.fan_out.is_none() || stream.extras.ready.is_in(),
                "{owner:?} fans out without a turn"
            );
            hold!(
                stream.extras.mass_close.is_none() || stream.extras.ready.is_in(),
                "{owner:?} closes without a turn"
            );
            hold!(
                !stream.members.is_empty() || stream.delivered_to_all == log.head(),
                "{owner:?} keeps something back for nobody"
            );
            let lent = self.to_trim == Some(key);
            if stream.extras.fan_out.is_none() && stream.lagging == 0 && !lent {
                hold!(!log.exceeds_history(bounds.history), "{owner:?} keeps more than history");
            }
            for (index, member) in stream.members.iter().enumerate() {
                let cursor = member.cursor;
                hold!(
                    cursor >= stream.delivered_to_all,
                    "{owner:?}: {cursor} is before what all have passed"
                );
                hold!(cursor <= log.head(), "{owner:?} has a cursor beyond its head");
                // A live member has everything but what the running fan-out still brings.
                let fan_out = stream.extras.fan_out;
                let reached =
                    fan_out.map_or_else(|| log.head(), |fan_out| fan_out.reached(index as u32));
                let lacks = log.after(cursor).is_some_and(|entry| entry.offset <= reached);
                hold!(member.lagging || !lacks, "{owner:?}: member {index} at {cursor} was missed");
                let seated = self.conns.get(member.conn).is_some()
                    && self.conns.cold(member.conn).memberships.iter().any(|membership| {
                        membership.stream == key && membership.index as usize == index
                    });
                hold!(seated, "{owner:?}: member {index} has no such membership");
            }
            if let Some(at) = self.ages_at(key) {
                let armed = self.timers.covers(Timer::Stream(key), at);
                hold!(armed, "{owner:?} does not look at its oldest entry in time");
            }
            let owned = match owner {
                Owner::Session(slot) => self.sessions.peek(slot).map(|session| session.stream),
                Owner::Room(slot) => self.rooms.peek(slot).map(|room| room.stream),
            } == Some(key);
            hold!(owned, "{owner:?} does not own stream {key:?}");
        }
        hold!(
            (messages, bytes) == (self.counters.log_messages, self.counters.log_bytes),
            "counted {messages} messages and {bytes} bytes in all logs"
        );
        Ok(())
    }

    fn check_runs(&self) -> Result<(), String> {
        let mut kept = HashMap::with_hasher(FixedState::default());
        let mut pinned = 0;
        for (_, stream) in self.streams.iter() {
            pinned += stream.log.pinned();
            for group in stream.log.iter().filter_map(|entry| entry.group()) {
                *kept.entry(group.key).or_insert(0) += 1;
            }
        }
        let (mut open, mut of_open_runs) = (0, 0);
        for (slot, run) in self.runs.iter() {
            let kept = kept.get(&slot).copied().unwrap_or(0);
            hold!(kept == run.kept(), "run {slot:?} has {kept} entries, counted {}", run.kept());
            hold!(run.is_open() || kept > 0, "run {slot:?} has ended, and nothing is kept of it");
            open += u32::from(run.is_open());
            of_open_runs += if run.is_open() { kept as usize } else { 0 };
            hold!(self.runs.find(run.user, &run.id) == Some(slot), "run {slot:?} is not found");
            let listed = self.sessions.peek(run.session).is_some_and(|session| !session.ended)
                && self.runs_of(run.session).any(|other| other == slot);
            hold!(listed, "run {slot:?} is not its session's");
            let unopened = run.state() == RunState::Requested;
            let bare = run.agent.is_empty() && run.calls().is_empty();
            hold!(!unopened || bare, "run {slot:?} is requested, and has an agent or a call");
            let fails = run.deadline(&self.config, self.pauses).map(|(at, _)| at);
            if let Some(at) = fails.or_else(|| run.lingers_until(&self.config)) {
                let armed = self.timers.covers(Timer::Run(slot), at);
                hold!(armed, "run {slot:?} is not looked at in time");
            }
        }
        hold!(
            pinned == of_open_runs,
            "{pinned} entries are pinned, {of_open_runs} are of open runs"
        );
        hold!(open == self.runs.open(), "{open} runs are open, counted {}", self.runs.open());
        let ended: u64 = self.counters.runs_ended.iter().sum();
        hold!(
            self.counters.runs_opened == u64::from(open) + ended,
            "{} runs opened, {open} open and {ended} ended",
            self.counters.runs_opened
        );
        for (slot, session) in self.sessions.iter().filter(|(_, session)| !session.ended) {
            let open = self.runs_of(slot).filter(|run| self.runs.get(*run).is_open()).count();
            hold!(open == session.open_runs() as usize, "session {slot:?} miscounts its runs");
        }
        Ok(())
    }

    /// Budgets hold but for one entry, and every user's gauge is the sum of their logs and calls.
    fn check_budgets(&self) -> Result<(), String> {
        let mut calls = 0;
        for (slot, user) in self.sessions.iter_users_from(0) {
            let streams = self.sessions.of(slot).map(|session| self.sessions.get(session).stream);
            let logs = streams.map(|key| &self.streams[key].log);
            let (bytes, entries) = logs
                .fold((0, 0), |(bytes, entries), log| (bytes + log.bytes(), entries + log.len()));
            let runs = self.sessions.of(slot).flat_map(|session| self.runs_of(session));
            let of_calls = runs.map(|run| self.runs.get(run).call_bytes()).sum::<u64>();
            hold!(
                of_calls == user.call_bytes(),
                "user {slot:?} miscounts {of_calls} bytes of calls: {}",
                user.call_bytes()
            );
            calls += of_calls;
            let bytes = bytes + of_calls;
            let counted = user.bytes();
            hold!(bytes == counted, "user {slot:?} miscounts {bytes} bytes: {counted}");
            hold!(
                bytes <= self.config.user_bytes || entries <= 1,
                "user {slot:?} has {bytes} bytes in {entries} entries"
            );
        }
        let counters = &self.counters;
        hold!(calls == counters.call_bytes, "counted {calls} bytes of calls");
        hold!(
            counters.log_bytes + calls <= self.config.process_bytes || counters.log_messages <= 1,
            "{} bytes in all logs, {calls} of calls",
            counters.log_bytes
        );
        Ok(())
    }

    fn check_rooms(&self) -> Result<(), String> {
        let empty: HashSet<RoomKey, FixedState> = self.rooms.iter_empty().collect();
        hold!(empty.len() == self.rooms.empty(), "{} rooms are empty", empty.len());
        for (slot, room) in self.rooms.iter() {
            hold!(self.rooms.find(&room.name) == Some(slot), "room {slot:?} is not found");
            let stream = &self.streams[room.stream];
            hold!(
                !stream.members.is_empty() || !stream.log.is_empty(),
                "room {slot:?} has neither members nor history"
            );
            let is_empty = stream.members.is_empty();
            hold!(is_empty == empty.contains(&slot), "room {slot:?} is empty, or not");
        }
        let (opened, rooms) = (self.counters.rooms_opened, self.rooms.len() as u64);
        let ended: u64 = self.counters.rooms_ended_by.iter().sum();
        hold!(opened == rooms + ended, "{opened} rooms opened, {rooms} there and {ended} ended");
        hold!(
            self.streams.len() == self.rooms.len() + self.sessions.live(),
            "{} streams for {} rooms and {} sessions",
            self.streams.len(),
            self.rooms.len(),
            self.sessions.live()
        );
        Ok(())
    }

    /// What waits in the outbox is what connections are charged for, and a
    /// connection that is gone has exactly one cleanup.
    fn check_outbox(&self) -> Result<(), String> {
        let mut queued = vec![0; self.conns.end()];
        let mut cleanups = vec![0; self.conns.end()];
        hold!(self.outbox.is_sound(), "the outbox miscounts its bytes");
        for item in self.outbox.iter() {
            if let Some((conn, cost)) = item.charge() {
                hold!(self.conns.resolve(conn).is_some(), "an item for {conn:?}, which is no more");
                let void = matches!(item, OwnedAction::Ping { .. })
                    && self.conns.hot(ConnKey::of_slot(conn.index())).pulse.is_void();
                queued[conn.index()] += if void { 0 } else { cost };
            }
            if let OwnedAction::Cleanup { what: Ended::Conn(conn), .. } = item {
                cleanups[conn.index()] += 1;
            }
        }
        for (slot, hot, _) in self.conns.iter() {
            let id = self.conns.id(slot);
            let cost = queued[slot.slot()];
            let queued = hot.window.queued();
            hold!(cost == queued, "{id:?} is charged for {queued} of {cost} queued");
            let expected = usize::from(hot.state == State::Gone);
            hold!(
                cleanups[slot.slot()] == expected,
                "{id:?} is {:?}, with {} cleanups",
                hot.state,
                cleanups[slot.slot()]
            );
        }
        Ok(())
    }

    fn check_counters(&self) -> Result<(), String> {
        let counters = &self.counters;
        let closed: u64 = counters.closed.iter().sum();
        hold!(
            counters.opened == u64::from(counters.live) + closed,
            "{} opened, {} live and {closed} closed",
            counters.opened,
            counters.live
        );
        let ended: u64 = counters.sessions_ended_by.iter().sum();
        hold!(
            counters.sessions_opened == self.sessions.live() as u64 + ended,
            "{} sessions opened, {} live and {ended} ended",
            counters.sessions_opened,
            self.sessions.live()
        );
        hold!(self.notices.len() <= self.config.notices as usize, "too many notices");
        Ok(())
    }
}
