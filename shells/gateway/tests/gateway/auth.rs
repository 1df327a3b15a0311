//! Who may come in with a token, by which way, for how long, and what it may do then.

mod keys;

use std::time::{Duration, Instant};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

use crate::common::tokens::{
    ADMIN, OTHER, SECRET, connect, introduce, now, server, token, token_of,
};
use crate::common::{Client, File, PATIENCE, Server, ended, headcount, request};

/// The code of a refusal in HTTP.
fn refused(result: Result<Client, (u16, String)>) -> (u16, String) {
    let (status, body) = result.map(|client| client.welcome).expect_err("a refusal");
    let body: Value = serde_json::from_str(&body).unwrap();
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn auth(token: &str) -> String {
    json!({"type": "auth", "token": token}).to_string()
}

#[test]
fn a_token_comes_in_by_each_way() {
    let server = server(&[]);
    let token = token(json!({}));
    let header = connect(&server, "thread=work", &token).unwrap();
    assert_eq!(
        (&header.welcome["user"], &header.welcome["thread"]),
        (&json!("alice"), &json!("work"))
    );
    assert_eq!(server.connect(&format!("token={token}")).welcome["thread"], "main");

    let mut request = format!("ws://{}/ws", server.websocket).into_client_request().unwrap();
    let offered = HeaderValue::from_str(&format!("headcount.v1, bearer.{token}")).unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offered);
    let (mut socket, response) = tungstenite::connect(request).unwrap();
    let echoed: Vec<_> = response.headers().get_all("sec-websocket-protocol").iter().collect();
    assert_eq!(echoed, ["headcount.v1"]);
    let welcome: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    assert_eq!((&welcome["type"], &welcome["user"]), (&json!("welcome"), &json!("alice")));

    let mut first = introduce(&server, &auth(&token));
    assert_eq!(first.next()["user"], "alice");
    let text = json!({"type": "auth", "token": token, "thread": "work"}).to_string();
    assert_eq!(introduce(&server, &text).next()["thread"], "work");
    assert_eq!(first.ask(&auth(&token))["code"], "already_authenticated");
}

#[test]
fn a_request_that_contradicts_itself_is_refused() {
    let server = server(&[]);
    let good = token(json!({}));
    let refused = |result| refused(result);
    assert_eq!(refused(connect(&server, &format!("token={good}"), &good)), is(400, "two_tokens"));
    let basic = Client::with_header(server.websocket, "", "authorization", "Basic YTpi");
    assert_eq!(refused(basic), is(400, "bad_authorization"));
    for query in ["user=alice", "user=bob"] {
        assert_eq!(refused(connect(&server, query, &good)), is(400, "user_in_query"));
        assert_eq!(refused(Client::connect(server.websocket, query)), is(400, "user_in_query"));
    }
    let (_, body) = server.refused("user=alice");
    assert!(body["error"]["message"].as_str().unwrap().contains("user out of the query"), "{body}");
    for query in ["thread=t", "epoch=1&offset=1", "previous=x"] {
        let result = Client::connect(server.websocket, query);
        assert_eq!(refused(result), is(400, "fields_without_token"));
    }
    let pinned = token(json!({"thread": "desk"}));
    assert_eq!(connect(&server, "", &pinned).unwrap().welcome["thread"], "desk");
    assert_eq!(connect(&server, "thread=desk", &pinned).unwrap().welcome["thread"], "desk");
    assert_eq!(refused(connect(&server, "thread=work", &pinned)), is(403, "other_thread"));
}

