//! The alphabets: where their histories begin, what may happen, and what they are there for.

mod closed;
mod left_out;
mod tenants;

use std::time::Duration;

use headcount::{Config, ConfigBuilder};
use headcount_harness::op::{
    Advance, Arrival, Class, Except, Flush, Incoming, Op, Pick, RunReport, Since, To,
};
use headcount_harness::settings::Population;

use crate::explore::{Alphabet, Letter};

pub(crate) use self::closed::closed;
pub(crate) use self::left_out::left_out;
pub(crate) use self::tenants::tenants;

/// The oldest open connection, and the one after it.
const FIRST: Pick = Pick::Open(0);
const SECOND: Pick = Pick::Open(1);
/// The newest connection whose `Cleanup` was not polled.
const NEWEST: Pick = Pick::Newest(0);

/// A time after which every deadline of [`SHORT`] has passed, and just passed.
fn time_passes() -> Letter {
    vec![Op::Advance(Advance::Millis(51)), Op::Tick]
}

/// All that there is to do is done, and everybody takes it.
fn all_is_well() -> Letter {
    vec![Op::PollAll, Op::FlushAll]
}

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_millis(100);

const fn arrival(user: u8, thread: u8) -> Arrival {
    let (label, previous, expiry, limit, tenant) = (None, None, None, None, None);
    let (resume, event_stream) = (Since::Fresh, false);
    Arrival { user, thread, label, resume, previous, expiry, event_stream, limit, tenant }
}

const fn arrive(user: u8, thread: u8) -> Op {
    Op::Arrive(arrival(user, thread))
}

const fn come_back(resume: Since, previous: Option<Pick>) -> Op {
    Op::Arrive(Arrival { resume, previous, ..arrival(0, 0) })
}

const fn send(to: To, size: u8, class: Class) -> Op {
    Op::Send { to, size, class, except: None, text: true }
}

/// Few places, small logs, narrow windows, and a deadline for everything.
fn config() -> ConfigBuilder {
    Config::builder(7)
        // The model looks at each deadline that acts.
        .tick_budget(1)
        .connections(3)
        .pending(2)
        .closing(1)
        .users(2)
        .sessions(3)
        .rooms(1)
        .connections_per_user(2)
        .sessions_per_user(2)
        .head_deadline(SHORT)
        .auth_deadline(SHORT)
        .close_handshake(SHORT)
        .session_linger(SHORT)
        .ping_interval(SHORT)
        .pong_timeout(LONG)
        .emergency_deadline(SHORT)
        .slow_deadline(LONG)
        .drain_grace(SHORT)
        .drain_deadline(2 * LONG)
        .pause_threshold(Duration::from_secs(3_600))
        .stream_messages(2)
        .stream_history(1)
        .stream_ttl(2 * LONG)
        .room_messages(2)
        .room_history(1)
        .room_ttl(LONG)
        .send_window(200)
        .reply_reserve(100)
        .direct_bytes(1 << 20)
        .message_bytes(1_000)
        .fanout_chunk(1)
}

fn build(builder: ConfigBuilder) -> Config {
    builder.build().expect("in range and without contradiction")
}

/// Two users, two threads, few places.
pub(crate) fn admission() -> Alphabet {
    Alphabet {
        name: "admission",
        config: build(config().sessions(2).sessions_per_user(1)),
        population: Population { users: 2, threads: 2, rooms: 1, runs: 1 },
        before: vec![],
        letters: vec![
            vec![arrive(0, 0)],
            vec![arrive(0, 1)],
            vec![arrive(1, 0)],
            vec![come_back(Since::Head, Some(FIRST))],
            vec![Op::Reserve { source: Some(1) }],
            vec![Op::Upgraded { conn: NEWEST }],
            vec![Op::Connect { conn: NEWEST, arrival: arrival(1, 1) }],
            vec![Op::Message { conn: FIRST, kind: Incoming::Pong }],
            vec![Op::Disconnect { conn: FIRST }],
            time_passes(),
            vec![Op::Poll { count: 1 }],
            all_is_well(),
        ],
        seen: vec![
            (
                4,
                &[
                    "a close handshake was cut short",
                    "a connection became suspect",
                    "a connection was evicted",
                    "a connection was taken over",
                    "a deadline closed: HeadTimeout",
                    "a session came back to life",
                    "a session ended in a tick",
                    "a session made room",
                    "a stale handle",
                    "a deadline closed: AuthTimeout",
                    "refused: NotPending",
                    "refused: Pending",
                ],
            ),
            (
                5,
                &[
                    "a deadline closed: PongTimeout",
                    "a suspect connection recovered",
                    "refused: Connections",
                    "refused: Sessions",
                ],
            ),
        ],
    }
}

