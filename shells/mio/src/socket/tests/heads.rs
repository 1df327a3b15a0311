//! Request heads that take their time.

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// One byte, and one turn for it.
fn drip(rig: &mut Rig, conn: ConnId, fake: &Fake, byte: u8) {
    fake.0.borrow_mut().input.push_back(byte);
    rig.stir(conn);
    rig.turn();
}

#[test]
fn a_head_that_stops_anywhere_is_answered_when_its_time_is_over() {
    for cut in 0..UPGRADE.len() {
        let mut rig = Rig::new(config().head_deadline(DEADLINE));
        let (conn, fake) = rig.accept();
        let begin = rig.now;
        for (number, byte) in UPGRADE[..cut].iter().enumerate() {
            // However busy it is, it wins no time.
            rig.now = begin + DEADLINE * number as u32 / UPGRADE.len() as u32;
            drip(&mut rig, conn, &fake, *byte);
        }
        rig.now = begin + (DEADLINE - Duration::from_nanos(1));
        rig.turn();
        assert_eq!((fake.0.borrow().output.len(), rig.registry.stats().pending), (0, 1), "{cut}");
        rig.now = begin + DEADLINE;
        rig.turn();
        let wire = fake.0.borrow();
        assert!(wire.output.starts_with(b"HTTP/1.1 408 ") && wire.output.ends_with(b"\"}}"));
        assert!(wire.shut);
        drop(wire);
        // It goes on as if nothing had been said, and is not listened to; then it goes.
        for byte in &UPGRADE[cut..] {
            drip(&mut rig, conn, &fake, *byte);
        }
        fake.0.borrow_mut().eof = true;
        rig.settle(conn);
        assert_eq!(rig.handler.gone, [CloseReason::HeadTimeout]);
        assert!(rig.registry.is_idle() && rig.handler.users == 0);
    }
}

#[test]
fn a_head_of_single_bytes_is_a_head() {
    let mut rig = Rig::new(config().head_deadline(DEADLINE));
    let (conn, fake) = rig.accept();
    for byte in UPGRADE {
        assert_eq!(fake.0.borrow().output, b"");
        drip(&mut rig, conn, &fake, *byte);
    }
    assert_eq!(frames_of(&fake.0.borrow().output), []);
    assert_eq!((rig.registry.stats().open, rig.registry.stats().pending), (1, 0));
}

#[test]
fn thousands_of_half_heads_are_bounded_and_delay_a_neighbour_for_few_turns() {
    const CROWD: usize = 3_000;
    // The neighbour was pending once, and is not any more.
    let mut rig = Rig::new(config().pending(CROWD as u32).head_deadline(DEADLINE));
    let neighbour = rig.open();
    let crowd: Vec<_> = (0..CROWD).map(|_| rig.accept()).collect();
    assert!(rig.registry.reserve(rig.now, None).is_err(), "there is no place for more");
    for byte in &UPGRADE[..20] {
        for (conn, fake) in &crowd {
            fake.0.borrow_mut().input.push_back(*byte);
            rig.stir(*conn);
        }
        // Going to a socket is four steps of a turn.
        rig.assert_served_within((4 * CROWD).div_ceil(READ.steps), &neighbour);
        assert!(crowd.iter().all(|(_, fake)| fake.0.borrow().input.is_empty()));
        assert!(rig.sockets.ready() == 0 && rig.sockets.dirty() == 0, "a byte makes no work");
    }
    rig.now += DEADLINE;
    // A tick does bounded work: so many at once take some.
    for _ in 0..100 {
        rig.assert_served(&neighbour);
    }
    for (conn, fake) in &crowd {
        let mut wire = fake.0.borrow_mut();
        assert!(wire.output.starts_with(b"HTTP/1.1 408 ") && wire.shut);
        wire.eof = true;
        drop(wire);
        rig.stir(*conn);
    }
    while rig.sockets.ready() > 0 {
        rig.turn();
    }
    assert_eq!(rig.handler.gone.len(), CROWD);
    assert!(rig.handler.gone.iter().all(|reason| *reason == CloseReason::HeadTimeout));
    assert_eq!((rig.sockets.len(), rig.registry.stats().pending), (1, 0));
}

#[test]
fn a_head_may_have_exactly_as_many_bytes_as_the_configuration_says() {
    for (bytes, status) in [(2_000, "HTTP/1.1 101 "), (2_001, "HTTP/1.1 431 ")] {
        for chunk in [7, 100, 10_000] {
            let mut rig = Rig::new(config().head_bytes(2_000));
            let (conn, fake) = rig.accept();
            let filler = format!("X: {}\r\n\r\n", "x".repeat(bytes - UPGRADE.len() - 5));
            fake.0.borrow_mut().input.extend(&UPGRADE[..UPGRADE.len() - 2]);
            fake.0.borrow_mut().input.extend(filler.as_bytes());
            // Frames behind it are no part of it.
            fake.0.borrow_mut().input.extend(frame(0x81, &[b'x'; 100]));
            fake.0.borrow_mut().reads.extend(vec![chunk; (bytes + 106) / chunk]);
            rig.settle(conn);
            assert!(fake.0.borrow().output.starts_with(status.as_bytes()), "{bytes} by {chunk}");
        }
    }
}

#[test]
fn a_head_without_an_end_is_refused_when_it_is_too_long() {
    let mut rig = Rig::new(config());
    let neighbour = rig.open();
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(b"GET /ws HTTP/1.1\r\nX: ");
    fake.0.borrow_mut().input.extend(std::iter::repeat_n(b'x', 1 << 20));
    fake.0.borrow_mut().reads.extend([100; 500]);
    rig.stir(conn);
    rig.assert_served(&neighbour);
    rig.settle(conn);
    let wire = fake.0.borrow();
    assert!(wire.output.starts_with(b"HTTP/1.1 431 ") && wire.shut);
    assert!(wire.input.is_empty(), "the rest is thrown away");
    assert_eq!(rig.unparsed(conn).1, 0, "and not kept");
}
