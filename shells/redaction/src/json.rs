//! The grammar of JSON, token by token.
//!
//! A parser that hands out values or events would lose how they were written (`1E2`, escapes, white
//! space), and the place of what is to be replaced. So this one hands out places.

use std::fmt;
use std::ops::Range;

/// How deep objects and lists may be within each other, those in JSON inside strings included.
pub const MAX_DEPTH: usize = 128;

/// Why a text was not redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is not JSON.
    Malformed {
        /// The byte at which that shows, counted from 0.
        at: usize,
    },
    /// Objects and lists are nested more than [`MAX_DEPTH`] deep.
    TooDeep {
        /// The byte at which the first that is too deep begins, counted from 0.
        at: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { at } => write!(f, "not JSON at byte {at}"),
            Self::TooDeep { at } => {
                write!(f, "objects and lists nested more than {MAX_DEPTH} deep at byte {at}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// A text, and how far it has been read.
pub(crate) struct Scanner<'j> {
    pub(crate) text: &'j str,
    pub(crate) at: usize,
    /// The literals that it takes.
    literals: &'static [&'static str],
}

/// The literals of JSON.
const LITERALS: &[&str] = &["true", "false", "null"];
/// The same, and the numbers that Python writes though JSON has none of them.
const LITERALS_OF_PYTHON: &[&str] = &["true", "false", "null", "NaN", "Infinity", "-Infinity"];
/// What some programs begin a text with.
const BYTE_ORDER_MARK: char = '\u{feff}';

impl<'j> Scanner<'j> {
    pub(crate) const fn new(text: &'j str) -> Self {
        Self { text, at: 0, literals: LITERALS }
    }

    /// For the text of a string, which may be what other programs take for JSON.
    pub(crate) fn of_a_string(text: &'j str) -> Self {
        Self { text, at: text.len() - without_mark(text).len(), literals: LITERALS_OF_PYTHON }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) const fn malformed(&self) -> Error {
        Error::Malformed { at: self.at }
    }

    pub(crate) fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Reads this byte if it is the next one.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(self.malformed()) }
    }

    /// Reads a string: the place of what stands between its quotes.
    pub(crate) fn string(&mut self) -> Result<Range<usize>, Error> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(self.malformed()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if rest.len() > 4 && rest[1..5].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(self.malformed()),
        };
        self.at += length;
        Ok(())
    }

    /// Reads a number, `true`, `false` or `null`.
    pub(crate) fn scalar(&mut self) -> Result<(), Error> {
        for word in self.literals {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed()) } else { Ok(()) }
    }
}

/// The text without the mark that it may begin with.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}
