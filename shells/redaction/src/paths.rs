//! Local paths in a text: where they begin, and where they end.
//!
//! To take out too much is the lesser harm: a word of a message is lost, not the name of a user.

/// What stands for a path.
const PATH: &str = "[path]";
/// How far the closing quote of a path is looked for, in bytes.
const QUOTED: usize = 4_096;
/// The words of a user's name after its first.
const NAME_WORDS: usize = 3;

/// The text without its local paths. `None`: there are none.
pub(crate) fn without(text: &str) -> Option<String> {
    let mut written = String::new();
    let mut kept = 0;
    while let Some(start) = next(text, kept) {
        let end = end(text, start);
        written.push_str(&text[kept..start]);
        written.push_str(PATH);
        kept = end;
    }
    if kept == 0 {
        return None;
    }
    written.push_str(&text[kept..]);
    Some(written)
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// What stands before and after a path, but not in it.
const fn is_around(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(
            byte,
            b'"' | b'\''
                | b'`'
                | b'('
                | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'<'
                | b'>'
                | b'='
                | b','
                | b';'
                | b'|'
        )
}

/// Where the next path begins.
fn next(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut word = from;
    let mut at = from;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if is_around(bytes[at]) {
            word = at + 1;
        } else if at == word && is_address(rest) {
            // An address of another scheme is not a local path.
            at += rest.iter().position(|byte| is_around(*byte)).unwrap_or(rest.len());
            continue;
        } else if (at == word && (is_drive(rest) || is_file(rest)))
            || (is_separator(bytes[at]) && is_home(&rest[1..]))
        {
            return Some(word);
        } else if bytes[at] == b':' {
            word = at + 1;
        }
        at += 1;
    }
    None
}

/// `home/…` or `Users\…`.
fn is_home(bytes: &[u8]) -> bool {
    ["home", "users"].into_iter().any(|name| {
        bytes.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
            && bytes.get(name.len()).is_some_and(|byte| is_separator(*byte))
    })
}

/// `C:\…` or `C:/…`.
fn is_drive(bytes: &[u8]) -> bool {
    matches!(bytes, [letter, b':', separator, ..] if letter.is_ascii_alphabetic()
        && is_separator(*separator))
}

/// `file:/…`
fn is_file(bytes: &[u8]) -> bool {
    bytes.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"file:"))
        && bytes.get(5).is_some_and(|byte| is_separator(*byte))
}

/// `https://…`, with any scheme but `file`, and no single letter: that is a drive.
fn is_address(bytes: &[u8]) -> bool {
    let scheme = bytes
        .iter()
        .take(32)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    scheme > 1 && bytes[scheme..].starts_with(b"://") && !is_file(bytes)
}

/// Where the path ends that begins there.
fn end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let quote = start.checked_sub(1).map(|before| bytes[before]);
    quote
        .filter(|quote| matches!(quote, b'"' | b'\'' | b'`'))
        .and_then(|quote| closing(bytes, start, quote))
        .unwrap_or_else(|| unquoted(text, start))
}

fn closing(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let line = bytes[start..].iter().take(QUOTED).take_while(|byte| **byte != b'\n');
    let found =
        line.enumerate().find(|(at, byte)| **byte == quote && !is_apostrophe(bytes, start + at));
    found.map(|(at, _)| start + at)
}

/// Within a word, as in `O'Brien`.
fn is_apostrophe(bytes: &[u8], at: usize) -> bool {
    let letter = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
    };
    bytes[at] == b'\'' && letter(at.checked_sub(1)) && letter(at.checked_add(1))
}

fn unquoted(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut path = Read { component: start, in_home: false, windows: false };
    let mut open = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        match byte {
            b' ' => match path.goes_on(text, at) {
                Some(further) => {
                    at = further;
                    continue;
                }
                None => break,
            },
            b'"' | b'`' | b'<' | b'>' | b'|' => break,
            b'\'' if !is_apostrophe(bytes, at) => break,
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => match open.checked_sub(1) {
                Some(rest) => open = rest,
                None => break,
            },
            b',' | b';' if next.is_none_or(is_around) => break,
            // The number of a line, or the rest of a sentence. A list of paths goes on, and so do
            // `C:\` and `file:`, whose colon a separator follows.
            b':' if !next.is_some_and(is_separator) => break,
            byte if byte.is_ascii_whitespace() => break,
            _ => path.read(bytes, at),
        }
        at += 1;
    }
    // The end of a sentence is none of a path.
    if at > start + 1 && bytes[at - 1] == b'.' { at - 1 } else { at }
}

/// What has been read of a path.
struct Read {
    /// Where its last component begins.
    component: usize,
    /// Whether that is in a directory of homes: it is a user's name.
    in_home: bool,
    windows: bool,
}

