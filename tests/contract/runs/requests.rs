//! What clients ask of agents: runs, and the ends of them.

use headcount::{
    ConnId, Delivery, Inbound, Notice, OpenRunError, OpenedRun, RequestCancelError,
    RequestRunError, RunEnd, RunEnded, RunError, RunEvent, RunState, RunView, Timestamp,
};

use crate::support::{World, config, secs, thread, user};

use super::{bytes, executing, open, run, tell};

fn request(world: &mut World, conn: ConnId, name: &str) -> Result<OpenedRun, RequestRunError> {
    let asked = world.registry.request_run(world.now, conn, None, &run(name), bytes("why?"));
    world.check();
    asked
}

fn cancel(world: &mut World, conn: ConnId, name: &str) -> Result<Delivery, RequestCancelError> {
    let asked = world.registry.request_cancel(world.now, conn, &run(name), bytes("enough"));
    world.check();
    asked
}

fn view<'a>(world: &'a World, name: &str) -> RunView<'a> {
    world.registry.run(&user("alice"), &run(name)).unwrap()
}

#[test]
fn a_request_is_seen_by_all_tabs_and_opened_under_the_same_name() {
    let mut world = World::new();
    let (asking, other) = (world.tab("alice", "main"), world.tab("alice", "main"));
    let strangers = [world.tab("alice", "other"), world.tab("bob", "main")];
    let asked = request(&mut world, asking, "r").unwrap();
    assert_eq!((asked.session, asked.delivery.live), (world.session(asking), 2));
    let shown = view(&world, "r");
    assert_eq!((shown.state(), shown.agent(), shown.first()), (RunState::Requested, "", 1));
    world.skip(secs(1));
    open(&mut world, "r").unwrap();
    let shown = view(&world, "r");
    assert_eq!((shown.state(), shown.agent(), shown.first()), (RunState::Open, "agent", 1));
    assert_eq!((shown.age(), shown.events()), (secs(1), 2), "it goes on as what it was");
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    assert_eq!(view(&world, "r").state(), RunState::Ended);
    world.settle();
    for conn in [asking, other] {
        assert_eq!(world.seen(conn), ["r Requested why?", "r Started go", "r Completed done"]);
    }
    assert!(strangers.iter().all(|conn| world.seen(*conn).is_empty()));
    let stats = world.registry.stats();
    assert_eq!((stats.runs_opened, stats.runs_requested, stats.runs), (1, 1, 0));
    let notices: Vec<_> = core::iter::from_fn(|| world.registry.poll_notice()).collect();
    let session = world.session(asking);
    let requested = notices.iter().position(|it| *it == Notice::RunRequested { session });
    let opened = notices.iter().position(|it| *it == Notice::RunOpened { session });
    assert!(requested.is_some() && requested < opened, "{notices:?}");
}

#[test]
fn the_application_opens_what_was_requested_or_ends_it_and_nothing_else() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    for name in ["failed", "cancelled", "opened"] {
        request(&mut world, conn, name).unwrap();
        for event in [
            RunEvent::Thinking(bytes("hm")),
            executing("c"),
            RunEvent::Progress(bytes("1")),
            RunEvent::text("hello"),
            RunEvent::text(""),
            RunEvent::Completed(bytes("done")),
            RunEvent::Interrupted(bytes("may I?")),
        ] {
            assert_eq!(tell(&mut world, name, event), Err(RunError::NotOpened));
        }
    }
    tell(&mut world, "failed", RunEvent::Failed(bytes("no"))).unwrap();
    tell(&mut world, "cancelled", RunEvent::Cancelled(bytes("never"))).unwrap();
    open(&mut world, "opened").unwrap();
    tell(&mut world, "opened", RunEvent::text("hello")).unwrap();
    assert_eq!(open(&mut world, "opened"), Err(OpenRunError::Exists { ended: None }));
    let ended = RunEnded { how: RunEnd::Failed, at: world.now };
    assert_eq!(open(&mut world, "failed"), Err(OpenRunError::Exists { ended: Some(ended) }));
}

