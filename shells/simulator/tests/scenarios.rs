//! What each ready scenario claims, in a small size; and that the same seed is the same run.

use headcount::CloseReason;
use headcount_simulator::{READY, Report, Scenario, scenario, simulate};

fn run(name: &str, percent: u32, seed: u64) -> Report {
    let scenario = scenario(name, None).expect("a ready scenario").scaled(percent);
    let report = simulate(&scenario, seed, &mut |_| {});
    assert!(report.is_sound(), "{name}: {report}");
    report
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    for (name, _) in READY {
        let percent = match *name {
            "million" => continue,
            "half-open-30" | "deploy-storm" => 2,
            _ => 10,
        };
        let (first, again) = (run(name, percent, 7), run(name, percent, 7));
        assert_eq!(first.to_string(), again.to_string(), "{name}");
        assert_eq!(first.plot(), again.plot(), "{name}");
        let other = run(name, percent, 8);
        // The seed itself is in the report: the rest must differ too.
        let other = other.to_string().replace("seed 8", "seed 7");
        assert_ne!(first.to_string(), other, "{name}");
    }
}

/// A hundredth of the million, so that the ready scenario itself is known to work.
#[test]
fn million_runs_small() {
    let report = run("million", 1, 1);
    assert_eq!(report.connected_at_end("nobody"), None);
    assert!(report.connected_at_end("tabs").unwrap() > 9_000, "{report}");
}

#[test]
fn half_open_30_locks_nobody_out() {
    for seed in 1..=3 {
        let report = run("half-open-30", 5, seed);
        for group in ["phones", "phones that name nothing"] {
            assert_eq!(report.longest_lock_out(group), Some(0), "{report}");
        }
        assert_eq!(report.locked_out_at_end(), 0);
        // Who names the connection they had loses none of their tabs by it.
        assert_eq!(report.closed("phones", CloseReason::Evicted), Some(0), "{report}");
        assert_eq!(report.connected_at_end("phones"), Some(500), "{report}");
    }
}

#[test]
fn deploy_storm_spreads_its_reconnects() {
    for seed in 1..=3 {
        let report = run("deploy-storm", 10, seed);
        let busiest = |incident| report.busiest_second_after(incident).unwrap();
        let (first, second, crash) = (busiest(0), busiest(1), busiest(2));
        // A thousand clients over a minute: 17 in an even second.
        assert!(first.max(second) <= 70, "{report}");
        assert!(crash >= 3 * first.max(second), "{report}");
        assert_eq!(report.connected_at_end("tabs"), Some(1_000));
        assert_eq!(report.locked_out_at_end(), 0);
        assert_eq!(report.gaps("tabs"), Some(0), "{report}");
    }
}

#[test]
fn slow_readers_cost_bounded_memory_and_nobody_else_notices() {
    let report = run("slow-reader", 20, 1);
    assert_eq!(report.gaps("healthy"), Some(0), "{report}");
    assert_eq!(report.connected_at_end("healthy"), Some(200), "{report}");
    assert!(report.gaps("slow").unwrap() > 0, "{report}");
    // 120 sessions whose logs hold 256 KiB each.
    assert!(report.peak_logged() <= 120 * 256 * 1024, "{report}");
}

#[test]
fn a_tab_flood_closes_no_tab_of_another_user() {
    for seed in 1..=3 {
        let report = run("tab-flood", 10, seed);
        assert_eq!(report.connected_at_end("neighbours"), Some(400), "{report}");
        for reason in CloseReason::ALL {
            assert_eq!(report.closed("neighbours", *reason), Some(0), "{reason:?}: {report}");
        }
        assert!(report.closed("flooder", CloseReason::Evicted).unwrap() > 100, "{report}");
        assert!(report.connected_at_end("flooder").unwrap() <= 16, "{report}");
    }
}

#[test]
fn every_reader_of_an_agent_ends_with_the_whole_stream() {
    for seed in 1..=3 {
        let report = run("agent-stream", 25, seed);
        let (owed, whole, broken) = report.streams();
        assert!(owed > 900, "{report}");
        assert_eq!((whole, broken), (owed, 0), "{report}");
    }
}

#[test]
fn the_old_rules_lock_out_and_these_do_not() {
    for seed in 1..=3 {
        let report = run("origin-incident", 20, seed);
        assert_eq!(report.locked_out_at_end_by_old_rules(), Some(30), "all of them: {report}");
        assert_eq!(report.locked_out_at_end(), 0, "{report}");
        assert_eq!(report.longest_lock_out("users"), Some(0), "{report}");
        assert_eq!(report.closed("users", CloseReason::Evicted), Some(0), "{report}");
    }
}

fn incidents(incidents: &str) -> Report {
    let text = format!(
        "about = \"incidents\"\nlength = \"5m\"\n[server.set]\n\"drain.deadline\" = \"20s\"\n\
         [[clients]]\nname = \"tabs\"\nusers = 200\nover = \"20s\"\n\
         [[traffic]]\nclients = \"tabs\"\nper_minute = 1200\nbytes = 100\n{incidents}"
    );
    let scenario = Scenario::parse(&text, "incidents.toml").unwrap();
    let report = simulate(&scenario, 1, &mut |_| {});
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.connected_at_end("tabs"), Some(200), "{report}");
    report
}

#[test]
fn a_deploy_without_overlap_refuses_until_the_next_server_is_there() {
    let report = incidents("[[incidents]]\nat = \"1m\"\nwhat = \"deploy\"\ndowntime = \"5s\"\n");
    assert!(report.longest_lock_out("tabs").unwrap() > 5_000, "{report}");
    assert_eq!(report.locked_out_at_end(), 0, "{report}");
}

#[test]
fn a_clock_that_jumps_closes_nobody() {
    for jump in ["forward", "backward"] {
        let report =
            incidents(&format!("[[incidents]]\nat = \"1m\"\nwhat = \"clock\"\n{jump} = \"2m\"\n"));
        for reason in CloseReason::ALL {
            assert_eq!(report.closed("tabs", *reason), Some(0), "{jump}, {reason:?}: {report}");
        }
    }
}

#[test]
fn peers_that_answer_no_pings_are_given_up() {
    let text = "about = \"dumb\"\nlength = \"2m\"\n[[clients]]\nname = \"dumb\"\nusers = 10\n\
                answers = false\n";
    let scenario = Scenario::parse(text, "dumb.toml").unwrap();
    let report = simulate(&scenario, 1, &mut |_| {});
    assert!(report.is_sound(), "{report}");
    assert!(report.closed("dumb", CloseReason::PongTimeout).unwrap() >= 20, "{report}");
}
