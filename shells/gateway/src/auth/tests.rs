//! Tokens as an attacker, a mistaken issuer and a good one make them.

mod choice_of_key;
mod issuer;
mod key_sets;

use std::time::{Duration, SystemTime};

use headcount::RoomId;
use jsonwebtoken::{Algorithm as Jwt, EncodingKey, Header, crypto, encode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::MAX_TOKEN_BYTES;
use super::error::TokenError;
use super::keys::MAX_KEYS;
use super::verifier::Verifier;
use super::*;

const SECRET: &[u8] = b"a secret of the tests, long enough for HS256";
const OTHER_SECRET: &[u8] = b"another secret of the tests, as long as it";
const RSA: &[u8] = include_bytes!("tests/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("tests/keys/rsa.pub.pem");
const RSA_PUBLIC_PKCS1: &[u8] = include_bytes!("tests/keys/rsa.pkcs1.pub.pem");
const RSA_1024_PUBLIC: &[u8] = include_bytes!("tests/keys/rsa_1024.pub.pem");
const EC: &[u8] = include_bytes!("tests/keys/ec.pem");
const EC_PUBLIC: &[u8] = include_bytes!("tests/keys/ec.pub.pem");
const P384_PUBLIC: &[u8] = include_bytes!("tests/keys/p384.pub.pem");
const ED: &[u8] = include_bytes!("tests/keys/ed.pem");
const ED_PUBLIC: &[u8] = include_bytes!("tests/keys/ed.pub.pem");
const CERTIFICATE: &[u8] = include_bytes!("tests/keys/certificate.pem");

/// The time of the tests, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn hs256(secret: &[u8]) -> Key {
    Key::new(Algorithm::Hs256, secret).unwrap()
}

/// A key that has an id.
fn named(id: &str, secret: &[u8]) -> Key {
    let key = jsonwebtoken::DecodingKey::from_secret(secret);
    Key::checked(Algorithm::Hs256, Some(id.into()), key).unwrap()
}

fn settings(keys: Vec<Key>) -> VerifierSettings {
    VerifierSettings {
        keys: KeySet::new(keys).unwrap(),
        audience: Vec::new(),
        issuer: Vec::new(),
        leeway: Duration::ZERO,
        max_ttl: Duration::from_secs(86_400),
    }
}

fn verifier(keys: Vec<Key>) -> Verifier {
    Verifier::new(settings(keys))
}

/// Claims that are fine, but for these.
fn claims(changes: Value) -> Value {
    let mut claims = json!({"sub": "alice", "exp": NOW + 60});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn sign(header: &Header, key: &EncodingKey, claims: &Value) -> String {
    encode(header, claims, key).unwrap()
}

fn with_secret(claims: &Value) -> String {
    sign(&Header::new(Jwt::HS256), &EncodingKey::from_secret(SECRET), claims)
}

fn verify(changes: Value) -> Result<Claims, TokenError> {
    verifier(vec![hs256(SECRET)]).verify(&with_secret(&claims(changes)), now())
}

fn code(result: Result<Claims, TokenError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "fine")
}

/// JSON in base64url, as a part of a token.
fn part(json: &str) -> String {
    let json: Box<RawValue> = serde_json::from_str(json).unwrap();
    let token = encode(&Header::default(), &json, &EncodingKey::from_secret(b"any")).unwrap();
    token.split('.').nth(1).unwrap().to_owned()
}

/// A token of any header and claims, with the signature of HS256.
fn signed_text(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(message.as_bytes(), &key, Jwt::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_token_of_each_algorithm_says_who_its_user_is() {
    for (algorithm, public, jwt, private) in [
        (Algorithm::Hs256, SECRET, Jwt::HS256, EncodingKey::from_secret(SECRET)),
        (Algorithm::Rs256, RSA_PUBLIC, Jwt::RS256, EncodingKey::from_rsa_pem(RSA).unwrap()),
        (Algorithm::Rs256, RSA_PUBLIC_PKCS1, Jwt::RS256, EncodingKey::from_rsa_pem(RSA).unwrap()),
        (Algorithm::Es256, EC_PUBLIC, Jwt::ES256, EncodingKey::from_ec_pem(EC).unwrap()),
        (Algorithm::EdDsa, ED_PUBLIC, Jwt::EdDSA, EncodingKey::from_ed_pem(ED).unwrap()),
    ] {
        let verifier = verifier(vec![Key::new(algorithm, public).unwrap()]);
        let token = sign(&Header::new(jwt), &private, &claims(json!({})));
        assert_eq!(verifier.verify(&token, now()).unwrap().user.as_str(), "alice", "{algorithm}");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let turned: String = signature.chars().rev().collect();
        let refused = verifier.verify(&format!("{message}.A{}", &turned[1..]), now());
        assert_ne!(code(refused), "fine", "{algorithm}");
    }
}

#[test]
fn claims_are_what_the_token_says() {
    let all = verify(json!({
        "thread": "work", "rooms": ["lobby", "team:*"], "iat": NOW - 5, "jti": "t1",
        "headcount": {"connections": 3, "later": true}, "unknown": [1],
    }));
    let all = all.unwrap();
    assert_eq!(all.thread.unwrap().as_str(), "work");
    assert_eq!((all.expires_at, all.issued_at), (NOW + 60, Some(NOW - 5)));
    assert_eq!((all.token_id.as_deref(), all.connections), (Some("t1"), Some(3)));
    assert!(all.rooms.allows(&RoomId::new("team:7").unwrap()));
    let least = verify(json!({})).unwrap();
    assert_eq!((least.thread, least.issued_at, least.token_id), (None, None, None));
    assert_eq!((least.connections, least.rooms), (None, RoomRights::default()));
    // Fractions of a second are dates too.
    assert_eq!(verify(json!({"exp": NOW as f64 + 9.5})).unwrap().expires_at, NOW + 9);
}

#[test]
fn an_unsigned_token_is_refused() {
    let payload = r#"{"sub":"alice","exp":1800000060}"#;
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None","typ":"JWT"}"#, r#"{"alg":"nOnE"}"#] {
        let token = signed_text(header, payload);
        let (message, _) = token.rsplit_once('.').unwrap();
        for token in [&token, &format!("{message}.")] {
            let refused = verifier(vec![hs256(SECRET)]).verify(token, now());
            assert_eq!(code(refused), "token_algorithm", "{header}");
        }
    }
    // A real algorithm, and no signature.
    let token = with_secret(&claims(json!({})));
    let (message, _) = token.rsplit_once('.').unwrap();
    let refused = verifier(vec![hs256(SECRET)]).verify(&format!("{message}."), now());
    assert_eq!(code(refused), "token_signature");
}

#[test]
fn an_extension_that_is_not_understood_refuses_the_token() {
    let mut header = Header::new(Jwt::HS256);
    header.crit = Some(vec!["b64".to_owned()]);
    let token = sign(&header, &EncodingKey::from_secret(SECRET), &claims(json!({})));
    assert_eq!(code(verifier(vec![hs256(SECRET)]).verify(&token, now())), "token_malformed");
}

#[test]
fn a_token_is_good_until_the_second_of_its_expiry() {
    let at = |exp: u64, leeway: u64| {
        let leeway = Duration::from_secs(leeway);
        let verifier = Verifier::new(VerifierSettings { leeway, ..settings(vec![hs256(SECRET)]) });
        code(verifier.verify(&with_secret(&claims(json!({"exp": exp}))), now()))
    };
    assert_eq!(at(NOW + 1, 0), "fine");
    assert_eq!(at(NOW, 0), "token_expired");
    assert_eq!(at(NOW - 1, 0), "token_expired");
    assert_eq!(at(NOW - 1, 2), "fine");
    assert_eq!(at(NOW - 2, 2), "token_expired");
    assert_eq!(at(NOW + 86_400, 0), "fine");
    assert_eq!(at(NOW + 86_401, 0), "token_lifetime");
    assert_eq!(at(u64::MAX, 0), "token_lifetime");
    let lasts = |seconds: u64| {
        let issued = NOW - 80_000;
        code(verify(json!({"iat": issued, "exp": issued + seconds})))
    };
    assert_eq!((lasts(86_400), lasts(86_401)), ("fine", "token_lifetime"));
    assert_eq!(at(0, 0), "token_expired");
}

#[test]
fn a_token_is_not_good_before_it_begins() {
    for claim in ["nbf", "iat"] {
        let at = |begin: u64, leeway: u64| {
            let leeway = Duration::from_secs(leeway);
            let settings = VerifierSettings { leeway, ..settings(vec![hs256(SECRET)]) };
            let token = with_secret(&claims(json!({claim: begin})));
            code(Verifier::new(settings).verify(&token, now()))
        };
        assert_eq!(at(NOW, 0), "fine", "{claim}");
        assert_eq!(at(NOW + 1, 0), "token_not_yet_valid", "{claim}");
        assert_eq!(at(NOW + 1, 1), "fine", "{claim}");
    }
}

#[test]
fn a_token_without_expiry_is_refused() {
    let mut claims = claims(json!({}));
    claims.as_object_mut().unwrap().remove("exp");
    let refused = verifier(vec![hs256(SECRET)]).verify(&with_secret(&claims), now());
    assert_eq!(code(refused), "token_without_expiry");
}

#[test]
fn a_clock_that_runs_before_1970_is_no_reason_to_panic() {
    let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let token = with_secret(&claims(json!({})));
    assert_eq!(code(verifier(vec![hs256(SECRET)]).verify(&token, early)), "token_lifetime");
}

#[test]
fn audience_and_issuer_are_compared_when_they_are_set() {
    let check = |audience: &[&str], issuer: &[&str], changes: Value| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let verifier = Verifier::new(VerifierSettings {
            audience: owned(audience),
            issuer: owned(issuer),
            ..settings(vec![hs256(SECRET)])
        });
        code(verifier.verify(&with_secret(&claims(changes)), now()))
    };
    assert_eq!(check(&["app", "web"], &[], json!({"aud": "web"})), "fine");
    assert_eq!(check(&["app"], &[], json!({"aud": ["other", "app"]})), "fine");
    assert_eq!(check(&["app"], &[], json!({"aud": ["other"]})), "token_audience");
    assert_eq!(check(&["app"], &[], json!({"aud": []})), "token_audience");
    assert_eq!(check(&["app"], &[], json!({})), "token_audience");
    assert_eq!(check(&[], &[], json!({"aud": "another program"})), "token_audience");
    assert_eq!(check(&["app"], &[], json!({"aud": 5})), "token_claims");
    assert_eq!(check(&[], &["me"], json!({"iss": "me"})), "fine");
    assert_eq!(check(&[], &["me"], json!({"iss": "you"})), "token_issuer");
    assert_eq!(check(&[], &["me"], json!({})), "token_issuer");
    assert_eq!(check(&[], &[], json!({"iss": "anyone"})), "fine");
    assert_eq!(check(&[], &[], json!({"iss": ["me"]})), "token_claims");
}

#[test]
fn a_claim_that_is_not_what_it_should_be_is_named() {
    let long = "u".repeat(10 * 1024 / 2);
    for (claim, value) in [
        ("sub", json!(5)),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!("undefined")),
        ("sub", json!(long)),
        ("sub", json!({"name": "alice"})),
        ("thread", json!(null)),
        ("thread", json!("a\u{7}")),
        ("rooms", json!("lobby")),
        ("rooms", json!(["lobby", 5])),
        ("rooms", json!([""])),
        ("rooms", json!(["x".repeat(129)])),
        ("rooms", json!([format!("{}*", "x".repeat(129))])),
        ("rooms", json!(vec!["r"; RoomRights::MAX + 1])),
        ("exp", json!("1800000060")),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!([])),
        ("iat", json!("now")),
        ("jti", json!(7)),
        ("jti", json!("")),
        ("jti", json!("j".repeat(257))),
        ("headcount", json!([3])),
        ("headcount", json!({"connections": 0})),
        ("headcount", json!({"connections": "3"})),
        ("headcount", json!({"connections": -1})),
    ] {
        let error = verify(json!({claim: value})).unwrap_err();
        assert_eq!(error.code(), "token_claims", "{claim} {value}");
        assert!(error.to_string().starts_with(&format!("the token's claim {claim}: ")), "{error}");
        assert!(error.to_string().len() < 200, "{error}");
    }
    let mut claims = claims(json!({}));
    claims.as_object_mut().unwrap().remove("sub");
    let error = verifier(vec![hs256(SECRET)]).verify(&with_secret(&claims), now()).unwrap_err();
    assert!(error.to_string().contains("claim sub: is missing"), "{error}");
}

