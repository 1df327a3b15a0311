//! Rooms: groups across users, joined by explicit calls only.

use core::hash::{Hash, Hasher};

use crate::id::RoomId;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Links, Names, Ring, Table, key, linked};
use crate::stream::StreamKey;

key! {
    /// The key of a room.
    RoomKey
}

#[derive(Clone, Hash)]
pub(crate) struct Room {
    pub(crate) name: RoomId,
    /// Its stream's key. The members are the stream's.
    pub(crate) stream: StreamKey,
    /// Its place among the empty ones.
    links: Links,
}

encoded! { struct Room { name, stream, links } }

linked! {
    /// Rooms without members.
    Empty: RoomKey => Room, links
}

/// All rooms, by slot and by name.
#[derive(Clone)]
pub(crate) struct Rooms {
    records: Table<RoomKey, Room>,
    names: Names<RoomKey>,
    /// Rooms without members, in the order in which they became empty.
    empty: Ring<Empty>,
}

impl Hash for Rooms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { records, names: _, empty } = self;
        (records, empty).hash(state);
    }
}

impl Rooms {
    pub(crate) fn new(seed: u64) -> Self {
        Self { records: Table::new(), names: Names::new(seed), empty: Ring::new() }
    }

    pub(crate) fn encode(&self, to: &mut Encoder<'_>) {
        let Self { records, names: _, empty } = self;
        records.encode(to);
        empty.encode_keys(records, to);
    }

    /// Fills it, when it is new.
    pub(crate) fn decode(&mut self, from: &mut Decoder<'_>) -> Result<(), Malformed> {
        self.records = Encoded::decode(from)?;
        self.records.iter().for_each(|(key, it)| self.names.insert(it.name.as_str(), key));
        self.empty.decode_keys(&mut self.records, from)
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.records.steps() + self.names.steps()
    }

    pub(crate) const fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn get(&self, room: RoomKey) -> &Room {
        &self.records[room]
    }

    pub(crate) fn peek(&self, room: RoomKey) -> Option<&Room> {
        self.records.get(room)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomKey, &Room)> {
        self.records.iter()
    }

    pub(crate) fn find(&self, name: &RoomId) -> Option<RoomKey> {
        self.names.find(name.as_str(), |room| self.records[room].name == *name)
    }

    pub(crate) fn insert(&mut self, name: RoomId, stream: StreamKey) -> RoomKey {
        let room = self.next_key();
        self.names.insert(name.as_str(), room);
        self.records.insert(Room { name, stream, links: Links::OUT })
    }

    /// The key that the next room will have.
    pub(crate) fn next_key(&self) -> RoomKey {
        self.records.vacant_key()
    }

    /// A room's last member has left, or a first one has come.
    pub(crate) fn set_empty(&mut self, room: RoomKey, empty: bool) {
        if empty {
            self.empty.push(&mut self.records, room);
        } else {
            self.empty.remove(&mut self.records, room);
        }
    }

    /// Rooms without members, those first that have been empty longest.
    pub(crate) fn iter_empty(&self) -> impl Iterator<Item = RoomKey> + '_ {
        self.empty.iter(&self.records)
    }

    /// How many of these there are.
    pub(crate) const fn empty(&self) -> usize {
        self.empty.len()
    }

    /// The one that has been empty longest.
    pub(crate) fn empty_longest(&self) -> Option<RoomKey> {
        self.empty.front()
    }

    pub(crate) fn remove(&mut self, room: RoomKey) {
        self.set_empty(room, false);
        let Room { name, .. } = self.records.remove(room);
        self.names.remove(name.as_str(), room);
    }
}
