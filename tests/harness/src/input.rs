//! One input, done to the registry and to the model: what the call returns is the same.

use core::fmt::Debug;

use headcount::{
    Class, Config, ConnId, Delivery, Except, Followed, Input, Message, Outgoing, Principal,
    Registry, RunEvent, Source as From, Start, Target, ThreadId, Timestamp,
};

use super::model::Model;
use super::model::closing::Audience;
use super::model::conn::Conn;
use super::model::delivery::Delivered;
use super::model::following::Following;
use super::seen::Source;
use super::world::World;
use super::{Check, same};

/// A message that shares nothing: what the registry holds is its own, and counted.
fn own_message(message: &Message) -> Message {
    let payload = message.payload().to_vec();
    let own = match message.is_text() {
        true => Message::text(String::from_utf8(payload).expect("the text of a message")),
        false => Message::binary(payload),
    };
    match message.class() {
        Class::Critical => own,
        Class::Latest(key) => own.latest(key.as_str().parse().expect("a key of a message")),
        Class::Droppable => own.droppable(),
    }
}

/// The same of a run's event.
fn own_event<'a>(event: &RunEvent<'a>) -> RunEvent<'a> {
    let mut event = event.clone();
    match &mut event {
        RunEvent::Delta { .. } => {}
        RunEvent::ToolExecuting { payload, .. }
        | RunEvent::ToolCompleted { payload, .. }
        | RunEvent::Thinking(payload)
        | RunEvent::Progress(payload)
        | RunEvent::Completed(payload)
        | RunEvent::Failed(payload)
        | RunEvent::Cancelled(payload)
        | RunEvent::Interrupted(payload) => *payload = payload.to_vec().into(),
    }
    event
}

/// Whom a message leaves out.
pub(crate) fn outgoing(message: Message, except: Option<Except>) -> Outgoing {
    match except {
        Some(Except::Connection(conn)) => message.except_connection(conn),
        Some(Except::Session(conn)) => message.except_session(conn),
        Some(Except::User(conn)) => message.except_user(conn),
        None => message.into(),
    }
}

/// A call that the registry and the model have under one name. The registry's takes its instant first.
macro_rules! alike {
    ($world:ident.$call:ident($at:ident $(, $argument:expr)*)) => {
        $world.both_of(
            stringify!($call),
            |it| it.$call($at $(, $argument)*),
            |it| it.$call($($argument),*),
        )
    };
}

