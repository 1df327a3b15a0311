//! Looking at many at once: pages, and figures that take a walk.

use core::time::Duration;

use headcount::{
    Config, ConnId, Inbound, Principal, Registry, Start, Survey, ThreadId, Timestamp, UserId,
};

use crate::support::{World, config, secs, user};

fn connect(registry: &mut Registry, now: Timestamp, user: &str, thread: &str) -> ConnId {
    let conn = registry.reserve(now, None).unwrap();
    let who =
        Principal::new(UserId::new(user).unwrap()).with_thread(ThreadId::new(thread).unwrap());
    registry.connect(now, conn, who, Start::OpenRuns, None).unwrap();
    conn
}

#[test]
fn a_page_goes_on_after_the_last_of_the_one_before() {
    let mut registry = Registry::new(Config::new(1));
    let now = Timestamp::from_secs(1);
    let conns: Vec<_> = (0..4).map(|n| connect(&mut registry, now, "a", &n.to_string())).collect();
    assert!(registry.connections(None).map(|it| it.id()).eq(conns.iter().copied()));
    let rest = registry.connections(Some(conns[1])).map(|it| it.id());
    assert!(rest.eq(conns[2..].iter().copied()));
    let never = ConnId::from_bits(u64::MAX).unwrap();
    assert_eq!(registry.connections(Some(never)).count(), 0);
    let user = UserId::new("a").unwrap();
    let of_user = registry.user(&user).unwrap().sessions().map(|it| it.id());
    assert!(registry.sessions(None).map(|it| it.id()).eq(of_user));
    assert!(registry.user(&UserId::new("b").unwrap()).is_none());

    let session = registry.connection(conns[3]).and_then(|it| it.session()).unwrap();
    assert_eq!(registry.session(session).unwrap().thread().as_str(), "3");
    registry.revoke(now, &user);
    assert_eq!((registry.session(session).is_none(), registry.sessions(None).count()), (true, 0));
    assert_eq!(registry.connections(None).count(), 4, "their cleanups were not polled");
}

#[test]
fn the_users_with_most_sessions_come_first() {
    let mut registry = Registry::new(Config::new(1));
    let at = Timestamp::from_secs;
    let survey = |registry: &Registry, most, slots| {
        let mut survey = Survey::new(most);
        let mut steps = 1;
        while registry.survey(&mut survey, slots) {
            steps += 1;
        }
        (survey, steps)
    };
    let (nothing, steps) = survey(&registry, 3, 1);
    assert_eq!((nothing.oldest_session(), nothing.mean_round_trip(), steps), (None, None, 1));
    for (user, sessions) in [("one", 1), ("three", 3), ("two", 2), ("none-more", 3)] {
        for thread in 0..sessions {
            connect(&mut registry, at(10), user, &thread.to_string());
        }
    }
    let top = |most| {
        let (survey, _) = survey(&registry, most, 1_000);
        let top = survey.users_by_sessions().iter();
        top.map(|(user, count)| (user.as_str().to_owned(), *count)).collect::<Vec<_>>()
    };
    let shown: Vec<_> = top(3).into_iter().map(|(_, count)| count).collect();
    assert_eq!(shown, [3, 3, 2]);
    assert_eq!(top(9).last(), Some(&("one".to_owned(), 1)));
    assert!(top(0).is_empty());
    // No step is longer than it was asked to be, and all see the same.
    for slots in 1..=10 {
        let (stepwise, steps) = survey(&registry, 3, slots);
        assert_eq!(steps, 9_usize.div_ceil(slots), "nine slots in steps of {slots}");
        assert_eq!(stepwise.users_by_sessions(), survey(&registry, 3, 9).0.users_by_sessions());
        assert_eq!(stepwise.oldest_session(), Some(at(10)));
    }
}

#[test]
fn a_takeover_without_a_position_is_told_of_no_gap() {
    let mut registry = Registry::new(Config::new(1));
    let now = Timestamp::from_secs(1);
    let old = connect(&mut registry, now, "a", "t");
    let conn = registry.reserve(now, None).unwrap();
    let who = Principal::new(UserId::new("a").unwrap()).with_thread(ThreadId::new("t").unwrap());
    let admitted = registry.connect(now, conn, who, Start::OpenRuns, Some(old)).unwrap();
    assert_eq!(admitted.followed.unwrap().recovered, headcount::Recovered::Fresh);
    assert_eq!(registry.stats().open, 1);
    registry.check().unwrap();
}

#[test]
fn a_survey_knows_the_users_with_sessions_and_the_open_connections_that_have_answered() {
    let mut world = World::with(config().ping_interval(secs(20)));
    let conns = ["alice", "bob", "carol", "dave"].map(|name| world.open(name, "main"));
    world.open_as(Principal::new(user("erin")));
    for conn in conns {
        world.run_until(conn, "ping");
    }
    // A pong is the later the earlier the ping was: the first two take different times.
    for conn in [conns[0], conns[1], conns[3]] {
        world.inbound(conn, Inbound::Pong);
    }
    let round_trips = conns.map(|conn| world.registry.connection(conn).unwrap().round_trip());
    let [Some(first), Some(second), None, Some(_)] = round_trips else { panic!("{round_trips:?}") };
    assert_ne!(first, second);
    world.hang_up(conns[3]);
    let mut survey = Survey::new(9);
    while world.registry.survey(&mut survey, 2) {}
    let micros = u64::try_from((first + second).as_micros() / 2).unwrap();
    assert_eq!(survey.mean_round_trip(), Some(Duration::from_micros(micros)));
    let users: Vec<_> = survey.users_by_sessions().iter().map(|(user, _)| user.as_str()).collect();
    assert!(users.contains(&"alice") && !users.contains(&"erin"), "{users:?}");
}
