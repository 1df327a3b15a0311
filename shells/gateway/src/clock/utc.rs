//! Instants of the wall clock as people read them.

use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 3_600;

/// The time of day so long ago, in UTC: `2026-11-28T16:30:00Z`.
pub(crate) fn before_now(ago: Duration) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    show(now.saturating_sub(ago))
}

/// The time of day, with milliseconds: `2026-11-28T16:30:00.123Z`.
pub(crate) fn now() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    show(now).replace('Z', &format!(".{:03}Z", now.subsec_millis()))
}

/// As RFC 3339 has it, in whole seconds, rounded down. The calendar is Howard Hinnant's
/// `civil_from_days`: years begin in March, so that the leap day is the last one.
fn show(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / DAY, seconds % DAY);
    // Days since 1 March of the year 0.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_every_kind() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(show(Duration::from_millis(seconds * 1_000 + 999)), shown);
        }
    }

    #[test]
    fn before_the_epoch_is_the_epoch() {
        assert_eq!(before_now(Duration::MAX), "1970-01-01T00:00:00Z");
    }
}
