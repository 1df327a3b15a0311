//! Histories out of a seed. Each seed has its own weights, some of them zero: what is rare in one
//! history is all that happens in another.

use super::op::{Advance, Arrival, Class, Except, Flush, Incoming, Op, Pick, RunReport, Since, To};
use super::rng::Rng;

/// How many kinds of operation there are.
const KINDS: usize = 32;

/// Makes operations without end.
#[derive(Clone, Debug)]
pub struct Generator {
    rng: Rng,
    weights: [u64; KINDS],
    /// Names and numbers below this are chosen more often.
    hot: u8,
    /// How often, in percent, a handle may be one that has died.
    dead: u64,
    /// How often, in percent, a message is larger than the usual few bytes.
    large: u64,
    excepts: u64,
    /// How often, in percent, one that leaves out a connection does so with its session or its user.
    breadths: u64,
    /// How often, in percent, a message is the latest of a key, and how often droppable.
    latest: u64,
    droppable: u64,
    resumes: u64,
    expiries: u64,
    /// How often, in percent, a run's event is text, and how often the last.
    texts: u64,
    ends: u64,
    /// How often, in percent, such a text is of a part with a name; where none is, no run is interrupted.
    parts: u64,
    /// How often, in percent, a principal names no thread, and a client begins neither at the head with the
    /// open runs nor where it stopped.
    without: u64,
    starts: u64,
    /// How often, in percent, a connection is an event stream.
    streams: u64,
    /// How often, in percent, what begins a run or happens in one is by a client.
    requests: u64,
    /// How often, in percent, a principal names a tenant: mostly the same for each user.
    tenants: u64,
    /// How many operations of the beginning only fill the registry.
    filling: u64,
}

impl Generator {
    /// A generator whose weights and operations are a function of `rng` alone.
    #[must_use]
    pub fn new(mut rng: Rng) -> Self {
        let mut weights = [0; KINDS];
        for weight in &mut weights[..30] {
            *weight = rng.pick(&[0, 1, 2, 5, 10, 10, 20, 40]);
        }
        // Most histories know nothing of the end.
        if rng.chance(50) {
            weights[20] = 0;
            weights[21] = 0;
        }
        weights[21] = weights[21].min(5);
        // Nothing happens where nobody arrives or sends, and little where nothing is polled.
        weights[0] = weights[0].min(rng.pick(&[5, 5, 20]));
        weights[1] = weights[1].max(5);
        weights[10] = weights[10].max(10);
        weights[18] = weights[18].max(rng.pick(&[0, 1, 5, 10]));
        // Runs need events, and most histories have none.
        if rng.chance(50) {
            weights[26] = 0;
            weights[27] = 0;
            weights[28] = 0;
        } else {
            weights[26] = weights[26].clamp(2, 10);
            weights[27] = weights[27].max(10);
            weights[28] = weights[28].min(10);
        }
        if rng.chance(50) {
            // Most of what ends connections is rare, or nothing ever fills.
            for kind in [6, 14, 15, 20, 21, 24] {
                weights[kind] = weights[kind].min(1);
            }
        }
        // What came later is drawn from a copy, so that seeds keep the rest of their history.
        let mut later = rng.clone();
        let parts = later.pick(&[0, 0, 30, 80]);
        let (follows, without) = (later.pick(&[0, 0, 5, 20]), later.pick(&[0, 0, 10, 50]));
        (weights[30], weights[31]) = (follows, follows.min(later.pick(&[0, 5, 20])));
        let starts = later.pick(&[0, 30, 60]);
        let streams = later.pick(&[0, 0, 20, 60]);
        let requests = later.pick(&[0, 0, 10, 60]);
        let breadths = later.pick(&[0, 30, 80]);
        if requests > 0 && weights[26] > 0 {
            weights[26] = later.pick(&[10, 40]);
        }
        let tenants = later.pick(&[0, 0, 50, 95]);
        Self {
            weights,
            hot: rng.between(1, 3) as u8,
            dead: rng.pick(&[0, 2, 5, 30]),
            large: rng.pick(&[0, 10, 30, 70]),
            excepts: rng.pick(&[0, 10, 50]),
            breadths,
            latest: rng.pick(&[0, 0, 20, 60, 100]),
            droppable: rng.pick(&[0, 0, 30, 60, 90]),
            resumes: rng.pick(&[0, 10, 60, 90]),
            expiries: rng.pick(&[0, 0, 20, 60]),
            texts: rng.pick(&[20, 50, 80]),
            ends: rng.pick(&[1, 10, 30]),
            parts,
            without,
            starts,
            streams,
            requests,
            tenants,
            filling: rng.pick(&[0, 5, 10, 20]),
            rng,
        }
    }

