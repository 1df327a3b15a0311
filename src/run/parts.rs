//! The parts of a run: texts that grow by deltas, several at once.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use smallvec::SmallVec;

use crate::error::RunError;
use crate::id::MAX_ID_BYTES;
use crate::log::{NAME_COST, Text, TextIndex};
use crate::snapshot::encoded;

/// A part of a run: a text of its own, which grows by [deltas](crate::RunEvent::Delta). Several may grow at
/// once.
///
/// A part is known as long as the log keeps something of it. A delta that names it after that begins it
/// anew.
///
/// ```
/// # use bytes::Bytes;
/// # use headcount::*;
/// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
/// # let (alice, thread, run) = ("alice".parse()?, "main".parse()?, "answer".parse()?);
/// # registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
/// let thought = Part { id: "thought", kind: PartKind::Reasoning };
/// for (part, text) in [(thought, "Let me"), (Part::TEXT, "Yes"), (thought, " see")] {
///     registry.scope(&alice).run_event(now, &run, &RunEvent::Delta { part, text })?;
/// }
/// let answer = registry.run(&alice, &run).expect("it is open");
/// let thoughts = answer.log().filter_map(|(_, body)| match body {
///     Body::Text(RunText { part, text, .. }) if part == thought => Some(text),
///     _ => None,
/// });
/// assert_eq!(thoughts.collect::<String>(), "Let me see");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part<'a> {
    /// Its name within the run: at most [`MAX_ID_BYTES`] bytes, and opaque. It is empty for
    /// [`Part::TEXT`] alone.
    pub id: &'a str,
    /// What it is; the same in all of its deltas.
    pub kind: PartKind,
}

impl Part<'static> {
    /// The part of what names none: the text of a run that has one text.
    pub const TEXT: Self = Self { id: "", kind: PartKind::Text };
}

impl Part<'_> {
    /// What each of its stretches in a log is charged beside its length: its name, that of the longest,
    /// for no decision may depend on a name.
    const fn charge(self) -> u64 {
        if self.id.is_empty() { 0 } else { NAME_COST }
    }

    const fn is_valid(self) -> bool {
        match self.id.len() {
            0 => matches!(self.kind, PartKind::Text),
            bytes => bytes <= MAX_ID_BYTES,
        }
    }
}

/// What a part of a run is. [`Part`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// What the agent says.
    Text,
    /// What the agent thinks.
    Reasoning,
    /// The arguments of a tool call, as far as they are known.
    ToolArguments,
}

encoded! { all PartKind }

impl PartKind {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 3] = [Self::Text, Self::Reasoning, Self::ToolArguments];

    /// A stable name in `snake_case`, for logs and protocols.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Reasoning => "reasoning",
            Self::ToolArguments => "tool_arguments",
        }
    }
}

/// The stable name.
impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A part, and what of its text the log has ranges of.
#[derive(Clone, Hash)]
pub(crate) struct PartText {
    index: TextIndex,
    id: Box<str>,
    kind: PartKind,
    /// The text, less what is gone from its front.
    text: String,
    gone: u32,
    /// How much of the front of `text` no log has any more: drained when it is half of it.
    dead: u32,
    /// How many stretches of it are in the log; 0 only until the log has the first.
    stretches: u32,
}

encoded! { struct PartText { index, id, kind, text, gone, dead, stretches } }

/// The parts of one run that the log keeps something of. Finding one costs O(`run.parts`).
#[derive(Clone, Hash, Default)]
pub(crate) struct Parts {
    list: SmallVec<[PartText; 1]>,
    /// The index of the next part, unless a part has it.
    next: u16,
}

encoded! { struct Parts { list, next } }

impl Parts {
    pub(crate) fn new() -> Self {
        Self { list: SmallVec::new(), next: 0 }
    }

    fn place(&self, text: TextIndex) -> usize {
        let place = self.list.iter().position(|part| part.index == text);
        place.expect("a log has stretches of parts that are known")
    }

    /// What a delta of a part is charged beside its text, if the part may have one: it has a name and a
    /// kind that fit, and is known or one of `most`.
    pub(crate) fn charge(&self, part: Part<'_>, most: u32) -> Result<u64, RunError> {
        if !part.is_valid() {
            return Err(RunError::BadPart);
        }
        match self.list.iter().find(|known| *known.id == *part.id) {
            Some(known) if known.kind != part.kind => Err(RunError::PartKind),
            None if self.list.len() >= most as usize => Err(RunError::Parts),
            _ => Ok(part.charge()),
        }
    }

    /// Appends to a part. Returns which text of the run that is, and where in it the delta begins.
    pub(crate) fn push(&mut self, part: Part<'_>, text: &str) -> (TextIndex, u32) {
        let place = self.list.iter().position(|known| *known.id == *part.id);
        let place = place.unwrap_or_else(|| self.begin(part));
        let known = &mut self.list[place];
        let from = known.gone + known.text.len() as u32;
        known.text.push_str(text);
        (known.index, from)
    }

