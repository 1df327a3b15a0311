//! A message that the handler could not deal with at once: it waits to be given again.

use crate::fair::REQUEST_STEPS;
use crate::frames::FrameEvent;
use crate::handler::{Handler, Outcome, Payload};

use super::{ReadContext, Socket, Stream};

/// A message that the registry has taken, and that the handler is to be given again.
pub(super) struct Waiting {
    message: FrameEvent,
    /// Whether it is to be given now.
    pub(super) again: bool,
}

impl Waiting {
    pub(super) const fn new(message: FrameEvent) -> Self {
        Self { message, again: false }
    }
}

/// What a data message says; `None` for other frames.
pub(super) fn payload_of(event: &FrameEvent) -> Option<Payload<'_>> {
    match event {
        FrameEvent::Text(text) => Some(Payload::Text(text)),
        FrameEvent::Binary(bytes) => Some(Payload::Binary(bytes)),
        _ => None,
    }
}

impl<S: Stream> Socket<S> {
    /// Gives the handler the message that waits, if it is time to.
    pub(super) fn tell_again<H: Handler>(&mut self, reading: &mut ReadContext<'_, '_, H>) {
        let Some(waiting) = self.waiting.take_if(|waiting| waiting.again) else { return };
        let Some(payload) = payload_of(&waiting.message) else { return };
        reading.budget.spend(REQUEST_STEPS);
        match reading.handler.message_again(reading.context, self.conn, payload) {
            Outcome::Done => {}
            Outcome::Later => self.waiting = Some(Waiting::new(waiting.message)),
        }
    }
}
