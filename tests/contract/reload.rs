//! Reload: new limits and times for a registry that runs, and a dry run that says what they do.

use headcount::{
    ConfigBuilder, ConnId, ConnKind, ConnState, Impact, Inbound, Intake, Notice, OverCap, Refused,
    Start,
};

use crate::support::{World, config, ms, refuse, room, secs, text_of_cost, user};

/// Both: the dry run, which must change nothing, and then the reload, which must do what it said.
fn reload(world: &mut World, config: ConfigBuilder) -> Impact {
    let config = config.build().unwrap();
    let before = world.registry.stats();
    let said = world.registry.preview_reload(world.now, &config);
    assert_eq!(world.registry.stats(), before, "a dry run changes nothing");
    assert_eq!(world.registry.reload(world.now, config), said);
    world.check();
    said
}

fn tabs(world: &mut World, name: &str, count: usize) -> Vec<ConnId> {
    (0..count)
        .map(|_| {
            world.run(ms(10));
            world.tab(name, "main")
        })
        .collect()
}

fn states(world: &World, conns: &[ConnId]) -> Vec<bool> {
    conns.iter().map(|conn| world.state(*conn) == Some(ConnState::Open)).collect()
}

#[test]
fn a_reload_that_changes_nothing_closes_nobody() {
    let mut world = World::new();
    let conns = tabs(&mut world, "alice", 3);
    world.notices();
    let impact = reload(&mut world, config());
    assert_eq!((impact, impact.closes()), (Impact::default(), 0));
    assert_eq!(world.notices(), [Notice::Reloaded { impact }]);
    assert_eq!(states(&world, &conns), [true; 3]);
}

#[test]
fn over_a_lowered_cap_of_ones_own_the_first_to_be_evicted_go() {
    let mut world = World::new();
    let conns = tabs(&mut world, "alice", 5);
    let _ = world.data(conns[0]);
    let impact = reload(&mut world, config().connections_per_user(3));
    assert_eq!((impact.evicted, impact.closes()), (2, 2));
    assert_eq!(states(&world, &conns), [true, false, false, true, true]);
    world.settle();
    assert!(world.seen(conns[1]).contains(&"close evicted"), "a terminal code: or it comes back");
}

#[test]
fn where_newcomers_are_refused_the_last_that_came_go() {
    let mut world = World::with(config().over_cap(refuse()));
    let conns = tabs(&mut world, "alice", 5);
    let impact = reload(&mut world, config().over_cap(refuse()).connections_per_user(3));
    assert_eq!(impact.evicted, 2);
    assert_eq!(states(&world, &conns), [true, true, true, false, false]);
    let refusal = world.refusal("alice", "main");
    assert!(matches!(refusal, Refused::ConnectionsPerUser { .. }), "{refusal:?}");
}

#[test]
fn over_a_lowered_total_anybody_goes_with_a_code_to_come_back() {
    let mut world = World::new();
    let conns: Vec<_> = (0..6).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    let lower = config().connections(4).over_cap(OverCap::EvictOldest);
    let impact = reload(&mut world, lower);
    assert_eq!((impact.displaced, impact.evicted), (2, 0));
    assert_eq!(states(&world, &conns), [false, false, true, true, true, true]);
    world.settle();
    assert!(world.seen(conns[0]).contains(&"close try_later"));
    assert_eq!(world.refusal("newcomer", "main"), Refused::Connections);
}

#[test]
fn over_a_lowered_cap_of_sessions_those_that_linger_go_first_then_those_with_tabs() {
    let mut world = World::new();
    let threads = ["one", "two", "three", "four"];
    let conns: Vec<_> = threads.map(|thread| world.tab("alice", thread)).into();
    let lingering = world.session(conns[2]);
    let first = world.session(conns[0]);
    world.hang_up(conns[2]);
    world.settle();
    let impact = reload(&mut world, config().sessions_per_user(2));
    assert_eq!((impact.sessions, impact.evicted), (2, 1));
    world.run(secs(10));
    assert_eq!(world.ended_sessions(), [lingering, first]);
    assert_eq!(states(&world, &conns), [false, true, false, true]);
}

