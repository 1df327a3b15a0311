//! Settings from a file in TOML: `users = 5` below `[limits]` is `limits.users`.

use std::io;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rows;
use super::{Origin, Settings};
use crate::regular_file;

/// The largest file: a larger one is another file than was meant.
const MAX_BYTES: u64 = 1 << 20;

impl Settings {
    /// Takes what a file sets.
    pub(crate) fn read_file(&mut self, path: &Path) -> Result<(), String> {
        let mistakes = self.take_file(path, "--config ");
        mistakes.into_iter().next().map_or(Ok(()), Err)
    }

    /// Takes what a file sets: everything that is wrong with it.
    pub(crate) fn check_file(&mut self, path: &Path) -> Vec<String> {
        self.take_file(path, "")
    }

    /// `flag` is what stood before the file's name.
    fn take_file(&mut self, path: &Path, flag: &str) -> Vec<String> {
        let name = path.display().to_string();
        match text(path) {
            Ok(text) => parse(&name, &text, self),
            Err(error) => {
                vec![format!("{flag}{name}: {error}; name a TOML file that this process may read")]
            }
        }
    }
}

/// The text of a regular file that is not larger than it should be.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let bytes = regular_file::read(path, MAX_BYTES)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// Takes what the text sets: everything that is wrong with it, in the order of its lines.
fn parse(path: &str, text: &str, settings: &mut Settings) -> Vec<String> {
    let line = |offset: usize| {
        let before = &text.as_bytes()[..offset.min(text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = errors.into_iter().map(|error| {
        let line = line(error.span().map_or(text.len(), |span| span.start));
        // The value is left out: it may be a secret whose quotes are missing.
        let key = text.lines().nth(line - 1).and_then(|written| written.split_once('='));
        let key = key.map_or_else(String::new, |(key, _)| format!("{}: ", key.trim()));
        let message = error.message();
        let hint = if message.contains("must be quoted") { ", such as \"25s\"" } else { "" };
        format!("{path}:{line}: {key}this is not TOML: {message}{hint}")
    });
    let mut mistakes: Vec<_> = errors.collect();
    if !mistakes.is_empty() {
        // What else it says is a guess.
        return mistakes;
    }
    let mut entries = Vec::new();
    flatten(table.get_ref(), "", &mut entries);
    entries.sort_by_key(|entry| entry.offset);
    for Entry { offset, key, value } in entries {
        let origin = Origin::Line { path, line: line(offset) };
        mistakes.extend(match value {
            Some(value) => settings.set(&key, &value, origin).err(),
            None => Some(unknown_table(&key, origin)),
        });
    }
    mistakes
}

/// A value as a file has it, given as the command line has it.
pub(super) fn literal(text: &str) -> String {
    match DeValue::parse(text) {
        // Numbers, lists, `true`.
        Ok(value) if written(value.get_ref()) == text => text.to_owned(),
        _ => toml::Value::from(text).to_string(),
    }
}

/// One setting of the file; without a value, the empty table of this name.
struct Entry {
    offset: usize,
    key: String,
    value: Option<String>,
}

fn flatten(table: &DeTable<'_>, above: &str, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = match above {
            "" => name.get_ref().to_string(),
            above => format!("{above}.{}", name.get_ref()),
        };
        let offset = name.span().start;
        match value.get_ref() {
            DeValue::Table(below) if !below.is_empty() => flatten(below, &key, entries),
            // What is under a heading may all be commented out.
            DeValue::Table(_) if above.is_empty() && rows::is_table(&key) => {}
            DeValue::Table(_) => entries.push(Entry { offset, key, value: None }),
            value => entries.push(Entry { offset, key, value: Some(written(value)) }),
        }
    }
}

fn unknown_table(key: &str, origin: Origin<'_>) -> String {
    let place = origin.place(key);
    if rows::find(key).is_some() {
        return format!("{place}: a setting, not a table; write {key} = value");
    }
    let mut tables: Vec<_> = rows::tables().collect();
    tables.dedup();
    format!("{place}: no such table; there are {}", tables.join(", "))
}

/// A value as the command line would have it.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.to_string(),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items: Vec<_> = items.iter().map(Spanned::get_ref).map(item).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(_) => "{}".to_owned(),
    }
}

