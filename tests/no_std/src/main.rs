//! A program without std that uses the core. See `Cargo.toml` for what it proves.
#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

use headcount::{Config, Registry, Timestamp};

struct NoMemory;

// Safety: it never returns memory, which an allocator may do.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _memory: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut registry = Registry::new(Config::new(1));
    registry.tick(Timestamp::ZERO);
    let _ = registry.reserve(Timestamp::ZERO, None);
    while registry.poll_action().is_some() {}
    loop {}
}
