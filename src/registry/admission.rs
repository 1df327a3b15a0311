//! From an accepted socket to an admitted connection: reserve, upgraded, connect, or all in one.

use crate::action::CloseReason;
use crate::conn::{ConnKey, State};
use crate::error::{Refused, UnknownConn};
use crate::id::{ConnId, ThreadId, UserId};
use crate::input::{Input, Start};
use crate::log::Content;
use crate::principal::Principal;
use crate::session::{SessionKey, UserKey};
use crate::stats::{Admitted, Followed, Notice};
use crate::store::{Rate, TokenBucket};
use crate::stream::{Owner, Stream};
use crate::time::Timestamp;
use crate::waiting::Source;

use super::Registry;
use super::eviction::Plan;

/// # Admission
///
/// A socket is [reserved](Self::reserve) when it is accepted, and [connected](Self::connect) when its
/// principal is known. Where the principal is known at once, [`admit`](Self::admit) does both.
impl Registry {
    /// A socket was accepted. It takes a place among `limits.pending` until it is admitted, closed or
    /// gone, and the head deadline runs.
    ///
    /// `source` says where the socket comes from; pass `None` where that is not known, as behind a
    /// proxy. Sockets of one source have at most `limits.pending_per_source` of the places. When
    /// these are taken, or all places are, the socket of the same source that has been silent longest
    /// gives way: it is closed as if its deadline had passed ([`CloseReason::HeadTimeout`], or
    /// [`CloseReason::AuthTimeout`] if it was upgraded), and the newcomer has its place at once. A
    /// socket without a source has no share, and no other socket gives way for it. So sockets of one
    /// source keep out newcomers of no other one.
    ///
    /// The handle must be reported as gone ([`disconnect`](Self::disconnect)) or closed
    /// ([`close`](Self::close)), or else lead to an admission. One that is only dropped keeps its place
    /// until its deadline. For a socket that is upgraded and known already there is
    /// [`admit`](Self::admit), which takes no place. Costs O(1).
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let address = "192.0.2.1".parse::<std::net::IpAddr>()?;
    /// // A socket was accepted. It is upgraded before it says who it is.
    /// let conn = registry.reserve(now, Some(Source::from(address)))?;
    /// registry.upgraded(now, conn)?;
    /// assert_eq!(registry.vacancies(), registry.config().pending() - 1);
    ///
    /// let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// if let Err(refused) = registry.connect(now, conn, who, Start::OpenRuns, None) {
    ///     registry.close(now, Target::Conn(conn), refused.close_reason());
    /// }
    /// assert_eq!(registry.connection(conn).map(|tab| tab.state()), Some(ConnState::Open));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused::Pending`] when no place is free and no socket gives way, or when `limits.closing`
    /// cleanups of sockets that were never admitted wait to be polled: close the socket.
    #[must_use = "a handle that is dropped keeps its place until its deadline"]
    pub fn reserve(&mut self, now: Timestamp, source: Option<Source>) -> Result<ConnId, Refused> {
        self.enter(now, Input::Reserve { source });
        let records = u64::from(self.config.pending) + u64::from(self.config.closing);
        if u64::from(self.counters.pending) >= records {
            return Err(Refused::Pending);
        }
        let share = source.map_or(0, |source| self.waiting.count(source));
        if self.vacancies() == 0 || share >= self.config.pending_per_source {
            let silent = source.and_then(|source| self.waiting.oldest(source));
            let slot = silent.ok_or(Refused::Pending)?;
            let reason = match self.conns.cold(slot).upgraded {
                true => CloseReason::AuthTimeout,
                false => CloseReason::HeadTimeout,
            };
            self.begin_close(slot, reason);
        }
        let serial = self.next_serial();
        let slot = self.conns.insert(serial, self.now, self.attended());
        self.counters.pending += 1;
        self.counters.waiting += 1;
        self.waiting.push(&mut self.conns, slot, source);
        self.arm(slot);
        self.cut_leaving_short();
        Ok(self.conns.id(slot))
    }

    /// How many places of `limits.pending` are free. As many calls of [`reserve`](Self::reserve) make
    /// no other socket give way for want of places, whatever their sources. [`reserve`](Self::reserve)
    /// has an example.
    #[must_use]
    pub const fn vacancies(&self) -> u32 {
        self.config.pending.saturating_sub(self.counters.waiting)
    }

