//! What the application asks for: sends, replies, rooms.

use std::collections::BTreeSet;

use headcount::{
    AcknowledgeError, Class, ConnId, Delivery, JoinError, Joined, Message, Position, Recovered,
    Registry, ReplyError, RoomId, Timestamp, UnknownConn,
};

use super::closing::Audience;
use super::conn::{Conn, State, Waiting};
use super::entry::Entry;
use super::stream::Lag;
use super::{Announcement, Model};
use crate::seen::{Content, Source};
use crate::{Check, ensure};

impl Model {
    pub(crate) fn send(
        &mut self,
        stamp: Timestamp,
        target: &Audience,
        (message, class): (&Message, Class),
        except: Option<ConnId>,
        got: &Delivery,
    ) -> Check {
        self.clock(stamp);
        let sources = match target {
            Audience::Conn(id) => return self.send_direct(*id, message, except, got),
            Audience::Everyone => return self.announce(message, except, got),
            Audience::Nobody => Vec::new(),
            Audience::Session(id) => vec![Source::Session(*id)],
            Audience::User(user) => {
                let sessions = self.going().filter(|(_, session)| session.user == *user);
                let mut sessions: Vec<_> = sessions.map(|(id, _)| id).collect();
                // The oldest first: a budget spares what was appended last.
                sessions.sort_unstable_by_key(|id| self.made(id.to_bits()));
                sessions.into_iter().map(Source::Session).collect()
            }
            Audience::Room(room) => vec![Source::Room(room.clone())],
        };
        let (mut surely_live, mut perhaps_live, mut behind) = (0, 0, 0);
        let mut stored = BTreeSet::new();
        for source in sources {
            let Some(stream) = self.streams.get_mut(&source) else { continue };
            for seat in stream.seats.iter().filter(|seat| Some(seat.conn) != except) {
                match seat.lag {
                    Lag::No => surely_live += 1,
                    Lag::Perhaps => perhaps_live += 1,
                    Lag::Yes => behind += 1,
                }
            }
            let entry = Entry {
                content: Content::Message(message.clone()),
                class: class.clone(),
                at: self.now,
                last: stream.head() + 1,
                run: None,
                ended: None,
            };
            let fleeting = stream.bounds.history == 0 || class == Class::Droppable;
            if stream.seats.is_empty() && fleeting {
                stream.pass_over(entry);
                self.marks.hit("a message was kept for nobody");
                continue;
            }
            let superseded = stream.append(entry);
            if superseded {
                self.marks.hit("a message was superseded");
            }
            if stream.trim().1 > 0 {
                self.marks.hit("a droppable was shed for room");
            }
            let offset = stream.head();
            let session = if let Source::Session(id) = source { Some(id) } else { None };
            stored.insert((session, stream.epoch, offset));
            self.tally.stored += 1;
            self.log_moved(&source);
            self.appended(&source);
        }
        let whole = surely_live + perhaps_live + behind;
        ensure!(!got.full, "send: full");
        ensure!(
            (surely_live..=surely_live + perhaps_live).contains(&got.live)
                && got.live + got.behind == whole,
            "send: {got:?}, expected {surely_live}+{perhaps_live} live, {behind} behind"
        );
        let told: BTreeSet<_> = got
            .stored()
            .iter()
            .map(|it| (it.session, it.position.epoch, it.position.offset))
            .collect();
        ensure!(told == stored, "send: stored at {told:?}, expected {stored:?}");
        ensure!(got.stored().len() == told.len(), "send: stored twice in one log");
        ensure!(got.nobody() == (whole == 0 && stored.is_empty()), "send: nobody is wrong");
        Ok(())
    }

    /// A log was trimmed, or may have been.
    pub(crate) fn log_moved(&mut self, source: &Source) {
        if let Some(stream) = self.streams.get_mut(source) {
            stream.thin(false);
        }
    }

    /// What is queued for all connections, at least and at most.
    pub(crate) fn directed(&self) -> (u64, u64) {
        let each = self.conns.values().map(Conn::directed);
        each.fold((0, 0), |sums, (least, most)| (sums.0 + least, sums.1 + most))
    }

