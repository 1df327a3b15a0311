//! Looks at outputs alone, and knows no more than what a shell knows: which handles it was given.
//!
//! Per connection the output is `(Send | Gap | Ping | Draining | Left)* Close? Cleanup`, and nothing after
//! it, ever. One `Cleanup` per reserved connection and per created session, the session's last. Per user
//! online and offline alternate, online first.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use headcount::{ConnId, Ended, Position, SessionId, UserId};

use super::seen::{Content, Seen, Source};
use super::{Check, ensure};

#[derive(Clone, Debug, Default, Hash)]
struct Sentence {
    /// Only its `Cleanup` is left.
    closed: bool,
    /// Of each stream that it follows: the epoch, and the last offset sent or told as lost. One that it was
    /// sent away from is there until it is told so, and once more behind that if it follows it again.
    told: BTreeMap<Source, VecDeque<Told>>,
}

#[derive(Clone, Debug, Hash)]
struct Told {
    epoch: u64,
    upto: u64,
    /// Nothing was told yet: a gap may say what was lost before it came.
    fresh: bool,
}

/// The checker.
#[derive(Clone, Debug, Default, Hash)]
pub struct Grammar {
    /// How many recipients one `Send` may have.
    chunk: usize,
    /// The same for a stretch that was begun before the bound changed.
    begun_with: usize,
    conns: BTreeMap<ConnId, Sentence>,
    /// Connections whose `Cleanup` was polled.
    past: BTreeSet<ConnId>,
    /// Sessions, and whether their `Cleanup` was polled.
    sessions: BTreeMap<SessionId, bool>,
    epochs: BTreeMap<Source, u64>,
    /// Who was last said to be online.
    online: BTreeSet<UserId>,
}

/// All handles of a slot.
pub(crate) fn in_slot<K>(index: usize, handle: fn(u64) -> Option<K>) -> RangeInclusive<K> {
    let of_serial = |serial: u32| handle(u64::from(serial) << 32 | index as u64);
    of_serial(1).expect("a serial above zero")..=of_serial(u32::MAX).expect("a serial above zero")
}

impl Grammar {
    /// Of a registry whose [`fanout_chunk`](headcount::Config::fanout_chunk) is this.
    #[must_use]
    pub fn new(chunk: u32) -> Self {
        Self { chunk: chunk as usize, begun_with: chunk as usize, ..Self::default() }
    }

    /// A new bound of the recipients of one `Send`. A stretch under way keeps its members.
    pub fn chunk_is(&mut self, chunk: u32) {
        self.chunk = chunk as usize;
        self.begun_with = self.begun_with.max(self.chunk);
    }

    /// Nothing is left to poll: no stretch is under way.
    pub const fn silence(&mut self) {
        self.begun_with = self.chunk;
    }

    /// The registry has created a connection.
    ///
    /// # Errors
    /// It was there before, or its slot has another tenant still.
    pub fn reserved(&mut self, conn: ConnId) -> Check {
        let is_known = self.conns.contains_key(&conn) || self.past.contains(&conn);
        ensure!(!is_known, "{conn:?} was created twice");
        let slot = in_slot(conn.index(), ConnId::from_bits);
        let tenant = self.conns.range(slot).map(|(tenant, _)| tenant).next();
        ensure!(tenant.is_none(), "{conn:?} took the slot of {tenant:?} before its Cleanup");
        self.conns.insert(conn, Sentence::default());
        Ok(())
    }

    /// The registry has created a session.
    ///
    /// # Errors
    /// It was there before, or its slot has another tenant still.
    pub fn created(&mut self, session: SessionId) -> Check {
        ensure!(!self.sessions.contains_key(&session), "{session:?} was created twice");
        let slot = in_slot(session.index(), SessionId::from_bits);
        let tenants = self.sessions.range(slot).filter(|(_, forgotten)| !**forgotten);
        let tenant = tenants.map(|(tenant, _)| tenant).next();
        ensure!(tenant.is_none(), "{session:?} took the slot of {tenant:?} before its Cleanup");
        self.sessions.insert(session, false);
        Ok(())
    }

