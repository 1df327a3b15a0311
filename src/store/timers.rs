//! What is due first: a hierarchical timing wheel for the keys of up to four tables.
//!
//! Deadlines act in the order of time, in whole milliseconds, and within a millisecond in the order of
//! the keys when they are packed: table by table, and slot by slot. So who is next follows from the
//! deadlines and the keys alone, whenever and in whatever order they were scheduled.
//!
//! ```text
//!   position   time in ms, 48 bits: 8 digits │ packed key, 36 bits: 6 digits     a digit: 6 bits
//!   level      13     …      7         6     │  5     …      1        0          64 slots a level
//! ```
//!
//! The wheel stands at a position. An entry lies in the level of the highest digit in which its own
//! position differs from that one, in the slot of that digit (Varghese and Lauck, "Hashed and
//! hierarchical timing wheels", 1987, scheme 7, over a position instead of a time). So the lowest level
//! that has entries has the first ones, in its first slot. One entry that is alone there is the first.
//! If there are several, the wheel moves to the slot's beginning, and they move down one by one: from
//! there they differ in lower digits. Each entry moves once a level at most.
//!
//! Each key has at most one entry, so memory is bounded by the tables. An entry is a lower bound: the
//! caller computes the true deadline when it is due, and schedules it again if that is later. So
//! activity costs no more than the store of a stamp.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use crate::time::{Deadline, PackedDeadline, Timestamp};

use super::{MAX_SLOTS, Packed, Steps, shrunk};

/// Ends a list.
const NIL: u32 = u32::MAX;
const SLOTS: usize = 64;
const BITS: u32 = 6;
/// The digits of a key, and those of a time: 64^8 ms is 8,900 years.
const KEY_LEVELS: usize = 6;
const LEVELS: usize = KEY_LEVELS + 8;
const KEY_BITS: u32 = KEY_LEVELS as u32 * BITS;
const UNSCHEDULED: u16 = u16::MAX;
/// How many keys share an allocation: few, for in a small registry most have no neighbours. Each pays
/// less than two bytes for it.
const CHUNK: usize = 16;
/// How many tables there may be.
const TABLES: usize = 4;

/// What a wheel may do before it is asked again: deadlines, and steps on the way to them. A deadline
/// pays for as many steps as one entry takes at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(u64);

impl Budget {
    const DEADLINE: u64 = LEVELS as u64;

    pub(crate) const fn of_deadlines(count: u32) -> Self {
        Self(count as u64 * Self::DEADLINE)
    }

    /// Takes one deadline, as long as anything is left; whether there was.
    pub(crate) const fn take(&mut self) -> bool {
        let was_left = self.0 > 0;
        self.0 = self.0.saturating_sub(Self::DEADLINE);
        was_left
    }

    /// What a deadline has done, each as dear as a deadline.
    pub(crate) const fn charge(&mut self, count: u64) {
        self.0 = self.0.saturating_sub(count.saturating_mul(Self::DEADLINE));
    }

    const fn step(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

/// Where an entry lies in the order of all: its millisecond, then its key.
type Position = u128;

fn position(millis: u64, key: u32) -> Position {
    Position::from(millis) << KEY_BITS | Position::from(key)
}

const fn millis(position: Position) -> u64 {
    (position >> KEY_BITS) as u64
}

const fn digit(position: Position, level: usize) -> usize {
    (position >> (level as u32 * BITS)) as usize % SLOTS
}

#[derive(Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    at: PackedDeadline,
    /// The slot that holds it, `level * 64 + slot`, or [`UNSCHEDULED`].
    slot: u16,
}

const VACANT: Node = Node { prev: NIL, next: NIL, at: PackedDeadline::NONE, slot: UNSCHEDULED };
const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    const fn at(&self) -> u64 {
        self.at.get().as_millis()
    }
}

/// Nodes of neighbouring keys: there is none while none of them is scheduled.
#[derive(Clone)]
struct Chunk {
    nodes: [Node; CHUNK],
    scheduled: u8,
}

