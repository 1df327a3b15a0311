//! What a peer sends, frame by frame, and what tungstenite itself says to it.

use headcount_conformance::wire::frame as masked;
use proptest::prelude::*;
use tungstenite::protocol::CloseFrame;

use super::*;

const LIMIT: usize = 1000;

/// The protocol with one connection.
#[derive(Default)]
struct Feed {
    protocol: Protocol,
    fragments: Option<Box<Fragments>>,
}

impl Feed {
    fn feed(
        &mut self,
        input: &[u8],
        limit: usize,
    ) -> Result<Option<(FrameEvent<'static>, usize)>, Fault> {
        let mut input = input.to_vec();
        let fed = self.protocol.feed(&mut self.fragments, &mut input, limit)?;
        Ok(fed.map(|(event, length)| (owned(event), length)))
    }
}

fn owned(event: FrameEvent<'_>) -> FrameEvent<'static> {
    match event {
        FrameEvent::Message(data) => FrameEvent::Message(data.into_owned()),
        FrameEvent::Fragment => FrameEvent::Fragment,
        FrameEvent::Ping(pong) => FrameEvent::Ping(pong),
        FrameEvent::Pong => FrameEvent::Pong,
        FrameEvent::Close(code) => FrameEvent::Close(code),
    }
}

fn text(text: &str) -> FrameEvent<'_> {
    FrameEvent::Message(Data::Text(text))
}

