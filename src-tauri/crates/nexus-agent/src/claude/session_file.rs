//! Where Claude Code keeps the conversations of its sessions, and how one is put aside.
//!
//! Looks and moves, never writes into a file, never deletes one and never follows a link. What
//! is in a file is read by `memory`.

use super::{args::Environment, memory::Memory};
use crate::Recorded;
use nexus_core::SessionId;
use std::{
    fs::{self, File, Metadata},
    io::{self, BufReader},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The folder with the conversations of all projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFiles {
    projects: PathBuf,
}

/// One session's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFile {
    pub session: SessionId,
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written to, where the file system says so.
    pub changed: Option<SystemTime>,
    /// A prompt of NEXUS for this very session is in its conversation. Only then is it proved
    /// to be ours. A link, a folder and a file that cannot be read prove nothing.
    pub marked: bool,
}

/// Why a session's file was left where it is.
#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    #[error(
        "put aside {0}: nothing in it proves that NEXUS made it. Look at it and remove it yourself if it is not wanted"
    )]
    NotOurs(PathBuf),
    #[error(
        "put aside {0}: it changed meanwhile, so somebody uses it. Try again when its task is not running"
    )]
    Changed(PathBuf),
    #[error(
        "put aside {path}: {error}. Check that it and {trash} are on the same disk and can be written to"
    )]
    Io {
        path: PathBuf,
        trash: PathBuf,
        error: io::Error,
    },
}

/// What is known before a session is resumed.
#[derive(Debug, PartialEq)]
pub(crate) enum Recollection {
    /// Its file is there and holds this.
    Memory(Memory),
    /// What is in the place of its file is none.
    NoFile(String),
    /// There is no such file where it is looked for, or it cannot be read. That proves nothing:
    /// another version may keep it elsewhere.
    Unknown,
}

impl SessionFiles {
    /// Where the program keeps them when it is started with this environment. `None` without
    /// a home folder.
    pub fn of(environment: &Environment) -> Option<Self> {
        let config = match environment.get("CLAUDE_CONFIG_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(environment.get("HOME")?).join(".claude"),
        };
        Some(Self {
            projects: config.join("projects"),
        })
    }

    /// The files of a session: none, one, or several where it was carried on from different
    /// folders. Reads them to their ends, which takes a second for some hundred megabytes.
    pub fn find(&self, session: SessionId) -> io::Result<Vec<SessionFile>> {
        let paths = self.paths(session)?;
        paths
            .into_iter()
            .map(|path| {
                let meta = fs::symlink_metadata(&path)?;
                Ok(SessionFile {
                    session,
                    bytes: meta.len(),
                    changed: meta.modified().ok(),
                    marked: meta.is_file() && is_marked(&path, session),
                    path,
                })
            })
            .collect()
    }

    /// Moves a file into a folder of its own below `trash`, which is made if it is missing,
    /// and says where it is now. Does so only when its content proves it to be ours.
    pub fn move_aside(&self, file: &SessionFile, trash: &Path) -> Result<PathBuf, NotMoved> {
        let failed = |error| NotMoved::Io {
            path: file.path.clone(),
            trash: trash.to_owned(),
            error,
        };
        let before = fs::symlink_metadata(&file.path).map_err(failed)?;
        if !self.holds(&file.path) || !before.is_file() || !is_marked(&file.path, file.session) {
            return Err(NotMoved::NotOurs(file.path.clone()));
        }
        let place = new_folder(trash, file.session).map_err(failed)?;
        let now = fs::symlink_metadata(&file.path).map_err(failed)?;
        if stamp(&before) != stamp(&now) {
            return Err(NotMoved::Changed(file.path.clone()));
        }
        let target = place.join(format!("{}.jsonl", file.session));
        // The folder is new and our own, so nothing is there that could be replaced.
        fs::rename(&file.path, &target).map_err(failed)?;
        Ok(target)
    }

    /// What a session in this workspace will remember, as far as its file says so.
    pub(crate) fn recollect(&self, session: SessionId, workspace: &Path) -> Recollection {
        let usual = self.usual_path(session, workspace);
        let path = match fs::symlink_metadata(&usual) {
            Ok(_) => usual,
            // Which of several the program takes is not known.
            Err(_) => match self.paths(session).as_deref() {
                Ok([only]) => only.clone(),
                Ok(_) | Err(_) => return Recollection::Unknown,
            },
        };
        let Ok(meta) = fs::symlink_metadata(&path) else {
            return Recollection::Unknown;
        };
        if !meta.is_file() {
            return Recollection::NoFile("its file is not a file".to_owned());
        }
        match read(&path, session) {
            Ok(memory) => Recollection::Memory(memory),
            Err(_) => Recollection::Unknown,
        }
    }

    /// Where the program keeps a session of this folder, unless its path is very long.
    fn usual_path(&self, session: SessionId, workspace: &Path) -> PathBuf {
        let folder = workspace.to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let folder: String = folder.chars().map(plain).collect();
        self.projects.join(folder).join(format!("{session}.jsonl"))
    }

    /// Is this directly in the folder of a project, and that folder no link?
    fn holds(&self, path: &Path) -> bool {
        path.parent().is_some_and(|project| {
            project.parent() == Some(&*self.projects)
                && fs::symlink_metadata(project).is_ok_and(|meta| meta.is_dir())
        })
    }

    fn paths(&self, session: SessionId) -> io::Result<Vec<PathBuf>> {
        let projects = match fs::read_dir(&self.projects) {
            Ok(projects) => projects,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for project in projects {
            let project = project?;
            let path = project.path().join(format!("{session}.jsonl"));
            if project.file_type()?.is_dir() && fs::symlink_metadata(&path).is_ok() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Recollection {
    /// Why the session cannot be carried on, if that is certain.
    pub(crate) fn objection(&self, recorded: &Recorded) -> Option<String> {
        match self {
            Self::Memory(memory) => memory.objection(recorded),
            Self::NoFile(why) => Some(why.clone()),
            Self::Unknown => None,
        }
    }
}

fn read(path: &Path, session: SessionId) -> io::Result<Memory> {
    Memory::read(BufReader::new(File::open(path)?), session)
}

fn is_marked(path: &Path, session: SessionId) -> bool {
    read(path, session).is_ok_and(|memory| memory.marked)
}

/// Says whether a file is still the one it was.
fn stamp(meta: &Metadata) -> (u64, u64, u64, i64, i64) {
    (
        meta.dev(),
        meta.ino(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
    )
}

/// A folder that did not exist before, which only its owner can look into.
fn new_folder(trash: &Path, session: SessionId) -> io::Result<PathBuf> {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder.recursive(true).create(trash)?;
    builder.recursive(false);
    for number in 1_u32.. {
        let place = trash.join(format!("session-{session}-{number}"));
        match builder.create(&place) {
            Ok(()) => return Ok(place),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests;
