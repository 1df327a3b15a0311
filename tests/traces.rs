//! Histories that once went wrong, or that a planted fault makes go wrong: one a file, small enough to
//! be read.
//!
//! `HEADCOUNT_TRACE=name cargo test --test traces` runs those whose name has that in it.

use std::fs;
use std::path::Path;

use headcount_harness::history::History;
use headcount_harness::memory::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn every_trace_agrees_with_the_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let wanted = std::env::var("HEADCOUNT_TRACE").unwrap_or_default();
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("a folder of traces")
        .map(|entry| entry.expect("a readable entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".txt") && name.contains(&wanted))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no trace has {wanted:?} in its name");
    let mut wrong = Vec::new();
    for name in names {
        let text = fs::read_to_string(folder.join(&name)).expect("a readable trace");
        let history: History = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Err(failure) = history.run() {
            wrong.push(format!("trace {name}, operation {}: {}", failure.begun, failure.wrong));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
