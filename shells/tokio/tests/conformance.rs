//! The behaviours of every shell, beside axum and with the sockets of tokio-tungstenite.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::any};
use headcount_conformance::{Application, Shell, Verdict};
use headcount_tokio::headcount::{Config, Refused, Registry, Timestamp};
use headcount_tokio::{Handle, Hub, HubError, Tungstenite, Upgrade};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, block_in_place};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use common::Conforming;

/// What both servers have in common.
struct Running {
    runtime: Runtime,
    address: SocketAddr,
    handle: Handle,
    hub: JoinHandle<()>,
}

impl Running {
    fn start<F: Future<Output = ()> + Send + 'static>(
        config: Config,
        serve: impl FnOnce(TcpListener, Handle) -> F,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (listener, hub, handle) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (hub, handle) = Hub::new(config, Conforming::default());
            (listener, tokio::spawn(hub.run()), handle)
        });
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, handle.clone()));
        Self { runtime, address, handle, hub }
    }

    fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> R {
        self.runtime.block_on(self.handle.call(f)).unwrap()
    }

    fn stop(&self) {
        let handle = self.handle.clone();
        self.runtime.spawn(async move { handle.stop().await });
    }

    fn join(self) {
        self.runtime.block_on(self.hub).unwrap();
    }
}

macro_rules! shell {
    ($name:ident, $serve:path) => {
        struct $name(Running);

        impl Shell for $name {
            fn start(config: Config) -> Self {
                Self(Running::start(config, $serve))
            }

            fn address(&self) -> SocketAddr {
                self.0.address
            }

            fn call<R: Send + 'static>(
                &self,
                f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
            ) -> R {
                self.0.call(f)
            }

            fn stop(&self) {
                self.0.stop();
            }

            fn join(self) {
                self.0.join();
            }
        }
    };
}

mod beside_axum {
    use super::*;

    shell!(BesideAxum, serve);
    headcount_conformance::behaviours!(BesideAxum);

    async fn serve(listener: TcpListener, handle: Handle) {
        let app = Router::new().route("/ws", any(upgrade)).with_state(handle);
        axum::serve(listener, app).await.unwrap();
    }

    async fn upgrade(RawQuery(query): RawQuery, upgrade: Upgrade) -> Result<Response, HubError> {
        let place = match Application::verdict(query.as_deref().unwrap_or_default()) {
            Verdict::Admit(who, start) => upgrade.hub.admit(who, start, None).await?,
            Verdict::Pending => upgrade.hub.reserve(None).await?,
            Verdict::Refuse => return Ok(StatusCode::BAD_REQUEST.into_response()),
        };
        Ok(upgrade.serve(place))
    }
}

#[test]
fn a_limit_of_a_user_is_429_and_any_other_refusal_503() {
    let retry_after = Duration::from_millis(1_500);
    let answer = |refused| HubError::Refused(refused).into_response();
    for own in [
        Refused::ConnectionsPerUser { retry_after },
        Refused::SessionsPerUser { retry_after },
        Refused::StreamsPerUser { retry_after },
        Refused::RateOfUser { retry_after },
    ] {
        assert_eq!(answer(own).status(), StatusCode::TOO_MANY_REQUESTS, "{own}");
        assert_eq!(answer(own).headers()["Retry-After"], "2", "{own}");
    }
    for other in [
        Refused::Rate { retry_after },
        Refused::Draining { retry_after },
        Refused::Pending,
        Refused::Connections,
        Refused::Users,
        Refused::Sessions,
        Refused::OtherTenant,
        Refused::Tenants,
        Refused::ConnectionsPerTenant,
        Refused::SessionsPerTenant,
        Refused::TenantBytes,
    ] {
        assert_eq!(answer(other).status(), StatusCode::SERVICE_UNAVAILABLE, "{other}");
    }
}

mod with_tungstenite {
    use super::*;

    shell!(WithTungstenite, serve);
    headcount_conformance::behaviours!(WithTungstenite);

    async fn serve(listener: TcpListener, handle: Handle) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(upgrade(stream, handle.clone()));
        }
    }

    /// Admits within the handshake, so that a refusal is an answer in HTTP. The callback is not asynchronous:
    /// so the thread waits for the hub.
    async fn upgrade(stream: TcpStream, handle: Handle) {
        let mut admitted = None;
        #[allow(clippy::result_large_err)] // The form of a refusal is tungstenite's.
        let callback = |request: &Request, response| {
            let verdict = Application::verdict(request.uri().query().unwrap_or_default());
            let asked = async {
                match verdict {
                    Verdict::Admit(who, start) => handle.admit(who, start, None).await,
                    Verdict::Pending => handle.reserve(None).await,
                    Verdict::Refuse => panic!("no test asks for it"),
                }
            };
            match block_in_place(|| tokio::runtime::Handle::current().block_on(asked)) {
                Ok(place) => admitted = Some(place),
                Err(error) => return Err(refusal(error)),
            }
            Ok(response)
        };
        let config =
            WebSocketConfig::default().read_buffer_size(1024).max_message_size(Some(1 << 20));
        if let (Ok(socket), Some(place)) =
            (accept_hdr_async_with_config(stream, callback, Some(config)).await, admitted)
        {
            place.serve(socket, Tungstenite).await;
        }
    }

    fn refusal(error: HubError) -> ErrorResponse {
        let answer = error.into_response();
        let mut response = ErrorResponse::new(None);
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        response
    }
}
