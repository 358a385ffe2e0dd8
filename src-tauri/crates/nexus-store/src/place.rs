//! Where the files of a store are, and that only their owner may read them.

use crate::StoreError;
use std::{
    fs::{DirBuilder, File, OpenOptions},
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
            anchor: dir.join("nexus.head"),
        }
    }

    /// Makes the folder, readable by its owner only, where it is absent.
    pub(crate) fn make_dir(&self) -> Result<(), StoreError> {
        private_dir(&self.dir).map_err(|source| StoreError::Folder {
            folder: self.dir.clone(),
            source,
        })
    }

    /// A file named like the database with `suffix` added.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Whether there is anything under the database's name.
    pub(crate) fn has_database(&self) -> Result<bool, StoreError> {
        self.file
            .try_exists()
            .map_err(|error| StoreError::io(&self.file, &error))
    }

    /// Makes a renaming or creation in the folder survive a power loss.
    pub(crate) fn sync_dir(&self) -> Result<(), StoreError> {
        // Only Unix opens folders as files; elsewhere the file system orders this by itself.
        if cfg!(unix) {
            File::open(&self.dir)
                .and_then(|dir| dir.sync_all())
                .map_err(|error| StoreError::io(&self.dir, &error))?;
        }
        Ok(())
    }
}

/// Makes what is in `file` survive a power loss.
pub(crate) fn sync_file(file: &Path) -> Result<(), StoreError> {
    // Windows syncs only what is open for writing.
    let open = OpenOptions::new().write(true).open(file);
    open.and_then(|open| open.sync_all())
        .map_err(|error| StoreError::io(file, &error))
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
