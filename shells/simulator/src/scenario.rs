//! What is simulated: a scenario, from a file or ready-made.

use std::fmt;

use headcount::Config;
use serde::Deserialize;
use toml::Spanned;

use crate::settings::{Misplaced, ServerSettings};
use crate::values::{Percent, Span};

/// More would not fit the servers' numbers.
const MOST_DEPLOYS: usize = 200;
const MOST_CLIENTS: u64 = 16_000_000;

/// A whole scenario, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub(crate) about: String,
    pub(crate) length: Span,
    /// Whether the old rules are run with the same clients beside the registry's.
    #[serde(default)]
    pub(crate) compare_old_rules: bool,
    #[serde(default)]
    pub(crate) server: ServerSettings,
    #[serde(default)]
    pub(crate) network: Network,
    pub(crate) clients: Vec<Group>,
    #[serde(default)]
    pub(crate) traffic: Vec<Traffic>,
    #[serde(default)]
    pub(crate) runs: Vec<Runs>,
    #[serde(default)]
    pub(crate) incidents: Vec<Incident>,
}

/// `[network]`: what lies between clients and server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// From one side to the other: the least and the most.
    pub(crate) latency: Spanned<[Span; 2]>,
    /// How many unread bytes the kernel and the wire take.
    pub(crate) buffer: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self { latency: Spanned::new(0..0, [Span(20), Span(80)]), buffer: 64 * 1024 }
    }
}

/// Which sessions the tabs of a user are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thread {
    /// All of them in one.
    #[default]
    Shared,
    /// Each in one of its own.
    Own,
    /// Each in a new one with every connect, as clients do that make their names anew.
    Fresh,
}

/// `[[clients]]`: some users who behave alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) name: Spanned<String>,
    pub(crate) users: u32,
    #[serde(default = "one")]
    pub(crate) tabs: u32,
    #[serde(default)]
    pub(crate) thread: Thread,
    /// When the first arrives, and how long it takes until the last has.
    #[serde(default)]
    pub(crate) arrive: Span,
    #[serde(default)]
    pub(crate) over: Span,
    /// How long a tab is open, and closed again; means. Without the first it stays.
    pub(crate) stays: Option<Span>,
    pub(crate) returns: Option<Span>,
    /// How long a network holds; a mean.
    pub(crate) drops: Option<Span>,
    /// The share of drops that the server is not told of.
    #[serde(default)]
    pub(crate) silent: Percent,
    /// How long the client takes to notice such a drop; a mean.
    #[serde(default = "eight_seconds")]
    pub(crate) notices: Span,
    /// How long a client reads before it stalls, and for how long it does; means.
    pub(crate) stalls: Option<Span>,
    #[serde(default = "five_seconds")]
    pub(crate) stall: Span,
    /// Bytes that a client reads in a second. Without it a client reads all input at once.
    pub(crate) reads: Option<u32>,
    /// Whether clients answer pings.
    #[serde(default = "yes")]
    pub(crate) answers: bool,
    /// Whether clients name the connection they had when they come back.
    #[serde(default = "yes")]
    pub(crate) take_over: bool,
    /// The first and the longest wait between attempts; it doubles, with jitter.
    #[serde(default = "back_off")]
    pub(crate) back_off: Spanned<[Span; 2]>,
    /// A room that all of them join.
    pub(crate) room: Option<String>,
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

const fn five_seconds() -> Span {
    Span(5_000)
}

const fn eight_seconds() -> Span {
    Span(8_000)
}

fn back_off() -> Spanned<[Span; 2]> {
    Spanned::new(0..0, [Span(500), Span(30_000)])
}

/// The audience of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// One session of the group after the other.
    #[default]
    Session,
    /// The room of the group.
    Room,
}

/// What becomes of messages that there is no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Worth {
    #[default]
    Critical,
    Latest,
    Droppable,
}

