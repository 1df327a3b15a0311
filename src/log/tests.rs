//! What a log keeps, gives up and says of its gaps.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU32;

use bytes::Bytes;

use super::*;
use crate::conn::Conns;
use crate::except::{Candidate, LeftOut};
use crate::id::{ConnId, Key};
use crate::session::Sessions;
use crate::store::SlotKey as _;

const SERIAL: NonZeroU32 = NonZeroU32::MIN;

/// A reader for whom what is `x` in [`log_of`] is left out: the one connection of tables of its own.
fn reader(laggard: bool) -> Reader<'static> {
    let mut conns = Conns::new();
    let slot = conns.insert(SERIAL, Timestamp::ZERO, Timestamp::ZERO);
    let (conns, sessions) = (Box::leak(Box::new(conns)), Box::leak(Box::new(Sessions::new(7))));
    Reader { who: Candidate { slot, conns, sessions }, laggard, late: Late::NONE }
}

/// What an edit of a log without groups lets go of them.
fn freed() -> FreedEntries {
    FreedEntries::new()
}

/// A log of such messages: `c` critical, `d` droppable, `x` left out for the reader, and a capital
/// letter the latest of that key.
fn log_of(messages: &str) -> Log {
    let mut log = Log::new();
    for letter in messages.chars() {
        append(&mut log, letter);
    }
    log
}

fn append(log: &mut Log, letter: char) -> u64 {
    let message = Message::binary(Vec::new());
    let left_out = (letter == 'x').then(|| LeftOut::Connection(ConnId::new(0, SERIAL)));
    let message = match letter {
        'd' => message.droppable(),
        'A'..='Z' => message.latest(Key::new(letter.to_string()).unwrap()),
        _ => message,
    };
    log.append(Timestamp::ZERO, message, left_out, 7)
}

const fn holding(messages: u32) -> Bounds {
    Bounds { messages, bytes: u64::MAX, history: 0 }
}

fn fit(log: &mut Log, messages: u32, passed: u64) {
    while log.exceeds(holding(messages)) {
        log.make_room(passed, &mut freed());
    }
}

/// Everything that the reader finds from a cursor on.
fn found(log: &Log, mut cursor: u64, laggard: bool) -> String {
    let mut found = Vec::new();
    loop {
        cursor = match log.next(cursor, &reader(laggard)) {
            Next::Nothing => return found.join(" "),
            Next::Gap { from, to } => {
                found.push(format!("-{from}..{to}"));
                to
            }
            Next::Entry(entry) => {
                found.push(entry.offset.to_string());
                entry.offset
            }
        };
    }
}

fn append_event(log: &mut Log, slot: usize, bytes: usize) -> u64 {
    let group = Group::open(GroupKey::of_slot(slot));
    let event = Event { group, tag: EventTag(0), payload: Bytes::from(alloc::vec![0; bytes]) };
    log.append_event(Timestamp::ZERO, event)
}

fn keys(log: &Log) -> usize {
    log.kept.keys.as_ref().map_or(0, |keys| keys.newest.len())
}

#[test]
fn a_laggard_passes_over_what_is_droppable() {
    let log = log_of("cdcddc");
    assert_eq!(found(&log, 0, false), "1 2 3 4 5 6");
    assert_eq!(found(&log, 0, true), "1 -2..2 3 -4..5 6");
    assert_eq!(found(&log, 3, true), "-4..5 6");
    assert!(log.loses(0, &reader(true)) && !log.loses(5, &reader(true)));
}

#[test]
fn what_is_lost_before_the_next_message_is_one_gap() {
    let mut log = log_of("cdAxdAc");
    fit(&mut log, 5, 0);
    assert_eq!(found(&log, 0, true), "1 -2..5 6 7", "one is shed, one passed over");
    fit(&mut log, 3, 0);
    assert_eq!((log.lost(), log.len()), (2, 3), "the front was a tombstone, and is a number");
    fit(&mut log, 2, 0);
    assert_eq!((log.lost(), log.len()), (5, 2));
    assert_eq!(found(&log, 0, true), "-1..5 6 7");
    assert_eq!(found(&log, 4, true), "-5..5 6 7");
}

#[test]
fn superseded_messages_are_lost_for_nobody() {
    let log = log_of("cABAB");
    assert_eq!((log.len(), log.lost(), log.bytes()), (3, 0, 3 * 64));
    assert_eq!(found(&log, 0, true), "1 4 5");
    assert_eq!(found(&log, 1, true), "4 5");
    assert!(!log.loses(0, &reader(true)));
    assert_eq!((log.count_after(0), log.count_after(2)), (3, 2));
    assert!(log.get(2).is_none() && log.get(4).is_some());
}

