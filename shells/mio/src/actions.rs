//! Carrying out the registry's actions: encode once a dialect, queue for each recipient, write later.

use bytes::Bytes;
use headcount::{Action, Body, ConnId, Ended, StreamRef};

use crate::fair::steps_of;
use crate::frames::{PING, data_frame};
use crate::handler::{Dialect, FrameKind, Handler};
use crate::last_words::LastWords;
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
    /// The frames of the action under way: one for each dialect among the recipients so far.
    frames: Vec<(Dialect, Bytes)>,
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
        let (to, cost) = (action.recipients(), action.cost());
        match &action {
            &Action::Send { stream: StreamRef::Direct, body: Body::Message(message), .. } => {
                let frame = data_frame(message.is_text(), message.payload());
                for conn in to {
                    sockets.send(*conn, &frame, cost);
                }
                steps_of(frame.len())
            }
            &Action::Send { stream, position, body, .. } => {
                self.share((to, stream), cost, sockets, handler, |handler, dialect, out| {
                    handler.encode(dialect, stream, position, body, out)
                })
            }
            &Action::Gap { stream, from, to: upto, .. } => {
                self.share((to, stream), cost, sockets, handler, |handler, dialect, out| {
                    handler.encode_gap(dialect, stream, from, upto, out)
                })
            }
            Action::Draining { within, .. } => {
                let to = (to, StreamRef::Everyone);
                self.share(to, cost, sockets, handler, |handler, dialect, out| {
                    handler.encode_draining(dialect, within.clone(), out)
                })
            }
            &Action::Ping { conn } => {
                sockets.send(conn, &PING, cost);
                1
            }
            &Action::Left { session, reason, .. } => {
                let to = (to, StreamRef::Session(session));
                self.share(to, cost, sockets, handler, |handler, dialect, out| {
                    handler.encode_left(dialect, session, reason, out)
                })
            }
            &Action::Close { conn, reason, code, text } => {
                let words = LastWords { reason, code, text };
                if let Some((peer, answer)) = sockets.close(conn, &words, cost) {
                    handler.turned_away(peer, &answer);
                }
                1
            }
            &Action::Cleanup { what, reason } => {
                if let Ended::Conn(conn) = what {
                    sockets.remove(conn);
                }
                handler.cleanup(what, reason);
                CLEANUP_STEPS
            }
            // It is for the handler, which may call the registry: not while an action is lent.
            Action::Presence { .. } => 0,
        }
    }

    /// Queues a frame for each recipient: those who read the same dialect share its bytes.
    fn share<S: Stream, H: Handler>(
        &mut self,
        (to, stream): (&[ConnId], StreamRef<'_>),
        cost: u64,
        sockets: &mut Sockets<S>,
        handler: &mut H,
        encode: impl Fn(&mut H, Dialect, &mut Vec<u8>) -> FrameKind,
    ) -> usize {
        let mut steps = to.len() / QUEUED_IN_A_STEP;
        for conn in to {
            let dialect = handler.dialect(*conn, stream);
            let known = self.frames.iter().position(|(other, _)| *other == dialect);
            let place = known.unwrap_or_else(|| {
                let frame = self.frame(|out| encode(handler, dialect, out));
                steps += steps_of(frame.len());
                self.frames.push((dialect, frame));
                self.frames.len() - 1
            });
            sockets.send(*conn, &self.frames[place].1, cost);
        }
        self.frames.clear();
        steps
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
