//! What can go wrong below the level that knows the file's name.

/// A failure inside the database, before it is told which file that is.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    /// The log's end is not where this writer left it.
    OtherWriter,
    /// The disk has too little room for what is about to be written.
    NoRoom,
    /// Someone else holds a lock.
    Locked,
    /// What is stored is not what was written.
    Corrupt {
        seq: Option<u64>,
        what: String,
    },
}

impl Fault {
    /// Event `seq` is not as it was written.
    pub(crate) fn event(seq: u64, what: &str) -> Self {
        Self::Corrupt {
            seq: Some(seq),
            what: what.to_owned(),
        }
    }

    /// The store is not as it was written, in no particular event.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt {
            seq: None,
            what: what.into(),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
