//! Brings things into a workspace that a snapshot leaves out and work needs, such as installed
//! packages.
//!
//! Files share their blocks with the originals where the file system can do that. Links stay
//! links; one that is to be copied by name is not followed, and neither is one on the way.

use crate::plain_file::is_absent;
use nexus_core::ProjectPath;
use std::{
    fmt,
    fs::{self, FileTimes},
    io,
    path::{Path, PathBuf},
};

/// Something on the copy list that was not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCopied {
    pub path: ProjectPath,
    pub reason: NotCopiedReason,
}

/// Why something was not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCopiedReason {
    /// There is nothing of that name in the folder.
    Absent,
    /// It is a link, or lies behind one, and may be outside of the project.
    Link,
    /// It is neither a file nor a folder.
    Special,
    /// It is more than may be copied, or what was copied before left too little room for it.
    TooMuch,
    /// It, or something in it, could not be read.
    Unreadable,
    /// Its name is not UTF-8.
    NotUtf8,
}

impl fmt::Display for NotCopiedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "it is not there",
            Self::Link => "it is a link, or lies behind one",
            Self::Special => "it is neither a file nor a folder",
            Self::TooMuch => "it is too much to be copied",
            Self::Unreadable => "it, or something in it, cannot be read",
            Self::NotUtf8 => "its name is not UTF-8",
        })
    }
}

/// What could not be read or written while copying.
#[derive(Debug)]
pub(crate) struct CopyError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Where a project is copied from, and where its copy will stand in the end. Paths of the
/// first kind that are written into the copied things are turned into the second.
pub(crate) struct Move<'a> {
    pub(crate) from: &'a Path,
    pub(crate) to: &'a Path,
}

/// Copies what is listed from the project into `into`, which becomes the copy of the project.
/// What is there already, because the snapshot holds it, is left alone.
pub(crate) fn copy_listed(
    list: &[ProjectPath],
    into: &Path,
    project: &Move<'_>,
) -> Result<Vec<NotCopied>, CopyError> {
    let mut not_copied = Vec::new();
    for path in list {
        if is_there(into, path) {
            continue;
        }
        if let Err(reason) = look(project.from, path) {
            let path = path.clone();
            not_copied.push(NotCopied { path, reason });
            continue;
        }
        let from = project.from.join(path.as_str());
        let to = into.join(path.as_str());
        create_parents(into, path)?;
        copy(&from, &to, project)?;
        adjust_python_environment(&to, project)?;
    }
    Ok(not_copied)
}

/// How much is copied, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyLimit {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// What something weighs, with all that is in it. The lighter one needs fewer bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    bytes: u64,
    files: u64,
}

impl CopyLimit {
    fn without(self, weight: Weight) -> Option<Self> {
        Some(Self {
            files: self.files.checked_sub(weight.files)?,
            bytes: self.bytes.checked_sub(weight.bytes)?,
        })
    }
}

