//! What stands in a log, and who reads it.

use bytes::Bytes;

use crate::except::{Candidate, LeftOut};
use crate::id::MAX_ID_BYTES;
use crate::message::{MESSAGE_OVERHEAD, Message};
use crate::snapshot::encoded;
use crate::store::key;
use crate::time::Timestamp;

key! {
    /// The key of a group: entries that the log's own bounds pass over while the group is open. Its
    /// owner gives the keys out; a log only compares them.
    GroupKey
}

#[derive(Clone, Hash)]
pub(crate) struct Entry {
    /// Its place; of a text, the place of its last byte.
    pub(crate) offset: u64,
    /// When it was appended; of a text, when its last byte was.
    pub(crate) at: Timestamp,
    pub(super) what: What,
}

encoded! { struct Entry { offset, at, what } }

#[derive(Clone, Hash)]
pub(super) enum What {
    Message(Message, Option<LeftOut>),
    Event(Event),
    Text(Text),
    /// A newer message of the same key has taken its place: no reader has lost anything.
    Superseded,
    /// Lost for each cursor before it, from this offset on.
    Lost {
        from: u64,
        /// The head when the last group of which something was here was closed; 0 if none was.
        closed_at: u64,
    },
}

encoded! {
    enum What {
        0 = Message(message, left_out), 1 = Event(event), 2 = Text(text), 3 = Superseded,
        4 = Lost { from, closed_at },
    }
}

/// The group that an entry is of.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    /// The head when it was closed; 0 while it is open.
    closed_at: u64,
    /// It was closed, and its entries are no history yet.
    lingers: bool,
}

encoded! { struct Group { key, closed_at, lingers } }

impl Group {
    pub(crate) const fn open(key: GroupKey) -> Self {
        Self { key, closed_at: 0, lingers: false }
    }

    const fn is_open(self) -> bool {
        self.closed_at == 0
    }

    /// Whether it was open when the head was at this offset.
    const fn was_open_at(self, offset: u64) -> bool {
        self.is_open() || self.closed_at > offset
    }
}

/// What the owner of a group means by one of its events. The log does not read it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct EventTag(pub(crate) u8);

encoded! { struct EventTag(bits) }

/// What the name of a text is charged: that of the longest.
pub(crate) const NAME_COST: u64 = MAX_ID_BYTES as u64;

/// An event of a group.
#[derive(Clone, Hash)]
pub(crate) struct Event {
    pub(crate) group: Group,
    pub(crate) tag: EventTag,
    pub(crate) payload: Bytes,
}

encoded! { struct Event { group, tag, payload } }

impl Event {
    pub(crate) fn cost(&self) -> u64 {
        self.payload.len() as u64 + MESSAGE_OVERHEAD
    }
}

/// Which of the texts of a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TextIndex(pub(crate) u16);

encoded! { struct TextIndex(index) }

/// A stretch of a text of a group, which the group's owner keeps. Each byte has an offset, so that a
/// cursor may stand anywhere in it, and what follows of the same text makes it longer.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Text {
    pub(crate) group: Group,
    pub(crate) text: TextIndex,
    /// Whether the text has a name, which each of its stretches is charged.
    pub(crate) is_named: bool,
    /// Where it begins in the text.
    pub(crate) from: u32,
    pub(crate) bytes: u32,
}

encoded! { struct Text { group, text, is_named, from, bytes } }

/// What a log let go of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Freed {
    pub(crate) group: GroupKey,
    /// A stretch of so many bytes, always the front of what the log has of that text; `None` for an
    /// event.
    pub(crate) text: Option<(TextIndex, u32)>,
}

/// What is to be handed out.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Message(&'a Message),
    Event(&'a Event),
    /// As much of the text as lies behind the cursor.
    Text(Text),
}

impl Content<'_> {
    pub(crate) fn cost(&self) -> u64 {
        match self {
            Self::Message(message) => message.cost(),
            Self::Event(event) => event.cost(),
            Self::Text(text) => u64::from(text.bytes) + MESSAGE_OVERHEAD,
        }
    }
}

