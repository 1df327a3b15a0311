//! The texts of JSON strings: read, written, and cut.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What a string of JSON says, given what stands between its quotes. Half of a surrogate pair is
/// U+FFFD. The escapes must be valid, which the scanner has seen to.
pub(crate) fn decode(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (c, length) = escaped(&rest[at..]);
        text.push(c);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character of the escape that the text begins with, and the escape's length.
fn escaped(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    match text.as_bytes().get(1) {
        Some(b'u') => match (unit(0), unit(6)) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(code).unwrap_or('\u{fffd}'), 12)
            }
            (Some(code), _) => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
            (None, _) => ('\u{fffd}', 2),
        },
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'"') => ('"', 2),
        Some(b'/') => ('/', 2),
        _ => ('\\', 2),
    }
}

/// A JSON string with its quotes.
pub(crate) fn encode(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// A text of at most so many bytes, which ends with how many went. `None`: it is short enough.
pub(crate) fn cut(text: &str, most: usize) -> Option<String> {
    if text.len() <= most {
        return None;
    }
    // No fewer digits than the count that is written in the end.
    let marker = marker(text.len());
    let mut kept = most.saturating_sub(marker.len());
    while !text.is_char_boundary(kept) {
        kept -= 1;
    }
    Some(format!("{}{}", &text[..kept], self::marker(text.len() - kept)))
}

fn marker(bytes: usize) -> String {
    format!("… [{bytes} bytes cut]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_read() {
        let raw = r#"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00é"#;
        assert_eq!(decode(raw), "\"\\/\u{8}\u{c}\n\r\tA😀é");
        assert_eq!(decode(r"a\ud83d"), "a\u{fffd}");
        assert_eq!(decode(r"\ude00\ud83d\ud83d\ude00"), "\u{fffd}\u{fffd}😀");
        assert_eq!(decode(r"\ud83d\n"), "\u{fffd}\n");
        assert!(matches!(decode("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["", "\"\\/\u{0}\u{1f}\u{7f}\n\r\t", "é😀\u{202e}"] {
            let json = encode(text);
            assert_eq!(decode(&json[1..json.len() - 1]), text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn a_cut_text_is_as_long_as_allowed_and_says_what_went() {
        assert_eq!(cut(&"x".repeat(64), 64), None);
        let long = cut(&"x".repeat(1_000), 64).unwrap();
        assert_eq!(long, format!("{}… [956 bytes cut]", "x".repeat(44)));
        for most in 64..72 {
            let short = cut(&"😀".repeat(100), most).unwrap();
            assert!(short.len() <= most && short.len() > most - 8, "{short}");
            assert_eq!(cut(&short, most), None);
        }
    }
}
