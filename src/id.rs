//! Who is who: handles that the registry creates, and names that are validated once, at the door.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::num::NonZeroU32;
use core::str::FromStr;

use crate::error::{IdError, InvalidHandle};
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::text::shown;

/// The longest name, in bytes of UTF-8. [`UserId`](crate::UserId) has an example.
pub const MAX_ID_BYTES: usize = 128;

/// What client code writes by accident where a name is missing: refused as any name, in any case of
/// letters.
const ACCIDENTS: [&str; 3] = ["undefined", "null", "nan"];

/// What programs write in place of a user they don't know: refused as a user beside [`ACCIDENTS`],
/// because two users of one such name would share everything. A thread, a room or a run may well be
/// the default one.
const STAND_INS: [&str; 4] = ["none", "default", "placeholder", "registry"];

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            index: u32,
            /// Never reused before 2^32 others were created: a slot's next tenant has another one.
            serial: NonZeroU32,
        }

        impl $name {
            pub(crate) const fn new(index: u32, serial: NonZeroU32) -> Self {
                Self { index, serial }
            }

            pub(crate) const fn serial(self) -> NonZeroU32 {
                self.serial
            }

            /// The slot: dense, and reused only after the `Cleanup` of what had it was polled. A shell may
            /// index an array with it, and must compare the whole handle before it trusts the entry.
            #[must_use]
            pub const fn index(self) -> usize {
                self.index as usize
            }

            /// The handle as one number, never below 2^32: values below are free for other uses of
            /// the same space, such as a listener's token.
            ///
            /// It means nothing in another process: there the same number may be another handle. If it
            /// may come back later than this process ends, as from a client, keep
            /// [`Config::instance`](crate::Config::instance) with it, and ignore it where that is
            /// another one.
            #[must_use]
            pub const fn to_bits(self) -> u64 {
                (self.serial.get() as u64) << 32 | self.index as u64
            }

            /// The handle that [`to_bits`](Self::to_bits) made this number of; `None` below 2^32. A
            /// number that was made up is a handle that no call will know, and so is one of another
            /// process, but for one chance in 2^32 for each slot.
            #[must_use]
            pub const fn from_bits(bits: u64) -> Option<Self> {
                match NonZeroU32::new((bits >> 32) as u32) {
                    Some(serial) => Some(Self { index: bits as u32, serial }),
                    None => None,
                }
            }
        }

        encoded! { struct $name { index, serial } }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}#{}"), self.index, self.serial)
            }
        }

        /// The 16 hexadecimal digits of [`to_bits`](Self::to_bits), as a journal shows them.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.to_bits())
            }
        }

        /// Reads what `Display` writes; see [`from_bits`](Self::from_bits).
        impl FromStr for $name {
            type Err = InvalidHandle;

            fn from_str(digits: &str) -> Result<Self, InvalidHandle> {
                // `from_str_radix` alone would take a sign.
                let is_whole = digits.len() == 16 && digits.bytes().all(|it| it.is_ascii_hexdigit());
                let bits = is_whole.then(|| u64::from_str_radix(digits, 16).ok()).flatten();
                bits.and_then(Self::from_bits).ok_or(InvalidHandle)
            }
        }

        const _: () = assert!(size_of::<Option<$name>>() == 8);
    };
}

handle! {
    /// One WebSocket, from the accepted socket to its `Cleanup`.
    ///
    /// A stale handle is an ordinary `UnknownConn`, never a panic. It names no other connection before 2^32
    /// further handles were made.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// let (conn, _) = registry.admit(now, Principal::new("alice".parse()?), Start::Now, None)?;
    /// assert_eq!(ConnId::from_bits(conn.to_bits()), Some(conn));
    /// assert_eq!(conn.to_string().parse(), Ok(conn));
    /// assert_eq!("conn 1".parse::<ConnId>(), Err(InvalidHandle));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ConnId, "conn "
}

