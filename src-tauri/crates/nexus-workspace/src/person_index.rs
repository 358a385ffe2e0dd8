//! Reads the index of the person's repository: the list of the files it tracks.
//!
//! NEXUS reads it itself, because git can only be asked about it in the repository, under the
//! configuration of the repository. Only paths and kinds are taken; the rest is stepped over.

use crate::plain_file::read_head;
use std::path::Path;

/// Larger than the index of any checkout that fits the limits of a snapshot.
const INDEX_LIMIT: u64 = 256 * 1024 * 1024;

/// The lengths of the hashes git knows: SHA-1 and SHA-256. Which one a repository uses stands
/// in its configuration; an index makes sense with one of them only.
const HASHES: [usize; 2] = [20, 32];

/// The paths of the files and links in the index of a git directory, as UTF-8; others cannot
/// be in a snapshot and are found by the walk. Empty if there is no index yet. The error says
/// what is wrong with the file.
pub(crate) fn tracked_paths(git_dir: &Path) -> Result<Vec<String>, String> {
    let Some(index) = read_index(&git_dir.join("index"))? else {
        return Ok(Vec::new());
    };
    let mut paths = index.paths;
    if let Some(shared) = index.shared {
        let name = format!("sharedindex.{shared}");
        let shared = read_index(&git_dir.join(&name))?;
        let shared = shared.ok_or_else(|| format!("its other half, `{name}`, is missing"))?;
        // What was removed since the halves were split is still listed here. That matters only
        // for an ignored file that is still there, which is then taken along.
        paths.extend(shared.paths);
    }
    let paths = paths.into_iter().filter_map(|p| String::from_utf8(p).ok());
    // Entries that replace one of the other half have no name of their own.
    Ok(paths.filter(|p| !p.is_empty()).collect())
}

/// What is of interest in one index file.
struct Index {
    paths: Vec<Vec<u8>>,
    /// The hash in the name of the file that holds the other half of the entries.
    shared: Option<String>,
}

fn read_index(path: &Path) -> Result<Option<Index>, String> {
    let head = read_head(path, INDEX_LIMIT).map_err(|error| error.to_string())?;
    let Some(head) = head else {
        return Ok(None);
    };
    let mut attempts = HASHES.iter().filter_map(|hash| parse(&head.bytes, *hash));
    match attempts.next() {
        Some(index) => Ok(Some(index)),
        None => Err("it is not a whole index file".to_owned()),
    }
}

/// Reads an index whose hashes have this length. `None` unless it is one from the first byte
/// to the last.
fn parse(bytes: &[u8], hash: usize) -> Option<Index> {
    let end = bytes.len().checked_sub(hash)?;
    let mut reader = Reader {
        bytes: bytes.get(..end)?,
        at: 0,
    };
    if reader.take(4)? != b"DIRC" {
        return None;
    }
    let version = reader.number()?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut index = Index {
        paths: Vec::new(),
        shared: None,
    };
    let mut previous = Vec::new();
    for _ in 0..reader.number()? {
        let (mode, path) = reader.entry(version, hash, &previous)?;
        if matches!(mode >> 12, 0o10 | 0o12) {
            index.paths.push(path.clone());
        }
        previous = path;
    }
    while reader.at < end {
        let name = reader.take(4)?;
        let length = usize::try_from(reader.number()?).ok()?;
        let content = reader.take(length)?;
        if name == b"link" {
            let base = content.get(..hash)?;
            index.shared = Some(base.iter().map(|b| format!("{b:02x}")).collect());
        }
    }
    Some(index)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Everything up to the next NUL, which is stepped over.
    fn until_nul(&mut self) -> Option<&'a [u8]> {
        let length = self.bytes.get(self.at..)?.iter().position(|b| *b == 0)?;
        let taken = self.take(length)?;
        self.take(1)?;
        Some(taken)
    }

    /// Mode and path of the next entry.
    fn entry(&mut self, version: u32, hash: usize, previous: &[u8]) -> Option<(u32, Vec<u8>)> {
        let start = self.at;
        self.take(24)?; // times, device, inode
        let mode = self.number()?;
        self.take(12 + hash)?; // owner, group, size, object
        let flags = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        if flags & 0x4000 != 0 {
            self.take(2)?;
        }
        if version == 4 {
            // The path is that of the entry before, less some bytes, and what follows.
            let dropped = self.variable_number()?;
            let kept = previous.get(..previous.len().checked_sub(dropped)?)?;
            let path = [kept, self.until_nul()?].concat();
            return Some((mode, path));
        }
        let path = self.until_nul()?.to_vec();
        // Entries are padded to a multiple of eight bytes.
        let beyond = (self.at - start) % 8;
        let padding = self.take((8 - beyond) % 8)?;
        padding.iter().all(|b| *b == 0).then_some((mode, path))
    }

    /// The number encoding that git uses for offsets.
    fn variable_number(&mut self) -> Option<usize> {
        let mut byte = self.take(1)?[0];
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            let more = value.checked_add(1)?.checked_mul(128)?;
            value = more.checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }
}
