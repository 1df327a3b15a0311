//! What a device does with the registry: it needs an allocator, and a clock that counts.
#![no_std]
#![forbid(unsafe_code)]

use headcount::{
    Action, Config, Ended, Message, Principal, Registry, Start, Target, Timestamp, UserId,
};

/// How many connections came, how many messages were handed out, and how many connections were cleaned up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were admitted.
    pub opened: u64,
    /// Recipients of messages.
    pub handed_out: usize,
    /// Connections that were cleaned up.
    pub cleaned_up: usize,
}

/// Admits two connections of a user, sends to both, and lets them go.
///
/// # Errors
/// A limit of the configuration is in the way, which says so.
pub fn run(mut millis: impl FnMut() -> u64) -> Result<Counts, &'static str> {
    let config = Config::builder(1).connections(8).connections_per_user(4).sessions_per_user(4);
    let config = config.build().map_err(|_| "the configuration contradicts itself")?;
    let mut registry = Registry::new(config);
    let mut now = || Timestamp::from_millis(millis());
    let user = UserId::new("sensor").map_err(|_| "no name")?;
    let mut counts = Counts::default();
    let mut conns = [None; 2];
    for conn in &mut conns {
        let who = Principal::new(user.clone()).with_thread("main".parse().map_err(|_| "no name")?);
        let admitted = registry.admit(now(), who, Start::Now, None).map_err(|_| "refused")?;
        *conn = Some(admitted.0);
    }
    registry.send(now(), Target::User(&user), Message::text("21 degrees"));
    poll(&mut registry, &mut counts);
    for conn in conns.into_iter().flatten() {
        registry.disconnect(now(), conn).map_err(|_| "it has gone")?;
    }
    poll(&mut registry, &mut counts);
    counts.opened = registry.stats().opened;
    Ok(counts)
}

fn poll(registry: &mut Registry, counts: &mut Counts) {
    while let Some(action) = registry.poll_action() {
        match action {
            Action::Send { to, .. } => counts.handed_out += to.len(),
            Action::Cleanup { what: Ended::Conn(_), .. } => counts.cleaned_up += 1,
            _ => {}
        }
    }
}
