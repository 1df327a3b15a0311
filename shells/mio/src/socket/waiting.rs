//! A message that the handler could not deal with at once: it waits to be given again.

use crate::fair::REQUEST_STEPS;
use crate::handler::{Handler, Outcome};
use crate::protocol::Data;

use super::{ReadContext, Socket, Stream};

/// A message that the registry has taken, and that the handler is to be given again.
pub(super) struct Waiting {
    message: Data<'static>,
    /// Whether it is to be given now.
    pub(super) again: bool,
}

impl Waiting {
    pub(super) const fn new(message: Data<'static>) -> Self {
        Self { message, again: false }
    }
}

impl<S: Stream> Socket<S> {
    /// Gives the handler the message that waits, if it is time to.
    pub(super) fn tell_again<H: Handler>(&mut self, reading: &mut ReadContext<'_, '_, H>) {
        let waiting = self.held.as_mut().and_then(|held| held.waiting.take_if(|it| it.again));
        let Some(waiting) = waiting else { return };
        reading.budget.spend(REQUEST_STEPS);
        let outcome = self.ask_handler(reading, |handler, context, conn| {
            handler.message_again(context, conn, waiting.message.payload())
        });
        if outcome == Outcome::Later {
            self.held().waiting = Some(Waiting::new(waiting.message));
        }
    }
}
