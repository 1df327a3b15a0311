//! Who makes room for whom: the three policies, takeover, and the release of lingering sessions.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, ConnState, Inbound, Notice, OverCap, Refused, Retry, RunId, SessionEnd,
    Start,
};

use crate::support::{LIFE, World, config, ms, refuse, secs, thread, user, who};

/// Three connections per user, no heartbeat that would get in between.
fn three() -> headcount::ConfigBuilder {
    config().connections_per_user(3).ping_interval(secs(0))
}

/// Opens three, a second apart.
fn fill(world: &mut World) -> [ConnId; 3] {
    [(); 3].map(|()| {
        world.skip(secs(1));
        world.open("alice", "main")
    })
}

#[test]
fn whoever_was_silent_longest_makes_room() {
    let mut world = World::with(three());
    let conns = fill(&mut world);
    world.skip(secs(1));
    world.inbound(conns[0], Inbound::Data { bytes: 1 });
    let newcomer = world.open("alice", "main");
    world.settle();
    assert_eq!(world.seen(conns[1]), ["close evicted"]);
    assert_eq!(world.open_conns(), [conns[0], conns[2], newcomer]);
    assert_eq!((CloseReason::Evicted.code(), CloseReason::Evicted.retry()), (4504, Retry::Stop));
}

#[test]
fn among_equals_the_oldest_makes_room() {
    let mut world = World::with(three());
    let conns = [(); 3].map(|()| world.open("alice", "main"));
    for victim in conns {
        world.open("alice", "main");
        assert_eq!(world.state(victim), Some(ConnState::Closing));
    }
}

#[test]
fn whoever_owes_an_answer_makes_room_before_whoever_was_silent_longer() {
    let mut world = World::with(three().ping_interval(secs(20)).pong_timeout(secs(10)));
    // Its first ping is due within the first interval, later ones after a whole one: so one can
    // have been asked while another, silent for longer, need not be yet.
    let patient = world.tab("alice", "main");
    world.run(secs(20));
    let before = world.registry.connection(patient).unwrap().silence();
    assert!(before < secs(10));
    let others = [(); 2].map(|()| world.open("alice", "main"));
    world.inbound(patient, LIFE);
    world.run(ms(100));
    others.iter().for_each(|conn| world.inbound(*conn, LIFE));
    // Half an interval at least, and a whole one for the patient one.
    world.run(secs(19) + ms(850));
    let asked = others.map(|conn| world.seen(conn).contains(&"ping"));
    assert!(asked.contains(&true), "the first ping comes before a whole interval");
    let silence = |world: &World, conn| world.registry.connection(conn).unwrap().silence();
    assert!(silence(&world, patient) > silence(&world, others[0]));
    world.open("alice", "main");
    assert_eq!(world.state(patient), Some(ConnState::Open), "it has nothing to answer");
    assert_eq!(
        others.iter().filter(|conn| world.state(**conn) == Some(ConnState::Closing)).count(),
        1
    );
}

#[test]
fn a_suspect_makes_room_before_a_healthy_one_that_was_silent_longer() {
    let mut world = World::with(three().ping_interval(secs(20)).pong_timeout(secs(2)));
    let patient = world.tab("alice", "main");
    world.run(secs(20));
    world.inbound(patient, LIFE);
    world.run(ms(1));
    let suspects = [(); 2].map(|()| world.open("alice", "main"));
    while !suspects.iter().any(|conn| world.state(*conn) == Some(ConnState::Suspect)) {
        world.run(ms(10));
    }
    let suspect = suspects.into_iter().find(|conn| world.state(*conn) == Some(ConnState::Suspect));
    world.open("alice", "main");
    assert_eq!(world.state(patient), Some(ConnState::Open));
    assert_eq!(world.state(suspect.unwrap()), Some(ConnState::Closing));
}

#[test]
fn of_many_connections_the_64_that_came_first_are_looked_at() {
    let many = config().connections_per_user(100).connect_rate_per_user(0);
    let mut world = World::with(many.ping_interval(secs(0)));
    let conns: Vec<ConnId> = (0..100).map(|_| world.open("alice", "main")).collect();
    world.skip(secs(1));
    // The one that is silent longest of all came late.
    conns.iter().filter(|conn| **conn != conns[70]).for_each(|conn| world.inbound(*conn, LIFE));
    world.skip(secs(1));
    conns[..64].iter().filter(|it| **it != conns[40]).for_each(|it| world.inbound(*it, LIFE));
    let newcomer = world.open("alice", "main");
    assert_eq!(world.state(conns[40]), Some(ConnState::Closing));
    // The first ones but it are 63: the one that came 65th is looked at now.
    world.open("alice", "main");
    assert_eq!(world.state(conns[64]), Some(ConnState::Closing));
    assert_eq!(world.state(conns[70]), Some(ConnState::Open));
    assert_eq!(world.state(newcomer), Some(ConnState::Open));
    world.close_the_books();
}

