//! Whose deadline is first: a hierarchical timing wheel over the keys of one slab.
//!
//! Each key has at most one entry, so memory is bounded by the slab. An entry is a lower bound:
//! whoever pops it computes the true deadline and schedules again if that is later, so that
//! activity costs no more than the store of a stamp. Levels of 64 slots are 1 ms, 64 ms, 4 s … wide
//! (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 7).

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::time::{Deadline, Timestamp};

const NIL: u32 = u32::MAX;
const SLOTS: usize = 64;
const BITS: u32 = 6;
/// 64^8 ms is 8,900 years: every [`Timestamp`](crate::Timestamp) and every deadline fits.
const LEVELS: usize = 8;
const UNSCHEDULED: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    /// The slot that holds it, `level * 64 + slot`, or [`UNSCHEDULED`].
    slot: u16,
    /// Milliseconds since the caller's epoch.
    at: u64,
}

const VACANT: Node = Node { prev: NIL, next: NIL, slot: UNSCHEDULED, at: 0 };

#[derive(Clone)]
pub(crate) struct Timers {
    /// Every slot that begins before this millisecond is empty.
    now: u64,
    /// Which slots of a level hold entries, one bit each.
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * SLOTS],
    nodes: Vec<Node>,
}

/// In the order in which entries are popped. Nodes without an entry leave no trace.
impl Hash for Timers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { now, occupied, heads, nodes } = self;
        (now, occupied).hash(state);
        for (level, mut slots) in occupied.iter().copied().enumerate() {
            while slots != 0 {
                let mut key = heads[level * SLOTS + slots.trailing_zeros() as usize];
                slots &= slots - 1;
                while let Some(node) = nodes.get(key as usize) {
                    (node.slot, key, node.at).hash(state);
                    key = node.next;
                }
            }
        }
    }
}

