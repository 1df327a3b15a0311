//! Journals that no registry wrote.

use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::time::Duration;

use headcount::{
    Action, CloseReason, Config, ConnId, Input, Message, Principal, Registry, Tap, Target,
    ThreadId, Timestamp, UserId,
};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1);

/// What was recorded since the last call.
fn take(registry: &mut Registry) -> &[u8] {
    registry.tap_mut::<Recorder>().map_or(&[], Recorder::take)
}

fn is_recording(registry: &Registry) -> bool {
    registry.tap::<Recorder>().is_some_and(Recorder::is_recording)
}

/// The first inputs of a registry, in a record of their own each.
fn journal() -> Vec<u8> {
    let mut registry = Recorder::registry(Config::new(1), Recording::new(2));
    let mut journal = take(&mut registry).to_vec();
    let conn = registry.reserve(NOW, None).unwrap();
    journal.extend(take(&mut registry));
    let who =
        Principal::new(UserId::new("alice").unwrap()).with_thread(ThreadId::new("main").unwrap());
    registry.connect(NOW, conn, who, headcount::Start::OpenRuns, None).unwrap();
    journal.extend(take(&mut registry));
    assert!(registry.send(NOW, Target::Conn(conn), Message::text("hello")).live == 1);
    registry.close(NOW, Target::Conn(conn), CloseReason::Application);
    while registry.poll_action().is_some() {}
    journal.extend(take(&mut registry));
    journal
}

