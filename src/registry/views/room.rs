//! One room.

use crate::id::RoomId;
use crate::registry::Registry;
use crate::room::{Room, RoomKey};
use crate::stream::Stream;

use super::ConnView;

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

    fn record(&self) -> &'a Room {
        self.registry.rooms.get(self.key)
    }

    pub(super) fn stream(&self) -> &'a Stream {
        &self.registry.streams[self.record().stream]
    }
}
