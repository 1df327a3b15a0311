//! A configuration in a journal: each key by its name, so that it says what it is in any version.

use alloc::vec::Vec;
use core::time::Duration;

use headcount::{Config, ConfigKind, ConfigValue, OverCap};

use super::number;

pub(super) fn put(buffer: &mut Vec<u8>, config: &Config) {
    buffer.extend_from_slice(&config.seed().to_le_bytes());
    buffer.push(u8::from(config.flush_reports()) | u8::from(config.presence()) << 1);
    let (policy, wait) = match config.over_cap() {
        OverCap::EvictUnresponsiveThenOldest => (0, None),
        OverCap::EvictOldest => (1, None),
        OverCap::Refuse { retry_after } => (2, Some(retry_after)),
    };
    buffer.push(policy);
    if let Some(wait) = wait {
        number::put(buffer, wait.as_secs());
        number::put(buffer, wait.subsec_nanos().into());
    }
    let amounts =
        Config::KEYS.iter().filter_map(|key| Some((key.name, exact(config.get(key.name)?)?)));
    number::put(buffer, amounts.clone().count() as u64);
    for (key, amount) in amounts {
        buffer.push(key.len() as u8);
        buffer.extend_from_slice(key.as_bytes());
        number::put(buffer, amount);
    }
}

/// An amount as a number, durations in nanoseconds: nothing of a valid one is lost. `None` for a policy.
fn exact(value: ConfigValue) -> Option<u64> {
    match value {
        ConfigValue::Time(time) => Some(time.as_nanos() as u64),
        value => value.amount(),
    }
}

/// The amount that [`exact`] made this of; `None` if there is none.
fn from_exact(kind: ConfigKind, number: u64) -> Option<ConfigValue> {
    match kind {
        ConfigKind::Time => Some(ConfigValue::Time(Duration::from_nanos(number))),
        kind => kind.value_of(number),
    }
}

/// `None`: it is none, one that is not valid, or one with keys that this version does not know.
pub(super) fn take(bytes: &mut &[u8]) -> Option<Config> {
    let seed = u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?);
    let mut builder = Config::builder(seed);
    let switches = *bytes.split_off_first()?;
    if switches > 3 {
        return None;
    }
    if switches & 1 == 0 {
        builder = builder.without_flush_reports();
    }
    if switches & 2 != 0 {
        builder = builder.with_presence();
    }
    builder = builder.over_cap(match *bytes.split_off_first()? {
        0 => OverCap::EvictUnresponsiveThenOldest,
        1 => OverCap::EvictOldest,
        2 => {
            let secs = number::take(bytes)?;
            let nanos =
                u32::try_from(number::take(bytes)?).ok().filter(|it| *it < 1_000_000_000)?;
            OverCap::Refuse { retry_after: Duration::new(secs, nanos) }
        }
        _ => return None,
    });
    for _ in 0..number::take(bytes)? {
        let length = *bytes.split_off_first()?;
        let key = str::from_utf8(bytes.split_off(..usize::from(length))?).ok()?;
        let value = from_exact(Config::key(key)?.kind, number::take(bytes)?)?;
        builder = builder.set(key, value).ok()?;
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_comes_back() {
        let odd = Config::builder(u64::MAX)
            .connections(7)
            .session_linger(Duration::from_nanos(1_500_000_001))
            .over_cap(OverCap::Refuse { retry_after: Duration::new(u64::MAX, 999_999_999) })
            .without_flush_reports()
            .build()
            .unwrap();
        let present = Config::builder(5).with_presence().build().unwrap();
        for config in [Config::new(3), odd, present] {
            let mut buffer = Vec::new();
            put(&mut buffer, &config);
            let mut bytes = &buffer[..];
            assert_eq!(take(&mut bytes), Some(config));
            assert!(bytes.is_empty());
            for cut in 0..buffer.len() {
                assert_eq!(take(&mut &buffer[..cut]), None, "{cut}");
            }
        }
    }
}
