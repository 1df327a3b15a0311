//! Byte budgets of a user and of the process: what goes first, and who pays.

use bytes::Bytes;
use headcount::{ConnId, Message, RunError, RunEvent, RunId, Target};

use crate::support::{World, config, ms, secs, text_of_cost, thread, user};

/// A world whose windows hold one message of the usual 300 bytes.
fn world(user_bytes: u64, process_bytes: u64) -> World {
    World::with(config().process_bytes(process_bytes).user_bytes(user_bytes).send_window(300))
}

fn entries(world: &World, conn: ConnId) -> (u32, u64) {
    let log = world.registry.session(world.session(conn)).unwrap();
    (log.entries(), log.lost())
}

fn tell(world: &mut World, conn: ConnId, cost: u64) {
    world.run(ms(1));
    let session = world.session(conn);
    world.send(Target::Session(session), Message::text(text_of_cost(cost)));
    world.check();
}

#[test]
fn a_user_pays_for_what_is_their_own() {
    let mut world = world(1_000, 100_000);
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    for _ in 0..5 {
        tell(&mut world, alice, 300);
        tell(&mut world, bob, 100);
    }
    assert_eq!((entries(&world, alice), entries(&world, bob)), ((3, 2), (5, 0)));
    assert_eq!(world.registry.stats().shed, 2);
}

#[test]
fn the_oldest_of_all_sessions_of_a_user_goes() {
    let mut world = world(1_000, 100_000);
    let (one, two) = (world.tab("alice", "one"), world.tab("alice", "two"));
    for conn in [one, two, one, two, one] {
        tell(&mut world, conn, 250);
    }
    assert_eq!((entries(&world, one), entries(&world, two)), ((2, 1), (2, 0)));
}

#[test]
fn an_acknowledgement_makes_no_entry_cheaper_to_lose() {
    let mut world = world(1_000, 1_000);
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    tell(&mut world, alice, 300);
    tell(&mut world, bob, 300);
    world.settle();
    world.acknowledge(bob, 1).unwrap();
    tell(&mut world, alice, 300);
    tell(&mut world, alice, 300);
    assert_eq!((entries(&world, alice), entries(&world, bob)), ((2, 1), (1, 0)));
}

#[test]
fn what_everybody_was_handed_goes_before_what_somebody_is_owed() {
    let mut world = world(1_000, 1_000);
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    tell(&mut world, alice, 300);
    tell(&mut world, bob, 300);
    world.stall(alice);
    // Bob's is handed out; of Alice's the first is in flight, and nothing more fits.
    world.settle();
    for _ in 0..3 {
        tell(&mut world, alice, 300);
    }
    assert_eq!(entries(&world, bob).0, 0, "it was the only one that nobody lacked, but one");
    assert!(world.registry.stats().log_bytes <= 1_000);
}

#[test]
fn what_only_those_lacked_who_have_left_goes_before_what_somebody_is_owed() {
    // Without history it goes with the last of them, although its sweep was never polled; with
    // history it pays first.
    for (history, kept) in [(0, 0), (8, 1)] {
        let config = config().process_bytes(1_000).user_bytes(1_000).stream_history(history);
        let mut world = World::with(config);
        let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
        let (of_alice, of_bob) = (world.session(alice), world.session(bob));
        let message = || Message::text(text_of_cost(300));
        world.send(Target::Session(of_bob), message());
        world.send(Target::Session(of_alice), message());
        world.hang_up(alice);
        world.check();
        // Kept for nobody: the log has a newer head than what is in it.
        world.send(Target::Session(of_alice), message().droppable());
        world.check();
        let held = |world: &World| world.registry.session(of_alice).unwrap().entries();
        assert_eq!(held(&world), kept);
        world.send(Target::Session(of_bob), message());
        world.send(Target::Session(of_bob), message());
        world.check();
        assert_eq!((held(&world), entries(&world, bob)), (0, (3, 0)));
    }
}

#[test]
fn an_acknowledgement_alone_trims_nothing() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    tell(&mut world, conn, 100);
    tell(&mut world, conn, 100);
    world.settle();
    world.acknowledge(conn, 2).unwrap();
    world.settle();
    assert_eq!(entries(&world, conn), (2, 0));
}

#[test]
fn within_the_process_streams_take_turns() {
    let mut world = world(2_000, 2_000);
    let conns: Vec<_> = (0..4).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    for conn in conns.iter().flat_map(|conn| [*conn; 5]) {
        tell(&mut world, conn, 100);
    }
    world.settle();
    let newcomer = world.tab("newcomer", "main");
    for _ in 0..4 {
        tell(&mut world, newcomer, 100);
    }
    let kept: Vec<_> = conns.iter().map(|conn| entries(&world, *conn).0).collect();
    assert_eq!(kept, [4, 4, 4, 4]);
}

#[test]
fn a_stream_that_was_empty_takes_its_turn_behind_those_that_were_not() {
    let mut world = World::with(config().process_bytes(1_000).user_bytes(1_000).stream_history(0));
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    tell(&mut world, alice, 300);
    world.settle();
    assert_eq!(entries(&world, alice).0, 0, "it was handed out, and is no history");
    for conn in [bob, alice, alice, alice] {
        let session = world.session(conn);
        world.send(Target::Session(session), Message::text(text_of_cost(300)));
    }
    assert_eq!((entries(&world, alice).0, entries(&world, bob)), (3, (0, 1)));
}

