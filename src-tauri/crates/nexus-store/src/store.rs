//! The store: one writer, any number of readers, also in other processes.

use crate::{
    StoreError,
    anchor::{self, Anchor},
    connection::{self, Access},
    fault::Fault,
    migration::{self, MIGRATIONS},
    place::{self, Identity, Place},
    table::{
        event::{self, Head, NewEvent, StoredEvent},
        process::{self, LedgerRow, NewProcess},
        task_summary::{self, SummaryFilter, TaskSummary},
    },
    verify,
};
use rusqlite::{Connection, TransactionBehavior};
use std::{fs, ops::Deref, path::Path};

/// What the store is locked with. Encryption will add its variant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKey {
    /// Not encrypted.
    Plain,
}

/// The writing side. Its caller owns the data folder: there is one `Store` at a time.
///
/// It can do all that a [`Reader`] can.
#[derive(Debug)]
pub struct Store {
    reader: Reader,
    anchor: Anchor,
    identity: Identity,
    head: Head,
}

/// The reading side. Any process may hold one while the owner writes.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    place: Place,
}

/// How long a commit waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// Until it is on the disk.
    PowerLoss,
    /// Until the operating system has it.
    OwnDeath,
}

impl Store {
    /// The name of the database in the data folder.
    pub const FILE: &'static str = "nexus.db";

    /// Opens the store in `dir`, making folder and store where they are absent, bringing an
    /// older format up to date, and checking every event that was ever written.
    pub fn open(dir: &Path, key: StoreKey) -> Result<Self, StoreError> {
        let place = Place::new(dir);
        place.make_dir()?;
        if !place.has_database()? {
            create(&place, key)?;
        }
        let mut connection = open_existing(&place, key, Access::Write)?;
        let file = place.file.as_path();
        let found = migration::format(&connection, file, MIGRATIONS)?;
        connection::make_durable(&connection).map_err(|fault| StoreError::at(file, fault))?;
        migration::bring_up_to_date(&mut connection, &place, found, MIGRATIONS)?;

        let head = anchor::read(&place.anchor)?;
        let head = verify::whole(&connection, head.as_ref())
            .map_err(|fault| StoreError::at(file, fault))?;
        let identity = Identity::of(file).map_err(|error| StoreError::io(file, &error))?;
        let mut anchor = Anchor::open(&place.anchor)?;
        anchor.write(&head);
        // SQLite passes over a failure to record that its write-ahead log was made.
        place.sync_dir()?;
        Ok(Self {
            reader: Reader { connection, place },
            anchor,
            identity,
            head,
        })
    }

