//! Who gets a message and in which order, and what a send says about it.

use core::time::Duration;

use headcount::{CloseReason, Message, Notice, Target};

use crate::support::{World, config, room, secs, text_of_cost, user};

const NOTHING: [&str; 0] = [];

#[test]
fn a_sessions_message_reaches_its_connections_and_nobody_else() {
    let mut world = World::new();
    let tabs = [(); 2].map(|()| world.open("alice", "main"));
    let other_thread = world.open("alice", "other");
    let other_user = world.open("bob", "main");
    world.tell_session(tabs[0], "hello");
    world.settle();
    assert_eq!(tabs.map(|tab| world.seen(tab)), [["hello"], ["hello"]]);
    assert_eq!(world.seen(other_thread), NOTHING);
    assert_eq!(world.seen(other_user), NOTHING, "the same thread's name is not the same thread");
    assert_eq!(world.registry.stats().sent, 2);
}

#[test]
fn a_users_message_reaches_all_of_their_sessions_in_each_ones_own_stream() {
    let mut world = World::new();
    let one = world.open("alice", "one");
    let two = world.open("alice", "two");
    let bob = world.open("bob", "one");
    world.tell_user("alice", "hello");
    let sessions: Vec<_> = world.delivery.stored().iter().map(|stored| stored.session).collect();
    assert_eq!(sessions, [Some(world.session(one)), Some(world.session(two))]);
    world.settle();
    assert_eq!((world.seen(one), world.seen(two)), (vec!["hello"], vec!["hello"]));
    assert_eq!(world.seen(bob), NOTHING);
}

#[test]
fn a_rooms_message_reaches_its_members_across_users() {
    let mut world = World::new();
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    let second_tab = world.open("alice", "main");
    world.join(alice, "lobby");
    world.join(bob, "lobby");
    world.tell_room("lobby", "hello");
    assert_eq!(world.delivery.stored()[0].session, None);
    world.settle();
    assert_eq!(world.seen(alice), ["lobby: hello"]);
    assert_eq!(world.seen(bob), ["lobby: hello"]);
    assert_eq!(world.seen(second_tab), NOTHING, "a connection joins, not its user");
}

#[test]
fn a_direct_message_reaches_one_connection() {
    let mut world = World::new();
    let tabs = [(); 2].map(|()| world.open("alice", "main"));
    world.tell_conn(tabs[1], "hello");
    assert_eq!(world.reached(), (1, 0));
    assert!(world.delivery.stored().is_empty(), "it is in no stream");
    world.settle();
    assert_eq!(world.seen(tabs[0]), NOTHING);
    assert_eq!(world.seen(tabs[1]), ["direct: hello"]);
}

#[test]
fn everyone_is_whoever_is_open() {
    let mut world = World::with(config().connections(10).closing(10));
    let open = [("alice", "a"), ("alice", "b"), ("bob", "a")].map(|(u, t)| world.open(u, t));
    let closing = world.open("carol", "main");
    world.close(Target::Conn(closing), CloseReason::Application);
    let pending = world.reserve();
    world.tell_everyone("hello");
    assert_eq!(world.reached(), (3, 0));
    world.drain();
    for conn in open {
        assert_eq!(world.seen(conn), ["everyone: hello"]);
    }
    assert_eq!(world.seen(closing), ["close application"]);
    assert_eq!(world.seen(pending), NOTHING);
    assert_eq!(world.registry.stats().stored, 0);
}

#[test]
fn one_action_names_every_recipient_so_that_a_shell_encodes_once() {
    let mut world = World::with(config().fanout_chunk(4));
    let conns: Vec<_> =
        (0..10).map(|number| world.open(&format!("user{number}"), "main")).collect();
    for conn in &conns {
        world.join(*conn, "lobby");
    }
    world.tell_room("lobby", "hello");
    let slices: Vec<_> = core::iter::from_fn(|| world.step()).map(|polled| polled.to).collect();
    assert_eq!(slices, [&conns[..4], &conns[4..8], &conns[8..]], "in the order of joining");
}

#[test]
fn an_excluded_connection_is_left_out_and_not_counted() {
    let mut world = World::new();
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    for conn in [alice, bob] {
        world.join(conn, "lobby");
    }
    world.send(Target::Room(&room("lobby")), Message::text("mine").except_connection(alice));
    assert_eq!(world.reached(), (1, 0));
    world.send(Target::Everyone, Message::text("mine").except_connection(alice));
    world.send(Target::Conn(alice), Message::text("mine").except_connection(alice));
    assert!(world.delivery.reaches_none());
    world.settle();
    world.tell_room("lobby", "next");
    world.settle();
    assert_eq!(world.seen(alice), ["lobby: next"]);
    assert_eq!(world.seen(bob), ["lobby: mine", "everyone: mine", "lobby: next"]);
    assert_eq!(world.registry.stats().gaps, 0, "what was not for it is no loss");
}

