//! How many deadlines one tick acts on makes no difference to what they do, nor to their order.

use core::time::Duration;

use headcount::{
    Config, ConnId, Inbound, Message, Principal, Registry, RunEvent, Start, Target, ThreadId,
    Timestamp, UserId,
};
use headcount_harness::rng::Rng;

fn config(budget: u32) -> Config {
    let millis = Duration::from_millis;
    Config::builder(7)
        .tick_budget(budget)
        .session_linger(millis(300))
        .ping_interval(millis(400))
        .pong_timeout(millis(300))
        .session_idle(millis(900))
        .max_lifetime(millis(2_500))
        .slow_deadline(millis(350))
        .close_handshake(millis(100))
        .head_deadline(millis(200))
        .auth_deadline(millis(200))
        .stream_ttl(millis(250))
        .stream_history(8)
        .room_ttl(millis(250))
        .room_history(8)
        .run_silence(millis(500))
        .user_bytes(1_000)
        .process_bytes(2_000)
        .drain_deadline(millis(700))
        .build()
        .unwrap()
}

/// The same input for each of the registries, and the same answer.
fn all<R: PartialEq + core::fmt::Debug>(
    registries: &mut [Registry; 3],
    mut input: impl FnMut(&mut Registry) -> R,
) -> R {
    let [one, two, three] = registries;
    let answer = input(one);
    assert_eq!(answer, input(two));
    assert_eq!(answer, input(three));
    answer
}

fn one_input(
    registries: &mut [Registry; 3],
    rng: &mut Rng,
    now: Timestamp,
    conns: &mut Vec<ConnId>,
) {
    let user = UserId::new(format!("user-{}", rng.below(3))).unwrap();
    let thread = ThreadId::new(format!("thread-{}", rng.below(3))).unwrap();
    let run = format!("run-{}", rng.below(2)).parse().unwrap();
    let room = format!("room-{}", rng.below(2)).parse().unwrap();
    let message = || Message::text("0123456789".repeat(6));
    let conn = conns.get(rng.below(conns.len().max(1) as u64) as usize).copied();
    match (rng.below(14), conn) {
        (0..=2, _) | (_, None) => {
            let who = || Principal::new(user.clone()).with_thread(thread.clone());
            conns.extend(
                all(registries, |it| it.admit(now, who(), Start::OpenRuns, None))
                    .map(|(conn, _)| conn),
            );
        }
        (3, _) => drop(all(registries, |it| it.reserve(now, None))),
        (4, Some(conn)) => drop(all(registries, |it| it.join(now, conn, &room, Start::Now))),
        (5 | 6, _) => drop(all(registries, |it| it.send(now, Target::User(&user), message()))),
        (7, _) => drop(all(registries, |it| it.send(now, Target::Room(&room), message()))),
        (8, _) => {
            let open = |it: &mut Registry| {
                it.scope(&user).open_run(now, &thread, &run, "agent", "question".into())
            };
            drop(all(registries, open));
        }
        (9, _) => {
            let event = RunEvent::text("an answer");
            drop(all(registries, |it| it.scope(&user).run_event(now, &run, &event)));
        }
        (10 | 11, Some(conn)) => drop(all(registries, |it| it.flushed(now, conn, u64::MAX))),
        (12, Some(conn)) => {
            let _ = all(registries, |it| it.message(now, conn, Inbound::Data { bytes: 1 }));
        }
        (_, Some(conn)) if rng.below(6) == 0 => {
            let _ = all(registries, |it| it.disconnect(now, conn));
        }
        _ if rng.below(40) == 0 => all(registries, |it| it.drain(now, None)),
        _ => drop(all(registries, |it| it.cancel_drain(now))),
    }
}

#[test]
fn a_late_tick_does_what_many_small_ones_do_in_the_same_order() {
    let (mut sessions_ended, mut pinged, mut gave_way) = (0, 0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut registries = [1, 3, 4_096].map(|budget| Registry::new(config(budget)));
        let (mut now, mut conns) = (Timestamp::from_millis(1), Vec::new());
        for _ in 0..400 {
            match rng.below(6) {
                0 => now += Duration::from_millis(rng.pick(&[1, 7, 40, 300, 2_000])),
                1 => {
                    for registry in &mut registries {
                        registry.tick(now);
                        while registry.poll_timeout().is_some_and(|at| at <= now) {
                            registry.tick(now);
                        }
                        registry.tick(now);
                    }
                    while all(&mut registries, |it| it.poll_notice()).is_some() {}
                    all(&mut registries, |it| (it.stats(), it.poll_timeout()));
                }
                2 => {
                    for _ in 0..rng.below(20) {
                        all(&mut registries, |it| {
                            it.poll_action().map(|action| format!("{action:?}"))
                        });
                    }
                }
                _ => one_input(&mut registries, &mut rng, now, &mut conns),
            }
        }
        let stats = registries[0].stats();
        sessions_ended += stats.sessions_ended;
        pinged += stats.pings_sent;
        gave_way += stats.shed;
    }
    assert!(
        sessions_ended > 500 && pinged > 500 && gave_way > 50,
        "{sessions_ended} {pinged} {gave_way}"
    );
}
