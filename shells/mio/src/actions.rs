//! Carrying out the registry's actions: encode once a dialect, queue for each recipient, write later.

use headcount::{Action, Body, ConnId, Ended, StreamRef};

use crate::fair::{Budget, steps_of};
use crate::frames::PING;
use crate::handler::{Dialect, FrameKind, Handler};
use crate::last_words::LastWords;
use crate::output::{FrameId, TurnOutput};
use crate::socket::Stream;
use crate::sockets::Sockets;

/// Recipients for whom a frame is queued in one step.
const QUEUED_IN_A_STEP: usize = 16;

/// What a cleanup costs: a socket is closed.
const CLEANUP_STEPS: usize = 16;

/// How long a frame that tells of no message probably is.
const SHORT: usize = 64;

/// What actions are carried out with.
pub(crate) struct Actor<'a, S, H> {
    pub(crate) sockets: &'a mut Sockets<S>,
    pub(crate) handler: &'a mut H,
    pub(crate) output: &'a mut TurnOutput,
    /// The frames of the action under way, and their lengths: one for each dialect among the recipients so
    /// far. Empty between two actions.
    pub(crate) frames: &'a mut Vec<(Dialect, FrameId, usize)>,
    /// What a turn has left for actions: steps, and bytes that are to be written for them.
    pub(crate) budget: &'a mut Budget,
}

impl<S: Stream, H: Handler> Actor<'_, S, H> {
    /// Queues what an action says.
    pub(crate) fn carry_out(&mut self, action: Action<'_>) {
        self.budget.spend(1);
        let (to, cost) = (action.recipients(), action.cost());
        match &action {
            &Action::Send { stream: StreamRef::Direct, body: Body::Message(message), .. } => {
                let (frame, length) = self.output.data(message.is_text(), message.payload(), cost);
                self.spend_frame(length, to.len());
                for conn in to {
                    self.sockets.send(*conn, frame, self.output);
                }
            }
            &Action::Send { stream, position, body, .. } => {
                let expected = body.as_bytes().len();
                self.share((to, stream), cost, expected, |handler, dialect, out| {
                    handler.encode(dialect, stream, position, body, out)
                });
            }
            &Action::Gap { stream, from, to: upto, .. } => {
                self.share((to, stream), cost, SHORT, |handler, dialect, out| {
                    handler.encode_gap(dialect, stream, from, upto, out)
                });
            }
            Action::Draining { within, .. } => {
                let to = (to, StreamRef::Everyone);
                self.share(to, cost, SHORT, |handler, dialect, out| {
                    handler.encode_draining(dialect, within.clone(), out)
                });
            }
            &Action::Ping { conn } => {
                let frame = self.output.whole(&PING, cost);
                self.sockets.send(conn, frame, self.output);
            }
            &Action::Left { session, reason, .. } => {
                let to = (to, StreamRef::Session(session));
                self.share(to, cost, SHORT, |handler, dialect, out| {
                    handler.encode_left(dialect, session, reason, out)
                });
            }
            &Action::Close { conn, reason, code, text } => {
                let words = LastWords { reason, code, text };
                if let Some((peer, answer)) = self.sockets.close(conn, &words, cost, self.output) {
                    self.handler.turned_away(peer, &answer);
                }
            }
            &Action::Cleanup { what, reason } => {
                if let Ended::Conn(conn) = what {
                    self.sockets.remove(conn);
                }
                self.handler.cleanup(what, reason);
                self.budget.spend(CLEANUP_STEPS);
            }
            // It is for the handler, which may call the registry: not while an action is lent.
            Action::Presence { .. } => {}
        }
    }

    /// Queues a frame for each recipient: those who read the same dialect share it.
    fn share(
        &mut self,
        (to, stream): (&[ConnId], StreamRef<'_>),
        cost: u64,
        expected: usize,
        encode: impl Fn(&mut H, Dialect, &mut Vec<u8>) -> FrameKind,
    ) {
        for conn in to {
            let dialect = self.handler.dialect(*conn, stream);
            let known = self.frames.iter().find(|(other, ..)| *other == dialect).copied();
            let (_, frame, length) = known.unwrap_or_else(|| {
                let encode = |out: &mut Vec<u8>| encode(self.handler, dialect, out);
                let (frame, length) = self.output.encode(cost, expected, encode);
                self.frames.push((dialect, frame, length));
                self.budget.spend(steps_of(length));
                (dialect, frame, length)
            });
            self.sockets.send(*conn, frame, self.output);
            self.budget.spend_bytes(length);
        }
        self.budget.spend(to.len() / QUEUED_IN_A_STEP);
        self.frames.clear();
    }

    /// Takes the work of a frame that was made, and of queueing it.
    const fn spend_frame(&mut self, length: usize, recipients: usize) {
        self.budget.spend(steps_of(length) + recipients / QUEUED_IN_A_STEP);
        self.budget.spend_bytes(length.saturating_mul(recipients));
    }
}
