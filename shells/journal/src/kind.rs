//! The numbers that stand for things in a record.

/// What an input is. It is one byte; then, unless [`SAME_STAMP`] is set, the time since the input
/// before, and the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Without a stamp: the configuration, and what the journal holds. Comes first, and only there.
    Begin,
    /// Without a stamp: so many polls of actions, and a digest of what came out.
    Polled,
    /// Without a stamp: so many notices were polled.
    Noticed,
    /// Without a stamp: the end of the recording.
    Overflowed,
    Reserve,
    Upgraded,
    Connect,
    Admit,
    Data,
    Bytes,
    PartialBytes,
    Fragment,
    Ping,
    Pong,
    Flushed,
    Disconnect,
    Tick,
    Send,
    Reply,
    Join,
    Leave,
    Acknowledge,
    OpenRun,
    RunEvent,
    Close,
    Refresh,
    Revoke,
    Drain,
    CancelDrain,
    Reload,
    Advance,
    Follow,
    Unfollow,
    FlushedMany,
    RequestRun,
    RequestCancel,
    ReplyAtOnce,
    /// Without a stamp: a state, and what the journal holds. Comes first in a segment that goes on from
    /// another one, and only there.
    Resume,
}

impl Kind {
    const ALL: [Self; 38] = [
        Self::Begin,
        Self::Polled,
        Self::Noticed,
        Self::Overflowed,
        Self::Reserve,
        Self::Upgraded,
        Self::Connect,
        Self::Admit,
        Self::Data,
        Self::Bytes,
        Self::PartialBytes,
        Self::Fragment,
        Self::Ping,
        Self::Pong,
        Self::Flushed,
        Self::Disconnect,
        Self::Tick,
        Self::Send,
        Self::Reply,
        Self::Join,
        Self::Leave,
        Self::Acknowledge,
        Self::OpenRun,
        Self::RunEvent,
        Self::Close,
        Self::Refresh,
        Self::Revoke,
        Self::Drain,
        Self::CancelDrain,
        Self::Reload,
        Self::Advance,
        Self::Follow,
        Self::Unfollow,
        Self::FlushedMany,
        Self::RequestRun,
        Self::RequestCancel,
        Self::ReplyAtOnce,
        Self::Resume,
    ];

    pub(super) fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// Beside a kind: the stamp is that of the input before.
pub(super) const SAME_STAMP: u8 = 0x80;

// Whom a message or a close is for.
pub(super) const CONN: u8 = 0;
pub(super) const SESSION: u8 = 1;
pub(super) const USER: u8 = 2;
pub(super) const ROOM: u8 = 3;
pub(super) const EVERYONE: u8 = 4;
pub(super) const SESSION_OF: u8 = 5;
pub(super) const USER_OF: u8 = 6;

// Where a client begins in a stream.
pub(super) const NOW: u8 = 0;
pub(super) const OPEN_RUNS: u8 = 1;
pub(super) const RECENT: u8 = 2;
pub(super) const RUN: u8 = 3;
pub(super) const AFTER: u8 = 4;
pub(super) const KEPT: u8 = 5;

/// In the place of the reason of a close: the application's own words follow, a code and a text.
pub(super) const WORDS: u8 = 0xFF;

/// In the place of the kind of a run's event: a delta of the part without a name.
pub(super) const TEXT: u8 = 0xFF;
/// The same of another part: its kind and its name follow.
pub(super) const PART: u8 = 0xFE;

const _: () = {
    let mut place = 0;
    while place < Kind::ALL.len() {
        assert!(Kind::ALL[place] as usize == place, "kinds are listed in their order");
        place += 1;
    }
};
