//! Histories as text, for files that people read and commit: comments, the configuration, and one
//! operation a line.
//!
//! ```text
//! # A message is sent to a room that its only member has left.
//! configuration 17
//! Arrive((user: 0, thread: 0, label: None, resume: Fresh, previous: None, expiry: None))
//! Leave(conn: Known(0), room: 0)
//! ```

use core::fmt;
use core::str::FromStr;

use ron::ser::PrettyConfig;

use super::history::History;

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "configuration {}", self.configuration)?;
        for op in &self.ops {
            let line = PrettyConfig::new().depth_limit(0).separator(" ");
            let line = ron::ser::to_string_pretty(op, line).map_err(|_| fmt::Error)?;
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let first = lines.next().and_then(|(_, line)| line.strip_prefix("configuration "));
        let configuration = first.and_then(|number| number.trim().parse().ok());
        let configuration =
            configuration.ok_or("it does not begin with `configuration <number>`")?;
        let parse =
            |(number, line)| ron::from_str(line).map_err(|error| format!("line {number}: {error}"));
        Ok(Self { configuration, ops: lines.map(parse).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for seed in 0..50 {
            let history = History::from_seed(seed);
            let text = format!("# A comment.\n\n{history}\n");
            assert_eq!(text.parse(), Ok(history));
        }
    }

    #[test]
    fn an_operation_is_one_readable_line() {
        let text = "configuration 3\nJoin(conn: Open(1), room: 2, since: Behind(3))\nTick\n";
        let history: History = text.parse().unwrap();
        assert_eq!(history.to_string(), text);
    }

    #[test]
    fn what_is_no_history_says_where() {
        for (text, where_it_is) in [
            ("", "configuration"),
            ("Tick", "configuration"),
            ("configuration x", "configuration"),
            ("configuration 1\nTick\n\nTock", "line 4"),
        ] {
            let error = text.parse::<History>().unwrap_err();
            assert!(error.contains(where_it_is), "{error}");
        }
    }
}
