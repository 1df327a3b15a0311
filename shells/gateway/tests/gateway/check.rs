//! `headcount check` and `headcount config`: settings without a server.

use std::process::{Command, Output};

use crate::common::{File, headcount};

fn check(file: &File) -> Output {
    headcount().arg("check").arg(file.path()).output().unwrap()
}

/// The lines of standard error.
fn mistakes(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines().map(|line| line.strip_prefix("headcount: ").unwrap().to_owned()).collect()
}

/// What is printed, by a command that ends well.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// What it sets, without where that comes from.
fn settings(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once("  # ").map_or(line, |(setting, _)| setting)).collect()
}

#[test]
fn a_file_without_mistakes_is_ok() {
    for text in ["", "[limits]\nusers = 5\n\n[heartbeat]\ninterval = \"3s\"\n"] {
        let output = check(&File::new(text));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"ok\n"[..], &b""[..]));
    }
}

#[test]
fn every_mistake_is_said_with_its_line() {
    let file = File::new(
        "listen = \"nowhere\"\n[limits]\nconections = 5\nusers = \"many\"\nrooms = 5\n\n[zoo]\na = 1\n",
    );
    let output = check(&file);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]));
    let expected = [
        ":1: listen = nowhere: the value is not understood; ",
        ":3: limits.conections: no such setting; the nearest one is limits.connections",
        ":4: limits.users = many: the value is not understood; ",
        ":8: zoo.a: no such setting; ",
    ];
    let mistakes = mistakes(&output);
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
    for (mistake, expected) in mistakes.iter().zip(expected) {
        let expected = format!("{}{expected}", file.path().display());
        assert!(mistake.starts_with(&expected), "{mistake}");
    }
}

#[test]
fn what_a_start_would_refuse_is_a_mistake() {
    for (text, part) in [
        ("[limits]\nconnections = 4\nconnections_per_user = 5", "must not be larger than"),
        ("listen = \"0.0.0.0:7400\"", "loopback"),
        ("[auth]\nadmin_key_file = \"/does/not/exist\"", "name a file that this process may read"),
        ("[auth]\nissuer = [\"a\"]", "there is no key to check tokens with"),
        ("[limits\n", "this is not TOML"),
    ] {
        let output = check(&File::new(text));
        let mistakes = mistakes(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(mistakes.len() == 1 && mistakes[0].contains(part), "{mistakes:?}");
    }
    // A file is checked by itself, wherever it will run.
    let file = File::new("[limits]\nusers = 5\n");
    let output =
        headcount().arg("check").arg(file.path()).env("HEADCOUNT_NONSENSE", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    file.remove();
    let output = check(&file);
    let mistakes = mistakes(&output);
    assert!(
        output.status.code() == Some(2) && mistakes[0].contains("No such file"),
        "{mistakes:?}"
    );
}

#[test]
fn config_prints_every_setting_with_its_source_and_check_takes_what_it_prints() {
    let file = File::new(
        "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n[heartbeat]\ninterval = \"11s\"\n[redaction]\nkeys = [\"pin\"]\n",
    );
    let secret = "a-secret-of-32-bytes-that-is-hidden";
    let mut command = headcount();
    command.arg("config").arg("--config").arg(file.path());
    command.args(["--listen", "127.0.0.1:7777", "--set", "limits.users=0000012"]);
    command.args(["--set", "limits.over_cap=refuse", "--set", "stream.bytes=99KiB"]);
    command.env("HEADCOUNT_PROFILE", "staging").env("HEADCOUNT_AUTH_ADMIN_KEY", secret);
    let text = printed(&mut command);
    assert!(!text.contains(secret), "{text}");
    let name = file.path().display();
    for line in [
        "listen = \"127.0.0.1:7777\"  # --listen".to_owned(),
        "admin = \"127.0.0.1:7401\"  # default".to_owned(),
        "profile = \"staging\"  # HEADCOUNT_PROFILE".to_owned(),
        format!("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]  # {name}:1"),
        format!("interval = \"11s\"  # {name}:3"),
        "over_cap = \"refuse\"  # --set".to_owned(),
        "bytes = \"99KiB\"  # --set".to_owned(),
        "# admin_key: set, by HEADCOUNT_AUTH_ADMIN_KEY".to_owned(),
        "# admin_key_file: not set".to_owned(),
        format!("keys = [\"pin\"]  # {name}:5"),
        "enabled = true  # default".to_owned(),
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
    }
    assert!(text.contains("  # profile staging\n"), "{text}");

    let again = File::new(&text);
    assert_eq!(check(&again).stdout, b"ok\n", "{text}");
    let twice = printed(headcount().arg("config").arg("--config").arg(again.path()));
    assert_eq!(settings(&twice), settings(&text));
}

#[test]
fn config_prints_every_row_of_the_help() {
    let help = printed(headcount().args(["serve", "--help"]));
    let (_, list) = help.split_once("Settings, with their defaults in brackets:\n").unwrap();
    let text = printed(headcount().arg("config"));
    let mut table = "";
    let mut keys = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name;
            continue;
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some(end) = line.find([' ', ':']) else { continue };
        let key = &line[..end];
        keys.push(if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") });
    }
    let mut listed: Vec<_> = list
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    listed.sort_unstable();
    keys.sort_unstable();
    assert!(listed.len() > 40);
    assert_eq!(keys, listed);
    // With nothing given, everything is a default.
    let again = File::new(&text);
    let twice = printed(headcount().arg("config").arg("--config").arg(again.path()));
    assert_eq!(settings(&twice), settings(&text));
}

#[test]
fn config_refuses_what_serve_refuses() {
    let output = headcount().args(["config", "--set", "limits.users=many"]).output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]));
    assert!(mistakes(&output)[0].starts_with("--set limits.users=many: "));
}
