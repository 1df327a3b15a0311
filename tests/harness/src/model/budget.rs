//! Byte budgets: that they hold, that no more goes than has to, and that what costs least goes first.
//!
//! Streams take turns within the process, so who pays is learnt from what the registry shows: what is left
//! of each stream, and how many entries all of them gave up together. Within a stream there is no choice:
//! so many entries gone means that they were those.

use std::collections::BTreeSet;

use headcount::{MESSAGE_OVERHEAD, Registry};

use super::Model;
use super::log::{Log, distinct};
use super::stream::Stream;
use crate::seen::Source;
use crate::{Check, ensure};

/// What a tool call under way is charged: a name of the greatest length, and an overhead.
pub(crate) const CALL_COST: u64 = 128 + MESSAGE_OVERHEAD;

/// The eviction class of an entry, cheapest to lose first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum EvictionClass {
    /// Every member was handed it.
    Delivered,
    /// A member still waits for it.
    Undelivered,
}

/// What the call at hand may have made the budgets take.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Payments {
    /// Streams to which an entry was appended that stays.
    appended: Vec<Source>,
    /// How many entries streams may have given up that are gone by now.
    forgotten: Vec<BTreeSet<u64>>,
}

/// An entry that was surely given up.
#[derive(Debug)]
struct Paid {
    source: Source,
    index: usize,
    class: EvictionClass,
}

impl Stream {
    /// What of it goes first among those that may go, and how dear that surely is at most.
    fn cheapest(&self, spared: Option<usize>) -> Option<(usize, EvictionClass)> {
        let index = self.logs[0].bounded(&self.entries).next().filter(|it| Some(*it) != spared)?;
        self.logs
            .iter()
            .map(|log| (index, self.eviction_class(log, index)))
            .max_by_key(|(_, it)| *it)
    }

    fn eviction_class(&self, log: &Log, index: usize) -> EvictionClass {
        let entry = &self.entries[index];
        if entry.is_held() || entry.last > log.passed() {
            EvictionClass::Undelivered
        } else {
            EvictionClass::Delivered
        }
    }

    /// Whether it is known which entries it gave up.
    fn is_clear(&self) -> bool {
        let paid = |log: &Log| log.paid().iter().map(|(index, _)| *index).collect::<Vec<_>>();
        self.logs.iter().all(|log| paid(log) == paid(&self.logs[0]))
    }

    /// A budget may have taken any number of its entries, but for one that it spares.
    fn may_pay(&mut self, spared: Option<usize>) {
        let mut ways = Vec::new();
        for log in &self.logs {
            let mut log = log.clone();
            ways.push(log.clone());
            while let Some(index) = log.payable(&self.entries, spared) {
                let class = self.eviction_class(&log, index);
                log.pay(index, class);
                ways.push(log.clone());
            }
        }
        self.logs = distinct(ways);
    }

    /// How many entries it may have given up.
    fn payments(&self) -> BTreeSet<u64> {
        self.logs.iter().map(|log| log.paid().len() as u64).collect()
    }
}

/// What several may have given up together.
fn sums<'a>(all: impl IntoIterator<Item = &'a BTreeSet<u64>>) -> BTreeSet<u64> {
    all.into_iter().fold(BTreeSet::from([0]), |sums, some| {
        sums.iter().flat_map(|sum| some.iter().map(move |it| sum + it)).collect()
    })
}

impl Model {
    fn user_of(&self, source: &Source) -> Option<u8> {
        let Source::Session(session) = source else { return None };
        self.sessions.get(session).map(|session| session.user)
    }

    /// What the tool calls under way are charged: those of a user, or all.
    pub(crate) fn call_bytes(&self, user: Option<u8>) -> u64 {
        let runs = self.runs.values().filter(|run| user.is_none_or(|user| run.user == user));
        runs.map(|run| run.calls.len() as u64).sum::<u64>() * CALL_COST
    }

