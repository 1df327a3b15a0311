//! What is kept of connections that have closed.

use core::time::Duration;

use headcount::Start;

use super::{CLOSING, CONNECTIONS, Filled, ROOMS_EACH, config, room};
use crate::START;

/// Connections that have closed, of users who are known no more.
pub(super) fn closed() -> u64 {
    let config = config().session_linger(Duration::ZERO).notices(0).connect_rate_per_user(0);
    let mut filled = Filled::new(config);
    filled.admit(0);
    filled.more(|it| {
        for number in 1..200 {
            let (conn, _) = it.admit(number);
            it.registry.disconnect(START, conn).unwrap();
            while it.registry.poll_action().is_some() {}
        }
    })
}

/// What rooms add to connections whose cleanup was not polled, each of which was in rooms of its own. All of
/// these rooms have ended.
pub(super) fn rooms_left() -> u64 {
    let held = |rooms_each: u32| {
        let mut filled = Filled::new(config());
        for number in 0..CONNECTIONS + CLOSING {
            let (conn, _) = filled.admit(number);
            for place in 0..rooms_each {
                let room = room(number * ROOMS_EACH + place);
                filled.registry.join(START, conn, &room, Start::Now).unwrap();
            }
            filled.registry.disconnect(START, conn).unwrap();
            assert_eq!(filled.registry.stats().rooms, 0);
        }
        filled.held()
    };
    held(ROOMS_EACH) - held(0)
}
