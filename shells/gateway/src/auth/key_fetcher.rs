//! A thread that reads a key set again and again, and the loop's end of it.
//!
//! The loop never waits for the thread: it takes news from a queue when it looks for a key, and asks
//! through another one. The thread has the loop authenticate again what waits, after each fetch.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use headcount::shown;
use tracing::{info, warn};

use super::key::Key;
use super::key_source::KeySource;

/// Fetches that unknown keys may cause in [`PER`].
const ASKS: usize = 2;
const PER: Duration = Duration::from_secs(60);

/// The shortest interval for a key set of a server: by itself this process asks the issuer no more often
/// than unknown keys may have it ask. A file is this machine's own.
pub(crate) const MIN_INTERVAL_OF_URL: Duration = Duration::from_secs(PER.as_secs() / ASKS as u64);

/// How long after a fetch that failed the next one begins, at most.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Which key set to read, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JwksSettings {
    /// Where it is.
    pub(crate) source: KeySource,
    /// From the end of one fetch to the beginning of the next, unless an unknown key asks for one.
    pub(crate) interval: Duration,
}

/// What came of one fetch.
struct News {
    /// `None`: it failed, or the keys are the same as before.
    keys: Option<Vec<Key>>,
    failed: bool,
    /// Whether the loop had asked for it.
    asked: bool,
}

/// Whether a fetch will be made for a key that is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// One is under way, or is now: what waits is authenticated again after it.
    UnderWay,
    /// Two were made in the last minute. The next may begin after this time.
    TooOften(Duration),
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct KeyFetcher {
    settings: JwksSettings,
    news: Receiver<News>,
    asks: SyncSender<()>,
    /// Fetches that were asked for, and of which no news has come.
    under_way: usize,
    /// When the last fetches were asked for.
    asked_at: [Option<Instant>; ASKS],
    failed: bool,
    /// Whether a token came since the last fetch was asked for: its set may be older than the token's key.
    joined: bool,
}

impl KeyFetcher {
    /// Starts the thread, which begins with a fetch. It ends after its present fetch when this is
    /// dropped. `tell` is called on it after each.
    pub(super) fn start(
        settings: JwksSettings,
        tell: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, news) = channel();
        // One that waits begins later than all that is known now: more would change nothing.
        let (asks, asked) = sync_channel(1);
        let thread = Thread { settings: settings.clone(), last: Vec::new() };
        thread::Builder::new()
            .name("key set".to_owned())
            .spawn(move || thread.run(&sender, &asked, tell))?;
        Ok(Self {
            settings,
            news,
            asks,
            under_way: 1,
            asked_at: [None; ASKS],
            failed: false,
            joined: false,
        })
    }

    pub(super) const fn settings(&self) -> &JwksSettings {
        &self.settings
    }

    /// The newest keys that were fetched since the last call. `None`: the keys are the same.
    pub(super) fn take_keys(&mut self) -> Option<Vec<Key>> {
        let mut newest = None;
        while let Ok(news) = self.news.try_recv() {
            self.under_way -= usize::from(news.asked);
            self.failed = news.failed;
            newest = news.keys.or(newest);
        }
        newest
    }

    /// Whether a fetch that was asked for is under way.
    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way > 0
    }

    /// Whether the last fetch failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Asks for a fetch because of a key that is not known.
    pub(super) fn ask(&mut self, now: Instant) -> Fetch {
        if self.is_under_way() {
            return Fetch::UnderWay;
        }
        let since = |asked: &Option<Instant>| asked.map(|at| now.saturating_duration_since(at));
        let recent = |asked: &Option<Instant>| since(asked).is_some_and(|since| since < PER);
        let Some(free) = self.asked_at.iter_mut().find(|asked| !recent(asked)) else {
            let oldest = self.asked_at.iter().filter_map(since).max().unwrap_or_default();
            return Fetch::TooOften(PER.saturating_sub(oldest));
        };
        // It fails if the thread is gone, which only a panic does: what waits is told so in time.
        if self.asks.try_send(()).is_ok() {
            *free = Some(now);
            self.under_way += 1;
            self.joined = false;
        }
        Fetch::UnderWay
    }

    /// A token with a key that is not known waits for the fetch that is under way.
    pub(super) const fn join(&mut self) {
        self.joined = true;
    }

    /// Whether one did, since the last fetch was asked for.
    pub(super) const fn was_joined(&self) -> bool {
        self.joined
    }

    /// Asks for a fetch because an operator has asked for a reload. The bound on fetches for unknown
    /// keys does not count it. A fetch that already waits begins after this call, and is enough.
    pub(super) fn read_again(&mut self) {
        if self.asks.try_send(()).is_ok() {
            self.under_way += 1;
        }
    }
}

struct Thread {
    settings: JwksSettings,
    /// The last key set, so that the same one is not told of again. At most 256 KiB.
    last: Vec<u8>,
}

impl Thread {
    /// Returns when the loop's end is gone.
    fn run(mut self, news: &Sender<News>, asks: &Receiver<()>, tell: impl Fn()) {
        let mut asked = true;
        loop {
            let (keys, failed) = match self.fetch() {
                Ok(keys) => (keys, false),
                Err(why) => {
                    let (source, why) = (self.settings.source.to_string(), shown(&why));
                    warn!(%source, %why, "a key set was not read: the keys in use stay");
                    (None, true)
                }
            };
            if news.send(News { keys, failed, asked }).is_err() {
                return;
            }
            tell();
            let wait = match failed {
                true => self.settings.interval.min(AFTER_FAILURE),
                false => self.settings.interval,
            };
            asked = match asks.recv_timeout(wait) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
        }
    }

    /// The keys, unless they are the same as before.
    fn fetch(&mut self) -> Result<Option<Vec<Key>>, String> {
        let (text, jwks) = self.settings.source.read()?;
        if text == self.last {
            return Ok(None);
        }
        self.last = text;
        let (source, keys) = (self.settings.source.to_string(), jwks.keys.len());
        info!(%source, keys, "a key set was read");
        for why in &jwks.skipped {
            warn!(%source, why = %shown(why), "a key of the set is skipped");
        }
        Ok(Some(jwks.keys))
    }
}
