//! One entry of a stream, also one that the stream does not hold any more, and how many it may hold.

use std::time::Duration;

use headcount::{Class, Config, Timestamp};

use super::left_out::LeftOut;
use crate::seen::{Content, Said, Source};

/// A message, an event of a run, or a stretch of its text, in which each byte has an offset.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    /// Of what belongs to a run: critical.
    pub(crate) class: Class,
    /// Whom a message leaves out.
    pub(crate) left_out: Option<LeftOut>,
    pub(crate) at: Timestamp,
    /// Its offset; of a text, that of its last byte.
    pub(crate) last: u64,
    /// The run that it belongs to.
    pub(crate) run: Option<u64>,
    /// The offset of the event that ended this run; `None` while it is open.
    pub(crate) ended: Option<u64>,
    /// This run has ended and lingers: the entry is no history yet.
    pub(crate) lingers: bool,
}

impl Entry {
    /// The first of its offsets.
    pub(crate) const fn first(&self) -> u64 {
        match &self.content {
            Content::Said(said) => self.last + 1 - said.text.len() as u64,
            _ => self.last,
        }
    }

    /// What the log is charged for it: beside what it carries the name of a part, that of the longest.
    pub(crate) fn cost(&self) -> u64 {
        self.content.cost() + self.content.name_cost()
    }

    /// Whether it is of an open run: the bounds of the log are not about it.
    pub(crate) const fn is_held(&self) -> bool {
        self.run.is_some() && self.ended.is_none()
    }

    pub(crate) fn is_droppable(&self) -> bool {
        self.class == Class::Droppable
    }

    /// What of it lies behind a cursor: of a text the rest.
    pub(crate) fn after(&self, cursor: u64) -> Content {
        match &self.content {
            Content::Said(said) => {
                let from = (cursor + 1).saturating_sub(self.first()) as usize;
                Content::Said(Said { text: said.text[from..].into(), ..said.clone() })
            }
            content => content.clone(),
        }
    }

    /// Where whoever claims to stand here gets a cursor: within a character of a text, before it.
    pub(crate) fn before_character(&self, offset: u64) -> u64 {
        let Content::Said(said) = &self.content else { return offset };
        let from = (offset + 1).saturating_sub(self.first()) as usize;
        let begins = (0..=from).rev().find(|begins| said.text.is_char_boundary(*begins));
        offset - (from - begins.unwrap_or(from)) as u64
    }
}

/// What a log may hold.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Bounds {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) ttl: Duration,
    pub(crate) history: u64,
}

impl Bounds {
    /// Whether a room's log outlives its members.
    pub(crate) const fn keeps_without_members(&self) -> bool {
        self.history > 0 && !self.ttl.is_zero()
    }

    pub(crate) fn of(source: &Source, config: &Config) -> Self {
        let choose = |of_room: u64, of_session: u64| match source {
            Source::Room(_) => of_room,
            _ => of_session,
        };
        Self {
            messages: choose(config.room_messages().into(), config.stream_messages().into()),
            bytes: choose(config.room_bytes(), config.stream_bytes()),
            history: choose(config.room_history().into(), config.stream_history().into()),
            ttl: match source {
                Source::Room(_) => config.room_ttl(),
                _ => config.stream_ttl(),
            },
        }
    }
}
