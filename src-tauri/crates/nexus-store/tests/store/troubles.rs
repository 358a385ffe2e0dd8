//! Whatever lies in the data folder at a start is opened or refused by name, and a refusal
//! changes nothing, there or elsewhere.

use crate::{all, append, event, open};
use nexus_store::{Reader, StoreError, StoreKey, Trouble};
use rusqlite::Connection;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

const EVENTS: u64 = 40;

/// What is in a data folder when NEXUS starts, and what it says to that; `None` when it opens
/// and nothing is lost.
struct Case {
    name: &'static str,
    spoil: fn(&Path),
    expected: Option<Trouble>,
}

const CASES: &[Case] = &[
    Case {
        name: "nothing is wrong",
        spoil: |_| {},
        expected: None,
    },
    Case {
        name: "an empty file",
        spoil: |dir| fs::write(database(dir), "").unwrap(),
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "a folder in its place",
        spoil: |dir| {
            fs::remove_file(database(dir)).unwrap();
            fs::create_dir(database(dir)).unwrap();
        },
        expected: Some(Trouble::NotAStore),
    },
    Case {
        name: "a text in its place",
        spoil: |dir| fs::write(database(dir), "Dear diary. ".repeat(900)).unwrap(),
        expected: Some(Trouble::NotAStore),
    },
    Case {
        name: "a database of another program",
        spoil: |dir| {
            fs::remove_file(database(dir)).unwrap();
            let foreign = Connection::open(database(dir)).unwrap();
            foreign
                .execute_batch("CREATE TABLE recipe (name TEXT)")
                .unwrap();
        },
        expected: Some(Trouble::NotAStore),
    },
    Case {
        name: "gone, though events were recorded",
        spoil: |dir| fs::remove_file(database(dir)).unwrap(),
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "a link that leads nowhere",
        spoil: |dir| {
            fs::remove_file(database(dir)).unwrap();
            #[cfg(unix)]
            std::os::unix::fs::symlink("nowhere", database(dir)).unwrap();
        },
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "cut at half",
        spoil: |dir| {
            let length = fs::metadata(database(dir)).unwrap().len();
            cut(dir, length / 2);
        },
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "cut in its header",
        spoil: |dir| cut(dir, 50),
        expected: Some(Trouble::NotAStore),
    },
    Case {
        name: "of a later NEXUS",
        spoil: |dir| set_format(dir, 99),
        expected: Some(Trouble::Newer),
    },
    Case {
        name: "of no NEXUS",
        spoil: |dir| set_format(dir, 0),
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "an old copy put back by hand",
        spoil: |dir| {
            let backup = nexus_store::backups(dir).unwrap().remove(0);
            fs::copy(backup.path, database(dir)).unwrap();
        },
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "a huge write-ahead log of noise",
        spoil: |dir| {
            let mut log = fs::File::create(beside(dir, "-wal")).unwrap();
            for block in 0..20_u8 {
                log.write_all(&vec![block ^ 0x5a; 1024 * 1024]).unwrap();
            }
        },
        expected: None,
    },
    Case {
        name: "a write-ahead log of a gigabyte of nothing",
        spoil: |dir| {
            let log = fs::File::create(beside(dir, "-wal")).unwrap();
            log.set_len(1 << 30).unwrap();
        },
        expected: None,
    },
    Case {
        name: "a folder in the place of the write-ahead log",
        spoil: |dir| fs::create_dir(beside(dir, "-wal")).unwrap(),
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "a folder in the place of the log's index",
        spoil: |dir| fs::create_dir(beside(dir, "-shm")).unwrap(),
        expected: Some(Trouble::Corrupt),
    },
    Case {
        name: "noise in the place of the log's index",
        spoil: |dir| fs::write(beside(dir, "-shm"), vec![0x5a; 32 * 1024]).unwrap(),
        expected: None,
    },
    Case {
        name: "no note of the log's end",
        spoil: |dir| fs::remove_file(dir.join("nexus.head")).unwrap(),
        expected: None,
    },
    Case {
        name: "noise in the place of the note",
        spoil: |dir| fs::write(dir.join("nexus.head"), [0xff; 200]).unwrap(),
        expected: None,
    },
    Case {
        name: "a file in the place of the folder of backups",
        spoil: |dir| {
            fs::remove_dir_all(dir.join("backups")).unwrap();
            fs::write(dir.join("backups"), "in the way").unwrap();
        },
        expected: None,
    },
];

