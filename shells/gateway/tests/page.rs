//! What people see in a browser, where there is one.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PATIENCE, Server};
use serde_json::json;

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
