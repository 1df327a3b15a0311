//! Carrying out the registry's actions: encode once a dialect, queue for each recipient, write later.

use headcount::{Action, Body, ConnId, Ended, StreamRef};

use crate::fair::{Budget, steps_of};
use crate::frames::PING;
use crate::handler::{Context, Dialect, FrameKind, Handler};
use crate::last_words::LastWords;
use crate::output::{Class, FrameId, TurnOutput};
use crate::socket::Stream;
use crate::sockets::Sockets;

/// Recipients for whom a frame is queued in one step.
const QUEUED_IN_A_STEP: usize = 16;

/// What a cleanup costs: a socket is closed.
const CLEANUP_STEPS: usize = 16;

/// How long a frame that tells of no message probably is.
const SHORT: usize = 64;

/// What a turn spends on actions: a step is a microsecond, and the bytes are those that are to be written.
/// A storm of messages takes as many turns as it needs, and between them the sockets are read.
const BUDGET: Budget = Budget { steps: 1_024, bytes: 1024 * 1024 };

/// Sockets that wait to be written when a turn carries out no more actions. Each is a system call, which is
/// most of what a message costs.
const SOCKETS: usize = 512;

/// Actions of a stretch at most, as [`headcount::Registry::poll_action`] says.
const STRETCH: usize = 16;

/// What goes from one action, and from one turn, to the next.
#[derive(Default)]
pub(crate) struct Acting {
    /// The first recipient of the last action. It stands for all of them: those of a stretch are the same.
    first: Option<ConnId>,
    /// Whether the registry may still lend an action: only the poll behind it lets go of what it says.
    is_lent: bool,
    /// The frames of the action under way, and their lengths: one for each dialect among the recipients so
    /// far. Empty between two actions.
    frames: Vec<(Dialect, FrameId, usize)>,
}

impl Acting {
    /// Carries out actions up to a turn's share, and has what they made written.
    ///
    /// All that a turn has for a socket is to be written at once. A stream gives a stretch of its members one
    /// entry after the other. So when the share is used up, the turn goes on to the end of the stretch: until
    /// an action is for others or for no connection, and for [`STRETCH`] actions at most. That action is
    /// carried out, too, and what it says is written in the next turn, which comes at once.
    pub(crate) fn turn<S: Stream, H: Handler>(
        &mut self,
        context: &mut Context<'_>,
        handler: &mut H,
        sockets: &mut Sockets<S>,
        mut write: impl FnMut(&mut Sockets<S>, &mut TurnOutput),
    ) {
        if !self.is_lent && !context.registry.has_actions() {
            return write(sockets, context.output);
        }
        let (mut budget, mut beyond) = (BUDGET, 0);
        loop {
            let Some(action) = context.registry.poll_action() else {
                self.is_lent = false;
                return write(sockets, context.output);
            };
            self.is_lent = true;
            let first = action.recipients().first().copied();
            let goes_on = first.is_some() && self.first == first;
            self.first = first;
            let is_used_up = !budget.is_left() || sockets.dirty() >= SOCKETS;
            let is_over = is_used_up && (!goes_on || beyond == STRETCH);
            beyond += usize::from(is_used_up);
            if is_over {
                write(sockets, context.output);
            }
            if let Action::Presence { user, online } = action {
                let user = user.clone();
                handler.presence(context, &user, online);
                budget.spend(1);
            } else {
                let (output, frames) = (&mut *context.output, &mut self.frames);
                Actor { sockets, handler, output, frames, budget: &mut budget }.carry_out(action);
            }
            if is_over {
                return;
            }
        }
    }
}

/// What an action is carried out with.
struct Actor<'a, S, H> {
    sockets: &'a mut Sockets<S>,
    handler: &'a mut H,
    output: &'a mut TurnOutput,
    /// [`Acting::frames`].
    frames: &'a mut Vec<(Dialect, FrameId, usize)>,
    /// What the turn has left.
    budget: &'a mut Budget,
}

impl<S: Stream, H: Handler> Actor<'_, S, H> {
    /// Queues what an action says.
    fn carry_out(&mut self, action: Action<'_>) {
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
                let frame = self.output.whole(&PING, cost, Class::Plain);
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
