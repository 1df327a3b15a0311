//! Key sets that are fetched: rotated, replaced, empty, broken, slow, or no key sets at all.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use jsonwebtoken::jwk::Jwk;

use super::super::jwks::Jwks;
use super::super::key_source::MAX_BYTES;
use super::issuer::{Issuer, Reply, http};
use super::*;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An entry of a key set, for one of the private keys of the tests.
fn jwk(id: Option<&str>, key: &EncodingKey, algorithm: Jwt) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = id.map(str::to_owned);
    serde_json::to_value(jwk).unwrap()
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA).unwrap()
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(EC).unwrap()
}

fn set(keys: &[Value]) -> Reply {
    Reply::Set(json!({"keys": keys}))
}

fn old_key() -> Value {
    jwk(Some("old"), &rsa(), Jwt::RS256)
}

fn new_key() -> Value {
    jwk(Some("new"), &ec(), Jwt::ES256)
}

fn token_of(id: Option<&str>, key: &EncodingKey, algorithm: Jwt) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    sign(&header, key, &claims(json!({})))
}

fn old_token() -> String {
    token_of(Some("old"), &rsa(), Jwt::RS256)
}

fn new_token() -> String {
    token_of(Some("new"), &ec(), Jwt::ES256)
}

/// Tokens, and word of each fetch that has ended.
struct Rig {
    tokens: Tokens,
    fetched: Receiver<()>,
    tell: Sender<()>,
    start: Instant,
}

fn telling(tell: &Sender<()>) -> impl Fn() + Send + 'static {
    let tell = tell.clone();
    move || {
        // It fails when the test has ended.
        let _ = tell.send(());
    }
}

impl Rig {
    fn start(keys: Vec<Key>, jwks: JwksSettings) -> Self {
        let (tell, fetched) = channel();
        let tokens = Tokens::new(settings(keys), Some(jwks), telling(&tell)).unwrap();
        Self { tokens, fetched, tell, start: Instant::now() }
    }

    fn reload(&mut self, keys: Vec<Key>, jwks: Option<JwksSettings>) {
        self.tokens.reload(settings(keys), jwks, telling(&self.tell)).unwrap();
    }

    /// One that has read its key set.
    fn ready(issuer: &Issuer) -> Self {
        let rig = Self::start(Vec::new(), issuer.settings());
        rig.await_fetch();
        rig
    }

    fn await_fetch(&self) {
        self.fetched.recv_timeout(PATIENCE).expect("a fetch ends");
    }

    /// So many seconds after the start.
    fn check_at(&mut self, seconds: u64, token: &str, has_waited: bool) -> String {
        let instant = self.start + Duration::from_secs(seconds);
        match self.tokens.check_at(token, now(), instant, has_waited) {
            Check::Granted(_) => "fine".to_owned(),
            Check::Later => "later".to_owned(),
            Check::Refused(error) => {
                let problem = error.problem();
                match problem.wait() {
                    Some(wait) => format!("{} {wait:?}", error.code()),
                    None => error.code().to_owned(),
                }
            }
        }
    }

    fn check(&mut self, token: &str) -> String {
        self.check_at(0, token, false)
    }
}

#[test]
fn a_key_that_is_not_known_yet_is_fetched_and_the_old_one_stays_good() {
    let issuer = Issuer::start(Reply::Stall);
    let held = issuer.holds_back(set(&[old_key()]));
    let mut rig = Rig::start(Vec::new(), issuer.settings());
    assert_eq!(rig.check(&old_token()), "later");
    drop(held);
    rig.await_fetch();
    assert_eq!(rig.check_at(0, &old_token(), true), "fine");
    let held = issuer.holds_back(set(&[old_key(), new_key()]));
    assert_eq!(rig.check(&new_token()), "later");
    // Others that wait for the same cause no more fetches.
    assert_eq!(rig.check(&new_token()), "later");
    drop(held);
    rig.await_fetch();
    assert_eq!(rig.check_at(0, &new_token(), true), "fine");
    assert_eq!(rig.check(&old_token()), "fine");
    assert_eq!(issuer.requests(), 2);
    // The old one is withdrawn.
    issuer.now_replies(set(&[new_key()]));
    assert_eq!(rig.check(&token_of(Some("third"), &ec(), Jwt::ES256)), "later");
    rig.await_fetch();
    assert_eq!(rig.check(&new_token()), "fine");
    assert_eq!(rig.check_at(0, &old_token(), true), "unknown_key");
}

