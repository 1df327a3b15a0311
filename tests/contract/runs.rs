//! Agent runs: the order of their events, their deadlines and bounds, and who gets what of them.

use core::time::Duration;

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, Message, Notice, OpenRunError, Recovered, Refused, Resume, RunEnd,
    RunEnded, RunError, RunEvent, RunEventKind, RunFailure, RunId, Target, Within,
};

use crate::support::{START, World, config, ms, secs, thread, user};

fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn open(world: &mut World, name: &str) -> Result<(), OpenRunError> {
    let (alice, main, run) = (user("alice"), thread("main"), run(name));
    let started = Bytes::from_static(b"go");
    world.registry.user(&alice).open_run(world.now, &main, &run, "agent", started).map(drop)
}

fn tell(world: &mut World, name: &str, event: RunEvent<'_>) -> Result<(), RunError> {
    let (alice, run) = (user("alice"), run(name));
    let told = world.registry.user(&alice).run_event(world.now, &run, &event).map(drop);
    world.check();
    told
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn executing(call: &str) -> RunEvent<'_> {
    RunEvent::ToolExecuting { call, expect: None, payload: bytes("tool") }
}

/// A call that may take so long.
fn executing_for(call: &str, expect: Duration) -> RunEvent<'_> {
    RunEvent::ToolExecuting { call, expect: Some(expect), payload: bytes("tool") }
}

fn completed(call: &str) -> RunEvent<'_> {
    RunEvent::ToolCompleted { call, payload: bytes("result") }
}

fn since(world: &World, conn: ConnId, offset: u64) -> Resume {
    let position = world.registry.session_position(world.session(conn)).unwrap();
    Resume { position: Some(headcount::Position { offset, ..position }), previous: None }
}

#[test]
fn the_five_events_reach_the_session_in_their_order() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    let other = world.tab("alice", "other");
    let stranger = world.tab("bob", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Thinking(bytes("hm"))).unwrap();
    tell(&mut world, "r", executing("c1")).unwrap();
    tell(&mut world, "r", completed("c1")).unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.settle();
    assert_eq!(
        world.seen(conn),
        [
            "r Started go",
            "r Thinking hm",
            "r ToolExecuting tool",
            "r ToolCompleted result",
            "r Completed done"
        ]
    );
    assert!(world.seen(other).is_empty() && world.seen(stranger).is_empty());
    let stats = world.registry.stats();
    assert_eq!((stats.runs_opened, stats.runs, stats.runs_ended(RunEnd::Completed)), (1, 0, 1));
}

#[test]
fn what_is_out_of_order_is_refused_and_leaves_nothing() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    assert_eq!(tell(&mut world, "r", RunEvent::Text("x")), Err(RunError::UnknownRun));
    open(&mut world, "r").unwrap();
    assert_eq!(open(&mut world, "r"), Err(OpenRunError::Exists { ended: None }));
    assert_eq!(tell(&mut world, "r", completed("c1")), Err(RunError::UnknownCall));
    assert_eq!(tell(&mut world, "r", executing("")), Err(RunError::BadCall));
    tell(&mut world, "r", executing("c1")).unwrap();
    assert_eq!(tell(&mut world, "r", executing("c1")), Err(RunError::CallUnderWay));
    assert_eq!(
        tell(&mut world, "r", RunEvent::Completed(bytes("done"))),
        Err(RunError::CallsUnderWay)
    );
    tell(&mut world, "r", RunEvent::Failed(bytes("it broke"))).unwrap();
    let ended = RunEnded { how: RunEnd::Failed, at: world.now };
    world.skip(secs(1));
    assert_eq!(tell(&mut world, "r", RunEvent::Text("x")), Err(RunError::Ended(ended)));
    assert_eq!(open(&mut world, "r"), Err(OpenRunError::Exists { ended: Some(ended) }));
    world.settle();
    assert_eq!(world.seen(conn), ["r Started go", "r ToolExecuting tool", "r Failed it broke"]);
}

