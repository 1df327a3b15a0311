//! What a client is told when the registry closes its connection.

use headcount::{CloseReason, Refused};

use crate::answer::Answer;

/// What a close action says.
pub(crate) struct LastWords<'a> {
    pub(crate) reason: CloseReason,
    pub(crate) code: u16,
    pub(crate) text: &'a str,
}

impl LastWords<'_> {
    /// Whether they are the application's own.
    pub(crate) const fn are_own(&self) -> bool {
        self.code != self.reason.code()
    }

    /// How they are said before the upgrade.
    pub(crate) fn answer(&self) -> Answer {
        let name = self.reason.name();
        if self.reason == CloseReason::HeadTimeout {
            return Answer::json(408, name, "the request head was not complete in time");
        }
        let message = match self.are_own() {
            true => self.text,
            false => "the connection was closed before the upgrade",
        };
        Answer::json(503, name, message).retry_after(Refused::PAUSE)
    }
}

impl From<CloseReason> for LastWords<'_> {
    fn from(reason: CloseReason) -> Self {
        Self { reason, code: reason.code(), text: reason.name() }
    }
}