    /// A pending connection waits no more: its place is free.
    pub(super) fn stop_waiting(&mut self, slot: ConnKey) {
        self.waiting.remove(&mut self.conns, slot);
        self.counters.waiting -= 1;
    }

    /// A sign of life of a pending connection: others of its source have been silent for longer.
    pub(super) fn note_waiting(&mut self, slot: ConnKey) {
        self.waiting.go_last(&mut self.conns, slot);
    }

    /// A socket was upgraded without having been admitted: the authentication deadline runs
    /// instead of the head's, and it can be replied to. Changes nothing for others.
    /// [`reserve`](Self::reserve) has an example.
    ///
    /// # Errors
    /// [`UnknownConn`] for a dead handle.
    pub fn upgraded(&mut self, now: Timestamp, conn: ConnId) -> Result<(), UnknownConn> {
        self.enter(now, Input::Upgraded { conn });
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        let attended = self.attended();
        let (hot, cold) = self.conns.both_mut(slot);
        match hot.state {
            State::Gone => return Err(UnknownConn),
            State::Pending if !cold.upgraded => {
                cold.upgraded = true;
                cold.phase = self.now;
                cold.waits_since = attended;
                self.note_waiting(slot);
                self.arm(slot);
            }
            State::Pending | State::Open | State::Closing => {}
        }
        Ok(())
    }

    /// Admits a pending connection as this principal, or refuses it, in one step with exact limits.
    ///
    /// The order: draining, the tenant that is named, takeover of the predecessor that the client names, the
    /// user's connections of its kind, the user's sessions, all connections, those of the tenant, all users,
    /// the sessions of the tenant, the tool calls that the user brings to it, all sessions, the user's own
    /// rate, the rate of all. Over a cap of the user's own, and in a full house, one of the user's own makes
    /// room as [`OverCap`](crate::OverCap) says: a user's dead connections do not lock the user out.
    ///
    /// Over `limits.users` and `limits.sessions` what is absent makes room, whosever it is: the user
    /// of whom all sessions have lingered without an open run for longest goes with all of them, or
    /// the session that has lingered for longest. A newcomer is refused when all that is there has an
    /// open connection or an open run. After a reload has lowered these caps, up to
    /// 64 users and 64 sessions go for each newcomer, until the counts are within them.
    ///
    /// Over `limits.sessions_per_tenant` the session of the tenant that has lingered for longest makes
    /// room, and nothing of another tenant. Over the other caps of a tenant the newcomer is refused. A user
    /// who is here without a tenant joins the first one that a principal of the user names, and brings its
    /// connections, sessions and bytes along. Connections and sessions have to fit: sessions of the user
    /// that linger without an open run end first. Tool calls under way have to fit `outbound.tenant_bytes`.
    /// For the other bytes entries of the tenant go.
    ///
    /// `start` says where it begins in the session of its principal's thread; without a thread it says
    /// nothing. `previous` is the connection that the client says it had: if that is open, of the same
    /// user, and follows the session of the principal's thread where one is named, it is closed with
    /// [`CloseReason::TakenOver`]; otherwise it is ignored. A position beyond the head is as one of a
    /// foreign epoch.
    ///
    /// Nothing is closed for a connection that is refused in the end, and no token is taken for it. A
    /// takeover takes tokens as any other admission does. A refused connection stays pending: answer
    /// it, then report `disconnect`, or `close` it if it was upgraded. If it is only dropped it keeps
    /// its pending place until its deadline.
    ///
    /// Costs O(1): of the user's own connections and sessions at most 64 are looked at. Each connection,
    /// session or user that makes room adds what its close or its end costs. That is one of them, but
    /// after a reload has lowered a cap, see above, and over the principal's own limit, where all
    /// connections that exceed it close. A user who joins a tenant adds O(its sessions), as many
    /// sessions of the tenant that may make room, the entries that go for its bytes, and the runs of the
    /// session of its own that ends. [`reserve`](Self::reserve) has an example.
    ///
    /// # Errors
    /// [`Refused`] says which limit it would exceed.
    pub fn connect(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    ) -> Result<Admitted, Refused> {
        let start = self.before_character(|it| it.session_of_principal(&who), start);
        self.enter(now, Input::Connect { conn, who: &who, start: &start, previous });
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        match self.conns.hot(slot).state {
            State::Pending => {}
            State::Open | State::Closing => return Err(Refused::NotPending),
            State::Gone => return Err(Refused::UnknownConn),
        }
        let plan = self.decide(&who, previous)?;
        self.stop_waiting(slot);
        self.counters.pending -= 1;
        Ok(self.commit(slot, &plan, who, &start))
    }

