//! The report: what happened, for people.

use std::fmt::{self, Write};

use headcount::CloseReason;
use headcount_plot::grouped;

use crate::plot;
use crate::queue::Millis;
use crate::scenario::Scenario;
use crate::tally::{GroupTally, Lengths, Tally, place};
use crate::values::Span;

/// What came of a simulation. Its `Display` is the whole report; it ends with a line break.
#[derive(Clone, Debug)]
pub struct Report {
    text: String,
    tally: Tally,
    /// The same clients under the old rules, and how often their clean-up found nothing.
    old: Option<(Tally, u64)>,
    names: Vec<String>,
    length: Millis,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Report {
    pub(crate) fn new(
        scenario: &Scenario,
        seed: u64,
        tally: Tally,
        old: Option<(Tally, u64)>,
    ) -> Self {
        let names = scenario.clients.iter().map(|group| group.name.get_ref().clone()).collect();
        let length = scenario.length.0;
        let mut report = Self { text: String::new(), tally, old, names, length };
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = report.write(&mut text, scenario, seed);
        report.text = text;
        report
    }

    /// Whether the registry's own recount found nothing wrong, the sums add up, and each client got
    /// everything in order.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let tally = &self.tally;
        tally.violations.is_empty() && tally.totals.adds_up() && tally.disordered == 0
    }

    /// An SVG of connections, backlog and closes over virtual time, with the incidents.
    #[must_use]
    pub fn plot(&self) -> String {
        plot::svg(&self.tally, self.length)
    }

    /// Clients who were refused and not let in by the end.
    #[must_use]
    pub fn locked_out_at_end(&self) -> u64 {
        self.tally.sum(|group| group.locked_out_at_end)
    }

    /// The same under the old rules; `None` without the comparison.
    #[must_use]
    pub fn locked_out_at_end_by_old_rules(&self) -> Option<u64> {
        self.old.as_ref().map(|(tally, _)| tally.sum(|group| group.locked_out_at_end))
    }

    /// The longest that a client of a group was locked out, in milliseconds.
    #[must_use]
    pub fn longest_lock_out(&self, group: &str) -> Option<u32> {
        Some(self.group(group)?.locked_out.longest)
    }

    /// Connections of a group that have ended for a reason.
    #[must_use]
    pub fn closed(&self, group: &str, reason: CloseReason) -> Option<u64> {
        Some(self.group(group)?.closed.get(place(reason)).copied().unwrap_or(0))
    }

    /// Clients of a group that are connected at the end.
    #[must_use]
    pub fn connected_at_end(&self, group: &str) -> Option<u64> {
        Some(self.group(group)?.connected_at_end)
    }

    /// Gaps that a group was told of.
    #[must_use]
    pub fn gaps(&self, group: &str) -> Option<u64> {
        Some(self.group(group)?.gaps)
    }

    /// The second with the most admissions: which, and how many.
    #[must_use]
    pub const fn busiest_second(&self) -> (u32, u64) {
        self.tally.busiest_second
    }

    /// The most admissions in one second after an incident, counted from 0, and before the next.
    #[must_use]
    pub fn busiest_second_after(&self, incident: usize) -> Option<u64> {
        Some(self.tally.aftermaths.get(incident)?.busiest)
    }

    /// Readers of completed runs: how many were owed the whole text, have it, and have another.
    #[must_use]
    pub const fn streams(&self) -> (u64, u64, u64) {
        (self.tally.streams_owed, self.tally.streams_whole, self.tally.streams_broken)
    }

    /// The most bytes that all logs held together.
    #[must_use]
    pub const fn peak_logged(&self) -> u64 {
        self.tally.peak_logged
    }

    fn group(&self, name: &str) -> Option<&GroupTally> {
        let index = self.names.iter().position(|other| other == name)?;
        self.tally.groups.get(index)
    }

