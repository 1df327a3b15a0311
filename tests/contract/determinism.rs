//! Same configuration, same inputs, same actions; and looking changes nothing.

use headcount::{CloseReason, ConnId, Inbound, Registry, Start, Target};

use crate::support::{World, config, ms, room, secs, text_of_cost, thread, user};

/// A small generator of its own, so that no other seed has a say.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A life with a bit of everything, told in full; `look` is called between any two steps.
fn life(seed: u64, look: impl Fn(&Registry, ConnId)) -> Vec<String> {
    let mut world = World::with(
        config()
            .send_window(500)
            .reply_reserve(100)
            .fanout_chunk(3)
            .stream_messages(5)
            .ping_interval(secs(10))
            .pong_timeout(secs(3))
            .slow_deadline(secs(8))
            .session_linger(secs(5))
            .connect_rate(20)
            .connections(30),
    );
    world.checking = false;
    let mut rng = Rng(seed);
    let mut conns = vec![world.open("u0", "main")];
    for _ in 0..3_000 {
        let conn = conns[rng.below(conns.len() as u64) as usize];
        let name = format!("u{}", rng.below(8));
        let lobby = format!("room{}", rng.below(3));
        let text = text_of_cost(64 + rng.below(200));
        let now = world.now;
        match rng.below(16) {
            0 | 1 => {
                if let Ok(conn) = world.try_reserve() {
                    let _ = world.connect(conn, &name, "main");
                    conns.push(conn);
                }
            }
            2 => drop(world.registry.join(now, conn, &room(&lobby), Start::Now)),
            3 => drop(world.registry.leave(now, conn, &room(&lobby))),
            4 => world.tell_user(&name, &text),
            5 => world.tell_room(&lobby, &text),
            6 => world.tell_conn(conn, &text),
            7 if rng.below(4) == 0 => world.tell_everyone(&text),
            8 if rng.below(3) == 0 => {
                world.close(Target::Conn(conn), CloseReason::Application);
            }
            9 if rng.below(50) == 0 => {
                world.close(Target::Room(&room(&lobby)), CloseReason::Restart);
            }
            10 => drop(world.registry.disconnect(now, conn)),
            11 | 12 => drop(world.registry.message(now, conn, Inbound::Data { bytes: 1 })),
            13 => world.skip(ms(rng.below(2_000))),
            14 => world.flush_all(),
            _ => {
                for _ in 0..rng.below(20) {
                    world.step();
                }
            }
        }
        look(&world.registry, conn);
    }
    world.run_out();
    world
        .polled
        .iter()
        .map(|polled| format!("{:?} {polled:?}", polled.at))
        .chain([format!("{:?}", world.registry.stats())])
        .collect()
}

fn first_difference<'a>(one: &'a [String], two: &'a [String]) -> Option<(&'a str, &'a str)> {
    let place = one.iter().zip(two).position(|(one, two)| one != two)?;
    Some((&one[place], &two[place]))
}

#[test]
fn the_same_inputs_give_the_same_actions() {
    for seed in 1..=5 {
        let (one, two) = (life(seed, |_, _| ()), life(seed, |_, _| ()));
        assert!(one.len() > 500, "a life worth telling: {}", one.len());
        assert_eq!(first_difference(&one, &two), None, "seed {seed}");
        assert_eq!(one.len(), two.len());
    }
}

#[test]
fn other_inputs_give_other_actions() {
    assert_ne!(life(1, |_, _| ()), life(2, |_, _| ()));
}

#[test]
fn looking_changes_nothing() {
    // Everything that takes `&self`, all the time.
    let look = |registry: &Registry, conn: ConnId| {
        let shown = format!("{registry:?} {:?} {:?}", registry.stats(), registry.config());
        assert!(!shown.is_empty());
        registry.check().unwrap();
        let _ = (registry.poll_timeout(), registry.has_actions(), registry.is_idle());
        // What a view shows is all that it can be asked.
        let _ = format!("{:?} {:?}", registry.user(&user("u1")), registry.room(&room("room1")));
        let _ = format!("{:?}", registry.connection(conn));
        if let Some(user) = registry.user(&user("u1")) {
            let _ = (user.connections().count(), user.sessions().count(), user.runs().count());
        }
        let _ = registry.room(&room("room1")).into_iter().flat_map(|it| it.members()).count();
        if let Some(conn) = registry.connection(conn) {
            assert!(conn.session().is_none() || conn.user().is_some());
        }
        let named = registry.user(&user("u1")).and_then(|it| it.session(&thread("main")));
        if let Some(session) = named {
            let _ = (format!("{session:?}"), session.connections().count());
        }
    };
    for seed in 1..=2 {
        let (blind, watched) = (life(seed, |_, _| ()), life(seed, look));
        assert_eq!(first_difference(&blind, &watched), None, "seed {seed}");
        assert_eq!(blind.len(), watched.len());
    }
}

#[test]
fn a_seed_decides_epochs_and_jitter_and_nothing_else() {
    let positions = [1, 1, 2].map(|seed| {
        let mut registry = Registry::new(headcount::Config::new(seed));
        let conn = registry.reserve(crate::support::START, None).unwrap();
        let who = crate::support::who("alice", "main");
        let admitted = registry.connect(crate::support::START, conn, who, Start::OpenRuns, None);
        admitted.unwrap().followed.unwrap().position
    });
    assert_eq!(positions[0], positions[1]);
    assert_ne!(positions[0].epoch, positions[2].epoch, "a restart never continues an old epoch");
    assert_eq!(positions[0].offset, positions[2].offset);
}

#[test]
fn debug_output_does_not_print_names_or_payloads() {
    let mut world = World::new();
    let alice = world.open("alice in wonderland", "secret conversation");
    world.join(alice, "a hidden room");
    world.tell_session(alice, "a private message");
    let shown = format!("{:?} {:?}", world.registry, world.registry.connection(alice));
    let action = world.registry.poll_action().unwrap();
    let shown = format!("{shown} {action:?}");
    for secret in ["wonderland", "conversation", "hidden room", "private message"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