#[test]
fn tombstones_at_the_front_disappear_and_only_lost_ones_count() {
    let mut log = log_of("Acdc");
    append(&mut log, 'A');
    assert_eq!((log.lost(), log.oldest().unwrap().offset), (0, 2));
    fit(&mut log, 3, 0);
    assert_eq!(log.tombstones(), 1);
    log.drop_oldest(&mut freed());
    assert_eq!((log.lost(), log.oldest().unwrap().offset, log.tombstones()), (3, 4, 0));
    log.drop_oldest(&mut freed());
    log.drop_oldest(&mut freed());
    assert_eq!((log.lost(), log.head(), log.is_empty()), (5, 5, true));
}

#[test]
fn room_is_made_by_what_all_have_passed_then_by_droppables_then_by_the_oldest() {
    let mut log = log_of("ccdcdc");
    fit(&mut log, 5, 1);
    assert_eq!(found(&log, 0, false), "-1..1 2 3 4 5 6");
    fit(&mut log, 4, 1);
    assert_eq!(found(&log, 1, false), "2 -3..3 4 5 6");
    fit(&mut log, 2, 1);
    assert_eq!(found(&log, 1, false), "-2..3 4 -5..5 6");
    let mut log = log_of("cd");
    fit(&mut log, 1, 0);
    assert_eq!(found(&log, 0, false), "-1..1 2", "the newest stays, droppable or not");
}

#[test]
fn lost_before_looks_back_to_the_message_before() {
    let mut log = log_of("cdAcAc");
    fit(&mut log, 4, 0);
    assert_eq!(log.tombstones(), 2);
    assert_eq!([1, 4, 5, 6].map(|offset| log.lost_before(offset)), [0, 2, 0, 0]);
    log.drop_oldest(&mut freed());
    assert_eq!([4, 5].map(|offset| log.lost_before(offset)), [2, 2]);
    assert_eq!(log.lost_before(log.head() + 1), 2);
}

#[test]
fn what_is_passed_over_is_lost_at_the_end() {
    let mut log = Log::new();
    log.pass_over();
    assert_eq!((log.head(), log.lost(), log.is_empty()), (1, 1, true));
    append(&mut log, 'c');
    log.pass_over();
    log.pass_over();
    assert_eq!((log.head(), log.lost(), log.tombstones()), (4, 1, 1));
    assert_eq!(found(&log, 1, false), "2 -3..4");
    assert_eq!(found(&log, 3, false), "-4..4");
    assert_eq!(append(&mut log, 'c'), 5);
}

#[test]
fn neighbours_become_one_when_there_are_many_marks() {
    let mut log = log_of("c");
    for _ in 0..500 {
        append(&mut log, 'A');
        assert!(log.tombstones() <= log.len() + TOMBSTONES_KEPT);
    }
    assert_eq!(found(&log, 0, true), "1 501", "the latest of a key moves, and leaves no trail");
    for _ in 0..500 {
        append(&mut log, 'd');
        append(&mut log, 'c');
        fit(&mut log, 3, 0);
        assert!(log.tombstones() <= log.len() + TOMBSTONES_KEPT);
    }
    assert_eq!(
        found(&log, log.lost(), true).split(' ').filter(|it| !it.starts_with('-')).count(),
        3
    );
}

#[test]
fn losses_that_become_one_are_told_to_whom_any_of_them_is_a_loss() {
    let tombstones = 2 * TOMBSTONES_KEPT;
    let mut log = log_of(&"c".repeat(tombstones + 2));
    for index in 1..=tombstones {
        let _ = log.remove_as_lost(index);
    }
    // The first of them was of a group that was open when the reader joined late, behind all of them.
    let What::Lost { closed_at, .. } = &mut log.kept.entries[1].what else { panic!("a tombstone") };
    *closed_at = log.head + 9;
    log.tidy();
    assert_eq!(log.tombstones(), 1);
    let late = Late::open_at(log.head);
    let late = Reader { late, ..reader(true) };
    assert!(matches!(log.next(1, &late), Next::Gap { from: 2, .. }));
}

#[test]
fn keys_go_with_their_messages() {
    let mut log = log_of("ABA");
    assert_eq!(keys(&log), 2);
    log.drop_oldest(&mut freed());
    assert_eq!(keys(&log), 1, "B is gone, and A is the newer one");
    append(&mut log, 'B');
    assert_eq!((keys(&log), log.len()), (2, 2));
    log.drop_oldest(&mut freed());
    log.drop_oldest(&mut freed());
    assert!(log.kept.keys.is_none());
}

