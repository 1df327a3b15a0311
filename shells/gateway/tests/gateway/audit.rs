//! The audit lines of operating calls, whatever becomes of the call, its client and the log.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::common::{File, PATIENCE, Server, headcount};

const KEY: &str = "operator-key-0123456789";

#[test]
fn every_operating_call_has_a_line_with_who_what_whom_and_the_outcome() {
    let file = File::new("");
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    // Whatever the log is to have, the audit is whole.
    command.args(["--set", "log.level=error", "--config"]).arg(file.path());
    let server = Server::run({
        command.env("HEADCOUNT_AUTH_ADMIN_KEYS", format!("on-call read,operate {KEY}"));
        command
    });
    let _clients = [server.connect("user=alice"), server.connect("user=alice&thread=work")];
    for (method, path, body, parts) in [
        (
            "POST",
            "/v1/close",
            r#"{"to":{"user":"alice","thread":"work"},"reason":"a\nb"}"#,
            &["status=200", r#"user="alice" thread="work" reason="a\nb" closing=1"#][..],
        ),
        ("POST", "/v1/close", r#"{"to":{"everyone":true}}"#, &[r#"everyone="true""#, "closing=1"]),
        ("POST", "/v1/close", "{}", &["status=400 code=bad_request"]),
        ("POST", "/v1/revoke", r#"{"user":"alice"}"#, &[r#"user="alice" closing=0 sessions="#]),
        ("POST", "/v1/drain", r#"{"deadline_ms":60000}"#, &["deadline_ms=60000 connections=0"]),
        ("DELETE", "/v1/drain", "", &["cancelled=true connections=0"]),
        ("POST", "/v1/check", "", &["status=200"]),
        ("POST", "/v1/reload?dry_run=1", "", &["dry_run=true changed=\"\" closes=0 sessions=0"]),
        ("POST", "/v1/reload?dry=1", "", &["status=400 code=bad_query"]),
    ] {
        server.keyed(KEY, method, path, body);
        let call = format!("call=\"{method} {}\"", path.split('?').next().unwrap());
        let who = ["AUDIT", &call, "key=\"on-call\"", "peer=127.0.0.1:"];
        let line = server.logged(&[&who[..], parts].concat());
        // When: as RFC 3339 has it, with milliseconds.
        assert!(line.as_bytes()[10] == b'T' && line[..24].ends_with('Z'), "{line}");
    }
    server.signal("HUP");
    server.logged(&["AUDIT", "call=\"SIGHUP\" done changed=\"\""]);
    file.write("[limits]\nusers = 0\n");
    server.signal("HUP");
    server.logged(&["AUDIT", "call=\"SIGHUP\" code=bad_config"]);
    // What changes nothing has none, nor has a call that was refused for its key.
    server.keyed(KEY, "GET", "/v1/stats", "");
    server.keyed(KEY, "POST", "/v1/publish", "{}");
    server.keyed("wrong-key-0123456789", "POST", "/v1/check", "");
    assert_eq!(server.log().matches("AUDIT").count(), 11, "{}", server.log());
    assert!(!server.log().contains(KEY));
}

#[test]
fn a_client_that_hangs_up_does_not_take_its_line_with_it() {
    let server = Server::start();
    let _client = server.connect("user=alice");
    let body = r#"{"to":{"user":"alice"}}"#;
    let request = format!(
        "POST /v1/close HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.admin).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
    }
    let stats = server.until(|stats| stats["connections"]["live"] == 0);
    assert_eq!(stats["connections"]["closed"]["application"], 1);
    server.logged(&["AUDIT", "user=\"alice\"", "closing=1"]);
}

/// Bad keys until nothing more goes into the log: a line each.
fn fill_the_log(server: &Server) {
    let request = "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let mut stream = TcpStream::connect(server.admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let lost = || {
        let stats = server.keyed(KEY, "GET", "/v1/stats", "").json();
        stats["log_lines_lost"].as_u64().unwrap()
    };
    while lost() == 0 {
        stream.write_all(request.as_bytes()).unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 65_536]);
        while text.matches("\"unauthorized\"").count() < 100 {
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the connection has ended");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }
}

#[test]
fn no_line_is_dropped_while_the_log_is_not_read_and_nothing_else_waits_for_it() {
    let setting = format!("auth.admin_key={KEY}");
    let mut server = Server::unread(&["log.level=debug", &setting]);
    let mut client = server.connect("user=alice");
    fill_the_log(&server);
    // As many calls as there are places, and then one for which there is none.
    let close = |number: u32| {
        let body = format!("{{\"to\":{{\"user\":\"nobody-{number}\"}}}}");
        server.keyed(KEY, "POST", "/v1/close", &body)
    };
    let mut done = 0;
    let refused = loop {
        let answer = close(done);
        if answer.status != 200 {
            break answer;
        }
        done += 1;
        assert!(done <= 2_000, "the lines that wait are bounded");
    };
    assert!(done >= 1_000, "{done}");
    assert_eq!((refused.status, refused.code().as_str()), (503, "audit_full"));
    assert!(refused.head.contains("retry-after:"), "{refused:?}");
    let revoked = server.keyed(KEY, "POST", "/v1/revoke", r#"{"user":"alice"}"#);
    assert_eq!(revoked.code(), "audit_full");
    // Nothing of it was done, and no other call and no client waits for the log.
    let publish = r#"{"to":{"user":"alice"},"data":1}"#;
    assert_eq!(server.keyed(KEY, "POST", "/v1/publish", publish).status, 200);
    assert_eq!(client.data(), [1]);
    assert_eq!(server.get("/livez").status, 200);
    // When the log is read again, every line is in it, once, and calls are served again.
    let lines = BufReader::new(server.take_unread()).lines().map_while(Result::ok);
    let mut of_closes = lines.filter(|line| line.contains("AUDIT call=\"POST /v1/close\""));
    for number in 0..done {
        let line = of_closes.next().unwrap();
        assert!(line.contains(&format!("user=\"nobody-{number}\"")), "{number}: {line}");
    }
    let reader =
        std::thread::spawn(move || of_closes.position(|line| line.contains("user=\"alice\"")));
    assert_eq!(server.keyed(KEY, "POST", "/v1/close", r#"{"to":{"user":"alice"}}"#).status, 200);
    assert_eq!(reader.join().unwrap(), Some(0), "none twice");
}
