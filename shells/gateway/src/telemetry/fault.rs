//! Panics where a test wants one: only in builds with debug assertions, which are not for service.

/// The variable of the environment that names the point.
pub(crate) const VARIABLE: &str = "HEADCOUNT_PANIC";

/// Panics if the test has named this point.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());
    assert!(NAMED.as_deref() != Some(name), "a test wants a panic here\nand tells it in two lines");
}

#[cfg(not(debug_assertions))]
pub(crate) const fn point(_: &str) {}
