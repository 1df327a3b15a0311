//! The Python client against the gateway, where there is a python3 with the package websockets.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::Server;
use crate::common::back_end::BackEnd;
use crate::common::follower::Follower;
use crate::common::proxy::Proxy;
use crate::common::site::{SECRET, Site, Tokens, token};
use crate::following::follows_two_threads;

/// Tells what it gets. Chance is the shortest delay here, and a silent socket is given up soon.
const PROGRAM: &str = r#"
import asyncio, json, random, sys, urllib.request
import headcount

headcount.DEAD = 0.5
random.uniform = lambda low, high: low
options = json.loads(sys.argv[1])

def get():
    with urllib.request.urlopen(options["tokens"]) as answer:
        return answer.read().decode()

async def ask():
    return await asyncio.to_thread(get)

async def main():
    token = ask if "tokens" in options else options.get("token")
    client = headcount.Client(options["url"], user=options.get("user"), token=token)
    def tell(name, frame):
        print(json.dumps({**frame, "name": name, "connection": client.connection}), flush=True)
    for thread in options.get("threads", []):
        await client.follow(thread)
    for room in options.get("rooms", []):
        await client.join(room)
    try:
        async for frame in client:
            tell(frame["type"], frame)
            if frame.get("data") == "ask":
                await client.request("r", {"text": "why?"})
            if frame.get("data") == "stop":
                await client.cancel("r", "enough")
    except headcount.Closed as closed:
        tell("close", {"code": closed.code, "reason": closed.reason})

asyncio.run(main())
"#;

/// `None`: this machine does not have what it needs.
fn start(options: &Value) -> Option<Follower> {
    let mut import = Command::new("python3");
    import.args(["-c", "import websockets.asyncio.client"]).stderr(Stdio::null());
    if !import.status().is_ok_and(|status| status.success()) {
        println!("skipped: there is no python3 with the package websockets");
        return None;
    }
    let mut python = Command::new("python3");
    python.args(["-B", "-c", PROGRAM, &options.to_string()]);
    python.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python"));
    Some(Follower::program(python))
}

fn events(follower: &Follower, stream: &str) -> Vec<Value> {
    let of_stream =
        follower.named("event").filter(|it| it["stream"] == stream && it["run"].is_null());
    of_stream.map(|it| it["data"].clone()).collect()
}

fn text(follower: &Follower) -> String {
    let said = follower.named("event").filter(|it| it["event"] == "text");
    said.filter_map(|it| it["data"]["delta"].as_str()).collect()
}

fn closes_with(follower: &mut Follower, code: u16) -> String {
    follower.until("it is over", |it| it.named("close").count() == 1);
    let close = follower.named("close").next().unwrap();
    assert_eq!(close["code"], code, "{close}");
    close["reason"].as_str().unwrap().to_owned()
}

