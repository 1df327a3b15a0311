//! Looking at a registry: views of one thing, pages of many, and walks over everything.

use core::hint::black_box;

use headcount::Survey;

use crate::measure::Costs;
use crate::world::{CALLS, MANY, World, room, thread, user};

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
    let sessions: Vec<_> =
        (0..CALLS).map(|number| registry.session_of(conns[world.any(number)]).unwrap()).collect();
    costs.calls("state, session_of, who", CALLS, |number| {
        let conn = conns[world.any(number)];
        (registry.state(conn), registry.session_of(conn), registry.who(conn))
    });
    costs.calls("session, by name", CALLS, |number| {
        registry.session(&user(world.any(number)), &thread(0)).unwrap()
    });
    costs.calls("whose, session_position", CALLS, |number| {
        (registry.whose(sessions[number]), registry.session_position(sessions[number]))
    });
    costs.calls("room_position, by name", CALLS, |number| registry.room_position(&room(number)));
    costs.calls("connections_of, sessions_of, rooms_of, session_members", CALLS, |number| {
        let place = world.any(number);
        let user = user(place);
        registry.connections_of(&user).count()
            + registry.sessions_of(&user).count()
            + registry.rooms_of(conns[place]).count()
            + registry.session_members(sessions[number]).count()
    });
    costs.calls("explain", CALLS, |number| registry.explain(conns[world.any(number)]).unwrap());
    costs.calls("explain_session", CALLS, |number| {
        registry.explain_session(sessions[number]).unwrap()
    });
    costs.calls("explain_room", CALLS, |number| registry.explain_room(&room(number)));
    costs.calls("explain_runs, open_runs", CALLS, |number| {
        registry.explain_runs(sessions[number]).count()
            + registry.open_runs(sessions[number]).count()
    });
    costs.calls("closed, the last 20", CALLS, |_| registry.closed().rev().take(20).count());
    costs.calls("connections, sessions: a page of 1,000", MANY / PAGE, |number| {
        let from = number * PAGE;
        registry.connections(from).take(PAGE).count() + registry.sessions(from).take(PAGE).count()
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
