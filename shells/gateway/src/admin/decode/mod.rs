//! What the body of a request means, field by field. Nothing here knows the server.

pub(crate) mod address;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod json_body;
pub(crate) mod publication;
pub(crate) mod redaction;
pub(crate) mod run_opening;
pub(crate) mod surrogates;
