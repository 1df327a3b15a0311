//! One operation, done to the registry and to the model, and everything compared afterwards.

use core::net::IpAddr;
use core::time::Duration;

use headcount::{
    ConnId, Except, Inbound, Input, Key, Message, Registry, Target, Timestamp, UserId, Within,
};

use super::model::closing::Audience;
use super::model::conn::Conn;
use super::model::names::Name;
use super::op::{self, Advance, Arrival, Incoming, Op, RunReport, Since, To};
use super::seen::{Seen, Source};
use super::settings;
use super::world::World;
use super::{Check, ensure, same};

impl World {
    /// Does one operation. An error says how registry and model disagree.
    ///
    /// # Errors
    /// What disagrees, as a sentence. The world is of no further use then.
    pub fn apply(&mut self, op: &Op) -> Check {
        match *op {
            Op::Reserve { source } => drop(self.reserve_from(source)?),
            Op::Arrive(arrival) => {
                if let Some(conn) = self.reserve_from(None)? {
                    self.compare()?;
                    self.arrive(Some(conn), &arrival)?;
                }
            }
            Op::Admit(arrival) => self.arrive(None, &arrival)?,
            Op::Connect { conn, arrival } => self.arrive(Some(self.conn(conn)), &arrival)?,
            Op::Upgraded { conn } => self.call(Input::Upgraded { conn: self.conn(conn) })?,
            Op::Message { conn, kind } => self.come_in(self.conn(conn), kind)?,
            Op::Chatter { conn, kind, count } => {
                let conn = self.conn(conn);
                let cheap = matches!(kind, Incoming::Fragment | Incoming::Ping | Incoming::Pong);
                for _ in 0..usize::from(count) * if cheap { 8 } else { 1 } {
                    self.come_in(conn, kind)?;
                    self.compare()?;
                }
            }
            Op::Flushed { conn, how } => self.flush(self.conn(conn), how)?,
            Op::FlushedMany { first, count, how } => self.flush_many(first, count, how)?,
            Op::FlushAll => self.flush_all()?,
            Op::Disconnect { conn } => self.call(Input::Disconnect { conn: self.conn(conn) })?,
            Op::Refresh { conn, expiry } => {
                let expires_at = expiry.map(|number| self.expiry(number));
                self.call(Input::Refresh { conn: self.conn(conn), expires_at })?;
            }
            Op::Revoke { user } => self.revoke(self.user(user))?,
            Op::Drain { deadline } => {
                let deadline =
                    deadline.map(|tenths| Duration::from_millis(u64::from(tenths) * 100));
                self.call(Input::Drain { deadline })?;
            }
            Op::CancelDrain => self.call(Input::CancelDrain)?,
            Op::Reload { choice, dry_run } => self.reload_to(choice, dry_run)?,
            Op::Live { deadlines } => {
                for _ in 0..deadlines {
                    self.poll_all()?;
                    self.flush_all()?;
                    self.advance(Advance::Exactly);
                    self.call(Input::Tick)?;
                    self.compare()?;
                }
            }
            Op::Tick => self.call(Input::Tick)?,
            Op::Advance(advance) => self.advance(advance),
            Op::Skew { millis } => self.skew = millis.into(),
            Op::Send { to, size, class, except, text } => {
                let except = except.map(|except| self.except(except));
                self.send((to, except), class, (size, text))?;
            }
            Op::Reply { conn, size } => {
                let message = Message::text(self.payload(self.size(size))).droppable();
                self.call(Input::Reply { conn: self.conn(conn), message: &message })?;
            }
            Op::ReplyAtOnce { conn, size } => {
                let bytes = self.payload(self.size(size)).len();
                self.call(Input::ReplyAtOnce { conn: self.conn(conn), bytes })?;
            }
            Op::Join { conn, room, since } => self.join(self.conn(conn), room, since)?,
            Op::Follow { conn, thread, since } => {
                self.follow_thread(self.conn(conn), thread, since)?;
            }
            Op::Unfollow { conn, session } => self.unfollow(self.conn(conn), session)?,
            Op::Leave { conn, room } => {
                let (conn, room) = (self.conn(conn), &self.room(room));
                self.call(Input::Leave { conn, room })?;
            }
            Op::Vacate { room } => {
                self.send((To::Room(room), None), op::Class::Critical, (1, true))?;
                let (room, polls) = (&self.room(room), room % 2 == 1);
                let source = Source::Room(room.clone());
                self.compare()?;
                while polls && self.model.is_before_its_first(&source) {
                    self.poll()?;
                }
                for conn in self.model.members(&source) {
                    self.compare()?;
                    self.call(Input::Leave { conn, room })?;
                }
            }
            Op::Forget { conn, room, arrival } => self.forget(self.conn(conn), room, &arrival)?,
            Op::Acknowledge { conn, room, upto } => self.acknowledge(conn, room, upto)?,
            Op::Close { to, reason } => self.close(to, reason)?,
            Op::OpenRun { user, thread, run, size } => self.open_run((user, thread), run, size)?,
            Op::RunEvent { user, run, event } => self.run_event(user, run, event)?,
            Op::RequestRun { conn, thread, run, size } => {
                self.request_run(self.conn(conn), thread, run, size)?;
            }
            Op::RequestCancel { conn, run, size } => {
                self.request_cancel(self.conn(conn), run, size)?;
            }
            Op::Talk { run, pieces, size } => {
                for _ in 0..pieces {
                    self.run_event(0, run, RunReport::Text(size))?;
                    self.compare()?;
                    self.poll()?;
                    self.compare()?;
                }
            }
            Op::Poll { count } => {
                let mut left = 0..count;
                while left.next().is_some() && self.poll()? {}
            }
            Op::PollAll => self.poll_all()?,
            Op::Restore => self.registry.restore()?,
            Op::Notices { count } => {
                let mut left = 0..count;
                while left.next().is_some() && self.notice()? {}
            }
        }
        self.compare_all()
    }

