//! The JavaScript client against the gateway, in each runtime that this machine has.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::Server;
use crate::common::back_end::BackEnd;
use crate::common::follower::{Follower, Runtime};
use crate::common::proxy::Proxy;
use crate::common::site::{SECRET, Site, Tokens};

const ADMIN: &str = "the-admin-key-of-the-tests";

/// A server whose clients need tokens, and are closed soon after theirs is over.
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

fn data(follower: &Follower) -> Vec<&Value> {
    follower.named("event").map(|event| &event["data"]).collect()
}

/// The connections that it has had, each once.
fn connections(follower: &Follower) -> Vec<&Value> {
    let open = follower.named("state").filter(|it| it["state"] == "open");
    open.map(|it| &it["connection"]).collect()
}

/// Tokens of three seconds come from a site that can be out of reach, until the user is revoked.
fn tokens_expire(runtime: &Runtime, auth: &str) {
    let (server, site) = (with_tokens(), Site::start());
    site.give(Tokens::For(3));
    let url = format!("ws://{}/ws", server.websocket);
    let options = json!({"url": url, "tokens": site.tokens(), "auth": auth});
    let Some(mut follower) = Follower::start(runtime, &site, &options) else { return };
    follower.until("it is connected", |it| connections(it).len() == 1);
    publish(&server, 1);
    // With the third token it is the same connection, although the first one is over.
    follower.until("it asks for a third token", |_| site.asked() >= 3);
    publish(&server, 2);
    follower.until("it hears of both", |it| data(it).len() == 2);
    assert_eq!(connections(&follower).len(), 1, "a refresh is no reconnect");

    site.give(Tokens::Unavailable);
    let expired = |it: &Follower| it.named("state").any(|state| state["code"] == 4405);
    follower.until("its token is over", expired);
    publish(&server, 3);
    site.give(Tokens::For(3));
    follower.until("it is back", |it| connections(it).len() == 2);
    publish(&server, 4);
    follower.until("it hears of all", |it| data(it).len() == 4);
    assert_eq!(data(&follower), [1, 2, 3, 4]);
    for name in ["gap", "reset", "close"] {
        assert_eq!(follower.named(name).count(), 0, "{name}");
    }
    assert!(follower.named("error").all(|error| error["code"] == "token"), "the site was away");

    post(&server, "/v1/revoke", &json!({"user": "alice"}));
    follower.until("it is over", |it| it.named("close").count() == 1);
    assert_eq!(follower.named("close").next().unwrap()["code"], 4503);
}

/// What is wrong with the tokens is told, in the close or before it, and the second one is the end.
fn tokens_are_refused(runtime: &Runtime, auth: &str) {
    let server = with_tokens();
    for (tokens, code) in [(Tokens::Expired, "token_expired"), (Tokens::Forged, "token_signature")]
    {
        let site = Site::start();
        site.give(tokens);
        let url = format!("ws://{}/ws", server.websocket);
        let options = json!({"url": url, "tokens": site.tokens(), "auth": auth});
        let Some(mut follower) = Follower::start(runtime, &site, &options) else { return };
        follower.until("it is over", |it| it.named("close").count() == 1);
        let close = follower.named("close").next().unwrap();
        assert_eq!(close["code"], 4500, "{close}");
        let told = close["reason"].as_str().unwrap().starts_with(code)
            || follower.named("error").any(|error| error["code"] == code);
        assert!(told, "no {code} by {auth}: {close}");
        assert_eq!(site.asked(), 2);
    }
}

/// Waits until it has heard all that the back end has said: once, in order, and nothing is lost.
fn hears_all(follower: &mut Follower, back_end: &BackEnd<'_>) {
    let events = |it: &Follower, stream: &str| -> Vec<Value> {
        let of_stream =
            it.named("event").filter(|it| it["stream"] == stream && it["run"].is_null());
        of_stream.map(|it| it["data"].clone()).collect()
    };
    let text = |it: &Follower| -> String {
        let said = it.named("run").filter_map(|it| it["data"]["delta"].as_str());
        said.collect()
    };
    let all: Vec<_> = (1..=back_end.said).map(Value::from).collect();
    follower.until(&format!("it hears all of {}", back_end.said), |it| {
        events(it, "session").len() >= all.len()
            && events(it, "room/lobby").len() >= all.len()
            && text(it).len() >= back_end.text.len()
    });
    assert_eq!(events(follower, "session"), all);
    assert_eq!(events(follower, "room/lobby"), all);
    assert_eq!(text(follower), back_end.text);
    for name in ["gap", "reset", "close", "error", "left"] {
        assert_eq!(follower.named(name).count(), 0, "{name}");
    }
}