#[test]
fn everyone_has_what_is_droppable_and_it_is_no_history() {
    let mut log = log_of("dcdcd");
    log.drop_droppable();
    assert_eq!((log.len(), log.lost(), log.bytes()), (2, 1, 2 * 64));
    assert_eq!(found(&log, 0, false), "-1..1 2 -3..3 4 -5..5");
    assert_eq!(append(&mut log, 'd'), 6);
    assert_eq!(found(&log, 5, false), "6");
}

#[test]
fn memory_is_given_back() {
    let mut log = log_of(&"c".repeat(1_000));
    let full = log.kept.entries.capacity();
    fit(&mut log, 100, 0);
    assert!(log.kept.entries.capacity() < full / 2, "{} of {full}", log.kept.entries.capacity());
    fit(&mut log, 1, 0);
    log.drop_oldest(&mut freed());
    assert_eq!(log.kept.entries.capacity(), 0);
}

#[test]
fn what_open_groups_pin_is_not_searched_again_for_each_latest_message() {
    let mut log = log_of("AB");
    for _ in 0..100 {
        append_event(&mut log, 0, 0);
    }
    for letter in "ABAB".chars() {
        append(&mut log, letter);
    }
    assert_eq!(log.oldest().map(|entry| entry.offset), Some(105));
    assert_eq!(log.kept.bounded_from, 105);
}

#[test]
fn a_log_says_what_it_lets_go_of_a_group() {
    let mut log = Log::new();
    let key = GroupKey::of_slot(3);
    let group = Group::open(key);
    let event = Event { group, tag: EventTag(9), payload: Bytes::from_static(b"{}") };
    log.append_event(Timestamp::ZERO, event);
    let index = TextIndex(4);
    let text = |from, bytes| Text { group, text: index, is_named: false, from, bytes };
    assert!(!log.ends_with(key, index));
    log.append_text(Timestamp::ZERO, text(0, 5));
    assert!(log.ends_with(key, index) && !log.ends_with(key, TextIndex(3)));
    log.append_text(Timestamp::ZERO, text(5, 2));
    append(&mut log, 'c');
    assert_eq!((log.pinned(), log.bounded()), (2, 1));
    let mut freed = freed();
    log.drop_oldest(&mut freed);
    assert!(freed.is_empty(), "the log's own bounds pass over what is pinned");
    log.close_group(key, 1, false);
    assert_eq!((log.pinned(), log.bounded()), (0, 2));
    log.drop_oldest(&mut freed);
    log.drop_oldest(&mut freed);
    let of = |text| Freed { group: key, text };
    assert_eq!(freed[..], [of(None), of(Some((index, 7)))]);
}

#[test]
fn trimming_to_the_history_waits_for_a_group_that_lingers() {
    let mut log = log_of("c");
    let key = GroupKey::of_slot(1);
    append_event(&mut log, 1, 0);
    append(&mut log, 'c');
    log.close_group(key, 2, true);
    assert!(log.exceeds_history(0) && log.exceeds(holding(2)));
    log.drop_oldest(&mut freed());
    assert!(!log.exceeds_history(0) && log.exceeds(holding(1)), "the bounds are about it");
    assert_eq!(log.end_linger(key, 2), 2);
    assert!(log.exceeds_history(0) && log.exceeds_history(1) && !log.exceeds_history(2));
}

#[test]
fn a_late_reader_finds_the_groups_that_were_open_when_it_joined() {
    let mut log = Log::new();
    let events = |log: &mut Log, slot| append_event(log, slot, 0);
    events(&mut log, 1);
    events(&mut log, 2);
    log.close_group(GroupKey::of_slot(1), 1, false);
    append(&mut log, 'c');
    let late = Late::open_at(log.head());
    // A group closes with an event of its own.
    events(&mut log, 2);
    log.close_group(GroupKey::of_slot(2), 2, false);
    let late = Reader { late, ..reader(false) };
    assert!(matches!(log.next(0, &late), Next::Entry(entry) if entry.offset == 2));
    assert!(matches!(log.next(2, &late), Next::Entry(entry) if entry.offset == 4));
    log.drop_oldest(&mut freed());
    log.drop_oldest(&mut freed());
    assert!(matches!(log.next(0, &late), Next::Gap { from: 1, to: 2 }));
}

#[test]
fn an_index_of_keys_gives_its_memory_back_with_its_keys() {
    let mut log = Log::new();
    for number in 0..1_000 {
        let key = Key::new(format!("{number}")).unwrap();
        log.append(Timestamp::ZERO, Message::binary(Vec::new()).latest(key), None, 7);
    }
    let room = |log: &Log| log.kept.keys.as_ref().map_or(0, |keys| keys.newest.capacity());
    assert!(room(&log) >= 1_000);
    for kept in [500, 100, 20, 2] {
        fit(&mut log, kept, 0);
        assert!(room(&log) <= (4 * kept as usize).max(KEYS_KEPT), "{} for {kept}", room(&log));
    }
    // Each is still found: the newest takes its place.
    let key = Key::new("999").unwrap();
    log.append(Timestamp::ZERO, Message::binary(Vec::new()).latest(key), None, 7);
    assert_eq!(log.len(), 2);
    fit(&mut log, 0, 0);
    assert!(log.kept.keys.is_none());
}

