//! Writes an accepted change into the person's folder, file by file, by compare-and-swap.
//!
//! An operation is done when the file has its new content, due when it has its old content,
//! and a conflict otherwise; a conflict is never overwritten. So the same operations can be
//! applied again after a crash and go on where they stopped. Paths are opened part by part
//! below a handle of the folder, so that no link can lead a write out of it.

use crate::{GitError, Repository, git::Blobs, plain_file::is_absent, rules::is_git_dir};
use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata, OpenOptions},
};
use nexus_core::{FileContent, FileKind, FileOperation, ProjectPath, TreeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    fmt,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// A file of the person's folder that is neither as it was nor as it is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub path: ProjectPath,
    pub what: ConflictKind,
}

/// What is wrong with a file that an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// It has other content, or another kind, than the task began with.
    ChangedMeanwhile,
    /// It did not exist when the task began.
    AppearedMeanwhile,
    /// It existed when the task began.
    DeletedMeanwhile,
    /// A folder, pipe, socket or device has its name.
    NotAFile,
    /// A folder on the way to it is a link.
    ParentIsLink,
    /// Something on the way to it is not a folder.
    ParentIsNotAFolder,
    /// It lies in a git directory, which NEXUS never touches.
    InsideGit,
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChangedMeanwhile => "changed meanwhile",
            Self::AppearedMeanwhile => "appeared meanwhile",
            Self::DeletedMeanwhile => "deleted meanwhile",
            Self::NotAFile => "something that is not a file has its name",
            Self::ParentIsLink => "a folder it lies in is a link",
            Self::ParentIsNotAFolder => "something it lies in is not a folder",
            Self::InsideGit => "inside a git directory",
        })
    }
}

/// Why an accepted change is not in the person's folder.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Nothing was changed by this call.
    #[error("apply the change: {}; nothing was overwritten, look at these files and ask for the change again", list(.0))]
    Conflicts(Vec<Conflict>),
    /// Nothing was changed by this call.
    #[error("open {}: {source}; check that the project's folder is still there", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// What this call had done was undone.
    #[error(
        "change `{path}`: {source}; check the rights and the free space of the project's folder"
    )]
    File {
        path: ProjectPath,
        source: io::Error,
    },
    #[error(transparent)]
    Git(#[from] GitError),
    /// The call failed, and so did undoing what it had done.
    #[error("{because}; and failed to undo what was done before: {undo}")]
    HalfApplied {
        because: Box<ApplyError>,
        undo: Box<ApplyError>,
    },
}

fn list(conflicts: &[Conflict]) -> String {
    let each = conflicts.iter().map(|c| format!("`{}` {}", c.path, c.what));
    each.collect::<Vec<_>>().join(", ")
}

impl Repository {
    /// What to do, file by file, to turn `base` into `tree`: removals first, so that what
    /// stands in the way of a new file is gone.
    pub fn plan_apply(&self, base: &TreeId, tree: &TreeId) -> Result<Vec<FileOperation>, GitError> {
        let mut operations = self.operations(base, tree)?;
        operations.sort_by_key(|operation| operation.new.is_some());
        Ok(operations)
    }

    /// The operations that cannot be done in the folder as it is now. One that is done already
    /// is none of them.
    pub fn find_conflicts(
        &self,
        folder: &Path,
        operations: &[FileOperation],
    ) -> Result<Vec<Conflict>, ApplyError> {
        Target::open(self, folder)?.find_conflicts(operations)
    }

    /// Does all operations, or none: when one meets a conflict, those done by this call are
    /// undone. Operations that are done already are passed over, so that a call that was cut
    /// short can be repeated.
    pub fn apply(&self, folder: &Path, operations: &[FileOperation]) -> Result<(), ApplyError> {
        let mut target = Target::open(self, folder)?;
        let conflicts = target.find_conflicts(operations)?;
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
        target.apply(operations)
    }

    /// Undoes operations in the same way: all of them or none, and never over a file that was
    /// changed since.
    pub fn take_back(&self, folder: &Path, operations: &[FileOperation]) -> Result<(), ApplyError> {
        self.apply(folder, &inverse(operations))
    }

    /// Those of the operations that are not done already. Only they may be undone later: what
    /// was so before is the person's.
    pub fn outstanding(
        &self,
        folder: &Path,
        operations: Vec<FileOperation>,
    ) -> Result<Vec<FileOperation>, ApplyError> {
        let done = Target::open(self, folder)?.done(&operations)?;
        let is_due = |operation: &FileOperation| !done.contains(operation);
        Ok(operations.into_iter().filter(is_due).collect())
    }

