//! Notices: facts that were noted, each at most once, and none that was not a fact.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use headcount::{
    CloseReason, ConnId, Impact, Notice, Pressure, RoomEnd, RunEnd, SessionEnd, SessionId,
    Timestamp,
};

use super::Model;
use crate::{Check, ensure};

/// What there may be to say about a connection. Kept when it is gone: notices may be polled late.
#[derive(Clone, Debug, Hash)]
struct Life {
    session: SessionId,
    admitted: bool,
    closed: Option<(Duration, CloseReason)>,
    closed_told: bool,
    gaps: Vec<(u64, u64)>,
    /// How often it became suspect, and how often it recovered.
    suspected: u32,
    recovered: u32,
}

/// A user came nearer to a cap, or away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Level {
    pub(crate) level: Pressure,
    pub(crate) probed: u32,
    pub(crate) released: u32,
    pub(crate) evicted: u32,
}

/// All facts so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoticeBook {
    lives: BTreeMap<ConnId, Life>,
    /// Which sessions have ended, why, and in which operation.
    ended: Vec<(SessionId, SessionEnd, u64)>,
    /// Which rooms have, by epoch, and why perhaps.
    rooms_ended: Vec<(u64, Vec<RoomEnd>)>,
    users: BTreeMap<SessionId, u8>,
    levels: Vec<(u8, Level)>,
    pauses: Vec<Duration>,
    drains: Vec<u32>,
    reloads: Vec<Impact>,
    runs_opened: Vec<SessionId>,
    runs_ended: Vec<(SessionId, RunEnd, Duration)>,
    /// To how many each announcement went, and how many it skipped.
    announced: Vec<(usize, usize)>,
    /// Notices that can't be missing if none was lost.
    owed: u64,
}

/// What decides whether the next notice is right.
impl Hash for NoticeBook {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (id, life) in &self.lives {
            let Life { session, admitted, closed, closed_told, gaps, suspected, recovered } = life;
            (id, session, admitted, closed_told, gaps, suspected, recovered).hash(state);
            if !closed_told {
                closed.hash(state);
            }
        }
        let Self { lives: _, ended, rooms_ended, users, levels, pauses, drains, reloads, .. } =
            self;
        for (session, why, _) in ended {
            (session, why).hash(state);
        }
        (rooms_ended, users, levels, pauses, drains, reloads).hash(state);
        let Self { runs_opened, runs_ended, announced, owed, .. } = self;
        (runs_opened, runs_ended, announced, owed).hash(state);
    }
}

impl NoticeBook {
    pub(crate) fn admitted(&mut self, id: ConnId, session: SessionId, _now: Timestamp) {
        let life = Life {
            session,
            admitted: true,
            closed: None,
            closed_told: false,
            gaps: Vec::new(),
            suspected: 0,
            recovered: 0,
        };
        self.lives.insert(id, life);
        self.owed += 1;
    }

