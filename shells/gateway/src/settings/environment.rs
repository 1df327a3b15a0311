//! Settings from the environment: `HEADCOUNT_LIMITS_USERS` is `limits.users`.

use std::ffi::OsString;

use super::rows::{self, ROWS};
use super::{Origin, Settings};

const PREFIX: &str = "HEADCOUNT_";

/// Variables that size this project's tests, which may be set for a whole shell.
pub(super) const OF_THE_TESTS: [&str; 24] = [
    "SEED",
    "SEEDS",
    "FIRST",
    "SECONDS",
    "THREADS",
    "SHRINK",
    "SIZES",
    "SURVEY",
    "TRACE",
    "LENGTH",
    "CYCLES",
    "SOCKET_CYCLES",
    "NEIGHBOUR_MS",
    "HELD",
    "HELD_SECONDS",
    "FIGURES_MS",
    "CLIENTS",
    "RATE",
    "PINNED",
    "MILLION",
    "BINARY",
    "CUTS",
    "CUT_MS",
    "RUNTIMES",
];

impl Settings {
    /// Takes what the variables set. Variables with another prefix are ignored.
    pub(crate) fn read_environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), String> {
        let mut ours: Vec<_> = variables
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        // The environment has no order, and the same mistakes must make the same sentence.
        ours.sort();
        for (name, value) in ours {
            let suffix = &name[PREFIX.len()..];
            if let Some(row) = ROWS.iter().find(|row| variable(row.key) == name) {
                // A value that is not text must not be changed into text.
                let Some(value) = value.to_str() else {
                    return Err(format!("{name}: the value is not UTF-8"));
                };
                self.set(row.key, value.trim(), Origin::Variable(&name))?;
            } else if !OF_THE_TESTS.contains(&suffix)
                && !is_fault(&name)
                && !is_service_link(suffix, &value.to_string_lossy())
            {
                let nearest = variable(rows::nearest(suffix, '_'));
                return Err(format!("{name}: no such setting; the nearest one is {nearest}"));
            }
        }
        Ok(())
    }
}

/// Whether it plants a fault, in a build that has them.
fn is_fault(name: &str) -> bool {
    cfg!(debug_assertions) && name == crate::telemetry::fault::VARIABLE
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

/// What Kubernetes sets in every container beside a service called `headcount` or `headcount-…`:
/// `…SERVICE_HOST`, `…SERVICE_PORT`, `…SERVICE_PORT_<NAME>`, `…PORT=tcp://…`, `…PORT_7400_TCP…`.
/// No person has written these, so they are not reported as mistakes.
fn is_service_link(suffix: &str, value: &str) -> bool {
    let words = format!("_{suffix}");
    let numbered = words
        .split("_PORT_")
        .skip(1)
        .any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    words.ends_with("_SERVICE_HOST")
        || words.ends_with("_SERVICE_PORT")
        || words.contains("_SERVICE_PORT_")
        || (words.ends_with("_PORT") && value.contains("://"))
        || numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let mut settings = Settings::default();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        settings.read_environment(variables).map(|()| settings)
    }

    #[test]
    fn every_setting_has_a_variable_of_its_own() {
        let mut names: Vec<String> = ROWS.iter().map(|row| variable(row.key)).collect();
        for name in &names {
            let suffix = &name[PREFIX.len()..];
            assert!(!is_service_link(suffix, "tcp://10.0.0.1:80"), "{name}");
            assert!(!OF_THE_TESTS.contains(&suffix), "{name}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn variables_arrive() {
        let settings = settings(&[
            ("HEADCOUNT_LIMITS_USERS", "7"),
            ("HEADCOUNT_HEARTBEAT_PONG_TIMEOUT", " 3s "),
            ("HEADCOUNT_LISTEN", "[::1]:7"),
            ("HEADCOUNT_TRUSTED_PROXIES", "10.0.0.0/8,::1"),
            ("LIMITS_USERS", "many"),
        ])
        .unwrap();
        let config = crate::settings::tests::config(&settings).unwrap();
        assert_eq!((config.users(), config.pong_timeout().as_secs()), (7, 3));
        assert_eq!(settings.address("listen"), "[::1]:7".parse().unwrap());
    }

    #[test]
    fn mistakes_name_the_variable() {
        for (name, value, expected) in [
            ("HEADCOUNT_LIMITS_CONECTIONS", "5", "the nearest one is HEADCOUNT_LIMITS_CONNECTIONS"),
            ("HEADCOUNT_CONNECTIONS", "5", "the nearest one is HEADCOUNT_LIMITS_CONNECTIONS"),
            ("HEADCOUNT_LIMIT_USERS", "5", "the nearest one is HEADCOUNT_LIMITS_USERS"),
            ("HEADCOUNT_HEARTBEAT_WHATEVER", "5", "the nearest one is HEADCOUNT_HEARTBEAT_"),
            ("HEADCOUNT_LISTN", "127.0.0.1:0", "the nearest one is HEADCOUNT_LISTEN"),
            ("HEADCOUNT_", "5", "no such setting"),
            ("HEADCOUNT_limits_users", "5", "the nearest one is HEADCOUNT_LIMITS_USERS"),
            ("HEADCOUNT_PORT", "7400", "no such setting"),
            ("HEADCOUNT_LIMITS_USERS", "", "expected a whole number"),
            ("HEADCOUNT_HEARTBEAT_INTERVAL", "25", "=25: the value is not understood"),
        ] {
            let sentence = settings(&[(name, value)]).map(|_| ()).unwrap_err();
            assert!(sentence.starts_with(name) && sentence.contains(expected), "{sentence}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused_and_not_shown() {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let read = |name: &[u8]| {
            let variables = [(bytes(name), bytes(b"7\xff"))].into_iter();
            Settings::default().read_environment(variables)
        };
        let sentence = read(b"HEADCOUNT_LIMITS_USERS").unwrap_err();
        assert_eq!(sentence, "HEADCOUNT_LIMITS_USERS: the value is not UTF-8");
        assert!(read(b"HEADCOUNT_LIMITS_USERS\xff").unwrap_err().contains("no such setting"));
        assert!(read(b"HEADCOUNT_SERVICE_HOST").is_ok() && read(b"OTHER\xff").is_ok());
    }

    #[test]
    fn what_nobody_wrote_is_no_mistake() {
        for (name, value) in [
            ("HEADCOUNT_SEEDS", "100"),
            ("HEADCOUNT_SERVICE_HOST", "10.0.0.1"),
            ("HEADCOUNT_SERVICE_PORT", "7400"),
            ("HEADCOUNT_ADMIN_SERVICE_PORT_HTTP", "7401"),
            ("HEADCOUNT_PORT", "tcp://10.0.0.1:7400"),
            ("HEADCOUNT_PORT_7400_TCP_ADDR", "10.0.0.1"),
            ("HEADCOUNT_ADMIN_PORT_7401_TCP", "tcp://10.0.0.1:7401"),
        ] {
            assert!(settings(&[(name, value)]).is_ok(), "{name}");
        }
    }
}
