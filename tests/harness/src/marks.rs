//! What a set of histories has seen: rare situations that a test run must not miss without a word.

use core::fmt::Debug;

/// Every situation that is looked for.
pub const ALL: &[&str] = &[
    "a bucket outlived its user",
    "a budget took of an open run",
    "a budget took what a member waits for",
    "a budget took what every member was handed",
    "a call was expected to take a while",
    "a close handshake ended in time",
    "a close handshake of one never admitted was cut short",
    "a close handshake was cut short",
    "a close in the application's words",
    "a close left entries behind",
    "a close moved entries out of the logs",
    "a close of a room went on in a later poll",
    "a close of everyone went on in a later poll",
    "a close told of a gap",
    "a connection became suspect",
    "a connection caught up",
    "a connection followed a further session",
    "a connection lagged",
    "a connection left a session by its own wish",
    "a connection was admitted without a session",
    "a connection was evicted",
    "a connection was taken over",
    "a deadline closed: AuthTimeout",
    "a deadline closed: Expired",
    "a deadline closed: FrameTimeout",
    "a deadline closed: HeadTimeout",
    "a deadline closed: Idle",
    "a deadline closed: LifetimeEnded",
    "a deadline closed: PongTimeout",
    "a deadline closed: Restart",
    "a deadline closed: SlowConsumer",
    "a direct message found no room",
    "a direct message found no room among all",
    "a direct message needed no room among all",
    "a direct message used the reply reserve",
    "a drain ended hard",
    "a drain was cancelled",
    "a droppable was shed for room",
    "a follower of several sessions was sent away from one",
    "a frame came too fast",
    "a gap between open runs for a resume",
    "a gap for a resume",
    "a gap for trimmed entries",
    "a gap told of several losses",
    "a laggard passed over a droppable",
    "a large message went into an empty window",
    "a late join: OpenRuns",
    "a late join: Recent",
    "a late join: Run",
    "a late joiner was told of a run's loss",
    "a leave moved members that waited",
    "a lower limit evicted several",
    "a message came too fast",
    "a message was kept for nobody",
    "a message was paused",
    "a message was superseded",
    "a message was superseded by its sender's",
    "a part began anew",
    "a pause ended with a flush",
    "a ping was void",
    "a pong deadline began again",
    "a reload displaced a connection",
    "a reload ended a session",
    "a reload evicted a connection",
    "a reload found a deadline that has passed",
    "a reload trimmed a log",
    "a reply at once found no room",
    "a reply was written at once",
    "a reply would have overtaken another",
    "a request head was too large",
    "a requested run was opened",
    "a resume from a foreign epoch",
    "a resume replayed everything",
    "a resume replayed what was left",
    "a room ended with its history",
    "a room made room",
    "a room outlived its members",
    "a run created its session",
    "a run failed by its length",
    "a run failed by its silence",
    "a run has kept its session",
    "a run waited for a person",
    "a run was requested in a further session",
    "a run went with its session",
    "a run's end trimmed the log",
    "a run's linger held up a log",
    "a run's linger trimmed a log",
    "a session came back to life",
    "a session ended in a poll",
    "a session ended in a tick",
    "a session made room",
    "a session made room for an absent one",
    "a session made room for another user's",
    "a session made room within its tenant",
    "a session of one who joins a tenant made room",
    "a session was revoked",
    "a silent connection was probed",
    "a silent socket gave way to one of its source",
    "a stale handle",
    "a suspect connection recovered",
    "a tenant's budget took an entry",
    "a text was extended",
    "a text was handed out in part",
    "a user came and went between two polls",
    "a user came back within the leave grace",
    "a user in the leave grace made room",
    "a user was adopted by a tenant",
    "a user was in too many rooms",
    "a user was offline after the leave grace",
    "a user was offline at once",
    "a user who was forgotten got what had left it out",
    "a wish to cancel was repeated",
    "an absent user made room",
    "an acknowledgement told something new",
    "an acknowledgement was clamped",
    "an announcement found no place",
    "an announcement skipped a connection",
    "an answer was hurried",
    "an empty session was released",
    "an empty text was a sign of life",
    "an entry behind an open run's was shed",
    "an entry was left out for a session",
    "an entry was left out for a user",
    "an entry was left out for its sender",
    "bytes came too fast",
    "bytes came too fast for too long",
    "members lacked different parts of a text",
    "messages came too fast for too long",
    "no cancel: Ended",
    "no cancel: Full",
    "no cancel: UnknownConn",
    "no cancel: UnknownRun",
    "no event: BadCall",
    "no event: BadPart",
    "no event: CallUnderWay",
    "no event: Calls",
    "no event: CallsUnderWay",
    "no event: Ended",
    "no event: Full",
    "no event: NotOpened",
    "no event: PartKind",
    "no event: Parts",
    "no event: ProcessBytes",
    "no event: TenantBytes",
    "no event: UnknownCall",
    "no event: UnknownRun",
    "no event: UserBytes",
    "no follower: Session",
    "no follower: SessionsPerConnection",
    "no follower: StreamsPerUser",
    "no request: Exists",
    "no request: Full",
    "no request: NotInThread",
    "no request: Runs",
    "no request: UnknownConn",
    "no run: AgentTooLong",
    "no run: Exists",
    "no run: Full",
    "no run: OtherThread",
    "no run: Runs",
    "no run: Session",
    "parts grew beside each other",
    "refused: Connections",
    "refused: ConnectionsPerTenant",
    "refused: ConnectionsPerUser",
    "refused: Draining",
    "refused: NotPending",
    "refused: OtherTenant",
    "refused: Pending",
    "refused: Rate",
    "refused: RateOfUser",
    "refused: Sessions",
    "refused: SessionsPerTenant",
    "refused: SessionsPerUser",
    "refused: StreamsPerUser",
    "refused: TenantBytes",
    "refused: Tenants",
    "refused: Users",
    "the process was silent",
];

/// How often each of them was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks([u64; ALL.len()]);

impl Default for Marks {
    fn default() -> Self {
        Self([0; ALL.len()])
    }
}

impl Marks {
    /// A situation of the list was met.
    pub(crate) fn hit(&mut self, what: &str) {
        let known = ALL.binary_search(&what).expect("a situation of the list");
        self.0[known] += 1;
    }

    /// A situation of the list was met, if the condition holds.
    pub(crate) fn hit_if(&mut self, condition: bool, what: &str) {
        if condition {
            self.hit(what);
        }
    }

    /// Something of a kind was met, for a reason that has the name of a variant.
    pub(crate) fn hit_for(&mut self, what: &str, why: &impl Debug) {
        let why = format!("{why:?}");
        let name = why.split(|it: char| !it.is_alphanumeric()).next();
        self.hit(&format!("{what}: {}", name.unwrap_or_default()));
    }

    /// What another history has seen.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// Each situation, and how often it was met.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ALL.iter().copied().zip(self.0.iter().copied())
    }

    /// What was never seen.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.iter().filter(|(_, count)| *count == 0).map(|(what, _)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(ALL.is_sorted());
    }
}
