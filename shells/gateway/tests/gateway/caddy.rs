//! Behind Caddy with TLS, with the configuration that docs/proxies.md shows. Skipped, with a line, where
//! there is no Caddy.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;

use crate::common::behind_proxy::{
    PAGE, Tab, documented, free_address, gateway, replace, tls, token, trusting,
};
use crate::common::{PATIENCE, Server};

/// The major and the minor version. `None`: it is not installed.
fn version() -> Option<(u32, u32)> {
    let said = Command::new("caddy").arg("version").output().ok()?;
    let said = String::from_utf8(said.stdout).unwrap();
    let mut numbers = said.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Caddy before a gateway, in a folder of its own. Stopped when the test is over.
struct Proxy {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
    trusts: Arc<ClientConfig>,
}

impl Proxy {
    fn before(server: &Server) -> Option<Self> {
        let Some(version) = version() else {
            eprintln!("skipped: Caddy is not installed");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("headcount-caddy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let address = free_address();
        let [mut site, log] = documented("caddyfile").try_into().unwrap();
        replace(&mut site, "127.0.0.1:7400", &server.websocket.to_string());
        if version < (2, 7) {
            // As the document says.
            replace(&mut site, "stream_close_delay 30s", "");
        }
        let site = site.trim_end().strip_suffix('}').unwrap();
        let whole = format!(
            "{{\nadmin off\nlocal_certs\nskip_install_trust\nauto_https disable_redirects\n\
             https_port {}\n}}\n{site}{log}}}\n",
            address.port()
        );
        let configuration = folder.join("Caddyfile");
        fs::write(&configuration, whole).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(configuration);
        command.env("XDG_DATA_HOME", folder.join("data"));
        command.env("XDG_CONFIG_HOME", folder.join("config"));
        command.stdin(Stdio::null()).stderr(fs::File::create(folder.join("log")).unwrap());
        let child = command.spawn().unwrap();
        let root = folder.join("data/caddy/pki/authorities/local/root.crt");
        let certificates = folder.join("data/caddy/certificates/local/ws.example.com");
        let start = Instant::now();
        while TcpStream::connect(address).is_err()
            || !root.exists()
            || !certificates.join("ws.example.com.json").exists()
        {
            let log = fs::read_to_string(folder.join("log")).unwrap();
            assert!(start.elapsed() < PATIENCE, "Caddy has no certificate: {log}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Some(Self { child, address, trusts: trusting(&root), folder })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn clients_connect_through_caddy_and_its_log_has_no_token() {
    let server = gateway();
    let Some(proxy) = Proxy::before(&server) else { return };
    let token = token("alice", 60);
    let offered = format!("headcount.v1, bearer.{token}");
    let connect = |page: &str, subprotocols: &str, query: &str| {
        Tab::connect(tls(proxy.address, &proxy.trusts), page, subprotocols, query)
    };
    let welcomed = connect(PAGE, &offered, "").unwrap().welcome;
    assert_eq!(welcomed["user"], "alice");
    let query = format!("token={token}&thread=in-the-query");
    assert_eq!(connect(PAGE, "headcount.v1", &query).unwrap().welcome["thread"], "in-the-query");
    let refused = connect("https://evil.example", &offered, "").map(|_| ()).unwrap_err();
    assert_eq!(refused, (4506, "origin".into()));

    // Each request has its line when its connection has ended.
    let start = Instant::now();
    while proxy.log().matches("handled request").count() < 3 {
        assert!(start.elapsed() < PATIENCE, "{}", proxy.log());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let log = proxy.log();
    assert!(log.contains("in-the-query"), "{log}");
    for part in token.split('.') {
        assert!(!log.contains(part), "{part} is in {log}");
    }
}