    pub(crate) fn closed(
        &mut self,
        id: ConnId,
        opened: Timestamp,
        now: Timestamp,
        reason: CloseReason,
    ) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.closed = Some((now.saturating_since(opened), reason));
            self.owed += 1;
        }
    }

    pub(crate) fn session_ended(&mut self, id: SessionId, why: SessionEnd, step: u64) {
        self.ended.push((id, why, step));
        self.owed += 1;
    }

    pub(crate) fn room_ended(&mut self, epoch: u64, why: &[RoomEnd]) {
        self.rooms_ended.push((epoch, why.to_vec()));
        self.owed += 1;
    }

    /// Of two sessions of a newcomer's user that had begun to linger in one operation, one makes room
    /// and the other ends for the pressure that follows: which is which is open.
    fn swap_reasons(&mut self, place: usize, told: SessionEnd) {
        let (_, why, step) = self.ended[place];
        if !matches!(
            (why, told),
            (SessionEnd::MadeRoom, SessionEnd::Pressure)
                | (SessionEnd::Pressure, SessionEnd::MadeRoom)
        ) {
            return;
        }
        let other = self.ended.iter().position(|it| (it.1, it.2) == (told, step));
        if let Some(other) = other {
            self.ended[other].1 = why;
            self.ended[place].1 = told;
        }
    }

    pub(crate) fn created(&mut self, id: SessionId, user: u8) {
        self.users.insert(id, user);
    }

    pub(crate) fn level_changed(&mut self, user: u8, level: Level) {
        self.levels.push((user, level));
        self.owed += 1;
    }

    pub(crate) fn paused(&mut self, lasted: Duration) {
        self.pauses.push(lasted);
        self.owed += 1;
    }

    pub(crate) fn draining(&mut self, connections: u32) {
        self.drains.push(connections);
        self.owed += 1;
    }

    pub(crate) fn reloaded(&mut self, impact: Impact) {
        self.reloads.push(impact);
        self.owed += 1;
    }

    pub(crate) fn run_opened(&mut self, session: SessionId) {
        self.runs_opened.push(session);
        self.owed += 1;
    }

    pub(crate) fn run_ended(&mut self, session: SessionId, end: RunEnd, lasted: Duration) {
        self.runs_ended.push((session, end, lasted));
        self.owed += 1;
    }

    pub(crate) fn suspect(&mut self, id: ConnId) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.suspected += 1;
            self.owed += 1;
        }
    }

    pub(crate) fn recovered(&mut self, id: ConnId) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.recovered += 1;
            self.owed += 1;
        }
    }

    pub(crate) fn gap(&mut self, id: ConnId, from: u64, to: u64) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.gaps.push((from, to));
            self.owed += 1;
        }
    }
}

