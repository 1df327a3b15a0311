//! Sockets that wait to be admitted: which newcomers they keep out, and which they don't.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use common::*;
use headcount::CloseReason;
use headcount_mio::Options;

/// A connection from an address of its own: all of 127.0.0.0/8 is loopback.
fn from(source: u8, server: SocketAddr) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0));
    socket.bind(&source.into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client { stream }
}

/// It has begun a request, and says no more.
fn silent(source: u8, server: SocketAddr) -> Client {
    let mut client = from(source, server);
    client.send(b"GET /ws?user=silent HTTP/1.1\r\n");
    client
}

#[test]
fn clients_that_wait_with_a_whole_request_all_get_in_however_few_places_there_are() {
    for pending in [125, 2, 1] {
        // They have all come, and have said all, before the server looks at the first.
        let bound = TestServer::bind(config().pending(pending), Options::new());
        let address = bound.server.local_addr();
        let mut clients: Vec<_> = (0..400).map(|_| Client::bare(address)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(upgrade(&format!("?user=user-{number}")).as_bytes());
        }
        let server = bound.run();
        for (number, client) in clients.iter_mut().enumerate() {
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 101 "), "{number} of {pending}: {head}");
        }
        assert_eq!(server.until("all are in", |stats| stats.open == 400).abandoned, 0);
    }
}

#[test]
fn silent_sockets_of_one_source_keep_out_nobody() {
    let deadline = Duration::from_secs(60);
    let server = TestServer::start(config().pending(64).head_deadline(deadline));
    let mut silent: Vec<_> = (0..300).map(|_| silent(2, server.address)).collect();
    // They have half of the places. Those that were silent longest have given way, and were told.
    for client in &mut silent[..300 - 32] {
        let (status, _, body) = client.answer();
        assert_eq!(status, 408, "{body}");
    }
    let stats = server.until("the rest wait", |stats| stats.pending == 32);
    assert_eq!((stats.opened, stats.abandoned), (0, 300 - 32));
    // Others have the other half, and their own source is not locked out either.
    for source in [3, 2] {
        let mut newcomer = from(source, server.address);
        newcomer.send(upgrade(&format!("?user=newcomer-{source}")).as_bytes());
        let head = newcomer.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(newcomer.text(), "welcome");
        drop(newcomer);
        assert_eq!(server.until("it is gone", |stats| stats.live == 0).refused, 0);
    }
}

#[test]
fn where_all_sources_are_silent_a_newcomer_of_another_is_answered_503_at_once() {
    let server = TestServer::start(config().pending(4).head_deadline(Duration::from_secs(60)));
    let mut silent: Vec<_> =
        [2, 2, 3, 3].map(|source| silent(source, server.address)).into_iter().collect();
    server.until("there is no place", |stats| stats.pending == 4);
    let mut newcomer = from(4, server.address);
    let (status, head, body) = newcomer.answer();
    assert_eq!(status, 503, "{body}");
    assert!(
        head.contains("\r\nRetry-After: 5\r\n") && body.contains("\"pending\""),
        "{head}{body}"
    );
    // One of a source that waits takes the place of that source's own.
    let mut again = from(3, server.address);
    again.send(upgrade("?user=again").as_bytes());
    assert!(again.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(silent[2].answer().0, 408);
    assert_eq!(server.next_gone(), CloseReason::HeadTimeout);
}

#[test]
fn sockets_that_were_refused_and_do_not_end_hold_no_place() {
    let config = config().pending(4).head_deadline(Duration::from_secs(60));
    let server = TestServer::start(config);
    // Answered, and neither they nor the other side ends.
    let refused: Vec<_> = (0..40)
        .map(|_| {
            let mut client = from(2, server.address);
            client.send(upgrade("?user=null").as_bytes());
            assert!(client.head().starts_with("HTTP/1.1 400 "));
            client
        })
        .collect();
    let mut newcomer = from(3, server.address);
    newcomer.send(upgrade("?user=newcomer").as_bytes());
    assert!(newcomer.head().starts_with("HTTP/1.1 101 "));
    drop(refused);
    server.until("they are gone", |stats| stats.pending == 0);
}
