//! For those who come from a hand-written connection manager: its calls, on a `Registry`.
//! `cargo run --example from_singleton`; no socket, the actions are printed.

use headcount::*;

/// What used to be a global with a lock and a sweeper is a value that one loop owns.
struct Manager {
    registry: Registry,
    clock: Clock,
}

impl Manager {
    /// `ManagerFactory(max_managers_per_user=20)`: nothing to start, no sweep to schedule.
    fn new() -> Result<Self, ConfigError> {
        let seed = 7; // fresh entropy in a server
        let config = Config::builder(seed).connections_per_user(20).sessions_per_user(20);
        Ok(Self { registry: Registry::new(config.build()?), clock: Clock::new() })
    }

    /// `create_manager(context)` and `add_connection(socket)`, of a socket that is upgraded and known:
    /// one step, and a refusal leaves nothing behind. The session of this user and thread is found or
    /// made; nobody composes a key.
    fn connect(&mut self, user: &str, thread: &str) -> Result<ConnId, Box<dyn std::error::Error>> {
        let who = Principal::new(user.parse()?).with_thread(thread.parse()?);
        let (conn, _) = self.registry.admit(self.clock.now(), who, Start::OpenRuns, None)?;
        Ok(conn)
    }

    /// `send_to_user(user, message)`: the answer says whom it reaches, and nobody is an answer too.
    fn send_to_user(&mut self, user: &UserId, text: &str) -> Delivery {
        self.registry.send(self.clock.now(), Target::User(user), Message::text(text))
    }

    /// `cleanup_user(user)`: the places are free when the call returns; what is left is output.
    fn cleanup_user(&mut self, user: &UserId) -> u32 {
        self.registry.close(self.clock.now(), Target::User(user), CloseReason::Application)
    }

    /// `remove_connection(socket)`: what a shell reports when a socket ends.
    fn remove(&mut self, conn: ConnId) -> Result<(), UnknownConn> {
        self.registry.disconnect(self.clock.now(), conn)
    }

    /// Where a manager wrote to sockets itself, a shell does what comes out here.
    fn act(&mut self) {
        while let Some(action) = self.registry.poll_action() {
            match action {
                Action::Send { to, body, .. } => {
                    println!("write {:?} to {to:?}", String::from_utf8_lossy(body.as_bytes()));
                }
                Action::Close { conn, code, .. } => println!("close {conn:?} with {code}"),
                Action::Cleanup { what, .. } => println!("forget {what:?}"),
                Action::Ping { conn } => println!("ping {conn:?}"),
                Action::Gap { conn, .. } => println!("tell {conn:?} what it has lost"),
                Action::Left { conn, .. } => println!("tell {conn:?} that a session goes on alone"),
                Action::Draining { to, .. } => println!("tell {to:?} to come back later"),
                Action::Presence { user, online } => println!("{user} is online: {online}"),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut manager = Manager::new()?;
    let tabs = [manager.connect("alice", "main")?, manager.connect("alice", "notes")?];
    let alice: UserId = "alice".parse()?;
    println!("reaches {} tabs", manager.send_to_user(&alice, "hello").live);
    manager.act();
    println!("closes {}", manager.cleanup_user(&alice));
    manager.act();
    for tab in tabs {
        manager.remove(tab)?; // the sockets have ended
    }
    manager.act();
    // `get_stats()`: looking changes nothing, and nothing can drift from what is counted.
    let stats = manager.registry.stats();
    println!("opened {}, live {}, closed {}", stats.opened, stats.live, stats.closed_total());
    Ok(())
}