    /// One input at the instant of the driver's clock.
    pub(crate) fn call(&mut self, input: Input<'_>) -> Check {
        let at = self.stamp();
        self.input(at, input)
    }

    /// The stamp of a call that is no input, which the model takes, too.
    fn enter(&mut self) -> Timestamp {
        let at = self.stamp();
        self.model.clock(at, self.registry.poll_timeout());
        at
    }

    /// Everything that an operation may change is as the model says, and the registry agrees with
    /// itself.
    pub(crate) fn compare(&mut self) -> Check {
        self.registry.check_memory()?;
        self.registry.check().map_err(|violation| violation.to_string())?;
        self.model.learn_deadlines(&self.registry)?;
        self.model.compare_runs(&self.registry)?;
        self.model.compare(&self.registry, &self.conns, &self.sessions)
    }

    /// The same with what is read of many at once, and of those that have gone.
    ///
    /// # Errors
    /// What disagrees, as a sentence.
    pub fn compare_all(&mut self) -> Check {
        self.compare()?;
        self.model.compare_survey(&self.registry)
    }

    fn revoke(&mut self, user: Name) -> Check {
        let user = self.model.names.users.name(user).clone();
        self.call(Input::Revoke { user: &user })
    }

    fn forget(&mut self, conn: ConnId, room: u8, arrival: &Arrival) -> Check {
        let except = Some(Except::User(conn));
        self.send((To::Room(room), except), op::Class::Critical, (1, true))?;
        self.compare()?;
        if let Some(user) = self.model.conns.get(&conn).and_then(Conn::user) {
            self.revoke(user)?;
            let is_theirs = |id: &ConnId| self.model.conns[id].user() == Some(user);
            let closing: Vec<_> = self.model.closing.iter().copied().filter(is_theirs).collect();
            for conn in closing {
                self.compare()?;
                self.call(Input::Disconnect { conn })?;
            }
        }
        self.poll_all()?;
        if let Some(conn) = self.reserve_from(None)? {
            self.compare()?;
            self.arrive(Some(conn), arrival)?;
            self.compare()?;
            self.join(conn, room, Since::Kept)?;
        }
        Ok(())
    }

    fn reload_to(&mut self, choice: u8, dry_run: bool) -> Check {
        let config = settings::after(&self.model.config, choice);
        if !dry_run {
            return self.call(Input::Reload { config: &config });
        }
        let at = self.enter();
        let got = self.registry.call(|it| it.preview_reload(at, &config));
        self.model.preview_reload(&config, got)
    }

