//! What each connection was granted with its token: the rooms that it opens, and its id.

use std::collections::HashMap;
use std::sync::Arc;

use headcount::ConnId;

use crate::auth::{Claims, RoomRights};

/// What one token grants to the connection that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    rooms: RoomRights,
    token_id: Option<Arc<str>>,
}

impl Pass {
    pub(crate) fn new(claims: &Claims) -> Self {
        let token_id = claims.token_id.as_deref().map(Arc::from);
        Self { rooms: claims.rooms.clone(), token_id }
    }

    pub(crate) const fn rooms(&self) -> &RoomRights {
        &self.rooms
    }
}

/// The passes of all connections that came with a token. One costs 8 KiB and its list at most,
/// because a token has no more.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    of: HashMap<ConnId, Pass>,
    by_token: HashMap<Arc<str>, Vec<ConnId>>,
}

impl Passes {
    /// Gives a connection its pass, in place of the one that it had.
    pub(crate) fn give(&mut self, conn: ConnId, pass: Pass) {
        self.take_back(conn);
        if let Some(id) = &pass.token_id {
            self.by_token.entry(Arc::clone(id)).or_default().push(conn);
        }
        self.of.insert(conn, pass);
    }

    /// `None`: it has no token.
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Pass> {
        self.of.get(&conn)
    }

    /// The connection is gone.
    pub(crate) fn take_back(&mut self, conn: ConnId) {
        let Some(id) = self.of.remove(&conn).and_then(|pass| pass.token_id) else { return };
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
        let pass = |id: Option<&str>| Pass {
            rooms: RoomRights::read(["r"]).unwrap(),
            token_id: id.map(Arc::from),
        };
        let mut passes = Passes::default();
        passes.give(one, pass(Some("a")));
        passes.give(two, pass(Some("a")));
        assert_eq!(passes.with_token("a"), [one, two]);
        // As after a refresh.
        passes.give(one, pass(Some("b")));
        assert_eq!((passes.with_token("a"), passes.with_token("b")), (&[two][..], &[one][..]));
        passes.give(one, pass(None));
        assert!(passes.with_token("b").is_empty() && passes.get(one) == Some(&pass(None)));
        passes.take_back(one);
        passes.take_back(two);
        passes.take_back(two);
        assert!(passes.of.is_empty() && passes.by_token.is_empty());
    }
}
