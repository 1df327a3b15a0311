//! The admin port's sockets: how many there are, and how long each may take.
//!
//! A connection costs a descriptor, of which there are only so many beside the browsers', so every
//! one of them ends after a while whatever its other side does or leaves undone.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What a connection reads ahead, heads included.
const BUFFER: usize = 64 * 1024;
/// How long to wait when there is no descriptor for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What bounds the connections.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How many there are at a time. More wait in the listener's queue.
    connections: usize,
    /// From the accept, or the last answer, to the whole head of the next request.
    head: Duration,
    /// How long one connection is used for one request after another.
    lifetime: Duration,
    /// What the request that is under way then may still take: a client that does not read its
    /// answer would hold the connection for ever.
    last_answer: Duration,
}

impl Bounds {
    pub(super) const USUAL: Self = Self {
        connections: 256,
        head: Duration::from_secs(10),
        lifetime: Duration::from_secs(300),
        last_answer: Duration::from_secs(30),
    };

    /// The same for another number of connections.
    pub(super) const fn with_connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, router: Router, bounds: Bounds) -> Infallible {
    let places = Arc::new(Semaphore::new(bounds.connections));
    loop {
        // Nobody closes the semaphore.
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, router, bounds).await;
                    drop(place);
                });
            }
            Err(error) if is_of_one_socket(&error) => {}
            Err(_) => sleep(EXHAUSTED).await,
        }
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, router: Router, bounds: Bounds) {
    // Answers are small and whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // How a conversation ends is the other side's business.
    if timeout(bounds.lifetime, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(bounds.last_answer, connection).await;
    }
}

/// Whether the socket that would have been accepted failed, and the listener did not.
fn is_of_one_socket(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Instant;

    use axum::routing::get;

    use super::*;

    /// Large enough that no socket's buffers take it whole.
    const LARGE: usize = 32 * 1024 * 1024;

    /// Runs a client against a server with these bounds.
    fn with(bounds: Bounds, client: impl FnOnce(SocketAddr) + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new()
                .route("/", get(async || "done"))
                .route("/large", get(async || "x".repeat(LARGE)));
            tokio::spawn(serve(listener, router, bounds));
            tokio::task::spawn_blocking(move || client(address)).await.unwrap();
        });
    }

    fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// Everything that comes until the server closes.
    fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    #[test]
    fn half_sent_heads_hold_their_places_for_a_while_only() {
        let head = Duration::from_millis(300);
        with(Bounds { connections: 2, head, ..Bounds::USUAL }, move |address| {
            let start = Instant::now();
            let halves = [send(address, "GET / HT"), send(address, "")];
            let waits =
                send(address, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            assert!(rest(waits).ends_with("done"));
            assert!(start.elapsed() >= head, "no place was free before");
            for half in halves {
                assert!(!rest(half).contains("200"));
            }
            // The same holds for who was answered and says nothing more.
            assert!(rest(send(address, REQUEST)).ends_with("done"));
        });
    }

    #[test]
    fn nobody_keeps_a_connection_for_ever() {
        let short = Duration::from_millis(300);
        let bounds = Bounds { connections: 1, head: short, lifetime: short, last_answer: short };
        with(bounds, |address| {
            let deaf = send(address, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert!(rest(send(address, REQUEST)).ends_with("done"), "the place is free again");
            drop(deaf);
        });
    }
}