    /// What the budgets count at most: that of a user, or all.
    fn charged(&self, user: Option<u8>) -> u64 {
        let of_user = |source: &Source| user.is_none() || self.user_of(source) == user;
        let streams = self.streams.iter().filter(|(source, _)| of_user(source));
        let logs = streams.map(|(_, stream)| stream.holding().1.1).sum::<u64>();
        logs + self.call_bytes(user)
    }

    /// Whether a budget is so small that it may matter.
    pub(crate) fn has_budgets(&self) -> bool {
        self.config.user_bytes() < 1 << 20 || self.config.process_bytes() < 1 << 20
    }

    /// An entry was appended.
    pub(crate) fn appended(&mut self, source: &Source) {
        if !self.has_budgets() {
            return;
        }
        self.payments.appended.push(source.clone());
        let user = self.user_of(source);
        let whole = self.charged(None) > self.config.process_bytes();
        let own = user.is_some() && self.charged(user) > self.config.user_bytes();
        self.may_pay(whole, if own { user } else { None }, Some(source));
    }

    /// Other budgets hold, and nothing is spared.
    pub(crate) fn budgets_changed(&mut self) {
        let whole = self.charged(None) > self.config.process_bytes();
        self.may_pay(whole, None, None);
        for user in self.users() {
            if self.charged(Some(user)) > self.config.user_bytes() {
                self.may_pay(false, Some(user), None);
            }
        }
    }

    fn may_pay(&mut self, whole: bool, user: Option<u8>, spared: Option<&Source>) {
        for source in self.streams.keys().cloned().collect::<Vec<_>>() {
            let pays = whole || user.is_some() && self.user_of(&source) == user;
            if let Some(stream) = self.streams.get_mut(&source).filter(|_| pays) {
                let newest = stream.entries.len().checked_sub(1);
                stream.may_pay(newest.filter(|_| spared == Some(&source)));
            }
        }
    }

    /// A stream is about to go, and what it has given up with it.
    pub(crate) fn forget_payments(&mut self, source: &Source) {
        if let Some(stream) = self.streams.get(source) {
            self.payments.forgotten.push(stream.payments());
        }
    }

    /// Together the streams gave up so many: of the accounts of each, those are right that leave the
    /// others a way to.
    fn settle_payments(&mut self, shed: u64, forgotten: &[BTreeSet<u64>]) -> Check {
        if shed == 0 && forgotten.is_empty() {
            // Accounts in which more went did not agree with what the logs show.
            return Ok(());
        }
        let payments: Vec<_> = self.streams.values().map(Stream::payments).collect();
        let all = sums(payments.iter().chain(forgotten));
        ensure!(all.contains(&shed), "stats: shed has grown by {shed}, expected one of {all:?}");
        for (place, stream) in self.streams.values_mut().enumerate() {
            if payments[place].len() > 1 {
                let others = payments.iter().enumerate().filter(|(other, _)| *other != place);
                let others = sums(others.map(|(_, it)| it).chain(forgotten));
                let may = |paid: u64| shed.checked_sub(paid).is_some_and(|it| others.contains(&it));
                stream.logs.retain(|log| may(log.paid().len() as u64));
            }
        }
        Ok(())
    }

    /// What each log shows is known by now: who has paid was right to.
    pub(crate) fn check_budgets(&mut self, registry: &Registry) -> Check {
        let Payments { appended, forgotten } = core::mem::take(&mut self.payments);
        let shed = registry.stats().shed - self.tally.shed;
        self.settle_payments(shed, &forgotten)?;
        self.tally.shed += shed;
        if shed > 0 {
            let gave_nothing = |payments: &BTreeSet<u64>| payments.last() == Some(&0);
            let is_clear =
                forgotten.iter().all(gave_nothing) && self.streams.values().all(Stream::is_clear);
            if is_clear && appended.len() == 1 && !self.run_ended {
                self.check_choice(&appended[0])?;
            }
            for stream in self.streams.values_mut() {
                stream.logs.iter_mut().for_each(Log::forget_paid);
                stream.logs = distinct(stream.logs.drain(..));
            }
        }
        self.run_ended = false;
        if !self.has_budgets() {
            return Ok(());
        }
        self.check_bound(None, self.config.process_bytes())?;
        let users = self.users();
        users.into_iter().try_for_each(|it| self.check_bound(Some(it), self.config.user_bytes()))
    }

