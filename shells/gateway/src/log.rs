//! The log goes to stderr, through a thread of its own.
//!
//! Whoever started the process may have stopped reading its stderr: a write to a full pipe blocks,
//! and the loop must never wait for that. Lines that find the queue full are lost, and counted in
//! the next line that is not.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written.
const QUEUE: usize = 4_096;
/// How long the end of the process waits for the lines that are queued.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum Item {
    Line(Vec<u8>),
    /// Everything before it is written: say so.
    Finish(Sender<()>),
}

/// The log's end of the queue.
pub(crate) struct Log {
    queue: SyncSender<Item>,
}

impl Log {
    /// Waits until what was logged is written, but not for ever.
    pub(crate) fn finish(self) {
        let (done, wait) = channel();
        if self.queue.try_send(Item::Finish(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_WORDS);
        }
    }
}

/// Installs the log for the whole process.
pub(crate) fn start() -> Log {
    let (queue, lines) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let lines_lost = Arc::clone(&lost);
    let thread = std::thread::Builder::new().name("log".to_owned());
    if thread.spawn(move || write(&lines, &lines_lost)).is_ok() {
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::INFO)
            .with_ansi(false)
            .with_target(false)
            .with_writer(Lines { queue: queue.clone(), lost })
            .init();
    }
    Log { queue }
}

fn write(lines: &Receiver<Item>, lost: &AtomicU64) {
    // Unbuffered, one write per line. When stderr is closed there is nobody to tell.
    for item in lines {
        match item {
            Item::Line(line) => {
                let mut stderr = io::stderr();
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(stderr, "({lost} log lines were lost here)");
                }
                let _ = stderr.write_all(&line);
            }
            Item::Finish(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// Makes a writer for each event.
struct Lines {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { to: self, text: Vec::new() }
    }
}

/// One event's text, queued when it is complete.
struct Line<'a> {
    to: &'a Lines,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.to.queue.try_send(Item::Line(text)).is_err() {
            self.to.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
