//! Keys that check tokens, while they are replaced.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::common::tokens::{ADMIN, OTHER, SECRET, connect, now, token, token_of};
use crate::common::{Client, File, PATIENCE, Server, headcount};

use super::{is, refused};

#[test]
fn keys_are_rotated_by_a_reload_and_no_client_is_refused_between() {
    let (old, new) = (File::new(&format!("{SECRET}\n")), File::new(&format!("{OTHER}\n")));
    let config = File::new("");
    let files = |paths: &[&File]| {
        let paths: Vec<_> = paths.iter().map(|file| file.path().to_str().unwrap()).collect();
        config.write(&format!("[auth]\nkey_file = {paths:?}\nadmin_key = {ADMIN:?}\n"));
    };
    files(&[&old]);
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(config.path());
    let server = Server::run(command);
    let (first, second) = (token(json!({})), token_of(OTHER, json!({})));
    let reload = || server.keyed(ADMIN, "POST", "/v1/reload", "");
    let outcomes = || [&first, &second].map(|token| connect(&server, "", token).is_ok());
    assert_eq!(outcomes(), [true, false]);
    let mut client = connect(&server, "", &first).unwrap();
    files(&[&old, &new]);
    assert_eq!(reload().json()["changed"], json!(["auth.key_file"]));
    assert_eq!(outcomes(), [true, true]);
    files(&[&new]);
    assert_eq!(reload().status, 200);
    assert_eq!(outcomes(), [false, true]);
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok", "who is there stays");
    // Development mode doesn't begin under a server that runs.
    config.write(&format!("[auth]\nadmin_key = {ADMIN:?}\n"));
    assert_eq!(reload().code(), "restart_needed");
    assert_eq!(outcomes(), [false, true]);
}

