//! Coming back with a position: what follows is replayed strictly before anything newer, or told as
//! lost. And what clients acknowledge.

use bytes::Bytes;
use headcount::{
    AcknowledgeError, CloseReason, ConfigBuilder, ConnId, Joined, Message, Position, Recovered,
    RunEvent, RunId, Start, StreamRef, Target,
};

use crate::support::{World, config, room, secs, text_of_cost, thread, user};

/// Numbers that were handed out to a connection, which then ends; where its session stands.
fn told(world: &mut World, numbers: core::ops::RangeInclusive<u32>) -> Position {
    let alice = world.open("alice", "main");
    for number in numbers {
        world.tell_session(alice, &number.to_string());
    }
    world.settle();
    let head = world.registry.session(world.session(alice)).unwrap().position();
    world.hang_up(alice);
    world.settle();
    head
}

fn at(head: Position, offset: u64) -> Position {
    Position { offset, ..head }
}

fn join_since(world: &mut World, conn: ConnId, name: &str, since: Position) -> Joined {
    world.registry.join(world.now, conn, &room(name), Start::After(since)).expect("to join")
}

fn narrow() -> ConfigBuilder {
    config().send_window(1_000).reply_reserve(200)
}

#[test]
fn everything_after_the_position_follows_strictly_before_anything_newer() {
    let mut world = World::new();
    let head = told(&mut world, 1..=4);
    let (alice, admitted) = world.resume("alice", "main", at(head, 2));
    assert_eq!((admitted.position, admitted.recovered), (at(head, 2), Recovered::All));
    world.tell_session(alice, "5");
    world.tell_conn(alice, "welcome");
    world.settle();
    assert_eq!(world.seen(alice), ["direct: welcome", "3", "4", "5"]);
}

#[test]
fn a_publish_at_any_moment_of_a_resume_is_neither_skipped_nor_repeated() {
    for moment in 0..6 {
        let mut world = World::new();
        let head = told(&mut world, 1..=4);
        let other = world.open("alice", "main");
        let (alice, _) = world.resume("alice", "main", at(head, 1));
        for step in 0..6 {
            if step == moment {
                world.tell_session(alice, "5");
            }
            let _ = world.step();
        }
        world.settle();
        assert_eq!(world.seen(alice), ["2", "3", "4", "5"], "published at {moment}");
        assert_eq!(world.seen(other), ["5"]);
    }
}

#[test]
fn a_replay_that_is_larger_than_the_window_goes_on_with_the_flushes() {
    let mut world = World::with(narrow());
    let head = told(&mut world, 1..=40);
    let (alice, admitted) = world.resume("alice", "main", at(head, 0));
    assert_eq!(admitted.recovered, Recovered::All);
    world.drain();
    assert!(world.seen(alice).len() < 40);
    world.tell_session(alice, "41");
    world.settle();
    let expected: Vec<_> = (1..=41).map(|number: u32| number.to_string()).collect();
    assert_eq!(world.seen(alice), expected);
}

#[test]
fn whoever_has_everything_lacks_nothing() {
    let mut world = World::new();
    let head = told(&mut world, 1..=3);
    let (alice, admitted) = world.resume("alice", "main", head);
    assert_eq!((admitted.position, admitted.recovered), (head, Recovered::All));
    world.tell_session(alice, "4");
    assert_eq!(world.reached(), (1, 0), "it is live at once");
    world.settle();
    assert_eq!(world.seen(alice), ["4"]);
}

#[test]
fn a_foreign_epoch_and_an_offset_beyond_the_head_are_told_that_all_is_lost() {
    for (epoch, offset) in [(1, 2), (0, 4), (0, u64::MAX)] {
        let mut world = World::new();
        let head = told(&mut world, 1..=3);
        let claim = Position { epoch: head.epoch ^ epoch, offset };
        let (alice, admitted) = world.resume("alice", "main", claim);
        assert_eq!((admitted.position, admitted.recovered), (at(head, 0), Recovered::Gap));
        world.tell_session(alice, "4");
        world.settle();
        assert_eq!(world.seen(alice), ["gap 1..=3", "4"], "{claim:?}: nothing is replayed");
    }
}

/// A session with messages, with a run that is over, and with one that is open, `r`: who comes to it
/// is not there yet.
fn with_an_open_run(world: &mut World) -> Position {
    let alice = world.open("alice", "main");
    let latest = |text: &str| {
        let key = headcount::Key::new("price").expect("a fine key");
        Message::text(text).latest(key)
    };
    let session = Target::Session(world.session(alice));
    world.send(session, latest("1, superseded by 6"));
    open_run(world, "over");
    run_event(world, "over", RunEvent::Completed(Bytes::from_static(b"3")));
    open_run(world, "r");
    world.tell_session(alice, "5");
    world.send(session, latest("6"));
    run_event(world, "r", RunEvent::text("7 to 13"));
    world.send(session, Message::text("14").droppable());
    run_event(world, "r", RunEvent::Progress(Bytes::from_static(b"15")));
    world.tell_session(alice, "16");
    world.settle();
    let head = world.registry.session(world.session(alice)).unwrap().position();
    assert_eq!(head.offset, 16);
    world.hang_up(alice);
    world.settle();
    head
}

