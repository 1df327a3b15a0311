//! `headcount simulate`, as whoever runs it sees it.

use std::process::{Output, Stdio};

use crate::common::headcount;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = headcount();
    command.arg("simulate").args(arguments).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_report_is_on_stdout_alone_and_the_same_twice() {
    let arguments = ["tab-flood", "--seed", "3", "--scale", "2"];
    let (code, report, progress) = run(&arguments);
    assert_eq!(code, Some(0), "{progress}");
    assert!(report.contains("seed 3") && report.contains(": holds"), "{report}");
    assert!(progress.contains("simulated 100 %"), "{progress}");
    assert_eq!(run(&arguments).1, report);
}

#[test]
fn the_registry_of_a_settings_file_is_simulated() {
    let name = format!("headcount-simulate-{}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    let settings = "[limits]\nconnections = 3\n[rooms]\nopen = [\"lobby\"]\n";
    std::fs::write(&path, settings).unwrap();
    let file = path.to_str().unwrap();
    let (code, report, progress) = run(&["tab-flood", "--scale", "2", "--config", file]);
    assert_eq!(code, Some(0), "{progress}");
    let most = report.lines().find(|line| line.contains("most at once")).unwrap();
    assert_eq!(most.split_whitespace().last(), Some("3"), "{report}");

    std::fs::write(&path, "[limits]\nconnections = \"three\"\n").unwrap();
    let (code, report, sentence) = run(&["tab-flood", "--config", file]);
    assert_eq!((code, report.as_str()), (Some(2), ""));
    assert!(sentence.contains(":2: limits.connections") && sentence.contains("a whole number"));
    std::fs::remove_file(&path).unwrap();
}

/// What a gateway in production is given: tables of all kinds, and files that are on its machine alone.
const PRODUCTION: &str = r#"
listen = "0.0.0.0:7400"
admin = "10.0.0.5:7401"
profile = "production"
trusted_proxies = ["10.0.0.0/8"]
allowed_hosts = ["chat.example.com"]
allowed_origins = ["https://chat.example.com"]

[auth]
algorithm = "ES256"
key_file = ["/run/secrets/no-such-key.pem"]
jwks_url = "https://issuer.example.com/keys.json"
audience = "chat"
admin_keys_file = "/run/secrets/no-such-admin-keys"

[limits]
connections = 3
connect_rate_per_ip = 20

[rooms]
open = ["lobby"]

[idempotency]
ttl = "5m"

[redaction]
remove = ["internal"]

[log]
level = "warn"
"#;

#[test]
fn a_file_of_a_server_in_production_is_simulated_as_it_is() {
    let name = format!("headcount-simulate-production-{}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = path.to_str().unwrap();
    std::fs::write(&path, PRODUCTION).unwrap();
    let (code, report, lines) = run(&["tab-flood", "--scale", "2", "--config", file]);
    assert_eq!(code, Some(0), "{lines}");
    let most = report.lines().find(|line| line.contains("most at once")).unwrap();
    assert_eq!(most.split_whitespace().last(), Some("3"), "{report}");
    let told = lines.lines().next().unwrap();
    let (_, told) = told.split_once("not simulated: ").unwrap();
    assert_eq!(
        told,
        "listen, admin, trusted_proxies, allowed_hosts, allowed_origins, auth.algorithm, auth.key_file, \
         auth.jwks_url, auth.audience, auth.admin_keys_file, rooms.open, limits.connect_rate_per_ip, \
         idempotency.ttl, redaction.remove, log.level"
    );

    // What is mistyped is refused, the registry's or not.
    for (right, wrong, parts) in [
        ("key_file", "key_fiel", [":11: auth.key_fiel", "auth.key_file"]),
        ("[redaction]", "[redactoin]", [":27: redactoin.remove", "redaction.remove"]),
        ("\"0.0.0.0:7400\"", "\"everywhere\"", [":2: listen", "expected"]),
        ("\"5m\"", "\"5 minutes\"", [":24: idempotency.ttl", "expected"]),
        ("connections = 3", "conections = 3", [":17: limits.conections", "limits.connections"]),
    ] {
        std::fs::write(&path, PRODUCTION.replacen(right, wrong, 1)).unwrap();
        let (code, report, sentence) = run(&["tab-flood", "--config", file]);
        assert_eq!((code, report.as_str()), (Some(2), ""), "{wrong}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        for part in parts {
            assert!(sentence.contains(part), "{wrong}: {part:?} is not in: {sentence}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_plot_is_written() {
    let path = std::env::temp_dir().join(format!("headcount-plot-{}.svg", std::process::id()));
    let (code, _, stderr) =
        run(&["tab-flood", "--scale", "1", "--plot", path.to_str().expect("a path of text")]);
    let plot = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(plot.unwrap().starts_with("<svg "));
}

#[test]
fn mistakes_are_exit_code_2_and_one_line() {
    let cases: [(&[&str], &[&str]); 2] = [
        (&["deploy-strom"], &["deploy-strom", "deploy-storm, half-open-30"]),
        (&["tab-flood", "--scale", "1", "--plot", "/nowhere/at/all.svg"], &["--plot", "choose"]),
    ];
    for (arguments, parts) in cases {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
        }
    }
    for arguments in [&["tab-flood", "--scale", "0"][..], &["tab-flood", "--seed", "x"], &[]] {
        assert_eq!(run(arguments).0, Some(2), "{arguments:?}");
    }
}