#[test]
fn totals_of_users_sessions_and_rooms_bind_newcomers_only() {
    let mut world = World::new();
    let conns: Vec<_> = (0..4).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    world.join(conns[0], "one");
    world.join(conns[1], "two");
    let lower = config().users(2).sessions(2).sessions_per_user(2).rooms(1);
    assert_eq!(reload(&mut world, lower), Impact::default());
    assert_eq!(world.refusal("newcomer", "main"), Refused::Users);
    assert!(world.registry.join(world.now, conns[0], &room("three"), Start::Now).is_err());
    for conn in &conns[1..] {
        world.hang_up(*conn);
    }
    world.run(secs(300));
    world.tab("newcomer", "main");
    assert_eq!(world.registry.stats().users, 2, "once they have left, there is a place again");
}

#[test]
fn deadlines_that_have_passed_are_told_and_act_in_the_next_ticks() {
    let mut world = World::new();
    let old = world.tab("alice", "main");
    world.run(secs(50));
    let young = world.tab("bob", "main");
    let impact = reload(&mut world, config().session_idle(secs(20)));
    assert_eq!((impact.overdue, impact.closes()), (1, 1));
    assert_eq!(world.state(old), Some(ConnState::Open), "nothing acts but in a tick");
    world.run(ms(1));
    assert_eq!(states(&world, &[old, young]), [false, true]);
    world.run(secs(20));
    assert_eq!(states(&world, &[young]), [false]);
    assert!([old, young].iter().all(|conn| world.seen(*conn).contains(&"close idle")));
}

#[test]
fn deadlines_that_are_put_off_do_not_act() {
    let mut world = World::with(config().session_idle(secs(20)));
    let conn = world.tab("alice", "main");
    world.run(secs(15));
    reload(&mut world, config());
    world.run(secs(100));
    assert_eq!(world.state(conn), Some(ConnState::Open));
}

#[test]
fn logs_are_trimmed_at_once_and_keep_for_ever_what_has_no_age_any_more() {
    let mut world = World::with(config().stream_ttl(secs(10)));
    let conn = world.tab("alice", "main");
    let session = world.session(conn);
    for number in 0..5 {
        world.tell_session(conn, &format!("message {number}"));
    }
    world.settle();
    reload(&mut world, config().stream_messages(2).stream_ttl(secs(0)));
    let log = world.registry.session(session).unwrap();
    assert_eq!((log.entries(), log.lost()), (2, 3));
    world.run(secs(3_600));
    assert_eq!(world.registry.session(session).unwrap().entries(), 2);
}

#[test]
fn a_room_that_may_keep_nothing_any_more_goes() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    world.join(conn, "lobby");
    world.tell_room("lobby", "hello");
    world.settle();
    world.leave(conn, "lobby");
    let lobby = world.registry.room(&room("lobby")).unwrap();
    assert_eq!((lobby.member_count(), lobby.entries(), lobby.position().offset), (0, 1, 1));
    reload(&mut world, config().room_history(0));
    assert!(world.registry.room(&room("lobby")).is_none());
}

#[test]
fn pressure_is_weighed_by_the_new_caps() {
    let mut world = World::with(config().connections_per_user(10));
    tabs(&mut world, "alice", 4);
    world.notices();
    reload(&mut world, config().connections_per_user(5));
    assert!(world.notices().iter().any(|it| matches!(it, Notice::Pressure { .. })));
    assert_eq!(world.registry.stats().level_changes, 1);
    reload(&mut world, config().connections_per_user(10));
    assert_eq!(world.registry.stats().level_changes, 2);
}

#[test]
fn a_bucket_of_another_rate_begins_full() {
    let slow = || config().connect_rate(1).connect_burst(2);
    let mut world = World::with(slow());
    world.tab("alice", "one");
    world.tab("alice", "two");
    assert!(matches!(world.refusal("alice", "three"), Refused::Rate { .. }));
    reload(&mut world, slow());
    assert!(matches!(world.refusal("alice", "three"), Refused::Rate { .. }), "the same rate");
    reload(&mut world, config().connect_rate(100).connect_burst(2));
    world.tab("alice", "three");
}

