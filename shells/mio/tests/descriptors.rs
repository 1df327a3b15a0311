//! Running out of descriptors. Alone in its process, because it lowers the limit for all of it.

mod common;

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::*;
use headcount_mio::Options;
use rlimit::Resource;

/// The descriptors in use, among them the one that counts.
fn open_descriptors() -> Vec<u64> {
    let names = fs::read_dir("/proc/self/fd").unwrap();
    names.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect()
}

/// Lets a process have this many more descriptors than it has now.
fn allow_more(more: u64) {
    let (_, hard) = Resource::NOFILE.get().unwrap();
    let used = open_descriptors();
    // The limit is one on numbers: free ones below the highest would count as well.
    let highest = used.iter().max().unwrap();
    let free = (0..*highest).filter(|number| !used.contains(number)).count() as u64;
    Resource::NOFILE.set((highest + 1 + more).saturating_sub(free).min(hard), hard).unwrap();
}

/// How long the thread of this file of the kernel's was running: what it has worked, however busy
/// the machine is otherwise.
fn worked(schedstat: &mut File) -> Duration {
    let mut text = String::new();
    schedstat.rewind().unwrap();
    schedstat.read_to_string(&mut text).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_listener_survives_the_want_of_descriptors() {
    if !fs::exists("/proc/self/fd").unwrap_or(false) {
        return;
    }
    let before = Resource::NOFILE.get().unwrap();
    let bound = TestServer::bind(config(), Options::new());
    let address = bound.server.local_addr();
    // All of them wait in the kernel's queue; the server has seen none.
    let mut clients: Vec<_> = (0..30)
        .map(|n| {
            let mut client = Client::bare(address);
            client.send(upgrade(&format!("?user=user-{n}")).as_bytes());
            client
        })
        .collect();
    allow_more(8);
    // The loop's own figures, opened by its first call: later there is no descriptor for that.
    let (sender, schedstat) = channel();
    let posted = bound.server.handle().post(move |_| {
        sender.send(File::open("/proc/thread-self/schedstat")).unwrap();
    });
    posted.unwrap();
    let server = bound.run();
    let mut schedstat = schedstat.recv().unwrap().unwrap();
    let stats = server.until("some are let in", |stats| stats.open > 0);
    assert!(stats.open <= 10, "{stats:?}");
    // Those that are in are served, and nothing turns in circles meanwhile.
    let first = &mut clients[0];
    assert!(first.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(first.text(), "welcome");
    for _ in 0..2 {
        let before = worked(&mut schedstat);
        thread::sleep(Duration::from_millis(300));
        let worked = worked(&mut schedstat) - before;
        assert!(worked < Duration::from_millis(60), "{worked:?} to wait for 300 ms");
        first.say("still here?");
        assert_eq!(first.text(), "still here?");
    }
    let open = server.stats().open;
    assert!(open < 30);

    // A descriptor that one gives back goes to the next, without any new edge.
    for client in clients.drain(..10) {
        drop(client);
    }
    server.until("the next are let in", |stats| stats.opened >= u64::from(open) + 5);

    // With room again, the others are let in within the time of a retry.
    Resource::NOFILE.set(before.0, before.1).unwrap();
    server.until("all are let in", |stats| stats.opened + stats.abandoned == 30);
    for client in clients.iter_mut().skip(10) {
        assert!(client.head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.text(), "welcome");
    }
    drop(clients);
    server.until_empty();

    // And none of their descriptors stays behind.
    let idle = open_descriptors().len();
    for _ in 0..50 {
        drop(Client::admitted(address, "alice"));
    }
    server.until_empty();
    assert_eq!(open_descriptors().len(), idle);
}
