//! Medians, and the table.

use crate::rows::{ROWS, Unit};

/// The figures of one server in one round. `None`: it failed in it.
type Round = Option<[f64; ROWS.len()]>;

/// All rounds of one server.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<Round>,
}

/// In Markdown: a row for each kind of work, a column for each server. Behind a time stands its ratio to
/// that of the first server, as the median of the rounds in which both were measured.
pub(crate) fn table(servers: &[Measured]) -> String {
    let mut out = String::from("| server CPU, µs |");
    for server in servers {
        out += &format!(" {} |", server.name);
    }
    out += "\n|---|";
    out += &"---|".repeat(servers.len());
    out.push('\n');
    for (at, (row, unit)) in ROWS.into_iter().enumerate() {
        out += &format!("| {row} |");
        for (place, server) in servers.iter().enumerate() {
            let figures = server.rounds.iter().flatten().map(|round| round[at]);
            let ratios = server
                .rounds
                .iter()
                .zip(&servers[0].rounds)
                .filter_map(|(own, floor)| Some(own.as_ref()?[at] / floor.as_ref()?[at]));
            out += &match (median(figures.collect()), median(ratios.collect())) {
                (None, _) => " – |".to_owned(),
                (Some(bytes), _) if unit == Unit::Bytes => format!(" {bytes:.0} |"),
                (Some(micros), Some(ratio)) if place > 0 => format!(" {micros:.2} ({ratio:.2}) |"),
                (Some(micros), _) => format!(" {micros:.2} |"),
            };
        }
        out.push('\n');
    }
    out
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[middle]),
        _ => Some((figures[middle - 1] + figures[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let of = |name, micros: [Option<f64>; 3]| Measured {
            name,
            rounds: micros.map(|micros| Some([micros?; ROWS.len()])).to_vec(),
        };
        let servers = [
            of("floor", [Some(1.0), Some(2.0), Some(10.0)]),
            of("other", [Some(2.0), None, Some(30.0)]),
            of("none", [None; 3]),
        ];
        let table = table(&servers);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "| server CPU, µs | floor | other | none |");
        assert_eq!(lines[2], "| bytes per idle connection | 2 | 16 | – |");
        assert_eq!(lines[3], "| upgrade | 2.00 | 16.00 (2.50) | – |");
        assert_eq!(lines.len(), 2 + ROWS.len());
    }
}