#[test]
fn a_wider_window_goes_on_at_once_with_those_that_lag() {
    let mut world = World::with(config().send_window(200));
    let conn = world.tab("alice", "main");
    world.stall(conn);
    for number in 0..6 {
        world.tell_session(conn, &format!("message {number}"));
    }
    world.settle();
    let before = world.seen(conn).len();
    reload(&mut world, config().send_window(65_536));
    world.settle();
    assert_eq!((before, world.seen(conn).len()), (2, 6));
}

#[test]
fn positions_that_clients_hold_stay_true_whatever_the_new_seed() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    let before = world.registry.session(world.session(conn)).unwrap().position();
    let other_seed = headcount::Config::builder(4_711).build().unwrap();
    world.registry.reload(world.now, other_seed);
    let other = world.tab("alice", "other");
    let epoch = world.registry.session(world.session(other)).unwrap().position().epoch;
    let mut same = World::new();
    same.tab("alice", "main");
    let other = same.tab("alice", "other");
    assert_eq!(epoch, same.registry.session(same.session(other)).unwrap().position().epoch);
    let conn = world.reserve();
    let who = crate::support::who("alice", "main");
    let admitted =
        world.registry.connect(world.now, conn, who, Start::After(before), None).unwrap();
    assert_eq!(admitted.followed.unwrap().position, before);
    assert!(
        world
            .registry
            .user(&user("alice"))
            .and_then(|it| it.session(&crate::support::thread("main")))
            .map(|it| it.id())
            .is_some()
    );
}

#[test]
fn closes_beyond_the_headroom_are_cut_short_for_the_next_newcomer() {
    let mut world = World::new();
    let conns: Vec<_> = (0..20).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    reload(&mut world, config().connections(4).closing(2).sessions(100));
    world.drain();
    assert_eq!(conns.iter().filter(|conn| world.state(**conn).is_some()).count(), 5);
    world.hang_up(conns[19]);
    world.settle();
    world.tab("newcomer", "main");
}

#[test]
fn users_over_a_new_cap_of_sessions_are_each_brought_down_to_it() {
    let mut world = World::new();
    for name in ["alice", "bob", "carol"] {
        for place in ["a", "b", "c"] {
            world.tab(name, place);
            world.tab(name, place);
        }
    }
    let fewer = config().sessions_per_user(1).build().unwrap();
    let impact = world.registry.preview_reload(world.now, &fewer);
    assert_eq!((impact.sessions, impact.evicted), (6, 12));
    assert_eq!(world.registry.reload(world.now, fewer), impact);
    world.check();
}

#[test]
fn users_are_dealt_with_in_the_order_of_their_oldest_sessions() {
    let mut world = World::with(config().session_linger(secs(0)));
    let first = world.tab("alice", "first");
    let bob = [(); 2].map(|()| world.tab("bob", "main"));
    let alice = [(); 2].map(|()| world.tab("alice", "second"));
    world.hang_up(first);
    world.settle();
    world.notices();
    reload(&mut world, config().session_linger(secs(0)).connections_per_user(1));
    let closed = world.notices().into_iter().filter_map(|notice| match notice {
        Notice::Closed { conn, .. } => Some(conn),
        _ => None,
    });
    assert_eq!(closed.collect::<Vec<_>>(), [bob[0], alice[0]]);
}