#[test]
fn claims_are_one_object_that_says_everything_once() {
    let header = r#"{"alg":"HS256"}"#;
    for payload in [
        r#"{"sub":"alice","exp":1800000060,"sub":"bob"}"#,
        r#"["alice",null,null,1800000060]"#,
        "5",
        "null",
    ] {
        let token = signed_text(header, payload);
        let refused = verifier(vec![hs256(SECRET)]).verify(&token, now());
        assert_eq!(code(refused), "token_claims", "{payload}");
    }
}

#[test]
fn what_is_no_token_is_refused_without_a_panic() {
    let good = with_secret(&claims(json!({})));
    let verifier = verifier(vec![hs256(SECRET)]);
    let refused = |token: &str| code(verifier.verify(token, now()));
    for token in ["", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "Bearer x"] {
        assert_eq!(refused(token), "token_malformed", "{token}");
    }
    assert_eq!(refused(&format!("{good}.x")), "token_malformed");
    assert_eq!(refused(&format!("{good}=")), "token_malformed");
    assert_eq!(refused(&format!(" {good}")), "token_malformed");
    assert_eq!(refused(&good.replacen('.', "..", 1)), "token_malformed");
    assert_eq!(refused(&"x".repeat(100 * 1024)), "token_too_long");
    assert_eq!(refused(&"x".repeat(MAX_TOKEN_BYTES + 1)), "token_too_long");
    assert_eq!(refused(&"x".repeat(MAX_TOKEN_BYTES)), "token_malformed");
    // Each byte, and each length.
    for at in 0..good.len() {
        assert_ne!(refused(&good[..at]), "fine");
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 0x02;
        if let Ok(token) = String::from_utf8(bytes) {
            assert_ne!(refused(&token), "fine", "byte {at}");
        }
    }
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let verify = |header: &str, claims: &str| {
        code(verifier(vec![hs256(SECRET)]).verify(&signed_text(header, claims), now()))
    };
    let header = format!(r#"{{"alg":"HS256","x":{deep}}}"#);
    assert_eq!(verify(&header, "{}"), "token_malformed");
    let claims = format!(r#"{{"sub":"alice","exp":1800000060,"rooms":{deep}}}"#);
    assert_eq!(verify(r#"{"alg":"HS256"}"#, &claims), "token_claims");
}

#[test]
fn an_error_says_nothing_of_the_token() {
    let claims = claims(json!({"sub": "alice\u{7}secret", "thread": "s3cr3t"}));
    let token = sign(&Header::default(), &EncodingKey::from_secret(OTHER_SECRET), &claims);
    for result in [
        verifier(vec![hs256(SECRET)]).verify(&token, now()),
        verifier(vec![hs256(OTHER_SECRET)]).verify(&token, now()),
    ] {
        let error = result.unwrap_err();
        let problem = error.problem();
        assert_eq!(problem.status(), 401);
        for text in [problem.json(), format!("{error:?}"), error.to_string()] {
            assert!(!text.contains("s3cr3t") && !text.contains("alice"), "{text}");
            assert!(!token.split('.').any(|part| text.contains(part)), "{text}");
        }
    }
}

#[test]
fn keys_that_are_unfit_are_refused_with_a_sentence() {
    for (algorithm, material, part) in [
        (Algorithm::Hs256, &b""[..], "empty"),
        (Algorithm::Hs256, b" \n\n", "empty"),
        (Algorithm::Hs256, b"too short", "9 bytes"),
        (Algorithm::Hs256, &SECRET[..31], "RFC 7518"),
        (Algorithm::Hs256, RSA_PUBLIC, "PEM"),
        (Algorithm::Hs256, EC, "PEM"),
        (Algorithm::Rs256, b"", "empty"),
        (Algorithm::Rs256, SECRET, "-----BEGIN PUBLIC KEY-----"),
        (Algorithm::Rs256, RSA, "private"),
        (Algorithm::Es256, EC, "private"),
        (Algorithm::EdDsa, ED, "private"),
        (Algorithm::Rs256, RSA_1024_PUBLIC, "1024 bits"),
        (Algorithm::Rs256, EC_PUBLIC, "RSA"),
        (Algorithm::Rs256, ED_PUBLIC, "RSA"),
        (Algorithm::Rs256, CERTIFICATE, "certificate"),
        (Algorithm::Es256, P384_PUBLIC, "P-256"),
        (Algorithm::Es256, RSA_PUBLIC, "elliptic"),
        (Algorithm::Es256, RSA_PUBLIC_PKCS1, "elliptic"),
        (Algorithm::EdDsa, EC_PUBLIC, "Ed25519"),
        (Algorithm::Rs256, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "RSA"),
        (
            Algorithm::Rs256,
            b"-----BEGIN RSA PUBLIC KEY-----\nMAA=\n-----END RSA PUBLIC KEY-----\n",
            "RSA",
        ),
        (Algorithm::Rs256, b"-----BEGIN ", "PUBLIC KEY"),
    ] {
        let sentence = Key::new(algorithm, material).map(|_| ()).unwrap_err().to_string();
        assert!(sentence.contains(part), "{algorithm} {}: {sentence}", material.escape_ascii());
        assert!(!sentence.contains("too short"), "it quotes the secret: {sentence}");
    }
    assert!(Key::new(Algorithm::Hs256, &SECRET[..32]).is_ok());
    assert!(KeySet::new(vec![hs256(SECRET); MAX_KEYS]).is_ok());
    assert!(KeySet::new(vec![hs256(SECRET); MAX_KEYS + 1]).is_err());
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let key = hs256(SECRET);
    let text = format!("{key:?} {:?}", settings(vec![key.clone()]));
    assert!(!text.contains("secret") && !text.contains("115, 101"), "{text}");
    assert!(text.contains("Hs256"), "{text}");
}

#[test]
fn algorithms_have_their_names() {
    for name in ["HS256", "RS256", "ES256", "EdDSA"] {
        assert_eq!(name.parse::<Algorithm>().unwrap().to_string(), name);
    }
    for name in ["none", "hs256", "HS512", ""] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
}

#[test]
fn patterns_open_what_they_say_and_never_a_users_own_room() {
    let rights = |patterns: &[&str]| RoomRights::read(patterns).unwrap();
    let room = |name: &str| RoomId::new(name).unwrap();
    let team = rights(&["lobby", "team:*"]);
    for name in ["lobby", "team:1", "team:", "team:a:b"] {
        assert!(team.allows(&room(name)), "{name}");
    }
    for name in ["lobby2", "Lobby", "team", "xteam:1", "other"] {
        assert!(!team.allows(&room(name)), "{name}");
    }
    // A star elsewhere is a character.
    assert!(rights(&["a*b"]).allows(&room("a*b")) && !rights(&["a*b"]).allows(&room("axb")));
    for pattern in ["*", "user:*", "user:bob", "us*", "user:b*"] {
        let rights = rights(&[pattern]);
        assert!(!rights.allows(&room("user:bob")) && !rights.allows(&room("user:")), "{pattern}");
    }
    assert!(rights(&["*"]).allows(&room("users:1")));
    assert_eq!(owner(&room("user:bob")), Some("bob"));
    assert_eq!(owner(&room("user:")), Some(""));
    assert_eq!(owner(&room("users")), None);
    assert!(!RoomRights::default().allows(&room("lobby")));
}