#[test]
fn a_run_is_its_users_and_nobody_elses() {
    let mut world = World::new();
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    open(&mut world, "r").unwrap();
    let name = user("bob");
    let mut scope = world.registry.user(&name);
    let told = scope.run_event(world.now, &run("r"), &RunEvent::Text("mine now"));
    assert_eq!(told, Err(RunError::UnknownRun));
    assert!(scope.explain_run(&run("r")).is_none());
    assert!(scope.send(world.now, Within::Run(&run("r")), Message::text("hello")).nobody());
    assert_eq!(scope.close(world.now, Within::Run(&run("r")), CloseReason::Application), 0);
    assert_eq!(scope.connections().collect::<Vec<_>>(), [bob]);
    let opened = scope.open_run(world.now, &thread("main"), &run("r"), "agent", bytes("bob's"));
    assert!(opened.is_ok(), "names are unique within a user only");
    world.settle();
    assert_eq!(world.seen(alice), ["r Started go"]);
    assert_eq!(world.seen(bob), ["r Started bob's"]);
}

#[test]
fn text_is_joined_where_it_is_handed_out_exactly_for_any_cursor() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    for word in ["one ", "two ", "three"] {
        tell(&mut world, "r", RunEvent::Text(word)).unwrap();
    }
    world.settle();
    tell(&mut world, "r", RunEvent::Text(" four")).unwrap();
    world.settle();
    assert_eq!(world.seen(conn), ["r Started go", "r says one two three", "r says  four"]);
    // The first event is 1; each byte of the text has a place of its own.
    let resume = since(&world, conn, 1 + 4);
    let (again, _) = world.resume("alice", "main", resume.position.unwrap());
    world.settle();
    assert_eq!(world.seen(again), ["r says two three four"]);
}

#[test]
fn members_at_different_places_of_a_text_get_each_their_own_part() {
    let narrow = config().fanout_chunk(1);
    let mut world = World::with(narrow);
    let tabs = [world.tab("alice", "main"), world.tab("alice", "main")];
    open(&mut world, "r").unwrap();
    world.settle();
    tell(&mut world, "r", RunEvent::Text("one ")).unwrap();
    assert!(world.step().is_some(), "the first tab has it, and the second has not");
    // From here on both are served in one slice.
    world.registry.reload(world.now, config().fanout_chunk(512).build().unwrap());
    tell(&mut world, "r", RunEvent::Text("two")).unwrap();
    world.settle();
    assert_eq!(world.seen(tabs[0]), ["r Started go", "r says one ", "r says two"]);
    assert_eq!(world.seen(tabs[1]), ["r Started go", "r says one two"]);
}

#[test]
fn a_text_between_others_keeps_its_place() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Text("before ")).unwrap();
    tell(&mut world, "r", RunEvent::Progress(bytes("50%"))).unwrap();
    tell(&mut world, "r", RunEvent::Text("after")).unwrap();
    world.settle();
    assert_eq!(
        world.seen(conn),
        ["r Started go", "r says before ", "r Progress 50%", "r says after"]
    );
}

#[test]
fn an_offset_within_a_character_gets_the_whole_character() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Text("aäb")).unwrap();
    world.settle();
    let resume = since(&world, conn, 1 + 2);
    let (again, _) = world.resume("alice", "main", resume.position.unwrap());
    world.settle();
    assert_eq!(world.seen(again), ["r says äb"]);
}

#[test]
fn who_comes_later_gets_the_open_runs_from_their_start_and_nothing_else() {
    let mut world = World::new();
    let first = world.tab("alice", "main");
    world.tell_session(first, "long ago");
    open(&mut world, "over").unwrap();
    tell(&mut world, "over", RunEvent::Completed(bytes("done"))).unwrap();
    open(&mut world, "r").unwrap();
    world.tell_session(first, "meanwhile");
    tell(&mut world, "r", RunEvent::Text("so far")).unwrap();
    world.settle();
    let second = world.tab("alice", "main");
    let runs: Vec<_> = world.registry.open_runs(world.session(second)).collect();
    assert_eq!(runs, [(&run("r"), "agent")]);
    tell(&mut world, "r", RunEvent::Text(", so good")).unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.tell_session(first, "and now");
    world.settle();
    let seen = world.seen(second).join("|");
    assert_eq!(seen, "r Started go|r says so far, so good|r Completed done|and now");
}

