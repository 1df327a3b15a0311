//! The snapshot of any history with any bytes of it changed, and any bytes as a snapshot: it is refused, or
//! taken whole. Checksums are not looked at in this build, so that a change reaches what lies behind them.
//!
//! What is not changed is the same registry, and what is taken has a snapshot that is taken again.

#![no_main]

use headcount::Registry;
use headcount_harness::history::History;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    /// Places, and what is written there: over the byte, or beside it.
    Changed { history: History, changes: Vec<(u16, u8, bool)> },
    Bytes(Vec<u8>),
}

/// The registry, if it is taken.
fn taken(snapshot: &[u8]) -> Option<Registry> {
    match Registry::restore(snapshot) {
        Ok(registry) => {
            registry.check().expect("its invariants");
            Some(registry)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn is_stable(registry: &Registry) {
    let again = taken(&registry.snapshot()).expect("a registry has made it");
    assert_eq!(again.fingerprint(), registry.fingerprint(), "a snapshot holds the whole state");
}

fuzz_target!(|input: Input| match input {
    Input::Bytes(bytes) => {
        if let Some(registry) = taken(&bytes) {
            is_stable(&registry);
        }
    }
    Input::Changed { history, changes } => {
        let mut world = history.world();
        for op in &history.ops {
            if world.apply(op).is_err() {
                // The target `ops` is about that.
                return;
            }
        }
        let mut snapshot = world.registry().snapshot();
        is_stable(world.registry());
        for (place, byte, beside) in changes {
            let place = usize::from(place) % snapshot.len();
            if beside {
                snapshot.insert(place, byte);
            } else {
                snapshot[place] = byte;
            }
        }
        if let Some(registry) = taken(&snapshot) {
            is_stable(&registry);
        }
    }
});
