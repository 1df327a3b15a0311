//! Where the registry's journal goes: once a turn, what was recorded is appended.

use std::io::{self, Write};

use headcount::Registry;
use headcount_journal::Recorder;

/// The journal's end in the loop. Once it fails it is over, for a journal with a hole is none.
pub(crate) struct Journal {
    sink: Option<Box<dyn Write + Send>>,
}

impl Journal {
    pub(crate) const fn none() -> Self {
        Self { sink: None }
    }

    pub(crate) fn to(sink: impl Write + Send + 'static) -> Self {
        Self { sink: Some(Box::new(sink)) }
    }

    /// Appends what was recorded since the last call.
    ///
    /// # Errors
    /// What the sink said, or that the registry has ended the recording: nothing is written any more.
    pub(crate) fn append(&mut self, registry: &mut Registry) -> io::Result<()> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let result = match registry.tap_mut::<Recorder>() {
            None => Err(io::Error::other("the registry has another tap than its recorder")),
            Some(recorder) => sink.write_all(recorder.take()).and_then(|()| {
                if recorder.is_recording() {
                    return Ok(());
                }
                Err(io::Error::other("one turn recorded more than the buffer holds"))
            }),
        };
        if result.is_err() {
            registry.set_tap(None);
            // It is not flushed: one that is too slow would hold the loop up.
            self.sink = None;
        }
        result
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