fn open_run(world: &mut World, name: &str) {
    let (alice, main, run) = (user("alice"), thread("main"), RunId::new(name).unwrap());
    let opened =
        world.registry.scope(&alice).open_run(world.now, &main, &run, "agent", Bytes::new());
    opened.map(drop).expect("a run");
}

fn run_event(world: &mut World, name: &str, event: RunEvent<'_>) {
    let (alice, run) = (user("alice"), RunId::new(name).unwrap());
    world.registry.scope(&alice).run_event(world.now, &run, &event).map(drop).expect("an event");
}

const TOLD: [&str; 7] = [
    "gap 1..=3",
    "r Started ",
    "gap 5..=6",
    "r says 7 to 13",
    "gap 14..=14",
    "r Progress 15",
    "gap 16..=16",
];

#[test]
fn a_foreign_epoch_gets_the_open_runs_and_everything_else_as_gaps_between_them() {
    for (epoch, offset) in [(1, 2), (0, 17), (0, u64::MAX)] {
        let mut world = World::new();
        let head = with_an_open_run(&mut world);
        let claim = Position { epoch: head.epoch ^ epoch, offset };
        let (alice, admitted) = world.resume("alice", "main", claim);
        assert_eq!((admitted.position, admitted.recovered), (at(head, 0), Recovered::Gap));
        assert_eq!(world.registry.connection(alice).unwrap().cursors().next().unwrap().backlog, 3);
        let fresh = world.open("alice", "main");
        assert_eq!(world.registry.connection(fresh).unwrap().cursors().next().unwrap().backlog, 3);
        world.tell_session(alice, "17");
        world.settle();
        let expected = [&TOLD[..], &["17"]].concat();
        assert_eq!(world.seen(alice), expected, "{claim:?}");
        // What a new tab gets, it gets too.
        let is_gap = |told: &&str| told.starts_with("gap");
        let handed: Vec<_> = expected.into_iter().filter(|told| !is_gap(told)).collect();
        assert_eq!(world.seen(fresh), handed);
    }
}

#[test]
fn a_foreign_epoch_is_told_each_offset_once_through_any_window() {
    for window in [64, 65, 100, 130, 200, 1_000] {
        let mut world = World::with(config().send_window(window).reply_reserve(64));
        let head = with_an_open_run(&mut world);
        let claim = Position { epoch: head.epoch ^ 1, offset: 9 };
        let (alice, _) = world.resume("alice", "main", claim);
        world.drain();
        // The run ends, and the text grows, while it is on its way.
        run_event(&mut world, "r", RunEvent::text(" and on"));
        run_event(&mut world, "r", RunEvent::Completed(Bytes::from_static(b"24")));
        world.settle();
        let then = ["r says  and on", "r Completed 24"];
        assert_eq!(world.seen(alice), [&TOLD[..], &then].concat(), "a window of {window}");
    }
}

#[test]
fn a_foreign_epoch_is_told_what_fits_when_it_is_closed() {
    let mut world = World::with(config().send_window(64 * 4 + 7).reply_reserve(64));
    let head = with_an_open_run(&mut world);
    let claim = Position { epoch: head.epoch ^ 1, offset: 9 };
    let (alice, _) = world.resume("alice", "main", claim);
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    assert_eq!(world.seen(alice), [&TOLD[..4], &["close application"]].concat());
}

#[test]
fn a_foreign_epoch_in_a_log_that_was_trimmed_is_told_of_one_gap_before_each_entry() {
    let mut world = World::with(config().stream_messages(1));
    let head = with_an_open_run(&mut world);
    let claim = Position { epoch: head.epoch ^ 1, offset: 9 };
    let (alice, _) = world.resume("alice", "main", claim);
    world.tell_session(alice, "17, which 18 takes away");
    world.tell_session(alice, "18");
    world.settle();
    let rest = ["gap 16..=17", "18"];
    assert_eq!(world.seen(alice), [&TOLD[..6], &rest].concat());
}

#[test]
fn a_client_that_is_cut_off_before_it_is_told_loses_nothing_by_coming_back() {
    let mut world = World::new();
    let head = with_an_open_run(&mut world);
    let claim = Position { epoch: head.epoch ^ 1, offset: 9 };
    let (alice, admitted) = world.resume("alice", "main", claim);
    world.hang_up(alice);
    world.settle();
    let (again, admitted) = world.resume("alice", "main", admitted.position);
    world.settle();
    assert_eq!(admitted.recovered, Recovered::Gap, "what is droppable is no history");
    let seen = world.seen(again).join("|");
    assert_eq!(
        seen,
        "over Started |over Completed 3|r Started |5|6|r says 7 to 13|gap 14..=14|r Progress 15|16"
    );
}

