//! Who may join which room: the one place that decides it.

use headcount::{RoomId, UserId};

use crate::auth::{RoomRights, owner};

/// The code of a join that is refused for want of a right.
pub(crate) const FORBIDDEN: &str = "room_forbidden";

/// Where a right to join comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Right<'a> {
    /// Development mode, where no one is asked for credentials.
    Development,
    /// The back end asks for it.
    BackEnd,
    /// A client asks for it.
    Client {
        /// What its token opens. `None`: it has no token.
        token: Option<&'a RoomRights>,
        /// What is open to everyone: `rooms.open`.
        open: &'a RoomRights,
    },
}

/// Whether a connection of this user may join. The room `user:<id>` is that user's own: no right
/// opens it to another user.
pub(crate) fn may_join(user: &UserId, room: &RoomId, right: Right<'_>) -> bool {
    if let Some(owner) = owner(room) {
        return owner == user.as_str();
    }
    match right {
        Right::Development | Right::BackEnd => true,
        Right::Client { token, open } => {
            open.allows(room) || token.is_some_and(|token| token.allows(room))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(user: &str, room: &str, right: Right<'_>) -> bool {
        may_join(&UserId::new(user).unwrap(), &RoomId::new(room).unwrap(), right)
    }

    #[test]
    fn a_client_joins_what_its_token_or_a_rule_opens() {
        let token = RoomRights::read(["team:*", "desk"]).unwrap();
        let open = RoomRights::read(["lobby", "news:*"]).unwrap();
        let client = Right::Client { token: Some(&token), open: &open };
        for room in ["team:1", "desk", "lobby", "news:sport", "user:alice"] {
            assert!(may("alice", room, client), "{room}");
        }
        for room in
            ["other", "teams", "desk2", "lobby:1", "news", "user:bob", "user:", "user:alice2"]
        {
            assert!(!may("alice", room, client), "{room}");
        }
        let none = RoomRights::default();
        let without = Right::Client { token: None, open: &none };
        assert!(!may("alice", "lobby", without) && may("alice", "user:alice", without));
    }

    #[test]
    fn no_right_reaches_the_room_of_another_user() {
        let all = RoomRights::read(["*", "user:*", "user:bob", "us*"]).unwrap();
        let client = Right::Client { token: Some(&all), open: &all };
        for right in [Right::Development, Right::BackEnd, client] {
            assert!(!may("alice", "user:bob", right), "{right:?}");
            assert!(!may("alice", "user:", right), "{right:?}");
            assert!(may("bob", "user:bob", right), "{right:?}");
            assert!(may("alice", "users", right), "{right:?}");
        }
    }
}
