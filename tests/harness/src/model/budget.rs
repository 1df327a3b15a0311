//! Byte budgets: who pays.
//!
//! Entries that every member was handed are the first to go, then the others. Within the process, and
//! within a tenant, streams take turns in the order in which they came to hold such an entry; within a user
//! the oldest goes.

use std::collections::BTreeMap;

use headcount::{MESSAGE_OVERHEAD, RoomEnd, Timestamp};

use super::entry::Entry;
use super::names::Name;
use super::stream::Stream;
use super::{Model, keep};
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

/// Whose logs and calls a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Payer {
    User(Name),
    Tenant(Name),
    Everyone,
}

/// Of a tenant and of all, the streams that hold an entry of a class, in the order of their turns:
/// delivered, and any.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Evictable(BTreeMap<Payer, [Vec<Source>; 2]>);

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
    /// What the tool calls under way are charged.
    pub(crate) fn call_bytes(&self, payer: Payer) -> u64 {
        let runs = self.runs.values().filter(|run| self.pays(payer, Some(run.user)));
        runs.map(|run| run.calls.len() as u64).sum::<u64>() * CALL_COST
    }

    /// Whether a budget is for what a user has.
    fn pays(&self, payer: Payer, user: Option<Name>) -> bool {
        match payer {
            Payer::User(of) => user == Some(of),
            Payer::Tenant(of) => user.and_then(|user| self.tenant_of(user)) == Some(of),
            Payer::Everyone => true,
        }
    }

    /// What the logs and the calls under way are charged.
    pub(crate) fn charged(&self, payer: Payer) -> u64 {
        let streams = self.streams.values();
        let own = streams.filter(|it| self.pays(payer, self.user_of(&it.source)));
        own.map(|it| it.log.shown().bytes).sum::<u64>() + self.call_bytes(payer)
    }

    fn exceeds(&self, payer: Payer) -> bool {
        let config = &self.config;
        self.charged(payer)
            > match payer {
                Payer::User(_) => config.user_bytes(),
                Payer::Tenant(_) => config.tenant_bytes(),
                Payer::Everyone => config.process_bytes(),
            }
    }

    pub(crate) fn user_of(&self, source: &Source) -> Option<Name> {
        let Source::Session(session) = source else { return None };
        self.sessions.get(session).map(|session| session.user)
    }

    /// A log has changed, or what every member was handed: a stream that has come to hold an entry of a
    /// class stands at the back there.
    pub(crate) fn list_evictable(&mut self, source: &Source) {
        let tenant = self.user_of(source).and_then(|user| self.tenant_of(user));
        let payers = tenant.map(Payer::Tenant).into_iter().chain([Payer::Everyone]);
        for (payer, class) in payers.flat_map(|payer| CLASSES.map(|class| (payer, class))) {
            let stream = self.streams.get(source);
            let holds = stream.is_some_and(|stream| stream.evictable(class, None).is_some());
            keep(self.turns_of(payer, class), source.clone(), holds);
        }
    }

    /// Takes what is of a tenant no more out of its turns.
    pub(crate) fn unlist_strangers(&mut self, tenant: Name) {
        let own: Vec<_> =
            self.sessions_of_tenant(tenant).into_iter().map(Source::Session).collect();
        if let Some(lists) = self.evictable.0.get_mut(&Payer::Tenant(tenant)) {
            lists.iter_mut().for_each(|list| list.retain(|it| own.contains(it)));
        }
    }

    /// An entry was appended, and stays: others go until the budgets hold.
    pub(crate) fn keep_budgets(&mut self, appended: &Source) {
        if let Some(user) = self.user_of(appended) {
            self.keep_user_budget(user, Some(appended));
            if let Some(tenant) = self.tenant_of(user) {
                self.keep_budget_in_turns(Payer::Tenant(tenant), Some(appended));
            }
        }
        self.keep_budget_in_turns(Payer::Everyone, Some(appended));
    }

    fn spared(&self, source: &Source, appended: Option<&Source>) -> Option<u64> {
        (appended == Some(source)).then(|| self.streams[source].head())
    }

    pub(crate) fn keep_user_budget(&mut self, user: Name, appended: Option<&Source>) {
        while self.exceeds(Payer::User(user)) {
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

    /// Keeps the budget of a tenant, or of all.
    pub(crate) fn keep_budget_in_turns(&mut self, payer: Payer, appended: Option<&Source>) {
        for class in CLASSES {
            while self.exceeds(payer) {
                // One that holds nothing but the entry that is spared only loses its turn.
                let turns = self.turns_of(payer, class).len();
                let next = (0..turns).find_map(|_| {
                    let list = self.turns_of(payer, class);
                    list.rotate_left(1);
                    let source = list.last()?.clone();
                    let spared = self.spared(&source, appended);
                    self.streams[&source].evictable(class, spared).is_some().then_some(source)
                });
                let Some(source) = next else { break };
                self.marks.hit_if(payer != Payer::Everyone, "a tenant's budget took an entry");
                self.give_up(&source, appended);
            }
        }
    }

    fn turns_of(&mut self, payer: Payer, class: Class) -> &mut Vec<Source> {
        &mut self.evictable.0.entry(payer).or_default()[class as usize]
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
