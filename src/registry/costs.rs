//! What each call costs, counted: as many steps with 100,000 of something as with 100, but for its logarithm.
//!
//! A step is a record that a table gives out, a name that an index compares, a node of the wheel, a
//! membership or a log entry that a search passes. Walks that a call is allowed are in `docs/costs.md`.

mod world;

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::input::{Inbound, Target};
use crate::{
    CloseReason, ConfigBuilder, Key, Position, Principal, RunEvent, Start, StreamRef, TenantId,
    Timestamp,
};

use self::world::{Call, World, config, message, room, run, source, thread, user, who};

const FEW: u32 = 100;
const MANY: u32 = 100_000;

/// Runs each call in a world of few and in one of many, one after the other.
fn assert_flat(what: &str, world: fn(u32) -> World, calls: &[&[Call]]) {
    let costs = |count| {
        let mut world = world(count);
        let calls = calls.iter().copied().flatten();
        let costs: Vec<_> = calls.map(|(name, call)| (*name, world.cost(*call))).collect();
        world.registry.check().unwrap();
        costs
    };
    let (few, many) = (costs(FEW), costs(MANY));
    let grown: Vec<_> = few
        .into_iter()
        .zip(many)
        // log2(100,000) is two and a half times log2(100).
        .filter(|((_, few), (_, many))| *many > 8 + few * 5 / 2)
        .map(|((name, few), (_, many))| format!("{name}: {few} steps, then {many}"))
        .collect();
    assert!(grown.is_empty(), "grows with {what}: {grown:#?}");
}

/// What a connection may see, and what strangers do meanwhile.
const CALLS: &[Call] = &[
    ("message", |world| {
        let data = Inbound::Data { bytes: 4 };
        let _ = world.registry.message(world.now, world.conn(), data).unwrap();
    }),
    ("flushed", |world| {
        let _ = world.registry.flushed(world.now, world.conn(), u64::MAX).unwrap();
    }),
    ("flushed_many", |world| {
        let reports = [(world.conn(), u64::MAX)];
        world.registry.flushed_many(world.now, &reports, |_, answer| assert!(answer.is_ok()));
    }),
    ("reply_at_once", |world| {
        world.registry.reply_at_once(world.now, world.conn(), 100).unwrap();
    }),
    ("reply", |world| world.registry.reply(world.now, world.conn(), message()).unwrap()),
    ("refresh", |world| world.registry.refresh(world.now, world.conn(), None).unwrap()),
    ("acknowledge", |world| {
        let (now, conn) = (world.now, world.conn());
        let session = StreamRef::Session(
            world.registry.connection(conn).and_then(|it| it.session()).unwrap(),
        );
        world.registry.acknowledge(now, conn, session, 1).unwrap();
    }),
    ("send to the session", |world| {
        let session = world.registry.connection(world.conn()).and_then(|it| it.session()).unwrap();
        let delivery = world.registry.send(world.now, Target::Session(session), message());
        assert_eq!(delivery.stored.len(), 1);
    }),
    ("join", |world| {
        let room = room(world.fresh());
        world.registry.join(world.now, world.conn(), &room, Start::Now).unwrap();
    }),
    ("send to that room", |world| {
        let room = room(world.fresh);
        let delivery = world.registry.send(world.now, Target::Room(&room), message());
        assert_eq!(delivery.live, 1);
    }),
    ("leave", |world| {
        let room = room(world.fresh);
        assert!(world.registry.leave(world.now, world.conn(), &room).unwrap());
    }),
    ("reserve", |world| {
        world.conn = Some(world.registry.reserve(world.now, None).unwrap());
    }),
    ("upgraded", |world| world.registry.upgraded(world.now, world.conn()).unwrap()),
    ("connect of a new user", |world| {
        let who = who(world.fresh(), 0);
        world.registry.connect(world.now, world.conn(), who, Start::OpenRuns, None).unwrap();
    }),
    ("open a run", |world| {
        let (user, thread, run) = (user(world.fresh), thread(0), run(world.fresh));
        let mut scope = world.registry.scope(&user);
        let _ = scope.open_run(world.now, &thread, &run, "agent", Bytes::new()).unwrap();
    }),
    ("an event of the run", |world| {
        let (user, run) = (user(world.fresh), run(world.fresh));
        let event = RunEvent::Progress(Bytes::new());
        let _ = world.registry.scope(&user).run_event(world.now, &run, &event).unwrap();
    }),
    ("the end of the run", |world| {
        let (user, run) = (user(world.fresh), run(world.fresh));
        let event = RunEvent::Completed(Bytes::new());
        let _ = world.registry.scope(&user).run_event(world.now, &run, &event).unwrap();
    }),
    ("request a run and its cancel", |world| {
        let (conn, run) = (world.conn(), run(u32::MAX));
        let _ = world.registry.request_run(world.now, conn, None, &run, Bytes::new()).unwrap();
        let _ = world.registry.request_cancel(world.now, conn, &run, Bytes::new()).unwrap();
    }),
    ("disconnect", |world| world.registry.disconnect(world.now, world.conn()).unwrap()),
    ("tick", |world| world.registry.tick(world.now)),
];

