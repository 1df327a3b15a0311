//! An allocator that counts.

// It is the only unsafe code here.
#![allow(unsafe_code, unreachable_pub)]

use core::cell::Cell;
use std::alloc::{GlobalAlloc, Layout, System};

/// Counts the bytes that the current thread holds, so that tests may run side by side.
struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn add(bytes: i64) {
    // A thread that ends frees after its counter has gone.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
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

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the current thread has allocated and not freed. What one thread passes to another is counted
/// where it was allocated, and missing where it is freed.
pub fn live_bytes() -> i64 {
    LIVE.with(Cell::get)
}
