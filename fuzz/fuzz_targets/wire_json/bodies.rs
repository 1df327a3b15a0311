//! What back ends send.

use std::time::Duration;

use headcount::{Class, ConnId, Key, RoomId, RunEvent, RunId, ThreadId, UserId};
use headcount_protocol::admin::audience::Audience;
use headcount_protocol::admin::opening::Opening;
use headcount_protocol::admin::publication::Publication;
use headcount_protocol::admin::redact::Unchanged;
use headcount_protocol::admin::report::Report;
use headcount_protocol::handles::Named;
use headcount_protocol::problem::Problem;
use serde_json::{Map, Value};

use crate::asks::number_of;
use crate::is_refusal;

/// Fields that a body may have at most, where all of them are looked at.
const MOST: usize = 64;

pub(crate) fn check(text: &str, value: Option<&Value>, plain: Option<&str>) {
    let fields = value.map(|value| value.as_object().ok_or(()));
    of_kind(text, plain, fields, Publication::parse, publication, |publication| Published {
        audience: publication.audience,
        data: serde_json::from_str(publication.data.get()).ok(),
        class: publication.class,
    });
    of_kind(text, plain, fields, reported, report, |report| {
        let (mut expected, mut of_part) = (None, None);
        // Nothing waits before it.
        let (event, _) = report.after(Default::default());
        let (name, call, payload) = match event.event() {
            RunEvent::Thinking(payload) => ("agent_thinking", None, Some(payload)),
            RunEvent::ToolExecuting { call, expect, payload } => {
                expected = expect;
                ("tool_executing", Some(call.to_owned()), Some(payload))
            }
            RunEvent::ToolCompleted { call, payload } => {
                ("tool_completed", Some(call.to_owned()), Some(payload))
            }
            RunEvent::Progress(payload) => ("progress", None, Some(payload)),
            RunEvent::Interrupted(payload) => ("agent_interrupted", None, Some(payload)),
            RunEvent::Delta { part, text: delta } => {
                of_part = Some((part.id.to_owned(), part.kind.name().to_owned()));
                ("text", Some(delta.to_owned()), None)
            }
            RunEvent::Completed(payload) => ("agent_completed", None, Some(payload)),
            RunEvent::Failed(payload) => ("agent_failed", None, Some(payload)),
            RunEvent::Cancelled(payload) => ("agent_cancelled", None, Some(payload)),
        };
        let payload = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
        let user = report.user.clone();
        Reported { user, name: name.to_owned(), call, expect: expected, part: of_part, payload }
    });
    of_kind(text, plain, fields, opened, opening, |opening| Opened {
        names: (opening.user, opening.thread, opening.run),
        agent: opening.agent,
        payload: serde_json::from_slice(&opening.payload).ok(),
    });
}

/// As it was reported: what redaction makes of it is a matter of its own tests.
fn reported(text: &str) -> Result<Report, Problem> {
    Report::parse(text, &Unchanged)
}

fn opened(text: &str) -> Result<Opening, Problem> {
    Opening::parse(text, &Unchanged)
}

/// What is taken is taken as the value says. Of a text that has each field once, everything is
/// taken that the value allows.
fn of_kind<T, R: PartialEq + std::fmt::Debug>(
    text: &str,
    plain: Option<&str>,
    fields: Option<Result<&Map<String, Value>, ()>>,
    parse: fn(&str) -> Result<T, Problem>,
    expected: fn(&Map<String, Value>) -> Option<R>,
    read: fn(T) -> R,
) {
    let taken = |text| match parse(text) {
        Ok(taken) => Some(read(taken)),
        Err(problem) => {
            is_refusal(&problem);
            None
        }
    };
    let (raw, Some(fields), Some(plain)) = (taken(text), fields, plain) else { return };
    let expected = fields.ok().and_then(expected);
    assert_eq!(taken(plain), expected, "{plain}");
    if raw.is_some() {
        assert_eq!(raw, expected);
    }
}

#[derive(Debug, PartialEq)]
struct Published {
    audience: Audience,
    data: Option<Value>,
    class: Class,
}

fn publication(fields: &Map<String, Value>) -> Option<Published> {
    if fields.keys().any(|name| !["to", "data", "class", "key"].contains(&name.as_str())) {
        return None;
    }
    // `null` is a value, and not one that is expected here.
    let text = |name: &str| fields.get(name).map(|value| value.as_str().ok_or(()));
    let class = match (text("class").transpose().ok()?, text("key").transpose().ok()?) {
        (None | Some("critical"), None) => Class::Critical,
        (Some("droppable"), None) => Class::Droppable,
        (Some("latest"), Some(key)) => Class::Latest(Key::new(key).ok()?),
        _ => return None,
    };
    Some(Published {
        audience: audience(fields.get("to")?)?,
        data: Some(fields.get("data")?.clone()),
        class,
    })
}

