//! The command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use crate::settings::{self, Settings};

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
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where browsers connect; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "HEADCOUNT_LISTEN", default_value = "127.0.0.1:7400", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// Where the back end publishes and people look; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "HEADCOUNT_ADMIN", default_value = "127.0.0.1:7401", value_parser = address)]
    pub(crate) admin: SocketAddr,

    /// Change a setting; repeatable (--help lists them)
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,
}

impl Serve {
    /// What the environment and the flags set, checked key by key. Flags win.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let mut settings = Settings::default();
        settings.environment(std::env::vars_os())?;
        for given in &self.set {
            let Some((key, value)) = given.split_once('=') else {
                return Err(format!(
                    "--set {given}: a setting is written table.key=value, such as \
                     --set heartbeat.interval=25s"
                ));
            };
            settings.set(key.trim(), value.trim(), "--set")?;
        }
        Ok(settings)
    }
}

/// Reads the process's arguments. Help, the version and mistakes end the process here: a mistake
/// with exit code 2.
pub(crate) fn parse() -> Command {
    Cli::parse().command
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:7400 or [::1]:0".to_owned()
    })
}

/// Without credentials anyone who can reach a port is anyone they like, so nobody from outside may
/// reach it.
pub(crate) fn only_loopback(flag: &str, address: SocketAddr) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "{flag} {address}: development mode asks nobody for credentials, so it listens on loopback \
         only; use 127.0.0.1:{port} or [::1]:{port}",
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
    fn addresses() {
        assert_eq!(address("localhost:0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(address("[::1]:7400"), Ok("[::1]:7400".parse().unwrap()));
        for wrong in ["", "7400", ":7400", "127.0.0.1", "example.com:80", "127.0.0.1:65536"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert!(only_loopback("--listen", "127.9.9.9:1".parse().unwrap()).is_ok());
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1"] {
            let sentence = only_loopback("--admin", open.parse().unwrap()).unwrap_err();
            assert!(sentence.contains("--admin") && sentence.contains(open), "{sentence}");
        }
    }
}
