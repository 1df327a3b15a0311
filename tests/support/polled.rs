//! An action as text.

use headcount::{Action, Body, ConnId, Ended, Position, SessionId, StreamRef, Timestamp};

/// One action, as it was polled.
#[derive(Clone, Debug)]
pub struct Polled {
    /// Which connections it names; none for the end of a session, and for presence.
    pub to: Vec<ConnId>,
    pub what: String,
    pub position: Option<Position>,
    /// The session that has ended.
    pub session: Option<SessionId>,
    pub cost: u64,
    pub at: Timestamp,
}

impl Polled {
    pub fn of(action: &Action<'_>, at: Timestamp) -> Self {
        let cost = action.cost();
        let mut position = None;
        let mut session = None;
        let (to, what) = match action {
            Action::Send { to, stream, position: place, body } => {
                position = *place;
                let text = String::from_utf8_lossy(body.as_bytes());
                let said = match body {
                    Body::Message(_) => String::new(),
                    Body::Run(fact) => match fact.failure {
                        Some(failure) => {
                            format!("{} {:?} {failure:?} ", fact.run, fact.kind)
                        }
                        None => format!("{} {:?} ", fact.run, fact.kind),
                    },
                    Body::Text(text) => format!("{} says ", text.run),
                };
                (to.to_vec(), format!("{}{said}{text}", prefix(stream, ": ")))
            }
            Action::Gap { conn, stream, from, to } => {
                (vec![*conn], format!("gap {}{from}..={to}", prefix(stream, " ")))
            }
            Action::Ping { conn } => (vec![*conn], "ping".into()),
            Action::Draining { to, .. } => (to.to_vec(), "draining".into()),
            Action::Left { conn, reason, .. } => (vec![*conn], format!("left {}", reason.name())),
            Action::Close { conn, reason, code, text } => {
                let own = if *code == reason.code() { String::new() } else { format!("{code} ") };
                (vec![*conn], format!("close {own}{text}"))
            }
            Action::Cleanup { what: Ended::Conn(conn), reason } => {
                (vec![*conn], format!("cleanup {}", reason.name()))
            }
            Action::Cleanup { what: Ended::Session(gone), reason } => {
                session = Some(*gone);
                (Vec::new(), format!("session cleanup {}", reason.name()))
            }
            Action::Presence { user, online } => {
                let what = if *online { "online" } else { "offline" };
                (Vec::new(), format!("{} is {what}", user.as_str()))
            }
        };
        if !matches!(action, Action::Cleanup { .. }) {
            assert_eq!(action.recipients(), to);
        }
        Self { to, what, position, session, cost, at }
    }

    /// Whether it says that a user is online, or is not.
    pub fn is_presence(&self) -> bool {
        self.what.ends_with(" is online") || self.what.ends_with(" is offline")
    }
}

fn prefix(stream: &StreamRef<'_>, separator: &str) -> String {
    match stream {
        StreamRef::Session(_) => String::new(),
        StreamRef::Room(room) => format!("{}{separator}", room.as_str()),
        StreamRef::Direct => format!("direct{separator}"),
        StreamRef::Everyone => format!("everyone{separator}"),
    }
}
