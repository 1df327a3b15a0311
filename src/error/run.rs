//! Why a run was not opened, requested, told of or cancelled.

use core::fmt;

use crate::ends::RunEnded;
use crate::error::Refused;

/// Why a run was not opened. Nothing has changed then.
/// [`UserScope::open_run`](crate::UserScope::open_run) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenRunError {
    /// The user has a run of this name: one that is open, or that a log still keeps something of.
    Exists {
        /// How and when it ended; `None`: it is open.
        ended: Option<RunEnded>,
    },
    /// `limits.runs_per_session` runs are open in this session.
    Runs,
    /// The name of the agent is longer than [`MAX_ID_BYTES`](crate::MAX_ID_BYTES).
    AgentTooLong,
    /// A client has requested the run in another thread of the user.
    OtherThread,
    /// The payload is larger than `run.bytes` lets one be, or a run that was requested has used up its
    /// `run.events` or `run.bytes`.
    Full,
    /// There is no session of this user and thread, and none can be created.
    Session(Refused),
}

impl fmt::Display for OpenRunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { ended: None } => {
                f.write_str("the user has a run of this name, and it is open")
            }
            Self::Exists { ended: Some(ended) } => write!(
                f,
                "the user has had a run of this name, and its events are still kept: {}",
                ended.how.sentence()
            ),
            Self::Runs => {
                f.write_str("too many runs are open in this session (limits.runs_per_session)")
            }
            Self::AgentTooLong => {
                write!(f, "the agent's name is too long, {} bytes at most", crate::MAX_ID_BYTES)
            }
            Self::OtherThread => f.write_str("a client has requested the run in another thread"),
            Self::Full => {
                f.write_str("the payload is too large for the run (run.bytes, run.events)")
            }
            Self::Session(refused) => write!(f, "no session for the run: {refused}"),
        }
    }
}

/// Which rule an event of a run has broken. Nothing of it is kept then.
/// [`UserScope::run_event`](crate::UserScope::run_event) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The user has no such run: it was never opened, or it has ended and no log keeps anything of
    /// it.
    UnknownRun,
    /// The run has ended in this way, then: nothing follows a terminal event.
    Ended(RunEnded),
    /// A client has requested the run, and it was not opened: it can be opened, failed or cancelled.
    NotOpened,
    /// The name of a tool call is empty or too long.
    BadCall,
    /// A tool call of this name is under way already.
    CallUnderWay,
    /// No tool call of this name is under way.
    UnknownCall,
    /// `run.calls` tool calls are under way: another one can begin when one of them has ended.
    Calls,
    /// A run is not completed while tool calls are under way.
    CallsUnderWay,
    /// The name of a part is too long, or it is empty and the part is no text.
    BadPart,
    /// The part of this name is of another kind.
    PartKind,
    /// The log keeps something of `run.parts` parts of the run: another one can't begin.
    Parts,
    /// `run.events` or `run.bytes` is used up. A terminal event with an empty payload always fits.
    Full,
    /// The tool calls under way of this user leave no room for another one in `outbound.user_bytes`.
    UserBytes,
    /// The tool calls under way of the users of this tenant leave no room for another one in
    /// `outbound.tenant_bytes`.
    TenantBytes,
    /// The tool calls under way of all users leave no room for another one in
    /// `outbound.process_bytes`.
    ProcessBytes,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownRun => {
                "the user has no such run: it was never opened, or it has ended and nothing of it is kept"
            }
            Self::Ended(ended) => {
                let how = ended.how.sentence();
                return write!(f, "the run has ended, and nothing follows a terminal event: {how}");
            }
            Self::NotOpened => {
                "a client has requested the run: open it first, or end it as failed or cancelled"
            }
            Self::BadCall => "the name of a tool call has 1 to 128 bytes",
            Self::CallUnderWay => "a tool call of this name is under way already",
            Self::UnknownCall => "no tool call of this name is under way: it has to begin first",
            Self::Calls => "too many tool calls are under way in this run (run.calls)",
            Self::CallsUnderWay => "tool calls are under way: they have to end before the run does",
            Self::BadPart => "the name of a part has at most 128 bytes, and only a text may have none",
            Self::PartKind => "the part of this name is of another kind",
            Self::Parts => "the run has too many parts (run.parts)",
            Self::Full => "the run has had too many events or bytes (run.events, run.bytes)",
            Self::UserBytes => {
                "too many tool calls of this user are under way (outbound.user_bytes)"
            }
            Self::TenantBytes => {
                "too many tool calls of this tenant are under way (outbound.tenant_bytes)"
            }
            Self::ProcessBytes => "too many tool calls are under way (outbound.process_bytes)",
        })
    }
}

/// Why a client's request for a run was not taken. Nothing has changed then.
/// [`Registry::request_run`](crate::Registry::request_run) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestRunError {
    /// The handle names no connection that is open.
    UnknownConn,
    /// The connection does not follow the session of that thread; without a thread: it follows none.
    NotInThread,
    /// The user has a run of this name: one that is requested or open, or that a log still keeps
    /// something of.
    Exists {
        /// How and when it ended; `None`: it is requested or open.
        ended: Option<RunEnded>,
    },
    /// `limits.runs_per_session` runs are requested or open in this session.
    Runs,
    /// The input is larger than `run.bytes` lets one be.
    Full,
}

impl fmt::Display for RequestRunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, or never was admitted",
            Self::NotInThread => "the connection does not follow the session of this thread",
            Self::Exists { ended: None } => "the user has a run of this name, and it has not ended",
            Self::Exists { ended: Some(ended) } => {
                let how = ended.how.sentence();
                return write!(
                    f,
                    "the user has had a run of this name, and it is still kept: {how}"
                );
            }
            Self::Runs => "too many runs are open in this session (limits.runs_per_session)",
            Self::Full => "the input is too large for a run (run.bytes)",
        })
    }
}

/// Why a client's wish to cancel a run was not taken. Nothing has changed then.
/// [`Registry::request_cancel`](crate::Registry::request_cancel) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestCancelError {
    /// The handle names no connection that is open.
    UnknownConn,
    /// No session that the connection follows has a run of this name.
    UnknownRun,
    /// The run has ended in this way, then.
    Ended(RunEnded),
    /// `run.events` or `run.bytes` is used up, but for what is reserved for the terminal event.
    Full,
}

impl fmt::Display for RequestCancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, or never was admitted",
            Self::UnknownRun => "no session that the connection follows has a run of this name",
            Self::Ended(ended) => {
                return write!(f, "the run has ended: {}", ended.how.sentence());
            }
            Self::Full => "the run has had too many events or bytes (run.events, run.bytes)",
        })
    }
}

impl core::error::Error for OpenRunError {}
impl core::error::Error for RunError {}
impl core::error::Error for RequestRunError {}
impl core::error::Error for RequestCancelError {}