/// Two tabs of one session, which are in a room as well.
pub(crate) fn delivery() -> Alphabet {
    Alphabet {
        name: "delivery",
        config: build(config()),
        population: Population { users: 1, threads: 1, rooms: 1, runs: 1 },
        before: vec![
            arrive(0, 0),
            arrive(0, 0),
            Op::Join { conn: FIRST, room: 0, since: Since::Fresh },
            Op::Join { conn: SECOND, room: 0, since: Since::Fresh },
        ],
        letters: vec![
            vec![send(To::Thread(0, 0), 2, Class::Critical)],
            vec![send(To::Thread(0, 0), 1, Class::Droppable)],
            vec![send(To::Room(0), 3, Class::Latest(0))],
            vec![Op::Send {
                to: To::Room(0),
                size: 1,
                class: Class::Critical,
                except: Some(Except::Connection(FIRST)),
                text: true,
            }],
            vec![Op::Reply { conn: FIRST, size: 1 }],
            vec![Op::Acknowledge { conn: SECOND, room: None, upto: Since::Head }],
            vec![
                Op::Disconnect { conn: FIRST },
                come_back(Since::Behind(1), None),
                Op::Join { conn: NEWEST, room: 0, since: Since::Behind(2) },
            ],
            vec![Op::Flushed { conn: FIRST, how: Flush::Half }],
            // Both, in one report: the lagging one first.
            vec![Op::FlushedMany { first: FIRST, count: 2, how: Flush::All }],
            vec![Op::Poll { count: 1 }],
            vec![Op::PollAll],
            time_passes(),
        ],
        seen: vec![
            (
                4,
                &[
                    "a connection caught up",
                    "a connection lagged",
                    "a deadline closed: SlowConsumer",
                    "a direct message used the reply reserve",
                    "a droppable was shed for room",
                    "a gap for trimmed entries",
                    "a gap told of several losses",
                    "a laggard passed over a droppable",
                    "a leave moved members that waited",
                    "a message was superseded",
                    "a resume replayed everything",
                    "a resume replayed what was left",
                    "a room outlived its members",
                    "an acknowledgement told something new",
                    "an acknowledgement was clamped",
                    "an entry was left out for its sender",
                ],
            ),
            (5, &["a close moved entries out of the logs", "a direct message found no room"]),
        ],
    }
}

/// Two users, and a server that wants to stop.
pub(crate) fn drain() -> Alphabet {
    Alphabet {
        name: "drain",
        config: build(config()),
        population: Population { users: 2, threads: 2, rooms: 1, runs: 1 },
        before: vec![arrive(0, 0)],
        letters: vec![
            vec![Op::Drain { deadline: None }],
            vec![Op::CancelDrain],
            vec![Op::Close { to: To::Everyone, reason: 2 }],
            vec![Op::Close { to: To::User(0), reason: 2 }],
            vec![Op::Revoke { user: 0 }],
            // One of everything, and logs that keep one message: too few for whoever has two tabs.
            vec![arrive(0, 1), Op::Reload { choice: 171, dry_run: false }],
            vec![arrive(1, 0)],
            vec![come_back(Since::Behind(1), Some(FIRST))],
            vec![send(To::User(0), 3, Class::Critical)],
            time_passes(),
            vec![Op::Poll { count: 1 }],
            all_is_well(),
        ],
        seen: vec![
            (
                4,
                &[
                    "a close handshake ended in time",
                    "a close left entries behind",
                    "a close moved entries out of the logs",
                    "a close of everyone went on in a later poll",
                    "a close told of a gap",
                    "a connection was taken over",
                    "a deadline closed: Restart",
                    "a drain was cancelled",
                    "a reload displaced a connection",
                    "a reload ended a session",
                    "a reload evicted a connection",
                    "a reload trimmed a log",
                    "a resume replayed everything",
                    "a session ended in a poll",
                    "a session was revoked",
                    "refused: Draining",
                ],
            ),
            (5, &["a drain ended hard"]),
        ],
    }
}

