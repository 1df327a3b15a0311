//! What whoever starts the process sees: two lines, one-line errors, exit codes, signals.

mod common;

use std::net::TcpListener;
use std::process::{Output, Stdio};

use common::{Server, headcount};

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        headcount().args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(stdout.is_empty(), "nothing on stdout: {}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Exit code 2 and one line that has all of these in it.
fn refuses(arguments: &[&str], parts: &[&str]) {
    let (code, stderr) = run(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
}

#[test]
fn a_signal_closes_everyone_and_ends_well() {
    for name in ["TERM", "INT"] {
        let server = Server::start();
        let mut clients = [server.connect("user=a"), server.connect("user=b")];
        server.signal(name);
        for client in &mut clients {
            assert_eq!(client.closed(), 1012, "SIG{name}");
        }
        drop(clients);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "SIG{name}: {log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn the_life_of_a_connection_is_logged() {
    let server = Server::with(&["session.linger=10ms"]);
    let mut client = server.connect("user=abcdefghij");
    client.socket.close(None).unwrap();
    client.closed();
    drop(client);
    server.until(|stats| stats["sessions"]["ended"] == 1);
    server.signal("TERM");
    let (_, log) = server.wait();
    for part in ["admitted", "closed", "peer_closed", "session ended"] {
        assert!(log.contains(part), "{part:?} is not in: {log}");
    }
    assert!(!log.contains("abcdefghij"), "names are personal data: {log}");
}

#[test]
fn nobody_reading_the_log_stops_nothing() {
    let server = Server::unread();
    // Twice what a pipe holds.
    for user in 0..800 {
        drop(server.connect(&format!("user={user}")));
    }
    server.until(|stats| stats["connections"]["live"] == 0);
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    refuses(&["serve", "--listen", &address, "--admin", free], &[&address, "in use", "--listen"]);
    refuses(&["serve", "--listen", free, "--admin", &address], &[&address, "in use", "--admin"]);
}

#[test]
fn the_outside_is_refused() {
    for flag in ["--listen", "--admin"] {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
            refuses(&["serve", flag, address], &[flag, address, "development mode", "loopback"]);
        }
    }
}

#[test]
fn settings_are_checked() {
    for (setting, parts) in [
        ("limits.conections=5", ["limits.conections", "limits.connections"]),
        ("heartbeat.intervall=5s", ["no such setting", "heartbeat.interval"]),
        ("heartbeat.interval=5", ["heartbeat.interval=5", "a unit"]),
        ("stream.bytes=1MB", ["stream.bytes=1MB", "KiB"]),
        ("limits.users=many", ["limits.users=many", "a whole number"]),
        ("limits.connections=0", ["limits.connections=0", "between 1 and"]),
        ("heartbeat.pong_timeout=0s", ["heartbeat.pong_timeout=0s", "between 1ms and"]),
        ("limits.users", ["limits.users", "table.key=value"]),
        ("limits.users=5\nconnections=6", ["limits.users=5 connections=6", "a whole number"]),
    ] {
        refuses(&["serve", "--set", setting], &parts);
    }
    let contradiction =
        ["serve", "--set", "limits.connections=4", "--set", "limits.connections_per_user=5"];
    refuses(&contradiction, &["limits.connections_per_user=5", "limits.connections=4"]);
}

#[test]
fn unknown_flags_and_commands_are_mistakes() {
    for arguments in [
        &["serve", "--prot", "1"][..],
        &["sevre"],
        &["serve", "--listen", "nonsense"],
        &["serve", "stray"],
        &["serve", "--set"],
        &[],
    ] {
        let (code, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
    let help = headcount().args(["serve", "--help"]).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.contains("heartbeat.interval"), "{text}");
}

#[test]
fn settings_reach_the_registry() {
    let server = Server::with(&[
        "limits.connections=2",
        "limits.connections_per_user=1",
        "limits.over_cap=refuse",
    ]);
    let _a = server.connect("user=a");
    assert_eq!(server.refused("user=a&thread=t").0, 429);
    let _b = server.connect("user=b");
    assert_eq!(server.refused("user=c").0, 503);
    assert_eq!(server.stats()["sessions"]["refused"], 2);
}
