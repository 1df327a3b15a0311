//! What a stream has while it keeps entries, or has something to hand out.

use alloc::boxed::Box;

use crate::snapshot::encoded;
use crate::store::{Links, Seldom};

use super::{FanOut, MassClose};

/// See the [module's docs](self).
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct Extras {
    /// Its places in the eviction lists, one per class.
    pub(crate) listed_as: [Links; 2],
    /// Its turn in the ready queue.
    pub(crate) ready: Links,
    /// `None`: every member that does not lag has everything.
    pub(crate) fan_out: Option<FanOut>,
    pub(crate) mass_close: Option<Box<MassClose>>,
}

encoded! { struct Extras { listed_as, ready, fan_out, mass_close } }

impl Seldom for Extras {
    const SHARED: &'static Self = &Self::USUAL;
    const USUAL: Self =
        Self { listed_as: [Links::OUT; 2], ready: Links::OUT, fan_out: None, mass_close: None };
}