#[test]
fn who_comes_later_is_told_what_was_trimmed_of_a_run_that_they_were_owed() {
    let mut world = World::with(config().window(64).stream_messages(1));
    open(&mut world, "kept").unwrap();
    open(&mut world, "over before").unwrap();
    tell(&mut world, "over before", RunEvent::Completed(bytes("done"))).unwrap();
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Thinking(bytes("1"))).unwrap();
    let late = world.tab("alice", "main");
    world.stall(late);
    tell(&mut world, "r", RunEvent::Completed(bytes("2"))).unwrap();
    world.tell_session(late, "now");
    for _ in 0..6 {
        world.flush(late);
        world.settle();
    }
    // The run that was over before the tab came is none of its business.
    assert_eq!(world.seen(late), ["kept Started go", "gap 4..=6", "now"]);
}

#[test]
fn who_comes_later_is_told_what_an_open_run_has_lost_of_its_beginning() {
    let mut world = World::with(config().user_bytes(380));
    let first = world.tab("alice", "main");
    world.tell_session(first, "long ago");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Thinking(bytes("hm"))).unwrap();
    world.settle();
    // The budget takes the message, and what the run began with.
    tell(&mut world, "r", RunEvent::Progress(Bytes::from(vec![b'x'; 200]))).unwrap();
    world.settle();
    let conn = world.reserve();
    let admitted = world.connect(conn, "alice", "main").unwrap();
    assert_eq!((admitted.position.offset, admitted.recovered), (1, Recovered::Fresh));
    world.settle();
    let seen = world.seen(conn);
    assert_eq!(seen[0], "gap 2..=2", "from where the run began, and no message is its business");
    assert_eq!((seen[1], seen.len()), ("r Thinking hm", 3));
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
        let _ = tell(&mut world, "long", RunEvent::Text("."));
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
    assert_eq!(tell(&mut world, "long", RunEvent::Text("x")), Err(RunError::Ended(ended)));
    let ended = RunEnded { how: RunEnd::Silence, at: START + secs(30) };
    assert_eq!(tell(&mut world, "silent", RunEvent::Text("x")), Err(RunError::Ended(ended)));
    let refusal = RunError::Ended(ended).to_string();
    assert!(refusal.contains("the server failed it: no event for run.silence"), "{refusal}");
}

