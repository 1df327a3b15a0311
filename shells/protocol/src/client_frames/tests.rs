//! What clients write is understood, and what is wrong in it is named.

use super::*;

fn code(text: &str) -> (&'static str, Option<&str>) {
    let wrong = parse(text).unwrap_err();
    (wrong.code, wrong.request)
}

#[test]
fn asks() {
    let room = RoomId::new("r\"1").unwrap();
    let frame = parse(r#" {"id": "x\n", "room":"r\u00221", "type":"join", "more":[{}]} "#).unwrap();
    assert_eq!(frame.request, Some(r#""x\n""#));
    assert_eq!(frame.ask, Ask::Join { room: room.clone(), since: None });
    let frame = parse(r#"{"type":"leave","room":"r\"1","id":-1.5e3}"#).unwrap();
    assert_eq!((frame.request, frame.ask), (Some("-1.5e3"), Ask::Leave { room: room.clone() }));
    let frame =
        parse(r#"{"type":"join","room":"r\"1","epoch":"ff","offset":3,"id":null}"#).unwrap();
    let since = Some(Position { epoch: 255, offset: 3 });
    assert_eq!((frame.request, frame.ask), (None, Ask::Join { room, since }));
    assert_eq!(parse(r#"{"type":"ping"}"#).unwrap().ask, Ask::Ping);
    let ack = |text| parse(text).unwrap().ask;
    let session = ack(r#"{"type":"ack","stream":"session","offset":7}"#);
    assert_eq!(session, Ask::Ack { stream: Stream::Session, offset: 7 });
    let stream = Stream::Thread(ThreadId::new("a/b").unwrap());
    let of_thread = ack(r#"{"type":"ack","stream":"session/a/b","offset":8}"#);
    assert_eq!(of_thread, Ask::Ack { stream, offset: 8 });
    let stream = Stream::Room(RoomId::new("a/b").unwrap());
    let ack = ack(r#"{"type":"ack","stream":"room/a/b","offset":0}"#);
    assert_eq!(ack, Ask::Ack { stream, offset: 0 });
    let token = || Secret::new("a.b.c");
    let refresh = parse(r#"{"type":"refresh","token":"a.b.c"}"#).unwrap().ask;
    assert_eq!(refresh, Ask::Refresh { token: token() });
    let auth = parse(r#"{"type":"auth","token":"a.b.c"}"#).unwrap().ask;
    let bare = Auth { token: token(), thread: None, start: Start::OpenRuns, previous: None };
    assert_eq!(auth, Ask::Auth(bare));
    let text = r#"{"type":"auth","token":"a.b.c","thread":"t","epoch":"ff","offset":3,
        "previous":"000000000000000b.0000000700000002"}"#;
    let whole = Auth {
        token: token(),
        thread: ThreadId::new("t").ok(),
        start: Start::After(Position { epoch: 255, offset: 3 }),
        previous: parse_connection("000000000000000b.0000000700000002"),
    };
    let frame = parse(text).unwrap();
    assert!(!format!("{frame:?}").contains("a.b.c"));
    assert_eq!(frame.ask, Ask::Auth(whole));
}

#[test]
fn a_session_is_followed_from_one_place() {
    let thread = || ThreadId::new("t").unwrap();
    let follow = |start| Ask::Follow { thread: thread(), start };
    for (fields, start) in [
        ("", Start::OpenRuns),
        (r#","recent":false,"run":null"#, Start::OpenRuns),
        (r#","recent":true"#, Start::Recent),
        (r#","run":"r""#, Start::Run(RunId::new("r").unwrap())),
        (r#","epoch":"ff","offset":3"#, Start::After(Position { epoch: 255, offset: 3 })),
    ] {
        let text = format!(r#"{{"type":"follow","thread":"t"{fields}}}"#);
        assert_eq!(parse(&text).unwrap().ask, follow(start), "{text}");
    }
    for (fields, expected) in [
        (r#","recent":1"#, "bad_frame"),
        (r#","run":7"#, "bad_frame"),
        (r#","run":"""#, "bad_id"),
        (r#","epoch":"ff""#, "bad_position"),
        (r#","recent":true,"run":"r""#, "bad_position"),
        (r#","recent":true,"epoch":"ff","offset":3"#, "bad_position"),
    ] {
        let text = format!(r#"{{"type":"follow","thread":"t"{fields}}}"#);
        assert_eq!(code(&text), (expected, None), "{text}");
        let auth = format!(r#"{{"type":"auth","token":"t"{fields}}}"#);
        assert_eq!(code(&auth), (expected, None), "{auth}");
    }
    assert_eq!(code(r#"{"type":"follow","id":1}"#), ("bad_frame", Some("1")));
    assert_eq!(code(r#"{"type":"unfollow","thread":null}"#), ("bad_frame", None));
    let unfollow = parse(r#"{"type":"unfollow","thread":"t"}"#).unwrap().ask;
    assert_eq!(unfollow, Ask::Unfollow { thread: thread() });
}

#[test]
fn what_is_wrong_names_the_request() {
    for (text, expected, request) in [
        ("", "bad_json", None),
        (" [\"ping\",null,null,null,null]", "bad_json", None),
        ("{\"type\":\"ping\"} x", "bad_json", None),
        ("{\"type\":\"ping\",\"type\":\"ping\"}", "bad_json", None),
        ("null", "bad_json", None),
        ("{}", "bad_frame", None),
        ("{\"type\":1,\"id\":2}", "bad_frame", Some("2")),
        ("{\"type\":\"ping\",\"id\":{}}", "bad_frame", None),
        ("{\"type\":\"ping\",\"id\":true}", "bad_frame", None),
        ("{\"type\":\"dance\",\"id\":2}", "unknown_type", Some("2")),
        ("{\"type\":\"message\",\"id\":\"a\",\"data\":1}", "not_available", Some("\"a\"")),
        ("null", "bad_json", None),
        (r#"{"type":"ping","id":"\ud83d"}"#, "bad_frame", None),
        ("{\"type\":\"ack\"}", "bad_frame", None),
        ("{\"type\":\"ack\",\"stream\":\"rooms/r\",\"offset\":1}", "bad_frame", None),
        ("{\"type\":\"ack\",\"stream\":\"room/\",\"offset\":1}", "bad_id", None),
        ("{\"type\":\"ack\",\"stream\":\"session\"}", "bad_position", None),
        ("{\"type\":\"ack\",\"stream\":\"session\",\"offset\":1.5}", "bad_position", None),
        ("{\"type\":\"auth\"}", "bad_frame", None),
        ("{\"type\":\"auth\",\"token\":5}", "bad_frame", None),
        ("{\"type\":\"auth\",\"token\":\"t\",\"thread\":5}", "bad_frame", None),
        ("{\"type\":\"auth\",\"token\":\"t\",\"thread\":\"\"}", "bad_id", None),
        ("{\"type\":\"auth\",\"token\":\"t\",\"offset\":1}", "bad_position", None),
        ("{\"type\":\"auth\",\"token\":\"t\",\"previous\":5}", "bad_frame", None),
        ("{\"type\":\"refresh\",\"id\":1}", "bad_frame", Some("1")),
        ("{\"type\":\"join\"}", "bad_frame", None),
        ("{\"type\":\"join\",\"room\":5}", "bad_frame", None),
        ("{\"type\":\"join\",\"room\":\"null\",\"id\":0}", "bad_id", Some("0")),
        ("{\"type\":\"join\",\"room\":\"a\",\"epoch\":\"1\"}", "bad_position", None),
        ("{\"type\":\"join\",\"room\":\"a\",\"epoch\":1,\"offset\":1}", "bad_position", None),
        ("{\"type\":\"join\",\"room\":\"a\",\"epoch\":\"1\",\"offset\":-1}", "bad_position", None),
    ] {
        assert_eq!(code(text), (expected, request), "{text}");
    }
    let long = format!("{{\"type\":\"ping\",\"id\":\"{}\"}}", "x".repeat(300));
    assert_eq!(code(&long), ("bad_frame", None));
    let deep = "[".repeat(10_000);
    assert_eq!(code(&deep).0, "bad_json");
}

#[test]
fn a_foreign_type_is_not_echoed_at_length() {
    let text = format!("{{\"type\":\"{}\"}}", "z".repeat(60_000));
    assert!(parse(&text).unwrap_err().message.len() < 200);
}

#[test]
fn a_text_that_is_no_frame_is_not_echoed_at_length() {
    let wrong = format!("\"{}\"", "ż".repeat(30_000));
    let message = parse(&wrong).unwrap_err().message;
    assert!(message.len() < 500 && message.ends_with(": this is something else"), "{message}");
}
