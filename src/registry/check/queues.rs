//! Recounting the queues whose links lie in the records: each has exactly what belongs in it, once.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use foldhash::quality::FixedState;
use hashbrown::HashSet;

use crate::conn::{ConnKey, State};
use crate::evictable::EvictionClass;
use crate::registry::Registry;
use crate::registry::ready::Ready;
use crate::stream::StreamKey;

impl Registry {
    pub(super) fn check_queues(&self) -> Result<(), String> {
        self.check_turns()?;
        self.check_handshakes()?;
        self.check_evictable()
    }

    fn check_turns(&self) -> Result<(), String> {
        let turns: Vec<Ready> = self.ready.iter(self).collect();
        hold!(
            turns.len() == self.ready.len(),
            "{} turns, counted {}",
            turns.len(),
            self.ready.len()
        );
        let of_conns = turns.iter().filter(|turn| matches!(turn, Ready::Conn(_))).count();
        let mut ready = 0;
        for (slot, hot, _) in self.conns.iter().filter(|(.., cold)| cold.extras.ready.is_in()) {
            let id = self.conns.id(slot);
            hold!(hot.state == State::Open, "{id:?} is ready, and {:?}", hot.state);
            ready += 1;
        }
        hold!(of_conns == ready, "{of_conns} turns for {ready} connections that are ready");
        let of_streams = turns.iter().filter(|turn| matches!(turn, Ready::Stream(_))).count();
        let ready = self.streams.iter().filter(|(_, stream)| stream.extras.ready.is_in()).count();
        hold!(of_streams == ready, "{of_streams} turns for {ready} streams that are ready");
        let own = [
            (Ready::Announcement, !self.announcements.is_empty()),
            (Ready::Presence, self.sessions.unsaid() > 0),
            (Ready::Drain, self.drain.is_some_and(|drain| !drain.is_announced())),
            (Ready::CloseEveryone, self.mass_close.is_some()),
        ];
        for (own, waits) in own {
            let count = turns.iter().filter(|turn| **turn == own).count();
            hold!(self.has_turn(own) == waits, "{own:?} waits: {waits}, and has a turn, or none");
            hold!(count == usize::from(waits), "{own:?} waits: {waits}, with {count} turns");
        }
        Ok(())
    }

    fn check_handshakes(&self) -> Result<(), String> {
        for (order, admitted) in [(&self.closing, true), (&self.leaving, false)] {
            let order: HashSet<ConnKey, FixedState> = order.iter(&self.conns).collect();
            for (slot, hot, _) in self.conns.iter() {
                let closes = hot.state == State::Closing && hot.is_admitted() == admitted;
                let id = self.conns.id(slot);
                hold!(closes == order.contains(&slot), "{id:?} closes: {closes}, or is in order");
            }
        }
        Ok(())
    }

    fn check_evictable(&self) -> Result<(), String> {
        for class in EvictionClass::ALL {
            let listed = self.evictable.iter(class, &self.streams);
            let listed: HashSet<StreamKey, FixedState> = listed.collect();
            let len = self.evictable.len(class);
            hold!(listed.len() == len, "{len} places for {} streams as {class:?}", listed.len());
            for (key, stream) in self.streams.iter() {
                let is_listed = listed.contains(&key);
                hold!(
                    is_listed == stream.holds(class),
                    "stream {key:?} is listed as {class:?}: {is_listed}"
                );
            }
        }
        Ok(())
    }
}