/// `[[traffic]]`: what the application sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traffic {
    pub(crate) clients: Spanned<String>,
    #[serde(default)]
    pub(crate) to: Audience,
    pub(crate) per_minute: u32,
    pub(crate) bytes: u32,
    #[serde(default)]
    pub(crate) class: Worth,
    #[serde(default)]
    pub(crate) from: Span,
    pub(crate) until: Option<Span>,
}

/// `[[runs]]`: agents that stream text to one user of the group after the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runs {
    pub(crate) clients: Spanned<String>,
    pub(crate) per_minute: u32,
    pub(crate) lasts: Span,
    pub(crate) every: Span,
    pub(crate) bytes: u32,
    #[serde(default)]
    pub(crate) from: Span,
    pub(crate) until: Option<Span>,
}

/// What happens at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// The server drains, and a new one takes over: `overlap` before, otherwise `downtime` after.
    Deploy,
    /// The server is gone at once, and a new one comes after `downtime`.
    Crash,
    /// A `share` of the `clients` lose their network, `silent` percent of them unseen.
    Drop,
    /// The server's clock jumps by `forward` or by `backward`.
    Clock,
    /// An announcement to everyone.
    Announce,
}

impl What {
    /// As scenarios write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Crash => "crash",
            Self::Drop => "drop",
            Self::Clock => "clock",
            Self::Announce => "announce",
        }
    }
}

/// `[[incidents]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incident {
    pub(crate) at: Span,
    pub(crate) what: Spanned<What>,
    #[serde(default)]
    pub(crate) overlap: bool,
    #[serde(default)]
    pub(crate) downtime: Span,
    pub(crate) clients: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) share: Percent,
    #[serde(default)]
    pub(crate) silent: Percent,
    #[serde(default)]
    pub(crate) forward: Span,
    #[serde(default)]
    pub(crate) backward: Span,
}

/// Why there is no scenario: a sentence that says what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError(pub(crate) String);

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScenarioError {}

impl Scenario {
    /// Reads a scenario in TOML. `place` is what errors call the file.
    ///
    /// # Errors
    /// [`ScenarioError`] names the file, the line and the key.
    pub fn parse(text: &str, place: &str) -> Result<Self, ScenarioError> {
        let misplaced = |(span, sentence): Misplaced| located(text, place, span, &sentence);
        let scenario: Self = toml::from_str(text)
            .map_err(|error| misplaced((error.span().unwrap_or(0..0), error.message().into())))?;
        scenario.check().map_err(misplaced)?;
        Ok(scenario)
    }

    /// How many clients there are.
    #[must_use]
    pub fn clients(&self) -> u64 {
        self.clients.iter().map(|group| u64::from(group.users) * u64::from(group.tabs)).sum()
    }

