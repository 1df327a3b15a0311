//! Every key of the configuration decides something that can be seen from outside.
//!
//! One row per key: a short history in virtual time, played under two values of the key with
//! everything else equal, that comes out differently. A key that the registry ignored could not.

mod delivery;
mod key;
mod limits;
mod runs;
mod times;
mod values;
mod whole;

use std::collections::BTreeSet;

use headcount::Config;
use key::{Key, Row};

fn rows() -> impl Iterator<Item = &'static Row> {
    [limits::ROWS, times::ROWS, delivery::ROWS, runs::ROWS, whole::ROWS].into_iter().flatten()
}

#[test]
fn every_key_decides_what_it_is_named_after() {
    for (name, show) in rows() {
        println!("{name}");
        show(Key(name));
    }
}

#[test]
fn every_key_has_one_row() {
    let shown: BTreeSet<_> = rows().map(|(name, _)| *name).collect();
    assert_eq!(rows().count(), shown.len(), "a key has two rows");
    let mut keys: BTreeSet<_> = Config::KEYS.iter().map(|key| key.name).collect();
    // The settings that have a method of the builder and no key.
    keys.extend(["seed", "flush_reports", "presence"]);
    assert_eq!(shown, keys);
    // `KEYS` has everything that there is: `Debug` is derived and shows a field for each.
    let config = format!("{:#?}", Config::new(1));
    let fields = config.lines().filter(|line| line.starts_with("    ") && line.contains(':'));
    assert_eq!(fields.count(), keys.len());
}
