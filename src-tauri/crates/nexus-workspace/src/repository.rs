//! The git directory that NEXUS keeps for a project: its layout, and the snapshots kept in it.

use crate::{Git, GitError, plain_file::hint};
use nexus_core::SnapshotId;
use std::{
    fs::{self, File, FileTimes},
    io::{self, Write},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempPath};

/// Makes git give and take bytes as they are: no line ends, keywords, filters or encodings,
/// whatever a project's own attributes say. It also keeps a project from hiding a change by
/// calling a text file binary.
const ATTRIBUTES: &str =
    "* -text -ident -filter !eol !crlf !working-tree-encoding !diff !whitespace\n";

/// Why a project's git directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("write {}: {source}; check the rights and the free space of the data folder", path.display())]
    Storage { path: PathBuf, source: io::Error },
    #[error("use `{0}` as the name of a kept snapshot: use letters, digits, `-`, `_`, `.` and `/`")]
    BadName(String),
}

/// NEXUS's own git directory of one project.
///
/// Holds the snapshots and the objects of all its tasks. Nothing is ever collected from it,
/// so a snapshot stays readable as long as the directory stands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) git: Git,
    pub(crate) dir: PathBuf,
}

impl Repository {
    /// Opens the git directory at `dir`, and makes it, readable for this user alone, if it is
    /// absent. Finds git on the `PATH`.
    pub fn open(dir: &Path) -> Result<Self, RepositoryError> {
        Self::open_with(Git::find()?, dir)
    }

