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
    ///
    /// The iterator borrows the registry. An input for some of the members needs their handles, collected
    /// before it:
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let lobby = RoomId::new("lobby")?;
    /// # for user in ["alice", "bob"] {
    /// #     let (conn, _) = registry.admit(now, Principal::new(user.parse()?), Start::Now, None)?;
    /// #     registry.join(now, conn, &lobby, Start::Now)?;
    /// # }
    /// let room = registry.room(&lobby).expect("it has members");
    /// let members: Vec<ConnId> = room.members().map(|member| member.id()).collect();
    /// for conn in members {
    ///     registry.reply(now, conn, Message::text("for you alone"))?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
