//! The log goes to stderr, through a thread of its own.
//!
//! The program that reads stderr may have stopped reading: a write to a full pipe blocks, and the loop
//! must never wait for that. If the queue is full a line is lost and counted, in the next line that is
//! written and in the figures.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use headcount::{is_hidden, shown};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, reload};

use super::counters::Counters;
use crate::telemetry::audit::{Audit, Place};
use crate::telemetry::fault;

/// The name of the thread.
pub(crate) const THREAD: &str = "log";
/// What is written unless `log.level` says otherwise.
pub(crate) const LEVEL: LevelFilter = LevelFilter::INFO;
/// Lines that wait to be written.
const QUEUE: usize = 4_096;
/// How long the end of the process waits for the lines that are queued.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum Item {
    Line(Vec<u8>),
    /// There is a line of the audit.
    Audit,
    /// Everything before it is written: say so.
    Finish(Sender<()>),
}

/// The log's end of the queue.
#[derive(Clone)]
pub(crate) struct Log {
    queue: SyncSender<Item>,
    audit: Audit,
    set_level: Arc<dyn Fn(LevelFilter) + Send + Sync>,
}

impl Log {
    /// Lines of this level and of those above it are written from now on.
    pub(crate) fn set_level(&self, level: LevelFilter) {
        (self.set_level)(level);
    }

    pub(crate) const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Has a line of the audit written: before what is queued by now, and in any case.
    pub(crate) fn write_audit(&self, place: Place, line: String) {
        self.audit.push(place, line);
        // A queue that is full wakes the thread as well.
        let _ = self.queue.try_send(Item::Audit);
    }

    /// Waits until what was logged is written, but not for ever.
    pub(crate) fn finish(&self) {
        let (done, wait) = channel();
        if self.queue.try_send(Item::Finish(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_WORDS);
        }
    }
}

/// Installs the log for the whole process. An error is that there is no thread to write it.
pub(crate) fn start(counters: Arc<Counters>) -> io::Result<Log> {
    let (queue, lines) = sync_channel(QUEUE);
    let (lost, audit) = (Arc::clone(&counters), Audit::new());
    let written = audit.clone();
    let thread = std::thread::Builder::new().name(THREAD.to_owned());
    thread.spawn(move || write(&lines, &written, &lost))?;
    let (filter, handle) = reload::Layer::new(LEVEL);
    let lines = fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(Lines { queue: queue.clone(), counters });
    tracing_subscriber::registry().with(filter).with(lines).init();
    let set_level = Arc::new(move |level| {
        // It fails only if there is no log any more.
        let _ = handle.reload(level);
    });
    Ok(Log { queue, audit, set_level })
}

fn write(lines: &Receiver<Item>, audit: &Audit, counters: &Counters) {
    // Unbuffered, one write per line. If stderr is closed there is no other place to write to.
    let mut told = 0;
    for item in lines {
        // At each item: that of the audit may have found the queue full.
        audit.write(&mut io::stderr());
        match item {
            Item::Audit => {}
            Item::Line(line) => {
                fault::point("log");
                let mut stderr = io::stderr();
                let lost = counters.log_lines_lost.load(Ordering::Relaxed);
                if lost > told {
                    let _ = writeln!(stderr, "({} log lines were lost here)", lost - told);
                    told = lost;
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
    counters: Arc<Counters>,
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

/// The text of an event as one line, whatever its fields hold: names come from outside.
fn one_line(text: Vec<u8>) -> Vec<u8> {
    let Ok(line) = std::str::from_utf8(&text) else { return text };
    let line = line.strip_suffix('\n').unwrap_or(line);
    if !line.contains(is_hidden) {
        return text;
    }
    format!("{}\n", shown(line)).into_bytes()
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
        let text = one_line(std::mem::take(&mut self.text));
        if !text.is_empty() && self.to.queue.try_send(Item::Line(text)).is_err() {
            self.to.counters.log_lines_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_one_line_that_reads_as_it_is_written() {
        for (text, line) in [
            ("plain\n", "plain\n"),
            ("", ""),
            ("two\nlines\n", "two\\nlines\n"),
            ("\u{202e}a\u{2028}b\u{200b}\n", "\\u{202e}a\\u{2028}b\\u{200b}\n"),
        ] {
            assert_eq!(one_line(text.as_bytes().to_vec()), line.as_bytes());
        }
    }
}