#[test]
fn of_many_lingering_sessions_the_one_that_began_to_first_is_released() {
    let many = config().sessions_per_user(100).connections_per_user(100);
    let mut world = World::with(many.connect_rate_per_user(0).emergency_percent(101));
    let sessions: Vec<_> = (0..100)
        .map(|number| {
            let conn = world.open("alice", &format!("thread-{number}"));
            (conn, world.session(conn))
        })
        .collect();
    // The other way round than they were created.
    for (conn, _) in sessions.iter().rev() {
        world.hang_up(*conn);
        world.skip(ms(1));
    }
    world.open("alice", "another");
    world.open("alice", "one more");
    world.settle();
    assert_eq!(world.ended_sessions(), [sessions[99].1, sessions[98].1]);
    world.close_the_books();
}

#[test]
fn evict_oldest_looks_at_nothing_but_the_admission() {
    let mut world = World::with(three().over_cap(OverCap::EvictOldest));
    let conns = fill(&mut world);
    world.skip(secs(1));
    world.inbound(conns[0], Inbound::Data { bytes: 1 });
    world.open("alice", "main");
    world.settle();
    assert_eq!(world.seen(conns[0]), ["close evicted"], "its life does not help it");
    assert_eq!(world.open_count(), 3);
}

#[test]
fn refuse_evicts_nobody_and_says_when_to_come_back() {
    let mut world = World::with(three().over_cap(refuse()));
    fill(&mut world);
    let refused = world.refusal("alice", "main");
    assert_eq!(refused, Refused::ConnectionsPerUser { retry_after: secs(3) });
    assert_eq!((world.open_count(), world.closings().len()), (3, 0));
}

#[test]
fn nobody_is_ever_evicted_for_another_user() {
    let mut world = World::with(three().connections(3));
    fill(&mut world);
    assert_eq!(world.refusal("bob", "main"), Refused::Connections);
    assert_eq!((world.open_count(), world.closings().len()), (3, 0));
}

#[test]
fn every_limit_is_exact_at_every_instant_of_a_long_churn() {
    for policy in [OverCap::EvictUnresponsiveThenOldest, OverCap::EvictOldest, refuse()] {
        let mut world = World::with(three().connections(7).sessions_per_user(2).over_cap(policy));
        for round in 0..200_u64 {
            let name = format!("user{}", round % 4);
            let conn = world.reserve();
            if world.connect(conn, &name, &format!("thread{}", round % 3)).is_err() {
                world.hang_up(conn);
            }
            assert!(world.open_count() <= 7);
            for number in 0..4 {
                let name = crate::support::user(&format!("user{number}"));
                assert!(world.registry.user(&name).map_or(0, |it| it.connection_count()) <= 3);
            }
            world.check();
            if round % 5 == 0 {
                world.settle();
                world.skip(ms(700));
            }
        }
        world.close_the_books();
    }
}

#[test]
fn a_client_that_names_its_predecessor_takes_its_place() {
    let mut world = World::with(three());
    let conns = fill(&mut world);
    let newcomer = world.take_over("alice", "main", conns[2]);
    world.settle();
    assert_eq!(world.seen(conns[2]), ["close taken_over"], "not the oldest");
    assert_eq!(world.open_conns(), [conns[0], conns[1], newcomer]);
    assert_eq!(
        (CloseReason::TakenOver.code(), CloseReason::TakenOver.retry()),
        (4505, Retry::Stop)
    );
}

#[test]
fn a_takeover_passes_every_cap_under_every_policy() {
    for policy in [OverCap::EvictUnresponsiveThenOldest, OverCap::EvictOldest, refuse()] {
        let mut world = World::with(three().connections(3).over_cap(policy));
        let [first, second, third] = fill(&mut world);
        let newcomer = world.take_over("alice", "main", second);
        world.settle();
        assert_eq!(world.open_conns(), [first, third, newcomer], "{policy:?}");
        assert_eq!(world.closings(), ["taken_over"]);
    }
}

#[test]
fn a_takeover_below_the_cap_closes_the_predecessor_all_the_same() {
    let mut world = World::new();
    let (old, other) = (world.open("alice", "main"), world.open("alice", "main"));
    let newcomer = world.take_over("alice", "main", old);
    assert_eq!(world.open_conns(), [other, newcomer]);
}

