//! The behaviours of every shell.

mod common;

use std::net::SocketAddr;

use headcount::{Config, Registry, Timestamp};
use headcount_conformance::Shell;
use headcount_mio::Options;

use common::TestServer;

struct Mio(TestServer);

impl Shell for Mio {
    fn start(config: Config) -> Self {
        let mut server = TestServer::bind_built(config, Options::new());
        server.has_sources = false;
        Self(server.run())
    }

    fn address(&self) -> SocketAddr {
        self.0.address
    }

    fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> R {
        self.0.handle.call(|context| f(context.registry, context.now)).unwrap()
    }

    fn stop(&self) {
        self.0.handle.stop();
    }

    fn join(self) {
        self.0.join().unwrap();
    }
}

headcount_conformance::behaviours!(Mio);
