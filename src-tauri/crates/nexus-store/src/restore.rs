//! Putting a verified backup in the place of a store that cannot be used.
//!
//! The new store is made and verified under a name of its own first, with everything added
//! that can still be read of the bad one. That name is the decision: from then on whoever opens
//! the store moves the bad files aside and the new one into place, however often NEXUS is
//! killed meanwhile. Nothing is deleted.

use crate::{
    Backup, StoreError, StoreKey,
    anchor::{self, Noted},
    backup,
    connection::{self, Access},
    migration::{self, MIGRATIONS},
    place::{self, Place},
    salvage,
    table::{
        event::Head,
        sum::{self, Table},
    },
    verify,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What the name of a new store begins with, before the moment of the decision.
const DECIDED: &str = "nexus.db.restored-";

/// What became of a store that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where the files are that were there before.
    pub set_aside: PathBuf,
    /// How many events there are now.
    pub events: u64,
    /// How many of them are not in the backup but could be read of the bad file.
    pub salvaged: u64,
    /// How many events are known to have been recorded and are lost: those that follow the
    /// last one there is now.
    pub lost: u64,
}

/// Puts `backup` in the place of the store in `dir`, which nobody may have open, and adds what
/// can still be read of the store that was there. That one is moved to `set-aside`, never
/// deleted. When it was killed half-way, calling it again, or opening the store, finishes it.
pub fn restore(dir: &Path, backup: &Backup) -> Result<Restored, StoreError> {
    let place = Place::new(dir);
    let found = match Decided::find(&place)? {
        Some(decided) if backup::read_back(&decided.file).is_ok() => Some(decided),
        Some(decided) => {
            // The disk did not keep what it had synced: that store is bad as well.
            decided.give_up(&place)?;
            None
        }
        None => None,
    };
    let decided = match found {
        Some(decided) => decided,
        None => prepare(&place, backup)?,
    };
    let events = backup::read_back(&decided.file)?.seq;
    let set_aside = decided.carry_out(&place)?;
    let noted = anchor::read(&set_aside.join(Place::ANCHOR)).unwrap_or_default();
    Ok(Restored {
        set_aside,
        events,
        salvaged: events.saturating_sub(backup.events),
        lost: noted.map_or(0, |noted: Noted| noted.seq.saturating_sub(events)),
    })
}

/// Whether a backup is on its way back.
pub(crate) fn is_half_done(place: &Place) -> Result<bool, StoreError> {
    Ok(Decided::find(place)?.is_some())
}

/// Finishes what was decided before NEXUS ended, if something was.
pub(crate) fn finish(place: &Place) -> Result<(), StoreError> {
    let Some(decided) = Decided::find(place)? else {
        return Ok(());
    };
    let set_aside = decided.carry_out(place)?;
    tracing::info!(set_aside = %set_aside.display(), "a backup was put back");
    Ok(())
}

/// A new store that is whole, on the disk, and waits to take its place.
struct Decided {
    file: PathBuf,
    /// The moment of the decision, which is the name of the folder for the bad files.
    stamp: String,
}

impl Decided {
    fn find(place: &Place) -> Result<Option<Self>, StoreError> {
        let on_folder = |error: io::Error| StoreError::io(&place.dir, &error);
        let entries = match fs::read_dir(&place.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(on_folder(error)),
        };
        for entry in entries {
            let file = entry.map_err(on_folder)?.path();
            let name = file.file_name().and_then(|name| name.to_str());
            let stamp = name.and_then(|name| name.strip_prefix(DECIDED));
            // A side file of it is not it.
            if let Some(stamp) = stamp.filter(|stamp| stamp.ends_with('Z')) {
                let stamp = stamp.to_owned();
                return Ok(Some(Self { file, stamp }));
            }
        }
        Ok(None)
    }

    /// Sets the new store aside itself.
    fn give_up(&self, place: &Place) -> Result<(), StoreError> {
        let all = place.set_aside();
        place::make_folder(&all)?;
        move_aside(&self.file, &all)?;
        place::sync_folder(&all)?;
        place.sync_dir()
    }

    /// Moves the bad files aside and the new store into place. Returns where the bad ones are.
    fn carry_out(&self, place: &Place) -> Result<PathBuf, StoreError> {
        let all = place.set_aside();
        let aside = all.join(&self.stamp);
        place::make_folder(&all)?;
        place::make_folder(&aside)?;
        place::sync_folder(&all)?;
        place.sync_dir()?;
        let (log, index) = (place.beside("-wal"), place.beside("-shm"));
        for file in [&log, &index, &place.anchor, &place.file] {
            move_aside(file, &aside)?;
        }
        // The bad ones have to be safe before the new one takes their name.
        place::sync_folder(&aside)?;
        place.sync_dir()?;
        place::rename(&self.file, &place.file)?;
        place.sync_dir()?;
        Ok(aside)
    }
}

