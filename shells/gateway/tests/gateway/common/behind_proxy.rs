//! What docs/proxies.md shows, and browsers that connect through a proxy with TLS.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use jsonwebtoken::{EncodingKey, Header};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use super::{File, PATIENCE, Server, headcount};

pub(crate) const HOST: &str = "ws.example.com";
pub(crate) const PAGE: &str = "https://app.example.com";
pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";
pub(crate) const ADMIN: &str = "the-admin-key-of-the-tests";

/// The blocks of this language in the document, in their order.
pub(crate) fn documented(language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proxies.md");
    let page = std::fs::read_to_string(page).unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.map(|after| after.split_once("```").expect("its end").0.to_owned()).collect()
}

/// Replaces what stands once in a configuration.
pub(crate) fn replace(configuration: &mut String, from: &str, to: &str) {
    assert_eq!(configuration.matches(from).count(), 1, "{from}");
    *configuration = configuration.replace(from, to);
}

/// The gateway with the settings that the document shows, on a port that is free, with keys of its own.
pub(crate) fn gateway() -> Server {
    let [token_key, admin_key] = [File::new(SECRET), File::new(ADMIN)];
    let mut settings = documented("toml").remove(0);
    replace(&mut settings, "listen = \"127.0.0.1:7400\"", "listen = \"127.0.0.1:0\"");
    for (documented, file) in [("token.key", &token_key), ("admin.key", &admin_key)] {
        let file = file.path().to_str().unwrap();
        replace(&mut settings, &format!("/etc/headcount/{documented}"), file);
    }
    let file = File::new(&settings);
    let mut command = headcount();
    command.args(["serve", "--admin", "127.0.0.1:0", "--config"]).arg(file.path());
    command.args(["--set", "heartbeat.interval=1s"]);
    Server::run(command)
}

pub(crate) fn is_installed(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A token for so many seconds.
pub(crate) fn token(user: &str, seconds: u64) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = json!({"sub": user, "iat": now, "exp": now + seconds});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

/// Trusts the certificate authority in this file.
pub(crate) fn trusting(certificate: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// TLS with the proxy, before a request.
pub(crate) fn tls(
    address: SocketAddr,
    trusts: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(trusts), name).unwrap(), stream)
}

/// A page's WebSocket.
pub(crate) struct Tab {
    pub(crate) socket: WebSocket<StreamOwned<ClientConnection, TcpStream>>,
    pub(crate) welcome: Value,
}

impl Tab {
    /// Connects as a browser does, which sets no header but these; a refusal is the code and the
    /// reason of its close.
    pub(crate) fn connect(
        stream: StreamOwned<ClientConnection, TcpStream>,
        page: &str,
        subprotocols: &str,
        query: &str,
    ) -> Result<Self, (u16, Value)> {
        let mut request = format!("wss://{HOST}/ws?{query}").into_client_request().unwrap();
        request.headers_mut().insert("origin", HeaderValue::from_str(page).unwrap());
        let offered = HeaderValue::from_str(subprotocols).unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered);
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        let mut tab = Self { socket, welcome: Value::Null };
        tab.welcome = tab.first()?;
        assert_eq!(tab.welcome["type"], "welcome");
        Ok(tab)
    }

    pub(crate) fn next(&mut self) -> Value {
        self.first().expect("a frame")
    }

    /// The next frame, or the code and the reason of the close that came in its place.
    fn first(&mut self) -> Result<Value, (u16, Value)> {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return Ok(serde_json::from_str(text.as_str()).unwrap()),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(Some(close)) => {
                    return Err((close.code.into(), close.reason.as_str().into()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
