//! Work that is done once for all who ask for it while it is under way.

use std::sync::{Mutex, PoisonError};

use headcount_protocol::problem::Problem;
use tokio::sync::watch;

/// The answer that is on its way, if one is.
pub(crate) struct SharedWork<T> {
    under_way: Mutex<Option<watch::Receiver<Option<T>>>>,
}

impl<T> Default for SharedWork<T> {
    fn default() -> Self {
        Self { under_way: Mutex::new(None) }
    }
}

impl<T: Clone + Send + Sync + 'static> SharedWork<T> {
    /// Does `work`, unless it is under way: then waits for that answer, which may be of an instant
    /// before this call.
    ///
    /// The work goes on when the client that began it has hung up, for others may wait for it.
    pub(crate) async fn ask(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut answer = self.join(work);
        let answer = answer.wait_for(Option::is_some).await;
        let answer = answer.ok().and_then(|answer| answer.clone());
        answer.ok_or_else(|| Problem::new(500, "failed", "the work was not finished"))
    }

    fn join(&self, work: impl Future<Output = T> + Send + 'static) -> watch::Receiver<Option<T>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // An error: its sender is gone, and with it the work.
        if let Some(answer) = under_way.as_ref().filter(|answer| answer.has_changed().is_ok()) {
            return answer.clone();
        }
        let (report, answer) = watch::channel(None);
        *under_way = Some(answer.clone());
        tokio::spawn(async move {
            let _ = report.send(Some(work.await));
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn all_who_ask_meanwhile_share_one_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shared = Arc::new(SharedWork::default());
            let (begun, go_on) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
            let ask = || {
                let (shared, begun, go_on) =
                    (Arc::clone(&shared), Arc::clone(&begun), Arc::clone(&go_on));
                tokio::spawn(async move {
                    let work = async move {
                        let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                        go_on.notified().await;
                        number
                    };
                    shared.ask(work).await
                })
            };
            let first: Vec<_> = (0..20).map(|_| ask()).collect();
            tokio::task::yield_now().await;
            // The one that began it hangs up.
            first[0].abort();
            tokio::task::yield_now().await;
            go_on.notify_one();
            for asked in first.into_iter().skip(1) {
                assert_eq!(asked.await.unwrap(), Ok(1));
            }
            let next = ask();
            go_on.notify_one();
            assert_eq!(next.await.unwrap(), Ok(2), "what is over is not shared");
        });
    }

    #[test]
    fn work_that_dies_is_told_and_done_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shared = SharedWork::default();
            let died = shared.ask(async { panic!("on purpose") }).await;
            assert_eq!(died.map(|(): ()| ()).unwrap_err().status(), 500);
            assert_eq!(shared.ask(async {}).await, Ok(()));
        });
    }
}