    /// Whether it was told of this session.
    #[must_use]
    pub fn knows(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// A connection follows a session, which was created for it or was there.
    ///
    /// # Errors
    /// The connection or the session is not there.
    pub fn followed(&mut self, conn: ConnId, session: SessionId, created: bool) -> Check {
        if created {
            self.created(session)?;
        }
        ensure!(
            self.sessions.get(&session) == Some(&false),
            "{conn:?} follows {session:?}, which is no more"
        );
        ensure!(self.conns.contains_key(&conn), "admitted, never reserved");
        Ok(())
    }

    /// A connection follows a stream from here on.
    pub fn seated(&mut self, conn: ConnId, stream: Source, position: Position) {
        let Position { epoch, offset: upto } = position;
        if let Some(sentence) = self.conns.get_mut(&conn) {
            let told = Told { epoch, upto, fresh: true };
            sentence.told.entry(stream).or_default().push_back(told);
        }
    }

    /// It does not any more.
    pub fn left(&mut self, conn: ConnId, stream: &Source) {
        if let Some(told) = self.conns.get_mut(&conn).and_then(|it| it.told.get_mut(stream)) {
            told.pop_back();
        }
    }

    /// An action was polled.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn action(&mut self, seen: &Seen) -> Check {
        for conn in seen.conns() {
            let sentence = self.conns.get(conn);
            let sentence =
                sentence.ok_or_else(|| format!("{seen:?} for {conn:?}, which is not"))?;
            let fine = matches!(seen, Seen::Cleanup { .. }) || !sentence.closed;
            ensure!(fine, "{seen:?} for {conn:?}, which is closed");
        }
        match seen {
            Seen::Send { to, stream, position, content } => {
                ensure!(
                    matches!(content, Content::Message(_)) || matches!(stream, Source::Session(_)),
                    "a run's entry in {stream:?}"
                );
                self.recipients(to)?;
                if let Some(position) = position {
                    ensure!(position.offset > 0, "an entry at offset 0");
                    let epoch = *self.epochs.entry(stream.clone()).or_insert(position.epoch);
                    // A room that has come back continues under another epoch, a session never.
                    if epoch != position.epoch {
                        ensure!(matches!(stream, Source::Room(_)), "{stream:?} changed its epoch");
                        self.epochs.insert(stream.clone(), position.epoch);
                    }
                    for conn in to {
                        let told = self.told(*conn, stream)?;
                        ensure!(
                            told.epoch == position.epoch && told.upto < position.offset,
                            "{conn:?} was handed {position:?} after {told:?}"
                        );
                        (told.upto, told.fresh) = (position.offset, false);
                    }
                } else {
                    ensure!(
                        matches!(stream, Source::Direct | Source::Everyone),
                        "an entry of {stream:?} without a position"
                    );
                }
            }
            Seen::Gap { conn, stream, from, to } => {
                ensure!(
                    matches!(stream, Source::Session(_) | Source::Room(_)),
                    "a gap in {stream:?}"
                );
                ensure!(0 < *from && from <= to, "a gap {from}..={to}");
                let told = self.told(*conn, stream)?;
                let all = told.fresh && *to <= told.upto;
                ensure!(all || told.upto < *from, "{conn:?}: a gap {from}..={to} after {told:?}");
                (told.upto, told.fresh) = (*to, false);
            }
            Seen::Draining { to } => self.recipients(to)?,
            Seen::Ping { .. } => {}
            Seen::Left { conn, session, .. } => self.sent_away(*conn, *session)?,
            Seen::Close { conn, .. } => {
                self.conns.get_mut(conn).into_iter().for_each(|it| it.closed = true);
            }
            Seen::Cleanup { what: Ended::Conn(conn), .. } => {
                self.conns.remove(conn);
                self.past.insert(*conn);
            }
            Seen::Cleanup { what: Ended::Session(session), .. } => self.forget(*session)?,
            Seen::Presence { user, online } => {
                let changes = match online {
                    true => self.online.insert(user.clone()),
                    false => self.online.remove(user),
                };
                ensure!(changes, "{user:?} was said to be online: {online} before");
            }
        }
        Ok(())
    }

    /// Everything that was created has had its `Cleanup`, and no user was last said to be online.
    ///
    /// # Errors
    /// What has had none.
    pub fn finished(&self) -> Check {
        let left = self.conns.keys().next();
        ensure!(left.is_none(), "{left:?} has had no Cleanup");
        for (session, forgotten) in &self.sessions {
            ensure!(*forgotten, "{session:?} has had no Cleanup");
        }
        ensure!(self.online.is_empty(), "said to be online for ever: {:?}", self.online);
        Ok(())
    }

    fn recipients(&self, to: &[ConnId]) -> Check {
        ensure!(!to.is_empty(), "an action for nobody");
        let most = self.begun_with;
        ensure!(to.len() <= most, "{} recipients, {most} at most", to.len());
        let distinct: BTreeSet<_> = to.iter().collect();
        ensure!(distinct.len() == to.len(), "a recipient twice in one action: {to:?}");
        Ok(())
    }

    /// It is told that it has left a session.
    fn sent_away(&mut self, conn: ConnId, session: SessionId) -> Check {
        let forgotten = self.sessions.get(&session).copied();
        ensure!(forgotten == Some(false), "{conn:?} has left {session:?}, which is no more");
        let sentence = self.conns.get_mut(&conn).ok_or("never reserved")?;
        let told = sentence.told.get_mut(&Source::Session(session));
        let left = told.and_then(VecDeque::pop_front);
        ensure!(left.is_some(), "{conn:?} did not follow {session:?}");
        Ok(())
    }

    /// What was told of a stream: entries and gaps come in order, each once, to those who follow it and to
    /// no others.
    fn told(&mut self, conn: ConnId, stream: &Source) -> Result<&mut Told, String> {
        let sentence = self.conns.get_mut(&conn).ok_or("never reserved")?;
        let told = sentence.told.get_mut(stream).and_then(VecDeque::front_mut);
        told.ok_or_else(|| format!("{conn:?} does not follow {stream:?}"))
    }

    fn forget(&mut self, session: SessionId) -> Check {
        let forgotten = self.sessions.get_mut(&session).ok_or("a session that never was")?;
        ensure!(!*forgotten, "a second Cleanup of {session:?}");
        *forgotten = true;
        // One that was sent away from it, and ended before it was told so, has only its Cleanup left.
        let left = Source::Session(session);
        for sentence in self.conns.values_mut() {
            sentence.closed |= sentence.told.get(&left).is_some_and(|told| !told.is_empty());
        }
        Ok(())
    }
}
