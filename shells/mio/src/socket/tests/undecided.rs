//! Requests that the handler decides about later.

use super::*;

pub(super) const OFFER: &[u8] =
    b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: v1\r\n\r\n";

/// A request that waits to be decided about.
pub(super) fn waiting(rig: &mut Rig, request: &[u8]) -> (ConnId, Fake) {
    rig.handler.later = true;
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(request);
    rig.stir(conn);
    rig.turn();
    assert!(fake.0.borrow().output.is_empty());
    assert!(rig.sockets.get_mut(conn).unwrap().is_undecided());
    (conn, fake)
}

pub(super) fn in_band() -> Options {
    Options::new().subprotocol("v1").refuse_in_band(true)
}

/// Asks again, for as many turns as that takes.
pub(super) fn ask_again(rig: &mut Rig) -> usize {
    rig.sockets.authenticate_again();
    let mut turns = 0;
    while rig.sockets.asks_again() || rig.sockets.ready() > 0 {
        rig.turn();
        turns += 1;
    }
    turns
}

#[test]
fn a_request_waits_and_what_was_sent_behind_it_too() {
    let mut rig = Rig::new(config());
    let (conn, fake) = waiting(&mut rig, &[UPGRADE, &frame(0x81, b"first")].concat());
    // It stays in the kernel.
    fake.0.borrow_mut().input.extend(frame(0x81, b"second"));
    rig.stir(conn);
    rig.turn();
    assert_eq!((rig.handler.asked_again, rig.handler.messages), (0, 0));
    assert!(!fake.0.borrow().input.is_empty());
    assert_eq!((rig.registry.stats().pending, rig.registry.stats().open), (1, 0));
    // The answer may be the same once more.
    ask_again(&mut rig);
    assert_eq!((rig.handler.asked_again, rig.registry.stats().pending), (1, 1));
    rig.handler.later = false;
    rig.turn();
    assert_eq!(rig.handler.asked_again, 1, "only when it is to be asked again");
    ask_again(&mut rig);
    rig.settle(conn);
    let frames = frames_of(&fake.0.borrow().output);
    assert_eq!(frames, [(0x81, b"first".to_vec()), (0x81, b"second".to_vec())]);
    assert_eq!((rig.registry.stats().pending, rig.registry.stats().open), (0, 1));
    // It is decided about for good.
    ask_again(&mut rig);
    assert_eq!(rig.handler.asked_again, 2);
}

#[test]
fn one_that_says_much_before_it_is_answered_does_not_wait() {
    let (room, header) = (crate::socket::undecided::MAX_EARLY_BYTES, 8);
    for (bytes, waits) in [(room - header, true), (room - header + 1, false)] {
        let mut rig = Rig::new(config());
        rig.handler.later = true;
        let (conn, fake) = rig.accept();
        let early = frame(0x81, &vec![b'x'; bytes]);
        assert_eq!(early.len(), bytes + header);
        fake.0.borrow_mut().input.extend([UPGRADE, &early].concat());
        rig.settle(conn);
        let output = fake.0.borrow().output.clone();
        assert_eq!(output.is_empty(), waits, "{}", output.escape_ascii());
        assert!(waits || output.starts_with(b"HTTP/1.1 400 "), "{}", output.escape_ascii());
        assert_eq!(rig.registry.vacancies() + u32::from(waits), rig.registry.config().pending());
    }
}

#[test]
fn what_is_decided_later_is_refused_as_if_it_were_at_once() {
    for (options, request, http) in
        [(Options::new(), UPGRADE, true), (in_band(), UPGRADE, true), (in_band(), OFFER, false)]
    {
        let mut rig = Rig::new(config());
        rig.options = options;
        let (_, fake) = waiting(&mut rig, request);
        rig.handler.later = false;
        rig.handler.refuses = Some(Answer::json(401, "no", "why"));
        ask_again(&mut rig);
        let output = fake.0.borrow().output.clone();
        if http {
            assert!(output.starts_with(b"HTTP/1.1 401 ") && fake.0.borrow().shut);
        } else {
            assert_eq!(frames_of(&output), [(0x88, b"\x11\x94no".to_vec())]);
        }
        assert_eq!(rig.handler.turned_away, [(401, "no".to_owned())]);
    }
}

