//! The whole state as bytes: a restored registry is the same registry, and other bytes are refused.

use bytes::Bytes;

use headcount::{
    CloseWords, Config, Key, Message, Part, PartKind, Principal, Redaction, Registry, RestoreError,
    RunEvent, RunId, Source, Start, Target, TenantId,
};

use crate::support::{World, config, secs, thread, user};

/// Something of everything: rooms, runs, tenants, direct messages, a drain, sockets that wait.
fn busy() -> World {
    let mut world = World::with(config().stream_history(8).with_presence());
    let now = world.now;
    let [ann, bob] = ["ann", "bob"].map(|name| world.open(name, "main"));
    let acme = Principal::new(user("cleo")).with_thread(thread("main"));
    let acme = acme.with_tenant(TenantId::new("acme").unwrap()).with_label("tablet").unwrap();
    world.registry.admit(now, acme, Start::OpenRuns, None).unwrap();
    for conn in [ann, bob] {
        world.join(conn, "lobby");
    }
    world.tell_session(ann, "kept");
    world.settle();
    let latest = Message::text("42 %").latest(Key::new("battery").unwrap());
    world.registry.send(now, Target::Conn(bob), Message::text("direct"));
    world.registry.send(now, Target::User(&user("ann")), latest);
    world.tell_room("lobby", "on its way");
    let (run, ann) = (RunId::new("run-1").unwrap(), user("ann"));
    let mut scope = world.registry.scope(&ann);
    scope.open_run(now, &thread("main"), &run, "agent", Bytes::from_static(b"begin")).unwrap();
    for (id, kind, text) in
        [("", PartKind::Text, "It is "), ("call", PartKind::ToolArguments, "{\"a\":")]
    {
        scope.run_event(now, &run, &RunEvent::Delta { part: Part { id, kind }, text }).unwrap();
    }
    let payload = Bytes::from_static(b"{}");
    let call = RunEvent::ToolExecuting { call: "call", expect: Some(secs(9)), payload };
    scope.run_event(now, &run, &call).unwrap();
    let waiting = world.registry.reserve(now, Some(Source::opaque(5))).unwrap();
    world.registry.upgraded(now, waiting).unwrap();
    world.registry.close(now, Target::Conn(bob), CloseWords::new(4001, "see you").unwrap());
    world
}

/// What a registry hands out from now on, as text.
fn rest_of(mut registry: Registry, world: &World) -> Vec<String> {
    let mut told = Vec::new();
    registry.drain(world.now + secs(1), None);
    for after in [1, 10, 60, 600] {
        registry.tick(world.now + secs(after));
        while let Some(action) = registry.poll_action() {
            told.push(format!("{action:?}"));
        }
        while let Some(notice) = registry.poll_notice() {
            told.push(format!("{notice:?}"));
        }
    }
    told
}

#[test]
fn what_is_restored_does_what_the_original_does() {
    let world = busy();
    let restored = Registry::restore(&world.registry.snapshot()).unwrap();
    assert_eq!(restored.fingerprint(), world.registry.fingerprint());
    assert_eq!(restored.stats(), world.registry.stats());
    assert!(restored.closed().eq(world.registry.closed()));
    let told = rest_of(restored, &world);
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(told, rest_of(world.registry.clone(), &world));
}

#[test]
fn handles_that_come_next_are_the_same() {
    let mut world = busy();
    let conns: Vec<_> =
        (0..9).map(|number| world.open(&format!("user-{number}"), "main")).collect();
    for place in [3, 1, 7, 4] {
        world.registry.disconnect(world.now, conns[place]).unwrap();
    }
    world.settle();
    let mut restored = Registry::restore(&world.registry.snapshot()).unwrap();
    for number in 0..6 {
        let who = || Principal::new(user(&format!("newcomer-{number}")));
        let there = world.registry.admit(world.now, who(), Start::OpenRuns, None).unwrap();
        assert_eq!(restored.admit(world.now, who(), Start::OpenRuns, None).unwrap(), there);
    }
}

#[test]
fn an_empty_registry_has_a_snapshot() {
    let registry = Registry::new(Config::new(3));
    let restored = Registry::restore(&registry.snapshot()).unwrap();
    assert_eq!(restored.fingerprint(), registry.fingerprint());
    assert_eq!(restored.config(), registry.config());
}

#[test]
fn a_snapshot_that_is_cut_or_changed_is_refused_whole() {
    let snapshot = busy().registry.snapshot();
    for length in 0..snapshot.len() {
        let error = Registry::restore(&snapshot[..length]).unwrap_err();
        let expected = if length < 2 { RestoreError::NotASnapshot } else { RestoreError::Damaged };
        assert_eq!(error, expected, "cut at {length}");
    }
    for place in 0..snapshot.len() {
        let mut changed = snapshot.clone();
        changed[place] ^= 0x10;
        let error = Registry::restore(&changed).unwrap_err();
        match place {
            0 | 1 => assert_eq!(error, RestoreError::NotASnapshot),
            2 | 3 => assert!(matches!(error, RestoreError::Version { found } if found != 1)),
            _ => assert_eq!(error, RestoreError::Damaged, "changed at {place}"),
        }
    }
    let longer = [&snapshot[..], &[0]].concat();
    assert_eq!(Registry::restore(&longer).unwrap_err(), RestoreError::Damaged);
    let told = RestoreError::Version { found: 9 }.to_string();
    assert!(told.contains("version 9") && told.contains("version 2"), "{told}");
}

/// Names become numbers of their lengths, and payloads are left out.
struct Hidden;

impl Redaction for Hidden {
    fn name(&self, name: &str) -> String {
        let sum = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        if name.is_empty() { String::new() } else { format!("~{sum}") }
    }

    fn source(&self, source: Source) -> Source {
        Source::opaque(source.to_bytes().iter().map(|byte| u64::from(*byte)).sum())
    }

    fn leaves_out_payloads(&self) -> bool {
        true
    }
}

#[test]
fn a_redacted_snapshot_shows_no_name_and_no_payload_and_decides_alike() {
    let world = busy();
    let redacted = world.registry.redacted_snapshot(&Hidden);
    let whole = world.registry.snapshot();
    let shows =
        |snapshot: &[u8], text: &str| snapshot.windows(text.len()).any(|it| it == text.as_bytes());
    let secrets = [
        "ann", "acme", "tablet", "lobby", "kept", "42 %", "battery", "direct", "run-1", "agent",
        "It is ", "call", "see you",
    ];
    for secret in secrets {
        assert!(shows(&whole, secret), "{secret}");
        assert!(!shows(&redacted, secret), "{secret}");
    }
    let (restored, original) = (Registry::restore(&redacted).unwrap(), &world.registry);
    assert_eq!(restored.stats(), original.stats());
    assert!(restored.user(&user("ann")).is_none());
    let connections = |registry: &Registry, name: &str| {
        registry.user(&user(name)).map(|user| user.connection_count())
    };
    assert_eq!(connections(&restored, &Hidden.name("ann")), connections(original, "ann"));
    assert_eq!(rest_of(restored, &world).len(), rest_of(original.clone(), &world).len());
}