#[test]
fn a_key_that_is_published_while_a_fetch_is_under_way_is_fetched_too() {
    let issuer = Issuer::start(set(&[old_key()]));
    let mut rig = Rig::ready(&issuer);
    let forged = token_of(Some("forged"), &rsa(), Jwt::RS256);
    let held = issuer.holds_back(set(&[old_key()]));
    assert_eq!(rig.check(&forged), "later");
    let start = Instant::now();
    while issuer.requests() < 2 {
        assert!(start.elapsed() < PATIENCE, "the fetch begins");
        thread::yield_now();
    }
    assert_eq!(rig.check(&new_token()), "later");
    drop(held);
    rig.await_fetch();
    let held = issuer.holds_back(set(&[old_key(), new_key()]));
    assert_eq!(rig.check_at(0, &new_token(), true), "later");
    assert_eq!(rig.check_at(0, &forged, true), "later");
    drop(held);
    rig.await_fetch();
    assert_eq!(rig.check_at(0, &new_token(), true), "fine");
    assert_eq!(rig.check_at(0, &forged, true), "unknown_key");
    assert_eq!(issuer.requests(), 3);
}

#[test]
fn keys_that_nobody_has_cause_two_fetches_a_minute() {
    let issuer = Issuer::start(set(&[old_key()]));
    let mut rig = Rig::ready(&issuer);
    let forged = |number: u64| token_of(Some(&format!("forged-{number}")), &rsa(), Jwt::RS256);
    for (second, number) in [(0, 1), (20, 2)] {
        assert_eq!(rig.check_at(second, &forged(number), false), "later");
        rig.await_fetch();
        assert_eq!(rig.check_at(second, &forged(number), true), "unknown_key");
    }
    for number in 0..1_000 {
        // The key may exist: it is not the token's fault.
        assert_eq!(rig.check_at(21, &forged(number), false), "keys_missing 39s");
    }
    assert_eq!(rig.check_at(21, &old_token(), false), "fine");
    assert_eq!(rig.check_at(59, &forged(3), false), "keys_missing 1s");
    assert_eq!(issuer.requests(), 3);
    assert_eq!(rig.check_at(60, &forged(3), false), "later");
    rig.await_fetch();
    assert_eq!(rig.check_at(61, &forged(4), false), "keys_missing 19s");
    assert_eq!(issuer.requests(), 4);
}

#[test]
fn a_forged_signature_causes_no_fetch() {
    let issuer = Issuer::start(set(&[old_key()]));
    let mut rig = Rig::ready(&issuer);
    let forged = token_of(Some("old"), &EncodingKey::from_secret(SECRET), Jwt::HS256);
    assert_eq!(rig.check(&forged), "token_algorithm");
    let (message, _) = forged.rsplit_once('.').unwrap();
    assert_eq!(rig.check(&format!("{message}.AAAA")), "token_algorithm");
    let token = old_token();
    let (message, _) = token.rsplit_once('.').unwrap();
    assert_eq!(rig.check(&format!("{message}.AAAA")), "token_signature");
    // Without an id it is tried with every key.
    assert_eq!(rig.check(&token_of(None, &rsa(), Jwt::RS256)), "fine");
    assert_eq!(rig.check(&token_of(None, &ec(), Jwt::ES256)), "token_algorithm");
    assert_eq!(issuer.requests(), 1);
}

/// The last good keys stay, whatever comes in their place.
fn assert_stays(replies: &[Reply]) {
    for reply in replies {
        let issuer = Issuer::start(set(&[old_key()]));
        let mut rig = Rig::ready(&issuer);
        issuer.now_replies(reply.clone());
        assert_eq!(rig.check(&new_token()), "later");
        // Those with a key that is known do not wait.
        assert_eq!(rig.check(&old_token()), "fine");
        rig.await_fetch();
        assert_eq!(rig.check(&old_token()), "fine");
        assert_eq!(rig.check_at(0, &new_token(), true), "keys_missing 5s");
        issuer.now_replies(set(&[new_key()]));
        assert_eq!(rig.check(&new_token()), "later");
        rig.await_fetch();
        assert_eq!(rig.check_at(0, &new_token(), true), "fine");
    }
}

