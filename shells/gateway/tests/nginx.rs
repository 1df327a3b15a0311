//! Behind nginx with TLS, with the configuration that docs/proxies.md shows. Skipped, with a line, where
//! there is no nginx or no openssl.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::{EncodingKey, Header};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use common::browser::Page;
use common::{PATIENCE, Server};

const HOST: &str = "ws.example.com";
const PAGE: &str = "https://app.example.com";
const SECRET: &str = "a secret of the tests, long enough for HS256";
const ADMIN: &str = "the-admin-key-of-the-tests";

/// A token for so many seconds.
fn token(user: &str, seconds: u64) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = json!({"sub": user, "iat": now, "exp": now + seconds});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

fn publish(server: &Server, data: &str) {
    let body = format!("{{\"to\":{{\"user\":\"alice\"}},\"data\":{data}}}");
    let answer = server.keyed(ADMIN, "POST", "/v1/publish", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn stats(server: &Server) -> Value {
    server.keyed(ADMIN, "GET", "/v1/stats", "").json()
}

fn until_none_is_left(server: &Server) {
    let start = Instant::now();
    while stats(server)["connections"]["live"] != 0 {
        assert!(start.elapsed() < PATIENCE, "{}", stats(server));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// nginx before a gateway, in a folder of its own. Stopped when the test is over.
struct Proxy {
    child: Child,
    folder: PathBuf,
    configuration: PathBuf,
    address: SocketAddr,
    trusts: Arc<ClientConfig>,
}

impl Proxy {
    /// `None`: what it needs is not installed.
    fn before(server: &Server, name: &str) -> Option<Self> {
        if !is_installed("nginx", "-v") || !is_installed("openssl", "version") {
            eprintln!("skipped: nginx and openssl are needed, and one of them is not installed");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("headcount-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-days", "2", "-subj", "/CN=headcount", "-addext"])
            .arg(format!("subjectAltName=DNS:{HOST}"))
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "a certificate is made");

        let address = free_address();
        let replaced = [
            ("listen 443 ssl", format!("listen {address} ssl")),
            ("/etc/ssl/ws.example.com.pem", shown(&certificate)),
            ("/etc/ssl/ws.example.com.key", shown(&key)),
            ("/var/log/nginx/headcount.log", shown(&folder.join("access.log"))),
            ("http://127.0.0.1:7400", format!("http://{}", server.websocket)),
        ];
        let mut documented = documented("nginx");
        for (from, to) in &replaced {
            assert_eq!(documented.matches(from).count(), 1, "{from}");
            documented = documented.replace(from, to);
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", shown(&folder.join(kind))))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log {} warn;\n\
             events {{}}\nhttp {{\n{temporary}{documented}\n{}}}\n",
            shown(&folder.join("pid")),
            shown(&folder.join("error.log")),
            site(&folder, address),
        );
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, whole).unwrap();
        let child = nginx(&folder, &configuration);

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trusts = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let proxy = Self { child, folder, configuration, address, trusts: Arc::new(trusts) };
        proxy.wait_until_it_listens();
        Some(proxy)
    }

    /// nginx ends, with all connections through it, and begins again.
    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = nginx(&self.folder, &self.configuration);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&self) {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let errors = fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "nginx does not listen: {errors}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A page's WebSocket; a refusal is the code and the reason of its close.
    fn connect(&self, page: &str, user: &str, query: &str) -> Result<Tab, (u16, Value)> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.trusts), name).unwrap();
        let mut request = format!("wss://{HOST}/ws?{query}").into_client_request().unwrap();
        request.headers_mut().insert("origin", HeaderValue::from_str(page).unwrap());
        // What a browser can send: it sets no other header.
        let offered = format!("headcount.v1, bearer.{}", token(user, 60));
        let offered = HeaderValue::from_str(&offered).unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered);
        match tungstenite::client(request, StreamOwned::new(tls, stream)) {
            Ok((socket, _)) => {
                let mut tab = Tab { socket, welcome: Value::Null };
                match tab.first() {
                    Ok(welcome) => tab.welcome = welcome,
                    Err(refused) => return Err(refused),
                }
                assert_eq!(tab.welcome["type"], "welcome");
                Ok(tab)
            }
            Err(other) => panic!("{other}"),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Tab {
    socket: WebSocket<StreamOwned<ClientConnection, TcpStream>>,
    welcome: Value,
}

impl Tab {
    fn next(&mut self) -> Value {
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

fn nginx(folder: &Path, configuration: &Path) -> Child {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(configuration).args(["-e", "stderr"]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The site of the page: another host, with an empty page and the client's module.
fn site(folder: &Path, address: SocketAddr) -> String {
    let root = folder.join("site");
    fs::create_dir_all(&root).unwrap();
    let page = "<!doctype html><title>site</title><link rel=icon href=data:,>";
    fs::write(root.join("index.html"), page).unwrap();
    fs::write(root.join("headcount.js"), include_str!("../../../clients/js/headcount.js")).unwrap();
    format!(
        "server {{\nlisten {address} ssl;\nserver_name app.example.com;\nssl_certificate {};\n\
         ssl_certificate_key {};\naccess_log off;\nroot {};\n\
         types {{ text/html html; text/javascript js; }}\n}}\n",
        shown(&folder.join("certificate.pem")),
        shown(&folder.join("key.pem")),
        shown(&root)
    )
}

fn is_installed(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The one block of this language in the document.
fn documented(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proxies.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, after) = page.split_once(&format!("```{language}\n")).expect("a block");
    after.split_once("```").expect("its end").0.to_owned()
}

/// The gateway with the settings that the document shows, on a port that is free and with keys of the
/// test.
fn gateway() -> Server {
    let (key, admin) = (common::File::new(SECRET), common::File::new(ADMIN));
    let mut settings = documented("toml");
    for (from, to) in [
        ("\"127.0.0.1:7400\"", "\"127.0.0.1:0\"".to_owned()),
        ("/etc/headcount/token.key", shown(key.path())),
        ("/etc/headcount/admin.key", shown(admin.path())),
    ] {
        assert_eq!(settings.matches(from).count(), 1, "{from}");
        settings = settings.replace(from, &to);
    }
    let file = common::File::new(&settings);
    let mut command = common::headcount();
    command.args(["serve", "--admin", "127.0.0.1:0", "--config"]).arg(file.path());
    command.args(["--set", "heartbeat.interval=1s"]);
    Server::run(command)
}

#[test]
fn a_page_connects_through_tls_and_resumes_after_a_cut() {
    let server = gateway();
    let Some(proxy) = Proxy::before(&server, "resume") else { return };
    let mut tab = proxy.connect(PAGE, "alice", "").unwrap();
    publish(&server, "1");
    let seen = tab.next();
    assert_eq!((&seen["offset"], &seen["data"]), (&1.into(), &1.into()));

    // The socket ends without a close frame, as when a train enters a tunnel.
    tab.socket.get_mut().sock.shutdown(std::net::Shutdown::Both).unwrap();
    until_none_is_left(&server);
    publish(&server, "2");
    let epoch = tab.welcome["session"]["epoch"].as_str().unwrap();
    let previous = tab.welcome["connection"].as_str().unwrap();
    let query = format!("epoch={epoch}&offset=1&previous={previous}");
    let mut tab = proxy.connect(PAGE, "alice", &query).unwrap();
    assert_eq!(tab.welcome["recovered"], "all");
    let missed = tab.next();
    assert_eq!((&missed["offset"], &missed["data"]), (&2.into(), &2.into()));

    let refresh = json!({"type": "refresh", "token": token("alice", 120), "id": 1}).to_string();
    tab.socket.send(Message::text(refresh)).unwrap();
    assert_eq!(tab.next(), json!({"type": "ok", "request": 1}));

    // A quiet connection lives: pings go through, and so do the pongs.
    let pongs = |stats: &Value| stats["heartbeat"]["pongs_received"].as_u64().unwrap_or_default();
    let before = pongs(&stats(&server));
    tab.socket.get_mut().sock.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let start = Instant::now();
    while pongs(&stats(&server)) < before + 2 {
        assert!(start.elapsed() < PATIENCE, "no pong came through");
        // Reading answers the pings.
        let _ = tab.socket.read();
    }
    assert_eq!(stats(&server)["connections"]["live"], 1);
}

/// Makes tokens of three seconds in the page, as its back end would, and a client that uses them.
const PAGE_SCRIPT: &str = r#"
    import('/headcount.js').then(async ({ Client }) => {
        const bytes = text => new TextEncoder().encode(text);
        const base64 = it => btoa(String.fromCharCode(...new Uint8Array(it)))
            .replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
        const sign = await crypto.subtle.importKey(
            'raw', bytes(SECRET), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
        const token = async () => {
            window.calls++;
            const iat = Math.floor(Date.now() / 1000);
            const parts = [{ alg: 'HS256', typ: 'JWT' }, { sub: 'alice', iat, exp: iat + 3 }];
            const text = parts.map(part => base64(bytes(JSON.stringify(part)))).join('.');
            return `${text}.${base64(await crypto.subtle.sign('HMAC', sign, bytes(text)))}`;
        };
        Object.assign(window, { calls: 0, seen: [], told: [] });
        window.client = new Client('wss://ws.example.com/ws', { token });
        client.on('event', event => seen.push(event.data));
        for (const name of ['gap', 'reset', 'close']) client.on(name, it => told.push([name, it]));
        return 0;
    })
"#;

#[test]
fn a_browser_connects_resumes_and_refreshes_through_tls() {
    let server = gateway();
    let Some(mut proxy) = Proxy::before(&server, "browser") else { return };
    // Names of the world are this machine's, and its certificate is nobody's.
    let names = format!("--host-resolver-rules=MAP *.example.com {}", proxy.address);
    let flags = [&*names, "--ignore-certificate-errors"];
    let Some(mut page) = Page::open_with(&format!("{PAGE}/"), "nginx", &flags) else {
        eprintln!("skipped: there is no browser");
        return;
    };
    page.until("document.readyState === 'complete' && location.protocol === 'https:'");
    page.is(&PAGE_SCRIPT.replace("SECRET", &json!(SECRET).to_string()));
    page.until("client.state === 'open'");
    let first = page.is("client.connection");
    publish(&server, "1");
    page.until("seen.length === 1");
    // Two lives of a token later it is the same connection.
    page.until("calls >= 4");
    assert_eq!(page.is("[client.state, client.connection]"), json!(["open", first]));

    proxy.restart();
    publish(&server, "2");
    page.until("(client.retry(), client.state === 'open' && client.connection !== null)");
    publish(&server, "3");
    page.until("seen.length === 3");
    assert_eq!(page.is("[seen, told]"), json!([[1, 2, 3], []]));
    assert_ne!(page.is("client.connection"), first);
}

#[test]
fn pages_of_other_origins_are_refused_and_queries_stay_out_of_the_log() {
    let server = gateway();
    let Some(proxy) = Proxy::before(&server, "origins") else { return };
    for page in ["https://evil.example", "http://app.example.com", "https://app.example.com.evil"] {
        // In band, so that the page can read it.
        let refused = proxy.connect(page, "alice", "").map(|_| ()).unwrap_err();
        assert_eq!(refused, (4506, "origin".into()), "{page}");
    }
    let tab = proxy.connect(PAGE, "alice", "thread=in-the-query").unwrap();
    drop(tab);
    until_none_is_left(&server);
    let log = proxy.folder.join("access.log");
    let start = Instant::now();
    let mut text = String::new();
    while !text.contains("\"GET /ws\" 101 ") {
        assert!(start.elapsed() < PATIENCE, "{text}");
        text = fs::read_to_string(&log).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!text.contains("in-the-query") && !text.contains("alice"), "{text}");
}

#[test]
fn what_is_not_the_websocket_path_does_not_reach_the_gateway() {
    let server = gateway();
    let Some(proxy) = Proxy::before(&server, "paths") else { return };
    let stream = TcpStream::connect(proxy.address).unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let tls = ClientConnection::new(Arc::clone(&proxy.trusts), name).unwrap();
    let mut stream = StreamOwned::new(tls, stream);
    write!(stream, "GET /v1/stats HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("nginx"), "{answer}");
}
