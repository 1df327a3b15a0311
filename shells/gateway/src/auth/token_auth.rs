//! Token authentication in force: what tokens are checked with, and what was granted by them.

use std::io;

use super::grants::Grants;
use super::revocations::{Lifetime, Revocations};
use super::token_rules::TokenRules;
use super::{RoomRights, Tokens};

/// Authentication by tokens. Development mode has none.
pub(crate) struct TokenAuth {
    pub(crate) tokens: Tokens,
    pub(crate) lifetime: Lifetime,
    /// The rooms that everyone may join.
    pub(crate) open: RoomRights,
    pub(crate) grants: Grants,
    pub(crate) revocations: Revocations,
}

impl TokenAuth {
    /// `tell` is called on another thread when keys have come: see [`Tokens::new`].
    ///
    /// # Errors
    /// The thread that reads keys can't be started.
    pub(crate) fn new(rules: TokenRules, tell: impl Fn() + Send + 'static) -> io::Result<Self> {
        let lifetime = rules.lifetime();
        let TokenRules { verifier, jwks, open } = rules;
        let tokens = Tokens::new(verifier, jwks, tell)?;
        let (grants, revocations) = (Grants::default(), Revocations::default());
        Ok(Self { tokens, lifetime, open, grants, revocations })
    }

    /// Goes on with other rules. Connections keep what they were granted.
    ///
    /// # Errors
    /// As for [`new`](Self::new); nothing has changed then.
    pub(crate) fn reload(
        &mut self,
        rules: TokenRules,
        tell: impl Fn() + Send + 'static,
    ) -> io::Result<()> {
        let lifetime = rules.lifetime();
        let TokenRules { verifier, jwks, open } = rules;
        self.tokens.reload(verifier, jwks, tell)?;
        (self.lifetime, self.open) = (lifetime, open);
        Ok(())
    }
}