#[test]
fn the_last_good_keys_stay_when_the_set_is_empty_or_broken_or_no_set() {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    let ok = |body: &str| Reply::Raw(http("200 OK", body));
    let long = format!("{{\"keys\":[{}]}}", " ".repeat(MAX_BYTES as usize));
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{long}");
    assert_stays(&[
        set(&[]),
        set(&[json!({"kty": "oct", "k": "c2VjcmV0"})]),
        ok(""),
        ok("{}"),
        ok("[]"),
        ok("{\"keys\":["),
        ok("{\"keys\":{}}"),
        ok(page),
        Reply::Raw(http("503 Service Unavailable", page)),
        Reply::Raw(http("404 Not Found", &json!({"keys": [new_key()]}).to_string())),
        Reply::Raw("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n".to_owned()),
        Reply::Raw("SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
        Reply::Raw(String::new()),
        // Cut in the middle of the body.
        Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"keys\":[".to_owned()),
        ok(&long),
        Reply::Raw(endless),
    ]);
}

#[test]
fn the_last_good_keys_stay_while_the_issuer_does_not_answer() {
    assert_stays(&[Reply::Stall]);
}

#[test]
fn an_issuer_that_is_away_at_the_start_is_waited_for() {
    let issuer = Issuer::start(Reply::Raw(http("502 Bad Gateway", "")));
    let mut rig = Rig::ready(&issuer);
    // Its own keys are there in any case.
    assert_eq!(rig.check(&old_token()), "later");
    rig.await_fetch();
    assert_eq!(rig.check_at(0, &old_token(), true), "keys_missing 5s");
    issuer.now_replies(set(&[jwk(None, &rsa(), Jwt::RS256)]));
    assert_eq!(rig.check(&token_of(None, &rsa(), Jwt::RS256)), "later");
    rig.await_fetch();
    assert_eq!(rig.check_at(0, &token_of(None, &rsa(), Jwt::RS256), true), "fine");
    // The key of the set has no name: it is tried for any, and a name may still be a new key's.
    assert_eq!(rig.check_at(0, &token_of(Some("any"), &rsa(), Jwt::RS256), false), "fine");
}

#[test]
fn keys_of_the_settings_are_good_beside_those_of_a_set() {
    let issuer = Issuer::start(Reply::Stall);
    let mut rig = Rig::start(vec![hs256(SECRET)], issuer.settings());
    assert_eq!(rig.check(&with_secret(&claims(json!({})))), "fine");
    assert_eq!(rig.check(&old_token()), "later");
    let named = Header { kid: Some("own".to_owned()), ..Header::default() };
    let token = sign(&named, &EncodingKey::from_secret(SECRET), &claims(json!({})));
    assert_eq!(rig.check(&token), "fine");
}

#[test]
fn what_waits_is_checked_again_when_the_key_set_is_given_up() {
    let issuer = Issuer::start(Reply::Stall);
    let mut rig = Rig::start(Vec::new(), issuer.settings());
    assert_eq!(rig.check(&old_token()), "later");
    rig.reload(vec![hs256(SECRET)], None);
    rig.fetched.try_recv().expect("a word to check again");
    assert_eq!(rig.check_at(0, &old_token(), true), "token_algorithm");
}

#[test]
fn a_reload_keeps_the_keys_of_the_same_set_and_drops_those_of_another() {
    let issuer = Issuer::start(set(&[old_key()]));
    let mut rig = Rig::ready(&issuer);
    assert_eq!(rig.check(&old_token()), "fine");
    rig.reload(vec![hs256(SECRET)], Some(issuer.settings()));
    assert_eq!(rig.check(&old_token()), "fine");
    assert_eq!(rig.check(&with_secret(&claims(json!({})))), "fine");
    // It is read again, and its keys are good meanwhile.
    rig.await_fetch();
    assert_eq!(issuer.requests(), 2);
    assert_eq!(rig.check(&old_token()), "fine");
    // Another interval: the keys stay until the new thread has read them.
    issuer.now_replies(Reply::Stall);
    let other = JwksSettings { interval: Duration::from_secs(60), ..issuer.settings() };
    rig.reload(Vec::new(), Some(other));
    assert_eq!(rig.check(&old_token()), "fine");
    let another = Issuer::start(set(&[new_key()]));
    rig.reload(Vec::new(), Some(another.settings()));
    assert_eq!(rig.check(&old_token()), "later");
    rig.await_fetch();
    assert_eq!(rig.check_at(0, &new_token(), true), "fine");
    rig.reload(vec![hs256(SECRET)], None);
    assert_eq!(rig.check(&new_token()), "token_algorithm");
}

