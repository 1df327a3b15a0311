//! An event of a run as a back end reports it: `{user, event, …}`.
//!
//! What the rest of the body holds is what clients get as `data`.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use headcount::{Part, PartKind, RunEvent, RunEventKind, UserId};

use super::audience::parse_user;
use super::fields::{Fields, boxed};
use super::form::{Field, Form, Shape};
use super::json_body;
use super::redact::Redact;
use super::surrogates::{self, Halves};
use crate::problem::Problem;
use crate::run_events;

const USER: Field = Field::needed("user", Shape::Id, "Whose run it is.");
const CALL_FIELD: Field =
    Field::needed("call", Shape::Text, "The tool call, by its name in the run.");
const RESULT: Field = Field::needed("result", Shape::Any, "For the clients.");

const fn event(name: &'static str) -> Field {
    Field::needed("event", Shape::Exactly(name), "The kind of event.")
}

const fn of(kind: RunEventKind) -> Field {
    event(run_events::name(kind))
}

/// The body of a piece of text.
const TEXT: Form = Form::closed(&[
    USER,
    event(run_events::TEXT),
    Field::needed("delta", Shape::Text, "The next piece of the text."),
    Field::optional("part", Shape::Text, "The part of the run; without it, what the agent says."),
    Field::optional("kind", Shape::Among(&PART_KINDS), "What the part is; without it, a text."),
]);

const PART_KINDS: [&str; 3] =
    [PartKind::Text.name(), PartKind::Reasoning.name(), PartKind::ToolArguments.name()];

/// The body, of each kind. Where one is open, the other fields are for the clients.
pub static FORMS: [Form; KINDS.len() + 1] = [
    Form::open(&[
        USER,
        of(RunEventKind::Thinking),
        Field::optional("text", Shape::Text, "The next piece of the thought."),
    ]),
    Form::open(&[
        USER,
        of(RunEventKind::ToolExecuting),
        CALL_FIELD,
        Field::needed("tool", Shape::Text, "Which tool."),
        Field::needed("parameters", Shape::Any, "For the clients."),
        Field::optional("expect_ms", Shape::AtLeast(1), "How long the call is expected to take."),
    ]),
    Form::open(&[USER, of(RunEventKind::ToolCompleted), CALL_FIELD, RESULT]),
    Form::open(&[USER, of(RunEventKind::Progress)]),
    Form::open(&[USER, of(RunEventKind::Completed), RESULT]),
    Form::open(&[
        USER,
        of(RunEventKind::Failed),
        Field::needed("error", Shape::Any, "For the clients."),
    ]),
    Form::open(&[USER, of(RunEventKind::Cancelled)]),
    Form::open(&[USER, of(RunEventKind::Interrupted)]),
    TEXT,
];

/// The kinds that a back end reports; what opens a run is a call of its own.
const KINDS: [RunEventKind; 8] = [
    RunEventKind::Thinking,
    RunEventKind::ToolExecuting,
    RunEventKind::ToolCompleted,
    RunEventKind::Progress,
    RunEventKind::Completed,
    RunEventKind::Failed,
    RunEventKind::Cancelled,
    RunEventKind::Interrupted,
];

/// A report, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose run it is.
    pub user: UserId,
    said: Said,
}

/// What is reported. What goes on in a text depends on the half of a character that waits.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// A delta of a part, as JSON.
    Text {
        part: OwnedPart,
        json: Box<str>,
    },
    /// A payload, and where in it the text is.
    Thought {
        payload: String,
        text: Option<Range<usize>>,
    },
    Whole(ReportedEvent),
}

/// A part of a run, with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPart {
    id: Box<str>,
    kind: PartKind,
}

impl OwnedPart {
    /// The same as the registry takes it.
    #[must_use]
    pub fn part(&self) -> Part<'_> {
        Part { id: &self.id, kind: self.kind }
    }
}

impl From<Part<'_>> for OwnedPart {
    fn from(Part { id, kind }: Part<'_>) -> Self {
        Self { id: id.into(), kind }
    }
}