/// A login page in place of a token is no reason to give up, and is shown in no error.
fn a_login_page_is_waited_out(runtime: &Runtime) {
    let (server, site) = (with_tokens(), Site::start());
    site.give(Tokens::Login);
    let url = format!("ws://{}/ws", server.websocket);
    let options = json!({"url": url, "tokens": site.tokens()});
    let Some(mut follower) = Follower::start(runtime, &site, &options) else { return };
    follower.until("it says that there is no token", |it| it.named("error").count() > 0);
    assert!(follower.named("error").all(|it| it["message"] == "no new token: malformed token"));
    site.give(Tokens::For(60));
    follower.until("it is connected", |it| connections(it).len() == 1);
    assert_eq!(follower.named("close").count(), 0);
}

/// A number below this one, by chance.
fn random(below: u64) -> u64 {
    RandomState::new().hash_one(below) % below
}

/// A setting of the environment, for runs that are longer.
fn number(name: &str, without: u64) -> u64 {
    std::env::var(name).map_or(without, |text| text.parse().unwrap())
}

/// A client of alice, in the lobby, behind the proxy.
fn in_the_lobby(runtime: &Runtime, proxy: &Proxy) -> Option<Follower> {
    let url = format!("ws://{}/ws", proxy.address);
    let options = json!({"url": url, "user": "alice", "rooms": ["lobby"], "probe": 500});
    let mut follower = Follower::start(runtime, &Site::start(), &options)?;
    follower.until("it is in the lobby", |it| it.named("joined").count() == 1);
    Some(follower)
}

fn network_fails(runtime: &Runtime) {
    let server = Server::with(&["heartbeat.interval=1s", "heartbeat.pong_timeout=30s"]);
    let proxy = Proxy::to(server.websocket);
    let Some(mut follower) = in_the_lobby(runtime, &proxy) else { return };
    let mut back_end = BackEnd::new("alice");
    back_end.open(&server);
    let faults: [fn(&Proxy); 3] = [Proxy::cut, Proxy::half_close, Proxy::go_silent];
    for fault in faults {
        // What is under way when it happens is what could come twice.
        back_end.say(&server, 2);
        fault(&proxy);
        back_end.say(&server, 3);
        hears_all(&mut follower, &back_end);
    }
    back_end.complete(&server);
    let ended = |it: &Follower| it.named("run").any(|it| it["event"] == "agent_completed");
    follower.until("the run is over", ended);
    server.until(|stats| stats["connections"]["live"] == 1);
}

/// The network fails at moments that nothing chooses, while a back end speaks all the time.
fn network_fails_at_random(runtime: &Runtime, times: u64, milliseconds: u64) {
    let server = Server::with(&[
        "heartbeat.interval=1s",
        "heartbeat.pong_timeout=30s",
        "run.bytes=16MiB",
        "run.events=1000000",
        // A socket that goes silent before its welcome is given up after 15 s.
        "stream.messages=10000",
        "stream.room_messages=10000",
        "run.max_length=2h",
    ]);
    let proxy = Proxy::to(server.websocket);
    let Some(mut follower) = in_the_lobby(runtime, &proxy) else { return };
    let mut back_end = BackEnd::new("alice");
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A back end that fails ends the faults, too.
        let (_speaking, silence) = channel::<()>();
        let faults = &proxy;
        scope.spawn(move || {
            for _ in 0..times {
                let pause = Duration::from_millis(random(milliseconds));
                if silence.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
                let fault = match random(10) {
                    0 => Proxy::go_silent,
                    1 => Proxy::half_close,
                    _ => Proxy::cut,
                };
                fault(faults);
            }
            over.store(true, Ordering::Relaxed);
        });
        back_end.open(&server);
        while !over.load(Ordering::Relaxed) {
            back_end.say(&server, 1);
            std::thread::sleep(Duration::from_millis(random(milliseconds / 10)));
        }
    });
    back_end.say(&server, 1);
    back_end.complete(&server);
    hears_all(&mut follower, &back_end);
    let connections = connections(&follower).len();
    println!("{times} faults, {connections} connections, {} said of each kind", back_end.said);
    assert!(connections as u64 > times / 4, "they fail while it is connected");
}