#[test]
fn a_predecessor_of_another_user_or_session_or_one_that_is_gone_is_ignored() {
    let mut world = World::new();
    let (foreign, elsewhere) = (world.open("bob", "main"), world.open("alice", "other"));
    let (gone, closing) = (world.open("alice", "main"), world.open("alice", "main"));
    let pending = world.reserve();
    world.hang_up(gone);
    world.close(headcount::Target::Conn(closing), CloseReason::Application);
    for previous in [foreign, elsewhere, gone, closing, pending] {
        world.take_over("alice", "main", previous);
    }
    world.settle();
    // Once more when the handle is stale, and its slot somebody else's.
    world.take_over("alice", "main", gone);
    world.settle();
    for open in [foreign, elsewhere] {
        assert_eq!(world.state(open), Some(ConnState::Open));
    }
    assert_eq!(world.state(pending), Some(ConnState::Pending));
    assert_eq!(world.closings(), ["peer_gone", "application"]);
    assert_eq!(world.open_count(), 2 + 6);
}

#[test]
fn nothing_is_closed_for_one_that_is_refused_in_the_end() {
    // Its predecessor could go and its user's caps would allow it, but admissions are too fast.
    let mut world = World::with(three().connect_rate(1).connect_burst(3));
    let conns = [(); 3].map(|()| world.open("alice", "main"));
    let newcomer = world.reserve();
    let (who, start) = (who("alice", "main"), Start::OpenRuns);
    let refused = world.registry.connect(world.now, newcomer, who, start, Some(conns[0]));
    assert!(matches!(refused, Err(Refused::Rate { .. })), "{refused:?}");
    assert_eq!(world.open_conns(), conns);

    // The same when only the very last limit of all refuses: sessions in total, each kept by a run.
    let mut world = World::with(three().sessions(4).sessions_per_user(4).users(4));
    let mut conns = ["one", "two", "three"].map(|name| world.open("alice", name)).to_vec();
    conns.push(world.open("bob", "main"));
    for name in ["one", "two", "three"] {
        let (alice, main, run) = (user("alice"), thread(name), RunId::new(name).unwrap());
        let mut alice = world.registry.scope(&alice);
        let _ = alice.open_run(world.now, &main, &run, "agent", Bytes::new()).unwrap();
    }
    assert_eq!(world.refusal("alice", "four"), Refused::Sessions);
    assert_eq!((world.open_conns(), world.closings().len()), (conns, 0));
    world.close_the_books();
}

#[test]
fn an_evicted_connection_is_handed_what_still_fits_and_frees_its_place_before_any_io() {
    let mut world = World::with(three().connections_per_user(1));
    let first = world.open("alice", "main");
    world.tell_session(first, "last words");
    world.open("alice", "main");
    assert_eq!((world.open_count(), world.registry.stats().live), (1, 2));
    world.settle();
    assert_eq!(world.seen(first), ["last words", "close evicted"]);
}

#[test]
fn over_the_session_cap_the_one_that_lingers_longest_is_released() {
    let mut world =
        World::with(three().sessions_per_user(2).session_linger(secs(600)).emergency_percent(101));
    let [old, young] = ["old", "young"].map(|thread| world.open("alice", thread));
    let [old_session, young_session] = [old, young].map(|conn| world.session(conn));
    for conn in [old, young] {
        world.skip(secs(1));
        world.hang_up(conn);
        world.settle();
    }
    let newcomer = world.open("alice", "new");
    let ended = Notice::SessionEnded { session: old_session, why: SessionEnd::UserCap };
    assert!(world.notices().contains(&ended));
    world.settle();
    assert_eq!(world.ended_sessions(), [old_session]);
    assert_eq!(world.registry.stats().sessions, 2);
    assert!(world.registry.session(young_session).is_some());
    assert_eq!(world.open_conns(), [newcomer]);
    world.close_the_books();
}

#[test]
fn a_lingering_session_is_released_even_where_newcomers_are_refused() {
    let mut world =
        World::with(three().sessions_per_user(1).session_linger(secs(600)).over_cap(refuse()));
    let old = world.open("alice", "old");
    world.hang_up(old);
    world.settle();
    world.open("alice", "new");
    let refused = world.refusal("alice", "third");
    assert_eq!(refused, Refused::SessionsPerUser { retry_after: secs(3) });
}

