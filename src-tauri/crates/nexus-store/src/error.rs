//! What can go wrong with the files of a store, as the person reads it.

use crate::{
    fault::Fault,
    place::{self, Place},
};
use rusqlite::ErrorCode;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the store could not do what was asked. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody has made a store in this folder.
    #[error("find {}: nothing is recorded there yet; it is made by the first task", file.display())]
    Absent { file: PathBuf },

    /// The data folder cannot be made or is not a folder.
    #[error(
        "use {} as the data folder: {source}; choose another folder with NEXUS_DATA_DIR",
        folder.display()
    )]
    Folder { folder: PathBuf, source: io::Error },

    /// The disk, or the person's share of it, is used up.
    #[error("write {}: the disk is full; free some space, then try again", file.display())]
    DiskFull { file: PathBuf },

    /// The file, its folder or its disk may not be written.
    #[error(
        "write {}: access is refused; check who owns the file and its folder and that the disk \
         is not mounted read-only, or choose another folder with NEXUS_DATA_DIR",
        file.display()
    )]
    ReadOnly { file: PathBuf },

    /// The operating system could not read or write.
    #[error("read or write {}: {what}; check the disk, then start NEXUS again", file.display())]
    Io { file: PathBuf, what: String },

    /// The file is no longer where it was opened.
    #[error(
        "use {}: it was moved or deleted while NEXUS ran; put it back, then start NEXUS again",
        file.display()
    )]
    Moved { file: PathBuf },

    /// Another process kept the store locked for longer than we wait.
    #[error(
        "use {}: another program has it locked; close that program, then try again",
        file.display()
    )]
    Busy { file: PathBuf },

    /// Someone else appended to the log that only one may write.
    #[error(
        "write {}: another NEXUS has written to it meanwhile; close one of them, then start again",
        file.display()
    )]
    OtherWriter { file: PathBuf },

    /// Made by a later NEXUS.
    #[error(
        "open {}: it has format {found} and this NEXUS knows formats up to {known}; \
         install the newer NEXUS that made it",
        file.display()
    )]
    Newer {
        file: PathBuf,
        found: u32,
        known: u32,
    },

    /// Made by an earlier NEXUS and opened for reading only, so it cannot be brought up to date.
    #[error(
        "read {}: it has format {found} and this NEXUS reads format {known}; \
         start NEXUS once to bring it up to date",
        file.display()
    )]
    Older {
        file: PathBuf,
        found: u32,
        known: u32,
    },

    /// Some other program's file, or no database at all.
    #[error(
        "open {}: it is not a NEXUS store; move it away, or choose another folder with \
         NEXUS_DATA_DIR",
        file.display()
    )]
    NotAStore { file: PathBuf },

    /// What is stored is not what was written.
    #[error(
        "trust {}: {what}{}; keep a copy of the file, put back a backup of it together with \
         nexus.head, or move both away to start empty",
        file.display(),
        seq.map(|seq| format!(" (event {seq})")).unwrap_or_default()
    )]
    Corrupt {
        file: PathBuf,
        /// The first event that is wrong, where one can be named.
        seq: Option<u64>,
        what: String,
    },

    /// A backup was on its way back when NEXUS ended, and this is opened for reading only.
    #[error(
        "read {}: a backup was being put back when NEXUS ended; start NEXUS once to finish that",
        file.display()
    )]
    HalfRestored { file: PathBuf },

    /// A change of format did not go through. The store is as it was before.
    #[error(
        "bring {} up to date: {source}; nothing was changed, and a copy is in {}",
        file.display(),
        backup.display()
    )]
    Migration {
        file: PathBuf,
        backup: PathBuf,
        source: Box<StoreError>,
    },

    /// The SQLite in this build has a known fault that can damage a store.
    #[error("use SQLite {found}: it can damage a store; build NEXUS with {needed} or later")]
    OldSqlite { found: String, needed: String },

    /// SQLite refused for a reason that a person cannot mend. Please report it.
    #[error("use {}: {what}; please report this", file.display())]
    Unexpected { file: PathBuf, what: String },
}

impl StoreError {
    /// What an I/O error on `file` means.
    pub(crate) fn io(file: &Path, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let file = file.to_owned();
        let kind = error.kind();
        if [Kind::StorageFull, Kind::QuotaExceeded, Kind::FileTooLarge].contains(&kind) {
            return Self::DiskFull { file };
        }
        if [Kind::PermissionDenied, Kind::ReadOnlyFilesystem].contains(&kind) {
            return Self::ReadOnly { file };
        }
        if [Kind::NotFound, Kind::StaleNetworkFileHandle].contains(&kind) {
            return Self::Moved { file };
        }
        Self::Io {
            file,
            what: error.to_string(),
        }
    }

    /// The same, looked at again: SQLite calls much an I/O error of which the disk knows more.
    pub(crate) fn on_disk_of(self, place: &Place) -> Self {
        let Self::Io { file, what } = self else {
            return self;
        };
        if place::is_read_only(&place.dir) {
            Self::ReadOnly { file }
        } else if place::free_space(&place.dir) == Some(0) {
            Self::DiskFull { file }
        } else {
            Self::Io { file, what }
        }
    }

    /// What a fault while using `file` means.
    pub(crate) fn at(file: &Path, fault: Fault) -> Self {
        match fault {
            Fault::Sqlite(error) => Self::sqlite(file, &error),
            Fault::OtherWriter => Self::OtherWriter {
                file: file.to_owned(),
            },
            Fault::NoRoom => Self::DiskFull {
                file: file.to_owned(),
            },
            Fault::Locked => Self::Busy {
                file: file.to_owned(),
            },
            Fault::Corrupt { seq, what } => Self::Corrupt {
                file: file.to_owned(),
                seq,
                what,
            },
        }
    }

    /// What an error of SQLite on `file` means.
    pub(crate) fn sqlite(file: &Path, error: &rusqlite::Error) -> Self {
        let file = file.to_owned();
        let what = error.to_string();
        let Some(code) = error.sqlite_error_code() else {
            // Not from SQLite itself: a stored value has another form than we ever write.
            return Self::Corrupt {
                file,
                seq: None,
                what,
            };
        };
        let extended = error.sqlite_extended_error_code();
        let is = |codes: &[ErrorCode]| codes.contains(&code);

        if extended == Some(rusqlite::ffi::SQLITE_READONLY_DBMOVED) {
            Self::Moved { file }
        } else if is(&[ErrorCode::DatabaseCorrupt])
            || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHORT_READ)
        {
            let seq = None;
            Self::Corrupt { file, seq, what }
        } else if is(&[ErrorCode::NotADatabase]) {
            Self::NotAStore { file }
        } else if is(&[ErrorCode::DiskFull]) {
            Self::DiskFull { file }
        } else if is(&[
            ErrorCode::ReadOnly,
            ErrorCode::PermissionDenied,
            ErrorCode::CannotOpen,
        ]) {
            Self::ReadOnly { file }
        } else if is(&[
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::FileLockingProtocolFailed,
        ]) {
            Self::Busy { file }
        } else if is(&[ErrorCode::SystemIoFailure, ErrorCode::OutOfMemory]) {
            Self::Io { file, what }
        } else {
            Self::Unexpected { file, what }
        }
    }
}
