//! `headcount simulate`: the simulator's command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use headcount_simulator::{READY, simulate};

use crate::limits::descriptors::Descriptors;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Name of a ready scenario (--help lists them), or a TOML file
    scenario: String,

    /// Seed of all random draws: the same scenario and seed give the same report
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Percent of the scenario's users and traffic that take part
    #[arg(long, value_name = "PERCENT", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    scale: u32,

    /// Settings of a gateway, as serve --config takes them: their registry is simulated, in place of the
    /// scenario's own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Draw connections, backlog, closes and incidents over virtual time, as an SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The ready scenarios, for the long help.
pub(crate) fn help() -> String {
    let names: Vec<_> = READY.iter().map(|(name, _)| format!("  {name}")).collect();
    format!("Ready scenarios:\n{}", names.join("\n"))
}

/// Runs to the end. The report goes to standard output and says nothing of the real time; progress
/// goes to standard error. An error is about what was asked for.
pub(crate) fn run(arguments: &Simulate) -> Result<ExitCode, String> {
    let scenario = headcount_simulator::scenario(&arguments.scenario, None)
        .map_err(|error| error.to_string())?
        .scaled(arguments.scale);
    let scenario = match &arguments.config {
        None => scenario,
        Some(path) => {
            let mut settings = Settings::default();
            settings.read_file(path)?;
            // Simulated sockets are no descriptors.
            let (config, _) = settings.config(arguments.seed, Descriptors(u64::MAX))?;
            // Files of keys are not read: they may be on the server alone.
            let beside = settings.beside_the_registry();
            if !beside.is_empty() {
                let _ = writeln!(
                    io::stderr(),
                    "headcount: these settings are not the registry's, and are not simulated: {}",
                    beside.join(", ")
                );
            }
            scenario.with_config(config)
        }
    };
    // Before the simulation, so that a mistake in the name does not cost its result.
    let plot = match &arguments.plot {
        None => None,
        Some(path) => {
            let file = fs::File::create(path).map_err(|error| {
                format!(
                    "--plot {}: cannot write there: {error}; choose another file",
                    path.display()
                )
            })?;
            Some((path, file))
        }
    };
    let report = simulate(&scenario, arguments.seed, &mut |percent| {
        let _ = writeln!(io::stderr(), "simulated {percent} %");
    });
    if let Err(error) = write!(io::stdout(), "{report}").and_then(|()| io::stdout().flush()) {
        let _ = writeln!(io::stderr(), "headcount: cannot write the report: {error}");
        return Ok(ExitCode::FAILURE);
    }
    if let Some((path, mut file)) = plot
        && let Err(error) = file.write_all(report.plot().as_bytes())
    {
        let _ = writeln!(io::stderr(), "headcount: cannot write {}: {error}", path.display());
        return Ok(ExitCode::FAILURE);
    }
    if !report.is_sound() {
        let _ = writeln!(io::stderr(), "headcount: the count does not hold: this is a bug");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
