//! Leaving in good order: everyone is told, closes are spread, and then there is an end.

use std::time::Duration;

use headcount::{
    CloseReason, Config, ConnId, ConnState, MESSAGE_OVERHEAD, Notice, Registry, Timestamp,
};

use super::conn::{Conn, State};
use super::turns::{Turn, Walk};
use super::{Model, due, whole};
use crate::seen::Seen;

/// A drain under way.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Drain {
    began: Timestamp,
    pub(crate) ends: Timestamp,
    announced: Walk,
    /// Whether a tick has made an end of everyone.
    stopped: bool,
}

impl Drain {
    /// When a connection that was told is closed, at the earliest and at the latest: jittered.
    pub(crate) fn closes(&self, conn: &Conn, config: &Config) -> Option<(Timestamp, Timestamp)> {
        if !conn.told_of_drain {
            return None;
        }
        let length = self.ends.saturating_since(self.began);
        let first = self.began + config.drain_grace().min(length / 2);
        let span = self.ends.saturating_since(first);
        Some((first, first + (span - config.close_handshake().min(span / 4))))
    }
}

impl Model {
    pub(crate) fn drain(&mut self, deadline: Option<Duration>) {
        let ends = whole(self.now + deadline.unwrap_or_else(|| self.config.drain_deadline()));
        let announced = self.walk_of_present();
        self.drain = Some(Drain { began: self.now, ends, announced, stopped: false });
        self.queue_drain();
        for conn in self.conns.values_mut() {
            conn.told_of_drain = false;
            conn.next = None;
            conn.met_drain = true;
        }
        self.notice(Notice::Draining { connections: self.open().count() as u32 });
    }

    pub(crate) fn cancel_drain(&mut self) -> bool {
        self.waiting.cancel(&Turn::Drain);
        let drained = self.drain.take().is_some();
        self.conns.values_mut().for_each(|conn| conn.next = None);
        self.marks.hit_if(drained, "a drain was cancelled");
        drained
    }

    fn queue_drain(&mut self) {
        let goes_on = self.drain.is_some_and(|drain| !drain.announced.is_over());
        self.waiting.queue_if(goes_on, Turn::Drain);
    }

    /// The turn of a drain: the next open connections are told, also those without room.
    pub(crate) fn serve_drain(&mut self) -> Option<Seen> {
        let mut drain = self.drain?;
        let mut to = Vec::new();
        self.serve_some(&mut drain.announced, |model, id| {
            let is_open = model.conns[&id].is_open();
            if is_open {
                model.hand(id, MESSAGE_OVERHEAD);
                model.conn_mut(id).told_of_drain = true;
                to.push(id);
            }
            is_open
        });
        self.drain = Some(drain);
        self.queue_drain();
        (!to.is_empty()).then_some(Seen::Draining { to })
    }

    /// The connection that the hard stop ends next, if it is due: it goes before all other deadlines,
    /// in the order of their indexes. Those that came later were refused, and end by themselves.
    pub(crate) fn to_stop(&self) -> Option<ConnId> {
        self.drain.filter(|drain| !drain.stopped && due(self.now, drain.ends))?;
        self.left_of_drain().next()
    }

    /// In the order of their indexes, as handles are.
    fn left_of_drain(&self) -> impl Iterator<Item = ConnId> {
        let left = self.conns.iter().filter(|(_, it)| it.met_drain && it.state != State::Gone);
        left.map(|(id, _)| *id)
    }

    /// The turn of the hard stop; whether it has ended the connection. It may pass over a free slot.
    pub(crate) fn stop(&mut self, id: ConnId, registry: &Registry) -> Result<bool, String> {
        if registry.connection(id).map(|it| it.state()) != Some(ConnState::Gone) {
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
        self.left_of_drain().next()?;
        self.drain.filter(|drain| !drain.stopped).map(|drain| drain.ends)
    }
}
