//! A registry that writes a journal, and one that lives through it again: the same actions, the same
//! state, for any history and for each thing that the journal leaves out.

use core::time::Duration;

use bytes::Bytes;
use headcount::{
    Config, Key, Message, Position, Principal, Registry, RoomId, RunEvent, RunId, Start, Target,
    ThreadId, Timestamp, UserId,
};
use headcount_harness::history::History;
use headcount_harness::seen::{Content, Seen, Source};
use headcount_harness::world::World;
use headcount_journal::{JournalError, Line, OwnedInput, Reader, Recorder, Recording, Replay};

/// How many random histories each of the tests below tries.
const SEEDS: u64 = 60;

/// What was recorded since the last call.
fn take(registry: &mut Registry) -> &[u8] {
    registry.tap_mut::<Recorder>().map_or(&[], Recorder::take)
}

/// A random history, recorded: the world at its end, and the journal, taken now and then.
fn history(seed: u64, recording: Recording) -> (World, Vec<u8>) {
    history_taken(seed, recording, 3)
}

fn history_taken(seed: u64, recording: Recording, every: u32) -> (World, Vec<u8>) {
    let history = History::from_seed(seed);
    let (config, population) = history.settings();
    let mut world = World::around(|| Recorder::registry(config, recording), population);
    let mut journal = Vec::new();
    for (number, op) in (1_u32..).zip(&history.ops) {
        world.apply(op).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        if number.is_multiple_of(every) {
            journal.extend_from_slice(take(world.registry_mut()));
        }
    }
    journal.extend_from_slice(take(world.registry_mut()));
    (world, journal)
}

/// The actions of a journal, and the registry after them.
fn replay(journal: &[u8]) -> (Vec<Seen>, Replay<'_>) {
    let mut replay = Replay::new(journal).unwrap();
    let mut seen = Vec::new();
    while let Some(step) = replay.step(|action| seen.push(action.into())).unwrap() {
        let _ = step.input.to_string();
    }
    (seen, replay)
}

fn same_state(world: &World, replayed: &Registry, seed: u64) {
    replayed.check().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    assert_eq!(replayed.stats(), world.registry().stats(), "seed {seed}");
    assert_eq!(replayed.poll_timeout(), world.registry().poll_timeout(), "seed {seed}");
    assert_eq!(replayed.has_actions(), world.registry().has_actions(), "seed {seed}");
}

#[test]
fn with_names_and_payloads_everything_happens_again() {
    for seed in 0..SEEDS {
        let (world, journal) = history(seed, Recording::new(1).with_names().with_payloads());
        let (seen, replay) = replay(&journal);
        assert_eq!(seen, world.transcript(), "seed {seed}");
        same_state(&world, replay.registry(), seed);
        for conn in world.conns() {
            let [was, is] = [world.registry(), replay.registry()]
                .map(|registry| format!("{:?}", registry.connection(*conn)));
            assert_eq!(was, is, "seed {seed}, {conn:?}");
        }
        assert!(replay.registry().closed().eq(world.registry().closed()), "seed {seed}");
    }
}

#[test]
fn a_poll_that_passes_over_much_and_gives_nothing_is_recorded() {
    let config = Config::builder(1).connections(3_000).connect_rate(0).build().unwrap();
    let whole = Recording::new(1).with_names().with_payloads();
    let mut registry = Recorder::registry(config, whole);
    let now = Timestamp::from_secs(1);
    let polls = |registry: &mut Registry| {
        let mut empty = 0;
        while registry.has_actions() {
            empty += u32::from(registry.poll_action().is_none());
        }
        empty
    };
    let conns: Vec<_> = (0..3_000)
        .map(|number| {
            let who = Principal::new(format!("user-{number}").parse().unwrap());
            registry.admit(now, who, Start::OpenRuns, None).unwrap().0
        })
        .collect();
    for conn in &conns[..2_500] {
        registry.disconnect(now, *conn).unwrap();
    }
    polls(&mut registry);
    registry.send(now, Target::Everyone, Message::text("hello"));
    assert!(polls(&mut registry) >= 2, "slots without a connection are passed over in slices");
    let journal = take(&mut registry).to_vec();
    let (seen, replay) = replay(&journal);
    assert!(!seen.is_empty());
    assert_eq!(replay.registry().fingerprint(), registry.fingerprint());
}