#[test]
fn the_order_of_a_stream_is_the_order_of_its_sends() {
    let mut world = World::with(config().fanout_chunk(1));
    let conns = ["alice", "bob", "carol"].map(|name| world.open(name, "main"));
    for conn in conns {
        world.join(conn, "lobby");
    }
    let expected: Vec<_> = (0..20).map(|number| format!("lobby: {number}")).collect();
    for number in 0..20 {
        world.tell_room("lobby", &number.to_string());
        world.step();
    }
    world.settle();
    for conn in conns {
        assert_eq!(world.seen(conn), expected);
    }
}

#[test]
fn positions_increase_and_are_what_the_send_said() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    let epoch = world.registry.session(world.session(alice)).unwrap().position().epoch;
    for offset in 1..=3 {
        world.tell_session(alice, "hello");
        let stored = world.delivery.stored()[0].position;
        assert_eq!((stored.epoch, stored.offset), (epoch, offset));
        assert_eq!(world.step().unwrap().position, Some(stored));
    }
    world.tell_conn(alice, "direct");
    assert_eq!(world.step().unwrap().position, None);
}

#[test]
fn direct_messages_come_before_stream_data_so_the_welcome_is_first() {
    let mut world = World::new();
    world.open("alice", "main");
    let late = world.open("alice", "main");
    world.tell_user("alice", "news");
    world.registry.reply(world.now, late, Message::text("welcome")).unwrap();
    world.tell_conn(late, "and more");
    world.settle();
    assert_eq!(world.seen(late), ["direct: welcome", "direct: and more", "news"]);
}

#[test]
fn a_newcomer_begins_at_the_head() {
    let mut world = World::new();
    let first = world.open("alice", "main");
    world.tell_session(first, "old");
    let second = world.open("alice", "main");
    world.tell_session(first, "new");
    world.settle();
    assert_eq!(world.seen(first), ["old", "new"]);
    assert_eq!(world.seen(second), ["new"]);
}

#[test]
fn a_send_tells_who_is_live_and_who_is_behind_at_the_call() {
    let mut world = World::with(config().send_window(200));
    let [live, behind, left_out] = [(); 3].map(|()| world.open("alice", "main"));
    world.tell_session(live, &text_of_cost(200));
    world.drain();
    world.flush(live);
    world.flush(left_out);
    world.tell_session(live, "one");
    assert_eq!(world.reached(), (3, 0), "who stands at the head is live, window or not");
    world.drain();
    world.tell_session(live, "two");
    assert_eq!(world.reached(), (2, 1));
    world.send(Target::User(&user("alice")), Message::text("three").except_connection(left_out));
    assert_eq!(world.reached(), (1, 1));
    world.send(Target::User(&user("alice")), Message::text("four").except_connection(behind));
    assert_eq!(world.reached(), (2, 0));
}

#[test]
fn a_lingering_session_stores_what_nobody_reads_yet() {
    let mut world = World::with(config().session_linger(secs(60)));
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    world.hang_up(alice);
    world.settle();
    world.send(Target::Session(session), Message::text("later"));
    assert_eq!((world.reached(), world.delivery.stored().len()), ((0, 0), 1));
    assert!(!world.delivery.reaches_none());
    assert_eq!(world.drain(), 0);
}

#[test]
fn without_history_and_members_a_message_is_nobodys() {
    let mut world = World::with(config().session_linger(secs(60)).stream_history(0));
    let alice = world.open("alice", "main");
    world.tell_session(alice, "now");
    world.settle();
    assert_eq!(world.registry.stats().log_messages, 0, "handed out, and not kept");
    world.hang_up(alice);
    world.settle();
    world.tell_user("alice", "later");
    assert!(world.delivery.reaches_none());
    assert_eq!(world.registry.stats().stored, 1);
}

