//! What a back end says, in order: numbers to a user and to a room, and the text of a run.

use serde_json::{Value, json};

use super::Server;

pub(crate) struct BackEnd<'a> {
    user: &'a str,
    /// The last number that it has said: to the user, and in the room `lobby`.
    pub(crate) said: u32,
    /// The text of the run `r` so far.
    pub(crate) text: String,
}

impl<'a> BackEnd<'a> {
    pub(crate) fn new(user: &'a str) -> Self {
        Self { user, said: 0, text: String::new() }
    }

    pub(crate) fn open(&self, server: &Server) {
        let run = json!({"user": self.user, "thread": "main", "run": "r", "agent": "Planner"});
        assert_eq!(server.post("/v1/runs", &run.to_string()).status, 201);
    }

    fn report(&self, server: &Server, event: &Value) {
        let answer = server.post("/v1/runs/r/events", &event.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) fn say(&mut self, server: &Server, times: u32) {
        for _ in 0..times {
            self.said += 1;
            server.publish(&json!({"user": self.user}).to_string(), &self.said.to_string());
            server.publish(r#"{"room":"lobby"}"#, &self.said.to_string());
            let delta = format!("{} ü🦀 ", self.said);
            self.report(server, &json!({"user": self.user, "event": "text", "delta": delta}));
            self.text.push_str(&delta);
        }
    }

    pub(crate) fn complete(&self, server: &Server) {
        self.report(server, &json!({"user": self.user, "event": "agent_completed", "result": 1}));
    }
}
