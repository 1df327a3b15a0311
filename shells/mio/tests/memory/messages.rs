//! Single peers with too much to say.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::{CONNECTION, KIB, OUTPUT, asking, header, held, held_since, processed, until_held};

const MIB: usize = 1024 * KIB;

#[test]
fn an_announcement_costs_nothing_and_what_arrives_twice_its_bytes_at_most() {
    let server = TestServer::start(config().message_bytes(64 * MIB as u64));
    let mut client = Client::admitted(server.address, "alice");
    processed(&mut client);
    let before = held(&server);
    client.send(&[frame(PING, b"read?"), header(BINARY, 16 * MIB as u64)].concat());
    assert_eq!(client.frame().0, PONG);
    let announced = held_since(&server, before);
    assert!(announced < KIB, "{announced} bytes for a header");
    let mut arrived = 0;
    for more in [KIB, 100 * KIB, MIB] {
        client.send(&vec![7; more]);
        arrived += more;
        let kept = until_held(&server, before, arrived);
        assert!(kept <= 2 * arrived + KIB, "{kept} bytes for {arrived}");
    }
    drop(client);
    asking(|| server.until_empty());
    assert!(held_since(&server, before) <= KIB);
}

#[test]
fn a_large_message_leaves_nothing_behind() {
    let server = TestServer::start(config().message_bytes(16 * MIB as u64));
    let mut client = Client::admitted(server.address, "alice");
    client.say("small");
    assert_eq!(client.text(), "small");
    let before = held(&server);
    let mut writer = Client { stream: client.stream.try_clone().unwrap() };
    for parts in [1, 4] {
        let payload = vec![7; 8 * MIB / parts];
        let mut message: Vec<u8> = Vec::new();
        for part in 0..parts {
            let opcode = if part == 0 { 2 } else { 0 };
            let last = if part + 1 == parts { 0x80 } else { 0 };
            message.extend(frame(opcode | last, &payload));
        }
        let sender = std::thread::scope(|scope| {
            let sender = scope.spawn(|| writer.send(&message));
            let (first, payload) = client.frame();
            assert_eq!((first, payload.len()), (BINARY, 8 * MIB));
            sender.join()
        });
        sender.unwrap();
        processed(&mut client);
        let left = held_since(&server, before);
        assert!(left <= 8 * KIB + OUTPUT, "{left} bytes are left of {parts} parts");
    }
}

#[test]
fn a_hundred_thousand_pieces_cost_what_is_in_them() {
    const PIECES: usize = 100_000;
    let server = TestServer::start(config().message_bytes(PIECES as u64));
    let mut client = Client::admitted(server.address, "alice");
    processed(&mut client);
    let before = held(&server);
    let mut costs = |piece: &[u8]| {
        client.send(&frame(0x01, b""));
        client.send(&frame(0x00, piece).repeat(PIECES));
        processed(&mut client);
        let cost = held_since(&server, before);
        client.send(&frame(0x80, b""));
        assert_eq!(client.text().len(), PIECES * piece.len());
        cost
    };
    let (empty, single) = (costs(b""), costs(b"x"));
    println!("{empty} bytes for empty pieces, {single} for pieces of a byte");
    // A piece more, or what is not whole yet, is read beside them.
    assert!(empty <= 8 * KIB && single <= 2 * PIECES + 8 * KIB, "{empty} {single}");
}

#[test]
fn pings_of_a_peer_that_never_reads_cost_sixteen_pongs() {
    let server = TestServer::start(config());
    let mut client = Client::narrow_admitted(server.address, "alice");
    let mut neighbour = Client::admitted(server.address, "neighbour");
    processed(&mut neighbour);
    let before = held(&server);
    client.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let pings: Vec<u8> = (0..500).flat_map(|_| frame(PING, &[7; 125])).collect();
    // Far more than kernels keep: the server reads it all, and answers what it can. Beside the pongs
    // it may have read what it had no share of a turn for, and the loop keeps place for the output of a turn.
    let most = 64 * KIB + 2 * CONNECTION + OUTPUT;
    for _ in 0..400 {
        if client.stream.write_all(&pings).is_err() {
            break;
        }
        let cost = held_since(&server, before);
        assert!(cost <= most, "{cost} bytes for pongs that wait");
    }
    let end = Instant::now() + PATIENCE;
    while held_since(&server, before) > 2 * CONNECTION {
        assert!(Instant::now() < end, "pongs that wait cost {} bytes", held_since(&server, before));
        processed(&mut neighbour);
    }
    // It is still served: its pongs take what room there is, and never more than that.
    let stats = server.stats();
    assert_eq!((stats.open, stats.closed_total()), (2, 0));
}