#[test]
fn it_resumes_over_a_network_that_fails() {
    let server = Server::start();
    let proxy = Proxy::to(server.websocket);
    let url = format!("ws://{}/ws", proxy.address);
    let options = json!({"url": url, "user": "alice", "rooms": ["lobby"]});
    let Some(mut follower) = start(&options) else { return };
    follower.until("it is in the lobby", |it| it.named("joined").count() == 1);
    let mut back_end = BackEnd::new("alice");
    back_end.open(&server);
    let faults: [fn(&Proxy); 3] = [Proxy::cut, Proxy::half_close, Proxy::go_silent];
    for fault in faults {
        back_end.say(&server, 2);
        fault(&proxy);
        back_end.say(&server, 3);
        let all: Vec<_> = (1..=back_end.said).map(Value::from).collect();
        follower.until("it hears all", |it| {
            events(it, "session").len() >= all.len()
                && events(it, "room/lobby").len() >= all.len()
                && text(it).len() >= back_end.text.len()
        });
        assert_eq!(events(&follower, "session"), all);
        assert_eq!(events(&follower, "room/lobby"), all);
        assert_eq!(text(&follower), back_end.text);
    }
    for name in ["gap", "reset", "error", "left"] {
        assert_eq!(follower.named(name).count(), 0, "{name}");
    }
    server.post("/v1/close", r#"{"to":{"user":"alice"}}"#);
    closes_with(&mut follower, 4503);
    assert!(follower.ended().success());
}

#[test]
fn it_follows_another_thread_over_a_network_that_fails() {
    let server = Server::start();
    let proxy = Proxy::to(server.websocket);
    let url = format!("ws://{}/ws", proxy.address);
    let options = json!({"url": url, "user": "alice", "threads": ["work", "main"]});
    let Some(mut follower) = start(&options) else { return };
    follows_two_threads(&server, &proxy, &mut follower);
    assert!(follower.ended().success());
}

#[test]
fn it_requests_a_run_and_wishes_to_cancel_it() {
    let server = Server::start();
    let url = format!("ws://{}/ws", server.websocket);
    let Some(mut follower) = start(&json!({"url": url, "user": "alice"})) else { return };
    server.until(|stats| stats["connections"]["live"] == 1);
    for (told, event) in [("ask", "run_requested"), ("stop", "run_cancel_requested")] {
        server.publish(r#"{"user":"alice"}"#, &format!("\"{told}\""));
        follower.until(event, |it| it.named("event").any(|frame| frame["event"] == event));
    }
    let run = &server.get("/v1/runs?user=alice").json()["runs"][0];
    assert_eq!(
        (&run["state"], &run["cancel_requested"]),
        (&json!("requested"), &json!(true)),
        "{run}"
    );
    let words = r#"{"to":{"user":"alice"},"code":4200,"text":"account deleted"}"#;
    server.post("/v1/close", words);
    assert_eq!(closes_with(&mut follower, 4200), "account deleted");
    assert!(follower.ended().success());
}

const ADMIN: &str = "the-admin-key-of-the-tests";

fn with_tokens() -> Server {
    Server::with(&[
        &format!("auth.key={SECRET}"),
        &format!("auth.admin_key={ADMIN}"),
        "auth.leeway=0s",
        "session.expiry_grace=500ms",
    ])
}

fn post(server: &Server, path: &str, body: &Value) {
    let answer = server.keyed(ADMIN, "POST", path, &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn publish(server: &Server, data: u32) {
    post(server, "/v1/publish", &json!({"to": {"user": "alice"}, "data": data}));
}

fn opened(server: &Server) -> Value {
    server.keyed(ADMIN, "GET", "/v1/stats", "").json()["connections"]["opened"].clone()
}

#[test]
fn its_tokens_expire_and_are_replaced() {
    let (server, site) = (with_tokens(), Site::start());
    // First it is shown the page of a login, which is no reason to give up.
    site.give(Tokens::Login);
    let url = format!("ws://{}/ws", server.websocket);
    let options = json!({"url": url, "tokens": site.tokens()});
    let Some(mut follower) = start(&options) else { return };
    follower.until("it asks again", |_| site.asked() >= 2);
    assert_eq!(opened(&server), 0);
    site.give(Tokens::For(3));
    follower.until("it is connected", |_| opened(&server) == 1);
    let asked = site.asked();
    publish(&server, 1);
    // With the third token it is the same connection, although the first one is over.
    follower.until("it asks for a third token", |_| site.asked() >= asked + 2);
    publish(&server, 2);
    follower.until("it hears of both", |it| events(it, "session").len() == 2);
    assert_eq!(opened(&server), 1, "a refresh is no reconnect");

    site.give(Tokens::Unavailable);
    let live = || server.keyed(ADMIN, "GET", "/v1/stats", "").json()["connections"]["live"].clone();
    follower.until("its token is over", |_| live() == 0);
    publish(&server, 3);
    site.give(Tokens::For(3));
    follower.until("it is back", |_| live() == 1);
    publish(&server, 4);
    follower.until("it hears of all", |it| events(it, "session").len() == 4);
    assert_eq!(events(&follower, "session"), [1, 2, 3, 4]);
    for name in ["gap", "reset", "error", "close"] {
        assert_eq!(follower.named(name).count(), 0, "{name}");
    }

    post(&server, "/v1/revoke", &json!({"user": "alice"}));
    closes_with(&mut follower, 4503);
    assert!(follower.ended().success());
}

#[test]
fn tokens_that_are_refused_end_it() {
    let server = with_tokens();
    let url = format!("ws://{}/ws", server.websocket);
    for (tokens, code) in [(Tokens::Expired, "token_expired"), (Tokens::Forged, "token_signature")]
    {
        let site = Site::start();
        site.give(tokens);
        let options = json!({"url": url, "tokens": site.tokens()});
        let Some(mut follower) = start(&options) else { return };
        let reason = closes_with(&mut follower, 4500);
        assert!(reason.starts_with(code), "{reason}");
        assert_eq!(site.asked(), 2, "a bad token is replaced once");
    }
    // One that is a string has no other.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let options = json!({"url": url, "token": token(SECRET, now - 60, now + 6)});
    let Some(mut follower) = start(&options) else { return };
    closes_with(&mut follower, 4405);
    assert_eq!(opened(&server), 1);
}
