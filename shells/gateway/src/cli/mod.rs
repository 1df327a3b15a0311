//! The command line: one file per command.

mod bench;
mod check;
mod replay;
mod replay_check;
mod serve;
mod simulate;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::settings;
use bench::Bench;
use check::Check;
use replay::Replay;
use serve::Serve;
use simulate::Simulate;

/// The exit code when what was asked for can't be done: flags, settings, addresses.
pub(crate) const USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "headcount", version, about = "A WebSocket gateway that never loses count.")]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
    /// Load any WebSocket server with idle connections, echoes and broadcasts, and measure it
    #[command(after_long_help = bench::HELP)]
    Bench(Bench),
    /// Replay a journal that serve wrote: every action of that server, or an explanation
    Replay(Replay),
}

/// Does what the process's arguments say. Help, the version and mistakes of the command line end the
/// process here: a mistake with exit code 2.
///
/// # Errors
/// What was asked for can't be done: one sentence, before anything ran.
pub(crate) fn run() -> Result<ExitCode, String> {
    let cli = Cli::try_parse().unwrap_or_else(|error| without_what_is_stray(error).exit());
    match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(arguments) => check::show(arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
    }
}

/// An argument that no option takes may be a secret: `--set auth.key SECRET`.
fn without_what_is_stray(mut error: clap::Error) -> clap::Error {
    let is_option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.starts_with('-'),
        _ => false,
    };
    if error.kind() == ErrorKind::UnknownArgument && !is_option {
        error.insert(ContextKind::InvalidArg, ContextValue::String("…".to_owned()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
