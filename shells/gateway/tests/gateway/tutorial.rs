//! The tutorial: its files do what it says, and it shows them as they are.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Client, Server, headcount, request};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");
const PAGE: &str = include_str!("../../../../examples/tutorial/index.html");

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/tutorial").join(name)
}

/// A back end of the tutorial. Killed when the test is over.
struct BackEnd {
    child: Child,
    address: SocketAddr,
}

impl BackEnd {
    /// `None`: this machine does not have the language.
    fn start(program: &str, name: &str, server: &Server, keys: &[Key]) -> Option<Self> {
        let Server { admin, websocket, .. } = server;
        let mut command = Command::new(program);
        command.env_remove("ADMIN_KEY").env_remove("TOKEN_KEY");
        command.envs(keys.iter().map(|key| (key.of_the_back_end, key.value)));
        command.arg(file(name)).env("PORT", "0");
        command.env("ADMIN_URL", format!("http://{admin}"));
        command.env("WEBSOCKET_URL", format!("ws://{websocket}/ws"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            println!("{name} was not run: there is no {program}");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("{name} does not start: {line}"));
        Some(Self { child, address: address.parse().unwrap() })
    }

    fn session(&self, user: &str) -> Session {
        let answer = request(self.address, "GET", &format!("/session?user={user}"), &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let (_, query) = answer["url"].as_str().unwrap().split_once("/ws").unwrap();
        let token = answer["token"].as_str().map(str::to_owned);
        Session { query: query.trim_start_matches('?').to_owned(), token }
    }

    fn ask(&self, body: &str) -> (u16, Value) {
        let headers = [("content-type", "application/json")];
        let answer = request(self.address, "POST", "/ask", &headers, body);
        (answer.status, answer.json())
    }
}

/// Where the page connects to, and as whom.
struct Session {
    query: String,
    token: Option<String>,
}

impl Session {
    /// With more in the query.
    fn connect(&self, server: &Server, more: &str) -> Client {
        let query = format!("{}{more}", self.query);
        let Some(token) = &self.token else { return server.connect(&query) };
        let header = format!("Bearer {token}");
        Client::with_header(server.websocket, &query, "authorization", &header).expect("an upgrade")
    }
}

/// A key that both sides have, and what each of them calls it.
struct Key {
    of_the_back_end: &'static str,
    of_the_gateway: &'static str,
    value: &'static str,
}

const KEYS: [Key; 2] = [
    Key {
        of_the_back_end: "TOKEN_KEY",
        of_the_gateway: "HEADCOUNT_AUTH_KEY",
        value: "a-secret-of-the-tests-with-32-bytes-or-more",
    },
    Key {
        of_the_back_end: "ADMIN_KEY",
        of_the_gateway: "HEADCOUNT_AUTH_ADMIN_KEY",
        value: "another-secret-of-the-tests",
    },
];

impl Drop for BackEnd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The events of a run up to its end, and the text that they make together. The offset is that of
/// the last one.
#[derive(Default)]
struct Seen {
    events: Vec<String>,
    text: String,
    offset: u64,
    tool: Value,
    result: Value,
}

impl Seen {
    /// Reads on until the condition holds.
    fn read(&mut self, client: &mut Client, run: &Value, until: impl Fn(&Self) -> bool) {
        while !until(self) {
            let frame = client.next();
            assert_eq!((&frame["type"], &frame["run"]), (&json!("event"), run), "{frame}");
            let offset = frame["offset"].as_u64().unwrap();
            assert!(offset > self.offset, "{frame} comes again");
            self.offset = offset;
            let event = frame["event"].as_str().unwrap();
            match event {
                "text" => self.text.push_str(frame["data"]["delta"].as_str().unwrap()),
                "tool_executing" => self.tool = frame["data"].clone(),
                "agent_completed" => self.result = frame["data"]["result"].clone(),
                _ => {}
            }
            // Pieces of a text may come as one.
            if self.events.last().is_none_or(|last| last != event) {
                self.events.push(event.to_owned());
            }
        }
    }
}

/// What the page does: it asks, loses its connection in the middle, and comes back.
fn an_agent_streams(program: &str, name: &str, keys: &[Key]) {
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.envs(keys.iter().map(|key| (key.of_the_gateway, key.value)));
    let server = Server::run(command);
    let back_end = BackEnd::start(program, name, &server, keys);
    let Some(back_end) = back_end else { return };
    let page = request(back_end.address, "GET", "/", &[], "");
    assert_eq!((page.status, &*page.body), (200, PAGE));
    let module = request(back_end.address, "GET", "/headcount.js", &[], "");
    assert!(module.head.contains("content-type: text/javascript"), "{module:?}");
    assert_eq!(module.body, server.get("/client.js").body, "what the tutorial fetches");

    let mut stranger = back_end.session("bob").connect(&server, "");
    let session = back_end.session("alice");
    assert_eq!(session.token.is_some(), !keys.is_empty());
    let mut client = session.connect(&server, "");
    let (status, answer) = back_end.ask(r#"{"user":"alice","question":"Is “this” late?"}"#);
    assert_eq!(status, 202, "{answer}");
    let run = &answer["run"];
    let mut seen = Seen::default();
    seen.read(&mut client, run, |seen| seen.text.contains("late?"));
    let [epoch, connection] = [&client.welcome["session"]["epoch"], &client.welcome["connection"]]
        .map(|id| id.as_str().unwrap());
    let again = format!("&epoch={epoch}&offset={}&previous={connection}", seen.offset);
    drop(client);
    let mut client = session.connect(&server, &again);
    assert_eq!(client.welcome["recovered"], "all");
    seen.read(&mut client, run, |seen| !seen.result.is_null());

    assert_eq!(
        seen.events,
        [
            "agent_started",
            "agent_thinking",
            "tool_executing",
            "tool_completed",
            "text",
            "agent_completed"
        ]
    );
    assert_eq!(seen.text.trim_end(), seen.result["answer"], "nothing is lost, nothing comes twice");
    assert!(seen.text.starts_with("You asked: Is “this” late? "), "{}", seen.text);
    assert_eq!(seen.tool["parameters"], json!({"zone": "UTC", "api_key": "[redacted]"}));
    assert_eq!(stranger.drain(), Vec::<Value>::new(), "what is Alice's is not Bob's");

    for wrong in ["", "{", "[]", r#"{"user":"alice"}"#] {
        assert_eq!(back_end.ask(wrong).0, 400, "{wrong}");
    }
    // A user whose name the gateway does not take.
    assert_eq!(back_end.ask(r#"{"user":"undefined","question":"x"}"#).0, 502);
    let missing = request(back_end.address, "GET", "/nothing", &[], "");
    assert_eq!(missing.status, 404);
}

#[test]
fn an_agent_streams_from_a_back_end_in_python() {
    an_agent_streams("python3", "agent.py", &[]);
    an_agent_streams("python3", "agent.py", &KEYS);
}

#[test]
fn an_agent_streams_from_a_back_end_in_node() {
    an_agent_streams("node", "agent.mjs", &[]);
    an_agent_streams("node", "agent.mjs", &KEYS);
}

#[test]
fn the_calls_in_a_shell_are_a_run() {
    let (_, script) = TUTORIAL.split_once("```sh\nadmin=").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let server = Server::start();
    let mut client = server.connect("user=alice");
    let script = format!("admin={script}").replace("127.0.0.1:7401", &server.admin.to_string());
    if Command::new("curl").arg("--version").output().is_err() {
        println!("the calls in a shell were not run: there is no curl");
        return;
    }
    let output = Command::new("sh").args(["-e", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut seen = Seen::default();
    seen.read(&mut client, &json!("r1"), |seen| {
        seen.events.last().is_some_and(|event| event == "agent_completed")
    });
    assert_eq!(seen.events, ["agent_started", "text", "agent_completed"]);
    assert_eq!(seen.text, "Hello from a shell.");
}

#[test]
fn the_tutorial_shows_the_files_as_they_are() {
    for (name, language) in [("agent.py", "python"), ("agent.mjs", "js"), ("index.html", "html")] {
        let text = std::fs::read_to_string(file(name)).unwrap();
        let block = format!("`{name}`:\n\n```{language}\n{text}```\n");
        assert!(TUTORIAL.contains(&block), "the tutorial does not show {name} as it is");
    }
    // There is no other, but the one that it fetches.
    assert!(TUTORIAL.contains("http://127.0.0.1:7401/client.js -o headcount.js"));
    let mut names: Vec<_> = std::fs::read_dir(file(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "__pycache__")
        .collect();
    names.sort();
    assert_eq!(names, ["agent.mjs", "agent.py", "headcount.js", "index.html"]);
}