    fn kind(&mut self) -> usize {
        if self.filling > 0 {
            self.filling -= 1;
            let other = if self.weights[26] > 0 { 26 } else { 1 };
            return self.rng.pick(&[1, 1, 12, 12, other]);
        }
        let mut left = self.rng.below(self.weights.iter().sum());
        for (kind, weight) in self.weights.iter().enumerate() {
            if left < *weight {
                return kind;
            }
            left -= weight;
        }
        unreachable!("the weights add up")
    }

    fn name(&mut self) -> u8 {
        if self.rng.chance(50) { self.rng.byte() % self.hot } else { self.rng.byte() }
    }

    fn pick(&mut self) -> Pick {
        let kind = if self.rng.chance(self.dead) { 3 } else { self.rng.below(3) as u16 };
        let number = if self.rng.chance(50) {
            u16::from(self.rng.byte() % self.hot)
        } else {
            self.rng.next() as u16 & 0x3FFF
        };
        match kind {
            0 => Pick::Known(number),
            1 => Pick::Open(number),
            2 => Pick::Newest(number),
            _ => Pick::Ever(number),
        }
    }

    /// A client that asks for something: few others than open ones do.
    fn asking(&mut self) -> Pick {
        match self.rng.chance(90) {
            true => Pick::Open(self.rng.byte().into()),
            false => self.pick(),
        }
    }

    fn thread_of_request(&mut self) -> Option<u8> {
        match self.rng.below(10) {
            0..=5 => None,
            6 | 7 => Some(self.name()),
            _ => Some(200 + self.rng.byte() % self.hot),
        }
    }

    fn size(&mut self) -> u8 {
        if self.rng.chance(self.large) { self.rng.byte() } else { self.rng.byte() % 4 }
    }

    fn class(&mut self) -> Class {
        if self.rng.chance(self.droppable) {
            Class::Droppable
        } else if self.rng.chance(self.latest) {
            Class::Latest(self.rng.byte() % (2 * self.hot))
        } else {
            Class::Critical
        }
    }

    fn report(&mut self) -> RunReport {
        let size = self.size();
        let has_parts = self.parts > 0;
        if self.rng.chance(self.texts) {
            if has_parts && self.rng.chance(self.parts) {
                return RunReport::Delta { part: self.name(), size: self.rng.byte() };
            }
            return RunReport::Text(self.rng.byte());
        }
        if self.rng.chance(self.ends) {
            return match self.rng.below(4 + u64::from(has_parts)) {
                0 | 1 => RunReport::Completed(size),
                2 => RunReport::Failed(size),
                3 => RunReport::Cancelled(size),
                _ => RunReport::Interrupted(size),
            };
        }
        let call = if self.rng.chance(80) { self.rng.byte() % 3 } else { self.rng.byte() };
        match self.rng.below(5) {
            0 => RunReport::Thinking(size),
            1 | 2 => {
                let expect = self.rng.chance(50).then(|| self.rng.byte());
                RunReport::Executing { call, size, expect }
            }
            3 => RunReport::Executed { call, size },
            _ => RunReport::Progress(size),
        }
    }

    fn to(&mut self) -> To {
        match self.rng.below(10) {
            8 => To::Thread(self.name(), self.name()),
            9 => To::Run(self.name(), self.name()),
            0 => {
                let pick = self.pick();
                self.rng.pick(&[
                    To::Conn(pick),
                    To::Conn(pick),
                    To::SessionOf(pick),
                    To::UserOf(pick),
                ])
            }
            1 | 2 => To::Session(self.pick()),
            3 if self.rng.chance(30) => To::Own(self.name()),
            3 => To::User(self.name()),
            4..=6 => To::Room(self.name()),
            _ => To::Everyone,
        }
    }

