//! The examples of `docs/protocol.md` are what is sent, and what is understood.

use std::collections::{BTreeMap, BTreeSet};

use headcount_protocol::{client_frames, server_frames};
use serde_json::Value;

use crate::common::{Client, Server};

const PAGE: &str = include_str!("../../../../docs/protocol.md");

/// The lines of the examples below a heading.
fn lines(heading: &str) -> impl Iterator<Item = &'static str> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once("```json\n").expect(heading);
    let (block, _) = block.split_once("```").unwrap();
    block.lines()
}

/// The frames of the examples below a heading.
fn examples(heading: &str) -> Vec<Value> {
    lines(heading).map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn the_crate_of_the_wire_has_the_documented_frames() {
    for line in lines("What the server sends").chain(lines("Agent runs")) {
        let frame = server_frames::parse(line).expect(line);
        assert!(!matches!(frame, server_frames::Frame::Other(_)), "{line}");
    }
    for line in lines("What a client sends") {
        let frame = client_frames::parse(line).expect(line);
        assert_eq!(frame.json(), line);
    }
}

/// Which fields frames have, by their types: each variant once.
fn fields(frames: &[Value]) -> BTreeMap<String, BTreeSet<Vec<String>>> {
    let mut fields: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for frame in frames {
        let names = frame.as_object().unwrap().keys().cloned().collect();
        let kind = frame["type"].as_str().unwrap().to_owned();
        fields.entry(kind).or_default().insert(names);
    }
    fields
}

#[test]
fn the_server_sends_the_documented_fields() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let mut frames = vec![client.welcome.clone()];
    for frame in [
        r#"{"type":"join","room":"lobby","id":1}"#,
        r#"{"type":"leave","room":"lobby","id":2}"#,
        r#"{"type":"follow","thread":"work","id":3}"#,
        r#"{"type":"unfollow","thread":"work","id":4}"#,
        r#"{"type":"ping","id":3}"#,
        r#"{"type":"join","room":"user:b","id":4}"#,
    ] {
        frames.push(client.ask(frame));
    }
    server.publish(r#"{"user":"a"}"#, "1");
    frames.push(client.next());
    server.publish(r#"{"everyone":true}"#, "2");
    frames.push(client.next());
    client.ask(r#"{"type":"follow","thread":"work","id":5}"#);
    let close = r#"{"to":{"user":"a","thread":"work"},"reason":"application"}"#;
    assert_eq!(server.post("/v1/close", close).status, 200);
    frames.push(client.next());
    let mut foreign = server.connect("user=a&epoch=1&offset=9");
    frames.push(foreign.next());
    assert_eq!(server.post("/v1/drain", r#"{"deadline_ms":60000}"#).status, 200);
    frames.push(client.next());
    assert_eq!(fields(&frames), fields(&examples("What the server sends")));
}

#[test]
fn the_server_understands_the_documented_frames() {
    let server = Server::start();
    let frames = examples("What a client sends");
    let kinds: BTreeSet<_> = fields(&frames).into_keys().collect();
    let (_, section) = PAGE.split_once("\n## What a client sends\n").unwrap();
    let table = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: BTreeSet<_> =
        table.take_while(|kind| *kind != "bad_json").map(str::to_owned).collect();
    assert_eq!(kinds, listed, "an example of each frame of the table");
    let mut client: Client = server.connect("user=a");
    for frame in frames {
        let mut answer = client.ask(&frame.to_string());
        // What a request before it has made happen.
        while answer["type"] == "event" {
            answer = client.next();
        }
        let expected = match frame["type"].as_str().unwrap() {
            // There is no key in development mode.
            "auth" => "already_authenticated",
            "refresh" => "no_key",
            "join" => "joined",
            "leave" => "left",
            "follow" => "followed",
            "unfollow" => "unfollowed",
            _ => "ok",
        };
        let got = answer["code"].as_str().or_else(|| answer["type"].as_str());
        assert_eq!(got, Some(expected), "{frame}: {answer}");
        assert_eq!(answer.get("request"), frame.get("id"), "{frame}");
    }
}
