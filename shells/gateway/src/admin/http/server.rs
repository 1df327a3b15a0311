//! The admin port's sockets: how many there are, who gives way, and how long each may take.
//!
//! A connection costs a descriptor, of which there are only so many beside the browsers', so every
//! one of them ends after a while whatever its other side does or leaves undone. A newcomer never
//! waits for that: it is accepted, and the connection that has been idle longest gives way.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::http::refusal::Refusal;
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use headcount_protocol::problem::Problem;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, sleep, timeout};

use super::access;
use super::places::{Answering, Place, Places};
use super::watched::Watched;

/// What a connection reads ahead, heads included, and how much of its answers waits to be written
/// before the next part of one is made.
const BUFFER: usize = 32 * 1024;
/// How long to wait when there is no descriptor for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// What probes ask for: answered however many connections there are.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// What bounds the connections.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// How many there are at a time.
    pub(super) connections: usize,
    /// How many there are beside them while all of them are being answered: each for one probe.
    pub(super) probes: usize,
    /// How long a connection may be idle between an answer and the next request, as it is told.
    idle: Duration,
    /// From the accept, or the last answer, to the whole head of the next request: somewhat longer
    /// than `idle`, so that a request that was sent in time is not met by the close.
    head: Duration,
    /// How long a connection is used for one request after another.
    lifetime: Duration,
    /// How long a client may take nothing of its answer; and how long the last one may take.
    stuck: Duration,
}

impl Bounds {
    pub(crate) const USUAL: Self = Self {
        connections: 256,
        probes: 64,
        idle: Duration::from_secs(10),
        head: Duration::from_secs(12),
        lifetime: Duration::from_secs(300),
        stuck: Duration::from_secs(30),
    };

    /// The same for another number of connections, with a quarter as many for probes beside them.
    pub(crate) const fn with_connections(self, connections: usize) -> Self {
        Self { connections, probes: connections.div_ceil(4), ..self }
    }
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, router: Router, bounds: Bounds) -> Infallible {
    let places = Arc::new(Places::default());
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let place = places.take(&bounds);
                let (places, router) = (Arc::clone(&places), router.clone());
                tokio::spawn(async move {
                    converse(stream, from, router, bounds, &place).await;
                    places.leave(&place);
                });
                // Who has to give way closes its socket before the next one is opened.
                tokio::task::yield_now().await;
            }
            Err(error) if is_of_one_socket(&error) => {}
            Err(_) => sleep(EXHAUSTED).await,
        }
    }
}

/// Answers the requests of one connection until it ends, or has to.
async fn converse(
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    bounds: Bounds,
    place: &Arc<Place>,
) {
    // Answers are small and whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let answer = |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(access::Peer(from));
        let (router, place) = (router.clone(), Arc::clone(place));
        async move { Ok::<_, Infallible>(answer(&router, request, &bounds, &place).await) }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(BUFFER)
        .serve_connection(
            TokioIo::new(Watched { stream, place: Arc::clone(place) }),
            service_fn(answer),
        );
    let mut connection = pin!(connection);
    let until_it_must_end = async {
        let mut looks = interval(bounds.stuck / 2);
        while !place.is_stuck(bounds.stuck) {
            looks.tick().await;
        }
    };
    // How a conversation ends is the other side's business. What is not over then is cut off.
    let conversation = async {
        tokio::select! {
            _ = connection.as_mut() => {}
            () = place.gives_way.notified() => {}
            () = until_it_must_end => {}
        }
    };
    let _ = timeout(bounds.lifetime + bounds.stuck, conversation).await;
}

