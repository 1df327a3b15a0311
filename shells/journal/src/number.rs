//! Numbers of one to nine bytes: small ones are short, and it costs next to nothing to write them.
//!
//! The trailing zeros of the first byte say how many bytes follow it, as the leading ones of a
//! UTF-8 sequence do; what is left of them is the number, little endian. Each number has one form.

use alloc::vec::Vec;

/// How many bytes a number with so many leading zeros takes: as many as it has groups of seven bits.
const LENGTHS: [u8; 65] = {
    let mut lengths = [1; 65];
    let mut zeros = 0;
    while zeros < 64 {
        let bits = 64 - zeros as u32;
        lengths[zeros] = if bits > 56 { 9 } else { bits.div_ceil(7) as u8 };
        zeros += 1;
    }
    lengths
};

/// Appends a number.
#[inline]
pub(super) fn put(buffer: &mut Vec<u8>, number: u64) {
    match encode(number) {
        Some((word, length)) => {
            let end = buffer.len() + length as usize;
            buffer.extend_from_slice(&word.to_le_bytes());
            buffer.truncate(end);
        }
        None => {
            buffer.push(0);
            buffer.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The form of a number and its length, if that is eight bytes or less.
#[inline]
const fn encode(number: u64) -> Option<(u64, u32)> {
    let length = LENGTHS[number.leading_zeros() as usize] as u32;
    if length > 8 {
        return None;
    }
    Some((number << length | 1 << (length - 1), length))
}

/// Appends a byte if there is one, the two parts of a handle and a number at once, which is what most
/// inputs are, as they would be appended one by one; `false`: they are too long for that, and nothing was
/// appended.
#[inline]
pub(super) fn put_all(
    buffer: &mut Vec<u8>,
    kind: Option<u8>,
    handle: [u32; 2],
    number: u64,
) -> bool {
    let (Some((index, one)), Some((serial, two)), Some((number, three))) =
        (encode(handle[0] as u64), encode(handle[1] as u64), encode(number))
    else {
        return false;
    };
    let before = u32::from(kind.is_some());
    let head = before + one + two;
    if head > 8 {
        return false;
    }
    let kind = u64::from(kind.unwrap_or_default());
    let word = kind | index << (8 * before) | serial << (8 * (before + one));
    let all = u128::from(word) | u128::from(number) << (8 * head);
    let end = buffer.len() + (head + three) as usize;
    buffer.extend_from_slice(&all.to_le_bytes());
    buffer.truncate(end);
    true
}

/// Takes a number off the front; `None` if there is none, or it could have been shorter.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let count = first.trailing_zeros() as usize + 1;
    let (own, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    let mut word = [0; 8];
    if count == 9 {
        word.copy_from_slice(&own[1..]);
        let number = u64::from_le_bytes(word);
        return (number >> 56 > 0).then_some(number);
    }
    word[..count].copy_from_slice(own);
    let number = u64::from_le_bytes(word) >> count;
    (count == 1 || number >> (7 * (count - 1)) > 0).then_some(number)
}

/// Small numbers of either sign as small ones without: 0, -1, 1, -2 …
pub(super) const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// What [`zigzag`] made.
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_and_is_as_short_as_it_can_be() {
        for shift in 0..64 {
            for number in [1 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut buffer = Vec::new();
                put(&mut buffer, number);
                let bits = 64 - (number | 1).leading_zeros() as usize;
                assert_eq!(buffer.len(), bits.div_ceil(7).min(9), "{number}");
                let mut bytes = &buffer[..];
                assert_eq!(take(&mut bytes), Some(number));
                assert!(bytes.is_empty());
                for cut in 0..buffer.len() {
                    assert_eq!(take(&mut &buffer[..cut]), None);
                }
            }
        }
    }

    #[test]
    fn what_is_appended_at_once_is_what_would_be_appended_one_by_one() {
        for handle in [[0, 1], [127, 128], [1 << 14, (1 << 21) - 1], [1 << 28, 1], [u32::MAX; 2]] {
            for number in [0, 127, 128, (1 << 56) - 1, 1 << 56, u64::MAX] {
                for kind in [Some(0xAB), None] {
                    let mut one_by_one = Vec::from([9]);
                    one_by_one.extend(kind);
                    put(&mut one_by_one, handle[0].into());
                    put(&mut one_by_one, handle[1].into());
                    put(&mut one_by_one, number);
                    let mut at_once = Vec::from([9]);
                    match put_all(&mut at_once, kind, handle, number) {
                        true => assert_eq!(at_once, one_by_one, "{handle:?} {number}"),
                        false => assert_eq!(at_once, [9], "{handle:?} {number}"),
                    }
                }
            }
        }
        assert!(put_all(&mut Vec::new(), Some(1), [70_000, 2_000_000], 1 << 40), "the usual");
    }

    #[test]
    fn a_longer_form_of_a_number_is_none() {
        // Zero in two bytes, and in nine.
        assert_eq!(take(&mut &[2, 0][..]), None);
        assert_eq!(take(&mut &[0; 9][..]), None);
    }

    #[test]
    fn signs_alternate() {
        for number in [0, -1, 1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert_eq!((zigzag(0), zigzag(-1), zigzag(1)), (0, 1, 2));
    }
}