    /// Admits a socket that is upgraded, and whose principal is known, as [`reserve`](Self::reserve),
    /// [`upgraded`](Self::upgraded) and [`connect`](Self::connect) in one step. It takes no pending
    /// place. A refusal leaves nothing behind: no handle, no place, no `Cleanup`.
    ///
    /// ```
    /// # use headcount::*;
    /// # let now = Timestamp::from_secs(1);
    /// let config = Config::builder(1).connections_per_user(1).over_cap("refuse".parse()?).build()?;
    /// let mut registry = Registry::new(config);
    /// let alice = Principal::new("alice".parse()?).with_thread("main".parse()?);
    ///
    /// let (conn, admitted) = registry.admit(now, alice.clone(), Start::OpenRuns, None)?;
    /// assert!(admitted.first_of_user && admitted.followed.is_some_and(|it| it.new_session));
    /// let second = registry.admit(now, alice, Start::OpenRuns, None);
    /// assert!(matches!(second, Err(Refused::ConnectionsPerUser { .. })));
    /// assert_eq!(registry.connections(None).map(|it| it.id()).collect::<Vec<_>>(), [conn]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] as for `connect`, but for those of a handle. Tell the client and close the socket.
    pub fn admit(
        &mut self,
        now: Timestamp,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    ) -> Result<(ConnId, Admitted), Refused> {
        let start = self.before_character(|it| it.session_of_principal(&who), start);
        self.enter(now, Input::Admit { who: &who, start: &start, previous });
        let plan = self.decide(&who, previous)?;
        let serial = self.next_serial();
        let slot = self.conns.insert(serial, self.now, self.attended());
        let conn = self.conns.id(slot);
        Ok((conn, self.commit(slot, &plan, who, &start)))
    }

    /// Whether a principal is admitted, and what that takes. Only counts a refusal.
    fn decide(&mut self, who: &Principal, previous: Option<ConnId>) -> Result<Plan, Refused> {
        let plan = match self.refuse_while_draining() {
            Ok(()) => self.plan_admission(who, previous),
            Err(refused) => Err(refused),
        };
        self.counters.refused += u64::from(plan.is_err());
        plan
    }

    /// Carries an admission out. The connection is in no queue of those that wait.
    fn commit(&mut self, slot: ConnKey, plan: &Plan, who: Principal, start: &Start) -> Admitted {
        let conn = self.conns.id(slot);
        let Principal { user, thread, kind, label, expires_at, max_connections: _, .. } = who;
        let user = self.sessions.hold_user(plan.user, user);
        let (known, evicted) = (plan.session, self.make_room(plan));
        self.join_tenant(user, plan.tenancy.as_ref());
        self.conns.cold_mut(slot).kind = kind;
        self.sessions.admit(user, &mut self.conns, slot);
        self.sessions.release_hold(user);
        self.note_arrival(user);
        self.sessions.user_mut(user).connects = plan.own;
        self.connects = plan.all;
        let attended = self.attended();
        let (hot, cold) = self.conns.both_mut(slot);
        hot.state = State::Open;
        hot.user = Some(user);
        hot.pulse.restart(attended);
        cold.waits_since = attended;
        // The deadline of frames is for admitted connections, as the slow one is.
        cold.restart_message(attended);
        cold.expires_at = expires_at;
        cold.phase = self.now;
        // The slow deadline is for admitted connections: what it was sent before counts from here.
        hot.window.restart(attended);
        cold.upgraded = true;
        if label.is_some() {
            cold.extras.edit(|it| it.label = label);
        }
        self.counters.opened += 1;
        self.counters.open += 1;
        self.counters.live += 1;
        let followed = thread.map(|thread| {
            let session = known.unwrap_or_else(|| self.create_session(user, thread));
            let followed = self.follow_session(slot, session, start);
            Followed { new_session: known.is_none(), ..followed }
        });
        self.arm(slot);
        let session = followed.map(|followed| followed.session);
        self.notice(Notice::Admitted { conn, session });
        self.enforce_closing_limit();
        self.raise_pressure(user, session, evicted);
        let first_of_user = self.sessions.user(user).open() == 1;
        Admitted { first_of_user, followed }
    }