impl World {
    /// Does one input at an instant, which is the stamp of the call. An error says how registry and model
    /// disagree about what it returns; what it leaves behind is compared by
    /// [`compare_all`](World::compare_all).
    ///
    /// # Errors
    /// What disagrees, as a sentence. The world is of no further use then.
    pub fn input(&mut self, at: Timestamp, input: Input<'_>) -> Check {
        self.model.clock(at, self.registry.poll_timeout());
        match input {
            Input::Reserve { source } => self.reserve(at, source),
            Input::Upgraded { conn } => alike!(self.upgraded(at, conn)).map(drop),
            Input::Connect { conn, who, start, previous } => {
                self.come(at, Some(conn), who, (start, previous))
            }
            Input::Admit { who, start, previous } => self.come(at, None, who, (start, previous)),
            Input::Follow { conn, thread, start } => self.follow(at, conn, (thread, start)),
            Input::Unfollow { conn, session } => {
                if alike!(self.unfollow(at, conn, session))? == Ok(true) {
                    self.grammar.left(conn, &Source::Session(session));
                }
                Ok(())
            }
            Input::Message { conn, inbound } => alike!(self.message(at, conn, inbound)).map(drop),
            Input::Flushed { conn, total } => alike!(self.flushed(at, conn, total)).map(drop),
            Input::FlushedMany { reports } => {
                // Of the harness, not of the registry: nothing grows during the call.
                let mut answers = Vec::with_capacity(reports.len());
                let flushed = |it: &mut Registry| {
                    it.flushed_many(at, reports, |conn, answer| answers.push((conn, answer)));
                    answers
                };
                self.both("flushed_many", flushed, |it| {
                    reports.iter().map(|(conn, total)| (*conn, it.flushed(*conn, *total))).collect()
                })
            }
            Input::Disconnect { conn } => alike!(self.disconnect(at, conn)).map(drop),
            Input::Tick => self.tick((at, u32::MAX), |_| false, Self::compare),
            Input::Send { to, message, except } => {
                let audience = self.audience(&to);
                self.sent(&audience, (message, except), |it, outgoing| it.send(at, to, outgoing))
            }
            Input::Reply { conn, message } => {
                self.registry.expect_payload(message.payload().len());
                let reply = |it: &mut Registry| it.reply(at, conn, own_message(message));
                self.both("reply", reply, |it| it.reply(conn, message))
            }
            Input::ReplyAtOnce { conn, bytes } => {
                alike!(self.reply_at_once(at, conn, bytes)).map(drop)
            }
            Input::Join { conn, room, start } => {
                self.model.names.asked.rooms.insert(room.clone());
                let got = self.registry.call(|it| it.join(at, conn, room, start.clone()));
                if let Ok(joined) = got
                    && !joined.already
                {
                    self.grammar.seated(conn, Source::Room(room.clone()), joined.position);
                }
                let epoch = got.map_or(0, |joined| joined.position.epoch);
                let got = got.map(|joined| (joined.position, joined.recovered, joined.already));
                same!(got, self.model.join(conn, room, start, epoch), "join");
                Ok(())
            }
            Input::Leave { conn, room } => {
                if alike!(self.leave(at, conn, room))? == Ok(true) {
                    self.grammar.left(conn, &Source::Room(room.clone()));
                }
                Ok(())
            }
            Input::Acknowledge { conn, stream, offset } => {
                alike!(self.acknowledge(at, conn, stream, offset)).map(drop)
            }
            Input::OpenRun { user, thread, run, agent, payload } => {
                self.registry.expect_payload(payload.len());
                let number = self.model.names.user(user);
                let within = self.model.names.thread(number, thread);
                self.model.names.asked.runs.insert((number, run.clone()));
                let got = self.registry.call(|it| {
                    it.scope(user).open_run(at, thread, run, agent, payload.to_vec().into())
                });
                if let Ok(opened) = &got
                    && !self.grammar.knows(opened.session)
                {
                    self.grammar.created(opened.session)?;
                    self.sessions.push(opened.session);
                }
                let opened = got.as_ref().ok().map(|it| (it.session, it.position.epoch));
                let got = got.map(|it| (it.session, it.position, Delivered::from(&it.delivery)));
                let what = (agent, &payload[..]);
                same!(got, self.model.open_run((number, within), run, what, opened), "open_run");
                Ok(())
            }
            Input::RunEvent { user, run, event } => {
                self.registry.expect_payload(event.payload().len());
                let number = self.model.names.user(user);
                let report = |it: &mut Registry| {
                    let told = it.scope(user).run_event(at, run, &own_event(event));
                    told.map(|it| Delivered::from(&it))
                };
                self.both("run_event", report, |it| it.run_event((number, run), event))
            }
            Input::RequestRun { conn, thread, run, input } => {
                self.registry.expect_payload(input.len());
                let within = thread.map(|it| self.model.names.threads.number(it));
                if let Some(user) = self.model.conns.get(&conn).and_then(Conn::user) {
                    self.model.names.asked.runs.insert((user, run.clone()));
                }
                let request = |it: &mut Registry| {
                    let got = it.request_run(at, conn, thread, run, input.to_vec().into());
                    got.map(|it| (it.session, it.position, Delivered::from(&it.delivery)))
                };
                self.both("request_run", request, |it| it.request_run(conn, within, run, input))
            }
            Input::RequestCancel { conn, run, reason } => {
                self.registry.expect_payload(reason.len());
                let request = |it: &mut Registry| {
                    let got = it.request_cancel(at, conn, run, reason.to_vec().into());
                    got.map(|delivery| Delivered::from(&delivery))
                };
                self.both("request_cancel", request, |it| it.request_cancel(conn, run, reason))
            }
            Input::Close { to, with } => {
                let audience = self.audience(&to);
                let close = |it: &mut Registry| it.close(at, to, with.clone());
                self.both("close", close, |it| it.close(&audience, with))
            }
            Input::Refresh { conn, expires_at } => {
                alike!(self.refresh(at, conn, expires_at)).map(drop)
            }
            Input::Revoke { user } => {
                let number = self.model.names.user(user);
                self.both("revoke", |it| it.revoke(at, user), |it| it.revoke(number))
            }
            Input::Drain { deadline } => alike!(self.drain(at, deadline)),
            Input::CancelDrain => alike!(self.cancel_drain(at)).map(drop),
            Input::Reload { config } => self.reload(at, config),
            Input::Advance => self.both("advance", |it| it.advance(at), |_| ()),
        }
    }

