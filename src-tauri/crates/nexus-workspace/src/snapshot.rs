//! Takes snapshots: lists a folder by its rules, hashes what changed since the last time, and
//! records the result as a tree with a commit on it.

use crate::{
    BadPattern, BrokenGit, GitError, GitVersion, Limits, Repository, Skipped, TooBig, TooMuch,
    git::Call,
    person_git::PersonGit,
    repository::IndexLock,
    rules::{Matcher, Rules, is_git_dir},
    walk::{FoundFile, Heavy, Listing, WalkError, walk},
};
use nexus_core::{SnapshotId, TreeId};
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

/// A recorded state of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub id: SnapshotId,
    /// The content; equal for equal content.
    pub tree: TreeId,
    pub files: u64,
    /// Size of all files together, before compression.
    pub bytes: u64,
    /// What was there and could not be held.
    pub skipped: Vec<Skipped>,
}

/// Why no snapshot was taken. Nothing in the folder was changed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("read {}: {source}; make it readable for you, or exclude it in .gitignore", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("read `{path}`: {problem}; make it readable for you, or exclude it in .gitignore")]
    UnreadableFile { path: String, problem: String },
    #[error("copy `{0}`: its name is not UTF-8; rename it, or exclude it with a pattern like `{pattern}` in .gitignore", pattern = .0.replace('\u{fffd}', "*"))]
    NotUtf8(String),
    #[error(transparent)]
    TooBig(#[from] TooBig),
    #[error(transparent)]
    BrokenGit(#[from] BrokenGit),
    #[error(transparent)]
    BadPattern(#[from] BadPattern),
    #[error(transparent)]
    Git(GitError),
    #[error("write {}: {source}; check the rights and the free space of the data folder", path.display())]
    Storage { path: PathBuf, source: io::Error },
}

impl From<WalkError> for SnapshotError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Unreadable { path, source } => Self::Unreadable { path, source },
            WalkError::NotUtf8(path) => Self::NotUtf8(path),
            WalkError::TooBig(too_big) => Self::TooBig(too_big),
        }
    }
}

impl From<GitError> for SnapshotError {
    fn from(error: GitError) -> Self {
        let unreadable = match &error {
            GitError::Failed { message, .. } => unreadable_file(message),
            GitError::NotFound
            | GitError::TooOld { .. }
            | GitError::NotGit { .. }
            | GitError::CouldNotStart { .. }
            | GitError::TimedOut { .. }
            | GitError::Unexpected { .. } => None,
        };
        unreadable.unwrap_or(Self::Git(error))
    }
}

/// Understands git's complaint about a file that it could not open.
fn unreadable_file(message: &str) -> Option<SnapshotError> {
    let mut lines = message.lines();
    lines.find_map(|line| {
        let (path, problem) = line.strip_prefix("error: open(\"")?.split_once("\"): ")?;
        Some(SnapshotError::UnreadableFile {
            path: path.to_owned(),
            problem: problem.to_owned(),
        })
    })
}

/// A project's folder with the rules that say what of it belongs to a snapshot.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) folder: PathBuf,
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    git: Option<PersonGit>,
}

impl Source {
    /// Reads the rules of a folder. `exclude` are the patterns of the project's configuration.
    pub fn new(folder: &Path, exclude: &[String], limits: Limits) -> Result<Self, SnapshotError> {
        let folder = folder
            .canonicalize()
            .map_err(|source| SnapshotError::Unreadable {
                path: folder.to_owned(),
                source,
            })?;
        let git = PersonGit::around(&folder)?;
        let rules = Rules::of(&folder, git.as_ref(), exclude.to_vec());
        rules.matcher()?;
        // Without rules of its repository the folder is a project of its own.
        let git = git.filter(|_| rules.has_outer());
        Ok(Self {
            folder,
            rules,
            limits,
            git,
        })
    }

    /// The folder's canonical path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lists the folder and says whether it fits into a snapshot. Records nothing.
    pub fn measure(&self) -> Result<(), SnapshotError> {
        walk(&self.folder, &self.rules.matcher()?, &self.limits)?;
        Ok(())
    }

    /// The repository that the project belongs to, unless it is one of its own in there.
    pub(crate) fn person_git(&self) -> Option<&PersonGit> {
        self.git.as_ref()
    }

