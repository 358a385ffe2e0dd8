//! Verified copies of the store, in `backups` in the data folder.
//!
//! A copy gets its name only after it was read back as a whole, so every file with such a name
//! was a store without fault when it was made. The name says all that a list needs: how many
//! events, the beginning of the last one's hash, when, and before which migration.

use crate::{
    StoreError, StoreKey,
    anchor::hex,
    connection::{self, Access},
    fault::Fault,
    place::{self, Place},
    table::event::{self, Head},
    verify,
};
use nexus_core::Timestamp;
use rusqlite::{
    Connection,
    backup::{Backup as Copying, StepResult},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// How many are kept, besides those made before migrations.
const KEPT: usize = 3;
/// What has to stay free beside a new backup.
const MARGIN: u64 = 1024 * 1024;

/// A store has one owner, and that one may back it up from several threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A copy of the store that was verified when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub path: PathBuf,
    pub made_at: Timestamp,
    /// How many events it holds, which is also the number of the last one.
    pub events: u64,
    /// The beginning of the last event's hash, in hexadecimal.
    pub head: String,
    /// The format it has, if it was made because a later one took its place.
    pub before_migration: Option<u32>,
}

/// The backups in the data folder `dir`, the newest first. Empty when there are none.
pub fn backups(dir: &Path) -> Result<Vec<Backup>, StoreError> {
    list(&Place::new(dir).backups())
}

/// Copies the store unless its last event is in a backup already.
pub(crate) fn make(connection: &Connection, place: &Place) -> Result<Backup, StoreError> {
    make_for(connection, place, None)
}

/// Copies a store of format `found`, for good.
pub(crate) fn before_migration(
    connection: &Connection,
    place: &Place,
    found: u32,
) -> Result<Backup, StoreError> {
    make_for(connection, place, Some(found))
}

fn make_for(
    connection: &Connection,
    place: &Place,
    before_migration: Option<u32>,
) -> Result<Backup, StoreError> {
    // Whoever waits here finds that the other has made the backup.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = place.backups();
    let at_source = |fault| StoreError::at(&place.file, fault);
    let head = event::head(connection).map_err(at_source)?;
    let known = list(&folder)?;
    let same = |backup: &&Backup| {
        backup.is_of(&head) && backup.before_migration == before_migration && backup.is_there()
    };
    if let Some(backup) = known.iter().find(same) {
        return Ok(backup.clone());
    }
    place::make_folder(&folder)?;
    let unfinished = folder.join("unfinished.db");
    place::remove_database(&unfinished)?;
    enough_room(connection, &folder).map_err(at_source)?;

    let copied = copy(connection, &unfinished).and_then(|()| read_back(&unfinished));
    let head = copied.inspect_err(|_| {
        // It would take away room, or pass for more than it is.
        place::remove_database(&unfinished).ok();
    })?;
    let backup = Backup::new(&folder, &head, now(), before_migration);
    place::sync_file(&unfinished)?;
    place::rename(&unfinished, &backup.path)?;
    place::sync_folder(&folder)?;
    place.sync_dir()?;
    forget_old(&folder, &backup);
    Ok(backup)
}

impl Backup {
    fn new(folder: &Path, head: &Head, made_at: Timestamp, before_migration: Option<u32>) -> Self {
        let start = hex(&head.hash[..8]);
        let millis = made_at.as_millis();
        let kind = before_migration.map(|format| format!("-v{format}"));
        let kind = kind.unwrap_or_default();
        Self {
            path: folder.join(format!("nexus-{:012}-{start}-{millis}{kind}.db", head.seq)),
            made_at,
            events: head.seq,
            head: start,
            before_migration,
        }
    }

    /// What the name of `path` says; `None` when it is not one that we give.
    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let mut words = name.strip_prefix("nexus-")?.strip_suffix(".db")?.split('-');
        let events = words.next()?.parse().ok()?;
        let head = words.next()?.to_owned();
        let made_at = Timestamp::from_millis(words.next()?.parse().ok()?);
        let format = words.next().map(|word| word.strip_prefix('v'));
        let before_migration = format.map(|word| word?.parse().ok());
        if words.next().is_some() || before_migration == Some(None) {
            return None;
        }
        Some(Self {
            path,
            made_at,
            events,
            head,
            before_migration: before_migration.flatten(),
        })
    }

    /// Whether it ends with this event.
    pub(crate) fn is_of(&self, head: &Head) -> bool {
        self.events == head.seq && self.head == hex(&head.hash[..8])
    }

    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|it| it.is_file() && it.len() > 0)
    }
}

fn list(folder: &Path) -> Result<Vec<Backup>, StoreError> {
    let on_folder = |error: io::Error| StoreError::io(folder, &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(on_folder(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(Backup::parse(entry.map_err(on_folder)?.path()));
    }
    found.sort_by_key(|backup| std::cmp::Reverse((backup.made_at, backup.events)));
    Ok(found)
}

/// A backup must not be what fills the disk.
fn enough_room(connection: &Connection, folder: &Path) -> Result<(), Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let size = number("page_count")?.saturating_mul(number("page_size")?);
    let needed = size.unsigned_abs().saturating_add(MARGIN);
    match place::free_space(folder) {
        Some(free) if free < needed => Err(Fault::NoRoom),
        Some(_) | None => Ok(()),
    }
}

/// Copies the store as it is at this moment into the one file `target`.
fn copy(connection: &Connection, target: &Path) -> Result<(), StoreError> {
    place::create_file(target)?;
    let copy = || {
        let mut copy = Connection::open(target)?;
        // It is synced as a whole before it gets its name.
        copy.pragma_update(None, "synchronous", "off")?;
        // All in one step, so that nobody writes in between.
        if Copying::new(connection, &mut copy)?.step(-1)? != StepResult::Done {
            return Err(Fault::Locked);
        }
        // Without a write-ahead log, one file is the whole copy.
        copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
        Ok(())
    };
    copy().map_err(|fault| StoreError::at(target, fault))
}

/// Reads the whole copy `file`, which must be a store without fault. Returns where it ends.
pub(crate) fn read_back(file: &Path) -> Result<Head, StoreError> {
    let connection = connection::open(file, StoreKey::Plain, Access::Read)?;
    verify::whole(&connection, None).map_err(|fault| StoreError::at(file, fault))
}

/// Removes the oldest ones beyond the number that is kept, but never `newest`.
fn forget_old(folder: &Path, newest: &Backup) {
    let ordinary = |backup: &Backup| backup.before_migration.is_none() && backup != newest;
    let kept = KEPT - usize::from(newest.before_migration.is_none());
    let known = list(folder).unwrap_or_default();
    for old in known.into_iter().filter(ordinary).skip(kept) {
        if let Err(error) = place::remove_if_there(&old.path) {
            tracing::warn!(%error, "an old backup stays");
        }
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_backup_is_and_other_names_say_nothing() {
        let head = Head {
            seq: 12,
            hash: [0xa5; 32],
        };
        for before_migration in [None, Some(1)] {
            let at = Timestamp::from_millis(1_700_000_000_123);
            let made = Backup::new(Path::new("/data"), &head, at, before_migration);
            assert_eq!(Backup::parse(made.path.clone()), Some(made.clone()));
            assert!(made.is_of(&head));
        }
        for name in [
            "unfinished.db",
            "nexus-12.db",
            "nexus-x-a5-1.db",
            "nexus-12-a5-1-w1.db",
            "nexus-12-a5-1-v1-2.db",
            "nexus-12-a5-1.db-journal",
        ] {
            assert_eq!(Backup::parse(name.into()), None, "{name}");
        }
    }
}
