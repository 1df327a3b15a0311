//! Lists that are filled and emptied once a turn, and keep their place.

/// How fast a peak is forgotten: by this part of it with each turn.
const FORGOTTEN: usize = 16;

/// More bytes than this are given back at once: a large message is no sign of another.
const MOST_BYTES: usize = 256 * 1024;

/// A list with room for so few items gives nothing back.
const FEW: usize = 16;

/// A list whose place is reused by the next turns: a steady load of up to 256 KiB a turn allocates nothing,
/// and what a burst took is given back within a hundred turns after it.
#[derive(Debug)]
pub(crate) struct Reused<T> {
    pub(crate) list: Vec<T>,
    /// The longest that it was lately.
    peak: usize,
}

impl<T> Default for Reused<T> {
    fn default() -> Self {
        Self { list: Vec::new(), peak: 0 }
    }
}

impl<T> Reused<T> {
    /// Whether there is nothing to empty and no place to give back.
    pub(crate) const fn is_untouched(&self) -> bool {
        self.list.is_empty() && self.peak == 0
    }

    /// Empties the list.
    #[inline]
    pub(crate) fn reset(&mut self) {
        // There is nothing to give back.
        if self.list.capacity() <= 4 * FEW {
            self.peak = self.list.len();
            return self.list.clear();
        }
        let faded = self.peak - self.peak.div_ceil(FORGOTTEN);
        let most = MOST_BYTES / size_of::<T>().max(1);
        self.peak = self.list.len().max(faded).min(most);
        self.list.clear();
        let needed = self.peak.max(FEW);
        if self.list.capacity() > (4 * needed).min(most) {
            self.list.shrink_to(needed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_load_keeps_its_place_and_a_burst_gives_it_back() {
        let mut reused = Reused::default();
        let mut turn = |count| {
            reused.list.extend(std::iter::repeat_n(0_u8, count));
            let before = reused.list.capacity();
            reused.reset();
            assert!(reused.list.is_empty());
            (before, reused.list.capacity())
        };
        turn(10_000);
        for _ in 0..1_000 {
            let (before, after) = turn(10_000);
            assert!(before == after && after >= 10_000);
            // Not all turns are alike.
            turn(100);
        }
        let turns = (0..).take_while(|_| turn(100).1 > 400).count();
        assert!((20..100).contains(&turns), "{turns} turns");
        for count in [MOST_BYTES, MOST_BYTES + 1, 4 * MOST_BYTES] {
            assert!(turn(count).1 <= MOST_BYTES, "at once");
        }
    }
}
