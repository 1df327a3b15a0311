//! What a registry is given and what comes out of it, shown to a recorder or a tracer beside it.

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::action::{Action, CloseReason, Message, Position};
use crate::config::Config;
use crate::id::{ConnId, Principal, RoomId, RunId, ThreadId, UserId};
use crate::registry::{Inbound, Registry, Resume, Target};
use crate::run::RunEvent;
use crate::time::Timestamp;
use crate::waiting::Source;

/// What a [`Registry`] is given in one call, named as the method is. A call of a
/// [`UserScope`](crate::UserScope) is the call that it makes of the registry.
///
/// It is exhaustive, as [`Action`] is: a recorder that missed an input would not replay.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The arguments of the methods have their docs there.
pub enum Input<'a> {
    Reserve {
        source: Option<Source>,
    },
    Upgraded {
        conn: ConnId,
    },
    Connect {
        conn: ConnId,
        who: &'a Principal,
        resume: Option<&'a Resume>,
    },
    Admit {
        who: &'a Principal,
        resume: Option<&'a Resume>,
    },
    Message {
        conn: ConnId,
        inbound: Inbound,
    },
    Flushed {
        conn: ConnId,
        total: u64,
    },
    Disconnect {
        conn: ConnId,
    },
    Tick,
    Send {
        to: Target<'a>,
        message: &'a Message,
    },
    Reply {
        conn: ConnId,
        message: &'a Message,
    },
    Join {
        conn: ConnId,
        room: &'a RoomId,
        since: Option<Position>,
    },
    Leave {
        conn: ConnId,
        room: &'a RoomId,
    },
    Acknowledge {
        conn: ConnId,
        room: Option<&'a RoomId>,
        offset: u64,
    },
    OpenRun {
        user: &'a UserId,
        thread: &'a ThreadId,
        run: &'a RunId,
        agent: &'a str,
        payload: &'a Bytes,
    },
    RunEvent {
        user: &'a UserId,
        run: &'a RunId,
        event: &'a RunEvent<'a>,
    },
    Close {
        to: Target<'a>,
        reason: CloseReason,
    },
    Refresh {
        conn: ConnId,
        expires_at: Option<Timestamp>,
    },
    Revoke {
        user: &'a UserId,
    },
    Drain {
        deadline: Option<Duration>,
    },
    CancelDrain,
    Reload {
        config: &'a Config,
    },
    /// [`Registry::advance`], or a call that has no effect but that of its stamp: a look at what a reload
    /// would do, a message of a [`UserScope`](crate::UserScope) to a thread without a session.
    Advance,
}

/// Sees all inputs of a registry, and all that is polled, in their order: for a journal, a trace, or
/// figures of one's own.
///
/// It is called within the calls of the registry, so that what it costs is added to each of them.
/// It can't change what the registry does. The crate `headcount-journal` has one that records, and a
/// replay.
///
/// ```
/// use headcount::{Action, Config, Input, Registry, Tap, Timestamp};
///
/// #[derive(Default)]
/// struct Ticks(u64);
///
/// impl Tap for Ticks {
///     fn input(&mut self, _: Timestamp, input: Input<'_>) {
///         self.0 += u64::from(matches!(input, Input::Tick));
///     }
///
///     fn polled(&mut self, _: Option<&Action<'_>>) {}
/// }
///
/// let mut registry = Registry::new(Config::new(1));
/// registry.set_tap(Some(Box::new(Ticks::default())));
/// registry.tick(Timestamp::from_secs(1));
/// assert_eq!(registry.tap::<Ticks>().map(|ticks| ticks.0), Some(1));
/// ```
pub trait Tap: Any + Send + Sync {
    /// An input, before it has any effect, with the stamp that came with it.
    fn input(&mut self, now: Timestamp, input: Input<'_>);

    /// What a call of [`Registry::poll_action`] gives.
    fn polled(&mut self, action: Option<&Action<'_>>);

    /// A call of [`Registry::poll_notice`] gives a notice.
    fn noticed(&mut self) {}
}

/// The tap of a registry that has one. A clone of it has none: a tap sees one registry's life.
#[derive(Default)]
pub(crate) struct Tapped(Option<Box<dyn Tap>>);

impl Clone for Tapped {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl fmt::Debug for Tapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Tapped" } else { "None" })
    }
}

impl Tapped {
    #[inline]
    pub(crate) fn get(&self) -> Option<&(dyn Tap + 'static)> {
        self.0.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut (dyn Tap + 'static)> {
        self.0.as_deref_mut()
    }

    /// Takes it out for a call that needs the registry as well. Give it back.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Box<dyn Tap>> {
        self.0.take()
    }

    #[inline]
    pub(crate) fn set(&mut self, tap: Option<Box<dyn Tap>>) {
        self.0 = tap;
    }
}

impl Registry {
    /// Has `tap` see everything from here on, in place of an earlier one; `None`: nothing does. A tap
    /// that is to see a whole life is set before the first input.
    pub fn set_tap(&mut self, tap: Option<Box<dyn Tap>>) {
        self.tapped().set(tap);
    }

    /// The tap, if there is one of this type.
    #[must_use]
    pub fn tap<T: Tap>(&self) -> Option<&T> {
        let tap: &dyn Any = self.tap_ref()?;
        tap.downcast_ref()
    }

    /// The tap, if there is one of this type, to take from it what it has gathered.
    pub fn tap_mut<T: Tap>(&mut self) -> Option<&mut T> {
        let tap: &mut dyn Any = self.tapped().get_mut()?;
        tap.downcast_mut()
    }
}