#[test]
fn a_bad_token_is_refused_in_each_way() {
    let server = server(&[]);
    for (token, code) in [
        (token_of(OTHER, json!({})), "token_signature"),
        (token(json!({"exp": now() - 60})), "token_expired"),
        (token(json!({"exp": now() + 2 * 86_400})), "token_lifetime"),
        (token(json!({"nbf": now() + 60})), "token_not_yet_valid"),
        (token(json!({"sub": "undefined"})), "token_claims"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_owned(), "token_malformed"),
        ("x".to_owned(), "token_malformed"),
        ("x".repeat(10_000), "token_too_long"),
    ] {
        let (status, got) = refused(connect(&server, "", &token));
        assert!(status == 401 && (got == code || token.starts_with("eyJhbGciOiJub25l")), "{got}");
        assert_eq!(refused(Client::connect(server.websocket, &format!("token={token}"))).0, 401);
        let mut client = introduce(&server, &auth(&token));
        assert_eq!(client.next()["code"], got.as_str());
        assert_eq!(client.closed(), 4500, "{code}");
    }
}

#[test]
fn a_first_frame_that_is_no_token_ends_the_connection() {
    let server = server(&["session.auth_deadline=1s"]);
    for (frame, code, close) in [
        (r#"{"type":"ping","id":7}"#, "auth_expected", 4501),
        (r#"{"type":"auth","id":7}"#, "bad_frame", 4501),
        ("{", "bad_json", 4501),
    ] {
        let mut client = introduce(&server, frame);
        let error = client.next();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)));
        assert_eq!(client.closed(), close, "{frame}");
    }
    let (mut silent, _) = tungstenite::connect(format!("ws://{}/ws", server.websocket)).unwrap();
    let tungstenite::Message::Close(Some(frame)) = silent.read().unwrap() else { panic!() };
    assert_eq!(u16::from(frame.code), 4502);
}

#[test]
fn a_limit_after_the_upgrade_is_a_close() {
    let server = server(&["limits.connections_per_user=1", "limits.over_cap=refuse"]);
    let token = token(json!({}));
    let _first = connect(&server, "", &token).unwrap();
    let mut second = introduce(&server, &auth(&token));
    assert_eq!(second.next()["code"], "connections_per_user");
    assert_eq!(second.closed(), 1013);
}

#[test]
fn a_first_frame_resumes_and_takes_over() {
    let server = server(&[]);
    let token = token(json!({}));
    let mut first = connect(&server, "", &token).unwrap();
    let body = r#"{"to":{"user":"alice"},"data":1}"#;
    assert_eq!(server.keyed(ADMIN, "POST", "/v1/publish", body).status, 200);
    let frame = json!({
        "type": "auth", "token": token, "previous": first.connection(),
        "epoch": first.welcome["session"]["epoch"], "offset": 0,
    });
    let mut second = introduce(&server, &frame.to_string());
    let welcome = second.next();
    assert_eq!(welcome["recovered"], "all", "{welcome}");
    assert_eq!(second.next()["data"], 1);
    assert_eq!(first.closed(), 4505);
}

#[test]
fn rooms_need_a_right() {
    let server = server(&["rooms.open=lobby,news:*"]);
    let mut client =
        connect(&server, "", &token(json!({"rooms": ["team:*", "user:bob"]}))).unwrap();
    let join = |room: &str| json!({"type": "join", "room": room, "id": 1}).to_string();
    for room in ["team:1", "lobby", "news:x", "user:alice"] {
        assert_eq!(client.ask(&join(room))["type"], "joined", "{room}");
    }
    for room in ["other", "teams", "user:bob", "user:"] {
        let error = client.ask(&join(room));
        assert_eq!(
            (&error["code"], &error["request"]),
            (&json!("room_forbidden"), &json!(1)),
            "{room}"
        );
    }
    // All rooms are not the room of another user.
    let mut all = connect(&server, "", &token(json!({"sub": "eve", "rooms": ["*"]}))).unwrap();
    assert_eq!(all.ask(&join("other"))["type"], "joined");
    assert_eq!(all.ask(&join("user:alice"))["code"], "room_forbidden");
    // The back end opens every room but that.
    let call = |room: &str| {
        let body = json!({"user": "alice", "room": room}).to_string();
        server.keyed(ADMIN, "POST", "/v1/join", &body).json()
    };
    assert_eq!(call("secret")["joined"], 1);
    assert_eq!(client.next()["room"], "secret");
    let answer = call("user:bob");
    assert_eq!((&answer["refused"], &answer["code"]), (&json!(1), &json!("room_forbidden")));
}