    fn except(&mut self) -> Except {
        // Mostly one that is open: others get nothing anyway.
        let pick = self.pick();
        let pick = if self.rng.chance(80) { opened(pick) } else { pick };
        if self.breadths > 0 && self.rng.chance(self.breadths) {
            return self.rng.pick(&[Except::Session(pick), Except::User(pick)]);
        }
        Except::Connection(pick)
    }

    fn since(&mut self) -> Since {
        if self.starts > 0 && self.rng.chance(self.starts) {
            let run = self.name();
            return self.rng.pick(&[Since::Now, Since::Recent, Since::Run(run), Since::Kept]);
        }
        if !self.rng.chance(self.resumes) {
            return Since::Fresh;
        }
        let some = self.rng.byte() % 4;
        match self.rng.below(10) {
            0 => Since::Head,
            1..=5 => Since::Behind(some),
            6 => Since::Beyond(some),
            7 => Since::Foreign(some),
            _ => self.rng.pick(&[Since::Zero, Since::Last, Since::Unseen]),
        }
    }

    /// The connection that a client had before: mostly one that is open.
    fn previous(&mut self) -> Option<Pick> {
        let pick = self.pick();
        match self.rng.below(4) {
            0 | 1 => Some(opened(pick)),
            2 => Some(pick),
            _ => None,
        }
    }

    fn thread(&mut self) -> u8 {
        let without = self.without > 0 && self.rng.chance(self.without);
        if without { 255 } else { self.name() % 200 }
    }

    fn tenant(&mut self, user: u8) -> Option<u8> {
        let names_one = self.tenants > 0 && self.rng.chance(self.tenants);
        let other = names_one && self.rng.chance(10);
        names_one.then(|| if other { self.rng.byte() } else { user })
    }

    fn arrival(&mut self) -> Arrival {
        let user = self.name();
        Arrival {
            user,
            thread: self.thread(),
            resume: self.since(),
            previous: self.previous(),
            expiry: self.expiry(),
            label: self.rng.chance(30).then(|| self.rng.byte()),
            limit: self.rng.chance(10).then(|| self.rng.byte()),
            event_stream: self.streams > 0 && self.rng.chance(self.streams),
            tenant: self.tenant(user),
        }
    }

    fn expiry(&mut self) -> Option<u8> {
        self.rng.chance(self.expiries).then(|| self.rng.byte())
    }

    fn advance(&mut self) -> Advance {
        let some = self.rng.byte();
        match self.rng.below(20) {
            0..=3 => Advance::Nanos(some),
            4..=9 => Advance::Millis(some),
            10 | 11 => Advance::Before,
            12..=15 => Advance::Exactly,
            16 | 17 => Advance::Past(some),
            18 => Advance::Far(some),
            _ => Advance::Ages(some % 3),
        }
    }

    fn flush(&mut self) -> Flush {
        match self.rng.below(10) {
            0..=3 => Flush::All,
            4 | 5 => Flush::Half,
            6 => Flush::Some(self.rng.byte()),
            7 => Flush::Nothing,
            8 => Flush::Beyond,
            _ => Flush::Backwards,
        }
    }

    fn incoming(&mut self) -> Incoming {
        match self.rng.below(20) {
            0..=5 => Incoming::Data,
            6..=7 => Incoming::Largest,
            8 => Incoming::TooLarge,
            9 => Incoming::Life,
            10..=11 => Incoming::Piece,
            12 => Incoming::Bulk,
            13..=14 => Incoming::Fragment,
            15..=16 => Incoming::Ping,
            _ => Incoming::Pong,
        }
    }

