//! A body that has nothing to say. What it does say was meant for another call.

use super::fields::Fields;
use super::form::Form;
use super::json_body;
use crate::problem::Problem;

/// The body, which may be left out.
pub static FORM: Form = Form::closed(&[]);

/// Makes sure that a body says nothing.
///
/// # Errors
/// What it says: 400.
pub fn parse(text: &str) -> Result<(), Problem> {
    json_body::parse::<Fields<'_>>(json_body::or_empty(text))?.end(FORM.fields)
}
