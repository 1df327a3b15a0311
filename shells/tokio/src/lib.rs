//! The [`headcount`] registry on tokio.
#![forbid(unsafe_code)]

mod adapter;
#[cfg(feature = "axum")]
mod axum;
mod handle;
mod handler;
mod hub;
mod mailbox;
mod socket;

pub use headcount;

#[cfg(feature = "axum")]
pub use self::adapter::Axum;
#[cfg(feature = "tungstenite")]
pub use self::adapter::Tungstenite;
pub use self::adapter::{Adapter, Incoming, Outgoing};
#[cfg(feature = "axum")]
pub use self::axum::{Admission, Upgrade};
pub use self::handle::{AdmitError, CallError, Handle, Place};
pub use self::handler::{Dialect, Handler, payload};
pub use self::hub::Hub;

/// Fresh entropy for the seed of a configuration: the standard library's for its hash maps.
#[must_use]
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};

    RandomState::new().hash_one(0_u8)
}
