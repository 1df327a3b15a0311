//! Serves every call alike: sockets, keys, bodies and refusals.

pub(crate) mod access;
pub(crate) mod body;
pub(crate) mod guard;
pub(crate) mod keys;
pub(crate) mod pages;
mod places;
pub(crate) mod query;
pub(crate) mod recorded;
pub(crate) mod refusal;
pub(crate) mod server;
pub(crate) mod shared_work;
pub(crate) mod unread;
mod watched;
