//! Halves of characters: JSON can escape a surrogate pair in two parts, and a back end that cuts a
//! text between them sends each half by itself.
//!
//! One rule for all that clients receive: it holds no half of a pair. In what goes on (the texts of
//! a run, and its thoughts) a first half waits for its second, and one that stays alone is U+FFFD;
//! in everything else it is U+FFFD at once.

use std::borrow::Cow;
use std::ops::Range;

use super::report::OwnedPart;

/// The escape of a character that could not be read; as long as that of a half.
const REPLACEMENT: &str = "\\ufffd";
/// The length of an escape.
const LENGTH: usize = 6;

/// JSON text in which no string holds half of a pair: each is U+FFFD. The rest stays as it was.
pub(crate) fn mend(json: &str) -> Cow<'_, str> {
    let mut mended = Cow::Borrowed(json);
    for (place, _) in halves(json) {
        mended.to_mut().replace_range(place..place + LENGTH, REPLACEMENT);
    }
    mended
}

/// One string of a text that goes on in the next, as JSON: with the half that waited before it, and
/// without the half that is to wait after it.
pub(super) fn join<'a>(waited: Option<u16>, json: &'a str) -> (Cow<'a, str>, Option<u16>) {
    const EMPTY: &str = "\"\"";
    if json == EMPTY {
        return (json.into(), waited);
    }
    let mut joined = Cow::Borrowed(json);
    if let Some(waited) = waited {
        joined.to_mut().insert_str(1, &format!("\\u{waited:04x}"));
    }
    let waits = halves(&joined)
        .last()
        .filter(|(place, half)| is_first(*half) && joined.get(place + LENGTH..) == Some("\""));
    if let Some((place, _)) = waits {
        joined.to_mut().replace_range(place..place + LENGTH, "");
    }
    let mended = match mend(&joined) {
        Cow::Borrowed(_) => joined,
        Cow::Owned(mended) => Cow::Owned(mended),
    };
    (mended, waits.map(|(_, half)| half))
}

const fn is_first(unit: u16) -> bool {
    matches!(unit, 0xd800..=0xdbff)
}

const fn is_second(unit: u16) -> bool {
    matches!(unit, 0xdc00..=0xdfff)
}

/// The escapes in JSON text that are half of a pair and stand alone, and where each begins.
fn halves(json: &str) -> impl Iterator<Item = (usize, u16)> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        // There are backslashes in strings only.
        while let Some(place) = json.get(from..)?.find('\\').map(|ahead| from + ahead) {
            let Some(unit) = escaped(json, place..place + LENGTH) else {
                from = place + 2;
                continue;
            };
            from = place + LENGTH;
            if is_first(unit) && escaped(json, from..from + LENGTH).is_some_and(is_second) {
                from += LENGTH;
            } else if is_first(unit) || is_second(unit) {
                return Some((place, unit));
            }
        }
        None
    })
}

/// The unit that is escaped there as four digits; `None`: it is another escape, or none.
fn escaped(json: &str, place: Range<usize>) -> Option<u16> {
    u16::from_str_radix(json.get(place)?.strip_prefix("\\u")?, 16).ok()
}

/// What waits of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Halves {
    /// The parts whose texts ended with a first half, and these.
    texts: Vec<(OwnedPart, u16)>,
    /// The first half that ended the thoughts.
    pub(super) thought: Option<u16>,
}

impl Halves {
    /// The parts in whose texts a half waits.
    pub fn parts(&self) -> impl Iterator<Item = &OwnedPart> {
        self.texts.iter().map(|(part, _)| part)
    }

    pub(super) fn of_text(&self, part: &OwnedPart) -> Option<u16> {
        self.texts.iter().find(|(other, _)| other == part).map(|(_, half)| *half)
    }

    pub(super) fn set_text(&mut self, part: &OwnedPart, half: Option<u16>) {
        self.texts.retain(|(other, _)| other != part);
        self.texts.extend(half.map(|half| (part.clone(), half)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_that_stands_alone_is_replaced_and_nothing_else_is() {
        for whole in [
            r#"{"a":"😀","b":["\ud83d\ude00","\\ud83d","\\\\ude00","\n\u0000\uFFFD"],"\u00e4":1e2}"#,
            r#""""#,
            r#""\"""#,
            "17",
        ] {
            assert!(matches!(mend(whole), Cow::Borrowed(same) if same == whole), "{whole}");
        }
        for (broken, mended) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\uDE00b""#, r#""\ufffdb""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\\\ud83dx""#, r#""\\\ufffdx""#),
            (r#"{"\ud83d":{"a":["\ud83d","\ude00"]}}"#, r#"{"\ufffd":{"a":["\ufffd","\ufffd"]}}"#),
        ] {
            assert_eq!(mend(broken), mended, "{broken}");
            assert!(serde_json::from_str::<serde_json::Value>(&mended_of(broken)).is_ok());
        }
    }

    fn mended_of(json: &str) -> String {
        mend(json).into_owned()
    }

    /// What clients read of these strings, one after the other, and whether a half waits.
    fn read(parts: &[&str]) -> (String, bool) {
        let (mut text, mut waits) = (String::new(), None);
        for part in parts {
            let (json, then) = join(waits, part);
            text.push_str(&serde_json::from_str::<String>(&json).expect(&json));
            waits = then;
        }
        (text, waits.is_some())
    }

    #[test]
    fn a_first_half_waits_for_its_second() {
        for (parts, text, waits) in [
            (&[r#""a\ud83d""#, r#""\ude00b""#][..], "a😀b", false),
            (&[r#""\ud83d""#, r#""\ude00""#], "😀", false),
            (&[r#""\ud83d""#, r#""""#, r#""\ude00""#], "😀", false),
            (&[r#""a\ud83d""#], "a", true),
            (&[r#""a\ud83d""#, r#""b""#], "a\u{fffd}b", false),
            (&[r#""a\ud83d""#, r#""\ud83d""#, r#""\ude00""#], "a\u{fffd}😀", false),
            (&[r#""a\ude00""#, r#""b""#], "a\u{fffd}b", false),
            (&[r#""\ud83d\ude00""#, r#""\ude00""#], "😀\u{fffd}", false),
            (&[r#""\\ud83d""#, r#""\\ude00""#], "\\ud83d\\ude00", false),
            (&[r#""\ud83d\n\ud83d""#, r#""\ude00""#], "\u{fffd}\n😀", false),
        ] {
            assert_eq!(read(parts), (text.to_owned(), waits), "{parts:?}");
        }
    }

    #[test]
    fn every_cut_of_a_text_gives_the_text() {
        let units: Vec<String> =
            "x😀\u{e4}😀😀".encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        for cuts in 0..1_u32 << (units.len() - 1) {
            let mut parts = vec![String::from("\"")];
            for (place, unit) in units.iter().enumerate() {
                parts.last_mut().unwrap().push_str(unit);
                if cuts >> place & 1 == 1 {
                    parts.last_mut().unwrap().push('"');
                    parts.push(String::from("\""));
                }
            }
            parts.last_mut().unwrap().push('"');
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            assert_eq!(read(&parts), ("x😀\u{e4}😀😀".to_owned(), false), "{parts:?}");
        }
    }
}
