//! Any bytes are a history: the registry is held to the model, to the grammar of its outputs and to
//! its own invariants after every operation, and must come to rest at the end.
//!
//! `cargo +nightly fuzz run ops`; a failure prints its operations, and
//! `cargo +nightly fuzz tmin ops <file>` makes them fewer.

#![no_main]

#[path = "../../tests/harness/mod.rs"]
mod harness;

use harness::op::{Advance, Class, Flush, Incoming, Op, Pick, RunReport, Since, To};
use harness::rng::Rng;
use harness::settings;
use harness::world::World;
use libfuzzer_sys::fuzz_target;

/// Longer histories find little that shorter ones don't, and cost the square.
const LONGEST: usize = 400;

/// Reads operations off bytes, one field a byte (a handle two), until they run out.
struct Decoder<'a> {
    bytes: core::slice::Iter<'a, u8>,
}

impl Decoder<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes.next().copied()
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    /// In one of four cases.
    fn rarely<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(if self.byte()? & 3 == 0 { Some(read(self)?) } else { None })
    }

    fn pick(&mut self) -> Option<Pick> {
        self.short().map(Pick)
    }

    fn since(&mut self) -> Option<Since> {
        let byte = self.byte()?;
        let some = byte >> 3;
        Some(match byte & 7 {
            0 | 1 => Since::Fresh,
            2 => Since::Head,
            3 => Since::Behind(some),
            4 => Since::Beyond(some),
            5 => Since::Foreign(some),
            6 => Since::Zero,
            _ => Since::Last,
        })
    }

    fn to(&mut self) -> Option<To> {
        let byte = self.byte()?;
        let number = byte >> 3;
        Some(match byte & 7 {
            0 | 1 => To::Room(number),
            2 => To::User(number),
            3 if number & 1 == 0 => To::Thread(number, self.byte()?),
            3 => To::Run(number, self.byte()?),
            4 => To::Conn(self.pick()?),
            5 | 6 => To::Session(self.pick()?),
            _ => To::Everyone,
        })
    }

    fn incoming(&mut self) -> Option<Incoming> {
        Some(match self.byte()? % 8 {
            0..=2 => Incoming::Data,
            3 => Incoming::Largest,
            4 => Incoming::TooLarge,
            5 => Incoming::Life,
            _ => Incoming::Pong,
        })
    }

    fn flush(&mut self) -> Option<Flush> {
        let byte = self.byte()?;
        Some(match byte & 7 {
            0 | 1 => Flush::All,
            2 => Flush::Half,
            3 | 4 => Flush::Some(byte & !7),
            5 => Flush::Nothing,
            6 => Flush::Beyond,
            _ => Flush::Backwards,
        })
    }

    fn advance(&mut self) -> Option<Advance> {
        let byte = self.byte()?;
        let some = byte >> 3;
        Some(match byte & 7 {
            0 => Advance::Nanos(some),
            1 => Advance::Millis(some),
            2 => Advance::Before,
            3 | 4 => Advance::Exactly,
            5 => Advance::Past(some),
            6 => Advance::Far(some),
            _ => Advance::Ages(some),
        })
    }

    fn class(&mut self) -> Option<Class> {
        let byte = self.byte()?;
        Some(match byte & 3 {
            0 => Class::Latest(byte >> 2 & 7),
            1 => Class::Droppable,
            _ => Class::Critical,
        })
    }

    fn report(&mut self) -> Option<RunReport> {
        let (byte, size) = (self.byte()?, self.byte()?);
        let call = byte >> 3;
        Some(match byte & 7 {
            0 => RunReport::Thinking(size),
            1 => RunReport::Executing { call, size },
            2 => RunReport::Executed { call, size },
            3 => RunReport::Progress(size),
            4 | 5 => RunReport::Text(size),
            6 => RunReport::Completed(size),
            _ if call & 1 == 0 => RunReport::Failed(size),
            _ => RunReport::Cancelled(size),
        })
    }

    fn op(&mut self) -> Option<Op> {
        Some(match self.byte()? % 43 {
            0 => Op::Reserve,
            1..=3 => Op::Arrive {
                user: self.byte()?,
                thread: self.byte()?,
                resume: self.since()?,
                previous: self.rarely(Self::pick)?,
                expiry: self.rarely(Self::byte)?,
            },
            4 => Op::Upgraded { conn: self.pick()? },
            5 => Op::Connect {
                conn: self.pick()?,
                user: self.byte()?,
                thread: self.byte()?,
                resume: self.since()?,
                previous: self.rarely(Self::pick)?,
                expiry: self.rarely(Self::byte)?,
            },
            6 | 7 => Op::Message { conn: self.pick()?, kind: self.incoming()? },
            8 | 9 => Op::Flushed { conn: self.pick()?, how: self.flush()? },
            10 => Op::FlushAll,
            11 => Op::Disconnect { conn: self.pick()? },
            12 => Op::Tick,
            13 | 14 => Op::Advance(self.advance()?),
            15 => Op::Skew { millis: self.byte()? },
            16..=18 => {
                let (to, size, flags) = (self.to()?, self.byte()?, self.byte()?);
                let class = self.class()?;
                let except = if flags & 3 == 0 { Some(self.pick()?) } else { None };
                Op::Send { to, size, class, except, text: flags & 4 == 0 }
            }
            19 => Op::Reply { conn: self.pick()?, size: self.byte()? },
            20 | 21 => Op::Join { conn: self.pick()?, room: self.byte()?, since: self.since()? },
            22 => Op::Leave { conn: self.pick()?, room: self.byte()? },
            23 => Op::Close { to: self.to()?, reason: self.byte()? },
            24 | 25 => Op::Poll { count: self.byte()? % 16 },
            26 => Op::PollAll,
            27 => Op::Chatter { conn: self.pick()?, count: self.byte()? },
            28 => Op::Refresh { conn: self.pick()?, expiry: self.rarely(Self::byte)? },
            29 => Op::Revoke { user: self.byte()? },
            30 => Op::Drain { deadline: self.rarely(Self::byte)? },
            31 => Op::CancelDrain,
            32 | 33 => Op::Live { deadlines: self.byte()? % 16 },
            34 => Op::Reload { choice: self.byte()?, dry_run: self.byte()? % 4 == 0 },
            35 => Op::Acknowledge {
                conn: self.pick()?,
                room: self.rarely(Self::byte)?,
                upto: self.since()?,
            },
            36 | 37 => Op::OpenRun {
                user: self.byte()?,
                thread: self.byte()?,
                run: self.byte()?,
                size: self.byte()?,
            },
            38..=40 => {
                Op::RunEvent { user: self.byte()?, run: self.byte()?, event: self.report()? }
            }
            41 => {
                let (run, pieces) = (self.byte()?, self.byte()? % 8);
                Op::Talk { run, pieces, size: self.byte()? }
            }
            _ => Op::Notices { count: self.byte()? },
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder { bytes: bytes.iter() };
    // The first two bytes choose one of 65,536 configurations.
    let Some(seed) = decoder.short() else { return };
    let (config, population) = settings::random(&mut Rng::new(seed.into()));
    let ops: Vec<Op> = core::iter::from_fn(|| decoder.op()).take(LONGEST).collect();
    let mut world = World::new(config.clone(), population);
    let mut done = 0;
    let outcome = ops.iter().try_for_each(|op| {
        done += 1;
        world.apply(op)
    });
    if let Err(wrong) = outcome.and_then(|()| world.wind_up()) {
        eprintln!("{config:#?} {population:?}");
        for (number, op) in ops[..done].iter().enumerate() {
            eprintln!("{number:5} {op:?}");
        }
        panic!("after {done} operations: {wrong}");
    }
});
