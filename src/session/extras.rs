//! What few sessions have that a connection follows.

use crate::run::OfSession;
use crate::snapshot::encoded;
use crate::store::{Links, Ring, Seldom, linked};
use crate::time::Timestamp;

use super::{Session, SessionKey};

/// See the [module's docs](self).
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct Extras {
    /// When the last open connection left, while there is none.
    pub(super) lingers_since: Timestamp,
    /// Its runs, those included that have ended and that the log keeps something of, oldest first.
    pub(crate) runs: Ring<OfSession>,
    /// How many of them are open.
    pub(crate) open_runs: u32,
    /// How many of its connections wait for the end of their close handshake.
    pub(super) closing: u32,
    /// Its place among those that linger without an open run, of all users and of its own.
    pub(super) links: Links,
    pub(super) idle_links: Links,
}

encoded! { struct Extras { lingers_since, runs, open_runs, closing, links, idle_links } }

impl Seldom for Extras {
    const SHARED: &'static Self = &Self::USUAL;
    const USUAL: Self = Self {
        lingers_since: Timestamp::ZERO,
        runs: Ring::new(),
        open_runs: 0,
        closing: 0,
        links: Links::OUT,
        idle_links: Links::OUT,
    };
}

linked! {
    /// Sessions that linger without an open run.
    Lingering: SessionKey => Session, extras.links
}

linked! {
    /// Sessions of one user that linger without an open run.
    Idle: SessionKey => Session, extras.idle_links
}
