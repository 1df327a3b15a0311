//! Leaving in good order: everyone is told, closes are spread, and then there is an end.

use std::time::Duration;

use headcount::{CloseReason, Config, ConnId, ConnState, Registry, Timestamp};

use super::conn::{Conn, State};
use super::{Model, due, whole};
use crate::{Check, ensure};

/// A drain under way.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Drain {
    began: Timestamp,
    pub(crate) ends: Timestamp,
    /// Whether a tick has made an end of everyone.
    stopped: bool,
}

impl Drain {
    /// When a connection that was told is closed, at the earliest and at the latest: jittered.
    pub(crate) fn closes(&self, conn: &Conn, config: &Config) -> Option<(Timestamp, Timestamp)> {
        if !conn.is_open() || !conn.told_of_drain {
            return None;
        }
        let length = self.ends.saturating_since(self.began);
        let first = self.began + config.drain_grace().min(length / 2);
        let span = self.ends.saturating_since(first);
        Some((first, first + (span - config.close_handshake().min(span / 4))))
    }
}

impl Model {
    pub(crate) fn begin_drain(&mut self, stamp: Timestamp, deadline: Option<Duration>) {
        self.clock(stamp);
        let ends = whole(self.now + deadline.unwrap_or_else(|| self.config.drain_deadline()));
        self.drain = Some(Drain { began: self.now, ends, stopped: false });
        for conn in self.conns.values_mut() {
            conn.told_of_drain = false;
            conn.met_drain = true;
        }
        self.notices.draining(self.open().count() as u32);
    }

    pub(crate) fn cancel_drain(&mut self, stamp: Timestamp, got: bool) -> Check {
        self.clock(stamp);
        let drained = self.drain.take().is_some();
        ensure!(got == drained, "cancel_drain: {got}, expected {drained}");
        if drained {
            self.marks.hit("a drain was cancelled");
        }
        Ok(())
    }

    /// A connection is told, once for each drain.
    pub(crate) fn told_of_drain(&mut self, id: ConnId) -> Check {
        ensure!(self.drain.is_some(), "{id:?} was told of a drain, and there is none");
        ensure!(!self.has_waiting(), "{id:?} was told of a drain before what waits in the outbox");
        let conn = self.conns.get_mut(&id).ok_or("gone")?;
        ensure!(conn.is_open(), "{id:?} is {:?} and was told of a drain", conn.state);
        let told = core::mem::replace(&mut conn.told_of_drain, true);
        ensure!(!told, "{id:?} was told of one drain twice");
        Ok(())
    }

    /// The registry says that there is nothing left to do: nobody is left to be told.
    pub(crate) fn all_are_told_of_drain(&self) -> Check {
        let untold = self.open().find(|conn| !conn.told_of_drain);
        match untold.filter(|_| self.drain.is_some()) {
            Some(conn) => Err(format!("silence, but {:?} was not told of the drain", conn.id)),
            None => Ok(()),
        }
    }

    /// The connection that the hard stop ends next, if it is due: it goes before all other deadlines,
    /// in the order of their indexes. Those that came later were refused, and end by themselves.
    pub(crate) fn to_stop(&self) -> Option<ConnId> {
        self.drain.filter(|drain| !drain.stopped && due(self.now, drain.ends))?;
        let left = self.conns.values().filter(|conn| conn.met_drain && conn.state != State::Gone);
        left.map(|conn| conn.id).min_by_key(|id| id.index())
    }

    /// The turn of the hard stop; whether it has ended the connection. It may pass over a free slot.
    pub(crate) fn stop(&mut self, id: ConnId, registry: &Registry) -> Result<bool, String> {
        if registry.state(id) != Some(ConnState::Gone) {
            return Ok(false);
        }
        if self.conns[&id].state != State::Closing {
            self.marks.hit("a drain ended hard");
            self.begin_close(id, CloseReason::Restart);
        }
        self.end(id);
        Ok(true)
    }

    /// Nothing more is due now: an end that was due is one.
    pub(crate) fn stop_is_over(&mut self) {
        let now = self.now;
        if let Some(drain) = self.drain.as_mut().filter(|drain| due(now, drain.ends)) {
            drain.stopped = true;
        }
    }

    /// The instant at which a tick must make an end.
    pub(crate) fn hard_stop(&self) -> Option<Timestamp> {
        let left = self.conns.values().any(|conn| conn.met_drain && conn.state != State::Gone);
        self.drain.filter(|drain| left && !drain.stopped).map(|drain| drain.ends)
    }
}
