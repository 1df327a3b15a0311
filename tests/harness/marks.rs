//! What a set of histories has seen: rare situations that a test run must not miss without a word.

use std::collections::BTreeMap;

/// Every situation that is looked for.
pub const ALL: &[&str] = &[
    "a close moved entries out of the logs",
    "a close left entries behind",
    "a close told of a gap",
    "a close of everyone went on in a later poll",
    "a close of a room went on in a later poll",
    "a close handshake was cut short",
    "a close handshake ended in time",
    "a connection lagged",
    "a connection was evicted",
    "a connection was taken over",
    "a connection became suspect",
    "a connection caught up",
    "a connection was stuck",
    "a direct message used the lane",
    "a direct message found no room",
    "a gap for trimmed entries",
    "a gap for a resume",
    "a large message went into an empty window",
    "a leave moved members that waited",
    "a message was paused",
    "a pause ended with a flush",
    "a ping was void",
    "a pong deadline passed",
    "a pong deadline began again",
    "a request head was late",
    "a room outlived its members",
    "a room ended with its history",
    "a session came back to life",
    "a session ended in a tick",
    "a session made room",
    "a session ended in a poll",
    "a stale handle",
    "a suspect connection recovered",
    "an announcement found no place",
    "an announcement skipped a connection",
    "an authentication was late",
    "an entry was left out for its sender",
    "refused: Connections",
    "refused: ConnectionsPerUser",
    "refused: NotPending",
    "refused: Pending",
    "refused: Rate",
    "refused: Sessions",
    "refused: SessionsPerUser",
    "refused: Users",
];

/// How often each of them was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    pub fn hit(&mut self, what: &str) {
        let known = ALL.iter().find(|known| **known == what);
        *self.0.entry(known.expect("a situation of the list")).or_insert(0) += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_insert(0) += count;
        }
    }

    /// What was never seen.
    pub fn missing(&self) -> Vec<&'static str> {
        ALL.iter().copied().filter(|what| !self.0.contains_key(what)).collect()
    }
}