fn item(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        other => written(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::proxies::Proxies;

    fn settings(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        match parse("a.toml", text, &mut settings).into_iter().next() {
            Some(mistake) => Err(mistake),
            None => Ok(settings),
        }
    }

    #[test]
    fn values_arrive_in_whatever_way_toml_has_for_them() {
        let settings = settings(
            "listen = 'localhost:1'\ntrusted_proxies = [\n \"10.0.0.0/8\", # ours\n '::1',\n]\n\
             stream.bytes = \"64KiB\"\n[limits]\nusers = 1_000\nrooms = 0x10\nsessions = \"2000\"\n\
             over_cap = \"evict-oldest\"\n[session]\n[heartbeat]\ninterval = \"\"\"3s\"\"\"\n",
        )
        .unwrap();
        let config = crate::settings::tests::config(&settings).unwrap();
        assert_eq!((config.users(), config.rooms(), config.sessions()), (1_000, 16, 2_000));
        assert_eq!((config.stream_bytes(), config.ping_interval().as_secs()), (65_536, 3));
        assert_eq!(config.over_cap(), headcount::OverCap::EvictOldest);
        assert_eq!(Ok(settings.trusted_proxies()), Proxies::parse("10.0.0.0/8,::1"));
        assert_eq!(settings.address("listen").port(), 1);
    }

    #[test]
    fn mistakes_name_the_line_and_the_key() {
        for (text, expected) in [
            (
                "[limits]\nconections = 5",
                "a.toml:2: limits.conections: no such setting; the nearest one is \
                 limits.connections",
            ),
            (
                "\n[limit]\nusers = 5",
                "a.toml:3: limit.users: no such setting; the nearest one is limits.users",
            ),
            (
                "conections = 5",
                "a.toml:1: conections: no such setting; the nearest one is limits.connections",
            ),
            ("# a comment\nlimits = 5", "a.toml:2: limits: a table, not a setting"),
            (
                "[limits]\r\nusers = \"many\"",
                "a.toml:2: limits.users = many: the value is not understood; expected a \
                 whole number",
            ),
            ("[limits]\nusers = -5", "a.toml:2: limits.users = -5: "),
            ("[limits]\nusers = [5]", "a.toml:2: limits.users = [5]: "),
            ("[limits]\nusers = 5.5", "a.toml:2: limits.users = 5.5: "),
            ("[limits]\nusers = true", "a.toml:2: limits.users = true: "),
            ("[limits]\nusers = 2026-01-01", "a.toml:2: limits.users = 2026-01-01: "),
            (
                "[heartbeat]\ninterval = 25",
                "a.toml:2: heartbeat.interval = 25: the value is not understood; expected \
                 a whole number and a unit",
            ),
            ("[heartbeat]\ninterval = 25s", "a.toml:2: interval: this is not TOML: string values "),
            ("[limits]\nusers = 5\nusers = 6", "a.toml:3: users: this is not TOML: duplicate key"),
            ("[limits", "a.toml:1: this is not TOML: "),
            ("[limits]\nrooms = many\nusers = ", "a.toml:2: rooms: this is not TOML: "),
            (
                "[authors]",
                "a.toml:1: authors: no such table; there are auth, rooms, limits, session, ",
            ),
            ("[auth]\nkye = 5", "a.toml:2: auth.kye: no such setting"),
            ("[limits.users]", "a.toml:1: limits.users: a setting, not a table"),
            ("[[limits]]\nusers = 5", "a.toml:1: limits: a table, not a setting"),
            ("trusted_proxies = [[\"::1\"]]", "a.toml:1: trusted_proxies = [[\"::1\"]]: "),
            ("key_file = a secret", "a.toml:1: key_file: this is not TOML: string values must be"),
            ("zeta = 1\nalpha = 1", "a.toml:1: zeta: no such setting"),
        ] {
            let sentence = settings(text).map(|_| ()).unwrap_err();
            assert!(sentence.starts_with(expected), "{text:?}: {sentence}");
            assert!(!sentence.contains("secret"), "{sentence}");
        }
    }

    #[test]
    fn every_mistake_is_found_in_the_order_of_the_lines() {
        let text = "nonsense = 1\n[limits]\nusers = \"many\"\nrooms = 5\nconections = 5\n[zoo]\n";
        let mistakes = parse("a.toml", text, &mut Settings::default());
        let lines: Vec<_> = mistakes.iter().map(|mistake| &mistake[..9]).collect();
        assert_eq!(lines, ["a.toml:1:", "a.toml:3:", "a.toml:5:", "a.toml:6:"], "{mistakes:?}");
        let mistakes = parse("a.toml", "a = \nb = 1\nc = 25s\n", &mut Settings::default());
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes.iter().all(|mistake| mistake.contains("this is not TOML")));
    }

    #[test]
    fn a_value_of_the_command_line_is_written_as_a_file_has_it() {
        for (text, expected) in [
            ("5", "5"),
            ("true", "true"),
            ("25s", "\"25s\""),
            ("[\"a\", \"b\"]", "[\"a\", \"b\"]"),
            ("a,b", "\"a,b\""),
            ("", "\"\""),
            ("0x10", "\"0x10\""),
        ] {
            assert_eq!(literal(text), expected);
        }
        for text in ["a\"b\\", "5 # x", "a\nb = 1", "\u{e0041}\u{7f}"] {
            let file = format!("x = {}", literal(text));
            let table = DeTable::parse(&file).unwrap();
            assert_eq!(written(table.get_ref().get("x").unwrap().get_ref()), text, "{file}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let mut settings = Settings::default();
        for (path, expected) in [("/dev/null", "no regular file"), ("/does/not/exist", "No such")] {
            let sentence = settings.read_file(Path::new(path)).unwrap_err();
            assert!(
                sentence.starts_with(&format!("--config {path}: ")) && sentence.contains(expected),
                "{sentence}"
            );
        }
    }
}