    /// Whether what is queued for all has room for a direct message; `None`: it is open.
    fn has_room_for(&self, cost: u64) -> Option<bool> {
        let fits = |queued: u64| queued == 0 || queued + cost <= self.config.direct_bytes();
        let (least, most) = self.directed();
        match (fits(least), fits(most)) {
            (fits, same) if fits == same && (fits || least > 0) => Some(fits),
            _ => None,
        }
    }

    /// Whether a direct message is taken; queues it then. Where that is open, the registry's answer
    /// counts.
    fn take_direct(&mut self, id: ConnId, message: &Message, taken: bool) -> bool {
        let (window, reply_reserve) = (self.config.window(), self.config.reply_reserve());
        let has_room = self.has_room_for(message.cost());
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        let mut fits = conn.direct_fits(message.cost(), window, reply_reserve);
        if fits && has_room != Some(true) {
            if conn.queued() + message.cost() <= reply_reserve {
                self.marks.hit("a direct message needed no room among all");
            } else {
                fits = has_room.unwrap_or(taken);
                if !fits {
                    self.marks.hit("a direct message found no room among all");
                }
            }
        } else if !fits {
            self.marks.hit("a direct message found no room");
        } else if conn.used() + message.cost() > window {
            self.marks.hit("a direct message used the reply reserve");
        }
        if fits {
            conn.outbox.push_back(Waiting::Direct(message.clone()));
        }
        fits
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
        except: Option<ConnId>,
        got: &Delivery,
    ) -> Check {
        let mut expected = (0, false);
        if self.can_be_answered(id) && except != Some(id) {
            let taken = self.take_direct(id, message, !got.full);
            expected = if taken { (1, false) } else { (0, true) };
        }
        let fine = (got.live, got.full) == expected && got.behind == 0 && got.stored().is_empty();
        ensure!(fine, "send to one: {got:?}, expected (live, full) {expected:?}");
        Ok(())
    }

    pub(crate) fn reply(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        message: &Message,
        got: Result<(), ReplyError>,
    ) -> Check {
        self.clock(stamp);
        let expected = if !self.can_be_answered(id) {
            Err(ReplyError::UnknownConn)
        } else if self.take_direct(id, message, got.is_ok()) {
            Ok(())
        } else {
            Err(ReplyError::Full)
        };
        ensure!(got == expected, "reply: {got:?}, expected {expected:?}");
        Ok(())
    }

    fn announce(&mut self, message: &Message, except: Option<ConnId>, got: &Delivery) -> Check {
        let limit = self.config.announcements() as usize;
        let under_way = self.announcements.iter().filter(|it| !it.ended);
        let (walked, waiting): (Vec<_>, Vec<_>) = under_way.partition(|it| it.walked);
        if got.full {
            ensure!(walked.len() + waiting.len() >= limit, "send to all: full");
            ensure!(got.live == 0 && got.behind == 0, "send to all: {got:?}");
            self.marks.hit("an announcement found no place");
            return Ok(());
        }
        ensure!(waiting.len() < limit, "send to all: {} under way", waiting.len());
        let must: BTreeSet<_> =
            self.open().map(|conn| conn.id).filter(|id| Some(*id) != except).collect();
        ensure!(
            got.live as usize == must.len() && got.behind == 0 && got.stored().is_empty(),
            "send to all: {got:?}, {} are open",
            must.len()
        );
        self.announcements.push(Announcement {
            message: message.clone(),
            // With nobody to walk to, it may be over already.
            walked: must.is_empty(),
            must,
            excused: BTreeSet::new(),
            got: BTreeSet::new(),
            ended: false,
        });
        Ok(())
    }

