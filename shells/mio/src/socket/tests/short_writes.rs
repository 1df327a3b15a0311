//! A kernel that takes less than it is offered: what is on the wire, and what is reported.

use super::*;

/// What is queued for a peer: its lengths and costs in the order of the wire, after the answer 101.
struct Queue {
    lengths: Vec<usize>,
    costs: Vec<u64>,
}

impl Queue {
    /// What must be reported when so many bytes are on the wire: whole costs of whole frames, and
    /// of the next one its share.
    fn reported(&self, mut bytes: usize) -> u64 {
        let mut reported = 0;
        for (length, cost) in self.lengths.iter().zip(&self.costs) {
            if bytes < *length {
                return reported + cost * bytes as u64 / *length as u64;
            }
            bytes -= length;
            reported += cost;
        }
        assert_eq!(bytes, 0, "there is nothing more");
        reported
    }
}

/// A peer that has no room yet for the answer to its request, messages of these sizes, and a close
/// frame.
fn blocked(sizes: &[usize]) -> (Rig, ConnId, Fake, Queue) {
    let mut rig = Rig::new(config().send_window(1 << 20));
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().room = 0;
    fake.0.borrow_mut().input.extend(UPGRADE);
    rig.settle(conn);
    let mut queue = Queue { lengths: vec![129], costs: vec![0] };
    for size in sizes {
        let message = Message::binary(vec![*size as u8; *size]);
        queue.costs.push(message.cost());
        queue
            .lengths
            .push(size + [2, 4, 10][usize::from(*size > 125) + usize::from(*size > 65535)]);
        assert!(!rig.registry.send(rig.now, Target::Conn(conn), message).full);
    }
    rig.registry.close(rig.now, Target::Conn(conn), CloseReason::Application);
    queue.lengths.push(2 + 2 + "application".len());
    queue.costs.push(64);
    rig.settle(conn);
    assert_eq!(fake.0.borrow().output, b"");
    (rig, conn, fake, queue)
}

/// The kernel takes so many bytes with each write, and after that all that there is.
fn write_out(sizes: &[usize], writes: impl IntoIterator<Item = usize>) {
    let (mut rig, conn, fake, queue) = blocked(sizes);
    fake.0.borrow_mut().writes.extend(writes);
    fake.0.borrow_mut().room = usize::MAX;
    let total = queue.lengths.iter().sum();
    let mut written = 0;
    while written < total {
        rig.stir(conn);
        rig.turn();
        written = fake.0.borrow().output.len();
        assert_eq!(rig.flushed_and_load(conn).0, queue.reported(written), "after {written} bytes");
    }
    let all = queue.costs.iter().sum();
    assert_eq!((rig.flushed_and_load(conn).0, written), (all, total));
    let wire = fake.0.borrow();
    let mut frames = frames_of(&wire.output);
    assert_eq!(frames.pop(), Some((0x88, b"\x11\x97application".to_vec())));
    for (frame, size) in frames.iter().zip(sizes) {
        assert_eq!(*frame, (0x82, vec![*size as u8; *size]));
    }
    assert_eq!(frames.len(), sizes.len());
    assert_eq!(rig.registry.check(), Ok(()));
}

/// Lengths that are told in seven bits and in sixteen.
const SHORT: [usize; 6] = [0, 1, 125, 126, 0, 300];

/// One of sixteen bits at most and one of more.
const LONG: [usize; 3] = [65_535, 3, 65_536];

#[test]
fn a_first_write_may_be_cut_anywhere() {
    let total = blocked(&SHORT).3.lengths.iter().sum();
    for cut in 1..=total {
        write_out(&SHORT, [cut, 1, 1, 2]);
    }
    let total: usize = blocked(&LONG).3.lengths.iter().sum();
    let mut edge = 0;
    for length in blocked(&LONG).3.lengths {
        for cut in edge..(edge + 15).min(total) {
            write_out(&LONG, [cut, 1, 70_000]);
        }
        edge += length;
    }
    for cut in (1..total).step_by(4_999) {
        write_out(&LONG, [cut, 7]);
    }
}

#[test]
fn a_kernel_may_take_byte_after_byte() {
    write_out(&SHORT, vec![1; 1_000]);
    write_out(&[125, 126, 65_535, 65_536], vec![1; 150_000]);
}

#[test]
fn an_answer_in_http_may_be_cut_anywhere() {
    let answer = |writes: &[usize]| {
        let mut rig = Rig::new(config());
        let (conn, fake) = rig.accept();
        fake.0.borrow_mut().input.extend(b"GET / HTTP/1.1\r\n\r\n");
        fake.0.borrow_mut().writes.extend(writes);
        rig.settle(conn);
        assert!(fake.0.borrow().shut);
        fake.0.borrow().output.clone()
    };
    let whole = answer(&[]);
    assert!(whole.starts_with(b"HTTP/1.1 404 ") && whole.ends_with(b"\"}}"));
    for cut in 1..whole.len() {
        assert_eq!(answer(&[cut, 1]), whole);
    }
    assert_eq!(answer(&vec![1; whole.len()]), whole);
}

proptest! {
    #[test]
    fn what_is_reported_is_what_was_taken(
        sizes in prop::collection::vec(0usize..400, 0..100),
        writes in prop::collection::vec(0usize..500, 0..200),
    ) {
        write_out(&sizes, writes);
    }
}