/// The nodes of all keys, by table.
#[derive(Clone)]
struct Nodes {
    tables: [Vec<Option<Box<Chunk>>>; TABLES],
    /// A node that is given out is a step.
    steps: Steps,
}

impl Nodes {
    const fn place(key: u32) -> (usize, usize, usize) {
        let slot = key as usize % MAX_SLOTS;
        (key as usize / MAX_SLOTS, slot / CHUNK, slot % CHUNK)
    }

    fn get(&self, key: u32) -> Option<&Node> {
        self.steps.take();
        let (table, chunk, place) = Self::place(key);
        Some(&self.tables[table].get(chunk)?.as_ref()?.nodes[place])
    }

    fn get_mut(&mut self, key: u32) -> Option<&mut Node> {
        self.steps.take();
        let (table, chunk, place) = Self::place(key);
        Some(&mut self.tables[table].get_mut(chunk)?.as_mut()?.nodes[place])
    }

    /// The chunk of a key, which is made if there is none, and the place of its node.
    fn chunk_mut(&mut self, key: u32) -> (&mut Chunk, usize) {
        let (table, chunk, place) = Self::place(key);
        let chunks = &mut self.tables[table];
        if chunk >= chunks.len() {
            chunks.resize_with(chunk + 1, || None);
        }
        let made = || Box::new(Chunk { nodes: [VACANT; CHUNK], scheduled: 0 });
        (chunks[chunk].get_or_insert_with(made), place)
    }

    /// A key has no entry any more: its chunk goes with the last one.
    fn release(&mut self, key: u32) {
        let (table, chunk, _) = Self::place(key);
        let chunks = &mut self.tables[table];
        let Some(of_key) = &mut chunks[chunk] else { return };
        of_key.scheduled -= 1;
        if of_key.scheduled > 0 {
            return;
        }
        chunks[chunk] = None;
        while chunks.last().is_some_and(Option::is_none) {
            chunks.pop();
        }
        if let Some(places) = shrunk(chunks.len(), chunks.capacity(), 0) {
            chunks.shrink_to(places);
        }
    }

    /// All that are scheduled, in the order of their keys.
    fn iter(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.tables.iter().enumerate().flat_map(|(table, chunks)| {
            let chunks = chunks.iter().enumerate();
            chunks.filter_map(|(number, chunk)| Some((number, chunk.as_ref()?))).flat_map(
                move |(number, chunk)| {
                    let first = (table * MAX_SLOTS + number * CHUNK) as u32;
                    let nodes = chunk.nodes.iter().enumerate();
                    let scheduled = nodes.filter(|(_, node)| node.slot != UNSCHEDULED);
                    scheduled.map(move |(place, node)| (first + place as u32, node))
                },
            )
        })
    }
}

/// The deadlines of keys. See the [module's docs](self).
#[derive(Clone)]
pub(crate) struct Timers<K> {
    /// Where the wheel stands: no entry is before it. The key is zero, but within a millisecond whose
    /// deadlines act.
    now: Position,
    /// The level of the slot that was opened last. Of the slots of higher levels the wheel stands in
    /// none but that one: while it has entries they move down, and are the first.
    opened: u8,
    /// Which levels hold entries, one bit each, and which slots of each.
    levels: u16,
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * SLOTS],
    nodes: Nodes,
    keys: PhantomData<K>,
}

/// Where the wheel stands, and what is scheduled: where that lies follows from it.
impl<K> Hash for Timers<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { now, opened, levels: _, occupied, heads, nodes, keys: _ } = self;
        let moves_down = occupied[*opened as usize] >> digit(*now, *opened as usize) & 1 == 1;
        (now, if moves_down { *opened } else { 0 }).hash(state);
        nodes.iter().for_each(|(key, node)| (key, node.at).hash(state));
        // Only entries that come too late for their position share a slot of the lowest level.
        let mut key = heads[digit(*now, 0)];
        while let Some(node) = nodes.get(key) {
            key.hash(state);
            key = node.next;
        }
    }
}

