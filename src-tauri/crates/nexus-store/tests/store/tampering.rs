//! A log that someone changed behind our back is not trusted.

use crate::{append, open};
use nexus_store::{Reader, StoreError, StoreKey};
use rusqlite::Connection;
use std::{fs, path::Path};

/// Runs `sql` on a log of ten events with its triggers out of the way for that long.
fn tampered(sql: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), 10);
    let connection = Connection::open(dir.path().join("nexus.db")).unwrap();
    let triggers: Vec<(String, String)> = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(triggers.len(), 3);
    for (name, _) in &triggers {
        connection
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap();
    }
    connection.execute_batch(sql).unwrap();
    for (_, definition) in &triggers {
        connection.execute_batch(definition).unwrap();
    }
    dir
}

fn first_wrong_event(dir: &Path) -> Option<u64> {
    let error = open(dir).unwrap_err();
    let StoreError::Corrupt { seq, .. } = error else {
        panic!("noticed as something else: {error}");
    };
    seq
}

#[test]
fn the_log_opens_when_nothing_was_changed() {
    open(tampered("SELECT 1").path()).unwrap();
}

#[test]
fn a_changed_event_is_named() {
    for change in [
        "at = at + 1",
        "stream = 'another'",
        "kind = 'another'",
        "body = '{}'",
        "hash = zeroblob(32)",
        "hash = x'00'",
        // The same bytes, cut differently into fields.
        "stream = stream || 'c', kind = substr(kind, 2)",
    ] {
        let dir = tampered(&format!("UPDATE event SET {change} WHERE seq = 4"));
        assert_eq!(first_wrong_event(dir.path()), Some(4), "{change}");
    }
}

#[test]
fn a_dropped_event_is_named_wherever_it_was() {
    for seq in [1, 5, 10] {
        let dir = tampered(&format!("DELETE FROM event WHERE seq = {seq}"));
        assert_eq!(first_wrong_event(dir.path()), Some(seq));
    }
    let closed_up = "DELETE FROM event WHERE seq = 5;
                     UPDATE event SET seq = seq - 1 WHERE seq > 5;";
    assert_eq!(first_wrong_event(tampered(closed_up).path()), Some(5));
    assert_eq!(
        first_wrong_event(tampered("DELETE FROM event").path()),
        Some(1)
    );
}

#[test]
fn swapped_events_are_named() {
    let dir = tampered(
        "UPDATE event SET seq = 99 WHERE seq = 3;
         UPDATE event SET seq = 3 WHERE seq = 7;
         UPDATE event SET seq = 7 WHERE seq = 99;",
    );
    assert_eq!(first_wrong_event(dir.path()), Some(3));
}

#[test]
fn an_added_event_is_named() {
    let dir = tampered(
        "INSERT INTO event SELECT 11, at, stream, kind, body, hash FROM event WHERE seq = 10",
    );
    assert_eq!(first_wrong_event(dir.path()), Some(11));
}

#[test]
fn a_missing_guard_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), 1);
    let connection = Connection::open(dir.path().join("nexus.db")).unwrap();
    connection
        .execute_batch("DROP TRIGGER event_is_never_deleted")
        .unwrap();
    drop(connection);
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("not defined as NEXUS defines them"),
        "{error}"
    );
}

#[test]
fn a_reader_trusts_no_link_that_it_passes() {
    let dir = tampered("UPDATE event SET body = '{}' WHERE seq = 4");
    let reader = Reader::open(dir.path(), StoreKey::Plain).unwrap();
    assert_eq!(reader.read(0, 3).unwrap().len(), 3);
    assert!(matches!(
        reader.read(3, 1),
        Err(StoreError::Corrupt { seq: Some(4), .. })
    ));
    assert!(matches!(
        reader.read_stream("even"),
        Err(StoreError::Corrupt { .. })
    ));
    assert!(matches!(
        reader.verify(),
        Err(StoreError::Corrupt { seq: Some(4), .. })
    ));
}

#[test]
fn a_lost_write_ahead_log_is_noticed() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 5);
    assert!(dir.path().join("nexus.db-wal").exists());
    for name in ["nexus.db", "nexus.head"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let error = open(copy.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(
        error.to_string().contains("nexus.db-wal was lost"),
        "{error}"
    );
}

#[test]
fn an_old_copy_put_back_and_another_history_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nexus.db");
    append(&mut open(dir.path()).unwrap(), 2);
    let old = fs::read(&file).unwrap();
    append(&mut open(dir.path()).unwrap(), 3);
    fs::write(&file, &old).unwrap();
    assert_eq!(first_wrong_event(dir.path()), Some(3));

    let other = tempfile::tempdir().unwrap();
    let mut store = open(other.path()).unwrap();
    store.append(&[crate::event(77)], &[]).unwrap();
    append(&mut store, 9);
    drop(store);
    fs::copy(other.path().join("nexus.db"), &file).unwrap();
    assert_eq!(first_wrong_event(dir.path()), Some(5));

    // Put back together with its note, as the message says, an old copy is fine.
    fs::write(&file, &old).unwrap();
    fs::remove_file(dir.path().join("nexus.head")).unwrap();
    append(&mut open(dir.path()).unwrap(), 1);
}
