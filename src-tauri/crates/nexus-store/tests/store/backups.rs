//! A backup is a whole store, there are always some, and putting one back loses nothing that
//! can still be read.

use crate::{all, append, event, open, summary};
use nexus_core::Timestamp;
use nexus_store::{
    Backup, NewProcess, Reader, StoreError, StoreKey, SummaryFilter, Trouble, backups, restore,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn database(dir: &Path) -> PathBuf {
    dir.join("nexus.db")
}

/// A store of 30 events with a backup of the first 20, and the file as it was left.
fn backed_up() -> (tempfile::TempDir, Backup) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 20);
    let backup = store.back_up().unwrap();
    append(&mut store, 10);
    (dir, backup)
}

#[test]
fn a_backup_is_a_whole_store_by_itself() {
    let (_dir, backup) = backed_up();
    assert_eq!((backup.events, backup.before_migration), (20, None));
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(&backup.path, database(elsewhere.path())).unwrap();
    let store = open(elsewhere.path()).unwrap();
    assert_eq!(all(&store).len(), 20);
}

#[test]
fn a_backup_is_made_while_the_store_is_in_use_and_only_when_something_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 3);
    let first = store.back_up().unwrap();
    assert_eq!(store.back_up().unwrap(), first);
    assert_eq!(backups(dir.path()).unwrap().len(), 1);
    append(&mut store, 1);
    let second = store.back_up().unwrap();
    assert_eq!(backups(dir.path()).unwrap(), [second, first]);
}

#[test]
fn the_newest_three_are_kept_and_those_made_before_a_change_of_format() {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    fs::copy(fixtures.join("v1.db"), database(dir.path())).unwrap();
    let mut store = open(dir.path()).unwrap();
    for _ in 0..6 {
        append(&mut store, 1);
        store.back_up().unwrap();
    }
    let mut kept: Vec<_> = backups(dir.path())
        .unwrap()
        .iter()
        .map(|backup| (backup.events, backup.before_migration))
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, [(5, Some(1)), (9, None), (10, None), (11, None)]);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, backup) = backed_up();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&backup.path), 0o600);
    assert_eq!(mode(&dir.path().join("backups")), 0o700);
    fs::write(database(dir.path()), "bad").unwrap();
    let restored = restore(dir.path(), &backup).unwrap();
    assert_eq!(mode(&database(dir.path())), 0o600);
    assert_eq!(mode(&restored.set_aside), 0o700);
}

#[test]
fn a_store_that_cannot_be_read_whole_is_not_backed_up() {
    let (dir, backup) = backed_up();
    let store = open(dir.path()).unwrap();
    let other = rusqlite::Connection::open(database(dir.path())).unwrap();
    other
        .execute_batch(
            "DROP TRIGGER event_is_never_changed; UPDATE event SET body = '{}' WHERE seq = 4",
        )
        .unwrap();
    let error = store.back_up().unwrap_err();
    assert_eq!(error.trouble(), Trouble::Corrupt, "{error}");
    assert_eq!(backups(dir.path()).unwrap(), [backup]);
}

#[test]
fn putting_a_backup_back_keeps_the_bad_files_and_says_what_is_lost() {
    let (dir, backup) = backed_up();
    fs::write(database(dir.path()), "not a database at all").unwrap();
    let restored = restore(dir.path(), &backup).unwrap();
    assert_eq!((restored.events, restored.salvaged), (20, 0));
    // The note beside the log still tells how far it had gone.
    assert_eq!(restored.lost, 10);
    let kept = fs::read(restored.set_aside.join("nexus.db")).unwrap();
    assert_eq!(kept, b"not a database at all");
    assert!(restored.set_aside.join("nexus.head").exists());
    assert!(backup.path.exists());

    let mut store = open(dir.path()).unwrap();
    assert_eq!(store.last_seq().unwrap(), 20);
    append(&mut store, 1);
}

#[test]
fn what_follows_the_backup_is_read_of_the_bad_file_with_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 5);
    let backup = store.back_up().unwrap();
    store.append(&[event(6)], &[summary(1)]).unwrap();
    let process = NewProcess {
        pid: 17,
        start_ticks: 4,
        boot_id: "boot",
        tag: "tag",
        what: "agent code",
        started_at: Timestamp::from_millis(2),
    };
    store.ledger_started(&process).unwrap();
    append(&mut store, 2);
    drop(store);
    // The header is gone, and with it everything that says where the rest is.
    let mut bytes = fs::read(database(dir.path())).unwrap();
    bytes[..4096].fill(0);
    fs::write(database(dir.path()), &bytes).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(error.trouble().calls_for_a_backup(), "{error}");

    let restored = restore(dir.path(), &backup).unwrap();
    assert_eq!(
        (restored.events, restored.salvaged, restored.lost),
        (8, 3, 0)
    );
    let mut store = open(dir.path()).unwrap();
    assert_eq!(all(&store).len(), 8);
    assert_eq!(store.ledger_open().unwrap()[0].pid, 17);
    assert!(!store.doubts().ledger);
    // The summaries are to be made anew from the log.
    assert!(store.doubts().summaries);
    store.replace_summaries(&[summary(1)]).unwrap();
    assert!(!store.doubts().any());
    let all = SummaryFilter::default();
    assert_eq!(store.summaries(&all).unwrap(), [summary(1)]);
}

