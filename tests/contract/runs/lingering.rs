//! Runs that have ended, and are still read from their start.

use headcount::{Message, RunEvent, Target};

use super::{bytes, open, since, tell};
use crate::support::{World, config, secs, user};

fn done() -> RunEvent<'static> {
    RunEvent::Completed(bytes("done"))
}

#[test]
fn a_run_that_ended_just_now_is_read_whole_where_nothing_else_is_history() {
    let mut world = World::with(config().stream_history(0).run_linger(secs(60)));
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", RunEvent::text("the answer")).unwrap();
    tell(&mut world, "r", done()).unwrap();
    world.tell_session(conn, "something else");
    world.settle();
    let whole = since(&world, conn, 0);
    world.run(secs(59));
    let (late, _) = world.resume("alice", "main", whole);
    world.settle();
    let seen = world.seen(late);
    assert_eq!(seen[..3], ["r Started go", "r says the answer", "r Completed done"]);
    world.run(secs(2));
    assert_eq!(world.registry.stats().log_messages, 0, "what waited behind it is gone, too");
}

#[test]
fn the_bounds_of_the_log_hold_for_a_run_that_lingers() {
    let mut world = World::with(config().stream_messages(3).stream_history(3));
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", done()).unwrap();
    for _ in 0..3 {
        world.send(Target::User(&user("alice")), Message::text("more"));
    }
    assert_eq!(world.registry.stats().log_messages, 3);
    assert!(world.registry.run(&user("alice"), &super::run("r")).is_none());
    world.run(secs(100));
    world.check();
}

#[test]
fn an_open_run_is_pinned_and_the_one_that_lingers_is_behind_it() {
    let mut world = World::with(config().stream_history(0).run_linger(secs(10)));
    open(&mut world, "open").unwrap();
    open(&mut world, "ended").unwrap();
    tell(&mut world, "ended", done()).unwrap();
    assert_eq!(world.registry.stats().log_messages, 3);
    world.run(secs(11));
    assert_eq!(world.registry.stats().log_messages, 1);
    tell(&mut world, "open", done()).unwrap();
    world.run(secs(11));
    assert_eq!(world.registry.stats().log_messages, 0);
}

#[test]
fn a_reload_changes_how_long_runs_linger() {
    let base = || config().stream_history(0);
    let mut world = World::with(base().run_linger(secs(60)));
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", done()).unwrap();
    world.registry.reload(world.now, base().run_linger(secs(0)).build().unwrap());
    world.check();
    world.run(secs(1));
    assert_eq!(world.registry.stats().log_messages, 0);
}

#[test]
fn what_a_run_held_up_goes_with_it_when_it_is_too_old() {
    let base = config().stream_history(0).stream_ttl(secs(10)).run_linger(secs(60));
    let mut world = World::with(base);
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    world.run(secs(9));
    world.tell_session(conn, "something else");
    tell(&mut world, "r", done()).unwrap();
    world.settle();
    assert_eq!(world.registry.stats().log_messages, 3);
    world.run(secs(2));
    assert_eq!(world.registry.stats().log_messages, 1, "the end is all that lingers");
    world.check();
}

#[test]
fn what_a_run_held_up_goes_with_it_when_a_budget_takes_it() {
    let base = || config().stream_history(0).run_linger(secs(60));
    let mut world = World::with(base());
    let conn = world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    tell(&mut world, "r", done()).unwrap();
    world.tell_session(conn, "something else");
    world.settle();
    assert_eq!(world.registry.stats().log_messages, 3);
    let bytes = world.registry.stats().log_bytes;
    let lower = base().process_bytes(bytes - 130).user_bytes(bytes - 130).build().unwrap();
    world.registry.reload(world.now, lower);
    assert_eq!(world.registry.stats().log_messages, 0);
    world.check();
}
