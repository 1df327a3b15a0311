//! Every connection is a descriptor, and a process may have only so many: what the limits must leave.

use std::fmt;

use headcount::{Config, ConfigBuilder};

/// Connections that are admitted by default, if there are descriptors for them.
const CONNECTIONS: u32 = 65_536;
/// The fewest that the core derives for each of `limits.pending` and `limits.closing`.
const FEWEST_BESIDE: u64 = 64;
/// How many descriptors each of `limits.connections`, `limits.pending` and `limits.closing` may cost:
/// admitted connections that close have a headroom of `limits.closing`, and so have the others.
const COSTS: [u64; 3] = [1, 1, 2];
/// What is left for everything that is not a client's WebSocket: the admin port's connections, those
/// of them that are over its cap, both listeners, the journal, a file that is read, what the runtime
/// polls with, and standard input, output and error.
const RESERVE: u64 = 512;

/// How many descriptors the process may have (`ulimit -n`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors(pub(crate) u64);

/// The limits that were given, of those that the descriptors decide about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    pub(crate) connections: Option<u32>,
    pub(crate) pending: Option<u32>,
    pub(crate) closing: Option<u32>,
}

/// Limits where none is given; `None` is what the core derives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    connections: Option<u32>,
    pending: Option<u32>,
    closing: Option<u32>,
}

impl Defaults {
    pub(crate) fn apply(self, builder: ConfigBuilder) -> ConfigBuilder {
        let Self { connections, pending, closing } = self;
        let builder = connections.into_iter().fold(builder, ConfigBuilder::connections);
        let builder = pending.into_iter().fold(builder, ConfigBuilder::pending);
        closing.into_iter().fold(builder, ConfigBuilder::closing)
    }
}

/// The limits that were lowered, as `(key, from, to)`; none if they fit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lowered(Vec<(&'static str, u32, u32)>);

impl Descriptors {
    /// The limit after raising the soft one to the hard one: the soft one is for programs that use
    /// `select`.
    pub(crate) fn of_the_process() -> Self {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
            return Self(limit.maximum.unwrap_or(u64::MAX));
        }
        Self(limit.current.unwrap_or(u64::MAX))
    }

    /// What is not for clients' WebSockets. Never more than half.
    pub(crate) const fn reserve(self) -> u64 {
        if self.0 / 2 < RESERVE { self.0 / 2 } else { RESERVE }
    }

    /// How many connections the admin port serves at a time: half of the reserve, 256 at most.
    pub(crate) const fn admin_places(self) -> usize {
        let half = self.reserve() / 2;
        if half == 0 { 1 } else { half as usize }
    }

    /// What connections, sockets that wait and connections that close may have together.
    const fn room(self) -> u64 {
        self.0 - self.reserve()
    }

    /// The limits that have a default of their own here, so that with those that are given all fit
    /// into the room, if they can: an eighth of the connections may wait, and each of the two headrooms
    /// of those that close is as large.
    pub(crate) fn defaults(self, given: Given) -> Defaults {
        let [_, pending, closing] = COSTS;
        let cost_of = |limit: Option<u32>, cost: u64| u64::from(limit.unwrap_or(0)) * cost;
        let share_of = |limit: Option<u32>, cost: u64| if limit.is_some() { 0 } else { cost };
        let shares = share_of(given.pending, pending) + share_of(given.closing, closing);
        let taken = cost_of(given.pending, pending) + cost_of(given.closing, closing);
        let left = self.room().saturating_sub(taken).min(u64::from(u32::MAX));
        let fits = u32::try_from(left * 8 / (8 + shares)).unwrap_or(u32::MAX);
        let connections = given.connections.unwrap_or_else(|| fits.clamp(1, CONNECTIONS));
        let eighth = u64::from(connections / 8).max(1);
        let beside = left.saturating_sub(connections.into()).checked_div(shares).unwrap_or(0);
        // The core derives the fewest at least. Fewer than an eighth are for `fit` to say.
        let beside = (eighth..eighth.max(FEWEST_BESIDE)).contains(&beside);
        let beside = beside.then(|| u32::try_from(eighth).unwrap_or(u32::MAX));
        Defaults {
            connections: given.connections.is_none().then_some(connections),
            pending: beside.filter(|_| given.pending.is_none()),
            closing: beside.filter(|_| given.closing.is_none()),
        }
    }

    /// Lowers what does not fit, all in the same proportion. `config` is what `builder` makes.
    ///
    /// Limits that cost no descriptor stay: those that are derived from `limits.connections` could
    /// contradict others that were given.
    pub(crate) fn fit(self, builder: ConfigBuilder, config: &Config) -> (ConfigBuilder, Lowered) {
        let parts = [config.connections(), config.pending(), config.closing()];
        let sum = cost(parts);
        let room = self.room();
        if sum <= room {
            return (builder, Lowered::default());
        }
        let share = |part: u32| u32::try_from(u64::from(part) * room / sum).unwrap_or(part).max(1);
        let mut fitting = parts.map(share);
        // One of each is the least, and the most numerous make room for it.
        let over = cost(fitting).saturating_sub(room);
        if let Some(most) = fitting.iter_mut().max() {
            *most = most.saturating_sub(u32::try_from(over).unwrap_or(u32::MAX)).max(1);
        }
        let [connections, pending, closing] = fitting;
        let per_source = share(config.pending_per_source()).min(pending);
        let per_user = config.connections_per_user().min(connections);
        let lowered = [
            ("limits.connections", config.connections(), connections),
            ("limits.pending", config.pending(), pending),
            ("limits.pending_per_source", config.pending_per_source(), per_source),
            ("limits.closing", config.closing(), closing),
            ("limits.connections_per_user", config.connections_per_user(), per_user),
        ];
        let builder = builder
            .connections(connections)
            .pending(pending)
            .pending_per_source(per_source)
            .closing(closing)
            .connections_per_user(per_user)
            .users(config.users())
            .sessions(config.sessions())
            .rooms(config.rooms());
        (builder, Lowered(lowered.into_iter().filter(|(_, from, to)| from != to).collect()))
    }
}

