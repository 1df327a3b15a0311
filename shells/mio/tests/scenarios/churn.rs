//! Coming and going, again and again.

use std::time::Duration;

use headcount::CloseReason;

use crate::common::*;
use crate::{Pace, Site, Tab, twenty};

/// How long a session waits for the next of its connections where a story needs one that does:
/// longer than any hiccup of a busy machine.
pub(crate) const LINGER: Duration = Duration::from_secs(3);

/// Fifteen times: connect, hold it for 200 ms, go, and come back after 100 ms.
pub(crate) fn reconnects(site: &Site, user: &str) {
    let mut sessions = Vec::new();
    for cycle in 0..15 {
        let mut tab = site.tab(user, "main");
        sessions.push(site.session(user, "main"));
        std::thread::sleep(Duration::from_millis(200));
        tab.is_well();
        let mut pause = Pace::of(Duration::from_millis(100));
        if cycle % 2 == 0 {
            tab.hang_up()
        } else {
            tab.close()
        }
        site.until_connections(user, 0);
        pause.next();
    }
    sessions.dedup();
    assert!(matches!(sessions[..], [Some(_)]), "a reconnect finds its session: {sessions:?}");
    site.books();
}

#[test]
fn fifteen_reconnect_cycles_of_200_ms_leave_one_session_and_then_none() {
    let server = TestServer::start(twenty().session_linger(LINGER));
    let site = Site::of(&server);
    reconnects(&site, "alice");
    let stats = server.until("no connection is left", |stats| stats.live == 0);
    assert_eq!((stats.opened, stats.closed_total(), stats.refused), (15, 15, 0));
    assert_eq!(
        (stats.closed(CloseReason::PeerGone), stats.closed(CloseReason::PeerClosed)),
        (8, 7)
    );
    let stats = server.until_empty();
    assert_eq!((stats.sessions_opened, stats.sessions_ended), (1, 1));
}

/// A connect every half a second, while the one before it is being cleaned up: because its socket
/// has ended, because the server closes it; every third one is left alone. Returns these.
pub(crate) fn race(site: &Site, user: &str) -> Vec<Tab> {
    // Ten seconds, or five where time is shared with others; the rate is the story.
    let rounds = sizes::by_machine(20, 10);
    let mut pace = Pace::of(Duration::from_millis(500));
    let mut stay: Vec<Tab> = Vec::new();
    for round in 0..rounds {
        match stay.pop() {
            Some(before) if round % 3 == 0 => {
                before.hang_up();
                stay.push(site.tab(user, "main"));
            }
            Some(mut before) if round % 3 == 1 => {
                site.close(before.client.conn());
                stay.push(site.tab(user, "main"));
                before.expect_close(CloseReason::Application.code());
            }
            before => {
                stay.extend(before);
                stay.push(site.tab(user, "main"));
            }
        }
        pace.next();
        site.until_connections(user, stay.len());
        stay.last_mut().unwrap().is_well();
    }
    assert_eq!(stay.len(), rounds.div_ceil(3), "every third one was left alone");
    stay.iter_mut().for_each(Tab::is_well);
    site.books();
    stay
}

#[test]
fn stress_cycles_of_three_connections_end_with_nothing() {
    // As many as the story has in each place.
    let cycles = sizes::by_machine(100, 50);
    let server = TestServer::start(twenty());
    let site = Site::of(&server);
    for cycle in 0..cycles {
        let user = format!("user{}", cycle % 7);
        let mut tabs = [0, 1, 2].map(|number| site.tab(&user, &format!("thread{number}")));
        site.tell(&user, "hello");
        for tab in &mut tabs {
            tab.hears("hello");
        }
        std::thread::sleep(Duration::from_millis(10));
        let [ends, mut closed, breaks] = tabs;
        ends.hang_up();
        site.close(closed.client.conn());
        closed.expect_close(CloseReason::Application.code());
        // Its socket dies in the middle of what it is sent.
        site.tell(&user, "late");
        breaks.client.reset();
        site.until_connections(&user, 0);
    }
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.refused), (cycles as u64 * 3, 0), "all, not four of five");
    assert_eq!(stats.closed(CloseReason::Application), cycles as u64);
    assert_eq!(stats.closed(CloseReason::PeerGone), cycles as u64 * 2);
    assert_eq!(
        (stats.sessions_opened, stats.sessions_ended),
        (cycles as u64 * 3, cycles as u64 * 3)
    );
}
