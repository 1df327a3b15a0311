//! Settings from the flags of the command line.

use std::path::PathBuf;

use clap::Args;

use super::rows::is_key;
use super::{Origin, Settings};

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Address of the WebSocket port; port 0 picks a free one [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Address of the admin port, for the back end and operators [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<String>,

    /// Read settings from a TOML file; SIGHUP and POST /v1/reload read it again
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Change a setting; repeatable (--help lists them)
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,
}

impl Flags {
    /// Takes what the flags set.
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        for (key, flag, given) in
            [("listen", "--listen", &self.listen), ("admin", "--admin", &self.admin)]
        {
            if let Some(text) = given {
                settings.set(key, text, Origin::Flag(flag))?;
            }
        }
        for given in &self.set {
            let Some((key, value)) = given.split_once('=') else {
                // What follows the key may be a secret, and so may all of it.
                let is_of_key = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
                let end = given.find(|c| !is_of_key(c)).unwrap_or(given.len());
                let key = Some(&given[..end]).filter(|key| is_key(key)).unwrap_or("…");
                return Err(format!(
                    "--set {key}: a setting is written table.key=value, such as \
                     --set heartbeat.interval=25s"
                ));
            };
            settings.set(key.trim(), value.trim(), Origin::Set)?;
        }
        Ok(())
    }
}