/// Runs of one session, and tabs that come and go.
pub(crate) fn runs() -> Alphabet {
    Alphabet {
        name: "runs",
        config: build(
            config()
                .runs_per_session(2)
                .run_silence(LONG)
                .run_linger(SHORT)
                .run_events(6)
                .run_bytes(1_024)
                .user_bytes(400)
                .process_bytes(1_000),
        ),
        population: Population { users: 1, threads: 1, rooms: 1, runs: 2 },
        before: vec![arrive(0, 0)],
        letters: vec![
            vec![Op::OpenRun { user: 0, thread: 0, run: 0, size: 1 }],
            vec![Op::OpenRun { user: 0, thread: 0, run: 1, size: 1 }],
            vec![Op::RunEvent { user: 0, run: 200, event: RunReport::Text(3) }],
            vec![Op::RunEvent { user: 0, run: 200, event: RunReport::Delta { part: 1, size: 3 } }],
            vec![Op::RunEvent {
                user: 0,
                run: 200,
                event: RunReport::Executing { call: 0, size: 1, expect: None },
            }],
            vec![Op::RunEvent {
                user: 0,
                run: 200,
                event: RunReport::Executed { call: 0, size: 1 },
            }],
            vec![Op::RunEvent { user: 0, run: 200, event: RunReport::Completed(2) }],
            vec![send(To::Thread(0, 0), 3, Class::Critical)],
            vec![arrive(0, 0)],
            vec![Op::Disconnect { conn: FIRST }],
            vec![Op::Poll { count: 1 }],
            all_is_well(),
            time_passes(),
        ],
        seen: vec![
            (
                4,
                &[
                    "a late join: OpenRuns",
                    "a run failed by its silence",
                    "a part began anew",
                    "a run has kept its session",
                    "a run created its session",
                    "a run's end trimmed the log",
                    "a run's linger held up a log",
                    "a run's linger trimmed a log",
                    "a text was extended",
                    "an entry behind an open run's was shed",
                    "no event: CallUnderWay",
                    "no event: CallsUnderWay",
                    "no event: Ended",
                    "no event: UnknownCall",
                    "no run: Exists",
                    "parts grew beside each other",
                ],
            ),
            (
                5,
                &[
                    "a budget took what a member waits for",
                    "a close told of a gap",
                    "a text was handed out in part",
                ],
            ),
        ],
    }
}

