//! Everything together.

use std::thread;
use std::time::Duration;

use headcount::CloseReason;

use crate::common::*;
use crate::{Pace, Site, Tab, churn, limits, tabs, twenty};

/// The five stories, a user each, on one server and at the same time.
#[test]
fn five_stories_at_once_do_not_disturb_each_other() {
    let server = TestServer::start(twenty().session_linger(churn::LINGER));
    let site = Site::of(&server);
    let mut left: Vec<Tab> = thread::scope(|scope| {
        let stories = [
            scope.spawn(|| tabs::eight_tabs(&site, "tabs")),
            scope.spawn(|| limits::burst(&site, "burst")),
            scope.spawn(|| {
                churn::reconnects(&site, "reconnects");
                Vec::new()
            }),
            scope.spawn(|| {
                tabs::two_components(&site, "components");
                Vec::new()
            }),
            scope.spawn(|| churn::race(&site, "race")),
        ];
        stories.into_iter().flat_map(|story| story.join().expect("a story's end")).collect()
    });
    let rounds = sizes::by_machine(20, 10);
    let stay = rounds.div_ceil(3);
    assert_eq!(left.len(), 5 + 20 + stay);
    left.iter_mut().for_each(Tab::is_well);
    let stats = server.until("the others are forgotten", |stats| stats.live == stats.open);
    assert_eq!((stats.open as usize, stats.refused), (left.len(), 0));
    assert_eq!(stats.opened, (8 + 25 + 15 + 20 + rounds) as u64);
    assert_eq!(stats.closed(CloseReason::Evicted), 5, "as the burst asks for");
    site.books();
    drop(left);
    let stats = server.until_empty();
    // Eight, one for each of the 25 threads of the burst, ten with two components, and two more.
    assert_eq!((stats.sessions_opened, stats.sessions_ended), (45, 45));
    // The server closed only the connections that it should have. All others left by themselves.
    let by_server = (1..rounds).filter(|round| round % 3 == 1).count() as u64;
    assert_eq!(stats.closed(CloseReason::Application), by_server);
    let by_peer = stats.closed(CloseReason::PeerClosed) + stats.closed(CloseReason::PeerGone);
    assert_eq!(by_peer + by_server + 5, stats.opened);
}

/// Fifteen that stay, ten of which every third goes, and five more, while messages are on their
/// way; then the first user has eight more, and three of theirs must go.
#[test]
fn a_comprehensive_day_adds_up() {
    const MESSAGES: usize = 100;
    let server = TestServer::start(twenty());
    let site = Site::of(&server);
    let mut alices: Vec<_> =
        (0..15).map(|number| site.tab("alice", &format!("thread{number}"))).collect();
    let mut carols: Vec<_> = (0..5).map(|_| site.tab("carol", "main")).collect();
    let mut bobs = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                site.tell("carol", &number.to_string());
            }
        });
        scope.spawn(|| (0..MESSAGES).for_each(|_| site.tell("alice", "for alice")));
        let mut pace = Pace::of(Duration::from_millis(50));
        let mut bobs = Vec::new();
        for number in 0..10 {
            let bob = site.tab("bob", "main");
            if number % 3 == 0 {
                bob.hang_up()
            } else {
                bobs.push(bob)
            }
            pace.next();
        }
        bobs
    });
    for carol in &mut carols {
        (0..MESSAGES).for_each(|number| carol.hears(&number.to_string()));
    }
    for alice in &mut alices {
        (0..MESSAGES).for_each(|_| alice.hears("for alice"));
    }
    alices.extend((15..23).map(|number| site.tab("alice", &format!("thread{number}"))));
    assert_eq!(site.connections_of("alice"), 20);
    alices.drain(..3).for_each(|alice| alice.expect_close(CloseReason::Evicted.code()));
    for tab in alices.iter_mut().chain(&mut bobs).chain(&mut carols) {
        tab.is_well();
    }
    let stats = server.until("seven are forgotten", |stats| stats.live == 31);
    assert_eq!((stats.opened, stats.open, stats.users, stats.refused), (38, 31, 3, 0));
    assert_eq!((stats.closed(CloseReason::Evicted), stats.closed(CloseReason::PeerGone)), (3, 4));
    site.books();
    drop((alices, bobs, carols));
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerGone), 38 - 3);
}
