//! Names as long as those that applications have: a UUID each.

use headcount::{Principal, RoomId, ThreadId, UserId};

/// As good as random in its first bytes.
fn name(number: usize) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", (number as u32).wrapping_mul(0x9E37_79B9))
}

pub(crate) fn user(number: usize) -> UserId {
    UserId::new(name(number)).unwrap()
}

pub(crate) fn thread(number: usize) -> ThreadId {
    ThreadId::new(name(number)).unwrap()
}

pub(crate) fn room(number: usize) -> RoomId {
    RoomId::new(name(number)).unwrap()
}

pub(crate) fn who(user_number: usize, thread_number: usize) -> Principal {
    Principal::new(user(user_number)).with_thread(thread(thread_number))
}

/// One of so many, scattered: the next is nowhere near the one before.
pub(crate) const fn scattered(number: usize, of: usize) -> usize {
    // A prime that divides no number of anything here.
    number * 618_041 % of
}
