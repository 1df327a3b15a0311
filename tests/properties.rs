//! Histories that proptest makes and shrinks, against the model.
//!
//! `PROPTEST_CASES=10000 cargo test --release --test properties` tries more of them. What fails is
//! printed as a file for `tests/traces`: that is how it is kept.

use headcount_harness::history::History;
use headcount_harness::memory::CountingAllocator;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// How many histories a plain test run tries.
const CASES: u32 = 100;

#[test]
fn any_history_agrees_with_the_model() {
    let asked_for = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config::default();
    let config = Config {
        cases: if asked_for { config.cases } else { CASES },
        failure_persistence: None,
        max_shrink_iters: u32::MAX,
        ..config
    };
    let run = |history: History| match history.run() {
        Ok(_) => Ok(()),
        Err(failure) => Err(TestCaseError::fail(failure.wrong)),
    };
    match TestRunner::new(config).run(&any::<History>(), run) {
        Ok(()) => {}
        Err(TestError::Fail(wrong, history)) => {
            panic!("as a file for tests/traces:\n\n# {}\n{history}", wrong.message());
        }
        Err(TestError::Abort(why)) => panic!("{}", why.message()),
    }
}
