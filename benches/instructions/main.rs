//! What each call of the core costs in instructions, which no other load of the machine changes.
//!
//! `.ci/instructions` runs each row under callgrind, which counts what [`measured`] calls, and compares
//! the counts with those that are recorded.
//!
//! ```text
//!   … ROW                       one row, for callgrind; prints how many items were measured
//!   … time [CONNECTIONS [ROW]]  nanoseconds an item of each row, the least of some rounds
//!   …                           each row once: they work
//! ```

#[path = "../support/names.rs"]
mod names;
mod rows;
mod world;

use std::time::Instant;

use rows::ROWS;

/// How many connections there are, unless the arguments say otherwise.
const CONNECTIONS: usize = 10_000;
/// How often a row is timed.
const ROUNDS: usize = 16;

/// Takes the measures of one row.
#[derive(Default)]
pub(crate) struct Meter {
    /// The first round fills caches, tables and the predictors of branches, and is not measured.
    is_rehearsal: bool,
    items: u64,
    /// The least time of an item.
    nanos: Option<f64>,
}

impl Meter {
    /// Measures something that does so many items.
    pub(crate) fn measure<T>(&mut self, items: u64, what: impl FnOnce() -> T) -> T {
        if self.is_rehearsal {
            return what();
        }
        let began = Instant::now();
        let result = measured(what);
        let nanos = began.elapsed().as_nanos() as f64 / items as f64;
        self.items += items;
        self.nanos = Some(self.nanos.map_or(nanos, |least| least.min(nanos)));
        result
    }
}

/// Callgrind counts what happens in here, by this name.
#[inline(never)]
fn measured<T>(what: impl FnOnce() -> T) -> T {
    what()
}

fn run(row: &rows::Row, connections: usize, rounds: usize) -> Meter {
    let mut meter = Meter::default();
    let mut world = (row.world)(connections);
    for round in 0..=rounds {
        meter.is_rehearsal = round == 0;
        (row.run)(&mut world, round, &mut meter);
    }
    meter
}

fn main() {
    // Cargo adds an option of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match arguments.next() {
        None => {
            for row in ROWS {
                run(&row, 1_000, 1);
                println!("{}", row.name);
            }
        }
        Some(name) if name == "time" => {
            let connections = arguments.next().map(|count| count.parse().expect("a whole number"));
            let only = arguments.next();
            for row in ROWS.iter().filter(|row| only.as_ref().is_none_or(|it| it == row.name)) {
                let meter = run(row, connections.unwrap_or(CONNECTIONS), ROUNDS);
                println!("{:20} {:8.1} ns", row.name, meter.nanos.unwrap_or_default());
            }
        }
        Some(name) => {
            let row = ROWS.iter().find(|row| row.name == name);
            let row = row.unwrap_or_else(|| panic!("{name} is no row"));
            println!("{}", run(row, CONNECTIONS, 1).items);
        }
    }
}
