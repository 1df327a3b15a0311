//! The one pass over a text that applies the rules.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{Error, MAX_DEPTH, Scanner, without_mark};
use crate::policy::{PayloadKind, Policy};
use crate::words::{Key, Words};
use crate::{paths, text};

/// How many strings of JSON within each other are redacted as JSON. Each level reads its text once
/// more, so this bounds the time.
pub const MAX_NESTING: usize = 4;

/// What a secret becomes.
const SECRET: &str = "[redacted]";

pub(crate) fn redact<'j>(
    policy: &Policy,
    kind: PayloadKind,
    json: &'j str,
) -> Result<Cow<'j, str>, Error> {
    let rules = Rules {
        policy,
        removes: kind != PayloadKind::Parameters,
        longest: if kind == PayloadKind::Parameters { policy.max_input } else { policy.max_output },
    };
    let mut pass = Pass::new(rules, Scanner::new(json), Level { depth: 0, nesting: 0 });
    pass.scanner.blank();
    pass.value(Below { errors: kind == PayloadKind::Error, changes: true, depth: 0 })?;
    pass.scanner.blank();
    if pass.scanner.at < json.len() {
        return Err(pass.scanner.malformed());
    }
    Ok(pass.edits.end(json))
}

/// What holds for the whole text.
#[derive(Clone, Copy)]
struct Rules<'p> {
    policy: &'p Policy,
    /// Whether removed keys go.
    removes: bool,
    /// The bytes that a text may have.
    longest: usize,
}

/// What holds for a value and everything in it.
#[derive(Clone, Copy)]
struct Below {
    /// Local paths go.
    errors: bool,
    /// `false`: it is passed over, because all of it goes.
    changes: bool,
    depth: usize,
}

/// Where a text is that is a string in another.
#[derive(Clone, Copy)]
struct Level {
    /// The objects and lists around it.
    depth: usize,
    /// The strings around it.
    nesting: usize,
}

/// What becomes of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Secret,
    Goes,
}

struct Pass<'p, 'j> {
    rules: Rules<'p>,
    scanner: Scanner<'j>,
    edits: Edits,
    level: Level,
}

impl<'p, 'j> Pass<'p, 'j> {
    fn new(rules: Rules<'p>, scanner: Scanner<'j>, level: Level) -> Self {
        Self { rules, scanner, edits: Edits::default(), level }
    }

    fn value(&mut self, below: Below) -> Result<(), Error> {
        match self.scanner.peek() {
            Some(b'{') => self.object(self.inside(below)?),
            Some(b'[') => self.list(self.inside(below)?),
            Some(b'"') => {
                let place = self.scanner.string()?;
                if below.changes {
                    let raw = &self.scanner.text[place.clone()];
                    if let Some(text) = self.string(raw, below) {
                        let whole = place.start - 1..place.end + 1;
                        self.edits.replace(self.scanner.text, whole, &text::encode(&text));
                    }
                }
                Ok(())
            }
            _ => self.scanner.scalar(),
        }
    }

    fn inside(&self, below: Below) -> Result<Below, Error> {
        let depth = below.depth + 1;
        if self.level.depth + depth > MAX_DEPTH {
            return Err(Error::TooDeep { at: self.scanner.at });
        }
        Ok(Below { depth, ..below })
    }

    fn object(&mut self, below: Below) -> Result<(), Error> {
        self.scanner.expect(b'{')?;
        self.scanner.blank();
        if self.scanner.take(b'}') {
            return Ok(());
        }
        // Where the member before ends: its comma goes with the one that follows.
        let mut before = self.scanner.at;
        let mut some_stay = false;
        loop {
            let start = self.scanner.at;
            let key = self.scanner.string()?;
            let (fate, below) = self.member(key, below);
            self.scanner.blank();
            self.scanner.expect(b':')?;
            self.scanner.blank();
            let place = self.scanner.at;
            self.value(below)?;
            let end = self.scanner.at;
            self.scanner.blank();
            let more = self.scanner.take(b',');
            if more {
                self.scanner.blank();
            }
            match fate {
                Fate::Secret => self.replace_text(place..end, SECRET),
                // Without a member before it, it goes with the comma that follows.
                Fate::Goes if some_stay => self.edits.replace(self.scanner.text, before..end, ""),
                Fate::Goes => {
                    let end = if more { self.scanner.at } else { end };
                    self.edits.replace(self.scanner.text, start..end, "");
                }
                Fate::Stays => {}
            }
            some_stay |= fate != Fate::Goes;
            before = end;
            if !more {
                return self.scanner.expect(b'}');
            }
        }
    }

