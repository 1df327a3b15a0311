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