    /// One call to the registry, and what the model does: the answers are the same.
    pub(crate) fn both<R: PartialEq + Debug>(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut Registry) -> R,
        model: impl FnOnce(&mut Model) -> R,
    ) -> Check {
        self.both_of(name, call, model).map(drop)
    }

    /// The same, with the answer.
    fn both_of<R: PartialEq + Debug>(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut Registry) -> R,
        model: impl FnOnce(&mut Model) -> R,
    ) -> Result<R, String> {
        let got = self.registry.call(call);
        same!(got, model(&mut self.model), "{name}");
        Ok(got)
    }

    /// Whom a target is for.
    pub(crate) fn audience(&mut self, to: &Target<'_>) -> Audience {
        let user = match to {
            Target::Conn(conn) => return Audience::Conn(*conn),
            Target::Session(session) => return Audience::Sessions(vec![*session]),
            Target::SessionOf(conn) => {
                let session = self.model.open_conn(*conn).and_then(Conn::session);
                return Audience::Sessions(session.into_iter().collect());
            }
            Target::Room(room) => return Audience::Room((*room).clone()),
            Target::Everyone => return Audience::Everyone,
            Target::UserOf(conn) => self.model.open_conn(*conn).and_then(Conn::user),
            Target::User(user) => Some(self.model.names.user(user)),
        };
        user.map_or(Audience::Sessions(Vec::new()), Audience::User)
    }

    /// A message is sent, by a call of the registry or of a user's scope.
    pub(crate) fn sent(
        &mut self,
        audience: &Audience,
        (message, except): (&Message, Option<Except>),
        send: impl FnOnce(&mut Registry, Outgoing) -> Delivery,
    ) -> Check {
        self.registry.expect_payload(message.payload().len());
        let got = self.registry.call(|it| send(it, outgoing(own_message(message), except)));
        let expected = self.model.send(audience, message, except);
        let reaches_none = got.reaches_none();
        same!(reaches_none, expected == Delivered::default(), "send: whether {got:?} reaches none");
        same!(Delivered::from(&got), expected, "send");
        Ok(())
    }

    fn reserve(&mut self, at: Timestamp, source: Option<From>) -> Check {
        let got = self.registry.call(|it| it.reserve(at, source));
        if let Ok(conn) = got {
            self.grammar.reserved(conn)?;
            self.conns.push(conn);
        }
        same!(got, self.model.reserve(source, got.ok()), "reserve");
        Ok(())
    }

    /// A connection that was reserved, or one that is upgraded and known already, is to be admitted.
    fn come(
        &mut self,
        at: Timestamp,
        conn: Option<ConnId>,
        who: &Principal,
        (start, previous): (&Start, Option<ConnId>),
    ) -> Check {
        let got = self.registry.call(|it| match conn {
            Some(conn) => {
                let admitted = it.connect(at, conn, who.clone(), start.clone(), previous);
                admitted.map(|admitted| (conn, admitted))
            }
            None => it.admit(at, who.clone(), start.clone(), previous),
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
        self.model.connect(conn, who, (start, previous), &got)
    }

    /// A connection follows a session from here on.
    fn seat(&mut self, conn: ConnId, followed: Followed) -> Check {
        let Followed { session, new_session, position, already, .. } = followed;
        if already {
            return Ok(());
        }
        self.grammar.followed(conn, session, new_session)?;
        if new_session {
            self.sessions.push(session);
        }
        self.grammar.seated(conn, Source::Session(session), position);
        Ok(())
    }

    fn follow(
        &mut self,
        at: Timestamp,
        conn: ConnId,
        (thread, start): (&ThreadId, &Start),
    ) -> Check {
        let got = self.registry.call(|it| it.follow(at, conn, thread, start.clone()));
        if let Ok(followed) = got {
            self.seat(conn, followed)?;
        }
        let made = got.ok().map(|it| (it.session, it.position.epoch));
        let names = &mut self.model.names;
        let thread = match self.model.conns.get(&conn).and_then(Conn::user) {
            Some(user) => names.thread(user, thread),
            None => names.threads.number(thread),
        };
        let expected = self.model.follow(conn, thread, start, made);
        same!(got.map(Following::from), expected, "follow");
        Ok(())
    }

    fn reload(&mut self, at: Timestamp, config: &Config) -> Check {
        self.grammar.chunk_is(config.fanout_chunk());
        self.registry.expect_config(config);
        let got = self.registry.call(|it| it.reload(at, config.clone()));
        self.model.reload(self.registry.config().clone(), got)
    }
}
