//! A journal, input by input; and a registry that lives through it again.

use bytes::Bytes;

use headcount::{Action, Config, Registry, Timestamp};

use super::decode::Decoder;
use super::error::JournalError;
use super::input::OwnedInput;
use super::kind::{self, Kind};
use super::record::Records;
use super::{digest, number, settings};

/// Reads the inputs of a journal, and does nothing with them.
///
/// It borrows the journal, and keeps nothing of it but the input that it gives; where payloads were
/// left out, zeros of their length stand in for them, in one buffer that all share.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    records: Records<'a>,
    /// What is left of the record under way, and where that begins.
    body: &'a [u8],
    at: u64,
    config: Config,
    is_continuation: bool,
    names: bool,
    payloads: bool,
    filler: Bytes,
    /// The stamp of the last input, in nanoseconds.
    last: u64,
    error: Option<JournalError>,
}

impl<'a> Reader<'a> {
    /// Reads the beginning of a journal.
    ///
    /// # Errors
    /// [`JournalError`] if that is not whole, or not the beginning of a journal.
    pub fn new(journal: &'a [u8]) -> Result<Self, JournalError> {
        Self::open(journal).map(|(reader, _)| reader)
    }

    /// The reader, and the registry as it was at the beginning.
    fn open(journal: &'a [u8]) -> Result<(Self, Registry), JournalError> {
        let mut records = Records::new(journal)?;
        let at = records.position();
        let mut body = records.next()?.ok_or(JournalError::Cut { at })?;
        let is_continuation = body.first() == Some(&(Kind::Resume as u8));
        let (registry, contents) = begin(&mut body, at)?;
        let reader = Self {
            records,
            body,
            at,
            config: registry.config().clone(),
            is_continuation,
            names: contents & 1 > 0,
            payloads: contents & 2 > 0,
            filler: Bytes::new(),
            last: 0,
            error: None,
        };
        Ok((reader, registry))
    }

    /// The configuration that the registry began with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether it is a segment that goes on from another one, and begins with its state.
    #[must_use]
    pub const fn is_continuation(&self) -> bool {
        self.is_continuation
    }

    /// Whether names were written down; otherwise pseudonyms take their places.
    #[must_use]
    pub const fn has_names(&self) -> bool {
        self.names
    }

    /// Whether payloads were written down; otherwise zeros take their places.
    #[must_use]
    pub const fn has_payloads(&self) -> bool {
        self.payloads
    }

    /// The next input and its stamp; `None` where the journal ends. What is polled has the stamp of
    /// the input before.
    ///
    /// # Errors
    /// [`JournalError`] if the journal can't be read on; again each time then.
    pub fn next_input(&mut self) -> Result<Option<(Timestamp, OwnedInput)>, JournalError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.read().inspect_err(|error| self.error = Some(*error))
    }

    fn read(&mut self) -> Result<Option<(Timestamp, OwnedInput)>, JournalError> {
        while self.body.is_empty() {
            self.at = self.records.position();
            match self.records.next()? {
                Some(body) => self.body = body,
                None => return Ok(None),
            }
        }
        if self.body == [Kind::Overflowed as u8] {
            return Err(JournalError::Overflowed);
        }
        let input = self.input().ok_or(JournalError::Invalid { at: self.at })?;
        Ok(Some((Timestamp::from_nanos(self.last), input)))
    }

    fn input(&mut self) -> Option<OwnedInput> {
        let byte = *self.body.split_off_first()?;
        let kind = Kind::of(byte & !kind::SAME_STAMP)?;
        let same = byte & kind::SAME_STAMP > 0;
        if matches!(kind, Kind::Polled | Kind::Noticed) {
            if same {
                return None;
            }
        } else if !same {
            let since = number::unzigzag(number::take(&mut self.body)?);
            if since == 0 {
                return None;
            }
            self.last = self.last.wrapping_add(since.cast_unsigned());
        }
        let (names, payloads) = (self.names, self.payloads);
        let filler = &mut self.filler;
        Decoder { bytes: &mut self.body, names, payloads, filler }.input(kind)
    }
}

/// The registry that a journal begins with, and what the journal holds.
fn begin(body: &mut &[u8], at: u64) -> Result<(Registry, u8), JournalError> {
    let invalid = JournalError::Invalid { at };
    let kind = body.split_off_first().and_then(|byte| Kind::of(*byte)).ok_or(invalid)?;
    let contents = body.split_off_first().copied().filter(|it| *it < 4).ok_or(invalid)?;
    let registry = match kind {
        Kind::Begin => Registry::new(settings::take(body).ok_or(invalid)?),
        Kind::Resume => {
            let length = number::take(body).and_then(|it| usize::try_from(it).ok());
            let snapshot = length.and_then(|length| body.split_off(..length)).ok_or(invalid)?;
            Registry::restore(snapshot).map_err(|why| JournalError::Snapshot { why })?
        }
        _ => return Err(invalid),
    };
    Ok((registry, contents))
}

/// One input that was replayed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Counted from 1.
    pub number: u64,
    /// Its stamp.
    pub at: Timestamp,
    /// What it was.
    pub input: OwnedInput,
}

/// A registry that lives through a journal again, up to wherever one wants to look.
pub struct Replay<'a> {
    reader: Reader<'a>,
    registry: Registry,
    inputs: u64,
}

impl<'a> Replay<'a> {
    /// A registry as it was when the journal began: empty, or in the state that a segment goes on from.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn new(journal: &'a [u8]) -> Result<Self, JournalError> {
        let (reader, registry) = Reader::open(journal)?;
        Ok(Self { reader, registry, inputs: 0 })
    }

    /// Does the next input again, and gives the actions that were polled to `see`; `None` where the
    /// journal ends.
    ///
    /// # Errors
    /// [`JournalError`] if the journal can't be read on, or the actions were others when it was
    /// written ([`JournalError::Diverged`]: they have been seen, and are what this build does).
    pub fn step(&mut self, mut see: impl FnMut(&Action<'_>)) -> Result<Option<Step>, JournalError> {
        let Some((at, input)) = self.reader.next_input()? else { return Ok(None) };
        self.inputs += 1;
        let mut digest = 0;
        input.apply(&mut self.registry, at, |action| {
            digest = digest::fold(digest, digest::of(action));
            see(action);
        });
        if let OwnedInput::Polled { digest: recorded, .. } = input
            && recorded != (digest >> 32) as u32
        {
            let error = JournalError::Diverged { input: self.inputs };
            self.reader.error = Some(error);
            return Err(error);
        }
        Ok(Some(Step { number: self.inputs, at, input }))
    }

    /// The registry as it is after the last step.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The journal, as far as it was not replayed.
    #[must_use]
    pub const fn reader(&self) -> &Reader<'a> {
        &self.reader
    }
}
