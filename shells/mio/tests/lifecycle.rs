//! Many connections over time, the end of a server, and calls from other threads.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use headcount::{CloseReason, ConnId, Inbound, Message, RoomId, Target, UserId};
use headcount_mio::{Context, HandleError, Options, Server};

#[test]
fn a_thousand_connections_come_and_go_and_nothing_stays() {
    let server = TestServer::start(config());
    let first = {
        let client = Client::admitted(server.address, "user-0");
        let user = UserId::new("user-0").unwrap();
        let conn = server.handle.call(move |context| {
            context
                .registry
                .user(&user)
                .into_iter()
                .flat_map(|it| it.connections())
                .map(|it| it.id())
                .next()
        });
        drop(client);
        conn.unwrap().unwrap()
    };
    server.until_empty();
    for cycle in 1..1_000u32 {
        let user = format!("user-{}", cycle % 7);
        let mut client = Client::admitted(server.address, &user);
        match cycle % 5 {
            0 => {}
            1 => client.say("never read"),
            2 => client.send(&frame(CLOSE, &close_payload(1000))),
            3 => client.send(&[0xff; 20]),
            _ => {
                client.say("hello");
                assert_eq!(client.text(), "hello");
            }
        }
    }
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.abandoned), (1_000, 0));
    assert_eq!((stats.sessions_opened, stats.log_bytes), (stats.sessions_ended, 0));
    assert_eq!(stats.rooms, 0);
    assert!(stats.closed(CloseReason::PeerClosed) >= 1 && stats.closed(CloseReason::PeerGone) >= 1);
    // A handle of long ago is an ordinary error, also if its slot has another connection.
    let _someone = Client::admitted(server.address, "someone");
    let stale = server.handle.call(move |context| {
        assert_eq!(ConnId::from_bits(first.to_bits()), Some(first));
        context.registry.message(context.now, first, Inbound::Pong)
    });
    assert!(stale.unwrap().is_err());
    assert!(server.handle.call(|context| context.registry.check()).unwrap().is_ok());
}

#[test]
fn a_message_to_a_room_reaches_all_and_is_encoded_alike() {
    let server = TestServer::start(config());
    let mut clients: Vec<_> =
        (0..50).map(|n| Client::admitted(server.address, &format!("user-{n}"))).collect();
    clients[0].say("to all: hello");
    for client in &mut clients {
        assert_eq!(client.text(), "hello");
    }
}

#[test]
fn who_comes_and_goes_is_told_to_the_others() {
    let server = TestServer::start(config().with_presence());
    let mut alice = Client::admitted(server.address, "alice");
    assert_eq!(alice.text(), "alice is online");
    let mut bob = Client::admitted(server.address, "bob");
    let second = Client::admitted(server.address, "bob");
    assert_eq!(alice.text(), "bob is online");
    second.reset();
    server.next_gone();
    bob.send(&frame(CLOSE, &close_payload(1000)));
    assert_eq!(alice.text(), "bob is offline");
    // A tab that was dropped may come back, within the grace.
    Client::admitted(server.address, "carol").reset();
    assert_eq!(alice.text(), "carol is online");
    let _carol = Client::admitted(server.address, "carol");
    let _dave = Client::admitted(server.address, "dave");
    assert_eq!(alice.text(), "dave is online");
}

/// A kernel's send buffer grows to megabytes. What a client does not read must not pile up there.
#[test]
#[cfg(target_os = "linux")]
fn what_a_client_does_not_read_is_not_kept_in_the_kernel() {
    let server = TestServer::start(config());
    let _client = Client::admitted(server.address, "alice");
    for _ in 0..400 {
        let sent = server.handle.call(|context| {
            let user = UserId::new("alice").unwrap();
            context.registry.send(
                context.now,
                Target::User(&user),
                Message::binary(vec![7; 10_000]),
            )
        });
        assert!(!sent.unwrap().full);
    }
    thread::sleep(Duration::from_millis(200));
    // The client's own buffer, the window, and what may be unsent: some 250 KB.
    let sent = server.stats().sent;
    assert!(sent < 100, "{sent} messages of 10 KB were handed out");
}

#[test]
fn sockets_are_served_between_long_calls() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    let ((go, begin), (served, wait)) = (channel::<()>(), channel::<()>());
    // It holds up the loop until all the others wait behind it, and a ping in the socket.
    let hold = move |_: &mut Context<'_>| {
        let _ = begin.recv_timeout(PATIENCE);
    };
    server.handle.post(hold).unwrap();
    for _ in 0..5 {
        let long = |_: &mut Context<'_>| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(2) {
                std::hint::spin_loop();
            }
        };
        server.handle.post(long).unwrap();
    }
    let (report, reported) = channel();
    let last = move |_: &mut Context<'_>| {
        let _ = report.send(wait.recv_timeout(PATIENCE / 4).is_ok());
    };
    server.handle.post(last).unwrap();
    client.send(&frame(PING, b"?"));
    go.send(()).unwrap();
    assert_eq!(client.frame(), (PONG, b"?".to_vec()));
    // A server that runs all calls in one turn has answered only after the last of them.
    let _ = served.send(());
    assert!(reported.recv().unwrap(), "the pong came before the last call");
}

