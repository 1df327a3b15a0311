//! Which keys a list of patterns is about: by whole words.

use std::collections::BTreeMap;

/// Patterns, each as its words in lower case without what separates them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// By their first byte: few of them are compared with each word of a key.
    patterns: BTreeMap<u8, Vec<String>>,
}

impl Words {
    /// `None`: one of the patterns has no letter and no digit.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut words = Self::default();
        for pattern in patterns {
            let Key { joined, .. } = Key::new(pattern);
            words.patterns.entry(*joined.as_bytes().first()?).or_default().push(joined);
        }
        Some(words)
    }

    /// Whether neighbouring words of the key make one of the patterns. Its cost grows with the
    /// length of the key.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        let starts = std::iter::once(&0).chain(&key.ends);
        starts.into_iter().any(|start| {
            let rest = &key.joined[*start..];
            let candidates = rest.as_bytes().first().and_then(|byte| self.patterns.get(byte));
            candidates.into_iter().flatten().any(|pattern| {
                rest.starts_with(pattern.as_str())
                    && key.ends.binary_search(&(start + pattern.len())).is_ok()
            })
        })
    }
}

/// What the last character was, as far as it decides whether a word ends before the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Upper,
    Lower,
    Digit,
}

/// A key in its words.
#[derive(Debug)]
pub(crate) struct Key {
    /// In lower case, without what separates them.
    joined: String,
    /// Where in that each of them ends.
    ends: Vec<usize>,
}

impl Key {
    pub(crate) fn new(key: &str) -> Self {
        let (mut joined, mut ends) = (String::with_capacity(key.len()), Vec::new());
        let mut last = Last::Nothing;
        let mut rest = key.chars().peekable();
        while let Some(c) = rest.next() {
            let now = if c.is_numeric() {
                Last::Digit
            } else if c.is_uppercase() {
                Last::Upper
            } else if c.is_alphanumeric() {
                Last::Lower
            } else {
                Last::Nothing
            };
            let ended = match (last, now) {
                (Last::Nothing, _) => false,
                (Last::Lower, Last::Upper) => true,
                // The last capital of several begins the next word: `APIKey`.
                (Last::Upper, Last::Upper) => rest.peek().is_some_and(|next| next.is_lowercase()),
                (Last::Upper, Last::Lower) => false,
                (last, now) => last != now,
            };
            if ended {
                ends.push(joined.len());
            }
            if now != Last::Nothing {
                joined.extend(c.to_lowercase());
            }
            last = now;
        }
        if last != Last::Nothing {
            ends.push(joined.len());
        }
        Self { joined, ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(key: &str) -> Vec<String> {
        let Key { joined, ends } = Key::new(key);
        let mut start = 0;
        ends.iter()
            .map(|end| joined[std::mem::replace(&mut start, *end)..*end].to_owned())
            .collect()
    }

    #[test]
    fn words_end_at_separators_at_digits_and_where_the_case_changes() {
        for (key, expected) in [
            ("", &[][..]),
            ("__", &[]),
            ("password", &["password"]),
            ("api_key", &["api", "key"]),
            ("apiKey", &["api", "key"]),
            ("API-KEY", &["api", "key"]),
            ("APIKey", &["api", "key"]),
            ("x-api.key  id", &["x", "api", "key", "id"]),
            ("MyHTTPToken2", &["my", "http", "token", "2"]),
            ("_Größe_", &["größe"]),
            ("ПарольАдмина", &["пароль", "админа"]),
            ("pass\u{200b}word", &["pass", "word"]),
        ] {
            assert_eq!(words(key), expected, "{key}");
        }
    }

    #[test]
    fn patterns_match_whole_words() {
        let words = Words::new(["api-key", "Auth", "пароль"].into_iter()).unwrap();
        for key in ["api_key", "apikey", "APIKEY", "x-api-key-2", "auth", "basicAuth", "Пароль1"]
        {
            assert!(words.contains(&Key::new(key)), "{key}");
        }
        for key in ["key", "api", "author", "authority", "keyword", "monkey", "apiMonkey", ""] {
            assert!(!words.contains(&Key::new(key)), "{key}");
        }
        assert_eq!(Words::new(["a", "-"].into_iter()), None);
        assert!(!Words::default().contains(&Key::new("password")));
    }
}