/// What the timers of so many keys may hold on the heap.
pub(crate) const fn bytes(keys: u64) -> u64 {
    (keys + 4).saturating_mul(2 * size_of::<Node>() as u64)
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { now: 0, occupied: [0; LEVELS], heads: [NIL; LEVELS * SLOTS], nodes: Vec::new() }
    }

    /// When the key's entry is due; `None` if it has none.
    fn at(&self, key: u32) -> Option<Deadline> {
        let node = self.nodes.get(key as usize)?;
        (node.slot != UNSCHEDULED).then_some(Deadline::from_millis(node.at))
    }

    /// Whether the key is popped at `at` or before, or `at` never comes.
    pub(crate) fn covers(&self, key: u32, at: Deadline) -> bool {
        at.instant().is_none() || self.at(key).is_some_and(|scheduled| scheduled <= at)
    }

    /// Makes sure that the key is popped at `at` or before. A deadline that never comes is not
    /// scheduled: nobody would have to wake up for it, not even early.
    pub(crate) fn no_later_than(&mut self, key: u32, at: Deadline) {
        if !self.covers(key, at) {
            self.cancel(key);
            self.insert(key, at.as_millis());
        }
    }

    pub(crate) fn cancel(&mut self, key: u32) {
        let Some(node) = self.nodes.get_mut(key as usize) else { return };
        if node.slot == UNSCHEDULED {
            return;
        }
        let Node { prev, next, slot, .. } = core::mem::replace(node, VACANT);
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NIL {
            self.nodes[prev as usize].next = next;
        } else {
            self.heads[slot as usize] = next;
            if next == NIL {
                self.occupied[slot as usize / SLOTS] &= !(1 << (slot as usize % SLOTS));
            }
        }
    }

    /// A lower bound of the first deadline; `None` if there is none. Each `pop` at the bound brings
    /// it closer, and after at most [`LEVELS`] of them it is exact.
    pub(crate) fn first(&self) -> Option<Deadline> {
        self.first_slot().map(|(_, start)| Deadline::from_millis(start))
    }

    /// Takes a key whose entry is due. One unit of `budget` is used for each entry that is looked
    /// at; `None` when it is used up or nothing is due.
    pub(crate) fn pop(&mut self, now: Timestamp, budget: &mut u32) -> Option<u32> {
        let now = now.as_millis();
        while *budget > 0 {
            let Some((slot, start)) = self.first_slot() else { break };
            if start > now {
                self.now = self.now.max(now);
                break;
            }
            *budget -= 1;
            self.now = self.now.max(start);
            let key = self.heads[slot];
            let at = self.nodes[key as usize].at;
            self.cancel(key);
            if at <= self.now {
                return Some(key);
            }
            self.insert(key, at);
        }
        None
    }

    /// The occupied slot that begins first. At a tie the highest level goes first: its entries
    /// belong further down.
    fn first_slot(&self) -> Option<(usize, u64)> {
        let mut first: Option<(usize, u64)> = None;
        for level in 0..LEVELS {
            let shift = level as u32 * BITS;
            let current = (self.now >> shift) as usize % SLOTS;
            // Slots before the current one are empty: nothing is ever put behind `now`, and
            // nothing further ahead than one revolution.
            let ahead = self.occupied[level] >> current;
            if ahead == 0 {
                continue;
            }
            let distance = u64::from(ahead.trailing_zeros());
            let start = (((self.now >> shift) + distance) << shift).max(self.now);
            if first.is_none_or(|(_, best)| start <= best) {
                first = Some((level * SLOTS + current + distance as usize, start));
            }
        }
        first
    }

    fn insert(&mut self, key: u32, at: u64) {
        let index = key as usize;
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, VACANT);
        }
        // What is overdue goes where the wheel stands.
        let place_at = at.max(self.now);
        // The highest digit in which it differs from `now` names the level.
        let differing = (place_at ^ self.now) | (SLOTS as u64 - 1);
        let level = ((63 - differing.leading_zeros()) / BITS) as usize;
        debug_assert!(level < LEVELS, "a deadline beyond every timestamp");
        let slot = (place_at >> (level as u32 * BITS)) as usize % SLOTS;
        let place = level * SLOTS + slot;
        let next = core::mem::replace(&mut self.heads[place], key);
        if next != NIL {
            self.nodes[next as usize].prev = key;
        }
        self.nodes[index] = Node { prev: NIL, next, slot: place as u16, at };
        self.occupied[level] |= 1 << slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    fn pop_all(timers: &mut Timers, now: u64) -> Vec<u32> {
        let mut budget = u32::MAX;
        let mut keys = Vec::new();
        while let Some(key) = timers.pop(Timestamp::from_millis(now), &mut budget) {
            keys.push(key);
        }
        keys.sort_unstable();
        keys
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
        let mut timers = Timers::new();
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut now = 0;
        for _ in 0..200_000 {
            let key = next(300) as u32;
            match next(4) {
                0 => {
                    now += 1 << next(24);
                    let due: Vec<u32> =
                        model.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
                    assert_eq!(pop_all(&mut timers, now), due);
                    model.retain(|_, at| *at > now);
                }
                1 => {
                    timers.cancel(key);
                    model.remove(&key);
                }
                _ => {
                    let at = now + (1 << next(30)) - next(2);
                    timers.no_later_than(key, Deadline::from_millis(at));
                    let scheduled = model.entry(key).or_insert(at);
                    *scheduled = at.min(*scheduled);
                }
            }
            let first = model.values().min().copied();
            match (timers.first().map(Deadline::as_millis), first) {
                (None, None) => {}
                (Some(bound), Some(first)) => assert!(bound <= first, "late: {bound} > {first}"),
                (bound, first) => panic!("{bound:?} but {first:?}"),
            }
        }
    }

    #[test]
    fn the_bound_reaches_the_deadline_in_few_steps() {
        let mut timers = Timers::new();
        timers.no_later_than(0, Deadline::from_millis(25_000));
        let mut steps = 0;
        let mut budget = u32::MAX;
        while timers.pop(timers.first().unwrap().instant().unwrap(), &mut budget).is_none() {
            steps += 1;
        }
        assert!(steps <= LEVELS, "{steps}");
    }

    #[test]
    fn a_herd_is_taken_in_portions() {
        let mut timers = Timers::new();
        for key in 0..1_000 {
            timers.no_later_than(key, Deadline::from_millis(5_000));
        }
        let mut taken = 0;
        while timers.first().is_some_and(|first| first <= Deadline::from_millis(5_000)) {
            let mut budget = 100;
            while timers.pop(Timestamp::from_secs(5), &mut budget).is_some() {
                taken += 1;
            }
        }
        assert_eq!(taken, 1_000);
    }
}