/// Copies each of these whole or not at all, the lightest first, for as long as they fit. What
/// is there already is left alone.
///
/// A thing is put together in `aside`, an empty folder on the same disk, so that half of it is
/// never taken for the whole.
pub(crate) fn copy_within(
    limit: CopyLimit,
    list: Vec<ProjectPath>,
    into: &Path,
    aside: &Path,
    project: &Move<'_>,
) -> Result<Vec<NotCopied>, CopyError> {
    let mut not_copied = Vec::new();
    let mut weighed = Vec::new();
    for path in list.into_iter().filter(|path| !is_there(into, path)) {
        match weigh(&project.from.join(path.as_str()), limit) {
            Ok(weight) => weighed.push((weight, path)),
            Err(reason) => not_copied.push(NotCopied { path, reason }),
        }
    }
    weighed.sort();
    let mut left = limit;
    for (n, (weight, path)) in weighed.into_iter().enumerate() {
        let Some(rest) = left.without(weight) else {
            let reason = NotCopiedReason::TooMuch;
            not_copied.push(NotCopied { path, reason });
            continue;
        };
        match bring(&path, into, &aside.join(n.to_string()), project) {
            Ok(()) => left = rest,
            Err(error) if is_out_of_reach(&error.source) => {
                let reason = NotCopiedReason::Unreadable;
                not_copied.push(NotCopied { path, reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(not_copied)
}

fn bring(
    path: &ProjectPath,
    into: &Path,
    aside: &Path,
    project: &Move<'_>,
) -> Result<(), CopyError> {
    let from = project.from.join(path.as_str());
    copy(&from, aside, project)?;
    adjust_python_environment(aside, project)?;
    create_parents(into, path)?;
    let placed = fs::rename(aside, into.join(path.as_str()));
    placed.map_err(|source| CopyError { path: from, source })
}

/// Does the error say that it is kept from us, or was gone before it could be read?
fn is_out_of_reach(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied || is_absent(error)
}

/// What something weighs; follows no link.
fn weigh(path: &Path, limit: CopyLimit) -> Result<Weight, NotCopiedReason> {
    let unreadable = |_: io::Error| NotCopiedReason::Unreadable;
    let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
    if !(metadata.is_file() || metadata.is_dir() || metadata.is_symlink()) {
        return Err(NotCopiedReason::Special);
    }
    let mut weight = Weight::default();
    let mut pending = vec![(path.to_owned(), metadata)];
    while let Some((path, metadata)) = pending.pop() {
        weight.files += 1;
        weight.bytes += metadata.len();
        limit.without(weight).ok_or(NotCopiedReason::TooMuch)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                pending.push((entry.path(), entry.metadata().map_err(unreadable)?));
            }
        }
    }
    Ok(weight)
}

fn is_there(into: &Path, path: &ProjectPath) -> bool {
    fs::symlink_metadata(into.join(path.as_str())).is_ok()
}

/// Is it a file or folder that no link leads to?
fn look(folder: &Path, path: &ProjectPath) -> Result<(), NotCopiedReason> {
    let path = path.as_str();
    let ends = path.match_indices('/').map(|(slash, _)| slash);
    for end in ends.chain([path.len()]) {
        let metadata = fs::symlink_metadata(folder.join(&path[..end]));
        let metadata = metadata.map_err(|_| NotCopiedReason::Absent)?;
        if metadata.is_symlink() {
            return Err(NotCopiedReason::Link);
        }
        let is_file_at_end = metadata.is_file() && end == path.len();
        if !(metadata.is_dir() || is_file_at_end) {
            return Err(NotCopiedReason::Special);
        }
    }
    Ok(())
}

/// Makes the folders that a copied thing lies in. A link among them came from the project's
/// own snapshot, and would lead out.
fn create_parents(into: &Path, path: &ProjectPath) -> Result<(), CopyError> {
    for (slash, _) in path.as_str().match_indices('/') {
        let dir = into.join(&path.as_str()[..slash]);
        let made = match fs::symlink_metadata(&dir) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
            Err(_) => fs::create_dir(&dir),
        };
        made.map_err(|source| CopyError { path: dir, source })?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, project: &Move<'_>) -> Result<(), CopyError> {
    let failed = |source| CopyError {
        path: from.to_owned(),
        source,
    };
    let metadata = fs::symlink_metadata(from).map_err(failed)?;
    if metadata.is_dir() {
        fs::create_dir(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            copy(&from.join(&name), &to.join(&name), project)?;
        }
    } else if metadata.is_symlink() {
        let target = fs::read_link(from).map_err(failed)?;
        let target = match target.strip_prefix(project.from) {
            Ok(inside) => project.to.join(inside),
            Err(_) => target,
        };
        link(&target, to).map_err(failed)?;
    } else if metadata.is_file() {
        copy_file(from, to, &metadata).map_err(failed)?;
    }
    // Sockets and pipes are nothing without the program that made them.
    Ok(())
}

/// Keeps rights and time: caches are judged by the time of what they were made from.
fn copy_file(from: &Path, to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    reflink_copy::reflink_or_copy(from, to)?;
    let file = fs::OpenOptions::new().write(true).open(to);
    if let (Ok(file), Ok(modified)) = (file, metadata.modified()) {
        file.set_times(FileTimes::new().set_modified(modified))?;
    }
    fs::set_permissions(to, metadata.permissions())
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn link(_target: &Path, _at: &Path) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// The largest file of a Python environment that is looked through for paths.
const SCRIPT_LIMIT: u64 = 1024 * 1024;

/// A Python environment has the absolute path of its project written into its scripts and
/// into the files that make the project importable. Left as they are, the checks in the copy
/// would test the original.
fn adjust_python_environment(dir: &Path, project: &Move<'_>) -> Result<(), CopyError> {
    let config = dir.join("pyvenv.cfg");
    if !is_folder(dir) || !config.is_file() {
        return Ok(());
    }
    adjust_file(&config, project)?;
    for scripts in [dir.join("bin"), dir.join("Scripts")] {
        for script in files_in(&scripts) {
            adjust_file(&script, project)?;
        }
    }
    let mut libraries = files_in(&dir.join("lib"));
    libraries.push(dir.join("Lib"));
    libraries.retain(|lib| is_folder(lib));
    for packages in libraries.iter().map(|lib| lib.join("site-packages")) {
        for file in files_in(&packages) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".pth") || name.starts_with("__editable__") {
                adjust_file(&file, project)?;
            }
        }
    }
    Ok(())
}

/// What lies in a folder; nothing if it is none. A link to one may lead out.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    if !is_folder(dir) {
        return Vec::new();
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}

/// Replaces the project's path by that of its copy in a short text file.
fn adjust_file(path: &Path, project: &Move<'_>) -> Result<(), CopyError> {
    let failed = |source| CopyError {
        path: path.to_owned(),
        source,
    };
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.is_file() || metadata.len() > SCRIPT_LIMIT {
        return Ok(());
    }
    let Ok(text) = String::from_utf8(fs::read(path).map_err(failed)?) else {
        return Ok(());
    };
    let (Some(from), Some(to)) = (project.from.to_str(), project.to.to_str()) else {
        return Ok(());
    };
    let moved = replace_path(&text, from, to);
    if moved == text {
        return Ok(());
    }
    fs::write(path, moved).map_err(failed)
}

/// Replaces a path, but not where it is only the beginning of another name.
fn replace_path(text: &str, from: &str, to: &str) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        let name_goes_on = after
            .starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '~'));
        moved.push_str(before);
        moved.push_str(if name_goes_on { from } else { to });
        rest = after;
    }
    moved + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_itself_is_replaced() {
        let text = "#!/p/a/.venv/bin/python\n/p/a\n/p/ab/x\n\"/p/a\"";
        assert_eq!(
            replace_path(text, "/p/a", "/w"),
            "#!/w/.venv/bin/python\n/w\n/p/ab/x\n\"/w\""
        );
    }
}