impl Read {
    fn read(&mut self, bytes: &[u8], at: usize) {
        if !is_separator(bytes[at]) {
            return;
        }
        self.windows |= bytes[at] == b'\\';
        // Separators are doubled where a string is shown with its escapes.
        if self.component < at {
            let name = &bytes[self.component..at];
            self.in_home =
                name.eq_ignore_ascii_case(b"home") || name.eq_ignore_ascii_case(b"users");
        }
        self.component = at + 1;
    }

    /// Where a path goes on that has come to a space: at the next separator, or behind a word that
    /// must be part of a name. `None`: it ends.
    fn goes_on(&self, text: &str, space: usize) -> Option<usize> {
        let separator = if self.windows { '\\' } else { '/' };
        let mut words = text[space..].split_inclusive([' ', '\n', '"', '`', '<', '>', '|']);
        let mut at = space + words.next()?.len();
        let mut end_of_name = None;
        for (number, word) in words.take(NAME_WORDS).enumerate() {
            let name = word.trim_end_matches([' ', '\n', '"', '`', '<', '>', '|']);
            let bytes = name.as_bytes();
            if name.is_empty() || is_drive(bytes) || is_address(bytes) || is_file(bytes) {
                break;
            }
            match name.find(separator) {
                Some(0) => break,
                Some(place) => return Some(at + place),
                None if !self.in_home => break,
                // Where no separator follows, a capital is all that tells a name from a sentence.
                None if number == 0 && self.windows && name.starts_with(char::is_uppercase) => {
                    end_of_name = Some(at + name.len());
                }
                None => {}
            }
            at += word.len();
            if !word.ends_with(' ') {
                break;
            }
        }
        end_of_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        without(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn a_path_goes_whole() {
        for (text, expected) in [
            ("/home/alice/x.py", "[path]"),
            ("open /Users/alice/a: no such file", "open [path]: no such file"),
            ("at /home/alice/x.py:12:5.", "at [path]:12:5."),
            ("in /home/alice.", "in [path]."),
            (r"C:\Users\alice\x.txt is locked", "[path] is locked"),
            (r"c:/Users/alice/x.txt is locked", "[path] is locked"),
            (r"D:\data\x, D:\data\y", "[path], [path]"),
            (r"\\host\Users\alice\x", "[path]"),
            (r"'C:\\Users\\alice\\x'", "'[path]'"),
            ("file:///home/alice/x#L3", "[path]"),
            ("FILE:/etc/passwd", "[path]"),
            ("see file://host/share/x)", "see [path])"),
            ("/mnt/disk/home/alice/x", "[path]"),
            ("cwd=/home/alice/x", "cwd=[path]"),
            ("(/home/alice/x)", "([path])"),
            ("error:/home/alice/x", "error:[path]"),
            ("-v /home/alice:/data", "-v [path]"),
            ("https://example.com/?file=/home/alice/x", "https://example.com/?file=[path]"),
            ("/home/alice/app/[id]/page(1).tsx]", "[path]]"),
            ("a /home/alice/x\nb /home/bob/y", "a [path]\nb [path]"),
            ("/home/älice/日本/x y", "[path] y"),
            ("File \"/home/al ice/x.py\", line 3", "File \"[path]\", line 3"),
            ("'/home/o'brien/x y' and 'z'", "'[path]' and 'z'"),
            ("`/home/a b/c` d", "`[path]` d"),
            ("\"/home/alice/x", "\"[path]"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_in_several_words_goes_whole() {
        for (text, expected) in [
            (r"C:\Users\John Smith\x.txt is locked", "[path] is locked"),
            (r"C:\Users\John van der Smith\x.txt is locked", "[path] is locked"),
            (r"C:\Users\john\My Documents\x.txt is locked", "[path] is locked"),
            (r"C:\Users\John Smith", "[path]"),
            (r"C:\Users\John Smith is missing", "[path] is missing"),
            ("/Users/john smith/x is locked", "[path] is locked"),
            ("/home/a/my docs/x is locked", "[path] is locked"),
            ("/home/a/x and /home/b/y", "[path] and [path]"),
            (r"C:\Users\a to C:\Users\b", "[path] to [path]"),
            ("/home/a see https://b/c", "[path] see https://b/c"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_local_path_stays() {
        for text in [
            "",
            "/",
            "/home",
            "/usr/bin/env",
            "a/b and/or c",
            "https://example.com/home/alice",
            "see:https://example.com/Users/7",
            "git+ssh://host/home/x",
            "homes/users",
            "12:30",
            "[path]:3",
            "a: \\b",
            "profile://x",
        ] {
            assert_eq!(without(text), None, "{text}");
        }
    }
}
