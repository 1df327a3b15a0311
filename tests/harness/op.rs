//! What a history is made of: plain data, so that a generator, a fuzzer and a shrinker can make it.
//!
//! Operands are small numbers that resolve modulo what has been seen so far, handles that died long
//! ago and handles that never were included. Every sequence of operations is a valid history.

/// One step of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A socket was accepted.
    Reserve,
    /// A socket was accepted and is somebody at once: `Reserve` and `Connect` in one.
    Arrive { user: u8, thread: u8, resume: Since, previous: Option<Pick>, expiry: Option<u8> },
    /// A socket was upgraded without credentials.
    Upgraded { conn: Pick },
    /// A socket becomes somebody.
    Connect {
        conn: Pick,
        user: u8,
        thread: u8,
        resume: Since,
        previous: Option<Pick>,
        expiry: Option<u8>,
    },
    /// Something came in.
    Message { conn: Pick, kind: Incoming },
    /// So many data messages come in at once.
    Chatter { conn: Pick, count: u8 },
    /// The kernel took bytes.
    Flushed { conn: Pick, how: Flush },
    /// The kernel took everything of everybody.
    FlushAll,
    /// The socket has ended.
    Disconnect { conn: Pick },
    /// Credentials are renewed.
    Refresh { conn: Pick, expiry: Option<u8> },
    /// A user's credentials are void.
    Revoke { user: u8 },
    /// The server is about to stop; the time that it has, in tenths of a second.
    Drain { deadline: Option<u8> },
    /// It does not stop after all.
    CancelDrain,
    /// Other limits and times hold: one of 256 configurations. Or it is only asked what they would
    /// do.
    Reload { choice: u8, dry_run: bool },
    /// So many deadlines pass, one after the other, while everything is polled and flushed.
    Live { deadlines: u8 },
    /// Deadlines act, until none is due.
    Tick,
    /// Time passes, and nothing else happens.
    Advance(Advance),
    /// The next call carries a stamp that is so many milliseconds late.
    Skew { millis: u8 },
    /// The application sends.
    Send { to: To, size: u8, class: Class, except: Option<Pick>, text: bool },
    /// The application answers.
    Reply { conn: Pick, size: u8 },
    /// A connection joins a room.
    Join { conn: Pick, room: u8, since: Since },
    /// A client says what it has dealt with: of its session's stream, or of a room's.
    Acknowledge { conn: Pick, room: Option<u8>, upto: Since },
    /// A connection leaves a room.
    Leave { conn: Pick, room: u8 },
    /// The application closes.
    Close { to: To, reason: u8 },
    /// An agent begins a run in a session, which need not be there yet.
    OpenRun { user: u8, thread: u8, run: u8, size: u8 },
    /// Something happens in a run: below 200 in one of those that are remembered, as long as there is
    /// any, otherwise in one of this user and name.
    RunEvent { user: u8, run: u8, event: RunReport },
    /// The agent of such a run talks in so many pieces, with one action polled after each.
    Talk { run: u8, pieces: u8, size: u8 },
    /// At most so many actions are polled.
    Poll { count: u8 },
    /// Actions are polled until there is none.
    PollAll,
    /// At most so many notices are polled.
    Notices { count: u8 },
}

/// Which handle: the two upper bits say among which.
///
/// * 0: those whose `Cleanup` was not polled (all of them, if there is none).
/// * 1: those that are open (those of 0, if there is none).
/// * 2: those of 0, counted from the newest.
/// * 3: all that were ever seen, and for every eighth a forged one: a known slot, a wrong serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick(pub u16);

impl Pick {
    /// Among which handles: 0 to 3.
    pub const fn kind(self) -> u16 {
        self.0 >> 14
    }

    /// Which of them.
    pub const fn number(self) -> usize {
        (self.0 & 0x3FFF) as usize
    }
}

/// Whom a `Send` or a `Close` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Conn(Pick),
    Session(Pick),
    User(u8),
    Room(u8),
    /// The session of this user and thread, or of this user's run, by a call of the user's own.
    Thread(u8, u8),
    Run(u8, u8),
    Everyone,
}

/// What an application reports of a run: how much, and of which tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunReport {
    Thinking(u8),
    Executing { call: u8, size: u8 },
    Executed { call: u8, size: u8 },
    Progress(u8),
    Text(u8),
    Completed(u8),
    Failed(u8),
    Cancelled(u8),
}

/// What came in. A data message has one of the sizes of [`size_of`](super::world::World::size).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    Data,
    Largest,
    TooLarge,
    Life,
    Pong,
}

/// How much of what was handed out has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    All,
    /// Half of what is in flight.
    Half,
    /// So many bytes more.
    Some(u8),
    /// The same total again.
    Nothing,
    /// More than was ever handed out.
    Beyond,
    /// Less than was reported before.
    Backwards,
}

/// How much time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// So many nanoseconds times 7,919: rarely a whole millisecond.
    Nanos(u8),
    /// So many milliseconds.
    Millis(u8),
    /// To the nanosecond before the next deadline.
    Before,
    /// To the next deadline.
    Exactly,
    /// So many milliseconds past the next deadline.
    Past(u8),
    /// So many times ten minutes: past everything, several times over.
    Far(u8),
    /// So many times 60 days: past what 32 bits of milliseconds can count.
    Ages(u8),
}

/// What becomes of a message when there is no room for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Critical,
    /// The newest of one of a few keys.
    Latest(u8),
    Droppable,
}

/// Which position a client claims to have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It claims none.
    Fresh,
    /// The head of the stream.
    Head,
    /// So many entries before it.
    Behind(u8),
    /// So many entries after it.
    Beyond(u8),
    /// An epoch of another stream.
    Foreign(u8),
    /// The first position of the epoch, and the last that can be named.
    Zero,
    Last,
}
