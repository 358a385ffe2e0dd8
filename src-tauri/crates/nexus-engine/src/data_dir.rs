//! The data folder: where everything NEXUS keeps has its place, and who may write there.

use crate::EngineError;
use fs4::{FileExt, TryLockError};
use nexus_core::{ProjectId, SeatId, TaskId};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The layout of the data folder. Knows paths; creates nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

/// Longest socket path that fits into a Unix socket address on every system we run on.
const SOCKET_PATH_LIMIT: usize = 100;

impl DataDir {
    /// The data folder at `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder every host uses unless told otherwise: `$XDG_DATA_HOME/nexus` or its native
    /// equivalent. `None` when the person has no home folder.
    pub fn default_root() -> Option<PathBuf> {
        directories::BaseDirs::new().map(|dirs| dirs.data_dir().join("nexus"))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// NEXUS's own git directory for a project.
    pub fn repository(&self, project: ProjectId) -> PathBuf {
        self.root
            .join("projects")
            .join(project.to_string())
            .join("git")
    }

    /// The bundled samples of the practice team.
    pub fn practice(&self) -> PathBuf {
        // Beside the data folder and not in it, so that a sample is a project like any other.
        let mut name = self.root.file_name().unwrap_or_default().to_owned();
        name.push("-practice");
        self.root.with_file_name(name)
    }

    /// Everything of one task.
    pub fn task(&self, task: TaskId) -> PathBuf {
        self.root.join("tasks").join(task.to_string())
    }

    /// The copy a task works in.
    pub fn workspace(&self, task: TaskId) -> PathBuf {
        self.task(task).join("workspace")
    }

    /// The copies of agents that work side by side.
    pub fn lanes(&self, task: TaskId) -> PathBuf {
        self.task(task).join("lanes")
    }

    /// The copy in which the agent of a lane's seat works.
    pub fn lane(&self, task: TaskId, seat: SeatId) -> PathBuf {
        self.lanes(task).join(seat.to_string())
    }

    /// The six Markdown files.
    pub fn scratchpads(&self, task: TaskId) -> PathBuf {
        self.task(task).join("scratchpads")
    }

    /// The whole output of checks and set-up.
    pub fn outputs(&self, task: TaskId) -> PathBuf {
        self.task(task).join("checks")
    }

    /// The socket on which the owner answers other hosts. In the data folder where its path
    /// is short enough, else in the runtime or temporary folder under a name that follows
    /// from the data folder's.
    pub fn socket(&self) -> PathBuf {
        let here = self.root.join("nexus.sock");
        if here.as_os_str().len() <= SOCKET_PATH_LIMIT {
            return here;
        }
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        let name: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let base =
            std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        base.join(format!("nexus-{name}")).join("nexus.sock")
    }

    /// What the owner has locked.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("owner.lock")
    }

    /// Makes the folder, readable to the person alone, and takes its lock if nobody has it.
    pub fn own(&self) -> Result<Ownership, EngineError> {
        private_dir(&self.root)?;
        let path = self.lock_file();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| EngineError::data_dir(&path, source))?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Ownership::Ours(OwnerLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(Ownership::Taken),
            Err(TryLockError::Error(source)) => Err(EngineError::data_dir(&path, source)),
        }
    }
}

/// Whether this process may run the engine of a data folder.
#[derive(Debug)]
pub enum Ownership {
    Ours(OwnerLock),
    /// Another process runs it; be its client.
    Taken,
}

/// Proof that this process owns the data folder. The system releases it with the process.
#[derive(Debug)]
pub struct OwnerLock {
    _file: File,
}

/// Makes a folder and its parents, readable to the person alone.
pub(crate) fn private_dir(path: &Path) -> Result<(), EngineError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| EngineError::data_dir(path, source))?;
    let meta = fs::metadata(path).map_err(|source| EngineError::data_dir(path, source))?;
    if meta.permissions().readonly() {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        return Err(EngineError::data_dir(path, source));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_owner_is_a_client() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("nexus"));
        let first = data.own().unwrap();
        assert!(matches!(first, Ownership::Ours(_)));
        assert!(matches!(data.own().unwrap(), Ownership::Taken));
        drop(first);
        assert!(matches!(data.own().unwrap(), Ownership::Ours(_)));
    }

    #[test]
    fn a_long_data_folder_still_has_a_socket_path_that_fits() {
        let data = DataDir::new(PathBuf::from(format!("/{}", "x".repeat(300))));
        assert!(data.socket().as_os_str().len() <= SOCKET_PATH_LIMIT);
    }
}
