//! What other WebSocket servers are measured against: echo and broadcast, with the whole registry on.
//! Each connection is a user with a session of its own.
//!
//! `cargo run --release -p headcount-mio --example peer -- [port]`, by default a free one on loopback.
//! It prints its address, and stops on SIGTERM and SIGINT.
//!
//! | target | a data message of the client |
//! |---|---|
//! | `/echo` | comes back |
//! | `/sub` | comes back; the client gets what is published as well |
//! | `/pub` | goes to all of `/sub` |

mod relay;

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::BuildHasher;

use headcount_mio::Server;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port} is no port: give 0 to 65535"))?,
        None => 0,
    };
    let config = relay::config(RandomState::new().hash_one(0)).build()?;
    let server =
        Server::bind(([127, 0, 0, 1], port).into(), config, relay::options().signals(true))?;
    println!("ws://{}", server.local_addr());
    server.run(relay::Relay::new())?;
    Ok(())
}
