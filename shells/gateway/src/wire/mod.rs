//! What goes over the wire: frames of clients, frames to clients, and the words that both ports share.

pub(crate) mod client_frames;
pub(crate) mod frames;
pub(crate) mod handles;
pub(crate) mod identity;
pub(crate) mod problem;
pub(crate) mod run_events;