#[test]
fn one_entry_of_any_size_stays_and_it_is_the_new_one() {
    let mut world = world(500, 500);
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    tell(&mut world, bob, 200);
    tell(&mut world, alice, 200);
    tell(&mut world, alice, 4_000);
    assert_eq!((entries(&world, alice), entries(&world, bob)), ((1, 1), (0, 1)));
    tell(&mut world, bob, 200);
    assert_eq!((entries(&world, alice), entries(&world, bob)), ((0, 2), (1, 1)));
}

#[test]
fn what_is_given_up_is_told_as_lost() {
    let mut world = world(500, 500);
    let conn = world.tab("alice", "main");
    world.stall(conn);
    for _ in 0..5 {
        tell(&mut world, conn, 200);
    }
    world.settle();
    for _ in 0..4 {
        world.flush(conn);
        world.settle();
    }
    let seen = world.seen(conn);
    assert_eq!((seen.len(), seen[1]), (4, "gap 2..=3"));
}

#[test]
fn an_open_run_is_the_last_to_pay_and_whoever_joins_then_is_told() {
    let mut world = world(1_000, 100_000);
    let conn = world.tab("alice", "main");
    let (alice, run) = (user("alice"), RunId::new("r").unwrap());
    let mut scope = world.registry.scope(&alice);
    let opened = scope.open_run(world.now, &thread("main"), &run, "agent", Bytes::new());
    assert!(opened.is_ok());
    for _ in 0..3 {
        tell(&mut world, conn, 300);
    }
    let kept = entries(&world, conn);
    assert_eq!(kept, (4, 0), "a run of 64 bytes and three messages");
    tell(&mut world, conn, 300);
    assert_eq!(entries(&world, conn).0, 4, "the oldest message has paid");
    tell(&mut world, conn, 990);
    assert_eq!(entries(&world, conn).0, 1, "nothing else was left to pay");
    let event = RunEvent::text("on we go");
    let _ = world.registry.scope(&alice).run_event(world.now, &run, &event).unwrap();
    world.check();
    let late = world.tab("alice", "main");
    world.settle();
    // What is gone from the front of a log is one number: the messages behind the run's first event
    // are named with it.
    assert_eq!(world.seen(late), ["gap 1..=6", "r says on we go"]);
}

/// A user's run, which is opened if there is none, begins a tool call.
fn begin(world: &mut World, name: &str, call: &str) -> Result<(), RunError> {
    let (name, run) = (user(name), RunId::new("r").unwrap());
    let mut scope = world.registry.scope(&name);
    let _ = scope.open_run(world.now, &thread("main"), &run, "agent", Bytes::new());
    let event = RunEvent::ToolExecuting { call, expect: None, payload: Bytes::new() };
    let began = scope.run_event(world.now, &run, &event).map(drop);
    world.check();
    began
}

#[test]
fn calls_under_way_count_and_do_not_give_way() {
    // A call counts with 192 bytes, and its event with 64.
    let mut world = world(1_000, 1_400);
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    tell(&mut world, alice, 300);
    for call in ["1", "2", "3", "4", "5"] {
        begin(&mut world, "alice", call).unwrap();
    }
    assert_eq!(entries(&world, alice).0, 1, "the newest entry stays");
    assert_eq!(begin(&mut world, "alice", "6"), Err(RunError::UserBytes));
    begin(&mut world, "bob", "1").unwrap();
    begin(&mut world, "bob", "2").unwrap();
    assert_eq!((entries(&world, alice).0, entries(&world, bob).0), (0, 1));
    assert_eq!(begin(&mut world, "bob", "3"), Err(RunError::ProcessBytes));
    assert_eq!(world.registry.stats().calls, 7);
    // What ends makes room, a call or a run with all of its calls.
    let (of_alice, run) = (user("alice"), RunId::new("r").unwrap());
    let completed = RunEvent::ToolCompleted { call: "1", payload: Bytes::new() };
    let _ = world.registry.scope(&of_alice).run_event(world.now, &run, &completed).unwrap();
    begin(&mut world, "bob", "3").unwrap();
    assert_eq!(begin(&mut world, "bob", "4"), Err(RunError::ProcessBytes));
    let failed = RunEvent::Failed(Bytes::new());
    let _ = world.registry.scope(&of_alice).run_event(world.now, &run, &failed).unwrap();
    begin(&mut world, "bob", "4").unwrap();
    assert_eq!(world.registry.stats().calls, 4);
    world.registry.revoke(world.now, &user("bob"));
    world.settle();
    assert_eq!(world.registry.stats().calls, 0);
}

#[test]
fn a_reload_holds_the_new_budgets_at_once() {
    let mut world = World::new();
    let conns: Vec<_> = (0..3).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    for conn in conns.iter().flat_map(|conn| [*conn; 4]) {
        tell(&mut world, conn, 250);
    }
    let lower = config().process_bytes(1_500).user_bytes(750).build().unwrap();
    world.registry.reload(world.now, lower);
    world.check();
    let stats = world.registry.stats();
    assert_eq!((stats.log_messages, stats.log_bytes), (6, 1_500));
    world.run(secs(1));
}
