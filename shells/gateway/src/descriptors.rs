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

    /// `limits.connections` where none is given: with an eighth of them for those that wait, and as
    /// many for each of the two headrooms of those that close, they fill the room.
    pub(crate) fn default_connections(self) -> u32 {
        let room = self.room();
        // Above 8 x 64 connections an eighth of them is more than the fewest.
        let fits = if room >= 11 * FEWEST_BESIDE {
            room / 11 * 8
        } else {
            room.saturating_sub(3 * FEWEST_BESIDE)
        };
        u32::try_from(fits).unwrap_or(u32::MAX).clamp(1, CONNECTIONS)
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
        for (limit, connections) in
            [(1_024, 320), (8_192, 5_584), (66_048, 47_656), (90_624, 65_536), (u64::MAX, 65_536)]
        {
            assert_eq!(Descriptors(limit).default_connections(), connections, "{limit}");
        }
        for limit in (400..20_000).step_by(7).chain([1 << 20, u64::MAX]) {
            let descriptors = Descriptors(limit);
            let builder = Config::builder(1).connections(descriptors.default_connections());
            let config = builder.clone().build().unwrap();
            assert!(sum(&config) <= limit - descriptors.reserve(), "{limit}");
            assert!(descriptors.fit(builder, &config).1.is_empty(), "{limit}");
        }
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
