//! What was measured, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use headcount_load::INTERVAL;
use headcount_plot::{Drawing, Panel, Unit, grouped};
use serde::Serialize;

use super::work::Row;

const ARRIVED: &str = "#1f6feb";
const LONGEST: &str = "#b62324";

/// In aligned columns. What was not measured is `-`.
pub(super) fn table(rows: &[Row]) -> String {
    let head = ["", "each second", "median ms", "p99 ms", "most ms", "server µs", "bytes each"];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        let latency = &row.outcome.latency;
        let none = || "-".to_owned();
        lines.push([
            row.work.clone(),
            grouped(row.outcome.rate().round() as u64),
            millis(latency.percentile(50.0)),
            millis(latency.percentile(99.0)),
            millis(latency.most()),
            server_micros(row).map_or_else(none, |micros| format!("{micros:.2}")),
            row.bytes_per_connection.map_or_else(none, grouped),
        ]);
    }
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for line in lines {
        for (at, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Writing to a string can't fail.
            let _ = match at {
                0 => write!(out, "{cell:<width$}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        out.push('\n');
    }
    out
}

/// One row in JSON. Times are in microseconds.
#[derive(Serialize)]
struct Shown<'a> {
    work: &'a str,
    count: u64,
    seconds: f64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    most_us: f64,
    server_us: Option<f64>,
    bytes_per_connection: Option<u64>,
}

/// A list of objects, and a line break.
pub(super) fn json(rows: &[Row]) -> String {
    let shown: Vec<_> = rows
        .iter()
        .map(|row| Shown {
            work: &row.work,
            count: row.outcome.messages,
            seconds: row.outcome.lasted.as_secs_f64(),
            per_second: row.outcome.rate(),
            p50_us: micros(row.outcome.latency.percentile(50.0)),
            p99_us: micros(row.outcome.latency.percentile(99.0)),
            most_us: micros(row.outcome.latency.most()),
            server_us: server_micros(row),
            bytes_per_connection: row.bytes_per_connection,
        })
        .collect();
    // Numbers and texts can be written: none of them is a map with other keys.
    let mut text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    text.push('\n');
    text
}

/// Two panels for each row.
pub(super) fn plot(rows: &[Row]) -> String {
    let titles: Vec<_> = rows
        .iter()
        .map(|row| {
            let of = |what| format!("{}: {what} in {} ms", row.work, INTERVAL.as_millis());
            [of("arrivals"), of("the longest wait")]
        })
        .collect();
    let interval = INTERVAL.as_millis() as u64;
    let mut panels = Vec::new();
    let mut length = interval;
    for (row, [arrived, longest]) in rows.iter().zip(&titles) {
        let samples = row.outcome.series.samples();
        length = length.max(samples.len() as u64 * interval);
        let at = |place: usize| place as u64 * interval;
        let samples = || samples.iter().enumerate();
        panels.push(Panel {
            title: arrived,
            unit: Unit::Count("arrivals"),
            color: ARRIVED,
            points: samples().map(|(place, sample)| (at(place), sample.arrived)).collect(),
        });
        panels.push(Panel {
            title: longest,
            unit: Unit::Micros,
            color: LONGEST,
            points: samples()
                .map(|(place, sample)| (at(place), sample.longest.as_micros() as u64))
                .collect(),
        });
    }
    Drawing { time: "time", length, panels, marks: Vec::new() }.svg()
}

/// For one message, one delivery or one connection.
fn server_micros(row: &Row) -> Option<f64> {
    let cpu = row.cpu.filter(|_| row.outcome.messages > 0)?;
    Some(micros(cpu) / row.outcome.messages as f64)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use headcount_load::Outcome;

    use super::*;

    fn rows() -> Vec<Row> {
        let mut outcome =
            Outcome { messages: 2_000, lasted: Duration::from_millis(500), ..Outcome::default() };
        outcome.latency.record(Duration::from_micros(1_500));
        outcome.series.record(Duration::from_millis(150), 7, Duration::from_micros(1_500));
        let cpu = Some(Duration::from_millis(5));
        let row = |work: &str, cpu, bytes_per_connection| Row {
            work: work.to_owned(),
            outcome: outcome.clone(),
            cpu,
            bytes_per_connection,
        };
        vec![row("echo", None, None), row("idle", cpu, Some(1_234))]
    }

    #[test]
    fn a_table_is_aligned_and_says_what_was_not_measured() {
        let table = table(&rows());
        let lines: Vec<_> = table.lines().collect();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(lines[1]), ["echo", "4,000", "1.500", "1.500", "1.500", "-", "-"]);
        assert_eq!(words(lines[2]), ["idle", "4,000", "1.500", "1.500", "1.500", "2.50", "1,234"]);
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{table}");
    }

    #[test]
    fn json_has_the_same_figures() {
        let json: serde_json::Value = serde_json::from_str(&json(&rows())).unwrap();
        assert_eq!((&json[0]["work"], &json[0]["server_us"]), (&"echo".into(), &().into()));
        assert_eq!((&json[1]["count"], &json[1]["p99_us"]), (&2_000.into(), &1_500.0.into()));
        assert_eq!(
            (&json[1]["server_us"], &json[1]["bytes_per_connection"]),
            (&2.5.into(), &1_234.into())
        );
    }

    #[test]
    fn a_plot_has_two_panels_a_row() {
        let plot = plot(&rows());
        assert_eq!(plot.matches("<polyline").count(), 4);
        for text in ["idle: arrivals in 100 ms", "time, in µs", "2,000 µs", "time, in ms", "200 ms"]
        {
            assert!(plot.contains(&format!(">{text}</text>")), "{text:?} is not in {plot}");
        }
    }
}
