//! What the settings say about tokens.

use crate::auth::revocations::Lifetime;
use crate::auth::{JwksSettings, Key, KeySet, RoomRights, VerifierSettings};
use crate::settings::Settings;

/// How tokens are checked, and what is open without one.
#[derive(Clone, Debug)]
pub(crate) struct TokenRules {
    pub(crate) verifier: VerifierSettings,
    /// `None`: there is no key set.
    pub(crate) jwks: Option<JwksSettings>,
    /// The rooms that everyone may join.
    pub(crate) open: RoomRights,
}

impl TokenRules {
    /// `None`: there is no key, which is development mode.
    ///
    /// # Errors
    /// What is wrong with a key, and the setting that gave it. No sentence quotes a key.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, String> {
        let algorithm = settings.algorithm();
        let mut keys = Vec::new();
        for (at, secret) in settings.keys() {
            // A file ends with a line break, which is no part of a secret.
            let text = secret.reveal().trim_end_matches(['\r', '\n']);
            keys.push(Key::new(algorithm, text.as_bytes()).map_err(|why| format!("{at}: {why}"))?);
        }
        let jwks = settings.jwks()?;
        if keys.is_empty() && jwks.is_none() {
            const USELESS: [&str; 3] = ["auth.algorithm", "auth.audience", "auth.issuer"];
            return match USELESS.into_iter().find(|key| settings.is_changed(key)) {
                Some(key) => Err(format!(
                    "{}: there is no key to check tokens with; give one (auth.key_file, auth.key, \
                     auth.jwks_file or auth.jwks_url)",
                    settings.written(key)
                )),
                None => Ok(None),
            };
        }
        let keys = KeySet::new(keys)
            .map_err(|why| format!("{}: {why}", settings.written("auth.key_file")))?;
        let Lifetime { max_ttl, leeway } = settings.token_lifetime();
        let verifier = VerifierSettings {
            keys,
            audience: settings.names("auth.audience"),
            issuer: settings.names("auth.issuer"),
            leeway,
            max_ttl,
        };
        Ok(Some(Self { verifier, jwks, open: settings.open_rooms() }))
    }

    pub(crate) const fn lifetime(&self) -> Lifetime {
        Lifetime { max_ttl: self.verifier.max_ttl, leeway: self.verifier.leeway }
    }
}