    /// The next operation.
    pub fn next_op(&mut self) -> Op {
        match self.kind() {
            0 => Op::Reserve { source: self.rng.chance(80).then(|| self.name()) },
            1 if self.rng.chance(20) => Op::Admit(self.arrival()),
            1 => Op::Arrive(self.arrival()),
            2 => Op::Upgraded { conn: self.pick() },
            3 => Op::Connect { conn: self.pick(), arrival: self.arrival() },
            4 => Op::Message { conn: self.pick(), kind: self.incoming() },
            5 if self.rng.chance(30) => Op::FlushedMany {
                first: self.pick(),
                count: self.rng.byte() % 6,
                how: self.flush(),
            },
            5 => Op::Flushed { conn: self.pick(), how: self.flush() },
            6 => Op::Disconnect { conn: self.pick() },
            7 => Op::Tick,
            8 => Op::Advance(self.advance()),
            9 => Op::Skew { millis: self.rng.byte() },
            10 => {
                let except = self.rng.chance(self.excepts).then(|| self.except());
                let (to, size, class) = (self.to(), self.size(), self.class());
                Op::Send { to, size, class, except, text: self.rng.chance(50) }
            }
            11 if self.rng.chance(40) => Op::ReplyAtOnce { conn: self.pick(), size: self.size() },
            11 => Op::Reply { conn: self.pick(), size: self.size() },
            12 => Op::Join { conn: self.pick(), room: self.name(), since: self.since() },
            13 if self.breadths > 0 && self.rng.chance(20) => {
                Op::Forget { conn: self.pick(), room: self.name(), arrival: self.arrival() }
            }
            13 if self.rng.chance(30) => Op::Vacate { room: self.name() },
            13 => Op::Leave { conn: self.pick(), room: self.name() },
            14 => {
                let mut to = self.to();
                // Everyone at once is the end of most of a history.
                if to == To::Everyone && self.rng.chance(80) {
                    to = To::Conn(self.pick());
                }
                Op::Close { to, reason: self.rng.byte() }
            }
            15 => Op::Flushed { conn: self.pick(), how: Flush::All },
            16 => Op::Poll { count: self.rng.between(1, 6) as u8 },
            17 if self.rng.chance(50) => Op::Notices { count: self.rng.byte() },
            17 => Op::FlushAll,
            18 if self.rng.chance(5) => Op::Restore,
            18 => Op::PollAll,
            19 => Op::Refresh { conn: self.pick(), expiry: self.expiry() },
            20 => Op::Revoke { user: self.name() },
            21 => Op::Drain { deadline: self.rng.chance(50).then(|| self.rng.byte()) },
            22 => Op::CancelDrain,
            23 => {
                let other = self.incoming();
                let kind = self.rng.pick(&[Incoming::Data, Incoming::Data, other]);
                Op::Chatter { conn: self.pick(), kind, count: self.rng.between(2, 12) as u8 }
            }
            24 => Op::Reload { choice: self.rng.byte(), dry_run: self.rng.chance(20) },
            25 => {
                let room = self.rng.chance(50).then(|| self.name());
                let some = self.rng.byte() % 4;
                let upto = self.rng.pick(&[
                    Since::Head,
                    Since::Head,
                    Since::Fresh,
                    Since::Behind(some),
                    Since::Beyond(some),
                    Since::Foreign(some),
                    Since::Last,
                ]);
                Op::Acknowledge { conn: self.pick(), room, upto }
            }
            26 if self.requests > 0 && self.rng.chance(self.requests) => Op::RequestRun {
                conn: self.asking(),
                thread: self.thread_of_request(),
                run: self.name(),
                size: self.size(),
            },
            27 if self.requests > 0 && self.rng.chance(self.requests / 2) => {
                Op::RequestCancel { conn: self.asking(), run: self.name(), size: self.size() }
            }
            26 => Op::OpenRun {
                user: self.name(),
                // Any: a run in a session of its own is rare enough.
                thread: self.rng.byte(),
                run: self.name(),
                size: self.size(),
            },
            27 => Op::RunEvent { user: self.name(), run: self.name(), event: self.report() },
            28 => {
                let pieces = self.rng.between(2, 5) as u8;
                Op::Talk { run: self.rng.byte() % self.hot, pieces, size: self.rng.byte() }
            }
            30 => Op::Follow { conn: self.pick(), thread: self.name(), since: self.since() },
            31 => Op::Unfollow { conn: self.pick(), session: self.rng.byte() },
            _ => Op::Live { deadlines: self.rng.between(1, 4) as u8 },
        }
    }
}

/// The same number, among the connections that are open.
const fn opened(pick: Pick) -> Pick {
    let (Pick::Known(number) | Pick::Open(number) | Pick::Newest(number) | Pick::Ever(number)) =
        pick;
    Pick::Open(number)
}
