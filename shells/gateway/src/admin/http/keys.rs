//! The keys of the admin port: what each may do, and whose a given one is.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::settings::Settings;

/// The shortest key, in bytes: 128 bits in hexadecimal need twice as many, and a word has fewer.
const MIN_BYTES: usize = 16;
/// The longest key, in bytes: it has to fit into a request head beside everything else.
const MAX_BYTES: usize = 512;
/// The longest name, in bytes.
const MAX_NAME: usize = 32;
/// Keys at a time. Each request is compared with all of them.
const MOST: usize = 64;
/// The name of the key that `auth.admin_key` and `auth.admin_key_file` give.
const SINGLE: &str = "admin";

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// To send messages and reports of runs, and to change who is in a room.
    Publish,
    /// To look at connections, sessions and figures.
    Read,
    /// To close, revoke, drain, reload and check.
    Operate,
}

impl Scope {
    pub(crate) const ALL: [Self; 3] = [Self::Publish, Self::Read, Self::Operate];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Publish => 1,
            Self::Read => 2,
            Self::Operate => 4,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    const ALL: Self = Self(7);

    /// Reads `publish,read`. `None`: there is none, one is unknown, or one is named twice.
    fn parse(text: &str) -> Option<Self> {
        let mut bits = 0;
        for name in text.split(',') {
            let bit = Scope::ALL.into_iter().find(|scope| scope.name() == name)?.bit();
            if bits & bit != 0 {
                return None;
            }
            bits |= bit;
        }
        Some(Self(bits))
    }

    pub(crate) const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

/// One key. Its digest is kept: two of the same length are compared, whatever the keys' are.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    name: Arc<str>,
    scopes: Scopes,
    digest: [u8; 32],
}

/// The owner of a key that was given, as the log and the audit name them.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    name: Option<Arc<str>>,
    scopes: Scopes,
}

impl Caller {
    /// The name of the key. `None`: no key is configured.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) const fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}

/// All keys of the admin port. None at all is the development mode.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct AdminKeys(Vec<Key>);

/// Names only.
impl fmt::Debug for AdminKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl AdminKeys {
    /// The keys that the settings give, in all their forms together. Errors name the setting and
    /// the line of a list, and never quote a key.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let mut keys = Self::default();
        for setting in ["auth.admin_key", "auth.admin_key_file"] {
            let Some(key) = settings.secret(setting) else { continue };
            let at = settings.written(setting);
            let key = key.reveal().trim();
            keys.add(SINGLE, Scopes::ALL, key).map_err(|wrong| format!("{at}: {wrong}"))?;
        }
        for setting in ["auth.admin_keys", "auth.admin_keys_file"] {
            let Some(list) = settings.secret(setting) else { continue };
            let at = settings.written(setting);
            keys.add_list(list.reveal()).map_err(|wrong| format!("{at}: {wrong}"))?;
        }
        Ok(keys)
    }

