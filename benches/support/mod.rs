//! What the benches of the registry share with those of what people write by hand.

use core::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};

/// What a message says.
pub(crate) const PAYLOAD: &[u8] = &[b'x'; 64];

/// How many connections there are: 10,000 and 100,000, or the numbers that `HEADCOUNT_SIZES` names,
/// with commas between them.
pub(crate) fn sizes() -> Vec<u32> {
    let sizes = std::env::var("HEADCOUNT_SIZES");
    let sizes = sizes.as_deref().unwrap_or("10000,100000");
    let sizes = sizes.split(',').map(|size| size.trim().parse().expect("a number of connections"));
    sizes.collect()
}

/// A name as long as a UUID, and as good as random in its first bytes.
pub(crate) fn name(number: u32) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", number.wrapping_mul(0x9E37_79B9))
}

/// Numbers that are as good as random, and the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

pub(crate) fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    group
}
