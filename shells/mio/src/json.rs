//! JSON strings, for the bodies of answers and for frames.

use std::fmt::Write as _;

use headcount::is_hidden;

/// Appends `text` as a JSON string, quotation marks included.
///
/// [Hidden](is_hidden) characters are escaped as well. A program reads the same string, and a person who
/// reads it in a terminal sees them.
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
    use super::*;

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
