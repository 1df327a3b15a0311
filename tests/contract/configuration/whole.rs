//! What concerns the registry as a whole: the size of its steps and of its memories, and what only
//! an embedder sets.

use headcount::{Config, ConfigBuilder as B, MESSAGE_OVERHEAD};

use super::key::Row;
use crate::support::{World, config, ms, secs};

pub(crate) const ROWS: &[Row] = &[
    ("fanout_chunk", |key| {
        // How many recipients each action names.
        key.decides(B::fanout_chunk, config(), [(1, vec![1, 1]), (2, vec![2])], |world| {
            for name in ["alice", "bob"] {
                let conn = world.open(name, "main");
                world.join(conn, "lobby");
            }
            world.tell_room("lobby", "hello");
            world.drain();
            world.polled.iter().map(|polled| polled.to.len()).collect()
        });
    }),
    ("announcements", |key| {
        key.decides(B::announcements, config(), [(1, true), (2, false)], |world| {
            world.open("alice", "main");
            world.tell_everyone("one");
            world.tell_everyone("two");
            world.delivery.full
        });
    }),
    ("closed_ring", |key| {
        let outcomes = [(0, vec![]), (1, vec!["peer_gone"])];
        key.decides(B::closed_ring, config(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.hang_up(alice);
            world.closings()
        });
    }),
    ("notices", |key| {
        // That it was admitted, and that it has gone: how many of the two are told and lost.
        key.decides(B::notices, config(), [(1, (1, 1)), (2, (2, 0))], |world| {
            let alice = world.open("alice", "main");
            world.hang_up(alice);
            (world.notices().len(), world.registry.stats().notices_lost)
        });
    }),
    ("tick_budget", |key| {
        // How many of three deadlines that are due in the same instant one tick acts on.
        let base = config().head_deadline(secs(1));
        key.decides(B::tick_budget, base, [(1, 1), (2, 2)], |world| {
            (0..3).for_each(|_| assert!(world.try_reserve().is_ok()));
            world.run(ms(999));
            world.skip(ms(1));
            world.drain()
        });
    }),
    ("seed", |key| {
        // Whether the first epoch is the one that a registry with the seed 7 begins with.
        let outcomes = [(Config::builder(7), true), (Config::builder(8), false)];
        key.distinguishes(outcomes, |world| {
            let epoch = |world: &mut World| {
                let alice = world.open("alice", "main");
                world.registry.session(world.session(alice)).expect("a session").position().epoch
            };
            epoch(world) == epoch(&mut World::with(Config::builder(7)))
        });
    }),
    ("flush_reports", |key| {
        // How many of two messages a window that holds one lets out before a flush is reported.
        let base = config().send_window(MESSAGE_OVERHEAD);
        key.distinguishes([(base.clone(), 1), (base.without_flush_reports(), 2)], |world| {
            let alice = world.open("alice", "main");
            world.tell_session(alice, "a");
            world.tell_session(alice, "b");
            world.drain()
        });
    }),
    ("presence", |key| {
        // How many actions there are when a user comes.
        let outcomes = [(config(), 0), (config().with_presence(), 1)];
        key.distinguishes(outcomes, |world| {
            world.open("alice", "main");
            world.drain()
        });
    }),
];
