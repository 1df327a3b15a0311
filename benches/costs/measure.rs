//! Rows of figures: each call is timed several times, at the same place of the same history.

use core::hint::black_box;
use std::time::Instant;

/// How often each history runs. The least time of a call at its place counts: what else the machine
/// does only ever adds, and hardly ever three times at the same place.
pub(crate) const ROUNDS: usize = 3;

/// The times of one kind of call in nanoseconds, in the order of the calls.
pub(crate) struct Row {
    name: &'static str,
    /// Its place in the table.
    number: usize,
    nanos: Vec<u64>,
    /// The call of this round that is next.
    next: usize,
}

impl Row {
    pub(crate) fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let answer = black_box(call());
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match self.nanos.get_mut(self.next) {
            Some(least) => *least = nanos.min(*least),
            None => self.nanos.push(nanos),
        }
        self.next += 1;
        answer
    }
}

/// All rows, those apart that are in use.
#[derive(Default)]
pub(crate) struct Costs {
    rows: Vec<Row>,
    made: usize,
}

impl Costs {
    /// Takes rows out, to be timed in one round.
    pub(crate) fn rows<const N: usize>(&mut self, names: [&'static str; N]) -> [Row; N] {
        names.map(|name| match self.rows.iter().position(|row| row.name == name) {
            Some(place) => Row { next: 0, ..self.rows.swap_remove(place) },
            None => {
                self.made += 1;
                Row { name, number: self.made, nanos: Vec::new(), next: 0 }
            }
        })
    }

    /// Puts rows back.
    pub(crate) fn keep<const N: usize>(&mut self, rows: [Row; N]) {
        for row in rows {
            assert_eq!(row.next, row.nanos.len(), "{}: another history in each round", row.name);
            self.rows.push(row);
        }
    }

    /// Times so many calls, one after the other.
    pub(crate) fn calls<T>(
        &mut self,
        name: &'static str,
        count: usize,
        mut call: impl FnMut(usize) -> T,
    ) {
        let [mut row] = self.rows([name]);
        for number in 0..count {
            row.time(|| call(number));
        }
        self.keep([row]);
    }

    /// The same, of calls that are each given something that is not timed.
    pub(crate) fn calls_with<P, T>(
        &mut self,
        name: &'static str,
        count: usize,
        mut prepare: impl FnMut() -> P,
        mut call: impl FnMut(usize, P) -> T,
    ) {
        let [mut row] = self.rows([name]);
        for number in 0..count {
            let given = prepare();
            row.time(|| call(number, given));
        }
        self.keep([row]);
    }

    /// Whether no history was timed yet that has this row.
    pub(crate) fn is_new(&self, name: &str) -> bool {
        self.rows.iter().all(|row| row.name != name)
    }

    /// Prints a table of what was timed, in the order in which the rows were made.
    pub(crate) fn print(mut self) {
        self.rows.sort_unstable_by_key(|row| row.number);
        println!("| call | calls | median µs | 99.9 % µs | slowest µs |");
        println!("|---|--:|--:|--:|--:|");
        for Row { name, mut nanos, .. } in self.rows {
            nanos.sort_unstable();
            let calls = nanos.len();
            let [median, most, slowest] =
                [calls / 2, calls * 999 / 1_000, calls - 1].map(|place| nanos[place] as f64 / 1e3);
            println!("| {name} | {calls} | {median:.2} | {most:.2} | {slowest:.1} |");
        }
    }
}
