//! What is measured, in its order.

use std::time::{Duration, Instant};

use headcount_load::{Broadcast, Crowd, Echo, LoadError, Outcome, Storm, Target, usage};

use super::progress::Progress;

/// Connections of an echo.
const ECHOES: usize = 16;
/// Messages in flight on each, in the second run.
const IN_FLIGHT: usize = 16;
/// Broadcasts that have not come to all, in the second run.
const OUTSTANDING: usize = 8;
/// Time between the echoes that are measured beside a storm.
const PROBE_EVERY: Duration = Duration::from_millis(2);

pub(super) struct Plan {
    pub(super) idle: Target,
    pub(super) echo: Option<Target>,
    /// Where to subscribe, and where to publish.
    pub(super) broadcast: Option<(Target, Target)>,
    pub(super) connections: usize,
    pub(super) bytes: usize,
    pub(super) storm_every: Duration,
    pub(super) length: Duration,
    pub(super) ends_at: Instant,
    pub(super) process: Option<u32>,
}

/// What came of one kind of work.
pub(super) struct Row {
    pub(super) work: String,
    pub(super) outcome: Outcome,
    /// What the server's process has used for it.
    pub(super) cpu: Option<Duration>,
    /// How much memory it has taken for each connection; for idle ones only.
    pub(super) bytes_per_connection: Option<u64>,
}

impl Plan {
    /// About how long it takes, without what connects take.
    pub(super) fn lasts(&self) -> Duration {
        let echoes = if self.echo.is_some() { 2 } else { 0 };
        let broadcasts = if self.broadcast.is_some() { 2 } else { 0 };
        let storms = if echoes + broadcasts == 4 { 2 } else { 0 };
        self.length * (2 + echoes + broadcasts + storms)
    }

    /// Does all of it, or as much as goes well.
    pub(super) fn run(&self, progress: &Progress) -> (Vec<Row>, Option<LoadError>) {
        let mut rows = Vec::new();
        let failed = self.run_into(&mut rows, progress).err();
        (rows, failed)
    }

    fn run_into(&self, rows: &mut Vec<Row>, progress: &Progress) -> Result<(), LoadError> {
        progress.works_on("idle connections");
        rows.push(self.idle()?);
        progress.works_on("upgrades");
        rows.push(self.upgrades()?);
        if let Some(echo) = &self.echo {
            for in_flight in [1, IN_FLIGHT] {
                progress.works_on("echoes");
                rows.push(self.echoes(echo, in_flight)?);
            }
        }
        let Some((subscribe, publish)) = &self.broadcast else { return Ok(()) };
        let mut crowd = self.crowd()?;
        let subscribers = crowd.connect(subscribe, self.connections, |_| {})?;
        let publisher = crowd.connect(publish, 1, |_| {})?.start;
        for outstanding in [1, OUTSTANDING] {
            progress.works_on("broadcasts");
            let subscribers = subscribers.clone();
            let (bytes, length) = (self.bytes, self.length);
            let work = Broadcast { subscribers, publisher, outstanding, bytes, length };
            let name = format!(
                "broadcast {bytes} B to {} connections, {outstanding} outstanding",
                self.connections
            );
            rows.push(self.measured(name, || work.run(&mut crowd))?);
        }
        let Some(echo) = &self.echo else { return Ok(()) };
        progress.works_on("a storm");
        let probe = crowd.connect(echo, 1, |_| {})?.start;
        let (every, probe_every) = (self.storm_every, PROBE_EVERY);
        let (bytes, length) = (self.bytes, self.length);
        let storm = Storm { subscribers, publisher, probe, every, probe_every, bytes, length };
        let outcome = storm.run(&mut crowd)?;
        for (name, mut half) in [("alone", outcome.alone), ("in a storm", outcome.stormy)] {
            half.messages = half.latency.total();
            let work = format!("echo {bytes} B every {} ms, {name}", PROBE_EVERY.as_millis());
            rows.push(Row { work, outcome: half, cpu: None, bytes_per_connection: None });
        }
        Ok(())
    }

    fn crowd(&self) -> Result<Crowd, LoadError> {
        let mut crowd = Crowd::new()?;
        crowd.ends_at(self.ends_at);
        Ok(crowd)
    }

    /// Runs it, and reads what the server has used before and after.
    fn measured(
        &self,
        work: String,
        run: impl FnOnce() -> Result<Outcome, LoadError>,
    ) -> Result<Row, LoadError> {
        let cpu = || self.process.map(usage::cpu).transpose();
        let before = cpu()?;
        let outcome = run()?;
        let cpu = before.zip(cpu()?).map(|(before, after)| after.saturating_sub(before));
        Ok(Row { work, outcome, cpu, bytes_per_connection: None })
    }

    /// Opens them all and keeps them; one that ends is an error.
    fn idle(&self) -> Result<Row, LoadError> {
        let mut crowd = self.crowd()?;
        let count = self.connections;
        let memory = || self.process.map(usage::resident_bytes).transpose();
        let before = memory()?;
        let mut row = self.measured(format!("{count} idle connections"), || {
            let (mut outcome, began) = (Outcome::default(), Instant::now());
            crowd.connect(&self.idle, count, |took| outcome.record(began, took))?;
            outcome.messages = count as u64;
            outcome.lasted = began.elapsed();
            Ok(outcome)
        })?;
        let ended = crowd.hold(self.length)?;
        if ended > 0 {
            return Err(LoadError::Lost { connections: ended });
        }
        let grown = before.zip(memory()?).map(|(before, after)| after.saturating_sub(before));
        row.bytes_per_connection = grown.map(|grown| grown / count as u64);
        Ok(row)
    }

    fn upgrades(&self) -> Result<Row, LoadError> {
        let mut crowd = self.crowd()?;
        self.measured("upgrades, each ended at once".to_owned(), || {
            crowd.connect_and_end(&self.idle, self.length)
        })
    }

    fn echoes(&self, target: &Target, in_flight: usize) -> Result<Row, LoadError> {
        let mut crowd = self.crowd()?;
        let connections = crowd.connect(target, ECHOES, |_| {})?;
        let (bytes, length) = (self.bytes, self.length);
        let work = format!("echo {bytes} B on {ECHOES} connections, {in_flight} in flight");
        self.measured(work, || Echo { connections, in_flight, bytes, length }.run(&mut crowd))
    }
}
