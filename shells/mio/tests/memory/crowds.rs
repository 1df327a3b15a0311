//! Very many peers that each make the server hold as much as one may.

use headcount::{CloseReason, Stats};

use crate::common::*;
use crate::{CONNECTION, KIB, asking, held, held_since, until_held};

/// Peers at the same time. Each costs two descriptors of this process; other tests need some.
fn crowd() -> usize {
    let descriptors = rlimit::increase_nofile_limit(8 * 1024).unwrap() as usize;
    sizes::by_machine(2_000, 1_000).min(descriptors / 5)
}

const MESSAGE: usize = 16 * KIB;

/// What a crowd holds in which each has sent this much, and no whole message. The neighbour is served
/// meanwhile; when they have gone, so has what they held.
fn crowd_holds(bytes: &[u8]) -> usize {
    let count = crowd();
    let server = TestServer::start(config().message_bytes(MESSAGE as u64));
    let mut neighbour = Client::admitted(server.address, "neighbour");
    neighbour.say("the first");
    assert_eq!(neighbour.text(), "the first");
    let empty = held(&server);
    let mut clients: Vec<_> =
        (0..count).map(|n| Client::admitted(server.address, &format!("user-{n}"))).collect();
    let silent = held(&server);
    let cost = held_since(&server, empty);
    assert!(cost <= count * CONNECTION, "{cost} for {count} that say nothing");
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(bytes);
        if number % 100 == 0 {
            neighbour.say("still here?");
            assert_eq!(neighbour.text(), "still here?");
        }
    }
    let more = until_held(&server, silent, count * (bytes.len() - 14));
    neighbour.say("still here?");
    assert_eq!(neighbour.text(), "still here?");
    clients.into_iter().for_each(Client::reset);
    let stats = asking(|| server.until("only the neighbour is left", |stats| stats.live == 1));
    assert_eq!(stats.closed(CloseReason::PeerGone), count as u64);
    // Tables keep their size.
    assert!(held_since(&server, empty) <= count * CONNECTION / 2);
    println!(
        "{cost} bytes for {count} that say nothing; for {} bytes of each {} more each",
        bytes.len(),
        more / count
    );
    more / count
}

#[test]
fn thousands_of_partial_frames_cost_twice_their_bytes_at_most() {
    let each = crowd_holds(&frame(BINARY, &[7; MESSAGE])[..MESSAGE]);
    assert!(each <= 2 * MESSAGE + KIB, "{each} bytes each");
}

#[test]
fn thousands_of_messages_in_parts_cost_no_more_than_those_in_one() {
    // As much as one may send and leave open: nearly all in one part, and of the next one all but
    // the last byte.
    let (first, next) = (vec![7; MESSAGE / 2], vec![7; MESSAGE / 2]);
    let mut bytes = [frame(0x02, &first), frame(0x80, &next)].concat();
    bytes.pop();
    let each = crowd_holds(&bytes);
    // The context of a message keeps a buffer for the frame that it was given last.
    assert!(each <= 2 * MESSAGE + MESSAGE + 2 * KIB, "{each} bytes each");
}

#[test]
fn thousands_of_half_heads_cost_twice_their_bytes_at_most() {
    let count = crowd();
    // All of them come from one address.
    let places = count as u32 + 1;
    let server = TestServer::start(config().pending(places).pending_per_source(places));
    let mut neighbour = Client::admitted(server.address, "neighbour");
    let empty = held(&server);
    let head = [b"GET /ws HTTP/1.1\r\nX: ", &[b'x'; 7_900][..]].concat();
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = Client::bare(server.address);
            client.send(&head);
            client
        })
        .collect();
    let each = until_held(&server, empty, count * head.len()) / count;
    println!("{count} heads of {} bytes: {each} bytes each", head.len());
    assert!(each <= 2 * head.len() + CONNECTION, "{each} bytes each");
    neighbour.say("still here?");
    assert_eq!(neighbour.text(), "still here?");
    clients.into_iter().for_each(Client::reset);
    let left = |stats: &Stats| (stats.live, stats.pending) == (1, 0);
    asking(|| server.until("only the neighbour is left", left));
    assert!(held_since(&server, empty) <= count * CONNECTION / 2);
}
