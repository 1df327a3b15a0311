//! Agent runs: the order of their events, their deadlines and bounds, and who gets what of them.

mod deadlines;
mod late_joiners;
mod lingering;
mod parts;
mod requests;

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, Message, OpenRunError, PartKind, Recovered, Refused, RunEnd, RunEnded,
    RunError, RunEvent, RunEventKind, RunFailure, RunId, RunState, Target, Within,
};

use crate::support::{World, config, ms, secs, thread, user};

fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn open(world: &mut World, name: &str) -> Result<(), OpenRunError> {
    let (alice, main, run) = (user("alice"), thread("main"), run(name));
    let started = Bytes::from_static(b"go");
    world.registry.scope(&alice).open_run(world.now, &main, &run, "agent", started).map(drop)
}

fn tell(world: &mut World, name: &str, event: RunEvent<'_>) -> Result<(), RunError> {
    let (alice, run) = (user("alice"), run(name));
    let told = world.registry.scope(&alice).run_event(world.now, &run, &event).map(drop);
    world.check();
    told
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn executing(call: &str) -> RunEvent<'_> {
    RunEvent::ToolExecuting { call, expect: None, payload: bytes("tool") }
}

fn completed(call: &str) -> RunEvent<'_> {
    RunEvent::ToolCompleted { call, payload: bytes("result") }
}

fn since(world: &World, conn: ConnId, offset: u64) -> headcount::Position {
    let position = world.registry.session(world.session(conn)).unwrap().position();
    headcount::Position { offset, ..position }
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
    assert_eq!(tell(&mut world, "r", RunEvent::text("x")), Err(RunError::UnknownRun));
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
    assert_eq!(tell(&mut world, "r", RunEvent::text("x")), Err(RunError::Ended(ended)));
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
    let mut scope = world.registry.scope(&name);
    let told = scope.run_event(world.now, &run("r"), &RunEvent::text("mine now"));
    assert_eq!(told, Err(RunError::UnknownRun));
    assert!(scope.run(&run("r")).is_none());
    assert!(scope.send(world.now, Within::Run(&run("r")), Message::text("hello")).reaches_none());
    assert_eq!(scope.close(world.now, Within::Run(&run("r")), CloseReason::Application), 0);
    assert!(scope.view().unwrap().connections().map(|it| it.id()).eq([bob]));
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
        tell(&mut world, "r", RunEvent::text(word)).unwrap();
    }
    world.settle();
    tell(&mut world, "r", RunEvent::text(" four")).unwrap();
    world.settle();
    assert_eq!(world.seen(conn), ["r Started go", "r says one two three", "r says  four"]);
    // The first event is 1; each byte of the text has a place of its own.
    let since = since(&world, conn, 1 + 4);
    let (again, _) = world.resume("alice", "main", since);
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
    tell(&mut world, "r", RunEvent::text("one ")).unwrap();
    assert!(world.step().is_some(), "the first tab has it, and the second has not");
    // From here on both are served in one slice.
    world.registry.reload(world.now, config().fanout_chunk(512).build().unwrap());
    tell(&mut world, "r", RunEvent::text("two")).unwrap();
    world.settle();
    assert_eq!(world.seen(tabs[0]), ["r Started go", "r says one ", "r says two"]);
    assert_eq!(world.seen(tabs[1]), ["r Started go", "r says one two"]);
}

#[test]
fn a_text_between_others_keeps_its_place() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::text("before ")).unwrap();
    tell(&mut world, "r", RunEvent::Progress(bytes("50%"))).unwrap();
    tell(&mut world, "r", RunEvent::text("after")).unwrap();
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
    tell(&mut world, "r", RunEvent::text("aäb")).unwrap();
    world.settle();
    let since = since(&world, conn, 1 + 2);
    let (again, _) = world.resume("alice", "main", since);
    world.settle();
    assert_eq!(world.seen(again), ["r says äb"]);
}

#[test]
fn a_run_may_begin_before_its_user_is_there_and_outlives_their_absence() {
    let mut world = World::with(config().session_linger(secs(60)));
    open(&mut world, "r").unwrap();
    world.run(secs(100));
    let session = world
        .registry
        .user(&user("alice"))
        .and_then(|it| it.session(&thread("main")))
        .map(|it| it.id())
        .unwrap();
    assert_eq!(world.registry.session(session).unwrap().ends_at(), None);
    tell(&mut world, "r", RunEvent::text("hello")).unwrap();
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
        world.registry.scope(&alice).open_run(world.now, &other, &run, "agent", bytes("go"));
    assert!(
        matches!(opened, Err(OpenRunError::Session(Refused::SessionsPerUser { .. }))),
        "{opened:?}"
    );
    tell(&mut world, "r", RunEvent::text("still here")).unwrap();
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
    tell(&mut world, "bytes", RunEvent::text(&"x".repeat(600))).unwrap();
    assert_eq!(tell(&mut world, "bytes", RunEvent::text(&"x".repeat(200))), Err(RunError::Full));
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
    let calls = |world: &World| -> Vec<_> {
        let shown = world.registry.run(&alice, &run("r")).unwrap();
        shown.calls().map(|it| it.call.to_owned()).collect()
    };
    let before = (calls(&world), world.registry.fingerprint());
    assert_eq!(tell(&mut world, "r", executing("c3")), Err(RunError::Calls));
    assert_eq!((calls(&world), world.registry.fingerprint()), before);
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
    assert_eq!(world.registry.session(session).unwrap().entries(), 6, "no message is left");
    tell(&mut world, "r", RunEvent::Completed(bytes(""))).unwrap();
    world.settle();
    assert_eq!(world.registry.session(session).unwrap().entries(), 2);
    world.run(secs(20));
    assert_eq!(world.registry.session(session).unwrap().entries(), 0);
    let alice = user("alice");
    assert!(world.registry.run(&alice, &run("r")).is_none());
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
    assert_eq!(tell(&mut world, "r", RunEvent::text("x")), Err(RunError::UnknownRun));
}

