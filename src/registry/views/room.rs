//! One room.

use crate::action::Position;
use crate::id::RoomId;
use crate::registry::Registry;
use crate::room::{Room, RoomKey};
use crate::stream::Stream;

use super::{ConnView, head};

/// One room: [`Registry::room`].
#[derive(Clone, Copy)]
pub struct RoomView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: RoomKey,
}

impl<'a> RoomView<'a> {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &'a RoomId {
        &self.record().name
    }

    /// The connections that are in it. None: it waits for a resume.
    pub fn members(&self) -> impl Iterator<Item = ConnView<'a>> + use<'a> {
        self.registry.members(self.record().stream)
    }

    /// How many these are.
    #[must_use]
    pub fn member_count(&self) -> u32 {
        self.stream().members.len() as u32
    }

    /// Of these, how many are behind.
    #[must_use]
    pub fn lagging(&self) -> u32 {
        self.stream().lagging
    }

    /// The head of its stream.
    #[must_use]
    pub fn position(&self) -> Position {
        head(self.stream())
    }

    /// How many entries its log keeps.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.stream().log.len() as u32
    }

    /// The bytes of these, overhead included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stream().log.bytes()
    }

    /// Up to here everything is gone for good; 0 if nothing is. Behind it entries may be gone, too.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.stream().log.lost()
    }

    fn record(&self) -> &'a Room {
        self.registry.rooms.get(self.key)
    }

    fn stream(&self) -> &'a Stream {
        &self.registry.streams[self.record().stream]
    }
}
