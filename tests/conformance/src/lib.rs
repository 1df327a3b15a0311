//! The behaviours that every shell of the [`headcount`] registry has, as tests over real sockets.
//!
//! A shell under test serves the [`Application`] at `/ws` and implements [`Shell`]; then
//! [`behaviours!`](crate::behaviours) makes a test of each row of [`BEHAVIOURS`]:
//!
//! ```text
//! headcount_conformance::behaviours!(MyShell);
//! ```
//!
//! The tests look at a server from outside: [`Client`] makes its frames by hand and shares no code with any
//! shell, and what the registry has counted is asked through [`Shell::call`].
//!
//! A shell whose sockets can be in memory is held to the testkit, too: [`virtual_time`].

mod application;
mod client;
mod server;
mod table;
pub mod virtual_time;
pub mod wire;

pub use self::application::{
    Application, DRAINING, GREETING, LEFT, Verdict, WELCOME, gap, greeting,
};
pub use self::client::{Client, PATIENCE};
pub use self::server::{Server, Shell, config, since};
pub use self::table::*;
