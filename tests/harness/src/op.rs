//! What a history is made of: plain data, so that a generator, a fuzzer and a shrinker can make it.
//!
//! Operands are small numbers that resolve modulo what has been seen so far, handles that died long
//! ago and handles that never were included. Every sequence of operations is a valid history.

pub use super::arrival::Arrival;
use super::simpler::{Simpler, plain, with};

plain! {
    /// One step of a history.
    pub enum Op {
        /// A socket was accepted.
        Reserve {
            /// From which of a few sources; `None` if that is not known.
            source: Option<u8>,
        },
        /// A socket is accepted and admitted at once: `Reserve` without a source and `Connect` in one.
        Arrive(0 arrival: Arrival),
        /// A socket that is upgraded and known already arrives.
        Admit(0 arrival: Arrival) => Self::Arrive(arrival),
        /// A socket was upgraded without credentials.
        Upgraded {
            /// Which.
            conn: Pick,
        },
        /// A pending socket is admitted.
        Connect {
            /// Which.
            conn: Pick,
            /// Who.
            arrival: Arrival,
        },
        /// Something came in.
        Message {
            /// On which connection.
            conn: Pick,
            /// What.
            kind: Incoming,
        },
        /// The same comes in again and again, at once.
        Chatter {
            /// On which connection.
            conn: Pick,
            /// What.
            kind: Incoming,
            /// How often; eight times as often if it takes an eighth of a token.
            #[cfg_attr(feature = "arbitrary", arbitrary(with = few))]
            count: u8,
        },
        /// The kernel took bytes.
        Flushed {
            /// Of which connection.
            conn: Pick,
            /// How many.
            how: Flush,
        },
        /// The kernel took bytes of several connections, which are reported at once.
        FlushedMany {
            /// The first of them; the others are those that follow it.
            first: Pick,
            /// How many. From more than there are, some are reported twice.
            #[cfg_attr(feature = "arbitrary", arbitrary(with = few))]
            count: u8,
            /// How many bytes of each.
            how: Flush,
        } => Self::Flushed { conn: first, how },
        /// The kernel took all that was handed out to all connections.
        FlushAll,
        /// The socket has ended.
        Disconnect {
            /// Which.
            conn: Pick,
        },
        /// Credentials are renewed.
        Refresh {
            /// Whose.
            conn: Pick,
            /// When they expire, as in [`Arrival::expiry`].
            expiry: Option<u8>,
        },
        /// A user's credentials are void.
        Revoke {
            /// Whose.
            user: u8,
        },
        /// The server is about to stop.
        Drain {
            /// The time that it has, in tenths of a second; `None` for what the configuration says.
            deadline: Option<u8>,
        },
        /// It does not stop after all.
        CancelDrain,
        /// Other limits and times hold, or it is only asked what they would do.
        Reload {
            /// Which of 256 configurations, as in [`settings::after`](crate::settings::after).
            choice: u8,
            /// Whether it is only asked.
            dry_run: bool,
        },
        /// Deadlines pass, one after the other, while everything is polled and flushed.
        Live {
            /// How many.
            #[cfg_attr(feature = "arbitrary", arbitrary(with = few))]
            deadlines: u8,
        },
        /// Deadlines act, until none is due.
        Tick,
        /// Time passes, and nothing else happens.
        Advance(0 advance: Advance),
        /// The next call carries a stamp that is late.
        Skew {
            /// By so many milliseconds.
            millis: u8,
        },
        /// The application sends.
        Send {
            /// Whom to.
            to: To,
            /// One of the lengths at which something changes; below 6, nine times as many bytes.
            size: u8,
            /// What becomes of it when there is no room.
            class: Class,
            /// Who does not get it.
            except: Option<Except>,
            /// Whether it is text.
            text: bool,
        },
        /// The application answers.
        Reply {
            /// Whom.
            conn: Pick,
            /// As in [`Op::Send`].
            size: u8,
        },
        /// The application answers, and the shell writes the answer at once.
        ReplyAtOnce {
            /// Whom.
            conn: Pick,
            /// As in [`Op::Send`].
            size: u8,
        },
        /// A connection follows a session of its user.
        Follow {
            /// Which connection.
            conn: Pick,
            /// The thread of the session.
            thread: u8,
            /// Where it begins.
            since: Since,
        },
        /// A connection follows a session no more.
        Unfollow {
            /// Which connection.
            conn: Pick,
            /// Which of those that it follows; if it is odd any of all sessions.
            session: u8,
        },
        /// A connection joins a room.
        Join {
            /// Which.
            conn: Pick,
            /// Which room.
            room: u8,
            /// What its client claims to have seen of the room.
            since: Since,
        },
        /// A client says what it has dealt with.
        Acknowledge {
            /// On which connection.
            conn: Pick,
            /// Of a room's stream; `None` for that of the session that it followed last.
            room: Option<u8>,
            /// Up to where; what it was handed, if it does not say.
            upto: Since,
        },
        /// Something is said in a room, some of its members are handed it perhaps, and all of them leave,
        /// one after the other.
        Vacate {
            /// Which room. If it is odd, polls go on until one of them was handed it.
            room: u8,
        },
        /// A message to a room leaves out the user of a connection, who is sent away and forgotten then. One
        /// that comes after that, perhaps the same user, reads all that the room keeps.
        Forget {
            /// Which connection.
            conn: Pick,
            /// Which room.
            room: u8,
            /// Who comes.
            arrival: Arrival,
        } => Self::Disconnect { conn },
        /// A connection leaves a room.
        Leave {
            /// Which.
            conn: Pick,
            /// Which room.
            room: u8,
        },
        /// The application closes.
        Close {
            /// Whom.
            to: To,
            /// Why: one of [`CloseReason::ALL`](headcount::CloseReason::ALL), and words from 225 on.
            reason: u8,
        },
        /// An agent begins a run in a session, which need not be there yet.
        OpenRun {
            /// Whose.
            user: u8,
            /// In which thread.
            thread: u8,
            /// Under which name.
            run: u8,
            /// The size of its first event, as in [`Op::Send`], and the length of the agent's name.
            size: u8,
        },
        /// Something happens in a run.
        RunEvent {
            /// Whose, where `run` is 200 or above.
            user: u8,
            /// Below 200 one of those that are remembered, as long as there is any; otherwise one of this
            /// user and name.
            run: u8,
            /// What.
            event: RunReport,
        },
        /// A client requests a run.
        RequestRun {
            /// By which connection.
            conn: Pick,
            /// In which thread: below 200 by its number, from there on the last that the connection follows
            /// or one before that; `None` for the first that it follows.
            thread: Option<u8>,
            /// Under which name.
            run: u8,
            /// The size of its input, as in [`Op::Send`].
            size: u8,
        },
        /// A client wishes that a run is cancelled.
        RequestCancel {
            /// By which connection.
            conn: Pick,
            /// Which run, as in [`Op::RunEvent`], by its name alone.
            run: u8,
            /// The size of its reason, as in [`Op::Send`].
            size: u8,
        },
        /// The agent of such a run talks, and one action is polled after each piece.
        Talk {
            /// Which run, as in [`Op::RunEvent`].
            run: u8,
            /// In how many pieces.
            #[cfg_attr(feature = "arbitrary", arbitrary(with = few))]
            pieces: u8,
            /// How much each, as in [`RunReport::Text`].
            size: u8,
        },
        /// Actions are polled.
        Poll {
            /// At most so many.
            count: u8,
        } => Self::PollAll,
        /// Actions are polled until there is none.
        PollAll,
        /// The registry is made anew out of its snapshot.
        Restore,
        /// Notices are polled.
        Notices {
            /// At most so many.
            count: u8,
        },
    }

    /// Which handle, counted modulo how many there are.
    pub enum Pick {
        /// Of those whose `Cleanup` was not polled (of all, if there is none).
        Known(0 number: u16),
        /// Of those that are open (of `Known`, if there is none).
        Open(0 number: u16) => Self::Known(number),
        /// As `Known`, counted from the newest.
        Newest(0 number: u16) => Self::Known(0),
        /// Of all that were ever seen, and for every eighth a forged one: a known slot, a wrong serial.
        Ever(0 number: u16) => Self::Known(number),
    }

    /// Whom a `Send` leaves out.
    pub enum Except {
        /// One connection.
        Connection(0 pick: Pick),
        /// Those that follow the session that a connection follows longest.
        Session(0 pick: Pick) => Self::Connection(pick),
        /// Those of a connection's user.
        User(0 pick: Pick) => Self::Connection(pick),
    }

    /// Whom a `Send` or a `Close` is for.
    pub enum To {
        /// One connection.
        Conn(0 pick: Pick),
        /// One session.
        Session(0 pick: Pick),
        /// The session that a connection follows longest.
        SessionOf(0 pick: Pick) => Self::Conn(pick),
        /// All sessions of a connection's user.
        UserOf(0 pick: Pick) => Self::Conn(pick),
        /// All sessions of a user.
        User(0 user: u8),
        /// A room.
        Room(0 room: u8),
        /// All sessions of a user, by a call of the user's own.
        Own(0 user: u8) => Self::User(user),
        /// The session of this user and thread, by a call of the user's own.
        Thread(0 user: u8, 1 thread: u8),
        /// The session of this user's run, by a call of the user's own.
        Run(0 user: u8, 1 run: u8),
        /// Everyone.
        Everyone,
    }

    /// What an application reports of a run. Sizes are as in [`Op::Send`], calls one of a few names.
    pub enum RunReport {
        /// The agent thinks.
        Thinking(0 size: u8) => Self::Progress(size),
        /// A tool call begins.
        Executing {
            /// Which.
            call: u8,
            /// The size of its payload.
            size: u8,
            /// How long it may take: so many tenths of `run.silence`, or for ever if it is 255; `None`
            /// if it does not say.
            expect: Option<u8>,
        } => Self::Progress(size),
        /// A tool call ends.
        Executed {
            /// Which.
            call: u8,
            /// The size of its payload.
            size: u8,
        } => Self::Progress(size),
        /// The run gets on.
        Progress(0 size: u8),
        /// The agent talks: so many characters times five, modulo eight of them, and rarely many more.
        Text(0 size: u8),
        /// The run has a result.
        Completed(0 size: u8),
        /// It has none.
        Failed(0 size: u8),
        /// The run was ended before it was complete.
        Cancelled(0 size: u8),
        /// It waits for a person.
        Interrupted(0 size: u8) => Self::Cancelled(size),
        /// A part goes on that has a name of its own, or should have one.
        Delta {
            /// Which: one of a few, mostly of the same kind, or none that is right.
            part: u8,
            /// How much, as in [`RunReport::Text`].
            size: u8,
        } => Self::Text(size),
    }

    /// What came in.
    pub enum Incoming {
        /// An empty data message.
        Data,
        /// A data message as large as it may be.
        Largest => Self::Data,
        /// One byte more.
        TooLarge => Self::Data,
        /// A byte, and no message is in progress after it.
        Life => Self::Data,
        /// A byte of a message in progress.
        Piece => Self::Data,
        /// Some 2,000 bytes of a message in progress.
        Bulk => Self::Data,
        /// A whole frame of a message that is not whole.
        Fragment => Self::Data,
        /// A ping.
        Ping => Self::Data,
        /// A pong.
        Pong => Self::Data,
    }

    /// How much of what was handed out has been taken.
    pub enum Flush {
        /// All of it.
        All,
        /// Half of what is in flight.
        Half => Self::All,
        /// So many bytes more.
        Some(0 some: u8) => Self::All,
        /// The same total again.
        Nothing => Self::All,
        /// More than was ever handed out.
        Beyond => Self::All,
        /// Less than was reported before.
        Backwards => Self::All,
    }

    /// How much time passes.
    pub enum Advance {
        /// So many nanoseconds times 7,919: rarely a whole millisecond.
        Nanos(0 some: u8) => Self::Exactly,
        /// So many milliseconds.
        Millis(0 some: u8) => Self::Exactly,
        /// To the nanosecond before the next deadline.
        Before => Self::Exactly,
        /// To the next deadline.
        Exactly,
        /// So many milliseconds past the next deadline.
        Past(0 some: u8) => Self::Exactly,
        /// So many times ten minutes: past everything, several times over.
        Far(0 some: u8) => Self::Exactly,
        /// So many times 60 days: past what 32 bits of milliseconds can count.
        Ages(0 some: u8) => Self::Exactly,
    }

    /// What becomes of a message when there is no room for all of them.
    pub enum Class {
        /// It is told as lost.
        Critical,
        /// The newest of one of a few keys counts.
        Latest(0 key: u8) => Self::Critical,
        /// It is passed over.
        Droppable => Self::Critical,
    }

    /// Where a client begins: mostly the position that it claims to have seen.
    pub enum Since {
        /// It claims none.
        Fresh,
        /// An epoch that no stream has.
        Unseen => Self::Fresh,
        /// At the head.
        Now => Self::Fresh,
        /// At the head, and what was opened or has ended of late.
        Recent => Self::Fresh,
        /// At the head, and this run.
        Run(0 run: u8) => Self::Fresh,
        /// With all that is kept.
        Kept => Self::Fresh,
        /// The head of the stream.
        Head => Self::Fresh,
        /// So many entries before it.
        Behind(0 some: u8) => Self::Fresh,
        /// So many entries after it.
        Beyond(0 some: u8) => Self::Fresh,
        /// An epoch of another stream.
        Foreign(0 some: u8) => Self::Fresh,
        /// The first position of the epoch.
        Zero => Self::Fresh,
        /// The last that can be named.
        Last => Self::Fresh,
    }
}

impl Pick {
    /// The one that follows this one by so many, of the same.
    pub(crate) const fn after(self, by: u8) -> Self {
        let by = by as u16;
        match self {
            Self::Known(number) => Self::Known(number.wrapping_add(by)),
            Self::Open(number) => Self::Open(number.wrapping_add(by)),
            Self::Newest(number) => Self::Newest(number.wrapping_add(by)),
            Self::Ever(number) => Self::Ever(number.wrapping_add(by)),
        }
    }
}

/// What is done so many times in one operation is done a few times, or little else is ever tried.
#[cfg(feature = "arbitrary")]
fn few(bytes: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<u8> {
    Ok(bytes.arbitrary::<u8>()? % 16)
}
