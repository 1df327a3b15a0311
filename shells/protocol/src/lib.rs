//! The wire of a headcount gateway as pure types: what clients, back ends and the gateway send
//! each other.
//! Nothing here does I/O or reads a clock.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
pub mod anchor;
pub mod client_frames;
pub mod epoch;
pub mod handles;
pub mod identity;
pub mod json;
pub mod problem;
pub mod run_events;
pub mod secret;
pub mod server_frames;
