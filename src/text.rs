//! Text that others wrote, made fit to be shown to people.

use alloc::string::String;
use core::fmt::{self, Formatter, Write as _};

/// Characters that are not seen, that break a line, or that move the ones around them, as inclusive
/// ranges in their order: controls, formats (bidirectional ones among them), separators other than
/// the plain space, and what Unicode says may be ignored by a display (`Cc`, `Cf`, `Zl`, `Zp`, `Zs`,
/// `Default_Ignorable_Code_Point`; and the blank of Braille).
const HIDDEN: [(char, char); 30] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character must not be shown as it is: it is not seen, breaks a line, or moves the
/// characters around it. Names may hold such characters, except controls.
///
/// ```
/// assert!(headcount::is_hidden('\u{202e}'), "it turns the text behind it round");
/// assert!(!headcount::is_hidden('é'));
/// ```
#[must_use]
pub fn is_hidden(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    let after = HIDDEN.partition_point(|(_, last)| *last < c);
    HIDDEN.get(after).is_some_and(|(first, _)| *first <= c)
}

/// A text for logs, messages and terminals: [hidden](is_hidden) characters are shown as `\u{202e}`,
/// `\n`, `\r` or `\t`, so that it is one line, and reads as it is written.
///
/// Everything else stays, backslashes included: it is for reading, and can't be turned back.
///
/// ```
/// use headcount::shown;
///
/// assert_eq!(shown("alice\nadmin").to_string(), r"alice\nadmin");
/// assert_eq!(shown("bob\u{200b}").to_string(), r"bob\u{200b}");
/// ```
#[must_use]
pub const fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

/// What [`shown`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_hidden) {
            let (plain, hidden) = rest.split_at(at);
            f.write_str(plain)?;
            let mut chars = hidden.chars();
            match chars.next() {
                Some('\n') => f.write_str("\\n")?,
                Some('\r') => f.write_str("\\r")?,
                Some('\t') => f.write_str("\\t")?,
                Some(c) => write!(f, "{}", c.escape_unicode())?,
                None => {}
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// Appends `text` as a JSON string, quotation marks included.
///
/// [Hidden](is_hidden) characters are escaped as well. A program reads the same string, and a person who
/// reads it in a terminal sees them.
///
/// ```
/// let mut line = String::from("name=");
/// headcount::quote_json("a \"b\"\u{200b}", &mut line);
/// assert_eq!(line, r#"name="a \"b\"\u200b""#);
/// ```
pub fn quote_json(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            c if is_hidden(c) => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(escape);
        if escape.is_empty() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string can't fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        plain = at + c.len_utf8();
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn what_the_standard_library_knows_to_be_hidden_is() {
        for c in '\0'..=char::MAX {
            let space = c.is_whitespace() && c != ' ';
            assert!(!(c.is_control() || space) || is_hidden(c), "{:x}", c as u32);
            assert!(
                !c.is_alphanumeric() || !is_hidden(c) || IGNORED.contains(&c),
                "{:x}",
                c as u32
            );
        }
    }

    /// Letters that are not seen: fillers, and vowels that Khmer does not use.
    const IGNORED: [char; 6] =
        ['\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}', '\u{ffa0}'];

    #[test]
    fn formats_directions_and_separators_are_hidden_and_scripts_are_not() {
        for c in [
            '\u{200b}',
            '\u{200e}',
            '\u{202a}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{ad}',
            '\u{61c}',
            '\u{e0041}',
            '\u{fe0f}',
            '\u{a0}',
        ] {
            assert!(is_hidden(c), "{:x}", c as u32);
        }
        for c in "aZ ~é\u{301}ßЖ中あ한ก็हिन्दीعربי🦀".chars() {
            assert!(!is_hidden(c), "{c}");
        }
    }

    #[test]
    fn one_line_that_reads_as_it_is_written() {
        for (text, expected) in [
            ("", ""),
            ("plain \\ \"text\"", "plain \\ \"text\""),
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
            ("\r\n\t\u{0}\u{2028}", "\\r\\n\\t\\u{0}\\u{2028}"),
            ("हिन्दी \u{e0001}", "हिन्दी \\u{e0001}"),
        ] {
            assert_eq!(shown(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_not_seen_is_escaped_and_the_rest_stays() {
        for (text, quoted) in [
            ("", r#""""#),
            ("né, 日本", r#""né, 日本""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\nb\r\tc\0", r#""a\nb\r\tc\u0000""#),
            ("x\u{202e}y\u{e0001}", r#""x\u202ey\udb40\udc01""#),
        ] {
            let mut out = String::new();
            quote_json(text, &mut out);
            assert_eq!(out, quoted);
        }
    }
}
