//! What Prometheus scrapes: the format, and the figures.

use std::collections::BTreeMap;

use crate::common::Server;

/// The samples by name and labels, of a page whose form is checked line by line.
fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let answer = server.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.ends_with('\n'));
    let mut samples = BTreeMap::new();
    let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
    for line in answer.body.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, _, ..] => helped = name.to_owned(),
            ["#", "TYPE", name, of_kind] => {
                assert_eq!(name, helped, "{line}");
                (family, kind) = (name.to_owned(), of_kind.to_owned());
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(name.starts_with("headcount_"), "{line}");
            }
            [name, value] => {
                let mut of = name.split('{').next().unwrap();
                if kind == "histogram" {
                    let parts = ["_bucket", "_sum", "_count"];
                    of = parts.iter().find_map(|part| of.strip_suffix(part)).expect(line);
                }
                assert_eq!(of, family, "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&&kind[..]), "{line}");
                let twice = samples.insert(name.to_owned(), value.parse().expect(line));
                assert_eq!(twice, None, "{line}");
            }
            _ => panic!("{line}"),
        }
    }
    samples
}

#[test]
fn the_figures_add_up_here_too() {
    let server = Server::start();
    let mut kept = server.connect("user=a");
    kept.ask(r#"{"type":"join","room":"r"}"#);
    server.publish(r#"{"room":"r"}"#, "1");
    drop(server.connect("user=b"));
    server.until(|stats| stats["connections"]["live"] == 1);
    let samples = scrape(&server);
    let of = |name: &str| samples[&format!("headcount_{name}")] as u64;
    let closed: u64 = samples
        .iter()
        .filter(|(name, _)| name.starts_with("headcount_connections_closed_total{"))
        .map(|(_, count)| *count as u64)
        .sum();
    assert_eq!((of("connections_opened_total"), of("connections_live"), closed), (2, 1, 1));
    assert_eq!(of("connections_closed_total{reason=\"peer_gone\"}"), 1);
    assert_eq!((of("sessions_live"), of("users"), of("rooms")), (2, 2, 1));
    let delivery = &server.stats()["delivery"];
    for name in ["sent", "deferred", "stored", "gaps", "shed", "skipped", "acknowledged"] {
        assert_eq!(delivery[name], of(&format!("delivery_{name}_total")), "{name}");
    }
    assert_eq!(delivery["stored"], 1);
    for run in ["one", "two"] {
        let body = format!(r#"{{"user":"a","thread":"main","run":"{run}","agent":"x"}}"#);
        assert_eq!(server.post("/v1/runs", &body).status, 201);
    }
    let cancelled = r#"{"user":"a","event":"agent_cancelled"}"#;
    assert_eq!(server.post("/v1/runs/one/events", cancelled).status, 200);
    let (samples, runs) = (scrape(&server), &server.stats()["runs"]);
    let of = |name: &str| samples[&format!("headcount_{name}")] as u64;
    assert_eq!((of("runs_opened_total"), of("runs_open")), (2, 1));
    for end in
        ["completed", "failed", "cancelled", "interrupted", "silence", "length", "session_ended"]
    {
        let count = of(&format!("runs_ended_total{{end=\"{end}\"}}"));
        assert_eq!((count, &runs["ended"][end]), (u64::from(end == "cancelled"), &count.into()));
    }
    assert_eq!(of("draining"), 0);
    server.post("/v1/drain", r#"{"deadline_ms":600000}"#);
    assert_eq!(scrape(&server)["headcount_draining"], 1.0);
    assert_eq!(server.post("/metrics", "{}").status, 405);
}

#[test]
fn the_turns_of_the_loop_are_a_histogram() {
    let server = Server::start();
    drop(server.connect("user=a"));
    let samples = scrape(&server);
    let counts = samples.iter().filter_map(|(name, count)| {
        let bound =
            name.strip_prefix("headcount_turn_seconds_bucket{le=\"")?.strip_suffix("\"}")?;
        Some((bound.parse::<f64>().expect("a bound, or +Inf"), *count))
    });
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(counts.is_sorted_by_key(|(_, count)| *count), "they are cumulative");
    let all = samples["headcount_turn_seconds_count"];
    assert_eq!(counts.last(), Some(&(f64::INFINITY, all)));
    assert!(all > 0.0 && samples["headcount_turn_seconds_sum"] > 0.0);
}
