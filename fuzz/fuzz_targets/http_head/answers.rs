//! What the server writes, read back by a parser.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::{derive_accept_key, server};

use crate::answer::Answer;

/// An answer as a client reads it. Names of headers are in small letters, each there once.
struct Read {
    status: u16,
    headers: BTreeMap<String, Vec<u8>>,
    body: Vec<u8>,
}

fn read(bytes: &[u8]) -> Read {
    let mut lines = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut lines);
    let Ok(httparse::Status::Complete(end)) = response.parse(bytes) else {
        panic!("no HTTP: {}", bytes.escape_ascii())
    };
    let mut headers = BTreeMap::new();
    for line in response.headers.iter() {
        let earlier = headers.insert(line.name.to_ascii_lowercase(), line.value.to_vec());
        assert_eq!(earlier, None, "{} is there twice", line.name);
    }
    assert_eq!(response.version, Some(1));
    Read { status: response.code.expect("a status"), headers, body: bytes[end..].to_vec() }
}

impl Read {
    fn has(&self, name: &str, value: &str) {
        let found = self.headers.get(name).map(|value| value.escape_ascii().to_string());
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }

    fn names(&self) -> Vec<&str> {
        self.headers.keys().map(String::as_str).collect()
    }

    fn is_complete(&self, answer: &Answer, with_body: bool) {
        self.has("content-type", "application/json");
        self.has("content-length", &answer.body().len().to_string());
        self.has("connection", "close");
        assert_eq!(self.status, answer.status());
        let body = if with_body { answer.body().as_bytes() } else { b"" };
        assert_eq!(self.body, body);
    }
}

/// The answer to a request that is no upgrade, with the headers that belong to its status.
pub(crate) fn is_an_error(answer: &Answer, status: u16, with_body: bool) {
    let read = read(&answer.to_bytes(with_body));
    read.is_complete(answer, with_body);
    assert_eq!(read.status, status);
    let json: Value = serde_json::from_str(answer.body()).expect("JSON");
    let error = &json["error"];
    let said = |name: &str| error[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(said("code") && said("message"), "{json}");
    let always = ["connection", "content-length", "content-type"];
    let more: &[&str] = match status {
        405 => &["allow"],
        426 => &["sec-websocket-version", "upgrade"],
        _ => &[],
    };
    let mut expected = [&always, more].concat();
    expected.sort_unstable();
    assert_eq!(read.names(), expected);
    match status {
        405 => read.has("allow", "GET"),
        426 => {
            read.has("sec-websocket-version", "13");
            read.has("upgrade", "websocket");
        }
        _ => {}
    }
}

/// The answer to an upgrade: these headers and no other, whatever the client has sent.
pub(crate) fn is_an_upgrade(bytes: &[u8], key: &[u8], subprotocol: bool) {
    let read = read(bytes);
    assert_eq!((read.status, read.body.as_slice()), (101, b"".as_slice()));
    read.has("connection", "Upgrade");
    read.has("upgrade", "websocket");
    read.has("sec-websocket-accept", &derive_accept_key(key));
    let always = ["connection", "sec-websocket-accept"];
    let mut expected = always.to_vec();
    if subprotocol {
        read.has("sec-websocket-protocol", crate::SUBPROTOCOL);
        expected.push("sec-websocket-protocol");
    }
    expected.push("upgrade");
    assert_eq!(read.names(), expected);
}

/// Where tungstenite takes the request as well, it answers the same, but for the subprotocol,
/// which it leaves to its user.
pub(crate) fn is_what_tungstenite_says(head: &[u8], ours: &[u8]) {
    let Ok(Some((_, request))) = server::Request::try_parse(head) else { return };
    let Ok(response) = server::create_response(&request) else { return };
    let mut written = Vec::new();
    server::write_response(&mut written, &response).expect("a vector takes it");
    let (ours, theirs) = (read(ours), read(&written));
    assert_eq!(ours.status, theirs.status);
    for (name, value) in theirs.headers {
        assert!(ours.headers[&name].eq_ignore_ascii_case(&value), "{name}");
    }
}

/// An answer that an authenticator makes of what the client has sent: it can't get out of its
/// place, and what is JSON says the same as the text.
pub(crate) fn of_a_handler(choice: u8, stream: &[u8]) {
    let text = String::from_utf8_lossy(&stream[..stream.len().min(512)]);
    let (name, value) = text.split_once(':').unwrap_or(("X-Text", &text));
    let status = u16::from(choice).wrapping_mul(31) % 700;
    let answer = Answer::json(status, name, value).header(name, value);
    let bytes = answer.to_bytes(true);
    let mut lines = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut lines);
    let Ok(httparse::Status::Complete(end)) = response.parse(&bytes) else {
        panic!("no HTTP: {}", bytes.escape_ascii())
    };
    let expected = if (200..=599).contains(&status) { status } else { 500 };
    assert_eq!(response.code, Some(expected));
    let given = response.headers.get(3);
    assert!(response.headers.len() <= 4 && given.is_none_or(|line| line.name == name));
    assert_eq!(&bytes[end..], answer.body().as_bytes());
    let json: Value = serde_json::from_str(answer.body()).expect("JSON");
    assert_eq!(json, json!({"error": {"code": name, "message": value}}));
}
