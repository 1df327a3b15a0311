//! A client of the kit: what it has read, and how it behaves.

use std::collections::VecDeque;

use headcount::{Action, Body, CloseReason, ConnId, Message};

/// What a client has read. Pings are answered, and not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message: as it was sent, or the payload of a run's event or text.
    Message(Message),
    /// The entries `from..=to` of a stream are lost for it.
    Gap {
        /// The first that is lost.
        from: u64,
        /// The last that is lost.
        to: u64,
    },
    /// It follows a session no more, by no wish of its own.
    Left(CloseReason),
    /// The server is about to go away.
    Draining,
    /// The close frame: nothing follows it.
    Closed {
        /// Why.
        reason: CloseReason,
        /// The code of the frame.
        code: u16,
        /// Its text.
        text: String,
    },
}

/// A text message that says just this.
impl PartialEq<&str> for Received {
    fn eq(&self, text: &&str) -> bool {
        matches!(self, Self::Message(it) if it.is_text() && it.payload() == text.as_bytes())
    }
}

impl Received {
    /// What a client reads of an action; `None` of those that it does not see.
    pub(crate) fn of(action: &Action<'_>) -> Option<Self> {
        Some(match action {
            Action::Send { body, .. } => Self::Message(match body {
                Body::Message(message) => (*message).clone(),
                Body::Run(fact) => Message::from_utf8(fact.payload.clone())
                    .unwrap_or_else(|_| Message::binary(fact.payload.clone())),
                Body::Text(text) => Message::text(text.text),
            }),
            Action::Gap { from, to, .. } => Self::Gap { from: *from, to: *to },
            Action::Left { reason, .. } => Self::Left(*reason),
            Action::Draining { .. } => Self::Draining,
            Action::Close { reason, code, text, .. } => {
                Self::Closed { reason: *reason, code: *code, text: (*text).to_owned() }
            }
            Action::Ping { .. } | Action::Cleanup { .. } | Action::Presence { .. } => return None,
        })
    }
}

/// A client, and the wire to it.
pub(crate) struct Client {
    pub(crate) conn: ConnId,
    /// What has arrived and was not asked for yet.
    pub(crate) received: Vec<Received>,
    /// What is on its way while it stalls.
    wire: VecDeque<Option<Received>>,
    /// The cost of all that was handed out, and of what has arrived.
    handed: u64,
    arrived: u64,
    /// What it has said while its input is paused, and whether its close frame comes behind that.
    pub(crate) held: VecDeque<Message>,
    pub(crate) leaves: bool,
    pub(crate) stalls: bool,
    pub(crate) is_silent: bool,
    /// Pings that have arrived and are not answered, and whether the close frame has.
    pub(crate) pings: u32,
    pub(crate) is_closed: bool,
    /// The close frame was handed out.
    is_ended: bool,
}

impl Client {
    pub(crate) fn new(conn: ConnId) -> Self {
        Self {
            conn,
            received: Vec::new(),
            wire: VecDeque::new(),
            handed: 0,
            arrived: 0,
            held: VecDeque::new(),
            leaves: false,
            stalls: false,
            is_silent: false,
            pings: 0,
            is_closed: false,
            is_ended: false,
        }
    }

    /// The registry hands this out to it.
    pub(crate) fn hand(&mut self, action: &Action<'_>) {
        assert!(!self.is_ended, "{:?} was sent {action:?} after its close", self.conn);
        self.is_ended = matches!(action, Action::Close { .. });
        self.handed += action.cost();
        self.wire.push_back(Received::of(action));
    }

    /// What is on its way arrives, unless it stalls. The total to report, if it has grown.
    pub(crate) fn arrive(&mut self) -> Option<u64> {
        if self.stalls || self.arrived == self.handed {
            return None;
        }
        for received in self.wire.drain(..) {
            self.is_closed |= matches!(received, Some(Received::Closed { .. }));
            match received {
                Some(received) => self.received.push(received),
                None => self.pings += 1,
            }
        }
        self.arrived = self.handed;
        Some(self.arrived)
    }
}
