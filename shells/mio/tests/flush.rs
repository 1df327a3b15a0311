//! What the registry is told was flushed: what the kernel took, not what was queued.

mod common;

use std::time::{Duration, Instant};

use common::*;
use headcount::{ConnId, Message, Target};
use headcount_mio::Context;

const MIB: u64 = 1024 * 1024;

/// What is flushed to a connection, and what is handed out to it and not flushed.
fn flushed_and_load(server: &TestServer, conn: ConnId) -> (u64, u64) {
    let look = move |context: &mut Context<'_>| {
        let conn = context.registry.connection(conn).unwrap();
        (conn.flushed(), conn.load())
    };
    server.handle.call(look).unwrap()
}

#[test]
fn only_what_the_kernel_took_counts_as_flushed() {
    // All of it is handed out at once, so all of it is queued: far more than sockets have room for.
    let (messages, bytes) = (512, 64 * 1024);
    let total = messages as u64 * bytes as u64;
    let server = TestServer::start(
        config()
            .send_window(2 * total)
            .stream_messages(messages as u32)
            .stream_bytes(2 * total)
            .user_bytes(2 * total)
            .slow_deadline(PATIENCE * 3),
    );
    let mut client = Client::narrow_admitted(server.address, "alice");
    let conn = client.conn();
    server.until("all before is flushed", |_| flushed_and_load(&server, conn).1 == 0);
    let (before, _) = flushed_and_load(&server, conn);
    let cost = server.handle.call(move |context| {
        let session = context.registry.connection(conn).and_then(|it| it.session()).unwrap();
        let message = Message::binary(vec![7; bytes]);
        for _ in 0..messages {
            let to = Target::Session(session);
            assert_eq!(context.registry.send(context.now, to, message.clone()).live, 1);
        }
        messages as u64 * message.cost()
    });
    let cost = cost.unwrap();
    server.until("all is handed out", |stats| stats.sent > messages as u64);
    // The kernel takes some, and then no more: for as long as it takes to be sure of that.
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(200) {
        let (flushed, load) = flushed_and_load(&server, conn);
        assert_eq!(flushed - before + load, cost, "what is not flushed is still to be");
        if flushed != last {
            (last, since) = (flushed, Instant::now());
        }
    }
    let in_kernel = last - before;
    println!("the kernel took {in_kernel} of {cost}");
    assert!(in_kernel < cost / 2, "{in_kernel} of {cost}");

    // What has arrived was flushed, and no more was than that and what kernels hold.
    let mut read = 0;
    for number in 1..=messages as u64 {
        let (_, payload) = client.frame();
        read += payload.len() as u64;
        if number % 64 == 0 {
            let flushed = flushed_and_load(&server, conn).0 - before;
            assert!(flushed >= read, "{flushed} flushed, {read} read");
            assert!(flushed <= read + number * 64 + 2 * in_kernel + MIB, "{flushed}, {read} read");
        }
    }
    server.until("all is flushed", |_| flushed_and_load(&server, conn) == (before + cost, 0));
}
