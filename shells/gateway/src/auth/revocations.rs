//! Users and tokens that were revoked.
//!
//! They live as long as the process. One makes room for others when no token of then can be valid any
//! more, and not before there is need: a token whose expiry was too far ahead may become valid later.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::auth::Claims;

/// The most that are remembered: some 30 MB with the longest names.
pub(crate) const MOST: usize = 100_000;

/// How long a token can be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// `auth.max_ttl`.
    pub(crate) max_ttl: Duration,
    /// `auth.leeway`.
    pub(crate) leeway: Duration,
}

impl Lifetime {
    /// From an instant to the last one at which a token that was good then is still good. The clock
    /// of its issuer may be wrong by the leeway at both.
    fn whole(self) -> Duration {
        self.max_ttl + 2 * self.leeway
    }
}

/// No more can be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What is revoked, and when it was, in time since 1970.
#[derive(Debug)]
pub(crate) struct Revocations {
    most: usize,
    users: HashMap<Arc<str>, Duration>,
    tokens: HashMap<Arc<str>, Duration>,
    /// The same in the order of time.
    order: BTreeSet<(Duration, RevokedKind, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RevokedKind {
    User,
    Token,
}

impl Default for Revocations {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl Revocations {
    fn with_room_for(most: usize) -> Self {
        Self { most, users: HashMap::new(), tokens: HashMap::new(), order: BTreeSet::new() }
    }

    /// Refuses what was issued to this user up to now.
    ///
    /// # Errors
    /// [`Full`]; nothing has changed then.
    pub(crate) fn revoke_user(
        &mut self,
        user: &str,
        now: SystemTime,
        lifetime: Lifetime,
    ) -> Result<(), Full> {
        self.revoke(RevokedKind::User, user, since_1970(now), lifetime)
    }

    /// Refuses the tokens with this id (`jti`).
    ///
    /// # Errors
    /// [`Full`]; nothing has changed then.
    pub(crate) fn revoke_token(
        &mut self,
        id: &str,
        now: SystemTime,
        lifetime: Lifetime,
    ) -> Result<(), Full> {
        self.revoke(RevokedKind::Token, id, since_1970(now), lifetime)
    }

    /// Whether a token is refused. One that was issued within the leeway after the revocation of its
    /// user may be older than it. So may one that does not say when it was issued: until none of then
    /// can be valid.
    pub(crate) fn refuses(&self, claims: &Claims, now: SystemTime, lifetime: Lifetime) -> bool {
        if claims.token_id.as_deref().is_some_and(|id| self.tokens.contains_key(id)) {
            return true;
        }
        self.users.get(claims.user.as_str()).is_some_and(|at| match claims.issued_at {
            Some(issued) => Duration::from_secs(issued) <= *at + lifetime.leeway,
            None => *at + lifetime.whole() > since_1970(now),
        })
    }

    fn revoke(
        &mut self,
        kind: RevokedKind,
        name: &str,
        now: Duration,
        lifetime: Lifetime,
    ) -> Result<(), Full> {
        let before = self.of(kind).get_key_value(name).map(|(name, at)| (*at, Arc::clone(name)));
        let name = match before {
            Some((at, name)) => {
                self.order.remove(&(at, kind, Arc::clone(&name)));
                name
            }
            None => {
                self.make_room(now, lifetime)?;
                Arc::from(name)
            }
        };
        self.of(kind).insert(Arc::clone(&name), now);
        self.order.insert((now, kind, name));
        Ok(())
    }

    /// Makes room for one.
    fn make_room(&mut self, now: Duration, lifetime: Lifetime) -> Result<(), Full> {
        if self.order.len() < self.most {
            return Ok(());
        }
        let oldest = self.order.first().filter(|(at, ..)| *at + lifetime.whole() <= now);
        let (_, kind, name) = oldest.cloned().ok_or(Full)?;
        self.of(kind).remove(&name);
        self.order.pop_first();
        Ok(())
    }

    fn of(&mut self, kind: RevokedKind) -> &mut HashMap<Arc<str>, Duration> {
        match kind {
            RevokedKind::User => &mut self.users,
            RevokedKind::Token => &mut self.tokens,
        }
    }
}

fn since_1970(now: SystemTime) -> Duration {
    // A clock from before 1970 tells nothing.
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use headcount::UserId;

    use super::*;
    use crate::auth::RoomRights;

    const LIFETIME: Lifetime =
        Lifetime { max_ttl: Duration::from_secs(100), leeway: Duration::from_secs(5) };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn token(user: &str, issued_at: Option<u64>, token_id: Option<&str>) -> Claims {
        Claims {
            user: UserId::new(user).unwrap(),
            thread: None,
            rooms: RoomRights::default(),
            expires_at: 2_000,
            issued_at,
            token_id: token_id.map(Into::into),
            connections: None,
        }
    }

    #[test]
    fn a_users_older_tokens_are_refused_and_undated_ones_until_none_can_be_valid() {
        let mut revocations = Revocations::default();
        revocations.revoke_user("alice", at(1_000), LIFETIME).unwrap();
        let refuses = |user, issued_at, now| {
            revocations.refuses(&token(user, issued_at, None), at(now), LIFETIME)
        };
        assert!(refuses("alice", Some(999), 1_001) && refuses("alice", None, 1_001));
        assert!(refuses("alice", Some(1_005), 1_001) && !refuses("alice", Some(1_006), 1_006));
        assert!(!refuses("bob", Some(999), 1_001) && !refuses("bob", None, 1_001));
        assert!(refuses("alice", None, 1_109) && !refuses("alice", None, 1_110));
        // It is refused as one that expires too late, unless a reload has raised auth.max_ttl.
        assert!(refuses("alice", Some(999), 1_110));
    }

    #[test]
    fn a_token_is_refused_by_its_id_as_long_as_there_is_room() {
        let mut revocations = Revocations::default();
        revocations.revoke_token("t1", at(1_000), LIFETIME).unwrap();
        let refuses =
            |id, now| revocations.refuses(&token("alice", Some(2_000), id), at(now), LIFETIME);
        assert!(refuses(Some("t1"), 1_001) && refuses(Some("t1"), 1_000_000));
        assert!(!refuses(Some("t2"), 1_001) && !refuses(None, 1_001));
    }

    #[test]
    fn the_list_is_bounded_and_full_is_said() {
        let mut revocations = Revocations::with_room_for(2);
        revocations.revoke_user("a", at(1_000), LIFETIME).unwrap();
        revocations.revoke_token("a", at(1_001), LIFETIME).unwrap();
        assert_eq!(revocations.revoke_user("b", at(1_002), LIFETIME), Err(Full));
        assert!(!revocations.refuses(&token("b", None, None), at(1_002), LIFETIME));
        // Again is no second entry, and the later time counts.
        revocations.revoke_user("a", at(1_050), LIFETIME).unwrap();
        assert!(revocations.refuses(&token("a", Some(1_050), None), at(1_050), LIFETIME));
        // What is over makes room: the token's first.
        revocations.revoke_user("b", at(1_111), LIFETIME).unwrap();
        assert!(revocations.refuses(&token("b", None, None), at(1_112), LIFETIME));
        assert!(revocations.refuses(&token("a", None, None), at(1_112), LIFETIME));
        assert_eq!(revocations.revoke_user("c", at(1_112), LIFETIME), Err(Full));
        assert_eq!((revocations.users.len(), revocations.tokens.len()), (2, 0));
    }
}