/// When a run fails if nothing happens, as time since the world began, and why.
fn fails(world: &mut World, name: &str) -> Option<(Duration, RunFailure)> {
    let explained = world.registry.user(&user("alice")).explain_run(&run(name))?;
    explained.fails.map(|(at, failure)| (at.saturating_since(START), failure))
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
    let explained = world.registry.user(&user("alice")).explain_run(&run("r")).unwrap();
    let calls: Vec<_> = explained
        .calls
        .iter()
        .map(|it| (&*it.call, it.expected_by.map(|at| at.saturating_since(START))))
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
fn a_run_may_begin_before_its_user_is_there_and_outlives_their_absence() {
    let mut world = World::with(config().linger(secs(60)));
    open(&mut world, "r").unwrap();
    world.run(secs(100));
    let session = world.registry.session(&user("alice"), &thread("main")).unwrap();
    assert_eq!(world.registry.explain_session(session).unwrap().ends_at, None);
    tell(&mut world, "r", RunEvent::Text("hello")).unwrap();
    let conn = world.tab("alice", "main");
    world.settle();
    assert_eq!(world.seen(conn), ["r Started go", "r says hello"]);
    world.hang_up(conn);
    world.run(secs(100));
    tell(&mut world, "r", RunEvent::Cancelled(bytes(""))).unwrap();
    world.run(secs(59));
    assert_eq!(world.registry.stats().sessions, 1, "it lingers from the end of the run");
    world.run(secs(1) + ms(1));
    assert_eq!(world.registry.stats().sessions, 0);
    assert_eq!(world.registry.stats().runs_ended(RunEnd::Cancelled), 1);
}

#[test]
fn nobody_is_evicted_for_the_session_of_a_run() {
    let mut world = World::with(config().sessions_per_user(1));
    let conn = world.tab("alice", "other");
    let refused = open(&mut world, "r");
    assert!(
        matches!(refused, Err(OpenRunError::Session(Refused::SessionsPerUser { .. }))),
        "{refused:?}"
    );
    world.hang_up(conn);
    world.settle();
    open(&mut world, "r").unwrap();
}

#[test]
fn no_open_run_ends_for_the_session_of_another() {
    let mut world = World::with(config().sessions_per_user(1));
    open(&mut world, "r").unwrap();
    let (alice, other, run) = (user("alice"), thread("other"), run("other"));
    let opened =
        world.registry.user(&alice).open_run(world.now, &other, &run, "agent", bytes("go"));
    assert!(
        matches!(opened, Err(OpenRunError::Session(Refused::SessionsPerUser { .. }))),
        "{opened:?}"
    );
    tell(&mut world, "r", RunEvent::Text("still here")).unwrap();
}

#[test]
fn a_run_that_is_full_can_always_end() {
    let mut world = World::with(config().run_bytes(1_024).run_events(6));
    world.tab("alice", "main");
    open(&mut world, "events").unwrap();
    for _ in 0..4 {
        tell(&mut world, "events", RunEvent::Progress(bytes(""))).unwrap();
    }
    assert_eq!(tell(&mut world, "events", RunEvent::Progress(bytes(""))), Err(RunError::Full));
    tell(&mut world, "events", RunEvent::Completed(bytes(""))).unwrap();
    open(&mut world, "bytes").unwrap();
    tell(&mut world, "bytes", RunEvent::Text(&"x".repeat(600))).unwrap();
    assert_eq!(tell(&mut world, "bytes", RunEvent::Text(&"x".repeat(200))), Err(RunError::Full));
    tell(&mut world, "bytes", RunEvent::Failed(Bytes::from(vec![b'x'; 150]))).unwrap();
}

#[test]
fn a_call_beyond_those_that_may_be_under_way_is_refused_until_one_ends() {
    let mut world = World::with(config().run_calls(2));
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    for call in ["c1", "c2"] {
        tell(&mut world, "r", executing(call)).unwrap();
    }
    assert_eq!(tell(&mut world, "r", executing("c2")), Err(RunError::CallUnderWay));
    let alice = user("alice");
    let before = world.registry.user(&alice).explain_run(&run("r"));
    assert_eq!(tell(&mut world, "r", executing("c3")), Err(RunError::Calls));
    assert_eq!(world.registry.user(&alice).explain_run(&run("r")), before);
    tell(&mut world, "r", completed("c1")).unwrap();
    tell(&mut world, "r", executing("c3")).unwrap();
    // Calls that are under way when a reload lowers the limit end as they would have.
    world.registry.reload(world.now, config().run_calls(1).build().unwrap());
    tell(&mut world, "r", completed("c2")).unwrap();
    assert_eq!(tell(&mut world, "r", executing("c4")), Err(RunError::Calls));
    tell(&mut world, "r", completed("c3")).unwrap();
    tell(&mut world, "r", executing("c4")).unwrap();
    world.settle();
    assert_eq!(world.seen(conn).len(), 8, "what was refused has left nothing");
}

#[test]
fn an_open_run_counts_towards_no_bound_of_the_log_and_an_ended_one_does() {
    let mut world = World::with(config().stream_messages(2).stream_ttl(secs(10)));
    let conn = world.tab("alice", "main");
    world.answers(conn);
    let session = world.session(conn);
    open(&mut world, "r").unwrap();
    for number in 0..5 {
        tell(&mut world, "r", RunEvent::Progress(bytes("on"))).unwrap();
        world.tell_session(conn, &format!("message {number}"));
    }
    world.run(secs(20));
    assert_eq!(world.registry.explain_session(session).unwrap().entries, 6, "no message is left");
    tell(&mut world, "r", RunEvent::Completed(bytes(""))).unwrap();
    world.settle();
    assert_eq!(world.registry.explain_session(session).unwrap().entries, 2);
    world.run(secs(20));
    assert_eq!(world.registry.explain_session(session).unwrap().entries, 0);
    let alice = user("alice");
    assert!(world.registry.user(&alice).explain_run(&run("r")).is_none());
    open(&mut world, "r").unwrap();
}

#[test]
fn the_runs_of_a_session_that_ends_go_with_it() {
    let mut world = World::new();
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    world.registry.revoke(world.now, &user("alice"));
    world.check();
    assert_eq!(world.registry.stats().runs_ended(RunEnd::SessionEnded), 1);
    assert_eq!(tell(&mut world, "r", RunEvent::Text("x")), Err(RunError::UnknownRun));
}

#[test]
fn a_run_says_what_is_under_way_when_it_fails_and_where_it_ended() {
    let mut world = World::with(config().run_silence(secs(30)));
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", executing("c1")).unwrap();
    let alice = user("alice");
    let told = world.registry.user(&alice).explain_run(&run("r")).unwrap();
    assert_eq!((&*told.agent, told.first, told.ended, told.events), ("agent", 1, None, 2));
    assert_eq!(told.calls.iter().map(|it| &*it.call).collect::<Vec<_>>(), ["c1"]);
    assert_eq!(told.fails, Some((world.now + secs(30), RunFailure::Silence)));
    world.run(secs(31));
    let told = world.registry.user(&alice).explain_run(&run("r")).unwrap();
    assert_eq!((told.first, told.ended, told.fails), (1, Some(3), None));
    assert!(RunEventKind::Cancelled.is_terminal() && !RunEventKind::Progress.is_terminal());
}

#[test]
fn what_was_still_owed_of_a_run_comes_before_the_close() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Text("last words")).unwrap();
    world.registry.close(world.now, Target::Conn(conn), CloseReason::Application);
    world.settle();
    assert_eq!(world.seen(conn)[..3], ["r Started go", "r says last words", "close application"]);
}