#[test]
fn one_that_waits_too_long_is_told_so() {
    // Longer silences would be a pause of the process, which no deadline counts.
    let wait = Duration::from_secs(4);
    for (options, request, http) in
        [(Options::new(), UPGRADE, true), (in_band(), UPGRADE, true), (in_band(), OFFER, false)]
    {
        let config = config().head_deadline(wait / 4).auth_deadline(wait);
        let mut rig = Rig::new(config);
        rig.options = options;
        let (conn, fake) = waiting(&mut rig, request);
        rig.now += wait - Duration::from_nanos(1);
        // To be asked again gives it no more time.
        ask_again(&mut rig);
        rig.turn();
        assert!(fake.0.borrow().output.is_empty());
        rig.now += Duration::from_millis(2);
        rig.turn();
        let output = fake.0.borrow().output.clone();
        if http {
            let text = String::from_utf8(output).unwrap();
            assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
            assert!(text.contains("\r\nRetry-After: 5\r\n"), "{text}");
            assert!(text.contains("\"auth_timeout\""), "{text}");
        } else {
            let reason = [&1013u16.to_be_bytes()[..], b"auth_timeout retry_after=5"].concat();
            assert_eq!(frames_of(&output), [(0x88, reason)]);
        }
        assert!(fake.0.borrow().shut);
        assert_eq!(rig.handler.turned_away, [(503, "auth_timeout".to_owned())]);
        // It is asked about no more.
        rig.handler.later = false;
        let asked = rig.handler.asked_again;
        ask_again(&mut rig);
        assert_eq!(rig.handler.asked_again, asked);
        fake.0.borrow_mut().eof = true;
        rig.settle(conn);
        assert_eq!(
            (rig.sockets.len(), &rig.handler.gone[..]),
            (0, &[CloseReason::AuthTimeout][..])
        );
        assert!(rig.registry.is_idle());
    }
}

#[test]
fn the_registrys_close_of_one_that_waits_is_answered() {
    for (request, close) in [(UPGRADE, None), (OFFER, Some(1012u16))] {
        let mut rig = Rig::new(config());
        rig.options = in_band();
        let (_, fake) = waiting(&mut rig, request);
        rig.registry.close(rig.now, Target::Everyone, CloseReason::Restart);
        rig.turn();
        let output = fake.0.borrow().output.clone();
        match close {
            None => assert!(output.starts_with(b"HTTP/1.1 503 "), "{}", output.escape_ascii()),
            Some(code) => assert_eq!(frames_of(&output)[0].1[..2], code.to_be_bytes()),
        }
        assert!(fake.0.borrow().shut);
    }
}

#[test]
fn one_that_hangs_up_while_it_waits_is_gone() {
    let mut rig = Rig::new(config());
    let (conn, fake) = waiting(&mut rig, UPGRADE);
    // What it has sent before is no reason to keep it.
    fake.0.borrow_mut().input.extend(frame(0x81, b"unread"));
    fake.0.borrow_mut().eof = true;
    rig.stir(conn);
    rig.turn();
    assert_eq!((rig.sockets.len(), rig.registry.stats().pending), (0, 0));
    assert_eq!(rig.handler.gone, [CloseReason::PeerGone]);
    ask_again(&mut rig);
    assert_eq!(rig.handler.asked_again, 0);
    assert!(rig.registry.is_idle());
}

#[test]
fn ten_thousand_that_wait_have_their_turns_between_those_of_others() {
    const MANY: usize = 10_000;
    let mut rig = Rig::new(config().connections(20_000).pending(20_000));
    let neighbour = rig.open();
    let waits: Vec<_> = (0..MANY).map(|_| waiting(&mut rig, UPGRADE)).collect();
    rig.handler.later = false;
    rig.sockets.authenticate_again();
    let mut turns = 0;
    while rig.sockets.asks_again() || rig.sockets.ready() > 0 {
        let before = rig.handler.asked_again;
        rig.assert_served(&neighbour);
        let asked = rig.handler.asked_again - before;
        assert!(asked <= READ.steps / 64, "{asked} in one turn");
        turns += 1;
        assert!(turns <= MANY);
    }
    assert_eq!((rig.handler.asked_again, rig.registry.stats().open), (MANY, MANY as u32 + 1));
    drop(waits);
}

#[test]
fn those_that_come_and_go_leave_nothing_behind() {
    let mut rig = Rig::new(config());
    for _ in 0..1_000 {
        let (conn, fake) = waiting(&mut rig, UPGRADE);
        fake.0.borrow_mut().eof = true;
        rig.settle(conn);
    }
    assert_eq!((rig.sockets.len(), rig.registry.stats().pending), (0, 0));
    assert!(rig.sockets.undecided_places() <= 2 * crate::fair::FEW);
}
