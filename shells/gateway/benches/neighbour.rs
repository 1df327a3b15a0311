//! What one client waits because of what others do: a quiet client pings once a millisecond while
//! the same gateway is flooded.
//!
//! `cargo bench -p headcount-gateway --bench neighbour [SITUATION…]`; without arguments all of them.
//! `HEADCOUNT_NEIGHBOUR_MS` is how long each lasts (4000), `HEADCOUNT_BINARY` another gateway to
//! measure. Everything is on loopback: clients and server share the machine's cores, so a figure
//! says something only beside the figure of `alone` of the same run.
//!
//! Pings follow a schedule. A late answer counts for every ping that was due meanwhile, so that one
//! long wait weighs as much as it lasted. `limits.message_rate` is off: the figures are those of the
//! loop, not those of the meter that closes such clients.

mod support;

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::client::{PATIENCE, read_frame, request, upgrade};
use support::gateway::Gateway;

/// Room for all of them, and no meter.
const SETTINGS: [&str; 5] = [
    "limits.message_rate=0",
    "limits.connect_rate=0",
    "limits.connections=8192",
    "limits.users=16384",
    "limits.sessions=16384",
];

const EVERY: Duration = Duration::from_millis(1);

/// What others do meanwhile.
type Situation = fn(&Gateway, &Arc<Others>);

