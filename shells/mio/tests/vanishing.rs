//! Peers that go at any moment, in each of the ways in which a socket can end.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use headcount::CloseReason;

/// How a peer goes.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It says that it will send no more, and goes when the server has nothing more to say.
    HalfClose,
    /// It closes its socket, though there may be something in it that it has not read: then its
    /// kernel answers what comes with a reset.
    HangUp,
    /// Its kernel sends a reset at once.
    Reset,
}

const ENDS: [End; 3] = [End::HalfClose, End::HangUp, End::Reset];

/// Where a peer stands when it goes: a client in that state, and what its end may be called. A reset
/// may overtake what was sent before it, and so may be all that is seen.
struct State {
    name: &'static str,
    enter: fn(&TestServer) -> Client,
    reasons: &'static [CloseReason],
}

fn admitted(server: &TestServer) -> Client {
    Client::admitted(server.address, "mallory")
}

fn having_sent(server: &TestServer, bytes: &[u8]) -> Client {
    let mut client = admitted(server);
    client.send(bytes);
    client
}

fn bare(address: SocketAddr, request: &str) -> Client {
    let mut client = Client::bare(address);
    client.send(request.as_bytes());
    client
}

const GONE: &[CloseReason] = &[CloseReason::PeerGone];

const STATES: [State; 14] = [
    State {
        name: "connected",
        enter: |server| {
            let client = Client::bare(server.address);
            server.until("it is there", |stats| stats.pending == 1);
            client
        },
        reasons: GONE,
    },
    State {
        name: "within its request head",
        enter: |server| bare(server.address, &upgrade("?user=mallory")[..60]),
        reasons: GONE,
    },
    State {
        name: "after its request, without a look at the answer",
        enter: |server| bare(server.address, &upgrade("?user=mallory")),
        reasons: GONE,
    },
    State {
        name: "refused in HTTP, without a look at the answer",
        enter: |server| bare(server.address, "GET / HTTP/1.1\r\n\r\n"),
        reasons: &[CloseReason::BadRequest, CloseReason::PeerGone],
    },
    State {
        name: "upgraded, and nobody yet",
        enter: |server| Client::upgraded(server.address, ""),
        reasons: GONE,
    },
    State { name: "idle", enter: admitted, reasons: GONE },
    State {
        name: "within the header of a frame",
        enter: |server| having_sent(server, &frame(TEXT, b"unfinished")[..3]),
        reasons: GONE,
    },
    State {
        name: "within the payload of a frame",
        enter: |server| having_sent(server, &frame(BINARY, &[7; 60_000])[..30_000]),
        reasons: GONE,
    },
    State {
        name: "between the parts of a message",
        enter: |server| having_sent(server, &frame(0x01, b"once upon a time")),
        reasons: GONE,
    },
    State {
        name: "within a ping between the parts of a message",
        enter: |server| {
            having_sent(server, &[&frame(0x01, b"once")[..], &frame(PING, b"?")[..4]].concat())
        },
        reasons: GONE,
    },
    State {
        name: "asking for more than it reads",
        enter: |server| {
            let mut client = Client::narrow_admitted(server.address, "mallory");
            client.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let message = frame(BINARY, &[7; 50_000]);
            while std::io::Write::write_all(&mut client.stream, &message).is_ok() {}
            client
        },
        reasons: GONE,
    },
    State {
        name: "having closed, without a look at the answer",
        enter: |server| having_sent(server, &frame(CLOSE, &close_payload(1000))),
        reasons: &[CloseReason::PeerClosed, CloseReason::PeerGone],
    },
    State {
        name: "being closed, without an answer",
        enter: |server| {
            let mut client = having_sent(server, &frame(TEXT, b"close me"));
            client.expect_close(4503);
            client
        },
        reasons: &[CloseReason::Application],
    },
    State {
        name: "failed, without a look at why",
        enter: |server| having_sent(server, &[0xff; 20]),
        reasons: &[CloseReason::ProtocolError, CloseReason::PeerGone],
    },
];

/// Lets a peer go. The server's own end follows, whatever it had to say.
fn go(mut client: Client, end: End) {
    match end {
        End::HalfClose => {
            client.shutdown_write();
            client.expect_dropped();
        }
        End::HangUp => drop(client),
        End::Reset => client.reset(),
    }
}

#[test]
fn whoever_goes_at_any_moment_and_in_any_way_is_cleaned_up_once() {
    // No deadline helps: each is longer than the test has patience for.
    let hour = Duration::from_secs(3_600);
    let deadlines = config().head_deadline(hour).auth_deadline(hour).close_handshake(hour);
    let server = TestServer::start(deadlines.slow_deadline(hour).ping_interval(Duration::ZERO));
    let mut neighbour = Client::admitted(server.address, "neighbour");
    for state in STATES {
        for end in ENDS {
            go((state.enter)(&server), end);
            let reason = server.next_gone();
            assert!(state.reasons.contains(&reason), "{end:?} {}: {reason:?}", state.name);
            neighbour.say(state.name);
            assert_eq!(neighbour.text(), state.name);
            let stats = server.stats();
            assert_eq!((stats.live, stats.pending), (1, 0), "{end:?} {}", state.name);
        }
    }
    // One each, and none that comes late.
    let told = server.gone.try_iter().filter(|gone| matches!(gone.what, headcount::Ended::Conn(_)));
    assert_eq!(told.count(), 0);
    let stats = server.stats();
    let ends = (STATES.len() * ENDS.len()) as u64;
    assert_eq!(stats.closed_total() + stats.abandoned, ends);
    drop(neighbour);
    server.until_empty();
}
