//! Users with names of 36 bytes, and connections of theirs.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use headcount_load::{Crowd, Target};

/// Bytes of a name: those of a UUID.
const NAME: usize = 36;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of a user, or of the user's thread, of this number.
pub(crate) fn name(number: usize) -> String {
    let digits = number.to_string();
    format!("{}{digits}", prefix(digits.len()))
}

/// What stands before so many digits.
fn prefix(digits: usize) -> String {
    format!("user-{:0<1$}-", "", NAME - digits - 6)
}

/// Connects the users of these numbers, in one crowd from its beginning on: the number of a user is that of
/// the connection. Each follows a thread of its own.
pub(crate) fn connect(crowd: &mut Crowd, gateway: SocketAddr, users: Range<usize>) {
    let mut first = users.start;
    while first < users.end {
        let digits = first.to_string().len();
        let end = users.end.min(10_usize.pow(digits as u32));
        let prefix = prefix(digits);
        let url = format!("ws://{gateway}/ws?user={prefix}{{n}}&thread={prefix}{{n}}");
        let target = Target::new(&url).expect("a URL");
        let numbers = crowd.connect(&target, end - first, |_| {}).expect("they are admitted");
        assert_eq!(numbers, first..end, "the crowd was empty");
        first = end;
    }
}

/// Reads until so many messages have come to all of them.
pub(crate) fn await_messages(crowd: &mut Crowd, expected: u64) {
    let (mut reports, mut came, end) = (Vec::new(), 0, Instant::now() + PATIENCE);
    while came < expected {
        crowd.turn(Duration::from_millis(100), &mut reports).expect("a poll");
        let counted = count(&mut reports);
        assert_eq!(counted.ended, 0, "a connection has ended");
        came += counted.messages;
        assert!(Instant::now() < end, "{came} of {expected} messages have come");
    }
    assert_eq!(came, expected, "more have come than were sent");
}

/// What a crowd was told in a turn.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) messages: u64,
    pub(crate) ended: u64,
}

/// Counts reports, and takes them.
pub(crate) fn count(reports: &mut Vec<headcount_load::Report>) -> Counted {
    let mut counted = Counted::default();
    for report in reports.drain(..) {
        match report.what {
            headcount_load::What::Messages(messages) => counted.messages += u64::from(messages),
            headcount_load::What::Ended => counted.ended += 1,
            headcount_load::What::Opened(_) => {}
        }
    }
    counted
}