#[test]
fn over_the_session_cap_with_all_of_them_live_the_victim_takes_its_session_along() {
    let mut world = World::with(three().sessions_per_user(2).connections_per_user(9));
    let pair = [(); 2].map(|()| world.open("alice", "old"));
    let old = world.session(pair[0]);
    world.skip(secs(1));
    let stays = world.open("alice", "young");
    let newcomer = world.open("alice", "new");
    assert_eq!(world.open_conns(), [stays, newcomer]);
    assert_eq!(world.registry.stats().sessions, 2);
    assert!(world.registry.session(old).is_none(), "its name is free at once");
    world.settle();
    assert_eq!(world.ended_sessions(), [], "its cleanup follows those of its connections");
    pair.iter().for_each(|conn| world.hang_up(*conn));
    world.settle();
    assert_eq!(world.ended_sessions(), [old]);
    world.close_the_books();
}

#[test]
fn one_of_its_own_lets_a_user_into_a_full_house() {
    let mut world = World::with(three().connections(4));
    let conns = ["alice", "alice", "bob", "carol"].map(|name| {
        world.skip(secs(1));
        world.open(name, "main")
    });
    assert_eq!(world.refusal("dave", "main"), Refused::Connections);
    let newcomer = world.open("alice", "other");
    assert_eq!(world.open_conns(), [conns[1], conns[2], conns[3], newcomer]);
    let back = world.open("bob", "main");
    assert_eq!(world.open_conns(), [conns[1], conns[3], newcomer, back]);
}

/// A session of alice's that an open run keeps, whose one connection hangs up.
fn kept_by_a_run(world: &mut World, name: &str) -> (headcount::ConnId, headcount::SessionId) {
    let conn = world.tab("alice", name);
    let (alice, run) = (user("alice"), headcount::RunId::new(name).unwrap());
    let mut scope = world.registry.scope(&alice);
    let thread = crate::support::thread(name);
    let _ = scope.open_run(world.now, &thread, &run, "agent", bytes::Bytes::new()).unwrap();
    (conn, world.session(conn))
}

#[test]
fn of_sessions_that_runs_keep_the_one_that_lingers_longest_goes_and_of_equals_the_oldest() {
    let mut world = World::with(config().sessions_per_user(3));
    let [one, two, three] = ["one", "two", "three"].map(|name| kept_by_a_run(&mut world, name));
    for (conn, _) in [two, three, one] {
        world.hang_up(conn);
        world.settle();
        world.skip(secs(1));
    }
    world.tab("alice", "four");
    world.settle();
    assert_eq!(world.ended_sessions(), [two.1]);

    let mut world = World::with(config().sessions_per_user(2));
    let [one, two] = ["one", "two"].map(|name| kept_by_a_run(&mut world, name));
    for (conn, _) in [two, one] {
        world.hang_up(conn);
    }
    world.settle();
    world.tab("alice", "three");
    world.settle();
    assert_eq!(world.ended_sessions(), [one.1]);
}

/// Of a tenant with two places.
fn of_two(world: &mut World, thread: &str) -> Result<headcount::ConnId, Refused> {
    let tenant = headcount::TenantId::new("t").unwrap();
    let conn = world.reserve();
    let who = crate::support::who("alice", thread).with_tenant(tenant);
    let admitted = world.registry.connect(world.now, conn, who, headcount::Start::OpenRuns, None);
    world.check();
    admitted.map(|_| conn)
}

#[test]
fn the_connections_of_a_session_that_goes_leave_their_places_in_the_tenant() {
    let mut world = World::with(config().connections_per_tenant(2).sessions_per_user(1));
    let first = of_two(&mut world, "one").unwrap();
    let second = of_two(&mut world, "one").unwrap();
    assert_eq!(of_two(&mut world, "one").unwrap_err(), Refused::ConnectionsPerTenant);
    of_two(&mut world, "two").unwrap();
    for conn in [first, second] {
        assert_ne!(world.state(conn), Some(ConnState::Open));
    }
    assert_eq!(world.open_count(), 1);
}

#[test]
fn a_connection_that_follows_another_session_too_keeps_its_place_in_the_tenant() {
    let mut world = World::with(config().connections_per_tenant(1).sessions_per_user(2));
    let conn = of_two(&mut world, "one").unwrap();
    world.follow(conn, "other", headcount::Start::OpenRuns);
    assert_eq!(of_two(&mut world, "two").unwrap_err(), Refused::ConnectionsPerTenant);
    assert_eq!(world.state(conn), Some(ConnState::Open));
}

#[test]
fn one_of_its_own_leaves_its_place_in_a_full_house_and_in_the_tenant() {
    let mut world = World::with(config().connections(3).connections_per_tenant(2));
    let bob = world.tab("bob", "main");
    let first = of_two(&mut world, "one").unwrap();
    of_two(&mut world, "one").unwrap();
    of_two(&mut world, "one").unwrap();
    assert_eq!((world.open_count(), world.state(first) == Some(ConnState::Open)), (3, false));
    assert_eq!(world.state(bob), Some(ConnState::Open));
}
