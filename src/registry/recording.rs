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
    /// see a whole life is set before the first input.
    pub fn set_tap(&mut self, tap: Option<Box<dyn Tap>>) -> Option<Box<dyn Tap>> {
        self.tapped.replace(tap)
    }

    /// The tap, if there is one of this type.
    #[must_use]
    pub fn tap<T: Tap>(&self) -> Option<&T> {
        let tap: &dyn Any = self.tapped.get()?;
        tap.downcast_ref()
    }

    /// The tap, if there is one of this type, to take from it what it has gathered.
    pub fn tap_mut<T: Tap>(&mut self) -> Option<&mut T> {
        let tap: &mut dyn Any = self.tapped.get_mut()?;
        tap.downcast_mut()
    }
}
