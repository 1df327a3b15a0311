//! A history over a shell, on wires in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use headcount::{CloseReason, Config, ConnId, Registry, Timestamp};

use super::{InVirtualTime, Line, Stage, Step};

/// A shell, and the clients of a history.
pub(super) struct Wired<S> {
    shell: S,
    lines: BTreeMap<ConnId, Line>,
}

impl<S: InVirtualTime> Wired<S> {
    pub(super) fn new(config: Config) -> Self {
        Self { shell: S::start(config), lines: BTreeMap::new() }
    }
}

impl<S: InVirtualTime> Stage for Wired<S> {
    fn connect(&mut self, query: &str) -> Option<ConnId> {
        let (conn, line) = self.shell.connect(query)?;
        self.lines.insert(conn, line);
        Some(conn)
    }

    fn act(&mut self, conn: ConnId, step: &Step) {
        let line = &self.lines[&conn];
        match step {
            Step::Say(_, message) => line.say(message),
            Step::Stall(_) => line.stall(),
            Step::FallSilent(_) => line.fall_silent(),
            Step::GoOn(_) => line.go_on(),
            Step::Leave(_) => line.leave(),
            Step::Vanish(_) => line.vanish(),
            other => unreachable!("{other:?} names no client"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.shell.pass(time);
    }

    fn call<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Option<R> {
        self.shell.call(f)
    }

    fn read(&mut self, conn: ConnId) -> Vec<String> {
        self.lines[&conn].take_read()
    }

    fn take_gone(&mut self) -> Vec<(ConnId, CloseReason)> {
        self.shell.take_gone()
    }

    fn finish(mut self) {
        self.lines.values().for_each(Line::vanish);
        // Sessions, logs and rooms have deadlines of their own.
        self.shell.pass(Duration::from_secs(3_600));
        let state = self.shell.call(|registry, _| (registry.stats(), registry.check()));
        let Some((stats, check)) = state else { return };
        assert_eq!(check, Ok(()));
        assert!((stats.live, stats.pending, stats.sessions) == (0, 0, 0), "left: {stats:?}");
    }
}
