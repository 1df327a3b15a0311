//! The wall clock: the time of day of the stamps of the registry, and how it is written.

pub(crate) mod utc;
pub(crate) mod wall_clock;
