//! One operation, done to the registry and to the model, and everything compared afterwards.

use core::net::IpAddr;
use core::time::Duration;

use headcount::{ConnId, Inbound, Registry, Resume, RoomId, Timestamp, Within};

use super::model::closing::Audience;
use super::model::delivery::Delivered;
use super::op::{Advance, Arrival, Class, Flush, Incoming, Op, Pick, RunReport, Since, To};
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
                    self.connect(conn, &arrival)?;
                }
            }
            Op::Admit(arrival) => self.come(None, &arrival)?,
            Op::Connect { conn, arrival } => self.connect(self.conn(conn), &arrival)?,
            Op::Upgraded { conn } => {
                let (conn, stamp) = (self.conn(conn), self.stamp());
                let got = self.registry.call(|it| it.upgraded(stamp, conn));
                same("upgraded", &got, &self.model.upgraded(conn))?;
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
            Op::FlushAll => self.flush_all()?,
            Op::Disconnect { conn } => self.disconnect(self.conn(conn))?,
            Op::Refresh { conn, expiry } => {
                let (conn, stamp) = (self.conn(conn), self.stamp());
                let expires = expiry.map(|number| self.expiry(number));
                let got = self.registry.call(|it| it.refresh(stamp, conn, expires));
                same("refresh", &got, &self.model.refresh(conn, expires))?;
            }
            Op::Revoke { user } => {
                let (user, stamp) = (self.user(user), self.stamp());
                let name = &self.names.users[usize::from(user)];
                let got = self.registry.call(|it| it.revoke(stamp, name));
                same("revoke", &got, &self.model.revoke(user))?;
            }
            Op::Drain { deadline } => {
                let stamp = self.stamp();
                let deadline =
                    deadline.map(|tenths| Duration::from_millis(u64::from(tenths) * 100));
                self.registry.call(|it| it.drain(stamp, deadline));
                self.model.begin_drain(deadline);
            }
            Op::CancelDrain => {
                let stamp = self.stamp();
                let got = self.registry.call(|it| it.cancel_drain(stamp));
                same("cancel_drain", &got, &self.model.cancel_drain())?;
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
                let except = except.map(|pick| self.conn(pick));
                self.send((to, except), class, (size, text))?;
            }
            Op::Reply { conn, size } => {
                let (conn, stamp) = (self.conn(conn), self.stamp());
                let draft = self.draft(self.size(size), true, Class::Droppable, None);
                self.registry.expect_payload(draft.len());
                let got = self.registry.call(|it| it.reply(stamp, conn, draft.make()));
                same("reply", &got, &self.model.reply(conn, &draft.message))?;
            }
            Op::Join { conn, room, since } => {
                let (conn, room, stamp) = (self.conn(conn), self.room(room), self.stamp());
                let since = self.since(since, Some(&Source::Room(room.clone())));
                let got = self.registry.call(|it| it.join(stamp, conn, &room, since));
                if let Ok(joined) = got
                    && !joined.already
                {
                    self.grammar.seated(conn, Source::Room(room.clone()), joined.position);
                }
                let epoch = got.map_or(0, |joined| joined.position.epoch);
                let got = got.map(|joined| (joined.position, joined.recovered, joined.already));
                same("join", &got, &self.model.join(conn, &room, since, epoch))?;
            }
            Op::Leave { conn, room } => self.leave(self.conn(conn), &self.room(room))?,
            Op::Vacate { room } => {
                self.send((To::Room(room), None), Class::Critical, (1, true))?;
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
            Op::Acknowledge { conn, room, upto } => self.acknowledge(conn, room, upto)?,
            Op::Close { to, reason } => match to {
                To::Own(user) | To::Thread(user, _) | To::Run(user, _) => {
                    self.close_within(user, to, reason)?;
                }
                _ => self.close(&self.audience(to), reason)?,
            },
            Op::OpenRun { user, thread, run, size } => self.open_run((user, thread), run, size)?,
            Op::RunEvent { user, run, event } => self.run_event(user, run, event)?,
            Op::Talk { run, pieces, size } => {
                for _ in 0..pieces {
                    self.run_event(0, run, RunReport::Text(size))?;
                    self.compare()?;
                    self.poll()?;
                    self.compare()?;
                }
            }
            Op::Poll { count } => {
                for _ in 0..count {
                    if !self.poll()? {
                        break;
                    }
                }
            }
            Op::PollAll => self.poll_all()?,
            Op::Notices { count } => {
                for _ in 0..count {
                    let notice = self.registry.call(Registry::poll_notice);
                    self.model.noticed(notice.as_ref())?;
                    if notice.is_none() {
                        break;
                    }
                }
            }
        }
        self.compare()?;
        self.model.compare_survey(&self.registry, &self.names)
    }

    /// Everything that an operation may change is as the model says, and the registry agrees with
    /// itself.
    pub(crate) fn compare(&mut self) -> Check {
        self.registry.check_memory()?;
        self.registry.check().map_err(|violation| violation.to_string())?;
        self.model.learn_deadlines(&self.registry)?;
        let explained = self.explained();
        self.model.compare_runs(&explained)?;
        self.model.compare(&self.registry, &self.names, &self.conns, &self.sessions)
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
        same("reserve", &got, &self.model.reserve(source, got.ok()))?;
        Ok(got.ok())
    }

    fn connect(&mut self, conn: ConnId, arrival: &Arrival) -> Check {
        self.come(Some(conn), arrival)
    }

    /// A connection that was reserved, or one that is upgraded and known already, is to be admitted.
    fn come(&mut self, conn: Option<ConnId>, arrival: &Arrival) -> Check {
        let (user, thread) = (self.user(arrival.user), self.thread(arrival.thread));
        let stamp = self.stamp();
        let source = self.model.session_of(user, thread).map(Source::Session);
        let previous = arrival.previous.map(|pick| self.conn(pick));
        let position = self.since(arrival.resume, source.as_ref());
        let unseen = arrival.resume == Since::Unseen;
        let resume =
            position.map(|position| Resume { position: (!unseen).then_some(position), previous });
        let expires = arrival.expiry.map(|number| self.expiry(number));
        let names = &self.names;
        let got = self.registry.call(|it| {
            let who = Self::principal(names, arrival, (user, thread));
            let who = match expires {
                Some(at) => who.with_expiry(at),
                None => who,
            };
            let who = match arrival.limit {
                Some(number) => who.with_max_connections(Self::limit(number)),
                None => who,
            };
            match conn {
                Some(conn) => it.connect(stamp, conn, who, resume).map(|admitted| (conn, admitted)),
                None => it.admit(stamp, who, resume),
            }
        });
        if let (None, Ok((conn, _))) = (conn, got) {
            self.grammar.reserved(conn)?;
            self.conns.push(conn);
        }
        if let Ok((conn, admitted)) = got {
            self.grammar.admitted(conn, admitted.session, admitted.new_session)?;
            if admitted.new_session {
                self.sessions.push(admitted.session);
            }
            self.grammar.seated(conn, Source::Session(admitted.session), admitted.position);
        }
        let who = (user, thread, arrival.label);
        let limit = arrival.limit.map(Self::limit);
        self.model.connect(conn, who, (resume, expires, limit), &got)
    }

    fn come_in(&mut self, conn: ConnId, kind: Incoming) -> Check {
        let (largest, stamp) = (self.model.config.message_bytes(), self.stamp());
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
        let got = self.registry.call(|it| it.message(stamp, conn, inbound));
        same("message", &got, &self.model.message(conn, inbound))
    }

    fn leave(&mut self, conn: ConnId, room: &RoomId) -> Check {
        let stamp = self.stamp();
        let got = self.registry.call(|it| it.leave(stamp, conn, room));
        if got == Ok(true) {
            self.grammar.left(conn, &Source::Room(room.clone()));
        }
        same("leave", &got, &self.model.leave(conn, room))
    }

    fn flush(&mut self, conn: ConnId, how: Flush) -> Check {
        let stamp = self.stamp();
        let (flushed, handed) =
            self.model.conns.get(&conn).map_or((0, 0), |conn| (conn.flushed, conn.handed));
        let total = match how {
            Flush::All => handed,
            Flush::Half => flushed + (handed - flushed).div_ceil(2),
            Flush::Some(some) => flushed + u64::from(some),
            Flush::Nothing => flushed,
            Flush::Beyond => handed.saturating_add(u64::MAX / 2),
            Flush::Backwards => flushed / 2,
        };
        let got = self.registry.call(|it| it.flushed(stamp, conn, total));
        same("flushed", &got, &self.model.flushed(conn, total))
    }

    pub(crate) fn flush_all(&mut self) -> Check {
        // Of those that have anything in flight: no kernel has news of the others.
        let busy = self.model.conns.values().filter(|conn| conn.handed > conn.flushed);
        for conn in busy.map(|conn| conn.id).collect::<Vec<_>>() {
            self.flush(conn, Flush::All)?;
            self.compare()?;
        }
        Ok(())
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) -> Check {
        let stamp = self.stamp();
        let got = self.registry.call(|it| it.disconnect(stamp, conn));
        same("disconnect", &got, &self.model.disconnect(conn))
    }

    pub(crate) fn close(&mut self, audience: &Audience, reason: u8) -> Check {
        let (stamp, reason) = (self.stamp(), Self::reason(reason));
        let target = Self::target(&self.names, audience);
        let got = self.registry.call(|it| it.close(stamp, target, reason));
        same("close", &got, &self.model.close(audience, reason))
    }

    fn acknowledge(&mut self, conn: Pick, room: Option<u8>, upto: Since) -> Check {
        let (conn, room, stamp) = (self.conn(conn), room.map(|room| self.room(room)), self.stamp());
        let source = match &room {
            Some(room) => Some(Source::Room(room.clone())),
            None => self.model.conns.get(&conn).and_then(|it| it.session()).map(Source::Session),
        };
        let stream = source.as_ref().and_then(|source| self.model.streams.get(source));
        let cursor = stream.and_then(|stream| stream.seat(conn)).map_or(0, |seat| seat.cursor);
        let offset = self.since(upto, source.as_ref()).map_or(cursor, |position| position.offset);
        let got = self.registry.call(|it| it.acknowledge(stamp, conn, room.as_ref(), offset));
        same("acknowledge", &got, &self.model.acknowledge(conn, room.as_ref(), offset))
    }

    fn send(
        &mut self,
        (to, except): (To, Option<ConnId>),
        class: Class,
        (size, text): (u8, bool),
    ) -> Check {
        let (audience, stamp) = (self.audience(to), self.stamp());
        let mut bytes = self.size(size);
        if matches!(audience, Audience::Everyone) {
            // Announcements have no position: the payload is all that tells them apart.
            bytes = bytes.max(8);
        }
        let draft = self.draft(bytes, text, class, except);
        self.registry.expect_payload(draft.len());
        let got = match to {
            To::Thread(user, thread) => {
                let thread = self.names.threads[usize::from(self.thread(thread))].clone();
                self.own(user, |mut it| it.send(stamp, Within::Thread(&thread), draft.make()))
            }
            To::Run(user, run) => {
                let run = self.run(run);
                self.own(user, |mut it| it.send(stamp, Within::Run(&run), draft.make()))
            }
            To::Own(user) => {
                self.own(user, |mut it| it.send(stamp, Within::Everywhere, draft.make()))
            }
            _ => {
                let target = Self::target(&self.names, &audience);
                self.registry.call(|it| it.send(stamp, target, draft.make()))
            }
        };
        let message = (&draft.message, draft.class());
        let expected = self.model.send(&audience, message, except);
        let reaches_none = expected == Delivered::default();
        ensure!(
            got.nobody() == reaches_none,
            "send: {got:?}, expected to reach none: {reaches_none}"
        );
        same("send", &Delivered::from(&got), &expected)
    }

    /// Ticks until nothing is due. The budget of a tick is one, so that each acts on one deadline.
    pub(crate) fn tick(&mut self) -> Check {
        let mut stamp = self.stamp();
        let now = stamp.max(self.model.now);
        let known = self.model.conns.len() + self.model.sessions.len() + self.model.streams.len();
        // Each has a deadline or two, and may have a stale one beside it.
        let mut left = 16 + 8 * known + 2 * self.conns.len();
        loop {
            self.registry.call(|it| it.tick(stamp));
            let explained = self.explained();
            let has_acted = self.model.tick(&self.registry, &explained)?;
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
