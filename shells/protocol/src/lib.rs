//! The wire of a headcount gateway as pure types: what clients, back ends and the
//! gateway send each other. Nothing here does I/O or reads a clock.
//!
//! # For authors of clients
//!
//! A client sends and gets JSON in text messages. [`client_frames`] writes what it sends, and
//! [`server_frames::parse`] understands what it gets. The first frame is a
//! [`Welcome`](server_frames::Welcome). Fields and frames that are not known are ignored. [`close_codes`]
//! says what to do after a close.
//!
//! ```
//! use headcount::{Position, RoomId};
//! use headcount_protocol::client_frames::{self, Ask};
//! use headcount_protocol::server_frames::{self, Event, Frame, Stream};
//!
//! let room = RoomId::new("lobby")?;
//! let since = Some(Position { epoch: 0x5c1f_0e8a_7b3d_2946, offset: 4 });
//! let join = client_frames::Frame { request: Some("1"), ask: Ask::Join { room: room.clone(), since } };
//! assert_eq!(
//!     join.json(),
//!     r#"{"type":"join","room":"lobby","epoch":"5c1f0e8a7b3d2946","offset":4,"id":1}"#,
//! );
//!
//! let text = r#"{"type":"event","stream":"room/lobby","offset":7,"data":{"text":"hello"}}"#;
//! match server_frames::parse(text)? {
//!     Frame::Event(Event { place: Some((stream, offset)), data, .. }) => {
//!         // What to name when the room is joined again.
//!         assert_eq!((stream, offset), (Stream::Room(room), 7));
//!         assert_eq!(data, r#"{"text":"hello"}"#);
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/protocol.md` has the frames and the codes of errors in tables, `docs/client.md` the algorithm of a
//! client that loses nothing. The folder `vectors` has texts and what they mean as JSON, for tests in other
//! languages.
//!
//! # For servers
//!
//! | what | where |
//! |---|---|
//! | frames of clients, understood | [`client_frames::parse`] |
//! | frames to clients, written | [`server_frames`], [`run_events`] |
//! | who connects, by the query of the upgrade | [`identity`] |
//! | what a connection, a session and an epoch are called | [`handles`], [`epoch`] |
//! | bodies and answers of the admin port | [`admin`] |
//! | refusals | [`problem`] |
//!
//! The gateway decides about a request, and the registry about its effect: neither is a matter of this crate.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
pub mod anchor;
pub mod client_frames;
pub mod close_codes;
pub mod epoch;
pub mod handles;
pub mod identity;
pub mod json;
pub mod problem;
pub mod run_events;
pub mod secret;
pub mod server_frames;

/// The subprotocol of this wire. A client of a browser that offers it fails the connection unless the server
/// echoes it.
pub const SUBPROTOCOL: &str = "headcount.v1";

/// Compiles the README's Rust.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
