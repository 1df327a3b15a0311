//! Coming back in the middle of a stream.

use std::thread;
use std::time::Duration;

use headcount::{Message, Position, Target, ThreadId, UserId};

use crate::common::*;
use crate::{Pace, Site, twenty};

/// The messages are their numbers, which are their offsets: nothing else is in the stream.
fn stream(site: &Site, messages: u64, batch: u64) {
    let mut pace = Pace::of(Duration::from_millis(5));
    for first in (1..=messages).step_by(batch as usize) {
        let stored = site.handle.call(move |context| {
            let (user, thread) = (UserId::new("alice").unwrap(), ThreadId::new("main").unwrap());
            let session = context
                .registry
                .user(&user)
                .and_then(|it| it.session(&thread))
                .map(|it| it.id())
                .expect("it lingers");
            let numbers = first..first + batch;
            numbers.fold(0, |stored, number| {
                let message = Message::text(number.to_string());
                let delivery =
                    context.registry.send(context.now, Target::Session(session), message);
                stored + delivery.stored().len()
            })
        });
        assert_eq!(stored, Ok(batch as usize));
        pace.next();
    }
}

#[test]
fn a_hundred_reconnects_in_a_stream_of_ten_thousand_lose_and_repeat_nothing() {
    let (messages, reconnects) = (10_000, 100);
    let server = TestServer::start(
        twenty()
            .session_linger(PATIENCE)
            .stream_messages(messages as u32)
            .stream_bytes(messages * 128)
            .stream_ttl(PATIENCE * 3),
    );
    let site = Site::of(&server);
    let mut tab = site.tab("alice", "main");
    let session = site.session("alice", "main").unwrap();
    let start = site
        .handle
        .call(move |context| context.registry.session(session).map(|it| it.position()))
        .unwrap();
    let epoch = start.expect("a session").epoch;
    let mut seen = 0;
    thread::scope(|scope| {
        scope.spawn(|| stream(&site, messages, 50));
        for turn in 1..=reconnects {
            // It goes without a word, with something on its way more often than not.
            while seen < messages * turn / (reconnects + 1) {
                seen += 1;
                tab.hears(&seen.to_string());
            }
            let thread = format!("main{}", since(Position { epoch, offset: seen }));
            std::mem::replace(&mut tab, site.tab("alice", &thread)).hang_up();
        }
        while seen < messages {
            seen += 1;
            tab.hears(&seen.to_string());
        }
    });
    // Nothing follows.
    tab.is_well();
    let stats = site.books();
    assert_eq!((seen, stats.stored, stats.gaps), (messages, messages, 0));
    assert_eq!((stats.opened, stats.sessions_opened), (reconnects + 1, 1));
}