    /// The same with a git that was found before.
    pub fn open_with(git: Git, dir: &Path) -> Result<Self, RepositoryError> {
        let storage = |source| RepositoryError::Storage {
            path: dir.to_owned(),
            source,
        };
        let parent = dir.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(storage)?;
        create_private_dir(dir).map_err(storage)?;
        let dir = dir.canonicalize().map_err(storage)?;
        lay_out(&dir, Layout::Bare).map_err(storage)?;
        fs::create_dir_all(dir.join("nexus")).map_err(storage)?;
        Ok(Self { git, dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Keeps a snapshot under a name below `refs/nexus/`, in place of what it named before.
    pub fn keep(&self, name: &str, snapshot: &SnapshotId) -> Result<(), RepositoryError> {
        let reference = reference(name)?;
        let args = ["update-ref", &reference, snapshot.as_str()];
        Ok(self.git.call(&self.dir, args).run()?)
    }

    /// The snapshot kept under a name, if there is one.
    pub fn kept(&self, name: &str) -> Result<Option<SnapshotId>, RepositoryError> {
        let reference = reference(name)?;
        // Also lists what is kept below the name.
        let args = [
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            &reference,
        ];
        let printed = self.git.call(&self.dir, args).text()?;
        let mut listed = printed.lines().filter_map(|line| line.split_once(' '));
        let found = listed.find(|(_, name)| *name == reference);
        Ok(found.and_then(|(id, _)| SnapshotId::parse(id)))
    }

    /// All snapshots kept under a name or below it.
    pub fn kept_below(&self, name: &str) -> Result<Vec<SnapshotId>, RepositoryError> {
        let reference = reference(name)?;
        let args = ["for-each-ref", "--format=%(objectname)", &reference];
        let printed = self.git.call(&self.dir, args).text()?;
        Ok(printed.lines().filter_map(SnapshotId::parse).collect())
    }

    /// Forgets a name. The snapshot itself stays.
    pub fn forget(&self, name: &str) -> Result<(), RepositoryError> {
        let reference = reference(name)?;
        let args = ["update-ref", "-d", &reference];
        Ok(self.git.call(&self.dir, args).run()?)
    }
}

fn reference(name: &str) -> Result<String, RepositoryError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let part = |p: &str| !p.is_empty() && !p.starts_with('.') && !p.ends_with(".lock");
    let good = name.chars().all(plain) && name.split('/').all(part) && !name.contains("..");
    if good && !name.ends_with('.') {
        Ok(format!("refs/nexus/{name}"))
    } else {
        Err(RepositoryError::BadName(name.to_owned()))
    }
}

/// What a git directory is for.
pub(crate) enum Layout<'a> {
    /// NEXUS's own; it has no files beside it.
    Bare,
    /// The throw-away one in a workspace. It borrows the objects of NEXUS's own.
    Disposable {
        objects: &'a Path,
        exclude: &'a [String],
    },
}

/// Writes the files of a git directory, so that whatever else stood in them is gone.
pub(crate) fn lay_out(dir: &Path, layout: Layout<'_>) -> io::Result<()> {
    for needed in ["info", "objects/info", "objects/pack", "refs/heads"] {
        fs::create_dir_all(dir.join(needed))?;
    }
    let write = |path: &str, text: &str| write_whole(&dir.join(path), text);
    write("info/attributes", ATTRIBUTES)?;
    match layout {
        Layout::Bare => write("config", BARE_CONFIG)?,
        Layout::Disposable { objects, exclude } => {
            let alternates = format!("{}\n", objects.display());
            write("objects/info/alternates", &alternates)?;
            write("info/exclude", &(exclude.join("\n") + "\n"))?;
            write("config", DISPOSABLE_CONFIG)?;
        }
    }
    write("HEAD", "ref: refs/heads/main\n")
}

/// Makes a file say this, and leaves it alone if it does: somebody may be reading it, who must
/// never see half of it.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    if hint(path, u64::MAX).as_deref() == Some(text) {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(path);
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

const BARE_CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// What git does in a workspace must not depend on the person's own settings, and must not
/// run their hooks.
const DISPOSABLE_CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tbare = false
\tlogAllRefUpdates = true
\tautocrlf = false
\tsafecrlf = false
\tfsmonitor = false
\thooksPath = /dev/null
[user]
\tname = NEXUS
\temail = nexus@localhost
[commit]
\tgpgSign = false
[tag]
\tgpgSign = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
";

/// Makes a directory that only this user can enter; its parent must exist. One that is there
/// already is closed to others.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// An index file that is used by one at a time, over all threads and processes.
///
/// An index only saves time: it remembers what files looked like when they were hashed. The
/// lock is held as long as this lives.
pub(crate) struct IndexLock {
    index: PathBuf,
    _held: File,
}

impl IndexLock {
    /// Waits until nobody else uses the index. What a killed git left locked is freed.
    pub(crate) fn take(index: &Path) -> io::Result<Self> {
        let held = File::create(index.with_extension("guard"))?;
        held.lock()?;
        let mut leftover = index.as_os_str().to_owned();
        leftover.push(".lock");
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self {
                index: index.to_owned(),
                _held: held,
            }),
        }
    }

    /// A copy to work on, so that a git that outlives its owner writes where nobody looks. It
    /// goes away when it is not put back. False if there was nothing to copy.
    pub(crate) fn copy(&self) -> io::Result<(TempPath, bool)> {
        let dir = self.index.parent().unwrap_or(&self.index);
        let copy = NamedTempFile::with_prefix_in("index-", dir)?.into_temp_path();
        let known = copy_index(&self.index, &copy);
        match known {
            Ok(()) => Ok((copy, true)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Git takes an empty file for a damaged index, and none for an empty one.
                fs::remove_file(&copy)?;
                Ok((copy, false))
            }
            Err(error) => Err(error),
        }
    }

    /// Puts the copy in the place of the index.
    pub(crate) fn put_back(&self, copy: TempPath) -> io::Result<()> {
        Ok(copy.persist(&self.index)?)
    }
}

/// Copies an index with its time: git trusts only what is older than its index.
pub(crate) fn copy_index(from: &Path, to: &Path) -> io::Result<()> {
    let modified = fs::metadata(from)?.modified()?;
    fs::copy(from, to)?;
    let copy = File::options().write(true).open(to)?;
    copy.set_times(FileTimes::new().set_modified(modified))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_name_a_kept_snapshot() {
        for good in ["trash/0198", "task/1/base", "a.b_c-d"] {
            assert_eq!(reference(good).unwrap(), format!("refs/nexus/{good}"));
        }
        for bad in [
            "", "/", "a//b", "../x", "a/..", "a b", "a~1", ".a", "a.lock", "a.", "-\n",
        ] {
            assert!(reference(bad).is_err(), "{bad:?}");
        }
    }
}