    /// Adds the keys of a list: lines of `name scopes key`, where `;` is as good as a line's end.
    /// A line that begins with `#` is a comment. A list without a key is a mistake.
    fn add_list(&mut self, list: &str) -> Result<(), String> {
        let before = self.0.len();
        for (number, line) in (1..).zip(list.lines()) {
            if line.trim_start().starts_with('#') {
                continue;
            }
            for entry in line.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
                let mut words = entry.split_whitespace();
                let (Some(name), Some(scopes), Some(key), None) =
                    (words.next(), words.next(), words.next(), words.next())
                else {
                    return Err(format!(
                        "line {number}: a key is written as its name, its scopes and the key itself, \
                         with blanks between: name publish,read key"
                    ));
                };
                let Some(scopes) = Scopes::parse(scopes) else {
                    return Err(format!(
                        "line {number}: the second word must be one or more of publish, read and \
                         operate, each once, with commas between"
                    ));
                };
                self.add(name, scopes, key).map_err(|wrong| format!("line {number}: {wrong}"))?;
            }
        }
        if self.0.len() == before {
            return Err("there is no key in it: write name publish,read,operate key".to_owned());
        }
        Ok(())
    }

    fn add(&mut self, name: &str, scopes: Scopes, key: &str) -> Result<(), String> {
        // A key in the place of the name is a mistake that is made: no sentence quotes either.
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.len() > MAX_NAME || !name.bytes().all(is_of_name) {
            return Err(format!(
                "the first word must be a name of at most {MAX_NAME} letters, digits, dots, dashes \
                 and underscores"
            ));
        }
        if !(MIN_BYTES..=MAX_BYTES).contains(&key.len()) {
            return Err(format!(
                "the key is {} bytes long, and must have between {MIN_BYTES} and {MAX_BYTES}; \
                 openssl rand -hex 32 makes one",
                key.len()
            ));
        }
        // What `Authorization: Bearer` can carry (RFC 6750, section 2.1).
        let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !key.bytes().all(is_of_key) {
            return Err("the key may hold only letters, digits and - . _ ~ + / =; \
                        openssl rand -hex 32 makes one"
                .to_owned());
        }
        if self.0.iter().any(|other| *other.name == *name) {
            return Err("an earlier key has the same name: give each key its own".to_owned());
        }
        let digest = digest(key.as_bytes());
        if self.0.iter().any(|other| other.digest == digest) {
            return Err("an earlier name has the same key: give each name its own".to_owned());
        }
        if self.0.len() == MOST {
            return Err(format!("there are more than {MOST} keys"));
        }
        self.0.push(Key { name: name.into(), scopes, digest });
        Ok(())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &*key.name)
    }

    /// The owner of a key. The time that this takes depends on how long `key` is, and on how many
    /// keys there are: not on what they are.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Caller> {
        let given = digest(key);
        // One more than the place; 0 is none.
        let mut found: u32 = 0;
        for (number, key) in (1..).zip(&self.0) {
            found.conditional_assign(&number, key.digest.ct_eq(&given));
        }
        let key = self.0.get((found as usize).checked_sub(1)?)?;
        Some(Caller { name: Some(Arc::clone(&key.name)), scopes: key.scopes })
    }

    /// The caller of the development mode, where there is no key.
    pub(crate) const fn anyone() -> Caller {
        Caller { name: None, scopes: Scopes::ALL }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Origin;

    const KEYS: [&str; 3] =
        ["0123456789abcdef", "fedcba9876543210fedcba9876543210", "c29tZS1rZXktdGhhdC1pcw=="];

    fn list(text: &str) -> Result<AdminKeys, String> {
        let mut keys = AdminKeys::default();
        keys.add_list(text).map(|()| keys)
    }

    #[test]
    fn a_list_has_names_scopes_and_keys() {
        let [one, two, three] = KEYS;
        let keys = list(&format!(
            "# who may do what\n\nci publish {one}\n  ops read,operate {two} ; all publish,operate,read {three}\n"
        ))
        .unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["ci", "ops", "all"]);
        for (key, name, expected) in [
            (one, "ci", [true, false, false]),
            (two, "ops", [false, true, true]),
            (three, "all", [true, true, true]),
        ] {
            let caller = keys.find(key.as_bytes()).unwrap();
            assert_eq!(caller.name(), Some(name));
            assert_eq!(Scope::ALL.map(|scope| caller.may(scope)), expected);
        }
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "ci"] {
            assert!(keys.find(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(AdminKeys::default().find(b"").is_none());
        assert_eq!(format!("{keys:?}"), r#"["ci", "ops", "all"]"#);
    }

    #[test]
    fn mistakes_say_where_and_never_what() {
        let [one, two, _] = KEYS;
        for (text, part) in [
            (String::new(), "there is no key in it"),
            ("# nothing\n".to_owned(), "there is no key in it"),
            (format!("ci {one}"), "line 1: a key is written as its name"),
            (format!("\nci publish {one} {two}"), "line 2: a key is written as its name"),
            (format!("ci {one} publish"), "line 1: the second word must be"),
            (format!("ci publish,publish {one}"), "line 1: the second word must be"),
            (format!("ci publish, {one}"), "line 1: the second word must be"),
            (format!("{two} publish ci"), "line 1: the key is 2 bytes"),
            (format!("c:i publish {one}"), "line 1: the first word must be a name"),
            ("ci publish hunter2".to_owned(), "is 7 bytes long"),
            (format!("ci publish {}", "x".repeat(513)), "is 513 bytes long"),
            (format!("ci publish {one}\u{e4}"), "may hold only letters"),
            (format!("ci publish {one}\nci read {two}"), "line 2: an earlier key has"),
            (format!("ci publish {one}\nops read {one}"), "line 2: an earlier name has"),
        ] {
            let sentence = list(&text).unwrap_err();
            assert!(sentence.contains(part), "{sentence}");
            for secret in [one, two, "hunter2"] {
                assert!(!sentence.contains(secret), "{sentence}");
            }
        }
        let many = |count: usize| {
            let lines: Vec<_> = (0..count).map(|n| format!("k{n} read {n:032}")).collect();
            list(&lines.join("\n"))
        };
        assert!(many(MOST).is_ok() && many(MOST + 1).is_err());
    }

    #[test]
    fn one_key_may_do_everything() {
        let mut settings = Settings::default();
        settings.set("auth.admin_key", KEYS[0], Origin::Set).unwrap();
        let keys = AdminKeys::new(&settings).unwrap();
        let caller = keys.find(KEYS[0].as_bytes()).unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| caller.may(scope)));
        settings.set("auth.admin_keys", &format!("ci read {}", KEYS[1]), Origin::Set).unwrap();
        assert_eq!(AdminKeys::new(&settings).unwrap().names().collect::<Vec<_>>(), ["admin", "ci"]);
        settings.set("auth.admin_key", "short", Origin::Set).unwrap();
        let sentence = AdminKeys::new(&settings).unwrap_err();
        assert!(sentence.starts_with("--set auth.admin_key=<secret>: the key is 5 bytes"));
    }
}