#[test]
fn a_request_is_opened_in_its_own_thread_and_within_its_own_bounds() {
    let mut world = World::with(config().run_bytes(1_200));
    let conn = world.tab("alice", "main");
    let _ = world.tab("alice", "other");
    let room = 1_200 - 300 - 2 * headcount::MESSAGE_OVERHEAD as usize;
    let input = vec![b'x'; room - 10];
    world.registry.request_run(world.now, conn, None, &run("r"), input.into()).unwrap();
    let alice = user("alice");
    let mut open = |thread_name: &str, bytes: usize| {
        let (thread, payload) = (thread(thread_name), vec![b'y'; bytes].into());
        let mut scope = world.registry.scope(&alice);
        scope.open_run(world.now, &thread, &run("r"), "agent", payload).map(drop)
    };
    assert_eq!(open("other", 0), Err(OpenRunError::OtherThread));
    assert_eq!(open("absent", 0), Err(OpenRunError::OtherThread));
    assert_eq!(open("main", 11), Err(OpenRunError::Full));
    assert_eq!(open("main", 10), Ok(()));
    world.check();
}

#[test]
fn a_request_that_no_agent_takes_on_fails_by_itself() {
    for (silence, length, how) in [(20, 0, RunEnd::Silence), (0, 30, RunEnd::Length)] {
        let times = config().run_silence(secs(silence)).run_max_length(secs(length));
        let times = times.ping_interval(secs(0));
        let mut world = World::with(times);
        let conn = world.tab("alice", "main");
        request(&mut world, conn, "r").unwrap();
        assert!(view(&world, "r").fails().is_some());
        world.run(secs(silence + length) - secs(1));
        assert_eq!(world.registry.stats().runs, 1);
        world.run(secs(1));
        let stats = world.registry.stats();
        assert_eq!((stats.runs, stats.runs_ended(how)), (0, 1));
        assert_eq!(world.seen(conn)[1], format!("r Failed {} ", failure(how)));
    }
}

fn failure(how: RunEnd) -> &'static str {
    if how == RunEnd::Silence { "Silence" } else { "Length" }
}

#[test]
fn a_request_takes_a_place_among_the_runs_of_its_session() {
    let mut world = World::with(config().runs_per_session(2));
    let conn = world.tab("alice", "main");
    request(&mut world, conn, "one").unwrap();
    open(&mut world, "two").unwrap();
    assert_eq!(request(&mut world, conn, "three"), Err(RequestRunError::Runs));
    assert_eq!(open(&mut world, "three"), Err(OpenRunError::Runs));
    open(&mut world, "one").unwrap();
    tell(&mut world, "two", RunEvent::Failed(bytes("no"))).unwrap();
    request(&mut world, conn, "three").unwrap();
}

#[test]
fn what_can_not_be_requested_changes_nothing() {
    let mut world = World::with(config().run_bytes(1_200));
    let conn = world.tab("alice", "main");
    open(&mut world, "open").unwrap();
    request(&mut world, conn, "asked").unwrap();
    open(&mut world, "over").unwrap();
    tell(&mut world, "over", RunEvent::Completed(bytes("done"))).unwrap();
    let ended = Some(RunEnded { how: RunEnd::Completed, at: world.now });
    for (name, ended) in [("open", None), ("asked", None), ("over", ended)] {
        assert_eq!(request(&mut world, conn, name), Err(RequestRunError::Exists { ended }));
    }
    let (now, name) = (world.now, run("r"));
    let mut ask = |conn: ConnId, thread_name: Option<&str>, bytes: usize| {
        let thread = thread_name.map(thread);
        let input = vec![b'x'; bytes].into();
        world.registry.request_run(now, conn, thread.as_ref(), &name, input).map(drop)
    };
    assert_eq!(ask(conn, Some("other"), 0), Err(RequestRunError::NotInThread));
    assert_eq!(ask(conn, None, 1_200 - 300 - 63), Err(RequestRunError::Full));
    assert_eq!(ask(conn, Some("main"), 1_200 - 300 - 64), Ok(()));
    world.hang_up(conn);
    assert_eq!(request(&mut world, conn, "late"), Err(RequestRunError::UnknownConn));
    assert_eq!(world.registry.stats().runs_requested, 2);
}

