//! What a body or an answer of the admin port has in it, by name. What decodes a body checks names against
//! these tables, what answers writes by them, and a document of the port can be made of them.

/// What the value of a field is.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A text.
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
    /// `true` or `false`.
    Flag,
    /// Only `true`.
    Yes,
    /// Any JSON.
    Any,
    /// An object whose fields the document does not name.
    Plain,
    /// An object.
    Nested(&'static Form),
    /// An array of texts.
    Texts,
    /// An array of objects.
    List(&'static Form),
}

/// One field of an object, or one name of a query.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As errors name it: with its object's name before it, where that is not the body.
    pub name: &'static str,
    /// What its value is.
    pub shape: Shape,
    /// Whether it must be there.
    pub needed: bool,
    /// What it says, for people. Empty: the name says it.
    pub says: &'static str,
}

impl Field {
    /// One that must be there.
    #[must_use]
    pub const fn needed(name: &'static str, shape: Shape, says: &'static str) -> Self {
        Self { name, shape, needed: true, says }
    }

    /// One that need not be there.
    #[must_use]
    pub const fn optional(name: &'static str, shape: Shape, says: &'static str) -> Self {
        Self { name, shape, needed: false, says }
    }

    /// Its name in its own object.
    #[must_use]
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, own)| own)
    }
}

/// The fields of an object.
#[derive(Debug)]
pub struct Form {
    /// Those that have a meaning here.
    pub fields: &'static [Field],
    /// Of the fields that are not needed: exactly one of these sets must be there, by their own names.
    /// None: each may be there or not.
    pub one_of: &'static [&'static [&'static str]],
    /// There may be others: in a body they are the application's.
    pub is_open: bool,
}

impl Form {
    /// These fields and no others.
    #[must_use]
    pub const fn closed(fields: &'static [Field]) -> Self {
        Self { fields, one_of: &[], is_open: false }
    }

    /// These fields, and any others.
    #[must_use]
    pub const fn open(fields: &'static [Field]) -> Self {
        Self { fields, one_of: &[], is_open: true }
    }

    /// The same with sets of which exactly one must be there: see [`one_of`](Self::one_of).
    #[must_use]
    pub const fn with_one_of(self, one_of: &'static [&'static [&'static str]]) -> Self {
        Self { one_of, ..self }
    }
}
