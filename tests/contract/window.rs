//! What a slow reader is given: windows, the reply reserve, paused input, catching up, and gaps.

use headcount::{
    CloseReason, Intake, Message, Notice, Position, Recovered, ReplyError, Start, Target,
};

use crate::support::{World, config, ms, room, secs, text_of_cost};

/// Windows of 1,000, lanes of 200, messages of 100 each unless a test says so.
fn world() -> World {
    World::with(config().send_window(1_000).reply_reserve(200).ping_interval(secs(0)))
}

fn hundred() -> String {
    text_of_cost(100)
}

#[test]
fn what_is_handed_out_never_exceeds_the_window() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for number in 0..200 {
        world.tell_session(alice, &text_of_cost(64 + number % 300));
        world.drain();
        assert!(world.in_flight(alice) <= 1_000, "{}", world.in_flight(alice));
        if number % 3 == 0 {
            world.flush_some(alice, world.in_flight(alice).min(number * 5));
            world.drain();
            assert!(world.in_flight(alice) <= 1_000, "{}", world.in_flight(alice));
        }
    }
    assert!(world.registry.stats().deferred > 0);
}

#[test]
fn the_window_is_exact() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..11 {
        world.tell_session(alice, &hundred());
    }
    world.drain();
    assert_eq!(world.seen(alice).len(), 10);
    assert_eq!(world.in_flight(alice), 1_000);
}

#[test]
fn an_empty_window_admits_one_message_of_any_size() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.tell_session(alice, &text_of_cost(5_000));
    world.tell_session(alice, &text_of_cost(7_000));
    world.drain();
    assert_eq!(world.in_flight(alice), 5_000);
    world.flush_some(alice, 4_999);
    assert_eq!(world.drain(), 0, "it is not empty");
    world.flush_some(alice, 1);
    world.drain();
    assert_eq!(world.in_flight(alice), 7_000);
}

#[test]
fn whoever_has_fallen_behind_is_noticed_once_and_catches_up_in_order() {
    let mut world = world();
    let [fast, slow] = [(); 2].map(|()| world.open("alice", "main"));
    world.stall(slow);
    world.notices();
    for number in 0..40 {
        world.tell_session(fast, &format!("{number:036}"));
        world.settle();
    }
    assert_eq!(world.seen(fast).len(), 40);
    assert_eq!(world.seen(slow).len(), 10, "a window of a hundred each");
    assert_eq!(world.notices(), [Notice::Behind { conn: slow }]);

    while world.seen(slow).len() < 40 {
        world.flush(slow);
        assert!(world.drain() > 0);
    }
    assert_eq!(world.seen(slow), world.seen(fast));
    world.flush(slow);
    world.tell_session(fast, "live again");
    assert_eq!(world.reached(), (2, 0));
}

#[test]
fn a_slow_reader_is_pumped_once_its_window_is_at_most_half_full() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..20 {
        world.tell_session(alice, &hundred());
    }
    world.drain();
    world.flush_some(alice, 499);
    assert_eq!(world.drain(), 0, "not for every hundred bytes that the kernel takes");
    world.flush_some(alice, 1);
    assert_eq!(world.drain(), 5);
    assert_eq!(world.in_flight(alice), 1_000);
}

#[test]
fn flush_totals_that_run_backwards_or_ahead_are_clamped() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..30 {
        world.tell_session(alice, &hundred());
    }
    world.drain();
    let now = world.now;
    assert_eq!(world.registry.flushed(now, alice, u64::MAX), Ok(true));
    assert_eq!(world.drain(), 10);
    assert_eq!(world.registry.flushed(now, alice, 3), Ok(true));
    assert_eq!(world.drain(), 0);
    assert_eq!(world.registry.flushed(now, alice, 1_000), Ok(true));
    assert_eq!(world.drain(), 0, "that much was flushed before");
    assert_eq!(world.registry.flushed(now, alice, 2_000), Ok(true));
    assert_eq!(world.drain(), 10);
}

#[test]
fn direct_messages_have_a_lane_beside_the_window_and_then_the_call_says_full() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..12 {
        world.tell_conn(alice, &hundred());
        assert!(!world.delivery.full);
    }
    world.tell_conn(alice, "");
    assert!(world.delivery.full && world.reached() == (0, 0));
    let now = world.now;
    let full = world.registry.reply(now, alice, Message::text("no"));
    assert_eq!(full, Err(ReplyError::Full));
    world.drain();
    assert_eq!(world.seen(alice).len(), 12, "nothing is kept of what was refused");
    world.flush_some(alice, 64);
    world.tell_conn(alice, "");
    assert!(!world.delivery.full);
}

