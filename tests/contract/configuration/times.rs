//! How long: `session`, `heartbeat` and `drain`.

use headcount::{CloseReason, ConfigBuilder as B, Inbound, Target};

use super::key::Row;
use crate::support::{LIFE, config, ms, secs, user, who};

/// Nothing happens that no other setting asks for.
fn calm() -> B {
    config().ping_interval(secs(0)).close_handshake(secs(60))
}

pub(crate) const ROWS: &[Row] = &[
    ("session.linger", |key| {
        let outcomes = [(secs(1), [0, 1, 1]), (secs(2), [0, 0, 1])];
        key.decides(B::session_linger, calm(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.hang_up(alice);
            [ms(999), ms(1), secs(1)].map(|more| {
                world.run(more);
                world.ended_sessions().len()
            })
        });
    }),
    ("session.head_deadline", |key| {
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::head_deadline, calm(), outcomes, |world| {
            let nobody = world.reserve();
            world.run_until(nobody, "close head_timeout")
        });
    }),
    ("session.auth_deadline", |key| {
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::auth_deadline, calm(), outcomes, |world| {
            let nobody = world.reserve();
            world.registry.upgraded(world.now, nobody).expect("a connection");
            world.run_until(nobody, "close auth_timeout")
        });
    }),
    ("session.close_handshake", |key| {
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::close_handshake, config(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.close(Target::Conn(alice), CloseReason::Application);
            world.run_until(alice, "cleanup application")
        });
    }),
    ("session.idle", |key| {
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::session_idle, calm(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.run_until(alice, "close idle")
        });
    }),
    ("session.max_lifetime", |key| {
        // Jittered over the last tenth: one has ended before the other may.
        let outcomes = [(secs(10), vec!["lifetime_ended"]), (secs(20), vec![])];
        key.decides(B::max_lifetime, calm(), outcomes, |world| {
            world.open("alice", "main");
            world.run(secs(10));
            world.closings()
        });
    }),
    ("session.expiry_grace", |key| {
        let outcomes = [(secs(1), secs(11)), (secs(2), secs(12))];
        key.decides(B::expiry_grace, calm(), outcomes, |world| {
            let expires_at = world.now + secs(10);
            let alice = world.open_as(who("alice", "main").with_expiry(expires_at));
            world.run_until(alice, "close expired")
        });
    }),
    ("heartbeat.interval", |key| {
        // The first is jittered over the second half: one is due before the other may be.
        let outcomes = [(secs(10), 1), (secs(20), 0)];
        key.decides(B::ping_interval, config().ping_slack(ms(0)), outcomes, |world| {
            world.open("alice", "main");
            world.run(secs(10));
            world.registry.stats().pings_sent
        });
    }),
    ("heartbeat.slack", |key| {
        // Two who were silent from different milliseconds on: how long after the other one each is pinged.
        let outcomes = [(ms(0), ms(7)), (secs(1), ms(0))];
        key.decides(B::ping_slack, config().ping_interval(secs(20)), outcomes, |world| {
            let alice = world.open("alice", "main");
            let bob = world.open("bob", "main");
            for silent in [alice, bob] {
                world.run_until(silent, "ping");
                world.inbound(silent, Inbound::Pong);
                world.take(silent);
            }
            for silent in [alice, bob] {
                world.now += ms(7);
                world.inbound(silent, LIFE);
            }
            world.run_until(bob, "ping") - world.when(alice, "ping")
        });
    }),
    ("heartbeat.pong_timeout", |key| {
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::pong_timeout, config(), outcomes, |world| {
            let silent = world.open("alice", "main");
            let asked = world.run_until(silent, "ping");
            world.run_until(silent, "close pong_timeout") - asked
        });
    }),
    ("heartbeat.pause_threshold", |key| {
        // Nobody looked for twenty seconds more than was promised, and the pong was due by then.
        let outcomes = [(secs(19), vec![]), (secs(20), vec!["pong_timeout"])];
        key.decides(B::pause_threshold, config().pong_timeout(secs(10)), outcomes, |world| {
            let silent = world.open("alice", "main");
            world.run_until(silent, "ping");
            world.now = world.timeout() + secs(20);
            world.registry.tick(world.now);
            world.closings()
        });
    }),
    ("presence.leave_grace", |key| {
        // Whether the user is online in the last millisecond of the shorter one, at its end, and at the
        // end of the longer one.
        let base = calm().with_presence();
        let outcomes = [(secs(1), [true, false, false]), (secs(2), [true, true, false])];
        key.decides(B::leave_grace, base, outcomes, |world| {
            let alice = world.open("alice", "main");
            world.settle();
            world.hang_up(alice);
            [ms(999), ms(1), secs(1)].map(|more| {
                world.run(more);
                world.registry.user(&user("alice")).is_some_and(|it| it.is_online())
            })
        });
    }),
    ("drain.grace", |key| {
        let base = calm().drain_deadline(secs(60));
        let outcomes = [(secs(1), [true, false]), (secs(9), [true, true])];
        key.decides(B::drain_grace, base, outcomes, |world| {
            let conns: Vec<_> = (0..50).map(|n| world.open(&format!("u{n}"), "main")).collect();
            world.registry.drain(world.now, None);
            world.run(secs(60));
            let first = conns.iter().map(|conn| world.when(*conn, "close restart")).min();
            [secs(1), secs(9)].map(|grace| first >= Some(grace))
        });
    }),
    ("drain.deadline", |key| {
        // Its socket does not end by itself: the hard stop ends it.
        let outcomes = [(secs(10), secs(10)), (secs(20), secs(20))];
        key.decides(B::drain_deadline, calm(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.registry.drain(world.now, None);
            world.run_until(alice, "cleanup restart")
        });
    }),
];
