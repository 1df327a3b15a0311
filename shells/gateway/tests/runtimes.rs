//! The JavaScript client against the gateway, in each runtime that this machine has.

mod common;

use common::Server;
use common::follower::{Follower, Runtime};
use common::site::{SECRET, Site, Tokens};
use serde_json::{Value, json};

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

fn node() -> Option<Runtime> {
    let node = Runtime::node();
    if node.is_none() {
        println!("skipped: there is no Node with a WebSocket");
    }
    node
}

#[test]
fn tokens_in_subprotocols_expire_in_node() {
    if let Some(node) = node() {
        tokens_expire(&node, "subprotocol");
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
fn tokens_are_refused_in_a_page() {
    tokens_are_refused(&Runtime::Page, "frame");
}
