//! The axes: round steps, and the units that they are written in.

use crate::{HEIGHT, LEFT, WIDTH};

/// What values count.
#[derive(Clone, Copy, Debug)]
pub enum Unit<'a> {
    /// Things of this name.
    Count(&'a str),
    /// Bytes, shown with decimal prefixes.
    Bytes,
    /// Microseconds, shown as what fits.
    Micros,
}

const BYTES: &[(u64, &str)] = &[(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"), (1, "B")];
const MICROS: &[(u64, &str)] = &[(1_000_000, "s"), (1_000, "ms"), (1, "µs")];

/// In milliseconds, as times are.
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const TIMES: &[(u64, &str)] = &[(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "ms")];

/// How many steps an axis of time has at most.
const TIME_STEPS: u64 = 10;

/// A number with its thousands apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The largest unit that a step is not less than.
fn fitting(units: &[(u64, &'static str)], step: u64) -> (u64, &'static str) {
    units.iter().copied().find(|(size, _)| step >= *size).unwrap_or((1, ""))
}

/// So many of so many parts of a length.
fn part(length: u64, value: u64, most: u64) -> u64 {
    (u128::from(length) * u128::from(value.min(most)) / u128::from(most)) as u64
}

/// The time, which all panels share.
pub(crate) struct TimeAxis {
    length: u64,
    step: u64,
}

impl TimeAxis {
    pub(crate) fn new(length: u64) -> Self {
        let length = length.max(1);
        let decimal = [1, 2, 5, 10, 20, 50, 100, 200, 500];
        let sixties = [1, 2, 5, 10, 15, 30];
        let hours = [1, 2, 3, 6, 12];
        let steps = decimal.into_iter().chain(sixties.map(|count| count * SECOND));
        let mut steps =
            steps.chain(sixties.map(|count| count * MINUTE)).chain(hours.map(|count| count * HOUR));
        let step = steps.find(|step| length / step <= TIME_STEPS);
        let days = || (length / DAY / (TIME_STEPS + 1) + 1) * DAY;
        Self { length, step: step.unwrap_or_else(days) }
    }

    pub(crate) fn unit(&self) -> &'static str {
        fitting(TIMES, self.step).1
    }

    pub(crate) fn ticks(&self) -> impl Iterator<Item = (u64, String)> {
        let (size, name) = fitting(TIMES, self.step);
        let ticks = (0..=self.length / self.step).map(|count| count * self.step);
        ticks.map(move |at| (at, format!("{} {name}", grouped(at / size))))
    }

    /// Where a time is drawn; what is later than the end, at the end.
    pub(crate) fn place(&self, at: u64) -> u64 {
        LEFT + part(WIDTH, at, self.length)
    }
}

/// The values of one panel.
pub(crate) struct ValueAxis<'a> {
    unit: Unit<'a>,
    most: u64,
}

impl<'a> ValueAxis<'a> {
    pub(crate) fn new(unit: Unit<'a>, most: u64) -> Self {
        Self { unit, most: round_up(most) }
    }

    /// The size of what is shown as one, and its name.
    fn shown(&self) -> (u64, &'static str) {
        match self.unit {
            Unit::Count(_) => (1, ""),
            Unit::Bytes => fitting(BYTES, self.most / 4),
            Unit::Micros => fitting(MICROS, self.most / 4),
        }
    }

    pub(crate) fn title(&self) -> String {
        match self.unit {
            Unit::Count(name) => name.to_owned(),
            Unit::Bytes => format!("bytes, in {}", self.shown().1),
            Unit::Micros => format!("time, in {}", self.shown().1),
        }
    }

    pub(crate) fn ticks(&self) -> impl Iterator<Item = (u64, String)> {
        let (size, name) = self.shown();
        let space = if name.is_empty() { "" } else { " " };
        let values = (0..=4).map(|step| part(self.most, step, 4));
        values.map(move |value| (value, format!("{}{space}{name}", grouped(value / size))))
    }

    pub(crate) fn height(&self, value: u64) -> u64 {
        part(HEIGHT, value, self.most)
    }
}

/// The next of 4, 8, 12, 20 with zeros behind, so that the four lines have round figures.
fn round_up(most: u64) -> u64 {
    let mut unit = 4_u64;
    loop {
        for factor in [1, 2, 3, 5] {
            if unit.saturating_mul(factor) >= most {
                return unit.saturating_mul(factor);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        for (most, scale) in [(0, 4), (5, 8), (99, 120), (121, 200), (1_000_000, 1_200_000)] {
            assert_eq!(round_up(most), scale);
        }
        assert!(round_up(u64::MAX) == u64::MAX);
    }

    #[test]
    fn values_are_shown_in_the_unit_that_fits() {
        for (unit, most, title, last) in [
            (Unit::Count("tabs"), 1_900_000, "tabs", "2,000,000"),
            (Unit::Bytes, 0, "bytes, in B", "4 B"),
            (Unit::Bytes, 3_500, "bytes, in kB", "4 kB"),
            (Unit::Bytes, 1_900_000, "bytes, in kB", "2,000 kB"),
            (Unit::Bytes, 31_000_000, "bytes, in MB", "40 MB"),
            (Unit::Micros, 999, "time, in µs", "1,200 µs"),
            (Unit::Micros, 70_000, "time, in ms", "80 ms"),
            (Unit::Micros, 7_000_000, "time, in s", "8 s"),
        ] {
            let axis = ValueAxis::new(unit, most);
            assert_eq!(axis.title(), title);
            assert_eq!(axis.ticks().last().unwrap(), (round_up(most), last.to_owned()));
        }
    }

    #[test]
    fn times_have_round_steps_and_one_unit() {
        for (length, second, last) in [
            (0, "1 ms", "1 ms"),
            (200, "20 ms", "200 ms"),
            (10 * SECOND, "1 s", "10 s"),
            (90 * SECOND, "10 s", "90 s"),
            (10 * MINUTE, "1 min", "10 min"),
            (25 * MINUTE, "5 min", "25 min"),
            (HOUR + 1, "10 min", "60 min"),
            (6 * HOUR, "1 h", "6 h"),
            (7 * DAY, "1 d", "7 d"),
            (30 * DAY, "3 d", "30 d"),
        ] {
            let ticks: Vec<_> = TimeAxis::new(length).ticks().collect();
            let labels = (ticks[1].1.as_str(), ticks.last().unwrap().1.as_str());
            assert_eq!(labels, (second, last), "{length} ms");
            assert!(ticks.len() <= 11 && ticks.iter().all(|(at, _)| *at <= length.max(1)));
        }
        assert!(TimeAxis::new(u64::MAX).ticks().count() <= 11);
    }
}
