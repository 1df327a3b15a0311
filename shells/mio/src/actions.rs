//! Carrying out the registry's actions: encode once, queue for each recipient, write later.

use bytes::Bytes;
use headcount::{Action, Ended};

use crate::fair::steps_of;
use crate::frames::{PING, data_frame};
use crate::handler::{FrameKind, Handler};
use crate::socket::Stream;
use crate::sockets::Sockets;

/// A payload longer than this leaves no buffer of its size behind.
const KEPT_CAPACITY: usize = 256 * 1024;

/// Recipients for whom a frame is queued in one step.
const QUEUED_IN_A_STEP: usize = 4;

/// What a cleanup costs: a socket is closed.
const CLEANUP_STEPS: usize = 16;

/// Makes frames of actions, with one buffer for all payloads.
#[derive(Default)]
pub(crate) struct Encoder {
    payload: Vec<u8>,
}

impl Encoder {
    /// Queues what an action says. Returns how many steps of a turn that took, writing it not
    /// included.
    pub(crate) fn carry_out<S: Stream, H: Handler>(
        &mut self,
        action: Action<'_>,
        sockets: &mut Sockets<S>,
        handler: &mut H,
    ) -> usize {
        let cost = action.cost();
        match action {
            Action::Send { to, stream, position, body } => {
                let frame = self.frame(|out| handler.encode(stream, position, body, out));
                for conn in to {
                    sockets.send(*conn, &frame, cost);
                }
                steps_of(frame.len()) + to.len() / QUEUED_IN_A_STEP
            }
            Action::Draining { to, within } => {
                let frame = self.frame(|out| handler.encode_draining(within, out));
                for conn in to {
                    sockets.send(*conn, &frame, cost);
                }
                steps_of(frame.len()) + to.len() / QUEUED_IN_A_STEP
            }
            Action::Gap { conn, stream, from, to } => {
                let frame = self.frame(|out| handler.encode_gap(stream, from, to, out));
                sockets.send(conn, &frame, cost);
                1
            }
            Action::Ping { conn } => {
                sockets.send(conn, &PING, cost);
                1
            }
            Action::Left { conn, session, reason } => {
                let frame = self.frame(|out| handler.encode_left(session, reason, out));
                sockets.send(conn, &frame, cost);
                1
            }
            Action::Close { conn, reason } => {
                if let Some((peer, answer)) = sockets.close(conn, reason, cost) {
                    handler.turned_away(peer, &answer);
                }
                1
            }
            Action::Cleanup { what, reason } => {
                if let Ended::Conn(conn) = what {
                    sockets.remove(conn);
                }
                handler.cleanup(what, reason);
                CLEANUP_STEPS
            }
        }
    }

    fn frame(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> FrameKind) -> Bytes {
        self.payload.clear();
        let kind = encode(&mut self.payload);
        let frame = data_frame(kind == FrameKind::Text, &self.payload);
        if self.payload.capacity() > KEPT_CAPACITY {
            self.payload = Vec::new();
        }
        frame
    }
}