fn database(dir: &Path) -> PathBuf {
    dir.join("nexus.db")
}

fn beside(dir: &Path, suffix: &str) -> PathBuf {
    dir.join(format!("nexus.db{suffix}"))
}

/// What is in the database behind its header, in which SQLite keeps how it is opened.
fn content(dir: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(database(dir)).ok()?;
    Some(bytes.get(100..).unwrap_or(&bytes).to_vec())
}

fn cut(dir: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(database(dir)).unwrap();
    file.set_len(length).unwrap();
}

fn set_format(dir: &Path, number: i32) {
    let connection = Connection::open(database(dir)).unwrap();
    connection
        .pragma_update(None, "user_version", number)
        .unwrap();
}

/// A closed store with a backup of half of it, in a folder in `root`.
fn store_in(root: &Path) -> PathBuf {
    let dir = root.join("nexus");
    let mut store = open(&dir).unwrap();
    append(&mut store, EVENTS / 2);
    store.back_up().unwrap();
    append(&mut store, EVENTS / 2);
    dir
}

#[test]
fn what_lies_in_the_folder_is_opened_or_refused_by_name() {
    for Case {
        name,
        spoil,
        expected,
    } in CASES
    {
        let root = tempfile::tempdir().unwrap();
        let dir = store_in(root.path());
        spoil(&dir);
        let before = content(&dir);
        let opened = open(&dir);
        match (opened, expected) {
            (Ok(mut store), None) => {
                assert_eq!(all(&store).len() as u64, EVENTS, "{name}");
                assert!(!store.doubts().any(), "{name}");
                append(&mut store, 1);
            }
            (Err(error), Some(expected)) => {
                assert_eq!(error.trouble(), *expected, "{name}: {error}");
                assert!(content(&dir) == before, "{name}: the file was changed");
            }
            (opened, _) => panic!("{name}: {:?}", opened.map(drop)),
        }
        let elsewhere = fs::read_dir(root.path()).unwrap().count();
        assert_eq!(elsewhere, 1, "{name}: something was written elsewhere");
    }
}

#[test]
fn after_every_refusal_a_backup_is_a_way_on() {
    for Case { name, spoil, .. } in CASES.iter().filter(|case| {
        let trouble = case.expected;
        trouble.is_some_and(Trouble::calls_for_a_backup)
    }) {
        let root = tempfile::tempdir().unwrap();
        let dir = store_in(root.path());
        let backup = nexus_store::backups(&dir).unwrap().remove(0);
        spoil(&dir);
        let restored =
            nexus_store::restore(&dir, &backup).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(restored.events + restored.lost, EVENTS, "{name}");
        let mut store = open(&dir).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(store.last_seq().unwrap(), restored.events, "{name}");
        append(&mut store, 1);
    }
}

#[test]
fn a_large_write_ahead_log_left_by_a_kill_is_taken_over() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 1);
    // Somebody who reads for long keeps the log from being moved into the database.
    let reader = Connection::open(database(dir.path())).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .unwrap();
    let mut large = event(2);
    large.body = "x".repeat(500_000);
    let batch = vec![large; 20];
    for _ in 0..3 {
        store.append(&batch, &[]).unwrap();
    }
    for name in ["nexus.db", "nexus.db-wal", "nexus.head"] {
        fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
    }
    let length = fs::metadata(beside(killed.path(), "-wal")).unwrap().len();
    assert!(length > 30_000_000, "{length}");
    let mut store = open(killed.path()).unwrap();
    assert_eq!(store.last_seq().unwrap(), 61);
    append(&mut store, 1);
    drop(store);
    assert!(!beside(killed.path(), "-wal").exists());
}

#[test]
fn a_reader_names_what_only_an_owner_can_mend() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let dir = tempfile::tempdir().unwrap();
    let look = || Reader::open(dir.path(), StoreKey::Plain).map(drop);
    let trouble = |looked: Result<(), StoreError>| looked.unwrap_err().trouble();
    assert_eq!(trouble(look()), Trouble::Absent);
    fs::copy(fixtures.join("v1.db"), database(dir.path())).unwrap();
    let before = fs::read(database(dir.path())).unwrap();
    assert_eq!(trouble(look()), Trouble::Older);
    assert_eq!(fs::read(database(dir.path())).unwrap(), before);
    open(dir.path()).unwrap();
    look().unwrap();
}

#[test]
fn a_data_folder_that_cannot_be_one_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        assert_eq!(open(&dir).unwrap_err().trouble(), Trouble::Folder);
    }
}
