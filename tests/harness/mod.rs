//! A harness for [`headcount::Registry`]: histories as data, a naive model that predicts what each
//! step does, and a checker of the outputs alone.
//!
//! [`World::apply`](world::World::apply) does one [`Op`](op::Op) to the registry and to the model and
//! compares the two; [`World::wind_up`](world::World::wind_up) ends a history: everything is flushed,
//! time passes, and nothing may be left. Any driver can make the operations: seeds, a fuzzer, a
//! shrinker. Nothing here reads a clock, an environment or entropy.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod apply;
pub mod apply_runs;
pub mod fingerprint;
pub mod generate;
pub mod grammar;
pub mod liveness;
pub mod marks;
pub mod model;
pub mod op;
pub mod rng;
pub mod seen;
pub mod settings;
pub mod world;

/// What is wrong, if anything is.
pub type Check = Result<(), String>;

/// Returns an error that says what is wrong unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

pub(crate) use ensure;
