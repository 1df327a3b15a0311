//! Readers that stop reading, and everybody else.

use std::thread;
use std::time::{Duration, Instant};

use headcount::{CloseReason, ConfigBuilder, Message, RoomId, Target, UserId};

use crate::common::*;
use crate::{Site, Tab, twenty};

const KIB: usize = 1024;

/// Logs in which all of a burst has room.
fn roomy(messages: usize) -> ConfigBuilder {
    let bytes = 2 * messages as u64 * KIB as u64;
    twenty()
        .session_linger(PATIENCE)
        .stream_messages(messages as u32)
        .stream_bytes(bytes)
        .room_messages(messages as u32)
        .room_bytes(bytes)
        .user_bytes(2 * bytes)
        .process_bytes(4 * bytes)
}

/// A kibibyte that begins with a number.
fn numbered(number: usize) -> String {
    format!("{number:<KIB$}")
}

/// So many messages to a user, or to the room that everyone is in, in calls of a hundred.
fn burst(site: &Site, user: Option<&str>, messages: usize) {
    let user = user.map(|user| UserId::new(user).unwrap());
    for first in (0..messages).step_by(100) {
        let user = user.clone();
        let sent = site.handle.call(move |context| {
            let room = RoomId::new("all").unwrap();
            for number in first..messages.min(first + 100) {
                let to = user.as_ref().map_or(Target::Room(&room), Target::User);
                let message = Message::text(numbered(number));
                let delivery = context.registry.send(context.now, to, message);
                assert_eq!(delivery.stored().len(), 1);
            }
        });
        sent.unwrap();
    }
}

fn narrow(site: &Site, user: &str) -> Tab {
    Tab { client: Client::narrow_admitted(site.address, user) }
}

#[test]
fn a_reader_that_stalls_for_five_seconds_catches_up_in_order() {
    // Ten mebibytes, which no socket of these has room for.
    let messages = 10 * KIB;
    let server = TestServer::start(roomy(messages).slow_deadline(Duration::from_secs(15)));
    let site = Site::of(&server);
    let mut tab = narrow(&site, "alice");
    burst(&site, Some("alice"), messages);
    thread::sleep(Duration::from_secs(5));
    let stats = site.books();
    assert_eq!((stats.open, stats.closed_total()), (1, 0));
    assert!(stats.sent < messages as u64, "the log has the rest: {stats:?}");
    let begin = Instant::now();
    for number in 0..messages {
        tab.hears(&numbered(number));
    }
    tab.is_well();
    println!("caught up with {messages} KiB in {:?}", begin.elapsed());
    let stats = site.books();
    assert_eq!((stats.open, stats.gaps, stats.closed_total()), (1, 0, 0));
}

#[test]
fn one_that_never_reads_again_is_closed_and_costs_nobody_anything() {
    let messages = 10 * KIB;
    let server = TestServer::start(roomy(messages).slow_deadline(Duration::from_secs(1)));
    let site = Site::of(&server);
    let mut stalled = narrow(&site, "mallory");
    let others: Vec<Tab> =
        (0..4).map(|number| site.tab(&format!("user{number}"), "main")).collect();
    let begin = Instant::now();
    thread::scope(|scope| {
        let readers: Vec<_> = others
            .into_iter()
            .map(|mut tab| {
                scope.spawn(move || {
                    for number in 0..messages {
                        tab.hears(&numbered(number));
                    }
                    tab.is_well();
                    tab
                })
            })
            .collect();
        burst(&site, None, messages);
        let mut others: Vec<Tab> =
            readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        println!("four others have read {messages} KiB each after {:?}", begin.elapsed());
        server.until("it is closed", |stats| stats.open == 4);
        println!("the one that does not read was closed after {:?}", begin.elapsed());
        others.iter_mut().for_each(Tab::is_well);
        // If it reads after all: what was on its way, in order, and then why.
        let mut number = 0;
        let code = loop {
            match stalled.frame() {
                (TEXT, payload) => assert_eq!(payload, numbered(number).into_bytes()),
                (CLOSE, payload) => break u16::from_be_bytes([payload[0], payload[1]]),
                other => panic!("{other:?}"),
            }
            number += 1;
        };
        assert!(code == 4408 && number < messages, "{code} after {number}");
        stalled.hang_up();
        assert_eq!(server.next_gone(), CloseReason::SlowConsumer);
        others.iter_mut().for_each(Tab::is_well);
        let stats = site.books();
        assert_eq!((stats.open, stats.closed_total(), stats.gaps), (4, 1, 0));
        assert_eq!(stats.closed(CloseReason::SlowConsumer), 1);
    });
}

/// How long it takes until everyone has read ten messages.
fn round(site: &Site, tabs: &mut [Tab]) -> Duration {
    let begin = Instant::now();
    burst(site, None, 10);
    for tab in tabs {
        for number in 0..10 {
            tab.hears(&numbered(number));
        }
    }
    begin.elapsed()
}

#[test]
fn a_stalled_member_among_a_thousand_slows_nobody() {
    // Each costs two descriptors of this process; other tests need some.
    let descriptors = rlimit::increase_nofile_limit(8 * 1024).unwrap() as usize;
    let members = sizes::by_machine(1_000, 300).min(descriptors / 4);
    let rounds = 7;
    let server = TestServer::start(roomy(8 * KIB).slow_deadline(PATIENCE * 3));
    let site = Site::of(&server);
    let mut stalled = narrow(&site, "mallory");
    let mut tabs: Vec<Tab> =
        (1..members).map(|number| site.tab(&format!("user{number}"), "main")).collect();
    let mut median = |stalled: &mut dyn FnMut()| {
        let mut times: Vec<_> = (0..rounds)
            .map(|_| {
                let time = round(&site, &mut tabs);
                stalled();
                time
            })
            .collect();
        times.sort_unstable();
        times[rounds / 2]
    };
    let without = median(&mut || (0..10).for_each(|number| stalled.hears(&numbered(number))));
    // More than its socket has room for; from here on it reads nothing.
    burst(&site, Some("mallory"), 8 * KIB);
    let with = median(&mut || {});
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("{members} members: {without:?} without a stalled one, {with:?} with: {ratio:.2}");
    // Other tests run beside this one.
    assert!(ratio < 3.0, "{with:?} against {without:?}");
    let stats = site.books();
    assert_eq!((stats.open as usize, stats.closed_total()), (members, 0));
    let behind = site.handle.call(|context| {
        let mallory = UserId::new("mallory").unwrap();
        let conn = context
            .registry
            .user(&mallory)
            .into_iter()
            .flat_map(|it| it.connections())
            .map(|it| it.id())
            .next()
            .unwrap();
        context.registry.connection(conn).unwrap().cursors().filter(|cursor| cursor.lagging).count()
    });
    assert!(behind.unwrap() > 0, "it has stalled");
}
