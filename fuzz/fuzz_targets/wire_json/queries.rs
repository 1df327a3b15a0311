//! What the query of an upgrade says: who connects, and where their session goes on.

use headcount::{ConnId, Position, Start, ThreadId, UserId};
use headcount_protocol::epoch::{parse_epoch, show_epoch};
use headcount_protocol::handles::show_connection;
use headcount_protocol::identity::{self, Identity};

use crate::asks::number_of;
use crate::is_refusal;

/// What stands between the words of JSON and of queries.
const BETWEEN_WORDS: [char; 6] = ['"', ':', ',', '&', '=', ' '];

/// The instance of the registry.
const HERE: u64 = 11;

/// Words of a text that are looked at on their own.
const MOST_WORDS: usize = 32;

pub(crate) fn check(text: &str, [epoch, offset, previous]: [u64; 3]) {
    assert_eq!(parse_epoch(&show_epoch(epoch)), epoch);
    for word in text.split(BETWEEN_WORDS).take(MOST_WORDS).chain([text]) {
        assert_eq!(parse_epoch(word), number_of(word).unwrap_or(0));
        position(word);
    }
    match identity::from_query(text, HERE) {
        Ok(identity) => is_the_same_again(&identity),
        Err(problem) => is_refusal(&problem),
    }
    made(text, Position { epoch, offset }, ConnId::from_bits(previous));
}

/// Any text as an offset, and as an epoch.
fn position(text: &str) {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = if digits { text.parse().ok() } else { None };
    match identity::position("f", text) {
        Ok(position) => assert_eq!((position.epoch, Some(position.offset)), (15, offset)),
        Err(problem) => {
            assert_eq!(offset, None);
            is_refusal(&problem);
        }
    }
}

/// Each byte as its number, so that nothing of it means anything to the query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn query(user: &str, thread: &str, start: &Start, previous: Option<ConnId>) -> String {
    let mut query = format!("user={}&thread={}", encoded(user), encoded(thread));
    match start {
        Start::After(Position { epoch, offset }) => {
            query += &format!("&epoch={}&offset={offset}", show_epoch(*epoch));
        }
        Start::Run(run) => query += &format!("&run={}", encoded(run.as_str())),
        Start::Recent => query += "&recent=1",
        Start::OpenRuns => {}
        other => panic!("no query begins with {other:?}"),
    }
    if let Some(previous) = previous {
        query += &format!("&previous={}", show_connection(HERE, previous));
    }
    query
}

/// What was understood, written down anew, is understood the same.
fn is_the_same_again(identity: &Identity) {
    let Identity { who, start, previous } = identity;
    let thread = who.thread().expect("every query has one");
    let query = query(who.user().as_str(), thread.as_str(), start, *previous);
    assert_eq!(identity::from_query(&query, HERE).as_ref(), Ok(identity), "{query}");
}

/// Any text as a name, with any position: taken exactly if it is a name.
fn made(text: &str, position: Position, previous: Option<ConnId>) {
    let (user, thread) = text.split_once('\n').unwrap_or((text, "main"));
    let start = Start::After(position);
    let parsed = identity::from_query(&query(user, thread, &start, previous), HERE);
    // This character stands for bytes that are no text.
    let readable = !text.contains(char::REPLACEMENT_CHARACTER);
    match (UserId::new(user), ThreadId::new(thread), parsed) {
        (Ok(user), Ok(thread), Ok(identity)) => {
            assert_eq!((identity.who.user(), identity.who.thread()), (&user, Some(&thread)));
            let begins = (&identity.start, identity.previous);
            assert!(readable && begins == (&start, previous), "{identity:?}");
        }
        (Ok(_), Ok(_), Err(problem)) => assert!(!readable, "{problem:?}"),
        (_, _, Ok(identity)) => panic!("{identity:?}"),
        (_, _, Err(problem)) => is_refusal(&problem),
    }
}
