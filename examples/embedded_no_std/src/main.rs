//! The same on the host, without std: `cargo run --manifest-path examples/embedded_no_std/Cargo.toml`.
//! The allocator gives out a static block and takes nothing back, as a first one on a device may.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use embedded_no_std::{Counts, run};

const BYTES: usize = 256 * 1024;

#[repr(align(64))]
struct Block {
    bytes: UnsafeCell<[u8; BYTES]>,
    used: AtomicUsize,
}

// Safety: each byte is given out once, by an atomic count.
unsafe impl Sync for Block {}

// Safety: what it returns is within the block, aligned up to 64, and not given out before.
unsafe impl GlobalAlloc for Block {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size().next_multiple_of(64);
        let from = self.used.fetch_add(size, Ordering::Relaxed);
        if layout.align() > 64 || from + size > BYTES {
            return core::ptr::null_mut();
        }
        // Safety: `from` is within the block.
        unsafe { self.bytes.get().cast::<u8>().add(from) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static BLOCK: Block = Block { bytes: UnsafeCell::new([0; BYTES]), used: AtomicUsize::new(0) };

unsafe extern "C" {
    fn puts(text: *const c_char) -> c_int;
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // Safety: it takes nothing.
    unsafe { abort() }
}

/// `alloc` was built to unwind and names it. Panics abort here, so nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The C library calls it.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    let mut millis = 0;
    let counts = run(|| {
        millis += 1;
        millis
    });
    let expected = Counts { opened: 2, handed_out: 2, cleaned_up: 2 };
    if counts != Ok(expected) {
        return 1;
    }
    // Safety: the text ends with a zero.
    unsafe { puts(c"opened 2, handed out 2, cleaned up 2".as_ptr()) };
    0
}
