//! What became of something that was sent, as the answers of the admin port say it.

use headcount::{Delivery, Position};

use super::form::{Field, Form, Shape};
use crate::epoch::show_epoch;

const STORED: Field = Field::needed("stored", Shape::AtLeast(0), "Logs that it was appended to.");
const POSITIONS: Field =
    Field::needed("positions", Shape::List(&POSITION), "Where it was appended.");
static POSITION: Form = Form::open(&[
    Field::needed("positions.stream", Shape::Text, "The stream."),
    Field::needed("positions.epoch", Shape::Text, "Offsets count in it."),
    Field::needed("positions.offset", Shape::AtLeast(0), "Where it is in the stream."),
]);
const FULL: Field =
    Field::optional("full", Shape::Yes, "It was not taken: there was no room for it anywhere.");
const SENT: &str = "Connections that get it now unless they leave first.";
const DEFERRED: &str = "Connections that are behind, and get it or a gap in turn.";

/// What became of something about a run.
pub static TOLD: Form = Form::open(&[
    Field::needed("sent", Shape::AtLeast(0), SENT),
    Field::needed("deferred", Shape::AtLeast(0), DEFERRED),
    STORED,
    POSITIONS,
    FULL,
]);

/// What became of a publish.
pub static PUBLISHED: Form = Form::open(&[
    Field::optional("sent", Shape::AtLeast(0), SENT),
    Field::optional("deferred", Shape::AtLeast(0), DEFERRED),
    Field::optional("addressed", Shape::AtLeast(0), "To everyone only: open connections."),
    STORED,
    POSITIONS,
    FULL,
])
.with_one_of(&[&["sent", "deferred"], &["addressed"]]);

/// What the registry said, with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Connections that get it now.
    pub live: u32,
    /// Connections that get it, or a gap, in turn.
    pub behind: u32,
    /// It was not taken.
    pub full: bool,
    /// Where it was appended.
    pub positions: Vec<Position>,
}

impl Outcome {
    /// Takes down what the registry said.
    #[must_use]
    pub fn new(delivery: &Delivery) -> Self {
        Self {
            live: delivery.live,
            behind: delivery.behind,
            full: delivery.full,
            positions: delivery.stored().iter().map(|stored| stored.position).collect(),
        }
    }

    /// The answer for an announcement to everyone: who gets it is decided later, one slice of the
    /// connections after the other.
    #[must_use]
    pub fn announced(&self) -> String {
        let addressed = if self.full { 0 } else { self.live + self.behind };
        let answer = PUBLISHED
            .write()
            .number("addressed", u64::from(addressed))
            .number("stored", 0)
            .list("positions", &[]);
        if self.full { answer.flag("full", true).end() } else { answer.end() }
    }

    /// The answer, of the form [`TOLD`] or [`PUBLISHED`]; all positions are in streams of this name.
    #[must_use]
    pub fn json(&self, form: &'static Form, stream: &str) -> String {
        let positions: Vec<String> = self
            .positions
            .iter()
            .map(|position| {
                POSITION
                    .write()
                    .text("stream", stream)
                    .text("epoch", &show_epoch(position.epoch))
                    .number("offset", position.offset)
                    .end()
            })
            .collect();
        // A message that was not taken reached no connection, however many the target has.
        let (sent, deferred) = if self.full { (0, 0) } else { (self.live, self.behind) };
        let answer = form
            .write()
            .number("sent", u64::from(sent))
            .number("deferred", u64::from(deferred))
            .number("stored", self.positions.len() as u64)
            .list("positions", &positions);
        if self.full { answer.flag("full", true).end() } else { answer.end() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_answers() {
        let no_recipient = Outcome { live: 0, behind: 0, full: false, positions: Vec::new() };
        assert_eq!(
            no_recipient.json(&TOLD, "session"),
            r#"{"sent":0,"deferred":0,"stored":0,"positions":[]}"#
        );
        let full = Outcome { live: 1, behind: 1, full: true, positions: Vec::new() };
        assert_eq!(
            full.json(&TOLD, "session"),
            r#"{"sent":0,"deferred":0,"stored":0,"positions":[],"full":true}"#
        );
        let to_all = Outcome { live: 10, behind: 0, full: false, positions: Vec::new() };
        assert_eq!(to_all.announced(), r#"{"addressed":10,"stored":0,"positions":[]}"#);
        let position = Position { epoch: 10, offset: 3 };
        let two = Outcome { live: 2, behind: 1, full: false, positions: vec![position] };
        assert_eq!(
            two.json(&PUBLISHED, "room/\""),
            r#"{"sent":2,"deferred":1,"stored":1,"positions":[{"stream":"room/\"","epoch":"000000000000000a","offset":3}]}"#
        );
    }
}
