//! Token buckets of users who have left, until they are full again: who leaves and comes back has
//! the same bucket, or leaving would be a way around the rate.

use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use slab::Slab;

use crate::bucket::TokenBucket;
use crate::id::UserId;
use crate::table;
use crate::time::Timestamp;

/// Ends the list.
const NIL: u32 = u32::MAX;

#[derive(Clone, Hash)]
pub(crate) struct Departed {
    user: UserId,
    bucket: TokenBucket,
    older: u32,
    newer: u32,
}

/// The buckets in the order in which their users left. No user is in it twice, and none who is here.
#[derive(Clone)]
pub(crate) struct DepartedUsers {
    buckets: Slab<Departed>,
    oldest: u32,
    newest: u32,
    /// The names come from outside, hence a hash that is seeded.
    names: HashTable<u32>,
    hasher: FixedState,
}

impl Hash for DepartedUsers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { buckets, oldest, newest, names, hasher: _ } = self;
        table::hash_slab(buckets, state);
        (oldest, newest).hash(state);
        table::hash_table(names, state);
    }
}

impl DepartedUsers {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            buckets: Slab::new(),
            oldest: NIL,
            newest: NIL,
            names: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    fn find(&self, user: &UserId) -> Option<u32> {
        let hash = self.hasher.hash_one(user.as_str());
        self.names.find(hash, |slot| self.buckets[*slot as usize].user == *user).copied()
    }

    /// The bucket of a user who is not here.
    pub(crate) fn get(&self, user: &UserId) -> TokenBucket {
        self.find(user).map_or_else(TokenBucket::default, |slot| self.buckets[slot as usize].bucket)
    }

    /// The bucket of a user who comes back.
    pub(crate) fn take(&mut self, user: &UserId) -> TokenBucket {
        self.find(user).map_or_else(TokenBucket::default, |slot| self.remove(slot))
    }

    /// A user leaves. At most `limit` buckets stay; the user who left first is forgotten first.
    pub(crate) fn put(&mut self, user: UserId, bucket: TokenBucket, now: Timestamp, limit: usize) {
        while self.buckets.get(self.oldest as usize).is_some_and(|it| it.bucket.is_full(now)) {
            self.remove(self.oldest);
        }
        if bucket.is_full(now) {
            return;
        }
        debug_assert!(self.find(&user).is_none(), "a user leaves once");
        let hash = self.hasher.hash_one(user.as_str());
        let older = self.newest;
        let slot = self.buckets.insert(Departed { user, bucket, older, newer: NIL }) as u32;
        match self.buckets.get_mut(older as usize) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
        let (buckets, hasher) = (&self.buckets, &self.hasher);
        self.names.insert_unique(hash, slot, |slot| {
            hasher.hash_one(buckets[*slot as usize].user.as_str())
        });
        self.shrink_to(limit);
    }

    /// Forgets the users who left first, until at most `limit` buckets stay.
    pub(crate) fn shrink_to(&mut self, limit: usize) {
        while self.buckets.len() > limit {
            self.remove(self.oldest);
        }
    }

    fn remove(&mut self, slot: u32) -> TokenBucket {
        let Departed { user, bucket, older, newer } = table::remove(&mut self.buckets, slot);
        match self.buckets.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.buckets.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        let hash = self.hasher.hash_one(user.as_str());
        if let Ok(entry) = self.names.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        bucket
    }

    /// Users from the one who left first on, for `check`; fewer than [`len`](Self::len) if the list
    /// is broken.
    pub(crate) fn users(&self) -> impl Iterator<Item = &UserId> {
        let mut slot = self.oldest;
        (0..self.buckets.len()).map_while(move |_| {
            let departed = self.buckets.get(slot as usize)?;
            slot = departed.newer;
            (self.find(&departed.user).is_some()).then_some(&departed.user)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Rate;
    use alloc::format;

    fn user(number: u64) -> UserId {
        UserId::new(format!("user-{number}")).unwrap()
    }

    /// A bucket that is full again so many seconds after the epoch.
    fn full_at(secs: u32) -> TokenBucket {
        let mut bucket = TokenBucket::default();
        let rate = Rate::new(1, 1_000).unwrap();
        bucket.take(Timestamp::ZERO, rate, u64::from(secs) * rate.token()).unwrap();
        bucket
    }

    #[test]
    fn a_user_who_comes_back_has_the_same_bucket_once() {
        let mut departed = DepartedUsers::new(7);
        for number in 0..3 {
            departed.put(user(number), full_at(5), Timestamp::ZERO, 9);
        }
        assert_eq!(departed.users().count(), 3);
        assert!(!departed.take(&user(1)).is_full(Timestamp::from_secs(4)));
        assert!(departed.take(&user(1)).is_full(Timestamp::ZERO), "it is with its user now");
        let left = [user(0), user(2)];
        assert!(departed.users().eq(&left));
        assert!(!departed.get(&user(2)).is_full(Timestamp::ZERO));
        assert_eq!((departed.take(&user(0)), departed.len()), (full_at(5), 1));
    }

    #[test]
    fn full_buckets_are_forgotten_and_so_are_the_first_of_too_many() {
        let mut departed = DepartedUsers::new(7);
        departed.put(user(0), full_at(5), Timestamp::from_secs(5), 9);
        assert_eq!(departed.len(), 0, "there is nothing to remember");
        for number in 0..9 {
            departed.put(user(number), full_at(5), Timestamp::ZERO, 3);
        }
        assert!(departed.users().eq(&[user(6), user(7), user(8)]));
        departed.put(user(9), full_at(9), Timestamp::from_secs(5), 3);
        assert!(departed.users().eq(&[user(9)]));
        departed.shrink_to(0);
        assert_eq!((departed.len(), departed.oldest, departed.newest), (0, NIL, NIL));
    }
}
