//! The settings in force as a file that would make them, with where each comes from.

use std::fmt::Write as _;

use headcount::{Config, shown};

use super::Settings;
use super::file::literal;
use super::rows::{ROWS, Row};
use super::value::Value;
use crate::limits::descriptors::Descriptors;
use crate::settings::syntax;

impl Settings {
    /// A file that makes these settings, except for secrets, which it only says to be set or not.
    ///
    /// `config` is what they make. It tells what the process could not keep, and what a default
    /// became that follows other settings.
    pub(crate) fn show(&self, config: &Config, descriptors: Descriptors) -> Result<String, String> {
        let usual = Self::default().config(0, descriptors)?.0;
        let of_profile = self.only("profile").config(0, descriptors)?.0;
        let mut text = String::new();
        let mut tables = vec![""];
        for (table, _) in ROWS.iter().filter_map(|row| row.key.split_once('.')) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        for table in tables {
            if !table.is_empty() {
                let _ = writeln!(text, "\n[{table}]");
            }
            for row in ROWS {
                let (of, name) = row.key.split_once('.').unwrap_or(("", row.key));
                if of == table {
                    let (value, source) = self.line(row, config, [&usual, &of_profile]);
                    let _ = match value {
                        Some(value) => writeln!(text, "{name} = {value}  # {}", shown(&source)),
                        None => writeln!(text, "# {name}: {}", shown(&source)),
                    };
                }
            }
        }
        Ok(text)
    }

    /// The value of a row as a file has it, and where it comes from. Without a value, what there is
    /// to say in its place.
    fn line(
        &self,
        row: &Row,
        config: &Config,
        [usual, of_profile]: [&Config; 2],
    ) -> (Option<String>, String) {
        let in_config = row.of(config);
        let Some(given) = self.given.get(row.key) else {
            let Some(value) = in_config else {
                return match row.takes.default_text() {
                    Some(text) => (Some(literal(&text)), "default".to_owned()),
                    None => (None, "not set".to_owned()),
                };
            };
            let source = if row.of(usual).as_ref() == Some(&value) {
                "default".to_owned()
            } else if row.of(of_profile).as_ref() == Some(&value) {
                let profile = self.given.get("profile");
                profile.map_or_else(String::new, |given| format!("profile {}", given.text))
            } else {
                "follows other settings".to_owned()
            };
            return (written(&value).map(|text| literal(&text)), source);
        };
        if row.takes.is_secret() {
            return (None, format!("set, by {}", given.source));
        }
        match in_config {
            Some(value) if value != given.value => {
                let (from, source) = (&given.text, &given.source);
                let source = format!("{source}, lowered from {from}: the descriptor limit");
                (written(&value).map(|text| literal(&text)), source)
            }
            _ => {
                let bare = syntax::unquoted(&given.text);
                let text = if bare.contains('"') { &given.text } else { bare };
                (Some(literal(text)), given.source.clone())
            }
        }
    }

    /// Of these settings one alone.
    fn only(&self, key: &str) -> Self {
        let given = self.given.iter().filter(|(other, _)| **other == key);
        Self { given: given.map(|(key, given)| (*key, given.clone())).collect() }
    }
}

/// A value of the registry's configuration as it would be given. `None`: it has none of this form.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Amount(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Origin;

    const DESCRIPTORS: Descriptors = Descriptors(100_000);

    fn given(given: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in given {
            settings.set(key, value, Origin::Set).unwrap();
        }
        settings
    }

    fn shown_of(settings: &Settings) -> String {
        let config = settings.config(1, DESCRIPTORS).unwrap().0;
        settings.show(&config, DESCRIPTORS).unwrap()
    }

    #[test]
    fn a_default_says_what_it_comes_from() {
        let text = shown_of(&given(&[("profile", "production"), ("limits.connections", "1000")]));
        for line in [
            "profile = \"production\"  # --set",
            "connections = 1000  # --set",
            "idle = \"15m\"  # profile production",
            "sessions = 2000  # follows other settings",
            "connections_per_user = 16  # default",
            "# admin_key: not set",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
        }
    }

    #[test]
    fn what_was_lowered_says_from_what() {
        let text =
            shown_of(&given(&[("limits.connections", "99999"), ("limits.pending", "99999")]));
        let lowered = "# --set, lowered from 99999: the descriptor limit";
        assert_eq!(text.matches(lowered).count(), 2, "{text}");
    }

    #[test]
    fn every_default_can_be_written_and_is_read_again() {
        let text = shown_of(&Settings::default());
        let table: toml::Table = text.parse().unwrap();
        for row in ROWS {
            let (of, name) = row.key.split_once('.').unwrap_or(("", row.key));
            let table = if of.is_empty() { Some(&table) } else { table[of].as_table() };
            let has_default = row.takes.default_text().is_some()
                || row.of(&Settings::default().config(1, DESCRIPTORS).unwrap().0).is_some();
            assert_eq!(table.unwrap().contains_key(name), has_default, "{}", row.key);
            assert_eq!(
                row.takes.default_text().is_some(),
                row.takes.default().is_some(),
                "{}",
                row.key
            );
            if !has_default {
                assert!(text.contains(&format!("# {name}: not set")), "{}", row.key);
            }
        }
    }
}
