//! The tokens of a server: its own keys, the keys of its issuer, and what to do about a key that is
//! not known yet.

use std::io;
use std::time::{Instant, SystemTime};

use headcount::Refused;

use super::claims::Claims;
use super::error::TokenError;
use super::key::Key;
use super::key_fetcher::{Fetch, JwksSettings, KeyFetcher};
use super::keys::{KeySet, More};
use super::verifier::{Verifier, VerifierSettings};

/// What is known about a token.
#[derive(Debug)]
pub(crate) enum Check {
    /// It is good.
    Granted(Claims),
    /// The key that it names may come with a fetch that is under way: check it again after that.
    Later,
    /// It is not good, or can't be checked.
    Refused(TokenError),
}

/// Checks tokens, on the loop's thread.
#[derive(Debug)]
pub(crate) struct Tokens {
    verifier: Verifier,
    /// The keys of the settings.
    own: KeySet,
    /// The last good keys of the key set.
    fetched: Vec<Key>,
    /// `None`: there is no key set.
    fetcher: Option<KeyFetcher>,
}

impl Tokens {
    /// With the keys of `settings`, and those of a key set beside them, which is read at once and on a
    /// thread of its own.
    ///
    /// `tell` is called on that thread after each fetch: it must have everything checked again that
    /// waits as [`Check::Later`].
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn new(
        settings: VerifierSettings,
        jwks: Option<JwksSettings>,
        tell: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let own = settings.keys.clone();
        let fetcher = jwks.map(|jwks| KeyFetcher::start(jwks, tell)).transpose()?;
        let verifier = Verifier::new(settings);
        let mut tokens = Self { verifier, own, fetched: Vec::new(), fetcher };
        tokens.use_keys();
        Ok(tokens)
    }

    /// Goes on with other settings. While the key set is the same one, its keys stay in use until it
    /// has been read again, so that no client is refused in between. After an error everything is as
    /// before.
    ///
    /// What waits as [`Check::Later`] is checked again: after the first fetch of another thread, or at
    /// once where there is no key set any more, because the thread that it waited for tells no more.
    ///
    /// # Errors
    /// The thread that reads another key set can't be started.
    pub(crate) fn reload(
        &mut self,
        settings: VerifierSettings,
        jwks: Option<JwksSettings>,
        tell: impl Fn() + Send + 'static,
    ) -> io::Result<()> {
        let before = self.fetcher.as_ref().map(KeyFetcher::settings);
        if before != jwks.as_ref() {
            let same_source =
                before.map(|before| &before.source) == jwks.as_ref().map(|jwks| &jwks.source);
            self.fetcher = match jwks {
                Some(jwks) => Some(KeyFetcher::start(jwks, tell)?),
                None => {
                    tell();
                    None
                }
            };
            if !same_source {
                self.fetched.clear();
            }
        } else if let Some(fetcher) = &mut self.fetcher {
            fetcher.read_again();
        }
        self.own = settings.keys.clone();
        self.verifier = Verifier::new(settings);
        self.use_keys();
        Ok(())
    }

    /// Checks a token. `has_waited`: it was checked before, and the answer was [`Check::Later`].
    pub(crate) fn check(&mut self, token: &str, now: SystemTime, has_waited: bool) -> Check {
        self.check_at(token, now, Instant::now(), has_waited)
    }

    /// `instant` is the same time as `now`, and counts fetches.
    pub(super) fn check_at(
        &mut self,
        token: &str,
        now: SystemTime,
        instant: Instant,
        has_waited: bool,
    ) -> Check {
        if let Some(keys) = self.fetcher.as_mut().and_then(KeyFetcher::take_keys) {
            self.fetched = keys;
            self.use_keys();
        }
        let error = match self.verifier.verify(token, now) {
            Ok(claims) => return Check::Granted(claims),
            Err(error) => error,
        };
        let Some(fetcher) = self.fetcher.as_mut().filter(|_| error == TokenError::UnknownKey)
        else {
            return Check::Refused(error);
        };
        if fetcher.is_under_way() {
            if !has_waited {
                fetcher.join();
            }
            return Check::Later;
        }
        // A fetch was made for it: it is the server's fault if that has failed, and the token's if not. A
        // fetch that was under way when tokens came says nothing of the keys that were published since
        // it began: then one more is made, for all that have waited.
        if has_waited && (fetcher.has_failed() || !fetcher.was_joined()) {
            return Check::Refused(match fetcher.has_failed() {
                true => TokenError::KeysMissing { retry_after: Refused::PAUSE },
                false => TokenError::UnknownKey,
            });
        }
        match fetcher.ask(instant) {
            Fetch::UnderWay => Check::Later,
            Fetch::TooOften(retry_after) => Check::Refused(TokenError::KeysMissing { retry_after }),
        }
    }

    /// Has tokens verified with the keys that there are now.
    fn use_keys(&mut self) {
        let more = match &self.fetcher {
            None => More::None,
            Some(_) if self.fetched.is_empty() => More::Any,
            Some(_) => More::Named,
        };
        self.verifier.use_keys(self.own.with(&self.fetched, more));
    }
}