    /// Undoes what a call of [`Repository::apply`] that was cut short has done of these. What
    /// was changed since is left alone and returned.
    pub fn roll_back(
        &self,
        folder: &Path,
        operations: &[FileOperation],
    ) -> Result<Vec<Conflict>, ApplyError> {
        let mut target = Target::open(self, folder)?;
        let done = target.done(operations)?;
        let mut left = Vec::new();
        for operation in inverse(&done) {
            match target.perform(&operation, &mut false) {
                Ok(()) => {}
                Err(ApplyError::Conflicts(conflicts)) => left.extend(conflicts),
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }
}

/// The operations that undo these.
fn inverse(operations: &[FileOperation]) -> Vec<FileOperation> {
    let inverse = operations.iter().rev().map(|operation| FileOperation {
        path: operation.path.clone(),
        old: operation.new.clone(),
        new: operation.old.clone(),
    });
    inverse.collect()
}

/// The person's folder, opened for an apply.
pub(crate) struct Target {
    root: Dir,
    blobs: Blobs,
    /// Files that other operations will remove, while it is only asked what could be done.
    going: HashSet<String>,
}

/// How an operation stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Done,
    Due,
    Conflict(ConflictKind),
}

/// What is at a path.
enum Found {
    Absent,
    File { kind: FileKind, bytes: Vec<u8> },
    InTheWay(ConflictKind),
}

/// The folder that a path lies in.
enum Parent {
    There(Dir),
    Missing,
    InTheWay(ConflictKind),
}

impl Target {
    pub(crate) fn open(repository: &Repository, folder: &Path) -> Result<Self, ApplyError> {
        let root = Dir::open_ambient_dir(folder, ambient_authority());
        Ok(Self {
            root: root.map_err(|source| ApplyError::Folder {
                path: folder.to_owned(),
                source,
            })?,
            blobs: Blobs::open(&repository.git, &repository.dir)?,
            going: HashSet::new(),
        })
    }

    fn find_conflicts(
        &mut self,
        operations: &[FileOperation],
    ) -> Result<Vec<Conflict>, ApplyError> {
        let going = operations.iter().filter(|o| o.new.is_none());
        self.going = going.map(|o| o.path.as_str().to_owned()).collect();
        let mut conflicts = Vec::new();
        for operation in operations {
            if let Standing::Conflict(what) = self.standing(operation)? {
                let path = operation.path.clone();
                conflicts.push(Conflict { path, what });
            }
        }
        self.going.clear();
        Ok(conflicts)
    }

    /// Those that are done already, whoever did them.
    fn done(&mut self, operations: &[FileOperation]) -> Result<Vec<FileOperation>, ApplyError> {
        let mut done = Vec::new();
        for operation in operations {
            if self.standing(operation)? == Standing::Done {
                done.push(operation.clone());
            }
        }
        Ok(done)
    }

    pub(crate) fn apply(&mut self, operations: &[FileOperation]) -> Result<(), ApplyError> {
        let (removals, others): (Vec<_>, Vec<_>) = operations
            .iter()
            .partition(|operation| operation.new.is_none());
        let mut done: Vec<FileOperation> = Vec::new();
        for operation in removals.into_iter().chain(others) {
            let mut begun = false;
            match self.perform(operation, &mut begun) {
                Ok(()) if begun => done.push(operation.clone()),
                Ok(()) => {}
                Err(because) => {
                    // The file may be in its place, and only making that last have failed.
                    if begun && matches!(self.standing(operation), Ok(Standing::Done)) {
                        done.push(operation.clone());
                    }
                    return Err(self.undo(&done, because));
                }
            }
        }
        Ok(())
    }

    fn undo(&mut self, done: &[FileOperation], because: ApplyError) -> ApplyError {
        for operation in inverse(done) {
            if let Err(undo) = self.perform(&operation, &mut false) {
                return ApplyError::HalfApplied {
                    because: Box::new(because),
                    undo: Box::new(undo),
                };
            }
        }
        because
    }

    /// Does one operation, unless it was done already; says when it begins to.
    fn perform(&mut self, operation: &FileOperation, begun: &mut bool) -> Result<(), ApplyError> {
        let standing = self.standing(operation)?;
        let at = |source| ApplyError::File {
            path: operation.path.clone(),
            source,
        };
        match standing {
            Standing::Conflict(what) => return Err(conflict(operation, what)),
            Standing::Done => {
                return self.clear_leftover(operation).map_err(at);
            }
            Standing::Due => *begun = true,
        }
        match &operation.new {
            None => self.remove(operation).map_err(at)?,
            Some(new) => {
                let bytes = self.blobs.read(new.blob.as_str())?;
                self.put(operation, new.kind, &bytes)?;
            }
        }
        Ok(())
    }

