//! What the rate of connects has left for each user.

use std::collections::BTreeMap;
use std::time::Duration;

use headcount::Timestamp;

use super::Bucket;
use super::names::Name;

/// The buckets of users. One that is full says nothing.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct OwnRates {
    /// Of users who are known.
    here: BTreeMap<Name, Bucket>,
    /// Of users who left, in the order in which they did.
    left: Vec<(Name, Bucket)>,
}

impl OwnRates {
    /// The bucket after a connect, or how long there is no token.
    pub(crate) fn pay(
        &self,
        user: Name,
        now: Timestamp,
        full: &Bucket,
    ) -> Result<Bucket, Duration> {
        let left = || self.left.iter().find(|(other, _)| *other == user).map(|(_, bucket)| bucket);
        let mut bucket = self.here.get(&user).or_else(left).unwrap_or(full).clone();
        bucket.take(now).map(|()| bucket)
    }

    /// A user is known again, and has the bucket that was kept meanwhile.
    pub(crate) fn come(&mut self, user: Name, full: &Bucket) {
        let left = self.left.iter().position(|(other, _)| *other == user);
        let kept = left.map(|place| self.left.remove(place).1);
        self.here.entry(user).or_insert_with(|| kept.unwrap_or_else(|| full.clone()));
    }

    /// The connect of a user who is here went well.
    pub(crate) fn settle(&mut self, user: Name, paid: Bucket) {
        self.here.insert(user, paid);
    }

    /// A user is forgotten. What is missing in the bucket is kept, for `limit`
    /// users. Whether it is.
    pub(crate) fn leave(&mut self, user: Name, now: Timestamp, limit: usize) -> bool {
        let bucket = self.here.remove(&user).filter(|bucket| !bucket.is_full(now));
        let is_kept = bucket.is_some();
        self.left.extend(bucket.map(|bucket| (user, bucket)));
        self.forget(limit);
        is_kept
    }

    /// Forgets the users who left first.
    pub(crate) fn forget(&mut self, limit: usize) {
        self.left.drain(..self.left.len().saturating_sub(limit));
    }

    /// Buckets of another rate or burst begin full.
    pub(crate) fn refill(&mut self, full: &Bucket) {
        self.here.values_mut().for_each(|bucket| *bucket = full.clone());
        self.left.clear();
    }
}