#[test]
fn in_development_mode_every_room_is_open_but_those_of_other_users() {
    let server = Server::start();
    let mut client = server.connect("user=alice");
    assert_eq!(client.ask(r#"{"type":"join","room":"any"}"#)["type"], "joined");
    assert_eq!(client.ask(r#"{"type":"join","room":"user:alice"}"#)["type"], "joined");
    assert_eq!(client.ask(r#"{"type":"join","room":"user:bob"}"#)["code"], "room_forbidden");
    let answer = server.post("/v1/join", r#"{"user":"alice","room":"user:bob"}"#).json();
    assert_eq!((&answer["refused"], &answer["code"]), (&json!(1), &json!("room_forbidden")));
}

#[test]
fn two_users_see_nothing_of_each_other() {
    let server = server(&[]);
    let mut alice = connect(&server, "", &token(json!({}))).unwrap();
    let mut bob = connect(&server, "", &token(json!({"sub": "bob"}))).unwrap();
    for (user, data) in [("alice", 1), ("bob", 2)] {
        let body = json!({"to": {"user": user}, "data": data}).to_string();
        assert_eq!(server.keyed(ADMIN, "POST", "/v1/publish", &body).json()["sent"], 1);
    }
    assert_eq!((alice.data(), bob.data()), (vec![json!(1)], vec![json!(2)]));
    // A connection of another user is no predecessor, and their session no place to go on.
    let query = format!(
        "previous={}&epoch={}&offset=0",
        alice.connection(),
        alice.welcome["session"]["epoch"].as_str().unwrap()
    );
    let mut eve = connect(&server, &query, &token(json!({"sub": "eve"}))).unwrap();
    assert_eq!(eve.welcome["recovered"], "gap");
    assert_eq!((eve.data(), alice.data()), (vec![], vec![]));
}

#[test]
fn an_expired_token_closes_after_the_grace_unless_it_is_refreshed() {
    let server = server(&["session.expiry_grace=200ms", "auth.leeway=0s"]);
    let short = || token(json!({"exp": now() + 2}));
    let mut kept = connect(&server, "", &short()).unwrap();
    let mut left = connect(&server, "", &short()).unwrap();
    let refresh = |token: String| json!({"type": "refresh", "token": token, "id": 1}).to_string();
    for (token, code) in [
        (token(json!({"sub": "bob"})), "other_user"),
        (token(json!({"thread": "desk"})), "other_thread"),
        (token(json!({"exp": now() - 1})), "token_expired"),
        (token_of(OTHER, json!({})), "token_signature"),
    ] {
        assert_eq!(left.ask(&refresh(token))["code"], code);
    }
    let join = r#"{"type":"join","room":"r"}"#;
    assert_eq!(kept.ask(join)["code"], "room_forbidden");
    let answer = kept.ask(&refresh(token(json!({"rooms": ["r"]}))));
    assert_eq!(answer, json!({"type": "ok", "request": 1}));
    assert_eq!(kept.ask(join)["type"], "joined");
    assert_eq!(left.closed(), 4405);
    assert_eq!(kept.ask(r#"{"type":"ping"}"#)["type"], "ok");
}

#[test]
fn a_revoked_token_closes_and_is_refused() {
    let server = server(&["auth.leeway=0s"]);
    let (one, two) = (token(json!({"jti": "t1"})), token(json!({"jti": "t2"})));
    let mut first = connect(&server, "", &one).unwrap();
    let mut refreshed = connect(&server, "", &two).unwrap();
    let mut other = connect(&server, "", &two).unwrap();
    let refresh = |token: &str| json!({"type": "refresh", "token": token}).to_string();
    assert_eq!(refreshed.ask(&refresh(&one))["type"], "ok");
    let revoke = |body: &str| server.keyed(ADMIN, "POST", "/v1/revoke", body);
    assert_eq!(revoke(r#"{"token_id":"t1"}"#).json(), json!({"closing": 2}));
    assert_eq!((first.closed(), refreshed.closed()), (4503, 4503));
    assert_eq!(refused(connect(&server, "", &one)), is(401, "token_revoked"));
    assert_eq!(other.ask(&refresh(&one))["code"], "token_revoked");
    let mut introduced = introduce(&server, &auth(&one));
    assert_eq!(
        (introduced.next()["code"].clone(), introduced.closed()),
        (json!("token_revoked"), 4500)
    );
    assert!(connect(&server, "", &two).is_ok());
    for body in ["{}", r#"{"user":"a","token_id":"t"}"#, r#"{"token_id":""}"#, r#"{"tokenid":"t"}"#]
    {
        assert_eq!(revoke(body).status, 400, "{body}");
    }
}

#[test]
fn a_revoked_user_comes_back_with_a_token_of_later_only() {
    let server = server(&["auth.leeway=0s"]);
    let (before, undated) = (token(json!({})), token(json!({"iat": null})));
    // A null is no date.
    assert_eq!(refused(connect(&server, "", &undated)), is(401, "token_claims"));
    let mut undated = json!({"sub": "alice", "exp": now() + 60});
    undated["jti"] = json!("undated");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let undated = jsonwebtoken::encode(&Header::default(), &undated, &key).unwrap();
    assert!(connect(&server, "", &undated).is_ok());
    let mut client = connect(&server, "", &before).unwrap();
    let answer = server.keyed(ADMIN, "POST", "/v1/revoke", r#"{"user":"alice"}"#);
    assert_eq!(answer.json()["sessions"], 1);
    assert_eq!(client.closed(), 4503);
    assert_eq!(refused(connect(&server, "", &before)), is(401, "token_revoked"));
    assert_eq!(refused(connect(&server, "", &undated)), is(401, "token_revoked"));
    assert!(connect(&server, "", &token(json!({"sub": "bob"}))).is_ok());
    // The dates of tokens are whole seconds, so the next one is later.
    let start = Instant::now();
    while connect(&server, "", &token(json!({}))).is_err() {
        assert!(start.elapsed() < PATIENCE, "later tokens are refused");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(refused(connect(&server, "", &before)), is(401, "token_revoked"));
}

#[test]
fn a_token_may_lower_the_limit_of_connections() {
    let server = server(&["limits.over_cap=refuse"]);
    let one = token(json!({"headcount": {"connections": 1}}));
    let _first = connect(&server, "", &one).unwrap();
    assert_eq!(refused(connect(&server, "", &one)).0, 429);
    assert!(connect(&server, "", &token(json!({}))).is_ok());
}

#[test]
fn audience_issuer_algorithm_and_lifetime_are_settings() {
    let strict =
        server(&["auth.audience=app,web", "auth.issuer=me", "auth.max_ttl=90s", "auth.leeway=0s"]);
    let good = json!({"aud": "web", "iss": "me"});
    assert!(connect(&strict, "", &token(good)).is_ok());
    for (claims, code) in [
        (json!({"aud": "other", "iss": "me"}), "token_audience"),
        (json!({"aud": "web", "iss": "you"}), "token_issuer"),
        (json!({"aud": "web", "iss": "me", "exp": now() + 200}), "token_lifetime"),
        (json!({"aud": "web", "iss": "me", "exp": now() - 1}), "token_expired"),
    ] {
        assert_eq!(refused(connect(&strict, "", &token(claims))), is(401, code));
    }
    let lenient = server(&["auth.leeway=60s"]);
    assert!(connect(&lenient, "", &token(json!({"exp": now() - 30}))).is_ok());
}

#[test]
fn what_can_not_be_safe_does_not_start_and_no_error_shows_a_key() {
    let serve = |settings: &[&str]| {
        let mut command = headcount();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        let (status, text) = ended(command);
        assert_eq!(status.code(), Some(2), "{text}");
        assert!(!text.contains("hunter2") && !text.contains(SECRET), "{text}");
        text
    };
    let key = format!("auth.key={SECRET}");
    let admin = format!("auth.admin_key={ADMIN}");
    let file = File::new(SECRET);
    let [path_as_key, path_as_admin_key, path_as_admin_keys] = ["key", "admin_key", "admin_keys"]
        .map(|key| format!("auth.{key}={}", file.path().display()));
    for (settings, parts) in [
        (&[&*key][..], &["auth.admin_key_file"][..]),
        (&["auth.key=hunter2", &admin], &["auth.key=<secret>", "RFC 7518"]),
        (&["auth.key=", &admin], &["auth.key=<secret>", "not empty"]),
        (&["auth.algorithm=RS256", &key, &admin], &["auth.key=<secret>", "PUBLIC KEY"]),
        (&["auth.algorithm=none", &key, &admin], &["auth.algorithm=none", "HS256, RS256"]),
        (&["auth.audience=app"], &["auth.audience=app", "auth.key_file"]),
        (&["auth.key_file=/nonexistent/key", &admin], &["auth.key_file", "/nonexistent/key"]),
        (&["listen=0.0.0.0:0"], &["auth.key_file"]),
        (&["auth.jwks_url=http://example.com/?k=hunter2", &admin], &["auth.jwks_url=<secret>"]),
        (
            &["auth.jwks_url=https://example.com/?k=hunter2", "auth.jwks_interval=29s", &admin],
            &["auth.jwks_interval=29s", "at least 30 s", "auth.jwks_url"],
        ),
        (&[&path_as_key, &admin], &["auth.key=<secret>", "auth.key_file"]),
        (&[&key, &path_as_admin_key], &["auth.admin_key=<secret>", "auth.admin_key_file"]),
        (&[&key, &path_as_admin_keys], &["auth.admin_keys=<secret>", "auth.admin_keys_file"]),
    ] {
        let text = serve(settings);
        assert!(parts.iter().all(|part| text.contains(part)), "{settings:?}: {text}");
    }
}

#[test]
fn with_a_key_it_may_listen_elsewhere() {
    let (key, admin) = (format!("auth.key={SECRET}"), format!("auth.admin_key={ADMIN}"));
    let server = Server::at("0.0.0.0:0", "127.0.0.1:0", &[&key, &admin]);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.websocket.port()));
    let bearer = format!("Bearer {}", token(json!({})));
    assert!(Client::with_header(address, "", "authorization", &bearer).is_ok());
}

#[test]
fn nothing_of_a_token_is_in_a_log_or_an_answer() {
    let server = server(&["log.level=debug"]);
    let good = token(json!({"jti": "id-of-it"}));
    let bad = token_of(OTHER, json!({}));
    let mut answers = String::new();
    for token in [&good, &bad] {
        drop(connect(&server, "", token));
        let query = format!("token={token}");
        for result in [
            Client::connect(server.websocket, &query),
            Client::with_header(
                server.websocket,
                &query,
                "authorization",
                &format!("Bearer {token}"),
            ),
        ] {
            answers += &result.map_or_else(|(_, body)| body, |client| client.welcome.to_string());
        }
        let mut client = introduce(&server, &auth(token));
        answers += &client.next().to_string();
    }
    let mut client = connect(&server, "", &good).unwrap();
    answers += &client.ask(&json!({"type": "refresh", "token": bad}).to_string()).to_string();
    for path in ["/v1/connections", "/v1/sessions", "/v1/closed", "/v1/stats", "/metrics"] {
        answers += &server.keyed(ADMIN, "GET", path, "").body;
    }
    let head = request(server.websocket, "GET", &format!("/ws?token={bad}"), &[], "");
    answers += &head.body;
    server.logged(&["a client was not admitted", "token_signature"]);
    server.logged(&["a client was not admitted by its first frame"]);
    let all = answers + &server.log();
    for part in good.split('.').chain(bad.split('.')).chain([SECRET, ADMIN]) {
        assert!(!all.contains(part), "{part} is in {all}");
    }
}
