//! What the embedder says about a server beside the registry's configuration.

/// How a server speaks HTTP and what it does about signals.
///
/// Request heads are bounded by `limits.head_bytes` and 128 header lines, and by
/// `session.head_deadline`.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) paths: Vec<String>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) refuse_in_band: bool,
    pub(crate) signals: bool,
}

impl Options {
    /// The path `/ws`, no subprotocol, signals left alone.
    #[must_use]
    pub fn new() -> Self {
        let paths = vec!["/ws".to_owned()];
        Self { paths, subprotocol: None, refuse_in_band: false, signals: false }
    }

    /// The paths that are upgraded, compared with the request's as it stands there, not decoded; every other
    /// one is answered 404. [`Request::path`](crate::Request::path) tells the handler which of them it is.
    /// None at all: any path is upgraded that the handler does not refuse.
    #[must_use]
    pub fn paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.paths = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Whether requests for this path are asked about.
    pub(crate) fn has_path(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|known| known == path)
    }

    /// A subprotocol that is confirmed to clients that offer it. Others are upgraded without one.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<String>) -> Self {
        self.subprotocol = Some(subprotocol.into());
        self
    }

    /// Whether clients that offer the [`subprotocol`](Self::subprotocol) are refused with an upgrade
    /// and a close frame instead of an answer in HTTP, whose status a browser does not show to its
    /// page. The code is that of [`Answer::closes_with`], and the reason is the code of the answer:
    /// `code`, or `code retry_after=N` with whole seconds.
    ///
    /// It concerns well-formed upgrade requests only, and no socket for which there is no place.
    ///
    /// [`Answer::closes_with`]: crate::Answer::closes_with
    #[must_use]
    pub const fn refuse_in_band(mut self, in_band: bool) -> Self {
        self.refuse_in_band = in_band;
        self
    }

    /// Whether the process's signals are the server's:
    ///
    /// | signal | effect |
    /// |---|---|
    /// | SIGTERM, SIGINT | stop the server as [`Handle::stop`] does; a second one makes [`Server::run`] return at once |
    /// | SIGHUP | [`Handler::hang_up`] says; by default as SIGTERM, and none if the process was started with SIGHUP ignored, as `nohup` does (known on Linux only) |
    /// | SIGUSR1, SIGUSR2, SIGXFSZ | none: without this each would kill the process. A write that a limit of the file's size stops (SIGXFSZ) is an error of that write |
    ///
    /// All of them stay caught, without effect, after [`Server::run`] has returned.
    ///
    /// [`Handle::stop`]: crate::Handle::stop
    /// [`Handler::hang_up`]: crate::Handler::hang_up
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
