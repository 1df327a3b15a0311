//! What clients see: frames, isolation, rooms, errors and close codes.

use serde_json::{Value, json};

use crate::common::{Client, Server, raw, request};

#[test]
fn the_welcome_says_who_and_on_what_terms() {
    let server = Server::with(&["heartbeat.interval=7s", "limits.message_bytes=1KiB"]);
    let client = server.connect("user=J%C3%B6rg+%22M.%22&thread=a%2Fb");
    let welcome = &client.welcome;
    assert_eq!(welcome["user"], "Jörg \"M.\"");
    assert_eq!(welcome["thread"], "a/b");
    assert_eq!(welcome["session"]["offset"], 0);
    assert!(welcome["session"]["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));
    assert_eq!(welcome["recovered"], "fresh");
    assert_eq!(welcome["runs"], json!([]));
    assert_eq!(welcome["ping_interval_ms"], 7_000);
    assert_eq!(welcome["max_message_bytes"], 1024);
    assert!(welcome["reconnect_ms"][0].as_u64() < welcome["reconnect_ms"][1].as_u64());
    assert_eq!(server.connect("user=b").welcome["thread"], "main");
}

#[test]
fn users_and_threads_see_only_what_is_theirs() {
    let server = Server::start();
    let mut alice = server.connect("user=alice");
    let mut tab = server.connect("user=alice");
    let mut work = server.connect("user=alice&thread=work");
    let mut bob = server.connect("user=bob");

    let answer = server.publish(r#"{"user":"alice"}"#, "1");
    assert_eq!(
        (&answer["sent"], &answer["deferred"], &answer["stored"]),
        (&json!(3), &json!(0), &json!(2))
    );
    assert_eq!(answer["positions"].as_array().unwrap().len(), 2);
    assert_eq!(answer["positions"][0]["stream"], "session");
    assert_eq!(answer["positions"][0]["offset"], 1);
    let answer = server.publish(r#"{"user":"alice","thread":"work"}"#, "2");
    assert_eq!((&answer["sent"], &answer["stored"]), (&json!(1), &json!(1)));
    assert_eq!(answer["positions"][0]["epoch"], work.welcome["session"]["epoch"]);
    assert_eq!(answer["positions"][0]["offset"], 2);
    server.publish(r#"{"user":"bob"}"#, "3");
    server.publish(&format!("{{\"connection\":{:?}}}", tab.connection()), "4");
    server.publish(r#"{"user":"carol"}"#, "5");
    server.publish(r#"{"everyone":true}"#, "6");

    assert_eq!(alice.data(), [json!(1), json!(6)]);
    // What is for one connection may overtake what is in a stream, if one turn has both.
    let mut seen = tab.data();
    seen.sort_by_key(Value::as_u64);
    assert_eq!(seen, [json!(1), json!(4), json!(6)]);
    assert_eq!(work.data(), [json!(1), json!(2), json!(6)]);
    assert_eq!(bob.data(), [json!(3), json!(6)]);
}

#[test]
fn events_name_stream_and_offset_and_carry_data_as_it_was() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let room = "we\"ird\\room/ü 🦀";
    let join = json!({"type": "join", "room": room, "id": "j"}).to_string();
    let joined = client.ask(&join);
    assert_eq!((&joined["type"], &joined["room"]), (&json!("joined"), &json!(room)));
    assert_eq!((&joined["offset"], &joined["recovered"]), (&json!(0), &json!("fresh")));
    assert_eq!(joined["request"], "j");

    let data = r#"{ "large": 12345678901234567890123, "e": 1E2, "s": "\u0000\"\\", "n": null }"#;
    let answer = server.publish(&json!({"room": room}).to_string(), data);
    assert_eq!(answer["positions"][0]["stream"], format!("room/{room}"));
    assert_eq!(answer["positions"][0]["epoch"], joined["epoch"]);
    server.publish(r#"{"user":"a"}"#, "null");
    server.publish(&format!("{{\"connection\":{:?}}}", client.connection()), "[]");
    server.publish(r#"{"everyone":true}"#, "\"all\"");

    let text = client.read().into_text().unwrap();
    let expected = format!(
        "{{\"type\":\"event\",\"stream\":{},\"offset\":1,\"data\":{data}}}",
        json!(format!("room/{room}"))
    );
    assert_eq!(text.as_str(), expected);
    let rest = client.drain();
    assert_eq!(
        rest,
        [
            json!({"type": "event", "stream": "session", "offset": 1, "data": null}),
            json!({"type": "event", "data": []}),
            json!({"type": "event", "data": "all"}),
        ]
    );
}

#[test]
fn rooms_cross_users_and_end_with_leaving() {
    let server = Server::start();
    let mut alice = server.connect("user=alice");
    let mut bob = server.connect("user=bob");
    let mut carol = server.connect("user=carol");
    alice.ask(r#"{"type":"join","room":"lobby"}"#);
    bob.ask(r#"{"type":"join","room":"lobby"}"#);
    assert_eq!(server.publish(r#"{"room":"lobby"}"#, "1")["sent"], 2);
    assert_eq!(alice.data(), [json!(1)]);
    let left = alice.ask(r#"{"type":"leave","room":"lobby","id":-3}"#);
    assert_eq!(left, json!({"type": "left", "room": "lobby", "request": -3}));
    assert_eq!(server.publish(r#"{"room":"lobby"}"#, "2")["sent"], 1);
    assert_eq!(alice.data(), [] as [Value; 0]);
    assert_eq!(bob.data(), [json!(1), json!(2)]);
    assert_eq!(carol.data(), [] as [Value; 0]);

    // Joining again changes nothing, and leaving what one is not in is no error.
    let again = bob.ask(r#"{"type":"join","room":"lobby"}"#);
    assert_eq!((&again["type"], &again["offset"]), (&json!("joined"), &json!(2)));
    assert_eq!(alice.ask(r#"{"type":"leave","room":"lobby"}"#)["type"], "left");
}

#[test]
fn the_back_end_puts_connections_into_rooms() {
    let server = Server::start();
    let mut one = server.connect("user=a");
    let mut two = server.connect("user=a&thread=t");
    let mut other = server.connect("user=b");
    let body = format!("{{\"connection\":{:?},\"room\":\"r\"}}", one.connection());
    assert_eq!(
        server.post("/v1/join", &body).json(),
        json!({"joined": 1, "already": 0, "refused": 0})
    );
    let answer = server.post("/v1/join", r#"{"user":"a","room":"r"}"#);
    assert_eq!(answer.json(), json!({"joined": 1, "already": 1, "refused": 0}));
    for client in [&mut one, &mut two] {
        let frames = client.drain();
        assert_eq!(frames.len(), 1, "one `joined` each: {frames:?}");
        assert_eq!((&frames[0]["type"], &frames[0]["room"]), (&json!("joined"), &json!("r")));
        assert!(frames[0]["epoch"].is_string() && frames[0].get("request").is_none());
    }
    assert_eq!(server.publish(r#"{"room":"r"}"#, "1")["sent"], 2);
    let answer = server.post("/v1/leave", &body);
    assert_eq!(answer.json(), json!({"left": 1, "absent": 0}));
    let answer = server.post("/v1/leave", r#"{"user":"a","room":"r"}"#);
    assert_eq!(answer.json(), json!({"left": 1, "absent": 1}));
    for client in [&mut one, &mut two] {
        assert_eq!(client.drain()[1..], [json!({"type": "left", "room": "r"})]);
    }
    let answer = server.post("/v1/join", r#"{"user":"nobody","room":"r"}"#);
    assert_eq!(answer.json(), json!({"joined": 0, "already": 0, "refused": 0}));
    assert!(other.drain().is_empty());
}

#[test]
fn mistakes_are_answered_and_never_disconnect() {
    let server = Server::with(&["limits.rooms_per_connection=1"]);
    let mut client = server.connect("user=a");
    for (text, code, request) in [
        ("", "bad_json", Value::Null),
        ("{", "bad_json", Value::Null),
        ("[1,2]", "bad_json", Value::Null),
        ("{}", "bad_frame", Value::Null),
        (r#"{"type":"dance","id":"x"}"#, "unknown_type", json!("x")),
        (r#"{"type":"join","id":1.5}"#, "bad_frame", json!(1.5)),
        (r#"{"type":"join","room":"undefined","id":2}"#, "bad_id", json!(2)),
        (r#"{"type":"join","room":"r","epoch":"x"}"#, "bad_position", Value::Null),
        (r#"{"type":"message","data":{},"id":3}"#, "not_available", json!(3)),
        (r#"{"type":"ack","stream":"session"}"#, "bad_position", Value::Null),
        (r#"{"type":"ack","stream":"room/r","offset":1,"id":4}"#, "ack_refused", json!(4)),
        (r#"{"type":"auth","token":"t"}"#, "already_authenticated", Value::Null),
        (r#"{"type":"refresh","token":"t"}"#, "no_key", Value::Null),
        (r#"{"type":"join","room":"user:b","id":5}"#, "room_forbidden", json!(5)),
    ] {
        let error = client.ask(text);
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{text}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
        assert_eq!(error["request"], request, "{text}");
    }
    client.socket.send(tungstenite::Message::binary(vec![0xff; 8])).unwrap();
    assert_eq!(client.next()["code"], "binary_frame");
    client.ask(r#"{"type":"join","room":"first"}"#);
    let refused = client.ask(r#"{"type":"join","room":"second","id":"s"}"#);
    assert_eq!(
        (&refused["code"], &refused["request"]),
        (&json!("rooms_per_connection"), &json!("s"))
    );
    assert!(refused["message"].as_str().unwrap().contains("rooms_per_connection"), "{refused}");
    assert_eq!(
        client.ask(r#"{"type":"ping","id":"p","more":[]}"#),
        json!({"type": "ok", "request": "p"})
    );
    assert_eq!(client.ask(r#"{"type":"ping"}"#), json!({"type": "ok"}));
}

#[test]
fn upgrades_are_refused_with_a_reason() {
    let server = Server::with(&["limits.connections_per_user=1", "limits.over_cap=refuse"]);
    for (query, code) in [
        ("", "no_user"),
        ("user=", "bad_id"),
        ("user=NULL", "bad_id"),
        ("user=a%0ab", "bad_id"),
        ("user=a&thread=null", "bad_id"),
        ("user=a&user=b", "bad_query"),
        ("user=a&epoch=1", "bad_position"),
        ("user=a&epoch=z&offset=x", "bad_position"),
        ("user=a&epoch=1&offset=-1", "bad_position"),
    ] {
        let (status, body) = server.refused(query);
        assert_eq!((status, &body["error"]["code"]), (400, &json!(code)), "{query}: {body}");
    }
    assert_eq!(server.refused("user=a&token=t").0, 401);
    for (name, value, status) in [
        ("host", "example.com", 403),
        ("host", "127.0.0.1.example.com", 403),
        ("origin", "https://example.com", 403),
        ("origin", "null", 403),
        ("authorization", "Bearer x", 401),
    ] {
        let refused = Client::with_header(server.websocket, "user=a", name, value).map(|_| ());
        let (actual, body) = refused.expect_err(value);
        assert_eq!(actual, status, "{name}: {value}: {body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"]["message"].is_string());
    }
    // A value that is no text is no reason to look away.
    for line in [&b"host: \xff"[..], b"origin: http://\xff", b"authorization: \xff"] {
        let head = b"GET /ws?user=a HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
            upgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let answer = raw(server.websocket, &[head, line, b"\r\n\r\n"].concat());
        assert!(matches!(answer.status, 401 | 403), "{}: {}", answer.status, answer.body);
    }
    for (user, origin) in
        ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"].into_iter().enumerate()
    {
        let query = format!("user={user}");
        let accepted = Client::with_header(server.websocket, &query, "origin", origin).map(|_| ());
        assert_eq!(accepted, Ok(()), "{origin}");
    }
    let _held = server.connect("user=a");
    let (status, body) = server.refused("user=a");
    assert_eq!(status, 429, "{body}");
}

#[test]
fn the_websocket_port_speaks_http_to_everyone_else() {
    let server = Server::start();
    let address = server.websocket;
    assert_eq!(request(address, "GET", "/", &[], "").status, 404);
    assert_eq!(request(address, "POST", "/ws", &[], "").status, 405);
    let plain = request(address, "GET", "/ws?user=a", &[], "");
    assert_eq!(plain.status, 426);
    assert!(plain.head.contains("content-length:") && plain.head.contains("connection: close"));
    assert_eq!(raw(address, b"nonsense\r\n\r\n").status, 400);
}

#[test]
fn closes_tell_why() {
    let server = Server::with(&["limits.message_bytes=100"]);
    let mut gone = server.connect("user=gone");
    let mut kept = server.connect("user=kept");
    let answer = server.post("/v1/close", r#"{"to":{"user":"gone"},"reason":"line\nbreak"}"#);
    assert_eq!(answer.json(), json!({"closing": 1}));
    assert_eq!(gone.closed(), 4503);
    assert!(kept.drain().is_empty());
    kept.send(&format!("{{\"type\":\"ping\",\"pad\":\"{}\"}}", "x".repeat(200)));
    assert_eq!(kept.closed(), 1009);
    drop((gone, kept));
    let stats = server.until(|stats| stats["connections"]["live"] == 0);
    assert_eq!(stats["connections"]["closed"]["application"], 1);
    assert_eq!(stats["connections"]["closed"]["message_too_big"], 1);
    server.logged(&["AUDIT", "/v1/close", "line\\nbreak"]);
}
