//! The audit lines of operating calls: the key that made the call, what it is about, and the outcome.
//!
//! They go to stderr with the log, and unlike its lines they are never dropped. A call takes a place
//! before it is served, and the place is free again when its line is written. So the lines that wait
//! are bounded, and when stderr is not read it is the next operating call that is held up: never the
//! loop, and no other call.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headcount::shown;
use headcount_protocol::json::quoted;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::clock::utc;

/// Lines that may wait to be written. Each has a few KiB at most: what it is about came in a body of
/// no more.
const PLACES: usize = 1_024;
/// How long a call waits for a place.
const PATIENCE: Duration = Duration::from_secs(5);

/// The lines that wait.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

struct Inner {
    places: Arc<Semaphore>,
    waiting: Mutex<VecDeque<(String, OwnedSemaphorePermit)>>,
}

/// A place for one line.
pub(crate) struct Place(OwnedSemaphorePermit);

impl Audit {
    pub(crate) fn new() -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self(Arc::new(Inner { places, waiting: Mutex::default() }))
    }

    /// Waits for a place, but not for ever. `None`: the lines before are not written.
    pub(crate) async fn place(&self) -> Option<Place> {
        let place = timeout(PATIENCE, Arc::clone(&self.0.places).acquire_owned()).await;
        place.ok().and_then(Result::ok).map(Place)
    }

    /// Puts a line where the log's thread takes it.
    pub(crate) fn push(&self, Place(permit): Place, line: String) {
        self.waiting().push_back((line, permit));
    }

    /// Writes what waits. Only the log's thread may wait for a write.
    pub(crate) fn write(&self, to: &mut impl Write) {
        loop {
            // The lock is free again before the write, which can take for ever.
            let next = self.waiting().pop_front();
            let Some((line, _place)) = next else { return };
            let _ = to.write_all(line.as_bytes());
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, OwnedSemaphorePermit)>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a line says beside who called: fields, in the order in which the call learnt them.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<String>>);

impl Record {
    /// Notes a text. It may come from outside.
    pub(crate) fn text(&self, name: &str, value: &str) {
        self.add(name, &quoted(value));
    }

    /// Notes a number, or a word of this program's own.
    pub(crate) fn plain(&self, name: &str, value: impl ToString) {
        self.add(name, &value.to_string());
    }

    fn add(&self, name: &str, value: &str) {
        let mut fields = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string can't fail.
        let _ = write!(fields, " {name}={value}");
    }

    /// The line: `2026-11-28T16:30:00.123Z AUDIT call="POST /v1/close" key="ops" peer=… status=200 …`.
    pub(crate) fn line(
        &self,
        call: &str,
        key: Option<&str>,
        peer: Option<SocketAddr>,
        outcome: &str,
    ) -> String {
        let mut line = format!("{} AUDIT call={}", utc::now(), quoted(call));
        if let Some(key) = key {
            let _ = write!(line, " key={}", quoted(key));
        }
        if let Some(peer) = peer {
            let _ = write!(line, " peer={peer}");
        }
        let fields = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(line, " {outcome}{fields}");
        format!("{}\n", shown(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_it_is_about() {
        let record = Record::default();
        record.text("user", "a\nb\u{202e}\"");
        record.plain("closing", 3);
        let peer = "127.0.0.1:9".parse().ok();
        let line = record.line("POST /v1/close", Some("ops"), peer, "status=200");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == 24, "{time}");
        assert_eq!(
            rest,
            "AUDIT call=\"POST /v1/close\" key=\"ops\" peer=127.0.0.1:9 status=200 \
             user=\"a\\nb\\u202e\\\"\" closing=3\n"
        );
    }

    #[test]
    fn places_are_bounded_and_free_when_the_line_is_written() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(async {
            let audit = Audit::new();
            for number in 0..PLACES {
                let place = audit.place().await.expect("there is one");
                audit.push(place, format!("{number}\n"));
            }
            assert!(timeout(Duration::from_millis(50), audit.place()).await.is_err());
            let mut written = Vec::new();
            audit.write(&mut written);
            let lines: Vec<_> = (0..PLACES).map(|number| format!("{number}\n")).collect();
            assert_eq!(String::from_utf8(written).unwrap(), lines.concat());
            assert!(audit.place().await.is_some());
        });
    }
}
