//! What sort of trouble the store is in, for hosts that have to choose what to do next.

use crate::StoreError;

/// The sort of a [`StoreError`], without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The disk, or the person's share of it, is used up.
    DiskFull,
    /// The store may not be written: a permission, or a disk mounted read-only.
    ReadOnly,
    /// The operating system could not read or write.
    Io,
    /// The file or its folder is no longer where it was opened.
    Vanished,
    /// What is stored is not what was written.
    Corrupt,
    /// In the store's place is some other file.
    NotAStore,
    /// A later NEXUS made it.
    Newer,
    /// An earlier NEXUS made it, and it was opened only for reading.
    Older,
    /// Another NEXUS has written to it meanwhile.
    OtherWriter,
    /// Another program has it locked.
    Busy,
    /// Nothing is recorded there yet.
    Absent,
    /// The data folder cannot be made or is not a folder.
    Folder,
    /// A backup was on its way back when NEXUS ended; the next owner finishes that.
    HalfRestored,
    /// This build of NEXUS has a SQLite that can damage a store.
    OldSqlite,
    /// A mistake of ours.
    Unexpected,
}

impl Trouble {
    /// Every sort there is.
    pub const ALL: [Self; 15] = [
        Self::DiskFull,
        Self::ReadOnly,
        Self::Io,
        Self::Vanished,
        Self::Corrupt,
        Self::NotAStore,
        Self::Newer,
        Self::Older,
        Self::OtherWriter,
        Self::Busy,
        Self::Absent,
        Self::Folder,
        Self::HalfRestored,
        Self::OldSqlite,
        Self::Unexpected,
    ];

    /// A name that stays the same from version to version.
    pub fn code(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Io => "io",
            Self::Vanished => "vanished",
            Self::Corrupt => "corrupt",
            Self::NotAStore => "not_a_store",
            Self::Newer => "newer",
            Self::Older => "older",
            Self::OtherWriter => "other_writer",
            Self::Busy => "busy",
            Self::Absent => "absent",
            Self::Folder => "folder",
            Self::HalfRestored => "half_restored",
            Self::OldSqlite => "old_sqlite",
            Self::Unexpected => "unexpected",
        }
    }

    /// Whether the same store can go on by itself once the disk or the folder is well again.
    pub fn may_pass(self) -> bool {
        match self {
            Self::DiskFull | Self::ReadOnly | Self::Io | Self::Vanished | Self::Busy => true,
            Self::Corrupt
            | Self::NotAStore
            | Self::Newer
            | Self::Older
            | Self::OtherWriter
            | Self::Absent
            | Self::Folder
            | Self::HalfRestored
            | Self::OldSqlite
            | Self::Unexpected => false,
        }
    }

    /// Whether putting a backup in the place of what is there is a way on.
    pub fn calls_for_a_backup(self) -> bool {
        match self {
            Self::Corrupt | Self::NotAStore => true,
            Self::DiskFull
            | Self::ReadOnly
            | Self::Io
            | Self::Vanished
            | Self::Newer
            | Self::Older
            | Self::OtherWriter
            | Self::Busy
            | Self::Absent
            | Self::Folder
            | Self::HalfRestored
            | Self::OldSqlite
            | Self::Unexpected => false,
        }
    }
}

impl StoreError {
    /// What sort of trouble this is.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Absent { .. } => Trouble::Absent,
            Self::Folder { .. } => Trouble::Folder,
            Self::DiskFull { .. } => Trouble::DiskFull,
            Self::ReadOnly { .. } => Trouble::ReadOnly,
            Self::Io { .. } => Trouble::Io,
            Self::Moved { .. } => Trouble::Vanished,
            Self::Busy { .. } => Trouble::Busy,
            Self::OtherWriter { .. } => Trouble::OtherWriter,
            Self::Newer { .. } => Trouble::Newer,
            Self::Older { .. } => Trouble::Older,
            Self::NotAStore { .. } => Trouble::NotAStore,
            Self::Corrupt { .. } => Trouble::Corrupt,
            Self::HalfRestored { .. } => Trouble::HalfRestored,
            Self::Migration { source, .. } => source.trouble(),
            Self::OldSqlite { .. } => Trouble::OldSqlite,
            Self::Unexpected { .. } => Trouble::Unexpected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_trouble_has_a_code_of_its_own_in_lower_case() {
        let codes: BTreeSet<_> = Trouble::ALL.into_iter().map(Trouble::code).collect();
        assert_eq!(codes.len(), Trouble::ALL.len());
        let plain = |code: &str| code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(codes.into_iter().all(plain));
    }
}