impl<K: Packed> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self {
            now: 0,
            opened: 0,
            levels: 0,
            occupied: [0; LEVELS],
            heads: [NIL; LEVELS * SLOTS],
            nodes: Nodes { tables: [const { Vec::new() }; TABLES], steps: Steps::new() },
            keys: PhantomData,
        }
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.nodes.steps.taken()
    }

    /// When the key's entry is due; `None` if it has none.
    pub(crate) fn at(&self, key: K) -> Option<Deadline> {
        let node = self.nodes.get(key.pack())?;
        (node.slot != UNSCHEDULED).then(|| node.at.get())
    }

    /// Whether the key is popped at `at` or before, or `at` never comes.
    pub(crate) fn covers(&self, key: K, at: Deadline) -> bool {
        at.instant().is_none() || self.at(key).is_some_and(|scheduled| scheduled <= at)
    }

    /// Makes sure that the key is popped at `at` or before. A deadline that never comes is not
    /// scheduled: there is nothing to wake up for, not even early.
    pub(crate) fn no_later_than(&mut self, key: K, at: Deadline) {
        if at.instant().is_none() {
            return;
        }
        let (key, at) = (key.pack(), at.as_millis());
        debug_assert!(key < NIL - 1, "a key that says that there is none");
        let (chunk, place) = self.nodes.chunk_mut(key);
        let node = &chunk.nodes[place];
        if node.slot == UNSCHEDULED {
            chunk.scheduled += 1;
        } else if node.at() > at {
            self.unlink(key);
        } else {
            return;
        }
        self.link(key, at);
    }

    pub(crate) fn cancel(&mut self, key: K) {
        let key = key.pack();
        if self.nodes.get(key).is_some_and(|node| node.slot != UNSCHEDULED) {
            self.unlink(key);
            self.nodes.release(key);
        }
    }

    /// A lower bound of the first deadline, where its slot begins; `None` if there is none. Each
    /// [`pop`](Self::pop) at the bound brings it nearer, until it is exact.
    pub(crate) fn first(&self) -> Option<Deadline> {
        let slot = self.first_slot()?;
        Some(Deadline::from_millis(millis(self.start(slot))))
    }

    /// Takes the first key that is due, and the millisecond for which it is its turn. The caller acts
    /// if the true deadline is not later than that, and else schedules it again: then deadlines act in
    /// their order, however late the wheel is turned. `None`: nothing is due, or the budget is used up.
    ///
    /// What is scheduled meanwhile for a position that the wheel has passed is the next.
    pub(crate) fn pop(&mut self, now: Timestamp, budget: &mut Budget) -> Option<(K, Deadline)> {
        let end = now.as_millis();
        while budget.0 > 0 {
            let Some(slot) = self.first_slot() else {
                self.rest(end);
                return None;
            };
            let start = self.start(slot);
            if millis(start) > end {
                self.rest(end);
                return None;
            }
            let key = self.heads[slot];
            let at = self.nodes.get(key)?.at();
            if at <= end && self.is_first(slot, key) {
                self.now = self.position(key, at);
                self.unlink(key);
                self.nodes.release(key);
                budget.take();
                return Some((K::unpack(key), Deadline::from_millis(millis(self.now))));
            }
            self.now = start;
            self.open(slot, budget);
        }
        None
    }

    /// Moves the entries of a slot in which the wheel stands down, as many as the budget allows: from there
    /// each differs in a lower digit, and so none comes back.
    fn open(&mut self, slot: usize, budget: &mut Budget) {
        self.opened = (slot / SLOTS) as u8;
        let mut key = self.heads[slot];
        while let Some(node) = self.nodes.get_mut(key) {
            if budget.0 == 0 {
                node.prev = NIL;
                break;
            }
            budget.step();
            let (at, next) = (node.at(), node.next);
            self.link(key, at);
            key = next;
        }
        self.heads[slot] = key;
        if key == NIL {
            self.vacate(slot);
        }
    }

    /// A slot has no entry any more.
    const fn vacate(&mut self, slot: usize) {
        let (level, digit) = (slot / SLOTS, slot % SLOTS);
        self.occupied[level] &= !(1 << digit);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// The millisecond in which the wheel stands: what comes too late is due in it.
    pub(crate) const fn stands_at(&self) -> Deadline {
        Deadline::from_millis(millis(self.now))
    }

    /// Nothing is due up to this millisecond: the wheel stands at its beginning, so that what is
    /// scheduled for it has its place in the order of keys.
    fn rest(&mut self, end: u64) {
        let end = end.max(millis(self.now));
        self.now = position(end, 0);
    }

    /// The slot of the first entry.
    fn first_slot(&self) -> Option<usize> {
        let opened = self.opened as usize;
        let stands_at = digit(self.now, opened);
        if self.occupied[opened] >> stands_at & 1 == 1 {
            return Some(opened * SLOTS + stands_at);
        }
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }

    /// Whether the head of the first slot is the first entry. On the lowest level all entries of a slot
    /// have one position. On others it is so if it is alone, and was so when the slot was not open yet.
    fn is_first(&self, slot: usize, key: u32) -> bool {
        let (level, digit_of_slot) = (slot / SLOTS, slot % SLOTS);
        let is_alone = || self.nodes.get(key).is_some_and(|node| node.next == NIL);
        level == 0 || (digit(self.now, level) != digit_of_slot && is_alone())
    }

    /// The first position of a slot, or where the wheel stands, if that is in it.
    fn start(&self, slot: usize) -> Position {
        let shift = (slot / SLOTS) as u32 * BITS;
        let above = self.now >> (shift + BITS);
        let start = (above << BITS | (slot % SLOTS) as Position) << shift;
        start.max(self.now)
    }

    /// The position of an entry. One that comes too late is due in the millisecond in which the wheel
    /// stands, or next, if the wheel has passed its key.
    fn position(&self, key: u32, at: u64) -> Position {
        position(at.max(millis(self.now)), key).max(self.now)
    }

    /// Puts an entry where it belongs from where the wheel stands.
    fn link(&mut self, key: u32, at: u64) {
        let position = self.position(key, at);
        let differing = (position ^ self.now) | (SLOTS as Position - 1);
        let level = ((Position::BITS - 1 - differing.leading_zeros()) / BITS) as usize;
        debug_assert!(level < LEVELS, "a deadline beyond every timestamp");
        self.enter(level * SLOTS + digit(position, level), key, at);
    }

    /// Puts an entry at the front of a slot.
    fn enter(&mut self, slot: usize, key: u32, at: u64) {
        let next = core::mem::replace(&mut self.heads[slot], key);
        let at = PackedDeadline::new(Deadline::from_millis(at));
        if let Some(node) = self.nodes.get_mut(key) {
            *node = Node { prev: NIL, next, at, slot: slot as u16 };
        }
        if let Some(next) = self.nodes.get_mut(next) {
            next.prev = key;
        }
        self.occupied[slot / SLOTS] |= 1 << (slot % SLOTS);
        self.levels |= 1 << (slot / SLOTS);
    }

    /// Takes an entry out of its list. It has one until it is [released](Nodes::release).
    fn unlink(&mut self, key: u32) {
        let Some(node) = self.nodes.get_mut(key) else { return };
        let Node { prev, next, slot, .. } = core::mem::replace(node, VACANT);
        debug_assert!(slot != UNSCHEDULED, "{key} is not scheduled");
        if let Some(next) = self.nodes.get_mut(next) {
            next.prev = prev;
        }
        match self.nodes.get_mut(prev) {
            Some(prev) => prev.next = next,
            None => self.heads[slot as usize] = next,
        }
        if prev == NIL && next == NIL {
            self.vacate(slot as usize);
        }
    }
}

/// What the entries of so many keys of one table hold on the heap at most.
pub(crate) const fn bytes(keys: u64) -> u64 {
    let chunks = keys.div_ceil(CHUNK as u64);
    chunks.saturating_mul(size_of::<Chunk>() as u64).saturating_add(4 * 8 * (chunks + 4))
}

mod encoded;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;
