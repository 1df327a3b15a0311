//! A site on an origin of its own: an empty page, the JavaScript client, and tokens of one user.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

/// Signs the tokens of sites. The server is to have it as `auth.key`.
pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";

/// How a site answers who asks for a token.
#[derive(Clone, Copy)]
pub(crate) enum Tokens {
    /// With one for so many seconds.
    For(u64),
    /// With one that is over.
    Expired,
    /// With one that another secret has signed.
    Forged,
    /// With 503.
    Unavailable,
    /// With the page of a login, and 200.
    Login,
}

/// Ends with the process.
pub(crate) struct Site {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    tokens: Mutex<Tokens>,
    asked: AtomicU32,
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tokens = Mutex::new(Tokens::Unavailable);
        let shared = Arc::new(Shared { tokens, asked: AtomicU32::new(0) });
        let answering = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&answering);
                // A browser opens connections that it does not use yet.
                thread::spawn(move || shared.answer(stream));
            }
        });
        Self { address, shared }
    }

    /// The address of its page.
    pub(crate) fn page(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The address that gives out tokens of alice.
    pub(crate) fn tokens(&self) -> String {
        format!("http://{}/token", self.address)
    }

    pub(crate) fn give(&self, tokens: Tokens) {
        *self.shared.tokens.lock().unwrap() = tokens;
    }

    /// How often it was asked for a token.
    pub(crate) fn asked(&self) -> u32 {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

/// A token of alice, with the seconds since 1970 of its claims `iat` and `exp`.
pub(crate) fn token(secret: &str, issued: u64, expires: u64) -> String {
    let claims = json!({"sub": "alice", "iat": issued, "exp": expires});
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) {
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
        let page = "<!doctype html><title>site</title><link rel=icon href=data:,>";
        let script = "text/javascript";
        let (status, kind, body) = match path {
            "/headcount.js" => {
                (200, script, include_str!("../../../../../clients/js/headcount.js"))
            }
            "/test/follow.mjs" => {
                (200, script, include_str!("../../../../../clients/js/test/follow.mjs"))
            }
            "/test/worker.mjs" => {
                (200, script, include_str!("../../../../../clients/js/test/worker.mjs"))
            }
            "/token" => {
                let (status, text) = self.token();
                return write(&mut stream, status, "text/plain", &text);
            }
            _ => (200, "text/html", page),
        };
        write(&mut stream, status, kind, body);
    }

    fn token(&self) -> (u16, String) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        match *self.tokens.lock().unwrap() {
            Tokens::For(seconds) => (200, token(SECRET, now, now + seconds)),
            Tokens::Expired => (200, token(SECRET, now - 120, now - 60)),
            Tokens::Forged => (200, token(&SECRET.to_uppercase(), now, now + 60)),
            Tokens::Login => (200, "<!doctype html><title>log in</title>\n".to_owned()),
            Tokens::Unavailable => (503, String::new()),
        }
    }
}

fn write(stream: &mut TcpStream, status: u16, kind: &str, body: &str) {
    let length = body.len();
    let head = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close");
    let _ = stream.write_all(format!("HTTP/1.1 {status} \r\n{head}\r\n\r\n{body}").as_bytes());
}