/// An event with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedEvent {
    /// `agent_thinking`, with its payload.
    Thinking(Bytes),
    /// `tool_executing`.
    ToolExecuting {
        /// The call, by its name in the run.
        call: String,
        /// How long it is expected to take.
        expect: Option<Duration>,
        /// Its payload.
        payload: Bytes,
    },
    /// `tool_completed`.
    ToolCompleted {
        /// The call, by its name in the run.
        call: String,
        /// Its payload.
        payload: Bytes,
    },
    /// `progress`, with its payload.
    Progress(Bytes),
    /// `text`: a delta of a part.
    Text {
        /// The part.
        part: OwnedPart,
        /// What is appended to it.
        delta: String,
    },
    /// `agent_completed`, with its payload.
    Completed(Bytes),
    /// `agent_failed`, with its payload.
    Failed(Bytes),
    /// `agent_cancelled`, with its payload.
    Cancelled(Bytes),
    /// `agent_interrupted`, with its payload.
    Interrupted(Bytes),
}

impl Report {
    /// Its payload is what clients get as it is redacted. A text is left alone: it comes in pieces, of
    /// which none is a whole word, and is what the agent says to the user.
    ///
    /// # Errors
    /// 400 if it is not understood.
    pub fn parse(text: &str, redact: &impl Redact) -> Result<Self, Problem> {
        let mut fields: Fields<'_> = json_body::parse(text)?;
        let user = parse_user("user", &fields.take("user")?)?;
        let name = fields.take("event")?;
        Ok(Self { user, said: Said::read(&name, &mut fields, redact)? })
    }

    /// The event that it is after those halves of characters, and the halves that wait after it.
    #[must_use]
    pub fn after(&self, mut waiting: Halves) -> (ReportedEvent, Halves) {
        match &self.said {
            Said::Text { part, json } => {
                let (json, half) = surrogates::join(waiting.of_text(part), json);
                // It is a string, and holds no half any more.
                let delta = serde_json::from_str(&json).unwrap_or_default();
                waiting.set_text(part, half);
                (ReportedEvent::Text { part: part.clone(), delta }, waiting)
            }
            Said::Thought { payload, text: Some(place) } => {
                let (json, thought) = surrogates::join(waiting.thought, &payload[place.clone()]);
                let before = surrogates::mend(&payload[..place.start]);
                let behind = surrogates::mend(&payload[place.end..]);
                let payload = boxed(&[&*before, &*json, &*behind].concat());
                waiting.thought = thought;
                (ReportedEvent::Thinking(payload), waiting)
            }
            Said::Thought { payload, text: None } => {
                (ReportedEvent::Thinking(boxed(&surrogates::mend(payload))), waiting)
            }
            Said::Whole(event) => (event.clone(), waiting),
        }
    }
}

impl ReportedEvent {
    /// The same as the registry takes it.
    #[must_use]
    pub fn event(&self) -> RunEvent<'_> {
        match self {
            Self::Thinking(payload) => RunEvent::Thinking(payload.clone()),
            Self::ToolExecuting { call, expect, payload } => {
                RunEvent::ToolExecuting { call, expect: *expect, payload: payload.clone() }
            }
            Self::ToolCompleted { call, payload } => {
                RunEvent::ToolCompleted { call, payload: payload.clone() }
            }
            Self::Progress(payload) => RunEvent::Progress(payload.clone()),
            Self::Text { part, delta } => RunEvent::Delta { part: part.part(), text: delta },
            Self::Completed(payload) => RunEvent::Completed(payload.clone()),
            Self::Failed(payload) => RunEvent::Failed(payload.clone()),
            Self::Cancelled(payload) => RunEvent::Cancelled(payload.clone()),
            Self::Interrupted(payload) => RunEvent::Interrupted(payload.clone()),
        }
    }
}

