//! The keys of the admin port: what each may do, and what happens without one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{File, Server, ended, headcount, request};

const PUBLISHER: &str = "publisher-key-0123456789";
const READER: &str = "reader-key-0123456789abcdef";
const OPERATOR: &str = "operator-key-0123456789";
const ALL: &str = "key-of-everything-0123456789";

fn keys() -> String {
    format!(
        "# name scopes key\nback-end publish {PUBLISHER}\ndashboard read {READER}\n\
         on-call operate {OPERATOR}\nadmin publish,read,operate {ALL}\n"
    )
}

fn serve(arguments: &[&str]) -> std::process::Command {
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(arguments);
    command
}

fn start(file: &File, settings: &[&str]) -> Server {
    let path = format!("auth.admin_keys_file={}", file.path().display());
    let mut command = serve(&["--set", &path]);
    command.args(settings.iter().flat_map(|setting| ["--set", setting]));
    Server::run(command)
}

/// Every call, and the scope that it needs.
const CALLS: [(&str, &str, Option<&str>); 23] = [
    ("GET", "/", None),
    ("GET", "/livez", None),
    ("GET", "/client.js", None),
    ("GET", "/openapi.json", None),
    ("GET", "/readyz", None),
    ("GET", "/metrics", Some("read")),
    ("GET", "/v1/stats", Some("read")),
    ("GET", "/v1/connections", Some("read")),
    ("GET", "/v1/connections/0000000000000001.00000001000000ff", Some("read")),
    ("GET", "/v1/sessions", Some("read")),
    ("GET", "/v1/sessions/0000000000000001.00000001000000ff", Some("read")),
    ("GET", "/v1/closed", Some("read")),
    ("POST", "/v1/publish", Some("publish")),
    ("POST", "/v1/runs", Some("publish")),
    ("POST", "/v1/runs/r/events", Some("publish")),
    ("POST", "/v1/join", Some("publish")),
    ("POST", "/v1/leave", Some("publish")),
    ("POST", "/v1/close", Some("operate")),
    ("POST", "/v1/revoke", Some("operate")),
    ("POST", "/v1/drain", Some("operate")),
    ("DELETE", "/v1/drain", Some("operate")),
    ("POST", "/v1/check", Some("operate")),
    ("POST", "/v1/reload", Some("operate")),
];

#[test]
fn every_key_may_do_what_its_scopes_say_and_nothing_else() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    // A body that no call takes: what is let in is refused for it, and has no effect.
    let body = r#"{"nothing":"of any call"}"#;
    for (method, path, needed) in CALLS {
        let body = if method == "GET" { "" } else { body };
        for (key, scope) in [(PUBLISHER, "publish"), (READER, "read"), (OPERATOR, "operate")] {
            let answer = server.keyed(key, method, path, body);
            if needed.is_none_or(|needed| needed == scope) {
                assert!(![401, 403].contains(&answer.status), "{scope} {path}: {answer:?}");
                continue;
            }
            assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_scope"), "{path}");
            assert!(answer.body.contains(needed.unwrap()), "{answer:?}");
            assert!(!answer.body.contains(key), "{answer:?}");
        }
        let answer = server.keyed(ALL, method, path, body);
        assert!(![401, 403].contains(&answer.status), "{path}: {answer:?}");
        let headers = [("content-type", "application/json")];
        let answer = request(server.admin, method, path, &headers, body);
        if needed.is_none() {
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        } else {
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{path}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        }
    }
}

#[test]
fn without_a_key_there_is_one_answer_for_all_that_is_not_open() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    for (method, path) in [("GET", "/nowhere"), ("DELETE", "/v1/stats"), ("GET", "/v1/publish")] {
        assert_eq!(request(server.admin, method, path, &[], "").code(), "unauthorized", "{path}");
    }
    assert_eq!(server.keyed(READER, "GET", "/nowhere", "").code(), "unknown_route");
    assert_eq!(server.keyed(READER, "GET", "/v1/publish", "").code(), "wrong_method");
}

