//! WebSocket server for the headcount registry.

#![forbid(unsafe_code)]

mod actions;
mod answer;
mod frames;
mod handle;
mod handler;
mod http;
mod listener;
mod outbound;
mod server;
mod socket;
mod sockets;
mod turn;

pub use answer::Answer;
pub use handle::{Handle, HandleError};
pub use handler::{Handler, Kind, Payload, Turn, Verdict};
pub use http::Request;
pub use server::{BindError, Options, Server};
