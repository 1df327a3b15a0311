//! What an attacker gets who has a stolen, an expired or a forged token, and what a mistake of the
//! operator gives away.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::common::{Client, File, PATIENCE, Server, ended, headcount};

const SECRET: &str = "a secret of the tests, long enough for HS256";
const ADMIN: &str = "the-admin-key-of-the-tests";
const ED: &[u8] = include_bytes!("../../src/auth/tests/keys/ed.pem");

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A token with these claims, signed with the secret of the server.
fn token(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// A server that asks for tokens.
fn server(settings: &[&str]) -> Server {
    let (key, admin) = (format!("auth.key={SECRET}"), format!("auth.admin_key={ADMIN}"));
    Server::with(&[&[&*key, &*admin], settings].concat())
}

/// The code that a token is refused with; `None`: it is admitted.
fn refused(server: &Server, token: &str) -> Option<String> {
    let (_, body) = Client::connect(server.websocket, &format!("token={token}")).err()?;
    let body: Value = serde_json::from_str(&body).unwrap();
    Some(body["error"]["code"].as_str().unwrap().to_owned())
}

/// What `headcount` says, which is to end with exit code 2 and must not show the secret.
fn usage(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = headcount();
    command.args(arguments).envs(variables.iter().copied());
    let (status, text) = ended(command);
    assert_eq!(status.code(), Some(2), "{arguments:?}: {text}");
    assert!(!text.contains("hunter2"), "{arguments:?}: {text}");
    text
}

/// A token for a minute that names its key, and the key set that has it.
fn named(id: &str) -> (String, String) {
    let key = EncodingKey::from_ed_pem(ED).unwrap();
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    let token = encode(&header, &json!({"sub": "alice", "exp": now() + 60}), &key).unwrap();
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    (token, json!({"keys": [jwk]}).to_string())
}

/// Waits until a socket waits to be admitted.
fn until_pending(server: &Server) {
    let start = Instant::now();
    let pending =
        || server.keyed(ADMIN, "GET", "/v1/stats", "").json()["connections"]["pending"] == 1;
    while !pending() {
        assert!(start.elapsed() < PATIENCE, "no request waits");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_request_that_waits_for_a_key_is_counted_once_by_the_rate_of_its_address() {
    let (token, set) = named("k");
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    let jwks = format!("auth.jwks_url=http://{}/jwks.json", issuer.local_addr().unwrap());
    let admin = format!("auth.admin_key={ADMIN}");
    let server = Server::with(&[&jwks, &admin, "limits.connect_rate_per_ip=1"]);
    let (mut stream, _) = issuer.accept().unwrap();
    let _ = stream.read(&mut [0; 4096]).unwrap();
    let (address, query) = (server.websocket, format!("token={token}"));
    let waiting = std::thread::spawn(move || Client::connect(address, &query).map(|it| it.welcome));
    until_pending(&server);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{set}", set.len()).unwrap();
    drop(stream);
    let welcome: Value = waiting.join().unwrap().unwrap();
    assert_eq!(welcome["user"], "alice");
}

/// A revocation is forgotten after `auth.max_ttl`, when no token of then can be valid. A token whose
/// expiry was further ahead is not valid then, but would become so.
#[test]
fn what_was_revoked_does_not_come_back_when_its_expiry_comes_near() {
    let server = server(&["auth.max_ttl=1s", "auth.leeway=0s", "limits.connect_rate_per_user=0"]);
    let expiry = now() + 4;
    let by_user = token(&json!({"sub": "alice", "iat": now(), "exp": expiry}));
    let by_id = token(&json!({"sub": "bob", "jti": "stolen", "exp": expiry}));
    for stolen in [&by_user, &by_id] {
        assert_eq!(refused(&server, stolen).as_deref(), Some("token_lifetime"));
    }
    for body in [r#"{"user":"alice"}"#, r#"{"token_id":"stolen"}"#] {
        assert_eq!(server.keyed(ADMIN, "POST", "/v1/revoke", body).status, 200);
    }
    let codes = || [&by_user, &by_id].map(|stolen| refused(&server, stolen));
    let expired = || codes().iter().all(|code| code.as_deref() == Some("token_expired"));
    let start = Instant::now();
    while !expired() {
        assert!(codes().iter().all(Option::is_some), "a revoked token is admitted: {:?}", codes());
        assert!(start.elapsed() < PATIENCE, "{:?}", codes());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everyone may read a public key: as the secret of HS256 it would let anyone sign.
#[test]
fn what_is_public_is_no_secret_of_hs256() {
    let (_, set) = named("k");
    let admin = format!("auth.admin_key={ADMIN}");
    for public in [
        include_str!("../../src/auth/tests/keys/rsa.pub.pem"),
        &set,
        &format!("  {{\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"AQAB\"}}\n", "x".repeat(300)),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm alice@example",
        "MCowBQYDK2VwAyEAZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZg==",
    ] {
        let file = File::new(public);
        let key = format!("auth.key_file={}", file.path().display());
        let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let settings = ["--set", &*key, "--set", &*admin];
        let text = usage(&[&["serve"], &ports[..], &settings[..]].concat(), &[]);
        assert!(text.contains("HS256 takes a secret that no other program knows"), "{text}");
        assert!(!text.contains(public.trim()), "{text}");
    }
}

/// A pipe may never say anything: a start would hang without a word.
#[test]
fn a_key_set_is_a_regular_file() {
    let pipe = File::new("");
    pipe.remove();
    let made = std::process::Command::new("mkfifo").arg(pipe.path()).status().unwrap();
    assert!(made.success());
    let jwks = format!("auth.jwks_file={}", pipe.path().display());
    let admin = format!("auth.admin_key={ADMIN}");
    let text = usage(&["serve", "--set", &jwks, "--set", &admin], &[]);
    assert!(text.contains("auth.jwks_file") && text.contains("no regular file"), "{text}");
}

#[test]
fn a_key_set_of_an_attacker_does_not_flood_the_log() {
    let (token, set) = named("k");
    let mut set: Value = serde_json::from_str(&set).unwrap();
    let bad = std::iter::repeat_n(json!({"kty": "oct", "k": "eA"}), 3_000);
    set["keys"].as_array_mut().unwrap().extend(bad);
    let file = File::new(&set.to_string());
    let jwks = format!("auth.jwks_file={}", file.path().display());
    let server = Server::with(&[&jwks, &format!("auth.admin_key={ADMIN}")]);
    assert_eq!(refused(&server, &token), None);
    server.logged(&["closed"]);
    let skipped = server.log().matches("a key of the set is skipped").count();
    assert!((1..=17).contains(&skipped), "{skipped} lines");
    server.logged(&["a key of the set is skipped", "2984 more"]);
}

/// The mistakes that are made: the key where its file belongs, or where no setting is named.
#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    const KEY: &str = "hunter2hunter2hunter2hunter2hunter2hunter2";
    let file_setting = |key: &str| format!("auth.{key}={KEY}");
    for key in ["key_file", "admin_key_file", "admin_keys_file"] {
        let text = usage(&["serve", "--set", &file_setting(key)], &[]);
        assert!(text.contains(&format!("--set auth.{key}: ")), "{text}");
        let variable = format!("HEADCOUNT_AUTH_{}", key.to_ascii_uppercase());
        let text = usage(&["config"], &[(&variable, KEY)]);
        assert!(text.contains(&format!("{variable}: ")), "{text}");
        let file = File::new(&format!("[auth]\n{key} = \"{KEY}\"\n"));
        let text = usage(&["check", file.path().to_str().unwrap()], &[]);
        assert!(text.contains(&format!(":2: auth.{key}: ")), "{text}");
    }
    let good = File::new(SECRET);
    let both = format!("auth.key_file={},{KEY}", good.path().display());
    usage(&["serve", "--set", &both], &[]);
    usage(&["serve", "--set", "auth.key", KEY], &[]);
    usage(&["serve", KEY], &[]);
    usage(&["serve", "--set", KEY], &[]);
    usage(&["serve", "--set", &format!("auth.key.{KEY}=1")], &[]);
    let file = File::new(&format!("[auth.admin_key]\n{KEY} = 1\n"));
    usage(&["check", file.path().to_str().unwrap()], &[]);
    // A path is shown where it can't be a key: who reads the sentence has to know which file it is.
    let text = usage(&["serve", "--set", "auth.key_file=/nonexistent/key"], &[]);
    assert!(text.contains("/nonexistent/key"), "{text}");
    // A reload says the same, in its answer and in the log.
    let config = File::new("");
    let write = |key_file: &str| {
        config.write(&format!("[auth]\nadmin_key = {ADMIN:?}\nkey_file = {key_file:?}\n"));
    };
    write(good.path().to_str().unwrap());
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(config.path());
    let server = Server::run(command);
    write(KEY);
    let answer = server.keyed(ADMIN, "POST", "/v1/reload", "");
    assert_eq!((answer.status, answer.code().as_str()), (422, "bad_config"));
    server.signal("HUP");
    server.logged(&["WARN", "SIGHUP", "is refused"]);
    assert!(!answer.body.contains("hunter2") && !server.log().contains("hunter2"), "{answer:?}");
}

/// A variable that is set to nothing is a mistake, and must not mean that any issuer is as good.
#[test]
fn an_empty_list_of_issuers_or_audiences_is_written_as_one() {
    let (key, admin) = (format!("auth.key={SECRET}"), format!("auth.admin_key={ADMIN}"));
    let settings = ["serve", "--set", &*key, "--set", &*admin];
    for variable in ["HEADCOUNT_AUTH_ISSUER", "HEADCOUNT_AUTH_AUDIENCE"] {
        for nothing in ["", ",", "[\"\"]"] {
            let text = usage(&settings, &[(variable, nothing)]);
            assert!(text.contains(&format!("{variable}={nothing}: ")), "{text}");
        }
    }
    let server = server(&["auth.issuer=[]", "auth.audience=[]"]);
    let any = json!({"sub": "alice", "iss": "anyone", "exp": now() + 60});
    assert_eq!(refused(&server, &token(&any)), None);
}

/// A file that is read while it is written may be empty.
#[test]
fn a_reload_does_not_open_the_admin_port() {
    let config = File::new(&format!("[auth]\nadmin_key = {ADMIN:?}\n"));
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(config.path());
    let server = Server::run(command);
    config.write("");
    for query in ["?dry_run=1", ""] {
        let answer = server.keyed(ADMIN, "POST", &format!("/v1/reload{query}"), "");
        assert_eq!((answer.status, answer.code().as_str()), (422, "restart_needed"), "{answer:?}");
        assert!(answer.body.contains("auth.admin_key"), "{answer:?}");
    }
    assert_eq!(server.get("/v1/stats").status, 401);
}

/// Some callers send their key in the query, where it is not looked for.
#[test]
fn an_answer_repeats_no_key_of_the_query() {
    let server = server(&[]);
    for path in ["/v1/stats", "/v1/connections", "/v1/reload"] {
        let method = if path == "/v1/reload" { "POST" } else { "GET" };
        let answer = server.keyed(ADMIN, method, &format!("{path}?key=hunter2hunter2"), "");
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"), "{answer:?}");
        assert!(!answer.body.contains("hunter2"), "{answer:?}");
    }
}

#[test]
fn a_token_does_not_raise_the_limit_of_its_user() {
    let server = server(&["limits.connections_per_user=2", "limits.over_cap=refuse"]);
    let claims = json!({"sub": "alice", "exp": now() + 60, "headcount": {"connections": 1_000}});
    let query = format!("token={}", token(&claims));
    let _both = [server.connect(&query), server.connect(&query)];
    assert_eq!(refused(&server, &token(&claims)).as_deref(), Some("connections_per_user"));
}

#[test]
fn a_huge_token_and_a_huge_user_get_a_clear_error() {
    let server = server(&[]);
    let of_user = |bytes: usize| token(&json!({"sub": "u".repeat(bytes), "exp": now() + 60}));
    assert_eq!(refused(&server, &of_user(10 * 1024)).as_deref(), Some("token_too_long"));
    assert_eq!(refused(&server, &of_user(5 * 1024)).as_deref(), Some("token_claims"));
    let bearer = format!("Bearer {}", "x".repeat(100 * 1024));
    let result = Client::with_header(server.websocket, "", "authorization", &bearer);
    assert_eq!(result.map(|client| client.welcome).unwrap_err().0, 431);
    // In a frame it is a message that is too big, or a token that is.
    for (bytes, code, close) in
        [(100 * 1024, None, 1009), (50 * 1024, Some("token_too_long"), 4500)]
    {
        let (mut socket, _) =
            tungstenite::connect(format!("ws://{}/ws", server.websocket)).unwrap();
        let frame = json!({"type": "auth", "token": "x".repeat(bytes)}).to_string();
        socket.send(frame.into()).unwrap();
        if let Some(code) = code {
            let error: Value =
                serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
            assert_eq!(error["code"], code);
        }
        let tungstenite::Message::Close(Some(frame)) = socket.read().unwrap() else { panic!() };
        assert_eq!(u16::from(frame.code), close);
    }
}

#[test]
fn neither_a_journal_nor_a_dump_holds_what_would_let_one_in() {
    let journal = File::new("");
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args([
        "--set",
        &format!("auth.key={SECRET}"),
        "--set",
        &format!("auth.admin_key={ADMIN}"),
    ]);
    command.arg("--journal").arg(journal.path()).args(["--journal-names", "--journal-payloads"]);
    let server = Server::run(command);
    let good = token(&json!({"sub": "alice", "jti": "id-of-it", "exp": now() + 60}));
    let mut client = server.connect(&format!("token={good}"));
    let refresh = json!({"type": "refresh", "token": good}).to_string();
    assert_eq!(client.ask(&refresh)["type"], "ok");
    let bearer = format!("Bearer {good}");
    let _other = Client::with_header(server.websocket, "", "authorization", &bearer).unwrap();
    let body = r#"{"to":{"user":"alice"},"data":"a payload"}"#;
    assert_eq!(server.keyed(ADMIN, "POST", "/v1/publish", body).status, 200);
    assert_eq!(server.keyed(ADMIN, "POST", "/v1/revoke", r#"{"token_id":"id-of-it"}"#).status, 200);
    server.signal("TERM");
    assert!(server.wait().0.success());
    let written = std::fs::read(journal.path()).unwrap();
    let holds = |text: &str| written.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("alice") && holds("a payload"));
    for part in good.split('.').chain([SECRET, ADMIN]) {
        assert!(!holds(part), "{part}");
    }

    let keys = format!("ci publish {ADMIN}-of-ci");
    let config = File::new(&format!(
        "[auth]\nkey = {SECRET:?}\nadmin_key = {ADMIN:?}\nadmin_keys = {keys:?}\n\
         jwks_url = \"https://issuer.example/?key=hunter2\"\n"
    ));
    let mut command = headcount();
    let output = command.args(["config", "--config"]).arg(config.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for key in ["key", "admin_key", "admin_keys", "jwks_url"] {
        assert!(text.contains(&format!("\n# {key}: set, by ")), "{text}");
    }
    for secret in [SECRET, ADMIN, "hunter2"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn hosts_and_origins_are_compared_whole() {
    let server = server(&[
        "allowed_hosts=ws.example.com,*.wild.example",
        "allowed_origins=https://app.example.com,https://*.wild.example",
        "limits.connect_rate_per_user=0",
    ]);
    let query = format!("token={}", token(&json!({"sub": "alice", "exp": now() + 60})));
    let status = |host: &str, origin: Option<&str>| {
        let mut head = format!(
            "GET /ws?{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        if let Some(origin) = origin {
            head.push_str(&format!("Origin: {origin}\r\n"));
        }
        let mut stream = std::net::TcpStream::connect(server.websocket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{head}\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[9..]).parse::<u16>().unwrap()
    };
    for host in ["ws.example.com", "WS.Example.com:443", "a.wild.example"] {
        assert_eq!(status(host, None), 101, "{host}");
    }
    for host in [
        "localhost",
        "ws.example.com.",
        "ws.example.com:8443",
        "ws.example.com.evil.example",
        "user@ws.example.com",
        "a.b.wild.example",
        "wild.example",
        "ws.example.com\r\nHost: evil.example",
        "evil.example\r\nX-Forwarded-Host: ws.example.com",
    ] {
        assert_eq!(status(host, None), 403, "{host}");
    }
    for origin in ["https://app.example.com", "https://a.wild.example:443"] {
        assert_eq!(status("ws.example.com", Some(origin)), 101, "{origin}");
    }
    for origin in [
        "null",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com@evil.example",
        "https://app.example.com.evil.example",
        "https://evil.example#https://app.example.com",
        "https://a.b.wild.example",
        "https://evilwild.example",
        "https://app.example.com\r\nOrigin: https://evil.example",
    ] {
        assert_eq!(status("ws.example.com", Some(origin)), 403, "{origin}");
    }
}
