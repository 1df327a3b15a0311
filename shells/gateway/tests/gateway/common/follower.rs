//! A client that runs in another program and tells what it hears.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::browser::Page;
use super::site::Site;
use super::{PATIENCE, Running, wait};

/// What runs the JavaScript client.
pub(crate) enum Runtime {
    /// A program and its first arguments; a module and the module's argument follow.
    Program(Vec<String>),
    /// A page of a browser.
    Page,
    /// A worker of a page.
    Worker,
}

impl Runtime {
    /// Node with a global `WebSocket`. `None`: this machine has none.
    pub(crate) fn node() -> Option<Self> {
        // Node 20 has it behind a flag.
        let flags = [&[][..], &["--experimental-websocket", "--no-warnings"]];
        let flags = flags.into_iter().find(|flags| {
            let mut node = Command::new("node");
            node.args(*flags).args(["-e", "WebSocket"]).stderr(Stdio::null());
            node.status().is_ok_and(|status| status.success())
        })?;
        Some(Self::Program(["node"].iter().chain(flags).map(ToString::to_string).collect()))
    }
}

pub(crate) struct Follower {
    host: Host,
    heard: Vec<Value>,
}

enum Host {
    Program { child: Running, lines: Receiver<String> },
    Page(Box<Page>),
}

impl Follower {
    /// The JavaScript client with these options. `None`: this machine does not have the runtime.
    pub(crate) fn start(runtime: &Runtime, site: &Site, options: &Value) -> Option<Self> {
        match runtime {
            Runtime::Program(command) => {
                let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                    .join("../../clients/js/test/follow_here.mjs");
                let mut program = Command::new(&command[0]);
                program.args(&command[1..]).arg(script).arg(options.to_string());
                Some(Self::program(program))
            }
            Runtime::Page => {
                let start = format!(
                    "import('/test/follow.mjs').then(({{ follow }}) => {{
                        window.client = follow({options}, it => heard.push(it));
                    }})"
                );
                Self::browser(site, &start)
            }
            Runtime::Worker => {
                let start = format!(
                    "window.worker = new Worker('/test/worker.mjs', {{ type: 'module' }});
                    worker.onmessage = ({{ data }}) => heard.push(data);
                    worker.postMessage({options})"
                );
                Self::browser(site, &start)
            }
        }
    }

    /// A program that writes what it hears, one JSON object a line.
    pub(crate) fn program(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Running(command.spawn().unwrap());
        let stdout = BufReader::new(child.0.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
        Self { host: Host::Program { child, lines }, heard: Vec::new() }
    }

    fn browser(site: &Site, start: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("follower-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut page = Page::open(&site.page(), &name)?;
        page.until("document.readyState === 'complete' && location.protocol === 'http:'");
        page.is(&format!("window.heard = []; {start}; 0"));
        Some(Self { host: Host::Page(Box::new(page)), heard: Vec::new() })
    }

    /// Takes in what it has told since, for at most this time.
    fn listen(&mut self, patience: Duration) {
        match &mut self.host {
            Host::Program { lines, .. } => {
                let first = lines.recv_timeout(patience);
                let new = first.into_iter().chain(lines.try_iter());
                self.heard.extend(new.map(|line| serde_json::from_str::<Value>(&line).unwrap()));
            }
            Host::Page(page) => {
                let Value::Array(new) = page.is("heard.splice(0)") else { panic!("no list") };
                if new.is_empty() {
                    std::thread::sleep(patience);
                }
                self.heard.extend(new);
            }
        }
    }

    /// Waits until it has told something that makes this true.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "not so: {what}: {}", json!(self.heard));
            self.listen(Duration::from_millis(20));
        }
    }

    /// What it has told under this name so far.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.heard.iter().filter(move |it| it["name"] == name)
    }

    /// Waits for its program to end by itself.
    pub(crate) fn ended(self) -> ExitStatus {
        let Host::Program { mut child, .. } = self.host else { panic!("a page does not end") };
        wait(&mut child.0)
    }
}
