//! Who connects, and where their session goes on: what the upgrade request says.
//!
//! Without a key it is development mode: `?user=U&thread=T`, believed without proof and for that
//! reason only from this machine. Credentials that a client offers are refused then rather than ignored,
//! because a client that offers them expects them to be checked. With a key the user is the token's, and
//! the query says only where the session goes on.

use std::borrow::Cow;

use headcount::{ConnId, Position, Principal, RunId, Start, ThreadId, UserId};

use crate::epoch::parse_epoch;
use crate::handles::parse_connection;
use crate::problem::Problem;

const MAIN_THREAD: &str = "main";

/// Who it is, and what they have seen of their session.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub who: Principal,
    /// Where they begin in their session.
    pub start: Start,
    /// The connection that they had; `None`: they name none of this process.
    pub previous: Option<ConnId>,
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
    let start = parameters.start()?;
    let previous = parameters.previous(instance);
    Ok(Identity { who: Principal::new(user).with_thread(thread), start, previous })
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
    run: Option<Cow<'a, str>>,
    recent: Option<Cow<'a, str>>,
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
                "run" => &mut read.run,
                "recent" => &mut read.recent,
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

    /// Where the client begins in its session: after what it has seen, with a run or with what has ended
    /// of late, or as a newcomer.
    ///
    /// # Errors
    /// 400 for a position or a name that is not understood, and for more than one beginning.
    pub fn start(&self) -> Result<Start, Problem> {
        let position = match (&self.epoch, &self.offset) {
            (None, None) => None,
            (Some(epoch), Some(offset)) => Some(position(epoch, offset)?),
            _ => {
                return Err(bad_position("epoch and offset belong together: give both or neither"));
            }
        };
        let run = self.run.as_deref().map(RunId::new).transpose();
        let run = run.map_err(|error| Problem::id("run", error))?;
        let recent = match self.recent.as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(_) => return Err(Problem::new(400, "bad_query", "recent must be 0 or 1")),
        };
        start(position, run, recent)
    }

    /// The connection that the client had. `None`: it names none of this process. `instance` is the
    /// registry's.
    #[must_use]
    pub fn previous(&self, instance: u64) -> Option<ConnId> {
        // A connection of another process closed with it, and so did one whose name has another form:
        // the form is opaque to clients, which keep names across an upgrade of the server.
        self.previous.as_deref().and_then(parse_connection)?.of(instance)
    }

    /// Whether it says anything that belongs into the frame with the token, if the request has none.
    #[must_use]
    pub const fn says_where_to_go_on(&self) -> bool {
        self.thread.is_some()
            || self.epoch.is_some()
            || self.offset.is_some()
            || self.previous.is_some()
            || self.run.is_some()
            || self.recent.is_some()
    }
}

/// Where a client begins, by what it says of it.
///
/// # Errors
/// 400 if it says more than one thing.
pub fn start(
    position: Option<Position>,
    run: Option<RunId>,
    recent: bool,
) -> Result<Start, Problem> {
    match (position, run, recent) {
        (None, None, false) => Ok(Start::OpenRuns),
        (Some(position), None, false) => Ok(Start::After(position)),
        (None, Some(run), false) => Ok(Start::Run(run)),
        (None, None, true) => Ok(Start::Recent),
        _ => Err(bad_position("a position, run and recent exclude each other: give one of them")),
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
            assert_eq!(identity.who.thread().unwrap().as_str(), thread);
            assert_eq!((identity.start, identity.previous), (Start::OpenRuns, None));
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
        let after = Start::After(position);
        assert_eq!((&identity.start, identity.previous), (&after, None));
        let previous = headcount::ConnId::from_bits(0x7_0000_0002);
        let shown = "previous=000000000000000b.0000000700000002";
        let begins = |query: &str| {
            let identity = from_query(query, HERE).unwrap();
            (identity.start, identity.previous)
        };
        let both = begins(&format!("user=a&epoch={epoch}&offset=7&{shown}"));
        assert_eq!(both, (after.clone(), previous));
        assert_eq!(begins(&format!("user=a&{shown}")), (Start::OpenRuns, previous));
        // The same handle, of another process.
        let foreign = "previous=000000000000000c.0000000700000002";
        assert_eq!(begins(&format!("user=a&{foreign}")), (Start::OpenRuns, None));
        let both = begins(&format!("user=a&epoch={epoch}&offset=7&{foreign}"));
        assert_eq!(both, (after, None));
        let run = headcount::RunId::new("r").unwrap();
        assert_eq!(begins("user=a&run=r"), (Start::Run(run), None));
        assert_eq!(begins("user=a&recent=1"), (Start::Recent, None));
        assert_eq!(begins("user=a&recent=0"), (Start::OpenRuns, None));
        for wrong in [
            "epoch=1",
            "offset=1",
            "epoch=&offset=",
            "epoch=00000000000000001&offset=%2B1",
            "epoch=1&offset=-1",
            "epoch=1&offset=1.0",
            "epoch=1&offset=18446744073709551616",
            "previous=000000000000000b.0000000700000002&epoch=1",
            "run=",
            "recent=yes",
            "run=r&recent=1",
            "epoch=1&offset=1&run=r",
            "epoch=1&offset=1&recent=1",
        ] {
            assert_eq!(refused(&format!("user=a&{wrong}")).0, 400, "{wrong}");
        }
    }

    #[test]
    fn names_of_another_form_are_those_of_another_server() {
        let begins = |query: &str| from_query(&format!("user=a&{query}"), HERE).unwrap();
        for previous in ["", "7", "xyz", "undefined", "0000000700000002"] {
            assert_eq!(begins(&format!("previous={previous}")).previous, None, "{previous}");
        }
        for epoch in ["", "xyz", "%2B1", "11111111111111111"] {
            let foreign = Position { epoch: 0, offset: 1 };
            let begins = begins(&format!("epoch={epoch}&offset=1"));
            assert_eq!(begins.start, Start::After(foreign), "{epoch}");
        }
    }
}
