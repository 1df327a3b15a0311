//! Whose deadlines there are.

use crate::conn::ConnKey;
use crate::run::RunKey;
use crate::session::SessionKey;
use crate::store::{MAX_SLOTS, Packed, SlotKey};
use crate::stream::StreamKey;

/// What a deadline is about. Deadlines of one millisecond act in this order, and those of one kind in
/// the order of the slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// A connection's first deadline: a ping, a suspicion, a close or the end of a handshake.
    Conn(ConnKey),
    /// When a session has lingered.
    Session(SessionKey),
    /// When a run has been silent, or open, for too long.
    Run(RunKey),
    /// When the oldest entry of a log is too old.
    Stream(StreamKey),
}

impl Packed for Timer {
    fn pack(self) -> u32 {
        let (kind, slot) = match self {
            Self::Conn(conn) => (0, conn.slot()),
            Self::Session(session) => (1, session.slot()),
            Self::Run(run) => (2, run.slot()),
            Self::Stream(stream) => (3, stream.slot()),
        };
        (kind * MAX_SLOTS + slot) as u32
    }

    fn unpack(bits: u32) -> Self {
        let slot = bits as usize % MAX_SLOTS;
        match bits as usize / MAX_SLOTS {
            0 => Self::Conn(ConnKey::of_slot(slot)),
            1 => Self::Session(SessionKey::of_slot(slot)),
            2 => Self::Run(RunKey::of_slot(slot)),
            _ => Self::Stream(StreamKey::of_slot(slot)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_packed_is_the_same_when_unpacked() {
        for slot in [0, 1, MAX_SLOTS - 3] {
            let timers = [
                Timer::Conn(ConnKey::of_slot(slot)),
                Timer::Session(SessionKey::of_slot(slot)),
                Timer::Run(RunKey::of_slot(slot)),
                Timer::Stream(StreamKey::of_slot(slot)),
            ];
            assert!(timers.is_sorted_by_key(|timer| timer.pack()));
            for timer in timers {
                assert_eq!(Timer::unpack(timer.pack()), timer);
            }
        }
    }
}
