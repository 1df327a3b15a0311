//! Names and handles, held to what the documentation of them says.

use std::borrow::Borrow;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use headcount::{
    ConnId, IdError, InvalidHandle, Key, MAX_ID_BYTES, Principal, RoomId, RunId, SessionId,
    ThreadId, UserId, shown,
};

/// The rules, written down once more from the documentation and without its code.
struct Rules<'a> {
    text: &'a str,
    /// Users have more of them.
    of_user: bool,
}

impl Rules<'_> {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn is_too_long(&self) -> bool {
        self.text.len() > 128
    }

    /// Unicode's category Cc.
    fn has_control_character(&self) -> bool {
        self.text.chars().any(|c| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'))
    }

    fn is_placeholder(&self) -> bool {
        match self.text.to_ascii_lowercase().as_str() {
            "undefined" | "null" | "nan" => true,
            "none" | "default" | "placeholder" | "registry" => self.of_user,
            _ => false,
        }
    }

    fn allow_a_name(&self) -> bool {
        !(self.is_empty()
            || self.is_too_long()
            || self.has_control_character()
            || self.is_placeholder())
    }

    /// Whether what a refusal says is so.
    fn are_broken_as(&self, error: IdError) -> bool {
        let sentence = error.to_string();
        match error {
            IdError::Empty => self.is_empty() && sentence.contains("empty"),
            IdError::TooLong { bytes } => {
                bytes == self.text.len()
                    && self.is_too_long()
                    && sentence.contains(&format!("{bytes} bytes"))
                    && sentence.contains("128 at most")
            }
            IdError::ControlCharacter => {
                self.has_control_character() && sentence.contains("control character")
            }
            IdError::Placeholder => self.is_placeholder() && sentence.contains("placeholder"),
            _ => false,
        }
    }
}

pub(crate) fn check(text: &str) {
    assert_eq!(MAX_ID_BYTES, 128);
    name_of_any_kind(text);
    // The longest that there may be, and one byte more.
    for longest in [128, 129] {
        let missing = usize::saturating_sub(longest, text.len());
        name_of_any_kind(&format!("{text}{}", "x".repeat(missing)));
    }
}

fn name_of_any_kind(text: &str) {
    name("UserId", text, UserId::new(text), UserId::as_str);
    name("ThreadId", text, ThreadId::new(text), ThreadId::as_str);
    name("RunId", text, RunId::new(text), RunId::as_str);
    name("RoomId", text, RoomId::new(text), RoomId::as_str);
    key(text);
    label(text);
}

fn name<T>(kind: &str, text: &str, made: Result<T, IdError>, back: fn(&T) -> &str)
where
    T: FromStr<Err = IdError> + TryFrom<String, Error = IdError>,
    T: AsRef<str> + Borrow<str> + PartialEq<str> + Debug + Display + PartialEq + Clone,
{
    let rules = Rules { text, of_user: kind == "UserId" };
    assert_eq!(text.parse::<T>(), made, "one way in is as good as the other");
    assert_eq!(T::try_from(text.to_owned()), made, "and so is the third");
    match made {
        Ok(id) => {
            assert!(rules.allow_a_name(), "{kind} accepts {text:?}");
            assert_eq!((back(&id), id.as_ref(), id.borrow()), (text, text, text));
            assert!(id.clone() == id && id == *text);
            assert_eq!(id.to_string(), shown(text).to_string());
            shows_a_beginning(kind, text, &format!("{id:?}"));
        }
        Err(error) => {
            assert!(!rules.allow_a_name(), "{kind} refuses {text:?}: {error}");
            assert!(rules.are_broken_as(error), "{kind} {text:?}: {error}");
        }
    }
}

/// The length, and four characters at most: never all of them.
fn shows_a_beginning(kind: &str, text: &str, debug: &str) {
    let shown = debug
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(&format!("…, {} bytes)", text.len())));
    let Some(shown) = shown else { panic!("{debug}") };
    assert!(text.starts_with(shown) && shown.len() < text.len(), "{debug}");
    assert!(shown.chars().count() <= 4, "{debug}");
}

fn key(text: &str) {
    let rules = Rules { text, of_user: false };
    match Key::new(text) {
        Ok(key) => {
            assert!(!rules.is_empty() && !rules.is_too_long(), "a key of {} bytes", text.len());
            assert_eq!(key.as_str(), text);
            assert_eq!(format!("{key:?}"), format!("Key({} bytes)", text.len()));
        }
        Err(error) => assert!(rules.are_broken_as(error), "{text:?}: {error}"),
    }
}

fn label(text: &str) {
    let id = |name| (UserId::new(name), ThreadId::new(name));
    let (Ok(user), Ok(thread)) = id("u") else { panic!("a plain name is refused") };
    let bare = Principal::new(user).with_thread(thread);
    assert_eq!(bare.label(), None);
    let rules = Rules { text, of_user: false };
    match bare.clone().with_label(text) {
        Ok(who) => {
            assert!(!rules.is_too_long(), "a label of {} bytes", text.len());
            assert_eq!(who.label(), Some(text));
            // Nothing of it shows but its length.
            let other = bare.with_label("x".repeat(text.len()));
            assert_eq!(format!("{who:?}"), format!("{:?}", other.expect("the same length")));
        }
        Err(error) => {
            assert!(matches!(error, IdError::TooLong { .. }), "{error}");
            assert!(rules.are_broken_as(error), "{error}");
        }
    }
}

/// A number is a handle exactly if its upper half is not zero, and comes back as it was.
pub(crate) fn handles(bits: u64) {
    handle(bits, ConnId::from_bits(bits), ConnId::to_bits, ConnId::index);
    handle(bits, SessionId::from_bits(bits), SessionId::to_bits, SessionId::index);
}

fn handle<T>(bits: u64, made: Option<T>, back: fn(T) -> u64, index: fn(T) -> usize)
where
    T: FromStr<Err = InvalidHandle> + Debug + Display + Copy + PartialEq,
{
    assert_eq!(format!("{bits:016x}").parse::<T>().ok(), made);
    let (serial, slot) = (bits >> 32, bits & 0xffff_ffff);
    let Some(handle) = made else { return assert_eq!(serial, 0, "{bits:#x} is no handle") };
    assert_ne!(serial, 0, "{bits:#x} is a handle");
    assert_eq!((back(handle), index(handle) as u64), (bits, slot));
    assert_eq!(handle.to_string(), format!("{bits:016x}"));
    assert!(format!("{handle:?}").ends_with(&format!(" {slot}#{serial}")));
}

/// A sentence that can be shown to whoever made the mistake.
pub(crate) fn is_a_sentence(error: &impl Display, names: &[&str]) {
    let sentence = error.to_string();
    assert!(names.iter().all(|name| sentence.contains(name)), "{sentence}");
    assert!(!sentence.chars().any(char::is_control), "{sentence}");
}