#[test]
fn stream_data_never_uses_the_lane() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..20 {
        world.tell_session(alice, &hundred());
    }
    world.drain();
    assert_eq!(world.in_flight(alice), 1_000);
    world.tell_conn(alice, &hundred());
    world.tell_conn(alice, &hundred());
    assert!(!world.delivery.full);
    world.tell_conn(alice, &hundred());
    assert!(world.delivery.full, "beyond a full window there is the reply reserve, and no more");
}

#[test]
fn while_the_window_is_not_exceeded_a_reply_as_long_as_the_reserve_fits() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..10 {
        world.tell_session(alice, &hundred());
    }
    world.drain();
    let now = world.now;
    let longer = world.registry.reply(now, alice, Message::text(text_of_cost(201)));
    assert_eq!(longer, Err(ReplyError::Full));
    assert_eq!(world.registry.reply(now, alice, Message::text(text_of_cost(200))), Ok(()));
    let second = world.registry.reply(now, alice, Message::text(""));
    assert_eq!(second, Err(ReplyError::Full));
}

#[test]
fn input_is_paused_beyond_the_window_and_ready_again_at_half() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..10 {
        world.tell_conn(alice, &hundred());
    }
    world.drain();
    assert_eq!(world.data(alice), Intake::Taken, "a full window is not beyond it");
    world.tell_conn(alice, "");
    assert_eq!(world.data(alice), Intake::Paused, "what is queued counts");
    world.drain();
    assert_eq!(world.data(alice), Intake::Paused);
    assert!(!world.flush_some(alice, 563));
    assert!(world.flush_some(alice, 1), "half a window is left");
    assert_eq!(world.data(alice), Intake::Taken);
    let reply = world.registry.reply(world.now, alice, Message::text(text_of_cost(200)));
    assert_eq!(reply, Ok(()), "a reply as long as the reserve always fits after that");
}

#[test]
fn an_empty_window_admits_a_reply_of_any_size_and_what_is_longer_than_the_reserve_fits_the_window()
{
    let mut world = world();
    let alice = world.open("alice", "main");
    let now = world.now;
    let mut reply = |cost| world.registry.reply(now, alice, Message::text(text_of_cost(cost)));
    assert_eq!(reply(700), Ok(()));
    assert_eq!(reply(301), Err(ReplyError::Full));
    assert_eq!(reply(300), Ok(()));
    assert_eq!(reply(200), Ok(()));
    let bob = world.open("bob", "main");
    assert_eq!(world.registry.reply(world.now, bob, Message::text(text_of_cost(9_000))), Ok(()));
}

#[test]
fn what_is_queued_for_all_is_bounded_and_each_has_its_reserve_beside() {
    let narrow = config().send_window(1_000).reply_reserve(200).direct_bytes(1_500);
    let mut world = World::with(narrow.ping_interval(secs(0)));
    let conns = ["alice", "bob", "carol"].map(|name| world.open(name, "main"));
    let reply = |world: &mut World, conn, cost| {
        world.registry.reply(world.now, conn, Message::text(text_of_cost(cost)))
    };
    assert_eq!(reply(&mut world, conns[0], 1_000), Ok(()));
    assert_eq!(reply(&mut world, conns[1], 501), Err(ReplyError::Full));
    assert_eq!(reply(&mut world, conns[1], 500), Ok(()));
    // Beyond it: as much for each connection as the reserve, whatever is queued for others.
    assert_eq!(reply(&mut world, conns[0], 64), Err(ReplyError::Full));
    assert_eq!(reply(&mut world, conns[2], 201), Err(ReplyError::Full));
    assert_eq!(reply(&mut world, conns[2], 100), Ok(()));
    assert_eq!(reply(&mut world, conns[2], 100), Ok(()));
    assert_eq!(reply(&mut world, conns[2], 64), Err(ReplyError::Full));
    world.tell_conn(conns[2], "");
    assert!(world.delivery.full);
    world.check();
    // What was polled is no longer queued.
    world.drain();
    assert_eq!(reply(&mut world, conns[1], 500), Ok(()));
}

#[test]
fn one_message_of_any_size_is_queued_while_nothing_else_is() {
    let mut world = World::with(config().reply_reserve(0).direct_bytes(1));
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    let large = || Message::text(text_of_cost(9_000));
    assert_eq!(world.registry.reply(world.now, alice, large()), Ok(()));
    assert_eq!(world.registry.reply(world.now, bob, Message::text("")), Err(ReplyError::Full));
    // Its connection goes: it counts until its turn comes in the outbox.
    world.registry.disconnect(world.now, alice).unwrap();
    assert_eq!(world.registry.reply(world.now, bob, Message::text("")), Err(ReplyError::Full));
    world.settle();
    assert_eq!(world.registry.reply(world.now, bob, large()), Ok(()));
    world.check();
}

