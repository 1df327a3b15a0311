//! What the rate of connects has left for each user.
//!
//! Several users may leave in one operation. The registry chooses their order, and it forgets the
//! user first who left first. So several accounts may be right until a connect tells them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use headcount::{Refused, Timestamp};

use super::Bucket;

/// All accounts that may be right: at least one, and none twice.
#[derive(Clone, Debug, Hash)]
pub(crate) struct OwnRates(Vec<Account>);

/// One way it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    /// Of users who have a session.
    here: BTreeMap<u8, Bucket>,
    /// Of users who left, in the order of the operations in which they did.
    left: Vec<Left>,
    /// What the user of the connect at hand has afterwards.
    paid: Option<Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    user: u8,
    bucket: Bucket,
    step: u64,
}

/// Which operations they were matters in their order only.
impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { here, left, paid } = self;
        let steps: BTreeSet<u64> = left.iter().map(|it| it.step).collect();
        let ranked = left.iter().map(|it| (it.user, &it.bucket, steps.range(..it.step).count()));
        (here, ranked.collect::<Vec<_>>(), paid).hash(state);
    }
}

impl Account {
    /// A user's bucket, here or not. `None`: nothing is missing in it.
    fn bucket(&self, user: u8) -> Option<&Bucket> {
        let left = || self.left.iter().find(|it| it.user == user).map(|it| &it.bucket);
        self.here.get(&user).or_else(left)
    }

    /// All accounts that this one may be after users were forgotten until `limit` are left. Of users
    /// who left in one operation any may have been the first.
    fn forget(self, limit: usize) -> Vec<Self> {
        let excess = self.left.len().saturating_sub(limit);
        let first = |account: &Self| account.left.first().map(|it| it.step);
        let mut accounts = vec![self];
        for _ in 0..excess {
            let choices = accounts.into_iter().flat_map(|account| {
                let step = first(&account);
                let firsts = account.left.iter().take_while(|it| Some(it.step) == step).count();
                (0..firsts).map(move |index| {
                    let mut left = account.left.clone();
                    left.remove(index);
                    Self { left, ..account.clone() }
                })
            });
            accounts = distinct(choices);
        }
        accounts
    }
}

fn distinct(accounts: impl IntoIterator<Item = Account>) -> Vec<Account> {
    let mut seen = Vec::new();
    for account in accounts {
        if !seen.contains(&account) {
            seen.push(account);
        }
    }
    seen
}

impl Default for OwnRates {
    fn default() -> Self {
        Self(vec![Account::default()])
    }
}

impl OwnRates {
    /// The bucket after a connect, for [`settle`](Self::settle), or how long there is no token; what
    /// the registry has `told` shows which accounts are wrong.
    pub(crate) fn pay(
        &mut self,
        (user, now, full): (u8, Timestamp, &Bucket),
        told: Option<Refused>,
    ) -> Result<(), Duration> {
        let wait = |account: &mut Account| {
            let mut bucket = account.bucket(user).unwrap_or(full).clone();
            let taken = bucket.take(now);
            account.paid = told.is_none().then_some(bucket);
            taken.err()
        };
        let wait_told = match told {
            Some(Refused::RateOfUser { retry_after }) => Some(retry_after),
            _ => None,
        };
        let waits: Vec<_> = self.0.iter_mut().map(wait).collect();
        // If all are wrong, the first says what was expected.
        if waits.contains(&wait_told) {
            let mut right = waits.iter().map(|wait| *wait == wait_told);
            self.0.retain(|_| right.next().unwrap_or_default());
            return wait_told.map_or(Ok(()), Err);
        }
        waits[0].map_or(Ok(()), Err)
    }

    /// A user has a session again, and the bucket that was kept meanwhile.
    pub(crate) fn come(&mut self, user: u8, full: &Bucket) {
        for account in &mut self.0 {
            let bucket = account.bucket(user).unwrap_or(full).clone();
            account.left.retain(|it| it.user != user);
            account.here.insert(user, bucket);
        }
        self.0 = distinct(std::mem::take(&mut self.0));
    }

    /// The connect of a user who is here went well.
    pub(crate) fn settle(&mut self, user: u8) {
        for account in &mut self.0 {
            if let Some(paid) = account.paid.take() {
                account.here.insert(user, paid);
            }
        }
        self.0 = distinct(std::mem::take(&mut self.0));
    }

    /// The last session of a user has ended. What is missing in the bucket is kept, for `limit`
    /// users. Whether it is.
    pub(crate) fn leave(&mut self, user: u8, (now, step): (Timestamp, u64), limit: usize) -> bool {
        let mut kept = false;
        for account in &mut self.0 {
            if let Some(bucket) = account.here.remove(&user).filter(|it| !it.is_full(now)) {
                account.left.push(Left { user, bucket, step });
                kept = true;
            }
        }
        self.forget(now, limit);
        kept
    }

    /// Forgets full buckets, which say nothing, and the users who left first.
    pub(crate) fn forget(&mut self, now: Timestamp, limit: usize) {
        let mut accounts = std::mem::take(&mut self.0);
        for account in &mut accounts {
            // A full one keeps its place until all that left before it are forgotten.
            let firsts = |account: &Account| {
                let step = account.left.first()?.step;
                Some(account.left.iter().take_while(|it| it.step == step).count())
            };
            while let Some(count) = firsts(account)
                && account.left[..count].iter().all(|it| it.bucket.is_full(now))
            {
                account.left.drain(..count);
            }
        }
        self.0 = distinct(accounts.into_iter().flat_map(|account| account.forget(limit)));
    }

    /// Buckets of another rate or burst begin full.
    pub(crate) fn refill(&mut self, full: &Bucket) {
        for account in &mut self.0 {
            account.here.values_mut().for_each(|bucket| *bucket = full.clone());
            account.left.clear();
        }
        self.0 = distinct(std::mem::take(&mut self.0));
    }
}
