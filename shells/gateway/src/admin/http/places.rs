//! The places for connections of the admin port: which connection gives way to a newcomer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::server::Bounds;

/// The place of one connection, as the others see it.
pub(super) struct Place {
    pub(super) since: Instant,
    /// Beside the usual ones: for one probe.
    pub(super) probe: bool,
    /// When the last byte came or went, in milliseconds after `since`.
    moved: AtomicU64,
    /// When bytes of an answer began to wait for a client that takes none, likewise and plus one;
    /// 0 while none do.
    pub(super) blocked: AtomicU64,
    /// Requests that are being answered: 0 or 1.
    answering: AtomicU32,
    /// Told when another connection needs its place.
    pub(super) gives_way: Notify,
}

impl Place {
    pub(super) fn new(probe: bool) -> Self {
        Self {
            since: Instant::now(),
            probe,
            moved: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            answering: AtomicU32::new(0),
            gives_way: Notify::new(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn note_moved(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// How long no byte has come or gone.
    pub(super) fn silence(&self) -> u64 {
        self.now().saturating_sub(self.moved.load(Ordering::Relaxed))
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }

    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        match self.blocked.load(Ordering::Relaxed) {
            0 => false,
            since => u128::from(self.now().saturating_sub(since - 1)) >= limit.as_millis(),
        }
    }
}

/// A request that is being answered.
pub(super) struct Answering<'a>(&'a Place);

impl<'a> Answering<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        place.answering.fetch_add(1, Ordering::Relaxed);
        Self(place)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections that hold a place.
#[derive(Default)]
pub(super) struct Places(Mutex<Vec<Arc<Place>>>);

impl Places {
    /// A place for a newcomer. When all are taken the one that has been idle longest gives way;
    /// when none is idle the newcomer gets one for a probe, of which the oldest gives way in turn.
    pub(super) fn take(&self, bounds: &Bounds) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idlest = |probe: bool, places: &[Arc<Place>]| {
            let of_kind = places.iter().enumerate().filter(|(_, place)| place.probe == probe);
            let idle = of_kind.filter(|(_, place)| probe || !place.is_answering());
            idle.max_by_key(|(_, place)| place.silence()).map(|(index, _)| index)
        };
        let probes = places.iter().filter(|place| place.probe).count();
        let is_full = places.len() - probes >= bounds.connections;
        let gives_way = if is_full { idlest(false, &places) } else { None };
        let probe = is_full && gives_way.is_none();
        let gives_way =
            if probe && probes >= bounds.probes { idlest(true, &places) } else { gives_way };
        if let Some(index) = gives_way {
            places.swap_remove(index).gives_way.notify_one();
        }
        let place = Arc::new(Place::new(probe));
        places.push(Arc::clone(&place));
        place
    }

    pub(super) fn leave(&self, place: &Arc<Place>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|other| !Arc::ptr_eq(other, place));
    }
}
