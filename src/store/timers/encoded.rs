//! A wheel in a snapshot: where it stands, and each slot with its entries in their order.

use super::*;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

impl<K: Packed> Timers<K> {
    pub(crate) fn encode(&self, to: &mut Encoder<'_>) {
        let key = self.now & ((1 << KEY_BITS) - 1);
        (millis(self.now), key as u64).encode(to);
        self.opened.encode(to);
        let taken = self.heads.iter().enumerate().filter(|(_, head)| **head != NIL);
        to.number(taken.clone().count() as u64);
        for (slot, head) in taken {
            let entries: Vec<_> = self.entries(*head).collect();
            (slot, entries).encode(to);
        }
    }

    /// The keys of a slot and when each is due, from its front on.
    fn entries(&self, head: u32) -> impl Iterator<Item = (u32, u64)> + '_ {
        let after = |(_, node): &(u32, &Node)| Some((node.next, self.nodes.get(node.next)?));
        let first = self.nodes.get(head).map(|node| (head, node));
        core::iter::successors(first, after).map(|(key, node)| (key, node.at()))
    }

    /// `ends` says where each table of keys ends: no other key may have an entry.
    pub(crate) fn decode(from: &mut Decoder<'_>, ends: [usize; TABLES]) -> Result<Self, Malformed> {
        let mut timers = Self::new();
        let (millis, key): (u64, u64) = Encoded::decode(from)?;
        timers.now = position(millis, u32::try_from(key).map_err(|_| Malformed)?);
        timers.opened = u8::decode(from)?;
        if usize::from(timers.opened) >= LEVELS {
            return Err(Malformed);
        }
        for _ in 0..from.count()? {
            let (slot, entries): (usize, Vec<(u32, u64)>) = Encoded::decode(from)?;
            if timers.heads.get(slot) != Some(&NIL) {
                return Err(Malformed);
            }
            for (key, at) in entries.into_iter().rev() {
                let (table, place) = (key as usize / MAX_SLOTS, key as usize % MAX_SLOTS);
                let is_timely = Deadline::from_millis(at).instant().is_some();
                if place >= ends[table] || !is_timely {
                    return Err(Malformed);
                }
                let (chunk, place) = timers.nodes.chunk_mut(key);
                if chunk.nodes[place].slot != UNSCHEDULED {
                    return Err(Malformed);
                }
                chunk.scheduled += 1;
                timers.enter(slot, key, at);
            }
        }
        Ok(timers)
    }
}
