//! A task's copy of the project: made from a snapshot, looked at, put back, removed.
//!
//! On disk a workspace is a folder of NEXUS's with two things in it: the copy of the project,
//! under the project's own name, and a private folder with the record of what it is. The
//! second is out of the way of those who work in the first. A lane is a workspace that was
//! branched from another; see `lane.rs`.

mod lane;

use crate::{
    GitError, Limits, Repository, Snapshot, SnapshotError, Source,
    copy::{CopyError, Move, NotCopied, copy_listed},
    plain_file::read_head,
    repository::{IndexLock, Layout, copy_index, create_private_dir, lay_out, write_whole},
    rules::{Rules, only_this},
    snapshot::Recording,
};
use nexus_core::{ProjectPath, SnapshotId, TreeId};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The private folder; a project of this name is copied under another.
const PRIVATE: &str = ".nexus-workspace";
const RECORD: &str = "workspace.json";
const INDEX: &str = "index";
/// The paths of files that came with a tree and are left out by its own rules, each ended by a
/// NUL.
const HELD: &str = "held";
const RECORD_LIMIT: u64 = 16 * 1024 * 1024;
/// Says that the folder is a workspace and how its record is written.
const FORMAT: &str = "nexus workspace 1";

/// How often a restore looks again. Once is enough unless the ignore rules changed or leave out
/// files of the tree, twice if they did.
const RESTORE_ROUNDS: usize = 3;

/// Why a workspace could not be made, opened, restored or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("make a workspace at {}: something is there already", .0.display())]
    Exists(PathBuf),
    #[error("use {} as a workspace: NEXUS did not make it", .0.display())]
    NotAWorkspace(PathBuf),
    #[error("use {}: {source}; check the rights and the free space there", path.display())]
    Storage { path: PathBuf, source: io::Error },
    #[error("restore {}: something keeps changing it; stop what runs there and try again", .0.display())]
    StillChanging(PathBuf),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl From<CopyError> for WorkspaceError {
    fn from(error: CopyError) -> Self {
        let CopyError { path, source } = error;
        Self::Storage { path, source }
    }
}

/// A copy of the project that a task works in.
#[derive(Clone, Debug)]
pub struct Workspace {
    repository: Repository,
    dir: PathBuf,
    record: Record,
    not_copied: Vec<NotCopied>,
}

/// What a workspace is, as it is written beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: String,
    /// The name of the folder that holds the copy.
    name: String,
    /// The snapshot it was made from.
    base: SnapshotId,
    tree: TreeId,
    rules: Rules,
    limits: Limits,
}

impl Repository {
    /// Makes a workspace at `dir`, which must not exist, with the content of `snapshot`.
    ///
    /// `source` is the project: its rules hold in the workspace too, and what `copy` lists is
    /// copied from it. The copy has a throw-away `.git` with one commit, so that git commands
    /// work in it. On an error nothing is left at `dir`.
    pub fn check_out(
        &self,
        source: &Source,
        snapshot: &SnapshotId,
        dir: &Path,
        copy: &[ProjectPath],
    ) -> Result<Workspace, WorkspaceError> {
        if fs::symlink_metadata(dir).is_ok() {
            return Err(WorkspaceError::Exists(dir.to_owned()));
        }
        let record = Record {
            format: FORMAT.to_owned(),
            name: name_of(source.folder()),
            base: snapshot.clone(),
            tree: self.tree_of(snapshot)?,
            rules: source.rules.clone(),
            limits: source.limits.clone(),
        };
        let partial = partial(dir);
        clear_partial(&partial)?;
        let building = Building {
            repository: self,
            dir: &partial,
            final_dir: dir,
            record: &record,
            source,
        };
        let built = building.build(copy).and_then(|not_copied| {
            fs::rename(&partial, dir).map_err(storage(dir))?;
            Ok(not_copied)
        });
        match built {
            Ok(not_copied) => Ok(Workspace {
                repository: self.clone(),
                dir: dir.to_owned(),
                record,
                not_copied,
            }),
            Err(error) => {
                // The reason it failed says more than that clearing up failed as well.
                drop(clear_partial(&partial));
                Err(error)
            }
        }
    }

    /// Opens a workspace that was made before.
    pub fn open_workspace(&self, dir: &Path) -> Result<Workspace, WorkspaceError> {
        let record = read_record(dir)?;
        Ok(Workspace {
            repository: self.clone(),
            dir: dir.to_owned(),
            record,
            not_copied: Vec::new(),
        })
    }

    /// The content of a snapshot.
    pub fn tree_of(&self, snapshot: &SnapshotId) -> Result<TreeId, GitError> {
        let name = format!("{snapshot}^{{tree}}");
        let call = self.git.call(&self.dir, ["rev-parse", "--verify", &name]);
        TreeId::parse(&call.text()?).ok_or_else(|| GitError::Unexpected {
            operation: "rev-parse".to_owned(),
        })
    }
}

/// Turns an error about a file of ours into one that names it.
fn storage(path: &Path) -> impl Fn(io::Error) -> WorkspaceError {
    let path = path.to_owned();
    move |source| WorkspaceError::Storage {
        path: path.clone(),
        source,
    }
}

