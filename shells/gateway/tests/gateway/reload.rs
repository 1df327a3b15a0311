//! The settings change while the server runs, and a dry run says whom that would close.

use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;

use crate::common::{Client, File, Server, ended, headcount};

fn start(file: &File) -> Server {
    let mut command = headcount();
    command.arg("serve").arg("--config").arg(file.path());
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    Server::run(command)
}

fn reload(server: &Server) -> Value {
    let answer = server.post("/v1/reload", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A dry run that says what the reload then does; its answer, which closes nobody.
fn dry_run(server: &Server) -> Value {
    // What a reload closes for. Clients of the test may leave by themselves meanwhile.
    let closed = || {
        let closed = server.stats()["connections"]["closed"].take();
        ["evicted", "try_later", "idle"].map(|reason| closed[reason].as_u64().unwrap())
    };
    let before = closed();
    let answer = server.post("/v1/reload?dry_run=1", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(closed(), before, "a dry run closes nobody");
    answer.json()
}

/// Both, which must agree.
fn both(server: &Server) -> Value {
    let mut said = dry_run(server);
    assert_eq!(said["dry_run"], true);
    said["dry_run"] = json!(false);
    assert_eq!(reload(server), said);
    said
}

/// How many still answer.
fn answering(clients: &mut [Client]) -> usize {
    clients.iter_mut().map(|client| client.drain()).count()
}

#[test]
fn a_lower_cap_of_each_user_closes_exactly_those_that_a_dry_run_counts() {
    let file = File::new("[limits]\nconnections_per_user = 5\n");
    let server = start(&file);
    let mut tabs: Vec<Client> = (0..5).map(|_| server.connect("user=a")).collect();
    let mut others = [server.connect("user=b")];
    file.write("[limits]\nconnections_per_user = 2\nover_cap = \"evict-oldest\"\n");
    let expected = json!({
        "dry_run": false, "closes": 3, "evicted": 3, "displaced": 0, "overdue": 0, "sessions": 0,
        "changed": ["limits.connections_per_user", "limits.over_cap"],
    });
    assert_eq!(both(&server), expected);
    for mut tab in tabs.drain(..3) {
        assert_eq!(tab.closed(), 4504);
    }
    assert_eq!(answering(&mut tabs) + answering(&mut others), 3);
    let stats = server.until(|stats| stats["connections"]["live"] == 3);
    assert_eq!(stats["connections"]["closed"]["evicted"], 3);
    let metrics = server.get("/metrics").body;
    assert!(
        metrics.contains("headcount_connections_closed_total{reason=\"evicted\"} 3\n"),
        "{metrics}"
    );
    server.logged(&["reloaded", "closes=3", "evicted=3", "displaced=0"]);
    server.logged(&["changed=\"limits.connections_per_user,limits.over_cap\""]);
    // And again: it has happened.
    let expected = json!({
        "dry_run": false, "closes": 0, "evicted": 0, "displaced": 0, "overdue": 0, "sessions": 0,
        "changed": [],
    });
    assert_eq!(both(&server), expected);
}

#[test]
fn a_lower_total_closes_the_excess_with_a_code_to_come_back() {
    let file = File::new("");
    let server = start(&file);
    let mut clients: Vec<Client> =
        (0..6).map(|user| server.connect(&format!("user={user}"))).collect();
    file.write("[limits]\nconnections = 4\nover_cap = \"evict-oldest\"\n");
    let said = both(&server);
    assert_eq!((&said["closes"], &said["displaced"]), (&json!(2), &json!(2)));
    let changed = said["changed"].as_array().unwrap();
    for key in ["limits.connections", "limits.over_cap", "limits.connections_per_user"] {
        assert!(changed.contains(&json!(key)), "derived ones too: {said}");
    }
    for client in &mut clients[..2] {
        assert_eq!(client.closed(), 1013);
    }
    assert_eq!(answering(&mut clients[2..]), 4);
    assert_eq!(server.refused("user=late").0, 503);
}

#[test]
fn a_wrong_file_changes_nothing_and_is_told_as_at_the_start() {
    let file = File::new("[limits]\nconnections_per_user = 2\n");
    let server = start(&file);
    let mut clients = [server.connect("user=a"), server.connect("user=a")];
    for text in [
        "[limits]\nconnections_per_user = 1\nconections = 5\n",
        "[limits]\nconnections_per_user = 1\nusers = \"many\"\n",
        "[limits]\nconnections_per_user = 1\nconnections",
        "[limits]\nconnections_per_user = 3\nconnections = 2\n",
    ] {
        file.write(text);
        let mut again = headcount();
        again.arg("serve").arg("--config").arg(file.path());
        let (status, stderr) = ended(again);
        assert_eq!(status.code(), Some(2), "{stderr}");
        for path in ["/v1/reload", "/v1/reload?dry_run=1"] {
            let answer = server.post(path, "");
            assert_eq!((answer.status, answer.code().as_str()), (422, "bad_config"), "{text}");
            let sentence = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert_eq!(stderr, format!("headcount: {sentence}\n"));
        }
    }
    file.remove();
    assert_eq!(server.post("/v1/reload", "").code(), "bad_config");
    assert_eq!(answering(&mut clients), 2);
    file.write("[limits]\nconnections_per_user = 2\n");
    assert_eq!(both(&server)["changed"], json!([]), "nothing has changed");
}

#[test]
fn what_the_registry_does_not_know_changes_too_and_where_it_listens_does_not() {
    let file = File::new("listen = \"127.0.0.1:0\"\n");
    let mut command = headcount();
    command.arg("serve").arg("--config").arg(file.path()).args(["--admin", "127.0.0.1:0"]);
    let server = Server::run(command);
    let knock = |address: &str| {
        Client::with_header(server.websocket, "user=a", "x-forwarded-for", address)
            .map_or_else(|(status, _)| status, |_| 101)
    };
    assert_eq!([knock("192.0.2.1"), knock("192.0.2.1")], [101, 101]);
    let one = "listen = \"127.0.0.1:0\"\nlimits.connect_rate_per_ip = 1\n";
    file.write(&format!("{one}trusted_proxies = [\"127.0.0.0/8\"]\n"));
    let changed = json!(["trusted_proxies", "limits.connect_rate_per_ip"]);
    assert_eq!(dry_run(&server)["changed"], changed);
    assert_eq!([knock("192.0.2.1"), knock("192.0.2.1")], [101, 101], "it has not happened");
    assert_eq!(both(&server)["changed"], changed);
    assert_eq!([knock("192.0.2.1"), knock("192.0.2.2"), knock("192.0.2.1")], [101, 101, 429]);
    file.write(one);
    assert_eq!(both(&server)["changed"], json!(["trusted_proxies"]));
    assert_eq!([knock("192.0.2.3"), knock("192.0.2.4")], [101, 429], "one address for all now");

    file.write("listen = \"127.0.0.1:9\"\n");
    for path in ["/v1/reload?dry_run=1", "/v1/reload"] {
        let answer = server.post(path, "");
        assert_eq!((answer.status, answer.code().as_str()), (422, "restart_needed"));
        assert!(answer.body.contains("restart it") && answer.body.contains("127.0.0.1:9"));
    }
    file.write(one);
    assert_eq!(both(&server)["changed"], json!([]));
}

#[test]
fn other_times_and_sizes_hold_for_new_connections_and_for_open_ones() {
    let file = File::new("[limits]\nmessage_bytes = 1000\n");
    let server = start(&file);
    let message = |bytes: usize| Message::text("x".repeat(bytes));
    let mut grows = server.connect("user=a");
    file.write("[limits]\nmessage_bytes = \"4KiB\"\n[heartbeat]\ninterval = \"7s\"\n");
    // The slack of pings follows their interval.
    let changed = ["limits.message_bytes", "heartbeat.interval", "heartbeat.slack"];
    assert_eq!(both(&server)["changed"], json!(changed));
    let mut shrinks = server.connect("user=a");
    let terms = ["max_message_bytes", "ping_interval_ms"];
    assert_eq!(terms.map(|name| shrinks.welcome[name].as_u64().unwrap()), [4_096, 7_000]);
    for client in [&mut grows, &mut shrinks] {
        client.socket.send(message(4_096)).unwrap();
        assert_eq!(client.next()["type"], "error", "it came as far as being understood");
    }
    file.write("[limits]\nmessage_bytes = 100\n[stream]\nbytes = 2000\nroom_bytes = 2000\n");
    both(&server);
    for (mut client, bytes) in [(grows, 101), (shrinks, 4_096), (server.connect("user=a"), 101)] {
        client.socket.send(message(bytes)).unwrap();
        assert_eq!(client.closed(), 1009);
    }
    let long = format!(r#"{{"to":{{"user":"a"}},"data":"{}"}}"#, "x".repeat(2_000));
    assert_eq!(server.post("/v1/publish", &long).code(), "too_large");
    file.write("[stream]\nbytes = \"1MiB\"\n");
    reload(&server);
    assert_eq!(server.post("/v1/publish", &long).status, 200);
}

#[test]
fn a_deadline_that_has_passed_under_the_new_times_is_counted_and_acts() {
    let file = File::new("");
    let server = start(&file);
    let mut client = server.connect("user=a");
    let id = client.connection().to_owned();
    server.until(|_| {
        let age = server.get(&format!("/v1/connections/{id}")).json()["age_ms"].as_u64();
        age >= Some(50)
    });
    file.write("[session]\nidle = \"40ms\"\n");
    let said = both(&server);
    assert_eq!((&said["closes"], &said["overdue"]), (&json!(1), &json!(1)));
    client.socket.get_mut().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(client.closed(), 1000);
}

#[test]
fn only_what_is_clear_is_a_reload() {
    let server = Server::start();
    let answer = server.post("/v1/reload", "");
    assert_eq!((answer.status, answer.code().as_str()), (409, "no_config"));
    assert!(answer.body.contains("--config FILE"), "{answer:?}");
    let file = File::new("");
    let server = start(&file);
    for query in ["dryrun=1", "dry_run", "dry_run=yes", "dry_run=1&dry_run=1"] {
        let answer = server.post(&format!("/v1/reload?{query}"), "");
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"), "{query}");
    }
    assert_eq!(server.post("/v1/reload", r#"{"dry_run":true}"#).status, 400);
    assert_eq!(server.get("/v1/reload").status, 405);
}
