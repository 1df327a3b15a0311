//! Rooms: groups across users, joined by explicit calls only.

use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use slab::Slab;

use crate::id::RoomId;
use crate::ring::{Linked, Links, Ring};
use crate::table;

#[derive(Clone, Hash)]
pub(crate) struct Room {
    pub(crate) name: RoomId,
    /// Its stream's key. The members are the stream's.
    pub(crate) stream: u32,
    /// Its place among the empty ones.
    links: Links,
}

impl Linked for Room {
    fn links(&self) -> Links {
        self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// All rooms, by slot and by name.
#[derive(Clone)]
pub(crate) struct Rooms {
    records: Slab<Room>,
    /// Name to slot. Clients may choose room names, hence a hash that is seeded.
    names: HashTable<u32>,
    hasher: FixedState,
    /// Rooms without members, in the order in which they became empty.
    empty: Ring,
}

impl Hash for Rooms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { records, names, hasher: _, empty } = self;
        table::hash_slab(records, state);
        table::hash_table(names, state);
        empty.hash(state);
    }
}

impl Rooms {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            records: Slab::new(),
            names: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            empty: Ring::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn get(&self, room: u32) -> &Room {
        &self.records[room as usize]
    }

    pub(crate) fn peek(&self, room: u32) -> Option<&Room> {
        self.records.get(room as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Room)> {
        self.records.iter().map(|(slot, room)| (slot as u32, room))
    }

    pub(crate) fn find(&self, name: &RoomId) -> Option<u32> {
        let hash = self.hasher.hash_one(name.as_str());
        self.names.find(hash, |slot| self.records[*slot as usize].name == *name).copied()
    }

    pub(crate) fn insert(&mut self, name: RoomId, stream: u32) -> u32 {
        let hash = self.hasher.hash_one(name.as_str());
        let slot = self.records.insert(Room { name, stream, links: Links::OUT }) as u32;
        let (records, hasher) = (&self.records, &self.hasher);
        self.names.insert_unique(hash, slot, |slot| {
            hasher.hash_one(records[*slot as usize].name.as_str())
        });
        slot
    }

    /// The slot that the next room will have.
    pub(crate) fn next_slot(&self) -> u32 {
        self.records.vacant_key() as u32
    }

    /// A room's last member has left, or a first one has come.
    pub(crate) fn set_empty(&mut self, room: u32, empty: bool) {
        if empty == self.records[room as usize].links.is_in() {
            return;
        }
        if empty {
            self.empty.push(&mut self.records, room);
        } else {
            self.empty.remove(&mut self.records, room);
        }
    }

    /// Rooms without members, those first that have been empty longest.
    pub(crate) fn iter_empty(&self) -> impl Iterator<Item = u32> + '_ {
        self.empty.iter(&self.records)
    }

    /// How many of these there are.
    pub(crate) const fn empty(&self) -> usize {
        self.empty.len()
    }

    /// The one that has been empty longest.
    pub(crate) fn empty_longest(&self) -> Option<u32> {
        self.empty.front()
    }

    pub(crate) fn remove(&mut self, room: u32) {
        self.set_empty(room, false);
        let hash = self.hasher.hash_one(self.records[room as usize].name.as_str());
        if let Ok(entry) = self.names.find_entry(hash, |slot| *slot == room) {
            entry.remove();
        }
        table::remove(&mut self.records, room);
    }
}