/// Answers one request, and says whether another one may follow, and for how long.
async fn answer(
    router: &TowerToHyperService<Router>,
    request: hyper::Request<Incoming>,
    bounds: &Bounds,
    place: &Place,
) -> Response {
    let answering = Answering::new(place);
    let is_last = place.probe
        || place.since.elapsed() >= bounds.lifetime
        || request.version() != Version::HTTP_11
        || asks_to_close(request.headers());
    let mut response = if place.probe && !PROBES.contains(&request.uri().path()) {
        let message = "all connections of the admin port are busy: try again";
        let busy = Problem::new(503, "admin_busy", message);
        Refusal::from(busy.retry_after(Duration::from_secs(1))).into_response()
    } else {
        match router.call(request).await {
            Ok(response) => response,
            Err(impossible) => match impossible {},
        }
    };
    drop(answering);
    let headers = response.headers_mut();
    if is_last {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if let Ok(value) = HeaderValue::try_from(format!("timeout={}", bounds.idle.as_secs())) {
        headers.insert("keep-alive", value);
    }
    response
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).into_iter();
    let mut words = values.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("close"))
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
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use axum::routing::get;
    use tokio::sync::Notify;

    use super::*;

    /// Large enough that no socket's buffers take it whole.
    const LARGE: usize = 32 * 1024 * 1024;

    /// The requests for `/wait`.
    struct Waits {
        go_on: Arc<Notify>,
        /// One for each that is being answered.
        waiting: Receiver<()>,
    }

    /// Runs a client against a server with these bounds. `/wait` is answered when the client says so.
    fn with(bounds: Bounds, client: impl FnOnce(SocketAddr, Waits) + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let go_on = Arc::new(Notify::new());
            let waits = Arc::clone(&go_on);
            let (begins, waiting) = channel();
            let router = Router::new()
                .route("/", get(async || "done"))
                .route("/livez", get(async || "live"))
                .route(
                    "/wait",
                    get(async move || {
                        let _ = begins.send(());
                        waits.notified().await;
                        "waited"
                    }),
                )
                .route("/large", get(async || "x".repeat(LARGE)));
            tokio::spawn(serve(listener, router, bounds));
            tokio::task::spawn_blocking(move || client(address, Waits { go_on, waiting }))
                .await
                .unwrap();
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
        // One that had to give way may be reset.
        let _ = stream.read_to_string(&mut text);
        text
    }

    /// One answer of a connection that stays.
    fn next(stream: &mut TcpStream, end: &str) -> String {
        let mut text = String::new();
        let mut byte = [0];
        while !text.ends_with(end) {
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "{text}");
            text.push(char::from(byte[0]));
        }
        text
    }

    fn get_of(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }

    /// A newcomer is served at once, whatever the others do: nothing here lasts that long.
    const NEVER: Duration = Duration::from_secs(3600);

    fn patient(connections: usize, probes: usize) -> Bounds {
        let (idle, head) = (NEVER, NEVER);
        Bounds { connections, probes, idle, head, lifetime: NEVER, stuck: NEVER }
    }

    #[test]
    fn three_hundred_idle_connections_keep_no_probe_waiting() {
        let bounds = Bounds { connections: 256, probes: 64, ..patient(0, 0) };
        with(bounds, |address, _| {
            let mut kept: Vec<_> = (0..300)
                .map(|_| {
                    let mut stream = send(address, &get_of("/"));
                    next(&mut stream, "done");
                    stream
                })
                .collect();
            let mut probe = send(address, &get_of("/livez"));
            assert!(next(&mut probe, "live").starts_with("HTTP/1.1 200"));
            // The oldest have given way; the newest are used again.
            assert_eq!(rest(kept.remove(0)), "");
            let mut newest = kept.pop().unwrap();
            newest.write_all(get_of("/").as_bytes()).unwrap();
            next(&mut newest, "done");
        });
    }

    #[test]
    fn half_heads_and_deaf_clients_give_way() {
        with(patient(3, 1), |address, _| {
            let deaf = send(address, &get_of("/large"));
            // The answer has begun, and another one was whole after that: the kernel takes no more of
            // it by now, so it is silent from before all others.
            assert_eq!(deaf.peek(&mut [0]).unwrap(), 1);
            next(&mut send(address, &get_of("/")), "done");
            let halves = [send(address, "GET / HT"), send(address, "")];
            let served: Vec<_> = (0..3)
                .map(|_| {
                    let mut stream = send(address, &get_of("/"));
                    next(&mut stream, "done");
                    stream
                })
                .collect();
            for half in halves {
                assert_eq!(rest(half), "");
            }
            assert!(rest(deaf).len() < LARGE);
            drop(served);
        });
    }

    #[test]
    fn while_all_are_being_answered_there_are_probes() {
        with(patient(2, 1), |address, Waits { go_on, waiting }| {
            let busy: Vec<_> = (0..2).map(|_| send(address, &get_of("/wait"))).collect();
            // While they are not being answered they could give way.
            (0..2).for_each(|_| waiting.recv_timeout(Duration::from_secs(20)).unwrap());
            let refused = rest(send(address, &get_of("/")));
            assert!(
                refused.starts_with("HTTP/1.1 503") && refused.contains("admin_busy"),
                "{refused}"
            );
            assert!(refused.contains("retry-after: 1") && refused.contains("connection: close"));
            let probe = rest(send(address, &get_of("/livez")));
            assert!(probe.ends_with("live") && probe.contains("connection: close"), "{probe}");
            // Places of probes are few, too: the oldest gives way.
            let silent = send(address, "");
            assert!(rest(send(address, &get_of("/livez"))).ends_with("live"));
            assert_eq!(rest(silent), "");
            go_on.notify_waiters();
            for mut stream in busy {
                next(&mut stream, "waited");
            }
        });
    }

    #[test]
    fn clients_are_told_how_long_a_connection_lasts() {
        let short = Duration::from_millis(300);
        let bounds = Bounds { lifetime: short, ..patient(2, 1) };
        with(bounds, move |address, _| {
            let start = Instant::now();
            let mut stream = send(address, &get_of("/"));
            assert!(next(&mut stream, "done").contains("keep-alive: timeout=3600\r\n"));
            let last = loop {
                stream.write_all(get_of("/").as_bytes()).unwrap();
                let answer = next(&mut stream, "done");
                if answer.contains("connection: close") {
                    break answer;
                }
            };
            assert!(start.elapsed() >= short && !last.contains("keep-alive"), "{last}");
            assert_eq!(rest(stream), "");
        });
    }

    #[test]
    fn nobody_keeps_a_connection_for_ever() {
        let short = Duration::from_millis(200);
        with(Bounds { head: short, stuck: short, ..patient(9, 1) }, |address, _| {
            let deaf = send(address, &get_of("/large"));
            let half = send(address, "GET / HT");
            let idle = send(address, &get_of("/"));
            assert!(!rest(half).contains("200"));
            assert!(rest(idle).ends_with("done"));
            // It takes nothing of its answer; what it writes is refused when it has been cut off.
            let mut deaf = deaf;
            let start = Instant::now();
            while deaf.write_all(b"x").is_ok() {
                assert!(start.elapsed() < Duration::from_secs(20), "it is still connected");
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(rest(deaf).len() < LARGE);
        });
    }
}
