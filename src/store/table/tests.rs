//! Tables against a map, and what their chunks hold.

use super::*;
use crate::store::key;
use alloc::collections::BTreeMap;
use core::hash::BuildHasher;
use foldhash::quality::FixedState;

key! {
    TestKey
}

type Chars = Table<TestKey, char>;

fn hash(table: &Chars) -> u64 {
    FixedState::default().hash_one(table)
}

fn key(slot: usize) -> TestKey {
    TestKey::of_slot(slot)
}

fn filled(slots: usize, freed: &[usize]) -> Chars {
    let mut table = Table::new();
    for slot in 0..slots {
        assert_eq!(table.insert('a'), key(slot));
    }
    for slot in freed {
        assert_eq!(table.remove(key(*slot)), 'a');
    }
    table
}

/// Chunks with memory of their own.
fn chunks(table: &Chars) -> usize {
    table.chunks.iter().filter(|chunk| chunk.has_memory()).count()
}

#[test]
fn the_hash_is_that_of_the_records_and_of_the_order_of_vacant_slots() {
    let orders = [[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2]].map(|freed| filled(4, &freed));
    for (place, one) in orders.iter().enumerate() {
        let same = orders.iter().position(|other| hash(other) == hash(one));
        assert_eq!(same, Some(place));
    }
    // Slots that are taken in their order are as good as none.
    assert_eq!(
        (filled(4, &[]).chunks[0].fresh, filled(4, &[]).chunks[0].vacated),
        (4, Order::EMPTY)
    );
    assert_eq!(hash(&filled(4, &[3, 2, 1])), hash(&filled(1, &[])));
    assert_eq!(hash(&filled(4, &[3])), hash(&filled(3, &[])));
    assert_ne!(hash(&filled(2, &[0])), hash(&filled(2, &[1])));
    assert_eq!(hash(&filled(3, &[0, 2, 1])), hash(&Table::new()));
}

#[test]
fn tables_with_the_same_hash_go_on_alike() {
    // What is taken and given back leaves no trace, also in the number of an order.
    let mut table = filled(8, &[2, 5, 3]);
    let before = hash(&table);
    let taken = [3, 5, 2, 8].map(|slot| {
        assert_eq!(table.vacant_key(), key(slot));
        table.insert('a')
    });
    assert_eq!(table.len(), 9);
    assert_ne!(hash(&table), before);
    for key in taken.into_iter().rev() {
        table.remove(key);
    }
    assert_eq!(hash(&table), before);
}

#[test]
fn a_record_takes_a_slot_of_the_lowest_chunk_with_room() {
    let mut table = filled(3 * CHUNK, &[2 * CHUNK + 7, 5, CHUNK + 1]);
    for slot in [5, CHUNK + 1, 2 * CHUNK + 7, 3 * CHUNK] {
        assert_eq!(table.vacant_key(), key(slot));
        assert_eq!(table.insert('b'), key(slot));
    }
    assert_eq!(table.end(), 3 * CHUNK + 1);
}

#[test]
fn a_table_has_more_chunks_than_a_word_has_bits() {
    let mut table = filled(130 * CHUNK, &[129 * CHUNK + 3, 66 * CHUNK + 2]);
    assert_eq!((table.room.len(), table.chunks.len()), (3, 130));
    for slot in [66 * CHUNK + 2, 129 * CHUNK + 3, 130 * CHUNK] {
        assert_eq!((table.vacant_key(), table.insert('b')), (key(slot), key(slot)));
    }
    assert_eq!(table.get(key(66 * CHUNK + 2)), Some(&'b'));
}

#[test]
fn a_table_is_full_when_it_has_all_slots() {
    let mut table = Chars::new();
    table.len = MAX_SLOTS - 1;
    assert!(!table.is_full());
    table.len = MAX_SLOTS;
    assert!(table.is_full());
}

#[test]
fn a_first_record_allocates_for_few() {
    let table = filled(1, &[]);
    let places = (table.chunks.capacity(), table.room.capacity());
    assert_eq!((places, table.chunks[0].records.capacity()), ((1, 1), FIRST));
}

/// What a table has on the heap.
fn heap(table: &Chars) -> u64 {
    let slots: usize = table.chunks.iter().map(|chunk| chunk.records.capacity()).sum();
    // A slab's slot is a record with a tag, or the number of another one.
    let lists = table.chunks.capacity() * size_of::<Chunk<char>>() + table.room.capacity() * 8;
    (slots * 16 + lists) as u64
}

