//! What whoever starts the process sees: two lines, one-line errors, exit codes, signals.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{File, PATIENCE, Server, headcount, request};

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

/// The command under a shell that does something first.
fn under_a_shell(script: &str, arguments: &[&str]) -> Command {
    let binary = headcount();
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(binary.get_program()).args(arguments);
    for (name, value) in binary.get_envs() {
        assert!(value.is_none());
        command.env_remove(name);
    }
    command
}

/// A server that is started with SIGHUP ignored, or as it is by default: the tests themselves may run
/// under `nohup`, and what a process ignores its children ignore. Only on Linux has `env` such options.
fn with_sighup(handling: &str, arguments: &[&str]) -> Command {
    let env = match cfg!(target_os = "linux") {
        true => format!("env --{handling}-signal=HUP"),
        false => String::new(),
    };
    under_a_shell(&format!("exec {env} \"$@\""), &[&FREE_PORTS, arguments].concat())
}

const FREE_PORTS: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

#[test]
fn sighup_reloads_and_tells_the_log_what_came_of_it() {
    let file = File::new("[heartbeat]\ninterval = \"11s\"\n");
    let mut command = headcount();
    command.args(FREE_PORTS).arg("--config").arg(file.path());
    let server = Server::run(command);
    let mut client = server.connect("user=a");
    file.write("[heartbeat]\ninterval = \"12s\"\n");
    server.signal("HUP");
    server.logged(&["reloading", "changed=\"heartbeat.interval,heartbeat.slack\""]);
    server.logged(&["reloaded", "closes=0"]);
    assert_eq!(server.connect("user=b").welcome["ping_interval_ms"], 12_000);
    file.write("[heartbeat]\nintervall = \"13s\"\n");
    server.signal("HUP");
    server.logged(&["WARN", "SIGHUP", "refused", ":2: heartbeat.intervall: no such setting"]);
    assert_eq!(server.connect("user=c").welcome["ping_interval_ms"], 12_000);
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok", "who was there stays");
}

#[test]
fn sighup_without_a_file_drains() {
    let server = Server::run(with_sighup("default", &[]));
    let mut client = server.connect("user=a");
    server.signal("HUP");
    assert_eq!(client.next()["type"], "draining");
    assert_eq!(client.closed(), 1012);
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("SIGHUP"), "{log}");
}

#[test]
#[cfg(target_os = "linux")]
fn under_nohup_sighup_ends_nothing_and_reloads_all_the_same() {
    let server = Server::run(with_sighup("ignore", &[]));
    let mut client = server.connect("user=a");
    server.signal("HUP");
    server.signal("HUP");
    server.logged(&["SIGHUP", "goes on"]);
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
    assert_eq!(server.get("/readyz").status, 200);

    let file = File::new("[heartbeat]\ninterval = \"11s\"\n");
    let config = file.path().to_str().unwrap();
    let server = Server::run(with_sighup("ignore", &["--config", config]));
    file.write("[heartbeat]\ninterval = \"12s\"\n");
    server.signal("HUP");
    server.logged(&["reloaded", "closes=0"]);
    assert_eq!(server.connect("user=a").welcome["ping_interval_ms"], 12_000);
}

#[test]
fn signals_without_a_meaning_do_nothing() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    for name in ["USR1", "USR2", "PIPE", "XFSZ"] {
        server.signal(name);
        assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok", "SIG{name}");
        assert_eq!(server.get("/readyz").status, 200, "SIG{name}");
    }
}

#[test]
fn a_standard_output_that_is_full_does_not_hold_up_the_start() {
    // Ports that were free a moment ago: they can't be read from a pipe that nothing fits into.
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [listen, admin] = free.each_ref().map(|free| free.local_addr().unwrap());
    drop(free);
    let (listen, admin_text) = (listen.to_string(), admin.to_string());
    let arguments = ["serve", "--listen", &listen, "--admin", &admin_text];
    // A pipe holds 64 KiB.
    let script = "head -c 65536 /dev/zero; exec \"$@\"";
    let mut command = under_a_shell(script, &arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while TcpStream::connect(admin).is_err() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    let ready = request(admin, "GET", "/readyz", &[], "").status;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ready, 200);
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
fn a_name_reaches_the_log_and_error_messages_in_a_form_that_reads_as_it_is_written() {
    // Right to left, a line separator, and a space that is not seen.
    let hidden = |c: char| ['\u{202e}', '\u{2028}', '\u{200b}'].contains(&c);
    let server = Server::start();
    let mut client =
        server.connect("user=%E2%80%AE%E2%80%A8%E2%80%8Bx&thread=%E2%80%AEab%E2%80%8Bcd");
    assert_eq!(client.welcome["user"], "\u{202e}\u{2028}\u{200b}x", "the name itself is kept");
    server.logged(&["admitted", r"ThreadId(\u{202e}ab\u{200b}"]);
    let of_frame = client.ask("{\"type\":\"\u{202e}\u{200b}\"}");
    let of_body = server.post("/v1/revoke", "{\"user\":\"a\",\"\u{202e}\":1}");
    assert_eq!(of_body.status, 400);
    let of_path = server.get("/%E2%80%AE");
    for message in [
        &of_frame["message"],
        &of_body.json()["error"]["message"],
        &of_path.json()["error"]["message"],
    ] {
        assert!(!message.as_str().unwrap().contains(hidden), "{message}");
    }
    let all = server.get("/v1/connections");
    assert!(!all.body.contains(hidden), "JSON has escapes of its own: {}", all.body);
    assert_eq!(all.json()["connections"][0]["user"], client.welcome["user"]);
    let reason = "{\"to\":{\"user\":\"a\"},\"reason\":\"\u{202e}\\n2026 INFO forged\"}";
    assert_eq!(server.post("/v1/close", reason).status, 200);
    server.logged(&["AUDIT", "POST /v1/close", r"\u202e\n", "forged"]);
    assert!(!server.log().contains(hidden), "{}", server.log());
}

#[test]
fn nobody_reading_the_log_stops_nothing() {
    let server = Server::unread(&["limits.connect_rate=0", "log.level=debug"]);
    let mut neighbour = server.connect("user=neighbour");
    // More than a pipe and the queue behind it hold.
    let mut user = 0;
    while server.stats()["log_lines_lost"] == 0 {
        for _ in 0..200 {
            user += 1;
            drop(server.connect(&format!("user={user}")));
        }
        assert_eq!(neighbour.ask(r#"{"type":"ping"}"#)["type"], "ok");
        assert!(user < 20_000);
    }
    let lost = server.get("/metrics").body;
    assert!(lost.contains("\nheadcount_log_lines_lost_total "), "{lost}");
    drop(neighbour);
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
        ("limits.users=5\nconnections=6", ["limits.users=5\\nconnections=6", "a whole number"]),
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
