//! Load for WebSocket servers: one thread that holds many connections and gives them known work.
//!
//! A [`Crowd`] holds the connections. An [`Echo`], a [`Broadcast`] and a [`Storm`] are work for it: each runs
//! for a set time, waits for every answer, and returns an [`Outcome`] with exact counts. [`usage`] reads what
//! the server's process has used meanwhile.
//!
//! The generator counts whole messages and reads no payload, and it sends frames that were encoded and
//! masked before. So it stays ahead of a server that shares the machine, and it is no conformance test.

#![forbid(unsafe_code)]

mod crowd;
mod error;
mod frames;
mod histogram;
mod inbound;
mod socket;
mod target;
pub mod usage;
mod workload;

pub use crowd::{Crowd, Report, What};
pub use error::LoadError;
pub use frames::Frames;
pub use histogram::Histogram;
pub use target::Target;
pub use workload::{Broadcast, Echo, INTERVAL, Outcome, Sample, Series, Storm, StormOutcome};
