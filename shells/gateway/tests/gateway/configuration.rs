//! Where settings come from: a file, the environment, flags, and which of them wins.

use std::process::Command;

use crate::common::{File, Server, ended, headcount};

/// A server with a file, and more arguments and variables.
fn start(file: &File, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
    let mut command = serve(file, variables);
    command.args(arguments);
    Server::run(command)
}

fn serve(file: &File, variables: &[(&str, &str)]) -> Command {
    let mut command = headcount();
    command.arg("serve").arg("--config").arg(file.path()).envs(variables.iter().copied());
    command
}

/// What stops a start: exit code 2 and one line, which is returned without its beginning.
fn refusal(file: &File, variables: &[(&str, &str)]) -> String {
    let (status, stderr) = ended(serve(file, variables));
    assert_eq!(status.code(), Some(2), "{stderr}");
    let sentence = stderr.strip_suffix('\n').and_then(|line| line.strip_prefix("headcount: "));
    assert!(sentence.is_some_and(|line| !line.contains('\n')), "one line: {stderr}");
    sentence.unwrap().to_owned()
}

fn ping_interval(server: &Server) -> u64 {
    server.connect("user=a").welcome["ping_interval_ms"].as_u64().unwrap()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let ports = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
    let file = File::new(&format!("{ports}[heartbeat]\ninterval = \"11s\"\n"));
    let variable = [("HEADCOUNT_HEARTBEAT_INTERVAL", "12s")];
    let flag = ["--set", "heartbeat.interval=13s"];
    assert_eq!(ping_interval(&start(&file, &[], &[])), 11_000);
    assert_eq!(ping_interval(&start(&file, &[], &variable)), 12_000);
    assert_eq!(ping_interval(&start(&file, &flag, &variable)), 13_000);
    assert_eq!(ping_interval(&start(&file, &flag, &[])), 13_000);
    // What a profile changes are defaults, wherever it is named.
    let profile = [("HEADCOUNT_PROFILE", "staging")];
    assert_eq!(ping_interval(&start(&file, &[], &profile)), 11_000);
    file.write(ports);
    assert_eq!(ping_interval(&start(&file, &[], &profile)), 30_000);
}

#[test]
fn the_environment_is_enough() {
    let serve = |variables: &[(&str, &str)]| {
        let mut command = headcount();
        let addresses = [("HEADCOUNT_LISTEN", "127.0.0.1:0"), ("HEADCOUNT_ADMIN", "127.0.0.1:0")];
        command.arg("serve").envs(addresses).envs(variables.iter().copied());
        command
    };
    let variables =
        [("HEADCOUNT_HEARTBEAT_INTERVAL", "7s"), ("HEADCOUNT_LIMITS_MESSAGE_BYTES", "1KiB")];
    let server = Server::run(serve(&variables));
    let welcome = server.connect("user=a").welcome;
    let terms = ["ping_interval_ms", "max_message_bytes"].map(|name| welcome[name].as_u64());
    assert_eq!(terms, [Some(7_000), Some(1_024)]);
    for (name, value, part) in [
        ("HEADCOUNT_LIMITS_CONECTIONS", "5", "HEADCOUNT_LIMITS_CONNECTIONS"),
        ("HEADCOUNT_STREAM_TTL", "5", "HEADCOUNT_STREAM_TTL=5: "),
        ("HEADCOUNT_LISTEN", "0.0.0.0:0", "loopback only"),
        ("HEADCOUNT_ADMIN", "nonsense", "127.0.0.1:7400"),
    ] {
        let (status, stderr) = ended(serve(&[(name, value)]));
        assert!(status.code() == Some(2) && stderr.contains(part), "{name}: {stderr}");
    }
}

