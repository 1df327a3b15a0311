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

use crate::time::{Deadline, Timestamp};

use super::{MAX_SLOTS, Packed};

/// Ends a list.
const NIL: u32 = u32::MAX;
const SLOTS: usize = 64;
const BITS: u32 = 6;
/// The digits of a key, and those of a time: 64^8 ms is 8,900 years.
const KEY_LEVELS: usize = 6;
const LEVELS: usize = KEY_LEVELS + 8;
const KEY_BITS: u32 = KEY_LEVELS as u32 * BITS;
const UNSCHEDULED: u16 = u16::MAX;
/// How many keys share an allocation, and how many tables there may be.
const CHUNK: usize = 64;
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
    /// Milliseconds since the caller's epoch, of which 48 bits suffice.
    at: [u16; 3],
    /// The slot that holds it, `level * 64 + slot`, or [`UNSCHEDULED`].
    slot: u16,
}

const VACANT: Node = Node { prev: NIL, next: NIL, at: [0; 3], slot: UNSCHEDULED };
const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    const fn at(&self) -> u64 {
        let [low, middle, high] = self.at;
        low as u64 | (middle as u64) << 16 | (high as u64) << 32
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
struct Nodes([Vec<Option<Box<Chunk>>>; TABLES]);

impl Nodes {
    const fn place(key: u32) -> (usize, usize, usize) {
        let slot = key as usize % MAX_SLOTS;
        (key as usize / MAX_SLOTS, slot / CHUNK, slot % CHUNK)
    }

    fn get(&self, key: u32) -> Option<&Node> {
        let (table, chunk, place) = Self::place(key);
        Some(&self.0[table].get(chunk)?.as_ref()?.nodes[place])
    }

    fn get_mut(&mut self, key: u32) -> Option<&mut Node> {
        let (table, chunk, place) = Self::place(key);
        Some(&mut self.0[table].get_mut(chunk)?.as_mut()?.nodes[place])
    }

    /// The chunk of a key, which is made if there is none, and the place of its node.
    fn chunk_mut(&mut self, key: u32) -> (&mut Chunk, usize) {
        let (table, chunk, place) = Self::place(key);
        let chunks = &mut self.0[table];
        if chunk >= chunks.len() {
            chunks.resize_with(chunk + 1, || None);
        }
        let made = || Box::new(Chunk { nodes: [VACANT; CHUNK], scheduled: 0 });
        (chunks[chunk].get_or_insert_with(made), place)
    }

    /// A key has no entry any more: its chunk goes with the last one.
    fn release(&mut self, key: u32) {
        let (table, chunk, _) = Self::place(key);
        let chunks = &mut self.0[table];
        let Some(of_key) = &mut chunks[chunk] else { return };
        of_key.scheduled -= 1;
        if of_key.scheduled > 0 {
            return;
        }
        chunks[chunk] = None;
        while chunks.last().is_some_and(Option::is_none) {
            chunks.pop();
        }
        if chunks.len() * 4 < chunks.capacity() {
            chunks.shrink_to(chunks.len() * 2);
        }
    }

    /// All that are scheduled, in the order of their keys.
    fn iter(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.0.iter().enumerate().flat_map(|(table, chunks)| {
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
            nodes: Nodes([const { Vec::new() }; TABLES]),
            keys: PhantomData,
        }
    }

    /// When the key's entry is due; `None` if it has none.
    fn at(&self, key: K) -> Option<Deadline> {
        let node = self.nodes.get(key.pack())?;
        (node.slot != UNSCHEDULED).then(|| Deadline::from_millis(node.at()))
    }

    /// Whether the key is popped at `at` or before, or `at` never comes.
    pub(crate) fn covers(&self, key: K, at: Deadline) -> bool {
        at.instant().is_none() || self.at(key).is_some_and(|scheduled| scheduled <= at)
    }

    /// Makes sure that the key is popped at `at` or before. A deadline that never comes is not
    /// scheduled: there is nothing to wake up for, not even early.
    pub(crate) fn no_later_than(&mut self, key: K, at: Deadline) {
        if self.covers(key, at) {
            return;
        }
        let (key, at) = (key.pack(), at.as_millis());
        debug_assert!(key < NIL - 1, "a key that says that there is none");
        let (chunk, place) = self.nodes.chunk_mut(key);
        if chunk.nodes[place].slot == UNSCHEDULED {
            chunk.scheduled += 1;
        } else {
            self.unlink(key);
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

    /// A lower bound of the first deadline; `None` if there is none. It is exact if the first entry is
    /// alone in its slot. If not, each [`pop`](Self::pop) at the bound brings it nearer.
    pub(crate) fn first(&self) -> Option<Deadline> {
        let slot = self.first_slot()?;
        let key = self.heads[slot];
        let first = match self.is_first(slot, key) {
            true => self.position(key, self.nodes.get(key)?.at()),
            false => self.start(slot),
        };
        Some(Deadline::from_millis(millis(first)))
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
            budget.step();
            self.now = start;
            self.opened = (slot / SLOTS) as u8;
            self.unlink(key);
            self.link(key, at);
        }
        None
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
        let digit = digit(position, level);
        let slot = level * SLOTS + digit;
        let next = core::mem::replace(&mut self.heads[slot], key);
        let at = [at as u16, (at >> 16) as u16, (at >> 32) as u16];
        if let Some(node) = self.nodes.get_mut(key) {
            *node = Node { prev: NIL, next, at, slot: slot as u16 };
        }
        if let Some(next) = self.nodes.get_mut(next) {
            next.prev = key;
        }
        self.occupied[level] |= 1 << digit;
        self.levels |= 1 << level;
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
            let (level, digit) = (slot as usize / SLOTS, slot as usize % SLOTS);
            self.occupied[level] &= !(1 << digit);
            if self.occupied[level] == 0 {
                self.levels &= !(1 << level);
            }
        }
    }
}

/// What the entries of so many keys of one table hold on the heap at most.
pub(crate) const fn bytes(keys: u64) -> u64 {
    let chunks = keys.div_ceil(CHUNK as u64);
    chunks.saturating_mul(size_of::<Chunk>() as u64).saturating_add(4 * 8 * (chunks + 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use core::hash::BuildHasher;
    use foldhash::quality::FixedState;

    /// Keys of two tables: the lower bit says which.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    struct TestKey(u32);

    impl Packed for TestKey {
        fn pack(self) -> u32 {
            (self.0 & 1) << 30 | self.0 >> 1
        }

        fn unpack(bits: u32) -> Self {
            Self((bits & ((1 << 30) - 1)) << 1 | bits >> 30)
        }
    }

    type Wheel = Timers<TestKey>;

    fn schedule(timers: &mut Wheel, key: u32, at: u64) {
        timers.no_later_than(TestKey(key), Deadline::from_millis(at));
    }

    /// Everything that is due, and for when.
    fn pop_all(timers: &mut Wheel, now: u64) -> Vec<(u64, u32)> {
        let mut popped = vec![];
        let mut budget = Budget::of_deadlines(u32::MAX);
        while let Some((key, at)) = timers.pop(Timestamp::from_millis(now), &mut budget) {
            popped.push((at.as_millis(), key.0));
        }
        popped
    }

    fn hash(timers: &Wheel) -> u64 {
        FixedState::default().hash_one(timers)
    }

    #[test]
    fn deadlines_come_in_the_order_of_time_and_then_of_keys() {
        let mut timers = Wheel::new();
        // Even keys are of the first table, and odd ones of the second.
        let entries =
            [(9, 7), (4, 5_000), (1, 5_000), (2, 5_000), (200, 5_000), (3, 4_999), (5, 0)];
        for (key, at) in entries {
            schedule(&mut timers, key, at);
        }
        let due = [(0, 5), (7, 9), (4_999, 3), (5_000, 2), (5_000, 4), (5_000, 200), (5_000, 1)];
        assert_eq!(pop_all(&mut timers, 9_000), due);
        assert_eq!(timers.first(), None);
    }

    #[test]
    fn what_comes_too_late_for_its_millisecond_is_due_with_the_next() {
        let mut timers = Wheel::new();
        assert_eq!(pop_all(&mut timers, 100), []);
        for (key, at) in [(6, 100), (2, 50), (4, 99), (8, 101)] {
            schedule(&mut timers, key, at);
        }
        assert_eq!(timers.first(), Some(Deadline::from_millis(100)));
        assert_eq!(pop_all(&mut timers, 101), [(100, 2), (100, 4), (100, 6), (101, 8)]);
    }

    #[test]
    fn what_is_scheduled_while_its_millisecond_acts_keeps_the_order() {
        let mut timers = Wheel::new();
        for key in [2, 6, 10] {
            schedule(&mut timers, key, 40);
        }
        let (now, mut budget) = (Timestamp::from_millis(50), Budget::of_deadlines(99));
        let mut popped = vec![];
        while let Some((key, at)) = timers.pop(now, &mut budget) {
            popped.push((at.as_millis(), key.0));
            if key.0 == 6 && at.as_millis() == 40 {
                // Before it, behind it, and a key's own next deadline within the same millisecond.
                schedule(&mut timers, 4, 40);
                schedule(&mut timers, 8, 40);
                schedule(&mut timers, 6, 41);
            }
        }
        assert_eq!(popped, [(40, 2), (40, 6), (40, 4), (40, 8), (40, 10), (41, 6)]);
    }

    #[test]
    fn agrees_with_a_sorted_map_over_random_histories() {
        let mut random = 1_u64;
        let mut next = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut timers = Wheel::new();
        let mut model: BTreeMap<TestKey, u64> = BTreeMap::new();
        let order = |key: TestKey, at: u64| (at, key.pack());
        // The last tick, and the position of what was popped last in one whose budget was used up.
        let (mut now, mut passed) = (0, (0, 0));
        for _ in 0..200_000 {
            let key = TestKey(next(300) as u32 * (1 + next(2) as u32 * 1_000));
            match next(5) {
                0 => {
                    now += (1 << next(24)) - 1;
                    let mut budget = Budget::of_deadlines(1 << next(9));
                    let stamp = Timestamp::from_millis(now);
                    while let Some((key, at)) = timers.pop(stamp, &mut budget) {
                        // What came too late is next. If there is no such thing, the first is.
                        let all = || model.iter().map(|(key, at)| order(*key, (*at).max(passed.0)));
                        let own = order(key, model[&key].max(passed.0));
                        let first = all().min().unwrap();
                        assert!(
                            own == first || own <= passed && first < passed,
                            "{own:?}, {first:?}"
                        );
                        passed = passed.max(own);
                        assert_eq!(at.as_millis(), passed.0);
                        model.remove(&key);
                        if next(4) == 0 {
                            let at = now + next(3);
                            schedule(&mut timers, key.0, at);
                            model.insert(key, at);
                        }
                    }
                    if budget.0 > 0 {
                        let due = model.values().filter(|at| **at <= now);
                        assert_eq!(due.count(), 0);
                        passed = (now, 0);
                    } else {
                        // On its way to the first it may have passed more, and no entry.
                        let stands_at = (millis(timers.now), timers.now as u32);
                        let mut all = model.iter().map(|(key, at)| order(*key, *at));
                        assert!(stands_at == passed || all.all(|entry| entry >= stands_at));
                        passed = stands_at;
                    }
                }
                1 => {
                    timers.cancel(key);
                    model.remove(&key);
                }
                _ => {
                    let at = (now + (1 << next(30))).saturating_sub(next(4_000));
                    schedule(&mut timers, key.0, at);
                    let scheduled = model.entry(key).or_insert(at);
                    *scheduled = at.min(*scheduled);
                }
            }
            let first = model.values().min().copied();
            match (timers.first().map(Deadline::as_millis), first) {
                (None, None) => {}
                (Some(bound), Some(first)) => {
                    assert!(bound <= first.max(now), "late: {bound} > {first}");
                }
                (bound, first) => panic!("{bound:?} but {first:?}"),
            }
        }
        model.keys().for_each(|key| timers.cancel(*key));
        assert!(timers.nodes.0.iter().all(|chunks| chunks.is_empty() && chunks.capacity() == 0));
    }

    #[test]
    fn the_bound_reaches_the_deadline_in_few_steps() {
        let mut timers = Wheel::new();
        for key in [0, 2, 64, 8_000, 1] {
            schedule(&mut timers, key, 25_000);
        }
        let mut steps = 0;
        loop {
            let mut budget = Budget::of_deadlines(1);
            let first = timers.first().unwrap().instant().unwrap();
            let popped = timers.pop(first, &mut budget);
            steps += 1;
            if popped.is_some() {
                break;
            }
        }
        assert!(steps <= LEVELS, "{steps}");
        assert_eq!(timers.first(), Some(Deadline::from_millis(25_000)));
    }

    #[test]
    fn one_that_is_alone_is_known_exactly() {
        let mut timers = Wheel::new();
        schedule(&mut timers, 6, 123_456_789);
        assert_eq!(timers.first(), Some(Deadline::from_millis(123_456_789)));
    }

    #[test]
    fn a_herd_is_taken_in_portions() {
        let mut timers = Wheel::new();
        for key in 0..1_000 {
            schedule(&mut timers, key, 5_000);
        }
        let (mut taken, mut ticks) = (0, 0);
        while timers.first().is_some() {
            let mut budget = Budget::of_deadlines(10);
            let before = taken;
            while timers.pop(Timestamp::from_secs(5), &mut budget).is_some() {
                taken += 1;
            }
            assert!(taken - before <= 10);
            ticks += 1;
        }
        assert_eq!(taken, 1_000);
        // Each entry moves a few times before it is its turn.
        assert!(ticks <= 200, "{ticks}");
    }

    #[test]
    fn the_hash_is_that_of_what_is_scheduled_and_not_of_how_it_came_to_be() {
        let (mut one, mut other) = (Wheel::new(), Wheel::new());
        assert_eq!(pop_all(&mut other, 1_000), []);
        assert_ne!(hash(&one), hash(&other), "what comes too late is due at another time");
        for key in [3, 900, 8] {
            schedule(&mut one, key, 1_000_000);
        }
        assert_eq!(pop_all(&mut one, 1_000), []);
        for key in [8, 3, 5, 900] {
            schedule(&mut other, key, 1_000_001);
            schedule(&mut other, key, 1_000_000);
        }
        assert_ne!(hash(&one), hash(&other));
        other.cancel(TestKey(5));
        assert_eq!(hash(&one), hash(&other));
    }

    #[test]
    fn nodes_take_memory_only_while_a_neighbour_is_scheduled() {
        let chunks = |timers: &Wheel| timers.nodes.0.iter().flatten().flatten().count();
        let mut timers = Wheel::new();
        for key in (0..20_000).step_by(2) {
            schedule(&mut timers, key, 5);
        }
        assert_eq!(chunks(&timers), 10_000_usize.div_ceil(CHUNK));
        for key in (0..20_000).step_by(2).filter(|key| *key != 7_000) {
            timers.cancel(TestKey(key));
        }
        assert_eq!(chunks(&timers), 1);
        timers.cancel(TestKey(7_000));
        assert_eq!(timers.nodes.0[0].capacity(), 0);
    }
}
