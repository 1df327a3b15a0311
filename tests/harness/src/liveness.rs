//! The end of a history: everything is flushed, time passes, and nothing may be left.

use headcount::{CloseReason, Inbound, Input, Message, Start, Target, Timestamp};

use super::history::Outcome;
use super::op::{Advance, Pick, To};
use super::world::World;
use super::{Check, ensure};

/// How many deadlines in a row may pass without an end.
const LIMIT: usize = 4_000;

impl World {
    /// Ends the history: what is owed is delivered, peers fall silent, runs are cancelled, sockets end.
    ///
    /// # Errors
    /// What was not as it has to be, as a sentence.
    pub fn wind_up(&mut self) -> Check {
        self.skew = 0;
        self.quiet()?;
        // Nobody is slow now: everyone has everything.
        for stream in self.model.streams.values() {
            for seat in &stream.seats {
                let lacks = seat.lagging || seat.cursor < stream.head();
                ensure!(!lacks, "everything is flushed, and {seat:?} of {:?} lags", stream.source);
            }
        }
        self.pass_time(60)?;
        // Without pings nobody finds out that a peer is silent: the sockets end, one way or another.
        for (number, conn) in self.model.conns.keys().copied().enumerate().collect::<Vec<_>>() {
            if self.model.conns[&conn].is_there() {
                if number % 2 == 0 {
                    self.call(Input::Disconnect { conn })?;
                } else {
                    self.close(To::Conn(Pick::Known(number as u16)), number as u8)?;
                }
                self.compare()?;
            }
        }
        self.cancel_runs()?;
        self.pass_time(LIMIT)?;
        self.nothing_is_left()
    }

    /// Goes on at the last instant that there is. Deadlines saturate there, so that the model has
    /// nothing to say; nothing may overflow either. Call it last.
    ///
    /// # Errors
    /// Where the registry contradicts itself.
    pub fn at_the_end_of_time(&mut self) -> Check {
        let end = Timestamp::MAX;
        let room = self.rooms[0].clone();
        self.registry.expect_payload(5);
        for conn in self.conns.clone() {
            self.registry.call(|it| {
                let _ = it.message(end, conn, Inbound::Data { bytes: 1 });
                let _ = it.reply(end, conn, Message::text("late"));
                let _ = it.join(end, conn, &room, Start::Now);
                it.send(end, Target::Room(&room), Message::text("later"));
                while it.poll_action().is_some() {}
                let _ = it.flushed(end, conn, u64::MAX);
                it.tick(end);
            });
            self.registry.check().map_err(|violation| violation.to_string())?;
            self.registry.check_memory()?;
        }
        self.registry.call(|it| {
            let _ = it.reserve(end, None);
            it.close(end, Target::Everyone, CloseReason::Restart);
            while it.poll_action().is_some() {}
            it.tick(end);
        });
        self.registry.check().map_err(|violation| violation.to_string())
    }

    /// What the history has shown, after the registry was dropped and has left nothing.
    ///
    /// # Errors
    /// What is left.
    pub fn into_outcome(self) -> Result<Outcome, String> {
        let most_held = self.registry.most_held();
        self.registry.give_back()?;
        Ok(Outcome { transcript: self.transcript, marks: self.model.marks, most_held })
    }

    /// Polls and flushes until there is nothing to do but wait.
    pub fn quiet(&mut self) -> Check {
        for _ in 0..LIMIT {
            self.poll_all()?;
            self.flush_all()?;
            if !self.registry.has_actions() {
                return self.compare();
            }
        }
        Err("polling and flushing has no end".into())
    }

    /// Lets deadlines pass, one after the other.
    fn pass_time(&mut self, limit: usize) -> Check {
        let mut stood_still = 0;
        for _ in 0..limit {
            self.quiet()?;
            let Some(next) = self.registry.poll_timeout() else { return Ok(()) };
            let before = self.now;
            self.advance(Advance::Exactly);
            self.call(Input::Tick)?;
            self.compare()?;
            // A deadline that is still there after its tick would keep a shell spinning.
            stood_still = if self.now > before { 0 } else { stood_still + 1 };
            ensure!(stood_still < 3, "poll_timeout stays at {next:?}");
        }
        ensure!(limit < LIMIT, "{limit} deadlines have passed, and there is still one");
        Ok(())
    }

    fn nothing_is_left(&mut self) -> Check {
        self.compare()?;
        self.grammar.finished()?;
        ensure!(self.registry.is_idle(), "all is over, and the registry is not idle");
        while self.notice()? {}
        Ok(())
    }
}
