//! What a call takes and what it answers, by name. What decodes a body or a query checks names against
//! these tables, what answers writes by them, and the document at `/openapi.json` is made of them.

/// What the value of a field is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Text,
    /// What something is called.
    Id,
    /// Exactly this text.
    Exactly(&'static str),
    /// One of these texts.
    Among(&'static [&'static str]),
    /// A whole number from the first to the second.
    Between(u64, u64),
    /// A whole number, and the least that it can be.
    AtLeast(u64),
    Flag,
    /// Only `true`.
    Yes,
    /// Any JSON.
    Any,
    /// An object whose fields the document does not name.
    Plain,
    Nested(&'static Form),
    /// An array of texts.
    Texts,
    /// An array of objects.
    List(&'static Form),
}

/// One field of an object, or one name of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// As errors name it: with its object's name before it, where that is not the body.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) needed: bool,
    pub(crate) says: &'static str,
}

impl Field {
    /// One that must be there.
    pub(crate) const fn needed(name: &'static str, shape: Shape, says: &'static str) -> Self {
        Self { name, shape, needed: true, says }
    }

    /// One that need not be there.
    pub(crate) const fn optional(name: &'static str, shape: Shape, says: &'static str) -> Self {
        Self { name, shape, needed: false, says }
    }

    /// Its name in its own object.
    pub(crate) fn own_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, own)| own)
    }
}

/// The fields of an object.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) fields: &'static [Field],
    /// Of the fields that are not needed: exactly one of these sets must be there, by their own names.
    /// None: each may be there or not.
    pub(crate) one_of: &'static [&'static [&'static str]],
    /// There may be others: in a body they are the application's.
    pub(crate) is_open: bool,
}

impl Form {
    /// These fields and no others.
    pub(crate) const fn closed(fields: &'static [Field]) -> Self {
        Self { fields, one_of: &[], is_open: false }
    }

    /// These fields, and any others.
    pub(crate) const fn open(fields: &'static [Field]) -> Self {
        Self { fields, one_of: &[], is_open: true }
    }

    pub(crate) const fn with_one_of(self, one_of: &'static [&'static [&'static str]]) -> Self {
        Self { one_of, ..self }
    }
}

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

/// A body that says nothing.
pub(crate) static NOTHING: Form = Form::closed(&[]);
