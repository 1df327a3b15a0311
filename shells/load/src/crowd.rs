//! Many connections of one thread.

use std::ops::Range;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::error::LoadError;
use crate::socket::{Progress, Socket};
use crate::target::Target;
use crate::workload::Outcome;

/// Connects under way at the same time: a listener's queue often has 128 places.
const AT_ONCE: usize = 64;

/// Without any progress for so long, a server has stalled.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number in the crowd.
    pub connection: usize,
    /// What happened.
    pub what: What,
}

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was upgraded, this long after it was begun.
    Opened(Duration),
    /// So many data messages were completed.
    Messages(u32),
    /// It ended, by no wish of the crowd.
    Ended,
}

/// Connections to one server or to several. Those that are dropped end with a reset.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    events: Events,
    sockets: Vec<Option<Socket>>,
    buffer: Vec<u8>,
    open: usize,
    ends_at: Option<Instant>,
}

impl Crowd {
    /// No connections yet.
    ///
    /// # Errors
    /// The operating system has no poll for it.
    pub fn new() -> Result<Self, LoadError> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            sockets: Vec::new(),
            buffer: vec![0; 256 * 1_024],
            open: 0,
            ends_at: None,
        })
    }

    /// How many are upgraded and have not ended.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.open
    }

    /// Work that is not done by then fails with [`LoadError::TimeOver`]. Without an end it goes on for as
    /// long as there is progress.
    pub const fn ends_at(&mut self, end: Instant) {
        self.ends_at = Some(end);
    }

    /// Opens further connections, 64 of them at a time, and returns their numbers, when all are upgraded.
    /// `each` is told of every one, with the time that it took.
    ///
    /// # Errors
    /// The server refuses one or stalls, a connection ends, or the operating system has no more sockets.
    pub fn connect(
        &mut self,
        target: &Target,
        count: usize,
        mut each: impl FnMut(Duration),
    ) -> Result<Range<usize>, LoadError> {
        let first = self.sockets.len();
        let (mut opened, mut reports) = (0, Vec::new());
        while opened < count {
            let wanted = (opened + AT_ONCE).min(count);
            while self.sockets.len() < first + wanted {
                let number = self.sockets.len();
                let token = Token(number);
                let socket = Socket::connect(target, number, self.poll.registry(), token)?;
                self.sockets.push(Some(socket));
            }
            self.wait("an upgrade", &mut reports)?;
            for report in reports.drain(..) {
                if let What::Opened(lasted) = report.what {
                    opened += 1;
                    each(lasted);
                }
            }
        }
        Ok(first..first + count)
    }

    /// Opens connections and ends them as soon as they are upgraded, 64 at a time, for so long. The outcome
    /// counts them, and how long each took until it was upgraded.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_and_end(
        &mut self,
        target: &Target,
        length: Duration,
    ) -> Result<Outcome, LoadError> {
        let (mut outcome, began) = (Outcome::default(), Instant::now());
        while began.elapsed() < length {
            let opened = self.connect(target, AT_ONCE, |took| outcome.record(began, took))?;
            outcome.messages += opened.len() as u64;
            self.end(opened);
        }
        outcome.lasted = began.elapsed();
        Ok(outcome)
    }

    /// Ends these connections with a reset. Their numbers are given again if they are the last ones.
    pub fn end(&mut self, connections: Range<usize>) {
        let is_last = connections.end == self.sockets.len();
        for socket in self.sockets[connections.clone()].iter_mut().filter_map(Option::take) {
            self.open -= usize::from(socket.is_open());
            socket.reset();
        }
        if is_last {
            self.sockets.truncate(connections.start);
        }
    }

    /// Waits for events once, and appends what they brought.
    ///
    /// # Errors
    /// The operating system failed, a connection that was not upgraded yet has ended, or the time is over.
    pub fn turn(&mut self, at_most: Duration, reports: &mut Vec<Report>) -> Result<(), LoadError> {
        let left = self.ends_at.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(LoadError::TimeOver);
        }
        let at_most = left.map_or(at_most, |left| left.min(at_most));
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            let connection = event.token().0;
            let place = self.sockets.get_mut(connection);
            let Some(place) = place else { continue };
            let Some(socket) = place else { continue };
            let was_open = socket.is_open();
            let messages = match socket.ready(&mut self.buffer)? {
                Progress::Nothing => 0,
                Progress::Messages(messages) => messages,
                Progress::Opened(messages) => {
                    self.open += 1;
                    let what = What::Opened(socket.began.elapsed());
                    reports.push(Report { connection, what });
                    messages
                }
                Progress::Ended => {
                    // One that is upgraded and closed in the same bytes never counted.
                    self.open -= usize::from(was_open);
                    *place = None;
                    reports.push(Report { connection, what: What::Ended });
                    0
                }
            };
            if messages > 0 {
                reports.push(Report { connection, what: What::Messages(messages) });
            }
        }
        Ok(())
    }

    /// A turn that must bring something, and in which no connection may end.
    pub(crate) fn wait(
        &mut self,
        what: &'static str,
        reports: &mut Vec<Report>,
    ) -> Result<(), LoadError> {
        let began = Instant::now();
        while reports.is_empty() {
            if began.elapsed() >= PATIENCE {
                return Err(LoadError::Stalled { what, waited: PATIENCE });
            }
            self.turn(PATIENCE, reports)?;
        }
        lost(reports)
    }

    /// Keeps connections for so long, answering pings. Returns how many have ended.
    ///
    /// # Errors
    /// The operating system failed, or the time is over.
    pub fn hold(&mut self, length: Duration) -> Result<u64, LoadError> {
        let (end, mut ended, mut reports) = (Instant::now() + length, 0, Vec::new());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(ended);
            }
            self.turn(left, &mut reports)?;
            ended += reports.drain(..).filter(|report| report.what == What::Ended).count() as u64;
        }
    }

    /// Sends frames on a connection that is open.
    ///
    /// # Errors
    /// It has ended.
    pub fn send(&mut self, connection: usize, frames: &[u8]) -> Result<(), LoadError> {
        let socket = self.sockets.get_mut(connection).and_then(Option::as_mut);
        let sent = socket.map(|socket| socket.send(frames));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(LoadError::Lost { connections: 1 }),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.end(0..self.sockets.len());
    }
}

/// An error if a connection has ended.
pub(crate) fn lost(reports: &[Report]) -> Result<(), LoadError> {
    let connections = reports.iter().filter(|report| report.what == What::Ended).count() as u64;
    if connections == 0 { Ok(()) } else { Err(LoadError::Lost { connections }) }
}
