//! What the flush of a turn has found out.

use headcount::ConnId;

use crate::handler::Context;
use crate::reused::Reused;
use crate::socket::Stream;
use crate::sockets::Sockets;

/// What is reported to the registry when the sockets of a turn have been written, as one input.
#[derive(Default)]
pub(crate) struct Flushed {
    /// What the kernel has taken of each in all.
    totals: Reused<(ConnId, u64)>,
    /// Sockets that have ended. They are reported after what was taken of them.
    ended: Vec<ConnId>,
}

impl Flushed {
    pub(crate) fn took(&mut self, conn: ConnId, total: u64) {
        self.totals.list.push((conn, total));
    }

    pub(crate) fn ended(&mut self, conn: ConnId) {
        self.ended.push(conn);
    }

    /// Reports it. Sockets whose input may go on are read again.
    pub(crate) fn report<S: Stream>(
        &mut self,
        context: &mut Context<'_>,
        sockets: &mut Sockets<S>,
    ) {
        if !self.totals.list.is_empty() {
            context.registry.flushed_many(context.now, &self.totals.list, |conn, answer| {
                if answer == Ok(true) {
                    sockets.resume_input(conn);
                }
            });
            self.totals.reset();
        }
        for conn in self.ended.drain(..) {
            // It fails if the registry has given the connection up itself.
            let _ = context.registry.disconnect(context.now, conn);
        }
    }
}
