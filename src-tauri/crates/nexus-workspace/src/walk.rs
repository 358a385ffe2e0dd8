//! Lists the files that a snapshot of a folder would hold, within limits.

use crate::{
    plain_file::is_absent,
    rules::{Level, Matcher, is_git_dir},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// How much a snapshot may hold. Checked before anything is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes in one file.
    pub file_bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Bytes in all files together.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 512 * 1024 * 1024,
            files: 100_000,
            total_bytes: 4 * 1024 * 1024 * 1024,
        }
    }
}

/// Something in the folder that a snapshot cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path in the folder; what is not UTF-8 in it is replaced.
    pub path: String,
    pub reason: SkipReason,
}

/// Why something is not in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    Pipe,
    Socket,
    Device,
    /// Neither file, folder nor link, and nothing known.
    Unknown,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "not a file, folder or link",
        })
    }
}

/// One file or link that belongs to the snapshot.
pub(crate) struct FoundFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

/// Everything that belongs to the snapshot.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<FoundFile>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Listing {
    /// Bytes in all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }
}

/// Why a folder could not be listed.
#[derive(Debug)]
pub(crate) enum WalkError {
    Unreadable { path: PathBuf, source: io::Error },
    NotUtf8(String),
    TooBig(TooBig),
}

/// A folder holds more than a snapshot may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TooBig {
    pub limit: TooMuch,
    /// What weighs most, the worst first.
    pub heaviest: Vec<Heavy>,
}

/// Which limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// Single files are larger than `limit` bytes.
    FileBytes { limit: u64 },
    /// There are `found` files.
    Files { limit: u64, found: u64 },
    /// The files have `found` bytes together.
    TotalBytes { limit: u64, found: u64 },
}

/// A file or a folder, and what it weighs. The path of a folder ends with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heavy {
    pub path: String,
    pub files: u64,
    pub bytes: u64,
}

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_files = matches!(self.limit, TooMuch::Files { .. });
        match self.limit {
            TooMuch::FileBytes { limit } => {
                write!(f, "copy the folder: files over {}: ", Size(limit))?;
            }
            TooMuch::Files { limit, found } => write!(
                f,
                "copy the folder: it has {found} files, and {limit} is the limit; most are in "
            )?,
            TooMuch::TotalBytes { limit, found } => write!(
                f,
                "copy the folder: it has {}, and {} is the limit; most is in ",
                Size(found),
                Size(limit)
            )?,
        }
        for (n, heavy) in self.heaviest.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            if by_files {
                write!(f, "{comma}{} ({} files)", heavy.path, heavy.files)?;
            } else {
                write!(f, "{comma}{} ({})", heavy.path, Size(heavy.bytes))?;
            }
        }
        f.write_str(
            "; leave out what the task does not need with a line in .gitignore, or with `exclude` under [workspace] in .nexus/config.toml",
        )
    }
}

/// A number of bytes, for a person to read.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        let mut whole = self.0;
        let mut tenths = 0;
        let mut unit = 0;
        while whole >= 1024 && unit + 1 < units.len() {
            tenths = whole % 1024 * 10 / 1024;
            whole /= 1024;
            unit += 1;
        }
        if tenths == 0 {
            write!(f, "{whole} {}", units[unit])
        } else {
            write!(f, "{whole}.{tenths} {}", units[unit])
        }
    }
}

/// Lists what a snapshot of `root` holds by the rules alone.
pub(crate) fn walk(root: &Path, matcher: &Matcher, limits: &Limits) -> Result<Listing, WalkError> {
    let mut walk = Walk {
        root,
        matcher,
        limits,
        listing: Listing::default(),
        folders: Vec::new(),
        count: 0,
        bytes: 0,
        too_large: Vec::new(),
        pending: Vec::new(),
    };
    walk.pending.push((String::new(), None));
    while let Some((base, above)) = walk.pending.pop() {
        walk.read_folder(base, above)?;
    }
    walk.finish()
}

struct Walk<'a> {
    root: &'a Path,
    matcher: &'a Matcher,
    limits: &'a Limits,
    listing: Listing,
    /// What lies directly in each folder.
    folders: Vec<Heavy>,
    count: u64,
    bytes: u64,
    too_large: Vec<Heavy>,
    /// Folders yet to be read, with the ignore rules above them.
    pending: Vec<(String, Option<Rc<Level>>)>,
}

