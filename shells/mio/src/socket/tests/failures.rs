//! A call of the operating system that fails, whichever of them it is.

use std::io::{self, ErrorKind, IoSlice};

use super::*;

/// What a peer says, piece by piece, with pauses in which it is answered.
type Script = Vec<Vec<u8>>;

/// Conversations that end in each of the ways there are while the peer stays.
fn scripts() -> [Script; 4] {
    let talk = |end: &[Vec<u8>]| {
        let pieces = [
            UPGRADE[..60].to_vec(),
            UPGRADE[60..].to_vec(),
            frame(0x81, b"one"),
            [frame(0x01, b"two "), frame(0x89, b"ping"), frame(0x81, b"x")[..1].to_vec()].concat(),
        ];
        pieces.into_iter().chain(end.iter().cloned()).collect::<Script>()
    };
    let whole = |end: &[Vec<u8>]| {
        let pieces = [UPGRADE.to_vec(), frame(0x82, &[7; 40_000]), frame(0x82, &[8; 300])];
        pieces.into_iter().chain(end.iter().cloned()).collect::<Script>()
    };
    [
        whole(&[frame(0x88, &1001u16.to_be_bytes())]),
        whole(&[frame(0x81, b"bye"), frame(0x88, &4503u16.to_be_bytes())]),
        // A text message begins within another one.
        talk(&[frame(0x81, b"x")[1..].to_vec()]),
        vec![b"GET /else".to_vec(), b"where HTTP/1.1\r\n\r\n".to_vec(), b"more".to_vec()],
    ]
}

/// Lets a peer play its part, with one call that fails, beside a neighbour that is served all the
/// time. Afterwards the peer goes.
fn play(script: &Script, failure: Option<(usize, ErrorKind)>) -> (Rig, Fake) {
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().failure = failure;
    for piece in script {
        fake.0.borrow_mut().input.extend(piece);
        rig.settle(conn);
        rig.assert_served(&neighbour);
    }
    fake.0.borrow_mut().eof = true;
    rig.settle(conn);
    rig.assert_served(&neighbour);
    assert_eq!(rig.handler.gone.len(), 1, "one cleanup: {failure:?}");
    assert_eq!((rig.sockets.len(), rig.registry.check()), (1, Ok(())), "{failure:?}");
    assert_eq!((rig.registry.stats().live, rig.registry.stats().pending), (1, 0));
    (rig, fake)
}

#[test]
fn a_call_that_is_interrupted_or_would_block_changes_nothing() {
    for script in &scripts() {
        let (calm, wire) = play(script, None);
        let wire = wire.0.borrow();
        assert!(wire.calls > 4);
        for at in 0..wire.calls {
            for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock] {
                let (rig, fake) = play(script, Some((at, kind)));
                let fake = fake.0.borrow();
                assert_eq!(fake.output, wire.output, "{kind:?} in call {at}");
                assert_eq!((fake.shut, &rig.handler.gone), (wire.shut, &calm.handler.gone));
                assert_eq!(rig.handler.messages - calm.handler.messages, 0);
                assert!(fake.input.is_empty());
            }
        }
    }
}

#[test]
fn a_call_that_fails_is_the_end_of_its_socket_alone() {
    for script in &scripts() {
        let (calm, wire) = play(script, None);
        let wire = wire.0.borrow();
        for at in 0..wire.calls {
            for kind in [
                ErrorKind::ConnectionReset,
                ErrorKind::BrokenPipe,
                ErrorKind::TimedOut,
                ErrorKind::NotConnected,
            ] {
                let (rig, fake) = play(script, Some((at, kind)));
                let fake = fake.0.borrow();
                assert_eq!(fake.calls, at + 1, "{kind:?} is final, nothing is tried again");
                assert!(wire.output.starts_with(&fake.output), "{kind:?} in call {at}");
                let reason = rig.handler.gone[0];
                let known = [CloseReason::PeerGone, calm.handler.gone[0]];
                assert!(known.contains(&reason), "{kind:?} in call {at}: {reason:?}");
            }
        }
    }
}

/// A kernel that has no room for so many writes, and takes nothing of the next.
struct Nothing {
    full: usize,
}

impl Stream for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(full) = self.full.checked_sub(1) else { return Ok(0) };
        self.full = full;
        Err(ErrorKind::WouldBlock.into())
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Its socket has an answer to write, which would be tried for ever, and ends.
fn assert_ended(full: usize) {
    let mut registry = Registry::new(config().build().unwrap());
    let now = Timestamp::from_secs(1);
    let conn = registry.reserve(now, None).unwrap();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut socket = Socket::new(conn, Nothing { full }, peer);
    let mut output = TurnOutput::default();
    socket.close(&CloseReason::HeadTimeout.into(), 0, &mut output);
    assert!(socket.wants_flush());
    let mut flushed = Flushed::default();
    for _ in 0..=full {
        let _ = socket.flush(&mut output, &mut flushed, &mut usize::MAX.clone());
        socket.note_writable();
    }
    let mut context = Context::new(&mut registry, now, &mut output);
    flushed.report(&mut context, &mut Sockets::<Nothing>::new());
    assert!(!socket.wants_flush() && registry.has_actions(), "it has ended, and was reported");
}

#[test]
fn a_kernel_that_takes_nothing_of_something_has_failed() {
    assert_ended(0);
}

#[test]
fn a_kernel_that_takes_nothing_of_what_has_waited_has_failed() {
    for full in 1..=4 {
        assert_ended(full);
    }
}