#[test]
fn what_open_groups_hold_is_no_matter_of_the_bounds() {
    let bytes = |bytes| Bounds { messages: u32::MAX, bytes, history: 0 };
    let holds = |log: &Log, most| !log.exceeds(bytes(most)) && log.exceeds(bytes(most - 1));
    let mut log = Log::new();
    append_event(&mut log, 1, 500);
    append_event(&mut log, 1, 300);
    assert_eq!(append_event(&mut log, 2, 10), 3);
    append(&mut log, 'c');
    append(&mut log, 'c');
    assert!(holds(&log, 2 * 64));
    log.drop_front(&mut freed());
    assert_eq!((log.pinned(), log.bounded()), (2, 2));
    assert!(holds(&log, 2 * 64));
    log.close_group(GroupKey::of_slot(2), 3, false);
    assert!(holds(&log, 3 * 64 + 10));
    log.close_group(GroupKey::of_slot(1), 1, false);
    assert!(holds(&log, 4 * 64 + 310));
}

#[test]
fn the_search_for_the_oldest_begins_behind_what_was_pinned_before_it() {
    let mut log = Log::new();
    (0..100).for_each(|_| assert!(append_event(&mut log, 0, 0) > 0));
    append(&mut log, 'c');
    let before = log.steps.taken();
    assert_eq!(log.oldest().map(|entry| entry.offset), Some(101));
    assert_eq!(log.steps.taken() - before, 1);
}

#[test]
fn the_end_of_a_linger_looks_at_what_stands_behind_the_first_of_the_group() {
    let mut log = log_of("cccc");
    assert_eq!(append_event(&mut log, 1, 0), 5);
    append(&mut log, 'c');
    log.close_group(GroupKey::of_slot(1), 5, true);
    assert_eq!(log.end_linger(GroupKey::of_slot(1), 5), 2);
    assert_eq!(Log::new().end_linger(GroupKey::of_slot(1), 5), 0);
}

#[test]
fn a_log_is_trimmed_when_it_is_history_and_nothing_is_droppable() {
    let mut log = log_of("ccc");
    assert!(log.is_trimmed(3) && !log.is_trimmed(2));
    append(&mut log, 'd');
    assert!(!log.is_trimmed(4));
}

#[test]
fn droppables_go_in_their_order() {
    let mut log = log_of("ccdcccddcd");
    fit(&mut log, 7, 0);
    assert_eq!(found(&log, 0, false), "1 2 -3..3 4 5 6 -7..8 9 10");
}

#[test]
fn tombstones_stay_until_there_are_too_many() {
    let removed = TOMBSTONES_KEPT + 4;
    let mut log = log_of(&"c".repeat(removed + 3));
    for index in 1..=removed {
        let _ = log.remove_as_lost(index);
    }
    append(&mut log, 'A');
    assert_eq!((log.len(), log.tombstones()), (4, removed));
    let _ = log.remove_as_lost(removed + 1);
    log.tidy();
    assert_eq!(log.tombstones(), 1);
}

#[test]
fn a_group_that_was_closed_before_a_reader_joined_late_is_not_for_it() {
    let mut log = Log::new();
    append_event(&mut log, 1, 0);
    log.close_group(GroupKey::of_slot(1), 1, false);
    let late = Reader { late: Late::open_at(log.head()), ..reader(false) };
    assert!(matches!(log.next(0, &late), Next::Nothing));
}

#[test]
fn only_a_laggard_loses_what_is_droppable() {
    let log = log_of("cdcd");
    assert!(log.loses(0, &reader(true)) && log.loses(3, &reader(true)));
    assert!(!log.loses(0, &reader(false)) && !log.loses(4, &reader(true)));
    let log = log_of("cx");
    assert!(!log.loses(0, &reader(true)));
}

#[test]
fn the_search_for_a_droppable_goes_on_where_it_has_found_one() {
    let mut log = log_of("ccdcccdcddc");
    // As if a newer message of its key had the place of the first of them.
    let _ = log.take(2);
    assert_eq!((log.oldest_droppable(), log.kept.droppable_from), (Some(6), 7));
    log.drop_droppable();
    assert_eq!((log.kept.droppable, log.len()), (0, 7));
}
