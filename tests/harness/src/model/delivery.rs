//! What the application asks for: sends, replies, rooms.

use headcount::{
    AcknowledgeError, Class, ConnId, Delivery, Except, JoinError, MESSAGE_OVERHEAD, Message,
    Position, Recovered, ReplyError, RoomId, SessionId, Start, StreamRef, UnknownConn,
};

use super::Model;
use super::closing::Audience;
use super::conn::State;
use super::entry::Entry;
use super::left_out::LeftOut;
use super::stream::{Pass, Stream};
use super::turns::{Announcement, Turn};
use crate::seen::{Content, Seen, Source};

/// What the application is told of a send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) live: u32,
    pub(crate) behind: u32,
    pub(crate) full: bool,
    pub(crate) stored: Vec<(Option<SessionId>, Position)>,
}

impl From<&Delivery> for Delivered {
    fn from(got: &Delivery) -> Self {
        let stored = got.stored().iter().map(|it| (it.session, it.position)).collect();
        Self { live: got.live, behind: got.behind, full: got.full, stored }
    }
}

impl Model {
    pub(crate) fn send(
        &mut self,
        target: &Audience,
        message: &Message,
        except: Option<Except>,
    ) -> Delivered {
        let left_out = except.and_then(|except| self.left_out(except));
        let sources = match target {
            Audience::Conn(id) => return self.send_direct(*id, message, left_out),
            Audience::Everyone => return self.announce(message, left_out),
            Audience::Sessions(ids) => ids.iter().copied().map(Source::Session).collect(),
            Audience::User(user) => {
                self.sessions_of(*user).into_iter().map(Source::Session).collect()
            }
            Audience::Room(room) => vec![Source::Room(room.clone())],
        };
        let mut delivered = Delivered::default();
        for source in sources {
            let Some(stream) = self.streams.get_mut(&source) else { continue };
            let entry = Entry {
                content: Content::Message(message.clone()),
                class: message.class().clone(),
                left_out,
                at: self.now,
                last: stream.head() + 1,
                run: None,
                ended: None,
                lingers: false,
            };
            let fleeting = stream.bounds.history == 0 || *message.class() == Class::Droppable;
            if stream.seats.is_empty() && fleeting {
                stream.log.pass_over();
                self.list_evictable(&source);
                self.marks.hit("a message was kept for nobody");
                continue;
            }
            let (live, behind) = stream.audience(left_out);
            delivered.live += live;
            delivered.behind += behind;
            delivered.stored.push(stream.position(entry.last));
            let follows = stream.seats.iter().any(|seat| seat.who.is(left_out));
            let supersedes = self.store(&source, |stream| stream.log.append(entry));
            self.marks.hit_if(supersedes, "a message was superseded");
            self.marks.hit_if(supersedes && follows, "a message was superseded by its sender's");
        }
        delivered
    }

    /// Appends to a stream, makes room for it, and sees to it that it is handed out.
    pub(crate) fn store<R>(&mut self, source: &Source, append: impl FnOnce(&mut Stream) -> R) -> R {
        self.tally.stored += 1;
        let stream = self.stream_mut(source);
        let before = stream.head();
        let appended = append(stream);
        let shed = stream.log.trim(&stream.bounds).1;
        let has_hole = stream.log.has_hole_of_run();
        if stream.seats.is_empty() {
            stream.thin();
        } else {
            stream.pass.get_or_insert_with(|| Pass::after(before));
            self.waiting.queue(Turn::Stream(source.clone()));
        }
        self.marks.hit_if(has_hole, "an entry behind an open run's was shed");
        self.marks.hit_if(shed > 0, "a droppable was shed for room");
        self.list_evictable(source);
        self.keep_budgets(source);
        appended
    }

    /// Whether the window of a connection, and its reserve for replies, have room.
    fn fits_direct(&self, id: ConnId, cost: u64) -> bool {
        let (window, reserve) = (self.config.send_window(), self.config.reply_reserve());
        let is_reserved = cost <= reserve && self.used(id) + cost <= window + reserve;
        self.fits(id, cost) || is_reserved
    }

    /// Whether a direct message is taken; queues it then.
    fn take_direct(&mut self, id: ConnId, message: &Message) -> bool {
        let (cost, window, reserve) =
            (message.cost(), self.config.send_window(), self.config.reply_reserve());
        let with_it = self.used(id) + cost;
        let needs_no_room = self.queued(id) + cost <= reserve;
        let (fits, has_room) = (self.fits_direct(id, cost), self.has_room(cost));
        let mut mark = |it, what| self.marks.hit_if(it, what);
        mark(!fits, "a direct message found no room");
        mark(fits && has_room && with_it > window, "a direct message used the reply reserve");
        let needs_it = fits && !has_room;
        mark(needs_it && needs_no_room, "a direct message needed no room among all");
        mark(needs_it && !needs_no_room, "a direct message found no room among all");
        let taken = fits && (has_room || needs_no_room);
        if taken {
            self.waiting.outbox.push_back(direct(id, message));
        }
        taken
    }

