//! A history over the testkit.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use headcount::{CloseReason, Config, ConnId, Ended, Registry, Timestamp};
use headcount_testkit::{Event, Received, Testkit};

use super::{ECHO, Stage, Step, shown_close, shown_message};
use crate::application::{Application, DRAINING, LEFT, Verdict, gap};

type Told = Box<dyn FnMut(&mut Registry, Timestamp, Event)>;

pub(super) struct Kit {
    kit: Testkit<Told>,
    gone: Rc<RefCell<Vec<(ConnId, CloseReason)>>>,
    reserves_first: bool,
}

impl Kit {
    pub(super) fn new(config: Config, reserves_first: bool) -> Self {
        let gone = Rc::<RefCell<Vec<_>>>::default();
        let noted = Rc::clone(&gone);
        let application = move |registry: &mut Registry, now: Timestamp, event: Event| match event {
            Event::Admitted(conn, _) => {
                let reply = Application.admitted(registry, now, conn);
                registry.reply(now, conn, reply).expect("the first reply fits");
            }
            Event::Message(conn, said) => {
                if let Some(reply) = Application.message(registry, now, conn, said) {
                    registry.reply(now, conn, reply).expect("a reply fits");
                }
            }
            Event::Presence(user, online) => Application.presence(registry, now, &user, online),
            Event::Cleanup(Ended::Conn(conn), reason) => noted.borrow_mut().push((conn, reason)),
            _ => {}
        };
        Self { kit: Testkit::new(config, Box::new(application)), gone, reserves_first }
    }
}

impl Kit {
    fn use_up_a_serial(&mut self) {
        if let Ok(conn) = self.kit.reserve() {
            self.kit.vanish(conn);
        }
    }
}

impl Stage for Kit {
    fn connect(&mut self, query: &str) -> Option<ConnId> {
        match Application::verdict(query) {
            Verdict::Admit(who, start) => {
                let admitted = self.kit.admit_from(who, start, None).ok();
                if admitted.is_none() && self.reserves_first {
                    self.use_up_a_serial();
                }
                admitted
            }
            Verdict::Pending => self.kit.reserve().ok(),
            Verdict::Refuse => panic!("no history asks for it"),
        }
    }

    fn act(&mut self, conn: ConnId, step: &Step) {
        match step {
            Step::Say(_, message) => self.kit.say(conn, message.clone()),
            Step::Stall(_) => self.kit.stall(conn),
            Step::FallSilent(_) => self.kit.fall_silent(conn),
            Step::GoOn(_) => self.kit.go_on(conn),
            Step::Leave(_) => self.kit.leave(conn),
            Step::Vanish(_) => self.kit.vanish(conn),
            other => unreachable!("{other:?} names no client"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.kit.pass(time);
    }

    fn call<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Option<R> {
        Some(self.kit.call(f))
    }

    fn read(&mut self, conn: ConnId) -> Vec<String> {
        let shown = |received| match received {
            Received::Message(message) => shown_message(&message),
            Received::Gap { from, to } => format!("{:?}", gap(from, to)),
            Received::Left(_) => format!("{LEFT:?}"),
            Received::Draining => format!("{DRAINING:?}"),
            // Shells echo the code of the client, which the kit's has not.
            Received::Closed { reason: CloseReason::PeerClosed, .. } => ECHO.into(),
            Received::Closed { code, text, .. } => shown_close(code, &text),
        };
        self.kit.read(conn).into_iter().map(shown).collect()
    }

    fn take_gone(&mut self) -> Vec<(ConnId, CloseReason)> {
        self.gone.take()
    }

    fn finish(self) {
        self.kit.finish();
    }
}