    fn standing(&mut self, operation: &FileOperation) -> Result<Standing, ApplyError> {
        if operation.path.as_str().split('/').any(is_git_dir) {
            return Ok(Standing::Conflict(ConflictKind::InsideGit));
        }
        let found = self.look(&operation.path);
        let found = found.map_err(|source| ApplyError::File {
            path: operation.path.clone(),
            source,
        })?;
        // Where something else stands, or stands on the way, the file is gone.
        let is_gone = operation.new.is_none() && matches!(found, Found::InTheWay(_));
        if is_gone || self.matches(&found, operation.new.as_ref())? {
            return Ok(Standing::Done);
        }
        if self.matches(&found, operation.old.as_ref())? {
            return Ok(Standing::Due);
        }
        Ok(Standing::Conflict(match found {
            Found::Absent => ConflictKind::DeletedMeanwhile,
            Found::File { .. } if operation.old.is_none() => ConflictKind::AppearedMeanwhile,
            Found::File { .. } => ConflictKind::ChangedMeanwhile,
            Found::InTheWay(what) => what,
        }))
    }

    fn matches(&mut self, found: &Found, wanted: Option<&FileContent>) -> Result<bool, GitError> {
        match (found, wanted) {
            (Found::Absent, None) => Ok(true),
            (Found::File { kind, bytes }, Some(wanted)) => {
                Ok(*kind == wanted.kind && *bytes == self.blobs.read(wanted.blob.as_str())?)
            }
            (Found::Absent, Some(_)) | (Found::File { .. }, None) | (Found::InTheWay(_), _) => {
                Ok(false)
            }
        }
    }

    fn look(&self, path: &ProjectPath) -> io::Result<Found> {
        let dir = match self.parent(path)? {
            Parent::There(dir) => dir,
            Parent::Missing => return Ok(Found::Absent),
            Parent::InTheWay(what) => return Ok(Found::InTheWay(what)),
        };
        let found = read(&dir, name(path))?;
        if matches!(found, Found::InTheWay(_)) && self.is_going_as_a_whole(&dir, path)? {
            return Ok(Found::Absent);
        }
        Ok(found)
    }

    fn parent(&self, path: &ProjectPath) -> io::Result<Parent> {
        let mut dir = self.root.try_clone()?;
        for (slash, _) in path.as_str().match_indices('/') {
            let prefix = &path.as_str()[..slash];
            let part = prefix.rsplit('/').next().unwrap_or(prefix);
            let metadata = match dir.symlink_metadata(part) {
                Ok(metadata) => metadata,
                Err(error) if is_absent(&error) => return Ok(Parent::Missing),
                Err(error) => return Err(error),
            };
            if !metadata.is_dir() {
                return Ok(if self.going.contains(prefix) {
                    Parent::Missing
                } else if metadata.is_symlink() {
                    Parent::InTheWay(ConflictKind::ParentIsLink)
                } else {
                    Parent::InTheWay(ConflictKind::ParentIsNotAFolder)
                });
            }
            dir = match open_same_dir(&dir, part, &metadata)? {
                Some(dir) => dir,
                None => return Ok(Parent::InTheWay(ConflictKind::ParentIsLink)),
            };
        }
        Ok(Parent::There(dir))
    }

    /// Is it a folder of which nothing will be left when the removals are done?
    fn is_going_as_a_whole(&self, dir: &Dir, path: &ProjectPath) -> io::Result<bool> {
        if self.going.is_empty() || !dir.symlink_metadata(name(path))?.is_dir() {
            return Ok(false);
        }
        let mut pending = vec![(dir.open_dir(name(path))?, path.as_str().to_owned())];
        let mut any = false;
        while let Some((dir, prefix)) = pending.pop() {
            for entry in dir.entries()? {
                let entry = entry?;
                let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    pending.push((entry.open_dir()?, path));
                } else if !self.going.contains(&path) {
                    return Ok(false);
                }
                any = true;
            }
        }
        Ok(any)
    }

    /// Writes the new content beside the file, and puts it in its place if the old content is
    /// still there.
    fn put(
        &mut self,
        operation: &FileOperation,
        kind: FileKind,
        bytes: &[u8],
    ) -> Result<(), ApplyError> {
        let at = |source| ApplyError::File {
            path: operation.path.clone(),
            source,
        };
        let mut made = Vec::new();
        let parent = self.create_parents(&operation.path, &mut made);
        let put = match parent.map_err(at) {
            Ok(Parent::There(dir)) => self.put_into(&dir, operation, kind, bytes),
            Ok(Parent::InTheWay(what)) => Err(conflict(operation, what)),
            Ok(Parent::Missing) => Err(conflict(operation, ConflictKind::ParentIsNotAFolder)),
            Err(error) => Err(error),
        };
        if put.is_err() {
            self.remove_empty_folders(made);
        }
        put
    }

