//! `Idempotency-Key`: a publish, or an event of a run, that is repeated because its answer was lost is
//! not sent twice.
//!
//! An answer is kept for `idempotency.ttl` after it was given, and all of them within
//! `idempotency.bytes`: when they are more, the oldest goes early, which is counted. A request that
//! is under way is never let go, so a repetition finds it or its answer, and never another's.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use headcount_protocol::problem::Problem;
use tokio::sync::watch;

use super::http::keys::Caller;

/// What an answer counts beside its key and itself: its places in the table and in the order, at
/// their emptiest.
const OVERHEAD: u64 = 320;
/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 255;
const HEADER: &str = "idempotency-key";

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerBounds {
    /// From the answer on.
    pub(crate) ttl: Duration,
    /// Of all answers that were given. Requests under way come on top: there are no more of them
    /// than calls that can wait for the loop.
    pub(crate) bytes: u64,
}

/// What is kept, for the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) answers: u64,
    pub(crate) bytes: u64,
    /// Answers that went before their time, for want of bytes.
    pub(crate) evicted: u64,
}

/// The answers to requests with a key.
pub(crate) struct Answers {
    kept: Arc<Mutex<Kept>>,
    /// Two keyed hashes of 64 bits together: bodies are compared without being kept.
    hashers: (RandomState, RandomState),
}

struct Kept {
    bounds: AnswerBounds,
    by_key: HashMap<Arc<str>, Entry>,
    /// Those with an answer, by when it was given, the oldest first.
    given: VecDeque<Given>,
    /// What all of `given` count.
    bytes: u64,
    evicted: u64,
    next_id: u64,
}

struct Given {
    at: Instant,
    id: u64,
    key: Arc<str>,
}

struct Entry {
    /// No two entries have the same, not even one after the other under the same key.
    id: u64,
    body: (u64, u64),
    answer: Answer,
}

enum Answer {
    UnderWay(watch::Receiver<Option<Arc<str>>>),
    Given(Arc<str>),
}

/// What there is for a request with a key.
enum Entered {
    /// Nothing: it is the first, and says its answer here.
    First { id: u64, report: watch::Sender<Option<Arc<str>>> },
    /// The first is under way.
    Wait(watch::Receiver<Option<Arc<str>>>),
    /// The first was answered.
    Answer(Arc<str>),
}

/// The key of a request, behind the name of its caller: the keys of one caller are none of another's,
/// who can't know them. `None` if it has none.
pub(crate) fn key(request: &Request) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(HEADER).into_iter();
    let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
    let visible = value.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte));
    if rest.is_none() && visible && (1..=MAX_KEY).contains(&value.len()) {
        let caller = request.extensions().get().and_then(Caller::name).unwrap_or_default();
        // The name of a caller has no blank, so the first one ends it.
        return Ok(value.to_str().ok().map(|key| format!("{caller} {key}")));
    }
    Err(Problem::new(
        400,
        "bad_idempotency_key",
        format!("Idempotency-Key must be one value of 1 to {MAX_KEY} visible ASCII characters"),
    ))
}

impl Answers {
    pub(crate) fn new(bounds: AnswerBounds) -> Self {
        let hashers = (RandomState::new(), RandomState::new());
        Self { kept: Arc::new(Mutex::new(Kept::new(bounds))), hashers }
    }

    /// Goes on with other bounds, for what is kept already too.
    pub(crate) fn set_bounds(&self, bounds: AnswerBounds) {
        let mut kept = lock(&self.kept);
        kept.bounds = bounds;
        kept.trim(Instant::now());
    }

    pub(crate) fn figures(&self) -> Figures {
        let mut kept = lock(&self.kept);
        kept.trim(Instant::now());
        Figures { answers: kept.given.len() as u64, bytes: kept.bytes, evicted: kept.evicted }
    }

    /// Does `work`; once, where there is a key. `body` is what a repetition must have, too.
    pub(crate) async fn answer(
        &self,
        key: Option<String>,
        body: &str,
        work: impl Future<Output = Result<String, Problem>> + Send + 'static,
    ) -> Result<String, Problem> {
        match key {
            Some(key) => self.once(key, body, work).await,
            None => work.await,
        }
    }

