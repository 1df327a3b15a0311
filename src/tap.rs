//! What a registry is given and what comes out of it, shown to a recorder or a tracer beside it.

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;

use crate::action::Action;
use crate::input::Input;
use crate::time::Timestamp;

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

    /// What a call of [`Registry::poll_action`](crate::Registry::poll_action) gives, if
    /// [`Registry::has_actions`](crate::Registry::has_actions) was so before it. `None`: it gives nothing,
    /// and may have passed over something.
    fn polled(&mut self, action: Option<&Action<'_>>);

    /// A call of [`Registry::poll_notice`](crate::Registry::poll_notice) gives a notice.
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

    /// Sets it, and gives the earlier one back.
    pub(crate) fn replace(&mut self, tap: Option<Box<dyn Tap>>) -> Option<Box<dyn Tap>> {
        core::mem::replace(&mut self.0, tap)
    }
}
