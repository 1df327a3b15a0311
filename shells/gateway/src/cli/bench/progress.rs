//! How far a run has come, in one line of a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Characters of the bar.
const WIDTH: u64 = 30;
/// How often the line is written.
const EVERY: Duration = Duration::from_millis(200);

/// Written on standard error if it is a terminal, until it is dropped.
pub(super) struct Progress {
    running: Option<(Sender<&'static str>, JoinHandle<()>)>,
}

impl Progress {
    /// `lasts` is about how long all of it takes.
    pub(super) fn start(lasts: Duration) -> Self {
        if !io::stderr().is_terminal() {
            return Self { running: None };
        }
        let (sender, works) = channel();
        let began = Instant::now();
        let write = move || {
            let mut work = "";
            loop {
                match works.recv_timeout(EVERY) {
                    Ok(next) => work = next,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                let line = line(began.elapsed(), lasts, work);
                let _ = write!(io::stderr(), "\r{line}\x1b[K");
            }
            let _ = write!(io::stderr(), "\r\x1b[K");
        };
        // Without a thread there is no line, and no other difference.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(write);
        Self { running: thread.ok().map(|thread| (sender, thread)) }
    }

    /// What is done from now on.
    pub(super) fn works_on(&self, work: &'static str) {
        if let Some((sender, _)) = &self.running {
            // The thread ends after this value only.
            let _ = sender.send(work);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            // A panic of it has been written.
            let _ = thread.join();
        }
    }
}

fn line(elapsed: Duration, lasts: Duration, work: &str) -> String {
    let (elapsed, lasts) = (elapsed.as_millis() as u64, (lasts.as_millis() as u64).max(1));
    let done = (WIDTH * elapsed / lasts).min(WIDTH) as usize;
    let bar = "#".repeat(done) + &".".repeat(WIDTH as usize - done);
    format!("[{bar}] {} of about {} s: {work}", elapsed / 1_000, lasts / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_stays_full() {
        let at = |seconds| line(Duration::from_secs(seconds), Duration::from_secs(10), "echoes");
        assert_eq!(at(0), format!("[{}] 0 of about 10 s: echoes", ".".repeat(30)));
        assert_eq!(
            at(5),
            format!("[{}{}] 5 of about 10 s: echoes", "#".repeat(15), ".".repeat(15))
        );
        assert_eq!(at(99), format!("[{}] 99 of about 10 s: echoes", "#".repeat(30)));
    }
}
