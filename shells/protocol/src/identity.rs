//! Who connects, and where their session goes on: what the upgrade request says.
//!
//! Without a key it is development mode: `?user=U&thread=T`, believed without proof and for that
//! reason only from this machine. Credentials that a client offers are refused then rather than ignored,
//! because a client that offers them expects them to be checked. With a key the user is the token's, and
//! the query says only where the session goes on.

use std::borrow::Cow;

use headcount::{Position, Principal, Resume, ThreadId, UserId};

use crate::epoch::parse_epoch;
use crate::handles::parse_connection;
use crate::problem::Problem;

const MAIN_THREAD: &str = "main";

/// Who it is, and what they have seen of their session.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub who: Principal,
    /// `None`: they name nothing that they have seen.
    pub resume: Option<Resume>,
}

/// Decides from the query: development mode, and the reconnect fields.
///
/// `instance` is the registry's: a predecessor of another one is ignored.
///
/// # Errors
/// 400 for a query that is not understood, and 401 for one with a token.
pub fn from_query(query: &str, instance: u64) -> Result<Identity, Problem> {
    let parameters = Parameters::read(query)?;
    if parameters.token.is_some() {
        return Err(no_key());
    }
    let Some(user) = &parameters.user else {
        return Err(Problem::new(
            400,
            "no_user",
            "the query must name the user: /ws?user=alice, and &thread=T for another thread than `main`",
        ));
    };
    let user = UserId::new(user).map_err(|error| Problem::id("user", error))?;
    let thread = parameters.thread()?.map_or_else(main_thread, Ok)?;
    let resume = parameters.resume(instance)?;
    Ok(Identity { who: Principal::new(user, thread), resume })
}

/// The thread of a client that names none.
///
/// # Errors
/// None: the name is valid.
pub fn main_thread() -> Result<ThreadId, Problem> {
    ThreadId::new(MAIN_THREAD).map_err(|error| Problem::id("thread", error))
}

/// The parameters that mean something here. Others are for later versions, and ignored.
#[derive(Default)]
pub struct Parameters<'a> {
    /// Who it is, in development mode.
    pub user: Option<Cow<'a, str>>,
    thread: Option<Cow<'a, str>>,
    epoch: Option<Cow<'a, str>>,
    offset: Option<Cow<'a, str>>,
    previous: Option<Cow<'a, str>>,
    /// The token, where a client can't put it into a header.
    pub token: Option<Cow<'a, str>>,
}

impl<'a> Parameters<'a> {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 for one that says something twice, or something that is not UTF-8.
    pub fn read(query: &'a str) -> Result<Self, Problem> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "user" => &mut read.user,
                "thread" => &mut read.thread,
                "epoch" => &mut read.epoch,
                "offset" => &mut read.offset,
                "previous" => &mut read.previous,
                "token" => &mut read.token,
                _ => continue,
            };
            if place.is_some() {
                return Err(Problem::new(400, "bad_query", format!("{name} is given twice")));
            }
            // Decoding puts this character in the place of bytes that are not UTF-8: names that
            // differ only in those would become one.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Problem::new(400, "bad_query", format!("{name} is not UTF-8")));
            }
            *place = Some(value);
        }
        Ok(read)
    }

    /// `None`: the client names no thread.
    ///
    /// # Errors
    /// 400 for a name that is not valid.
    pub fn thread(&self) -> Result<Option<ThreadId>, Problem> {
        let thread = self.thread.as_deref().map(ThreadId::new).transpose();
        thread.map_err(|error| Problem::id("thread", error))
    }

    /// What the client has seen of its session. `None`: it does not say. `instance` is the registry's.
    ///
    /// # Errors
    /// 400 for a position that is not understood.
    pub fn resume(&self, instance: u64) -> Result<Option<Resume>, Problem> {
        // A connection of another process closed with it, and so did one whose name has another form:
        // the form is opaque to clients, which keep names across an upgrade of the server.
        let previous = self.previous.as_deref().and_then(parse_connection);
        let previous = previous.and_then(|previous| previous.of(instance));
        match (&self.epoch, &self.offset) {
            (None, None) => Ok(previous.map(Resume::takeover)),
            (Some(epoch), Some(offset)) => {
                Ok(Some(Resume { position: Some(position(epoch, offset)?), previous }))
            }
            _ => Err(bad_position("epoch and offset belong together: give both or neither")),
        }
    }

    /// Whether it says anything that belongs into the frame with the token, if the request has none.
    #[must_use]
    pub const fn says_where_to_go_on(&self) -> bool {
        self.thread.is_some()
            || self.epoch.is_some()
            || self.offset.is_some()
            || self.previous.is_some()
    }
}

