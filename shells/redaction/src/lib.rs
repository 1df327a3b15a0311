//! Takes secrets, internal fields and local paths out of JSON text.
//!
//! [`Policy::redact`] reads a JSON text once and changes only what a rule is about. Every other byte
//! stays as it was written: numbers (`1E2`, integers of 30 digits), escapes, white space, the order
//! of members, members that occur twice. A text that no rule is about is returned borrowed.
//!
//! ```
//! use headcount_redaction::{PayloadKind, Policy};
//!
//! let policy = Policy::default();
//! let json = r#"{"apiKey":"k-17","rows":[{"password":"x","keyword":"y","n":1E2}]}"#;
//! assert_eq!(
//!     policy.redact(PayloadKind::Parameters, json).unwrap(),
//!     r#"{"apiKey":"[redacted]","rows":[{"password":"[redacted]","keyword":"y","n":1E2}]}"#,
//! );
//! ```
//!
//! # Rules
//!
//! | rule | where | what becomes of it |
//! |---|---|---|
//! | secret key | every [`PayloadKind`], at any depth | the value, whatever it is, becomes `"[redacted]"` |
//! | removed key | all kinds but [`PayloadKind::Parameters`], at any depth | the member goes |
//! | long text | every kind; keys too | cut, and ends with `… [N bytes cut]` |
//! | long list | every kind, at any depth | cut, and its last item is `"[N items cut]"` |
//! | local path | every text of [`PayloadKind::Error`]; in other kinds what is below a key with a word such as `error`, `exception` or `traceback` | `[path]` |
//!
//! **Keys** are compared by whole words, without regard to case. Words end where letters and other
//! characters meet (`api_key`, `x-api-key`, `api key`, `api.key`), and where the case changes
//! (`apiKey`, `APIKey`). A pattern of several words matches neighbours, also when they are written
//! as one: `api key` matches `apikey`. So `token` matches `access_token` and `token2`, but not
//! `tokens` or `tokenizer`; `auth` does not match `author`.
//!
//! **JSON inside a string** is treated like other JSON: a string that is a JSON object, list or string
//! as a whole, or several values with white space between, is redacted by the same rules and written
//! as a string again. Tool calls of language models carry their arguments in this form. It holds for
//! [`MAX_NESTING`] strings within each other; below that, a string that begins like JSON (`{`, `[`,
//! `"`) becomes `"[redacted]"`, and so does one that is nested too deep. It may hold the numbers that
//! Python writes (`NaN`, `Infinity`), and begin with a byte order mark. A string that is not JSON as
//! a whole is text.
//!
//! **Local paths** are those that name a user's home: a path with a directory `home` or `Users`
//! (`/home/alice/x`, `/Users/alice/x`, `\\host\Users\alice`), a path that begins with a drive
//! (`C:\Users\alice\x`), and `file:` addresses. The path goes whole. Within quotes it reaches to the
//! closing quote. Elsewhere it ends at white space, unless the next word goes on with it
//! (`C:\Users\John Smith\x`). Addresses such as `https://example.com/home/` stay.
//!
//! # What it does not do
//!
//! It does not look for secrets in free text (`password=x` in a sentence), nor in pairs such as
//! `{"name":"password","value":"x"}`: only keys tell it what a value is.
#![forbid(unsafe_code)]

mod json;
mod paths;
mod policy;
mod rewrite;
mod text;
mod words;

pub use json::{Error, MAX_DEPTH};
pub use policy::{Builder, MAX_KEY_BYTES, MAX_KEYS, MIN_BYTES, PayloadKind, Policy, PolicyError};
pub use rewrite::MAX_NESTING;
