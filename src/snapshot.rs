//! The whole state of a registry as bytes, and back.
//!
//! ```text
//!   magic   version   flags   checksum    the state: each part by its own fields, in the order in which
//!   ┌──────┬─────────┬───────┬──────────┐ it declares them
//!   │ "HC" │ 2 bytes │ 1     │ 8        │ configuration, time, tables, queues, timers, counters
//!   └──────┴─────────┴───────┴──────────┘
//! ```
//!
//! A part says once which fields it has ([`encoded`]), and both directions follow from that. Nothing is
//! written twice: the indexes of names, and which slot of the timer wheel comes first, follow from the
//! records and are made anew.
//!
//! Records keep their slots, and vacant slots their order, for handles name a slot: a registry that was
//! restored gives the next connection the handle that the other one would have given it.

mod decoder;
mod encoder;
mod fields;
mod primitives;

use alloc::string::String;
use alloc::vec::Vec;

use crate::store::mix;
use crate::waiting::Source;

pub(crate) use self::decoder::{Decoder, Malformed};
pub(crate) use self::encoder::Encoder;
pub(crate) use self::fields::{Encoded, encoded};

/// What a snapshot shows of names, sources and payloads: for one that is kept or passed on by those who
/// must not see them.
///
/// The registry decides nothing by what a name is or a payload says, but for which names are the same,
/// whether one is empty, and the lengths of payloads. So a registry that is restored from such a snapshot
/// does what the other one does.
///
/// ```
/// # use headcount::*;
/// use std::hash::{BuildHasher, RandomState};
///
/// /// A pseudonym for each name, by a key that this process alone has.
/// struct Pseudonyms(RandomState);
///
/// impl Redaction for Pseudonyms {
///     fn name(&self, name: &str) -> String {
///         if name.is_empty() { String::new() } else { format!("{:016x}", self.0.hash_one(name)) }
///     }
///
///     fn source(&self, source: Source) -> Source {
///         Source::opaque(self.0.hash_one(source))
///     }
///
///     fn leaves_out_payloads(&self) -> bool {
///         true
///     }
/// }
///
/// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
/// # let alice = UserId::new("alice")?;
/// # registry.admit(now, Principal::new(alice.clone()), Start::Now, None)?;
/// let snapshot = registry.redacted_snapshot(&Pseudonyms(RandomState::new()));
/// let restored = Registry::restore(&snapshot)?;
/// assert_eq!(restored.stats(), registry.stats());
/// assert!(restored.user(&alice).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Redaction {
    /// What stands for a name: of a user, a thread, a tenant, a room, a run, an agent, a tool call, a part of
    /// a run, a key of [`Class::Latest`](crate::Class::Latest), or a label. Different names must stay
    /// different, an empty one empty, and none may come to exceed
    /// [`MAX_ID_BYTES`](crate::MAX_ID_BYTES).
    fn name(&self, name: &str) -> String;

    /// What stands for a source of connections. Different ones must stay different.
    fn source(&self, source: Source) -> Source;

    /// Whether payloads, and the texts of runs, are left out. Zeros of the same length take their places
    /// when the snapshot is restored.
    fn leaves_out_payloads(&self) -> bool;
}

const MAGIC: [u8; 2] = *b"HC";
/// The version that this crate writes, and the only one that it reads.
pub(crate) const VERSION: u16 = 2;
const HEADER_BYTES: usize = MAGIC.len() + 2 + 1 + 8;
/// A flag: payloads were left out.
const WITHOUT_PAYLOADS: u8 = 1;

/// Puts the header before a state.
pub(crate) fn framed(state: &[u8], without_payloads: bool) -> Vec<u8> {
    let flags = u8::from(without_payloads) * WITHOUT_PAYLOADS;
    let mut snapshot = Vec::with_capacity(HEADER_BYTES + state.len());
    snapshot.extend_from_slice(&MAGIC);
    snapshot.extend_from_slice(&VERSION.to_le_bytes());
    snapshot.push(flags);
    snapshot.extend_from_slice(&checksum(flags, state).to_le_bytes());
    snapshot.extend_from_slice(state);
    snapshot
}

/// What a snapshot is, as its header says.
pub(crate) enum Frame<'a> {
    State { state: &'a [u8], without_payloads: bool },
    NoSnapshot,
    OtherVersion(u16),
    Damaged,
}

impl<'a> Frame<'a> {
    pub(crate) fn of(snapshot: &'a [u8]) -> Self {
        let Some(rest) = snapshot.strip_prefix(&MAGIC) else { return Self::NoSnapshot };
        let Some((version, rest)) = rest.split_first_chunk() else { return Self::Damaged };
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Self::OtherVersion(version);
        }
        let Some(([flags], rest)) = rest.split_first_chunk() else { return Self::Damaged };
        let Some((recorded, state)) = rest.split_first_chunk() else { return Self::Damaged };
        // A fuzzer would not find a checksum, and is to find what lies behind it.
        if !cfg!(fuzzing) && u64::from_le_bytes(*recorded) != checksum(*flags, state) {
            return Self::Damaged;
        }
        Self::State { state, without_payloads: flags & WITHOUT_PAYLOADS > 0 }
    }
}

/// It tells an accident, and no forger.
fn checksum(flags: u8, state: &[u8]) -> u64 {
    let mut sum = mix(state.len() as u64 ^ u64::from(flags) << 56);
    for chunk in state.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = mix(sum ^ u64::from_le_bytes(word));
    }
    sum
}