    /// A budget holds, unless one entry alone exceeds it.
    fn check_bound(&self, user: Option<u8>, limit: u64) -> Check {
        let bytes = self.charged(user);
        let of_user = |source: &Source| user.is_none() || self.user_of(source) == user;
        let streams = self.streams.iter().filter(|(source, _)| of_user(source));
        let entries = streams.map(|(_, stream)| stream.logs[0].kept().count()).sum::<usize>();
        ensure!(
            bytes <= limit || entries <= 1,
            "the logs of {user:?} hold {entries} entries of {bytes} bytes, {limit} at most"
        );
        Ok(())
    }

    /// After one entry was appended: what was given up was the cheapest, and all of it had to go.
    fn check_choice(&mut self, appended: &Source) -> Check {
        let mut paid = Vec::new();
        for (source, stream) in &self.streams {
            for (index, _) in stream.logs[0].paid() {
                let worths = stream.logs.iter().flat_map(Log::paid);
                let worths = worths.filter(|(other, _)| other == index).map(|(_, class)| *class);
                let Some(class) = worths.min() else { continue };
                paid.push(Paid { source: source.clone(), index: *index, class });
            }
        }
        let cost = |paid: &Paid| self.streams[&paid.source].entries[paid.index].content.cost();
        let whole = paid.iter().map(cost).sum::<u64>();
        let dearest = paid.iter().map(cost).max().unwrap_or(0);
        let user = self.user_of(appended);
        let is_own = |it: &&Paid| user.is_some() && self.user_of(&it.source) == user;
        let own = paid.iter().filter(is_own).map(cost).sum::<u64>();
        let config = &self.config;
        let by_user = user.is_some() && self.charged(user) + own > config.user_bytes();
        let by_process = self.charged(None) + whole > config.process_bytes();
        let needed = by_user && self.charged(user) + dearest > config.user_bytes()
            || by_process && self.charged(None) + dearest > config.process_bytes();
        ensure!(needed, "{paid:?} went without need");
        for it in &paid {
            let pays_for_own = by_user && is_own(&it);
            ensure!(
                by_process || pays_for_own,
                "{it:?} went for the budget of user {user:?}, whose it is not"
            );
            let scope = if pays_for_own { user } else { None };
            self.is_cheapest(it, appended, (scope, !by_process))?;
        }
        for it in &paid {
            let held = self.streams[&it.source].entries[it.index].is_held();
            self.marks.hit(match it.class {
                EvictionClass::Delivered => "a budget took what every member was handed",
                EvictionClass::Undelivered if held => "a budget took of an open run",
                EvictionClass::Undelivered => "a budget took what a member waits for",
            });
        }
        Ok(())
    }

    /// Nothing that is surely cheaper stays, and within a user nothing that is older.
    fn is_cheapest(
        &self,
        paid: &Paid,
        appended: &Source,
        (user, oldest_first): (Option<u8>, bool),
    ) -> Check {
        let gone = &self.streams[&paid.source].entries[paid.index];
        for (source, stream) in &self.streams {
            if user.is_some() && self.user_of(source) != user {
                continue;
            }
            let spared = stream.entries.len().checked_sub(1).filter(|_| source == appended);
            let Some((index, class)) = stream.cheapest(spared) else { continue };
            let entry = &stream.entries[index];
            ensure!(
                class >= paid.class,
                "{paid:?} went, and {} of {source:?} stays: {class:?}",
                entry.last
            );
            // Of an open run, nothing goes before what belongs to none.
            ensure!(
                source != &paid.source || !gone.is_held(),
                "{paid:?} of an open run went, and {} stays",
                entry.last
            );
            let same = class == paid.class && user.is_some() && oldest_first && !gone.is_held();
            ensure!(
                !same || gone.at <= entry.at,
                "{paid:?} went, and {} of {source:?} stays, which is older",
                entry.last
            );
        }
        Ok(())
    }
}