#[test]
fn stop_closes_everyone_and_then_run_returns() {
    let server = TestServer::start(config());
    let mut clients: Vec<_> =
        (0..20).map(|n| Client::admitted(server.address, &format!("user-{n}"))).collect();
    let mut pending = Client::upgraded(server.address, "");
    let mut half = Client::bare(server.address);
    half.send(b"GET /ws HTTP/1.1\r\n");
    server.until("all are there", |stats| stats.open == 20 && stats.pending == 2);
    server.handle.stop();
    for client in &mut clients {
        assert_eq!(client.text(), "draining");
    }
    let mut late = Client::bare(server.address);
    late.send(upgrade("?user=late").as_bytes());
    let (status, head, _) = late.answer();
    assert!(status == 503 && head.contains("\r\nRetry-After: "), "{status} {head}");
    for client in &mut clients {
        client.expect_close(1012);
        client.send(&frame(CLOSE, &close_payload(1012)));
        client.expect_end();
    }
    pending.expect_close(1012);
    assert_eq!(half.answer().0, 503);
    drop((clients, pending, half));
    let (handle, address) = (server.handle.clone(), server.address);
    server.join().unwrap();
    assert_eq!(handle.call(|context| context.now), Err(HandleError::Stopped));
    assert!(std::net::TcpStream::connect(address).is_err(), "it listens no more");
}

#[test]
fn stop_waits_for_peers_no_longer_than_the_close_handshake() {
    let server = TestServer::start(config().close_handshake(Duration::from_millis(50)));
    let mut client = Client::admitted(server.address, "alice");
    server.handle.stop();
    client.expect_drain();
    // It never answers.
    server.join().unwrap();
    client.expect_dropped();
}

#[test]
fn a_second_stop_does_not_wait_at_all() {
    let server = TestServer::start(config().close_handshake(Duration::from_secs(3600)));
    let mut client = Client::admitted(server.address, "alice");
    server.handle.stop();
    client.expect_drain();
    server.handle.stop();
    server.join().unwrap();
    client.expect_dropped();
}

#[test]
fn an_idle_server_stops_at_once_and_keeps_no_caller_waiting() {
    let server = TestServer::start(config());
    server.handle.stop();
    let handle = server.handle.clone();
    server.join().unwrap();
    assert_eq!(handle.post(|_| ()), Err(HandleError::Stopped));
}

#[test]
fn a_server_that_never_runs_tells_its_callers() {
    let bound = TestServer::bind(config(), Options::new());
    let handle = bound.server.handle();
    let (sent, posted) = channel();
    let caller = thread::spawn(move || {
        let witness = sent.clone();
        handle.post(move |_| witness.send(()).unwrap()).unwrap();
        sent.send(()).unwrap();
        handle.call(|context| context.now)
    });
    posted.recv().unwrap();
    drop(bound);
    assert_eq!(caller.join().unwrap(), Err(HandleError::Stopped));
}

#[test]
fn other_threads_publish() {
    let server = TestServer::start(config());
    let mut client = Client::admitted(server.address, "alice");
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let handle = server.handle.clone();
            thread::spawn(move || {
                for n in 0..50 {
                    let text = format!("{n}");
                    let delivery = handle.call(move |context| {
                        let alice = UserId::new("alice").unwrap();
                        context.registry.send(
                            context.now,
                            Target::User(&alice),
                            Message::text(text),
                        )
                    });
                    assert_eq!(delivery.unwrap().stored().len(), 1);
                }
            })
        })
        .collect();
    let mut texts: Vec<u32> = (0..200).map(|_| client.text().parse().unwrap()).collect();
    texts.sort_unstable();
    let expected: Vec<u32> = (0..50).flat_map(|n| [n; 4]).collect();
    assert_eq!(texts, expected);
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    let first = TestServer::start(config());
    let second = Server::bind(first.address, config().build().unwrap(), Options::new());
    let error = second.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&first.address.to_string()), "{error}");
}

/// A client that does not read falls behind, and is closed when it is found stuck; another one of
/// the same room gets every message meanwhile.
#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let config = config()
        .slow_deadline(Duration::from_millis(300))
        .close_handshake(Duration::from_millis(50));
    let server = TestServer::start(config);
    let mut reader = Client::admitted(server.address, "reader");
    let sleeper = Client::admitted(server.address, "sleeper");
    let text = "x".repeat(60_000);
    let end = Instant::now() + PATIENCE;
    while server.stats().live == 2 {
        assert!(Instant::now() < end, "it is never found stuck");
        let message = Message::text(text.clone());
        let delivery = server.handle.call(|context| {
            let room = RoomId::new("all").unwrap();
            context.registry.send(context.now, Target::Room(&room), message)
        });
        assert!(!delivery.unwrap().reaches_none());
        assert_eq!(reader.text(), text);
    }
    assert_eq!(server.next_gone(), CloseReason::SlowConsumer);
    assert!(server.stats().deferred >= 1);
    reader.say("still here");
    assert_eq!(reader.text(), "still here");
    drop(sleeper);
}

