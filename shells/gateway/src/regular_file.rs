//! Reading a file that a setting names.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Reads a regular file of at most `most` bytes, which are whole KiB.
///
/// # Errors
/// It can't be read, is no regular file, or is larger.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // A pipe has nothing more to say on the second reading, and may never say anything.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(too_large(most)));
    }
    Ok(bytes)
}

/// What is said of something that has more than `most` bytes.
pub(crate) fn too_large(most: u64) -> String {
    format!("it is larger than {} KiB", most / 1024)
}
