//! A number that stands for an action: that a replay gives the same ones is checked by it, at a
//! fraction of the cost of writing them down.
//!
//! It covers all that the registry decides: kind, recipients, stream, position, order, cost, reason, code.
//! Payloads and names are not in it, for those may be left out of a journal.

use headcount::{Action, Body, ConnId, Ended, StreamRef};

/// Odd, with its bits well spread: the golden ratio's, as in Fibonacci hashing (Knuth, TAOCP 3,
/// §6.4).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

pub(super) const fn fold(digest: u64, value: u64) -> u64 {
    (digest.rotate_left(23) ^ value).wrapping_mul(SPREAD)
}

/// Recipients in four lanes: one multiplication need not wait for the one before.
fn conns(digest: u64, to: &[ConnId]) -> u64 {
    let mut lanes = [digest, 1, 2, 3];
    let (fours, rest) = to.as_chunks::<4>();
    for four in fours {
        for (lane, conn) in lanes.iter_mut().zip(four) {
            *lane = fold(*lane, conn.to_bits());
        }
    }
    for (lane, conn) in lanes.iter_mut().zip(rest) {
        *lane = fold(*lane, conn.to_bits());
    }
    fold(fold(lanes[0], lanes[1]), fold(lanes[2], lanes[3]) ^ to.len() as u64)
}

const fn stream(digest: u64, stream: &StreamRef<'_>) -> u64 {
    match stream {
        StreamRef::Session(session) => fold(digest, session.to_bits()),
        StreamRef::Room(_) => fold(digest, 1),
        StreamRef::Direct => fold(digest, 2),
        StreamRef::Everyone => fold(digest, 3),
    }
}

const fn kind_of(body: &Body<'_>) -> u64 {
    match body {
        Body::Message(message) => 1 + message.is_text() as u64,
        Body::Text(text) => 3 + ((text.part.kind as u64) << 4),
        Body::Run(fact) => match fact.failure {
            None => 0x100 + fact.kind as u64,
            Some(failure) => 0x200 + failure as u64,
        },
    }
}

/// The digest of one action.
pub(super) fn of(action: &Action<'_>) -> u64 {
    match action {
        Action::Send { to, stream: from, position, body } => {
            let (epoch, offset) = position.map_or((0, 0), |at| (at.epoch, at.offset));
            let digest = fold(stream(conns(1, to), from), kind_of(body));
            fold(fold(fold(digest, epoch), offset), body.cost())
        }
        Action::Gap { conn, stream: from, from: first, to: last } => {
            fold(fold(stream(fold(2, conn.to_bits()), from), *first), *last)
        }
        Action::Ping { conn } => fold(3, conn.to_bits()),
        Action::Draining { to, within } => {
            let digest = fold(conns(4, to), within.start.as_nanos() as u64);
            fold(digest, within.end.as_nanos() as u64)
        }
        Action::Left { conn, session, reason } => {
            fold(fold(fold(7, conn.to_bits()), session.to_bits()), *reason as u64)
        }
        Action::Close { conn, reason, code, text: _ } => {
            fold(fold(fold(5, conn.to_bits()), *reason as u64), *code as u64)
        }
        Action::Cleanup { what, reason } => {
            let bits = match what {
                Ended::Conn(conn) => conn.to_bits(),
                Ended::Session(session) => !session.to_bits(),
            };
            fold(fold(6, bits), *reason as u64)
        }
        Action::Presence { online, .. } => fold(8, *online as u64),
    }
}
