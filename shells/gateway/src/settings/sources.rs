//! Everything that the settings are read from: once at the start, and again for every reload.

use std::path::Path;

use headcount::{Config, shown};
use tracing::warn;

use super::{Flags, Settings};
use crate::admin::AdminKeys;
use crate::auth::token_rules::TokenRules;
use crate::limits::descriptors::{Descriptors, Lowered};
use crate::network::loopback;

/// The settings that give a key to check tokens with.
const TOKEN_KEYS: &str = "auth.key_file, auth.jwks_file or auth.jwks_url";

/// The settings that give keys of the admin port.
const ADMIN_KEYS: &str = "auth.admin_key_file or auth.admin_keys_file";

/// The flags, the environment and the file, and what the process has been given.
#[derive(Debug)]
pub(crate) struct Sources {
    flags: Flags,
    seed: u64,
    descriptors: Descriptors,
}

/// What they say together.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    /// Fitted to the descriptors that the process may have.
    pub(crate) config: Config,
    pub(crate) lowered: Lowered,
    pub(crate) admin_keys: AdminKeys,
    /// `None`: development mode.
    pub(crate) tokens: Option<TokenRules>,
    /// Whether files are among what was read: only they change while the process runs.
    pub(crate) has_files: bool,
}

impl Sources {
    pub(crate) const fn new(flags: Flags, seed: u64, descriptors: Descriptors) -> Self {
        Self { flags, seed, descriptors }
    }

    /// Reads all of them. A mistake is one line, the same at the start and for a reload.
    pub(crate) fn read(&self) -> Result<Plan, String> {
        self.plan().map_err(|sentence| shown(&sentence).to_string())
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut settings = Settings::default();
        // Each replaces what those before it have set.
        if let Some(path) = &self.flags.config {
            settings.read_file(path)?;
        }
        settings.read_environment(std::env::vars_os())?;
        self.flags.apply(&mut settings)?;
        conclude(settings, self.flags.config.is_some(), self.seed, self.descriptors)
    }

    /// Warns of limits that the process could not keep.
    pub(crate) fn warn_of(&self, lowered: &Lowered) {
        if lowered.is_empty() {
            return;
        }
        let (descriptors, reserve) = (self.descriptors.0, self.descriptors.reserve());
        warn!(
            descriptors,
            reserve,
            lowered = lowered.to_string(),
            "limits are lowered to what the descriptor limit leaves: raise the hard limit (ulimit -n; \
             the soft one has been raised to it), or lower them in the settings"
        );
    }
}

/// Everything that is wrong with a file of settings by itself. What contradicts each other is said
/// once each setting is right, one contradiction at a time.
pub(crate) fn mistakes(path: &Path, seed: u64, descriptors: Descriptors) -> Vec<String> {
    let mut settings = Settings::default();
    let mut mistakes = settings.check_file(path);
    if mistakes.is_empty() {
        mistakes.extend(conclude(settings, true, seed, descriptors).err());
    }
    mistakes
}

/// What the settings say together, when all of them have been read.
fn conclude(
    mut settings: Settings,
    has_file: bool,
    seed: u64,
    descriptors: Descriptors,
) -> Result<Plan, String> {
    settings.read_secrets()?;
    let (config, lowered) = settings.config(seed, descriptors)?;
    let admin_keys = AdminKeys::new(&settings)?;
    let tokens = TokenRules::new(&settings)?;
    match &tokens {
        None => loopback::only_loopback(&settings.written("listen"), settings.address("listen"))
            .map_err(|sentence| {
                format!("{sentence}, or set a key to check tokens with ({TOKEN_KEYS})")
            })?,
        // The token's issuer trusts this server with its users, and anyone could call its admin port.
        Some(_) if admin_keys.is_empty() => {
            return Err(format!(
                "there is a key to check tokens with, and none for the admin port: set one too \
                 ({ADMIN_KEYS})"
            ));
        }
        Some(_) => {}
    }
    if admin_keys.is_empty() {
        loopback::only_loopback(&settings.written("admin"), settings.address("admin"))
            .map_err(|sentence| format!("{sentence}, or set a key ({ADMIN_KEYS})"))?;
    }
    let [websocket, admin] = [settings.sites(), settings.admin_sites()];
    for (has_key, sites, port, key) in [
        (tokens.is_some(), websocket, ["allowed_hosts", "allowed_origins"], TOKEN_KEYS),
        (!admin_keys.is_empty(), admin, ["admin_hosts", "admin_origins"], ADMIN_KEYS),
    ] {
        if !has_key && !sites.are_of_this_machine() {
            let [hosts, origins] = port;
            return Err(format!(
                "{hosts} or {origins} names another machine, which needs a key: set one ({key}), or leave \
                 both out"
            ));
        }
    }
    let has_files = has_file || settings.names_files();
    Ok(Plan { settings, config, lowered, admin_keys, tokens, has_files })
}