    fn put_into(
        &mut self,
        dir: &Dir,
        operation: &FileOperation,
        kind: FileKind,
        bytes: &[u8],
    ) -> Result<(), ApplyError> {
        let at = |source| ApplyError::File {
            path: operation.path.clone(),
            source,
        };
        let temporary = temporary_name(&operation.path);
        remove_if_there(dir, &temporary).map_err(at)?;
        let mode = mode_for(dir, name(&operation.path), kind).map_err(at)?;
        let written = write_new(dir, &temporary, kind, mode, bytes).map_err(at);
        let swapped = written.and_then(|()| self.swap(operation, dir, &temporary));
        if swapped.is_err() {
            // It is ours, and the reason for the failure says more.
            drop(remove_if_there(dir, &temporary));
        }
        swapped
    }

    fn swap(
        &mut self,
        operation: &FileOperation,
        dir: &Dir,
        temporary: &str,
    ) -> Result<(), ApplyError> {
        let at = |source| ApplyError::File {
            path: operation.path.clone(),
            source,
        };
        let name = name(&operation.path);
        match self.standing(operation)? {
            Standing::Due => {}
            Standing::Done => return remove_if_there(dir, temporary).map_err(at),
            Standing::Conflict(what) => return Err(conflict(operation, what)),
        }
        if operation.old.is_some() {
            dir.rename(temporary, dir, name).map_err(at)?;
        } else {
            match place_new(dir, temporary, name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(conflict(operation, ConflictKind::AppearedMeanwhile));
                }
                other => other.map_err(at)?,
            }
        }
        sync(dir).map_err(at)
    }

    /// Opens the folder that a file lies in, and makes it if it is missing; `made` tells which
    /// folders were.
    fn create_parents(
        &self,
        path: &ProjectPath,
        made: &mut Vec<ProjectPath>,
    ) -> io::Result<Parent> {
        let mut dir = self.root.try_clone()?;
        for (slash, _) in path.as_str().match_indices('/') {
            let prefix = ProjectPath::parse(&path.as_str()[..slash]).map_err(io::Error::other)?;
            let part = name(&prefix);
            let rights = dir.dir_metadata()?.permissions();
            match dir.create_dir(part) {
                Ok(()) => {
                    made.push(prefix.clone());
                    dir.set_permissions(part, rights)?;
                    sync(&dir)?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let metadata = dir.symlink_metadata(part)?;
            if metadata.is_symlink() {
                return Ok(Parent::InTheWay(ConflictKind::ParentIsLink));
            }
            if !metadata.is_dir() {
                return Ok(Parent::InTheWay(ConflictKind::ParentIsNotAFolder));
            }
            dir = match open_same_dir(&dir, part, &metadata)? {
                Some(dir) => dir,
                None => return Ok(Parent::InTheWay(ConflictKind::ParentIsLink)),
            };
        }
        Ok(Parent::There(dir))
    }

    /// Removes a file, and the folders that have become empty by that.
    fn remove(&self, operation: &FileOperation) -> io::Result<()> {
        let Parent::There(dir) = self.parent(&operation.path)? else {
            return Ok(());
        };
        dir.remove_file(name(&operation.path))?;
        sync(&dir)?;
        let above = operation.path.as_str().match_indices('/');
        let above = above.map(|(slash, _)| ProjectPath::parse(&operation.path.as_str()[..slash]));
        self.remove_empty_folders(above.flatten().collect());
        Ok(())
    }

    /// Removes those of these folders that are empty, the last first.
    fn remove_empty_folders(&self, folders: Vec<ProjectPath>) {
        for folder in folders.iter().rev() {
            let Ok(Parent::There(above)) = self.parent(folder) else {
                return;
            };
            // A folder that is not empty cannot be removed, which is all that is asked here.
            if above.remove_dir(name(folder)).is_err() {
                return;
            }
        }
    }

    /// Removes what an apply that was cut short left beside a file.
    fn clear_leftover(&self, operation: &FileOperation) -> io::Result<()> {
        match self.parent(&operation.path)? {
            Parent::There(dir) => remove_if_there(&dir, &temporary_name(&operation.path)),
            Parent::Missing | Parent::InTheWay(_) => Ok(()),
        }
    }
}

fn conflict(operation: &FileOperation, what: ConflictKind) -> ApplyError {
    let path = operation.path.clone();
    ApplyError::Conflicts(vec![Conflict { path, what }])
}

/// The last part of a path.
fn name(path: &ProjectPath) -> &str {
    let path = path.as_str();
    path.rsplit('/').next().unwrap_or(path)
}

/// The file that new content is written to first. The same for the same path, so that what a
/// crash left is found again.
pub(crate) fn temporary_name(path: &ProjectPath) -> String {
    let digest = Sha256::digest(path.as_str());
    let digest: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
    format!(".nexus-apply-{digest}")
}

/// Opens a folder that was just looked at; `None` if it was exchanged meanwhile.
fn open_same_dir(dir: &Dir, part: &str, looked: &Metadata) -> io::Result<Option<Dir>> {
    let opened = dir.open_dir(part)?;
    Ok(is_same(&opened.dir_metadata()?, looked).then_some(opened))
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use cap_std::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_one: &Metadata, _other: &Metadata) -> bool {
    true
}

/// Reads what has this name in a folder.
fn read(dir: &Dir, name: &str) -> io::Result<Found> {
    let metadata = match dir.symlink_metadata(name) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(Found::Absent),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        let target = dir.read_link_contents(name)?;
        return Ok(Found::File {
            kind: FileKind::Link,
            bytes: target.into_os_string().into_encoded_bytes(),
        });
    }
    if !metadata.is_file() {
        return Ok(Found::InTheWay(ConflictKind::NotAFile));
    }
    let mut bytes = Vec::new();
    dir.open(name)?.read_to_end(&mut bytes)?;
    let kind = if is_executable(&metadata) {
        FileKind::Executable
    } else {
        FileKind::Plain
    };
    Ok(Found::File { kind, bytes })
}