/// Two tabs of one user, which follow two sessions and may follow a third.
pub(crate) fn following() -> Alphabet {
    let follow = |conn, thread, since| Op::Follow { conn, thread, since };
    Alphabet {
        name: "following",
        config: build(
            config()
                .sessions_per_user(2)
                .sessions_per_connection(2)
                .streams_per_user(2)
                .run_linger(LONG)
                .user_bytes(1_000),
        ),
        population: Population { users: 2, threads: 3, rooms: 1, runs: 1 },
        before: vec![arrive(0, 0), arrive(0, 200)],
        letters: vec![
            vec![follow(FIRST, 1, Since::Fresh)],
            vec![follow(FIRST, 2, Since::Kept)],
            vec![follow(SECOND, 0, Since::Recent)],
            vec![follow(SECOND, 1, Since::Behind(1))],
            vec![Op::Unfollow { conn: FIRST, session: 0 }],
            vec![
                Op::OpenRun { user: 0, thread: 0, run: 0, size: 1 },
                Op::RunEvent { user: 0, run: 200, event: RunReport::Completed(1) },
            ],
            vec![send(To::User(0), 3, Class::Critical)],
            vec![Op::Close { to: To::Thread(0, 0), reason: 2 }],
            vec![arrive(0, 2)],
            vec![Op::Disconnect { conn: FIRST }],
            vec![Op::Poll { count: 1 }],
            all_is_well(),
            time_passes(),
        ],
        seen: vec![
            (
                4,
                &[
                    "a connection followed a further session",
                    "a connection left a session by its own wish",
                    "a follower of several sessions was sent away from one",
                    "a late join: Recent",
                    "a session came back to life",
                    "no follower: SessionsPerConnection",
                ],
            ),
            (5, &["a session made room"]),
        ],
    }
}

/// Runs that clients request and wish to cancel, and an application that hears them or does not.
pub(crate) fn requests() -> Alphabet {
    let request = |conn, run, thread| Op::RequestRun { conn, thread, run, size: 1 };
    let report = |event| Op::RunEvent { user: 0, run: 200, event };
    Alphabet {
        name: "requests",
        config: build(
            config()
                .runs_per_session(2)
                .run_silence(LONG)
                .run_max_length(2 * LONG)
                .run_linger(SHORT)
                .run_events(4)
                .run_bytes(1_024)
                .user_bytes(400)
                .process_bytes(1_000),
        ),
        population: Population { users: 1, threads: 2, rooms: 1, runs: 2 },
        before: vec![arrive(0, 0)],
        letters: vec![
            vec![request(FIRST, 0, None)],
            vec![request(SECOND, 1, Some(0))],
            vec![Op::OpenRun { user: 0, thread: 0, run: 0, size: 1 }],
            vec![Op::OpenRun { user: 0, thread: 1, run: 1, size: 1 }],
            vec![Op::RequestCancel { conn: FIRST, run: 200, size: 1 }],
            vec![report(RunReport::Text(3))],
            vec![report(RunReport::Cancelled(0))],
            vec![send(To::Thread(0, 0), 3, Class::Critical)],
            vec![arrive(0, 1)],
            vec![arrive(0, 0)],
            vec![Op::Disconnect { conn: FIRST }],
            all_is_well(),
            time_passes(),
        ],
        seen: vec![
            (
                4,
                &[
                    "a requested run was opened",
                    "a run failed by its silence",
                    "a wish to cancel was repeated",
                    "no cancel: Ended",
                    "no cancel: UnknownRun",
                    "no event: NotOpened",
                    "no request: Exists",
                    "no request: NotInThread",
                    "no run: OtherThread",
                ],
            ),
            (5, &["no cancel: Full"]),
        ],
    }
}

/// Users who come, are dropped or leave, and come back, where one has a place.
pub(crate) fn presence() -> Alphabet {
    Alphabet {
        name: "presence",
        config: build(config().users(1).with_presence().leave_grace(SHORT)),
        population: Population { users: 2, threads: 1, rooms: 1, runs: 1 },
        before: vec![arrive(0, 200)],
        letters: vec![
            vec![arrive(0, 200)],
            vec![arrive(0, 0)],
            vec![arrive(1, 200)],
            vec![Op::OpenRun { user: 0, thread: 0, run: 0, size: 1 }],
            vec![Op::Disconnect { conn: FIRST }],
            vec![Op::Close { to: To::User(0), reason: 2 }],
            vec![Op::Revoke { user: 0 }],
            vec![Op::Poll { count: 1 }],
            all_is_well(),
            time_passes(),
        ],
        seen: vec![(
            4,
            &[
                "a user came and went between two polls",
                "a user came back within the leave grace",
                "a user in the leave grace made room",
                "a user was offline after the leave grace",
                "a user was offline at once",
            ],
        )],
    }
}