#[test]
fn keys_are_rotated_while_clients_keep_coming() {
    let (old, new) = (File::new(SECRET), File::new(OTHER));
    let config = File::new("");
    let files = |paths: &[&File]| {
        let paths: Vec<_> = paths.iter().map(|file| file.path().to_str().unwrap()).collect();
        config.write(&format!(
            "[auth]\nkey_file = {paths:?}\nadmin_key = {ADMIN:?}\n\
             [limits]\nconnect_rate = 0\nconnect_rate_per_user = 0\n"
        ));
    };
    files(&[&old]);
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(config.path());
    let server = Server::run(command);
    let tokens = [token(json!({})), token_of(OTHER, json!({}))];
    let (issued, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let none = || [AtomicUsize::new(0), AtomicUsize::new(0)];
    let (came, under_way) = (none(), none());
    let until_more_came = |with: usize| {
        let (before, start) = (came[with].load(Ordering::Relaxed), Instant::now());
        while came[with].load(Ordering::Relaxed) < before + 50 {
            assert!(start.elapsed() < PATIENCE, "clients come with token {with}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let with = issued.load(Ordering::SeqCst);
                    under_way[with].fetch_add(1, Ordering::SeqCst);
                    if with == issued.load(Ordering::SeqCst) {
                        let client = connect(&server, "", &tokens[with]);
                        client.map(drop).expect("a client with the token of the time");
                        came[with].fetch_add(1, Ordering::Relaxed);
                    }
                    under_way[with].fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
        let reload = || {
            let answer = server.keyed(ADMIN, "POST", "/v1/reload", "");
            assert_eq!(answer.status, 200, "{answer:?}");
        };
        until_more_came(0);
        files(&[&old, &new]);
        reload();
        until_more_came(0);
        issued.store(1, Ordering::SeqCst);
        until_more_came(1);
        while under_way[0].load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        files(&[&new]);
        reload();
        until_more_came(1);
        over.store(true, Ordering::Relaxed);
    });
    let metrics = server.keyed(ADMIN, "GET", "/metrics", "").body;
    assert!(!metrics.contains("refused_total{"), "none was refused: {metrics}");
}

/// A private key of the tests, and a token that it signs for a key of this name.
fn signed_by_ed(id: Option<&str>) -> (EncodingKey, String) {
    let key =
        EncodingKey::from_ed_pem(include_bytes!("../../../src/auth/tests/keys/ed.pem")).unwrap();
    let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = id.map(str::to_owned);
    let claims = json!({"sub": "alice", "exp": now() + 60});
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    (key, token)
}

/// A key set of one key.
fn key_set(key: &EncodingKey, id: &str) -> String {
    let algorithm = jsonwebtoken::Algorithm::EdDSA;
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    json!({"keys": [jwk]}).to_string()
}

#[test]
fn a_public_key_checks_tokens() {
    let pem = include_str!("../../../src/auth/tests/keys/ed.pub.pem");
    let file = File::new(pem);
    let key = format!("auth.key_file={}", file.path().display());
    let admin = format!("auth.admin_key={ADMIN}");
    let server = Server::with(&["auth.algorithm=EdDSA", &key, &admin]);
    let (_, good) = signed_by_ed(None);
    assert!(connect(&server, "", &good).is_ok());
    // The public key as a secret, by a header that says so.
    assert_eq!(
        refused(connect(&server, "", &token_of(pem, json!({})))),
        is(401, "token_algorithm")
    );
}

#[test]
fn a_key_set_is_read_again_at_its_interval() {
    let (key, second) = signed_by_ed(Some("second"));
    let (_, first) = signed_by_ed(Some("first"));
    let file = File::new(&key_set(&key, "first"));
    let jwks = format!("auth.jwks_file={}", file.path().display());
    let admin = format!("auth.admin_key={ADMIN}");
    let server = Server::with(&[&jwks, &admin, "auth.jwks_interval=1s"]);
    assert!(connect(&server, "", &first).is_ok());
    file.write(&key_set(&key, "second"));
    let start = Instant::now();
    while connect(&server, "", &first).is_ok() {
        assert!(start.elapsed() < PATIENCE, "the key that is gone is still taken");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(connect(&server, "", &second).is_ok());
}

#[test]
fn a_reload_reads_the_key_set_again() {
    let (key, second) = signed_by_ed(Some("second"));
    let (_, first) = signed_by_ed(Some("first"));
    let file = File::new(&key_set(&key, "first"));
    let jwks = format!("auth.jwks_file={}", file.path().display());
    let admin = format!("auth.admin_key={ADMIN}");
    let server = Server::with(&[&jwks, &admin, "auth.jwks_interval=1h"]);
    assert!(connect(&server, "", &first).is_ok());
    let until_gone = |token: &str| {
        let start = Instant::now();
        while connect(&server, "", token).is_ok() {
            assert!(start.elapsed() < PATIENCE, "the key that is gone is still taken");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // A key that was stolen is taken out: no token names another one, which would cause a fetch.
    file.write(&key_set(&key, "second"));
    assert_eq!(server.keyed(ADMIN, "POST", "/v1/reload", "").status, 200);
    until_gone(&first);
    assert!(connect(&server, "", &second).is_ok());
    // A key set alone is enough for SIGHUP to mean a reload, and not the end of the server.
    file.write(&key_set(&key, "first"));
    server.signal("HUP");
    until_gone(&second);
    assert!(connect(&server, "", &first).is_ok());
}

#[test]
fn a_request_waits_for_the_key_set_of_a_server() {
    use std::io::{Read, Write};
    let (key, token) = signed_by_ed(Some("k"));
    let issuer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let jwks = format!("auth.jwks_url=http://{}/jwks.json", issuer.local_addr().unwrap());
    let admin = format!("auth.admin_key={ADMIN}");
    let server = Server::with(&[&jwks, &admin]);
    // The server asks at its start, and gets no answer yet.
    let (mut stream, _) = issuer.accept().unwrap();
    let _ = stream.read(&mut [0; 4096]).unwrap();
    let address = server.websocket;
    let bearer = format!("Bearer {token}");
    let waiting = std::thread::spawn(move || {
        Client::with_header(address, "", "authorization", &bearer).map(|client| client.welcome)
    });
    let pending = |stats: &Value| stats["connections"]["pending"] == 1;
    let start = Instant::now();
    while !pending(&server.keyed(ADMIN, "GET", "/v1/stats", "").json()) {
        assert!(start.elapsed() < PATIENCE, "no request waits");
        std::thread::sleep(Duration::from_millis(10));
    }
    let set = key_set(&key, "k");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{set}", set.len()).unwrap();
    drop(stream);
    assert_eq!(waiting.join().unwrap().unwrap()["user"], "alice");
}