/// What one more connection of the first user does.
const CALLS_OF_USER: &[Call] = &[
    ("admit to a new session", |world| {
        let number = world.fresh();
        world.open(0, number);
    }),
    ("join from there", |world| {
        let room = room(world.fresh());
        world.registry.join(world.now, world.conn(), &room, Start::Now).unwrap();
    }),
    ("close from there", |world| {
        world.registry.close(world.now, Target::Conn(world.conn()), CloseReason::Evicted);
    }),
    ("admit to a known session", |world| world.open(0, 0)),
    ("follow another session, or none over the cap", |world| {
        let (now, conn, thread) = (world.now, world.conn(), thread(world.fresh()));
        let _ = world.registry.follow(now, conn, &thread, Start::OpenRuns);
    }),
    ("unfollow it", |world| {
        let Some((session, _)) =
            world.registry.connection(world.conn()).into_iter().flat_map(|it| it.followed()).nth(1)
        else {
            return;
        };
        world.registry.unfollow(world.now, world.conn(), session).unwrap();
    }),
    ("take over", |world| {
        let previous = Some(world.conn());
        let admitted = world.registry.admit(world.now, who(0, 0), Start::OpenRuns, previous);
        world.conn = Some(admitted.unwrap().0);
    }),
    ("open a run of the user", |world| {
        let run = run(world.fresh());
        let user = user(0);
        let mut scope = world.registry.scope(&user);
        let _ = scope.open_run(world.now, &thread(0), &run, "agent", Bytes::new()).unwrap();
    }),
    ("disconnect of the user", |world| {
        world.registry.disconnect(world.now, world.conn()).unwrap();
        world.open(0, 1);
    }),
];

#[test]
fn sessions_of_a_user() {
    let world = |count| World::new(config(), count, |world, number| world.open(0, number));
    assert_flat("the sessions of a user", world, &[CALLS_OF_USER, CALLS]);
}

#[test]
fn sessions_of_a_user_at_the_cap() {
    let world = |count| {
        World::new(config().sessions_per_user(count), count, |world, number| world.open(0, number))
    };
    assert_flat("the sessions of a user", world, &[CALLS_OF_USER, CALLS]);
}

#[test]
fn lingering_sessions_of_a_user_at_the_cap() {
    let world = |count| {
        World::new(config().sessions_per_user(count), count, |world, number| {
            world.open(0, number);
            world.registry.disconnect(world.now, world.conn()).unwrap();
        })
    };
    assert_flat("lingering sessions of a user", world, &[CALLS_OF_USER, CALLS]);
}

#[test]
fn connections_of_a_user() {
    let world = |count| World::new(config(), count, |world, _| world.open(0, 0));
    assert_flat("the connections of a user", world, &[CALLS_OF_USER, CALLS]);
}

#[test]
fn connections_of_a_user_at_the_cap() {
    let world = |count| {
        World::new(config().connections_per_user(count), count, |world, _| world.open(0, 0))
    };
    assert_flat("the connections of a user", world, &[CALLS_OF_USER, CALLS]);
}

/// The next admission crosses both shares.
#[test]
fn pressure_of_a_user() {
    let world = |count| {
        let mut world = World::new(
            config().connections_per_user(count + 1).proactive_percent(100).emergency_percent(100),
            count,
            |world, _| world.open(0, 0),
        );
        world.now = Timestamp::from_secs(20);
        world
    };
    assert_flat("the connections of a user", world, &[CALLS_OF_USER]);
}

