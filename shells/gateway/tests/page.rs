//! What people see in a browser, where there is one.

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PATIENCE, Server};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const BROWSERS: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// A browser without a window that writes down a page and ends. Killed when the test is over.
struct Browser {
    child: Child,
    directory: PathBuf,
}

impl Browser {
    /// `None`: this machine has none.
    fn open(address: &str, name: &str) -> Option<Self> {
        let program = BROWSERS.into_iter().find(|program| Path::new(program).exists())?;
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let document = std::fs::File::create(directory.join("document")).unwrap();
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            // Time passes as fast as the page allows, and stands still while it waits for an answer.
            .args(["--virtual-time-budget=3000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(document)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, directory })
    }

    /// The document as it stands at the end.
    fn document(mut self) -> String {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < 2 * PATIENCE, "the browser does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::read_to_string(self.directory.join("document")).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn the_page_shows_a_drain() {
    let server = Server::start();
    let _client = server.connect("user=a");
    let address = format!("http://{}/", server.admin);
    if let Some(browser) = Browser::open(&address, "before") {
        let document = browser.document();
        assert!(document.contains("<span>open <b>1</b></span>"), "{document}");
        assert!(!document.contains("class=\"drains\""), "{document}");
    }
    let answer = server.post("/v1/drain", r#"{"deadline_ms":600000}"#).json();
    assert_eq!(answer["connections"], 1);
    if let Some(browser) = Browser::open(&address, "during") {
        let document = browser.document();
        assert!(document.contains("draining: nobody is admitted</b>"), "{document}");
    }
    // What the page goes by, for machines without a browser.
    assert_eq!(server.stats()["draining"], json!(true));
    let page = server.get("/").body;
    assert!(page.contains("stats.draining") && page.contains("case 'draining'"));
}

#[test]
fn the_page_s_own_example_runs() {
    let server = Server::start();
    let Some(browser) = Browser::open(&format!("http://{}/#demo", server.admin), "demo") else {
        return;
    };
    let document = browser.document();
    for (text, times) in [
        ("all of alice", 2),
        ("alice at work", 1),
        ("bob alone", 1),
        ("whoever is in the lobby", 2),
    ] {
        let shown = format!("\"for\":\"{text}\"");
        assert_eq!(document.matches(&shown).count(), times, "{shown}: {document}");
    }
    // The run of an agent, in the one column that it belongs to.
    for shown in ["Planner agent_started", "Planner agent_completed", "There are three."] {
        assert_eq!(document.matches(shown).count(), 1, "{shown}: {document}");
    }
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
struct Page {
    child: Child,
    directory: PathBuf,
    socket: WebSocket<TcpStream>,
    calls: u64,
}

impl Page {
    /// `None`: this machine has no browser.
    fn open(address: &str, name: &str) -> Option<Self> {
        let program = BROWSERS.into_iter().find(|program| Path::new(program).exists())?;
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let mut child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
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
        let (at, _) = browser.split_once("/devtools/").unwrap();
        let socket = connect(&format!("{at}/devtools/page/{target}"));
        Some(Self { child, directory, socket, calls: 0 })
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        call(&mut self.socket, &mut self.calls, method, parameters)
    }

    /// What an expression of the page is.
    fn is(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &parameters);
        assert!(answer["result"]["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["result"]["value"].clone()
    }

    /// Waits until it is true.
    fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.is(expression) != json!(true) {
            let shown = self.is("document.body?.innerText");
            assert!(start.elapsed() < PATIENCE, "{expression} is not so: {shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn width(&mut self, width: u32) {
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

#[test]
fn long_names_and_narrow_windows_cut_nothing_that_matters() {
    let server = Server::start();
    let Some(mut page) = Page::open(&format!("http://{}/", server.admin), "narrow") else { return };
    page.until("document.readyState === 'complete' && document.querySelector('#demo') !== null");
    page.width(390);
    let inside = "(() => { const [it, around] = [document.querySelector('#demo'), \
                  document.querySelector('#empty')].map(element => element.getBoundingClientRect()); \
                  return it.left >= around.left && it.right <= around.right; })()";
    assert_eq!(page.is(inside), true, "the button stays in its card");
    page.is("new Column('u'.repeat(128), 't'.repeat(128)); 0");
    page.until("document.querySelector('.state').textContent === 'open'");
    let whole = "(() => { const state = document.querySelector('.state'); \
                 const [it, around] = [state, state.parentElement].map(it => it.getBoundingClientRect()); \
                 return it.right <= around.right && state.scrollWidth <= state.clientWidth + 1; })()";
    for width in [390, 1280] {
        page.width(width);
        assert_eq!(page.is(whole), true, "the state is seen at {width}");
        let scrolls = "document.documentElement.scrollWidth > window.innerWidth";
        assert_eq!(page.is(scrolls), false, "nothing sticks out at {width}");
    }
    let hues = "[...Array(2000).keys()].map(n => Number(/^hsl\\((\\d+(?:\\.\\d+)?)/.exec(hue(`user-${n}`))[1]))";
    let red = format!("{hues}.concat({hues}).filter(hue => hue < 150 || hue > 320).length");
    assert_eq!(page.is(&red), 0, "a name is not red, for that is an error");
}

#[test]
fn a_reconnect_goes_on_in_its_rooms() {
    let server = Server::start();
    let Some(mut page) = Page::open(&format!("http://{}/", server.admin), "rooms") else { return };
    page.until("document.readyState === 'complete' && typeof Column === 'function'");
    page.is("window.column = new Column('alice', 'main'); 0");
    page.until("column.state.textContent === 'open' && column.connection !== null");
    page.is("column.join('lobby'); 0");
    page.until("column.rooms.has('lobby')");
    // README: what a column shows of a message.
    server.publish(r#"{"user":"alice"}"#, r#"{"text":"hello"}"#);
    let lines = "[...column.list.children]\
        .map(line => [...line.children].map(it => it.textContent).join(' '))";
    page.until(&format!(r#"{lines}.includes('session #1 {{"text":"hello"}}')"#));
    server.publish(r#"{"room":"lobby"}"#, r#""before""#);
    page.until("column.list.innerText.includes('before')");
    assert_eq!(server.post("/v1/close", r#"{"to":{"user":"alice"}}"#).status, 200);
    page.until("column.state.textContent === 'closed 4503'");
    server.publish(r#"{"room":"lobby"}"#, r#""while away""#);
    page.is("column.toggle.click(); 0");
    page.until("column.list.innerText.includes('while away')");
    server.publish(r#"{"room":"lobby"}"#, r#""after""#);
    page.until("column.list.innerText.includes('after')");
    let shown = page.is("column.list.innerText");
    for text in ["before", "while away", "after"] {
        assert_eq!(shown.as_str().unwrap().matches(text).count(), 1, "{text}: {shown}");
    }
    // A room that was left is not come back to.
    page.is("column.leave('lobby'); 0");
    page.until("!column.rooms.has('lobby')");
    assert_eq!(server.stats()["rooms"].as_u64().unwrap(), 1, "its history stays for a while");
}

#[test]
fn with_a_key_the_page_asks_for_it_and_forgets_it() {
    let key = "key-of-everything-0123456789";
    let server = Server::with(&[&format!("auth.admin_key={key}")]);
    let address = format!("http://{}/", server.admin);
    let Some(mut page) = Page::open(&address, "unlock") else { return };
    page.until("document.querySelector('#stats')?.textContent === 'This server has admin keys.'");
    page.until("!document.querySelector('#unlock').hidden");
    let enter = |key: &str| {
        format!(
            "(() => {{ const form = document.querySelector('#unlock'); \
             form.elements.key.value = '{key}'; form.requestSubmit(); }})(); 0"
        )
    };
    page.is(&enter("wrong-key-0123456789"));
    page.until("document.querySelector('#stats').textContent.includes('Bearer')");
    page.is(&enter(key));
    page.until("document.querySelector('#stats').textContent.startsWith('open ')");
    assert_eq!(page.is("document.querySelector('#unlock').hidden"), true);
    assert_eq!(page.is("publish({ user: 'alice' }, '1').then(() => 0)"), 0);
    page.until("document.querySelector('#answer').textContent.startsWith('200 ')");
    // Nothing of it is written down, or stands where it could be read.
    let kept = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, \
                location.href]) + document.documentElement.outerHTML";
    assert!(!page.is(kept).as_str().unwrap().contains(key));
    page.is("location.reload(); 0");
    page.until("document.querySelector('#stats')?.textContent === 'This server has admin keys.'");
}
