//! Reads small text files that a project may hold, without following links and without
//! waiting on anything that is not a regular file.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// The start of a file.
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    /// The file goes on after `bytes`.
    pub(crate) truncated: bool,
}

impl Head {
    /// As text. What is not UTF-8 is replaced, a byte order mark is dropped.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned()
    }
}

/// Reads at most `limit` bytes of a regular file; `None` if there is none of that name.
pub(crate) fn read_head(path: &Path, limit: u64) -> io::Result<Option<Head>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(limit).read_to_end(&mut bytes)?;
    let truncated = file.read(&mut [0])? > 0;
    Ok(Some(Head { bytes, truncated }))
}

/// Does the error say that there is nothing of that name?
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory
}

/// The text of a regular file of at most `limit` bytes. `None` if there is none, if it is
/// longer, or if it cannot be read: for files that only give hints.
pub(crate) fn hint(path: &Path, limit: u64) -> Option<String> {
    let head = read_head(path, limit).ok()??;
    (!head.truncated).then(|| head.text())
}
