//! What each connection was granted with its token: the rooms that it opens, its only thread, and its id.

use std::collections::HashMap;
use std::sync::Arc;

use headcount::{ConnId, ThreadId};

use crate::auth::{Claims, RoomRights};

/// What one token grants to the connection that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    rooms: RoomRights,
    thread: Option<ThreadId>,
    token_id: Option<Arc<str>>,
}

impl Grant {
    pub(crate) fn new(claims: &Claims) -> Self {
        let token_id = claims.token_id.as_deref().map(Arc::from);
        Self { rooms: claims.rooms.clone(), thread: claims.thread.clone(), token_id }
    }

    pub(crate) const fn rooms(&self) -> &RoomRights {
        &self.rooms
    }

    /// The only thread whose session it may follow; `None`: it may follow those of all.
    pub(crate) const fn thread(&self) -> Option<&ThreadId> {
        self.thread.as_ref()
    }
}

/// The grants of all connections that came with a token. One costs 8 KiB and its list at most,
/// because a token has no more.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    of: HashMap<ConnId, Grant>,
    by_token: HashMap<Arc<str>, Vec<ConnId>>,
}

impl Grants {
    /// Gives a connection its grant, in place of the one that it had.
    pub(crate) fn insert(&mut self, conn: ConnId, grant: Grant) {
        self.remove(conn);
        if let Some(id) = &grant.token_id {
            self.by_token.entry(Arc::clone(id)).or_default().push(conn);
        }
        self.of.insert(conn, grant);
    }

    /// `None`: it has no token.
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Grant> {
        self.of.get(&conn)
    }

    /// The connection is gone.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        let Some(id) = self.of.remove(&conn).and_then(|grant| grant.token_id) else { return };
        let Some(conns) = self.by_token.get_mut(&id) else { return };
        conns.retain(|other| *other != conn);
        if conns.is_empty() {
            self.by_token.remove(&id);
        }
    }

    /// The connections whose token has this id.
    pub(crate) fn with_token(&self, id: &str) -> &[ConnId] {
        self.by_token.get(id).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_connection_outlives_it() {
        let conn = |bits| ConnId::from_bits(bits).unwrap();
        let (one, two) = (conn(0x1_0000_0001), conn(0x1_0000_0002));
        let grant = |id: Option<&str>| Grant {
            rooms: RoomRights::read(["r"]).unwrap(),
            thread: None,
            token_id: id.map(Arc::from),
        };
        let mut grants = Grants::default();
        grants.insert(one, grant(Some("a")));
        grants.insert(two, grant(Some("a")));
        assert_eq!(grants.with_token("a"), [one, two]);
        // As after a refresh.
        grants.insert(one, grant(Some("b")));
        assert_eq!((grants.with_token("a"), grants.with_token("b")), (&[two][..], &[one][..]));
        grants.insert(one, grant(None));
        assert!(grants.with_token("b").is_empty() && grants.get(one) == Some(&grant(None)));
        grants.remove(one);
        grants.remove(two);
        grants.remove(two);
        assert!(grants.of.is_empty() && grants.by_token.is_empty());
    }
}