#[test]
fn addresses_follow_the_same_order() {
    // An address that the next source in the order must replace, or the start fails.
    let outside = "\"192.0.2.1:1\"";
    let file = File::new(&format!("listen = {outside}\nadmin = {outside}\n"));
    let variables = [("HEADCOUNT_LISTEN", "localhost:0"), ("HEADCOUNT_ADMIN", "192.0.2.1:1")];
    let server = start(&file, &["--admin", "127.0.0.1:0"], &variables);
    assert!(server.websocket.ip().is_loopback() && server.admin.ip().is_loopback());
    let sentence = refusal(&file, &[]);
    assert!(sentence.contains(":1: listen = 192.0.2.1:1: development mode"), "{sentence}");
    let sentence = refusal(&file, &variables);
    assert!(sentence.starts_with("HEADCOUNT_ADMIN=192.0.2.1:1: development mode"), "{sentence}");
}

#[test]
fn mistakes_in_a_file_name_its_line_and_the_nearest_key() {
    for (text, expected) in [
        (
            "[limits]\n\nconections = 5",
            ":3: limits.conections: no such setting; the nearest one is limits.connections",
        ),
        ("[auth]\nkye = \"x\"", ":2: auth.kye: no such setting; the nearest one is "),
        ("[limits]\nusers = \"many\"", ":2: limits.users = many: the value is not understood; "),
        ("[heartbeat]\ninterval = 25s", ":2: interval: this is not TOML: "),
        (
            "[limits]\nconnections = 4\nconnections_per_user = 5",
            ":3: limits.connections_per_user = 5: must not be larger than ",
        ),
    ] {
        let file = File::new(text);
        let sentence = refusal(&file, &[]);
        let expected = format!("{}{expected}", file.path().display());
        assert!(sentence.starts_with(&expected), "{sentence}");
    }
    // A mistake is one even where another source would have replaced it.
    let file = File::new("[limits]\nusers = \"many\"");
    assert!(refusal(&file, &[("HEADCOUNT_LIMITS_USERS", "5")]).contains("many"));
    file.remove();
    let sentence = refusal(&file, &[]);
    assert!(sentence.starts_with("--config ") && sentence.contains("name a TOML file"));
}

#[test]
fn mistakes_in_the_environment_name_the_variable_and_the_nearest() {
    let file = File::new("");
    for (name, value, expected) in [
        (
            "HEADCOUNT_LIMITS_CONECTIONS",
            "5",
            "HEADCOUNT_LIMITS_CONECTIONS: no such setting; the nearest one is \
             HEADCOUNT_LIMITS_CONNECTIONS",
        ),
        (
            "HEADCOUNT_HEARTBEAT_INTERVAL",
            "25",
            "HEADCOUNT_HEARTBEAT_INTERVAL=25: the value is not understood; expected a whole number",
        ),
        ("HEADCOUNT_DRAIN_DEADLINE", "0", "HEADCOUNT_DRAIN_DEADLINE=0: must be between 1ms and "),
    ] {
        let sentence = refusal(&file, &[(name, value)]);
        assert!(sentence.starts_with(expected), "{sentence}");
    }
}

#[test]
fn the_example_of_the_documentation_is_a_file_that_works() {
    let page = include_str!("../../../../docs/gateway.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").unwrap();
    let file = File::new(example);
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let server = start(&file, &ports, &[]);
    assert_eq!(server.post("/v1/reload?dry_run=1", "").json()["changed"], serde_json::json!([]));
    // Whatever there is to set is in it, so that nobody looks for the rest.
    let help = headcount().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, list) = help.split_once("Settings, with their defaults in brackets:\n").unwrap();
    let mut table = "";
    let keys: Vec<String> = example
        .lines()
        .map(|line| line.trim_start_matches("# "))
        .filter_map(|line| {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                table = name;
            }
            let (key, _) = line.split_once(" = ")?;
            Some(if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") })
        })
        .collect();
    for key in list.lines().take_while(|line| line.starts_with("  ")) {
        let key = key.split_whitespace().next().unwrap();
        assert!(keys.iter().any(|known| known == key), "{key} is not in the example");
    }
}