/// Where the workspace of `dir` is while it is being made or removed, so that `dir` is always
/// whole.
fn partial(dir: &Path) -> PathBuf {
    let mut name = OsString::from(dir);
    name.push(".partial");
    PathBuf::from(name)
}

/// What the copy of this folder is called.
fn name_of(folder: &Path) -> String {
    match folder.file_name().and_then(|name| name.to_str()) {
        Some(name) if name != PRIVATE => name.to_owned(),
        Some(_) | None => "project".to_owned(),
    }
}

/// A workspace that is being made beside the place where it will stand.
struct Building<'a> {
    repository: &'a Repository,
    dir: &'a Path,
    final_dir: &'a Path,
    record: &'a Record,
    source: &'a Source,
}

impl Building<'_> {
    fn build(&self, copy: &[ProjectPath]) -> Result<Vec<NotCopied>, WorkspaceError> {
        let files = self.dir.join(&self.record.name);
        let index = self.dir.join(PRIVATE).join(INDEX);
        mark(self.dir, self.record).map_err(storage(self.dir))?;
        fs::create_dir(&files).map_err(storage(&files))?;
        self.write_files(&files, &index)?;
        let git = DisposableGit {
            repository: self.repository,
            files: &files,
            index: &index,
            tree: &self.record.tree,
            rules: &self.record.rules,
        };
        git.make(copy)?;
        let project = Move {
            from: self.source.folder(),
            to: &self.final_dir.join(&self.record.name),
        };
        Ok(copy_listed(copy, &files, &project)?)
    }

    fn write_files(&self, files: &Path, index: &Path) -> Result<(), GitError> {
        let call = |args: &[&str]| {
            let call = self.repository.git.call(&self.repository.dir, args);
            call.work_tree(files).index(index).run()
        };
        call(&["read-tree", self.record.tree.as_str()])?;
        call(&["checkout-index", "--all", "--index", "--force", "--quiet"])
    }
}

/// Makes the folder one that may be removed again, before anything else is in it.
fn mark(dir: &Path, record: &Record) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    create_private_dir(dir)?;
    let private = dir.join(PRIVATE);
    create_private_dir(&private)?;
    let record = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
    fs::write(private.join(RECORD), record)
}

/// The throw-away `.git` of a copy, yet to be made.
struct DisposableGit<'a> {
    repository: &'a Repository,
    /// The copy.
    files: &'a Path,
    /// Our index, which knows the files of the tree.
    index: &'a Path,
    /// What its one commit holds.
    tree: &'a TreeId,
    rules: &'a Rules,
}

impl DisposableGit<'_> {
    /// Makes it so that what the rules leave out and what is `copied` is ignored in it.
    fn make<'p>(
        &self,
        copied: impl IntoIterator<Item = &'p ProjectPath>,
    ) -> Result<(), WorkspaceError> {
        let dot_git = self.files.join(".git");
        let copied = copied.into_iter().map(only_this);
        let exclude: Vec<String> = self.rules.exclude_lines();
        let exclude: Vec<String> = exclude.into_iter().chain(copied).collect();
        let layout = Layout::Disposable {
            objects: &self.repository.dir.join("objects"),
            exclude: &exclude,
        };
        create_private_dir(&dot_git).map_err(storage(&dot_git))?;
        lay_out(&dot_git, layout).map_err(storage(&dot_git))?;
        let git = &self.repository.git;
        let args = ["commit-tree", self.tree.as_str(), "-m", "NEXUS base"];
        let commit = git.call(&dot_git, args).text()?;
        let args = ["update-ref", "refs/heads/main", &commit];
        git.call(&dot_git, args).run()?;
        copy_index(self.index, &dot_git.join("index")).map_err(storage(&dot_git))
    }
}

