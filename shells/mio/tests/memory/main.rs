//! What peers can make the server hold: counted on the loop's thread, where all of it is allocated.
//!
//! What waits in the buffers of the kernel is none of it, and what clients allocate is counted on
//! their own threads.

#[path = "../common/mod.rs"]
mod common;
mod crowds;
mod messages;

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use headcount_harness::thread_memory::{ThreadAllocator, live_bytes};

#[global_allocator]
static ALLOCATOR: ThreadAllocator = ThreadAllocator;

const KIB: usize = 1024;

/// What one more admitted connection may cost that says nothing: its part of all tables, its user and
/// its session.
const CONNECTION: usize = 4 * KIB;

/// What the loop keeps at most for the frames of its next turns. It gives it back within a hundred turns.
const OUTPUT: usize = 256 * KIB;

thread_local! {
    /// Bytes that this thread has allocated for the loop to free.
    static PASSED: Cell<i64> = const { Cell::new(0) };
}

/// Calls through handles are allocated here and freed by the loop, which would seem to hold less.
fn asking<T>(ask: impl FnOnce() -> T) -> T {
    let before = live_bytes();
    let answer = ask();
    PASSED.set(PASSED.get() + live_bytes() - before);
    answer
}

/// What the loop's thread holds: to be compared with what it held at another time, as it did not
/// allocate all of it itself.
fn held(server: &TestServer) -> i64 {
    let passed = PASSED.get();
    passed + asking(|| server.handle.call(|_| live_bytes()).unwrap())
}

/// How much more it is now.
fn held_since(server: &TestServer, before: i64) -> usize {
    (held(server) - before).try_into().unwrap_or(0)
}

/// Waits until the loop holds as much more than before as it must if it has read everything that
/// can't be processed yet. Returns how much it is.
fn until_held(server: &TestServer, before: i64, least: usize) -> usize {
    let end = Instant::now() + PATIENCE;
    loop {
        let more = held_since(server, before);
        if more >= least {
            return more;
        }
        assert!(Instant::now() < end, "{more} of {least} bytes have come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The header of a frame of so many bytes, which follow or do not.
fn header(first: u8, bytes: u64) -> Vec<u8> {
    [&[first, 0x80 | 127], &bytes.to_be_bytes()[..], &[0; 4]].concat()
}

/// Everything that was sent before has been processed when this is answered.
fn processed(client: &mut Client) {
    client.send(&frame(PING, b"read?"));
    assert_eq!(client.frame(), (PONG, b"read?".to_vec()));
}
