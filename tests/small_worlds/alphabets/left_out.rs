//! Whom messages leave out.

use super::*;

/// Two users in a room that keeps what was said, one of whom follows two sessions now and then, is
/// forgotten and comes back.
pub(crate) fn left_out() -> Alphabet {
    let leave_out = |to, class, who| Op::Send { to, size: 1, class, except: Some(who), text: true };
    let join = |conn| Op::Join { conn, room: 0, since: Since::Kept };
    Alphabet {
        name: "left_out",
        config: build(config().room_ttl(3 * LONG).room_history(2).sessions_per_connection(2)),
        population: Population { users: 2, threads: 2, rooms: 1, runs: 1 },
        before: vec![arrive(0, 0), join(FIRST), arrive(1, 0), join(SECOND)],
        letters: vec![
            vec![leave_out(To::Room(0), Class::Critical, Except::User(FIRST))],
            vec![leave_out(To::Room(0), Class::Critical, Except::Session(FIRST))],
            vec![leave_out(To::Room(0), Class::Latest(0), Except::User(SECOND))],
            vec![leave_out(To::User(0), Class::Droppable, Except::Session(NEWEST))],
            vec![leave_out(To::Everyone, Class::Critical, Except::User(NEWEST))],
            // It has the first place that is free, or the one behind all.
            vec![arrive(0, 0), join(FIRST), join(NEWEST)],
            vec![Op::Follow { conn: FIRST, thread: 1, since: Since::Fresh }],
            vec![Op::Unfollow { conn: FIRST, session: 0 }],
            vec![Op::Disconnect { conn: FIRST }],
            // Long enough for a session to end and its user to be forgotten, and not for the room.
            [vec![Op::Disconnect { conn: FIRST }, Op::PollAll], time_passes(), vec![Op::PollAll]]
                .concat(),
            vec![Op::Poll { count: 1 }],
            all_is_well(),
        ],
        seen: vec![(
            4,
            &[
                "a message was superseded by its sender's",
                "a user who was forgotten got what had left it out",
                "an entry was left out for a session",
                "an entry was left out for a user",
            ],
        )],
    }
}
