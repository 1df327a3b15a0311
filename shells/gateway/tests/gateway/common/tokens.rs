//! Tokens, and servers that ask for them.

use std::time::SystemTime;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::{Client, PATIENCE, Server};

pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";
pub(crate) const OTHER: &str = "another secret of the tests, also long enough";
pub(crate) const ADMIN: &str = "the-admin-key-of-the-tests";

pub(crate) fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A token for a minute, with other claims in their place.
pub(crate) fn token_of(secret: &str, claims: Value) -> String {
    let mut all = json!({"sub": "alice", "iat": now(), "exp": now() + 60});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &all, &key).unwrap()
}

/// One that the server takes.
pub(crate) fn token(claims: Value) -> String {
    token_of(SECRET, claims)
}

/// A server that asks for such tokens, with settings beside that.
pub(crate) fn server(settings: &[&str]) -> Server {
    let (key, admin) = (format!("auth.key={SECRET}"), format!("auth.admin_key={ADMIN}"));
    let all: Vec<_> = [&*key, &*admin].into_iter().chain(settings.iter().copied()).collect();
    Server::with(&all)
}

/// Connects with a token in the header.
pub(crate) fn connect(server: &Server, query: &str, token: &str) -> Result<Client, (u16, String)> {
    let bearer = format!("Bearer {token}");
    Client::with_header(server.websocket, query, "authorization", &bearer)
}

/// Upgrades without a token, and sends this frame first.
pub(crate) fn introduce(server: &Server, frame: &str) -> Client {
    let (socket, _) = tungstenite::connect(format!("ws://{}/ws", server.websocket)).unwrap();
    let tungstenite::stream::MaybeTlsStream::Plain(stream) = socket.into_inner() else {
        panic!("no plain socket");
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let role = tungstenite::protocol::Role::Client;
    let socket = tungstenite::WebSocket::from_raw_socket(stream, role, None);
    let mut client = Client { socket, welcome: Value::Null };
    client.send(frame);
    client
}
