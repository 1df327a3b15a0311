//! A test harness for [`headcount`]: histories as data, a naive model that predicts what each step
//! does, and a checker of the outputs alone.
//!
//! Take what you need:
//!
//! * You write a **shell** and want to know that it obeys the registry: feed every action that you
//!   poll to a [`Grammar`](grammar::Grammar).
//! * You change the **core**: [`World::apply`](world::World::apply) does one [`Op`](op::Op) to the
//!   registry and to the model and compares the two, and
//!   [`World::wind_up`](world::World::wind_up) ends a history: everything is flushed, time passes,
//!   and nothing may be left. Any driver can make the operations: a seed
//!   ([`Generator`](generator::Generator)), a fuzzer, a shrinker. A
//!   [`History`](history::History) is all of it as data, which fails, [shrinks](shrink::Shrinker),
//!   and is written to a file as text. With the [counting allocator](memory) it is held to the
//!   published bound of memory, too.
//!
//! Nothing here reads a clock, an environment or entropy: the same history is the same run.
//!
//! # Features
//!
//! None is on by default.
//!
//! * `history` writes a history as text, one operation a line, and reads it.
//! * `arbitrary` makes operations out of a fuzzer's bytes.
//! * `proptest` has strategies for histories that shrink; it brings `arbitrary`.

mod apply;
mod apply_flushes;
mod apply_runs;
mod apply_streams;
mod arrival;
pub mod fingerprint;
pub mod generator;
pub mod grammar;
pub mod history;
mod input;
mod liveness;
pub mod marks;
pub mod memory;
mod model;
pub mod op;
pub mod recorded;
pub mod rng;
pub mod seen;
pub mod settings;
pub mod shrink;
mod simpler;
#[cfg(feature = "proptest")]
pub mod strategy;
#[cfg(feature = "history")]
mod text;
pub mod thread_memory;
mod ticks;
pub mod world;

/// What is wrong, if anything is: a sentence for people.
pub type Check = Result<(), String>;

/// Does something; a panic is an error like others.
///
/// # Errors
/// What went wrong, as a sentence.
pub fn caught<T>(what: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
    done.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).into()));
        Err(format!("it panicked: {}", text.unwrap_or_default()))
    })
}

/// Returns an error that says what is wrong unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

/// Returns an error that says what differs unless what was got is what the model expects.
macro_rules! same {
    ($got:expr, $expected:expr, $($what:tt)+) => {
        match (&$got, &$expected) {
            (got, expected) => crate::ensure!(
                got == expected,
                "{}: {got:?}, expected {expected:?}",
                format_args!($($what)+)
            ),
        }
    };
}

pub(crate) use {ensure, same};
