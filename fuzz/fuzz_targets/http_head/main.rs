//! Any bytes as a request head, in any chunks: the verdict is the one that the documentation of the
//! shell gives, and the answer is well-formed HTTP with nothing in it that the client put there.
//!
//! The first byte chooses the server's options, the next two the chunks; the rest comes in.

#![no_main]

#[path = "../../../shells/mio/src/answer.rs"]
#[allow(dead_code)]
mod answer;
mod answers;
#[path = "../../../shells/mio/src/http/mod.rs"]
#[allow(dead_code)]
mod http;
#[path = "../../../shells/mio/src/options.rs"]
#[allow(dead_code)]
mod options;
mod oracle;

use std::net::SocketAddr;

use http::{Head, NO_LINES, Progress, Request};
use libfuzzer_sys::fuzz_target;
use options::Options;
use oracle::Verdict;

const PATH: &str = "/ws";
const SUBPROTOCOL: &str = "headcount.v1";

/// Chunk sizes out of two bytes: most are small, some are not.
struct Chunks(u32);

impl Chunks {
    fn size(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        match self.0 >> 28 {
            0..=7 => 1,
            8..=13 => 1 + (self.0 as usize & 31),
            _ => 1 + (self.0 as usize & 0xfff),
        }
    }
}

/// What the shell makes of a stream that comes in such chunks. The rest of the last chunk is no
/// part of the head, and what has not come yet is not looked at.
fn collect(stream: &[u8], mut size: impl FnMut() -> usize) -> (Head, Progress) {
    let mut head = Head::default();
    let mut rest = stream;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(size().min(rest.len()));
        rest = later;
        match head.push(chunk) {
            Progress::Partial => {}
            progress => return (head, progress),
        }
    }
    (head, Progress::Partial)
}

fuzz_target!(|input: &[u8]| {
    let [choice, low, high, stream @ ..] = input else { return };
    let mut chunks = Chunks(u32::from_le_bytes([*low, *high, 0x5a, 0xa5]));
    let (head, progress) = collect(stream, || chunks.size());
    assert_eq!(collect(stream, || usize::MAX).1, progress, "chunks make a difference");
    assert_eq!(oracle::progress(stream), progress);

    let options = Options::new().paths([PATH]);
    let options = if choice & 1 == 0 { options.subprotocol(SUBPROTOCOL) } else { options };
    answers::of_a_handler(*choice, stream);
    match progress {
        Progress::Partial => oracle::is_not_complete(stream),
        Progress::Impossible => answers::is_an_error(&head.impossible(), 400, true),
        Progress::Complete(end) => judge(&head.into_bytes()[..end], &options),
    }
});

fn judge(head: &[u8], options: &Options) {
    let peer = SocketAddr::from(([127, 0, 0, 1], 9));
    let verdict = oracle::judge(head, PATH, options.subprotocol.as_deref());
    let mut lines = NO_LINES;
    match Request::parse(head, &mut lines, peer) {
        Err(answer) => {
            let Verdict::Refuse { status, with_body: true } = verdict else {
                panic!("{verdict:?}, answered with {answer:?}")
            };
            answers::is_an_error(&answer, status, true);
        }
        Ok(request) => {
            shows_no_credentials(&request, head);
            match (request.check_upgrade(options), verdict) {
                (Ok(()), Verdict::Upgrade { key, subprotocol }) => {
                    answers::is_an_upgrade(&request.accept(options), &key, subprotocol);
                    answers::is_what_tungstenite_says(head, &request.accept(options));
                }
                (Err(answer), Verdict::Refuse { status, with_body }) => {
                    assert_eq!(request.wants_body(), with_body);
                    answers::is_an_error(&answer, status, with_body);
                }
                (checked, verdict) => panic!("{verdict:?}, but {checked:?}"),
            }
        }
    }
}

/// `Debug` is for logs.
fn shows_no_credentials(request: &Request<'_>, head: &[u8]) {
    let debug = format!("{request:?}");
    // What a client repeats outside its query, as its method or in its path, is no secret there.
    let is_once = |query: &&str| {
        let places = head.windows(query.len()).filter(|place| *place == query.as_bytes());
        places.count() == 1
    };
    let secret = request.query().filter(|query| query.len() > 24).filter(is_once);
    assert!(!secret.is_some_and(|query| debug.contains(query)), "{debug}");
    assert_eq!(request.peer().port(), 9);
}
