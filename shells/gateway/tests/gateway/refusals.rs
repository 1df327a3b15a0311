//! Clients that are not admitted: what they are told, and who else sees it.

use std::net::TcpStream;

use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::{HandshakeError, Message};

use crate::common::{PATIENCE, Server};

/// A browser's page: it offers the subprotocol. How it was closed, or the status of an answer that
/// is no upgrade.
fn browser(
    server: &Server,
    target: &str,
    header: Option<(&'static str, &str)>,
) -> Result<CloseFrame, u16> {
    let url = format!("ws://{}/{target}", server.websocket);
    let mut request = url.into_client_request().unwrap();
    let offer = HeaderValue::from_static("headcount.v1");
    request.headers_mut().insert("sec-websocket-protocol", offer);
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(server.websocket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match tungstenite::client(request, stream) {
        Ok((mut socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "headcount.v1");
            let Message::Close(Some(close)) = socket.read().unwrap() else {
                panic!("the first frame is the last")
            };
            // The handshake ends in good order.
            while socket.read().is_ok() {}
            Ok(close)
        }
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(other) => panic!("{other}"),
    }
}

fn closed(close: Result<CloseFrame, u16>) -> (u16, String) {
    let close = close.expect("an upgrade");
    (close.code.into(), close.reason.to_string())
}

#[test]
fn a_browser_reads_why_it_was_refused() {
    let server = Server::with(&["limits.connections_per_user=1", "limits.over_cap=refuse"]);
    let said = |target: &str| closed(browser(&server, target, None));
    assert_eq!(said("ws?user=null"), (4501, "bad_id".to_owned()));
    assert_eq!(said("ws?user=a&token=secret"), (4500, "no_key".to_owned()));
    let stranger = browser(&server, "ws?user=a", Some(("origin", "https://example.org")));
    assert_eq!(closed(stranger), (4506, "origin".to_owned()));
    let first = server.connect("user=a");
    let (code, reason) = said("ws?user=a");
    assert_eq!(code, 1013);
    assert!(reason.starts_with("connections_per_user retry_after="), "{reason}");
    drop(first);
    // What asks for nothing that could be granted is answered in HTTP in any case.
    assert_eq!(browser(&server, "other?user=a", None), Err(404));
    // So is a client that does not offer the subprotocol.
    assert_eq!(server.refused("user=null").0, 400);
    assert_eq!(server.refused("user=a&token=secret").0, 401);

    let full = Server::with(&["limits.connect_rate=1", "limits.connect_burst=1"]);
    let _first = full.connect("user=a");
    let close = closed(browser(&full, "ws?user=b", None));
    assert_eq!(close, (1013, "connect_rate retry_after=1".to_owned()));
}

#[test]
fn a_browser_that_comes_while_the_server_drains_is_told_to_come_back() {
    let server = Server::with(&["drain.grace=2s", "drain.deadline=4s"]);
    let _client = server.connect("user=a");
    assert_eq!(server.post("/v1/drain", "{}").status, 200);
    let (code, reason) = closed(browser(&server, "ws?user=b", None));
    assert_eq!(code, 1012);
    assert!(reason.starts_with("draining retry_after="), "{reason}");
}

#[test]
fn the_log_has_a_line_for_each_refusal_if_it_is_asked_for() {
    let server = Server::with(&["log.level=debug"]);
    assert_eq!(server.refused("user=null").0, 400);
    let line = server.logged(&["DEBUG", "a client was not admitted"]);
    assert!(
        line.contains("peer=127.0.0.1:") && line.contains("status=400 code=\"bad_id\""),
        "{line}"
    );
    let quiet = Server::with(&["log.level=warn"]);
    assert_eq!(quiet.refused("user=null").0, 400);
    quiet.signal("TERM");
    let (_, log) = quiet.wait();
    assert_eq!(log, "", "nothing of it is a warning");
}

#[test]
fn each_refusal_is_counted_by_its_reason_and_the_log_says_how_many() {
    let server = Server::with(&[
        "limits.connections_per_user=1",
        "limits.over_cap=refuse",
        "session.head_deadline=200ms",
    ]);
    let _first = server.connect("user=a");
    for _ in 0..3 {
        assert_eq!(server.refused("user=a").0, 429);
    }
    assert_eq!(server.refused("user=null").0, 400);
    assert_eq!(closed(browser(&server, "ws?user=null", None)).0, 4501);
    assert_eq!(server.refused("user=b&token=secret").0, 401);
    assert_eq!(
        browser(&server, "ws?user=b", Some(("host", "example.org"))).unwrap().reason,
        "host"
    );
    assert_eq!(crate::common::raw(server.websocket, b"nonsense\r\n\r\n").status, 400);
    assert_eq!(crate::common::raw(server.websocket, b"GET / HTTP/1.1\r\n\r\n").status, 404);
    assert_eq!(crate::common::raw(server.websocket, b"GET /ws HTTP/1.1\r\n").status, 408);
    let page = server.get("/metrics").body;
    for (reason, count) in [
        ("connections_per_user", 3),
        ("bad_id", 2),
        ("no_key", 1),
        ("host", 1),
        ("malformed_request", 1),
        ("not_found", 1),
        ("head_timeout", 1),
    ] {
        let line = format!("headcount_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    assert!(page.contains("# TYPE headcount_refused_total counter\n"));
    // All within a second or two: what one summary does not say, the next does.
    let line = server.logged(&["clients were not admitted", "connections_per_user="]);
    assert!(line.contains("INFO") && line.contains("refused="), "{line}");
    server.logged(&["clients were not admitted", "head_timeout=1"]);
    let summaries = server.log().matches("clients were not admitted").count();
    assert!((1..=10).contains(&summaries), "{summaries} lines for 10 refusals");
}