/// A random history in segments, which begin at any time.
fn segments(seed: u64, recording: Recording) -> (World, Vec<Vec<u8>>) {
    let history = History::from_seed(seed);
    let (config, population) = history.settings();
    let mut world = World::around(|| Recorder::registry(config, recording), population);
    let mut segments = vec![Vec::new()];
    for (number, op) in (1_u64..).zip(&history.ops) {
        world.apply(op).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let registry = world.registry_mut();
        segments.last_mut().unwrap().extend_from_slice(take(registry));
        if (number + seed).is_multiple_of(9) {
            assert!(Recorder::begin_segment(registry));
            segments.push(take(registry).to_vec());
        }
    }
    segments.last_mut().unwrap().extend_from_slice(take(world.registry_mut()));
    (world, segments)
}

#[test]
fn each_segment_is_a_journal_and_goes_on_from_the_one_before() {
    let (mut first, mut all) = (0, 0);
    for seed in 0..SEEDS {
        for whole in [true, false] {
            let mut recording = Recording::new(9);
            if whole {
                recording = recording.with_names().with_payloads();
            }
            let (world, segments) = segments(seed, recording);
            let mut before: Option<u64> = None;
            let mut told = Vec::new();
            for segment in &segments {
                let begins = Replay::new(segment).unwrap().registry().fingerprint();
                assert_eq!(begins, before.unwrap_or(begins), "seed {seed}");
                let (seen, replay) = replay(segment);
                told.extend(seen);
                before = Some(replay.registry().fingerprint());
            }
            same_state(&world, replay(&segments[segments.len() - 1]).1.registry(), seed);
            (first, all) = (first + 1, all + segments.len());
            assert_eq!(told.len(), world.transcript().len(), "seed {seed}");
            assert!(!whole || told == world.transcript(), "seed {seed}");
        }
    }
    assert!(all > 5 * first, "{all} segments of {first} histories");
}

/// All of an action but payloads; names as they are, or as a journal without names tells them.
fn shape(seen: &Seen, mask: Option<&Recording>) -> String {
    let name = |name: &str| mask.map_or_else(|| name.to_owned(), |mask| mask.pseudonym(name));
    let stream_name = |stream: &Source| match stream {
        Source::Room(room) => name(room.as_str()),
        other => format!("{other:?}"),
    };
    match seen {
        Seen::Send { to, stream, position, content } => {
            let what = match content {
                Content::Message(message) => {
                    format!("{} {}", message.is_text(), message.payload().len())
                }
                Content::Fact(fact) => {
                    let (run, agent) = (name(fact.run.as_str()), name(&fact.agent));
                    let (kind, failure, bytes) = (fact.kind, fact.failure, fact.payload.len());
                    format!("{run} {agent} {kind:?} {failure:?} {:?} {bytes}", fact.at)
                }
                Content::Said(said) => {
                    let (run, agent) = (name(said.run.as_str()), name(&said.agent));
                    format!("{run} {agent} {:?} {}", said.at, said.text.len())
                }
            };
            format!("{to:?} {} {position:?} {what}", stream_name(stream))
        }
        Seen::Gap { conn, stream, from, to } => {
            format!("{conn:?} {} {from}..={to}", stream_name(stream))
        }
        Seen::Close { conn, reason, code, text } => {
            format!("{conn:?} {reason} {code} {}", text.len() * usize::from(*code < 4400))
        }
        Seen::Presence { user, online } => format!("presence {} {online}", name(user.as_str())),
        other => format!("{other:?}"),
    }
}

#[test]
fn without_names_and_payloads_the_same_is_decided() {
    for seed in 0..SEEDS {
        let recording = Recording::new(u128::from(seed) << 77);
        let (world, journal) = history(seed, recording.clone());
        let (seen, replay) = replay(&journal);
        assert_eq!(seen.len(), world.transcript().len(), "seed {seed}");
        for (was, is) in world.transcript().iter().zip(&seen) {
            assert_eq!(shape(was, Some(&recording)), shape(is, None), "seed {seed}");
        }
        same_state(&world, replay.registry(), seed);
    }
}