    fn write(&self, out: &mut String, scenario: &Scenario, seed: u64) -> fmt::Result {
        let (tally, totals) = (&self.tally, &self.tally.totals);
        writeln!(out, "{}", scenario.about)?;
        writeln!(
            out,
            "\n{} clients, {} of virtual time, seed {seed}, {} events",
            grouped(scenario.clients()),
            scenario.length,
            grouped(tally.events),
        )?;

        section(out, "population")?;
        let last = tally.samples.len().saturating_sub(1);
        for step in 0..=10_usize {
            let Some(sample) = tally.samples.get(last * step / 10) else { continue };
            let bar = u64::from(sample.open) * 40 / u64::from(tally.peak_open.max(1));
            let bar = "#".repeat(bar as usize);
            line(out, &format!("at {}", clock(sample.at)), &grouped(sample.open.into()), &bar)?;
        }
        line(out, "most at once", &grouped(tally.peak_open.into()), "")?;
        let (second, admissions) = tally.busiest_second;
        let when = format!("admissions, at {}", clock(second * 1_000));
        line(out, "busiest second", &grouped(admissions), &when)?;

        section(out, "connections")?;
        line(out, "opened", &grouped(totals.opened), "")?;
        line(out, "live at the end", &grouped(totals.live), "")?;
        for (reason, count) in CloseReason::ALL.iter().zip(&totals.closed) {
            if *count > 0 {
                line(out, &format!("closed: {}", reason.name()), &grouped(*count), "")?;
            }
        }
        if totals.crashed > 0 {
            line(out, "lost in crashes", &grouped(totals.crashed), "")?;
        }
        line(out, "ended before admission", &grouped(totals.abandoned), "")?;
        line(out, "pings, pongs", &grouped(totals.pings), &grouped(totals.pongs))?;
        line(out, "suspects that recovered", &grouped(totals.recovered), "")?;
        if totals.pauses + totals.late_stamps > 0 {
            let late = format!("{} late stamps", grouped(totals.late_stamps));
            line(out, "pauses believed", &grouped(totals.pauses), &late)?;
        }

        section(out, "refusals")?;
        for (name, count) in &tally.refusals {
            line(out, name, &grouped(*count), "")?;
        }
        let unreachable = tally.sum(|group| group.unreachable);
        line(out, "no server there", &grouped(unreachable), "")?;
        if !tally.aftermaths.is_empty() {
            section(out, "incidents, and the connects until the next one")?;
        }
        for aftermath in &tally.aftermaths {
            let what = format!("at {}: {}", clock(aftermath.at), aftermath.what);
            let note = format!("admissions, {} in the busiest second", grouped(aftermath.busiest));
            line(out, &what, &grouped(aftermath.admitted), &note)?;
            lengths(out, "  without a connection", &aftermath.without)?;
        }
        self.write_groups(out)?;
        self.write_messages(out)?;
        self.write_comparison(out)?;

        section(out, "the count")?;
        let closed = totals.closed.iter().sum::<u64>() + totals.crashed;
        let verdict = if totals.adds_up() { "holds" } else { "DOES NOT HOLD" };
        writeln!(
            out,
            "  opened == live + closed: {} == {} + {}: {verdict}",
            totals.opened, totals.live, closed
        )?;
        match tally.violations.first() {
            None => writeln!(out, "  the registry's own recount: nothing wrong"),
            Some(violation) => writeln!(out, "  the registry's own recount: {violation}"),
        }
    }

    fn write_groups(&self, out: &mut String) -> fmt::Result {
        for (name, group) in self.names.iter().zip(&self.tally.groups) {
            section(out, &format!("clients: {name}"))?;
            line(out, "connected at the end", &grouped(group.connected_at_end), "")?;
            line(out, "admitted", &grouped(group.admitted), "")?;
            if group.stopped > 0 {
                line(out, "told to stop", &grouped(group.stopped), "")?;
            }
            line(out, "refused", &grouped(group.refused), "")?;
            lengths(out, "locked out", &group.locked_out)?;
            line(out, "locked out at the end", &grouped(group.locked_out_at_end), "")?;
            lengths(out, "without a connection", &group.without)?;
            let gaps = format!("{} with a gap", grouped(group.resumed_with_gap));
            line(out, "resumed whole", &grouped(group.resumed_whole), &gaps)?;
            line(out, "delivered", &grouped(group.delivered), "")?;
            let lost = format!("{} offsets lost", grouped(group.lost));
            line(out, "gaps", &grouped(group.gaps), &lost)?;
        }
        Ok(())
    }

