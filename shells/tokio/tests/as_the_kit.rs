//! The histories of the conformance tests in virtual time, over the testkit and over this shell. The sockets
//! are those of tokio-tungstenite, on wires in memory, and the clock is tokio's, which is paused.

mod common;

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use headcount_conformance::virtual_time::{
    InVirtualTime, Line, assert_histories, assert_random_histories,
};
use headcount_conformance::{Application, Verdict};
use headcount_tokio::headcount::{CloseReason, Config, ConnId, Registry, Timestamp};
use headcount_tokio::{Handle, Hub, Tungstenite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use common::{Conforming, Gone};

/// More than it takes until nothing is left to do: the hub, a socket, and the hub again for its answer.
const TURNS: usize = 100;

struct Tokio {
    runtime: Runtime,
    handle: Handle,
    gone: Gone,
}

impl InVirtualTime for Tokio {
    const RESERVES_FIRST: bool = false;

    fn start(config: Config) -> Self {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let handler = Conforming::default();
        let gone = Gone::clone(&handler.gone);
        // The hub begins at the time that the runtime has.
        let (hub, handle) = runtime.block_on(async { Hub::new(config, handler) });
        runtime.spawn(hub.run());
        Self { runtime, handle, gone }
    }

    fn connect(&mut self, query: &str) -> Option<(ConnId, Line)> {
        let verdict = Application::verdict(query);
        self.runtime.block_on(async {
            let place = match verdict {
                Verdict::Admit(who, start) => self.handle.admit(who, start, None).await,
                Verdict::Pending => self.handle.reserve(None).await,
                Verdict::Refuse => panic!("no history asks for it"),
            };
            let (place, line) = (place.ok()?, Line::upgraded());
            let conn = place.conn();
            let wire = Wire(line.clone());
            let socket = WebSocketStream::from_raw_socket(wire, Role::Server, None).await;
            tokio::spawn(place.serve(socket, Tungstenite));
            Some((conn, line))
        })
    }

    fn pass(&mut self, time: Duration) {
        self.runtime.block_on(async {
            // The paused clock goes on when no task has anything to do.
            tokio::time::sleep(time).await;
            // What is due in the last millisecond is done within it.
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        });
    }

    fn call<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Option<R> {
        self.runtime.block_on(self.handle.call(f)).ok()
    }

    fn take_gone(&mut self) -> Vec<(ConnId, CloseReason)> {
        std::mem::take(&mut *self.gone.lock().unwrap())
    }
}

struct Wire(Line);

/// What would block waits.
fn polled<R>(line: &Line, context: &Context<'_>, result: io::Result<R>) -> Poll<io::Result<R>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            line.wake(context.waker());
            Poll::Pending
        }
        result => Poll::Ready(result),
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read(buffer.initialize_unfilled());
        polled(&self.0, context, read).map_ok(|length| buffer.advance(length))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        polled(&self.0, context, self.0.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shut();
        Poll::Ready(Ok(()))
    }
}

#[test]
fn each_history_of_the_table_is_as_in_the_kit() {
    assert_histories::<Tokio>();
}

#[test]
fn random_histories_are_as_in_the_kit() {
    assert_random_histories::<Tokio>(0..100);
}
