//! `headcount serve`: the connection registry as one binary in front of a back end in any language.
//!
//! Browsers connect to the WebSocket port, a back end publishes over HTTP on the admin port. The
//! registry's loop runs on the main thread; the admin port on a thread of its own, from which it
//! posts closures to the loop.
//!
//! `headcount check` and `headcount config` say what is wrong with settings, and what they are.
//! `headcount replay` does again what a journal of it says, and `headcount simulate` runs
//! virtual clients against the same registry in virtual time. `headcount bench` loads any WebSocket
//! server with real ones.
#![forbid(unsafe_code)]

mod admin;
mod auth;
mod cli;
mod clock;
mod following;
mod gateway;
mod limits;
mod live_settings;
mod network;
mod regular_file;
mod requests;
mod settings;
mod telemetry;

use std::io::{self, Write};
use std::process::ExitCode;

use headcount::shown;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|sentence| {
        // One line, before any log line: a person who started the process reads this first.
        let _ = writeln!(io::stderr(), "headcount: {}", shown(&sentence));
        ExitCode::from(cli::USAGE)
    })
}