    /// Records `batch` in order and writes `summaries` over the earlier ones, all or nothing.
    /// When it returns, both survive a power loss. Returns the new events' numbers, which
    /// follow the last one without a gap.
    pub fn append(
        &mut self,
        batch: &[NewEvent<'_>],
        summaries: &[TaskSummary],
    ) -> Result<Vec<u64>, StoreError> {
        let start = self.head.clone();
        let head = self.commit(Durability::PowerLoss, |connection| {
            if event::head(connection)? != start {
                return Err(Fault::OtherWriter);
            }
            let mut head = start.clone();
            for event in batch {
                head = event::insert(connection, &head, event)?;
            }
            for summary in summaries {
                task_summary::upsert(connection, summary)?;
            }
            Ok(head)
        })?;
        self.anchor.write(&head);
        self.head = head;
        Ok((start.seq + 1..=self.head.seq).collect())
    }

    /// Replaces all summaries by these, for when they are made anew from the log.
    pub fn replace_summaries(&mut self, summaries: &[TaskSummary]) -> Result<(), StoreError> {
        self.commit(Durability::PowerLoss, |connection| {
            task_summary::clear(connection)?;
            for summary in summaries {
                task_summary::upsert(connection, summary)?;
            }
            Ok(())
        })
    }

    /// Notes that a child process was started, and returns the id of its row.
    ///
    /// A note outlives us but not a power loss, which no process outlives either.
    pub fn ledger_started(&mut self, process: &NewProcess<'_>) -> Result<i64, StoreError> {
        self.commit(Durability::OwnDeath, |connection| {
            process::started(connection, process)
        })
    }

    /// Notes that the process of row `id` and its descendants are gone.
    pub fn ledger_ended(&mut self, id: i64, at: nexus_core::Timestamp) -> Result<(), StoreError> {
        self.commit(Durability::OwnDeath, |connection| {
            process::ended(connection, id, at)
        })
    }

    /// The processes not known to be gone, the oldest first.
    pub fn ledger_open(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.ask(process::open)
    }

    /// Does `work` in one transaction. On an error nothing of it has happened.
    fn commit<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let Reader { connection, place } = &mut self.reader;
        // SQLite would go on writing to a deleted file without an error.
        if Identity::of(&place.file).ok().as_ref() != Some(&self.identity) {
            return Err(StoreError::Moved {
                file: place.file.clone(),
            });
        }
        let transact = || {
            connection::wait_for_disk(connection, durability == Durability::PowerLoss)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        transact().map_err(|fault| StoreError::at(&place.file, fault))
    }
}

impl Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Reader {
    /// Opens the existing store in `dir` for reading. Checks no more than that this NEXUS can
    /// read it; each read then checks the links between the events it passes.
    pub fn open(dir: &Path, key: StoreKey) -> Result<Self, StoreError> {
        let place = Place::new(dir);
        if !place.has_database()? {
            return Err(StoreError::Absent { file: place.file });
        }
        let connection = open_existing(&place, key, Access::Read)?;
        let known = migration::known(MIGRATIONS);
        let found = migration::format(&connection, &place.file, MIGRATIONS)?;
        if found < known {
            let file = place.file;
            return Err(StoreError::Older { file, found, known });
        }
        Ok(Self { connection, place })
    }

    /// The number of the last event; 0 when there is none.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.ask(|connection| Ok(event::head(connection)?.seq))
    }

    /// At most `limit` events after number `after`, in order.
    pub fn read(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events = Vec::new();
        self.ask(|connection| event::for_each(connection, after, limit, |e| events.push(e)))?;
        Ok(events)
    }

    /// All events of `stream`, in order.
    pub fn read_stream(&self, stream: &str) -> Result<Vec<StoredEvent>, StoreError> {
        self.ask(|connection| event::of_stream(connection, stream))
    }

    /// Hands `each` every event after number `after`, in order, one at a time in memory.
    pub fn for_each(&self, after: u64, each: impl FnMut(StoredEvent)) -> Result<(), StoreError> {
        self.ask(|connection| event::for_each(connection, after, usize::MAX, each))?;
        Ok(())
    }

    /// The summaries that `filter` names, the one that changed last first.
    pub fn summaries(&self, filter: &SummaryFilter) -> Result<Vec<TaskSummary>, StoreError> {
        self.ask(|connection| task_summary::list(connection, filter))
    }

    /// Checks everything that [`Store::open`] checks.
    pub fn verify(&self) -> Result<(), StoreError> {
        let noted = anchor::read(&self.place.anchor)?;
        self.ask(|connection| verify::whole(connection, noted.as_ref()))?;
        Ok(())
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        question(&self.connection).map_err(|fault| StoreError::at(&self.place.file, fault))
    }
}

/// Opens the database, which is there. An empty file would pass for a new database with SQLite.
fn open_existing(place: &Place, key: StoreKey, access: Access) -> Result<Connection, StoreError> {
    let metadata =
        fs::metadata(&place.file).map_err(|error| StoreError::io(&place.file, &error))?;
    let file = place.file.clone();
    if !metadata.is_file() {
        return Err(StoreError::NotAStore { file });
    }
    if metadata.len() == 0 {
        return Err(StoreError::Corrupt {
            file,
            seq: None,
            what: "the file is empty".to_owned(),
        });
    }
    connection::open(&place.file, key, access)
}