/// Reads a position as clients send it back: the epoch as it was given to them, and an offset.
///
/// # Errors
/// 400 for an offset that is none.
pub fn position(epoch: &str, offset: &str) -> Result<Position, Problem> {
    let number = offset.bytes().all(|byte| byte.is_ascii_digit()).then(|| offset.parse().ok());
    let Some(offset) = number.flatten() else {
        return Err(bad_position("offset must be a whole number, 0 or more"));
    };
    Ok(Position { epoch: parse_epoch(epoch), offset })
}

fn bad_position(message: &str) -> Problem {
    Problem::new(400, "bad_position", message)
}

/// The answer to credentials in development mode.
#[must_use]
pub fn no_key() -> Problem {
    Problem::new(
        401,
        "no_key",
        "this server has no key to check a token with: it runs in development mode, where the query \
         names the user (/ws?user=alice)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::show_epoch;

    const HERE: u64 = 11;

    fn refused(query: &str) -> (u16, String) {
        let problem = from_query(query, HERE).unwrap_err();
        (problem.status(), problem.message().to_owned())
    }

    #[test]
    fn users_and_threads() {
        for (query, user, thread) in [
            ("user=alice", "alice", "main"),
            ("user=alice&thread=work", "alice", "work"),
            ("thread=a%2Fb&user=J%C3%B6rg+M.&debug=1", "Jörg M.", "a/b"),
            ("user=%22%5C%3Cscript%3E&other=whatever", "\"\\<script>", "main"),
            ("user=0", "0", "main"),
        ] {
            let identity = from_query(query, HERE).unwrap();
            assert_eq!(identity.who.user().as_str(), user);
            assert_eq!(identity.who.thread().as_str(), thread);
            assert_eq!(identity.resume, None);
        }
    }

    #[test]
    fn a_refusal_says_which_rule() {
        for (query, rule) in [
            ("", "must name the user"),
            ("thread=t", "must name the user"),
            ("user=", "user: the id is empty"),
            ("user=Undefined", "placeholder"),
            ("user=default", "placeholder"),
            ("user=a%00b", "control character"),
            ("user=a&thread=", "thread: the id is empty"),
            ("user=a&thread=null", "thread: the id is a placeholder"),
            ("user=a&user=b", "user is given twice"),
            ("user=%ff", "user is not UTF-8"),
        ] {
            let (status, message) = refused(query);
            assert!(status == 400 && message.contains(rule), "{query}: {message}");
        }
        let (status, message) = refused(&format!("user={}", "x".repeat(129)));
        assert!(status == 400 && message.contains("129 bytes"), "{message}");
        assert_eq!(refused("user=a&token=secret").0, 401);
    }

    #[test]
    fn positions() {
        let epoch = show_epoch(0xdead_beef);
        let identity = from_query(&format!("user=a&epoch={epoch}&offset=7"), HERE).unwrap();
        let position = Position { epoch: 0xdead_beef, offset: 7 };
        assert_eq!(identity.resume, Some(Resume { position: Some(position), previous: None }));
        let previous = headcount::ConnId::from_bits(0x7_0000_0002);
        let shown = "previous=000000000000000b.0000000700000002";
        let resume = |query: &str| from_query(query, HERE).unwrap().resume;
        let both = resume(&format!("user=a&epoch={epoch}&offset=7&{shown}"));
        assert_eq!(both, Some(Resume { position: Some(position), previous }));
        assert_eq!(resume(&format!("user=a&{shown}")), previous.map(Resume::takeover));
        // The same handle, of another process.
        let foreign = "previous=000000000000000c.0000000700000002";
        assert_eq!(resume(&format!("user=a&{foreign}")), None);
        let both = resume(&format!("user=a&epoch={epoch}&offset=7&{foreign}"));
        assert_eq!(both, Some(Resume { position: Some(position), previous: None }));
        for wrong in [
            "epoch=1",
            "offset=1",
            "epoch=&offset=",
            "epoch=00000000000000001&offset=%2B1",
            "epoch=1&offset=-1",
            "epoch=1&offset=1.0",
            "epoch=1&offset=18446744073709551616",
            "previous=000000000000000b.0000000700000002&epoch=1",
        ] {
            assert_eq!(refused(&format!("user=a&{wrong}")).0, 400, "{wrong}");
        }
    }

    #[test]
    fn names_of_another_form_are_those_of_another_server() {
        let resume = |query: &str| from_query(&format!("user=a&{query}"), HERE).unwrap().resume;
        for previous in ["", "7", "xyz", "undefined", "0000000700000002"] {
            assert_eq!(resume(&format!("previous={previous}")), None, "{previous}");
        }
        for epoch in ["", "xyz", "%2B1", "11111111111111111"] {
            let foreign = Position { epoch: 0, offset: 1 };
            let resume = resume(&format!("epoch={epoch}&offset=1")).unwrap();
            assert_eq!(resume.position, Some(foreign), "{epoch}");
        }
    }
}
