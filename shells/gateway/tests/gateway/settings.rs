//! The gateway's own settings: each decides something that a client can see.
//!
//! The settings that the registry knows have their rows in the core's test of its configuration, and
//! unit tests show that each value reaches the one of its name. Whatever the gateway lists and
//! the registry does not know needs a row below.

use std::collections::BTreeSet;
use std::net::TcpListener;

use crate::common::{Client, Server, headcount, request};

/// One setting under two values, with everything else equal.
struct Row {
    key: &'static str,
    /// What is set beside it.
    beside: &'static [&'static str],
    /// Two values, and what comes of the story under each.
    outcomes: [(&'static str, &'static str); 2],
    story: fn(&Server) -> String,
}

const ROWS: &[Row] = &[
    Row {
        key: "profile",
        beside: &[],
        outcomes: [("production", "25000"), ("staging", "30000")],
        story: |server| server.connect("user=a").welcome["ping_interval_ms"].to_string(),
    },
    Row {
        key: "limits.connect_rate_per_ip",
        beside: &[],
        outcomes: [("0", "admitted"), ("1", "429 connect_rate_per_ip")],
        story: |server| {
            let _first = from(server, "192.0.2.1");
            from(server, "192.0.2.1")
        },
    },
    Row {
        key: "idempotency.ttl",
        beside: &[],
        outcomes: [("10m", "kept, none went early"), ("1ms", "sent again, none went early")],
        story: repeated,
    },
    Row {
        key: "idempotency.bytes",
        beside: &[],
        outcomes: [("64MiB", "kept, none went early"), ("64KiB", "sent again, some went early")],
        story: repeated,
    },
    Row {
        key: "redaction.enabled",
        beside: &[],
        outcomes: [
            ("true", r#"{"token":"[redacted]"}"#),
            ("false", r#"{"debug_info":1,"token":"t"}"#),
        ],
        story: |server| reported(server, r#""token":"t","debug_info":1"#),
    },
    Row {
        key: "redaction.keys",
        beside: &[],
        outcomes: [
            ("pin", r#"{"pin":"[redacted]","token":1}"#),
            ("token", r#"{"pin":2,"token":"[redacted]"}"#),
        ],
        story: |server| reported(server, r#""token":1,"pin":2"#),
    },
    Row {
        key: "redaction.remove",
        beside: &[],
        outcomes: [("a", r#"{"debug_info":2}"#), ("debug_info", r#"{"a":1}"#)],
        story: |server| reported(server, r#""a":1,"debug_info":2"#),
    },
    Row {
        key: "redaction.max_input",
        beside: &["redaction.max_output=1KiB"],
        outcomes: [("256B", "256 and 1024"), ("300B", "300 and 1024")],
        story: lengths,
    },
    Row {
        key: "redaction.max_output",
        beside: &["redaction.max_input=1KiB"],
        outcomes: [("256B", "1024 and 256"), ("300B", "1024 and 300")],
        story: lengths,
    },
    Row {
        key: "redaction.max_items",
        beside: &[],
        outcomes: [("2", r#"{"a":[1,"[2 items cut]"]}"#), ("3", r#"{"a":[1,2,3]}"#)],
        story: |server| reported(server, r#""a":[1,2,3]"#),
    },
    Row {
        key: "trusted_proxies",
        beside: &["limits.connect_rate_per_ip=1"],
        // The clients of the tests are the proxy, or they are not.
        outcomes: [("127.0.0.0/8", "admitted"), ("192.0.2.0/24", "429 connect_rate_per_ip")],
        story: |server| {
            let _first = from(server, "192.0.2.1");
            from(server, "192.0.2.2")
        },
    },
    Row {
        key: "allowed_hosts",
        beside: &[],
        outcomes: [("localhost", "403 host"), ("[::1],127.0.0.1:8443", "admitted")],
        story: |server| upgrade(server, "host", "127.0.0.1:8443"),
    },
    Row {
        key: "allowed_origins",
        beside: &[],
        outcomes: [("http://localhost", "403 origin"), ("http://127.0.0.1:3000", "admitted")],
        story: |server| upgrade(server, "origin", "http://127.0.0.1:3000"),
    },
    Row {
        key: "admin_hosts",
        beside: &[],
        outcomes: [("localhost", "403"), ("127.0.0.1:8443", "200")],
        story: |server| {
            let headers = [("host", "127.0.0.1:8443")];
            crate::common::request(server.admin, "GET", "/livez", &headers, "").status.to_string()
        },
    },
    Row {
        key: "admin_origins",
        beside: &[],
        outcomes: [("http://localhost", "403"), ("http://127.0.0.1:3000", "200")],
        story: |server| {
            let headers = [("origin", "http://127.0.0.1:3000")];
            crate::common::request(server.admin, "GET", "/livez", &headers, "").status.to_string()
        },
    },
    Row {
        key: "log.level",
        beside: &[],
        outcomes: [("info", "a summary"), ("debug", "a summary, and a line each")],
        story: |server| {
            assert_eq!(server.refused("user=null").0, 400);
            server.logged(&["INFO", "clients were not admitted"]);
            let each = server.log().contains("DEBUG a client was not admitted");
            format!("a summary{}", if each { ", and a line each" } else { "" })
        },
    },
];

/// What a client gets as the data of a progress of this payload.
fn reported(server: &Server, payload: &str) -> String {
    let mut client = in_run(server);
    event(server, &format!(r#""event":"progress",{payload}"#));
    client.next()["data"].to_string()
}

/// How long the texts of parameters and of a result are that a client gets of long ones.
fn lengths(server: &Server) -> String {
    let mut client = in_run(server);
    let long = "y".repeat(3_000);
    event(
        server,
        &format!(r#""event":"tool_executing","tool":"t","call":"c","parameters":"{long}""#),
    );
    event(server, &format!(r#""event":"tool_completed","call":"c","result":"{long}""#));
    let mut length = |name: &str| client.next()["data"][name].as_str().unwrap().len();
    format!("{} and {}", length("parameters"), length("result"))
}

/// A client that has seen the start of the run `r`.
fn in_run(server: &Server) -> Client {
    let mut client = server.connect("user=a");
    let body = r#"{"user":"a","thread":"main","run":"r","agent":"x"}"#;
    assert_eq!(server.post("/v1/runs", body).status, 201);
    assert_eq!(client.next()["event"], "agent_started");
    client
}

fn event(server: &Server, rest: &str) {
    let answer = server.post("/v1/runs/r/events", &format!("{{\"user\":\"a\",{rest}}}"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Whether the first of many publishes is sent again when it is repeated at the end.
fn repeated(server: &Server) -> String {
    let publish = |number: u32| {
        let key = format!("{number:0>200}");
        let headers = [("content-type", "application/json"), ("idempotency-key", &*key)];
        let body = r#"{"to":{"user":"a"},"data":1}"#;
        request(server.admin, "POST", "/v1/publish", &headers, body).json()
    };
    let _client = server.connect("user=a");
    let first = publish(0);
    (1..300).for_each(|number| drop(publish(number)));
    let again = if publish(0) == first { "kept" } else { "sent again" };
    let evicted = server.stats()["idempotency"]["evicted"].as_u64() > Some(0);
    format!("{again}, {}", if evicted { "some went early" } else { "none went early" })
}

/// What becomes of an upgrade that a proxy says it forwards from this address.
fn from(server: &Server, address: &str) -> String {
    upgrade(server, "x-forwarded-for", address)
}

/// What becomes of an upgrade with this header.
fn upgrade(server: &Server, header: &'static str, value: &str) -> String {
    match Client::with_header(server.websocket, "user=a", header, value) {
        Ok(_) => "admitted".to_owned(),
        Err((status, body)) => {
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            format!("{status} {}", body["error"]["code"].as_str().unwrap())
        }
    }
}

#[test]
fn every_setting_of_its_own_decides_what_it_is_named_after() {
    for Row { key, beside, outcomes, story } in ROWS {
        assert_ne!(outcomes[0].1, outcomes[1].1, "{key}");
        for (value, outcome) in outcomes {
            let setting = format!("{key}={value}");
            let settings: Vec<_> = beside.iter().copied().chain([&setting[..]]).collect();
            assert_eq!(story(&Server::with(&settings)), *outcome, "{setting}");
        }
    }
}

#[test]
fn every_setting_has_a_row_here_or_in_the_core() {
    // The help lists the whole table of settings. The core's test has a row for each of `KEYS`.
    let help = headcount().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, list) = help.split_once("Settings, with their defaults in brackets:\n").unwrap();
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let listed: BTreeSet<_> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    let core: BTreeSet<_> = headcount::Config::KEYS.iter().map(|key| key.name).collect();
    let own: BTreeSet<_> = listed.difference(&core).copied().collect();
    assert!(listed.len() > 40 && own.len() < listed.len(), "{listed:?}");
    // Where it listens has a test of its own, and who may come in has files of tests.
    let keys = [
        "admin_key",
        "admin_key_file",
        "admin_keys",
        "admin_keys_file",
        "algorithm",
        "audience",
        "issuer",
        "jwks_file",
        "jwks_interval",
        "jwks_url",
        "key",
        "key_file",
        "leeway",
        "max_ttl",
    ];
    let keys = keys.map(|key| format!("auth.{key}"));
    let rows = ROWS.iter().map(|row| row.key).chain(["admin", "listen", "rooms.open"]);
    let rows = rows.chain(keys.iter().map(String::as_str));
    assert_eq!(own, rows.collect(), "a setting without a row");
}

#[test]
fn the_addresses_are_where_it_listens() {
    // Ports that were free a moment ago.
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [listen, admin] = free.each_ref().map(|free| free.local_addr().unwrap());
    drop(free);
    let server = Server::at(&listen.to_string(), &admin.to_string(), &[]);
    assert_eq!((server.websocket, server.admin), (listen, admin));
    server.connect("user=a");
    assert_eq!(server.get("/livez").status, 200);
}
