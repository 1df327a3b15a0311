//! `Idempotency-Key`: a publish, or an event of a run, that is repeated because its answer was lost is not sent twice.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use tokio::sync::watch;

use crate::problem::Problem;

/// How long an answer is kept.
const TTL: Duration = Duration::from_secs(600);
/// How many answers are kept; beyond that the oldest goes early. With the longest keys and answers
/// that is some 10 MiB.
const CAPACITY: usize = 4_096;
/// The longest key, in bytes.
const MAX_KEY: usize = 255;
const HEADER: &str = "idempotency-key";

/// The answers to publishes with a key.
#[derive(Default)]
pub(super) struct Answers {
    kept: Arc<Mutex<Kept>>,
    /// Two keyed hashes of 64 bits together: bodies are compared without being kept.
    hashers: (RandomState, RandomState),
}

#[derive(Default)]
struct Kept {
    by_key: HashMap<String, Entry>,
    /// The same keys with the instants they came in, the oldest first.
    order: VecDeque<(Instant, String)>,
}

struct Entry {
    body: (u64, u64),
    /// `None` while the first request with this key is still at it.
    answer: watch::Receiver<Option<String>>,
}

/// The key of a request; `None` if it has none.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).into_iter();
    let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
    let visible = value.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte));
    if rest.is_none() && visible && (1..=MAX_KEY).contains(&value.len()) {
        return Ok(value.to_str().ok().map(str::to_owned));
    }
    Err(Problem::new(
        400,
        "bad_idempotency_key",
        format!("Idempotency-Key must be one value of 1 to {MAX_KEY} visible ASCII characters"),
    ))
}

impl Answers {
    /// Does `work`; once, where there is a key. `body` is what a repetition must have, too.
    pub(super) async fn answer(
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
        let (report, answer) = watch::channel(None);
        let earlier = self.lock().enter(&key, body, answer, Instant::now())?;
        if let Some(earlier) = earlier {
            return wait(earlier).await;
        }
        let kept = Arc::clone(&self.kept);
        let task = tokio::spawn(async move {
            let result = work.await;
            match &result {
                Ok(answer) => drop(report.send(Some(answer.clone()))),
                Err(_) => kept.lock().unwrap_or_else(PoisonError::into_inner).forget(&key),
            }
            result
        });
        task.await.unwrap_or_else(|_| Err(unfinished()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn wait(mut earlier: watch::Receiver<Option<String>>) -> Result<String, Problem> {
    match earlier.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().ok_or_else(unfinished),
        Err(_) => Err(unfinished()),
    }
}

fn unfinished() -> Problem {
    Problem::new(503, "not_done", "the first request with this Idempotency-Key failed: try again")
}

impl Kept {
    /// Takes a new key (`None`), or finds the entry of one that is known.
    fn enter(
        &mut self,
        key: &str,
        body: (u64, u64),
        answer: watch::Receiver<Option<String>>,
        now: Instant,
    ) -> Result<Option<watch::Receiver<Option<String>>>, Problem> {
        while let Some((since, _)) = self.order.front() {
            if now.duration_since(*since) < TTL && self.order.len() < CAPACITY {
                break;
            }
            if let Some((_, oldest)) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
        match self.by_key.get(key) {
            Some(entry) if entry.body == body => Ok(Some(entry.answer.clone())),
            Some(_) => Err(Problem::new(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key was used with another body",
            )),
            None => {
                self.by_key.insert(key.to_owned(), Entry { body, answer });
                self.order.push_back((now, key.to_owned()));
                Ok(None)
            }
        }
    }

    fn forget(&mut self, key: &str) {
        if self.by_key.remove(key).is_some() {
            self.order.retain(|(_, kept)| kept != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(kept: &mut Kept, key: &str, body: u64, now: Instant) -> Result<bool, u16> {
        let (_, answer) = watch::channel(None);
        kept.enter(key, (body, 0), answer, now)
            .map(|earlier| earlier.is_some())
            .map_err(|problem| problem.status())
    }

    #[test]
    fn known_keys_expire_and_are_bounded() {
        let mut kept = Kept::default();
        let start = Instant::now();
        assert_eq!(enter(&mut kept, "a", 1, start), Ok(false));
        assert_eq!(enter(&mut kept, "a", 1, start), Ok(true));
        assert_eq!(enter(&mut kept, "a", 2, start), Err(422));
        assert_eq!(enter(&mut kept, "a", 2, start + TTL), Ok(false), "expired");
        kept.forget("a");
        assert!(kept.by_key.is_empty() && kept.order.is_empty());
        for number in 0..3 * CAPACITY {
            assert_eq!(enter(&mut kept, &number.to_string(), 1, start + TTL), Ok(false));
        }
        assert!(kept.by_key.len() <= CAPACITY && kept.by_key.len() == kept.order.len());
        assert_eq!(enter(&mut kept, "0", 1, start + TTL), Ok(false), "the oldest went early");
    }

    #[test]
    fn work_is_done_once_and_failures_are_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let answers = Answers::default();
            let key = || "k".to_owned();
            let busy = || Problem::new(503, "busy", "");
            let failed = answers.once(key(), "b", async move { Err(busy()) }).await;
            assert_eq!(failed, Err(busy()));
            let first = answers.once(key(), "b", async { Ok("1".to_owned()) }).await;
            let again = answers.once(key(), "b", async { Ok("2".to_owned()) }).await;
            assert_eq!((first, again), (Ok("1".to_owned()), Ok("1".to_owned())));
            let other = answers.once(key(), "c", async { Ok("3".to_owned()) }).await;
            assert_eq!(other.unwrap_err().status(), 422);
        });
    }
}
