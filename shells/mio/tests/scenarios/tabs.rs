//! One user, many tabs.

use std::time::Duration;

use headcount::CloseReason;

use crate::common::*;
use crate::{Pace, Site, Tab, twenty};

/// Eight tabs open, 100 ms apart, and three of them close, each in its own way. Returns the others.
pub(crate) fn eight_tabs(site: &Site, user: &str) -> Vec<Tab> {
    let mut pace = Pace::of(Duration::from_millis(100));
    let tabs: Vec<_> = (0..8)
        .map(|number| {
            pace.next();
            site.tab(user, &format!("thread{number}"))
        })
        .collect();
    assert_eq!(site.connections_of(user), 8);
    let mut stay = Vec::new();
    for (number, tab) in tabs.into_iter().enumerate() {
        match number {
            0 => tab.hang_up(),
            3 => tab.close(),
            6 => tab.client.reset(),
            _ => stay.push(tab),
        }
    }
    site.until_connections(user, 5);
    site.tell(user, "hello");
    for tab in &mut stay {
        tab.hears("hello");
        tab.is_well();
    }
    site.books();
    stay
}

#[test]
fn eight_tabs_open_and_three_close_and_five_go_on_as_if_nothing_was() {
    let server = TestServer::start(twenty().ping_interval(Duration::from_millis(500)));
    let site = Site::of(&server);
    let mut stay = eight_tabs(&site, "alice");
    let stats = server.until("the other three are forgotten", |stats| stats.live == 5);
    assert_eq!((stats.opened, stats.open, stats.sessions, stats.users), (8, 5, 5, 1));
    // Heartbeats, which a browser answers, cost nobody anything.
    for tab in &mut stay {
        tab.is_pinged();
        tab.is_well();
    }
    let stats = site.books();
    assert_eq!((stats.open, stats.closed_total()), (5, 3));
    assert_eq!(
        (stats.closed(CloseReason::PeerClosed), stats.closed(CloseReason::PeerGone)),
        (1, 2)
    );
    assert!(stats.pongs_received >= 5);
    drop(stay);
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.refused, stats.abandoned), (8, 0, 0));
}

/// Ten sessions, each named by two components, 50 ms apart, in both orders. Whoever asks by name
/// finds the one that both have.
pub(crate) fn two_components(site: &Site, user: &str) {
    for number in 0..10 {
        let names = [format!("thread{number}"), format!("thread{}", 9 - number)];
        let mut pace = Pace::of(Duration::from_millis(50));
        let first = site.tab(user, &names[0]);
        let session = site.session(user, &names[0]).expect("a session");
        pace.next();
        let second = site.tab(user, &names[0]);
        assert_eq!(site.session(user, &names[0]), Some(session));
        assert_ne!(site.session(user, &names[1]), Some(session));
        assert_eq!(site.connections_of(user), 2);
        // The component that came first is not always the one that goes first.
        for mut tab in if number % 2 == 0 { [first, second] } else { [second, first] } {
            tab.is_well();
            tab.hang_up();
        }
        site.until_connections(user, 0);
    }
    site.books();
}

#[test]
fn two_components_that_name_the_same_user_and_thread_mean_one_session() {
    let server = TestServer::start(twenty());
    two_components(&Site::of(&server), "alice");
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.sessions_opened, stats.sessions_ended), (20, 10, 10));
    assert_eq!(stats.closed(CloseReason::PeerGone), 20);
}