    /// Whether a reply is written at once. It overtakes nothing, and is never queued.
    pub(crate) fn reply_at_once(&mut self, id: ConnId, bytes: usize) -> Result<bool, ReplyError> {
        let cost = bytes as u64 + MESSAGE_OVERHEAD;
        if !self.can_be_answered(id) {
            return Err(ReplyError::UnknownConn);
        }
        if self.queued(id) > 0 {
            self.marks.hit("a reply would have overtaken another");
            return Ok(false);
        }
        if !self.fits_direct(id, cost) {
            self.marks.hit("a reply at once found no room");
            return Err(ReplyError::Full);
        }
        self.marks.hit("a reply was written at once");
        self.hand_alone(id, cost);
        self.tally.sent += 1;
        Ok(true)
    }

    /// Open, or upgraded and not yet admitted.
    fn can_be_answered(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_some_and(|conn| match conn.state {
            State::Open => true,
            State::Pending => conn.upgraded,
            State::Closing | State::Gone => false,
        })
    }

    fn send_direct(
        &mut self,
        id: ConnId,
        message: &Message,
        left_out: Option<LeftOut>,
    ) -> Delivered {
        if self.who(id).is(left_out) || !self.can_be_answered(id) {
            return Delivered::default();
        }
        let taken = self.take_direct(id, message);
        Delivered { live: taken.into(), full: !taken, ..Delivered::default() }
    }

    pub(crate) fn reply(&mut self, id: ConnId, message: &Message) -> Result<(), ReplyError> {
        if !self.can_be_answered(id) {
            return Err(ReplyError::UnknownConn);
        }
        self.take_direct(id, message).then_some(()).ok_or(ReplyError::Full)
    }

    fn announce(&mut self, message: &Message, left_out: Option<LeftOut>) -> Delivered {
        if self.waiting.announcements.len() >= self.config.announcements() as usize {
            self.marks.hit("an announcement found no place");
            return Delivered { full: true, ..Delivered::default() };
        }
        self.waiting.queue(Turn::Announcement);
        let (message, walk) = (message.clone(), self.walk(None));
        let announcement = Announcement { message, left_out, walk, sent: 0, skipped: 0 };
        self.waiting.announcements.push_back(announcement);
        let live = self.open().filter(|id| !self.who(*id).is(left_out)).count() as u32;
        Delivered { live, ..Delivered::default() }
    }

    /// Where it stands then, what is recovered, and whether it was there already; a new room has this epoch.
    pub(crate) fn join(
        &mut self,
        id: ConnId,
        room: &RoomId,
        start: &Start,
        epoch: u64,
    ) -> Result<(Position, Recovered, bool), JoinError> {
        let source = Source::Room(room.clone());
        let conn = self.open_conn(id).ok_or(JoinError::UnknownConn)?;
        if conn.streams.contains(&source) {
            return Ok((self.place_in(&source, id), Recovered::Fresh, true));
        }
        if conn.rooms().count() >= self.config.rooms_per_connection() as usize {
            return Err(JoinError::RoomsPerConnection);
        }
        let of_user = self.open_of_user(conn.user().ok_or(JoinError::UnknownConn)?);
        let rooms: usize = of_user.iter().map(|id| self.conns[id].rooms().count()).sum();
        if rooms >= self.config.rooms_per_user() as usize {
            self.marks.hit("a user was in too many rooms");
            return Err(JoinError::RoomsPerUser);
        }
        if !self.streams.contains_key(&source) {
            if !self.has_place_for_room() {
                return Err(JoinError::Rooms);
            }
            self.send_away_rooms();
            self.tally.rooms_opened += 1;
            self.found(source.clone(), epoch);
        }
        let (position, recovered) = self.enter(id, &source, start);
        Ok((position, recovered, false))
    }

    /// What a client says it has dealt with: never more than it was handed, never less than before.
    pub(crate) fn acknowledge(
        &mut self,
        id: ConnId,
        stream: StreamRef<'_>,
        offset: u64,
    ) -> Result<(), AcknowledgeError> {
        self.open_conn(id).ok_or(AcknowledgeError::UnknownConn)?;
        let seat = self.streams.get_mut(&stream.into()).and_then(|stream| stream.seat_mut(id));
        let seat = seat.ok_or(AcknowledgeError::NotAMember)?;
        self.marks.hit_if(offset > seat.cursor, "an acknowledgement was clamped");
        let offset = offset.min(seat.cursor);
        if offset > seat.acknowledged {
            seat.acknowledged = offset;
            self.tally.acknowledged += 1;
            self.marks.hit("an acknowledgement told something new");
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self, id: ConnId, room: &RoomId) -> Result<bool, UnknownConn> {
        let conn = self.find_mut(id).filter(|conn| conn.is_open()).ok_or(UnknownConn)?;
        let source = Source::Room(room.clone());
        let is_member = conn.streams.contains(&source);
        conn.streams.retain(|other| *other != source);
        if is_member {
            self.leave_stream(id, &source);
        }
        Ok(is_member)
    }
}

/// What a direct message is when it is handed out.
fn direct(id: ConnId, message: &Message) -> Seen {
    let (to, content) = (vec![id], Content::Message(message.clone()));
    Seen::Send { to, stream: Source::Direct, position: None, content }
}
