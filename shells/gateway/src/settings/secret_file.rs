//! A file that holds a secret.

use std::io;
use std::path::Path;

use headcount_protocol::secret::Secret;

use super::file;

/// A path, and what the file held when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretFile {
    path: String,
    content: Option<Secret>,
}

impl SecretFile {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), content: None }
    }

    /// Where it is. Until it was read it may be the secret itself: see
    /// [`names_a_file`](Self::names_a_file).
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// `None`: it was not read.
    pub(super) const fn content(&self) -> Option<&Secret> {
        self.content.as_ref()
    }

    pub(super) fn read(&mut self) -> io::Result<()> {
        self.content = Some(Secret::new(file::text(Path::new(&self.path))?));
        Ok(())
    }

    /// Whether the path names a file, and may be shown: a secret in its place, which is a mistake that
    /// is made, is neither there, nor in a directory that is there, nor absolute.
    pub(super) fn names_a_file(&self) -> bool {
        let path = Path::new(&self.path);
        let is_in_a_directory = || {
            let above = path.ancestors().skip(1);
            above.into_iter().any(|above| !above.as_os_str().is_empty() && above.is_dir())
        };
        path.is_absolute() || path.exists() || is_in_a_directory()
    }
}
