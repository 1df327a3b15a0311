//! A recorder for the [`headcount`] registry, and the replay of what it recorded.
//!
//! The registry is a function of its inputs. So a recording of them makes all that happened in a server
//! happen again at a desk, at any speed, up to any input. [`Recorder::registry`] makes a registry
//! with a [`Recorder`] as its [`Tap`](headcount::Tap). The shell takes what was recorded and appends it to
//! a file once a turn ([`Recorder::take`]), and [`Replay`] reads it.
//!
//! ```
//! use headcount::{Config, Message, Principal, Start, Target, ThreadId, Timestamp, UserId};
//! use headcount_journal::{Recorder, Recording, Replay};
//!
//! let now = Timestamp::from_secs(1);
//! let mut registry = Recorder::registry(Config::new(42), Recording::new(7));
//! let who = Principal::new(UserId::new("alice")?).with_thread(ThreadId::new("main")?);
//! let (conn, _) = registry.admit(now, who, Start::OpenRuns, None)?;
//! registry.send(now, Target::Conn(conn), Message::text("hello"));
//! while registry.poll_action().is_some() {}
//! let recorder = registry.tap_mut::<Recorder>().expect("it was made with one");
//! let file = recorder.take().to_vec(); // A shell appends it to a file, once a turn.
//!
//! let mut replay = Replay::new(&file)?;
//! let mut costs = Vec::new();
//! while let Some(step) = replay.step(|action| costs.push(action.cost()))? {
//!     println!("{} {:?} {}", step.number, step.at, step.input);
//! }
//! assert_eq!(costs.len(), 1);
//! assert!(replay.registry().connection(conn).is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it costs
//!
//! An input is written as 4 to 20 bytes in a buffer: its kind, the time since the one before, and its
//! fields, with small numbers short. Actions are not written: for each run of polls there is their
//! number and a digest of what came out, so that a replay notices at once when it does something
//! else. Nothing is compressed: a server with a thousand messages a second writes some 100 MB an hour.
//!
//! # Segments
//!
//! A journal that is kept for days has segments ([`Recording::segments`]). [`Recorder::next_segment`] begins
//! one, with a snapshot of the registry that hides what the journal hides. A segment is a journal of its own:
//! it is replayed without those before it, and ends in the state that the next one begins with.
//!
//! # The format
//!
//! A line of text, `headcount journal`, then records. A record is its version (one byte), the length
//! of its body and a CRC-32 (four bytes each, little endian), and a body of some inputs: those of one
//! turn, or 32 KiB of them. The checksum goes on from that of the record before, and covers version,
//! length and body: a journal that was cut at any byte can be read up to its last whole record, and
//! one with a byte changed or a record missing up to there. The first record begins with the
//! configuration, or with the snapshot that a segment goes on from.
//!
//! # What is left out
//!
//! Payloads and names, unless [`Recording`] is asked for them. Decisions never depend on them, only
//! on the lengths of payloads, on which names are the same, and on whether one is empty or too long.
//!
//! # Features
//!
//! The crate is `no_std` with `alloc`.
//!
//! * `std`, on by default, computes checksums in hardware, where the processor has it.

#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod decode;
mod digest;
mod error;
mod input;
mod kind;
mod line;
mod number;
mod record;
mod recorder;
mod recording;
mod replay;
mod settings;
mod tap;
#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use input::{OwnedInput, OwnedRunEvent, Recipient};
pub use line::Line;
pub use recorder::Recorder;
pub use recording::Recording;
pub use replay::{Reader, Replay, Step};

/// The largest payload that a journal tells of, in bytes: as large as any bound of bytes may be. A
/// larger one ends the recording.
const MAX_PAYLOAD_BYTES: u64 = 1 << 30;