#[test]
fn a_key_is_taken_whole_once_and_as_a_bearer() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    let get = |headers: &[(&str, &str)]| request(server.admin, "GET", "/v1/stats", headers, "");
    let bearer = format!("Bearer {READER}");
    assert_eq!(get(&[("authorization", &bearer)]).status, 200);
    assert_eq!(get(&[("authorization", &bearer.replace("Bearer", "bearer"))]).status, 200);
    let long = format!("Bearer {}", "x".repeat(20_000));
    for wrong in [
        &bearer[..bearer.len() - 1],
        &format!("{bearer}x"),
        &bearer.to_uppercase(),
        &bearer.replace("Bearer", "Basic"),
        READER,
        "Bearer",
        "Bearer dashboard",
        &long,
    ] {
        assert_eq!(get(&[("authorization", wrong)]).code(), "unauthorized", "{wrong}");
    }
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert_eq!(get(&twice).code(), "unauthorized");
    let path = format!("/v1/stats?key={READER}");
    assert_eq!(request(server.admin, "GET", &path, &[], "").code(), "unauthorized");
}

#[test]
fn no_key_is_seen_in_the_log_and_names_are() {
    let file = File::new(&keys());
    let server = start(&file, &["log.level=debug"]);
    server.logged(&["admin_keys=\"back-end,dashboard,on-call,admin\""]);
    assert_eq!(server.keyed(READER, "POST", "/v1/publish", "{}").status, 403);
    server.logged(&["DEBUG", "lacks the scope", "key=\"dashboard\"", "scope=\"publish\""]);
    let wrong = "wrong-key-0123456789abcdef";
    assert_eq!(server.keyed(wrong, "GET", "/v1/stats", "").status, 401);
    server.logged(&["DEBUG", "no key, or an unknown one", "peer=Some(127.0.0.1:"]);
    server.logged(&["INFO", "calls of the admin port were refused", "unauthorized=1"]);
    let log = server.log();
    for secret in [PUBLISHER, READER, OPERATOR, ALL, wrong] {
        assert!(!log.contains(secret), "{log}");
    }
    let metrics = server.keyed(READER, "GET", "/metrics", "").body;
    for reason in ["unauthorized", "wrong_scope"] {
        let line = format!("headcount_admin_refused_total{{reason=\"{reason}\"}} 1\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

/// Sends requests, and reads until so many of them were refused.
fn refusals(stream: &mut TcpStream, requests: &str, count: usize) -> usize {
    stream.write_all(requests.as_bytes()).unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 65_536]);
    while text.matches("\"unauthorized\"").count() < count {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the connection has ended: {text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    count
}

#[test]
fn ten_thousand_publishes_with_a_bad_key_reach_neither_the_loop_nor_the_log() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    let mut client = server.connect("user=a");
    let body = r#"{"to":{"everyone":true},"data":1}"#;
    let request = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer wrong-key-0123456789abcdef\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let began = Instant::now();
    let admin = server.admin;
    let flood = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        (0..100).map(|_| refusals(&mut stream, &request.repeat(100), 100)).sum::<usize>()
    });
    // Meanwhile the client is served.
    let mut longest = Duration::ZERO;
    while !flood.is_finished() {
        let asked = Instant::now();
        assert_eq!(client.ask(r#"{"type":"ping","id":1}"#)["type"], "ok");
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(flood.join().unwrap(), 10_000);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    server.logged(&["calls of the admin port were refused"]);
    let lines = server.log().matches("calls of the admin port were refused").count();
    assert!(lines as u64 <= began.elapsed().as_secs() + 2, "{lines} lines");
    assert_eq!(client.data(), [serde_json::Value::Null; 0], "nothing of it was published");
}

#[test]
fn keys_come_from_wherever_settings_come_from() {
    let file = File::new(&format!("{ALL}\n"));
    let path = format!("auth.admin_key_file={}", file.path().display());
    let list = format!("a read {READER}; b publish {PUBLISHER}");
    let mut by_variable = serve(&[]);
    by_variable.env("HEADCOUNT_AUTH_ADMIN_KEY", ALL).env("HEADCOUNT_AUTH_ADMIN_KEYS", &list);
    let lines = format!(
        "[auth]\nadmin_key = \"{ALL}\"\nadmin_keys = '''\na read {READER}\nb publish {PUBLISHER}'''\n"
    );
    let toml = File::new(&lines);
    let mut by_file = serve(&[]);
    by_file.arg("--config").arg(toml.path());
    let by_flag = serve(&["--set", &path, "--set", &format!("auth.admin_keys={list}")]);
    for command in [by_variable, by_file, by_flag] {
        let server = Server::run(command);
        assert_eq!(server.keyed(ALL, "POST", "/v1/check", "").status, 200);
        assert_eq!(server.keyed(READER, "GET", "/v1/stats", "").status, 200);
        assert_eq!(server.keyed(PUBLISHER, "GET", "/v1/stats", "").status, 403);
        assert_eq!(server.get("/v1/stats").status, 401);
    }
}

#[test]
fn a_wrong_key_stops_the_start_with_a_sentence_that_does_not_show_it() {
    let twice = File::new(ALL);
    let lists = File::new(&format!("a read {READER}\nb read {READER}\n"));
    let file = |setting: &str, file: &File| format!("{setting}={}", file.path().display());
    for (settings, part) in [
        (vec!["auth.admin_key=hunter2".to_owned()], "auth.admin_key=<secret>: the key is 7 bytes"),
        (vec!["auth.admin_key=hunter2 hunter2 hunter2".to_owned()], "may hold only letters"),
        (vec!["auth.admin_key=".to_owned()], "expected a text that is not empty"),
        (vec!["auth.admin_keys=a hunter2hunter2hunter2".to_owned()], "line 1: a key is written"),
        (vec![format!("auth.admin_key={ALL}"), file("auth.admin_key_file", &twice)], "same name"),
        (vec![file("auth.admin_keys_file", &lists)], "line 2: an earlier name has the same key"),
        (vec!["auth.admin_keys_file=/does/not/exist".to_owned()], "No such file"),
        (vec!["auth.admin_keys_file=/dev/null".to_owned()], "no regular file"),
    ] {
        let settings: Vec<_> = settings.iter().flat_map(|it| ["--set", it.as_str()]).collect();
        let (status, stderr) = ended(serve(&settings));
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part) && stderr.lines().count() == 1, "{stderr}");
        for secret in ["hunter2", ALL, READER] {
            assert!(!stderr.contains(secret), "{stderr}");
        }
    }
}

#[test]
fn only_a_server_with_keys_listens_elsewhere() {
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    let (status, stderr) = ended(command);
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("loopback only") && stderr.contains("auth.admin_keys_file"),
        "{stderr}"
    );

    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    let mut server = Server::run({
        command.env("HEADCOUNT_AUTH_ADMIN_KEY", ALL);
        command
    });
    server.admin.set_ip([127, 0, 0, 1].into());
    // A probe names the machine as it likes.
    let host = [("host", "10.1.2.3:7401")];
    assert_eq!(request(server.admin, "GET", "/livez", &host, "").status, 200);
    let bearer = format!("Bearer {ALL}");
    let get = |headers: &[(&str, &str)]| {
        let all = [&[("authorization", bearer.as_str())], headers].concat();
        request(server.admin, "GET", "/v1/stats", &all, "").status
    };
    assert_eq!(get(&[("host", "gateway.example.com")]), 200);
    let page = |origin| get(&[("host", "gateway.example.com"), ("origin", origin)]);
    assert_eq!(page("https://gateway.example.com"), 200);
    assert_eq!((page("https://example.com"), page("null")), (403, 403));
}

