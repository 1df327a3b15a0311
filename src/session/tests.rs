//! Sessions by name, and when they begin to linger.

use alloc::format;

use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn thread(name: &str) -> ThreadId {
    ThreadId::new(name).unwrap()
}

fn with_user() -> (Sessions, UserKey) {
    let mut sessions = Sessions::new(7);
    let user = sessions.hold_user(None, UserId::new("alice").unwrap());
    (sessions, user)
}

fn insert(sessions: &mut Sessions, user: UserKey, thread: ThreadId) -> SessionKey {
    sessions.insert(NonZeroU32::MIN, user, thread, StreamKey::of_slot(0), at(0))
}

#[test]
fn threads_whose_names_have_one_hash_are_told_apart() {
    let (mut sessions, user) = with_user();
    for number in 0..LISTED {
        insert(&mut sessions, user, thread(&format!("one of the first {number}")));
    }
    let name = |number: u32| format!("{number}");
    let numbers = sessions.threads.of_one_hash(|number| (user, name(number)));
    let keys = numbers.map(|number| insert(&mut sessions, user, thread(&name(number))));
    let found = numbers.map(|number| sessions.find(user, &thread(&name(number))));
    assert_eq!(found, keys.map(Some));
    assert_eq!(sessions.find(user, &thread("another")), None);
}

#[test]
fn a_session_begins_to_linger_anew_with_the_last_run_and_without_connections() {
    let (mut sessions, user) = with_user();
    let session = insert(&mut sessions, user, thread("main"));
    sessions.run_opened(session);
    assert!(!sessions.run_ended(session, at(1)), "it does not linger");
    assert!(!sessions.get(session).extras.is_there(), "nothing is kept of it");
    sessions.begin_to_linger(session, at(2));
    sessions.run_opened(session);
    sessions.run_opened(session);
    assert!(!sessions.run_ended(session, at(3)), "another run is open");
    assert_eq!(sessions.get(session).lingers_since(), Some(at(2)));
    assert!(sessions.run_ended(session, at(4)));
    assert_eq!(sessions.get(session).lingers_since(), Some(at(4)));
}