#[test]
fn a_replay_that_is_recorded_makes_the_same_journal() {
    for seed in 0..SEEDS {
        let whole = Recording::new(1).with_names().with_payloads();
        // Taken at once: a journal that is taken in the midst of polls tells of them in two parts.
        let (_, journal) = history_taken(seed, whole.clone(), u32::MAX);
        let mut reader = Reader::new(&journal).unwrap();
        let mut registry = Recorder::registry(reader.config().clone(), whole);
        let mut inputs = Vec::new();
        while let Some((at, input)) = reader.next_input().unwrap() {
            input.apply(&mut registry, at, |_| {});
            inputs.push((at, input));
        }
        let again = take(&mut registry).to_vec();
        let mut reader = Reader::new(&again).unwrap();
        for before in inputs {
            assert_eq!(reader.next_input().unwrap(), Some(before), "seed {seed}");
        }
        assert_eq!(reader.next_input(), Ok(None), "seed {seed}");
    }
}

/// A registry with Alice on two tabs, and a run in her session; the lines of its actions.
fn alice(recording: Recording) -> (Vec<u8>, Vec<String>) {
    let name = |name: &str| UserId::new(name).unwrap();
    let (alice, thread) = (name("alice"), ThreadId::new("garden").unwrap());
    let (room, run) = (RoomId::new("tulips").unwrap(), RunId::new("harvest").unwrap());
    let payloads = format!("{recording:?}").contains("payloads: true");
    let mut registry = Recorder::registry(Config::new(42), recording);
    let mut now = Timestamp::from_secs(1);
    let mut conns = Vec::new();
    for _ in 0..2 {
        now += core::time::Duration::from_nanos(1_500);
        let conn = registry.reserve(now, None).unwrap();
        let who = Principal::new(alice.clone())
            .with_thread(thread.clone())
            .with_label("firefox")
            .unwrap();
        registry.connect(now, conn, who, Start::OpenRuns, None).unwrap();
        registry.join(now, conn, &room, Start::Now).unwrap();
        conns.push(conn);
    }
    let latest = Message::text("rosebud").latest(Key::new("petal").unwrap());
    registry.send(now, Target::User(&alice), latest);
    registry.send(now, Target::Room(&room), Message::binary(&b"\x00\xFFseeds"[..]));
    let mut scope = registry.scope(&alice);
    let _ = scope.open_run(now, &thread, &run, "gardener", Bytes::from_static(b"{}")).unwrap();
    let (expect, payload) = (Some(Duration::from_secs(7)), Bytes::from_static(b"can"));
    let begins = RunEvent::ToolExecuting { call: "water", expect, payload };
    let _ = scope.run_event(now, &run, &begins).unwrap();
    let _ = scope.run_event(now, &run, &RunEvent::text("daffodil")).unwrap();
    registry.reply(now, conns[1], Message::text("\"quoted\"")).unwrap();
    registry.close(now, Target::Conn(conns[0]), headcount::CloseReason::Application);
    let mut lines = Vec::new();
    while let Some(action) = registry.poll_action() {
        lines.push(Line::new(&action).with_payloads(payloads).to_string());
    }
    (take(&mut registry).to_vec(), lines)
}

/// What a journal without names and payloads tells, after a look at what it replays to.
fn replays(registry: &mut Registry) {
    let journal = take(registry).to_vec();
    let (_, replay) = replay(&journal);
    replay.registry().check().unwrap();
    assert_eq!(replay.registry().stats(), registry.stats());
}

#[test]
fn the_length_of_a_call_s_name_decides_nothing() {
    let now = Timestamp::from_secs(1);
    let (alice, thread) = (UserId::new("alice").unwrap(), ThreadId::new("garden").unwrap());
    for bytes in [1, 17, 128] {
        let config = Config::builder(1).run_bytes(1_024).build().unwrap();
        let mut registry = Recorder::registry(config, Recording::new(1));
        let run = RunId::new("harvest").unwrap();
        let mut scope = registry.scope(&alice);
        let _ = scope.open_run(now, &thread, &run, "gardener", Bytes::new()).unwrap();
        let fit = (0_u8..26).take_while(|number| {
            let call = char::from(b'a' + number).to_string().repeat(bytes);
            let begins =
                RunEvent::ToolExecuting { call: &call, expect: None, payload: Bytes::new() };
            scope.run_event(now, &run, &begins).is_ok()
        });
        // 1,024 bytes, less the 256 that are reserved and the first event's 64, at 64 + 128 each.
        assert_eq!(fit.count(), 3);
        replays(&mut registry);
    }
}