#[test]
fn members_of_a_room() {
    let world = |count| {
        World::new(config(), count, |world, number| {
            world.open(number, 0);
            world.registry.join(world.now, world.conn(), &room(0), Start::Now).unwrap();
        })
    };
    let calls: &[Call] = &[
        ("send to the room", |world| {
            let delivery = world.registry.send(world.now, Target::Room(&room(0)), message());
            assert_eq!(delivery.live, world.count);
        }),
        ("acknowledge in the room", |world| {
            let lobby = room(0);
            let (now, conn, stream) = (world.now, world.conn(), StreamRef::Room(&lobby));
            world.registry.acknowledge(now, conn, stream, 1).unwrap();
        }),
        ("leave the room", |world| {
            assert!(world.registry.leave(world.now, world.conn(), &room(0)).unwrap());
        }),
        ("resume in the room", |world| {
            let Position { epoch, .. } = world.registry.room(&room(0)).unwrap().position();
            let start = Start::After(Position { epoch, offset: 0 });
            world.registry.join(world.now, world.conn(), &room(0), start).unwrap();
        }),
        ("disconnect of a member", |world| {
            world.registry.disconnect(world.now, world.conn()).unwrap();
            world.open(0, 0);
        }),
    ];
    assert_flat("the members of a room", world, &[calls, CALLS]);
}

#[test]
fn empty_rooms_at_the_cap() {
    let world = |count| {
        World::new(config().rooms(count), count, |world, number| {
            world.open(number, 0);
            world.registry.join(world.now, world.conn(), &room(number), Start::Now).unwrap();
            world.registry.send(world.now, Target::Room(&room(number)), message());
            world.settle();
            world.registry.leave(world.now, world.conn(), &room(number)).unwrap();
        })
    };
    assert_flat("empty rooms", world, &[CALLS]);
}

#[test]
fn sockets_of_a_source_that_wait() {
    let world = |count| {
        World::new(config().pending_per_source(count), count, |world, number| {
            let source = source(number % 2);
            if number == 0 {
                world.open(0, 0);
            }
            world.registry.reserve(world.now, Some(source)).unwrap();
        })
    };
    assert_flat("the sockets of a source that wait", world, &[WAITING, CALLS]);
}

#[test]
fn sources_of_sockets_that_wait() {
    let world = |count| {
        World::new(config().pending_per_source(1), count, |world, number| {
            if number == 0 {
                world.open(0, 0);
            }
            world.registry.reserve(world.now, Some(source(number))).unwrap();
        })
    };
    assert_flat("the sources of sockets that wait", world, &[WAITING, CALLS]);
}

/// A socket makes another one of its source give way, and speaks.
const WAITING: &[Call] = &[
    ("reserve of the source", |world| {
        world.conn = Some(world.registry.reserve(world.now, Some(source(1))).unwrap());
    }),
    ("bytes of a head", |world| {
        let bytes = Inbound::Bytes { bytes: 1, partial: true };
        let _ = world.registry.message(world.now, world.conn(), bytes).unwrap();
    }),
    ("upgrade", |world| world.registry.upgraded(world.now, world.conn()).unwrap()),
    ("connect", |world| {
        let who = who(world.fresh(), 0);
        world.registry.connect(world.now, world.conn(), who, Start::OpenRuns, None).unwrap();
    }),
];

/// Everyone lingers, and the caps of users and of sessions are reached.
fn absent(config: ConfigBuilder, count: u32) -> World {
    World::new(config, count, |world, number| {
        world.open(number, 0);
        world.registry.disconnect(world.now, world.conn()).unwrap();
    })
}

#[test]
fn absent_users_at_the_cap() {
    let world = |count| absent(config().users(count), count);
    let calls: &[Call] = &[("admit", |world| world.open(MANY, 0))];
    assert_flat("absent users", world, &[calls, CALLS, CALLS_OF_USER]);
}

#[test]
fn lingering_sessions_at_the_cap() {
    let world = |count| absent(config().sessions(count).sessions_per_user(count), count);
    let calls: &[Call] = &[("admit", |world| world.open(MANY, 0))];
    assert_flat("lingering sessions", world, &[calls, CALLS, CALLS_OF_USER]);
}

/// All buckets are full again when the next user leaves.
#[test]
fn users_who_have_left() {
    let world = |count| {
        let config = config().session_linger(Duration::ZERO).connect_rate_per_user(1);
        let mut world = absent(config, count);
        assert_eq!(world.registry.sessions.departed.len(), count as usize);
        world.now = Timestamp::from_secs(10);
        world.open(0, 0);
        world
    };
    assert_flat("users who have left", world, &[CALLS, CALLS_OF_USER]);
}

