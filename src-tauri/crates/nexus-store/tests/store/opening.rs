//! A store opens, or says in words what is in the way.

use crate::{WRITER, all, append, command, open};
use nexus_store::{Reader, Store, StoreError, StoreKey, SummaryFilter};
use rusqlite::Connection;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn refusal(dir: &Path) -> StoreError {
    open(dir).map(drop).unwrap_err()
}

fn store_of(events: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), events);
    let file = dir.path().join("nexus.db");
    (dir, file)
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_what_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made").join("nexus");
    let mut store = open(&dir).unwrap();
    append(&mut store, 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_store_of_a_later_nexus_is_refused_by_writer_and_reader_and_left_alone() {
    let (dir, file) = store_of(3);
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(&file).unwrap();
    let reader = Reader::open(dir.path(), StoreKey::Plain)
        .map(drop)
        .unwrap_err();
    for error in [refusal(dir.path()), reader] {
        assert!(
            matches!(error, StoreError::Newer { found: 99, .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("install the newer NEXUS"),
            "{error}"
        );
    }
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nexus.db");

    fs::write(&file, "Dear diary, this is no database. ".repeat(100)).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::NotAStore { .. }));

    fs::remove_file(&file).unwrap();
    Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE recipe (name TEXT)")
        .unwrap();
    let before = fs::read(&file).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::NotAStore { .. }));
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(refusal(dir.path()), StoreError::NotAStore { .. }));
}

#[test]
fn an_emptied_or_missing_database_is_a_loss_and_not_a_new_store() {
    let (dir, file) = store_of(3);
    fs::write(&file, "").unwrap();
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("the file is empty"), "{error}");

    fs::remove_file(&file).unwrap();
    let error = refusal(dir.path()).to_string();
    assert!(
        error.contains("gone, though 3 events were recorded"),
        "{error}"
    );

    let (dir, file) = store_of(0);
    fs::remove_file(file).unwrap();
    fs::write(dir.path().join("nexus.db-wal"), "frames").unwrap();
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("nexus.db-wal is there"), "{error}");
}

#[test]
fn what_a_killed_first_start_left_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["nexus.db.new", "nexus.db.new-journal", "nexus.head"] {
        fs::write(dir.path().join(name), "half").unwrap();
    }
    append(&mut open(dir.path()).unwrap(), 1);
    assert!(!dir.path().join("nexus.db.new").exists());
}

#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = refusal(&dir);
        assert!(matches!(error, StoreError::Folder { .. }), "{error}");
        assert!(error.to_string().contains("NEXUS_DATA_DIR"), "{error}");
    }
}

/// Permissions do not bind root, so root runs the program as a user that owns nothing.
#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    use std::os::unix::{fs::MetadataExt, fs::PermissionsExt, process::CommandExt};
    let root = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let program = root.path().join("writer");
    fs::copy(WRITER, &program).unwrap();
    let (empty, filled) = (root.path().join("empty"), root.path().join("filled"));
    fs::create_dir(&empty).unwrap();
    append(&mut open(&filled).unwrap(), 1);
    for dir in [root.path(), &empty, &filled] {
        mode(dir, 0o555);
    }

    let as_root = fs::metadata(root.path()).unwrap().uid() == 0;
    for (dir, complaint) in [
        (&empty, "access is refused"),
        (&filled, "access is refused"),
        (&root.path().join("absent"), "as the data folder"),
    ] {
        let mut writer = command(&program);
        writer.arg(dir).arg("1");
        if as_root {
            writer.uid(65_534).gid(65_534);
        }
        let output = writer.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(complaint), "{}: {said}", dir.display());
        assert!(said.contains("NEXUS_DATA_DIR"), "{said}");
    }
    for dir in [root.path(), &empty, &filled] {
        mode(dir, 0o755);
    }
}

/// What a store of an earlier format, byte for byte as it was on the disk, says to this NEXUS.
fn assert_says_what_it_said(format: &str, summaries: usize, pids: &[u32]) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let dir = tempfile::tempdir().unwrap();
    let database = fixtures.join(format!("{format}.db"));
    fs::copy(database, dir.path().join("nexus.db")).unwrap();
    let mut store: Store = open(dir.path()).unwrap();
    let said: String = all(&store)
        .iter()
        .map(|e| format!("{} {} {} {} {}\n", e.seq, e.at, e.stream, e.kind, e.body))
        .collect();
    let expected = fs::read_to_string(fixtures.join(format!("{format}.txt"))).unwrap();
    assert_eq!(said, expected);
    let found = store.summaries(&SummaryFilter::default()).unwrap();
    assert_eq!(found.len(), summaries);
    let open_rows = store.ledger_open().unwrap();
    let found: Vec<_> = open_rows.iter().map(|row| row.pid).collect();
    assert_eq!(found, pids);
    assert!(!store.doubts().any());
    append(&mut store, 1);
}

#[test]
fn a_log_of_format_1_opens_and_says_what_it_said() {
    assert_says_what_it_said("v1", 2, &[4242]);
}

#[test]
fn a_log_of_format_2_opens_and_says_what_it_said() {
    assert_says_what_it_said("v2", 2, &[4711, 4712]);
}
