//! What kernels took, reported to the registry and to the model.

use headcount::{ConnId, Input};

use super::Check;
use super::op::{Flush, Pick};
use super::world::World;

impl World {
    /// The total of which a flush is reported.
    fn total(&self, conn: ConnId, how: Flush) -> u64 {
        let (flushed, handed) =
            self.model.conns.get(&conn).map_or((0, 0), |conn| (conn.flushed, conn.handed));
        match how {
            Flush::All => handed,
            Flush::Half => flushed + (handed - flushed).div_ceil(2),
            Flush::Some(some) => flushed + u64::from(some),
            Flush::Nothing => flushed,
            Flush::Beyond => handed.saturating_add(u64::MAX / 2),
            Flush::Backwards => flushed / 2,
        }
    }

    pub(crate) fn flush(&mut self, conn: ConnId, how: Flush) -> Check {
        self.call(Input::Flushed { conn, total: self.total(conn, how) })
    }

    pub(crate) fn flush_many(&mut self, first: Pick, count: u8, how: Flush) -> Check {
        let report = |number| {
            let conn = self.conn(first.after(number));
            (conn, self.total(conn, how))
        };
        let reports: Vec<_> = (0..count).map(report).collect();
        self.call(Input::FlushedMany { reports: &reports })
    }

    pub(crate) fn flush_all(&mut self) -> Check {
        // Of those that have anything in flight: no kernel has news of the others.
        let busy = self.model.conns.iter().filter(|(_, conn)| conn.in_flight() > 0);
        for conn in busy.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.flush(conn, Flush::All)?;
            self.compare()?;
        }
        Ok(())
    }
}