#[test]
fn a_close_hands_out_no_more_than_all_may_have_queued() {
    let mut world = World::with(config().send_window(1_000).direct_bytes(250));
    let conns = ["alice", "bob"].map(|name| world.open(name, "main"));
    for conn in conns {
        (0..3).for_each(|_| world.tell_session(conn, &hundred()));
    }
    for conn in conns {
        world.registry.close(world.now, Target::Conn(conn), CloseReason::Application);
        world.check();
    }
    world.settle();
    // The sockets have ended by now. Each was told why, and the logs keep the rest for a resume.
    let told = conns.map(|conn| world.seen(conn).len());
    assert_eq!(told, [3, 1], "two messages and the close, and the close alone");
}

#[test]
fn a_flush_says_ready_to_whoever_was_not_paused() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for _ in 0..11 {
        world.tell_conn(alice, &hundred());
    }
    world.drain();
    assert!(world.flush_some(alice, 10));
}

/// A connection that has been handed a full window and reads nothing, and its session's log.
fn stalled(config: headcount::ConfigBuilder) -> (World, headcount::ConnId) {
    let mut world =
        World::with(config.send_window(1_000).ping_interval(secs(0)).slow_deadline(secs(3_600)));
    let alice = world.open("alice", "main");
    for _ in 0..10 {
        world.tell_session(alice, &hundred());
        world.drain();
    }
    assert_eq!(world.take(alice).len(), 10);
    (world, alice)
}

#[test]
fn a_log_that_moves_on_by_count_tells_exactly_what_was_lost() {
    let (mut world, alice) = stalled(config().stream_messages(12));
    for number in 11..=25 {
        world.tell_session(alice, &number.to_string());
        world.drain();
    }
    world.flush(alice);
    world.drain();
    let kept = (14..=25).map(|number| number.to_string());
    let expected: Vec<_> = ["gap 11..=13".to_string()].into_iter().chain(kept).collect();
    assert_eq!(world.seen(alice), expected);
    assert_eq!(world.registry.stats().gaps, 1);
    let gap = Notice::Gap { conn: alice, from: 11, to: 13 };
    assert!(world.notices().contains(&gap));
}

#[test]
fn a_log_that_moves_on_by_bytes_tells_what_was_lost() {
    let (mut world, alice) = stalled(config().stream_bytes(1_000));
    world.tell_session(alice, &text_of_cost(600));
    world.tell_session(alice, &text_of_cost(600));
    world.drain();
    assert_eq!(world.registry.stats().log_bytes, 600);
    world.flush(alice);
    world.drain();
    assert_eq!(world.seen(alice), ["gap 11..=11", &text_of_cost(600)]);
}

#[test]
fn one_message_of_any_size_is_kept_while_it_is_the_only_one() {
    let (mut world, alice) = stalled(config().stream_bytes(1_000));
    world.tell_session(alice, &text_of_cost(30_000));
    world.flush(alice);
    world.drain();
    assert_eq!(world.seen(alice), [text_of_cost(30_000)]);
}

#[test]
fn a_log_that_moves_on_by_age_tells_what_was_lost() {
    let (mut world, alice) = stalled(config().stream_ttl(secs(60)));
    world.skip(secs(1));
    world.tell_session(alice, "eleven");
    world.tell_session(alice, "twelve");
    world.drain();
    world.skip(secs(30));
    world.tell_session(alice, "thirteen");
    world.drain();
    world.skip(secs(30));
    world.flush(alice);
    world.drain();
    assert_eq!(world.seen(alice), ["gap 11..=12", "thirteen"]);
}

#[test]
fn a_log_that_is_empty_by_now_still_tells_what_was_lost() {
    let (mut world, alice) = stalled(config().stream_ttl(secs(60)));
    world.tell_session(alice, "eleven");
    world.drain();
    world.skip(secs(60));
    assert_eq!(world.registry.stats().log_messages, 0);
    world.flush(alice);
    world.drain();
    assert_eq!(world.seen(alice), ["gap 11..=11"]);
    world.flush(alice);
    world.tell_session(alice, "twelve");
    world.settle();
    assert_eq!(world.seen(alice), ["gap 11..=11", "twelve"]);
}

#[test]
fn a_gap_needs_room_in_the_window_like_anything_else() {
    let (mut world, alice) = stalled(config().stream_messages(2));
    for number in 11..=15 {
        world.tell_session(alice, &number.to_string());
        world.drain();
    }
    assert_eq!(world.seen(alice), [""; 0]);
    world.flush_some(alice, 500);
    world.drain();
    assert_eq!(world.seen(alice), ["gap 11..=13", "14", "15"]);
    assert_eq!(world.in_flight(alice), 500 + 64 + 66 + 66);
}