impl Said {
    fn read(name: &str, fields: &mut Fields<'_>, redact: &impl Redact) -> Result<Self, Problem> {
        if name == run_events::TEXT {
            let delta = fields.take_string("delta")?;
            let part = read_part(fields)?;
            // Deltas are joined with their neighbours: nothing else of them could be.
            fields.end(TEXT.fields)?;
            return Ok(Self::Text { part, json: delta.into() });
        }
        let Some(kind) = KINDS.into_iter().find(|kind| run_events::name(*kind) == name) else {
            let known: Vec<_> = KINDS.into_iter().map(run_events::name).collect();
            let message =
                format!("event must be one of {} and {}", known.join(", "), run_events::TEXT);
            return Err(Problem::new(400, "bad_event", message));
        };
        if kind == RunEventKind::Thinking {
            fields.string("text")?;
            let (payload, text) = fields.payload_around("text");
            let redacted = match redact.redact(kind, &payload)? {
                Cow::Owned(json) => json,
                Cow::Borrowed(_) => return Ok(Self::Thought { payload, text }),
            };
            let (payload, text) = json_body::parse::<Fields<'_>>(&redacted)?.payload_around("text");
            return Ok(Self::Thought { payload, text });
        }
        let payload = fields.payload(redact, kind)?;
        Ok(Self::Whole(match kind {
            RunEventKind::ToolExecuting => {
                fields.needed_text("tool")?;
                fields.needed("parameters")?;
                let expect = fields.positive("expect_ms")?.map(Duration::from_millis);
                ReportedEvent::ToolExecuting { call: fields.needed_text("call")?, expect, payload }
            }
            RunEventKind::ToolCompleted => {
                fields.needed("result")?;
                ReportedEvent::ToolCompleted { call: fields.needed_text("call")?, payload }
            }
            RunEventKind::Completed => {
                fields.needed("result")?;
                ReportedEvent::Completed(payload)
            }
            RunEventKind::Failed => {
                fields.needed("error")?;
                ReportedEvent::Failed(payload)
            }
            RunEventKind::Cancelled => ReportedEvent::Cancelled(payload),
            RunEventKind::Interrupted => ReportedEvent::Interrupted(payload),
            _ => ReportedEvent::Progress(payload),
        }))
    }
}

/// The part that a text is of.
fn read_part(fields: &mut Fields<'_>) -> Result<OwnedPart, Problem> {
    let id = fields.take_text("part")?.unwrap_or_default();
    let kind = match fields.take_text("kind")? {
        None => PartKind::Text,
        Some(name) => {
            let known = PartKind::ALL.into_iter().find(|kind| kind.name() == name);
            known.ok_or_else(|| {
                let message = format!("kind must be one of {}", PART_KINDS.join(", "));
                Problem::new(400, "bad_request", message)
            })?
        }
    };
    Ok(Part { id: &id, kind }.into())
}

#[cfg(test)]
mod tests {
    use super::super::redact::Unchanged;
    use super::*;

    fn read(rest: &str) -> Result<ReportedEvent, u16> {
        let body = format!("{{\"user\":\"u\",{rest}}}");
        let report = Report::parse(&body, &Unchanged).map_err(|problem| problem.status())?;
        Ok(report.after(Halves::default()).0)
    }

    fn said(part: Part<'_>, delta: &str) -> ReportedEvent {
        ReportedEvent::Text { part: part.into(), delta: delta.to_owned() }
    }

