//! Random histories of an application: bytes, of a fuzzer or of a seed, as steps.

use std::time::Duration;

use headcount::{ConnId, Message, Principal, Registry, ThreadId, Timestamp, UserId};

use crate::kit::{Event, Testkit};

/// Users of a history: few, so that they meet.
const USERS: u8 = 4;

impl<A: FnMut(&mut Registry, Timestamp, Event)> Testkit<A> {
    /// Takes two bytes at a time as a step: clients of four users, `user-0` to `user-3`, all in the
    /// thread `main`, come, speak, stall,
    /// fall silent, go on, leave and vanish, and time passes. `message` makes what a user
    /// says of a byte. After each
    /// step `holds` looks whether the application has kept its own rules, and panics if not.
    ///
    /// Any bytes are a history. This is a fuzz target of an application, and a test of it over seeds:
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// use headcount::{Config, ConfigBuilder, Ended, Message, Registry, Timestamp};
    /// use headcount_testkit::{Event, Testkit};
    ///
    /// /// An application that keeps a count of its own.
    /// fn fuzz(bytes: &[u8]) {
    ///     let here = Cell::new(0);
    ///     let application = |_: &mut Registry, _: Timestamp, event: Event| match event {
    ///         Event::Admitted(..) => here.set(here.get() + 1),
    ///         Event::Cleanup(Ended::Conn(_), _) => here.set(here.get() - 1),
    ///         _ => {}
    ///     };
    ///     let mut kit = Testkit::new(Config::new(1), application);
    ///     kit.run(bytes, |_, byte| Message::text(format!("word {byte}")), |kit| {
    ///         assert_eq!(here.get(), kit.registry().stats().live);
    ///     });
    ///     kit.finish();
    /// }
    ///
    /// for seed in 0..20_u64 {
    ///     let bytes: Vec<u8> = (0..200).map(|it| (seed * 131 + it * it * 17 >> 3) as u8).collect();
    ///     fuzz(&bytes);
    /// }
    /// ```
    pub fn run(
        &mut self,
        bytes: &[u8],
        mut message: impl FnMut(&UserId, u8) -> Message,
        mut holds: impl FnMut(&mut Self),
    ) {
        let thread = ThreadId::new("main").expect("a valid name");
        for step in bytes.chunks_exact(2) {
            let (what, which) = (step[0] % 16, step[1]);
            let conn = self.pick(which);
            match (what, conn) {
                (0..=2, _) | (_, None) => {
                    let user =
                        UserId::new(format!("user-{}", which % USERS)).expect("a valid name");
                    let who = Principal::new(user).with_thread(thread.clone());
                    // A limit may refuse it: then it does not come.
                    let _ = self.admit(who);
                }
                (3..=7, Some(conn)) => {
                    let user = self.registry().connection(conn).and_then(|it| it.user().cloned());
                    if let Some(user) = user {
                        self.say(conn, message(&user, which));
                    }
                }
                (8, Some(conn)) => self.stall(conn),
                (9, Some(conn)) => self.fall_silent(conn),
                (10 | 11, Some(conn)) => self.go_on(conn),
                (12, Some(conn)) => self.leave(conn),
                (13, Some(conn)) => self.vanish(conn),
                // From a millisecond to minutes.
                _ => self.pass(Duration::from_millis(1 << (which % 18))),
            }
            holds(self);
        }
    }

    fn pick(&self, which: u8) -> Option<ConnId> {
        let count = self.clients().count();
        self.clients().nth(usize::from(which) % count.max(1))
    }
}