impl Walk<'_> {
    /// `base` is empty or ends with `/`.
    fn read_folder(&mut self, base: String, above: Option<Rc<Level>>) -> Result<(), WalkError> {
        let dir = self.root.join(&base);
        let unreadable = |source| WalkError::Unreadable {
            path: dir.clone(),
            source,
        };
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // It went away since its parent was read.
            Err(error) if is_absent(&error) && !base.is_empty() => return Ok(()),
            Err(error) => return Err(unreadable(error)),
        };
        let level = Level::read(self.root, &base, above);
        let mut here = Heavy {
            path: base,
            files: 0,
            bytes: 0,
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            self.read_entry(&entry, &level, &mut here)?;
        }
        self.folders.push(here);
        Ok(())
    }

    fn read_entry(
        &mut self,
        entry: &fs::DirEntry,
        level: &Rc<Level>,
        here: &mut Heavy,
    ) -> Result<(), WalkError> {
        let name = entry.file_name();
        let readable = name.to_string_lossy();
        if is_git_dir(&readable) {
            return Ok(());
        }
        let path = format!("{}{readable}", here.path);
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(source) => {
                let path = entry.path();
                return Err(WalkError::Unreadable { path, source });
            }
        };
        let is_dir = metadata.is_dir();
        // The rules see the name as it is, so that one that is not UTF-8 can be excluded.
        let exact = Path::new(&here.path).join(&name);
        if self.matcher.leaves_out(self.root, level, &exact, is_dir) {
            return Ok(());
        }
        if name.to_str().is_none() {
            return Err(WalkError::NotUtf8(path));
        }
        if is_dir {
            let below = Some(Rc::clone(level));
            self.pending.push((path + "/", below));
        } else if metadata.is_file() || metadata.is_symlink() {
            self.add(path, metadata.len(), here);
        } else {
            let reason = special(metadata.file_type());
            self.listing.skipped.push(Skipped { path, reason });
        }
        Ok(())
    }

    fn add(&mut self, path: String, bytes: u64, here: &mut Heavy) {
        self.count += 1;
        self.bytes += bytes;
        here.files += 1;
        here.bytes += bytes;
        if bytes > self.limits.file_bytes {
            self.too_large.push(Heavy {
                path: path.clone(),
                files: 1,
                bytes,
            });
        }
        // Past the limit only the counts matter, and memory stays bounded.
        if self.count <= self.limits.files {
            self.listing.files.push(FoundFile { path, bytes });
        }
    }

    fn finish(mut self) -> Result<Listing, WalkError> {
        let too_big = |limit, heaviest| Err(WalkError::TooBig(TooBig { limit, heaviest }));
        if !self.too_large.is_empty() {
            let limit = self.limits.file_bytes;
            self.too_large.sort_by_key(|f| std::cmp::Reverse(f.bytes));
            self.too_large.truncate(HEAVIEST);
            return too_big(TooMuch::FileBytes { limit }, self.too_large);
        }
        if self.count > self.limits.files {
            let limit = TooMuch::Files {
                limit: self.limits.files,
                found: self.count,
            };
            return too_big(limit, heaviest_folders(&self.folders, |h| h.files));
        }
        if self.bytes > self.limits.total_bytes {
            let limit = TooMuch::TotalBytes {
                limit: self.limits.total_bytes,
                found: self.bytes,
            };
            return too_big(limit, heaviest_folders(&self.folders, |h| h.bytes));
        }
        Ok(self.listing)
    }
}

/// How many offenders an error lists.
const HEAVIEST: usize = 5;

/// Sums up folders with what lies below them, and picks the heaviest that say something: a
/// folder that is nothing but the way to a heavier one is passed over for that one.
fn heaviest_folders(folders: &[Heavy], weight: impl Fn(&Heavy) -> u64) -> Vec<Heavy> {
    let mut sums: BTreeMap<&str, Heavy> = BTreeMap::new();
    for folder in folders {
        let ends = folder.path.match_indices('/').map(|(slash, _)| slash + 1);
        for end in std::iter::once(0).chain(ends) {
            let path = &folder.path[..end];
            let sum = sums.entry(path).or_insert_with(|| Heavy {
                path: if end == 0 { "./" } else { path }.to_owned(),
                files: 0,
                bytes: 0,
            });
            sum.files += folder.files;
            sum.bytes += folder.bytes;
        }
    }
    let parent = |path: &str| path.trim_end_matches('/').rfind('/').map_or(0, |s| s + 1);
    let passages: Vec<&str> = sums
        .iter()
        .filter(|(path, _)| !path.is_empty())
        .filter_map(|(path, sum)| {
            let above = &path[..parent(path)];
            (weight(sum) * 10 >= weight(&sums[above]) * 9).then_some(above)
        })
        .collect();
    let mut ranked: Vec<(&str, &Heavy)> = sums
        .iter()
        .filter(|(path, _)| !passages.contains(path))
        .map(|(path, sum)| (*path, sum))
        .collect();
    ranked.sort_by_key(|(_, sum)| std::cmp::Reverse(weight(sum)));
    let only_root = ranked.len() == 1;
    let mut chosen: Vec<(&str, &Heavy)> = Vec::new();
    for (path, sum) in ranked {
        let overlaps =
            |(other, _): &(&str, &Heavy)| path.starts_with(other) || other.starts_with(path);
        let is_root = path.is_empty() && !only_root;
        if !is_root && !chosen.iter().any(overlaps) && chosen.len() < HEAVIEST {
            chosen.push((path, sum));
        }
    }
    chosen.into_iter().map(|(_, sum)| sum.clone()).collect()
}

#[cfg(unix)]
fn special(kind: fs::FileType) -> SkipReason {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        SkipReason::Pipe
    } else if kind.is_socket() {
        SkipReason::Socket
    } else if kind.is_char_device() || kind.is_block_device() {
        SkipReason::Device
    } else {
        SkipReason::Unknown
    }
}

#[cfg(not(unix))]
fn special(_kind: fs::FileType) -> SkipReason {
    SkipReason::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, files: u64) -> Heavy {
        let path = path.to_owned();
        Heavy {
            path,
            files,
            bytes: files,
        }
    }

    #[test]
    fn the_heaviest_folders_are_those_worth_excluding() {
        let folders = [
            folder("", 3),
            folder("data/", 0),
            folder("data/raw/", 700),
            folder("logs/", 100),
            folder("logs/old/", 100),
            folder("src/", 10),
        ];
        let chosen = heaviest_folders(&folders, |h| h.files);
        let chosen: Vec<_> = chosen.iter().map(|h| (h.path.as_str(), h.files)).collect();
        assert_eq!(chosen, [("data/raw/", 700), ("logs/", 200), ("src/", 10)]);

        let flat = heaviest_folders(&[folder("", 9)], |h| h.files);
        assert_eq!(flat[0].path, "./");
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(Size(12).to_string(), "12 bytes");
        assert_eq!(Size(512 * 1024 * 1024).to_string(), "512 MiB");
        assert_eq!(Size(2_200_000_000).to_string(), "2 GiB");
        assert_eq!(Size(1536).to_string(), "1.5 KiB");
    }
}