    /// The files that the project's own repository tracks, relative to the folder.
    fn tracked(&self) -> Result<Vec<String>, BrokenGit> {
        let Some(git) = &self.git else {
            return Ok(Vec::new());
        };
        let tracked = git.tracked()?;
        let below = self.folder.strip_prefix(&git.top).unwrap_or(Path::new(""));
        if below.as_os_str().is_empty() {
            return Ok(tracked);
        }
        let prefix = format!("{}/", below.to_string_lossy());
        let inside = tracked.iter().filter_map(|path| path.strip_prefix(&prefix));
        Ok(inside.map(str::to_owned).collect())
    }
}

impl Repository {
    /// Records the folder as it is now. `label` is the message of the commit.
    ///
    /// A repeated snapshot reads only the files that changed since the last.
    pub fn snapshot(&self, source: &Source, label: &str) -> Result<Snapshot, SnapshotError> {
        let digest = Sha256::digest(source.folder.as_os_str().as_encoded_bytes());
        let name: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let index = self.dir.join("nexus").join(format!("{name}.index"));
        let tracked = source.tracked()?;
        self.record(&Recording {
            folder: &source.folder,
            index: &index,
            matcher: &source.rules.matcher()?,
            limits: &source.limits,
            tracked,
            label,
            parent: None,
        })
    }

    pub(crate) fn record(&self, what: &Recording<'_>) -> Result<Snapshot, SnapshotError> {
        let storage = |source| SnapshotError::Storage {
            path: what.index.to_owned(),
            source,
        };
        let mut listing = walk(what.folder, what.matcher, what.limits)?;
        what.add_tracked(&mut listing)?;
        let lock = IndexLock::take(what.index).map_err(storage)?;
        let (index, known) = lock.copy().map_err(storage)?;
        let tree = Hashing {
            repository: self,
            folder: what.folder,
            index: &index,
            known,
        }
        .tree_of(&listing)?;
        lock.put_back(index).map_err(storage)?;
        let id = self.commit(&tree, what.label, what.parent)?;
        Ok(Snapshot {
            id,
            tree,
            files: listing.files.len() as u64,
            bytes: listing.bytes(),
            skipped: listing.skipped,
        })
    }

    /// Makes a commit of a tree.
    pub(crate) fn commit(
        &self,
        tree: &TreeId,
        label: &str,
        parent: Option<&SnapshotId>,
    ) -> Result<SnapshotId, GitError> {
        let mut args = vec!["commit-tree", tree.as_str(), "-m", label];
        if let Some(parent) = parent {
            args.extend(["-p", parent.as_str()]);
        }
        let printed = self.git.call(&self.dir, args).text()?;
        SnapshotId::parse(&printed).ok_or_else(|| unexpected("commit-tree"))
    }
}

fn unexpected(operation: &str) -> GitError {
    GitError::Unexpected {
        operation: operation.to_owned(),
    }
}

/// What to record, and how.
pub(crate) struct Recording<'a> {
    pub(crate) folder: &'a Path,
    /// Remembers what the files looked like the last time.
    pub(crate) index: &'a Path,
    pub(crate) matcher: &'a Matcher,
    pub(crate) limits: &'a Limits,
    /// Files that are part of the project even if they are ignored.
    pub(crate) tracked: Vec<String>,
    pub(crate) label: &'a str,
    pub(crate) parent: Option<&'a SnapshotId>,
}

/// Turns what was listed into a tree.
struct Hashing<'a> {
    repository: &'a Repository,
    folder: &'a Path,
    index: &'a Path,
    /// The index remembers the last time.
    known: bool,
}

impl<'a> Hashing<'a> {
    fn tree_of(mut self, listing: &Listing) -> Result<TreeId, SnapshotError> {
        self.forget_gone(listing)?;
        let args = [
            "update-index",
            "--add",
            "--remove",
            "--replace",
            "-z",
            "--stdin",
        ];
        let all_new = !self.known && self.repository.git.version() >= PACKS_AT_ONCE;
        let update = self
            .call(args)
            .settings(if all_new { ONE_PACK } else { ONE_SYNC });
        update
            .paths(listing.files.iter().map(|f| f.path.as_str()))
            .run()?;
        let tree = self.call(["write-tree"]).text()?;
        Ok(TreeId::parse(&tree).ok_or_else(|| unexpected("write-tree"))?)
    }

