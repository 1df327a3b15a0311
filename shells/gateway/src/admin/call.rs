//! What a call takes and what it answers, by name. What decodes a body or a query checks names against
//! these tables, what answers writes by them, and the document at `/openapi.json` is made of them.

use headcount_protocol::admin::form::Form;

/// What a request carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    None,
    /// An object.
    Object(&'static Form),
    /// An object, which may be left out: nothing in it is needed.
    MayBeEmpty(&'static Form),
    /// An object of exactly one of these forms.
    OneOf(&'static [Form]),
}

/// What a call answers when it did what was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Json(&'static Form),
    /// With the status 201.
    Created(&'static Form),
    /// Text of this media type.
    Text(&'static str),
}

/// One call, as the document tells of it.
#[derive(Debug)]
pub(crate) struct Call {
    /// What generated clients call it. No two have the same.
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    pub(crate) body: Body,
    /// It takes an `Idempotency-Key`.
    pub(crate) once: bool,
    pub(crate) answer: Answer,
    /// The statuses of its own refusals, beside those that come with its scope, its query and its body.
    pub(crate) refusals: &'static [u16],
}
