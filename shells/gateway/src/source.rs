//! Everything that the settings are read from: once at the start, and again for every reload.

use headcount::{Config, shown};
use tracing::warn;

use crate::cli;
use crate::settings::Settings;

/// Descriptors that are needed for what is not an admitted connection, at the very least.
const FEWEST_SPARE: u64 = 64;

/// The flags, the environment and the file, and what the process has been given.
#[derive(Debug)]
pub(crate) struct Source {
    arguments: cli::Serve,
    seed: u64,
    descriptors: u64,
}

/// What they say together.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) config: Config,
}

impl Source {
    pub(crate) const fn new(arguments: cli::Serve, seed: u64, descriptors: u64) -> Self {
        Self { arguments, seed, descriptors }
    }

    /// Whether there is a file, the only one of them that changes while the process runs.
    pub(crate) const fn has_file(&self) -> bool {
        self.arguments.config.is_some()
    }

    /// Reads all of them. A mistake is one line, the same at the start and for a reload.
    pub(crate) fn read(&self) -> Result<Plan, String> {
        self.plan().map_err(|sentence| shown(&sentence).to_string())
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut settings = Settings::default();
        // Each replaces what those before it have set.
        if let Some(path) = &self.arguments.config {
            settings.read_file(path)?;
        }
        settings.read_environment(std::env::vars_os())?;
        self.arguments.apply(&mut settings)?;
        let config = settings.config(self.seed, self.descriptors)?;
        for key in ["listen", "admin"] {
            cli::only_loopback(&settings.written(key), settings.address(key))?;
        }
        Ok(Plan { settings, config })
    }

    /// Warns of a limit that the process can't keep.
    pub(crate) fn warn_of(&self, config: &Config) {
        let (connections, descriptors) = (config.connections(), self.descriptors);
        if u64::from(connections) + FEWEST_SPARE > descriptors {
            warn!(
                connections,
                descriptors,
                "limits.connections is more than the descriptor limit (ulimit -n) lets in"
            );
        }
    }
}
