//! The store: one writer, any number of readers, also in other processes.

use crate::{
    Backup, Doubts, StoreError,
    anchor::{self, Anchor, Noted},
    backup,
    connection::{self, Access},
    fault::Fault,
    migration::{self, MIGRATIONS},
    place::{self, Identity, Place},
    reserve, restore,
    table::{
        event::{self, Head, NewEvent, StoredEvent},
        process::{self, LedgerRow, NewProcess},
        sum::{self, Table},
        task_summary::{self, SummaryFilter, TaskSummary},
    },
    verify,
};
use nexus_core::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use std::{fs, io, ops::Deref, path::Path};

/// What the store is locked with. Encryption will add its variant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKey {
    /// Not encrypted.
    Plain,
}

/// What a store is opened with besides its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// How many bytes are kept back for [`Store::release_reserve`]; 0 for none.
    pub reserve: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            // Enough for the last words of hundreds of tasks, and nothing to a disk of today.
            reserve: 16 * 1024 * 1024,
        }
    }
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
    /// How often the tables beside the log have changed.
    revision: u64,
    /// The end of a batch of which nobody could say whether it was recorded.
    unsure: Option<Head>,
    /// How much room is kept back, in bytes.
    reserve: u64,
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
        Self::open_with(dir, key, StoreOptions::default())
    }

    /// [`open`](Self::open) with these options.
    pub fn open_with(dir: &Path, key: StoreKey, options: StoreOptions) -> Result<Self, StoreError> {
        let place = Place::new(dir);
        place.make_dir()?;
        restore::finish(&place)?;
        if !place.has_database()? {
            create(&place, key)?;
        }
        let mut connection = open_existing(&place, key, Access::Write)?;
        let file = place.file.as_path();
        let found = migration::format(&connection, file, MIGRATIONS)?;
        connection::make_durable(&connection).map_err(|fault| StoreError::at(file, fault))?;
        migration::bring_up_to_date(&mut connection, &place, found, MIGRATIONS)?;

        let noted = anchor::read(&place.anchor)?;
        let head = verify::whole(&connection, noted.as_ref())
            .map_err(|fault| StoreError::at(file, fault))?;
        let revision = compare_revision(&connection, noted.as_ref())
            .map_err(|fault| StoreError::at(file, fault))?;
        let identity = Identity::of(file).map_err(|error| StoreError::io(file, &error))?;
        let mut anchor = Anchor::open(&place.anchor)?;
        anchor.write(&head, revision);
        // SQLite passes over a failure to record that its write-ahead log was made.
        place.sync_dir()?;
        reserve::make(&place, options.reserve);
        Ok(Self {
            reader: Reader { connection, place },
            anchor,
            identity,
            head,
            revision,
            unsure: None,
            reserve: options.reserve,
        })
    }

    /// Records `batch` in order and writes `summaries` over the earlier ones, all or nothing.
    /// When it returns, both survive a power loss. Returns the new events' numbers, which
    /// follow the last one without a gap.
    ///
    /// After an error nothing is recorded, and once the trouble has passed, the same call
    /// records everything exactly once.
    pub fn append(
        &mut self,
        batch: &[NewEvent<'_>],
        summaries: &[TaskSummary],
    ) -> Result<Vec<u64>, StoreError> {
        let start = self.head.clone();
        let end = batch
            .iter()
            .fold(start.clone(), |head, new| head.after(new));
        // Whether the call before, which failed, did record this very batch.
        let tried_before = self.unsure.as_ref() == Some(&end);
        let recorded = self.commit(Durability::PowerLoss, |connection| {
            let found = event::head(connection)?;
            if found != start {
                let done = tried_before && found == end;
                return if done {
                    Ok(())
                } else {
                    Err(Fault::OtherWriter)
                };
            }
            let mut head = start.clone();
            for event in batch {
                head = event::insert(connection, &head, event)?;
            }
            summaries
                .iter()
                .try_for_each(|summary| task_summary::upsert(connection, summary))
        });
        if let Err(error) = recorded {
            self.look_whether_recorded(&start, &end, error)?;
        }
        self.unsure = None;
        self.head = end;
        self.note();
        Ok((start.seq + 1..=self.head.seq).collect())
    }

    /// After `error`, says whether the batch from `start` to `end` is in the log all the same:
    /// a disk can fail when all is written.
    fn look_whether_recorded(
        &mut self,
        start: &Head,
        end: &Head,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if matches!(error, StoreError::OtherWriter { .. }) || start == end {
            return Err(error);
        }
        match event::head(&self.reader.connection) {
            Ok(found) if found == *start => self.unsure = None,
            Ok(found) if found == *end => {
                tracing::warn!(%error, "recorded in spite of an error");
                return Ok(());
            }
            Ok(_) | Err(_) => self.unsure = Some(end.clone()),
        }
        Err(error)
    }

    /// Replaces all summaries by these, for when they are made anew from the log. They are in
    /// doubt no longer.
    pub fn replace_summaries(&mut self, summaries: &[TaskSummary]) -> Result<(), StoreError> {
        self.commit(Durability::PowerLoss, |connection| {
            task_summary::replace(connection, summaries)
        })?;
        self.note();
        Ok(())
    }

    /// Notes that a child process was started, and returns the id of its row.
    ///
    /// A note outlives us but not a power loss, which no process outlives either.
    pub fn ledger_started(&mut self, process: &NewProcess<'_>) -> Result<i64, StoreError> {
        let id = self.commit(Durability::OwnDeath, |connection| {
            process::started(connection, process)
        })?;
        self.note();
        Ok(id)
    }

    /// Notes that the process of row `id` and its descendants are gone.
    pub fn ledger_ended(&mut self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.commit(Durability::OwnDeath, |connection| {
            process::ended(connection, id, at)
        })?;
        self.note();
        Ok(())
    }

    /// Forgets processes that ended before `before` and returns how many those were: at most
    /// 10,000, so that it never takes long.
    pub fn ledger_prune(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let gone = self.commit(Durability::OwnDeath, |connection| {
            process::prune(connection, before)
        })?;
        self.note();
        Ok(gone)
    }

    /// Says that no process is left of which the ledger does not know. Damaged rows are
    /// forgotten, and the ledger is in doubt no longer.
    pub fn ledger_trusted(&mut self) -> Result<(), StoreError> {
        self.commit(Durability::PowerLoss, process::trust)?;
        self.note();
        Ok(())
    }

    /// Writes to the disk as an [`append`](Self::append) does, but records nothing: for whoever
    /// waits until a trouble has passed.
    pub fn try_to_write(&mut self) -> Result<(), StoreError> {
        self.commit(Durability::PowerLoss, |connection| {
            let format = migration::known(MIGRATIONS);
            Ok(connection.pragma_update(None, "user_version", format)?)
        })
    }

    /// Copies the store into `backups` in the data folder and reads the whole copy back, which
    /// is what makes it a backup. Cheap when nothing was appended since the last one, which it
    /// returns then. The newest three are kept, and those made before a change of format.
    pub fn back_up(&self) -> Result<Backup, StoreError> {
        self.refuse_if_moved()?;
        self.reader.back_up()
    }

    /// Gives back the room that was kept for the moment when the disk is full, so that the end
    /// can be recorded. Returns how many bytes that was; 0 when there is no reserve. The next
    /// start keeps room back again if there is enough.
    pub fn release_reserve(&self) -> Result<u64, StoreError> {
        self.refuse_if_moved()?;
        reserve::release(&self.reader.place)
    }

    /// Keeps room back again after [`Store::release_reserve`], if the disk has enough of it;
    /// `false` when it has not.
    pub fn keep_reserve(&self) -> Result<bool, StoreError> {
        self.refuse_if_moved()?;
        reserve::make(&self.reader.place, self.reserve);
        Ok(self.reserve == 0 || reserve::is_there(&self.reader.place))
    }

    /// Writes down outside of the database where it ends.
    fn note(&mut self) {
        self.anchor.write(&self.head, self.revision);
    }

    /// SQLite would go on writing to a deleted file without an error.
    fn refuse_if_moved(&self) -> Result<(), StoreError> {
        let file = &self.reader.place.file;
        match Identity::of(file) {
            Ok(found) if found == self.identity => Ok(()),
            Ok(_) => Err(StoreError::Moved { file: file.clone() }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(StoreError::Moved { file: file.clone() })
            }
            Err(error) => Err(StoreError::io(file, &error)),
        }
    }

    /// Does `work` in one transaction. On an error nothing of it has happened.
    fn commit<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        self.refuse_if_moved()?;
        let Reader { connection, place } = &mut self.reader;
        let transact = || {
            connection::wait_for_disk(connection, durability == Durability::PowerLoss)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            let revision = sum::revision(&transaction)?;
            transaction.commit()?;
            Ok((done, revision))
        };
        let (done, revision) =
            transact().map_err(|fault| StoreError::at(&place.file, fault).on_disk_of(place))?;
        self.revision = revision;
        Ok(done)
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
        if restore::is_half_done(&place)? {
            return Err(StoreError::HalfRestored { file: place.file });
        }
        if !place.has_database()? {
            return Err(StoreError::Absent { file: place.file });
        }
        let connection = open_existing(&place, key, Access::Read)?;
        let known = migration::known(MIGRATIONS);
        let found = migration::format(&connection, &place.file, MIGRATIONS);
        let (connection, found) = match found {
            Err(StoreError::ReadOnly { .. }) if is_at_rest(&place) => {
                let connection = connection::open_unchanging(&place.file, key)?;
                let found = migration::format(&connection, &place.file, MIGRATIONS)?;
                (connection, found)
            }
            found => (connection, found?),
        };
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

    /// [`Store::back_up`] without holding up the store, for the process that owns it.
    pub fn back_up(&self) -> Result<Backup, StoreError> {
        backup::make(&self.connection, &self.place)
    }

    /// The processes not known to be gone, the oldest first. Damaged rows are left out; that
    /// there are some is a [doubt](Reader::doubts).
    pub fn ledger_open(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.ask(process::open)
    }

    /// Which of the tables beside the log are not as they were written. Reads them whole.
    pub fn doubts(&self) -> Doubts {
        verify::doubts(&self.connection)
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

/// Returns how often the tables beside the log have changed. That is less than was noted when
/// an older state of them came back, and then they are in doubt.
fn compare_revision(connection: &Connection, noted: Option<&Noted>) -> Result<u64, Fault> {
    let revision = sum::revision(connection)?;
    if noted.and_then(|noted| noted.revision) > Some(revision) {
        let transaction = connection.unchecked_transaction()?;
        sum::doubt(&transaction, Table::TaskSummary)?;
        sum::doubt(&transaction, Table::Process)?;
        transaction.commit()?;
    }
    sum::revision(connection)
}

/// Whether nobody can write to the disk and everything is in the database itself.
fn is_at_rest(place: &Place) -> bool {
    let log = fs::metadata(place.beside("-wal")).map_or(0, |log| log.len());
    log == 0 && place::is_read_only(&place.dir)
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
    for side in ["-wal", "-shm"].map(|suffix| place.beside(suffix)) {
        if side.is_dir() {
            let what = format!("{} is a folder", side.display());
            let seq = None;
            return Err(StoreError::Corrupt { file, seq, what });
        }
    }
    connection::open(&place.file, key, access)
}

/// Makes an empty store under another name and then gives it its own, so that a store is never
/// seen half made.
fn create(place: &Place, key: StoreKey) -> Result<(), StoreError> {
    refuse_remains(place)?;
    let unfinished = place.beside(".new");
    place::remove_database(&unfinished)?;
    place::create_file(&unfinished)?;
    {
        let mut connection = connection::open(&unfinished, key, Access::Write)?;
        migration::migrate(&mut connection, 0, MIGRATIONS)
            .and_then(|()| connection::make_durable(&connection))
            .map_err(|fault| StoreError::at(&unfinished, fault))?;
    }
    place::sync_file(&unfinished)?;
    place::rename(&unfinished, &place.file)?;
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

    /// A store that recorded `event(7)` but was told that this failed.
    fn deceived() -> (tempfile::TempDir, Store, Head) {
        let (dir, mut store) = store_of(2);
        let before = store.head.clone();
        store.append(&[event(7)], &[]).unwrap();
        let end = std::mem::replace(&mut store.head, before);
        (dir, store, end)
    }

    fn io_error() -> StoreError {
        StoreError::Io {
            file: Store::FILE.into(),
            what: "a fault".to_owned(),
        }
    }

    #[test]
    fn a_batch_that_is_in_the_log_is_recorded_whatever_the_disk_said_of_it() {
        let (_dir, mut store, end) = deceived();
        let start = store.head.clone();
        store
            .look_whether_recorded(&start, &end, io_error())
            .unwrap();

        // And one that is not, is not.
        let mut other = end.clone();
        other.seq += 1;
        store
            .look_whether_recorded(&end, &other, io_error())
            .unwrap_err();
        assert_eq!(store.unsure, None);
    }

    #[test]
    fn trying_a_batch_again_of_which_nobody_knew_records_it_once() {
        let (_dir, mut store, end) = deceived();
        store.unsure = Some(end);
        assert_eq!(store.append(&[event(7)], &[]).unwrap(), [3]);
        assert_eq!(store.last_seq().unwrap(), 3);
        assert_eq!(store.append(&[event(7)], &[]).unwrap(), [4]);

        let (_dir, mut store, end) = deceived();
        store.unsure = Some(end);
        let error = store.append(&[event(8)], &[]).unwrap_err();
        assert!(matches!(error, StoreError::OtherWriter { .. }), "{error}");
        assert_eq!(store.last_seq().unwrap(), 3);
    }
}