#[test]
fn connections_in_their_close_handshake() {
    let world = |count| {
        World::new(config(), count, |world, number| {
            world.open(number, 0);
            world.registry.close(world.now, Target::Conn(world.conn()), CloseReason::Evicted);
            world.open(0, 0);
        })
    };
    assert_flat("close handshakes", world, &[CALLS, CALLS_OF_USER]);
}

#[test]
fn entries_of_a_log() {
    let world = |count| {
        let config = config().stream_messages(1 << 20).stream_history(1 << 20);
        World::new(config.stream_bytes(1 << 30), count, |world, number| {
            if number == 0 {
                world.open(0, 0);
            }
            let session =
                world.registry.connection(world.conn()).and_then(|it| it.session()).unwrap();
            world.registry.send(world.now, Target::Session(session), message());
            let _ = world.registry.flushed(world.now, world.conn(), u64::MAX).unwrap();
        })
    };
    let calls: &[Call] = &[
        ("resume from the first entry", |world| {
            let session =
                world.registry.connection(world.conn()).and_then(|it| it.session()).unwrap();
            let Position { epoch, .. } = world.registry.session(session).unwrap().position();
            let start = Start::After(Position { epoch, offset: 1 });
            world.registry.admit(world.now, who(0, 0), start, None).unwrap();
        }),
        ("a message with a key", |world| {
            let session =
                world.registry.connection(world.conn()).and_then(|it| it.session()).unwrap();
            let message = message().latest(Key::new("key").unwrap());
            world.registry.send(world.now, Target::Session(session), message);
        }),
        ("a droppable message", |world| {
            let session =
                world.registry.connection(world.conn()).and_then(|it| it.session()).unwrap();
            let message = message().droppable();
            world.registry.send(world.now, Target::Session(session), message);
        }),
    ];
    assert_flat("the entries of a log", world, &[calls, CALLS_OF_USER, CALLS]);
}

/// Those who were dropped are in the leave grace, without a session, and fill the cap of users.
#[test]
fn users_in_the_leave_grace() {
    let world = |count| {
        World::new(config().with_presence().users(count), count, |world, number| {
            world.conn = world.admit(Principal::new(user(number)));
            world.settle();
            world.registry.disconnect(world.now, world.conn()).unwrap();
        })
    };
    let calls: &[Call] = &[
        ("is_online", |world| {
            assert!(world.registry.user(&user(0)).is_some_and(|it| it.is_online()))
        }),
        ("admit of one who comes back", |world| world.open(1, 0)),
        ("admit of a newcomer", |world| world.open(MANY, 0)),
        ("disconnect of the last connection", |world| {
            world.registry.disconnect(world.now, world.conn()).unwrap();
        }),
        ("revoke", |world| assert_eq!(world.registry.revoke(world.now, &user(2)), 0)),
        ("tick in which all graces end", |world| {
            world.now = Timestamp::from_secs(100);
            world.registry.tick(world.now);
            world.open(0, 0);
        }),
    ];
    assert_flat("users in the leave grace", world, &[calls, CALLS, CALLS_OF_USER]);
}

/// A user of the tenant that there are many users of.
fn of_tenant(user_number: u32) -> Principal {
    who(user_number, 0).with_tenant(TenantId::new("acme").unwrap())
}

/// All users of one tenant linger, and its cap of sessions is reached.
#[test]
fn lingering_sessions_of_a_tenant_at_the_cap() {
    let world = |count| {
        World::new(config().sessions_per_tenant(count), count, |world, number| {
            world.conn = world.admit(of_tenant(number));
            world.settle();
            world.registry.disconnect(world.now, world.conn()).unwrap();
        })
    };
    let calls: &[Call] = &[
        ("tenant", |world| {
            let tenant = TenantId::new("acme").unwrap();
            let tenant = world.registry.tenant(&tenant).unwrap();
            assert_eq!(tenant.session_count(), world.count);
        }),
        ("admit of a newcomer of the tenant", |world| {
            world.conn = world.admit(of_tenant(MANY));
        }),
        ("admit of a user who joins the tenant", |world| {
            world.open(MANY + 1, 1);
            world.conn = world.admit(of_tenant(MANY + 1));
        }),
        ("disconnect of one of the tenant", |world| {
            world.registry.disconnect(world.now, world.conn()).unwrap();
            world.open(0, 0);
        }),
        ("revoke of one of the tenant", |world| {
            assert_eq!(world.registry.revoke(world.now, &user(MANY)), 1);
        }),
    ];
    assert_flat("the users of a tenant", world, &[calls, CALLS, CALLS_OF_USER]);
}
