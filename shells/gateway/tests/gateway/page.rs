//! What people see in a browser, where there is one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::common::browser::{self, Page};
use crate::common::site::{SECRET, token};
use crate::common::{PATIENCE, Server};

/// A browser without a window that writes down a page and ends. Killed when the test is over.
struct Browser {
    child: Child,
    directory: PathBuf,
}

impl Browser {
    /// `None`: this machine has none.
    fn open(address: &str, name: &str) -> Option<Self> {
        let program = browser::program()?;
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
    assert!(page.contains("stats.draining") && page.contains("on('draining'"));
}

#[test]
fn the_page_s_own_example_runs() {
    let server = Server::start();
    let address = format!("http://{}/#demo", server.admin);
    let Some(mut page) = Page::open(&address, "demo") else { return };
    // The last to come: the end of the run, in both tabs.
    page.until("document.querySelector('#conns')?.innerText.split('agent_completed').length === 3");
    let document = page.is("document.querySelector('#conns').outerHTML");
    let document = document.as_str().unwrap();
    for (text, times) in [
        ("all of alice", 2),
        ("alice at work", 1),
        ("bob alone", 1),
        ("whoever is in the lobby", 2),
    ] {
        let shown = format!("\"for\":\"{text}\"");
        assert_eq!(document.matches(&shown).count(), times, "{shown}: {document}");
    }
    // The run of an agent, in the two tabs of the session that it belongs to: one came in the middle
    // of it, the other one was away, and has it once.
    for (shown, times) in [
        ("Planner agent_started", 2),
        ("Planner agent_completed", 2),
        (">There are three.<", 1),
        (">There <", 1),
        (">are three.<", 1),
    ] {
        assert_eq!(document.matches(shown).count(), times, "{shown}: {document}");
    }
    assert_eq!(document.matches(">all, session at offset").count(), 1, "{document}");
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
    page.until("column.rooms.includes('lobby')");
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
    page.until("!column.rooms.includes('lobby')");
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

/// Fills in a form of the page, and sends it.
fn submit(page: &mut Page, form: &str, fields: &serde_json::Value) {
    page.is(&format!(
        "(() => {{ const form = document.querySelector('{form}');
         for (const [name, value] of Object.entries({fields})) form.elements[name].value = value;
         form.requestSubmit(); }})(); 0"
    ));
}

#[test]
fn with_a_token_a_run_is_seen_over_a_reload_a_resume_and_in_a_second_tab() {
    const ADMIN: &str = "the-admin-key-of-the-tests";
    let server = Server::with(&[&format!("auth.key={SECRET}"), &format!("auth.admin_key={ADMIN}")]);
    let Some(mut page) = Page::open(&format!("http://{}/", server.admin), "token") else { return };
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let token = token(SECRET, now, now + 600);
    let post = |path: &str, body: serde_json::Value| {
        let answer = server.keyed(ADMIN, "POST", path, &body.to_string());
        assert!(answer.status < 300, "{answer:?}");
    };
    let say = |delta: &str| {
        post("/v1/runs/r/events", json!({"user": "alice", "event": "text", "delta": delta}));
    };
    // What a column shows of the run, one line an event.
    let shows = |number: usize| {
        format!(
            "[...document.querySelectorAll('.conn')[{number}].querySelectorAll('.frames li')]
             .map(line => [...line.children].map(it => it.textContent))
             .filter(([tag]) => tag.startsWith('Planner '))
             .map(([tag, text]) => `${{tag.replace(/^Planner | #.*/g, '')}} ${{text}}`).join('|')"
        )
    };
    let come_in = |page: &mut Page| {
        let ready = "document.readyState === 'complete' && typeof columns === 'object'";
        page.until(&format!("{ready} && document.querySelector('.conn') === null"));
        submit(page, "#unlock", &json!({"key": ADMIN}));
        // The server knows whom a token is for.
        submit(page, "#connect", &json!({"user": "bob", "token": token}));
        page.until("document.querySelector('.conn .state')?.textContent === 'open'");
        assert_eq!(page.is("document.querySelector('.conn strong').textContent"), "alice");
    };

    come_in(&mut page);
    post("/v1/runs", json!({"user": "alice", "thread": "main", "run": "r", "agent": "Planner"}));
    say("One ");
    page.until(&format!("{} === 'agent_started {{}}|text One '", shows(0)));
    let kept = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, \
                location.href, document.querySelector('#connect').elements.token.value]) \
                + document.documentElement.outerHTML";
    assert!(!page.is(kept).as_str().unwrap().contains(&token));

    page.is("location.reload(); 0");
    say("two ");
    come_in(&mut page);
    page.until(&format!("{} === 'agent_started {{}}|text One two '", shows(0)));

    let press = |text: &str| {
        format!(
            "[...document.querySelectorAll('.conn button')]
             .find(button => button.textContent === '{text}').click(); 0"
        )
    };
    page.is(&press("Close"));
    page.until("document.querySelector('.conn .state').textContent === 'closed 1000'");
    say("three ");
    page.is(&press("Reconnect"));
    page.until(&format!("{} === 'agent_started {{}}|text One two |text three '", shows(0)));

    page.is(&press("Second tab"));
    page.until("document.querySelectorAll('.conn').length === 2");
    page.until(&format!("{} === 'agent_started {{}}|text One two three '", shows(1)));
    say("four");
    post("/v1/runs/r/events", json!({"user": "alice", "event": "agent_completed", "result": 4}));
    let end = "|agent_completed {\"result\":4}";
    let first = format!("agent_started {{}}|text One two |text three four{end}");
    page.until(&format!("{} === '{first}'", shows(0)));
    page.until(&format!("{} === 'agent_started {{}}|text One two three four{end}'", shows(1)));
}
