//! Credentials that are renewed, and those that are void.

use crate::action::CloseReason;
use crate::ends::SessionEnd;
use crate::error::UnknownConn;
use crate::id::{ConnId, UserId};
use crate::input::Input;
use crate::time::Timestamp;

use super::Registry;

/// # Credentials
impl Registry {
    /// A connection has new credentials, or `None` that never expire.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// let token_ends = now + Duration::from_secs(60);
    /// let who = Principal::new("alice".parse()?).with_expiry(token_ends);
    /// let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let renewed = now + Duration::from_secs(3600);
    /// registry.refresh(now, conn, Some(renewed))?;
    /// assert_eq!(registry.connection(conn).and_then(|tab| tab.expires_at()), Some(renewed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`UnknownConn`] if the connection is not open.
    pub fn refresh(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        expires_at: Option<Timestamp>,
    ) -> Result<(), UnknownConn> {
        self.enter(now, Input::Refresh { conn, expires_at });
        let slot = self.open_slot(conn).ok_or(UnknownConn)?;
        self.conns.cold_mut(slot).expires_at = expires_at.unwrap_or(Timestamp::MAX);
        self.arm(slot);
        Ok(())
    }

    /// A user's credentials are void: all connections are closed, all sessions end, and nothing is
    /// left to resume. The answer is how many connections are closed. Costs O(the user's sessions,
    /// connections and log entries).
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let alice = UserId::new("alice")?;
    /// assert_eq!(registry.revoke(now, &alice), 1);
    /// assert_eq!(registry.stats().sessions_ended_by(SessionEnd::Revoked), 1);
    /// assert!(registry.user(&alice).is_none(), "nothing is left of it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revoke(&mut self, now: Timestamp, user: &UserId) -> u32 {
        self.enter(now, Input::Revoke { user });
        let Some(user) = self.sessions.find_user(user) else { return 0 };
        // It has no connection then, and there is nothing to come back to.
        self.end_leave_grace(user);
        // The user's record may go with the last connection, or with the last session.
        let mut next = self.sessions.first_of(user);
        let closed = self.close_connections_of(user, &CloseReason::Revoked.into());
        while let Some(session) = next {
            next = self.sessions.after(session);
            self.end_session(session, SessionEnd::Revoked);
        }
        closed
    }
}
