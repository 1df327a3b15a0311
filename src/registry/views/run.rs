//! One run of an agent.

use core::time::Duration;

use crate::action::{Body, Position};
use crate::ends::RunEnded;
use crate::id::{RunId, SessionId};
use crate::registry::Registry;
use crate::run::{Run, RunFailure, RunKey, RunState};
use crate::time::{Deadline, Timestamp};

/// One run that is open or requested, or that has ended and of which a log still keeps something:
/// [`Registry::run`]. [`end`](Self::end) has an example.
#[derive(Clone, Copy)]
pub struct RunView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: RunKey,
}

/// A tool call under way. [`RunView::calls`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallView<'a> {
    /// Its name.
    pub call: &'a str,
    /// When it is expected to have ended, unless the process pauses before; `None` if the event that
    /// began it did not say.
    pub expected_by: Option<Timestamp>,
}

impl<'a> RunView<'a> {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &'a RunId {
        &self.record().id
    }

    /// Its session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.registry.sessions.id(self.record().session)
    }

    /// Its agent; empty while it is requested.
    #[must_use]
    pub fn agent(&self) -> &'a str {
        &self.record().agent
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.record().state()
    }

    /// Whether a client wishes that it is cancelled, or did before it ended.
    #[must_use]
    pub fn is_cancel_requested(&self) -> bool {
        self.record().cancel_requested
    }

    /// How long ago it was opened, or requested if it was that before.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.registry.now.saturating_since(self.record().began)
    }

    /// The offset of its first event in the stream of its session, whether or not that is still kept.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.record().first
    }

    /// The offset of its terminal event there, whether or not that is still kept; `None` before it has
    /// ended.
    #[must_use]
    pub fn end_offset(&self) -> Option<u64> {
        self.record().ended
    }

    /// How and when it ended; `None` before that.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let (alice, thread, run) = ("alice".parse()?, "main".parse()?, "answer".parse()?);
    /// # registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// assert_eq!(registry.run(&alice, &run).and_then(|run| run.end()), None);
    /// registry.scope(&alice).run_event(now, &run, &RunEvent::Completed(Bytes::new()))?;
    /// let end = registry.run(&alice, &run).and_then(|run| run.end()).expect("it has ended");
    /// assert_eq!((end.how, end.at), (RunEnd::Completed, now));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn end(&self) -> Option<RunEnded> {
        self.record().end
    }

    /// When what the log keeps of it becomes history like other entries (`run.linger`); `None` while it is
    /// open, and once that has happened.
    #[must_use]
    pub fn lingers_until(&self) -> Option<Timestamp> {
        self.record().lingers_until(&self.registry.config).and_then(Deadline::instant)
    }

    /// Its tool calls under way, in the order in which they began.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let (alice, thread, run) = ("alice".parse()?, "main".parse()?, "answer".parse()?);
    /// # registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// let (call, expect) = ("search", Some(Duration::from_secs(30)));
    /// let event = RunEvent::ToolExecuting { call, expect, payload: Bytes::new() };
    /// registry.scope(&alice).run_event(now, &run, &event)?;
    /// let view = registry.run(&alice, &run).expect("it is open");
    /// let calls: Vec<_> = view.calls().map(|it| (it.call, it.expected_by)).collect();
    /// assert_eq!(calls, [("search", Some(now + Duration::from_secs(30)))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn calls(&self) -> impl Iterator<Item = CallView<'a>> + use<'a> {
        let registry = self.registry;
        registry.runs.get(self.key).calls().iter().map(|call| CallView {
            call: &call.name,
            expected_by: call.until.map(|until| until + registry.pauses),
        })
    }

    /// How many events it had.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.record().events()
    }

    /// What these were charged, in bytes.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.record().cost()
    }

    /// When the registry fails it, and why, if nothing happens; `None` for never.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let (alice, thread, run) = ("alice".parse()?, "main".parse()?, "answer".parse()?);
    /// # registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// let (at, failure) = registry.run(&alice, &run).and_then(|run| run.fails()).expect("a deadline");
    /// assert_eq!(failure, RunFailure::Silence);
    /// registry.tick(at);
    /// let end = registry.run(&alice, &run).and_then(|run| run.end());
    /// assert_eq!(end.map(|end| end.how), Some(RunEnd::Silence));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fails(&self) -> Option<(Timestamp, RunFailure)> {
        let (at, failure) = self.record().deadline(&self.registry.config, self.registry.pauses)?;
        Some((at.instant()?, failure))
    }

    /// What the log of its session keeps of it, from its start: each event and each stretch of text, with its
    /// place in the stream. O(log n) to find the start, then O(1) for each entry of the log from there on,
    /// those of others included.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use headcount::{Body, Config, Registry, RunEvent, RunId, ThreadId, Timestamp, UserId};
    ///
    /// let now = Timestamp::from_secs(1);
    /// let mut registry = Registry::new(Config::new(1));
    /// let (alice, thread, run) =
    ///     (UserId::new("alice")?, ThreadId::new("main")?, RunId::new("answer")?);
    /// let mut scope = registry.scope(&alice);
    /// scope.open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// for word in ["Hello", ", ", "Alice"] {
    ///     let _ = scope.run_event(now, &run, &RunEvent::text(word))?;
    /// }
    /// let answer = registry.run(&alice, &run).expect("it is open");
    /// let said = answer.log().filter_map(|(_, body)| match body {
    ///     Body::Text(text) => Some(text.text),
    ///     _ => None,
    /// });
    /// assert_eq!(said.collect::<String>(), "Hello, Alice");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log(&self) -> impl Iterator<Item = (Position, Body<'a>)> + use<'a> {
        let registry = self.registry;
        let record = registry.runs.get(self.key);
        let stream = &registry.streams[registry.sessions.get(record.session).stream];
        let entries = stream.log.of_group(self.key, record.first);
        entries.filter_map(|entry| Some((stream.position(entry.offset), registry.body(entry, 0)?)))
    }

    fn record(&self) -> &'a Run {
        self.registry.runs.get(self.key)
    }
}