    fn write_messages(&self, out: &mut String) -> fmt::Result {
        let (tally, totals) = (&self.tally, &self.tally.totals);
        section(out, "messages")?;
        line(out, "sent", &grouped(tally.sent), "")?;
        line(out, "to nobody", &grouped(tally.sent_to_nobody), "")?;
        line(out, "stored in logs", &grouped(totals.stored), "")?;
        line(out, "handed to sockets", &grouped(totals.handed_out), "")?;
        line(out, "read by clients", &grouped(tally.sum(|group| group.delivered)), "")?;
        line(out, "out of order or twice", &grouped(tally.disordered), "")?;
        line(out, "shed by a byte budget", &grouped(totals.shed), "")?;
        line(out, "skipped by announcements", &grouped(totals.skipped), "")?;
        if tally.runs_opened > 0 {
            section(out, "runs")?;
            line(out, "opened", &grouped(tally.runs_opened), "")?;
            line(out, "completed", &grouped(tally.runs_completed), "")?;
            line(out, "cut short", &grouped(tally.runs_cut_short), "")?;
            line(out, "texts owed to readers", &grouped(tally.streams_owed), "")?;
            line(out, "read whole", &grouped(tally.streams_whole), "")?;
            line(out, "read with something missing", &grouped(tally.streams_broken), "")?;
        }
        section(out, "peaks")?;
        let messages = format!("in {} messages", grouped(tally.peak_log_messages));
        line(out, "bytes in logs", &grouped(tally.peak_logged), &messages)?;
        line(out, "bytes handed out, unread", &grouped(tally.peak_unread), "")
    }

    fn write_comparison(&self, out: &mut String) -> fmt::Result {
        let Some((old, cleaned_in_vain)) = &self.old else { return Ok(()) };
        section(out, "the same clients, the old rules")?;
        line(out, "admitted", &grouped(old.sum(|group| group.admitted)), "")?;
        let refused = grouped(old.sum(|group| group.refused));
        line(out, "refused at 20 of 20", &refused, "")?;
        line(out, "clean-ups that cleaned nothing", &grouped(*cleaned_in_vain), "")?;
        for (name, group) in self.names.iter().zip(&old.groups) {
            lengths(out, &format!("{name}: locked out"), &group.locked_out)?;
        }
        let (then, now) = (old.sum(|group| group.locked_out_at_end), self.locked_out_at_end());
        line(out, "locked out at the end", &grouped(then), &format!("here: {}", grouped(now)))?;
        let connected = |tally: &Tally| grouped(tally.sum(|group| group.connected_at_end));
        let here = format!("here: {}", connected(&self.tally));
        line(out, "connected at the end", &connected(old), &here)
    }
}

fn section(out: &mut String, title: &str) -> fmt::Result {
    writeln!(out, "\n{title}")
}

fn line(out: &mut String, what: &str, figure: &str, note: &str) -> fmt::Result {
    writeln!(out, "{}", format!("  {what:<32} {figure:>16}  {note}").trim_end())
}

fn lengths(out: &mut String, what: &str, lengths: &Lengths) -> fmt::Result {
    if lengths.count == 0 {
        return line(out, what, "never", "");
    }
    let note = format!(
        "times: half up to {}, 99 % up to {}, longest {}",
        Span(lengths.percentile(50)),
        Span(lengths.percentile(99)),
        Span(lengths.longest)
    );
    line(out, what, &grouped(lengths.count), &note)
}

/// Virtual time as a clock shows it.
pub(crate) fn clock(at: Millis) -> String {
    let seconds = at / 1_000;
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
