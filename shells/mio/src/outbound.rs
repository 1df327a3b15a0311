//! What waits to be written to a socket that did not take the frames of a turn as a whole, and how much of it
//! was taken.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

use bytes::Bytes;
use headcount::Ledger;

use crate::output::{Class, SLICES};
use crate::socket::Stream;

/// Vectored writes in a row to one socket, before others have their turn.
const WRITES: u32 = 4;

/// Pongs that wait. Answering the latest ping is enough, but a burst of a few is a peer's good right.
const PONGS: usize = 16;

/// A queue longer than this gives its memory back once it has run empty.
const KEPT_CAPACITY: usize = 16;

/// Whole frames in the order of the wire. The bytes are shared by all recipients.
#[derive(Default)]
pub(crate) struct Outbound {
    queue: VecDeque<Frame>,
    /// Bytes of the first frame that the kernel took.
    first_written: usize,
    /// What the frames are charged: nothing for what is no action.
    ledger: Ledger,
    /// Pongs in the queue: one less than `PONGS` at most.
    pongs: usize,
    /// The latest pong, if there are as many: it follows as soon as one of them is out.
    next_pong: Option<Bytes>,
}

struct Frame {
    bytes: Bytes,
    is_pong: bool,
}

/// How far a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing waits.
    All,
    /// The kernel takes no more: wait until the socket is writable.
    Blocked,
    /// It was this socket's share; write on after the others.
    Share,
}

impl Outbound {
    /// Queues a frame of a turn.
    pub(crate) fn push_frame(&mut self, (bytes, cost, class): (Bytes, u64, Class)) {
        match class {
            Class::Plain => self.push(bytes, cost),
            Class::Pong => self.push_pong(bytes),
            Class::Last => self.push_last(bytes, cost),
        }
    }

    /// Queues a frame, or any other bytes. Empty ones count as written when their turn comes.
    pub(crate) fn push(&mut self, bytes: Bytes, cost: u64) {
        self.ledger.queued(bytes.len(), cost);
        self.queue.push_back(Frame { bytes, is_pong: false });
    }

    /// Queues the last bytes that will ever be pushed: no pong comes behind them.
    pub(crate) fn push_last(&mut self, bytes: Bytes, cost: u64) {
        self.queue_next_pong();
        self.push(bytes, cost);
    }

    /// Queues a pong, or has it follow those that wait if they are too many, in place of another that does:
    /// a peer that pings and does not read can't make the queue grow.
    pub(crate) fn push_pong(&mut self, bytes: Bytes) {
        self.next_pong = Some(bytes);
        if self.pongs < PONGS - 1 {
            self.queue_next_pong();
        }
    }

    fn queue_next_pong(&mut self) {
        if let Some(bytes) = self.next_pong.take() {
            self.pongs += 1;
            self.ledger.queued(bytes.len(), 0);
            self.queue.push_back(Frame { bytes, is_pong: true });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The cost of all that the kernel took of this queue, in proportion for the frame that it took in part:
    /// never less than before, and the exact sum when nothing waits.
    pub(crate) fn flushed_cost(&self) -> u64 {
        self.ledger.total()
    }

    /// Writes until nothing waits, the kernel takes no more, or this socket had its share: so many
    /// bytes, from which what was written is taken, and `WRITES` calls.
    ///
    /// # Errors
    /// The socket is broken; interruptions are not errors.
    pub(crate) fn write(
        &mut self,
        stream: &mut impl Stream,
        bytes: &mut usize,
    ) -> io::Result<Written> {
        for _ in 0..WRITES {
            self.take_written(0);
            if self.queue.is_empty() {
                return Ok(Written::All);
            }
            if *bytes == 0 {
                return Ok(Written::Share);
            }
            match self.write_once(stream, *bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.take_written(written);
                    *bytes = bytes.saturating_sub(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(if self.queue.is_empty() { Written::All } else { Written::Share })
    }

    fn write_once(&self, stream: &mut impl Stream, bytes: usize) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut count, mut left) = (0, bytes);
        for (slice, frame) in slices.iter_mut().zip(&self.queue) {
            let skip = if count == 0 { self.first_written } else { 0 };
            let rest = &frame.bytes[skip..];
            let part = &rest[..rest.len().min(left)];
            *slice = IoSlice::new(part);
            count += 1;
            left -= part.len();
            if left == 0 {
                break;
            }
        }
        stream.write(&slices[..count])
    }

    /// Takes what was written off the queue, and the empty frames that follow.
    pub(crate) fn take_written(&mut self, written: usize) {
        self.ledger.took(written);
        let mut reached = self.first_written + written;
        while let Some(first) = self.queue.front()
            && reached >= first.bytes.len()
        {
            reached -= first.bytes.len();
            let is_pong = first.is_pong;
            self.queue.pop_front();
            if is_pong {
                self.pongs -= 1;
                self.queue_next_pong();
            }
        }
        self.first_written = reached;
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes as many bytes as the plan says, one entry per write; `None` blocks, and so does the
    /// end of the plan.
    struct Kernel {
        wire: Vec<u8>,
        plan: VecDeque<Option<usize>>,
        most_slices: usize,
    }

    impl Stream for Kernel {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }

        fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.most_slices = self.most_slices.max(slices.len());
            match self.plan.pop_front() {
                None | Some(None) => Err(ErrorKind::WouldBlock.into()),
                Some(Some(0)) => Err(ErrorKind::Interrupted.into()),
                Some(Some(limit)) => {
                    let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                    let taken = limit.min(all.len());
                    self.wire.extend_from_slice(&all[..taken]);
                    Ok(taken)
                }
            }
        }

        fn is_pending(&self) -> bool {
            false
        }

        fn shutdown_write(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn the_wire_is_the_concatenation_of_whole_frames(
            frames in prop::collection::vec((0usize..40, 0u64..1000), 0..200),
            plan in prop::collection::vec(prop::option::of(0usize..60), 0..400),
        ) {
            let mut outbound = Outbound::default();
            let mut kernel = Kernel { wire: Vec::new(), plan: plan.into(), most_slices: 0 };
            let mut expected = Vec::new();
            let mut costs = 0;
            let mut reported = 0;
            for (number, (length, cost)) in frames.into_iter().enumerate() {
                let bytes = vec![number as u8; length];
                expected.extend_from_slice(&bytes);
                costs += cost;
                outbound.push(bytes.into(), cost);
                if number % 3 == 0 {
                    let _ = outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap();
                    let flushed = outbound.flushed_cost();
                    prop_assert!(reported <= flushed && flushed <= costs);
                    reported = flushed;
                    prop_assert!(expected.starts_with(&kernel.wire));
                }
            }
            while !outbound.is_empty() {
                kernel.plan.push_back(Some(50));
                let _ = outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap();
                let flushed = outbound.flushed_cost();
                prop_assert!(reported <= flushed && flushed <= costs);
                reported = flushed;
            }
            prop_assert_eq!(kernel.wire, expected);
            prop_assert_eq!(outbound.flushed_cost(), costs);
            prop_assert!(kernel.most_slices <= SLICES);
        }
    }

    fn kernel(plan: impl IntoIterator<Item = Option<usize>>) -> Kernel {
        Kernel { wire: Vec::new(), plan: plan.into_iter().collect(), most_slices: 0 }
    }

    #[test]
    fn cost_is_counted_in_proportion() {
        let mut outbound = Outbound::default();
        outbound.push(Bytes::from_static(b"0123456789"), 100);
        outbound.push(Bytes::from_static(b"x"), 1 << 40);
        let mut kernel = kernel([Some(3), Some(6), None]);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::Blocked);
        assert_eq!(outbound.flushed_cost(), 90);
        kernel.plan.push_back(Some(1));
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::Blocked);
        assert_eq!(outbound.flushed_cost(), 100);
        kernel.plan.push_back(Some(1));
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::All);
        assert_eq!(outbound.flushed_cost(), 100 + (1 << 40));
    }