    pub(crate) fn join(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        room: &RoomId,
        since: Option<Position>,
        got: Result<Joined, JoinError>,
        registry: &Registry,
    ) -> Check {
        self.clock(stamp);
        let source = Source::Room(room.clone());
        let exists = self.streams.contains_key(&source);
        let Some(conn) = self.conns.get(&id).filter(|conn| conn.is_open()) else {
            ensure!(got == Err(JoinError::UnknownConn), "join: {got:?} for one that is not open");
            return Ok(());
        };
        if conn.rooms.contains(room) {
            let joined = got.map_err(|error| format!("join: {error:?} for a member"))?;
            let stream = &self.streams[&source];
            let cursor = stream.seat(id).map_or(0, |seat| seat.cursor);
            let position = Position { epoch: stream.epoch, offset: cursor };
            ensure!(
                joined.already
                    && joined.position == position
                    && joined.recovered == Recovered::Fresh,
                "join: {joined:?} for a member at {position:?}"
            );
            return Ok(());
        }
        let mut broken = Vec::new();
        if conn.rooms.len() >= self.config.rooms_per_connection() as usize {
            broken.push(JoinError::RoomsPerConnection);
        }
        let user = conn.session().map(|session| self.sessions[&session].user);
        let of_user = self.open_of_user(user.ok_or("a member of no session")?);
        let rooms: usize = of_user.iter().map(|id| self.conns[id].rooms.len()).sum();
        if broken.is_empty() && rooms >= self.config.rooms_per_user() as usize {
            self.marks.hit("a user was in too many rooms");
            broken.push(JoinError::RoomsPerUser);
        }
        if !exists && !self.has_place_for_room() {
            broken.push(JoinError::Rooms);
        }
        if !broken.is_empty() {
            let fine = got.is_err_and(|error| broken.contains(&error));
            ensure!(fine, "join: {got:?}, expected one of {broken:?}");
            return Ok(());
        }
        let joined = got.map_err(|error| format!("join: {error:?}"))?;
        if !exists {
            self.send_away_rooms(registry)?;
            self.tally.rooms_opened += 1;
            self.found(source.clone(), joined.position.epoch)?;
        }
        let (position, recovered) =
            self.enter(id, &source, since, (joined.recovered, joined.position.offset))?;
        ensure!(
            joined.position == position && joined.recovered == recovered,
            "join: {joined:?}, expected {position:?} and {recovered:?}"
        );
        ensure!(!joined.already, "join: {joined:?}");
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.rooms.push(room.clone());
        }
        self.seats_moved(id);
        Ok(())
    }

    /// What a client says it has dealt with: never more than it was handed, never less than before.
    pub(crate) fn acknowledge(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        room: Option<&RoomId>,
        offset: u64,
        got: Result<(), AcknowledgeError>,
    ) -> Check {
        self.clock(stamp);
        let session = self.known(id).filter(|conn| conn.is_open()).and_then(|conn| conn.session());
        let Some(session) = session else {
            let fine = got == Err(AcknowledgeError::UnknownConn);
            ensure!(fine, "acknowledge: {got:?} for one that is not open");
            return Ok(());
        };
        let source = room.cloned().map_or(Source::Session(session), Source::Room);
        let Some(stream) = self.streams.get_mut(&source).filter(|it| it.seat(id).is_some()) else {
            let fine = got == Err(AcknowledgeError::NotAMember);
            ensure!(fine, "acknowledge: {got:?} for one that is not in {source:?}");
            return Ok(());
        };
        ensure!(got == Ok(()), "acknowledge: {got:?} for a member of {source:?}");
        let Some(seat) = stream.seat_mut(id) else { return Ok(()) };
        if offset > seat.cursor {
            self.marks.hit("an acknowledgement was clamped");
        }
        let offset = offset.min(seat.cursor);
        if offset > seat.acknowledged {
            seat.acknowledged = offset;
            self.tally.acknowledged += 1;
            self.marks.hit("an acknowledgement told something new");
        }
        Ok(())
    }

    pub(crate) fn leave(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        room: &RoomId,
        got: Result<bool, UnknownConn>,
    ) -> Check {
        self.clock(stamp);
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.is_open()) else {
            // Pending ones are in no room, which can be said in both ways.
            let pending = self.conns.get(&id).is_some_and(|conn| conn.state == State::Pending);
            let fine = got == Err(UnknownConn) || pending && got == Ok(false);
            ensure!(fine, "leave: {got:?} for one that is not open");
            return Ok(());
        };
        let member = conn.rooms.contains(room);
        conn.rooms.retain(|other| other != room);
        ensure!(got == Ok(member), "leave: {got:?}, member: {member}");
        if member {
            self.leave_stream(id, &Source::Room(room.clone()));
            self.seats_moved(id);
        }
        Ok(())
    }
}