    /// Decides on a member by its key, and rewrites the key.
    fn member(&mut self, place: Range<usize>, below: Below) -> (Fate, Below) {
        if !below.changes {
            return (Fate::Stays, below);
        }
        let key = text::decode(&self.scanner.text[place.clone()]);
        let written = self.key(&key, below);
        // By both, or to redact it again could find another.
        let words = [Some(Key::new(&key)), written.as_deref().map(Key::new)];
        let is_in = |list: &Words| words.iter().flatten().any(|key| list.contains(key));
        let policy = self.rules.policy;
        if self.rules.removes && is_in(&policy.removed) {
            return (Fate::Goes, Below { changes: false, ..below });
        }
        let secret = is_in(&policy.secret);
        let errors = below.errors || is_in(&policy.errors);
        if let Some(written) = written {
            let whole = place.start - 1..place.end + 1;
            self.edits.replace(self.scanner.text, whole, &text::encode(&written));
        }
        if secret {
            return (Fate::Secret, Below { changes: false, ..below });
        }
        (Fate::Stays, Below { errors, ..below })
    }

    fn list(&mut self, below: Below) -> Result<(), Error> {
        self.scanner.expect(b'[')?;
        self.scanner.blank();
        if self.scanner.take(b']') {
            return Ok(());
        }
        let most = self.rules.policy.max_items;
        let mut items: usize = 0;
        // Where the last item begins that there is room for: it stays if it is the last of all.
        let mut last = (self.scanner.at, self.edits.state());
        loop {
            items += 1;
            if items == most {
                last = (self.scanner.at, self.edits.state());
            }
            self.value(Below { changes: below.changes && items <= most, ..below })?;
            let end = self.scanner.at;
            self.scanner.blank();
            if self.scanner.take(b',') {
                self.scanner.blank();
                continue;
            }
            if below.changes && items > most {
                let (start, state) = last;
                self.edits.back_to(state);
                self.replace_text(start..end, &format!("[{} items cut]", items - (most - 1)));
            }
            return self.scanner.expect(b']');
        }
    }

    /// Replaces a value by a string, unless it is that string already.
    fn replace_text(&mut self, place: Range<usize>, text: &str) {
        self.edits.replace(self.scanner.text, place, &text::encode(text));
    }

    /// What becomes of a string, given what stands between its quotes. `None`: it stays.
    fn string(&self, raw: &str, below: Below) -> Option<String> {
        let text = text::decode(raw);
        let mut written = self.nested(&text, below);
        // What looks like an escape of JSON may be a path: `"C:\new"`.
        if below.errors
            && let Some(without) = paths::without(written.as_deref().unwrap_or(&text))
        {
            // Without its paths it may have become JSON.
            written = Some(self.nested(&without, below).unwrap_or(without));
        }
        // JSON is cut like other texts, and is none any more then.
        let cut = text::cut(written.as_deref().unwrap_or(&text), self.rules.longest);
        let without = cut.as_deref().filter(|_| below.errors).and_then(paths::without);
        without.or(cut).or(written)
    }

    /// What becomes of a key. `None`: it stays.
    fn key(&self, key: &str, below: Below) -> Option<String> {
        let without = below.errors.then(|| paths::without(key)).flatten();
        text::cut(without.as_deref().unwrap_or(key), self.rules.longest).or(without)
    }

    /// What becomes of a text that may be JSON. `None`: it stays, or is no JSON.
    fn nested(&self, text: &str, below: Below) -> Option<String> {
        let is_candidate = without_mark(text).trim_ascii_start().starts_with(['{', '[', '"']);
        if !is_candidate || text == SECRET {
            return None;
        }
        let level =
            Level { depth: self.level.depth + below.depth, nesting: self.level.nesting + 1 };
        if level.nesting > MAX_NESTING {
            return Some(SECRET.to_owned());
        }
        let mut pass = Pass::new(self.rules, Scanner::of_a_string(text), level);
        match pass.values(below.errors) {
            Ok(()) => match pass.edits.end(text) {
                Cow::Borrowed(_) => None,
                Cow::Owned(json) => Some(json),
            },
            Err(Error::TooDeep { .. }) => Some(SECRET.to_owned()),
            Err(Error::Malformed { .. }) => None,
        }
    }

    /// Reads values with white space between them, to the end of the text.
    fn values(&mut self, errors: bool) -> Result<(), Error> {
        self.scanner.blank();
        while self.scanner.at < self.scanner.text.len() {
            self.value(Below { errors, changes: true, depth: 0 })?;
            self.scanner.blank();
        }
        Ok(())
    }
}

/// The replacements in a text, from its beginning on. Nothing is copied before the first.
#[derive(Default)]
struct Edits {
    written: String,
    /// Up to where the text is in `written`, as it was or replaced.
    copied: usize,
}

impl Edits {
    /// Places must come in their order.
    fn replace(&mut self, text: &str, place: Range<usize>, by: &str) {
        if &text[place.clone()] == by {
            return;
        }
        self.written.push_str(&text[self.copied..place.start]);
        self.written.push_str(by);
        self.copied = place.end;
    }

    fn state(&self) -> (usize, usize) {
        (self.written.len(), self.copied)
    }

    /// Forgets the replacements since.
    fn back_to(&mut self, (written, copied): (usize, usize)) {
        self.written.truncate(written);
        self.copied = copied;
    }

    fn end(mut self, text: &str) -> Cow<'_, str> {
        if self.copied == 0 {
            return Cow::Borrowed(text);
        }
        self.written.push_str(&text[self.copied..]);
        Cow::Owned(self.written)
    }
}