#[test]
fn rooms_that_keep_nothing_more_end_in_the_order_in_which_they_became_empty() {
    let mut world = World::with(config().room_history(9).room_ttl(secs(3600)));
    let conn = world.tab("alice", "main");
    let epochs = ["lobby", "den"].map(|name| {
        let epoch = world.join(conn, name).position.epoch;
        world.tell_room(name, "hello");
        epoch
    });
    for name in ["den", "lobby"] {
        world.leave(conn, name);
    }
    world.notices();
    reload(&mut world, config().room_history(0));
    let ended = world.notices().into_iter().filter_map(|notice| match notice {
        Notice::RoomEnded { epoch, .. } => Some(epoch),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [epochs[1], epochs[0]]);
}

#[test]
fn who_is_paused_is_not_overdue_for_a_ping_that_waits_meanwhile() {
    let quick = || {
        let quick = config().ping_interval(secs(20)).pong_timeout(secs(60)).send_window(1_000);
        quick.slow_deadline(secs(3_600))
    };
    let mut world = World::with(quick());
    let [paused, silent, other] = ["alice", "bob", "carol"].map(|name| world.open(name, "main"));
    for conn in [paused, silent, other] {
        world.run_until(conn, "ping");
    }
    world.stall(paused);
    world.tell_conn(paused, &text_of_cost(1_100));
    world.drain();
    assert_eq!(world.data(paused), Intake::Paused);
    world.run(secs(30));
    assert_eq!(reload(&mut world, quick().pong_timeout(secs(5))).overdue, 2);
    world.run(ms(1));
    assert_eq!(states(&world, &[paused, silent, other]), [true, false, false]);
}

#[test]
fn the_bucket_of_a_user_begins_full_with_another_rate() {
    let slow = || config().connect_rate_per_user(1).connect_burst_per_user(2);
    let mut world = World::with(slow());
    world.tab("alice", "one");
    world.tab("alice", "two");
    assert!(matches!(world.refusal("alice", "three"), Refused::RateOfUser { .. }));
    reload(&mut world, slow());
    assert!(matches!(world.refusal("alice", "three"), Refused::RateOfUser { .. }), "the same rate");
    reload(&mut world, slow().connect_burst_per_user(3));
    for thread in ["three", "four", "five"] {
        world.tab("alice", thread);
    }
    assert!(matches!(world.refusal("alice", "six"), Refused::RateOfUser { .. }));
}

#[test]
fn what_a_reload_leaves_no_room_for_is_forgotten_or_counted_as_lost() {
    let mut world = World::new();
    let conns: Vec<_> = (0..5).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    conns.iter().for_each(|conn| world.hang_up(*conn));
    world.settle();
    reload(&mut world, config().closed_ring(5));
    assert_eq!(world.registry.closed().count(), 5);
    reload(&mut world, config().closed_ring(2));
    let remembered: Vec<_> = world.registry.closed().map(|closed| closed.conn).collect();
    assert_eq!(remembered, conns[3..]);

    world.notices();
    for number in 0..4 {
        world.tab(&format!("user{number}"), "main");
    }
    reload(&mut world, config().notices(4));
    assert_eq!(world.registry.stats().notices_lost, 1, "that of the reload itself");
    reload(&mut world, config().notices(2));
    assert_eq!(world.registry.stats().notices_lost, 1 + 2 + 1);
    let kept = world.notices();
    assert!(kept.len() == 2 && kept.iter().all(|it| matches!(it, Notice::Admitted { .. })));
}

#[test]
fn the_buckets_of_what_a_connection_sends_begin_full_with_other_rates() {
    let mut world = World::with(config().message_rate(1).message_burst(5));
    let conn = world.tab("alice", "main");
    let taken = |world: &mut World, inbound| {
        let is_taken = |_: &usize| world.registry.message(world.now, conn, inbound).is_ok();
        (0..99).take_while(is_taken).count()
    };
    let data = Inbound::Data { bytes: 1 };
    assert_eq!(taken(&mut world, data), 5);
    reload(&mut world, config().message_rate(1).message_burst(5).session_idle(secs(500)));
    assert_eq!(taken(&mut world, data), 0, "the same rate");
    reload(&mut world, config().message_rate(1).message_burst(6));
    assert_eq!(taken(&mut world, data), 6);

    let slow = || config().byte_rate(1_000).message_bytes(500);
    let mut world = World::with(slow());
    let conn = world.tab("alice", "main");
    let taken = |world: &mut World| {
        let inbound = Inbound::Bytes { bytes: 100, partial: false };
        let is_taken = |_: &usize| world.registry.message(world.now, conn, inbound).is_ok();
        (0..99).take_while(is_taken).count()
    };
    assert_eq!(taken(&mut world), 10);
    reload(&mut world, slow().session_idle(secs(500)));
    assert_eq!(taken(&mut world), 0, "the same rate");
    reload(&mut world, slow().byte_rate(2_000));
    assert_eq!(taken(&mut world), 20);
}

#[test]
fn over_a_lowered_total_those_go_first_that_were_silent_longest() {
    let mut world = World::new();
    let conns: Vec<_> = (0..5)
        .map(|number| {
            world.skip(ms(10));
            world.open(&format!("user{number}"), "main")
        })
        .collect();
    world.skip(ms(10));
    world.inbound(conns[0], Inbound::Data { bytes: 1 });
    world.close(headcount::Target::Conn(conns[1]), headcount::CloseReason::Application);
    let impact = reload(&mut world, config().connections(2));
    assert_eq!((impact.displaced, impact.closes()), (2, 2));
    assert_eq!(states(&world, &conns), [true, false, false, false, true]);
}

#[test]
fn over_a_lowered_cap_of_sessions_one_with_an_open_run_goes_after_those_without() {
    let mut world = World::new();
    let names = ["one", "two", "three"];
    let sessions = names.map(|name| {
        world.run(secs(1));
        let conn = world.tab("alice", name);
        let session = world.session(conn);
        world.hang_up(conn);
        world.settle();
        session
    });
    let (alice, run) = (user("alice"), headcount::RunId::new("run").unwrap());
    let mut scope = world.registry.scope(&alice);
    let one = crate::support::thread("one");
    let _ = scope.open_run(world.now, &one, &run, "agent", bytes::Bytes::new()).unwrap();
    let impact = reload(&mut world, config().sessions_per_user(1));
    assert_eq!((impact.sessions, impact.evicted), (2, 0));
    world.settle();
    assert_eq!(world.ended_sessions(), sessions[1..]);
}

#[test]
fn handshakes_go_on_while_sessions_are_over_a_lowered_cap_and_none_waits_for_its_cleanup() {
    let mut world = World::new();
    let conns = tabs(&mut world, "alice", 1);
    (0..9).for_each(|number| assert_ne!(world.tab(&format!("user{number}"), "main"), conns[0]));
    world.tab("alice", "main");
    world.close(headcount::Target::Conn(conns[0]), headcount::CloseReason::Application);
    world.settle();
    reload(&mut world, config().users(2).sessions(2).sessions_per_user(2).closing(3));
    world.tab("alice", "main");
    assert_eq!(world.state(conns[0]), Some(ConnState::Closing));
}

#[test]
fn sockets_and_event_streams_over_their_caps_go_each_by_their_own() {
    let mut world = World::new();
    let open = |world: &mut World, name: &str, kind| {
        world.skip(ms(10));
        world.open_as(crate::support::who(name, "main").with_kind(kind))
    };
    let kinds = [ConnKind::Socket, ConnKind::EventStream]
        .map(|kind| [(); 3].map(|()| open(&mut world, "alice", kind)));
    let impact = reload(&mut world, config().connections_per_user(2).streams_per_user(1));
    assert_eq!((impact.evicted, impact.closes()), (3, 3));
    let left = kinds.map(|conns| conns.map(|conn| world.state(conn) == Some(ConnState::Open)));
    assert_eq!(left, [[false, true, true], [false, false, true]]);
}

#[test]
fn users_without_a_session_are_dealt_with_after_the_others_by_their_oldest_connection() {
    let mut world = World::new();
    let open = |world: &mut World, name: &str, has_thread: bool| {
        world.skip(ms(10));
        let who = headcount::Principal::new(user(name));
        let main = crate::support::thread("main");
        world.open_as(if has_thread { who.with_thread(main) } else { who })
    };
    let [carol, bob, ..] = ["carol", "bob", "bob", "carol"].map(|it| open(&mut world, it, false));
    let [alice, _] = ["alice", "alice"].map(|it| open(&mut world, it, true));
    world.notices();
    let impact = reload(&mut world, config().connections_per_user(1));
    assert_eq!(impact.evicted, 3);
    let closed = world.notices().into_iter().filter_map(|notice| match notice {
        Notice::Closed { conn, .. } => Some(conn),
        _ => None,
    });
    assert_eq!(closed.collect::<Vec<_>>(), [alice, carol, bob]);
}

#[test]
fn the_seed_and_whether_flushes_are_reported_outlive_a_reload() {
    let mut world = World::with(config().without_flush_reports());
    reload(&mut world, headcount::Config::builder(8));
    let config = world.registry.config();
    assert_eq!((config.seed(), config.flush_reports()), (7, false));
}
