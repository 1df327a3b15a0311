//! Token buckets of users who have left, until they are full again: who leaves and comes back has
//! the same bucket, or leaving would be a way around the rate.

use core::hash::{Hash, Hasher};

use crate::id::UserId;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Links, Names, Ring, Table, TokenBucket, key, linked};
use crate::time::Timestamp;

key! {
    /// The key of the bucket of a user who has left.
    DepartedKey
}

#[derive(Clone, Hash)]
pub(crate) struct Departed {
    user: UserId,
    bucket: TokenBucket,
    links: Links,
}

encoded! { struct Departed { user, bucket, links } }

linked! {
    /// The order in which users left.
    InOrder: DepartedKey => Departed, links
}

/// How many full buckets one departure forgets: more than it can add, so that none is kept for long.
const FORGOTTEN_AT_ONCE: usize = 4;

/// The buckets in the order in which their users left. No user is in it twice, and none who has a record.
#[derive(Clone)]
pub(crate) struct DepartedUsers {
    buckets: Table<DepartedKey, Departed>,
    order: Ring<InOrder>,
    names: Names<DepartedKey>,
}

impl Hash for DepartedUsers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { buckets, order, names: _ } = self;
        (buckets, order).hash(state);
    }
}

impl DepartedUsers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { buckets: Table::new(), order: Ring::new(), names: Names::new(seed) }
    }

    pub(crate) fn encode(&self, to: &mut Encoder<'_>) {
        let Self { buckets, order, names: _ } = self;
        buckets.encode(to);
        order.encode_keys(buckets, to);
    }

    /// Fills it, when it is new.
    pub(crate) fn decode(&mut self, from: &mut Decoder<'_>) -> Result<(), Malformed> {
        self.buckets = Encoded::decode(from)?;
        self.buckets.iter().for_each(|(key, it)| self.names.insert(it.user.as_str(), key));
        self.order.decode_keys(&mut self.buckets, from)
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.buckets.steps() + self.names.steps()
    }

    pub(crate) const fn len(&self) -> usize {
        self.buckets.len()
    }

    fn find(&self, user: &UserId) -> Option<DepartedKey> {
        self.names.find(user.as_str(), |key| self.buckets[key].user == *user)
    }

    /// The bucket of a user who has no record.
    pub(crate) fn get(&self, user: &UserId) -> TokenBucket {
        self.find(user).map_or_else(TokenBucket::default, |key| self.buckets[key].bucket)
    }

    /// The bucket of a user who comes back.
    pub(crate) fn take(&mut self, user: &UserId) -> TokenBucket {
        self.find(user).map_or_else(TokenBucket::default, |key| self.remove(key))
    }

    /// A user leaves. At most `limit` buckets stay; the user who left first is forgotten first.
    pub(crate) fn put(&mut self, user: UserId, bucket: TokenBucket, now: Timestamp, limit: usize) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let Some(oldest) = self.order.front() else { break };
            if !self.buckets[oldest].bucket.is_full(now) {
                break;
            }
            self.remove(oldest);
        }
        if bucket.is_full(now) {
            return;
        }
        debug_assert!(self.find(&user).is_none(), "a user leaves once");
        let key = self.buckets.vacant_key();
        self.names.insert(user.as_str(), key);
        self.buckets.insert(Departed { user, bucket, links: Links::OUT });
        self.order.push(&mut self.buckets, key);
        self.shrink_to(limit);
    }

    /// Forgets the users who left first, until at most `limit` buckets stay.
    pub(crate) fn shrink_to(&mut self, limit: usize) {
        while self.buckets.len() > limit
            && let Some(oldest) = self.order.front()
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, key: DepartedKey) -> TokenBucket {
        self.order.remove(&mut self.buckets, key);
        let Departed { user, bucket, .. } = self.buckets.remove(key);
        self.names.remove(user.as_str(), key);
        bucket
    }

    /// Users from the one who left first on, for `check`; fewer than [`len`](Self::len) if the list
    /// is broken.
    pub(crate) fn users(&self) -> impl Iterator<Item = &UserId> {
        let users = self.order.iter(&self.buckets).map(|key| &self.buckets[key].user);
        users.take(self.len()).filter(|user| self.find(user).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Rate;
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
        assert_eq!((departed.len(), departed.order.len()), (0, 0));
    }
}
