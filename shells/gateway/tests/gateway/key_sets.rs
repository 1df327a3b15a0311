//! Key sets of an issuer: fetched when they are needed, while clients wait, and over TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::common::tokens::{ADMIN, SECRET, connect, introduce, token};
use crate::common::{Client, File, PATIENCE, Server, headcount};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/auth/tests/keys");
const RSA: &[u8] = include_bytes!("../../src/auth/tests/keys/rsa.pem");
const EC: &[u8] = include_bytes!("../../src/auth/tests/keys/ec.pem");
const ED: &[u8] = include_bytes!("../../src/auth/tests/keys/ed.pem");

fn start(settings: &[&str]) -> Server {
    let admin = format!("auth.admin_key={ADMIN}");
    Server::with(&[&[&admin, "limits.connect_rate_per_user=0"], settings].concat())
}

/// Waits until so many sockets wait to be admitted.
fn until_pending(server: &Server, wanted: u64) {
    let start = Instant::now();
    loop {
        let stats = server.keyed(ADMIN, "GET", "/v1/stats", "").json();
        if stats["connections"]["pending"] == wanted {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{stats}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn refused(server: &Server, token: &str) -> (u16, String) {
    let (status, body) = server.refused(&format!("token={token}"));
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

fn jwk(id: &str, key: &EncodingKey, algorithm: Algorithm) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

/// A token that names its key.
fn named(id: &str, key: &EncodingKey, algorithm: Algorithm, user: &str) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
    let expiry = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 60;
    encode(&header, &json!({"sub": user, "exp": expiry}), key).unwrap()
}

/// A server of key sets that answers each request with what it is given then.
struct Issuer {
    url: String,
    sets: Sender<Value>,
}

impl Issuer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (sets, given) = channel::<Value>();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let Ok(set) = given.recv() else { return };
                let body = set.to_string();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                // It fails if the gateway has given up.
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { url, sets }
    }
}

#[test]
fn clients_wait_while_the_key_that_their_tokens_name_is_fetched() {
    let (rsa, ec) =
        (EncodingKey::from_rsa_pem(RSA).unwrap(), EncodingKey::from_ec_pem(EC).unwrap());
    let issuer = Issuer::start();
    let server = start(&[&format!("auth.jwks_url={}", issuer.url)]);
    let old = named("old", &rsa, Algorithm::RS256, "alice");
    let new = named("new", &ec, Algorithm::ES256, "bob");
    let old_key = jwk("old", &rsa, Algorithm::RS256);
    let (websocket, query) = (server.websocket, format!("token={old}"));
    // The first fetch has not been answered when they come.
    let connecting = std::thread::spawn(move || Client::connect(websocket, &query).map(|_| ()));
    until_pending(&server, 1);
    issuer.sets.send(json!({"keys": [old_key]})).unwrap();
    assert_eq!(connecting.join().unwrap(), Ok(()));
    // A new key: those who come with it wait together, and those with the old one do not.
    let connecting: Vec<_> = (0..5)
        .map(|_| {
            let query = format!("token={new}");
            std::thread::spawn(move || Client::connect(websocket, &query).map(|_| ()))
        })
        .collect();
    until_pending(&server, 5);
    let _old = server.connect(&format!("token={old}"));
    issuer.sets.send(json!({"keys": [old_key, jwk("new", &ec, Algorithm::ES256)]})).unwrap();
    for connecting in connecting {
        assert_eq!(connecting.join().unwrap(), Ok(()));
    }
    server.logged(&["a key set was read", "keys=2"]);
}

#[test]
fn a_key_that_the_issuer_does_not_have_is_refused_and_one_that_can_not_be_fetched_is_put_off() {
    let rsa = EncodingKey::from_rsa_pem(RSA).unwrap();
    let issuer = Issuer::start();
    let settings = format!("auth.jwks_url={}", issuer.url);
    let server = start(&[&settings, "session.auth_deadline=300ms"]);
    let unknown = named("unknown", &rsa, Algorithm::RS256, "alice");
    // Nobody answers: the client is told to come back, before the fetch has ended.
    let (status, code) = refused(&server, &unknown);
    assert_eq!((status, code), (503, "auth_timeout".to_owned()));
    let key = jwk("old", &rsa, Algorithm::RS256);
    issuer.sets.send(json!({"keys": [key]})).unwrap();
    server.logged(&["a key set was read"]);
    issuer.sets.send(json!({"keys": [key]})).unwrap();
    assert_eq!(refused(&server, &unknown), (401, "unknown_key".to_owned()));
    issuer.sets.send(json!({"keys": []})).unwrap();
    assert_eq!(refused(&server, &unknown), (503, "keys_missing".to_owned()));
    let line = server.logged(&["a key set was not read"]);
    assert!(line.contains("no keys") && line.contains(&issuer.url), "{line}");
    // Two fetches in a minute, and the first key is still good.
    assert_eq!(refused(&server, &unknown), (503, "keys_missing".to_owned()));
    let _old = server.connect(&format!("token={}", named("old", &rsa, Algorithm::RS256, "alice")));
}

/// What follows a first frame with this token: the frame, and the close if it is an error.
fn answer_to_auth(server: &Server, token: &str) -> (Value, Option<u16>) {
    let mut client = introduce(server, &json!({"type": "auth", "token": token}).to_string());
    let frame = client.next();
    let close = (frame["type"] == "error").then(|| client.closed());
    (frame, close)
}

#[test]
fn a_first_frame_waits_for_the_key_that_its_token_names_and_those_behind_it_wait_too() {
    let (rsa, ec) =
        (EncodingKey::from_rsa_pem(RSA).unwrap(), EncodingKey::from_ec_pem(EC).unwrap());
    let issuer = Issuer::start();
    let server = start(&[&format!("auth.jwks_url={}", issuer.url), "rooms.open=lobby"]);
    let (old, new) = (jwk("old", &rsa, Algorithm::RS256), jwk("new", &ec, Algorithm::ES256));
    issuer.sets.send(json!({"keys": [old]})).unwrap();
    server.logged(&["a key set was read"]);
    // The issuer takes another key, and answers when its first tokens have come.
    let token = named("new", &ec, Algorithm::ES256, "alice");
    let auth = json!({"type": "auth", "token": token, "thread": "work"}).to_string();
    let mut clients: Vec<_> = (0..5).map(|_| introduce(&server, &auth)).collect();
    for client in &mut clients {
        client.socket.send(Message::Ping(Vec::new().into())).unwrap();
        assert!(matches!(client.read(), Message::Pong(_)), "nothing is said before the key comes");
        client.send(r#"{"type":"join","room":"lobby","id":1}"#);
    }
    until_pending(&server, 5);
    let _old = server.connect(&format!("token={}", named("old", &rsa, Algorithm::RS256, "bob")));
    issuer.sets.send(json!({"keys": [old, new]})).unwrap();
    for client in &mut clients {
        let welcome = client.next();
        assert_eq!((&welcome["user"], &welcome["thread"]), (&json!("alice"), &json!("work")));
        assert_eq!((client.next()["request"].clone(), client.drain()), (json!(1), vec![]));
    }
}

#[test]
fn a_first_frame_whose_key_does_not_come_is_told_why() {
    let rsa = EncodingKey::from_rsa_pem(RSA).unwrap();
    let issuer = Issuer::start();
    let settings = format!("auth.jwks_url={}", issuer.url);
    let server = start(&[&settings, "session.auth_deadline=300ms"]);
    let unknown = named("unknown", &rsa, Algorithm::RS256, "alice");
    // It has introduced itself in time, so it may come back.
    let auth = json!({"type": "auth", "token": unknown}).to_string();
    let late = introduce(&server, &auth).farewell();
    assert_eq!(late, (1013, "auth_timeout retry_after=5".to_owned()));
    let key = jwk("old", &rsa, Algorithm::RS256);
    issuer.sets.send(json!({"keys": [key]})).unwrap();
    server.logged(&["a key set was read"]);
    issuer.sets.send(json!({"keys": [key]})).unwrap();
    let (error, close) = answer_to_auth(&server, &unknown);
    assert_eq!((&error["code"], close), (&json!("unknown_key"), Some(4500)));
    issuer.sets.send(json!({"keys": []})).unwrap();
    let (error, close) = answer_to_auth(&server, &unknown);
    assert_eq!((&error["code"], close), (&json!("keys_missing"), Some(1013)));
    // Two fetches in a minute.
    let (error, close) = answer_to_auth(&server, &unknown);
    assert_eq!((&error["code"], close), (&json!("keys_missing"), Some(1013)));
}

#[test]
fn a_refresh_waits_for_the_key_that_its_token_names_while_its_connection_goes_on() {
    let (rsa, ec) =
        (EncodingKey::from_rsa_pem(RSA).unwrap(), EncodingKey::from_ec_pem(EC).unwrap());
    let issuer = Issuer::start();
    let server = start(&[&format!("auth.jwks_url={}", issuer.url)]);
    let (old, new) = (jwk("old", &rsa, Algorithm::RS256), jwk("new", &ec, Algorithm::ES256));
    issuer.sets.send(json!({"keys": [old]})).unwrap();
    let mut client =
        server.connect(&format!("token={}", named("old", &rsa, Algorithm::RS256, "alice")));
    let refresh = |key: &str, id: u32| {
        let token = named(key, &ec, Algorithm::ES256, "alice");
        json!({"type": "refresh", "token": token, "id": id}).to_string()
    };
    client.send(&refresh("new", 1));
    client.socket.send(Message::Ping(Vec::new().into())).unwrap();
    assert!(matches!(client.read(), Message::Pong(_)));
    client.send(&refresh("new", 2));
    // What is sent to it comes while it waits. Of its own frames one waits, and the others behind it.
    let body = r#"{"to":{"user":"alice"},"data":"meanwhile"}"#;
    assert_eq!(server.keyed(ADMIN, "POST", "/v1/publish", body).json()["sent"], 1);
    assert_eq!(client.next()["data"], "meanwhile");
    issuer.sets.send(json!({"keys": [old, new]})).unwrap();
    for id in [1, 2] {
        assert_eq!(client.next(), json!({"type": "ok", "request": id}));
    }
    // The second fetch in a minute does not have the key, and there is no third.
    client.send(&refresh("another", 3));
    issuer.sets.send(json!({"keys": [old, new]})).unwrap();
    assert_eq!(client.next()["code"], "unknown_key");
    assert_eq!(client.ask(&refresh("another", 4))["code"], "keys_missing");
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
}

#[test]
fn a_refresh_that_waits_when_the_key_set_is_given_up_has_its_answer() {
    let rsa = EncodingKey::from_rsa_pem(RSA).unwrap();
    let issuer = Issuer::start();
    let key = File::new(SECRET);
    let config = File::new("");
    let write = |jwks: &str| {
        let key = key.path().display();
        config.write(&format!("[auth]\nadmin_key = {ADMIN:?}\nkey_file = [\"{key}\"]\n{jwks}"));
    };
    write(&format!("jwks_url = {:?}", issuer.url));
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(config.path());
    let server = Server::run(command);
    let mut client = connect(&server, "", &token(json!({}))).unwrap();
    let unknown = named("unknown", &rsa, Algorithm::RS256, "alice");
    client.send(&json!({"type": "refresh", "token": unknown}).to_string());
    client.socket.send(Message::Ping(Vec::new().into())).unwrap();
    assert!(matches!(client.read(), Message::Pong(_)));
    write("");
    assert_eq!(server.keyed(ADMIN, "POST", "/v1/reload", "").status, 200);
    assert_eq!(client.next()["code"], "token_algorithm");
}

fn path(name: &str) -> String {
    format!("{KEYS}/{name}")
}

/// Serves one key set to all that come, and returns its port.
fn issuer_over_tls(set: String) -> u16 {
    let certificate = CertificateDer::from_pem_file(path("tls.certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(path("tls.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket.unwrap());
            let mut request = [0; 4_096];
            // A client that does not trust the certificate ends here.
            if stream.read(&mut request).is_ok() {
                let length = set.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let _ = stream.write_all(format!("{head}{set}").as_bytes());
                let _ = stream.flush();
            }
        }
    });
    port
}

fn start_over_tls(port: u16, authorities: &str) -> Server {
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--set", &format!("auth.admin_key={ADMIN}")]);
    command.args(["--set", &format!("auth.jwks_url=https://localhost:{port}/jwks.json?secret=x")]);
    command.env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
    Server::run(command)
}

#[test]
fn a_server_whose_certificate_is_trusted_gives_out_the_keys() {
    let key = EncodingKey::from_ed_pem(ED).unwrap();
    let set = json!({"keys": [jwk("k", &key, Algorithm::EdDSA)]});
    let port = issuer_over_tls(set.to_string());
    let token = named("k", &key, Algorithm::EdDSA, "alice");

    let server = start_over_tls(port, &path("tls.certificate.pem"));
    assert_eq!(server.connect(&format!("token={token}")).welcome["user"], "alice");
    server.logged(&["a key set was read", &format!("https://localhost:{port}/jwks.json")]);
    assert!(!server.log().contains("secret=x"));

    // A certificate that nobody has vouched for.
    let server = start_over_tls(port, &path("certificate.pem"));
    assert_eq!(refused(&server, &token), (503, "keys_missing".to_owned()));
    let line = server.logged(&["a key set was not read"]);
    assert!(line.contains("ertificate"), "{line}");
}