impl Model {
    pub(crate) fn notice(&mut self, notice: &Notice) -> Check {
        let book = &mut self.notices;
        match *notice {
            Notice::Admitted { conn, session } => {
                let life = book.lives.get_mut(&conn).ok_or("a notice of one that never was")?;
                let fine = life.session == session && core::mem::take(&mut life.admitted);
                ensure!(fine, "{notice:?} is wrong, or came twice");
                book.owed -= 1;
            }
            Notice::Closed { conn, session, reason, age } => {
                let life = book.lives.get_mut(&conn).ok_or("a notice of one that never was")?;
                let (open, expected) = life.closed.ok_or("a notice of an open one")?;
                ensure!(
                    life.session == session
                        && reason == expected
                        && open.abs_diff(age) <= Duration::from_millis(1)
                        && !core::mem::replace(&mut life.closed_told, true),
                    "{notice:?} is wrong, or came twice: {life:?}"
                );
                book.owed -= 1;
            }
            Notice::SessionEnded { session, why } => {
                let place = book.ended.iter().position(|it| it.0 == session);
                let place = place.ok_or_else(|| format!("{notice:?} is wrong, or came twice"))?;
                book.swap_reasons(place, why);
                let expected = book.ended.remove(place).1;
                ensure!(expected == why, "{notice:?} is wrong, expected {expected:?}");
                book.owed -= 1;
            }
            Notice::RoomEnded { epoch, why } => {
                let right = |it: &(u64, Vec<RoomEnd>)| it.0 == epoch && it.1.contains(&why);
                let found = book.rooms_ended.iter().position(right);
                let wrong = || format!("{notice:?} is wrong: {:?}", book.rooms_ended);
                let found = found.ok_or_else(wrong)?;
                book.rooms_ended.remove(found);
                book.owed -= 1;
            }
            Notice::Pressure { session, level, probed, released, evicted } => {
                let user = *book.users.get(&session).ok_or("a notice of no session")?;
                let told = (user, Level { level, probed, released, evicted });
                // Those of one user come in order; some may have been lost.
                let first = book.levels.iter().position(|it| it.0 == user);
                let found = book.levels.iter().position(|it| *it == told);
                let lossless = self.config.notices() >= 100_000;
                ensure!(
                    found.is_some() && (!lossless || found == first),
                    "{notice:?} is wrong or out of order: {:?}",
                    book.levels
                );
                found.map(|place| book.levels.remove(place));
                book.owed -= 1;
            }
            Notice::Paused { lasted } => {
                let found = book.pauses.iter().position(|it| *it == lasted);
                book.pauses.remove(found.ok_or_else(|| format!("{notice:?} is wrong"))?);
                book.owed -= 1;
            }
            Notice::Draining { connections } => {
                let found = book.drains.iter().position(|it| *it == connections);
                book.drains.remove(found.ok_or_else(|| format!("{notice:?} is wrong"))?);
                book.owed -= 1;
            }
            Notice::Reloaded { impact } => {
                let found = book.reloads.iter().position(|it| *it == impact);
                book.reloads.remove(found.ok_or_else(|| format!("{notice:?} is wrong"))?);
                book.owed -= 1;
            }
            Notice::RunOpened { session } => {
                let found = book.runs_opened.iter().position(|it| *it == session);
                book.runs_opened.remove(found.ok_or_else(|| format!("{notice:?} is wrong"))?);
                book.owed -= 1;
            }
            Notice::RunEnded { session, end, lasted } => {
                let found = book.runs_ended.iter().position(|it| *it == (session, end, lasted));
                let wrong = || format!("{notice:?} is wrong: {:?}", book.runs_ended);
                let found = found.ok_or_else(wrong)?;
                book.runs_ended.remove(found);
                book.owed -= 1;
            }
            Notice::Suspect { conn } => {
                let life = book.lives.get_mut(&conn).ok_or("a notice of one that never was")?;
                let left = life.suspected.checked_sub(1);
                life.suspected =
                    left.ok_or_else(|| format!("{notice:?} is wrong, or came twice"))?;
                book.owed -= 1;
            }
            Notice::Recovered { conn } => {
                let life = book.lives.get_mut(&conn).ok_or("a notice of one that never was")?;
                let left = life.recovered.checked_sub(1);
                life.recovered = left.ok_or_else(|| format!("{notice:?} is wrong"))?;
                book.owed -= 1;
            }
            Notice::Behind { conn } => {
                ensure!(book.lives.contains_key(&conn), "{notice:?}: it never was");
            }
            Notice::Gap { conn, from, to } => {
                let life = book.lives.get_mut(&conn).ok_or("a notice of one that never was")?;
                let found = life.gaps.iter().position(|gap| *gap == (from, to));
                life.gaps.remove(found.ok_or_else(|| format!("{notice:?} is wrong"))?);
                book.owed -= 1;
            }
            Notice::Announced { sent, skipped } => {
                book.announced.push((sent as usize, skipped as usize));
                ensure!(self.can_have_announced(sent as usize), "{notice:?}: none was like that");
            }
            _ => return Err(format!("{notice:?} is unknown")),
        }
        Ok(())
    }

    /// Which announcement a notice is about does not show: there must be one for each notice that
    /// was handed to as many, and could have skipped as many.
    fn can_have_announced(&self, sent: usize) -> bool {
        let mut told: Vec<_> = self.notices.announced.iter().filter(|it| it.0 == sent).collect();
        let made = self.announcements.iter().filter(|it| it.walked && it.got.len() == sent);
        let mut skippable: Vec<_> = made.map(|it| it.excused.len()).collect();
        told.sort_unstable_by(|one, other| other.cmp(one));
        skippable.sort_unstable_by(|one, other| other.cmp(one));
        told.len() <= skippable.len() && told.iter().zip(skippable).all(|(it, most)| it.1 <= most)
    }

    /// All notices were polled and none was lost: then none may be missing.
    pub(crate) fn notices_are_complete(&self, skipped: u64) -> Check {
        let owed = self.notices.owed;
        ensure!(owed == 0, "{owed} notices are missing: {:?}", self.notices);
        let told = self.notices.announced.iter().map(|it| it.1 as u64).sum::<u64>();
        ensure!(told == skipped, "{skipped} were skipped, {told} by what was announced");
        let told = self.notices.announced.len();
        let made = self.announcements.iter().filter(|it| !it.must.is_empty()).count();
        ensure!(told >= made, "{told} of {made} announcements were noticed");
        Ok(())
    }
}
