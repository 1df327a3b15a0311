//! Who arrives.

use super::op::{Pick, Since};
use super::simpler::{Simpler, with};

/// Who comes, and what their client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[cfg_attr(feature = "history", derive(serde::Serialize, serde::Deserialize))]
pub struct Arrival {
    /// Which user.
    pub user: u8,
    /// In which thread; 200 and above: in none.
    pub thread: u8,
    /// The label of the principal: one of a few.
    pub label: Option<u8>,
    /// What the client claims to have seen of its session.
    pub resume: Since,
    /// The connection that it says it had.
    pub previous: Option<Pick>,
    /// When its credentials expire: 0 long ago, below 10 now, otherwise in so many milliseconds times
    /// the number itself; `None` for never.
    pub expiry: Option<u8>,
    /// Whether it is an event stream.
    #[cfg_attr(feature = "history", serde(default))]
    pub event_stream: bool,
    /// The limit of connections that comes with the credentials: one to four.
    #[cfg_attr(feature = "history", serde(default, skip_serializing_if = "Option::is_none"))]
    pub limit: Option<u8>,
    /// The tenant that the principal names: one of a few.
    #[cfg_attr(feature = "history", serde(default, skip_serializing_if = "Option::is_none"))]
    pub tenant: Option<u8>,
}

impl Simpler for Arrival {
    fn simpler(&self) -> Vec<Self> {
        [
            with(*self, |it| &mut it.label),
            with(*self, |it| &mut it.previous),
            with(*self, |it| &mut it.expiry),
            with(*self, |it| &mut it.limit),
            with(*self, |it| &mut it.tenant),
            with(*self, |it| &mut it.event_stream),
            with(*self, |it| &mut it.resume),
            with(*self, |it| &mut it.user),
            with(*self, |it| &mut it.thread),
        ]
        .concat()
    }
}
