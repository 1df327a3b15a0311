//! The edges of rules: at a bound, with none, and where nothing is left to do.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnState, FollowError, Inbound, InboundError, Intake, MAX_ID_BYTES, Message,
    OpenRunError, Principal, RunError, RunEvent, RunId, Start, Target,
};

use crate::support::{World, config, ms, room, secs, text_of_cost, thread, user};

fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn open_run(world: &mut World, name: &str, agent: &str) -> Result<u64, OpenRunError> {
    let (alice, main) = (user("alice"), thread("main"));
    let mut scope = world.registry.scope(&alice);
    let opened = scope.open_run(world.now, &main, &run(name), agent, Bytes::new());
    opened.map(|opened| opened.position.offset)
}

#[test]
fn the_name_of_an_agent_is_as_long_as_other_names() {
    let mut world = World::new();
    let longest = "a".repeat(MAX_ID_BYTES);
    let longer = format!("{longest}a");
    assert_eq!(open_run(&mut world, "one", &longer), Err(OpenRunError::AgentTooLong));
    assert_eq!(open_run(&mut world, "one", &longest), Ok(1));
}

#[test]
fn calls_fill_the_budgets_of_a_user_and_of_the_process_to_the_byte() {
    let call_cost = 64 + MAX_ID_BYTES as u64;
    let mut world = World::with(config().user_bytes(2 * call_cost).process_bytes(3 * call_cost));
    let begin = |world: &mut World, name: &str, call: &str| {
        let name = user(name);
        let executing = RunEvent::ToolExecuting { call, expect: None, payload: Bytes::new() };
        world.registry.scope(&name).run_event(world.now, &run("run"), &executing).map(drop)
    };
    for name in ["alice", "bob"] {
        let (name, main) = (user(name), thread("main"));
        let mut scope = world.registry.scope(&name);
        assert!(scope.open_run(world.now, &main, &run("run"), "agent", Bytes::new()).is_ok());
    }
    let calls = ["a", "b", "c"].map(|call| begin(&mut world, "alice", call));
    assert_eq!(calls, [Ok(()), Ok(()), Err(RunError::UserBytes)]);
    let calls = ["a", "b"].map(|call| begin(&mut world, "bob", call));
    assert_eq!(calls, [Ok(()), Err(RunError::ProcessBytes)]);
}

#[test]
fn a_newcomer_who_asks_for_one_run_begins_with_it() {
    let mut world = World::new();
    world.tab("alice", "main");
    open_run(&mut world, "first", "agent").unwrap();
    let second = open_run(&mut world, "second", "agent").unwrap();
    let conn = world.reserve();
    let who = crate::support::who("alice", "main");
    let start = Start::Run(run("second"));
    let admitted = world.registry.connect(world.now, conn, who, start, None).unwrap();
    assert_eq!(admitted.followed.unwrap().position.offset, second - 1);
}

#[test]
fn a_run_lingers_as_long_as_a_reload_says() {
    let mut world = World::with(config().run_linger(secs(10)));
    world.tab("alice", "main");
    open_run(&mut world, "run", "agent").unwrap();
    let alice = user("alice");
    let completed = RunEvent::Completed(Bytes::new());
    let _ = world.registry.scope(&alice).run_event(world.now, &run("run"), &completed).unwrap();
    let ends = world.now + secs(30);
    world.registry.reload(world.now, config().run_linger(secs(30)).build().unwrap());
    let lingers =
        |world: &World| world.registry.run(&alice, &run("run")).and_then(|run| run.lingers_until());
    world.run(secs(30) - ms(1));
    assert_eq!(lingers(&world), Some(ends));
    world.run(ms(1));
    assert_eq!(lingers(&world), None);
}

