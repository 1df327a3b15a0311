//! A world that has an end: histories of any length.

use super::*;

/// One user, who comes, is told something, waits and goes. The numbers say how often each of the first
/// letters may come in a history: arrivals, messages and time alone lead ever further. What follows them may
/// come any number of times.
pub(crate) fn closed() -> (Alphabet, [u64; 3]) {
    let alphabet = Alphabet {
        name: "closed",
        config: build(config().users(1).sessions_per_user(1).message_rate(0)),
        population: Population { users: 1, threads: 1, rooms: 1, runs: 1 },
        before: vec![],
        letters: vec![
            vec![arrive(0, 0)],
            vec![send(To::Thread(0, 0), 2, Class::Critical)],
            time_passes(),
            vec![Op::Disconnect { conn: FIRST }],
            vec![Op::Flushed { conn: FIRST, how: Flush::All }],
            vec![Op::Poll { count: 1 }],
        ],
        seen: vec![(
            10,
            &[
                "a connection became suspect",
                "a session came back to life",
                "a session ended in a tick",
            ],
        )],
    };
    (alphabet, [2, 1, 2])
}
