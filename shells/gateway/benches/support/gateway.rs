//! A gateway in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A running gateway. Killed when it is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) websocket: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Gateway {
    /// Starts one with these settings: `HEADCOUNT_BINARY`, or the one that was built with the bench. With
    /// `HEADCOUNT_PINNED` it runs on the first core alone; the bench is for another one then.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let binary = std::env::var("HEADCOUNT_BINARY");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_headcount").to_owned());
        let mut command = match std::env::var_os("HEADCOUNT_PINNED") {
            None => Command::new(binary),
            Some(_) => {
                let mut command = Command::new("taskset");
                command.args(["-c", "0", &binary]);
                command
            }
        };
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        for name in std::env::vars_os().map(|(name, _)| name) {
            if name.to_string_lossy().starts_with("HEADCOUNT_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the gateway starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = |from: &str, to: &str| {
            let line = lines.next().expect("a line").expect("a line");
            let address = line.strip_prefix(from).and_then(|rest| rest.strip_suffix(to));
            address.and_then(|address| address.parse().ok()).expect("an address")
        };
        let websocket = line("websocket ws://", "/ws");
        let admin = line("admin http://", "/");
        Self { child, websocket, admin }
    }

    /// Its process: `taskset` becomes what it runs.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