#[test]
fn data_before_the_admission_does_not_put_its_deadline_off() {
    let mut world = World::with(config().auth_deadline(secs(10)));
    let conn = world.reserve();
    world.registry.upgraded(world.now, conn).unwrap();
    world.run(secs(6));
    world.inbound(conn, Inbound::Data { bytes: 5 });
    world.run(secs(4) - ms(1));
    assert_eq!(world.state(conn), Some(ConnState::Pending));
    world.run(ms(1));
    assert_eq!(world.seen(conn), ["close auth_timeout"]);
}

#[test]
fn a_first_session_is_no_stream_and_following_it_again_says_who_else_does() {
    let mut world = World::with(config().streams_per_user(0));
    let conn = world.open_as(Principal::new(user("alice")));
    let follow = |world: &mut World, name: &str| {
        world.registry.follow(world.now, conn, &thread(name), Start::OpenRuns)
    };
    let first = follow(&mut world, "main").unwrap();
    assert!(first.first_of_session && !first.already);
    assert_eq!(follow(&mut world, "other"), Err(FollowError::StreamsPerUser));
    let again = follow(&mut world, "main").unwrap();
    assert!(again.first_of_session && again.already);
    world.tab("alice", "main");
    assert!(!follow(&mut world, "main").unwrap().first_of_session);
}

#[test]
fn a_close_ends_no_session_that_was_left_before() {
    let mut world = World::with(config().session_linger(secs(10)));
    let conn = world.tab("alice", "main");
    let session = world.session(conn);
    world.hang_up(conn);
    world.settle();
    // It is due, and no tick was there yet.
    world.now += secs(20);
    assert_eq!(world.close(Target::Session(session), CloseReason::Application), 0);
    assert!(world.registry.session(session).is_some());
    world.registry.tick(world.now);
    assert!(world.registry.session(session).is_none());
}

#[test]
fn a_close_of_a_room_without_members_leaves_nothing_to_do() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    world.join(conn, "lobby");
    world.tell_room("lobby", "hello");
    world.settle();
    world.leave(conn, "lobby");
    world.settle();
    assert_eq!(world.close(Target::Room(&room("lobby")), CloseReason::Application), 0);
    assert!(!world.registry.has_actions());
}

#[test]
fn a_room_that_may_keep_nothing_goes_with_its_last_member_also_before_that_was_handed_all() {
    for config in [config().room_history(0).room_ttl(secs(60)), config().room_ttl(secs(0))] {
        let mut world = World::with(config.send_window(100));
        let conn = world.tab("alice", "main");
        world.join(conn, "lobby");
        world.stall(conn);
        for _ in 0..3 {
            world.tell_room("lobby", "hello");
            world.drain();
        }
        world.leave(conn, "lobby");
        assert!(world.registry.room(&room("lobby")).is_none());
    }
}

#[test]
fn what_was_lent_of_one_stream_is_trimmed_although_another_ends() {
    let mut world = World::with(config().stream_history(0).room_ttl(secs(0)));
    let conn = world.tab("alice", "main");
    world.join(conn, "lobby");
    let session = world.session(conn);
    world.tell_session(conn, "hello");
    assert_eq!(world.step().map(|polled| polled.what), Some("hello".to_owned()));
    world.leave(conn, "lobby");
    assert!(world.registry.room(&room("lobby")).is_none());
    world.drain();
    assert_eq!(world.registry.session(session).unwrap().entries(), 0);
}

#[test]
fn who_moves_into_a_place_that_was_served_and_lacks_nothing_is_not_behind() {
    let mut world = World::with(config().fanout_chunk(1));
    let conns = ["alice", "bob", "carol"].map(|name| world.tab(name, "main"));
    conns.iter().for_each(|conn| assert!(!world.join(*conn, "lobby").already));
    world.tell_room("lobby", "hello");
    world.step().unwrap();
    let dave = world.tab("dave", "main");
    world.join(dave, "lobby");
    world.leave(conns[0], "lobby");
    assert_eq!(world.registry.room(&room("lobby")).unwrap().lagging(), 0);
    world.settle();
    assert_eq!(world.seen(conns[2]), ["lobby: hello"]);
    assert!(world.seen(dave).is_empty());
}

