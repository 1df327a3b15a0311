//! What a connection is given of the runs that began before it came.

use bytes::Bytes;
use headcount::{Position, Recovered, RunEvent, RunState};

use crate::support::{World, config};

use super::{bytes, open, run, tell};

#[test]
fn who_comes_later_gets_the_open_runs_from_their_start_and_nothing_else() {
    let mut world = World::new();
    let first = world.tab("alice", "main");
    world.tell_session(first, "long ago");
    open(&mut world, "over").unwrap();
    tell(&mut world, "over", RunEvent::Completed(bytes("done"))).unwrap();
    open(&mut world, "r").unwrap();
    world.tell_session(first, "meanwhile");
    tell(&mut world, "r", RunEvent::text("so far")).unwrap();
    world.settle();
    let second = world.tab("alice", "main");
    let runs = world.registry.session(world.session(second)).unwrap().runs();
    let open: Vec<_> = runs.filter(|run| run.state() == RunState::Open).collect();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].id(), open[0].agent()), (&run("r"), "agent"));
    tell(&mut world, "r", RunEvent::text(", so good")).unwrap();
    tell(&mut world, "r", RunEvent::Completed(bytes("done"))).unwrap();
    world.tell_session(first, "and now");
    world.settle();
    let seen = world.seen(second).join("|");
    assert_eq!(seen, "r Started go|r says so far, so good|r Completed done|and now");
}

#[test]
fn who_comes_later_is_told_what_was_trimmed_of_a_run_that_they_were_owed() {
    let mut world = World::with(config().send_window(64).stream_messages(1));
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
fn who_comes_later_gets_the_text_that_is_left_of_an_open_run() {
    let mut world = World::with(config().user_bytes(1_500).connect_rate_per_user(0));
    world.tab("alice", "main");
    open(&mut world, "r").unwrap();
    let mut whole = String::new();
    for number in 0..60 {
        let word = format!("{number} é, ");
        tell(&mut world, "r", RunEvent::text(&word)).unwrap();
        whole.push_str(&word);
        // Neighbours would be one entry.
        tell(&mut world, "r", RunEvent::Progress(bytes("."))).unwrap();
        world.settle();
    }
    let late = world.tab("alice", "main");
    world.settle();
    let seen = world.seen(late);
    let text: String = seen.iter().filter_map(|it| it.strip_prefix("r says ")).collect();
    assert!(seen[0].starts_with("gap "), "{seen:?}");
    assert!(whole.ends_with(&text) && text.len() > 60, "{text}");
    assert!(text.len() < whole.len(), "the budget has taken something");
    // From wherever a client says that it stands, it gets what follows, in whole characters.
    let head = world.registry.session(world.session(late)).unwrap().position();
    for offset in head.offset - 80..head.offset {
        let (conn, _) = world.resume("alice", "main", Position { offset, ..head });
        world.settle();
        let seen = world.seen(conn);
        let text: String = seen.iter().filter_map(|it| it.strip_prefix("r says ")).collect();
        assert!(whole.ends_with(&text), "from {offset}: {seen:?}");
        world.hang_up(conn);
        world.settle();
    }
}