#[test]
fn a_character_that_is_handed_out_again_is_charged_again() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Text("aäb")).unwrap();
    world.settle();
    let resume = since(&world, conn, 1 + 2);
    let (again, _) = world.resume("alice", "main", resume.position.unwrap());
    world.stall(again);
    world.settle();
    let load = world.registry.explain(again).unwrap().load;
    assert_eq!((load, world.seen(again)), (world.handed(again), vec!["r says äb"]));
}

#[test]
fn a_reload_that_trims_what_an_ended_run_left_forgets_the_run() {
    let mut world = World::with(config().window(100));
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.stall(conn);
    world.settle();
    world.tell_session(conn, "after");
    let shallow = config().window(100).stream_messages(1).build().unwrap();
    world.registry.reload(world.now, shallow);
    world.check();
    assert!(world.registry.user(&user("alice")).explain_run(&run("r")).is_none());
    open(&mut world, "r").unwrap();
}

#[test]
fn a_run_can_be_ended_whatever_a_reload_leaves_of_its_bounds() {
    let mut world = World::new();
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Progress(bytes("half"))).unwrap();
    world.registry.reload(world.now, config().run_events(2).build().unwrap());
    assert_eq!(tell(&mut world, "r", RunEvent::Failed(bytes("why"))), Err(RunError::Full));
    tell(&mut world, "r", RunEvent::Failed(bytes(""))).unwrap();
}

#[test]
fn the_last_words_are_as_old_as_the_last_of_them() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    for _ in 0..18 {
        tell(&mut world, "r", RunEvent::Text("on and on")).unwrap();
        world.settle();
        world.skip(secs(10));
    }
    let seen = world.registry.session_position(world.session(conn)).unwrap();
    world.hang_up(conn);
    tell(&mut world, "r", RunEvent::Text("the last words")).unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.skip(secs(1));
    let (again, admitted) = world.resume("alice", "main", seen);
    world.settle();
    assert_eq!(admitted.recovered, Recovered::All);
    assert_eq!(world.seen(again).len(), 2, "{:?}", world.seen(again));
}

#[test]
fn a_full_run_still_gives_signs_of_life() {
    let mut world = World::with(config().run_events(3));
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Thinking(bytes("hm"))).unwrap();
    assert_eq!(tell(&mut world, "r", RunEvent::Thinking(bytes("hm"))), Err(RunError::Full));
    world.skip(secs(119));
    tell(&mut world, "r", RunEvent::Text("")).unwrap();
    world.skip(secs(119));
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
}
