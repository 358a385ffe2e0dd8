//! Looks at a folder that a person names, before anything is done with it.
//!
//! Only looks: links are resolved, the folder is listed, nothing in it is run.

use crate::person_git::{BrokenGit, PersonGit};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A folder that can be a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its canonical path.
    pub path: PathBuf,
    /// Its last part, for a person to read.
    pub name: String,
    /// It is, or lies in, a git checkout.
    pub is_git: bool,
}

/// The places around a project that a project must not be.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The person's home folder, if they have one.
    pub home: Option<&'a Path>,
    /// NEXUS's own data folder.
    pub data: &'a Path,
}

/// Why a folder cannot be a project.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("open {}: there is no such folder; check the path", .0.display())]
    Missing(PathBuf),
    #[error("open {}: it is a file; name the folder it is in", .0.display())]
    NotAFolder(PathBuf),
    #[error("read {}: {source}; make it readable for you, or choose another folder", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("open {}: it is the whole file system; choose the folder of one project", .0.display())]
    Root(PathBuf),
    #[error("open {}: it is your home folder; choose the folder of one project in it", .0.display())]
    Home(PathBuf),
    #[error("open {}: it holds your home folder; choose the folder of one project", .0.display())]
    AboveHome(PathBuf),
    #[error("open {}: it is part of NEXUS's own data; choose another folder", .0.display())]
    InsideData(PathBuf),
    #[error("open {}: it holds NEXUS's own data ({}); choose another folder", path.display(), data.display())]
    AboveData { path: PathBuf, data: PathBuf },
    #[error(transparent)]
    BrokenGit(#[from] BrokenGit),
}

/// Says what a folder is, or why it cannot be a project.
pub fn inspect_folder(path: &Path, around: Surroundings<'_>) -> Result<Folder, FolderError> {
    let unreadable = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            FolderError::Missing(path)
        } else if source.kind() == io::ErrorKind::NotADirectory {
            FolderError::NotAFolder(path)
        } else {
            FolderError::Unreadable { path, source }
        }
    };
    let path = path.canonicalize().map_err(unreadable)?;
    if !path.metadata().map_err(unreadable)?.is_dir() {
        return Err(FolderError::NotAFolder(path));
    }
    refuse_special(&path, around)?;
    fs::read_dir(&path).map_err(unreadable)?;
    let is_git = PersonGit::around(&path)?.is_some();
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    Ok(Folder { path, name, is_git })
}

fn refuse_special(path: &Path, around: Surroundings<'_>) -> Result<(), FolderError> {
    let path_buf = || path.to_owned();
    // A place that does not exist yet cannot be reached through links either.
    let resolve = |place: &Path| place.canonicalize().unwrap_or_else(|_| place.to_owned());
    if path.parent().is_none() {
        return Err(FolderError::Root(path_buf()));
    }
    if let Some(home) = around.home.map(resolve) {
        if path == home {
            return Err(FolderError::Home(path_buf()));
        }
        if home.starts_with(path) {
            return Err(FolderError::AboveHome(path_buf()));
        }
    }
    let data = resolve(around.data);
    if path.starts_with(&data) {
        return Err(FolderError::InsideData(path_buf()));
    }
    if data.starts_with(path) {
        let path = path_buf();
        return Err(FolderError::AboveData { path, data });
    }
    Ok(())
}
