//! The admin port: what the body of a request means, field by field, and what the answers say.

pub mod audience;
pub mod closing;
pub mod delivery;
pub mod drain;
mod fields;
pub mod form;
mod json_body;
pub mod membership;
pub mod nothing;
pub mod opening;
pub mod publication;
pub mod redact;
pub mod report;
pub mod revocation;
pub(crate) mod surrogates;
mod written;

pub use surrogates::Halves;
pub use written::Written;
