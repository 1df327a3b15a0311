//! How much a test does. Only tests ask the environment; a server never does.

use std::env;

/// A size that a machine of one's own can have by default, or the one for a shared machine: `CI` is
/// set there, to anything but an empty value, `0` or `false`.
pub(crate) fn by_machine(own: usize, shared: usize) -> usize {
    let ci = env::var("CI").unwrap_or_default();
    if matches!(&*ci, "" | "0" | "false") { own } else { shared }
}

/// A size that a variable sets.
pub(crate) fn by_variable(name: &str, default: usize) -> usize {
    match env::var(name) {
        Ok(size) => size.parse().unwrap_or_else(|_| panic!("{name} is no number: {size}")),
        Err(_) => default,
    }
}