/// How many descriptors limits may cost.
fn cost(limits: [u32; 3]) -> u64 {
    limits.into_iter().zip(COSTS).map(|(limit, cost)| u64::from(limit) * cost).sum()
}

impl Lowered {
    /// Whether everything fits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `limits.connections from 10000 to 5585, …`.
impl fmt::Display for Lowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, from, to)) in self.0.iter().enumerate() {
            write!(f, "{}{key} from {from} to {to}", if number > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(config: &Config) -> u64 {
        cost([config.connections(), config.pending(), config.closing()])
    }

    #[test]
    fn the_default_fills_what_the_descriptors_leave() {
        for (limit, connections) in [
            (64, 23),
            (200, 72),
            (1_024, 372),
            (8_192, 5_585),
            (66_048, 47_662),
            (90_624, 65_536),
            (u64::MAX, 65_536),
        ] {
            let defaults = Descriptors(limit).defaults(Given::default());
            assert_eq!(defaults.connections, Some(connections), "{limit}");
        }
        let few = (16..400).chain((400..20_000).step_by(7)).chain([1 << 20, u64::MAX]);
        for limit in few {
            for (pending, closing) in [(None, None), (Some(1), None), (None, Some(1))] {
                let descriptors = Descriptors(limit);
                let defaults = descriptors.defaults(Given { connections: None, pending, closing });
                let builder = defaults.apply(Config::builder(1));
                let builder = pending.into_iter().fold(builder, ConfigBuilder::pending);
                let builder = closing.into_iter().fold(builder, ConfigBuilder::closing);
                let config = builder.clone().build().unwrap();
                let room = limit - descriptors.reserve();
                assert!(sum(&config) <= room, "{limit}: {defaults:?}");
                // Most of it is for connections.
                assert!(u64::from(config.connections()) * 2 > room || room > 100_000, "{limit}");
                assert!(descriptors.fit(builder, &config).1.is_empty(), "{limit}");
            }
        }
    }

    #[test]
    fn what_is_given_for_others_leaves_the_rest_to_connections() {
        // 200 descriptors leave 100: 8 for those that wait, and twice 8 for those that close.
        let given = Given { connections: None, pending: Some(8), closing: Some(8) };
        assert_eq!(Descriptors(200).defaults(given).connections, Some(76));
        let given = Given { connections: None, pending: Some(5_000), closing: None };
        assert_eq!(Descriptors(200).defaults(given).connections, Some(1));
        // As many as are given leave place for an eighth of them.
        let given = Given { connections: Some(40), pending: None, closing: None };
        let defaults = Descriptors(200).defaults(given);
        assert_eq!((defaults.pending, defaults.closing), (Some(5), Some(5)));
    }

    #[test]
    fn whatever_was_given_fits_in_the_end() {
        for limit in [8, 16, 64, 100, 256, 600, 1_024, 8_192] {
            for (connections, pending, closing) in
                [(1, 1, 1), (10_000, 1, 1), (1, 10_000, 10_000), (100_000, 64, 9_000)]
            {
                let builder = Config::builder(1).connections_per_user(1).users(2);
                let builder = builder.connections(connections).pending(pending).closing(closing);
                let before = builder.clone().build().unwrap();
                let descriptors = Descriptors(limit);
                let (builder, lowered) = descriptors.fit(builder, &before);
                let config = builder.build().unwrap();
                let room = limit - descriptors.reserve();
                assert!(sum(&config) <= room, "{limit}");
                assert_eq!(lowered.is_empty(), sum(&before) <= room);
                assert_eq!((config.sessions(), config.users()), (before.sessions(), 2));
            }
        }
    }

    #[test]
    fn it_says_which_were_lowered_to_how_many() {
        let builder = Config::builder(1).connections(1_000).connections_per_user(500);
        let config = builder.clone().build().unwrap();
        let (_, lowered) = Descriptors(600).fit(builder, &config);
        assert_eq!(
            lowered.to_string(),
            "limits.connections from 1000 to 218, limits.pending from 125 to 27, \
             limits.pending_per_source from 62 to 13, limits.closing from 125 to 27, \
             limits.connections_per_user from 500 to 218"
        );
    }
}