#[test]
fn a_file_is_read_again_at_every_interval() {
    let path = file("rotated", &json!({"keys": [old_key()]}).to_string());
    let source = KeySource::File(path.clone());
    assert_eq!(source.check(), Ok(()));
    let interval = Duration::from_millis(10);
    let mut rig = Rig::start(Vec::new(), JwksSettings { source, interval });
    rig.await_fetch();
    assert_eq!(rig.check(&old_token()), "fine");
    // Replaced as a whole, as those do who replace files.
    let next = file("next", &json!({"keys": [new_key()]}).to_string());
    std::fs::rename(next, &path).unwrap();
    let start = Instant::now();
    while rig.check(&new_token()) != "fine" {
        assert!(start.elapsed() < PATIENCE);
        rig.await_fetch();
    }
    std::fs::remove_file(path).unwrap();
    rig.await_fetch();
    rig.await_fetch();
    assert_eq!(rig.check(&new_token()), "fine");
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("headcount-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_file_that_is_no_key_set_is_told_with_its_name() {
    for (content, part) in [("", "empty"), ("{}", "keys"), ("{\"keys\":[]}", "no keys")] {
        let path = file("broken", content);
        let why = KeySource::File(path.clone()).check().unwrap_err();
        assert!(why.contains(part) && why.contains("-broken: "), "{why}");
        std::fs::remove_file(path).unwrap();
    }
    let missing = KeySource::File("/nowhere/jwks.json".into()).check().unwrap_err();
    assert!(missing.starts_with("/nowhere/jwks.json: it can't be read: "), "{missing}");
}

#[test]
fn keys_that_are_unfit_are_skipped_by_their_number() {
    let with = |key: Value, changes: Value| {
        let mut key = key;
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let text = json!({"keys": [
        old_key(),
        with(old_key(), json!({"use": "enc"})),
        with(old_key(), json!({"key_ops": ["encrypt"]})),
        with(old_key(), json!({"alg": "RS512"})),
        with(old_key(), json!({"alg": "RSA-OAEP"})),
        with(old_key(), json!({"alg": "ES256"})),
        with(new_key(), json!({"crv": "P-384"})),
        with(new_key(), json!({"x": "!"})),
        with(new_key(), json!({"x": "AAAA"})),
        jwk(None, &EncodingKey::from_secret(SECRET), Jwt::HS256),
        json!({"kty": "AKP", "pub": "x"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "RSA", "kid": 5, "n": "AQAB", "e": "AQAB"}),
        json!("key"),
        new_key(),
    ]});
    let jwks = Jwks::read(text.to_string().as_bytes()).unwrap();
    assert_eq!(jwks.keys.len(), 2);
    let numbers: Vec<_> =
        jwks.skipped.iter().map(|why| why.split(':').next().unwrap().to_owned()).collect();
    let expected: Vec<_> = (2..=14).map(|number| format!("key {number}")).collect();
    assert_eq!(numbers, expected, "{:#?}", jwks.skipped);
    let many = json!({"keys": vec![old_key(); MAX_KEYS + 5]});
    let jwks = Jwks::read(many.to_string().as_bytes()).unwrap();
    assert_eq!((jwks.keys.len(), jwks.skipped.len()), (MAX_KEYS, 1));
    // What a key says of its use may be said, and its algorithm may be left out.
    let mut bare = with(old_key(), json!({"use": "sig", "key_ops": ["verify"]}));
    bare.as_object_mut().unwrap().remove("alg");
    assert!(Jwks::read(json!({"keys": [bare]}).to_string().as_bytes()).is_ok());
}

#[test]
fn keys_are_fetched_over_tls_or_from_this_machine_only() {
    for url in [
        "https://issuer.example/jwks.json",
        "https://10.0.0.1:8443/",
        "http://localhost:8080/keys",
        "http://127.0.0.1/",
        "http://[::1]:80/x",
    ] {
        assert!(KeySource::url(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "issuer.example",
        "/jwks.json",
        "http://issuer.example/jwks.json",
        "http://127.0.0.1.example/",
        "http://localhost.example/",
        "http://127.0.0.1@issuer.example/",
        "https://user:password@issuer.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https:///jwks.json",
    ] {
        assert!(KeySource::url(url).is_err(), "{url}");
    }
    let source = KeySource::url("https://issuer.example/jwks.json?secret=x").unwrap();
    assert_eq!(source.to_string(), "https://issuer.example/jwks.json");
}