/// The rights of the file that is to be written: those of the file it replaces, or those that
/// its folder suggests; executable or not as its kind says.
#[cfg(unix)]
fn mode_for(dir: &Dir, name: &str, kind: FileKind) -> io::Result<u32> {
    use cap_std::fs::MetadataExt;
    let old = dir.symlink_metadata(name).ok();
    let old = old.filter(Metadata::is_file).map(|m| m.mode());
    let base = match old {
        Some(mode) => mode & 0o777,
        None => dir.dir_metadata()?.mode() & 0o666,
    };
    Ok(match kind {
        FileKind::Executable if base & 0o100 != 0 => base,
        // Who may read it may run it.
        FileKind::Executable => base | (base & 0o444) >> 2,
        FileKind::Plain | FileKind::Link => base & !0o111,
    })
}

#[cfg(not(unix))]
fn mode_for(_dir: &Dir, _name: &str, _kind: FileKind) -> io::Result<u32> {
    Ok(0)
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use cap_std::fs::MetadataExt;
    metadata.mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &Metadata) -> bool {
    false
}

/// Makes a file or link that must not exist yet, and waits until it is on the disk.
fn write_new(dir: &Dir, name: &str, kind: FileKind, mode: u32, bytes: &[u8]) -> io::Result<()> {
    if kind == FileKind::Link {
        return write_link(dir, name, bytes);
    }
    let mut file = dir.open_with(name, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(bytes)?;
    set_mode(&file, mode)?;
    file.sync_all()
}

#[cfg(unix)]
fn set_mode(file: &cap_std::fs::File, mode: u32) -> io::Result<()> {
    use cap_std::fs::{Permissions, PermissionsExt};
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_file: &cap_std::fs::File, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn write_link(dir: &Dir, name: &str, target: &[u8]) -> io::Result<()> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    dir.symlink_contents(OsStr::from_bytes(target), name)
}

#[cfg(not(unix))]
fn write_link(_dir: &Dir, _name: &str, _target: &[u8]) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Gives a finished file its name, unless the name is taken.
fn place_new(dir: &Dir, temporary: &str, name: &str) -> io::Result<()> {
    match dir.hard_link(temporary, dir, name) {
        Ok(()) => dir.remove_file(temporary),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no hard links. A rename is whole too, but does not look.
        Err(_) => match dir.symlink_metadata(name) {
            Ok(_) => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            Err(_) => dir.rename(temporary, dir, name),
        },
    }
}

fn remove_if_there(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Waits until the names in a folder are on the disk.
#[cfg(unix)]
fn sync(dir: &Dir) -> io::Result<()> {
    // The handle itself may be one that only names the folder.
    dir.open(".")?.sync_all()
}

#[cfg(not(unix))]
fn sync(_dir: &Dir) -> io::Result<()> {
    Ok(())
}
