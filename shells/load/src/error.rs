//! Why a server can't be loaded.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why no figure came out.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The address is no `ws://` URL, or names no host that is known.
    Target {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused.
    Io(io::Error),
    /// The server did not upgrade a connection.
    NotUpgraded {
        /// The first line of its answer, or how the connection ended.
        answer: String,
    },
    /// The time that [`Crowd::ends_at`](crate::Crowd::ends_at) sets is over.
    TimeOver,
    /// Connections ended that should have stayed.
    Lost {
        /// How many.
        connections: u64,
    },
    /// The server owed an answer for too long.
    Stalled {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        waited: Duration,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { url, why } => write!(f, "{url}: {why}"),
            Self::Io(error) => write!(f, "the operating system refused: {error}"),
            Self::NotUpgraded { answer } => {
                write!(f, "the server did not upgrade a connection: {answer}")
            }
            Self::TimeOver => f.write_str("the time for all of the work is over"),
            Self::Lost { connections } => {
                write!(f, "{connections} connections ended during the run")
            }
            Self::Stalled { what, waited } => {
                write!(f, "the server owed {what} for {} s", waited.as_secs())
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