    fn reserve_from(&mut self, source: Option<u8>) -> Result<Option<ConnId>, String> {
        // Few enough that each soon has more than its share, and one of an IPv6 network.
        let address = |number: u8| match number % 3 {
            0 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, self.conns.len() as u16]),
            some => IpAddr::from([192, 0, 2, some]),
        };
        let source = source.map(|number| headcount::Source::from(address(number)));
        let before = self.conns.len();
        self.call(Input::Reserve { source })?;
        Ok(self.conns.get(before).copied())
    }

    /// A connection that was reserved, or one that is upgraded and known already, is to be admitted.
    fn arrive(&mut self, conn: Option<ConnId>, arrival: &Arrival) -> Check {
        let who = &self.principal(arrival);
        let thread = Self::names_thread(arrival).map(|thread| self.thread(thread));
        let session = thread.and_then(|it| self.model.session_of(self.user(arrival.user), it));
        let start = &self.start(arrival.resume, session.map(Source::Session).as_ref());
        let previous = arrival.previous.map(|pick| self.conn(pick));
        self.call(match conn {
            Some(conn) => Input::Connect { conn, who, start, previous },
            None => Input::Admit { who, start, previous },
        })
    }

    fn come_in(&mut self, conn: ConnId, kind: Incoming) -> Check {
        let largest = self.model.config.message_bytes();
        let inbound = match kind {
            Incoming::Data => Inbound::Data { bytes: 0 },
            Incoming::Largest => Inbound::Data { bytes: largest },
            Incoming::TooLarge => Inbound::Data { bytes: largest + 1 },
            Incoming::Life => Inbound::Bytes { bytes: 1, partial: false },
            Incoming::Piece => Inbound::Bytes { bytes: 1, partial: true },
            Incoming::Bulk => Inbound::Bytes { bytes: 2_000, partial: true },
            Incoming::Fragment => Inbound::Fragment,
            Incoming::Ping => Inbound::Ping,
            Incoming::Pong => Inbound::Pong,
        };
        self.call(Input::Message { conn, inbound })
    }

    /// Makes a call for an audience: one of a user's own, or one of the registry.
    fn address(
        &mut self,
        to: To,
        own: impl FnOnce(&mut Self, &UserId, Within<'_>) -> Check,
        other: impl FnOnce(&mut Self, Target<'_>) -> Check,
    ) -> Check {
        let user = |it: &Self, number| it.model.names.users.name(it.user(number)).clone();
        match to {
            To::Own(number) => own(self, &user(self, number), Within::Everywhere),
            To::Thread(number, thread) => {
                let thread = self.thread_name(thread);
                own(self, &user(self, number), Within::Thread(&thread))
            }
            To::Run(number, run) => {
                let run = self.run(run);
                own(self, &user(self, number), Within::Run(&run))
            }
            To::Conn(pick) => other(self, Target::Conn(self.conn(pick))),
            To::Session(pick) => other(self, Target::Session(self.session(pick))),
            To::SessionOf(pick) => other(self, Target::SessionOf(self.conn(pick))),
            To::UserOf(pick) => other(self, Target::UserOf(self.conn(pick))),
            To::User(number) => other(self, Target::User(&user(self, number))),
            To::Room(room) => other(self, Target::Room(&self.room(room))),
            To::Everyone => other(self, Target::Everyone),
        }
    }

    /// Whom a call of a user's own is for.
    fn audience_within(&self, user: &UserId, within: Within<'_>) -> Audience {
        let user = self.model.names.users.find(user).unwrap_or_default();
        let session = match within {
            Within::Everywhere => return Audience::User(user),
            Within::Thread(thread) => {
                let thread = self.model.names.threads.find(thread);
                thread.and_then(|thread| self.model.session_of(user, thread))
            }
            Within::Run(run) => {
                let number = self.model.find_run(user, run);
                number.map(|number| self.model.runs[&number].session)
            }
            _ => None,
        };
        Audience::Sessions(session.into_iter().collect())
    }

    pub(crate) fn close(&mut self, to: To, reason: u8) -> Check {
        let with = &Self::close_with(reason);
        let own = |it: &mut Self, user: &UserId, within: Within<'_>| {
            let (audience, at) = (it.audience_within(user, within), it.enter());
            let close = |it: &mut Registry| it.scope(user).close(at, within, with.clone());
            it.both("close", close, |it| it.close(&audience, with))
        };
        self.address(to, own, |it, to| it.call(Input::Close { to, with }))
    }

    fn send(
        &mut self,
        (to, except): (To, Option<Except>),
        class: op::Class,
        (size, text): (u8, bool),
    ) -> Check {
        let mut bytes = self.size(size);
        if to == To::Everyone {
            // Announcements have no position: the payload is all that tells them apart.
            bytes = bytes.max(8);
        }
        let payload = self.payload(bytes);
        let message = if text { Message::text(payload) } else { Message::binary(payload) };
        let message = &match class {
            op::Class::Critical => message,
            op::Class::Latest(key) => {
                message.latest(Key::new(format!("key-{key}")).expect("a fine key"))
            }
            op::Class::Droppable => message.droppable(),
        };
        let own = |it: &mut Self, user: &UserId, within: Within<'_>| {
            let (audience, at) = (it.audience_within(user, within), it.enter());
            let send = |it: &mut Registry, outgoing| it.scope(user).send(at, within, outgoing);
            it.sent(&audience, (message, except), send)
        };
        self.address(to, own, |it, to| it.call(Input::Send { to, message, except }))
    }

    pub(crate) fn advance(&mut self, advance: Advance) {
        let next = self.registry.poll_timeout().unwrap_or(self.now).max(self.now);
        self.now = match advance {
            Advance::Nanos(some) => self.now + Duration::from_nanos(u64::from(some) * 7_919),
            Advance::Millis(some) => self.now + Duration::from_millis(some.into()),
            Advance::Before => {
                self.now.max(Timestamp::from_nanos(next.as_nanos().saturating_sub(1)))
            }
            Advance::Exactly => next,
            Advance::Past(some) => next + Duration::from_millis(some.into()),
            Advance::Far(some) => self.now + Duration::from_secs(600 * u64::from(some)),
            Advance::Ages(some) => {
                self.now + Duration::from_secs(60 * 24 * 3_600 * u64::from(some))
            }
        };
    }

    /// Polls one notice; whether there was one.
    pub(crate) fn notice(&mut self) -> Result<bool, String> {
        let notice = self.registry.call(Registry::poll_notice);
        same!(notice, self.model.notices.pop_front(), "the next notice");
        Ok(notice.is_some())
    }

    /// Polls one action, and compares everything; whether there was one.
    pub(crate) fn poll(&mut self) -> Result<bool, String> {
        let Some(seen) = self.poll_one()? else { return Ok(false) };
        self.transcript.push(seen);
        self.compare()?;
        Ok(true)
    }

    /// Polls one action.
    ///
    /// # Errors
    /// The registry's is not the model's, as a sentence.
    pub fn poll_one(&mut self) -> Result<Option<Seen>, String> {
        let action = self.registry.call(Registry::poll_action);
        let seen = action.map(|action| (action.cost(), Seen::from(&action)));
        let expected = self.model.poll();
        let (cost, seen) = seen.unzip();
        ensure!(
            seen == expected,
            "polled {}, expected {}",
            Seen::brief(seen.as_ref()),
            Seen::brief(expected.as_ref())
        );
        // The model's own is kept: a shared payload would be held for longer than the registry does.
        let Some(seen) = expected else {
            // One that has passed much ends with nothing, and the next one goes on.
            if !self.registry.has_actions() {
                let more = self.registry.call(Registry::poll_action);
                ensure!(more.is_none(), "an action after silence");
                self.grammar.silence();
            }
            return Ok(None);
        };
        self.grammar.action(&seen)?;
        ensure!(cost == Some(seen.cost()), "{seen:?} costs {cost:?}, expected {}", seen.cost());
        Ok(Some(seen))
    }

    pub(crate) fn poll_all(&mut self) -> Check {
        // More than all logs and outboxes together can hold, for everyone.
        let limit = 100_000;
        for _ in 0..limit {
            if !self.poll()? {
                return Ok(());
            }
        }
        Err(format!("{limit} actions, and no end"))
    }
}
