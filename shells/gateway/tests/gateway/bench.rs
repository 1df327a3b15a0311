//! `headcount bench`, as those who run it see it.

#[path = "../../../mio/examples/peer/relay.rs"]
mod relay;

use std::process::{Output, Stdio};
use std::thread;

use headcount_mio::Server as Shell;
use relay::Relay;
use serde_json::Value;

use crate::common::{File, Server, headcount};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = headcount();
    command.arg("bench").args(arguments).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn works(json: &str) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_str(json).unwrap();
    rows.iter().map(|row| row["work"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_connections_that_it_counts_are_those_that_the_gateway_admitted() {
    let rates = ["limits.connect_rate=0", "limits.connect_rate_per_user=0"];
    let server = Server::with(&rates);
    let url = format!("ws://{}/ws?user=u{{n}}&thread=main", server.websocket);
    let process = server.child.id().to_string();
    let arguments = [&*url, "--connections", "30", "--seconds", "1", "--json", "--pid", &process];
    let (code, json, stderr) = run(&arguments);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(works(&json), ["30 idle connections", "upgrades, each ended at once"]);
    let opened: u64 = rows.iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(rows[0]["count"], 30);
    assert!(rows[1]["server_us"].as_f64().unwrap() > 0.0, "{json}");
    assert!(rows[0]["bytes_per_connection"].is_u64(), "{json}");
    server.until(|stats| stats["connections"]["opened"] == opened);
}

#[test]
fn a_server_with_all_urls_gets_all_kinds_of_work() {
    let config = relay::config(1).build().unwrap();
    let shell = Shell::bind(([127, 0, 0, 1], 0).into(), config, relay::options()).unwrap();
    let (address, handle) = (shell.local_addr(), shell.handle());
    let running = thread::spawn(|| shell.run(Relay::new()));
    let [echo, subscribe, publish] =
        ["echo", "sub", "pub"].map(|wish| format!("ws://{address}/{wish}"));
    let plot = File::new("");
    let path = plot.path().to_str().unwrap();
    let (code, table, stderr) = run(&[
        &echo,
        "--echo",
        &echo,
        "--subscribe",
        &subscribe,
        "--publish",
        &publish,
        "--connections",
        "10",
        "--seconds",
        "1",
        "--plot",
        path,
    ]);
    assert_eq!((code, &*stderr), (Some(0), ""), "{table}");
    for work in [
        "10 idle connections",
        "upgrades, each ended at once",
        "echo 64 B on 16 connections, 1 in flight",
        "echo 64 B on 16 connections, 16 in flight",
        "broadcast 64 B to 10 connections, 1 outstanding",
        "broadcast 64 B to 10 connections, 8 outstanding",
        "echo 64 B every 2 ms, alone",
        "echo 64 B every 2 ms, in a storm",
    ] {
        assert!(table.lines().any(|line| line.starts_with(work)), "{work} is not in:\n{table}");
    }
    assert_eq!(table.lines().count(), 9);
    let drawn = std::fs::read_to_string(path).unwrap();
    assert_eq!(drawn.matches("<polyline").count(), 16);
    handle.stop();
    running.join().unwrap().unwrap();
}

#[test]
fn what_a_server_refuses_is_exit_code_1_and_said_in_one_line() {
    let server = Server::with(&["limits.connections=3", "limits.connections_per_user=1"]);
    let url = format!("ws://{}/ws?user=u{{n}}", server.websocket);
    let (code, table, stderr) = run(&[&url, "--connections", "9"]);
    assert_eq!((code, table.lines().count()), (Some(1), 1));
    assert_eq!(
        stderr,
        "headcount: the server did not upgrade a connection: HTTP/1.1 503 Service Unavailable\n"
    );
}

#[test]
fn the_limit_holds_for_all_of_it() {
    let server = Server::start();
    let url = format!("ws://{}/ws?user=u{{n}}", server.websocket);
    let (code, _, stderr) = run(&[&url, "--connections", "3", "--seconds", "3600", "--limit", "1"]);
    assert_eq!((code, &*stderr), (Some(1), "headcount: the time for all of the work is over\n"));
}

#[test]
fn mistakes_of_its_arguments_are_exit_code_2() {
    let here = "ws://127.0.0.1:1/";
    let cases: [(&[&str], &str); 4] = [
        (&["http://a/"], "ws://"),
        (&[here, "--connections", "4000000000"], "descriptors"),
        (&[here, "--plot", "/nowhere/at/all.svg"], "choose another file"),
        (&[here, "--pid", "4000000000"], "--pid 4000000000"),
    ];
    for (arguments, part) in cases {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(part), "{stderr}");
    }
    for arguments in [&[][..], &[here, "--subscribe", here], &[here, "--connections", "0"]] {
        assert_eq!(run(arguments).0, Some(2), "{arguments:?}");
    }
}
