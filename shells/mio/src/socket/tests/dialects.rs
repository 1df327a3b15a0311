//! Recipients of one action who read different dialects.

use super::*;

const SAYS: &[u8] = b"hello";

/// Connections that read these dialects, in their order.
fn rig(dialects: &[u8]) -> (Rig, Vec<(ConnId, Fake)>) {
    let mut rig = Rig::new(config());
    rig.handler.dialects = dialects.to_vec();
    let clients = dialects.iter().map(|_| rig.open()).collect();
    (rig, clients)
}

/// The payloads that each has read.
fn read(clients: &[(ConnId, Fake)]) -> Vec<Vec<String>> {
    let text = |(_, payload): (u8, Vec<u8>)| String::from_utf8(payload).unwrap();
    let frames = |(_, fake): &(_, Fake)| frames_of(&fake.0.borrow().output);
    clients.iter().map(|client| frames(client).into_iter().map(text).collect()).collect()
}

#[test]
fn each_dialect_is_encoded_once_and_each_reads_its_own() {
    let (mut rig, clients) = rig(&[0, 2, 0, 7, 2, 2]);
    rig.registry.send(rig.now, Target::Everyone, Message::binary(SAYS));
    rig.turn();
    let expected = ["hello", "2 hello", "hello", "7 hello", "2 hello", "2 hello"];
    assert_eq!(read(&clients), expected.map(|text| vec![text.to_owned()]));
    assert_eq!(rig.handler.encoded, 3);
    // Frames of one action are not those of the next.
    rig.registry.send(rig.now, Target::Everyone, Message::binary(&b"again"[..]));
    rig.turn();
    assert_eq!(read(&clients)[4], ["2 hello", "2 again"]);
    assert_eq!(rig.handler.encoded, 6);
}

#[test]
fn a_connection_may_read_another_dialect_of_another_stream() {
    let (mut rig, clients) = rig(&[3]);
    let session = rig.registry.connection(clients[0].0).and_then(|it| it.session()).unwrap();
    rig.registry.send(rig.now, Target::Session(session), Message::binary(SAYS));
    rig.registry.send(rig.now, Target::Everyone, Message::binary(SAYS));
    rig.turn();
    assert_eq!(read(&clients), [["7 hello", "3 hello"]]);
}

#[test]
fn a_direct_message_is_a_frame_as_it_is() {
    let (mut rig, clients) = rig(&[3]);
    let conn = clients[0].0;
    rig.registry.send(rig.now, Target::Conn(conn), Message::binary(SAYS));
    let mut context = Context::new(&mut rig.registry, rig.now, &mut rig.output);
    context.reply(conn, "text").unwrap();
    context.reply(conn, &b"bytes"[..]).unwrap();
    rig.turn();
    let frames = frames_of(&clients[0].1.0.borrow().output);
    let expected = [(0x82, SAYS.to_vec()), (0x81, b"text".to_vec()), (0x82, b"bytes".to_vec())];
    assert_eq!((frames, rig.handler.encoded), (expected.to_vec(), 0));
}

#[test]
fn a_drain_is_told_in_the_dialect_of_what_is_for_everyone() {
    let (mut rig, clients) = rig(&[1, 2, 1]);
    rig.registry.drain(rig.now, None);
    rig.turn();
    assert_eq!(read(&clients), [["1"], ["2"], ["1"]]);
    assert_eq!(rig.handler.encoded, 2);
}
