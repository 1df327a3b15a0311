//! What an attacker gets who has a stolen, an expired or a forged token, and what a mistake of the
//! operator gives away.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use common::{Client, PATIENCE, Server};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

const ADMIN: &str = "the-admin-key-of-the-tests";
const ED: &[u8] = include_bytes!("../src/auth/tests/keys/ed.pem");

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
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
