//! An event of a run as a back end reports it: `{user, event, …}`.
//!
//! What the rest of the body holds is what clients get as `data`.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use headcount::{RunEvent, RunEventKind, UserId};

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
    Field::needed("delta", Shape::Text, "The next piece of what the agent says."),
]);

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
    TEXT,
];

/// The kinds that a back end reports; what opens a run is a call of its own.
const KINDS: [RunEventKind; 7] = [
    RunEventKind::Thinking,
    RunEventKind::ToolExecuting,
    RunEventKind::ToolCompleted,
    RunEventKind::Progress,
    RunEventKind::Completed,
    RunEventKind::Failed,
    RunEventKind::Cancelled,
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
    /// A delta, as JSON.
    Text(Box<str>),
    /// A payload, and where in it the text is.
    Thought {
        payload: String,
        text: Option<Range<usize>>,
    },
    Whole(ReportedEvent),
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
    /// `text`: a delta.
    Text(String),
    /// `agent_completed`, with its payload.
    Completed(Bytes),
    /// `agent_failed`, with its payload.
    Failed(Bytes),
    /// `agent_cancelled`, with its payload.
    Cancelled(Bytes),
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
    pub fn after(&self, waiting: Halves) -> (ReportedEvent, Halves) {
        match &self.said {
            Said::Text(json) => {
                let (json, text) = surrogates::join(waiting.text, json);
                // It is a string, and holds no half any more.
                let text_of = serde_json::from_str(&json).unwrap_or_default();
                (ReportedEvent::Text(text_of), Halves { text, ..waiting })
            }
            Said::Thought { payload, text: Some(place) } => {
                let (json, thought) = surrogates::join(waiting.thought, &payload[place.clone()]);
                let before = surrogates::mend(&payload[..place.start]);
                let behind = surrogates::mend(&payload[place.end..]);
                let payload = boxed(&[&*before, &*json, &*behind].concat());
                (ReportedEvent::Thinking(payload), Halves { thought, ..waiting })
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
            Self::Text(delta) => RunEvent::text(delta),
            Self::Completed(payload) => RunEvent::Completed(payload.clone()),
            Self::Failed(payload) => RunEvent::Failed(payload.clone()),
            Self::Cancelled(payload) => RunEvent::Cancelled(payload.clone()),
        }
    }
}

impl Said {
    fn read(name: &str, fields: &mut Fields<'_>, redact: &impl Redact) -> Result<Self, Problem> {
        if name == run_events::TEXT {
            let delta = fields.take_string("delta")?;
            // Deltas are joined with their neighbours: nothing else of them could be.
            fields.end(TEXT.fields)?;
            return Ok(Self::Text(delta.into()));
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
            _ => ReportedEvent::Progress(payload),
        }))
    }
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
            (r#""event":"text","delta":"a\n""#, ReportedEvent::Text("a\n".to_owned())),
            (
                r#""event":"text","delta":"\ude00\ud83d""#,
                ReportedEvent::Text("\u{fffd}".to_owned()),
            ),
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
            r#""event":"agent_completed""#,
            r#""event":"agent_failed""#,
            r#""event":"progress","user":"other""#,
        ] {
            assert_eq!(read(rest), Err(400), "{rest}");
        }
        let nobody = Report::parse(r#"{"event":"agent_cancelled"}"#, &Unchanged);
        assert_eq!(nobody.unwrap_err().status(), 400);
    }
}
