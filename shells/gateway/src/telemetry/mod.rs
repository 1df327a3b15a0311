//! What the process tells of itself: its log, audit lines, counters of refusals, and the journal.

pub(crate) mod audit;
pub(crate) mod counters;
pub(crate) mod fault;
pub(crate) mod journal;
pub(crate) mod lifecycle;
pub(crate) mod log;
pub(crate) mod panics;
pub(crate) mod refusals;