#[test]
fn a_store_that_is_gone_altogether_comes_back() {
    let (dir, backup) = backed_up();
    fs::remove_file(database(dir.path())).unwrap();
    assert_eq!(
        open(dir.path()).unwrap_err().trouble(),
        Trouble::Corrupt,
        "it is a loss and not a new store"
    );
    let restored = restore(dir.path(), &backup).unwrap();
    assert_eq!((restored.events, restored.lost), (20, 10));
    assert_eq!(open(dir.path()).unwrap().last_seq().unwrap(), 20);
    assert!(open(dir.path()).unwrap().doubts().ledger);
}

#[test]
fn a_folder_in_the_place_of_the_store_is_set_aside_too() {
    let (dir, backup) = backed_up();
    fs::remove_file(database(dir.path())).unwrap();
    fs::create_dir(database(dir.path())).unwrap();
    fs::write(database(dir.path()).join("precious"), "words").unwrap();
    let restored = restore(dir.path(), &backup).unwrap();
    assert!(restored.set_aside.join("nexus.db/precious").exists());
    open(dir.path()).unwrap();
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_is_touched() {
    let (dir, backup) = backed_up();
    let good = fs::read(&backup.path).unwrap();
    let before = fs::read(database(dir.path())).unwrap();
    let mut noise = good.clone();
    let middle = good.len() / 2;
    noise[middle..middle + 3000].fill(0xa5);
    for bad in [noise, good[..good.len() / 2].to_vec(), b"words".to_vec()] {
        fs::write(&backup.path, bad).unwrap();
        let error = restore(dir.path(), &backup).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Corrupt, "{error}");
        assert!(error.to_string().contains("another backup"), "{error}");
        assert_eq!(fs::read(database(dir.path())).unwrap(), before);
    }
    // A whole store that is not the one the name speaks of.
    let other = tempfile::tempdir().unwrap();
    let mut store = open(other.path()).unwrap();
    append(&mut store, 3);
    fs::copy(store.back_up().unwrap().path, &backup.path).unwrap();
    let error = restore(dir.path(), &backup).unwrap_err();
    assert!(error.to_string().contains("its name speaks of"), "{error}");

    fs::remove_file(&backup.path).unwrap();
    let error = restore(dir.path(), &backup).unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    assert_eq!(open(dir.path()).unwrap().last_seq().unwrap(), 30);
}

#[test]
fn a_backup_of_the_first_format_can_be_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    fs::copy(fixtures.join("v1.db"), database(dir.path())).unwrap();
    append(&mut open(dir.path()).unwrap(), 2);
    let backup = backups(dir.path()).unwrap().remove(0);
    assert_eq!((backup.before_migration, backup.events), (Some(1), 5));
    let restored = restore(dir.path(), &backup).unwrap();
    assert_eq!((restored.events, restored.salvaged), (7, 2));
    assert_eq!(all(&open(dir.path()).unwrap()).len(), 7);
}

#[test]
fn putting_back_over_a_store_without_fault_loses_nothing() {
    let (dir, backup) = backed_up();
    for _ in 0..3 {
        let restored = restore(dir.path(), &backup).unwrap();
        assert_eq!((restored.salvaged, restored.lost), (10, 0));
        assert_eq!(open(dir.path()).unwrap().last_seq().unwrap(), 30);
    }
    let aside = fs::read_dir(dir.path().join("set-aside")).unwrap();
    assert_eq!(aside.count(), 3, "each time has its own folder");
}

#[test]
fn readers_back_up_while_the_owner_goes_on_writing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 50);
    std::thread::scope(|threads| {
        let back_up = || {
            let reader = Reader::open(dir.path(), StoreKey::Plain).unwrap();
            let made: Vec<_> = (0..5).map(|_| reader.back_up().unwrap()).collect();
            made
        };
        let both = [threads.spawn(back_up), threads.spawn(back_up)];
        append(&mut store, 100);
        for made in both.map(|thread| thread.join().unwrap()) {
            assert!(made.is_sorted_by_key(|backup| backup.events));
            assert!((50..=150).contains(&made[4].events));
        }
    });
    // Each is a state that the log once had.
    let events = all(&store);
    for backup in backups(dir.path()).unwrap() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::copy(&backup.path, database(elsewhere.path())).unwrap();
        let copied = all(&open(elsewhere.path()).unwrap());
        assert_eq!(copied.len() as u64, backup.events);
        assert_eq!(copied, events[..copied.len()]);
    }
}
