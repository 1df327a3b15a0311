//! Byte budgets: who pays.
//!
//! Entries that every member was handed are the first to go, then the others. Within the process streams
//! take turns in the order in which they came to hold such an entry; within a user the oldest goes.

use headcount::{MESSAGE_OVERHEAD, RoomEnd, Timestamp};

use super::Model;
use super::entry::Entry;
use super::stream::Stream;
use crate::seen::Source;

/// What a tool call under way is charged: a name of the greatest length, and an overhead.
pub(crate) const CALL_COST: u64 = 128 + MESSAGE_OVERHEAD;

/// What is the cheapest to lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Every member was handed it.
    Delivered,
    /// Any entry.
    Whole,
}

const CLASSES: [Class; 2] = [Class::Delivered, Class::Whole];

/// The streams that hold an entry of a class, in the order of their turns: delivered, and any.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Evictable([Vec<Source>; 2]);

impl Stream {
    /// What goes next: the oldest entry of the class, and of open runs if there is nothing else.
    fn evictable(&self, class: Class, spared: Option<u64>) -> Option<&Entry> {
        let other = |entry: &&Entry| Some(entry.last) != spared;
        let oldest = self.log.bounded().next().filter(other);
        match class {
            Class::Delivered => oldest.filter(|entry| entry.last <= self.log.passed),
            Class::Whole => oldest.or_else(|| self.log.kept().next().filter(other)),
        }
    }
}

impl Model {
    /// What the tool calls under way are charged: those of a user, or all.
    pub(crate) fn call_bytes(&self, user: Option<u8>) -> u64 {
        let runs = self.runs.values().filter(|run| user.is_none_or(|user| run.user == user));
        runs.map(|run| run.calls.len() as u64).sum::<u64>() * CALL_COST
    }

    /// Whether the logs and calls of a user, or all, exceed their budget.
    fn exceeds(&self, user: Option<u8>) -> bool {
        let of_user = |it: &&Stream| user.is_none() || self.user_of(&it.source) == user;
        let logs = self.streams.values().filter(of_user).map(|it| it.log.shown().bytes);
        let limit =
            if user.is_some() { self.config.user_bytes() } else { self.config.process_bytes() };
        logs.sum::<u64>() + self.call_bytes(user) > limit
    }

    fn user_of(&self, source: &Source) -> Option<u8> {
        let Source::Session(session) = source else { return None };
        self.sessions.get(session).map(|session| session.user)
    }

    /// A log has changed, or what every member was handed: a stream that has come to hold an entry of a
    /// class stands at the back there.
    pub(crate) fn list_evictable(&mut self, source: &Source) {
        for class in CLASSES {
            let stream = self.streams.get(source);
            let holds = stream.is_some_and(|stream| stream.evictable(class, None).is_some());
            let list = &mut self.evictable.0[class as usize];
            if !holds {
                list.retain(|it| it != source);
            } else if !list.contains(source) {
                list.push(source.clone());
            }
        }
    }

    /// An entry was appended, and stays: others go until the budgets hold.
    pub(crate) fn keep_budgets(&mut self, appended: &Source) {
        if let Some(user) = self.user_of(appended) {
            self.keep_user_budget(user, Some(appended));
        }
        self.keep_process_budget(Some(appended));
    }

    fn spared(&self, source: &Source, appended: Option<&Source>) -> Option<u64> {
        (appended == Some(source)).then(|| self.streams[source].head())
    }

    pub(crate) fn keep_user_budget(&mut self, user: u8, appended: Option<&Source>) {
        while self.exceeds(Some(user)) {
            let sources: Vec<_> = self.sessions_of(user).into_iter().map(Source::Session).collect();
            let at = |class, source: &Source| -> Option<Timestamp> {
                let spared = self.spared(source, appended);
                self.streams[source].evictable(class, spared).map(|entry| entry.at)
            };
            let oldest = |class| {
                let of_class = sources.iter().filter(|source| at(class, source).is_some());
                of_class.min_by_key(|source| at(class, source))
            };
            let Some(source) = CLASSES.into_iter().find_map(oldest) else { return };
            self.give_up(source, appended);
        }
    }

    pub(crate) fn keep_process_budget(&mut self, appended: Option<&Source>) {
        for class in CLASSES {
            while self.exceeds(None) {
                // One that holds nothing but the entry that is spared only loses its turn.
                let turns = self.evictable.0[class as usize].len();
                let next = (0..turns).find_map(|_| {
                    let list = &mut self.evictable.0[class as usize];
                    list.rotate_left(1);
                    let source = list.last()?.clone();
                    let spared = self.spared(&source, appended);
                    self.streams[&source].evictable(class, spared).is_some().then_some(source)
                });
                let Some(source) = next else { break };
                self.give_up(&source, appended);
            }
        }
    }

    fn give_up(&mut self, source: &Source, appended: Option<&Source>) {
        let spared = self.spared(source, appended);
        let stream = &self.streams[source];
        let Some(entry) = stream.evictable(Class::Whole, spared) else { return };
        self.marks.hit(match entry {
            _ if entry.is_held() => "a budget took of an open run",
            _ if entry.last <= stream.log.passed => "a budget took what every member was handed",
            _ => "a budget took what a member waits for",
        });
        let last = entry.last;
        self.stream_mut(source).give_up(last);
        self.list_evictable(source);
        self.tally.shed += 1;
        self.drop_room(source, RoomEnd::Budget);
    }
}
