//! The process's signals, as far as they are the server's.

use std::io;

use mio::event::Source;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook_mio::v1_0::Signals as Caught;

use crate::handler::{Handler, HangUp};

/// Signals that stop the server.
const STOPS: [i32; 2] = [SIGTERM, SIGINT];
/// Signals that would kill the process if they were not caught, and mean nothing here.
const WITHOUT_EFFECT: [i32; 3] = [SIGUSR1, SIGUSR2, SIGXFSZ];

/// The signals that the loop waits for beside its sockets.
pub(crate) struct Signals {
    caught: Caught,
    /// Whether SIGHUP was ignored before it was caught: the process is not to end by it.
    hang_up_was_ignored: bool,
}

impl Signals {
    /// Catches them from now on, for the whole process.
    pub(crate) fn new() -> io::Result<Self> {
        let hang_up_was_ignored = is_ignored(SIGHUP);
        let caught = Caught::new(STOPS.into_iter().chain(WITHOUT_EFFECT).chain([SIGHUP]))?;
        Ok(Self { caught, hang_up_was_ignored })
    }

    pub(crate) fn source(&mut self) -> &mut impl Source {
        &mut self.caught
    }

    /// How many of those that came since the last call stop the server.
    pub(crate) fn stops<H: Handler>(&mut self, handler: &mut H) -> u32 {
        let was_ignored = self.hang_up_was_ignored;
        let stops = self.caught.pending().filter(|signal| match *signal {
            SIGHUP => handler.hang_up(was_ignored) == HangUp::Stop,
            signal => STOPS.contains(&signal),
        });
        stops.count() as u32
    }
}

/// Whether the process ignores this signal. Not known outside Linux.
fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_bit_of_the_kernels_mask() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t01\nSigIgn:\t{mask}\nSigCgt:\t01\n");
        assert!(ignores(&status("0000000000000001"), SIGHUP));
        assert!(!ignores(&status("0000000000001000"), SIGHUP));
        assert!(ignores(&status("0000000000004000"), SIGTERM));
        for none in ["", "SigIgn:\tnonsense", "SigIgn:"] {
            assert!(!ignores(none, SIGHUP), "{none}");
        }
    }
}
