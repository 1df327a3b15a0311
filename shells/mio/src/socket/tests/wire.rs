//! A wire that does as it is told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use crate::socket::Stream;

/// Both ends of a wire: what the peer has sent, and what it has received.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) input: VecDeque<u8>,
    /// The peer will send no more.
    pub(super) eof: bool,
    /// Bytes that one read gives at most; each is used once, then there is no limit. 0 blocks.
    pub(super) reads: VecDeque<usize>,
    pub(super) output: Vec<u8>,
    /// Bytes that the peer still has room for.
    pub(super) room: usize,
    /// Bytes that one write takes at most, as for reads. 0 is an interruption.
    pub(super) writes: VecDeque<usize>,
    /// What every call fails with from now on.
    pub(super) broken: Option<ErrorKind>,
    /// How often the socket was read, written or shut down.
    pub(super) calls: usize,
    /// Which of these calls fails, and how. What is no passing condition breaks the wire.
    pub(super) failure: Option<(usize, ErrorKind)>,
    pub(super) shut: bool,
    /// Whether it takes all that it is given, and keeps that for which the peer has no room.
    pub(super) keeps: bool,
    pub(super) kept: VecDeque<u8>,
}

/// Whether the same call may succeed another time.
fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

impl Wire {
    /// Every call begins here.
    fn call(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        if let Some((at, kind)) = self.failure
            && at == number
        {
            if !passes(kind) {
                self.broken = Some(kind);
            }
            return Err(kind.into());
        }
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Takes all, and sends as much as there is room for. Returns how much was taken, or, of nothing, whether
    /// something was sent.
    fn keep(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let before = self.kept.len();
        slices.iter().for_each(|slice| self.kept.extend(slice.iter()));
        let taken = self.kept.len() - before;
        let sent = self.room.min(self.kept.len());
        self.room -= sent;
        self.output.extend(self.kept.drain(..sent));
        if slices.is_empty() { sent } else { taken }
    }
}

#[derive(Clone)]
pub(super) struct Fake(pub(super) Rc<RefCell<Wire>>);

impl Stream for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        wire.call()?;
        match wire.reads.pop_front() {
            Some(0) if wire.input.len().is_multiple_of(2) => Err(ErrorKind::WouldBlock.into()),
            Some(0) => Err(ErrorKind::Interrupted.into()),
            limit => {
                let length = limit.unwrap_or(usize::MAX).min(buffer.len()).min(wire.input.len());
                if length == 0 && !wire.eof {
                    return Err(ErrorKind::WouldBlock.into());
                }
                for (place, byte) in buffer.iter_mut().zip(wire.input.drain(..length)) {
                    *place = byte;
                }
                Ok(length)
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        wire.call()?;
        assert!(!wire.shut, "nothing is written after the end");
        if wire.keeps {
            let taken = wire.keep(slices);
            return if slices.is_empty() && taken == 0 {
                Err(ErrorKind::WouldBlock.into())
            } else {
                Ok(taken)
            };
        }
        if wire.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let limit = match wire.writes.pop_front() {
            Some(0) => return Err(ErrorKind::Interrupted.into()),
            limit => limit.unwrap_or(usize::MAX),
        };
        let mut left = limit.min(wire.room);
        let before = wire.output.len();
        for slice in slices {
            let length = left.min(slice.len());
            wire.output.extend_from_slice(&slice[..length]);
            left -= length;
        }
        let length = wire.output.len() - before;
        wire.room -= length;
        Ok(length)
    }

    fn is_pending(&self) -> bool {
        !self.0.borrow().kept.is_empty()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut wire = self.0.borrow_mut();
        assert!(wire.kept.is_empty(), "what was taken is sent first");
        // It neither waits nor is interrupted.
        match wire.call() {
            Err(error) if !passes(error.kind()) => return Err(error),
            _ => wire.shut = true,
        }
        Ok(())
    }
}
