//! Writes a state.

use alloc::vec::Vec;

use super::Redaction;

/// What was written so far, and what must not be.
pub(crate) struct Encoder<'a> {
    bytes: Vec<u8>,
    redaction: Option<&'a dyn Redaction>,
}

impl<'a> Encoder<'a> {
    pub(crate) const fn new(redaction: Option<&'a dyn Redaction>) -> Self {
        Self { bytes: Vec::new(), redaction }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) const fn redaction(&self) -> Option<&'a dyn Redaction> {
        self.redaction
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow (LEB128).
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// As they are: nothing that a person may not see.
    pub(crate) fn plain(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn name(&mut self, name: &str) {
        match self.redaction {
            None => self.plain(name.as_bytes()),
            Some(redaction) => self.plain(redaction.name(name).as_bytes()),
        }
    }

    /// A payload, or a text of a run.
    pub(crate) fn payload(&mut self, payload: &[u8]) {
        if self.redaction.is_some_and(Redaction::leaves_out_payloads) {
            self.number(payload.len() as u64);
        } else {
            self.plain(payload);
        }
    }
}
