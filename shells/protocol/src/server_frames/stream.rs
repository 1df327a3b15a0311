//! The names of streams.

use std::fmt;

use headcount::{IdError, RoomId, ThreadId};

use super::SESSION;

const ROOM: &str = "room/";
const THREAD: &str = "session/";

/// What entries are in, and offsets count in, as one connection names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// `session`: of the session of the connection's own thread, which its upgrade or its frame `auth` names.
    Session,
    /// `session/<thread>`: of the session of another thread that it follows.
    Thread(ThreadId),
    /// `room/<room>`: of a room.
    Room(RoomId),
}

/// Why a text names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStream {
    /// It begins with no kind of stream.
    Kind,
    /// The name of its thread or its room is not valid.
    Name(IdError),
}

impl Stream {
    /// Reads a name.
    ///
    /// # Errors
    /// Why it names no stream.
    pub fn parse(text: &str) -> Result<Self, NoStream> {
        if text == SESSION {
            return Ok(Self::Session);
        }
        if let Some(thread) = text.strip_prefix(THREAD) {
            return ThreadId::new(thread).map(Self::Thread).map_err(NoStream::Name);
        }
        let room = text.strip_prefix(ROOM).ok_or(NoStream::Kind)?;
        RoomId::new(room).map(Self::Room).map_err(NoStream::Name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Session => SESSION.to_owned(),
            Self::Thread(thread) => thread_stream(thread),
            Self::Room(room) => room_stream(room),
        }
    }
}

impl fmt::Display for NoStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => {
                f.write_str("stream is `session`, `session/` and a thread, or `room/` and a room")
            }
            Self::Name(error) => write!(f, "stream: {error}"),
        }
    }
}

impl std::error::Error for NoStream {}

/// The name of the stream of a session that is not of the connection's own thread.
#[must_use]
pub fn thread_stream(thread: &ThreadId) -> String {
    format!("{THREAD}{}", thread.as_str())
}

/// The name of a room's stream.
#[must_use]
pub fn room_stream(room: &RoomId) -> String {
    format!("{ROOM}{}", room.as_str())
}