#[test]
fn a_foreign_epoch_of_a_room_is_told_that_all_is_lost() {
    let mut world = World::new();
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(bob, "lobby");
    world.tell_room("lobby", "1");
    world.tell_room("lobby", "2");
    world.settle();
    let head = world.registry.room(&room("lobby")).unwrap().position();
    for claim in [Position { epoch: head.epoch ^ 1, offset: 1 }, at(head, 3)] {
        let joined = join_since(&mut world, alice, "lobby", claim);
        assert_eq!((joined.position, joined.recovered), (at(head, 0), Recovered::Gap));
        world.settle();
        assert_eq!(world.take(alice), ["gap lobby 1..=2"]);
        world.leave(alice, "lobby");
    }
}

#[test]
fn of_a_trimmed_log_the_rest_follows_the_gap() {
    let mut world = World::with(config().stream_history(2));
    let head = told(&mut world, 1..=5);
    let (alice, admitted) = world.resume("alice", "main", at(head, 1));
    assert_eq!((admitted.position, admitted.recovered), (at(head, 1), Recovered::Gap));
    world.settle();
    assert_eq!(world.seen(alice), ["gap 2..=3", "4", "5"]);
    let (alice, admitted) = world.resume("alice", "main", at(head, 3));
    assert_eq!(admitted.recovered, Recovered::All, "what is lost it has had");
    world.settle();
    assert_eq!(world.seen(alice), ["4", "5"]);
}

#[test]
fn what_is_too_old_is_told_as_lost() {
    let mut world = World::with(config().stream_ttl(secs(10)).session_linger(secs(60)));
    let head = told(&mut world, 1..=2);
    world.run(secs(11));
    let (alice, admitted) = world.resume("alice", "main", at(head, 0));
    assert_eq!(admitted.recovered, Recovered::Gap);
    world.settle();
    assert_eq!(world.seen(alice), ["gap 1..=2"]);
}

#[test]
fn two_tabs_come_back_at_different_cursors() {
    let mut world = World::new();
    let head = told(&mut world, 1..=4);
    let tabs = [3, 1].map(|offset| world.resume("alice", "main", at(head, offset)).0);
    world.tell_session(tabs[0], "5");
    world.settle();
    assert_eq!(world.seen(tabs[0]), ["4", "5"]);
    assert_eq!(world.seen(tabs[1]), ["2", "3", "4", "5"]);
}

#[test]
fn a_room_is_resumed_with_the_join() {
    let mut world = World::new();
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(bob, "lobby");
    for number in 1..=3 {
        world.tell_room("lobby", &number.to_string());
    }
    world.settle();
    let head = world.registry.room(&room("lobby")).unwrap().position();
    let joined = join_since(&mut world, alice, "lobby", at(head, 1));
    assert_eq!((joined.position, joined.recovered), (at(head, 1), Recovered::All));
    world.tell_room("lobby", "4");
    world.settle();
    assert_eq!(world.seen(alice), ["lobby: 2", "lobby: 3", "lobby: 4"]);
    assert_eq!(world.seen(bob)[3..], ["lobby: 4"]);
}

#[test]
fn a_member_that_joins_again_stays_where_it_is() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_room("lobby", "1");
    world.settle();
    let head = world.registry.room(&room("lobby")).unwrap().position();
    let joined = join_since(&mut world, alice, "lobby", at(head, 0));
    assert!(joined.already);
    assert_eq!((joined.position, joined.recovered), (head, Recovered::Fresh));
    world.settle();
    assert_eq!(world.seen(alice), ["lobby: 1"]);
}

#[test]
fn what_was_superseded_meanwhile_is_not_lost() {
    let mut world = World::new();
    let key = headcount::Key::new("price").unwrap();
    let first = world.open("alice", "main");
    let session = world.session(first);
    for number in 1..=4 {
        let message = Message::text(number.to_string()).latest(key.clone());
        world.send(Target::Session(session), message);
        world.settle();
    }
    let head = world.registry.session(session).unwrap().position();
    let (alice, admitted) = world.resume("alice", "main", at(head, 1));
    assert_eq!(admitted.recovered, Recovered::All);
    world.settle();
    assert_eq!(world.seen(alice), ["4"]);
}

