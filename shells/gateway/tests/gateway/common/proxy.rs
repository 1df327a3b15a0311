//! A TCP proxy with the faults of a network: it stalls, cuts, half-closes, delays, and goes silent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Passes bytes on between its clients and one server. Ends with its test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    network: Mutex<Network>,
    changed: Condvar,
}

#[derive(Default)]
struct Network {
    stalled: bool,
    delay: Duration,
    over: bool,
    pairs: Vec<Pair>,
}

/// A connection of a client, and the one to the server that belongs to it.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    silent: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { target, network: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.network.lock().unwrap().over {
                    return;
                }
                // Without a server there is no answer: the client's connection ends at once.
                let Ok(server) = TcpStream::connect(accepting.target) else { continue };
                accepting.pair(client, server);
            }
        });
        Self { address, shared }
    }

    fn change(&self, change: impl FnOnce(&mut Network)) {
        change(&mut self.shared.network.lock().unwrap());
        self.shared.changed.notify_all();
    }

    /// Passes nothing on, until told otherwise; nothing is lost.
    pub(crate) fn stall(&self, stalled: bool) {
        self.change(|network| network.stalled = stalled);
    }

    /// Passes everything on so much later.
    pub(crate) fn delay(&self, delay: Duration) {
        self.change(|network| network.delay = delay);
    }

    /// Ends all connections, on both sides.
    pub(crate) fn cut(&self) {
        self.change(|network| {
            for Pair { client, server, .. } in network.pairs.drain(..) {
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            }
        });
    }

    /// Ends what goes to the clients; what they send still arrives.
    pub(crate) fn half_close(&self) {
        self.change(|network| {
            for pair in &network.pairs {
                let _ = pair.client.shutdown(Shutdown::Write);
            }
        });
    }

    /// Connections that there are stay open on both sides, and pass nothing on any more.
    pub(crate) fn go_silent(&self) {
        self.change(|network| {
            for pair in &network.pairs {
                pair.silent.store(true, Ordering::Relaxed);
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|network| network.over = true);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn pair(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let silent = Arc::new(AtomicBool::new(false));
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        for (from, to) in [(clone(&client), clone(&server)), (clone(&server), clone(&client))] {
            let (shared, silent) = (Arc::clone(self), Arc::clone(&silent));
            thread::spawn(move || shared.pass_on(from, to, &silent));
        }
        self.network.lock().unwrap().pairs.push(Pair { client, server, silent });
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
        let mut bytes = [0; 16 << 10];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            let mut network = self.network.lock().unwrap();
            while network.stalled && !network.over {
                network = self.changed.wait(network).unwrap();
            }
            let delay = network.delay;
            drop(network);
            if silent.load(Ordering::Relaxed) {
                // Not even an end is passed on.
                if read == 0 {
                    return;
                }
                continue;
            }
            thread::sleep(delay);
            if read == 0 || to.write_all(&bytes[..read]).is_err() {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    }
}