    /// Does `work` unless the key is known; then its answer is given again.
    ///
    /// The work goes on when the client has hung up, because a repetition must find its answer.
    /// Work that failed is forgotten: the next one with the key tries again.
    async fn once(
        &self,
        key: String,
        body: &str,
        work: impl Future<Output = Result<String, Problem>> + Send + 'static,
    ) -> Result<String, Problem> {
        let body = (self.hashers.0.hash_one(body), self.hashers.1.hash_one(body));
        let key: Arc<str> = key.into();
        let entered = lock(&self.kept).enter(&key, body, Instant::now())?;
        let (id, report) = match entered {
            Entered::First { id, report } => (id, report),
            Entered::Wait(first) => return wait(first).await,
            Entered::Answer(answer) => return Ok(answer.as_ref().to_owned()),
        };
        let kept = Arc::clone(&self.kept);
        let task = tokio::spawn(async move {
            let result = work.await;
            let answer = result.as_deref().ok().map(Arc::from);
            lock(&kept).finish(&key, id, answer.clone(), Instant::now());
            // Dropped without an answer, it tells those that wait that there is none.
            if answer.is_some() {
                report.send_replace(answer);
            }
            result
        });
        task.await.unwrap_or_else(|_| Err(unfinished()))
    }
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn wait(mut first: watch::Receiver<Option<Arc<str>>>) -> Result<String, Problem> {
    match first.wait_for(Option::is_some).await {
        Ok(answer) => answer.as_deref().map(str::to_owned).ok_or_else(unfinished),
        Err(_) => Err(unfinished()),
    }
}

fn unfinished() -> Problem {
    Problem::new(503, "not_done", "the first request with this Idempotency-Key failed: try again")
}

impl Kept {
    fn new(bounds: AnswerBounds) -> Self {
        Self {
            bounds,
            by_key: HashMap::new(),
            given: VecDeque::new(),
            bytes: 0,
            evicted: 0,
            next_id: 0,
        }
    }

    fn enter(
        &mut self,
        key: &Arc<str>,
        body: (u64, u64),
        now: Instant,
    ) -> Result<Entered, Problem> {
        self.trim(now);
        if let Some(entry) = self.by_key.get(key) {
            if entry.body != body {
                let message = "this Idempotency-Key was used with another address or another body";
                return Err(Problem::new(422, "idempotency_key_reused", message));
            }
            return Ok(match &entry.answer {
                Answer::UnderWay(first) => Entered::Wait(first.clone()),
                Answer::Given(answer) => Entered::Answer(Arc::clone(answer)),
            });
        }
        let id = self.next_id;
        self.next_id += 1;
        let (report, first) = watch::channel(None);
        let entry = Entry { id, body, answer: Answer::UnderWay(first) };
        self.by_key.insert(Arc::clone(key), entry);
        Ok(Entered::First { id, report })
    }

    /// The request of this entry was answered; `None`: it failed, and is forgotten.
    fn finish(&mut self, key: &Arc<str>, id: u64, answer: Option<Arc<str>>, now: Instant) {
        let Some(entry) = self.by_key.get_mut(key).filter(|entry| entry.id == id) else { return };
        match answer {
            Some(answer) => {
                self.bytes += cost(key, &answer);
                entry.answer = Answer::Given(answer);
                self.given.push_back(Given { at: now, id, key: Arc::clone(key) });
                self.trim(now);
            }
            None => drop(self.by_key.remove(key)),
        }
    }

    /// Lets go what is too old, then what is too much.
    fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.given.front() {
            let expired = now.saturating_duration_since(oldest.at) >= self.bounds.ttl;
            if !expired && self.bytes <= self.bounds.bytes {
                return;
            }
            let Some(Given { id, key, .. }) = self.given.pop_front() else { return };
            let Some(entry) = self.by_key.remove(&key) else { continue };
            debug_assert_eq!(entry.id, id, "an answer that was given stays under its key");
            if let Answer::Given(answer) = entry.answer {
                self.bytes -= cost(&key, &answer);
                self.evicted += u64::from(!expired);
            }
        }
    }
}

