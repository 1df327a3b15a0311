//! One operation, done to the registry and to the model, and everything compared afterwards.

use core::fmt::Debug;
use core::net::IpAddr;
use core::time::Duration;

use headcount::{
    Class, ConnId, Except, Inbound, Key, Message, Outgoing, Registry, Target, Timestamp, UserScope,
    Within,
};

use super::apply_runs::runs;
use super::model::Model;
use super::model::conn::Conn;
use super::model::delivery::Delivered;
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
            Op::Reserve { source } => drop(self.reserve(source)?),
            Op::Arrive(arrival) => {
                if let Some(conn) = self.reserve(None)? {
                    self.compare()?;
                    self.come(Some(conn), &arrival)?;
                }
            }
            Op::Admit(arrival) => self.come(None, &arrival)?,
            Op::Connect { conn, arrival } => self.come(Some(self.conn(conn)), &arrival)?,
            Op::Upgraded { conn } => {
                let conn = self.conn(conn);
                self.both("upgraded", |it, at| it.upgraded(at, conn), |it| it.upgraded(conn))?;
            }
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
            Op::Disconnect { conn } => self.disconnect(self.conn(conn))?,
            Op::Refresh { conn, expiry } => {
                let (conn, until) = (self.conn(conn), expiry.map(|number| self.expiry(number)));
                let refresh = |it: &mut Registry, at| it.refresh(at, conn, until);
                self.both("refresh", refresh, |it| it.refresh(conn, until))?;
            }
            Op::Revoke { user } => self.revoke(self.user(user))?,
            Op::Drain { deadline } => {
                let deadline =
                    deadline.map(|tenths| Duration::from_millis(u64::from(tenths) * 100));
                let drain = |it: &mut Registry, at| it.drain(at, deadline);
                self.both("drain", drain, |it| it.begin_drain(deadline))?;
            }
            Op::CancelDrain => {
                self.both("cancel_drain", Registry::cancel_drain, Model::cancel_drain)?;
            }
            Op::Reload { choice, dry_run } => self.reload(choice, dry_run)?,
            Op::Live { deadlines } => {
                for _ in 0..deadlines {
                    self.poll_all()?;
                    self.flush_all()?;
                    self.advance(Advance::Exactly);
                    self.tick()?;
                    self.compare()?;
                }
            }
            Op::Tick => self.tick()?,
            Op::Advance(advance) => self.advance(advance),
            Op::Skew { millis } => self.skew = millis.into(),
            Op::Send { to, size, class, except, text } => {
                let except = except.map(|except| self.except(except));
                self.send((to, except), class, (size, text))?;
            }
            Op::Reply { conn, size } => {
                let (conn, payload) = (self.conn(conn), self.payload(self.size(size)));
                let make = || Message::text(payload.clone()).droppable();
                let reply = |it: &mut Registry, at| it.reply(at, conn, make());
                self.both("reply", reply, |it| it.reply(conn, &make()))?;
            }
            Op::ReplyAtOnce { conn, size } => {
                let (conn, payload) = (self.conn(conn), self.payload(self.size(size)));
                let bytes = payload.len();
                let reply = |it: &mut Registry, at| it.reply_at_once(at, conn, bytes);
                self.both("reply_at_once", reply, |it| it.reply_at_once(conn, &payload.into()))?;
            }
            Op::Join { conn, room, since } => self.join(self.conn(conn), room, since)?,
            Op::Follow { conn, thread, since } => self.follow(self.conn(conn), thread, since)?,
            Op::Unfollow { conn, session } => self.unfollow(self.conn(conn), session)?,
            Op::Leave { conn, room } => self.leave(self.conn(conn), &self.room(room))?,
            Op::Vacate { room } => {
                self.send((To::Room(room), None), op::Class::Critical, (1, true))?;
                let (room, polls) = (self.room(room), room % 2 == 1);
                let source = Source::Room(room.clone());
                self.compare()?;
                while polls && self.model.is_before_its_first(&source) {
                    self.poll()?;
                }
                for conn in self.model.members(&source) {
                    self.compare()?;
                    self.leave(conn, &room)?;
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
        self.compare()?;
        self.model.compare_survey(&self.registry, &self.names)
    }

    /// One call to the registry, and what the model does at the same instant: the answers are the same.
    pub(crate) fn both<R: PartialEq + Debug>(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut Registry, Timestamp) -> R,
        model: impl FnOnce(&mut Model) -> R,
    ) -> Check {
        let stamp = self.stamp();
        let got = self.registry.call(|it| call(it, stamp));
        same!(got, model(&mut self.model), "{name}");
        Ok(())
    }

    /// Makes a call for an audience: one of a user's own, or one of the registry.
    fn address<R>(
        &mut self,
        to: To,
        own: impl FnOnce(UserScope<'_>, Within<'_>) -> R,
        call: impl FnOnce(&mut Registry, Target<'_>) -> R,
    ) -> R {
        let names = &self.names;
        let within = match to {
            To::Own(user) => Some((user, Within::Everywhere)),
            To::Thread(user, thread) => Some((user, Within::Thread(names.thread(thread)))),
            To::Run(user, run) => Some((user, Within::Run(names.run(run)))),
            _ => None,
        };
        let target = match to {
            To::Conn(pick) => Target::Conn(self.conn(pick)),
            To::Session(pick) => Target::Session(self.session(pick)),
            To::SessionOf(pick) => Target::SessionOf(self.conn(pick)),
            To::UserOf(pick) => Target::UserOf(self.conn(pick)),
            To::User(user) | To::Own(user) | To::Thread(user, _) | To::Run(user, _) => {
                Target::User(names.user(user))
            }
            To::Room(room) => Target::Room(names.room(room)),
            To::Everyone => Target::Everyone,
        };
        self.registry.call(|it| match within {
            Some((user, within)) => own(it.scope(names.user(user)), within),
            None => call(it, target),
        })
    }

    /// Everything that an operation may change is as the model says, and the registry agrees with
    /// itself.
    pub(crate) fn compare(&mut self) -> Check {
        self.registry.check_memory()?;
        self.registry.check().map_err(|violation| violation.to_string())?;
        self.model.learn_deadlines(&self.registry)?;
        self.model.compare_runs(&runs(&self.registry, &self.names))?;
        self.model.compare(&self.registry, &self.names, &self.conns, &self.sessions)
    }

    fn revoke(&mut self, user: u8) -> Check {
        let name = self.names.user(user).clone();
        self.both("revoke", |it, at| it.revoke(at, &name), |it| it.revoke(user))
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
                self.disconnect(conn)?;
            }
        }
        self.poll_all()?;
        if let Some(conn) = self.reserve(None)? {
            self.compare()?;
            self.come(Some(conn), arrival)?;
            self.compare()?;
            self.join(conn, room, Since::Kept)?;
        }
        Ok(())
    }

    fn reload(&mut self, choice: u8, dry_run: bool) -> Check {
        let config = settings::after(&self.model.config, choice);
        let stamp = self.stamp();
        if dry_run {
            let got = self.registry.call(|it| it.preview_reload(stamp, &config));
            return self.model.preview_reload(&config, got);
        }
        self.grammar.chunk_is(config.fanout_chunk());
        self.registry.expect_config(&config);
        let got = self.registry.call(|it| it.reload(stamp, config.clone()));
        self.model.reload(config, got)
    }

    fn reserve(&mut self, source: Option<u8>) -> Result<Option<ConnId>, String> {
        let stamp = self.stamp();
        // Few enough that each soon has more than its share, and one of an IPv6 network.
        let source = source.map(|number| number % 3);
        let address = |number: u8| match number {
            0 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, self.conns.len() as u16]),
            some => IpAddr::from([192, 0, 2, some]),
        };
        let from = source.map(|number| headcount::Source::from(address(number)));
        let got = self.registry.call(|it| it.reserve(stamp, from));
        if let Ok(conn) = got {
            self.grammar.reserved(conn)?;
            self.conns.push(conn);
        }
        same!(got, self.model.reserve(source, got.ok()), "reserve");
        Ok(got.ok())
    }

    /// A connection that was reserved, or one that is upgraded and known already, is to be admitted.
    fn come(&mut self, conn: Option<ConnId>, arrival: &Arrival) -> Check {
        let user = self.user(arrival.user);
        let thread = Self::names_thread(arrival).map(|thread| self.thread(thread));
        let stamp = self.stamp();
        let session = thread.and_then(|thread| self.model.session_of(user, thread));
        let previous = arrival.previous.map(|pick| self.conn(pick));
        let start = self.start(arrival.resume, session.map(Source::Session).as_ref());
        let expires = arrival.expiry.map(|number| self.expiry(number));
        let names = &self.names;
        let got = self.registry.call(|it| {
            let who = Self::principal(names, arrival, expires);
            match conn {
                Some(conn) => {
                    let admitted = it.connect(stamp, conn, who, start.clone(), previous);
                    admitted.map(|admitted| (conn, admitted))
                }
                None => it.admit(stamp, who, start.clone(), previous),
            }
        });
        if let (None, Ok((conn, _))) = (conn, got) {
            self.grammar.reserved(conn)?;
            self.conns.push(conn);
        }
        if let Ok((conn, admitted)) = got
            && let Some(followed) = admitted.followed
        {
            self.seat(conn, followed)?;
        }
        let who = (user, thread, arrival.label, Self::kind(arrival));
        let limit = arrival.limit.map(Self::limit);
        let tenant = Self::tenant(arrival);
        self.model.connect(conn, who, (&start, previous), (expires, limit, tenant), &got)
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
        let message = |it: &mut Registry, at| it.message(at, conn, inbound);
        self.both("message", message, |it| it.message(conn, inbound))
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) -> Check {
        self.both("disconnect", |it, at| it.disconnect(at, conn), |it| it.disconnect(conn))
    }

    pub(crate) fn close(&mut self, to: To, reason: u8) -> Check {
        let (audience, stamp, with) = (self.audience(to), self.stamp(), Self::close_with(reason));
        let got = self.address(
            to,
            |mut it, within| it.close(stamp, within, with.clone()),
            |it, target| it.close(stamp, target, with.clone()),
        );
        same!(got, self.model.close(&audience, &with), "close");
        Ok(())
    }

    fn send(
        &mut self,
        (to, except): (To, Option<Except>),
        class: op::Class,
        (size, text): (u8, bool),
    ) -> Check {
        let (audience, stamp) = (self.audience(to), self.stamp());
        let mut bytes = self.size(size);
        if to == To::Everyone {
            // Announcements have no position: the payload is all that tells them apart.
            bytes = bytes.max(8);
        }
        let class = match class {
            op::Class::Critical => Class::Critical,
            op::Class::Latest(key) => {
                Class::Latest(Key::new(format!("key-{key}")).expect("a fine key"))
            }
            op::Class::Droppable => Class::Droppable,
        };
        let payload = self.payload(bytes);
        // Each call makes one that shares nothing with the other: what the registry holds is its own.
        let make = || {
            let payload = payload.clone();
            let message = if text { Message::text(payload) } else { Message::binary(payload) };
            match &class {
                Class::Critical => message,
                Class::Latest(key) => message.latest(key.as_str().parse().expect("a fine key")),
                Class::Droppable => message.droppable(),
            }
        };
        let send = || match except {
            Some(Except::Connection(conn)) => make().except_connection(conn),
            Some(Except::Session(conn)) => make().except_session(conn),
            Some(Except::User(conn)) => make().except_user(conn),
            None => Outgoing::from(make()),
        };
        let got = self.address(
            to,
            |mut it, within| it.send(stamp, within, send()),
            |it, target| it.send(stamp, target, send()),
        );
        let expected = self.model.send(&audience, (&make(), class), except);
        same!(
            got.reaches_none(),
            expected == Delivered::default(),
            "send: whether {got:?} reaches none"
        );
        same!(Delivered::from(&got), expected, "send");
        Ok(())
    }

    /// Ticks until nothing is due. The budget of a tick is one, so that each acts on one deadline.
    pub(crate) fn tick(&mut self) -> Check {
        let mut stamp = self.stamp();
        let now = stamp.max(self.model.now);
        let model = &self.model;
        let known =
            model.conns.len() + model.sessions.len() + model.streams.len() + model.runs.len();
        // Each has a deadline or two, and may have a stale one beside it.
        let mut left = 16 + 8 * known + 2 * self.conns.len();
        loop {
            self.registry.call(|it| it.tick(stamp));
            let runs = runs(&self.registry, &self.names);
            let has_acted = self.model.tick(&self.registry, &runs)?;
            if self.registry.poll_timeout().is_none_or(|at| at.as_millis() > now.as_millis()) {
                break;
            }
            if has_acted {
                self.compare()?;
            } else {
                left -= 1;
                ensure!(left > 0, "ticks at {now:?} do nothing, and there is still something due");
            }
            stamp = now;
        }
        self.registry.call(|it| it.tick(now));
        self.model.ticked();
        Ok(())
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

    /// Polls one action; whether there was one.
    pub(crate) fn poll(&mut self) -> Result<bool, String> {
        let action = self.registry.call(Registry::poll_action);
        let seen = action.map(|action| (action.cost(), Seen::from(&action)));
        let expected = self.model.poll();
        let (cost, seen) = seen.unzip();
        ensure!(seen == expected, "polled {seen:?}, expected {expected:?}");
        // The model's own is kept: a shared payload would be held for longer than the registry does.
        let Some(seen) = expected else {
            let more = self.registry.call(Registry::poll_action);
            ensure!(more.is_none(), "an action after silence");
            self.grammar.silence();
            return Ok(false);
        };
        self.grammar.action(&seen)?;
        ensure!(cost == Some(seen.cost()), "{seen:?} costs {cost:?}, expected {}", seen.cost());
        self.transcript.push(seen);
        self.compare()?;
        Ok(true)
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
