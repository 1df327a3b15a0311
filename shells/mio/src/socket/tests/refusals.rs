//! Refusals that are said after an upgrade, and that each is told of once.

use super::*;

const OFFER: &[u8] = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: other, v1\r\n\r\n";

fn in_band() -> Options {
    Options::new().subprotocol("v1").refuse_in_band(true)
}

fn refused(rig: &mut Rig, answer: Answer, options: Options, request: &[u8]) -> (ConnId, Fake) {
    rig.options = options;
    rig.handler.refuses = Some(answer);
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(request);
    rig.settle(conn);
    (conn, fake)
}

fn close(code: u16, reason: &str) -> (u8, Vec<u8>) {
    (0x88, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

#[test]
fn a_refusal_is_an_upgrade_and_a_close_if_the_subprotocol_is_offered() {
    for (status, code) in [(400, 4501), (401, 4500), (403, 4506), (429, 1013), (503, 1013)] {
        let mut rig = Rig::new(config());
        let answer = Answer::json(status, "the_code", "why");
        let (conn, fake) = refused(&mut rig, answer, in_band(), OFFER);
        assert_eq!(frames_of(&fake.0.borrow().output), [close(code, "the_code")]);
        assert!(!fake.0.borrow().shut, "the peer's close frame is waited for");
        assert_eq!(rig.handler.turned_away, [(status, "the_code".to_owned())]);
        fake.0.borrow_mut().input.extend(frame(0x88, &code.to_be_bytes()));
        rig.settle(conn);
        assert_eq!((rig.sockets.len(), rig.registry.stats().pending), (0, 0));
        assert_eq!((rig.registry.stats().opened, rig.registry.stats().abandoned), (0, 1));
        assert!(rig.registry.is_idle() && rig.handler.messages == 0);
    }
}

#[test]
fn other_clients_and_other_answers_are_refused_in_http() {
    let answer = |status| Answer::json(status, "the_code", "why");
    let apart = Options::new().subprotocol("v1");
    for (options, request, answer) in [
        (in_band(), UPGRADE, answer(401)),
        (apart, OFFER, answer(401)),
        (in_band(), OFFER, answer(404)),
        (in_band(), OFFER, answer(502)),
    ] {
        let mut rig = Rig::new(config());
        let status = answer.status();
        let (_, fake) = refused(&mut rig, answer, options, request);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(fake.0.borrow().output.starts_with(expected.as_bytes()) && fake.0.borrow().shut);
        assert_eq!(rig.handler.turned_away, [(status, "the_code".to_owned())]);
    }
}

#[test]
fn a_limit_of_the_registry_says_when_to_come_back() {
    let mut rig = Rig::new(config().connect_rate(1).connect_burst(1));
    rig.options = in_band();
    let _first = rig.open();
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(OFFER);
    rig.settle(conn);
    let output = frames_of(&fake.0.borrow().output);
    assert_eq!(output, [close(1013, "connect_rate retry_after=1")]);
    rig.registry.drain(rig.now, None);
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().input.extend(OFFER);
    rig.settle(conn);
    let (first, payload) = frames_of(&fake.0.borrow().output).remove(0);
    let (code, reason) = payload.split_at(2);
    assert_eq!((first, code), (0x88, &1012u16.to_be_bytes()[..]));
    assert!(reason.starts_with(b"draining retry_after="), "{}", String::from_utf8_lossy(reason));
    let codes: Vec<_> = rig.handler.turned_away.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!(codes, ["connect_rate", "draining"]);
}

#[test]
fn a_refused_client_that_goes_on_is_not_heard_and_not_waited_for() {
    let deadline = Duration::from_secs(2);
    let mut rig = Rig::new(config().close_handshake(deadline));
    // It does not wait for the answer, and never closes.
    let request = [OFFER, &frame(0x81, b"first"), &frame(0x89, b"ping")].concat();
    let (conn, fake) = refused(&mut rig, Answer::json(403, "no", "why"), in_band(), &request);
    fake.0.borrow_mut().input.extend(frame(0x81, b"second"));
    rig.settle(conn);
    assert_eq!(frames_of(&fake.0.borrow().output), [close(4506, "no")]);
    assert_eq!(
        (rig.handler.messages, rig.registry.vacancies()),
        (0, rig.registry.config().pending())
    );
    rig.now += deadline;
    rig.turn();
    assert_eq!((rig.sockets.len(), &rig.handler.gone[..]), (0, &[CloseReason::Forbidden][..]));
}

#[test]
fn each_that_is_answered_in_http_is_told_of_once() {
    let deadline = Duration::from_secs(2);
    let mut rig = Rig::new(config().head_deadline(deadline));
    for (input, told) in [
        (&b"nonsense\r\n\r\n"[..], (400, "malformed_request")),
        (b"GET / HTTP/1.1\r\n\r\n", (404, "not_found")),
        (b"GET /ws HTTP/1.1\r\n", (408, "head_timeout")),
    ] {
        let (conn, fake) = rig.accept();
        fake.0.borrow_mut().input.extend(input);
        rig.settle(conn);
        rig.now += deadline;
        rig.turn();
        assert_eq!(rig.handler.turned_away.pop(), Some((told.0, told.1.to_owned())));
        assert!(rig.handler.turned_away.is_empty());
        fake.0.borrow_mut().eof = true;
        rig.settle(conn);
    }
    // Nor is one told of that is gone before it could be answered.
    let (conn, fake) = rig.accept();
    fake.0.borrow_mut().eof = true;
    rig.settle(conn);
    assert!(rig.handler.turned_away.is_empty() && rig.sockets.len() == 0);
}