    /// A client that makes up its offset may stand within a character of a run's text: then it stands
    /// before it. So every cursor is where the text can be cut, and nothing that is decided later
    /// depends on what the text says, which a journal may leave out.
    ///
    /// The session is looked for only if the client says where it stands.
    pub(super) fn before_character(
        &self,
        session: impl FnOnce(&Self) -> Option<SessionKey>,
        mut start: Start,
    ) -> Start {
        let Start::After(position) = &mut start else { return start };
        let Some(session) = session(self) else { return start };
        let stream = &self.streams[self.sessions.get(session).stream];
        if stream.epoch == position.epoch
            && let Some(entry) = stream.log.after(position.offset)
            && let Some(Content::Text(text)) = entry.content_after(position.offset)
        {
            position.offset -= self.within_character(text);
        }
        start
    }

    /// The session that a principal names, if there is one.
    pub(super) fn session_of_principal(&self, who: &Principal) -> Option<SessionKey> {
        let user = self.sessions.find_user(&who.user)?;
        self.sessions.find(user, who.thread.as_ref()?)
    }

    /// A new session, with a stream that was never before.
    pub(super) fn create_session(&mut self, user: UserKey, thread: ThreadId) -> SessionKey {
        let (serial, epoch) = (self.next_serial(), self.next_epoch());
        let owner = Owner::Session(self.sessions.next_key());
        let stream = self.streams.insert(Stream::new(owner, epoch));
        self.counters.sessions_opened += 1;
        self.sessions.insert(serial, user, thread, stream, self.now)
    }

    fn refuse_while_draining(&self) -> Result<(), Refused> {
        match &self.drain {
            Some(drain) => Err(Refused::Draining { retry_after: drain.left(self.now) }),
            None => Ok(()),
        }
    }

    /// The user's bucket and that of all after an admission. Nothing is taken yet.
    pub(super) fn pay(
        &self,
        user: Option<UserKey>,
        name: &UserId,
    ) -> Result<(TokenBucket, TokenBucket), Refused> {
        let config = &self.config;
        let mut own = match user {
            Some(user) => self.sessions.user(user).connects,
            None => self.sessions.departed.get(name),
        };
        let mut all = self.connects;
        if let Some(rate) = Rate::new(config.connect_rate_per_user, config.connect_burst_per_user) {
            own.take(self.now, rate, rate.token())
                .map_err(|retry_after| Refused::RateOfUser { retry_after })?;
        }
        if let Some(rate) = Rate::new(config.connect_rate, config.connect_burst) {
            all.take(self.now, rate, rate.token())
                .map_err(|retry_after| Refused::Rate { retry_after })?;
        }
        Ok((own, all))
    }

    /// Cuts the oldest close handshake short while the headroom is used up, of connections or of
    /// sessions, so that the next newcomer finds a place.
    pub(super) fn enforce_closing_limit(&mut self) {
        while self.is_headroom_used_up() {
            let Some(slot) = self.closing.front() else { return };
            self.finish(slot);
        }
    }

    /// Whether close handshakes hold places that the next newcomer needs: those of connections, or
    /// those of sessions that have ended and whose cleanup waits for a handshake.
    fn is_headroom_used_up(&self) -> bool {
        let (config, sessions) = (&self.config, &self.sessions);
        let headroom = u64::from(config.closing);
        let conns = u64::from(self.counters.open) + self.closing.len() as u64;
        let records = (sessions.live() + sessions.ended_closing()) as u64;
        conns >= u64::from(config.connections) + headroom
            || (sessions.ended_closing() > 0 && records >= u64::from(config.sessions) + headroom)
    }

    /// The same while those that were never admitted fill `limits.pending` and the headroom beside it.
    pub(super) fn cut_leaving_short(&mut self) {
        let places = u64::from(self.config.pending) + u64::from(self.config.closing);
        while u64::from(self.counters.waiting) + self.leaving.len() as u64 >= places {
            let Some(slot) = self.leaving.front() else { return };
            self.finish(slot);
        }
    }
}
