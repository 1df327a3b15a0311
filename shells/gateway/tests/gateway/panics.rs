//! A panic in any thread ends the process, with one line and a code of its own.
//!
//! The points where one can be planted are there in builds with debug assertions only.

use std::time::{Duration, Instant};

use crate::common::{File, Server, ended, headcount};

/// Exit code 70, one line that names the thread, and all that soon. Without a provocation, the start
/// is enough.
fn dies(point: &str, thread: &str, provoke: Option<fn(&Server)>) {
    let file = File::new("");
    let journal = File::new("");
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(file.path()).arg("--journal").arg(journal.path());
    command.env("HEADCOUNT_PANIC", point);
    let mut start = Instant::now();
    let (status, log) = match provoke {
        // It may end before it has said where it listens.
        None => ended(command),
        Some(provoke) => {
            let server = Server::run(command);
            start = Instant::now();
            provoke(&server);
            server.wait()
        }
    };
    // A second, and what a busy machine adds.
    assert!(start.elapsed() < Duration::from_secs(5), "{point}: {:?}", start.elapsed());
    assert_eq!(status.code(), Some(70), "{point}: {log}");
    let told: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert_eq!(told.len(), 1, "{point}: {log}");
    for part in ["ERROR", thread, "fault.rs:", "a test wants a panic here"] {
        assert!(told[0].contains(part), "{point}: {part:?} is not in {}", told[0]);
    }
    assert!(!log.contains("\nand tells it in two lines"), "one line: {log}");
}

/// Sends, and does not care whether there is an answer.
fn send(server: &Server, path: &str, post: bool) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(server.admin).unwrap();
    let method = if post { "POST" } else { "GET" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn in_the_loop() {
    let provoke = |server: &Server| server.connect("user=a").send(r#"{"type":"ping"}"#);
    dies("loop", "thread=\"main\"", Some(provoke));
}

#[test]
fn in_the_admin_port() {
    dies("admin", "thread=\"admin\"", Some(|server| send(server, "/livez", false)));
}

#[test]
fn in_a_thread_that_reads_a_file() {
    dies("file", "thread=", Some(|server| send(server, "/v1/reload", true)));
}

#[test]
fn in_the_journal() {
    dies("journal", "thread=\"journal\"", None);
}

#[test]
fn in_the_log_itself() {
    dies("log", "thread=\"log\"", None);
}
