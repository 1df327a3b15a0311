//! `serve --journal FILE`: the file, and the thread that writes it.
//!
//! A disk may stand still, and the loop must not: what it records is queued, up to a bound. When that
//! is reached, or the disk refuses, the journal ends and the server goes on.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use headcount::journal::Recording;

use crate::fault;

/// What may wait to be written, in bytes.
const QUEUE_BYTES: usize = 64 << 20;
/// How long the end of the process waits for what is queued.
const LAST_WORDS: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Write everything that the registry is given to a file, for `headcount replay`; a journal that
    /// is there already is kept as FILE.1, FILE.2 and so on
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// With names as they are; without, each has a pseudonym
    #[arg(long, requires = "journal")]
    journal_names: bool,

    /// With payloads as they are; without, their lengths
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
        let file = create(path).map_err(|error| cannot("cannot write there", &error))?;
        let mut key = [0; 16];
        getrandom::fill(&mut key)
            .map_err(|error| cannot("no entropy for its pseudonyms", &error))?;
        let mut recording = Recording::new(u128::from_ne_bytes(key));
        if self.journal_names {
            recording = recording.with_names();
        }
        if self.journal_payloads {
            recording = recording.with_payloads();
        }
        let sink = Sink::start(file).map_err(|error| cannot("no thread to write it", &error))?;
        Ok(Some((recording, sink)))
    }
}

/// A new file that only its owner may read. One that is there and not empty gets another name: it may be all that is left of the
/// life that a supervisor has just ended.
fn create(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|known| known.is_file() && known.len() > 0) {
        let numbered = |number: u32| {
            let mut name = OsString::from(path);
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let free = (1..).map(numbered).find(|name| !name.exists());
        fs::rename(path, free.ok_or(ErrorKind::AlreadyExists)?)?;
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    // Whoever may read it learns who was connected, and what was said if payloads are kept.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

enum Item {
    Bytes(Vec<u8>),
    /// Everything before it is written: say so.
    Finish(Sender<()>),
}

/// The loop's end of the queue.
pub(crate) struct Sink {
    queue: Sender<Item>,
    waiting: Arc<AtomicUsize>,
    /// What the disk said last.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Sink {
    fn start(file: File) -> io::Result<Self> {
        let (queue, items) = channel();
        let (waiting, failure) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let (theirs, told) = (Arc::clone(&waiting), Arc::clone(&failure));
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            if let Err(error) = write(file, &items, &theirs) {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        })?;
        Ok(Self { queue, waiting, failure })
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
        let waiting = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if waiting > QUEUE_BYTES {
            return Err(io::Error::other("the disk is slower than what is recorded"));
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

fn write(mut file: File, items: &Receiver<Item>, waiting: &AtomicUsize) -> io::Result<()> {
    for item in items {
        match item {
            Item::Bytes(bytes) => {
                fault::point("journal");
                file.write_all(&bytes)?;
                waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Item::Finish(done) => {
                let _ = done.send(());
            }
        }
    }
    Ok(())
}