#[test]
fn what_so_many_records_hold_is_bounded() {
    for records in [0, 1, FIRST, FIRST + 1, CHUNK / 2, CHUNK, CHUNK + 1, 3 * CHUNK, 200 * CHUNK] {
        // With the chunk that keeps its memory when it is empty.
        let (held, bound) = (heap(&filled(records, &[])), bytes::<char>(records as u64));
        assert!(held <= bound, "{held} bytes for {records}, bounded by {bound}");
        assert!(bound <= 2 * held + 600, "{held} bytes for {records}, bounded by {bound}");
    }
    let pinned = [0, 4, 5, 1_024, 1_025, 3_000].map(bytes::<u64>);
    assert_eq!(pinned, [576, 576, 640, 17_024, 33_408, 49_920]);
}

#[test]
fn growing_copies_nothing_beyond_the_first_chunk() {
    let mut table = Chars::new();
    for slot in 0..3 * CHUNK {
        table.insert('a');
        let capacity = table.chunks[slot / CHUNK].records.capacity();
        let expected = if slot < CHUNK { (slot + 1).next_power_of_two().max(FIRST) } else { CHUNK };
        assert_eq!(capacity, expected, "at slot {slot}");
    }
}

#[test]
fn empty_chunks_give_their_memory_back_one_a_call() {
    let mut table = filled(5 * CHUNK, &[]);
    let mut had = chunks(&table);
    for slot in 0..5 * CHUNK {
        table.remove(key(slot));
        let has = chunks(&table);
        assert!(had - has <= 1, "{had} chunks before, {has} after");
        had = has;
        // One of the empty ones keeps its memory.
        let used = (5 * CHUNK - slot - 1).div_ceil(CHUNK);
        assert!(has <= used + 1, "{has} chunks for {used}");
    }
    assert_eq!((table.len(), had), (0, 1));
    let only = table.insert('a');
    assert_eq!((only, chunks(&table)), (key(0), 1));
    table.remove(only);
    assert_eq!((chunks(&table), table.chunks.capacity(), table.room.capacity()), (0, 0, 0));
}

#[test]
fn a_record_that_comes_and_goes_at_an_edge_does_not_allocate() {
    let mut table = filled(CHUNK + 1, &[CHUNK]);
    assert_eq!(chunks(&table), 2);
    let address = |table: &Chars| table.chunks[1].records.capacity();
    for _ in 0..3 {
        let last = table.insert('a');
        assert_eq!((last, address(&table)), (key(CHUNK), CHUNK));
        table.remove(last);
        assert_eq!((chunks(&table), address(&table)), (2, CHUNK));
    }
}

#[test]
fn agrees_with_a_map_over_random_histories() {
    let mut random = 1_u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % bound
    };
    let mut table: Table<TestKey, usize> = Table::new();
    let mut model: BTreeMap<usize, usize> = BTreeMap::new();
    for step in 0..60_000 {
        // It grows to a few thousand, then shrinks, and so on.
        if next(8) < if step / 10_000 % 2 == 0 { 6 } else { 1 } {
            let expected = table.vacant_key();
            let key = table.insert(step);
            assert_eq!(key, expected);
            assert_eq!(model.insert(key.slot(), step), None, "a slot that was taken");
        } else if let Some((slot, _)) = model.range(next(6_000)..).next() {
            let slot = *slot;
            assert_eq!(Some(table.remove(key(slot))), model.remove(&slot));
            assert_eq!(table.get(key(slot)), None);
        }
        assert_eq!(table.len(), model.len());
        let slot = next(6_000);
        assert_eq!(table.get(key(slot)), model.get(&slot));
        if let Some(record) = table.get_mut(key(slot)) {
            *record += 1;
        }
        if let Some(record) = model.get_mut(&slot) {
            *record += 1;
        }
        if step % 1_000 == 0 {
            let from = next(6_000);
            let records = |(key, record): (TestKey, &usize)| (key.slot(), *record);
            let expected = || model.iter().map(|(slot, record)| (*slot, *record));
            assert!(table.iter().map(records).eq(expected()));
            assert!(table.iter_mut().map(|(key, it)| (key.slot(), *it)).eq(expected()));
            let rest = model.range(from..).map(|(slot, record)| (*slot, *record));
            assert!(table.iter_from(from).map(records).eq(rest));
            assert_eq!(table.end(), model.keys().next_back().map_or(0, |slot| slot + 1));
            let clone = table.clone();
            assert_eq!(clone.vacant_key(), table.vacant_key());
        }
    }
}

#[test]
fn a_key_that_is_packed_is_the_same_when_unpacked() {
    use crate::store::Packed;
    for slot in [0, 1, CHUNK, MAX_SLOTS - 1] {
        assert_eq!(TestKey::unpack(key(slot).pack()), key(slot));
    }
}
