//! Numbers, texts and collections.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Decoder, Encoded, Encoder, Malformed};

macro_rules! numbers {
    ($($name:ident),+) => {
        $(impl Encoded for $name {
            fn encode(&self, to: &mut Encoder<'_>) {
                to.number(*self as u64);
            }

            fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                from.number()?.try_into().map_err(|_| Malformed)
            }
        })+
    };
}

numbers!(u8, u16, u32, u64, usize);

impl Encoded for bool {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.byte(u8::from(*self));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl Encoded for NonZeroU32 {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.get().encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Self::new(u32::decode(from)?).ok_or(Malformed)
    }
}

impl Encoded for Duration {
    fn encode(&self, to: &mut Encoder<'_>) {
        (self.as_secs(), self.subsec_nanos()).encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (secs, nanos) = Encoded::decode(from)?;
        if nanos < 1_000_000_000 { Ok(Self::new(secs, nanos)) } else { Err(Malformed) }
    }
}

/// A text that is boxed or shared is a name: of an agent, a tool call, a part of a run, or a label.
impl Encoded for Box<str> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.name(self);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.name().map(Into::into)
    }
}

/// The words that a connection is closed with are a payload.
impl Encoded for Arc<str> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.payload(self.as_bytes());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.text().map(Into::into)
    }
}

/// A text that grows is one of a run.
impl Encoded for String {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.payload(self.as_bytes());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.text().map(Into::into)
    }
}

impl Encoded for Bytes {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.payload(self);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.payload()
    }
}

impl<T: Encoded> Encoded for Option<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.is_some().encode(to);
        if let Some(value) = self {
            value.encode(to);
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        if bool::decode(from)? { T::decode(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Encoded> Encoded for Box<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        T::encode(self, to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        T::decode(from).map(Self::new)
    }
}

impl<A: Encoded, B: Encoded> Encoded for (A, B) {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.0.encode(to);
        self.1.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok((A::decode(from)?, B::decode(from)?))
    }
}

impl<T: Encoded, const N: usize> Encoded for [T; N] {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.iter().for_each(|item| item.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let items: Result<Vec<T>, _> = (0..N).map(|_| T::decode(from)).collect();
        items?.try_into().map_err(|_| Malformed)
    }
}

macro_rules! collections {
    ($($name:ty),+) => {
        $(impl<T: Encoded> Encoded for $name {
            fn encode(&self, to: &mut Encoder<'_>) {
                to.number(self.len() as u64);
                self.iter().for_each(|item| item.encode(to));
            }

            fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                (0..from.count()?).map(|_| T::decode(from)).collect()
            }
        })+
    };
}

collections!(Vec<T>, VecDeque<T>, Box<[T]>, SmallVec<[T; 1]>);