    /// Takes out of the index what is not in the folder any more.
    fn forget_gone(&mut self, listing: &Listing) -> Result<(), SnapshotError> {
        let known = match self.call(["ls-files", "-z"]).bytes() {
            Ok(known) => known,
            // One that cannot be read is made anew.
            Err(GitError::Failed { .. }) => {
                let removed = fs::remove_file(self.index);
                removed.map_err(|source| SnapshotError::Storage {
                    path: self.index.to_owned(),
                    source,
                })?;
                self.known = false;
                return Ok(());
            }
            Err(other) => return Err(other.into()),
        };
        let present: HashSet<&str> = listing.files.iter().map(|f| f.path.as_str()).collect();
        let known = known.split(|b| *b == 0);
        let known = known.filter_map(|path| std::str::from_utf8(path).ok());
        let gone: Vec<&str> = known
            .filter(|path| !path.is_empty() && !present.contains(path))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let args = ["update-index", "--force-remove", "-z", "--stdin"];
        Ok(self.call(args).paths(gone).run()?)
    }

    fn call<const N: usize>(&self, args: [&str; N]) -> Call<'a> {
        let call = self.repository.git.call(&self.repository.dir, args);
        call.work_tree(self.folder).index(self.index)
    }
}

/// From here on git writes one pack for all the large files of a call, and not one for each.
const PACKS_AT_ONCE: GitVersion = GitVersion {
    major: 2,
    minor: 38,
};

/// Contents are on the disk when they are recorded, because an accepted change is written from
/// them, also after a power cut.
pub(crate) const ONE_SYNC: &[&str] = &[
    "core.fsync=committed,loose-object",
    "core.fsyncMethod=batch",
];

/// The same, and everything larger than a byte goes into one pack, which is several times
/// faster than a file for each object when everything is new. Git mixes up its folders when it
/// also collects the other objects for one sync, so those are synced one by one.
const ONE_PACK: &[&str] = &[
    "core.fsync=committed,loose-object",
    "core.fsyncMethod=fsync",
    "core.bigFileThreshold=1",
];

impl Recording<'_> {
    /// Adds the tracked files that the walk left out because they are ignored.
    fn add_tracked(&self, listing: &mut Listing) -> Result<(), SnapshotError> {
        let walked: HashSet<&str> = listing.files.iter().map(|f| f.path.as_str()).collect();
        let missing: Vec<FoundFile> = self
            .tracked
            .iter()
            .filter(|path| !walked.contains(path.as_str()))
            .filter_map(|path| self.find(path))
            .collect();
        listing.files.extend(missing);
        Ok(self.check_limits(listing)?)
    }

    /// A tracked path as a file, if it is one and no link leads to it.
    fn find(&self, path: &str) -> Option<FoundFile> {
        if self.matcher.is_excluded(path) || path.split('/').any(is_git_dir) {
            return None;
        }
        let mut parents = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        let is_dir = |path| fs::symlink_metadata(self.folder.join(path)).is_ok_and(|m| m.is_dir());
        if !parents.all(is_dir) {
            return None;
        }
        let metadata = fs::symlink_metadata(self.folder.join(path)).ok()?;
        let is_file = metadata.is_file() || metadata.is_symlink();
        is_file.then(|| FoundFile {
            path: path.to_owned(),
            bytes: metadata.len(),
        })
    }

    /// The walk keeps the limits; this keeps them for what was added to it.
    fn check_limits(&self, listing: &Listing) -> Result<(), TooBig> {
        let heavy = |path: &str, files, bytes| Heavy {
            path: path.to_owned(),
            files,
            bytes,
        };
        let found = listing.files.len() as u64;
        let bytes = listing.bytes();
        let limit = self.limits.file_bytes;
        let mut too_large = listing.files.iter().filter(|f| f.bytes > limit);
        let (limit, heaviest) = if let Some(file) = too_large.next() {
            let heaviest = heavy(&file.path, 1, file.bytes);
            (TooMuch::FileBytes { limit }, heaviest)
        } else if found > self.limits.files {
            let limit = self.limits.files;
            (TooMuch::Files { limit, found }, heavy("./", found, bytes))
        } else if bytes > self.limits.total_bytes {
            let limit = self.limits.total_bytes;
            let limit = TooMuch::TotalBytes {
                limit,
                found: bytes,
            };
            (limit, heavy("./", found, bytes))
        } else {
            return Ok(());
        };
        Err(TooBig {
            limit,
            heaviest: vec![heaviest],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_git_cannot_open_is_named() {
        let failed = GitError::Failed {
            operation: "update-index".to_owned(),
            message: "error: open(\"keys/a b.pem\"): Permission denied\nerror: unable to index file 'keys/a b.pem'\nfatal: Unable to process path keys/a b.pem".to_owned(),
        };
        assert_eq!(
            SnapshotError::from(failed).to_string(),
            "read `keys/a b.pem`: Permission denied; make it readable for you, or exclude it in .gitignore"
        );
    }
}
