//! The terms of the memory bound.

macro_rules! terms {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What [`Config::memory_bound`](crate::Config::memory_bound) is the sum of, in bytes: see
        /// [`Config::memory_breakdown`](crate::Config::memory_breakdown).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct MemoryBreakdown {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl MemoryBreakdown {
            /// The sum of all terms; `u64::MAX` where that is more.
            #[must_use]
            pub const fn total(&self) -> u64 {
                0_u64$(.saturating_add(self.$name))*
            }

            /// The terms with their names, in the order of their fields.
            pub fn terms(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

terms! {
    /// Connections of every state: their records, labels and deadlines, and the places of those that
    /// wait or close. `limits.connections`, `limits.pending`, `limits.closing`.
    connections,
    /// The places of connections in sessions and rooms: lists in each connection, and one in each
    /// session and room. `limits.sessions_per_connection`, `limits.streams_per_user`,
    /// `limits.rooms_per_connection`, `limits.rooms_per_user`.
    memberships,
    /// The rooms that connections were in when they began to close, which may have ended since.
    /// `limits.connections`, `limits.closing`, `limits.rooms_per_connection`.
    rooms_left,
    /// What was not polled of what is for one connection or session alone.
    /// `outbound.direct_bytes`, and `outbound.reply_reserve` for each connection.
    outbox,
    /// Sessions and their users, and the users that are remembered after they left.
    /// `limits.sessions`, `limits.users`.
    sessions,
    /// Tenants, and a record for each session of theirs. `limits.tenants`, `limits.users`,
    /// `limits.sessions`.
    tenants,
    /// Rooms. `limits.rooms`.
    rooms,
    /// The streams of sessions and rooms without what they hold.
    streams,
    /// The places of entries and tombstones in logs, without what they hold.
    /// `outbound.process_bytes`, or `stream.messages` and its kin if they allow less.
    entries,
    /// Keys of messages of the class [`Latest`](crate::Class::Latest), one for each such entry.
    keys,
    /// What messages and events in logs hold. `outbound.process_bytes`, and the largest message.
    payloads,
    /// What the text of runs takes beyond its length, which `payloads` has: half of what is allocated
    /// may be unused, and half of the rest dead. `outbound.process_bytes`.
    text,
    /// Runs that are open, and those that have ended and of which a log keeps an entry.
    /// `limits.runs_per_session`.
    runs,
    /// The parts of runs, without their text. `outbound.process_bytes`, or `run.parts` if that allows less.
    parts,
    /// Tool calls under way. `outbound.process_bytes`, or `run.calls` if that allows less.
    calls,
    /// Announcements to everyone. `announcements`, each as large as the largest message.
    announcements,
    /// Connections that are remembered after they closed. `closed_ring`.
    closed,
    /// Notices that were not polled. `notices`.
    notices,
    /// The recipients of one action.
    recipients,
}
