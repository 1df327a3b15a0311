//! What every shell under test serves: an application that decides nothing that a shell would.

use headcount::{
    Action, Body, CloseReason, ConnId, Message, Position, Principal, Registry, RoomId, Start,
    StreamRef, Target, ThreadId, Timestamp, UserId,
};

/// The first frame of each admitted connection.
pub const WELCOME: &str = "welcome";

/// What the announcement of a drain is encoded as.
pub const DRAINING: &str = "draining";

/// What the end of a session that a connection follows is encoded as.
pub const LEFT: &str = "left";

/// A message that is not encoded as it is, if it is of a stream.
pub const GREETING: &str = "greeting";

/// What it is encoded as: 0 and 1 are the dialects.
#[must_use]
pub const fn greeting(dialect: u8) -> &'static str {
    if dialect == 0 { "hello" } else { "bonjour" }
}

/// What the loss of entries is encoded as.
#[must_use]
pub fn gap(from: u64, to: u64) -> String {
    format!("gap {from}..={to}")
}

/// What the application says of an upgrade request.
#[derive(Debug)]
pub enum Verdict {
    /// It is of this principal, and begins there.
    Admit(Principal, Start),
    /// Its first message names the user.
    Pending,
    /// It is malformed: 400.
    Refuse,
}

/// The application. Messages are sent as they are, but for a [`GREETING`]; what is said to it is a command or
/// comes back:
///
/// | said | what happens |
/// |---|---|
/// | `to all: TEXT` | TEXT goes to the room of all |
/// | `to others: TEXT` | the same, but for the sender |
/// | `close me` | the connection is closed |
/// | `my handle` | the reply is the handle of the connection, as [`ConnId::to_bits`] |
/// | anything else | it comes back |
#[derive(Clone, Copy, Debug, Default)]
pub struct Application;

impl Application {
    /// Who asks for the upgrade, by the query of its request: `user=U`, then `thread=T` if it is not `main`,
    /// then `since=EPOCH:OFFSET` where its session goes on; without a user it names itself later.
    #[must_use]
    pub fn verdict(query: &str) -> Verdict {
        let Some(user) = query.strip_prefix("user=") else { return Verdict::Pending };
        let (user, since) = user.split_once("&since=").unwrap_or((user, ""));
        let position = since.split_once(':').and_then(|(epoch, offset)| {
            Some(Position { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? })
        });
        match principal(user) {
            Some(who) => Verdict::Admit(who, position.map_or(Start::OpenRuns, Start::After)),
            None => Verdict::Refuse,
        }
    }

    /// A connection was admitted: it comes to the room of all. The reply that it is to be sent.
    #[must_use = "the reply is to be sent"]
    pub fn admitted(self, registry: &mut Registry, now: Timestamp, conn: ConnId) -> Message {
        registry.join(now, conn, &room(), Start::Now).expect("rooms have room for it");
        Message::text(WELCOME)
    }

    /// A connection says this. The reply that it is to be sent. What a connection says that was upgraded and
    /// not admitted is the name of its user: the call admits it, or closes it. If the registry refuses it, it
    /// stays pending.
    #[must_use = "the reply is to be sent"]
    pub fn message(
        self,
        registry: &mut Registry,
        now: Timestamp,
        conn: ConnId,
        said: Message,
    ) -> Option<Message> {
        let text = str::from_utf8(said.payload()).ok().filter(|_| said.is_text());
        if registry.connection(conn).and_then(|it| it.user()).is_none() {
            match text.and_then(principal) {
                Some(who) => {
                    registry.connect(now, conn, who, Start::OpenRuns, None).ok()?;
                    return Some(self.admitted(registry, now, conn));
                }
                None => {
                    registry.close(now, Target::Conn(conn), CloseReason::BadCredentials);
                    return None;
                }
            }
        }
        let Some(text) = text else { return Some(said) };
        if let Some(text) = text.strip_prefix("to all: ") {
            registry.send(now, Target::Room(&room()), Message::text(text));
        } else if let Some(text) = text.strip_prefix("to others: ") {
            let message = Message::text(text).except_connection(conn);
            registry.send(now, Target::Room(&room()), message);
        } else if text == "close me" {
            registry.close(now, Target::Conn(conn), CloseReason::Application);
        } else if text == "my handle" {
            return Some(conn.to_bits().to_string().into());
        } else {
            return Some(said);
        }
        None
    }

    /// A user is online now, or is so no more: all are told.
    pub fn presence(self, registry: &mut Registry, now: Timestamp, user: &UserId, online: bool) {
        let said = format!("{user} is {}", if online { "online" } else { "offline" });
        registry.send(now, Target::Everyone, Message::from(said));
    }

    /// In which dialect a connection reads all of its streams.
    #[must_use]
    pub fn dialect(self, conn: ConnId) -> u8 {
        u8::from(conn.index() % 2 == 1)
    }

    /// The data message that an action becomes; `None` for one that becomes a control frame, or nothing.
    #[must_use]
    pub fn encode(self, dialect: u8, action: &Action<'_>) -> Option<Message> {
        Some(match action {
            Action::Send { stream, body, .. } => match body {
                Body::Message(message)
                    if *stream != StreamRef::Direct && *message.payload() == GREETING =>
                {
                    greeting(dialect).into()
                }
                Body::Message(message) => (*message).clone(),
                _ => panic!("no test has a run"),
            },
            Action::Gap { from, to, .. } => gap(*from, *to).into(),
            Action::Draining { .. } => DRAINING.into(),
            Action::Left { .. } => LEFT.into(),
            _ => return None,
        })
    }
}

/// The room of all.
pub(crate) fn room() -> RoomId {
    RoomId::new("all").expect("a valid name")
}

fn principal(name: &str) -> Option<Principal> {
    let (user, thread) = name.split_once("&thread=").unwrap_or((name, "main"));
    Some(Principal::new(UserId::new(user).ok()?).with_thread(ThreadId::new(thread).ok()?))
}
