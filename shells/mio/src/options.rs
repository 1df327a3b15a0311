//! What the embedder says about a server beside the registry's configuration.

/// How a server speaks HTTP and what it does about signals.
///
/// Request heads are bounded by 8 KiB and 64 header lines, and by `session.head_deadline`.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) path: String,
    pub(crate) subprotocol: Option<String>,
    pub(crate) signals: bool,
}

impl Options {
    /// The path `/ws`, no subprotocol, signals left alone.
    #[must_use]
    pub fn new() -> Self {
        Self { path: "/ws".to_owned(), subprotocol: None, signals: false }
    }

    /// The path that is upgraded, compared with the request's as it stands there, not decoded;
    /// every other one is answered 404.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// A subprotocol that is confirmed to clients that offer it. Others are upgraded without one.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocol = Some(subprotocol.into());
        self
    }

    /// Whether SIGTERM and SIGINT stop the server as [`Handle::stop`] does; a second one makes
    /// [`Server::run`] return at once. They keep to be caught, without effect, after that.
    ///
    /// [`Handle::stop`]: crate::Handle::stop
    /// [`Server::run`]: crate::Server::run
    #[must_use]
    pub const fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