handle! {
    /// One session: a (user, thread) pair that outlives its connections by the linger time. A session of the
    /// same user and thread that is created later has another handle. Handles of sessions and of connections
    /// are counted together, and what is said of a stale [`ConnId`] holds here, too.
    /// [`Registry::session`](crate::Registry::session) has an example.
    SessionId, "session "
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident($inner:ty), $validate:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Validates a text that becomes one.
            ///
            /// # Errors
            /// [`IdError`] says which rule it broke.
            pub fn new(name: impl AsRef<str>) -> Result<Self, IdError> {
                Self::try_from(name.as_ref())
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Encoded for $name {
            fn encode(&self, to: &mut Encoder<'_>) {
                to.name(&self.0);
            }

            fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                Self::try_from(from.name()?).map_err(|_| Malformed)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(name: &str) -> Result<Self, IdError> {
                $validate(name)?;
                Ok(Self(name.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(name: String) -> Result<Self, IdError> {
                $validate(&name)?;
                Ok(Self(name.into()))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(name: &str) -> Result<Self, IdError> {
                Self::try_from(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Its hash and its order are those of its text, so that maps find it by a `&str`.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                *self.0 == *text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                *self.0 == **text
            }
        }

        /// Whole, and on one line: hidden characters are shown as [`shown`] does. The text itself is
        /// [`as_str`](Self::as_str).
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                shown(&self.0).fmt(f)
            }
        }
    };
}

/// A name of who is who: its `Debug` shows its length and no more than four characters.
macro_rules! personal {
    ($(#[$doc:meta])* $name:ident($inner:ty), $validate:ident) => {
        name! {
            $(#[$doc])*
            ///
            /// Not empty, at most [`MAX_ID_BYTES`] bytes, no control characters, and nothing that client
            /// code writes by accident (`undefined`, `null`, `nan`, in any case of letters). `Debug`
            /// shows the length and no more than four characters: names are personal data. Those that
            /// are hidden it shows as [`shown`] does.
            $name($inner), $validate
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let start: &str = match self.0.char_indices().nth(4) {
                    Some((end, _)) => &self.0[..end],
                    None => "",
                };
                let start = shown(start);
                write!(f, concat!(stringify!($name), "({}…, {} bytes)"), start, self.0.len())
            }
        }
    };
}

personal! {
    /// A user, as the shell's authenticator names them.
    ///
    /// It is none of `none`, `default`, `placeholder` and `registry` either, in any case of letters: two
    /// users of one such name would share everything.
    ///
    /// ```
    /// use headcount::{IdError, MAX_ID_BYTES, UserId};
    ///
    /// let alice = UserId::new("alice")?;
    /// assert_eq!(alice.as_str(), "alice");
    /// assert_eq!(UserId::new("undefined"), Err(IdError::Placeholder));
    /// let long = "a".repeat(MAX_ID_BYTES + 1);
    /// assert_eq!(UserId::new(&long), Err(IdError::TooLong { bytes: long.len() }));
    /// # Ok::<(), IdError>(())
    /// ```
    UserId(Box<str>), validate_user
}

/// The names of which each record has a copy of its own.
macro_rules! copied {
    ($($name:ident),*) => {
        $(impl $name {
            /// A copy in the memory of a name that is not needed any more, if that is as long.
            pub(crate) fn clone_over(&self, old: Option<Self>) -> Self {
                match old {
                    Some(old) if old.0.len() == self.0.len() => {
                        let mut text = String::from(old.0);
                        text.clear();
                        text.push_str(&self.0);
                        Self(text.into_boxed_str())
                    }
                    _ => self.clone(),
                }
            }
        })*
    };
}

copied!(UserId, ThreadId);

personal! {
    /// A thread: what keeps two conversations of one user apart.
    /// [`Registry::follow`](crate::Registry::follow) has an example.
    ThreadId(Box<str>), validate_name
}

personal! {
    /// An agent run: unique among its user's. [`Registry::request_run`](crate::Registry::request_run) has
    /// an example.
    RunId(Box<str>), validate_name
}

personal! {
    /// A room: a group across users. Clones share the name. [`Registry::join`](crate::Registry::join) has
    /// an example.
    RoomId(Arc<str>), validate_name
}

personal! {
    /// A tenant: users who share caps and a byte budget. Clones share the name.
    /// [`Registry::tenant`](crate::Registry::tenant) has an example.
    TenantId(Arc<str>), validate_name
}

name! {
    /// What a [`Class::Latest`](crate::Class::Latest) message is the latest of, within its stream: at
    /// most [`MAX_ID_BYTES`] bytes, and not empty. Clones share the text.
    /// [`Message::latest`](crate::Message::latest) has an example.
    Key(Arc<str>), validate_length
}

/// Shows the length only.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}

const fn validate_length(text: &str) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        1..=MAX_ID_BYTES => Ok(()),
        bytes => Err(IdError::TooLong { bytes }),
    }
}

fn validate_name(name: &str) -> Result<(), IdError> {
    validate_length(name)?;
    if name.chars().any(char::is_control) {
        return Err(IdError::ControlCharacter);
    }
    refuse_any_of(&ACCIDENTS, name)
}

fn validate_user(name: &str) -> Result<(), IdError> {
    validate_name(name)?;
    refuse_any_of(&STAND_INS, name)
}

fn refuse_any_of(placeholders: &[&str], name: &str) -> Result<(), IdError> {
    let is_one = placeholders.iter().any(|placeholder| placeholder.eq_ignore_ascii_case(name));
    if is_one { Err(IdError::Placeholder) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::ToString;
    use std::collections::HashSet;

    #[test]
    fn names_are_validated_once() {
        assert_eq!(UserId::new(""), Err(IdError::Empty));
        assert_eq!(UserId::new("a\u{7f}b"), Err(IdError::ControlCharacter));
        assert_eq!(UserId::new("Undefined"), Err(IdError::Placeholder));
        let long: String = "x".repeat(129);
        assert_eq!(UserId::new(long), Err(IdError::TooLong { bytes: 129 }));
        for fine in ["0", "test", "demo", "undefined-1", "Łukasz", &"x".repeat(128)] {
            assert_eq!(UserId::new(fine).unwrap().as_str(), fine);
        }
    }

    #[test]
    fn a_missing_name_is_no_name_and_a_stand_in_is_no_user() {
        fn refuse<T: FromStr<Err = IdError>>(name: &str) -> bool {
            matches!(name.parse::<T>(), Err(IdError::Placeholder))
        }
        for name in [
            "undefined",
            "null",
            "nan",
            "NaN",
            "NULL",
            "none",
            "Default",
            "placeholder",
            "registry",
        ] {
            let is_accident = ACCIDENTS.iter().any(|it| it.eq_ignore_ascii_case(name));
            assert!(refuse::<UserId>(name), "{name}");
            assert_eq!(refuse::<ThreadId>(name), is_accident, "{name}");
            assert_eq!(refuse::<RunId>(name), is_accident, "{name}");
            assert_eq!(refuse::<RoomId>(name), is_accident, "{name}");
            assert_eq!(refuse::<TenantId>(name), is_accident, "{name}");
            assert!(!refuse::<Key>(name), "{name}");
        }
    }

    #[test]
    fn debug_does_not_print_names_whole() {
        assert_eq!(
            format!("{:?}", UserId::new("alice@example").unwrap()),
            "UserId(alic…, 13 bytes)"
        );
        assert_eq!(format!("{:?}", RoomId::new("bob").unwrap()), "RoomId(…, 3 bytes)");
        assert_eq!(
            format!("{:?}", UserId::new("a\u{202e}\u{200b}b\u{2028}c").unwrap()),
            "UserId(a\\u{202e}\\u{200b}b…, 12 bytes)"
        );
    }

    #[test]
    fn handles_survive_the_round_trip_and_leave_low_numbers_free() {
        let conn = ConnId::new(7, NonZeroU32::new(3).unwrap());
        assert_eq!(ConnId::from_bits(conn.to_bits()), Some(conn));
        assert_eq!(ConnId::from_bits(u64::from(u32::MAX)), None);
        assert_eq!(format!("{conn:?}"), "conn 7#3");
    }

    #[test]
    fn a_handle_is_shown_as_sixteen_digits_and_read_back() {
        let session = SessionId::new(7, NonZeroU32::new(0xab).unwrap());
        assert_eq!(session.to_string(), "000000ab00000007");
        assert_eq!("000000ab00000007".parse(), Ok(session));
        for text in ["", "ab00000007", "+00000ab00000007", "0000000000000007", "000000ab0000000é"]
        {
            assert_eq!(text.parse::<SessionId>(), Err(InvalidHandle), "{text}");
        }
    }

    #[test]
    fn a_name_is_as_its_text_is() {
        let room: RoomId = "lobby".parse().unwrap();
        assert!(room == "lobby" && room == *"lobby" && room != "Lobby");
        assert_eq!(RoomId::try_from(String::from("lobby")), Ok(room.clone()));
        assert_eq!(RoomId::try_from(""), Err(IdError::Empty));
        let hashed: HashSet<_> = [room.clone()].into_iter().collect();
        assert!(hashed.contains("lobby") && !hashed.contains("hall"));
        let ordered = BTreeMap::from([(room, 1)]);
        assert_eq!(ordered.get("lobby"), Some(&1));
    }

    #[test]
    fn a_name_is_shown_whole_and_on_one_line() {
        assert_eq!(UserId::new("alice@example").unwrap().to_string(), "alice@example");
        assert_eq!(RunId::new("a\u{2028}\u{202e}b").unwrap().to_string(), "a\\u{2028}\\u{202e}b");
        assert_eq!(Key::new("a\nb").unwrap().to_string(), "a\\nb");
    }
}
