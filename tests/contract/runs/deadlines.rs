//! How long a run may be silent, and how long it may last.

use core::time::Duration;

use headcount::{Notice, RunEnd, RunEnded, RunError, RunEvent, RunFailure};

use crate::support::{START, World, config, secs, user};

use super::{bytes, completed, executing, open, run, tell};

/// A call that may take so long.
fn executing_for(call: &str, expect: Duration) -> RunEvent<'_> {
    RunEvent::ToolExecuting { call, expect: Some(expect), payload: bytes("tool") }
}

#[test]
fn a_run_that_is_silent_or_too_long_is_failed_with_a_fact() {
    let mut world = World::with(config().run_silence(secs(30)).run_max_length(secs(100)));
    let conn = world.tab("alice", "main");
    world.answers(conn);
    open(&mut world, "silent").unwrap();
    open(&mut world, "long").unwrap();
    world.notices();
    for _ in 0..5 {
        world.run(secs(20));
        let _ = tell(&mut world, "long", RunEvent::text("."));
    }
    world.run(secs(20));
    let seen = world.seen(conn).join("|");
    assert!(seen.contains("silent Failed Silence"), "{seen}");
    assert!(seen.contains("long Failed Length"), "{seen}");
    let ends: Vec<_> = world
        .notices()
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::RunEnded { end, lasted, .. } => Some((end, lasted)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(RunEnd::Silence, secs(30)), (RunEnd::Length, secs(100))]);
    let ended = RunEnded { how: RunEnd::Length, at: START + secs(100) };
    assert_eq!(tell(&mut world, "long", RunEvent::text("x")), Err(RunError::Ended(ended)));
    let ended = RunEnded { how: RunEnd::Silence, at: START + secs(30) };
    assert_eq!(tell(&mut world, "silent", RunEvent::text("x")), Err(RunError::Ended(ended)));
    let refusal = RunError::Ended(ended).to_string();
    assert!(refusal.contains("the server failed it: no event for run.silence"), "{refusal}");
}

/// When a run fails if nothing happens, as time since the world began, and why.
fn fails(world: &mut World, name: &str) -> Option<(Duration, RunFailure)> {
    let explained = world.registry.run(&user("alice"), &run(name))?;
    explained.fails().map(|(at, failure)| (at.saturating_since(START), failure))
}

#[test]
fn a_call_under_way_is_no_silence_as_long_as_it_was_expected_to_take() {
    let mut world = World::with(config().run_silence(secs(120)));
    open(&mut world, "r").unwrap();
    world.run(secs(10));
    tell(&mut world, "r", executing_for("build", secs(600))).unwrap();
    let silence = |secs| Some((secs, RunFailure::Silence));
    assert_eq!(fails(&mut world, "r"), silence(secs(10 + 600 + 120)));
    world.run(secs(600 + 119));
    tell(&mut world, "r", completed("build")).unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    // One that takes longer still has failed by then.
    open(&mut world, "slow").unwrap();
    tell(&mut world, "slow", executing_for("build", secs(600))).unwrap();
    world.run(secs(600 + 120));
    let late = tell(&mut world, "slow", completed("build"));
    assert!(
        matches!(late, Err(RunError::Ended(RunEnded { how: RunEnd::Silence, .. }))),
        "{late:?}"
    );
}

#[test]
fn without_an_expectation_a_call_is_an_event_like_others() {
    let mut world = World::with(config().run_silence(secs(120)));
    open(&mut world, "r").unwrap();
    world.run(secs(10));
    tell(&mut world, "r", executing("build")).unwrap();
    assert_eq!(fails(&mut world, "r"), Some((secs(10 + 120), RunFailure::Silence)));
}

#[test]
fn the_latest_of_all_calls_counts_and_with_its_end_the_deadline_comes_nearer() {
    let mut world = World::with(config().run_silence(secs(120)));
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", executing_for("long", secs(3_000))).unwrap();
    tell(&mut world, "r", executing_for("short", secs(200))).unwrap();
    tell(&mut world, "r", executing("unknown")).unwrap();
    world.run(secs(5));
    let explained = world.registry.run(&user("alice"), &run("r")).unwrap();
    let calls: Vec<_> = explained
        .calls()
        .map(|it| (it.call, it.expected_by.map(|at| at.saturating_since(START))))
        .collect();
    let expected = [("long", Some(secs(3_000))), ("short", Some(secs(200))), ("unknown", None)];
    assert_eq!(calls, expected);
    tell(&mut world, "r", completed("long")).unwrap();
    assert_eq!(fails(&mut world, "r"), Some((secs(200 + 120), RunFailure::Silence)));
    assert!(world.timeout() <= START + secs(320), "armed again");
    tell(&mut world, "r", completed("short")).unwrap();
    assert_eq!(fails(&mut world, "r"), Some((secs(5 + 120), RunFailure::Silence)));
    world.run(secs(120));
    assert_eq!(world.registry.stats().runs_ended(RunEnd::Silence), 1);
}

#[test]
fn an_expectation_does_not_go_beyond_the_length_of_a_run() {
    let limits = config().run_silence(secs(120)).run_max_length(secs(3_600));
    let mut world = World::with(limits);
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", executing_for("build", Duration::MAX)).unwrap();
    assert_eq!(fails(&mut world, "r"), Some((secs(3_600), RunFailure::Length)));
    world.run(secs(3_600));
    assert_eq!(world.registry.stats().runs_ended(RunEnd::Length), 1);
    // Without one it may take as long as it likes, and the session is free to end it.
    let mut world = World::with(config().run_silence(secs(120)).run_max_length(secs(0)));
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", executing_for("build", Duration::MAX)).unwrap();
    assert_eq!(fails(&mut world, "r"), None);
    world.run(secs(100_000));
    assert_eq!(world.registry.poll_timeout(), None, "nothing to wake up for, not even early");
    tell(&mut world, "r", completed("build")).unwrap();
    assert_eq!(fails(&mut world, "r"), Some((secs(100_120), RunFailure::Silence)));
}

#[test]
fn a_pause_of_the_process_moves_what_a_call_is_expected_to_take() {
    let mut world = World::with(
        config().run_silence(secs(120)).run_max_length(secs(0)).pause_threshold(secs(5)),
    );
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", executing_for("build", secs(600))).unwrap();
    world.notices();
    world.skip(secs(5_000));
    let lasted = world.notices().into_iter().find_map(|notice| match notice {
        Notice::Paused { lasted } => Some(lasted),
        _ => None,
    });
    let lasted = lasted.expect("a pause");
    assert_eq!(fails(&mut world, "r"), Some((secs(720) + lasted, RunFailure::Silence)));
}

#[test]
fn a_full_run_still_gives_signs_of_life() {
    let mut world = World::with(config().run_events(3));
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Thinking(bytes("hm"))).unwrap();
    assert_eq!(tell(&mut world, "r", RunEvent::Thinking(bytes("hm"))), Err(RunError::Full));
    world.skip(secs(119));
    tell(&mut world, "r", RunEvent::text("")).unwrap();
    world.skip(secs(119));
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
}
