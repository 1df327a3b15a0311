//! A fake shell with a virtual clock, for tests of what an application does with the [`headcount`] registry.
//!
//! A [`Testkit`] has a registry, an application and clients, and no socket. Clients read at once and answer
//! pings and closes, unless a test says that they [stall](Testkit::stall) or [fall
//! silent](Testkit::fall_silent). Time passes when a test has it [pass](Testkit::pass): an hour of heartbeats
//! takes milliseconds, and the same test is the same run.
//!
//! After each step the kit holds the registry and the application to the rules: a connection is sent
//! nothing after its close and nothing after its `Cleanup`, of one user online and offline alternate, and
//! the registry recounts itself ([`Registry::check`]). What breaks a rule is a panic that says which.
//!
//! What clients read in the kit, clients of the mio shell and of the tokio shell read: the crate
//! `headcount-conformance` runs the same histories over all three. Three things are a shell's own: the answer
//! to a client that leaves has the client's code; a client that leaves while it stalls may read less of what
//! was on its way; and of one that has said several things while it stalled, a shell may take some only after
//! it has handed out what waited.
//!
//! ```
//! use headcount::{Config, Message, Principal, Registry, RoomId, Start, Target, Timestamp, UserId};
//! use headcount_testkit::{Event, Testkit};
//!
//! // The application: all are in one room, and what one says the others read.
//! let lobby = RoomId::new("lobby")?;
//! let chat = move |registry: &mut Registry, now: Timestamp, event: Event| match event {
//!     Event::Admitted(conn, _) => drop(registry.join(now, conn, &lobby, Start::Now)),
//!     Event::Message(conn, said) => {
//!         registry.send(now, Target::Room(&lobby), said.except_connection(conn));
//!     }
//!     _ => {}
//! };
//!
//! let mut kit = Testkit::new(Config::new(1), chat);
//! let alice = kit.admit(Principal::new(UserId::new("alice")?))?;
//! let bob = kit.admit(Principal::new(UserId::new("bob")?))?;
//! kit.say(alice, "hello");
//! assert_eq!(kit.read(bob), ["hello"]);
//! assert!(kit.read(alice).is_empty());
//!
//! // An hour of heartbeats, and then one client that answers no more.
//! kit.pass_secs(3_600);
//! assert!(kit.is_open(alice) && kit.is_open(bob));
//! kit.fall_silent(bob);
//! kit.pass_secs(60);
//! assert!(kit.is_open(alice) && !kit.is_open(bob));
//! kit.finish();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod client;
mod history;
mod kit;

pub use headcount;

pub use self::client::Received;
pub use self::kit::{Event, Testkit};

#[cfg(doc)]
use headcount::Registry;
