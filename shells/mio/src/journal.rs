//! Where the registry's journal goes: once a turn, what was recorded is appended.

use std::io::{self, Write};

use headcount::Registry;
use headcount_journal::Recorder;

/// Where the journal of a server goes, for [`Server::journal`](crate::Server::journal).
///
/// It is written to on the loop's thread: it should not block for long.
pub trait JournalSink: Write + Send {
    /// A segment of the journal is full, and another one begins: the writes from now on are a journal of its
    /// own, and belong into another file.
    /// [`Recording::segments`](headcount_journal::Recording::segments) says when.
    ///
    /// # Errors
    /// As for a write: the recording ends.
    fn begin_segment(&mut self) -> io::Result<()>;
}

/// The journal's end in the loop. Once it fails it is over, for a journal with a hole is none.
pub(crate) struct Journal {
    sink: Option<Box<dyn JournalSink>>,
}

impl Journal {
    pub(crate) const fn none() -> Self {
        Self { sink: None }
    }

    pub(crate) fn to(sink: impl JournalSink + 'static) -> Self {
        Self { sink: Some(Box::new(sink)) }
    }

    /// Appends what was recorded since the last call.
    ///
    /// # Errors
    /// What the sink said, or that the registry has ended the recording: nothing is written any more.
    #[inline]
    pub(crate) fn append(&mut self, registry: &mut Registry) -> io::Result<()> {
        if self.sink.is_none() { Ok(()) } else { self.append_to_sink(registry) }
    }

    fn append_to_sink(&mut self, registry: &mut Registry) -> io::Result<()> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let result = Self::take(registry, sink).and_then(|()| {
            if !Recorder::next_segment(registry) {
                return Ok(());
            }
            sink.begin_segment()?;
            Self::take(registry, sink)
        });
        if result.is_err() {
            registry.set_tap(None);
            // It is not flushed: one that is too slow would hold the loop up.
            self.sink = None;
        }
        result
    }

    fn take(registry: &mut Registry, sink: &mut Box<dyn JournalSink>) -> io::Result<()> {
        let Some(recorder) = registry.tap_mut::<Recorder>() else {
            return Err(io::Error::other("the registry has another tap than its recorder"));
        };
        sink.write_all(recorder.take())?;
        if !recorder.is_recording() {
            return Err(io::Error::other("one turn recorded more than the buffer holds"));
        }
        Ok(())
    }

    /// Appends the rest.
    ///
    /// # Errors
    /// As [`append`](Self::append), or what the sink said when it was flushed.
    pub(crate) fn finish(mut self, registry: &mut Registry) -> io::Result<()> {
        self.append(registry)?;
        self.sink.as_mut().map_or(Ok(()), Write::flush)
    }
}