#[test]
fn a_wish_to_cancel_is_told_once_and_changes_nothing_else() {
    let mut world = World::with(config().run_silence(secs(20)));
    let (asking, other) = (world.tab("alice", "main"), world.tab("alice", "main"));
    open(&mut world, "r").unwrap();
    let fails = view(&world, "r").fails();
    world.skip(secs(5));
    assert_eq!(cancel(&mut world, asking, "r").unwrap().live, 2);
    for conn in [asking, other] {
        assert!(cancel(&mut world, conn, "r").unwrap().reaches_none(), "once is enough");
    }
    let shown = view(&world, "r");
    assert_eq!((shown.state(), shown.is_cancel_requested()), (RunState::Open, true));
    assert_eq!((shown.fails(), shown.events()), (fails, 2), "it is no sign of life of the agent");
    tell(&mut world, "r", RunEvent::text("on it")).unwrap();
    tell(&mut world, "r", RunEvent::Cancelled(bytes("stopped"))).unwrap();
    assert!(view(&world, "r").is_cancel_requested());
    let ended = RunEnded { how: RunEnd::Cancelled, at: world.now };
    assert_eq!(cancel(&mut world, asking, "r"), Err(RequestCancelError::Ended(ended)));
    world.settle();
    let expected =
        ["r Started go", "r CancelRequested enough", "r says on it", "r Cancelled stopped"];
    assert_eq!((world.seen(asking), world.seen(other)), (expected.to_vec(), expected.to_vec()));
}

#[test]
fn what_was_requested_can_be_unwished_before_an_agent_takes_it_on() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    request(&mut world, conn, "r").unwrap();
    cancel(&mut world, conn, "r").unwrap();
    let shown = view(&world, "r");
    assert_eq!((shown.state(), shown.is_cancel_requested()), (RunState::Requested, true));
    open(&mut world, "r").unwrap();
    assert!(view(&world, "r").is_cancel_requested(), "its agent is to know");
}

#[test]
fn a_client_cancels_runs_of_its_own_session_only() {
    let mut world = World::with(config().run_events(3));
    let conn = world.tab("alice", "main");
    let strangers = [world.tab("alice", "other"), world.tab("bob", "main")];
    open(&mut world, "r").unwrap();
    for (conn, name) in [(conn, "none"), (strangers[0], "r"), (strangers[1], "r")] {
        assert_eq!(cancel(&mut world, conn, name), Err(RequestCancelError::UnknownRun));
    }
    tell(&mut world, "r", RunEvent::Progress(bytes("1"))).unwrap();
    assert_eq!(cancel(&mut world, conn, "r"), Err(RequestCancelError::Full));
    world.hang_up(conn);
    assert_eq!(cancel(&mut world, conn, "r"), Err(RequestCancelError::UnknownConn));
}

#[test]
fn who_comes_later_gets_what_was_requested_from_its_start() {
    let mut world = World::new();
    let first = world.tab("alice", "main");
    world.tell_session(first, "long ago");
    request(&mut world, first, "r").unwrap();
    world.tell_session(first, "meanwhile");
    cancel(&mut world, first, "r").unwrap();
    world.settle();
    let late = world.tab("alice", "main");
    let runs: Vec<_> = world.registry.session(world.session(late)).unwrap().runs().collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((runs[0].id(), runs[0].agent()), (&run("r"), ""));
    world.settle();
    assert_eq!(world.seen(late), ["r Requested why?", "r CancelRequested enough"]);
}

#[test]
fn a_session_with_a_request_does_not_end_by_lingering() {
    let mut world = World::with(config().session_linger(secs(1)).run_silence(secs(20)));
    let conn = world.tab("alice", "main");
    request(&mut world, conn, "r").unwrap();
    world.hang_up(conn);
    world.run(secs(10));
    assert_eq!(world.registry.stats().sessions, 1);
    world.run(secs(15));
    assert_eq!(world.registry.stats().sessions, 0);
}

#[test]
fn what_a_client_asked_is_by_no_agent() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    request(&mut world, conn, "r").unwrap();
    open(&mut world, "r").unwrap();
    cancel(&mut world, conn, "r").unwrap();
    let (alice, run) = (user("alice"), run("r"));
    let shown = world.registry.run(&alice, &run).unwrap();
    let agents: Vec<_> = shown
        .log()
        .map(|(_, body)| match body {
            headcount::Body::Run(fact) => (fact.kind.name(), fact.agent.to_owned()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [("requested", ""), ("started", "agent"), ("cancel_requested", "")];
    assert_eq!(agents, expected.map(|(kind, agent)| (kind, agent.to_owned())));
    let data = Inbound::Data { bytes: 1 };
    assert!(world.registry.message(Timestamp::ZERO, conn, data).is_ok(), "metered by itself");
}
