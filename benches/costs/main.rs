//! What each call of the registry costs at 1,000,000 connections: the table that `docs/costs.md`
//! explains. Names have 36 bytes, and all deadlines are armed. Calls go to connections that are
//! scattered over the tables: a cache that knows what comes next is not what servers have.
//!
//! A time includes that of reading the clock twice, which the first row has alone.

mod absent;
mod crowd;
mod herd;
mod logs;
mod measure;
#[path = "../support/names.rs"]
mod names;
mod rooms;
mod user;
mod views;
mod world;

use std::time::Instant;

use measure::{Costs, ROUNDS};

/// Its name, and what it does.
type History = (&'static str, fn(&mut Costs));

fn main() {
    let mut costs = Costs::default();
    let histories: [History; 7] = [
        ("nothing", |costs| costs.calls("the clock alone", world::CALLS, |_| ())),
        ("a crowd", crowd::crowd),
        ("a room", rooms::rooms),
        ("one user", user::user_of_many),
        ("the absent", absent::absent),
        ("a herd", herd::herd),
        ("full logs", logs::logs),
    ];
    for (name, history) in histories {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            history(&mut costs);
        }
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    costs.print();
}
