//! Many users at once.

use std::thread;

use crate::common::*;
use crate::{Site, Tab, twenty};

#[test]
fn users_with_two_tabs_each_get_exactly_what_is_theirs() {
    // The story has 25. A machine of one's own can have more; each costs it four descriptors.
    let users = sizes::by_machine(75, 25);
    let server = TestServer::start(twenty());
    let site = Site::of(&server);
    let name = |number: usize| format!("user{number}");
    let mut tabs: Vec<[Tab; 2]> =
        (0..users).map(|number| [(); 2].map(|()| site.tab(&name(number), "main"))).collect();
    // From several threads, so that the messages of different users mix.
    thread::scope(|scope| {
        for sender in 0..4 {
            let site = &site;
            scope.spawn(move || {
                for number in (sender..users).step_by(4) {
                    site.tell(&name(number), &format!("secret of {number}"));
                }
            });
        }
    });
    for (number, tabs) in tabs.iter_mut().enumerate() {
        for tab in tabs {
            tab.hears(&format!("secret of {number}"));
            tab.is_well();
        }
    }
    let stats = site.books();
    assert_eq!((stats.open as usize, stats.users as usize), (users * 2, users));
    assert_eq!(stats.closed_total(), 0);
    drop(tabs);
    server.until_empty();
}

#[test]
fn threads_of_one_user_are_kept_apart() {
    let server = TestServer::start(twenty());
    let site = Site::of(&server);
    let places = [("a", "1"), ("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")];
    let mut tabs = places.map(|(user, thread)| site.tab(user, thread));
    for (user, thread) in places.iter().skip(1) {
        let session = site.session(user, thread).unwrap();
        let text = format!("{user}/{thread}");
        let delivery = site.handle.call(move |context| {
            let message = headcount::Message::text(text);
            context.registry.send(context.now, headcount::Target::Session(session), message)
        });
        assert_eq!(delivery.unwrap().stored().len(), 1);
    }
    for ((user, thread), tab) in places.iter().zip(&mut tabs) {
        tab.hears(&format!("{user}/{thread}"));
        tab.is_well();
    }
    drop(tabs);
    let stats = server.until_empty();
    assert_eq!((stats.opened, stats.sessions_opened), (5, 4));
}
