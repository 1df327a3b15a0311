//! A page as it is sent: slice by slice, each made when the client has taken those before it.
//!
//! So what waits for a client that does not read is a slice or two, however long its page is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headcount_protocol::json::quoted;
use headcount_protocol::problem::Problem;
use hyper::body::Frame;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::query::show_cursor;

type Part = Result<String, Problem>;

/// Where the slices of a page go.
pub(crate) struct Page {
    /// What is ready to be sent.
    text: String,
    is_empty: bool,
    parts: Sender<Part>,
}

impl Page {
    /// Answers with a page of this name, which `write` makes. What goes wrong in the first slice is
    /// the answer; later it cuts the answer off.
    pub(crate) async fn answer<F>(
        name: &str,
        write: impl FnOnce(Self) -> F,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let (parts, mut rest) = channel(1);
        let text = format!("{{{}:[", quoted(name));
        let written = write(Self { text, is_empty: true, parts: parts.clone() });
        tokio::spawn(async move {
            if let Err(problem) = written.await {
                let _ = parts.send(Err(problem)).await;
            }
        });
        let first = rest.recv().await.unwrap_or_else(|| Ok(String::new()))?;
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Ok((json, Body::new(Parts { first: Some(first), rest })).into_response())
    }

    /// Adds entries, and waits until there is room for more.
    pub(crate) async fn add(&mut self, entries: &[String]) -> Result<(), Problem> {
        for entry in entries {
            if !self.is_empty {
                self.text.push(',');
            }
            self.is_empty = false;
            self.text.push_str(entry);
        }
        let part = std::mem::take(&mut self.text);
        self.send(part).await
    }

    /// Ends it, with the place where the next one goes on if there is one.
    pub(crate) async fn end(mut self, next: Option<u64>) -> Result<(), Problem> {
        let mut part = std::mem::take(&mut self.text);
        part.push(']');
        if let Some(next) = next {
            part.push_str(&format!(",\"cursor\":{}", quoted(&show_cursor(next))));
        }
        part.push('}');
        self.send(part).await
    }

    async fn send(&self, part: String) -> Result<(), Problem> {
        let sent = self.parts.send(Ok(part)).await;
        // Nobody will see this: the connection has ended.
        sent.map_err(|_| Problem::new(500, "failed", "the client has gone"))
    }
}

/// The body of a page.
struct Parts {
    first: Option<String>,
    rest: Receiver<Part>,
}

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let part = match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.poll_recv(cx),
        };
        part.map(|part| {
            part.map(|part| match part {
                Ok(text) => Ok(Frame::data(Bytes::from(text))),
                Err(_) => Err(io::Error::other("the page can't be finished")),
            })
        })
    }
}
