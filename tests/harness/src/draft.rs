//! A message before it is one: it is made twice, once for the registry and once for the model, so that
//! what the registry holds is its own.

use headcount::{Class, ConnId, Key, Message};

use super::op;

#[derive(Clone, Debug)]
pub(crate) struct Draft {
    payload: String,
    text: bool,
    class: op::Class,
    except: Option<ConnId>,
    /// The model's.
    pub(crate) message: Message,
}

impl Draft {
    pub(crate) fn new(
        payload: String,
        text: bool,
        class: op::Class,
        except: Option<ConnId>,
    ) -> Self {
        // Whom a message leaves out is said last, and makes it critical if it was the latest of a key.
        let class = match class {
            op::Class::Latest(_) if except.is_some() => op::Class::Critical,
            class => class,
        };
        let message = Message::text("");
        let mut draft = Self { payload, text, class, except, message };
        draft.message = draft.make();
        draft
    }

    pub(crate) fn class(&self) -> Class {
        match self.class {
            op::Class::Critical => Class::Critical,
            op::Class::Latest(key) => {
                Class::Latest(Key::new(format!("key-{key}")).expect("a fine key"))
            }
            op::Class::Droppable => Class::Droppable,
        }
    }

    /// The length of its payload.
    pub(crate) const fn len(&self) -> usize {
        self.payload.len()
    }

    /// Another message that is equal to the model's and shares nothing with it.
    pub(crate) fn make(&self) -> Message {
        let payload = self.payload.clone();
        let message = if self.text { Message::text(payload) } else { Message::binary(payload) };
        let message = message.class(self.class());
        match self.except {
            Some(conn) => message.except(conn),
            None => message,
        }
    }
}