#[test]
fn history_keeps_the_newest_once_everyone_was_handed_them() {
    let mut world = World::with(config().stream_messages(10).stream_history(3).send_window(200));
    let [fast, slow] = [(); 2].map(|()| world.open("alice", "main"));
    world.stall(slow);
    for number in 0..6 {
        world.tell_session(fast, &number.to_string());
        world.settle();
    }
    assert_eq!(world.registry.stats().log_messages, 6, "the slow one still lacks some");
    world.flush(slow);
    world.drain();
    world.flush(slow);
    world.drain();
    assert_eq!(world.registry.stats().log_messages, 3);
    assert_eq!(world.seen(slow), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn messages_grow_old_in_the_log() {
    let mut world = World::with(config().stream_ttl(secs(10)).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    world.tell_session(alice, "one");
    world.settle();
    world.skip(secs(4));
    world.tell_session(alice, "two");
    world.settle();
    world.skip(secs(6) - Duration::from_millis(1));
    assert_eq!(world.registry.stats().log_messages, 2);
    world.skip(Duration::from_millis(1));
    assert_eq!(world.registry.stats().log_messages, 1);
    world.skip(secs(4));
    assert_eq!((world.registry.stats().log_messages, world.registry.stats().log_bytes), (0, 0));
    assert_eq!(world.seen(alice), ["one", "two"], "who has read it loses nothing");
}

#[test]
fn a_room_with_history_outlives_its_members_until_that_is_old() {
    let history = config().room_ttl(secs(10)).room_history(5);
    let mut world = World::with(history);
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_room("lobby", "hello");
    world.settle();
    world.leave(alice, "lobby");
    assert_eq!(world.registry.stats().rooms, 1);
    assert!(world.join(alice, "lobby").position.offset == 1, "it is the same room");
    world.leave(alice, "lobby");
    world.skip(secs(10));
    assert_eq!(world.registry.stats().rooms, 0);
    assert!(world.registry.room(&room("lobby")).is_none());
    assert_eq!(world.join(alice, "lobby").position.offset, 0, "it is another one");
}

#[test]
fn announcements_come_in_order_and_skip_whoever_is_full_or_behind() {
    let mut world = World::with(config().send_window(200).fanout_chunk(1));
    let [full, behind, fine] = ["full", "behind", "fine"].map(|name| world.open(name, "main"));
    world.tell_session(full, &text_of_cost(200));
    world.tell_session(behind, &text_of_cost(150));
    world.tell_session(behind, &text_of_cost(150));
    world.drain();
    world.notices();
    world.tell_everyone("first");
    world.tell_everyone("second");
    assert_eq!(world.reached(), (3, 0), "it tells who is open, and promises nothing");
    world.settle();
    assert_eq!(world.seen(fine), ["everyone: first", "everyone: second"]);
    assert!(!world.seen(full).contains(&"everyone: first"));
    assert!(!world.seen(behind).contains(&"everyone: first"));
    assert_eq!(world.registry.stats().skipped, 4);
    let ends = [Notice::Announced { sent: 1, skipped: 2 }; 2];
    assert_eq!(world.notices(), ends);
}

#[test]
fn so_many_announcements_may_be_under_way_and_a_further_one_is_not_kept() {
    let mut world = World::with(config().announcements(2));
    let alice = world.open("alice", "main");
    for text in ["first", "second", "third"] {
        assert!(!world.delivery.full);
        world.tell_everyone(text);
    }
    assert!(world.delivery.full && world.reached() == (0, 0) && !world.delivery.reaches_none());
    world.settle();
    assert_eq!(world.seen(alice), ["everyone: first", "everyone: second"]);
    world.tell_everyone("fourth");
    assert!(!world.delivery.full);
    world.settle();
    assert_eq!(world.seen(alice).len(), 3);
}

#[test]
fn a_connection_stands_for_its_session_and_for_its_user() {
    let mut world = World::new();
    let (one, two) = (world.open("alice", "one"), world.open("alice", "two"));
    let other = world.open("bob", "one");
    world.send(Target::SessionOf(one), Message::text("the tabs of this chat"));
    assert_eq!(world.reached(), (1, 0));
    world.send(Target::UserOf(one), Message::text("all chats of this user"));
    assert_eq!(world.reached(), (2, 0));
    world.settle();
    assert_eq!(world.seen(one), ["the tabs of this chat", "all chats of this user"]);
    assert_eq!(world.seen(two), ["all chats of this user"]);
    assert_eq!(world.close(Target::SessionOf(two), CloseReason::Application), 1);
    assert_eq!(world.close(Target::UserOf(one), CloseReason::Application), 1);
    // It closes: it stands for nothing any more.
    world.send(Target::UserOf(one), Message::text("too late"));
    assert!(world.delivery.reaches_none());
    assert_eq!(world.open_conns(), [other]);
}

#[test]
fn a_direct_message_counts_as_sent_when_it_is_handed_out() {
    let mut world = World::new();
    let conn = world.open("alice", "main");
    world.tell_conn(conn, "hello");
    assert_eq!(world.registry.stats().sent, 0);
    world.drain();
    assert_eq!(world.registry.stats().sent, 1);
}

#[test]
fn who_joins_before_a_message_is_polled_that_was_sent_before_does_not_get_it() {
    for config in [config(), config().without_flush_reports()] {
        let mut world = World::with(config);
        let (early, late) = (world.open("alice", "main"), world.open("bob", "main"));
        world.join(early, "lobby");
        world.tell_room("lobby", "early");
        world.join(late, "lobby");
        world.leave(early, "lobby");
        world.tell_room("lobby", "late");
        world.settle();
        assert_eq!(world.seen(late), ["lobby: late"]);
    }
}
