//! Values of a scenario file that check themselves, so that a mistake is reported where it stands.

use core::fmt;
use core::time::Duration;

use headcount::{ConfigKind, ConfigValue, Profile};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::queue::Millis;

/// Time is counted in 32 bits of milliseconds; this leaves room for what is still to come at the
/// end.
const LONGEST: u64 = 30 * 24 * 3_600_000;

/// A length of virtual time, written `250ms`, `10s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Millis);

impl Span {
    /// As the registry's keys are written, in whole milliseconds.
    fn parse(text: &str) -> Option<Self> {
        let Ok(ConfigValue::Time(time)) = ConfigKind::Time.parse(text) else { return None };
        let millis = u64::try_from(time.as_millis()).ok()?;
        let is_whole = time == Duration::from_millis(millis);
        (is_whole && millis <= LONGEST).then_some(Self(millis as Millis))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0 s"),
            millis if millis % 3_600_000 == 0 => write!(f, "{} h", millis / 3_600_000),
            millis if millis % 60_000 == 0 => write!(f, "{} min", millis / 60_000),
            millis if millis > 60_000 => {
                write!(f, "{} min {} s", millis / 60_000, millis / 1_000 % 60)
            }
            millis if millis % 1_000 == 0 => write!(f, "{} s", millis / 1_000),
            millis => write!(f, "{}.{:03} s", millis / 1_000, millis % 1_000),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a length of time in quotes, such as \"250ms\", \"10s\", \"5m\" or \"1h\"",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| {
                    E::custom(format_args!(
                        "{text:?} is no length of time: write a whole number and ms, s, m, h or d, \
                         30 days at most, such as \"90s\""
                    ))
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A share of some clients, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u32);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            share if share <= 100 => Ok(Self(share)),
            share => Err(D::Error::custom(format_args!(
                "{share} is no share: write a number of percent from 0 to 100"
            ))),
        }
    }
}

/// The name of a ready-made configuration of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProfileName(pub(crate) Profile);

impl<'de> Deserialize<'de> for ProfileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse()
            .map(Self)
            .map_err(|error| D::Error::custom(format_args!("{name:?} is no profile: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_show() {
        for (text, millis, shown) in [
            ("0s", 0, "0 s"),
            ("250ms", 250, "0.250 s"),
            ("90s", 90_000, "1 min 30 s"),
            ("5m", 300_000, "5 min"),
            ("1h", 3_600_000, "1 h"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.0, span.to_string().as_str()), (millis, shown));
        }
        for wrong in ["", "5", "s", "1.5s", "-1s", "1ns", "99999999999999999999s", "721h"] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
    }
}
