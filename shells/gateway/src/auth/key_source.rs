//! Where a key set is read from: a file, or a server.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};

use super::jwks::Jwks;
use crate::regular_file::{self, too_large};

/// The largest key set, in bytes.
pub(crate) const MAX_BYTES: u64 = 256 * 1024;

/// How long a fetch may take, from the look-up of the name to the last byte.
pub(crate) const FETCH_TIME: Duration = Duration::from_secs(5);

/// Where a key set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A file, read again at every interval.
    File(PathBuf),
    /// A server.
    Url(Uri),
}

impl KeySource {
    /// A URL that keys may be fetched from: `https`, or `http` on this machine.
    ///
    /// # Errors
    /// What is wrong with it. The sentence does not quote it.
    pub(crate) fn url(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "must be a URL such as https://host/jwks.json")?;
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err("must be a URL such as https://host/jwks.json");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("must not hold a user or a password");
        }
        match uri.scheme_str() {
            Some("https") => Ok(Self::Url(uri)),
            // An attacker on the network could serve keys of their own.
            Some("http") if is_loopback(host) => Ok(Self::Url(uri)),
            Some("http") => Err("must be https: keys over http are anyone's, but from loopback"),
            _ => Err("must begin with https://"),
        }
    }

    /// Reads the key set, and waits for it: [`FETCH_TIME`] at most for one of a server.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn read(&self) -> Result<(Vec<u8>, Jwks), String> {
        let text = match self {
            Self::File(path) => of_file(path)?,
            Self::Url(uri) => of_server(uri)?,
        };
        Jwks::read(&text).map(|jwks| (text, jwks))
    }

    /// Reads a file once, so that a start with one that is no key set is refused. A server may be
    /// away when this one starts.
    ///
    /// # Errors
    /// Why the file is no key set.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::File(_) => self.read().map(drop).map_err(|why| format!("{self}: {why}")),
            Self::Url(_) => Ok(()),
        }
    }
}

/// Leaves out a query, which may hold a secret.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(uri) => {
                let scheme = uri.scheme_str().unwrap_or_default();
                let authority = uri.authority().map_or("", |authority| authority.as_str());
                write!(f, "{scheme}://{authority}{}", uri.path())
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn of_file(path: &Path) -> Result<Vec<u8>, String> {
    regular_file::read(path, MAX_BYTES).map_err(|error| format!("it can't be read: {error}"))
}

fn of_server(uri: &Uri) -> Result<Vec<u8>, String> {
    let config = Agent::config_builder()
        .timeout_global(Some(FETCH_TIME))
        .http_status_as_error(false)
        // A redirect leads to an address that the operator has not allowed.
        .max_redirects(0)
        .user_agent(concat!("headcount/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    let config = match uri.scheme_str() {
        Some("https") => config.https_only(true).tls_config(tls()?),
        _ => config.proxy(None),
    };
    let mut answer = config.build().new_agent().get(uri.clone()).call().map_err(|e| failed(&e))?;
    if answer.status() != 200 {
        return Err(format!("the server answered {}", answer.status().as_u16()));
    }
    answer.body_mut().with_config().limit(MAX_BYTES).read_to_vec().map_err(|e| failed(&e))
}

/// The certificate authorities of the system.
fn tls() -> Result<TlsConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(
            "this system has no certificate authorities: install ca-certificates, or name a \
                    file of them in SSL_CERT_FILE"
                .to_owned(),
        );
    }
    let roots: Vec<_> =
        found.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

fn failed(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Global) => {
            format!("no whole answer came within {} s", FETCH_TIME.as_secs())
        }
        ureq::Error::BodyExceedsLimit(_) => too_large(MAX_BYTES),
        error => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