#[test]
fn an_offset_within_a_character_is_replayed_without_the_text() {
    let mut now = Timestamp::from_secs(1);
    let (alice, thread) = (UserId::new("alice").unwrap(), ThreadId::new("garden").unwrap());
    let run = RunId::new("harvest").unwrap();
    let mut registry = Recorder::registry(Config::new(1), Recording::new(1));
    let mut scope = registry.scope(&alice);
    let opened = scope.open_run(now, &thread, &run, "gardener", Bytes::new()).unwrap();
    let _ = scope.run_event(now, &run, &RunEvent::text("aé€𝄞z")).unwrap();
    let epoch = registry.session(opened.session).unwrap().position().epoch;
    let mut texts = Vec::new();
    for offset in 1..=12 {
        now += core::time::Duration::from_secs(1);
        let conn = registry.reserve(now, None).unwrap();
        let start = Start::After(Position { epoch, offset });
        let who = Principal::new(alice.clone()).with_thread(thread.clone());
        let admitted = registry.connect(now, conn, who, start, None).unwrap();
        assert!(admitted.followed.unwrap().position.offset <= offset);
        while let Some(action) = registry.poll_action() {
            if let headcount::Action::Send { body, .. } = action {
                texts.push(String::from_utf8(body.as_bytes().to_vec()).unwrap());
            }
        }
        registry.disconnect(now, conn).unwrap();
    }
    let expected = ["aé€𝄞z", "é€𝄞z", "é€𝄞z", "€𝄞z", "€𝄞z", "€𝄞z", "𝄞z", "𝄞z", "𝄞z", "𝄞z", "z"];
    assert_eq!(texts, expected);
    replays(&mut registry);
}

const SECRETS: [&str; 8] =
    ["alice", "garden", "tulips", "harvest", "gardener", "water", "petal", "firefox"];
const PAYLOADS: [&str; 4] = ["rosebud", "seeds", "daffodil", "quoted"];

#[test]
fn names_and_payloads_are_in_a_journal_only_when_asked_for() {
    let has =
        |journal: &[u8], word: &str| journal.windows(word.len()).any(|at| at == word.as_bytes());
    for (names, payloads) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut recording = Recording::new(5);
        if names {
            recording = recording.with_names();
        }
        if payloads {
            recording = recording.with_payloads();
        }
        let (journal, lines) = alice(recording);
        for word in SECRETS {
            assert_eq!(has(&journal, word), names, "{word}");
        }
        for word in PAYLOADS {
            assert_eq!(has(&journal, word), payloads, "{word}");
        }
        let mut again = Vec::new();
        let mut replay = Replay::new(&journal).unwrap();
        let see = |action: &headcount::Action<'_>| {
            again.push(Line::new(action).with_payloads(payloads).to_string());
        };
        let mut see = see;
        while replay.step(&mut see).unwrap().is_some() {}
        if names {
            assert_eq!(again, lines);
        } else {
            assert_eq!(again.len(), lines.len());
        }
        let reader = replay.reader();
        assert_eq!((reader.has_names(), reader.has_payloads()), (names, payloads));
    }
}

#[test]
fn one_can_stop_at_any_input_and_look() {
    let (journal, _) = alice(Recording::new(1).with_names());
    let mut replay = Replay::new(&journal).unwrap();
    let mut live = Vec::new();
    while let Some(step) = replay.step(|_| {}).unwrap() {
        replay.registry().check().unwrap();
        live.push((step.number, replay.registry().stats().open));
        if let OwnedInput::Connect { conn, who, .. } = &step.input {
            assert_eq!(who.user().as_str(), "alice");
            assert!(replay.registry().connection(*conn).is_some());
        }
    }
    let numbers: Vec<u64> = live.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=live.len() as u64).collect::<Vec<_>>());
    assert_eq!(live.iter().map(|(_, open)| *open).max(), Some(2));
    assert_eq!(live.last(), Some(&(live.len() as u64, 1)));
}

#[test]
fn a_cut_journal_gives_what_is_whole_and_says_where_it_was_cut() {
    let (mut world, journal) = history(3, Recording::new(1).with_names().with_payloads());
    let (all, _) = replay(&journal);
    for cut in (0..journal.len()).step_by(7) {
        let mut seen = Vec::new();
        let Ok(mut replay) = Replay::new(&journal[..cut]) else { continue };
        let end = loop {
            match replay.step(|action| seen.push(action.into())) {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(all.starts_with(&seen), "{cut}");
        if let Some(error) = end {
            let JournalError::Cut { at } = error else { panic!("{cut}: {error}") };
            assert!(at <= cut as u64);
        }
    }
    world.wind_up().unwrap();
}
