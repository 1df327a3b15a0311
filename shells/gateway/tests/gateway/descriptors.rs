//! How many descriptors strangers can take, counted from outside.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{File, PATIENCE, Server, headcount};

/// Connections that the admin port has at a time.
const PLACES: usize = 256;
/// More than the process needs for itself.
const OTHERS: usize = 32;

#[test]
fn half_sent_requests_take_a_bounded_number_of_descriptors() {
    let server = Server::start();
    let descriptors = format!("/proc/{}/fd", server.child.id());
    let count = || std::fs::read_dir(&descriptors).unwrap().count();
    let half = || {
        let mut stream = TcpStream::connect(server.admin).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: ").unwrap();
        stream
    };
    // The last of them wait in the kernel.
    let halves: Vec<_> = (0..PLACES + 2 * OTHERS).map(|_| half()).collect();
    let start = Instant::now();
    while count() < PLACES {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    // Who connects by WebSocket is served by another thread, and all that it asks is answered.
    let mut client = server.connect("user=a");
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
    assert!(count() <= PLACES + OTHERS, "{}", count());
    drop(halves);
    assert_eq!(server.get("/livez").status, 200);
}

/// A server that may have so many descriptors.
fn limited(descriptors: u32, file: &File) -> Server {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]);
    command.arg(headcount().get_program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(file.path());
    for (name, _) in headcount().get_envs() {
        command.env_remove(name);
    }
    Server::run(command)
}

#[test]
fn limits_above_the_descriptors_are_lowered_and_a_full_house_leaves_the_admin_port_alone() {
    let file = File::new("[limits]\nconnections = 1000\n");
    let server = limited(600, &file);
    let warning = [
        "WARN",
        "descriptors=600",
        "limits.connections from 1000 to 218",
        "limits.pending from 125 to 27",
        "limits.closing from 125 to 27",
        "ulimit -n",
    ];
    server.logged(&warning);
    // Everyone that there is a place for, and silent ones for all other places.
    let clients: Vec<_> = (0..218).map(|user| server.connect(&format!("user={user}"))).collect();
    assert_eq!(server.refused("user=late").0, 503);
    let silent: Vec<_> = (0..60).map(|_| TcpStream::connect(server.websocket).unwrap()).collect();
    for _ in 0..3 {
        assert_eq!(server.get("/livez").status, 200);
        assert_eq!(server.get("/metrics").status, 200);
    }
    assert_eq!(server.stats()["connections"]["open"], 218);
    drop((clients, silent));

    // A reload keeps to it, and says so.
    file.write("[limits]\nconnections = 2000\n");
    assert_eq!(server.post("/v1/reload", "").status, 200);
    server.logged(&["WARN", "descriptors=600", "limits.connections from 2000 to 218"]);
}