#[test]
fn an_announcement_passes_over_one_that_is_behind_although_its_window_is_empty() {
    let mut world = World::with(config().send_window(200));
    let conn = world.tab("alice", "main");
    world.stall(conn);
    for _ in 0..6 {
        world.tell_session(conn, &text_of_cost(100));
    }
    world.drain();
    world.flush(conn);
    world.tell_everyone("news");
    while world.step().is_some() {
        world.flush(conn);
    }
    assert!(!world.seen(conn).contains(&"everyone: news"));
    assert_eq!(world.seen(conn).len(), 6);
}

#[test]
fn a_reply_at_once_that_is_not_flushed_makes_a_slow_consumer() {
    let mut world = World::with(config().ping_interval(secs(0)).slow_deadline(secs(8)));
    let conn = world.open("alice", "main");
    world.run(secs(3_600));
    assert_eq!(world.registry.reply_at_once(world.now, conn, 10), Ok(true));
    world.run(secs(8));
    assert_eq!(world.closings(), ["slow_consumer"]);
    assert_eq!(world.state(conn), Some(ConnState::Closing));
}

#[test]
fn a_drain_with_none_left_waits_for_nothing() {
    let mut world = World::with(config().session_linger(secs(0)));
    let conn = world.tab("alice", "main");
    world.run(secs(3_600));
    world.registry.drain(world.now, None);
    world.settle();
    assert!(world.registry.poll_timeout().is_some());
    world.hang_up(conn);
    world.run(secs(1));
    // What was armed for the connection is a lower bound, and the hard stop was far off.
    assert_eq!(world.registry.poll_timeout(), None);
}

#[test]
fn where_positions_begin_follows_from_the_seed_alone() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    let (session, lobby) = (world.session(conn), world.join(conn, "lobby").position.epoch);
    let epochs = (world.registry.session(session).unwrap().position().epoch, lobby);
    // A journal that was recorded before says the same.
    assert_eq!(epochs, (13_513_187_042_718_045_116, 10_731_291_471_893_700_832));
}

#[test]
fn a_reply_at_once_before_the_admission_starts_no_deadline_of_its_own() {
    let limits = config().auth_deadline(secs(10)).slow_deadline(secs(2));
    let mut world = World::with(limits);
    let conn = world.reserve();
    world.registry.upgraded(world.now, conn).unwrap();
    assert_eq!(world.registry.reply_at_once(world.now, conn, 10), Ok(true));
    world.run(secs(10) - ms(1));
    assert_eq!(world.state(conn), Some(ConnState::Pending));
}

#[test]
fn a_flood_that_costs_a_connection_that_is_late_with_its_pong_is_no_recovery() {
    let mut world = World::with(config().byte_rate(1_000));
    let conn = world.open("alice", "main");
    world.run_until(conn, "ping");
    // More than half of the time for the pong.
    world.run(secs(6));
    let flood = Inbound::Bytes { bytes: 1 << 24, partial: false };
    let answer = world.registry.message(world.now, conn, flood);
    assert_eq!(answer, Err(InboundError::RateLimited));
    assert_eq!(world.state(conn), Some(ConnState::Closing));
    assert_eq!(world.registry.stats().recovered, 0);
}

#[test]
fn without_flush_reports_a_pause_ends_when_what_filled_the_window_is_polled() {
    let blind = config().send_window(256).reply_reserve(4_096).without_flush_reports();
    let mut world = World::with(blind);
    let conn = world.tab("alice", "main");
    for _ in 0..10 {
        let message = Message::text(text_of_cost(100));
        world.registry.reply(world.now, conn, message).unwrap();
    }
    let is_paused = |world: &World| world.registry.connection(conn).unwrap().is_paused();
    assert_eq!((world.data(conn), is_paused(&world)), (Intake::Paused, true));
    world.drain();
    assert!(!is_paused(&world));
}