impl Entry {
    /// What is to be handed out; `None` for a tombstone.
    pub(crate) const fn content(&self) -> Option<Content<'_>> {
        match &self.what {
            What::Message(message, _) => Some(Content::Message(message)),
            What::Event(event) => Some(Content::Event(event)),
            What::Text(text) => Some(Content::Text(*text)),
            What::Superseded | What::Lost { .. } => None,
        }
    }

    /// What of it lies behind a cursor.
    pub(crate) fn content_after(&self, cursor: u64) -> Option<Content<'_>> {
        match self.content() {
            Some(Content::Text(text)) => {
                let begins = self.offset - u64::from(text.bytes);
                let had = cursor.saturating_sub(begins) as u32;
                let (from, bytes) = (text.from + had, text.bytes - had);
                Some(Content::Text(Text { from, bytes, ..text }))
            }
            content => content,
        }
    }

    /// The last offset before its own: of a text, each byte has one.
    pub(crate) const fn begins_after(&self) -> u64 {
        match self.what {
            What::Text(text) => self.offset - text.bytes as u64,
            _ => self.offset - 1,
        }
    }

    pub(super) const fn is_tombstone(&self) -> bool {
        matches!(self.what, What::Superseded | What::Lost { .. })
    }

    pub(super) const fn message(&self) -> Option<&Message> {
        match &self.what {
            What::Message(message, _) => Some(message),
            _ => None,
        }
    }

    /// Whom it leaves out. What is of a group is for all.
    pub(crate) const fn left_out(&self) -> Option<LeftOut> {
        match &self.what {
            What::Message(_, left_out) => *left_out,
            _ => None,
        }
    }

    pub(crate) const fn group(&self) -> Option<Group> {
        match &self.what {
            What::Event(event) => Some(event.group),
            What::Text(text) => Some(text.group),
            _ => None,
        }
    }

    pub(super) fn is_of_text(&self, group: GroupKey, text: TextIndex) -> bool {
        matches!(self.what, What::Text(last) if last.group.key == group && last.text == text)
    }

    /// Of an open group: the log's own bounds pass over it.
    pub(super) fn is_pinned(&self) -> bool {
        self.group().is_some_and(Group::is_open)
    }

    const fn group_mut(&mut self) -> Option<&mut Group> {
        match &mut self.what {
            What::Event(event) => Some(&mut event.group),
            What::Text(text) => Some(&mut text.group),
            _ => None,
        }
    }

    /// Closes the group that it is of, if that is this one and open, when the head is at an offset.
    pub(super) fn close(&mut self, key: GroupKey, head: u64, lingers: bool) -> bool {
        match self.group_mut() {
            Some(group) if group.key == key && group.is_open() => {
                (group.closed_at, group.lingers) = (head, lingers);
                true
            }
            _ => false,
        }
    }

    /// The group that it is of does not linger any more, if that is this one.
    pub(super) fn end_linger(&mut self, key: GroupKey) {
        if let Some(group) = self.group_mut()
            && group.key == key
        {
            group.lingers = false;
        }
    }

    /// Whether its group lingers: it is no history yet.
    pub(crate) fn lingers(&self) -> bool {
        self.group().is_some_and(|group| group.lingers)
    }

    /// What becomes of it when it is lost: a tombstone of all its offsets.
    pub(super) fn tombstone(&self) -> What {
        let closed_at = self.group().map_or(0, |group| group.closed_at);
        What::Lost { from: self.begins_after() + 1, closed_at }
    }

    /// What the log is charged for it.
    pub(crate) fn cost(&self) -> u64 {
        let name = match self.what {
            What::Text(Text { is_named: true, .. }) => NAME_COST,
            _ => 0,
        };
        self.content().map_or(0, |content| content.cost() + name)
    }

    pub(super) fn is_droppable(&self) -> bool {
        self.message().is_some_and(Message::is_droppable)
    }

    /// Whether the bounds of the log are about it.
    pub(super) fn is_bounded(&self) -> bool {
        !self.is_tombstone() && !self.is_pinned()
    }
}

/// Who reads: a member of the stream, or one that leaves it.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) who: Candidate<'a>,
    /// It passes droppable messages over.
    pub(crate) laggard: bool,
    pub(crate) late: Late,
}

/// What a reader who joined late finds before the head at its join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Late {
    /// That head. Up to it, only what belongs to certain groups is for the reader. 0 for a reader who did
    /// not join late.
    pub(crate) until: u64,
    /// These groups are open, or were closed after this offset. That head: they were open then.
    pub(crate) closed_after: u64,
    /// If one is named, it is the only one of these.
    pub(crate) only: Option<GroupKey>,
    /// Everything else up to there is told as lost, whether or not it is kept: the reader has seen
    /// something before, and how much of it is not known. A newcomer is not told.
    pub(crate) tells_rest: bool,
}

encoded! { struct Late { until, closed_after, only, tells_rest } }

impl Late {
    /// Of a reader who follows everything behind its cursor.
    pub(crate) const NONE: Self = Self { until: 0, closed_after: 0, only: None, tells_rest: false };

    /// Of one who finds the groups that are open, at this head.
    pub(crate) const fn open_at(head: u64) -> Self {
        Self { until: head, closed_after: head, ..Self::NONE }
    }

    fn is_about(&self, group: Group) -> bool {
        group.was_open_at(self.closed_after) && self.only.is_none_or(|only| only == group.key)
    }
}

impl Reader<'_> {
    pub(super) fn is_for_it(&self, entry: &Entry) -> bool {
        let late = entry.offset <= self.late.until;
        match (entry.message(), entry.group()) {
            (Some(_), _) => !late && !entry.left_out().is_some_and(|it| self.who.is(it)),
            (_, Some(group)) => !late || self.late.is_about(group),
            _ => false,
        }
    }

    /// Whether an entry is for it and not passed over.
    pub(super) fn is_handed(&self, entry: &Entry) -> bool {
        self.is_for_it(entry) && !(self.laggard && entry.is_droppable())
    }
}
