//! The gateway as its users see it: the real binary, real sockets, and clients that know nothing of its
//! insides.
//!
//! One program, because linking thirty takes longer than most of their tests, and because tests that
//! wait can wait side by side.

mod common;

mod admin;
mod admin_keys;
mod attacks;
mod audit;
mod auth;
mod bench;
mod bodies;
mod caddy;
mod check;
mod client;
mod configuration;
#[cfg(target_os = "linux")]
mod descriptors;
mod drain;
mod following;
mod journal;
mod key_sets;
mod limits;
mod looking;
mod metrics;
mod nginx;
mod openapi;
mod origin;
mod page;
#[cfg(debug_assertions)]
mod panics;
mod process;
mod protocol;
mod python_client;
mod redaction;
mod refusals;
mod reload;
mod replay_check;
mod requests;
mod resume;
mod run_parts;
mod runs;
mod runtimes;
mod settings;
mod silence;
mod simulate;
mod tutorial;
mod websocket;
