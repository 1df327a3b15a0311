//! A real browser, where there is one, asked over its own protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::PATIENCE;

const BROWSERS: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// `None`: this machine has none.
pub(crate) fn program() -> Option<&'static str> {
    BROWSERS.into_iter().find(|program| Path::new(program).exists())
}

fn connect(address: &str) -> WebSocket<TcpStream> {
    let at = address.strip_prefix("ws://").and_then(|rest| rest.split_once('/')).unwrap().0;
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(address, stream).unwrap().0
}

/// One call of the browser's protocol, and its answer; events that come before it are passed over.
fn call(
    socket: &mut WebSocket<TcpStream>,
    calls: &mut u64,
    method: &str,
    parameters: &Value,
) -> Value {
    *calls += 1;
    let call = json!({"id": *calls, "method": method, "params": parameters});
    socket.send(Message::text(call.to_string())).unwrap();
    loop {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let answer: Value = serde_json::from_str(text.as_str()).unwrap();
        if answer["id"] == *calls {
            return answer;
        }
    }
}

/// A page that is open in a browser, and asked what it looks like.
pub(crate) struct Page {
    child: Child,
    directory: PathBuf,
    /// Where the browser itself is asked.
    browser: String,
    tab: Tab,
}

impl Page {
    /// `None`: this machine has no browser.
    pub(crate) fn open(address: &str, name: &str) -> Option<Self> {
        Self::open_with(address, name, &[])
    }

    /// The same with flags of the browser.
    pub(crate) fn open_with(address: &str, name: &str, flags: &[&str]) -> Option<Self> {
        let program = program()?;
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let mut child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            .args(flags)
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What it says after that is read, too: it must not stand still for want of a reader.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let browser = lines.find_map(|line| {
            line.split_once("DevTools listening on ").map(|(_, address)| address.to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let browser = browser.expect("a browser that can be asked");
        let (mut targets, mut calls) = (connect(&browser), 0);
        let start = Instant::now();
        let target = loop {
            let answer = call(&mut targets, &mut calls, "Target.getTargets", &json!({}));
            let infos = answer["result"]["targetInfos"].as_array().unwrap();
            if let Some(page) = infos.iter().find(|it| it["type"] == "page") {
                break page["targetId"].as_str().unwrap().to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "no page: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let tab = Tab::of(&browser, &target);
        Some(Self { child, directory, browser, tab })
    }

    /// Another page of the same browser.
    pub(crate) fn tab(&self, address: &str) -> Tab {
        let (mut targets, mut calls) = (connect(&self.browser), 0);
        let create = json!({"url": address});
        let answer = call(&mut targets, &mut calls, "Target.createTarget", &create);
        Tab::of(&self.browser, answer["result"]["targetId"].as_str().unwrap())
    }
}

impl Deref for Page {
    type Target = Tab;

    fn deref(&self) -> &Tab {
        &self.tab
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut Tab {
        &mut self.tab
    }
}

/// One page of a browser.
pub(crate) struct Tab {
    socket: WebSocket<TcpStream>,
    calls: u64,
}

impl Tab {
    fn of(browser: &str, target: &str) -> Self {
        let (at, _) = browser.split_once("/devtools/").unwrap();
        Self { socket: connect(&format!("{at}/devtools/page/{target}")), calls: 0 }
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        call(&mut self.socket, &mut self.calls, method, parameters)
    }

    /// What an expression of the page is.
    pub(crate) fn is(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &parameters);
        assert!(answer["result"]["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["result"]["value"].clone()
    }

    /// Waits until it is true.
    pub(crate) fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.is(expression) != json!(true) {
            let shown = self.is("document.body?.innerText");
            assert!(start.elapsed() < PATIENCE, "{expression} is not so: {shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As a browser does with a page that is not seen for long: no timer fires, and nothing
    /// that comes is heard.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        let state = if frozen { "frozen" } else { "active" };
        let answer = self.call("Page.setWebLifecycleState", &json!({"state": state}));
        assert!(answer["error"].is_null(), "{answer}");
    }

    pub(crate) fn width(&mut self, width: u32) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
