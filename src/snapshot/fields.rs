//! What a part says of itself: its fields, once, for both directions.

use super::{Decoder, Encoder, Malformed};

/// A part of a state.
pub(crate) trait Encoded: Sized {
    fn encode(&self, to: &mut Encoder<'_>);
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed>;
}

/// Implements [`Encoded`]: of a structure by its fields, of an enumeration by its variants and the number of
/// each. A field or a variant that is left out does not compile. A change of either is another
/// [`VERSION`](super::VERSION).
macro_rules! encoded {
    (struct $name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::snapshot::Encoded for $name {
            fn encode(&self, to: &mut $crate::snapshot::Encoder<'_>) {
                let Self { $($field),* } = self;
                $($crate::snapshot::Encoded::encode($field, to);)*
            }

            fn decode(
                from: &mut $crate::snapshot::Decoder<'_>,
            ) -> Result<Self, $crate::snapshot::Malformed> {
                $(let $field = $crate::snapshot::Encoded::decode(from)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
    (struct $name:ident($field:ident)) => {
        impl $crate::snapshot::Encoded for $name {
            fn encode(&self, to: &mut $crate::snapshot::Encoder<'_>) {
                let Self($field) = self;
                $crate::snapshot::Encoded::encode($field, to);
            }

            fn decode(
                from: &mut $crate::snapshot::Decoder<'_>,
            ) -> Result<Self, $crate::snapshot::Malformed> {
                $crate::snapshot::Encoded::decode(from).map(Self)
            }
        }
    };
    (enum $name:ident {
        $($number:literal = $variant:ident $(($($item:ident),+))? $({ $($field:ident),+ })?),+ $(,)?
    }) => {
        impl $crate::snapshot::Encoded for $name {
            fn encode(&self, to: &mut $crate::snapshot::Encoder<'_>) {
                match self {
                    $(Self::$variant $(($($item),+))? $({ $($field),+ })? => {
                        to.byte($number);
                        $($($crate::snapshot::Encoded::encode($item, to);)+)?
                        $($($crate::snapshot::Encoded::encode($field, to);)+)?
                    })+
                }
            }

            fn decode(
                from: &mut $crate::snapshot::Decoder<'_>,
            ) -> Result<Self, $crate::snapshot::Malformed> {
                Ok(match from.byte()? {
                    $($number => {
                        $($(let $item = $crate::snapshot::Encoded::decode(from)?;)+)?
                        $($(let $field = $crate::snapshot::Encoded::decode(from)?;)+)?
                        Self::$variant $(($($item),+))? $({ $($field),+ })?
                    })+
                    _ => return Err($crate::snapshot::Malformed),
                })
            }
        }
    };
    // By the place in the list of all, which is the order in which they are declared.
    (all $($name:ident),+) => {
        $(impl $crate::snapshot::Encoded for $name {
            fn encode(&self, to: &mut $crate::snapshot::Encoder<'_>) {
                to.byte(*self as u8);
            }

            fn decode(
                from: &mut $crate::snapshot::Decoder<'_>,
            ) -> Result<Self, $crate::snapshot::Malformed> {
                let place = usize::from(from.byte()?);
                Self::ALL.get(place).copied().ok_or($crate::snapshot::Malformed)
            }
        })+
    };
}

pub(crate) use encoded;