    #[test]
    fn halves_of_characters_wait_in_their_own_parts() {
        let told = |rest: &str, waiting| {
            let body = format!(r#"{{"user":"u","event":"text",{rest}}}"#);
            Report::parse(&body, &Unchanged).unwrap().after(waiting)
        };
        let (one, waiting) = told(r#""delta":"a\ud83d""#, Halves::default());
        let second = Part { id: "b", kind: PartKind::Text };
        let (two, waiting) = told(r#""delta":"\ude00","part":"b""#, waiting);
        let (three, waiting) = told(r#""delta":"\ude00""#, waiting);
        assert_eq!(one, said(Part::TEXT, "a"));
        assert_eq!((two, three), (said(second, "\u{fffd}"), said(Part::TEXT, "😀")));
        assert_eq!(waiting, Halves::default());
    }

    #[test]
    fn events() {
        let call = || "c".to_owned();
        for (rest, event) in [
            (r#""event":"agent_thinking""#, ReportedEvent::Thinking("{}".into())),
            (
                r#""event":"agent_thinking","text":"hm""#,
                ReportedEvent::Thinking(r#"{"text":"hm"}"#.into()),
            ),
            (
                r#""call":"c","event":"tool_executing","tool":"t","parameters":null"#,
                ReportedEvent::ToolExecuting {
                    call: call(),
                    expect: None,
                    payload: r#"{"call":"c","tool":"t","parameters":null}"#.into(),
                },
            ),
            (
                r#""event":"tool_executing","tool":"t","call":"c","parameters":1,"expect_ms":9"#,
                ReportedEvent::ToolExecuting {
                    call: call(),
                    expect: Some(Duration::from_millis(9)),
                    payload: r#"{"tool":"t","call":"c","parameters":1,"expect_ms":9}"#.into(),
                },
            ),
            (
                r#""event":"tool_completed","call":"c","result":[1]"#,
                ReportedEvent::ToolCompleted {
                    call: call(),
                    payload: r#"{"call":"c","result":[1]}"#.into(),
                },
            ),
            (
                r#""event":"progress","percent":5"#,
                ReportedEvent::Progress(r#"{"percent":5}"#.into()),
            ),
            (r#""event":"text","delta":"a\n""#, said(Part::TEXT, "a\n")),
            (r#""event":"text","delta":"\ude00\ud83d""#, said(Part::TEXT, "\u{fffd}")),
            (
                r#""event":"agent_thinking","x":"\ud83d","text":"a\ud83d","y":["\ude00"]"#,
                ReportedEvent::Thinking(r#"{"x":"\ufffd","text":"a","y":["\ufffd"]}"#.into()),
            ),
            (
                r#""event":"agent_failed","error":{"\ud83d":"\ud83d"}"#,
                ReportedEvent::Failed(r#"{"error":{"\ufffd":"\ufffd"}}"#.into()),
            ),
            (
                r#""event":"agent_completed","result":1"#,
                ReportedEvent::Completed(r#"{"result":1}"#.into()),
            ),
            (
                r#""event":"agent_failed","error":"x""#,
                ReportedEvent::Failed(r#"{"error":"x"}"#.into()),
            ),
            (r#""event":"agent_cancelled""#, ReportedEvent::Cancelled("{}".into())),
            (
                r#""event":"agent_interrupted","ask":"may I?""#,
                ReportedEvent::Interrupted(r#"{"ask":"may I?"}"#.into()),
            ),
            (
                r#""event":"text","delta":"{","part":"c1","kind":"tool_arguments""#,
                said(Part { id: "c1", kind: PartKind::ToolArguments }, "{"),
            ),
            (
                r#""event":"text","delta":"so","part":"second""#,
                said(Part { id: "second", kind: PartKind::Text }, "so"),
            ),
        ] {
            assert_eq!(read(rest), Ok(event), "{rest}");
        }
    }

    #[test]
    fn malformed_events() {
        for rest in [
            r#""text":"no event""#,
            r#""event":"agent_started""#,
            r#""event":"dance""#,
            r#""event":5"#,
            r#""event":"agent_thinking","text":5"#,
            r#""event":"tool_executing","tool":"t","parameters":{}"#,
            r#""event":"tool_executing","call":"c","parameters":{}"#,
            r#""event":"tool_executing","call":7,"tool":"t","parameters":{}"#,
            r#""event":"tool_executing","call":"c","tool":"t""#,
            r#""event":"tool_executing","tool":"t","call":"c","parameters":1,"expect_ms":0"#,
            r#""event":"tool_executing","tool":"t","call":"c","parameters":1,"expect_ms":-1"#,
            r#""event":"tool_executing","tool":"t","call":"c","parameters":1,"expect_ms":1.5"#,
            r#""event":"tool_executing","tool":"t","call":"c","parameters":1,"expect_ms":"9""#,
            r#""event":"tool_executing","tool":"t","call":"c","parameters":1,"expect_ms":null"#,
            r#""event":"tool_completed","call":"c""#,
            r#""event":"text""#,
            r#""event":"text","delta":5"#,
            r#""event":"tool_executing","call":"\ud83d","tool":"t","parameters":{}"#,
            r#""event":"tool_executing","call":"c","tool":"\ud83d","parameters":{}"#,
            r#""event":"progress","\ud83d":1"#,
            r#""event":"\ud83d""#,
            r#""event":"text","delta":"a","more":1"#,
            r#""event":"text","delta":"a","part":7"#,
            r#""event":"text","delta":"a","part":null"#,
            r#""event":"text","delta":"a","part":"p","kind":"dance""#,
            r#""event":"agent_completed""#,
            r#""event":"agent_failed""#,
            r#""event":"progress","user":"other""#,
        ] {
            assert_eq!(read(rest), Err(400), "{rest}");
        }
        let without_user = Report::parse(r#"{"event":"agent_cancelled"}"#, &Unchanged);
        assert_eq!(without_user.unwrap_err().status(), 400);
    }
}