/// Everything that a stream says, given in chunks of these sizes, up to the first fault.
fn events(stream: &[u8], chunks: &[usize]) -> (Vec<FrameEvent<'static>>, Option<Fault>) {
    let mut frames = Feed::default();
    let mut events = Vec::new();
    let (mut start, mut end) = (0, 0);
    let mut sizes = chunks.iter().copied().chain(std::iter::repeat(usize::MAX));
    while end < stream.len() {
        end = end.saturating_add(sizes.next().unwrap_or(1).max(1)).min(stream.len());
        loop {
            match frames.feed(&stream[start..end], LIMIT) {
                Ok(Some((event, length))) => {
                    start += length;
                    let closed = matches!(event, FrameEvent::Close(_));
                    events.push(event);
                    if closed {
                        return (events, None);
                    }
                }
                Ok(None) => break,
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    (events, None)
}

fn fault(stream: &[u8]) -> Option<Fault> {
    events(stream, &[]).1
}

#[test]
fn each_kind_of_frame_is_an_event() {
    let stream = [
        masked(0x81, "żółw".as_bytes()),
        masked(0x82, b"\x00\xff"),
        masked(0x01, "ż".as_bytes()),
        masked(0x89, b"are you there"),
        masked(0x00, b""),
        masked(0x80, b"!"),
        masked(0x8a, b"unasked"),
        masked(0x88, &[0x0b, 0xb8, b'b', b'y', b'e']),
    ]
    .concat();
    let (events, fault) = events(&stream, &[]);
    assert_eq!(fault, None);
    assert_eq!(
        events,
        [
            text("żółw"),
            FrameEvent::Message(Data::Binary(b"\x00\xff")),
            FrameEvent::Fragment,
            FrameEvent::Ping(Bytes::from_static(b"\x8a\x0dare you there")),
            FrameEvent::Fragment,
            text("ż!"),
            FrameEvent::Pong,
            FrameEvent::Close(3000),
        ]
    );
}

#[test]
fn a_close_code_is_one_that_may_be_on_the_wire_or_a_fault() {
    let answer = |payload: &[u8]| match events(&masked(0x88, payload), &[]) {
        (events, None) => match events.as_slice() {
            [FrameEvent::Close(code)] => Ok(*code),
            other => panic!("{other:?}"),
        },
        (_, Some(fault)) => Err(fault),
    };
    assert_eq!(answer(b""), Ok(1000));
    assert_eq!(answer(&1001u16.to_be_bytes()), Ok(1001));
    assert_eq!(answer(&4999u16.to_be_bytes()), Ok(4999));
    // What the peer itself may say is no fault, though it says that there was one.
    assert_eq!(answer(&1002u16.to_be_bytes()), Ok(1002));
    assert_eq!(answer(&1014u16.to_be_bytes()), Ok(1014), "a bad gateway");
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        assert_eq!(answer(&code.to_be_bytes()), Err(Fault::Protocol), "{code}");
    }
    assert_eq!(answer(b"\x03"), Err(Fault::Protocol));
    assert_eq!(answer(b"\x03\xe8\xff"), Err(Fault::InvalidUtf8));
}

#[test]
fn what_breaks_the_protocol_is_a_fault() {
    let unmasked = [0x81, 0x02, b'h', b'i'];
    assert_eq!(fault(&unmasked), Some(Fault::Protocol));
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(fault(&masked(0x81 | bit, b"x")), Some(Fault::Protocol));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(fault(&masked(0x80 | opcode, b"")), Some(Fault::Protocol));
    }
    assert_eq!(fault(&masked(0x80, b"x")), Some(Fault::Protocol), "nothing to continue");
    let interrupted = [masked(0x01, b"x"), masked(0x81, b"y")].concat();
    assert_eq!(fault(&interrupted), Some(Fault::Protocol));
    assert_eq!(fault(&masked(0x09, b"")), Some(Fault::Protocol), "a ping in parts");
    assert_eq!(fault(&masked(0x89, &[0; 126])), Some(Fault::Protocol));
    assert_eq!(fault(&masked(0x81, b"\xff")), Some(Fault::InvalidUtf8));
    let cut = [masked(0x01, b"\xc5"), masked(0x80, b"")].concat();
    assert_eq!(fault(&cut), Some(Fault::InvalidUtf8));
}

#[test]
fn sizes_are_judged_before_the_payload_comes() {
    assert_eq!(fault(&masked(0x82, &[0; LIMIT])), None);
    assert_eq!(fault(&masked(0x82, &[0; LIMIT + 1])[..8]), Some(Fault::TooBig(1001)));
    let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(fault(&huge), Some(Fault::TooBig(u64::MAX)));
    let (begin, end) = (masked(0x02, &[0; 600]), masked(0x80, &[0; 401]));
    assert_eq!(fault(&[&begin, &end[..8]].concat()), Some(Fault::TooBig(1001)));
    let fits = masked(0x80, &[0; 400]);
    assert_eq!(fault(&[&begin[..], &fits, &begin, &fits].concat()), None);
    assert_eq!(fault(&masked(0x89, &[0; 126])[..8]), Some(Fault::Protocol));
}

#[test]
fn a_message_in_parts_is_judged_by_all_of_them_before_the_last_has_come() {
    let first = [masked(0x02, &[0; 600]), masked(0x00, &[0; 400]), masked(0x89, b"")].concat();
    let and = |next: &[u8]| fault(&[&first, next].concat());
    assert_eq!(and(&masked(0x00, &[0; 200])[..8]), Some(Fault::TooBig(1200)));
    assert_eq!(and(&masked(0x82, &[0; 200])[..8]), Some(Fault::Protocol), "another message");
    assert_eq!(and(&masked(0x80, b"")), None);
    // The next message is one of its own.
    assert_eq!(and(&[masked(0x80, b""), masked(0x82, &[0; LIMIT])].concat()), None);
}

#[test]
fn a_message_limit_below_125_does_not_concern_control_frames() {
    let mut frames = Feed::default();
    let ping = masked(0x89, &[7; 125]);
    assert!(matches!(frames.feed(&ping, 10), Ok(Some((FrameEvent::Ping(_), _)))));
    assert_eq!(frames.feed(&masked(0x82, &[0; 11]), 10), Err(Fault::TooBig(11)));
}

#[test]
fn another_limit_holds_at_once_also_for_a_message_that_has_begun() {
    let mut frames = Feed::default();
    let whole = |size| masked(0x82, &vec![0; size]);
    let (first, last) = (masked(0x02, &[0; 10]), masked(0x80, &[0; 10]));
    assert_eq!(frames.feed(&first, 10), Ok(Some((FrameEvent::Fragment, first.len()))));
    assert!(matches!(
        frames.feed(&last, 20),
        Ok(Some((FrameEvent::Message(Data::OwnBinary(_)), _)))
    ));
    assert!(matches!(
        frames.feed(&whole(20), 20),
        Ok(Some((FrameEvent::Message(Data::OwnBinary(_)), _)))
    ));
    assert_eq!(frames.feed(&whole(5_000), 4_999), Err(Fault::TooBig(5_000)));
    assert!(matches!(
        frames.feed(&whole(5_000), 5_000),
        Ok(Some((FrameEvent::Message(Data::OwnBinary(_)), _)))
    ));
    assert_eq!(frames.feed(&first, 5_000), Ok(Some((FrameEvent::Fragment, first.len()))));
    assert_eq!(frames.feed(&last, 19), Err(Fault::TooBig(20)));
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        20 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        10 => "[a-zż]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    (first, payload).prop_map(|(first, payload)| masked(first, &payload))
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        stream in prop::collection::vec(any_frame(), 0..20),
        chunks in prop::collection::vec(1usize..20, 0..200),
    ) {
        let stream = stream.concat();
        prop_assert_eq!(events(&stream, &chunks), events(&stream, &[]));
    }

    /// A context that is never replaced and sees the stream as one piece is the oracle.
    #[test]
    fn the_seam_says_what_a_plain_context_says(
        stream in prop::collection::vec(any_frame(), 0..20),
    ) {
        let stream = stream.concat();
        let mut lent = Lent { input: &stream, output: Vec::new() };
        let mut context = new_context(LIMIT);
        let mut expected = Vec::new();
        while let Ok(message) = context.read(&mut lent) {
            // It has replaced a code that may not be on the wire: a fault here.
            let replaced = |close: &CloseFrame| close.reason == "Protocol violation";
            match message {
                Message::Close(Some(close)) if replaced(&close) => break,
                message => expected.push(message),
            }
            if expected.last().is_some_and(Message::is_close) {
                break;
            }
        }
        let (events, _) = events(&stream, &[]);
        let ours = events.iter().filter(|event| **event != FrameEvent::Fragment);
        prop_assert_eq!(ours.clone().count(), expected.len());
        for (ours, expected) in ours.zip(expected) {
            let same = match (ours, expected) {
                (FrameEvent::Message(ours), Message::Text(text)) => {
                    ours.payload() == Payload::Text(text.as_str())
                }
                (FrameEvent::Message(ours), Message::Binary(bytes)) => {
                    ours.payload() == Payload::Binary(&bytes)
                }
                (FrameEvent::Ping(pong), Message::Ping(bytes)) => pong[2..] == bytes,
                (FrameEvent::Pong, Message::Pong(_)) => true,
                (FrameEvent::Close(_), Message::Close(_)) => true,
                _ => false,
            };
            prop_assert!(same);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = events(&stream, &[]);
    }
}
