//! How many, how large, how fast: `limits` and `pressure`.

use headcount::{
    ConfigBuilder as B, ConnId, ConnState, FollowError, Inbound, InboundError, Intake, JoinError,
    OverCap, Pressure, Principal, Refused, Start, Target,
};

use super::key::Row;
use crate::support::{World, config, ms, refuse, room, secs, thread, who};

/// One more connection: whether it is admitted.
fn admit(world: &mut World, user: &str, thread: &str) -> Result<(), Refused> {
    let conn = world.reserve();
    world.connect(conn, user, thread).map(drop)
}

/// The same of a user of a tenant.
fn admit_as(world: &mut World, who: Principal) -> Result<(), Refused> {
    world.registry.admit(world.now, who, Start::OpenRuns, None).map(drop)
}

fn of_tenant(user: &str, tenant: &str) -> Principal {
    who(user, "main").with_tenant(tenant.parse().unwrap())
}

/// One more message.
fn say(world: &mut World, conn: ConnId, bytes: u64) -> Result<Intake, InboundError> {
    world.registry.message(world.now, conn, Inbound::Data { bytes })
}

fn join(world: &mut World, conn: ConnId, name: &str) -> Result<(), JoinError> {
    world.registry.join(world.now, conn, &room(name), Start::Now).map(drop)
}

fn follow_another(world: &mut World) -> Option<FollowError> {
    let conn = world.open("alice", "one");
    world.registry.follow(world.now, conn, &thread("two"), Start::OpenRuns).err()
}

/// Nothing of a user's happens but at the caps.
fn calm() -> B {
    config().proactive_percent(101).emergency_percent(101)
}

/// Two connections of one user are all that there may be.
fn pair() -> B {
    config().connections_per_user(2).ping_interval(secs(20)).pong_timeout(secs(60))
}