    /// The same scenario with this configuration for all servers, in place of `[server]`. Each server
    /// has a seed of its own.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.server.config = Some(config);
        self
    }

    /// The same scenario with so many percent of the users and of the traffic, at least one of each.
    /// The registry's limits stay as they are.
    #[must_use]
    pub fn scaled(mut self, percent: u32) -> Self {
        let scale = |count: u32| ((u64::from(count) * u64::from(percent) / 100) as u32).max(1);
        for group in &mut self.clients {
            group.users = scale(group.users);
        }
        for traffic in &mut self.traffic {
            traffic.per_minute = scale(traffic.per_minute);
        }
        for runs in &mut self.runs {
            runs.per_minute = scale(runs.per_minute);
        }
        self
    }

    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.clients.iter().position(|group| group.name.get_ref() == name)
    }

    fn check(&self) -> Result<(), Misplaced> {
        self.server.config(0)?;
        let ordered = |range: &Spanned<[Span; 2]>, key: &str| {
            let [least, most] = range.get_ref();
            if least <= most {
                return Ok(());
            }
            Err((range.span(), format!("{key}: {least} is more than {most}: swap them")))
        };
        ordered(&self.network.latency, "latency")?;
        for (index, group) in self.clients.iter().enumerate() {
            let name = group.name.get_ref();
            ordered(&group.back_off, "back_off")?;
            let wrong =
                |sentence| Err((group.name.span(), format!("clients {name:?}: {sentence}")));
            if self.group(name) != Some(index) {
                return wrong("there are two groups of this name: rename one");
            }
            if group.users == 0 || group.tabs == 0 {
                return wrong("users and tabs must be at least 1");
            }
            if group.reads == Some(0) {
                return wrong("reads must be at least 1; for clients that read nothing use stalls");
            }
        }
        if self.clients() == 0 || self.clients() > MOST_CLIENTS {
            let sentence = format!("there must be 1 to {MOST_CLIENTS} clients (users × tabs)");
            return Err((0..0, sentence));
        }
        let traffic = self.traffic.iter().map(|traffic| &traffic.clients);
        let runs = self.runs.iter().map(|runs| &runs.clients);
        let incidents = self.incidents.iter().filter_map(|incident| incident.clients.as_ref());
        for name in traffic.chain(runs).chain(incidents) {
            if self.group(name.get_ref()).is_none() {
                let names: Vec<_> =
                    self.clients.iter().map(|group| group.name.get_ref().as_str()).collect();
                let sentence = format!(
                    "there are no clients named {:?}: choose from {}",
                    name.get_ref(),
                    names.join(", ")
                );
                return Err((name.span(), sentence));
            }
        }
        for traffic in &self.traffic {
            let group = self.group(traffic.clients.get_ref()).map(|group| &self.clients[group]);
            if traffic.to == Audience::Room && group.is_some_and(|group| group.room.is_none()) {
                let sentence =
                    "to = \"room\": the group has no room: give it one with room = \"…\"";
                return Err((traffic.clients.span(), sentence.to_owned()));
            }
        }
        for runs in &self.runs {
            let group = self.group(runs.clients.get_ref()).map(|group| &self.clients[group]);
            if group.is_some_and(|group| group.thread != Thread::Shared) {
                let sentence = "runs need clients with thread = \"shared\": every tab of the user \
                                reads the same run";
                return Err((runs.clients.span(), sentence.to_owned()));
            }
            if runs.every.0 == 0 || runs.lasts.0 == 0 {
                let sentence = "a run's every and lasts must be more than nothing";
                return Err((runs.clients.span(), sentence.to_owned()));
            }
        }
        self.check_incidents()
    }

    fn check_incidents(&self) -> Result<(), Misplaced> {
        let mut servers = 0;
        for incident in &self.incidents {
            let wrong = |sentence: &str| Err((incident.what.span(), sentence.to_owned()));
            match incident.what.get_ref() {
                What::Deploy | What::Crash => servers += 1,
                What::Drop if incident.share.0 == 0 => {
                    return wrong("a drop needs a share of the clients: add share = 30 (percent)");
                }
                What::Clock if (incident.forward.0 == 0) == (incident.backward.0 == 0) => {
                    return wrong(
                        "a clock jumps one way: add forward = \"1h\" or backward = \"1h\"",
                    );
                }
                What::Drop | What::Clock | What::Announce => {}
            }
            if servers > MOST_DEPLOYS {
                return wrong("there are more than 200 deploys and crashes: split the scenario");
            }
        }
        Ok(())
    }
}

/// `FILE:LINE: key: sentence`, as far as the mistake has a place.
fn located(
    text: &str,
    place: &str,
    span: core::ops::Range<usize>,
    sentence: &str,
) -> ScenarioError {
    let sentence = sentence.trim().replace('\n', ", ");
    if span == (0..0) {
        return ScenarioError(format!("{place}: {sentence}"));
    }
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let written = text.lines().nth(line - 1).unwrap_or_default();
    let key = written.split_once('=').map_or("", |(key, _)| key.trim().trim_matches('"'));
    // Some sentences name it themselves.
    if key.is_empty() || sentence.contains(&format!("`{key}`")) || sentence.starts_with(key) {
        return ScenarioError(format!("{place}:{line}: {sentence}"));
    }
    ScenarioError(format!("{place}:{line}: {key}: {sentence}"))
}
