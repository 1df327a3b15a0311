//! Configurations in which one thing is most of what there is: filled with it, a registry holds a quarter
//! of its bound at least.

use bytes::Bytes;

use headcount::{
    CloseReason, Config, ConfigBuilder, ConnKind, Inbound, Message, Principal, RoomId, RunEvent,
    Start, Target,
};

use super::START;
use super::bound::long;
use super::terms::{Filled, LARGEST, send, thread, user};

/// Fills one thing under a configuration in which it is most of what there is.
fn share(config: ConfigBuilder, fill: impl FnOnce(&mut Filled)) -> f64 {
    let mut filled = Filled::new(config);
    filled.more(fill);
    filled.held() as f64 / filled.registry.config().memory_bound(LARGEST) as f64
}

#[test]
fn a_quarter_of_the_whole_is_reached() {
    let few = || {
        let few = Config::builder(1).connections(1).pending(1).pending_per_source(1).closing(1);
        few.sessions(1).rooms(1).announcements(1).connect_rate(0).connect_rate_per_user(0)
    };
    let budget = 16 << 20;
    let logs = || few().process_bytes(budget).user_bytes(budget).stream_bytes(budget);
    let shares = [
        (
            "messages",
            share(logs().stream_messages(1_000).runs_per_session(0).direct_bytes(1), |it| {
                let (_, session) = it.admit(0);
                for _ in 0..800 {
                    let payload = Bytes::from(vec![b'x'; LARGEST as usize]);
                    send(&mut it.registry, Target::Session(session), Message::binary(payload));
                }
            }),
        ),
        (
            "text",
            share(
                logs().direct_bytes(1).run_bytes(2 << 20).runs_per_session(16).stream_messages(1),
                |it| {
                    let alice = user(0);
                    for run in 0..14 {
                        let run = it.open_run(&alice, 0, run);
                        it.tell(&alice, &run, &RunEvent::text(&"x".repeat(1 << 20)));
                        it.tell(&alice, &run, &RunEvent::text(&"x".repeat(1 << 10)));
                    }
                },
            ),
        ),
        (
            "connections",
            share(
                few()
                    .connections(1_000)
                    .connections_per_user(1)
                    .sessions(1_000)
                    .closed_ring(0)
                    .notices(0)
                    .process_bytes(1)
                    .direct_bytes(1)
                    .reply_reserve(0)
                    .sessions_per_connection(1)
                    .rooms_per_connection(1)
                    .runs_per_session(0),
                |it| {
                    // What few connections, users and streams have, all of these have.
                    let room = RoomId::new(long(0)).unwrap();
                    (0..1_000).for_each(|number| {
                        let who = Principal::new(user(number)).with_thread(thread(number));
                        let who = who.with_kind(ConnKind::EventStream);
                        let who = who.with_label(long(number.into())).unwrap();
                        let (conn, _) =
                            it.registry.admit(START, who, Start::OpenRuns, None).unwrap();
                        it.registry.message(START, conn, Inbound::Fragment).map(drop).unwrap();
                        it.registry.join(START, conn, &room, Start::Now).unwrap();
                        let message = Message::binary(Bytes::new());
                        send(&mut it.registry, Target::SessionOf(conn), message);
                    })
                },
            ),
        ),
        (
            "outbox",
            share(
                few()
                    .connections(32)
                    .connections_per_user(32)
                    .process_bytes(100_000)
                    .direct_bytes(2 << 20)
                    .reply_reserve(64)
                    .run_bytes(100_000)
                    .runs_per_session(1)
                    .closed_ring(0),
                |it| {
                    let alice = user(0);
                    let run = it.open_run(&alice, 0, 0);
                    (0..1_000)
                        .for_each(|_| it.tell(&alice, &run, &RunEvent::Progress(Bytes::new())));
                    let who = Principal::new(alice).with_thread(thread(0));
                    let enter = |it: &mut Filled| {
                        it.registry.admit(START, who.clone(), Start::OpenRuns, None).unwrap().0
                    };
                    // Each moves as much out of the log as its window takes.
                    for conn in [(); 32].map(|()| enter(it)) {
                        it.registry.close(START, Target::Conn(conn), CloseReason::Application);
                    }
                },
            ),
        ),
    ];
    println!("{shares:?}");
    assert!(shares.iter().all(|(_, share)| *share >= 0.25), "{shares:?}");
}