fn node() -> Option<Runtime> {
    let node = Runtime::node();
    if node.is_none() {
        println!("skipped: there is no Node with a WebSocket");
    }
    node
}

#[test]
fn the_network_fails_in_node() {
    if let Some(node) = node() {
        network_fails(&node);
    }
}

#[test]
fn the_network_fails_in_a_worker() {
    network_fails(&Runtime::Worker);
}

/// To come back to all of its rooms at once would be more than the server takes, again and again.
#[test]
fn many_rooms_come_back_within_the_rate() {
    let Some(node) = node() else { return };
    let server = Server::with(&["limits.message_rate=50", "limits.message_burst=40"]);
    let proxy = Proxy::to(server.websocket);
    let rooms: Vec<_> = (0..120).map(|number| format!("room-{number}")).collect();
    let url = format!("ws://{}/ws", proxy.address);
    let options = json!({"url": url, "user": "alice", "rooms": rooms});
    let Some(mut follower) = Follower::start(&node, &Site::start(), &options) else { return };
    for round in 1..=2 {
        follower.until("it is in all rooms", |it| it.named("joined").count() == round * 120);
        proxy.cut();
    }
    follower.until("it is in all rooms", |it| it.named("joined").count() == 360);
    assert!(follower.named("state").all(|it| it["code"] != 4413), "it is never too fast");
}

/// `HEADCOUNT_CUTS`: how often. `HEADCOUNT_CUT_MS`: how many milliseconds lie between two of them at most.
#[test]
fn the_network_fails_at_random_moments() {
    if let Some(node) = node() {
        network_fails_at_random(
            &node,
            number("HEADCOUNT_CUTS", 15),
            number("HEADCOUNT_CUT_MS", 600),
        );
    }
}

/// `HEADCOUNT_RUNTIMES`: commands that run modules, one a line; they are found by absolute paths.
#[test]
fn other_runtimes_do_as_node_does() {
    let Ok(commands) = std::env::var("HEADCOUNT_RUNTIMES") else {
        println!("skipped: no HEADCOUNT_RUNTIMES");
        return;
    };
    for command in commands.lines().filter(|command| !command.is_empty()) {
        println!("{command}");
        let words = command.split_whitespace().map(str::to_owned).collect();
        let runtime = Runtime::Program(words);
        network_fails(&runtime);
        tokens_expire(&runtime, "subprotocol");
        tokens_expire(&runtime, "frame");
        tokens_are_refused(&runtime, "subprotocol");
        tokens_are_refused(&runtime, "frame");
    }
}

#[test]
fn tokens_in_first_frames_expire_in_node() {
    if let Some(node) = node() {
        tokens_expire(&node, "frame");
    }
}

#[test]
fn tokens_in_subprotocols_expire_in_a_page() {
    tokens_expire(&Runtime::Page, "subprotocol");
}

#[test]
fn tokens_in_first_frames_expire_in_a_page() {
    tokens_expire(&Runtime::Page, "frame");
}

#[test]
fn tokens_are_refused_in_node() {
    if let Some(node) = node() {
        tokens_are_refused(&node, "subprotocol");
        tokens_are_refused(&node, "frame");
    }
}

#[test]
fn a_login_page_is_waited_out_in_node() {
    if let Some(node) = node() {
        a_login_page_is_waited_out(&node);
    }
}

#[test]
fn tokens_are_refused_in_a_page() {
    tokens_are_refused(&Runtime::Page, "frame");
}