#[test]
fn a_predecessor_of_an_earlier_process_closes_nobody() {
    let start = |seed| World::with(headcount::Config::builder(seed));
    let mut before = start(1);
    let [first, second] = [(); 2].map(|()| before.open("alice", "main"));
    assert_ne!(before.registry.config().instance(), start(2).registry.config().instance());
    for seed in 2..100 {
        let mut after = start(seed);
        // The second tab is back first, and has the slot that the first one had.
        let other = after.take_over("alice", "main", second);
        assert_eq!(other.index(), first.index());
        let again = after.take_over("alice", "main", first);
        assert_eq!(after.open_conns(), [other, again]);
        assert_eq!((after.state(first), after.state(second)), (None, None));
    }
}

#[test]
fn no_position_that_a_client_can_name_means_that_it_has_seen_none() {
    let mut world = World::new();
    told(&mut world, 1..=3);
    for epoch in [0, u64::MAX] {
        let position = Position { epoch, offset: u64::MAX };
        let (_, admitted) = world.resume("alice", "main", position);
        assert_eq!(admitted.recovered, Recovered::Gap, "{position:?}");
    }
}

#[test]
fn a_takeover_without_a_position_begins_at_the_head() {
    let mut world = World::new();
    let head = told(&mut world, 1..=3);
    let previous = world.open("alice", "main");
    let conn = world.reserve();
    let who = crate::support::who("alice", "main");
    let admitted = world.registry.connect(world.now, conn, who, Start::OpenRuns, Some(previous));
    let followed = admitted.unwrap().followed.unwrap();
    assert_eq!((followed.position, followed.recovered), (head, Recovered::Fresh));
    world.settle();
    assert_eq!(world.seen(conn), [""; 0]);
}

#[test]
fn a_replay_is_given_up_with_its_room() {
    let mut world = World::with(narrow());
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(bob, "lobby");
    for number in 1..=3 {
        world.tell_room("lobby", &number.to_string());
    }
    world.settle();
    let head = world.registry.room(&room("lobby")).unwrap().position();
    join_since(&mut world, alice, "lobby", at(head, 0));
    let _ = world.step();
    world.leave(alice, "lobby");
    world.settle();
    assert_eq!(world.seen(alice), ["lobby: 1"]);
}

fn acknowledged(world: &World, conn: ConnId) -> Vec<u64> {
    let cursors = world.registry.connection(conn).expect("a connection").cursors();
    cursors.map(|cursor| cursor.acknowledged).collect()
}

#[test]
fn an_acknowledgement_only_grows_and_never_beyond_what_was_handed_out() {
    let mut world = World::with(narrow());
    let alice = world.open("alice", "main");
    for _ in 0..3 {
        world.tell_session(alice, "");
    }
    world.settle();
    world.tell_conn(alice, &text_of_cost(1_000));
    world.tell_session(alice, "waits");
    world.drain();
    for (offset, expected) in [(2, 2), (1, 2), (2, 2), (4, 3), (u64::MAX, 3)] {
        assert_eq!(world.acknowledge(alice, offset), Ok(()));
        assert_eq!(acknowledged(&world, alice), [expected]);
    }
    assert_eq!(world.registry.stats().acknowledged, 2, "those that told something new");
}

#[test]
fn acknowledgements_trim_nothing() {
    let mut world = World::new();
    let tabs = [(); 2].map(|()| world.open("alice", "main"));
    for number in 1..=3 {
        world.tell_session(tabs[0], &number.to_string());
    }
    world.settle();
    for tab in tabs {
        world.acknowledge(tab, 3).unwrap();
    }
    world.settle();
    let head = world.registry.session(world.session(tabs[0])).unwrap().position();
    let (back, admitted) = world.resume("alice", "main", at(head, 0));
    assert_eq!(admitted.recovered, Recovered::All);
    world.settle();
    assert_eq!(world.seen(back), ["1", "2", "3"]);
}

#[test]
fn each_stream_is_acknowledged_by_its_members_only() {
    let mut world = World::new();
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(alice, "lobby");
    world.tell_room("lobby", "1");
    world.settle();
    let (now, lobby, nowhere) = (world.now, room("lobby"), room("nowhere"));
    let (lobby, nowhere) = (StreamRef::Room(&lobby), StreamRef::Room(&nowhere));
    assert_eq!(world.registry.acknowledge(now, alice, lobby, 1), Ok(()));
    assert_eq!(acknowledged(&world, alice), [0, 1]);
    let not_a_member = Err(AcknowledgeError::NotAMember);
    assert_eq!(world.registry.acknowledge(now, bob, lobby, 1), not_a_member);
    assert_eq!(world.registry.acknowledge(now, bob, nowhere, 1), not_a_member);
    let pending = world.reserve();
    let unknown = Err(AcknowledgeError::UnknownConn);
    assert_eq!(world.registry.acknowledge(now, pending, lobby, 1), unknown);
    world.hang_up(alice);
    assert_eq!(world.registry.acknowledge(now, alice, lobby, 1), unknown);
}
