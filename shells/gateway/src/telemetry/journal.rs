//! `serve --journal FILE`: the file, and the thread that writes it.
//!
//! A disk may stand still, and the loop must not: what it records is queued, up to a bound. When that
//! is reached, or the disk refuses, the journal ends and the server goes on.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use headcount::{ConfigKind, ConfigValue};
use headcount_journal::Recording;
use headcount_mio::JournalSink;
use headcount_protocol::json::Object;

use crate::telemetry::fault;

/// What may wait to be written, in bytes.
const QUEUE_BYTES: usize = 64 << 20;
/// How long the end of the process waits for what is queued.
const LAST_WORDS: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Record every input of the registry in a file, for `headcount replay`; earlier segments and
    /// journals are kept as FILE.1, FILE.2 and so on, the oldest first
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Begin another segment of the journal when it has so many bytes
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = bytes, requires = "journal")]
    journal_segment_bytes: u64,

    /// Begin another segment of the journal at this age
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time, requires = "journal")]
    journal_segment_age: Duration,

    /// Keep so many earlier segments, and delete older ones; by default none is deleted
    #[arg(long, value_name = "COUNT", requires = "journal")]
    journal_keep: Option<usize>,

    /// Record names as they are; by default each is a pseudonym
    #[arg(long, requires = "journal")]
    journal_names: bool,

    /// Record payloads as they are; by default only their lengths
    #[arg(long, requires = "journal")]
    journal_payloads: bool,
}

impl Arguments {
    /// What to record, and where; `None`: nothing. An error is about the file.
    pub(crate) fn open(&self) -> Result<Option<(Recording, Sink)>, String> {
        let Some(path) = &self.journal else { return Ok(None) };
        let cannot = |what: &str, error: &dyn std::fmt::Display| {
            format!("--journal {}: {what}: {error}; choose another file", path.display())
        };
        let folder = Folder { path: path.clone(), keep: self.journal_keep };
        let file = folder.begin().map_err(|error| cannot("cannot write there", &error))?;
        let mut key = [0; 16];
        getrandom::fill(&mut key)
            .map_err(|error| cannot("no entropy for its pseudonyms", &error))?;
        let mut recording = Recording::new(u128::from_ne_bytes(key))
            .segments(self.journal_segment_bytes, self.journal_segment_age);
        if self.journal_names {
            recording = recording.with_names();
        }
        if self.journal_payloads {
            recording = recording.with_payloads();
        }
        let sink =
            Sink::start(folder, file).map_err(|error| cannot("no thread to write it", &error))?;
        Ok(Some((recording, sink)))
    }
}

/// How the journal stands, for the figures.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<State>);

#[derive(Clone, Debug, Default)]
enum State {
    /// None was asked for.
    #[default]
    None,
    Recording,
    Ended {
        end: JournalEnd,
        why: String,
    },
}

/// Why a journal has ended before the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalEnd {
    /// More waited to be written than the queue holds.
    TooSlow,
    /// The file could not be written.
    WriteFailed,
    /// One turn of the loop recorded more than the registry's buffer holds.
    TooMuchAtOnce,
}

impl JournalEnd {
    pub(crate) const ALL: [Self; 3] = [Self::TooSlow, Self::WriteFailed, Self::TooMuchAtOnce];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TooSlow => "too_slow",
            Self::WriteFailed => "write_failed",
            Self::TooMuchAtOnce => "too_much_at_once",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref() {
            Some(source) if source.is::<TooSlow>() => Self::TooSlow,
            // What the operating system or the writing thread says has no source, or a kind.
            Some(_) if error.kind() == ErrorKind::Other => Self::TooMuchAtOnce,
            _ => Self::WriteFailed,
        }
    }
}

impl Status {
    pub(crate) fn begin(&self) {
        *self.lock() = State::Recording;
    }

    pub(crate) fn ended_by(&self, error: &io::Error) {
        *self.lock() = State::Ended { end: JournalEnd::of(error), why: error.to_string() };
    }

