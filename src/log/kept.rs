//! What a log has while it has entries.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::message::Message;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Seldom, hash_unordered};

use super::entry::Entry;

/// The entries of a log, and what is known of them.
#[derive(Clone)]
pub(crate) struct Kept {
    /// Messages, what belongs to groups, and tombstones; the newest at the back.
    pub(super) entries: VecDeque<Entry>,
    /// How many of the entries are no tombstones.
    pub(super) live: u32,
    /// The cost of these.
    pub(super) bytes: u64,
    /// Entries of open groups: exempt from this log's bounds.
    pub(super) pinned: Pinned,
    /// Lower bound for the search in `oldest`: every entry before this offset is pinned or a
    /// tombstone.
    pub(super) bounded_from: u64,
    /// How many are droppable.
    pub(super) droppable: u32,
    /// No droppable message is before this offset.
    pub(super) droppable_from: u64,
    /// The last offset that was ever lost in the middle, while there were entries.
    pub(super) last_lost: u64,
    /// `None` while no message has a key.
    pub(super) keys: Option<Box<Keys>>,
}

impl Seldom for Kept {
    const SHARED: &'static Self = &Self::USUAL;
    const USUAL: Self = Self {
        entries: VecDeque::new(),
        live: 0,
        bytes: 0,
        pinned: Pinned { entries: 0, bytes: 0 },
        bounded_from: 0,
        droppable: 0,
        droppable_from: 0,
        last_lost: 0,
        keys: None,
    };
}

/// The newest entry of each key.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) hasher: FixedState,
    /// The hash of the key beside the offset of its entry.
    pub(super) newest: HashTable<(u64, u64)>,
}

/// What the bounds of a log pass over.
#[derive(Clone, Copy, Hash)]
pub(super) struct Pinned {
    pub(super) entries: u32,
    /// The cost of these.
    pub(super) bytes: u64,
}

encoded! { struct Pinned { entries, bytes } }

impl Pinned {
    /// Whether so many entries of so many bytes may have these among them.
    const fn is_part_of(self, entries: u32, bytes: u64) -> bool {
        self.entries <= entries && self.bytes <= bytes
    }
}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { entries, live, bytes, pinned, bounded_from, .. } = self;
        let Self { droppable, droppable_from, last_lost, keys, .. } = self;
        (entries, live, bytes, pinned, bounded_from).hash(state);
        (droppable, droppable_from, last_lost).hash(state);
        keys.is_some().hash(state);
        if let Some(keys) = keys {
            hash_unordered(keys.newest.iter(), state);
        }
    }
}

impl Encoded for Kept {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Self { entries, live, bytes, pinned, bounded_from, .. } = self;
        entries.encode(to);
        (*live, *bytes).encode(to);
        (*pinned, *bounded_from).encode(to);
        let Self { droppable, droppable_from, last_lost, keys, .. } = self;
        (*droppable, *droppable_from).encode(to);
        (*last_lost, keys.is_some()).encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let entries: VecDeque<Entry> = Encoded::decode(from)?;
        let (live, bytes) = Encoded::decode(from)?;
        let (pinned, bounded_from): (Pinned, _) = Encoded::decode(from)?;
        let (droppable, droppable_from) = Encoded::decode(from)?;
        let (last_lost, has_keys) = Encoded::decode(from)?;
        let is_countable = live as usize <= entries.len() && pinned.is_part_of(live, bytes);
        if !is_countable {
            return Err(Malformed);
        }
        let keys = if has_keys { Some(Box::new(Keys::of(&entries, from.seed()))) } else { None };
        Ok(Self {
            entries,
            live,
            bytes,
            pinned,
            bounded_from,
            droppable,
            droppable_from,
            last_lost,
            keys,
        })
    }
}

impl Keys {
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: FixedState::with_seed(seed), newest: HashTable::new() }
    }

    /// Those of the messages of a log.
    fn of(entries: &VecDeque<Entry>, seed: u64) -> Self {
        let mut keys = Self::new(seed);
        for entry in entries {
            if let Some(key) = entry.message().and_then(Message::key) {
                let hash = keys.hasher.hash_one(key);
                keys.newest.insert_unique(hash, (hash, entry.offset), |(hash, _)| *hash);
            }
        }
        keys
    }
}