const SITUATIONS: [(&str, Situation); 12] = [
    ("alone", |_, _| {}),
    ("1000-ping-flooders", |gateway, others| flood(gateway, others, 1_000, &PINGS.repeat(64))),
    ("1000-pong-flooders", |gateway, others| flood(gateway, others, 1_000, &PONGS.repeat(64))),
    ("1000-empty-fragments", |gateway, others| {
        // The first begins a message that the others go on with, and that never ends.
        flood_after(gateway, others, 1_000, &[0x01, 0x80, 0, 0, 0, 0], &FRAGMENTS.repeat(64));
    }),
    ("1000-short-texts", |gateway, others| {
        flood(gateway, others, 1_000, &text(br#"{"type":"ping"}"#).repeat(32));
    }),
    ("100-senders-of-64KB", |gateway, others| {
        let mut message = br#"{"type":"ping","filler":""#.to_vec();
        message.resize(64 * 1024 - 2, b'x');
        message.extend(br#""}"#);
        pace(gateway, others, 100, &text(&message), Duration::from_millis(10));
    }),
    ("connect-storm", connect_storm),
    ("broadcast-storm", |gateway, others| broadcast_storm(gateway, others, 2_000)),
    ("20-checks", |gateway, others| admin_storm(gateway, others, 20, "POST", "/v1/check")),
    ("20-pages", |gateway, others| {
        admin_storm(gateway, others, 20, "GET", "/v1/connections?limit=1000");
    }),
    ("20-session-pages", |gateway, others| {
        admin_storm(gateway, others, 20, "GET", "/v1/sessions?limit=1000");
    }),
    ("20-stats", |gateway, others| admin_storm(gateway, others, 20, "GET", "/v1/stats")),
];

const PINGS: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const PONGS: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const FRAGMENTS: [u8; 6] = [0x00, 0x80, 0, 0, 0, 0];

fn main() {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let lasts = Duration::from_millis(support::by_variable("HEADCOUNT_NEIGHBOUR_MS", 4_000));
    println!(
        "{:24} {:>8} {:>9} {:>9} {:>9}  others did",
        "situation", "pings", "p50 us", "p99 us", "max us"
    );
    for (name, situation) in SITUATIONS {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let gateway = Gateway::start(&SETTINGS);
        let others = Arc::new(Others::default());
        // It was there before, as most neighbours are.
        let mut quiet = upgrade(gateway.websocket, "quiet");
        situation(&gateway, &others);
        // The flood has begun, and is what it will be.
        thread::sleep(Duration::from_millis(300));
        let before = others.done.load(Ordering::Relaxed);
        let start = Instant::now();
        let mut waits = ping_on_schedule(&mut quiet, lasts);
        let seconds = start.elapsed().as_secs_f64();
        let done = (others.done.load(Ordering::Relaxed) - before) as f64 / seconds;
        others.stop.store(true, Ordering::Relaxed);
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_micros();
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        println!("{name:24} {:>8} {p50:>9} {p99:>9} {max:>9}  {done:.0}/s", waits.len());
        drop(gateway);
        for thread in std::mem::take(&mut *others.threads.lock().expect("no thread panics")) {
            thread.join().expect("it does not panic");
        }
    }
}

/// The wait of each ping from when it was due.
fn ping_on_schedule(quiet: &mut TcpStream, lasts: Duration) -> Vec<Duration> {
    let mut waits = Vec::new();
    let start = Instant::now();
    let mut due = start;
    while due.duration_since(start) < lasts {
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        quiet.write_all(&PINGS).expect("the quiet client stays connected");
        read_pong(quiet);
        let answered = Instant::now();
        // Those that were due while this one waited have waited, too.
        while due <= answered {
            waits.push(answered - due);
            due += EVERY;
        }
    }
    waits
}

/// Reads frames until a pong: announcements may come before it.
fn read_pong(quiet: &mut TcpStream) {
    loop {
        match read_frame(quiet) {
            (0x0a, _) => return,
            (0x08, payload) => {
                panic!("the quiet client was closed: {}", String::from_utf8_lossy(&payload))
            }
            _ => {}
        }
    }
}

/// The threads that make the flood.
#[derive(Default)]
struct Others {
    stop: AtomicBool,
    /// Frames, connects, announcements or calls.
    done: AtomicU64,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Others {
    fn spawn(self: &Arc<Self>, body: impl FnOnce(&Self) + Send + 'static) {
        let others = Arc::clone(self);
        let thread = thread::spawn(move || body(&others));
        self.threads.lock().expect("no thread panics").push(thread);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// Each of so many clients sends the same frames as fast as the server takes them.
fn flood(gateway: &Gateway, others: &Arc<Others>, clients: usize, frames: &[u8]) {
    flood_after(gateway, others, clients, &[], frames);
}

fn flood_after(
    gateway: &Gateway,
    others: &Arc<Others>,
    clients: usize,
    first: &[u8],
    frames: &[u8],
) {
    let mut sockets = connect(gateway, clients);
    for (socket, _) in &mut sockets {
        socket.write_all(first).expect("room for one frame");
    }
    let frames = frames.to_vec();
    others.spawn(move |others| {
        while others.goes_on() {
            if push(&mut sockets, &frames, others, |_| true) == 0 {
                thread::sleep(Duration::from_micros(200));
            }
        }
    });
}

/// Each of so many clients sends one message in this time, if the server takes it.
fn pace(gateway: &Gateway, others: &Arc<Others>, clients: usize, message: &[u8], each: Duration) {
    let mut sockets = connect(gateway, clients);
    let message = message.to_vec();
    others.spawn(move |others| {
        let mut next = vec![Instant::now(); clients];
        while others.goes_on() {
            let now = Instant::now();
            push(&mut sockets, &message, others, |client| {
                // What could not be sent in time is not made up for.
                let is_due = next[client] <= now;
                next[client] = if is_due { now + each } else { next[client] };
                is_due
            });
            thread::sleep(Duration::from_micros(200));
        }
    });
}

/// Writes to all sockets what they take of the frames, going on where each stopped, and throws away
/// what they are sent. Returns how many bytes were written.
fn push(
    sockets: &mut [(TcpStream, usize)],
    frames: &[u8],
    others: &Others,
    mut begins: impl FnMut(usize) -> bool,
) -> usize {
    let mut total = 0;
    let mut thrown_away = [0; 64 * 1024];
    for (client, (socket, from)) in sockets.iter_mut().enumerate() {
        while matches!(socket.read(&mut thrown_away), Ok(1..)) {}
        if *from == 0 && !begins(client) {
            continue;
        }
        if let Ok(written) = socket.write(&frames[*from..]) {
            total += written;
            *from = (*from + written) % frames.len();
            others.done.fetch_add(u64::from(*from == 0), Ordering::Relaxed);
        }
    }
    total
}

/// Four threads connect, are welcomed, and leave, without end.
fn connect_storm(gateway: &Gateway, others: &Arc<Others>) {
    for thread in 0..4 {
        let address = gateway.websocket;
        others.spawn(move |others| {
            let mut number = 0_u64;
            while others.goes_on() {
                number += 1;
                let user = format!("storm-{thread}-{}", number % 500);
                if let Ok(mut socket) = TcpStream::connect(address) {
                    let _ = socket.set_read_timeout(Some(PATIENCE));
                    let mut answer = [0; 1024];
                    if socket.write_all(request(&user).as_bytes()).is_ok() {
                        black_box(socket.read(&mut answer).ok());
                    }
                    others.done.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

/// Announcements to so many clients, one after the other, without end.
fn broadcast_storm(gateway: &Gateway, others: &Arc<Others>, clients: usize) {
    let mut sockets = connect(gateway, clients);
    let (reader, admin) = (Arc::clone(others), gateway.admin);
    others.spawn(move |_| {
        while reader.goes_on() {
            let mut thrown_away = [0; 64 * 1024];
            for (socket, _) in &mut sockets {
                while matches!(socket.read(&mut thrown_away), Ok(1..)) {}
            }
            thread::sleep(Duration::from_micros(500));
        }
    });
    others.spawn(move |others| {
        let body = format!(r#"{{"to":{{"everyone":true}},"data":"{}"}}"#, "x".repeat(200));
        while others.goes_on() {
            call(admin, "POST", "/v1/publish", &body);
            others.done.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// So many threads ask the admin port the same thing without end, over 8,000 connections.
fn admin_storm(
    gateway: &Gateway,
    others: &Arc<Others>,
    threads: usize,
    method: &'static str,
    path: &'static str,
) {
    let sockets = connect(gateway, 8_000);
    others.spawn(move |others| {
        while others.goes_on() {
            thread::sleep(Duration::from_millis(20));
        }
        drop(sockets);
    });
    for _ in 0..threads {
        let admin = gateway.admin;
        others.spawn(move |others| {
            while others.goes_on() {
                call(admin, method, path, if method == "POST" { "{}" } else { "" });
                others.done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// One request on a connection of its own; the answer is read to its end and thrown away.
fn call(admin: SocketAddr, method: &str, path: &str, body: &str) {
    let Ok(mut socket) = TcpStream::connect(admin) else { return };
    let _ = socket.set_read_timeout(Some(PATIENCE));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if socket.write_all(head.as_bytes()).is_ok() {
        let mut answer = Vec::new();
        black_box(socket.read_to_end(&mut answer).ok());
    }
}

/// So many clients, sixteen to a user, that are welcomed and wait for nothing.
fn connect(gateway: &Gateway, clients: usize) -> Vec<(TcpStream, usize)> {
    let one = |number: usize| {
        let socket = upgrade(gateway.websocket, &format!("other-{}", number / 8));
        socket.set_nonblocking(true).expect("a socket");
        (socket, 0)
    };
    (0..clients).map(one).collect()
}

/// A whole text frame of a client, with a mask of zeroes.
fn text(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