    pub(crate) fn is_recording(&self) -> bool {
        matches!(*self.lock(), State::Recording)
    }

    /// `None`: it has not ended, or there was none.
    pub(crate) fn ended(&self) -> Option<JournalEnd> {
        match *self.lock() {
            State::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// `null` where none was asked for.
    pub(crate) fn json(&self) -> String {
        match &*self.lock() {
            State::None => "null".to_owned(),
            State::Recording => Object::new().raw("recording", "true").end(),
            State::Ended { end, why } => {
                let shown = Object::new().raw("recording", "false").text("ended", end.name());
                shown.text("why", why).end()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue is full.
#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk is slower than the recording")
    }
}

impl Error for TooSlow {}

/// An amount of bytes, as configuration files write it: not nothing.
fn bytes(text: &str) -> Result<u64, String> {
    match ConfigKind::Bytes.parse(text) {
        Ok(ConfigValue::Bytes(bytes)) if bytes > 0 => Ok(bytes),
        _ => Err("give bytes, such as 64MiB".to_owned()),
    }
}

/// A length of time, as configuration files write it: not nothing.
fn time(text: &str) -> Result<Duration, String> {
    match ConfigKind::Time.parse(text) {
        Ok(ConfigValue::Time(time)) if !time.is_zero() => Ok(time),
        _ => Err("give a time, such as 30m".to_owned()),
    }
}

/// Where segments lie: the one under way at `path`, and earlier ones beside it, each with the next number.
struct Folder {
    path: PathBuf,
    /// How many earlier ones are kept; `None`: all.
    keep: Option<usize>,
}

impl Folder {
    /// The file of the next segment. The last one gets the next number, unless it is empty: it may be all
    /// that is left of the life that a supervisor has just ended.
    fn begin(&self) -> io::Result<File> {
        let mut earlier = self.earlier()?;
        if fs::metadata(&self.path).is_ok_and(|known| known.is_file() && known.len() > 0) {
            let number = earlier.last().map_or(Some(1), |last| last.checked_add(1));
            let number = number.ok_or(ErrorKind::AlreadyExists)?;
            fs::rename(&self.path, self.numbered(number))?;
            earlier.push(number);
        }
        let file = create(&self.path)?;
        let deleted = self.keep.map_or(0, |keep| earlier.len().saturating_sub(keep));
        for number in &earlier[..deleted] {
            fs::remove_file(self.numbered(*number))?;
        }
        Ok(file)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// The numbers of earlier segments, the oldest first.
    fn earlier(&self) -> io::Result<Vec<u32>> {
        let name = self.path.file_name().unwrap_or_default().as_encoded_bytes();
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut numbers = Vec::new();
        for entry in fs::read_dir(parent.unwrap_or_else(|| Path::new(".")))? {
            let entry = entry?.file_name();
            let number = entry.as_encoded_bytes().strip_prefix(name);
            let number = number.and_then(|rest| str::from_utf8(rest.strip_prefix(b".")?).ok());
            // As it is written here: `FILE.01` is another file.
            let number = number.and_then(|text| Some((text, text.parse::<u32>().ok()?)));
            numbers.extend(number.filter(|(text, it)| it.to_string() == **text).map(|(_, it)| it));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// A file that only its owner may read, also if it was there and empty.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    // It tells who was connected, and what was said if payloads are kept.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // The mode above is for a file that is made here.
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}

enum Item {
    Bytes(Vec<u8>),
    /// Another segment begins with these.
    Segment(Vec<u8>),
    /// Everything before it is written: say so.
    Finish(Sender<()>),
}

/// The loop's end of the queue.
pub(crate) struct Sink {
    queue: Sender<Item>,
    waiting: Arc<AtomicUsize>,
    /// What is written next begins a segment. It holds a state, however large, and does not count as what
    /// waits.
    begins: bool,
    /// What the disk said last.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Sink {
    fn start(folder: Folder, file: File) -> io::Result<Self> {
        let (queue, items) = channel();
        let (waiting, failure) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let (theirs, told) = (Arc::clone(&waiting), Arc::clone(&failure));
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            if let Err(error) = write(&folder, file, &items, &theirs) {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        })?;
        Ok(Self { queue, waiting, begins: false, failure })
    }

    fn send(&self, item: Item) -> io::Result<()> {
        self.queue.send(item).map_err(|_| {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.take().unwrap_or_else(|| ErrorKind::BrokenPipe.into())
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if std::mem::take(&mut self.begins) {
            self.send(Item::Segment(bytes.to_vec()))?;
            return Ok(bytes.len());
        }
        let waiting = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if waiting > QUEUE_BYTES {
            return Err(io::Error::other(TooSlow));
        }
        self.send(Item::Bytes(bytes.to_vec()))?;
        Ok(bytes.len())
    }

    /// Waits until what was written is in the file, but not for ever.
    fn flush(&mut self) -> io::Result<()> {
        let (done, wait) = channel();
        self.send(Item::Finish(done))?;
        wait.recv_timeout(LAST_WORDS).map_err(|_| {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.take().unwrap_or_else(|| ErrorKind::TimedOut.into())
        })
    }
}

impl JournalSink for Sink {
    fn begin_segment(&mut self) -> io::Result<()> {
        self.begins = true;
        Ok(())
    }
}

fn write(
    folder: &Folder,
    mut file: File,
    items: &Receiver<Item>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    for item in items {
        match item {
            Item::Bytes(bytes) => {
                fault::point("journal");
                file.write_all(&bytes)?;
                waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Item::Segment(head) => {
                file = folder.begin()?;
                file.write_all(&head)?;
            }
            Item::Finish(done) => {
                let _ = done.send(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_segments_are_numbered_and_the_oldest_go() {
        let folder =
            std::env::temp_dir().join(format!("headcount-segments-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("life");
        let segments = Folder { path: path.clone(), keep: Some(2) };
        for other in ["life.", "life.x", "life.01", "life.7.gz", "lifeline.3"] {
            fs::write(folder.join(other), "another file").unwrap();
        }
        for number in 1..=5 {
            let mut file = segments.begin().unwrap();
            file.write_all(format!("segment {number}").as_bytes()).unwrap();
        }
        assert_eq!(segments.earlier().unwrap(), [3, 4]);
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let files = ["life.3", "life.4", "life"].map(read);
        assert_eq!(files, ["segment 3", "segment 4", "segment 5"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 8);
        // One that is empty is nothing to keep.
        drop(segments.begin().unwrap());
        drop(segments.begin().unwrap());
        assert_eq!(segments.earlier().unwrap(), [4, 5]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn bounds_of_segments_are_written_as_in_the_configuration() {
        assert_eq!((bytes("64MiB"), time("90s")), (Ok(64 << 20), Ok(Duration::from_secs(90))));
        for wrong in ["", "0", "many"] {
            assert!(bytes(wrong).unwrap_err().contains("64MiB"), "{wrong}");
            assert!(time(wrong).unwrap_err().contains("30m"), "{wrong}");
        }
    }

    #[test]
    fn an_end_says_why() {
        let status = Status::default();
        assert_eq!((status.json().as_str(), status.ended()), ("null", None));
        status.begin();
        assert!(status.is_recording() && status.json() == r#"{"recording":true}"#);
        for (error, end) in [
            (io::Error::other(TooSlow), JournalEnd::TooSlow),
            (io::Error::from_raw_os_error(28), JournalEnd::WriteFailed),
            (ErrorKind::BrokenPipe.into(), JournalEnd::WriteFailed),
            (ErrorKind::WriteZero.into(), JournalEnd::WriteFailed),
            (io::Error::other("one turn recorded more"), JournalEnd::TooMuchAtOnce),
        ] {
            status.ended_by(&error);
            assert_eq!((status.ended(), status.is_recording()), (Some(end), false), "{error}");
            assert!(status.json().contains(end.name()), "{}", status.json());
        }
    }
}