    fn begin(&mut self, part: Part<'_>) -> usize {
        while self.list.iter().any(|known| known.index.0 == self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let index = TextIndex(self.next);
        self.next = self.next.wrapping_add(1);
        // No place is spare: moving the parts costs no more than finding one, and their bound is theirs.
        self.list.reserve_exact(1);
        self.list.push(PartText {
            index,
            id: part.id.into(),
            kind: part.kind,
            text: String::new(),
            gone: 0,
            dead: 0,
            stretches: 0,
        });
        self.list.len() - 1
    }

    /// Another stretch of a text is in the log.
    pub(crate) fn count_stretch(&mut self, text: TextIndex) {
        let place = self.place(text);
        self.list[place].stretches += 1;
    }

    /// The log has let a stretch of a text go, which is the front of what it had. Nothing stays of a part
    /// after the last.
    pub(crate) fn release(&mut self, text: TextIndex, bytes: u32) {
        let place = self.place(text);
        let part = &mut self.list[place];
        part.stretches -= 1;
        part.dead += bytes;
        if part.stretches == 0 {
            self.list.swap_remove(place);
            self.list.shrink_to_fit();
        } else if part.dead as usize * 2 >= part.text.len() {
            part.text.drain(..part.dead as usize);
            part.gone += core::mem::take(&mut part.dead);
            part.text.shrink_to(part.text.len() * 2);
        }
    }

    /// No part will go on.
    pub(crate) fn close(&mut self) {
        for part in &mut self.list {
            part.text.shrink_to_fit();
        }
    }

    /// A stretch, which begins where a character does: its part, and its text.
    pub(crate) fn stretch(&self, text: Text) -> (Part<'_>, &str) {
        let part = &self.list[self.place(text.text)];
        let start = (text.from - part.gone) as usize;
        let said = part.text.get(start..start + text.bytes as usize).unwrap_or_default();
        (Part { id: &part.id, kind: part.kind }, said)
    }

    /// How many bytes before the beginning of a stretch the character begins that it is in: 0 to 3.
    pub(crate) fn within_character(&self, text: Text) -> u64 {
        let part = &self.list[self.place(text.text)];
        let place = (text.from - part.gone) as usize;
        let begins = (0..=place).rev().find(|begins| part.text.is_char_boundary(*begins));
        begins.map_or(0, |begins| (place - begins) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Group, GroupKey};
    use crate::store::SlotKey as _;

    const ARGUMENTS: Part<'_> = Part { id: "call-1", kind: PartKind::ToolArguments };

    fn text(text: TextIndex, from: u32, bytes: u32) -> Text {
        Text { group: Group::open(GroupKey::of_slot(0)), text, is_named: true, from, bytes }
    }

    fn push(parts: &mut Parts, part: Part<'_>, said: &str) -> (TextIndex, u32) {
        let (index, from) = parts.push(part, said);
        parts.count_stretch(index);
        (index, from)
    }

    #[test]
    fn parts_grow_beside_each_other() {
        let mut parts = Parts::new();
        let (said, from) = push(&mut parts, Part::TEXT, "hel");
        let (arguments, _) = push(&mut parts, ARGUMENTS, "{\"a\":");
        assert_eq!((from, push(&mut parts, Part::TEXT, "lo")), (0, (said, 3)));
        push(&mut parts, ARGUMENTS, "1}");
        assert_eq!(parts.stretch(text(said, 1, 4)), (Part::TEXT, "ello"));
        assert_eq!(parts.stretch(text(arguments, 5, 2)), (ARGUMENTS, "1}"));
        parts.release(said, 3);
        assert_eq!(parts.stretch(text(said, 3, 2)), (Part::TEXT, "lo"));
    }

    #[test]
    fn a_part_is_known_while_the_log_keeps_something_of_it() {
        let mut parts = Parts::new();
        let (index, _) = push(&mut parts, ARGUMENTS, "12");
        let reasoning = Part { kind: PartKind::Reasoning, ..ARGUMENTS };
        assert_eq!(parts.charge(ARGUMENTS, 1), Ok(NAME_COST));
        assert_eq!(parts.charge(reasoning, 1), Err(RunError::PartKind));
        assert_eq!(parts.charge(Part::TEXT, 1), Err(RunError::Parts));
        assert_eq!(parts.charge(Part::TEXT, 2), Ok(0));
        assert_eq!(parts.charge(Part { id: "", ..reasoning }, 2), Err(RunError::BadPart));
        let long = "x".repeat(MAX_ID_BYTES + 1);
        assert_eq!(parts.charge(Part { id: &long, ..reasoning }, 2), Err(RunError::BadPart));
        parts.release(index, 2);
        assert!(parts.list.is_empty());
        assert_eq!(parts.charge(reasoning, 1), Ok(NAME_COST), "it begins anew");
        assert_eq!(push(&mut parts, reasoning, "3"), (TextIndex(1), 0));
    }

    #[test]
    fn the_front_of_a_text_gives_its_memory_back_when_it_is_half_of_it() {
        let mut parts = Parts::new();
        let said = "0123456789".repeat(100);
        let (index, _) = push(&mut parts, Part::TEXT, &said[..200]);
        push(&mut parts, Part::TEXT, &said[200..499]);
        push(&mut parts, Part::TEXT, &said[499..500]);
        push(&mut parts, Part::TEXT, &said[500..]);
        let kept = |parts: &Parts| (parts.list[0].text.len(), parts.list[0].gone);
        parts.release(index, 200);
        parts.release(index, 299);
        assert_eq!(kept(&parts), (1_000, 0), "less than half of it");
        parts.release(index, 1);
        assert_eq!(kept(&parts), (500, 500));
        assert_eq!(parts.list[0].text.capacity(), 1_000, "half of it is room to go on");
        assert_eq!(parts.stretch(text(index, 505, 7)), (Part::TEXT, "5678901"));
        parts.close();
        assert_eq!(parts.list[0].text.capacity(), 500);
    }
}