#[test]
fn nobody_else_has_a_gap_because_one_reads_slowly() {
    let mut world =
        World::with(config().send_window(1_000).stream_messages(5).ping_interval(secs(0)));
    let [fast, slow] = [(); 2].map(|()| world.open("alice", "main"));
    world.stall(slow);
    for number in 0..100 {
        world.tell_session(fast, &number.to_string());
        world.settle();
    }
    assert_eq!(world.seen(fast).len(), 100);
    world.flush(slow);
    world.drain();
    assert_eq!(world.seen(slow)[15..], ["gap 16..=95", "95", "96", "97", "98", "99"]);
}

#[test]
fn a_room_that_has_moved_on_is_named_in_the_gap() {
    let slow = config().send_window(1_000).room_messages(2).ping_interval(secs(0));
    let mut world = World::with(slow);
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_conn(alice, &text_of_cost(1_000));
    world.drain();
    for number in 1..=5 {
        world.tell_room("lobby", &number.to_string());
    }
    world.drain();
    world.flush(alice);
    world.drain();
    assert_eq!(world.seen(alice)[1..], ["gap lobby 1..=3", "lobby: 4", "lobby: 5"]);
}

#[test]
fn a_join_that_asks_for_what_is_lost_is_told_so_after_the_answer_to_it() {
    let mut world = World::with(config().room_history(1));
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(bob, "lobby");
    for number in 1..=3 {
        world.tell_room("lobby", &number.to_string());
    }
    world.settle();
    let now = world.now;
    let head = world.registry.room(&room("lobby")).unwrap().position();
    let seen_one = Start::After(Position { offset: 1, ..head });
    let joined = world.registry.join(now, alice, &room("lobby"), seen_one).unwrap();
    assert_eq!((joined.position.offset, joined.recovered), (1, Recovered::Gap));
    world.tell_conn(alice, "joined");
    world.tell_room("lobby", "4");
    world.settle();
    assert_eq!(world.seen(alice), ["direct: joined", "gap lobby 2..=2", "lobby: 3", "lobby: 4"]);
}

#[test]
fn without_flush_reports_nothing_is_held_back_and_nothing_is_stuck() {
    let blind = config().send_window(1_000).slow_deadline(ms(1)).ping_interval(secs(0));
    let mut world = World::with(blind.without_flush_reports());
    let alice = world.open("alice", "main");
    for number in 0..200 {
        world.tell_session(alice, &text_of_cost(64 + number));
    }
    assert_eq!(world.drain(), 200);
    world.skip(secs(100));
    assert_eq!(world.data(alice), Intake::Taken);
    assert_eq!(world.close(Target::Conn(alice), CloseReason::Application), 1);
}

#[test]
fn without_flush_reports_polling_makes_room_for_direct_messages() {
    let blind = config().send_window(1_000).reply_reserve(200).ping_interval(secs(0));
    let mut world = World::with(blind.without_flush_reports());
    let alice = world.open("alice", "main");
    for _ in 0..12 {
        world.tell_conn(alice, &hundred());
    }
    assert_eq!(world.data(alice), Intake::Paused);
    world.tell_conn(alice, "");
    assert!(world.delivery.full, "the byte bounds stay");
    world.drain();
    assert_eq!(world.data(alice), Intake::Taken);
    world.tell_conn(alice, "");
    assert!(!world.delivery.full);
}

#[test]
fn the_last_entry_is_handed_out_although_another_caught_up_without_a_word_before() {
    let mut world = World::with(config().send_window(100).ping_interval(secs(0)).room_history(0));
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(bob, "lobby");
    world.stall(bob);
    world.tell_room("lobby", &text_of_cost(100));
    world.drain();
    let last = Message::text("last").except_connection(alice);
    world.send(Target::Room(&room("lobby")), last);
    world.drain();
    // Nothing of what Alice lacks is for her, and her turn comes first.
    let head = world.registry.room(&room("lobby")).unwrap().position();
    let since = Position { offset: head.offset - 1, ..head };
    world.registry.join(world.now, alice, &room("lobby"), Start::After(since)).unwrap();
    world.flush(bob);
    world.drain();
    assert_eq!(world.seen(bob).last(), Some(&"lobby: last"));
    assert!(world.seen(alice).is_empty());
}

#[test]
fn a_connection_may_lag_in_as_many_rooms_as_it_may_be_in() {
    const MOST: u32 = 65_535;
    let config = config().rooms_per_connection(MOST).send_window(64).notices(0);
    let mut world = World::with(config);
    world.checking = false;
    let conn = world.tab("alice", "main");
    let rooms: Vec<_> = (0..MOST).map(|number| room(&format!("{number}"))).collect();
    for room in &rooms {
        let _ = world.registry.join(world.now, conn, room, Start::Now).unwrap();
    }
    let large = || Message::text("x".repeat(100));
    world.registry.reply(world.now, conn, large()).unwrap();
    for room in &rooms {
        world.send(Target::Room(room), large());
    }
    world.tell_session(conn, "and its session");
    while world.registry.poll_action().is_some() {}
    world.registry.check().unwrap();
}
