//! How a connection ends, as a client sees it: the code of the close frame, and its reason.
//!
//! [`CloseReason`] has the codes that a server sends, and [`CloseWords`](headcount::CloseWords) those of
//! the application.

use std::time::Duration;

use headcount::{CloseReason, Retry};

/// The longest wait that a client believes in.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// What a client does after a code: one of the server's, of a proxy's, or 1006 if there was none.
///
/// After 4405 it comes back with new credentials. It may do so once after 4500.
#[must_use]
pub fn retry(code: u16) -> Retry {
    let reason = CloseReason::ALL.iter().find(|reason| reason.code() == code);
    match (reason, code) {
        (Some(reason), _) => reason.retry(),
        // Data that this client must not send, and an extension that the server lacks: it would do so again.
        (None, 1003 | 1010 | 4200..=4399 | 4500..=4599) => Retry::Stop,
        (None, _) => Retry::Reconnect,
    }
}

/// How long the server asks the client to wait, beside the delay of a reconnect: the `retry_after=N` of a
/// reason, in whole seconds.
#[must_use]
pub fn wait(reason: &str) -> Option<Duration> {
    let (_, after) = reason.split_once("retry_after=")?;
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    if digits == 0 {
        return None;
    }
    // More digits than a number has are longer than any wait.
    Some(after[..digits].parse().map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use headcount::CloseWords;

    use super::*;

    #[test]
    fn every_code_has_one_answer() {
        for reason in CloseReason::ALL {
            assert_eq!(retry(reason.code()), reason.retry(), "{reason:?}");
        }
    }

    #[test]
    fn the_applications_own_codes_have_the_same_answer_as_their_words() {
        for code in 4000..4400 {
            let words = CloseWords::new(code, "").unwrap();
            assert_eq!(retry(code), words.retry(), "{code}");
        }
    }

    #[test]
    fn waits() {
        for (reason, seconds) in [
            ("", None),
            ("try_later", None),
            ("retry_after=", None),
            ("sessions retry_after=7", Some(7)),
            ("auth_timeout retry_after=5, or so", Some(5)),
            ("x retry_after=99999999999999999999999", Some(3_600)),
        ] {
            assert_eq!(wait(reason), seconds.map(Duration::from_secs), "{reason}");
        }
    }
}
