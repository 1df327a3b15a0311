//! Exhaustive small worlds: all histories over a small alphabet, up to a length, against the model.
//!
//! Random histories are long and see much; these are short and see everything. There are nine
//! alphabets of at most thirteen letters each. After each operation the registry is compared with the
//! model as ever, and after each state that is new a copy of the world is wound up.
//!
//! Two histories that have led to the same state are followed once. The state is a
//! [fingerprint](headcount_harness::fingerprint) of the registry's private state, of the model's, and of the
//! checker of the outputs, so that whatever follows one of the two is answered and judged as after
//! the other. A cycle of letters that leaves nothing behind costs nothing then, and neither does the
//! order of two that have nothing to do with each other. What must differ does: time, serials and
//! positions are part of the state.
//!
//! One more world, of six letters, is explored until no new state comes: what may come any number of
//! times leads back to states that were seen, and what leads ever further is bounded in it. So all
//! histories of that world have been tried, short and long.
//!
//! * `cargo test --test small_worlds -- --nocapture` shows how many histories, states and operations
//!   that were, and what was seen on the way;
//! * `HEADCOUNT_LENGTH=8 cargo test --release --test small_worlds runs -- --nocapture` tries longer
//!   histories of one alphabet.
//!
//! A failure shows the shortest history that leads to it. What a registry holds is not counted here,
//! for clones share payloads; the random histories are held to the bound of memory.

mod alphabets;
mod explore;

use std::time::Instant;

use explore::{Alphabet, Explorer, Failure, Findings};

/// How many letters the histories of a plain test run have.
const LENGTH: usize = 4;

/// More letters than any history of the closed world has that leads to a new state: there, 16.
const LONGEST: usize = 40;

/// How many histories there are of one letter, of two, and so on up to the length, in sum.
fn histories(letters: usize, length: usize) -> u128 {
    let of_length = |length| (letters as u128).saturating_pow(length);
    (1..=length as u32).map(of_length).fold(0, u128::saturating_add)
}

fn explore(alphabet: &Alphabet) {
    let given = std::env::var("HEADCOUNT_LENGTH").ok().and_then(|length| length.parse().ok());
    let length = given.unwrap_or(LENGTH);
    let began = Instant::now();
    match Explorer::new(alphabet).explore(length) {
        Ok(findings) => report(alphabet, &findings, began),
        Err(failure) => fail(alphabet, &failure),
    }
}

fn report(alphabet: &Alphabet, findings: &Findings, began: Instant) {
    let Alphabet { name, letters, .. } = alphabet;
    let length = findings.states.len();
    println!(
        "{name}: {} letters, length {length}: {} histories, {} states, {} ends, {} letters tried, \
         {} operations, {:.1} s",
        letters.len(),
        histories(letters.len(), length),
        findings.states.iter().sum::<usize>(),
        findings.ends,
        findings.tried,
        findings.operations,
        began.elapsed().as_secs_f64(),
    );
    for (length, states) in (1..).zip(&findings.states) {
        let histories = (letters.len() as u128).saturating_pow(length);
        println!("{name}: of length {length}: {histories} histories, {states} new states");
    }
    println!("{name}: {:#?}", findings.marks);
    let missing = findings.marks.missing();
    for (_, marks) in alphabet.seen.iter().filter(|(since, _)| *since <= length) {
        let missed: Vec<_> = marks.iter().filter(|mark| missing.contains(mark)).collect();
        assert!(missed.is_empty(), "{name}, length {length}: never seen: {missed:#?}");
    }
}

fn fail(alphabet: &Alphabet, failure: &Failure) -> ! {
    let Failure { length, history, wrong } = failure;
    eprintln!("{:#?} {:?}", alphabet.config, alphabet.population);
    eprintln!("the shortest history, of {length} letters:");
    for (number, op) in history.iter().enumerate() {
        eprintln!("{number:5} {op:?}");
    }
    let name = alphabet.name;
    panic!(
        "{name}, length {length}, operation {}: {wrong}\n\
         again: HEADCOUNT_LENGTH={length} cargo test --test small_worlds {name}",
        history.len().saturating_sub(1)
    );
}

/// As far as that can be tried: the end of each history is that of the one that came to the same
/// state first, action by action.
#[test]
fn merged_histories_end_alike() {
    let all = [
        alphabets::admission,
        alphabets::delivery,
        alphabets::drain,
        alphabets::following,
        alphabets::left_out,
        alphabets::presence,
        alphabets::runs,
        alphabets::requests,
        alphabets::tenants,
    ];
    for alphabet in all.map(|alphabet| alphabet()) {
        if let Err(failure) = Explorer::doubting(&alphabet).explore(LENGTH - 1) {
            fail(&alphabet, &failure);
        }
    }
}

/// A world is explored until no new state comes: its histories have any length.
#[test]
fn closed() {
    let (alphabet, most) = alphabets::closed();
    let began = Instant::now();
    match Explorer::with_at_most(&alphabet, &most).explore(LONGEST) {
        Ok(findings) => {
            report(&alphabet, &findings, began);
            assert_eq!(findings.states.last(), Some(&0), "new states still came");
        }
        Err(failure) => fail(&alphabet, &failure),
    }
}

#[test]
fn admission() {
    explore(&alphabets::admission());
}

#[test]
fn delivery() {
    explore(&alphabets::delivery());
}

#[test]
fn drain() {
    explore(&alphabets::drain());
}

#[test]
fn following() {
    explore(&alphabets::following());
}

#[test]
fn left_out() {
    explore(&alphabets::left_out());
}

#[test]
fn presence() {
    explore(&alphabets::presence());
}

#[test]
fn runs() {
    explore(&alphabets::runs());
}

#[test]
fn requests() {
    explore(&alphabets::requests());
}

#[test]
fn tenants() {
    explore(&alphabets::tenants());
}
