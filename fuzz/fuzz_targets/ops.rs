//! Any bytes are a history: the registry is held to the model, to the grammar of its outputs, to its
//! own invariants and to the published bound of its memory after every operation, and must come to
//! rest at the end.
//!
//! `cargo +nightly fuzz run ops fuzz/corpus/ops fuzz/seeds/ops`; a failure prints its history as a file
//! for `tests/traces`, and `cargo +nightly fuzz tmin ops <file>` makes it shorter.

#![no_main]

use headcount_harness::history::History;
use headcount_harness::memory::CountingAllocator;
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fuzz_target!(|history: History| {
    if let Err(failure) = history.run() {
        let (config, population) = history.settings();
        eprintln!("{config:#?} {population:?}\n\n# {}\n{history}", failure.wrong);
        panic!("after {} operations: {}", failure.begun, failure.wrong);
    }
});
