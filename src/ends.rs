//! Why runs, sessions and rooms have ended.

use core::fmt;

use crate::snapshot::encoded;
use crate::time::Timestamp;

macro_rules! ends {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$doc])* $variant,)*
        }

        impl $type {
            /// Every way, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// A stable name in `snake_case`, for logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        /// The stable name.
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

ends! {
    /// How a run ended. [`RunView::end`](crate::RunView::end) has an example.
    RunEnd {
        /// It has a result.
        Completed = "completed",
        /// It has none.
        Failed = "failed",
        /// It was ended before it was complete.
        Cancelled = "cancelled",
        /// It waits for a person, whose answer is another run.
        Interrupted = "interrupted",
        /// The registry failed it: no event for `run.silence`.
        Silence = "silence",
        /// The registry failed it: open for `run.max_length`.
        Length = "length",
        /// Its session has ended.
        SessionEnded = "session_ended",
    }
}

impl RunEnd {
    /// The same for a person.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Completed => "it was reported as completed",
            Self::Failed => "it was reported as failed",
            Self::Cancelled => "it was reported as cancelled",
            Self::Interrupted => "it was reported as interrupted",
            Self::Silence => "the server failed it: no event for run.silence",
            Self::Length => "the server failed it: open for run.max_length",
            Self::SessionEnded => "its session has ended",
        }
    }
}

/// How and when a run has ended. [`RunView::end`](crate::RunView::end) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunEnded {
    /// How: who decided it, and why.
    pub how: RunEnd,
    /// When, by the stamps of the registry.
    pub at: Timestamp,
}

encoded! { struct RunEnded { how, at } }

ends! {
    /// Why a session has ended. [`Registry::revoke`](crate::Registry::revoke) has an example.
    SessionEnd {
        /// It had lingered for `session.linger`, and its connections were cleaned up.
        Lingered = "lingered",
        /// It lingered without an open run and made room for a newcomer, over `limits.sessions` or
        /// `limits.users`.
        MadeRoom = "made_room",
        /// It made room for another session of its user, over `limits.sessions_per_user`.
        UserCap = "user_cap",
        /// It lingered and kept nothing to resume while its user was near a cap
        /// (`pressure.emergency`).
        Pressure = "pressure",
        /// Its user's credentials were revoked.
        Revoked = "revoked",
        /// A reload has lowered `limits.sessions_per_user`.
        Reload = "reload",
    }
}

ends! {
    /// Why a room has ended. [`Registry::leave`](crate::Registry::leave) has an example.
    RoomEnd {
        /// Its last member has left, and it kept no history.
        Empty = "empty",
        /// It had no members, and the last message of its history was older than `stream.room_ttl`.
        Aged = "aged",
        /// It had no members and made room for another room, over `limits.rooms`.
        MadeRoom = "made_room",
        /// It had no members, and a byte budget took the last message of its history.
        Budget = "budget",
        /// It had no members, and a reload has left nothing of its history.
        Reload = "reload",
    }
}

encoded! { all RunEnd, SessionEnd, RoomEnd }