/// How many actions come out, and how it ends.
fn replay(journal: &[u8]) -> (usize, Result<(), JournalError>) {
    let mut actions = 0;
    let mut replay = match Replay::new(journal) {
        Ok(replay) => replay,
        Err(error) => return (0, Err(error)),
    };
    let end = loop {
        match replay.step(|_| actions += 1) {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (actions, end)
}

/// Where records begin, and the end.
fn boundaries(journal: &[u8]) -> Vec<usize> {
    let mut records = record::Records::new(journal).unwrap();
    let mut boundaries = Vec::from([records.position() as usize]);
    while records.next().unwrap().is_some() {
        boundaries.push(records.position() as usize);
    }
    boundaries
}

#[test]
fn a_journal_cut_at_any_byte_is_replayed_as_far_as_it_is_whole() {
    let journal = journal();
    assert_eq!(replay(&journal), (2, Ok(())));
    let boundaries = boundaries(&journal);
    for cut in 0..journal.len() {
        let (actions, end) = replay(&journal[..cut]);
        assert_eq!(actions, 0, "all actions are in the last record");
        let begun = boundaries.iter().rev().find(|boundary| **boundary <= cut).copied();
        match begun {
            // Between two records there is nothing to tell an end from a cut.
            Some(begun) if begun == cut && cut > boundaries[0] => assert_eq!(end, Ok(())),
            begun => {
                let at = begun.unwrap_or(0) as u64;
                assert_eq!(end, Err(JournalError::Cut { at }), "{cut}");
            }
        }
    }
}

#[test]
fn a_changed_bit_is_noticed_wherever_it_is() {
    let journal = journal();
    for place in 0..journal.len() {
        for bit in 0..8 {
            let mut changed = journal.clone();
            changed[place] ^= 1 << bit;
            assert!(replay(&changed).1.is_err(), "byte {place}, bit {bit}");
        }
    }
}

#[test]
fn a_record_that_is_missing_doubled_or_moved_is_noticed() {
    let journal = journal();
    let boundaries = boundaries(&journal);
    let [a, b, c, d] = boundaries[..4] else { panic!("{boundaries:?}") };
    let at = |place: usize| JournalError::Damaged { at: place as u64 };
    let missing = [&journal[..b], &journal[c..]].concat();
    assert_eq!(replay(&missing).1, Err(at(b)));
    let doubled = [&journal[..c], &journal[b..]].concat();
    assert_eq!(replay(&doubled).1, Err(at(c)));
    let swapped = [&journal[..b], &journal[c..d], &journal[b..c], &journal[d..]].concat();
    assert_eq!(replay(&swapped).1, Err(at(b)));
    let headless = [&journal[..a], &journal[b..]].concat();
    assert_eq!(replay(&headless).1, Err(at(a)));
}

#[test]
fn other_files_and_other_versions_are_told_apart() {
    assert_eq!(replay(b"GIF89a").1, Err(JournalError::NotAJournal));
    let mut journal = journal();
    journal[record::PREAMBLE.len()] = 9;
    let at = record::PREAMBLE.len() as u64;
    assert_eq!(replay(&journal).1, Err(JournalError::Version { found: 9, at }));
}

#[test]
fn actions_that_differ_from_those_recorded_are_noticed() {
    let mut recorder = Recorder::new(Recording::new(1), &Config::new(1));
    recorder.input(NOW, Input::Reserve { source: None });
    recorder.count_poll(Some(7));
    let journal = recorder.take().to_vec();
    assert_eq!(replay(&journal).1, Err(JournalError::Diverged { input: 2 }));
}

#[test]
fn another_recipient_anywhere_makes_another_digest() {
    let conn = |index: u64| ConnId::from_bits(1 << 32 | index).unwrap();
    let digest = |to: &[ConnId]| {
        let within = Duration::ZERO..Duration::ZERO;
        digest::of(&Action::Draining { to, within })
    };
    for count in 1..=9 {
        let to: Vec<ConnId> = (0..count).map(conn).collect();
        for place in 0..to.len() {
            let mut other = to.clone();
            other[place] = conn(99);
            assert_ne!(digest(&to), digest(&other), "{place} of {count}");
            other.remove(place);
            assert_ne!(digest(&to), digest(&other), "{place} of {count}");
            let mut turned = to.clone();
            turned.rotate_left(place);
            assert_eq!(digest(&to) == digest(&turned), place == 0, "{place} of {count}");
        }
    }
}

#[test]
fn without_the_whole_key_names_can_t_be_tried() {
    let key = u128::MAX / 3;
    let pseudonym = Recording::new(key).pseudonym("alice");
    assert_eq!(pseudonym, Recording::new(key).pseudonym("alice"));
    for bit in 0..128 {
        assert_ne!(pseudonym, Recording::new(key ^ 1 << bit).pseudonym("alice"), "bit {bit}");
    }
}

#[test]
fn more_polls_than_there_are_actions_end_at_once() {
    let mut recorder = Recorder::new(Recording::new(1), &Config::new(1));
    recorder.input(NOW, Input::Reserve { source: None });
    let mut body = Vec::new();
    body.push(kind::Kind::Polled as u8);
    number::put(&mut body, u64::MAX);
    body.extend_from_slice(&[0; 4]);
    body.push(kind::Kind::Noticed as u8);
    number::put(&mut body, u64::MAX);
    recorder.append(&body);
    let journal = recorder.take().to_vec();
    assert_eq!(replay(&journal).1, Ok(()));
}

#[test]
fn more_reports_than_there_are_bytes_are_no_input() {
    let mut recorder = Recorder::new(Recording::new(1), &Config::new(1));
    let mut body = Vec::from([kind::Kind::FlushedMany as u8 | kind::SAME_STAMP]);
    number::put(&mut body, u64::MAX);
    body.extend_from_slice(&[3; 3]);
    recorder.append(&body);
    let journal = recorder.take().to_vec();
    assert!(matches!(replay(&journal).1, Err(JournalError::Invalid { .. })));
}

#[test]
fn a_recording_that_is_not_taken_ends_and_says_so() {
    let recording = Recording::new(1).buffer_bytes(4_096);
    let mut registry = Recorder::registry(Config::new(1), recording);
    for _ in 0..10_000 {
        let _ = registry.reserve(NOW, None);
    }
    assert!(!is_recording(&registry));
    let journal = take(&mut registry).to_vec();
    assert!(journal.len() < 4_096 + 64, "{}", journal.len());
    assert_eq!(replay(&journal).1, Err(JournalError::Overflowed));
    let _ = registry.reserve(NOW, None);
    assert!(take(&mut registry).is_empty());
}

#[test]
fn a_recording_ends_once_and_after_what_was_polled() {
    let mut recorder = Recorder::new(Recording::new(1), &Config::new(1));
    recorder.input(NOW, Input::Reserve { source: None });
    recorder.polled(None);
    recorder.overflow();
    recorder.overflow();
    recorder.polled(None);
    let journal = recorder.take().to_vec();
    let mut reader = Reader::new(&journal).unwrap();
    assert_eq!(reader.next_input(), Ok(Some((NOW, OwnedInput::Reserve { source: None }))));
    assert_eq!(reader.next_input(), Ok(Some((NOW, OwnedInput::Polled { count: 1, digest: 0 }))));
    assert_eq!(reader.next_input(), Err(JournalError::Overflowed));
}

/// A recorder with segments of a hundred bytes and of a minute.
fn in_segments() -> Registry {
    let recording = Recording::new(1).segments(100, Duration::from_secs(60));
    Recorder::registry(Config::new(1), recording)
}

#[test]
fn a_segment_is_full_by_its_bytes_or_by_its_age() {
    let mut registry = in_segments();
    let mut journal = take(&mut registry).to_vec();
    // What a segment begins with does not count: a state may be larger than a segment.
    assert!(journal.len() > 100 && !Recorder::next_segment(&mut registry));
    let mut inputs = 0;
    while !Recorder::next_segment(&mut registry) {
        registry.tick(NOW);
        journal.extend_from_slice(take(&mut registry));
        inputs += 1;
    }
    assert!((5..=100).contains(&inputs), "{inputs}");
    assert_eq!(replay(&journal), (0, Ok(())));
    let head = take(&mut registry).to_vec();
    assert!(!Recorder::next_segment(&mut registry));
    registry.tick(NOW + Duration::from_secs(1));
    let next = [&head, take(&mut registry)].concat();
    assert_eq!(replay(&next), (0, Ok(())));
    let mut reader = Reader::new(&next).unwrap();
    let at = reader.next_input().unwrap().map(|(at, _)| at);
    assert_eq!(at, Some(NOW + Duration::from_secs(1)), "stamps go on");
    registry.tick(NOW + Duration::from_secs(60));
    let _ = take(&mut registry);
    assert!(!Recorder::next_segment(&mut registry));
    registry.tick(NOW + Duration::from_secs(61));
    let _ = take(&mut registry);
    assert!(Recorder::next_segment(&mut registry));
}

#[test]
fn a_segment_does_not_begin_before_the_last_one_was_taken() {
    let mut registry = in_segments();
    assert!(!Recorder::begin_segment(&mut registry));
    let mut journal = take(&mut registry).to_vec();
    registry.tick(NOW);
    assert!(!Recorder::begin_segment(&mut registry));
    journal.extend_from_slice(take(&mut registry));
    assert!(Recorder::begin_segment(&mut registry));
    assert_eq!(replay(&journal), (0, Ok(())));
    assert!(!Recorder::begin_segment(&mut Registry::new(Config::new(1))), "it has no recorder");
}

#[test]
fn a_snapshot_at_the_head_that_can_t_be_restored_is_told() {
    let mut registry = in_segments();
    let _ = take(&mut registry);
    assert!(Recorder::begin_segment(&mut registry));
    let mut segment = take(&mut registry).to_vec();
    // The version of the snapshot: behind the line, a header, the kind, the contents and a length.
    let place = record::PREAMBLE.len() + record::HEADER_BYTES;
    let place = place + segment[place..].windows(2).position(|it| it == b"HC").unwrap() + 2;
    segment[place] = 77;
    record::seal(&mut segment, record::PREAMBLE.len(), &mut record::Chain::default());
    let why = headcount::RestoreError::Version { found: 77 };
    assert_eq!(replay(&segment).1, Err(JournalError::Snapshot { why }));
    let told = JournalError::Snapshot { why }.to_string();
    assert!(told.contains("version 77"), "{told}");
}

#[test]
fn polls_of_actions_and_of_notices_keep_their_order() {
    let mut recorder = Recorder::new(Recording::new(1), &Config::new(1));
    recorder.noticed();
    recorder.polled(None);
    recorder.noticed();
    recorder.noticed();
    let journal = recorder.take().to_vec();
    let mut reader = Reader::new(&journal).unwrap();
    let mut next = || reader.next_input().unwrap().map(|(_, input)| input);
    assert_eq!(next(), Some(OwnedInput::Noticed { count: 1 }));
    assert_eq!(next(), Some(OwnedInput::Polled { count: 1, digest: 0 }));
    assert_eq!(next(), Some(OwnedInput::Noticed { count: 2 }));
    assert_eq!(next(), None);
}

#[test]
fn without_a_recorder_nothing_is_recorded() {
    let mut registry = Registry::new(Config::new(1));
    let _ = registry.reserve(NOW, None);
    assert!(take(&mut registry).is_empty() && !is_recording(&registry));
}

#[test]
fn a_recording_can_be_stopped() {
    let mut registry = Recorder::registry(Config::new(1), Recording::new(1));
    assert!(is_recording(&registry));
    registry.set_tap(None);
    let _ = registry.reserve(NOW, None);
    assert!(take(&mut registry).is_empty() && !is_recording(&registry));
}
