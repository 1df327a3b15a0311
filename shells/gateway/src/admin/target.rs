//! The audience of a request, found in the registry.

use headcount::{Registry, Target};
use headcount_protocol::admin::audience::Audience;

/// `None`: there is no such session or run, or a connection of another process is meant.
pub(crate) fn target<'a>(audience: &'a Audience, registry: &mut Registry) -> Option<Target<'a>> {
    Some(match audience {
        Audience::User(user) => Target::User(user),
        Audience::Session(user, thread) => {
            Target::Session(registry.user(user)?.session(thread)?.id())
        }
        Audience::Run(user, run) => Target::Session(registry.run(user, run)?.session()),
        Audience::Conn(conn) => Target::Conn(conn.of(registry.config().instance())?),
        Audience::Room(room) => Target::Room(room),
        Audience::Everyone => Target::Everyone,
    })
}
