//! Virtual clients for the `headcount` registry: hours of bad days, in virtual time.
//!
//! A [`Scenario`] says how many clients there are, how they behave, what is sent to them, and what
//! goes wrong; [`simulate`] runs it against the registry itself, and the answer is a [`Report`].
//! The same scenario and the same seed give the same report, byte for byte, on every platform.
//!
//! ```
//! let scenario = headcount_simulator::scenario("half-open-30", None)?;
//! let report = headcount_simulator::simulate(&scenario.scaled(1), 7, &mut |_| {});
//! assert!(report.is_sound());
//! assert_eq!(report.locked_out_at_end(), 0);
//! println!("{report}");
//! # Ok::<(), headcount_simulator::ScenarioError>(())
//! ```
//!
//! `docs/simulator.md` has the format of scenario files, and what is not simulated.
#![forbid(unsafe_code)]

mod behaviour;
mod client;
mod old_rules;
mod plot;
mod queue;
mod random;
mod ready;
mod report;
mod runs;
mod scenario;
mod server;
mod settings;
mod simulation;
mod tally;
mod traffic;
mod turn;
mod values;

pub use ready::{READY, scenario};
pub use report::Report;
pub use scenario::{Scenario, ScenarioError};

/// Runs a scenario. `progress` is told every tenth that is done, in percent.
pub fn simulate(scenario: &Scenario, seed: u64, progress: &mut dyn FnMut(u32)) -> Report {
    let run = |old_rules: bool, progress: &mut dyn FnMut(u32)| {
        let mut simulation = simulation::Simulation::new(scenario, seed, old_rules);
        simulation.run(progress);
        simulation
    };
    let old = scenario.compare_old_rules.then(|| {
        let simulation = run(true, &mut |_| {});
        let cleaned_in_vain = simulation.old_rules.map_or(0, |rules| rules.cleaned_in_vain);
        (simulation.tally, cleaned_in_vain)
    });
    let tally = run(false, progress).tally;
    Report::new(scenario, seed, tally, old)
}
