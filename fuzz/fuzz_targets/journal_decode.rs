//! Any bytes as a journal, and any bytes in records whose checksums are right, which chance would
//! never make.
//!
//! Reading and replaying never panic, an error stays, the registry keeps its invariants whatever it
//! is given, and what was read comes out again when it is recorded again. The format is written down
//! here once more, from its documentation.

#![no_main]

use headcount::{Config, Registry, Timestamp};
use headcount_journal::{JournalError, OwnedInput, Reader, Recorder, Recording, Replay};
use libfuzzer_sys::fuzz_target;

/// Payloads that are left out are announced by their length alone: a few bytes can ask for a
/// gigabyte of zeros, which is theirs to ask and would be this target's to fill.
const MOST_PAYLOAD_BYTES: usize = 1 << 20;

/// CRC-32 as in IEEE 802.3, bit by bit.
fn checksum(before: u32, parts: &[&[u8]]) -> u32 {
    let mut crc = !before;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// What was recorded since the last call.
fn take(registry: &mut Registry) -> &[u8] {
    registry.tap_mut::<Recorder>().map_or(&[], Recorder::take)
}

/// A journal whose first record is a registry's own, and whose others are these bodies.
fn journal(flags: u8, bodies: &[&[u8]]) -> Vec<u8> {
    let config = Config::builder(u64::from(flags))
        .connections(8)
        .connections_per_user(3)
        .stream_messages(4)
        .run_bytes(1_024)
        .message_rate(5)
        .build()
        .expect("a valid configuration");
    let mut recording = Recording::new(1);
    if flags & 1 > 0 {
        recording = recording.with_names();
    }
    if flags & 2 > 0 {
        recording = recording.with_payloads();
    }
    let mut journal = take(&mut Recorder::registry(config, recording)).to_vec();
    let preamble = b"headcount journal\n".len();
    let mut chain = u32::from_le_bytes(journal[preamble + 5..preamble + 9].try_into().unwrap());
    for body in bodies {
        let length = (body.len() as u32).to_le_bytes();
        chain = checksum(chain, &[&[1], &length, body]);
        journal.push(1);
        journal.extend_from_slice(&length);
        journal.extend_from_slice(&chain.to_le_bytes());
        journal.extend_from_slice(body);
    }
    journal
}

/// All inputs, and how the journal ends. `None`: more payload than this target wants to fill.
fn read(journal: &[u8]) -> Option<(Vec<(Timestamp, OwnedInput)>, Result<(), JournalError>)> {
    let mut reader = match Reader::new(journal) {
        Ok(reader) => reader,
        Err(error) => return Some((Vec::new(), Err(error))),
    };
    let mut inputs = Vec::new();
    let mut payload_bytes = 0;
    loop {
        match reader.next_input() {
            Ok(Some((at, input))) => {
                payload_bytes += match &input {
                    OwnedInput::Send { message, .. } | OwnedInput::Reply { message, .. } => {
                        message.payload().len()
                    }
                    OwnedInput::OpenRun { payload, .. } => payload.len(),
                    OwnedInput::RunEvent { event, .. } => event.payload().len(),
                    _ => 0,
                };
                if payload_bytes > MOST_PAYLOAD_BYTES {
                    return None;
                }
                inputs.push((at, input));
            }
            Ok(None) => return Some((inputs, Ok(()))),
            Err(error) => {
                assert_eq!(reader.next_input(), Err(error), "an error stays");
                assert!(!error.to_string().is_empty());
                return Some((inputs, Err(error)));
            }
        }
    }
}

/// What is polled depends on what there is, and is no input of its own when it is recorded again.
fn is_call(input: &OwnedInput) -> bool {
    !matches!(input, OwnedInput::Polled { .. } | OwnedInput::Noticed { .. })
}

fn live_again(config: &Config, inputs: &[(Timestamp, OwnedInput)]) {
    let whole = Recording::new(2).with_names().with_payloads();
    let mut registry = Recorder::registry(config.clone(), whole);
    for (at, input) in inputs {
        input.apply(&mut registry, *at, |action| _ = action.cost());
        if let Err(violation) = registry.check() {
            panic!("after {input}: {violation}");
        }
    }
    let again = take(&mut registry).to_vec();
    let (again, end) = read(&again).expect("no larger than before");
    assert_eq!(end, Ok(()));
    let calls = inputs.iter().filter(|(_, input)| is_call(input));
    assert!(calls.eq(again.iter().filter(|(_, input)| is_call(input))), "recorded otherwise");
}

fn replay(journal: &[u8]) {
    let Ok(mut replay) = Replay::new(journal) else { return };
    while let Ok(Some(_)) = replay.step(|_| {}) {}
    replay.registry().check().expect("its invariants");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    if flags & 4 > 0 {
        // As it is, or behind the line that every journal begins with.
        let line: &[u8] = if flags & 8 > 0 { b"headcount journal\n" } else { b"" };
        let journal = [line, bytes].concat();
        if read(&journal).is_some() {
            replay(&journal);
        }
        return;
    }
    // Bodies of the lengths that single bytes say.
    let mut bodies = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first() {
        let (body, after) = after.split_at(after.len().min((*length).into()));
        bodies.push(body);
        rest = after;
    }
    let journal = journal(*flags, &bodies);
    let Some((inputs, _)) = read(&journal) else { return };
    let config = Reader::new(&journal).expect("its first record is right").config().clone();
    live_again(&config, &inputs);
    replay(&journal);
    // Cut anywhere, it begins in the same way.
    let cut = journal.len() * usize::from(flags >> 4) / 16;
    let (some, _) = read(&journal[..cut]).expect("no larger than the whole");
    assert!(inputs.starts_with(&some), "cut at {cut} it says something else");
});