fn audience(to: &Value) -> Option<Audience> {
    let to = to.as_object()?;
    let mut names: Vec<&str> = to.keys().map(String::as_str).collect();
    names.sort_unstable();
    let text = |name: &str| to[name].as_str();
    Some(match names.as_slice() {
        ["user"] => Audience::User(UserId::new(text("user")?).ok()?),
        ["thread", "user"] => {
            let user = UserId::new(text("user")?).ok()?;
            Audience::Session(user, ThreadId::new(text("thread")?).ok()?)
        }
        ["run", "user"] => {
            let user = UserId::new(text("user")?).ok()?;
            Audience::Run(user, RunId::new(text("run")?).ok()?)
        }
        ["connection"] => {
            let (instance, handle) = text("connection")?.split_once('.')?;
            let whole = |digits: &str| (digits.len() == 16).then(|| number_of(digits)).flatten();
            let (instance, handle) = (whole(instance)?, ConnId::from_bits(whole(handle)?)?);
            Audience::Conn(Named { instance, handle })
        }
        ["room"] => Audience::Room(RoomId::new(text("room")?).ok()?),
        ["everyone"] if to["everyone"] == true => Audience::Everyone,
        _ => return None,
    })
}

/// The fields without those that are the gateway's own.
fn rest(fields: &Map<String, Value>, own: &[&str]) -> Option<Map<String, Value>> {
    let rest = fields.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let rest = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
    (fields.len() <= MOST).then_some(rest)
}

#[derive(Debug, PartialEq)]
struct Reported {
    user: UserId,
    name: String,
    /// The name of the call, or the text.
    call: Option<String>,
    /// How long the call may take.
    expect: Option<Duration>,
    /// The name and the kind of the part that a text is of.
    part: Option<(String, String)>,
    payload: Option<Value>,
}

fn report(fields: &Map<String, Value>) -> Option<Reported> {
    let text = |name: &str| fields.get(name)?.as_str();
    let user = UserId::new(text("user")?).ok()?;
    let name = text("event")?.to_owned();
    let rest = rest(fields, &["user", "event"])?;
    let has = |name: &str| rest.contains_key(name);
    let is_text = |name: &str| rest.get(name).is_some_and(Value::is_string);
    let expects = name == "tool_executing" && has("expect_ms");
    let expect = rest.get("expect_ms").and_then(Value::as_u64).filter(|millis| *millis > 0);
    let expect = expect.filter(|_| expects).map(Duration::from_millis);
    let holds = match &*name {
        "agent_thinking" => !has("text") || is_text("text"),
        "tool_executing" => {
            is_text("tool")
                && has("parameters")
                && is_text("call")
                && (!expects || expect.is_some())
        }
        "tool_completed" => has("result") && is_text("call"),
        "progress" | "agent_cancelled" | "agent_interrupted" => true,
        "text" => {
            let own = ["delta", "part", "kind"];
            is_text("delta")
                && rest.keys().all(|name| own.contains(&name.as_str()) && is_text(name))
                && rest.get("kind").is_none_or(|kind| {
                    ["text", "reasoning", "tool_arguments"].map(Value::from).contains(kind)
                })
        }
        "agent_completed" => has("result"),
        "agent_failed" => has("error"),
        _ => false,
    };
    let own = match &*name {
        "tool_executing" | "tool_completed" => Some("call"),
        "text" => Some("delta"),
        _ => None,
    };
    let call = own.and_then(text).map(str::to_owned);
    let part = (name == "text").then(|| {
        let (part, kind) = (text("part").unwrap_or(""), text("kind").unwrap_or("text"));
        (part.to_owned(), kind.to_owned())
    });
    let payload = (name != "text").then_some(Value::Object(rest));
    holds.then_some(Reported { user, name, call, expect, part, payload })
}

#[derive(Debug, PartialEq)]
struct Opened {
    names: (UserId, ThreadId, RunId),
    agent: String,
    payload: Option<Value>,
}

fn opening(fields: &Map<String, Value>) -> Option<Opened> {
    let text = |name: &str| fields.get(name)?.as_str();
    let user = UserId::new(text("user")?).ok()?;
    let thread = ThreadId::new(text("thread")?).ok()?;
    let run = RunId::new(text("run")?).ok()?;
    let agent = text("agent")?.to_owned();
    let named = !agent.is_empty() && !agent.chars().any(char::is_control);
    let payload = Some(Value::Object(rest(fields, &["user", "thread", "run", "agent"])?));
    named.then_some(Opened { names: (user, thread, run), agent, payload })
}