/// A client that asks for more than it reads is not read either, until it reads: every request is
/// answered, in order.
#[test]
fn a_client_that_asks_faster_than_it_reads_gets_every_answer() {
    const ROUNDS: usize = 400;
    let server = TestServer::start(config().send_window(4 * 1024).reply_reserve(70 * 1024));
    let mut client = Client::narrow(server.address);
    client.send(upgrade("?user=alice").as_bytes());
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.text(), "welcome");
    let mut writer = Client { stream: client.stream.try_clone().unwrap() };
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            for round in 0..ROUNDS {
                writer.send(&frame(BINARY, &vec![round as u8; 50_000]));
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    // Twenty megabytes fit no socket: it stands still, in both directions, until we read.
    let end = Instant::now() + PATIENCE;
    let mut before = usize::MAX;
    while before != asked.load(Ordering::Relaxed) {
        assert!(Instant::now() < end);
        before = asked.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(before < ROUNDS, "somebody keeps what nobody reads");
    for round in 0..ROUNDS {
        let (first, payload) = client.frame();
        assert_eq!((first, payload.len()), (BINARY, 50_000));
        assert!(payload.iter().all(|byte| *byte == round as u8), "in order");
    }
    asking.join().unwrap();
    client.send(&frame(CLOSE, &close_payload(1000)));
    client.expect_close(1000);
    drop(client);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerClosed), 1);
}

/// More than a turn may hand out, and more than a flush may write: the loop goes on by itself, as
/// no event tells it to.
#[test]
fn a_storm_takes_as_many_turns_as_it_needs() {
    const MESSAGES: usize = 3_000;
    let config = config()
        .ping_interval(Duration::ZERO)
        .send_window(1 << 20)
        .stream_messages(MESSAGES as u32)
        .stream_bytes(1 << 20);
    let server = TestServer::start(config);
    let mut client = Client::admitted(server.address, "alice");
    server
        .handle
        .post(|context| {
            let alice = UserId::new("alice").unwrap();
            for n in 0..MESSAGES {
                let message = Message::text(n.to_string());
                assert_eq!(
                    context.registry.send(context.now, Target::User(&alice), message).live,
                    1
                );
            }
        })
        .unwrap();
    for n in 0..MESSAGES {
        assert_eq!(client.text(), n.to_string());
    }
}

/// The same where nothing is written, so that nothing else keeps the loop awake.
#[test]
fn a_storm_of_cleanups_takes_as_many_turns_as_it_needs() {
    const SOCKETS: u32 = 3_000;
    let server = TestServer::start(config().pending(SOCKETS));
    server
        .handle
        .post(|context| {
            for _ in 0..SOCKETS {
                let conn = context.registry.reserve(context.now, None).unwrap();
                context.registry.disconnect(context.now, conn).unwrap();
            }
        })
        .unwrap();
    for _ in 0..SOCKETS {
        assert_eq!(server.next_gone(), CloseReason::PeerGone);
    }
}

#[test]
fn calls_beyond_the_share_of_a_turn_run_all_the_same() {
    let server = TestServer::start(config());
    let (started, loop_is_busy) = channel();
    let (go, gone_on) = channel();
    server
        .handle
        .post(move |_| {
            started.send(()).unwrap();
            gone_on.recv().unwrap();
        })
        .unwrap();
    loop_is_busy.recv().unwrap();
    let (ran, all) = channel();
    for n in 0..900 {
        let ran = ran.clone();
        server.handle.post(move |_| ran.send(n).unwrap()).unwrap();
    }
    go.send(()).unwrap();
    for n in 0..900 {
        assert_eq!(all.recv_timeout(PATIENCE), Ok(n));
    }
}

/// A client that always has more than its share unread does not hold up the time of others.
#[test]
fn a_flood_does_not_stop_the_clock() {
    let server = TestServer::start(config().head_deadline(Duration::from_millis(50)));
    let mut flooder = Client::admitted(server.address, "flooder");
    let over = Arc::new(AtomicBool::new(false));
    let flooding = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let burst = frame(PONG, b"").repeat(50_000);
            while !over.load(Ordering::Relaxed) {
                flooder.send(&burst);
            }
        }
    });
    server.until("the flood runs", |stats| stats.pongs_received > 10_000);
    let mut half = Client::bare(server.address);
    half.send(b"GET /ws HTTP/1.1\r\n");
    assert_eq!(half.answer().0, 408);
    over.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
}
