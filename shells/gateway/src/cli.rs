//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::check::Check;
use crate::replay::Replay;
use crate::settings::{self, Origin, Settings};
use crate::simulate::{self, Simulate};
use crate::telemetry::journal;

#[derive(Debug, Parser)]
#[command(name = "headcount", version, about = "A WebSocket gateway that never loses count.")]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve WebSockets and the admin port until SIGTERM or SIGINT
    #[command(after_long_help = settings::help())]
    Serve(Serve),
    /// Check a file of settings: print every mistake in it, or ok
    Check(Check),
    /// Print the settings that serve would use, and the source of each, as TOML
    #[command(after_long_help = settings::help())]
    Config(Serve),
    /// Run virtual clients against the registry in virtual time, and report what happened
    #[command(after_long_help = simulate::help())]
    Simulate(Simulate),
    /// Replay a journal that serve wrote: every action of that server, or an explanation
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address of the WebSocket port; port 0 picks a free one [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Address of the admin port, for the back end and operators [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<String>,

    /// Read settings from a TOML file, which POST /v1/reload reads again
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Change a setting; repeatable (--help lists them)
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,

    #[command(flatten)]
    pub(crate) journal: journal::Arguments,
}

impl Serve {
    /// Takes what the flags set.
    pub(crate) fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        for (key, flag, given) in
            [("listen", "--listen", &self.listen), ("admin", "--admin", &self.admin)]
        {
            if let Some(text) = given {
                settings.set(key, text, Origin::Flag(flag))?;
            }
        }
        for given in &self.set {
            let Some((key, value)) = given.split_once('=') else {
                // What follows the key may be a secret, and so may all of it.
                let is_of_key = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
                let end = given.find(|c| !is_of_key(c)).unwrap_or(given.len());
                let key = Some(&given[..end]).filter(|key| settings::is_key(key)).unwrap_or("…");
                return Err(format!(
                    "--set {key}: a setting is written table.key=value, such as \
                     --set heartbeat.interval=25s"
                ));
            };
            settings.set(key.trim(), value.trim(), Origin::Set)?;
        }
        Ok(())
    }
}

/// Reads the process's arguments. Help, the version and mistakes end the process here: a mistake
/// with exit code 2.
pub(crate) fn parse() -> Command {
    match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => without_what_is_stray(error).exit(),
    }
}

/// An argument that no option takes may be a secret: `--set auth.key SECRET`.
fn without_what_is_stray(mut error: clap::Error) -> clap::Error {
    let is_option = |value: Option<&ContextValue>| matches!(value, Some(ContextValue::String(text)) if text.starts_with('-'));
    if error.kind() == ErrorKind::UnknownArgument && !is_option(error.get(ContextKind::InvalidArg))
    {
        error.insert(ContextKind::InvalidArg, ContextValue::String("…".to_owned()));
    }
    error
}

/// Without credentials anyone who can reach a port is anyone they like, so nobody from outside may
/// reach it.
/// `written` is the address as it was given.
pub(crate) fn only_loopback(written: &str, address: SocketAddr) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "{written}: development mode (no key) listens on loopback only; use 127.0.0.1:{port} or \
         [::1]:{port}",
        port = address.port()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn only_this_machine_may_reach_it() {
        assert!(only_loopback("--listen", "127.9.9.9:1".parse().unwrap()).is_ok());
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1"] {
            let written = format!("--admin {open}");
            let sentence = only_loopback(&written, open.parse().unwrap()).unwrap_err();
            assert!(sentence.starts_with(&written), "{sentence}");
        }
    }
}
