//! What a thread holds on the heap, counted to the byte.
//!
//! A test binary installs the allocator:
//!
//! ```
//! use headcount_harness::thread_memory::{ThreadAllocator, live_bytes};
//!
//! #[global_allocator]
//! static ALLOCATOR: ThreadAllocator = ThreadAllocator;
//!
//! let before = live_bytes();
//! let block = Box::new(7_u64);
//! assert_eq!(live_bytes() - before, 8);
//! # drop(block);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts the bytes that each thread holds, so that tests may run side by
/// side.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadAllocator;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn add(bytes: i64) {
    // A thread that ends frees after its counter has gone.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for ThreadAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size as i64 - layout.size() as i64);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What the current thread has allocated and not freed. What one thread passes to another is counted
/// where it was allocated, and missing where it is freed.
#[must_use]
pub fn live_bytes() -> i64 {
    LIVE.with(Cell::get)
}