#[test]
fn a_reload_takes_other_keys() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    let other = "another-reader-0123456789";
    file.write(&keys().replace(READER, other));
    let changed = |dry_run: &str| {
        let answer = server.keyed(OPERATOR, "POST", &format!("/v1/reload{dry_run}"), "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["changed"].clone()
    };
    assert_eq!(changed("?dry_run=1"), serde_json::json!(["auth.admin_keys_file"]));
    assert_eq!(server.keyed(other, "GET", "/v1/stats", "").status, 401);
    assert_eq!(changed(""), serde_json::json!(["auth.admin_keys_file"]));
    assert_eq!(changed(""), serde_json::json!([]));
    assert_eq!(server.keyed(other, "GET", "/v1/stats", "").status, 200);
    assert_eq!(server.keyed(READER, "GET", "/v1/stats", "").status, 401);
    // A mistake leaves the keys as they are.
    file.write("dashboard read short");
    let refused = server.keyed(OPERATOR, "POST", "/v1/reload", "");
    assert_eq!((refused.status, refused.code().as_str()), (422, "bad_config"));
    assert!(!refused.body.contains("short\""), "{refused:?}");
    assert_eq!(server.keyed(other, "GET", "/v1/stats", "").status, 200);
    // SIGHUP does it too, without a file of settings.
    file.write(&keys());
    server.signal("HUP");
    server.logged(&["reloaded", "closes=0"]);
    let start = Instant::now();
    while server.keyed(READER, "GET", "/v1/stats", "").status != 200 {
        assert!(start.elapsed() < crate::common::PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn pages_of_named_origins_may_call_and_ask_first() {
    let page = "https://ops.example.com";
    let file = File::new(&keys());
    let server = start(
        &file,
        &["admin_hosts=gateway.example.com", &format!("admin_origins={page},https://*.b.example")],
    );
    let send = |method: &str, headers: &[(&str, &str)]| {
        let headers = [&[("host", "gateway.example.com")], headers].concat();
        request(server.admin, method, "/v1/stats", &headers, "")
    };
    // A browser asks without the key.
    let asks = ("access-control-request-method", "GET");
    let leave = send("OPTIONS", &[("origin", page), asks]);
    assert_eq!(leave.status, 204, "{leave:?}");
    let head = leave.head.to_ascii_lowercase();
    for line in [
        "access-control-allow-origin: https://ops.example.com\r\n",
        "access-control-allow-methods: get, post, delete\r\n",
        "access-control-allow-headers: authorization, content-type, idempotency-key\r\n",
        "vary: origin\r\n",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let bearer = format!("Bearer {READER}");
    let answer = send("GET", &[("origin", page), ("authorization", &bearer)]);
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-allow-origin: https://ops.example.com\r\n"));
    assert_eq!(send("GET", &[("origin", page)]).status, 401, "the key is asked for all the same");

    for origin in ["https://evil.example", "http://ops.example.com", "null", "https://b.example"] {
        let refused = send("OPTIONS", &[("origin", origin), asks]);
        assert_eq!((refused.status, refused.code().as_str()), (403, "origin"), "{origin}");
        assert!(!refused.head.contains("access-control-allow"), "{refused:?}");
    }
    let other_host = [("host", "other.example.com"), ("authorization", bearer.as_str())];
    let refused = request(server.admin, "GET", "/v1/stats", &other_host, "");
    assert_eq!((refused.status, refused.code().as_str()), (403, "host"));
}

#[test]
fn other_machines_are_named_only_where_a_key_is_asked_for() {
    for (setting, allowed) in [
        ("allowed_hosts=ws.example.com", false),
        ("allowed_origins=https://*.example.com", false),
        ("admin_hosts=admin.example.com", false),
        ("admin_origins=https://ops.example.com", false),
        ("allowed_hosts=localhost,127.0.0.1:8443", true),
        ("admin_origins=http://localhost:3000", true),
    ] {
        let mut command = serve(&["--set", setting]);
        if allowed {
            Server::run(command);
            continue;
        }
        command.stdout(std::process::Stdio::null());
        let (status, stderr) = ended(command);
        let named = setting.split_once('_').unwrap().0;
        assert_eq!(status.code(), Some(2), "{setting}: {stderr}");
        assert!(stderr.contains(named) && stderr.contains("which needs a key"));
    }
}

#[test]
fn a_refused_call_whose_body_comes_late_leaves_the_connection_usable() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    let mut stream = TcpStream::connect(server.admin).unwrap();
    stream.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
    let mut head = |key: &str| {
        let text = format!(
            "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).unwrap();
        // As clients do that write the head and the body in two calls.
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(b"{}").unwrap();
        let mut answer = [0; 2_048];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    for _ in 0..20 {
        let answer = head("an-unknown-key-0123456789");
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let answer = head(PUBLISHER);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn an_idempotency_key_is_none_of_another_admin_keys() {
    let file = File::new(&keys());
    let server = start(&file, &[]);
    let post = |admin: &str, key: &str, data: &str| {
        let bearer = format!("Bearer {admin}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = format!(r#"{{"to":{{"room":"r"}},"data":{data}}}"#);
        request(server.admin, "POST", "/v1/publish", &headers, &body)
    };
    let first = post(PUBLISHER, "k", "1");
    assert_eq!(first.status, 200, "{first:?}");
    // Neither refused for another body nor answered with what the other was told.
    assert_eq!(post(ALL, "k", "2").status, 200);
    assert_eq!(post(PUBLISHER, "k", "1").body, first.body);
    assert_eq!(post(PUBLISHER, "k", "2").code(), "idempotency_key_reused");
    // Nor does a key that holds the name of a caller lead to that caller's.
    assert_eq!(post(ALL, "back-end k", "3").status, 200);
    let stats = server.keyed(ALL, "GET", "/v1/stats", "").json();
    assert_eq!(stats["idempotency"]["answers"], 3, "{}", stats["idempotency"]);
}
