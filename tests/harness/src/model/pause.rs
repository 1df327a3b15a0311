//! The time that passes, and the time that counts against a peer: while nobody was there to look,
//! nobody's silence counts.

use headcount::{Notice, Timestamp};

use super::Model;

impl Model {
    /// Every call begins with its stamp, before which `poll_timeout` has promised an instant. A late stamp
    /// counts, and moves nothing.
    pub(crate) fn clock(&mut self, stamp: Timestamp, promised: Option<Timestamp>) {
        if stamp < self.now {
            self.tally.late_stamps += 1;
            return;
        }
        let threshold = self.config.pause_threshold();
        if let Some(promised) = promised {
            let lasted = stamp.saturating_since(promised.max(self.now));
            if lasted > threshold {
                self.marks.hit("the process was silent");
                for run in self.runs.values_mut() {
                    run.heard += lasted;
                    for until in run.calls.values_mut().flatten() {
                        *until += lasted;
                    }
                }
                for conn in self.conns.values_mut() {
                    conn.next = None;
                    conn.attended_mut().for_each(|at| *at += lasted);
                }
                self.tally.pauses += 1;
                self.notice(Notice::Paused { lasted });
            }
        }
        self.now = stamp;
    }
}
