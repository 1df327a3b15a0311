//! Closes in the application's own words, at every stage of a connection.

use headcount::CloseWords;

use super::undecided::{OFFER, in_band, waiting};
use super::*;

const TEXT: &str = "this account was deleted";

fn close_all(rig: &mut Rig) {
    rig.registry.close(rig.now, Target::Everyone, CloseWords::new(4200, TEXT).unwrap());
    rig.turn();
}

fn said() -> Vec<u8> {
    [&4200u16.to_be_bytes(), TEXT.as_bytes()].concat()
}

#[test]
fn an_upgraded_client_gets_the_code_and_the_text() {
    let mut rig = Rig::new(config());
    let (_, fake) = rig.open();
    close_all(&mut rig);
    assert_eq!(frames_of(&fake.0.borrow().output).last(), Some(&(0x88, said())));
}

#[test]
fn one_with_the_longest_text_gets_all_of_it() {
    let mut rig = Rig::new(config());
    let (conn, fake) = rig.open();
    let text = "x".repeat(CloseWords::MAX_TEXT_BYTES);
    rig.registry.close(rig.now, Target::Conn(conn), CloseWords::new(4000, &text).unwrap());
    rig.turn();
    let frames = frames_of(&fake.0.borrow().output);
    assert_eq!(frames.last().map(|(_, payload)| payload.len()), Some(125));
}

#[test]
fn one_that_waits_for_a_decision_gets_them_in_its_close_frame() {
    let mut rig = Rig::new(config());
    rig.options = in_band();
    let (_, fake) = waiting(&mut rig, OFFER);
    close_all(&mut rig);
    assert_eq!(frames_of(&fake.0.borrow().output), [(0x88, said())]);
}

#[test]
fn one_that_is_answered_in_http_gets_the_text_as_the_message() {
    for waits in [true, false] {
        let mut rig = Rig::new(config());
        let fake = if waits {
            waiting(&mut rig, UPGRADE).1
        } else {
            let (conn, fake) = rig.accept();
            fake.0.borrow_mut().input.extend(&UPGRADE[..10]);
            rig.stir(conn);
            rig.turn();
            fake
        };
        close_all(&mut rig);
        let output = String::from_utf8(fake.0.borrow().output.clone()).unwrap();
        assert!(output.starts_with("HTTP/1.1 503 "), "{output}");
        let body = r#"{"error":{"code":"application","message":"this account was deleted"}}"#;
        assert!(output.ends_with(body), "{output}");
    }
}
