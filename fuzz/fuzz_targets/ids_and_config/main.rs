//! Names, handles and configurations: whatever is offered is taken exactly if the documentation
//! says so, and a configuration that was built carries a registry through a short life.

#![no_main]

mod life;
mod names;
mod settings;

use arbitrary::Arbitrary;
use headcount_harness::thread_memory::ThreadAllocator;
use libfuzzer_sys::fuzz_target;
use life::Step;
use settings::Settings;

/// More steps find little that these don't, and each recounts everything.
const LONGEST: usize = 48;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bits: u64,
    largest_message: u64,
    settings: Settings,
    reloaded: Settings,
    steps: Vec<Step>,
    text: &'a str,
}

#[global_allocator]
static ALLOCATOR: ThreadAllocator = ThreadAllocator;

fuzz_target!(|input: Input<'_>| {
    names::check(input.text);
    names::handles(input.bits);
    let reloaded = input.reloaded.build();
    let Some(config) = input.settings.build() else { return };
    // No product or sum of it may overflow, and a larger message may not make it less.
    let bounds = [0, input.largest_message, u64::MAX].map(|largest| config.memory_bound(largest));
    assert!(bounds.is_sorted(), "{bounds:?}");
    life::live(config, reloaded, &input.steps[..input.steps.len().min(LONGEST)]);
});
