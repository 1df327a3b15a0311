//! One user at a cap: 100,000 connections, sessions, or sessions that linger.

use core::num::NonZeroU32;

use headcount::{CloseReason, Message, Start, Target};

use crate::measure::Costs;
use crate::names::{user, who};
use crate::world::{MANY, World, config};

/// How much of each kind its user has.
const OWN: usize = 100_000;
/// The users, by what they have most of.
const CONNECTIONS: usize = MANY;
const SESSIONS: usize = MANY + 1;
const LINGERING: usize = MANY + 2;
/// What the logs of one user may hold.
const BUDGET: u64 = 64 << 20;
/// How many calls over a cap are timed.
const OVER: usize = 10_000;

pub(crate) fn user_of_many(costs: &mut Costs) {
    let config = || {
        config()
            .connections_per_user(OWN as u32)
            .sessions_per_user(OWN as u32)
            .user_bytes(BUDGET)
            .stream_history(0)
    };
    let mut world = World::crowd(config(), MANY - 2 * OWN);
    for number in 0..OWN {
        world.admit(who(CONNECTIONS, 0));
        world.admit(who(SESSIONS, number));
        let conn = world.admit(who(LINGERING, number));
        world.disconnect([conn]);
    }
    let rows = [
        ("connect, over the cap of 100,000 connections", CONNECTIONS, 0),
        ("connect, over the cap of 100,000 sessions", SESSIONS, OWN),
        ("connect, over the cap of 100,000 sessions that linger", LINGERING, OWN),
    ];
    for (name, user, first) in rows {
        let [mut row] = costs.rows([name]);
        for number in 0..OVER {
            let thread = if first == 0 { 0 } else { first + number };
            let who = who(user, thread);
            row.time(|| world.registry.admit(world.now, who, Start::OpenRuns, None)).unwrap();
            if number % 100 == 0 {
                world.settle();
            }
        }
        world.settle();
        costs.keep([row]);
    }
    sends(costs, &mut world);
    own_limit(costs, &mut world);
    let [mut close, mut revoke, mut poll] = costs.rows([
        "close of a user with 100,000 sessions",
        "revoke of a user with 100,000 sessions",
        "poll_action, 100,000 closes of a user",
    ]);
    let (reason, of_sessions) = (CloseReason::Evicted, user(SESSIONS));
    close.time(|| world.registry.close(world.now, Target::User(&of_sessions), reason));
    world.serve(&mut poll);
    revoke.time(|| world.registry.revoke(world.now, &of_sessions));
    costs.keep([close, revoke, poll]);
    let [mut reload] = costs.rows(["walk: reload, a user's cap of 100,000 sessions lowered to 10"]);
    let lowered = config().sessions_per_user(10).build().unwrap();
    reload.time(|| world.registry.reload(world.now, lowered));
    costs.keep([reload]);
}

fn sends(costs: &mut Costs, world: &mut World) {
    let of_sessions = user(SESSIONS);
    let small = || Message::text("text");
    costs.calls_with("send to a user with 100,000 sessions", 3, small, |_, message| {
        world.registry.send(world.now, Target::User(&of_sessions), message)
    });
    // Nothing was polled, so the logs keep it: up to the budget of the user.
    let sessions: Vec<_> = world
        .registry
        .user(&of_sessions)
        .into_iter()
        .flat_map(|it| it.sessions())
        .map(|it| it.id())
        .collect();
    let large = || Message::binary(&[0; 960][..]);
    let mut left = BUDGET - 3 * sessions.len() as u64 * Message::text("text").cost();
    for session in sessions.iter().cycle() {
        let Some(less) = left.checked_sub(large().cost()) else { break };
        left = less;
        world.registry.send(world.now, Target::Session(*session), large());
    }
    let name = "send to a session, over the budget of a user with 100,000";
    costs.calls_with(name, 5, large, |number, message| {
        world.registry.send(world.now, Target::Session(sessions[number]), message)
    });
    world.settle();
}

/// A newcomer whose own limit is one.
fn own_limit(costs: &mut Costs, world: &mut World) {
    let [mut connect] = costs.rows(["connect, whose own limit closes 100,000 connections"]);
    let who = who(CONNECTIONS, 0).with_max_connections(NonZeroU32::MIN);
    connect.time(|| world.registry.admit(world.now, who, Start::OpenRuns, None)).unwrap();
    world.settle();
    costs.keep([connect]);
}