impl Workspace {
    /// The copy of the project: where to work.
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.record.name)
    }

    /// The snapshot it was made from, or that the task's workspace was made from.
    pub fn base(&self) -> &SnapshotId {
        &self.record.base
    }

    /// The content of that snapshot.
    pub fn base_tree(&self) -> &TreeId {
        &self.record.tree
    }

    /// What was to be copied and is not in it. Known only to the one who made it.
    pub fn not_copied(&self) -> &[NotCopied] {
        &self.not_copied
    }

    /// Records the workspace as it is now, by the rules of the project's folder. What the
    /// base holds stays part of it even if it has become ignored, and so does what a restored
    /// tree held although it was ignored.
    pub fn snapshot(&self, label: &str) -> Result<Snapshot, SnapshotError> {
        self.repository.record(&Recording {
            folder: &self.path(),
            index: &self.index(),
            matcher: &self.record.rules.matcher()?,
            limits: &self.record.limits,
            tracked: self.tracked()?.into_iter().collect(),
            label,
            parent: Some(&self.record.base),
        })
    }

    /// Puts the content back to exactly `tree`. Files that are not ignored and not in it are
    /// removed; what is ignored stays. Nothing else may work in the workspace meanwhile.
    pub fn restore(&self, tree: &TreeId) -> Result<(), WorkspaceError> {
        if fs::symlink_metadata(self.path()).is_ok_and(|m| !m.is_dir()) {
            // A link would lead the restore out.
            return Err(WorkspaceError::NotAWorkspace(self.path()));
        }
        for round in 0..RESTORE_ROUNDS {
            // Each round begins by making the index say what is there, so that git knows what
            // to remove. Other ignore rules come back with the files, hence more than one.
            let now = self.snapshot("before a restore")?.tree;
            if now == *tree {
                return Ok(());
            }
            if round > 0 {
                self.hold_missing(&now, tree)?;
            }
            let _lock = IndexLock::take(&self.index()).map_err(storage(&self.index()))?;
            let args = ["read-tree", "--reset", "-u", tree.as_str()];
            let call = self.repository.git.call(&self.repository.dir, args);
            call.work_tree(&self.path()).index(&self.index()).run()?;
        }
        if self.snapshot("after a restore")?.tree == *tree {
            return Ok(());
        }
        Err(WorkspaceError::StillChanging(self.path()))
    }

    /// The files that are part of the workspace even if they are ignored.
    fn tracked(&self) -> Result<BTreeSet<String>, SnapshotError> {
        let mut tracked = BTreeSet::from_iter(self.repository.paths_of(&self.record.tree)?);
        tracked.extend(self.held()?.into_iter().map(String::from));
        Ok(tracked)
    }

    /// Remembers files of a tree that a snapshot misses right after the tree was put here: the
    /// rules in the tree leave them out. A merge makes such trees, when one side adds a rule
    /// and the other a file.
    fn hold_missing(&self, now: &TreeId, tree: &TreeId) -> Result<(), WorkspaceError> {
        let missing = self.repository.operations(now, tree)?.into_iter();
        let missing = missing.filter(|o| o.old.is_none()).map(|o| o.path);
        let mut held = BTreeSet::from_iter(self.held()?);
        held.extend(missing);
        let text: String = held.iter().map(|path| format!("{path}\0")).collect();
        write_whole(&self.private(HELD), &text).map_err(storage(&self.private(HELD)))
    }

    fn held(&self) -> Result<Vec<ProjectPath>, SnapshotError> {
        let path = self.private(HELD);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(SnapshotError::Storage { path, source }),
        };
        let paths = text.split_terminator('\0').map(ProjectPath::parse);
        Ok(paths.flatten().collect())
    }

    fn index(&self) -> PathBuf {
        self.private(INDEX)
    }

    /// A file of ours beside the copy.
    fn private(&self, name: &str) -> PathBuf {
        self.dir.join(PRIVATE).join(name)
    }
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}

fn read_record(dir: &Path) -> Result<Record, WorkspaceError> {
    let not_ours = || WorkspaceError::NotAWorkspace(dir.to_owned());
    if !is_dir(dir) || !is_dir(&dir.join(PRIVATE)) {
        return Err(not_ours());
    }
    let path = dir.join(PRIVATE).join(RECORD);
    let head = read_head(&path, RECORD_LIMIT).map_err(storage(&path))?;
    let record: Record = head
        .and_then(|head| serde_json::from_slice(&head.bytes).ok())
        .ok_or_else(not_ours)?;
    if record.format == FORMAT {
        Ok(record)
    } else {
        Err(not_ours())
    }
}

/// Removes a workspace and all that is in it, without following links. Refuses a folder that
/// is not a workspace; one that is gone is removed already.
pub fn remove_workspace(dir: &Path) -> Result<(), WorkspaceError> {
    let partial = partial(dir);
    clear_partial(&partial)?;
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(storage(dir)(source)),
        Ok(_) => read_record(dir)?,
    };
    fs::rename(dir, &partial).map_err(storage(dir))?;
    clear_partial(&partial)
}

/// Removes what is there of a workspace that was being made or removed.
fn clear_partial(dir: &Path) -> Result<(), WorkspaceError> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(storage(dir)(source)),
        Ok(_) => {}
    }
    if let Err(unmarked) = read_record(dir) {
        // It was left before its record was whole, or after it was gone. That there is nothing
        // else in it is shown by its folders being empty.
        let private = dir.join(PRIVATE);
        drop(fs::remove_file(private.join(RECORD)));
        drop(fs::remove_dir(&private));
        return fs::remove_dir(dir).map_err(|_| unmarked);
    }
    // The record goes last: what a crash leaves can still be told as ours.
    for entry in fs::read_dir(dir).map_err(storage(dir))? {
        let entry = entry.map_err(storage(dir))?;
        if entry.file_name() != PRIVATE {
            remove(&entry.path()).map_err(storage(&entry.path()))?;
        }
    }
    fs::remove_dir_all(dir).map_err(storage(dir))
}

fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Package caches are often read-only.
            make_writable(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

/// Gives this user back the right to change a folder and those in it.
#[cfg(unix)]
fn make_writable(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_writable(_dir: &Path) -> io::Result<()> {
    Ok(())
}
