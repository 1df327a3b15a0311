//! A server as a process of its own, pinned to the first core.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headcount_load::{Target, usage};

/// How long a server may take until its processor time stands still.
const CALM: Duration = Duration::from_secs(3);

/// What can be measured.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<&'static str>,
}

/// All of them, the floor first.
pub(crate) fn kinds(peers: &Path, headcount: &Path) -> Vec<Kind> {
    let of = |name, program: PathBuf, arguments: &[&'static str]| Kind {
        name,
        program,
        arguments: arguments.to_vec(),
    };
    vec![
        of("raw", peers.join("raw"), &["0"]),
        of("headcount", headcount.to_owned(), &["0"]),
        of("headcount-axum", peers.join("headcount_axum"), &["0"]),
        of("tungstenite-4k", peers.join("tungstenite"), &["0", "4096"]),
        of("tungstenite", peers.join("tungstenite"), &["0"]),
        of("fastwebsockets", peers.join("fast"), &["0"]),
        of("axum", peers.join("axum"), &["0"]),
    ]
}

pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts it, and waits for the line with its address.
    pub(crate) fn start(kind: &Kind, is_pinned: bool) -> Result<Self, String> {
        let error = |what: &str| format!("{}: {what}", kind.name);
        let mut command = if is_pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(&kind.program);
            command
        } else {
            Command::new(&kind.program)
        };
        let mut child =
            command.args(&kind.arguments).stdout(Stdio::piped()).spawn().map_err(|cause| {
                error(&format!("cannot start {}: {cause}", kind.program.display()))
            })?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or_else(|| error("it has no standard output"))?;
        let read = BufReader::new(out).read_line(&mut line);
        // From here on it is ended with the value.
        let server = Self { child, address: line.trim().to_owned() };
        read.map_err(|cause| error(&format!("cannot read its address: {cause}")))?;
        if !server.address.starts_with("ws://") {
            return Err(error("it ended before it printed its address"));
        }
        Ok(server)
    }

    pub(crate) fn target(&self, path: &str) -> Result<Target, String> {
        let url = format!("{}/{path}", self.address);
        Target::new(&url).map_err(|error| error.to_string())
    }

    /// The processor time that it has used, when it has come to rest.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let began = Instant::now();
        let mut last = self.cpu_now()?;
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.cpu_now()?;
            // A timer that runs is less than 100 µs in 20 ms.
            if now - last < Duration::from_micros(100) || began.elapsed() > CALM {
                return Ok(now);
            }
            last = now;
        }
    }

    fn cpu_now(&self) -> Result<Duration, String> {
        usage::cpu(self.child.id()).map_err(|error| format!("cannot read its time: {error}"))
    }

    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        usage::resident_bytes(self.child.id())
            .map_err(|error| format!("cannot read its memory: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended by itself, or it is ended: both are well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
