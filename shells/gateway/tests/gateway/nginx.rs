//! Behind nginx with TLS, with the configuration that docs/proxies.md shows. Skipped, with a line, where
//! there is no nginx or no openssl.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use serde_json::{Value, json};
use tungstenite::Message;

use crate::common::behind_proxy::{
    ADMIN, HOST, PAGE, SECRET, Tab, documented, free_address, gateway, is_installed, replace, tls,
    token, trusting,
};
use crate::common::browser::Page;
use crate::common::{PATIENCE, Server};

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
        let mut documented = documented("nginx").remove(0);
        for (from, to) in &replaced {
            replace(&mut documented, from, to);
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

        let trusts = trusting(&certificate);
        let proxy = Self { child, folder, configuration, address, trusts };
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
        let offered = format!("headcount.v1, bearer.{}", token(user, 60));
        Tab::connect(tls(self.address, &self.trusts), page, &offered, query)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
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
    fs::write(root.join("headcount.js"), include_str!("../../../../clients/js/headcount.js"))
        .unwrap();
    format!(
        "server {{\nlisten {address} ssl;\nserver_name app.example.com;\nssl_certificate {};\n\
         ssl_certificate_key {};\naccess_log off;\nroot {};\n\
         types {{ text/html html; text/javascript js; }}\n}}\n",
        shown(&folder.join("certificate.pem")),
        shown(&folder.join("key.pem")),
        shown(&root)
    )
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
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
    // Every host name leads to this machine, and no authority has signed its certificate.
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
    let mut stream = tls(proxy.address, &proxy.trusts);
    write!(stream, "GET /v1/stats HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("nginx"), "{answer}");
}