#[test]
fn a_run_says_what_is_under_way_when_it_fails_and_where_it_ended() {
    let mut world = World::with(config().run_silence(secs(30)));
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", executing("c1")).unwrap();
    let alice = user("alice");
    let told = world.registry.run(&alice, &run("r")).unwrap();
    assert_eq!(
        (told.agent(), told.first(), told.end_offset(), told.events()),
        ("agent", 1, None, 2)
    );
    assert_eq!(told.calls().map(|it| it.call).collect::<Vec<_>>(), ["c1"]);
    assert_eq!(told.fails(), Some((world.now + secs(30), RunFailure::Silence)));
    world.run(secs(31));
    let told = world.registry.run(&alice, &run("r")).unwrap();
    assert_eq!((told.first(), told.end_offset(), told.fails()), (1, Some(3), None));
    assert!(RunEventKind::Cancelled.is_terminal() && !RunEventKind::Progress.is_terminal());
}

#[test]
fn what_was_still_owed_of_a_run_comes_before_the_close() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::text("last words")).unwrap();
    world.registry.close(world.now, Target::Conn(conn), CloseReason::Application);
    world.settle();
    assert_eq!(world.seen(conn)[..3], ["r Started go", "r says last words", "close application"]);
}

#[test]
fn a_character_that_is_handed_out_again_is_charged_again() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::text("aäb")).unwrap();
    world.settle();
    let since = since(&world, conn, 1 + 2);
    let (again, _) = world.resume("alice", "main", since);
    world.stall(again);
    world.settle();
    let load = world.registry.connection(again).unwrap().load();
    assert_eq!((load, world.seen(again)), (world.handed(again), vec!["r says äb"]));
}

#[test]
fn a_reload_that_trims_what_an_ended_run_left_forgets_the_run() {
    let mut world = World::with(config().send_window(100));
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.stall(conn);
    world.settle();
    world.tell_session(conn, "after");
    let shallow = config().send_window(100).stream_messages(1).build().unwrap();
    world.registry.reload(world.now, shallow);
    world.check();
    assert!(world.registry.run(&user("alice"), &run("r")).is_none());
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
        tell(&mut world, "r", RunEvent::text("on and on")).unwrap();
        world.settle();
        world.skip(secs(10));
    }
    let seen = world.registry.session(world.session(conn)).unwrap().position();
    world.hang_up(conn);
    tell(&mut world, "r", RunEvent::text("the last words")).unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.skip(secs(1));
    let (again, admitted) = world.resume("alice", "main", seen);
    world.settle();
    assert_eq!(admitted.recovered, Recovered::All);
    assert_eq!(world.seen(again).len(), 2, "{:?}", world.seen(again));
}

#[test]
fn a_call_has_a_name_of_as_many_bytes_as_others_and_its_room_counts() {
    let mut world = World::with(config().run_bytes(1_024));
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    let long = "c".repeat(headcount::MAX_ID_BYTES);
    assert_eq!(tell(&mut world, "r", executing(&format!("{long}c"))), Err(RunError::BadCall));
    assert_eq!(tell(&mut world, "r", executing("")), Err(RunError::BadCall));
    tell(&mut world, "r", executing(&long)).unwrap();
    // A fourth is for the end. Of the rest a call takes 128 bytes for its name, also for a short one.
    let taken = [64 + 2, 64 + 4 + 128].iter().sum::<usize>();
    let call = |payload: usize| RunEvent::ToolExecuting {
        call: "c",
        expect: None,
        payload: Bytes::from(vec![b'x'; payload]),
    };
    let left = 768 - taken - 64 - 128;
    assert_eq!(tell(&mut world, "r", call(left + 1)), Err(RunError::Full));
    tell(&mut world, "r", call(left)).unwrap();
}

#[test]
fn the_text_of_a_run_has_room_to_the_byte() {
    // A fourth is for the end, and at most 4 KiB.
    for (bytes, share) in [(1_024, 256), (12 * 1_024, 3 * 1_024), (64 * 1_024, 4 * 1_024)] {
        let mut world = World::with(config().run_bytes(bytes));
        world.tab("alice", "main");
        open(&mut world, "r").unwrap();
        let left = (bytes - share - (64 + 2) - 64) as usize;
        let too_long = "x".repeat(left + 1);
        assert_eq!(tell(&mut world, "r", RunEvent::text(&too_long)), Err(RunError::Full));
        tell(&mut world, "r", RunEvent::text(&too_long[1..])).unwrap();
        tell(&mut world, "r", RunEvent::Failed(Bytes::from(too_long[..100].to_owned()))).unwrap();
    }
}

#[test]
fn states_kinds_and_failures_print_as_their_stable_names() {
    let states = [RunState::Requested, RunState::Open, RunState::Ended];
    assert_eq!(states.map(|it| it.to_string()), ["requested", "open", "ended"]);
    let failures = [RunFailure::Silence, RunFailure::Length];
    assert_eq!(failures.map(|it| it.to_string()), failures.map(RunFailure::name));
    assert_eq!(failures.map(RunFailure::name), ["silence", "length"]);
    assert_eq!(RunEventKind::Thinking.to_string(), RunEventKind::Thinking.name());
    assert_eq!(RunEventKind::Thinking.name(), "thinking");
    let kinds = PartKind::ALL.map(|kind| kind.to_string());
    assert_eq!(kinds, ["text", "reasoning", "tool_arguments"]);
}
