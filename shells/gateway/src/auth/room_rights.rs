//! Which rooms a token opens.

use headcount::{MAX_ID_BYTES, RoomId};

/// The rooms that are each one user's own: `user:` and the user's id.
const OWN_ROOM: &str = "user:";

/// The user who owns this room; `None`: no user does. No right lets another user join an owned room.
pub(crate) fn owner(room: &RoomId) -> Option<&str> {
    room.as_str().strip_prefix(OWN_ROOM)
}

/// Names of rooms, and beginnings of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomRights(Box<[Pattern]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Is(RoomId),
    /// Everything that begins so.
    BeginsWith(Box<str>),
}

impl RoomRights {
    /// The most patterns.
    pub(crate) const MAX: usize = 256;

    /// Reads patterns: the id of a room, or the beginning of one with `*` after it; `*` alone is all
    /// rooms.
    ///
    /// # Errors
    /// What is wrong: one is no id, or there are too many.
    pub(crate) fn read<S: AsRef<str>>(
        patterns: impl IntoIterator<Item = S>,
    ) -> Result<Self, String> {
        let mut read = Vec::new();
        for pattern in patterns {
            if read.len() == Self::MAX {
                return Err(format!("more than {} rooms", Self::MAX));
            }
            read.push(Pattern::read(pattern.as_ref())?);
        }
        Ok(Self(read.into()))
    }

    /// Whether they open this room. They never open one that is a user's [own](owner).
    pub(crate) fn allows(&self, room: &RoomId) -> bool {
        owner(room).is_none() && self.0.iter().any(|pattern| pattern.fits(room))
    }
}

impl Pattern {
    fn read(text: &str) -> Result<Self, String> {
        let Some(beginning) = text.strip_suffix('*') else {
            return RoomId::new(text).map(Self::Is).map_err(|error| format!("a room: {error}"));
        };
        if beginning.len() > MAX_ID_BYTES || beginning.chars().any(char::is_control) {
            return Err(
                "a pattern that fits no room: too long, or with a control character".to_owned()
            );
        }
        Ok(Self::BeginsWith(beginning.into()))
    }

    fn fits(&self, room: &RoomId) -> bool {
        match self {
            Self::Is(name) => name == room,
            Self::BeginsWith(beginning) => room.as_str().starts_with(&**beginning),
        }
    }
}
