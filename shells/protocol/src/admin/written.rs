//! Answers are written by the forms that the document has of them.

use super::form::{Form, Shape};
use crate::json::{Object, array};

/// The JSON of an answer, under construction.
///
/// A build with debug assertions, which all tests use, panics for a field that the form does not have, or
/// has with another shape, and at the end for one that must be there and is not. So the document can't
/// say anything else than the code that answers.
pub struct Written {
    form: &'static Form,
    object: Object,
    /// The places of the fields that were written, one bit each.
    seen: u64,
}

impl Form {
    /// Begins an answer of this form.
    #[must_use]
    pub fn write(&'static self) -> Written {
        Written { form: self, object: Object::new(), seen: 0 }
    }
}

impl Written {
    /// A whole number.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.note(name, |shape| match shape {
            Shape::AtLeast(least) => value >= least,
            Shape::Between(least, most) => (least..=most).contains(&value),
            _ => false,
        });
        Self { object: self.object.number(name, value), ..self }
    }

    /// A text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.note(name, |shape| match shape {
            Shape::Text | Shape::Id => true,
            Shape::Exactly(text) => value == text,
            Shape::Among(texts) => texts.contains(&value),
            _ => false,
        });
        Self { object: self.object.text(name, value), ..self }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: bool) -> Self {
        self.note(name, |shape| match shape {
            Shape::Flag => true,
            Shape::Yes => value,
            _ => false,
        });
        Self { object: self.object.raw(name, if value { "true" } else { "false" }), ..self }
    }

    /// An array whose entries are JSON already: texts, or objects that their own form has written.
    #[must_use]
    pub fn list(mut self, name: &str, entries: &[String]) -> Self {
        self.note(name, |shape| matches!(shape, Shape::List(_) | Shape::Texts));
        Self { object: self.object.raw(name, &array(entries)), ..self }
    }

    /// JSON of which the document does not say what is in it.
    #[must_use]
    pub fn json(mut self, name: &str, json: &str) -> Self {
        self.note(name, |shape| matches!(shape, Shape::Plain | Shape::Any));
        Self { object: self.object.raw(name, json), ..self }
    }

    /// The answer.
    #[must_use]
    pub fn end(self) -> String {
        if cfg!(debug_assertions) {
            let has = |at: usize| self.seen >> at & 1 == 1;
            let fields = self.form.fields.iter().enumerate();
            let missing = fields.filter(|(at, field)| field.needed && !has(*at));
            let missing: Vec<_> = missing.map(|(_, field)| field.name).collect();
            assert!(missing.is_empty(), "an answer lacks {missing:?}");
            let is_met = |set: &&&[&str]| {
                let of_set = |name: &&str| self.place(name).is_some_and(has);
                set.iter().all(of_set)
            };
            let met = self.form.one_of.iter().filter(is_met).count();
            assert!(self.form.one_of.is_empty() || met == 1, "an answer is of {met} kinds");
        }
        self.object.end()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.form.fields.iter().position(|field| field.own_name() == name)
    }

    fn note(&mut self, name: &str, fits: impl FnOnce(Shape) -> bool) {
        if cfg!(debug_assertions) {
            let place = self.place(name);
            let Some(at) = place else { panic!("the form of an answer has no field {name}") };
            let shape = self.form.fields[at].shape;
            assert!(fits(shape), "the form of an answer has {name} as {shape:?}");
            assert!(self.seen >> at & 1 == 0, "an answer has {name} twice");
            self.seen |= 1 << at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Field;
    use super::*;

    static FORM: Form = Form::open(&[
        Field::needed("ok", Shape::Yes, ""),
        Field::needed("name", Shape::Among(&["a", "b"]), ""),
        Field::optional("list", Shape::Texts, ""),
        Field::optional("one", Shape::AtLeast(1), ""),
        Field::optional("other", Shape::Any, ""),
    ])
    .with_one_of(&[&["one"], &["other"]]);

    fn begun() -> Written {
        FORM.write().flag("ok", true).text("name", "a")
    }

    #[test]
    fn an_answer_is_as_its_form_has_it() {
        let whole = begun().list("list", &["\"x\"".to_owned()]).number("one", 1).end();
        assert_eq!(whole, r#"{"ok":true,"name":"a","list":["x"],"one":1}"#);
        assert_eq!(begun().json("other", "null").end(), r#"{"ok":true,"name":"a","other":null}"#);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn any_other_answer_is_a_panic_of_the_test_that_meets_it() {
        let wrong: [fn() -> String; 9] = [
            || begun().end(),
            || begun().number("one", 1).json("other", "1").end(),
            || begun().number("one", 0).end(),
            || begun().text("one", "1").end(),
            || begun().number("more", 1).end(),
            || begun().number("one", 1).number("one", 1).end(),
            || FORM.write().flag("ok", false).end(),
            || FORM.write().flag("ok", true).text("name", "c").end(),
            || FORM.write().flag("ok", true).number("one", 1).end(),
        ];
        for (number, wrong) in wrong.into_iter().enumerate() {
            assert!(std::panic::catch_unwind(wrong).is_err(), "answer {number}");
        }
    }
}
