//! What the benches of the gateway share: a gateway of their own, and a client of its admin port.

// Each bench uses a part of it.
#![allow(dead_code)]

pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod users;

/// A size that a variable sets.
pub(crate) fn by_variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(size) => size.parse().unwrap_or_else(|_| panic!("{name} is no number: {size}")),
        Err(_) => default,
    }
}