/// Moves `file`, if it is there, under its name into `aside`; under another where that is taken.
fn move_aside(file: &Path, aside: &Path) -> Result<(), StoreError> {
    let Some(name) = file.file_name().filter(|_| exists(file)) else {
        return Ok(());
    };
    let mut target = aside.join(name);
    while exists(&target) {
        target = place::with_suffix(&target, "~");
    }
    place::rename(file, &target)
}

/// Whether there is anything under this name, also a link that leads nowhere.
fn exists(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok()
}

/// Makes the new store and decides for it.
fn prepare(place: &Place, backup: &Backup) -> Result<Decided, StoreError> {
    let unfinished = place.beside(".restoring");
    place::remove_database(&unfinished)?;
    place::copy_file(&backup.path, &unfinished)?;
    let head = backup::read_back(&unfinished).map_err(|error| about(backup, error))?;
    if !backup.is_of(&head) {
        let what = "it is not the backup that its name speaks of".to_owned();
        return Err(damaged(backup, what));
    }
    fill(place, backup, &unfinished, head)?;
    backup::read_back(&unfinished)?;
    place::sync_file(&unfinished)?;

    let stamp = backup::now().to_string().replace(['-', ':'], "");
    let file = place.beside(&format!(".restored-{stamp}"));
    place::rename(&unfinished, &file)?;
    place.sync_dir()?;
    Ok(Decided { file, stamp })
}

/// Brings the copy `file`, which ends with `head`, up to date and adds what can be salvaged.
fn fill(place: &Place, backup: &Backup, file: &Path, head: Head) -> Result<(), StoreError> {
    let on_file = |fault| StoreError::at(file, fault);
    let mut copy = connection::open(file, StoreKey::Plain, Access::Write)?;
    let found = migration::format(&copy, file, MIGRATIONS)?;
    migration::migrate(&mut copy, found, MIGRATIONS).map_err(on_file)?;
    salvage::take_over(place, &backup.path, &mut copy, head)?;
    // They may not reflect what was salvaged.
    sum::doubt(&copy, Table::TaskSummary).map_err(on_file)?;
    verify::structure(&copy).map_err(on_file)
}

/// What is wrong with a copy of `backup` is wrong with that.
fn about(backup: &Backup, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt { what, .. } => damaged(backup, what),
        StoreError::NotAStore { .. } => damaged(backup, "it is not a NEXUS store".to_owned()),
        StoreError::Absent { .. }
        | StoreError::Folder { .. }
        | StoreError::DiskFull { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Io { .. }
        | StoreError::Moved { .. }
        | StoreError::Busy { .. }
        | StoreError::OtherWriter { .. }
        | StoreError::Newer { .. }
        | StoreError::Older { .. }
        | StoreError::HalfRestored { .. }
        | StoreError::Migration { .. }
        | StoreError::OldSqlite { .. }
        | StoreError::Unexpected { .. } => error,
    }
}

