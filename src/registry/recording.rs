//! The tap: what sees every input and every action.

use alloc::boxed::Box;
use core::any::Any;

use crate::tap::Tap;

use super::Registry;

/// # Recording
///
/// A [`Tap`] sees every input and every action.
impl Registry {
    /// Has `tap` see everything from here on; `None`: nothing does. Returns the earlier one. A tap that is to
    /// see a whole life is set before the first input. [`Tap`] has an example.
    pub fn set_tap(&mut self, tap: Option<Box<dyn Tap>>) -> Option<Box<dyn Tap>> {
        self.tapped.replace(tap)
    }

    /// The tap, if there is one of this type. [`Tap`] has an example.
    #[must_use]
    pub fn tap<T: Tap>(&self) -> Option<&T> {
        let tap: &dyn Any = self.tapped.get()?;
        tap.downcast_ref()
    }

    /// The tap, if there is one of this type, to take from it what it has gathered.
    ///
    /// ```
    /// # use headcount::{Action, Config, Input, Registry, Tap, Timestamp};
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # struct Lines(Vec<String>);
    /// # impl Tap for Lines {
    /// #     fn input(&mut self, now: Timestamp, input: Input<'_>) {
    /// #         self.0.push(format!("{now:?} {input:?}"));
    /// #     }
    /// #     fn polled(&mut self, _: Option<&Action<'_>>) {}
    /// # }
    /// registry.set_tap(Some(Box::new(Lines(Vec::new()))));
    /// registry.tick(now);
    /// let lines = registry.tap_mut::<Lines>().map(|tap| std::mem::take(&mut tap.0));
    /// assert_eq!(lines.map(|lines| lines.len()), Some(1));
    /// ```
    pub fn tap_mut<T: Tap>(&mut self) -> Option<&mut T> {
        let tap: &mut dyn Any = self.tapped.get_mut()?;
        tap.downcast_mut()
    }
}