    #[test]
    fn one_writev_takes_what_a_turn_has_queued() {
        let mut outbound = Outbound::default();
        for _ in 0..8 {
            outbound.push(Bytes::from_static(b"frame"), 1);
        }
        let mut kernel = kernel([Some(usize::MAX)]);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::All);
        assert_eq!(kernel.most_slices, 8);
    }

    #[test]
    fn a_long_queue_is_written_in_shares() {
        let mut outbound = Outbound::default();
        let frames = SLICES * WRITES as usize + 1;
        for _ in 0..frames {
            outbound.push(Bytes::from_static(b"f"), 1);
        }
        let mut kernel = kernel([Some(usize::MAX); 8]);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::Share);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::All);
        assert_eq!(outbound.flushed_cost(), frames as u64);
        assert!(outbound.queue.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn only_so_many_pongs_wait_and_the_latest_is_among_them() {
        let mut outbound = Outbound::default();
        let mut kernel = kernel([Some(1), None]);
        outbound.push_pong(Bytes::from_static(b"first"));
        outbound.push(Bytes::from_static(b"data"), 1);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::Blocked);
        for n in 0..1_000u16 {
            outbound.push_pong(n.to_be_bytes().to_vec().into());
        }
        assert_eq!((outbound.queue.len(), outbound.pongs), (PONGS, PONGS - 1));
        kernel.plan.extend([Some(usize::MAX); 2]);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::All);
        let earlier: Vec<u8> = (0..PONGS as u16 - 2).flat_map(u16::to_be_bytes).collect();
        assert_eq!(kernel.wire, [b"firstdata", &earlier[..], &999u16.to_be_bytes()].concat());
        assert_eq!((outbound.pongs, outbound.flushed_cost()), (0, 1));
        outbound.push_pong(Bytes::from_static(b"again"));
        assert_eq!(outbound.queue.len(), 1);
    }

    #[test]
    fn nothing_comes_behind_the_last_bytes() {
        let mut outbound = Outbound::default();
        for n in 0..100 {
            outbound.push_pong(vec![n].into());
        }
        outbound.push_last(Bytes::from_static(b"end"), 1);
        let mut kernel = kernel([Some(usize::MAX); 2]);
        assert_eq!(outbound.write(&mut kernel, &mut usize::MAX.clone()).unwrap(), Written::All);
        assert!(kernel.wire.ends_with(b"\x0d\x0e\x63end"), "the latest pong is before them");
    }

    #[test]
    fn a_broken_socket_is_an_error() {
        struct Broken;
        impl Stream for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn write(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn is_pending(&self) -> bool {
                false
            }
            fn shutdown_write(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut outbound = Outbound::default();
        assert_eq!(
            outbound.write(&mut Broken, &mut usize::MAX.clone()).unwrap(),
            Written::All,
            "nothing to write"
        );
        outbound.push(Bytes::from_static(b"x"), 1);
        assert!(outbound.write(&mut Broken, &mut usize::MAX.clone()).is_err());
        assert_eq!(outbound.flushed_cost(), 0);
    }
}