/// Makes an empty store under another name and then gives it its own, so that a store is never
/// seen half made.
fn create(place: &Place, key: StoreKey) -> Result<(), StoreError> {
    refuse_remains(place)?;
    let unfinished = place.beside(".new");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut name = unfinished.clone().into_os_string();
        name.push(suffix);
        migration::remove_if_there(name.as_ref())?;
    }
    place::private_file()
        .write(true)
        .create_new(true)
        .open(&unfinished)
        .map_err(|error| StoreError::io(&unfinished, &error))?;
    {
        let mut connection = connection::open(&unfinished, key, Access::Write)?;
        migration::migrate(&mut connection, 0, MIGRATIONS)
            .and_then(|()| connection::make_durable(&connection))
            .map_err(|fault| StoreError::at(&unfinished, fault))?;
    }
    place::sync_file(&unfinished)?;
    fs::rename(&unfinished, &place.file).map_err(|error| StoreError::io(&place.file, &error))?;
    place.sync_dir()
}

/// Without its database, a write-ahead log or a note of the log's end speaks of a loss.
fn refuse_remains(place: &Place) -> Result<(), StoreError> {
    let wal = place.beside("-wal");
    let recorded = anchor::read(&place.anchor)?.map_or(0, |noted| noted.seq);
    let what = if wal.exists() {
        "the file is gone, though nexus.db-wal is there".to_owned()
    } else if recorded > 0 {
        format!("the file is gone, though {recorded} events were recorded")
    } else {
        return Ok(());
    };
    Err(StoreError::Corrupt {
        file: place.file.clone(),
        seq: None,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::APPLICATION_ID;
    use nexus_core::Timestamp;
    use std::time::Duration;

    fn event(size: usize) -> NewEvent<'static> {
        NewEvent {
            stream: "task",
            kind: "said",
            at: Timestamp::from_millis(1),
            body: "x".repeat(size),
        }
    }

    fn store_of(events: usize) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), StoreKey::Plain).unwrap();
        for _ in 0..events {
            store.append(&[event(10)], &[]).unwrap();
        }
        (dir, store)
    }

    fn pragma(store: &Store, name: &str) -> i64 {
        let value = |row: &rusqlite::Row<'_>| row.get(0);
        store
            .connection
            .pragma_query_value(None, name, value)
            .unwrap()
    }

    #[test]
    fn the_settings_are_the_promised_ones() {
        let (_dir, mut store) = store_of(1);
        for (name, value) in [
            ("synchronous", 2),
            ("fullfsync", 1),
            ("checkpoint_fullfsync", 1),
            ("foreign_keys", 1),
            ("trusted_schema", 0),
            ("cell_size_check", 1),
            ("application_id", APPLICATION_ID.into()),
        ] {
            assert_eq!(pragma(&store, name), value, "{name}");
        }
        // A ledger row does not wait for the disk; the next event does again.
        store.ledger_ended(1, Timestamp::from_millis(1)).unwrap();
        assert_eq!(pragma(&store, "synchronous"), 1);
        store.append(&[event(1)], &[]).unwrap();
        assert_eq!(pragma(&store, "synchronous"), 2);
    }

    #[test]
    fn a_full_disk_is_named_and_the_log_goes_on_when_there_is_space_again() {
        let (dir, mut store) = store_of(3);
        let pages = pragma(&store, "page_count");
        store
            .connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
        let error = store.append(&[event(10), event(100_000)], &[]).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        assert_eq!(store.last_seq().unwrap(), 3);

        store
            .connection
            .pragma_update(None, "max_page_count", pages + 100)
            .unwrap();
        assert_eq!(store.append(&[event(100_000)], &[]).unwrap(), [4]);
        drop(store);
        let store = Store::open(dir.path(), StoreKey::Plain).unwrap();
        assert_eq!(store.last_seq().unwrap(), 4);
    }

    #[test]
    fn a_store_that_another_program_has_locked_is_busy_until_it_is_not() {
        let (_dir, mut store) = store_of(1);
        store.connection.busy_timeout(Duration::ZERO).unwrap();
        let other = Connection::open(&store.place.file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = store.append(&[event(1)], &[]).unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.append(&[event(1)], &[]).unwrap(), [2]);
    }
}
