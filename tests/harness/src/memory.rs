//! What a registry holds on the heap, counted to the byte, and held to the bound that its
//! configuration promises.
//!
//! A test binary installs the allocator:
//!
//! ```
//! use headcount_harness::memory::CountingAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//! # assert!(headcount_harness::memory::counts());
//! ```
//!
//! From then on a [`World`](crate::world::World) compares, after every call, what its registry holds
//! with [`Config::memory_bound`]. In a binary without it nothing is counted, and the comparison says
//! nothing.
//!
//! Counted is what was allocated while a call to the registry was under way, payloads that were made
//! for it included, until it is freed, whoever frees it: each allocation carries a mark. What model
//! and harness keep is made outside of such calls. Names of rooms are shared with the harness and not
//! counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Deref;

use headcount::{Config, Registry};

use super::{Check, ensure};

/// The mark of what belongs to a registry.
const OWNED: usize = 1;

thread_local! {
    /// Whether a call to a registry is under way.
    static CALLED: Cell<bool> = const { Cell::new(false) };
    /// The bytes that the registries of this thread hold.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread what its registries hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

/// The block around an allocation: a mark before it, as far away as its alignment asks for.
fn around(layout: Layout) -> Option<(Layout, usize)> {
    let align = layout.align().max(align_of::<usize>());
    let whole = Layout::from_size_align(layout.size().checked_add(align)?, align).ok()?;
    Some((whole, align))
}

fn count(bytes: i64) {
    HELD.with(|held| held.set(held.get() + bytes));
}

// SAFETY: every block is the system's, longer by its alignment than what was asked for, and what is
// given out begins that far behind its start: it is as long and as aligned as was asked for. The mark
// is the word before it, which is within the block, for the alignment is at least that of a word.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((whole, offset)) = around(layout) else {
            return std::ptr::null_mut();
        };
        unsafe {
            let block = System.alloc(whole);
            if block.is_null() {
                return block;
            }
            let owned = CALLED.with(Cell::get);
            if owned {
                count(layout.size() as i64);
            }
            let given = block.add(offset);
            given.cast::<usize>().sub(1).write(if owned { OWNED } else { 0 });
            given
        }
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        let Some((whole, offset)) = around(layout) else { return };
        unsafe {
            if given.cast::<usize>().sub(1).read() == OWNED {
                count(-(layout.size() as i64));
            }
            System.dealloc(given.sub(offset), whole);
        }
    }
}

/// Whether this binary has installed the allocator.
#[must_use]
pub fn counts() -> bool {
    let before = HELD.with(Cell::get);
    let probe = called(|| std::hint::black_box(Box::new(0_u8)));
    let counted = HELD.with(Cell::get) > before;
    drop(probe);
    counted
}

/// Runs a call to a registry: what it allocates is the registry's.
fn called<R>(call: impl FnOnce() -> R) -> R {
    /// Also when the call panics: what comes after is not the registry's.
    struct Under;
    impl Drop for Under {
        fn drop(&mut self) {
            CALLED.with(|called| called.set(false));
        }
    }
    CALLED.with(|called| called.set(true));
    let _under = Under;
    call()
}

/// A registry all calls of which are counted. Looking at it is no call. Of a clone nothing can be
/// said: payloads are shared, and what it copies is nobody's. A binary that makes clones does without
/// the allocator.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    registry: Registry,
    /// What other registries of this thread held before this one. They must rest while it lives.
    others: i64,
    /// The length of the longest payload that it was given.
    longest: u64,
    /// The bound for that, of the configuration that promises the most so far: what was allowed once
    /// may stay for as long as anything is there.
    bound: u64,
    /// The most that it held when it was looked at.
    most: u64,
}

impl Watched {
    /// Watches the registry that this makes.
    pub(crate) fn new(make: impl FnOnce() -> Registry) -> Self {
        let others = HELD.with(Cell::get);
        let registry = called(make);
        let bound = registry.config().memory_bound(0);
        Self { registry, others, longest: 0, bound, most: 0 }
    }

    /// The one way to change the registry.
    pub(crate) fn call<'a, R>(&'a mut self, call: impl FnOnce(&'a mut Registry) -> R) -> R {
        called(|| call(&mut self.registry))
    }

    /// Puts the registry that its snapshot holds in its place.
    pub(crate) fn restore(&mut self) -> Check {
        let snapshot = self.registry.snapshot();
        let restored = called(|| Registry::restore(&snapshot));
        let mut restored = restored.map_err(|error| format!("its snapshot: {error}"))?;
        let fingerprints = (self.registry.fingerprint(), restored.fingerprint());
        ensure!(fingerprints.0 == fingerprints.1, "its snapshot holds another state");
        ensure!(restored.snapshot() == snapshot, "its snapshot has another snapshot");
        ensure!(restored.stats() == self.registry.stats(), "its snapshot has other figures");
        restored.set_tap(self.registry.set_tap(None));
        self.registry = restored;
        Ok(())
    }

    /// A payload of so many bytes is about to be handed in.
    pub(crate) fn expect_payload(&mut self, bytes: usize) {
        if bytes as u64 > self.longest {
            self.longest = bytes as u64;
            self.expect_config(&self.registry.config().clone());
        }
    }

    /// A configuration is about to hold.
    pub(crate) fn expect_config(&mut self, config: &Config) {
        self.bound = self.bound.max(config.memory_bound(self.longest));
    }

    /// The most that it held when [`check_memory`](Self::check_memory) looked.
    pub(crate) const fn most_held(&self) -> u64 {
        self.most
    }

    pub(crate) fn check_memory(&mut self) -> Check {
        let held = HELD.with(Cell::get) - self.others;
        let within = u64::try_from(held).is_ok_and(|held| held <= self.bound);
        ensure!(within, "{held} bytes are held, {} at most", self.bound);
        self.most = self.most.max(held as u64);
        Ok(())
    }

    /// Drops it; nothing may be left.
    pub(crate) fn give_back(self) -> Check {
        let others = self.others;
        drop(self.registry);
        let left = HELD.with(Cell::get) - others;
        ensure!(left == 0, "{left} bytes are left of a registry that was dropped");
        Ok(())
    }
}

impl Deref for Watched {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}
