//! A panic ends the process, in whichever thread it is.
//!
//! Otherwise the others would go on without that thread: a server without its health port, or one
//! that logs nothing. A supervisor sees that the process has ended, and starts another.

use std::any::Any;
use std::io::Write as _;
use std::panic::{self, PanicHookInfo};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tracing::error;

use crate::telemetry::log::{self, Log};

/// The exit code: an internal error of the software (`EX_SOFTWARE` of sysexits).
const EXIT_CODE: i32 = 70;
/// The characters that are shown at most of what a panic says.
const SHOWN: usize = 500;
/// How long the end of the process waits for a line that the log can't write.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// From now on a panic is one line of the log, and the end of the process within a second.
pub(crate) fn end_the_process(log: Log) {
    panic::set_hook(Box::new(move |panic| {
        static ENDING: AtomicBool = AtomicBool::new(false);
        if ENDING.swap(true, Ordering::AcqRel) {
            // Another thread was first, and the process ends. Going on would run destructors, or
            // end `main` with another code.
            loop {
                thread::park();
            }
        }
        tell(&log, panic);
        process::exit(EXIT_CODE);
    }));
}

fn tell(log: &Log, panic: &PanicHookInfo<'_>) {
    let current = thread::current();
    let thread = current.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let said: String = message(panic.payload()).chars().take(SHOWN).collect();
    if thread == log::THREAD {
        // It would wait for itself. A full pipe must not hold up the end.
        let line = format!(
            "ERROR a thread has panicked, the process ends thread={thread:?} place={place:?} \
             said={said:?}\n"
        );
        let (done, written) = channel();
        thread::spawn(move || {
            let _ = std::io::stderr().write_all(line.as_bytes());
            let _ = done.send(());
        });
        let _ = written.recv_timeout(LAST_WORDS);
    } else {
        error!(thread, place, said, "a thread has panicked, the process ends");
        log.finish();
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no text)")
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::panic;

    /// In release too: the profile keeps the checks, and a wrong count can't wrap in silence.
    #[test]
    fn arithmetic_that_overflows_panics() {
        let most = black_box(u32::MAX);
        assert!(panic::catch_unwind(|| most + black_box(1)).is_err());
    }
}
