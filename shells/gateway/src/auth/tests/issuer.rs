//! A server of key sets, on a free port of this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{JwksSettings, KeySource};

/// What the issuer answers with.
#[derive(Clone)]
pub(super) enum Reply {
    Set(Value),
    Raw(String),
    /// It accepts, and never answers.
    Stall,
}

/// A server of key sets.
pub(super) struct Issuer {
    pub(super) url: String,
    reply: Arc<Mutex<Reply>>,
    requests: Arc<Mutex<usize>>,
}

impl Issuer {
    pub(super) fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json?key=hidden", listener.local_addr().unwrap());
        let (reply, requests) = (Arc::new(Mutex::new(reply)), Arc::new(Mutex::new(0)));
        let (replies, count) = (Arc::clone(&reply), Arc::clone(&requests));
        thread::spawn(move || {
            let mut stalled = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                read_head(&mut stream);
                *count.lock().unwrap() += 1;
                let body = match replies.lock().unwrap().clone() {
                    Reply::Set(set) => http("200 OK", &set.to_string()),
                    Reply::Raw(answer) => answer,
                    Reply::Stall => {
                        stalled.push(stream);
                        continue;
                    }
                };
                let _ = stream.write_all(body.as_bytes());
            }
        });
        Self { url, reply, requests }
    }

    pub(super) fn now_replies(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// The same; and requests are taken and not answered as long as the guard lives. Without it an
    /// answer may come before or after the next line of a test.
    pub(super) fn holds_back(&self, reply: Reply) -> MutexGuard<'_, Reply> {
        let mut guard = self.reply.lock().unwrap();
        *guard = reply;
        guard
    }

    pub(super) fn requests(&self) -> usize {
        *self.requests.lock().unwrap()
    }

    pub(super) fn settings(&self) -> JwksSettings {
        let interval = Duration::from_secs(3_600);
        JwksSettings { source: KeySource::url(&self.url).unwrap(), interval }
    }
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

pub(super) fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