fn cost(key: &str, answer: &str) -> u64 {
    key.len() as u64 + answer.len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(600);
    /// Room for ten answers of one byte, under keys of three.
    const TEN: u64 = 10 * (OVERHEAD + 4);

    fn kept(bytes: u64) -> Kept {
        Kept::new(AnswerBounds { ttl: TTL, bytes })
    }

    /// What becomes of a request: the answer that it finds, or that it is the first with this id.
    fn enter(kept: &mut Kept, key: &str, body: u64, now: Instant) -> Result<Found, u16> {
        match kept.enter(&key.into(), (body, 0), now) {
            Ok(Entered::First { id, .. }) => Ok(Found::First(id)),
            Ok(Entered::Wait(_)) => Ok(Found::Wait),
            Ok(Entered::Answer(answer)) => Ok(Found::Answer(answer.as_ref().to_owned())),
            Err(problem) => Err(problem.status()),
        }
    }

    #[derive(Debug, PartialEq)]
    enum Found {
        First(u64),
        Wait,
        Answer(String),
    }

    fn first(kept: &mut Kept, key: &str, now: Instant) -> u64 {
        match enter(kept, key, 1, now) {
            Ok(Found::First(id)) => id,
            other => panic!("{key}: {other:?}"),
        }
    }

    fn finish(kept: &mut Kept, key: &str, id: u64, answer: &str, now: Instant) {
        kept.finish(&key.into(), id, Some(answer.into()), now);
    }

    #[test]
    fn an_answer_is_kept_for_its_time_from_when_it_was_given() {
        let mut kept = kept(TEN);
        let start = Instant::now();
        let id = first(&mut kept, "key", start);
        assert_eq!(enter(&mut kept, "key", 1, start + 2 * TTL), Ok(Found::Wait), "under way");
        let given = start + 2 * TTL;
        finish(&mut kept, "key", id, "a", given);
        let last = given + TTL - Duration::from_nanos(1);
        assert_eq!(enter(&mut kept, "key", 1, last), Ok(Found::Answer("a".to_owned())));
        assert_eq!(enter(&mut kept, "key", 2, last), Err(422));
        assert_eq!(enter(&mut kept, "key", 2, given + TTL), Ok(Found::First(1)));
        assert_eq!((kept.bytes, kept.given.len(), kept.evicted), (0, 0, 0));
        kept.finish(&"key".into(), 1, None, given + TTL);
        assert!(kept.by_key.is_empty(), "what failed is forgotten");
    }

    #[test]
    fn over_the_bytes_the_oldest_answer_goes_early_and_is_counted() {
        let mut kept = kept(TEN);
        let now = Instant::now();
        for number in 100..111 {
            let key = number.to_string();
            let id = first(&mut kept, &key, now);
            finish(&mut kept, &key, id, "a", now);
            assert!(kept.bytes <= TEN);
        }
        assert_eq!((kept.given.len(), kept.bytes, kept.evicted), (10, TEN, 1));
        assert_eq!(enter(&mut kept, "101", 1, now), Ok(Found::Answer("a".to_owned())));
        assert!(matches!(enter(&mut kept, "100", 1, now), Ok(Found::First(_))));
        // One that is larger than all the room pushes out the others, and itself.
        let id = first(&mut kept, "huge", now);
        finish(&mut kept, "huge", id, &"x".repeat(TEN as usize), now);
        assert_eq!((kept.given.len(), kept.bytes, kept.evicted), (0, 0, 12));
    }

    #[test]
    fn what_is_under_way_outlasts_any_number_of_newer_keys_and_gets_its_own_answer() {
        let mut kept = kept(TEN);
        let now = Instant::now();
        let slow = first(&mut kept, "key", now);
        for number in 0..10_000 {
            let key = format!("n{number}");
            let id = first(&mut kept, &key, now);
            finish(&mut kept, &key, id, "other", now);
        }
        assert_eq!(enter(&mut kept, "key", 1, now + 10 * TTL), Ok(Found::Wait));
        finish(&mut kept, "key", slow, "mine", now + 10 * TTL);
        let found = enter(&mut kept, "key", 1, now + 10 * TTL);
        assert_eq!(found, Ok(Found::Answer("mine".to_owned())));
        // An answer that comes for an entry that is no more changes nothing of its successor.
        let later = now + 11 * TTL;
        let next = first(&mut kept, "key", later);
        finish(&mut kept, "key", slow, "stale", later);
        assert_eq!(enter(&mut kept, "key", 1, later), Ok(Found::Wait));
        finish(&mut kept, "key", next, "fresh", later);
        assert_eq!(enter(&mut kept, "key", 1, later), Ok(Found::Answer("fresh".to_owned())));
    }

    #[test]
    fn work_is_done_once_and_failures_are_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let answers = Answers::new(AnswerBounds { ttl: TTL, bytes: 1 << 20 });
            let key = || "k".to_owned();
            let busy = || Problem::new(503, "busy", "");
            let failed = answers.once(key(), "b", async move { Err(busy()) }).await;
            assert_eq!(failed, Err(busy()));
            let first = answers.once(key(), "b", async { Ok("1".to_owned()) }).await;
            let again = answers.once(key(), "b", async { Ok("2".to_owned()) }).await;
            assert_eq!((first, again), (Ok("1".to_owned()), Ok("1".to_owned())));
            let other = answers.once(key(), "c", async { Ok("3".to_owned()) }).await;
            assert_eq!(other.unwrap_err().status(), 422);
            let figures = Figures { answers: 1, bytes: OVERHEAD + 2, evicted: 0 };
            assert_eq!(answers.figures(), figures);
        });
    }

    #[test]
    fn a_repetition_waits_for_the_first_that_is_under_way() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let answers = Arc::new(Answers::new(AnswerBounds { ttl: TTL, bytes: 1 << 20 }));
            for (outcome, expected) in [(Some("1"), Ok("1".to_owned())), (None, Err(503))] {
                let (go, wait) = tokio::sync::oneshot::channel::<Result<String, Problem>>();
                let key = format!("{outcome:?}");
                let first = tokio::spawn({
                    let (answers, key) = (Arc::clone(&answers), key.clone());
                    async move { answers.once(key, "b", async { wait.await.unwrap() }).await }
                });
                while !lock(&answers.kept).by_key.contains_key(&*key) {
                    tokio::task::yield_now().await;
                }
                let second = tokio::spawn({
                    let answers = Arc::clone(&answers);
                    async move { answers.once(key, "b", async { unreachable!() }).await }
                });
                // It gets its turns, and waits.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                assert!(!second.is_finished());
                let failed = || Problem::new(500, "failed", "");
                go.send(outcome.map(str::to_owned).ok_or_else(failed)).unwrap();
                assert_eq!(first.await.unwrap().map_err(|_| 503), expected);
                assert_eq!(second.await.unwrap().map_err(|problem| problem.status()), expected);
            }
        });
    }
}
