//! `headcount check` and `headcount config`: settings, without a server.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use headcount::shown;

use super::USAGE;
use super::serve::Serve;
use crate::limits::descriptors::Descriptors;
use crate::settings::sources::{self, Sources};

/// What chance is drawn from. No setting depends on it.
const SEED: u64 = 0;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// A file of settings in TOML, as serve --config takes it
    file: PathBuf,
}

/// Says every mistake of a file, each in a line on standard error, or `ok`.
pub(crate) fn run(arguments: &Check) -> Result<ExitCode, String> {
    let mistakes = sources::mistakes(&arguments.file, SEED, Descriptors::of_the_process());
    if mistakes.is_empty() {
        return print("ok\n");
    }
    for mistake in mistakes {
        let _ = writeln!(io::stderr(), "headcount: {}", shown(&mistake));
    }
    Ok(ExitCode::from(USAGE))
}

/// Prints the settings that a server with these arguments would have, started here and now.
pub(crate) fn show(arguments: Serve) -> Result<ExitCode, String> {
    let descriptors = Descriptors::of_the_process();
    let plan = Sources::new(arguments.settings, SEED, descriptors).read()?;
    print(&plan.settings.show(&plan.config, descriptors)?)
}

/// Writes an answer on standard output.
pub(super) fn print(text: &str) -> Result<ExitCode, String> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let _ = writeln!(io::stderr(), "headcount: cannot write the answer: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}
