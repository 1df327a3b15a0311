//! Looking at a registry: views of one thing, pages of many, and walks over everything.

use core::hint::black_box;

use headcount::Survey;

use crate::measure::Costs;
use crate::names::{room, thread, user};
use crate::world::{CALLS, MANY, World};

/// How many connections a page has, or slots a step of a survey.
const PAGE: usize = 1_000;

pub(crate) fn views(costs: &mut Costs, world: &mut World) {
    let registry = &mut world.registry;
    costs.calls("poll_notice", CALLS, |_| registry.poll_notice());
    let (registry, conns) = (&world.registry, &world.conns);
    costs.calls("poll_timeout", CALLS, |_| registry.poll_timeout());
    costs.calls("has_actions, is_idle, is_draining, is_drained", CALLS, |_| {
        let (has_actions, is_idle) = (registry.has_actions(), registry.is_idle());
        (has_actions, is_idle, registry.is_draining(), registry.is_drained())
    });
    costs.calls("stats", CALLS, |_| registry.stats());
    costs.calls("vacancies", CALLS, |_| registry.vacancies());
    costs.calls("Config::memory_bound", CALLS, |_| registry.config().memory_bound(64 << 10));
    let sessions: Vec<_> = (0..CALLS)
        .map(|number| {
            registry.connection(conns[world.any(number)]).and_then(|it| it.session()).unwrap()
        })
        .collect();
    costs.calls("connection: state, session, user", CALLS, |number| {
        let conn = registry.connection(conns[world.any(number)]).unwrap();
        (conn.state(), conn.session(), conn.user())
    });
    costs.calls("user, and its session by name", CALLS, |number| {
        let user = registry.user(&user(world.any(number))).unwrap();
        user.session(&thread(0)).unwrap().id()
    });
    costs.calls("session: user, thread, position", CALLS, |number| {
        let session = registry.session(sessions[number]).unwrap();
        (session.user(), session.thread(), session.position())
    });
    costs.calls("room: position", CALLS, |number| {
        registry.room(&room(number)).map(|room| room.position())
    });
    costs.calls("lists of a user, a connection, and a session", CALLS, |number| {
        let place = world.any(number);
        let user = registry.user(&user(place)).unwrap();
        user.connections().count()
            + user.sessions().count()
            + registry.connection(conns[place]).unwrap().rooms().count()
            + registry.session(sessions[number]).unwrap().connections().count()
    });
    costs.calls("connection: all of it", CALLS, |number| {
        let conn = registry.connection(conns[world.any(number)]).unwrap();
        let now = (conn.silence(), conn.round_trip(), conn.load(), conn.stuck_for(), conn.next());
        (now, conn.cursors().map(|cursor| cursor.backlog).sum::<u32>())
    });
    costs.calls("session: all of it", CALLS, |number| {
        let session = registry.session(sessions[number]).unwrap();
        let log = (session.entries(), session.bytes(), session.lost());
        (session.age(), session.ends_at(), log, session.runs().count())
    });
    costs.calls("room: all of it", CALLS, |number| {
        let room = registry.room(&room(number));
        room.map(|room| (room.member_count(), room.lagging(), room.bytes(), room.lost()))
    });
    costs.calls("closed, the last 20", CALLS, |_| registry.closed().rev().take(20).count());
    costs.calls("connections, sessions: a page of 1,000", MANY / PAGE, |number| {
        let (conn, session) = (conns[number * PAGE], sessions.first().copied());
        registry.connections(Some(conn)).take(PAGE).count()
            + registry.sessions(session).take(PAGE).count()
    });
    let mut survey = Survey::new(20);
    costs.calls("survey, 1,000 slots", MANY / PAGE, |_| registry.survey(&mut survey, PAGE));
}

/// Walks over everything, which no peer causes: they are timed once.
pub(crate) fn walks(costs: &mut Costs, world: &mut World) {
    if !costs.is_new("walk: reload") {
        return;
    }
    let [mut preview, mut reload] = costs.rows(["walk: preview_reload", "walk: reload"]);
    let config = world.registry.config().clone();
    preview.time(|| world.registry.preview_reload(world.now, &config));
    reload.time(|| world.registry.reload(world.now, config));
    let [mut fingerprint, mut check, mut clone] =
        costs.rows(["walk: fingerprint", "walk: check", "walk: clone"]);
    fingerprint.time(|| world.registry.fingerprint());
    check.time(|| world.registry.check()).unwrap();
    drop(black_box(clone.time(|| world.registry.clone())));
    costs.keep([preview, reload, fingerprint, check, clone]);
}
