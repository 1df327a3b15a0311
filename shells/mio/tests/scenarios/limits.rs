//! Full: of one user's own, and of everybody's.

use std::time::{Duration, Instant};

use headcount::{CloseReason, OverCap};

use crate::common::*;
use crate::{Pace, Site, Tab, twenty};

const EVICTED: u16 = CloseReason::Evicted.code();

fn refuse() -> OverCap {
    OverCap::Refuse { retry_after: Duration::from_secs(3) }
}

/// A refused client knows whose limit it was and when to come back.
fn expect_refusal(site: &Site, user: &str, thread: &str) {
    let (status, head, body) = site.refusal(user, thread);
    assert_eq!(status, 429, "{head}");
    assert!(head.contains("\r\nRetry-After: 3\r\n"), "{head}");
    assert!(body.contains("connections_per_user"), "{body}");
}

#[test]
fn the_twenty_first_makes_the_most_silent_one_go_and_is_in() {
    let server = TestServer::start(twenty());
    let site = Site::of(&server);
    let mut tabs: Vec<_> = (0..20).map(|_| site.tab("alice", "main")).collect();
    let stats = site.books();
    assert_eq!((stats.open, stats.closed_total()), (20, 0), "twenty is not too many");
    tabs.push(site.tab("alice", "main"));
    assert_eq!(site.books().open, 20);
    tabs.remove(0).expect_close(EVICTED);
    tabs.iter_mut().for_each(Tab::is_well);
    drop(tabs);
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.refused), (21, 0));
    assert_eq!(stats.closed(CloseReason::Evicted), 1);
}

#[test]
fn the_twenty_first_is_refused_where_the_policy_says_so_and_costs_nobody_anything() {
    let server = TestServer::start(twenty().over_cap(refuse()));
    let site = Site::of(&server);
    let mut tabs: Vec<_> = (0..20).map(|_| site.tab("alice", "main")).collect();
    expect_refusal(&site, "alice", "main");
    assert_eq!(site.books().refused, 1);
    // As soon as there is room, a newcomer is admitted.
    tabs.drain(..5).for_each(Tab::hang_up);
    site.until_connections("alice", 15);
    tabs.extend((0..3).map(|_| site.tab("alice", "main")));
    tabs.iter_mut().for_each(Tab::is_well);
    let stats = site.books();
    assert_eq!((stats.open, stats.opened, stats.refused), (18, 23, 1));
    drop(tabs);
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::PeerGone), 23, "nobody else was closed");
}

/// 25 connects of one user at 15 a second against a cap of 20, each in a thread of its own. Returns
/// the twenty that are left.
pub(crate) fn burst(site: &Site, user: &str) -> Vec<Tab> {
    let begin = Instant::now();
    let mut pace = Pace::of(Duration::from_millis(67));
    let mut tabs = Vec::new();
    for number in 0..25usize {
        pace.next();
        tabs.push(site.tab(user, &format!("thread{number}")));
        assert_eq!(site.connections_of(user), (number + 1).min(20), "exact at every instant");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "five a second at least");
    tabs.drain(..5).for_each(|tab| tab.expect_close(EVICTED));
    tabs.iter_mut().for_each(Tab::is_well);
    site.books();
    tabs
}

#[test]
fn a_cold_start_burst_of_25_at_15_a_second_against_a_cap_of_20_locks_nobody_out() {
    // Nothing is warm: the first connect that the server ever sees is of the burst itself.
    let server = TestServer::start(twenty());
    let tabs = burst(&Site::of(&server), "alice");
    let stats = server.until("the evicted are forgotten", |stats| stats.live == 20);
    assert_eq!((stats.opened, stats.refused, stats.sessions), (25, 0, 20));
    drop(tabs);
    let stats = server.until_empty();
    assert_eq!((stats.closed(CloseReason::Evicted), stats.closed(CloseReason::PeerGone)), (5, 20));
}

#[test]
fn the_same_burst_is_told_when_to_come_back_where_the_policy_is_to_refuse() {
    let server = TestServer::start(twenty().over_cap(refuse()));
    let site = Site::of(&server);
    let mut pace = Pace::of(Duration::from_millis(67));
    let mut tabs = Vec::new();
    for number in 0..25 {
        pace.next();
        let thread = format!("thread{number}");
        match number {
            0..20 => tabs.push(site.tab("alice", &thread)),
            _ => expect_refusal(&site, "alice", &thread),
        }
    }
    tabs.iter_mut().for_each(Tab::is_well);
    let stats = site.books();
    assert_eq!((stats.open, stats.refused), (20, 5));
    // The refused come back, and are in.
    tabs.drain(..5).for_each(Tab::close);
    site.until_connections("alice", 15);
    tabs.extend((20..25).map(|number| site.tab("alice", &format!("thread{number}"))));
    tabs.iter_mut().for_each(Tab::is_well);
    drop(tabs);
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.refused, stats.closed(CloseReason::Evicted)), (25, 5, 0));
}

#[test]
fn a_full_server_of_sockets_that_answer_nothing_lets_their_owners_back() {
    // Each user costs four descriptors of this process, with their ghost.
    let users = sizes::by_machine(100, 50);
    let server = TestServer::start(twenty().connections(users as u32).connections_per_user(20));
    let site = Site::of(&server);
    let name = |number: usize| format!("user{number}");
    let ghosts: Vec<_> = (0..users).map(|number| site.tab(&name(number), "main")).collect();
    let (status, _, body) = site.refusal("stranger", "main");
    assert_eq!((status, body.contains("\"connections\"")), (503, true), "{body}");
    let mut back: Vec<_> = (0..users)
        .map(|number| {
            let tab = site.tab(&name(number), "main");
            assert_eq!(server.stats().open as usize, users, "exact at every instant");
            tab
        })
        .collect();
    back.iter_mut().for_each(Tab::is_well);
    let stats = site.books();
    assert_eq!((stats.open as usize, stats.refused), (users, 1));
    drop((ghosts, back));
    let stats = server.until_empty();
    assert_eq!(stats.closed(CloseReason::Evicted), users as u64);
    assert_eq!(stats.closed(CloseReason::PeerGone), users as u64);
}
