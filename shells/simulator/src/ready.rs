//! The scenarios that come with the simulator.

use std::path::Path;

use crate::scenario::{Scenario, ScenarioError};

/// The names of the ready scenarios, each with its file.
pub const READY: &[(&str, &str)] = &[
    ("agent-stream", include_str!("ready/agent-stream.toml")),
    ("deploy-storm", include_str!("ready/deploy-storm.toml")),
    ("half-open-30", include_str!("ready/half-open-30.toml")),
    ("million", include_str!("ready/million.toml")),
    ("origin-incident", include_str!("ready/origin-incident.toml")),
    ("slow-reader", include_str!("ready/slow-reader.toml")),
    ("tab-flood", include_str!("ready/tab-flood.toml")),
];

/// A ready scenario, or one from a file. `directory` is where files are looked for; `None` for the
/// current one.
///
/// # Errors
/// [`ScenarioError`] says what is wrong, where, and what to do.
pub fn scenario(name: &str, directory: Option<&Path>) -> Result<Scenario, ScenarioError> {
    if let Some((name, text)) = READY.iter().find(|(ready, _)| *ready == name) {
        return Scenario::parse(text, name);
    }
    let path = directory.map_or_else(|| name.into(), |directory| directory.join(name));
    let names: Vec<_> = READY.iter().map(|(name, _)| *name).collect();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let ready = names.join(", ");
        ScenarioError(if error.kind() == std::io::ErrorKind::NotFound {
            format!(
                "there is no scenario {name:?}: it is no file, and none of the ready ones, which \
                 are {ready}"
            )
        } else {
            format!("cannot read {name}: {error}; give a TOML file, or one of {ready}")
        })
    })?;
    Scenario::parse(&text, name)
}