pub(crate) const ROWS: &[Row] = &[
    ("limits.connections", |key| {
        // What follows `connections` by default is large enough for all three.
        let base = config().pending(9).closing(9).sessions(9).rooms(9);
        let base = base.connections_per_user(1).connections_per_tenant(1);
        let outcomes = [(2, Err(Refused::Connections)), (3, Ok(()))];
        key.decides(B::connections, base, outcomes, |world| {
            world.open("alice", "main");
            world.open("bob", "main");
            admit(world, "carol", "main")
        });
    }),
    ("limits.pending", |key| {
        let outcomes = [(1, Err(Refused::Pending)), (2, Ok(()))];
        let base = config().pending_per_source(1);
        key.decides(B::pending, base, outcomes, |world| {
            world.reserve();
            world.try_reserve().map(drop)
        });
    }),
    ("limits.pending_per_source", |key| {
        // The first of a source gives way to the third, or it does not.
        let base = config().pending(9);
        let outcomes = [(2, Some(ConnState::Closing)), (3, Some(ConnState::Pending))];
        key.decides(B::pending_per_source, base, outcomes, |world| {
            let conns = [(); 3].map(|()| world.reserve_from("192.0.2.1"));
            world.state(conns[0])
        });
    }),
    ("limits.closing", |key| {
        // The handshake of the first is cut short by a newcomer, or it is not.
        let outcomes = [(1, None), (2, Some(ConnState::Closing))];
        key.decides(B::closing, config().connections(2), outcomes, |world| {
            let conns = [world.open("alice", "main"), world.open("bob", "main")];
            for conn in conns {
                world.close(Target::Conn(conn), headcount::CloseReason::Application);
            }
            world.settle();
            world.open("carol", "main");
            world.settle();
            world.state(conns[0])
        });
    }),
    ("limits.sessions", |key| {
        let base = config().users(2).sessions_per_user(2).sessions_per_tenant(2);
        let outcomes = [(2, Err(Refused::Sessions)), (3, Ok(()))];
        key.decides(B::sessions, base, outcomes, |world| {
            world.open("alice", "one");
            world.open("alice", "two");
            admit(world, "bob", "main")
        });
    }),
    ("limits.users", |key| {
        let outcomes = [(1, Err(Refused::Users)), (2, Ok(()))];
        key.decides(B::users, config(), outcomes, |world| {
            world.open("alice", "main");
            admit(world, "bob", "main")
        });
    }),
    ("limits.rooms", |key| {
        let outcomes = [(1, Err(JoinError::Rooms)), (2, Ok(()))];
        key.decides(B::rooms, config(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.join(alice, "one");
            join(world, alice, "two")
        });
    }),
    ("limits.connections_per_user", |key| {
        let outcomes = [(1, vec!["evicted"]), (2, vec![])];
        key.decides(B::connections_per_user, calm(), outcomes, |world| {
            world.open("alice", "main");
            world.open("alice", "main");
            world.closings()
        });
    }),
    ("limits.sessions_per_user", |key| {
        let outcomes = [(1, vec!["evicted"]), (2, vec![])];
        key.decides(B::sessions_per_user, calm(), outcomes, |world| {
            world.open("alice", "one");
            world.open("alice", "two");
            world.closings()
        });
    }),
    ("limits.tenants", |key| {
        let outcomes = [(1, Err(Refused::Tenants)), (2, Ok(()))];
        key.decides(B::tenants, config(), outcomes, |world| {
            world.open_as(of_tenant("alice", "one"));
            admit_as(world, of_tenant("bob", "two"))
        });
    }),
    ("limits.connections_per_tenant", |key| {
        let outcomes = [(1, Err(Refused::ConnectionsPerTenant)), (2, Ok(()))];
        key.decides(B::connections_per_tenant, config(), outcomes, |world| {
            world.open_as(of_tenant("alice", "one"));
            admit_as(world, of_tenant("bob", "one"))
        });
    }),
    ("limits.sessions_per_tenant", |key| {
        let outcomes = [(1, Err(Refused::SessionsPerTenant)), (2, Ok(()))];
        key.decides(B::sessions_per_tenant, config(), outcomes, |world| {
            world.open_as(of_tenant("alice", "one"));
            admit_as(world, of_tenant("bob", "one"))
        });
    }),
    ("limits.rooms_per_connection", |key| {
        let outcomes = [(1, Err(JoinError::RoomsPerConnection)), (2, Ok(()))];
        key.decides(B::rooms_per_connection, config(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.join(alice, "one");
            join(world, alice, "two")
        });
    }),
    ("limits.rooms_per_user", |key| {
        let outcomes = [(1, Err(JoinError::RoomsPerUser)), (2, Ok(()))];
        key.decides(B::rooms_per_user, config(), outcomes, |world| {
            let [alice, other] = ["one", "two"].map(|thread| world.open("alice", thread));
            world.join(alice, "lobby");
            join(world, other, "lobby")
        });
    }),
    ("limits.sessions_per_connection", |key| {
        let outcomes = [(1, Some(FollowError::SessionsPerConnection)), (2, None)];
        key.decides(B::sessions_per_connection, config(), outcomes, follow_another);
    }),
    ("limits.streams_per_user", |key| {
        let outcomes = [(0, Some(FollowError::StreamsPerUser)), (1, None)];
        key.decides(B::streams_per_user, config(), outcomes, follow_another);
    }),
    ("limits.over_cap", |key| {
        use ConnState::{Closing, Open};
        let base = config().connections_per_user(2);
        let outcomes = [
            (base.clone().over_cap(OverCap::EvictUnresponsiveThenOldest), (true, [Open, Closing])),
            (base.clone().over_cap(OverCap::EvictOldest), (true, [Closing, Open])),
            (base.over_cap(refuse()), (false, [Open, Open])),
        ];
        key.distinguishes(outcomes, |world| {
            let first = world.open("alice", "main");
            world.skip(secs(1));
            let second = world.open("alice", "main");
            world.skip(secs(1));
            // The first to come is the last that was heard of.
            let _ = world.data(first);
            let admitted = admit(world, "alice", "main").is_ok();
            (admitted, [first, second].map(|conn| world.state(conn).expect("it is there")))
        });
    }),
    ("limits.connect_rate", |key| {
        // Six tenths of a second are more than half a second and less than a whole one.
        let outcomes = [(1, Err(Refused::Rate { retry_after: ms(400) })), (2, Ok(()))];
        key.decides(B::connect_rate, config().connect_burst(1), outcomes, |world| {
            world.open("alice", "main");
            world.skip(ms(600));
            admit(world, "bob", "main")
        });
    }),
    ("limits.connect_burst", |key| {
        let outcomes = [(1, Err(Refused::Rate { retry_after: secs(1) })), (2, Ok(()))];
        key.decides(B::connect_burst, config().connect_rate(1), outcomes, |world| {
            world.open("alice", "main");
            admit(world, "bob", "main")
        });
    }),
    ("limits.connect_rate_per_user", |key| {
        let base = config().connect_burst_per_user(1);
        let outcomes = [(1, Err(Refused::RateOfUser { retry_after: ms(600) })), (4, Ok(()))];
        key.decides(B::connect_rate_per_user, base, outcomes, |world| {
            world.open("alice", "main");
            world.skip(ms(400));
            admit(world, "alice", "main")
        });
    }),
    ("limits.connect_burst_per_user", |key| {
        let base = config().connect_rate_per_user(1);
        let outcomes = [(1, Err(Refused::RateOfUser { retry_after: secs(1) })), (2, Ok(()))];
        key.decides(B::connect_burst_per_user, base, outcomes, |world| {
            world.open("alice", "main");
            admit(world, "alice", "main")
        });
    }),
    ("limits.message_rate", |key| {
        let outcomes = [(1, Err(InboundError::RateLimited)), (2, Ok(Intake::Taken))];
        key.decides(B::message_rate, config().message_burst(1), outcomes, |world| {
            let alice = world.open("alice", "main");
            let _ = world.data(alice);
            world.skip(ms(600));
            say(world, alice, 1)
        });
    }),
    ("limits.message_burst", |key| {
        let outcomes = [(1, Err(InboundError::RateLimited)), (2, Ok(Intake::Taken))];
        key.decides(B::message_burst, config().message_rate(1), outcomes, |world| {
            let alice = world.open("alice", "main");
            let _ = world.data(alice);
            say(world, alice, 1)
        });
    }),
    ("limits.head_bytes", |key| {
        let outcomes = [(1_024, Err(InboundError::TooBig)), (1_025, Ok(Intake::Taken))];
        key.decides(B::head_bytes, config(), outcomes, |world| {
            let pending = world.reserve();
            let bytes = Inbound::Bytes { bytes: 1_025, partial: false };
            world.registry.message(world.now, pending, bytes)
        });
    }),
    ("limits.byte_rate", |key| {
        // A second's worth is more than the longest message.
        let outcomes = [(1_000, Err(InboundError::RateLimited)), (1_001, Ok(Intake::Taken))];
        key.decides(B::byte_rate, config().message_bytes(100), outcomes, |world| {
            let alice = world.open("alice", "main");
            let bytes = Inbound::Bytes { bytes: 1_001, partial: false };
            world.registry.message(world.now, alice, bytes)
        });
    }),
    ("limits.frame_deadline", |key| {
        let outcomes = [(secs(2), secs(2)), (secs(3), secs(3))];
        key.decides(B::frame_deadline, config(), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.inbound(alice, Inbound::Bytes { bytes: 1, partial: true });
            world.run_until(alice, "close frame_timeout")
        });
    }),
    ("limits.message_bytes", |key| {
        let outcomes = [(10, Err(InboundError::TooBig)), (11, Ok(Intake::Taken))];
        key.decides(B::message_bytes, config(), outcomes, |world| {
            let alice = world.open("alice", "main");
            say(world, alice, 11)
        });
    }),
    ("pressure.proactive", |key| {
        // One of two is half of the cap.
        let outcomes = [(50, vec![(Pressure::Proactive, 0, 0, 0)]), (51, vec![])];
        key.decides(B::proactive_percent, pair().emergency_percent(101), outcomes, |world| {
            world.open("alice", "main");
            world.pressures()
        });
    }),
    ("pressure.emergency", |key| {
        let outcomes = [(50, vec![(Pressure::Emergency, 0, 0, 0)]), (51, vec![])];
        key.decides(B::emergency_percent, pair().proactive_percent(101), outcomes, |world| {
            world.open("alice", "main");
            world.pressures()
        });
    }),
    ("pressure.emergency_deadline", |key| {
        let base = pair().proactive_percent(100).emergency_percent(100);
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::emergency_deadline, base, outcomes, |world| {
            let silent = world.open("alice", "main");
            let asked = world.run_until(silent, "ping");
            world.open("alice", "main");
            world.run_until(silent, "close pong_timeout") - asked
        });
    }),
];
