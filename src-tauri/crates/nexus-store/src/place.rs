//! Where the files of a store are, and that only their owner may read them.

use crate::StoreError;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// The data folder and the names in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// The database.
    pub(crate) file: PathBuf,
    /// Where the log ended, kept outside of the database.
    pub(crate) anchor: PathBuf,
}

impl Place {
    /// The names in `dir`. Touches nothing.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            file: dir.join(crate::Store::FILE),
            anchor: dir.join(Self::ANCHOR),
        }
    }

    /// The name of the file that says where the log ended.
    pub(crate) const ANCHOR: &str = "nexus.head";

    /// Makes the folder, readable by its owner only, where it is absent.
    pub(crate) fn make_dir(&self) -> Result<(), StoreError> {
        private_dir(&self.dir).map_err(|source| StoreError::Folder {
            folder: self.dir.clone(),
            source,
        })
    }

    /// Where verified copies are kept.
    pub(crate) fn backups(&self) -> PathBuf {
        self.dir.join("backups")
    }

    /// Where files go that a backup took the place of.
    pub(crate) fn set_aside(&self) -> PathBuf {
        self.dir.join("set-aside")
    }

    /// The room that is kept back.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    /// A file named like the database with `suffix` added.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.file, suffix)
    }

    /// Whether there is anything under the database's name.
    pub(crate) fn has_database(&self) -> Result<bool, StoreError> {
        self.file
            .try_exists()
            .map_err(|error| StoreError::io(&self.file, &error))
    }

    /// Makes a renaming or creation in the folder survive a power loss.
    pub(crate) fn sync_dir(&self) -> Result<(), StoreError> {
        sync_folder(&self.dir)
    }
}

/// Makes a renaming or creation in `folder` survive a power loss.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    about_to_change(folder)?;
    // Only Unix opens folders as files; elsewhere the file system orders this by itself.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| StoreError::io(folder, &error))?;
    }
    Ok(())
}

/// Makes what is in `file` survive a power loss.
pub(crate) fn sync_file(file: &Path) -> Result<(), StoreError> {
    about_to_change(file)?;
    // Windows syncs only what is open for writing.
    let open = OpenOptions::new().write(true).open(file);
    open.and_then(|open| open.sync_all())
        .map_err(|error| StoreError::io(file, &error))
}

/// Gives `from` the name `to`. What had that name is gone.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    about_to_change(from)?;
    fs::rename(from, to).map_err(|error| StoreError::io(to, &error))
}

/// Removes `file`; that it is already gone is fine.
pub(crate) fn remove_if_there(file: &Path) -> Result<(), StoreError> {
    about_to_change(file)?;
    match fs::remove_file(file) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io(file, &error)),
    }
}

/// Removes the unfinished database `file` and what SQLite puts beside one.
pub(crate) fn remove_database(file: &Path) -> Result<(), StoreError> {
    ["-journal", "-wal", "-shm", ""]
        .into_iter()
        .try_for_each(|suffix| remove_if_there(&with_suffix(file, suffix)))
}

/// Makes the empty file `file` for its owner only. Fails when there is one.
pub(crate) fn create_file(file: &Path) -> Result<(), StoreError> {
    about_to_change(file)?;
    let made = private_file().write(true).create_new(true).open(file);
    made.map(drop).map_err(|error| StoreError::io(file, &error))
}

/// Copies `from` to the new file `to`, for its owner only.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    create_file(to)?;
    about_to_change(to)?;
    let mut source = File::open(from).map_err(|error| StoreError::io(from, &error))?;
    let target = OpenOptions::new().write(true).open(to);
    target
        .and_then(|mut target| io::copy(&mut source, &mut target))
        .map(drop)
        .map_err(|error| StoreError::io(to, &error))
}

/// Makes the folder `dir` for its owner only where it is absent. Never what is above it: a data
/// folder that is gone must not come back empty.
pub(crate) fn make_folder(dir: &Path) -> Result<(), StoreError> {
    about_to_change(dir)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made.map_err(|error| StoreError::io(dir, &error)),
    }
}

/// `file` with `suffix` behind its name.
pub(crate) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// How many bytes this person may still write on the disk of `dir`; `None` when nobody says.
pub(crate) fn free_space(dir: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        None
    }
}

/// Whether the disk of `dir` is mounted read-only.
pub(crate) fn is_read_only(dir: &Path) -> bool {
    #[cfg(unix)]
    {
        let flags = rustix::fs::statvfs(dir).map(|disk| disk.f_flag);
        flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        false
    }
}

/// Every change of a folder passes here, so that a test can let the world end at each of them.
fn about_to_change(path: &Path) -> Result<(), StoreError> {
    #[cfg(test)]
    end_of_the_world::draws_near().map_err(|error| StoreError::io(path, &error))?;
    #[cfg(not(test))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
pub(crate) mod end_of_the_world {
    use std::{cell::Cell, io};

    thread_local! {
        static CHANGES_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// From now on this thread changes folders `changes` times and then never again; `None`
    /// lets it live.
    pub(crate) fn after(changes: Option<u32>) {
        CHANGES_LEFT.set(changes);
    }

    pub(super) fn draws_near() -> io::Result<()> {
        match CHANGES_LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the world has ended")),
            Some(left) => {
                CHANGES_LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

/// Which file a name led to when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl Identity {
    /// The file that `path` leads to now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Ok(Self {
                device_and_inode: (metadata.dev(), metadata.ino()),
            })
        }
        #[cfg(not(unix))]
        {
            // Windows refuses to move an open database, so that it exists says enough.
            drop(metadata);
            Ok(Self {})
        }
    }
}

/// Makes `dir` and what is missing above it, for its owner only. Leaves existing folders alone.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Options that make a file for its owner only, where they make one.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