fn damaged(backup: &Backup, what: String) -> StoreError {
    StoreError::Corrupt {
        file: backup.path.clone(),
        seq: None,
        what: format!("{what}; choose another backup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewEvent, Reader, Store, StoreOptions, Trouble, backups, place::end_of_the_world};
    use nexus_core::Timestamp;
    use tempfile::TempDir;

    fn open(dir: &Path) -> Result<Store, StoreError> {
        Store::open_with(dir, StoreKey::Plain, StoreOptions { reserve: 0 })
    }

    fn append(store: &mut Store, count: u64) {
        let first = store.last_seq().unwrap() + 1;
        let event = |n| NewEvent {
            stream: "task",
            kind: "said",
            at: Timestamp::from_millis(5),
            body: format!("<{n}>{}", "x".repeat(700)),
        };
        let batch: Vec<_> = (first..first + count).map(event).collect();
        store.append(&batch, &[]).unwrap();
    }

    /// A store with a backup of its first 20 events, 20 more, and an early page that is noise.
    fn damaged() -> (TempDir, Backup, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).unwrap();
        append(&mut store, 20);
        let backup = store.back_up().unwrap();
        append(&mut store, 20);
        drop(store);
        let file = dir.path().join(Store::FILE);
        let mut bytes = fs::read(&file).unwrap();
        // A page that was split leaves parts of its text in unused space.
        let text = b"<4>xxx";
        let places: Vec<_> = (0..bytes.len() - text.len())
            .filter(|&at| bytes[at..].starts_with(text))
            .collect();
        for at in places {
            bytes[at + 50] = b'!';
        }
        fs::write(&file, &bytes).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Corrupt, "{error}");
        (dir, backup, bytes)
    }

    /// Whether a file in `dir`, at any depth, has this content.
    fn is_kept(dir: &Path, content: &[u8]) -> bool {
        fs::read_dir(dir).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                is_kept(&path, content)
            } else {
                fs::read(path).unwrap() == content
            }
        })
    }

    #[test]
    fn a_restore_that_ends_anywhere_loses_neither_store_and_is_finished_later() {
        let mut ends = 0;
        for finished_by_opening in [false, true] {
            for changes in 0.. {
                let (dir, backup, bad) = damaged();
                end_of_the_world::after(Some(changes));
                let restored = restore(dir.path(), &backup);
                end_of_the_world::after(None);
                assert!(is_kept(dir.path(), &bad), "after {changes} changes");
                assert!(backup.path.exists());
                let survived = restored.is_ok();
                if !finished_by_opening || open(dir.path()).is_err() {
                    let again = restore(dir.path(), &backup).unwrap();
                    assert_eq!(
                        (again.events, again.lost),
                        (40, 0),
                        "after {changes} changes"
                    );
                }
                let store = open(dir.path()).unwrap();
                assert_eq!(store.last_seq().unwrap(), 40, "after {changes} changes");
                assert!(is_kept(&dir.path().join("set-aside"), &bad));
                if survived {
                    break;
                }
                ends += 1;
            }
        }
        assert!(ends > 40, "only {ends} ends were tried");
    }

    #[test]
    fn a_reader_of_a_half_restored_store_says_so() {
        let (dir, backup, _) = damaged();
        let place = Place::new(dir.path());
        let decided = prepare(&place, &backup).unwrap();
        fs::rename(&place.file, dir.path().join("elsewhere")).unwrap();
        let error = Reader::open(dir.path(), StoreKey::Plain).unwrap_err();
        assert_eq!(error.trouble(), Trouble::HalfRestored, "{error}");
        assert!(decided.file.exists());
        assert_eq!(open(dir.path()).unwrap().last_seq().unwrap(), 40);
        Reader::open(dir.path(), StoreKey::Plain).unwrap();
    }

    #[test]
    fn a_new_store_that_went_bad_while_it_waited_is_set_aside_too() {
        let (dir, backup, bad) = damaged();
        let decided = prepare(&Place::new(dir.path()), &backup).unwrap();
        fs::write(&decided.file, "noise").unwrap();
        assert_eq!(restore(dir.path(), &backup).unwrap().events, 40);
        let aside = dir.path().join("set-aside");
        assert!(is_kept(&aside, &bad) && is_kept(&aside, b"noise"));
        assert_eq!(open(dir.path()).unwrap().last_seq().unwrap(), 40);
    }

    #[test]
    fn a_backup_that_ends_anywhere_is_no_backup_and_in_nobodys_way() {
        for changes in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path()).unwrap();
            append(&mut store, 3);
            end_of_the_world::after(Some(changes));
            let made = store.back_up().is_ok();
            end_of_the_world::after(None);
            for backup in backups(dir.path()).unwrap() {
                assert_eq!(backup::read_back(&backup.path).unwrap().seq, 3);
            }
            append(&mut store, 1);
            assert_eq!(store.back_up().unwrap().events, 4);
            assert_eq!(backups(dir.path()).unwrap()[0].events, 4);
            assert!(!dir.path().join("backups/unfinished.db").exists());
            if made {
                assert!(changes > 5, "only {changes} ends were tried");
                return;
            }
        }
    }

    #[test]
    fn a_store_whose_making_ends_anywhere_is_made_by_the_next() {
        for changes in 0.. {
            let dir = tempfile::tempdir().unwrap();
            end_of_the_world::after(Some(changes));
            let made = open(dir.path()).is_ok();
            end_of_the_world::after(None);
            let mut store = open(dir.path()).unwrap();
            append(&mut store, 1);
            assert!(!store.doubts().any());
            if made {
                assert!(changes > 5, "only {changes} ends were tried");
                return;
            }
        }
    }
}
