//! How a store of an earlier NEXUS becomes one of this NEXUS, or stays as it was.

use crate::{
    StoreError,
    connection::APPLICATION_ID,
    fault::Fault,
    place::{self, Place},
    table::{event, process, task_summary},
};
use rusqlite::{Connection, TransactionBehavior, backup::Backup};
use std::{fs, io, path::Path, time::Duration};

/// What brings a store from one format to the next. Entry 0 leads to format 1.
///
/// A released entry is never edited: a later one corrects it.
pub(crate) const MIGRATIONS: &[&[&str]] =
    &[&[event::CREATE, task_summary::CREATE, process::CREATE]];

/// The format this NEXUS writes.
pub(crate) fn known(migrations: &[&[&str]]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// The format of an existing store. Refuses what is not a store, and what a later NEXUS made.
pub(crate) fn format(
    connection: &Connection,
    file: &Path,
    migrations: &[&[&str]],
) -> Result<u32, StoreError> {
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| StoreError::sqlite(file, &error))
    };
    let file = file.to_owned();
    if number("application_id")? != APPLICATION_ID {
        return Err(StoreError::NotAStore { file });
    }
    let known = known(migrations);
    match u32::try_from(number("user_version")?) {
        Ok(found) if found > known => Err(StoreError::Newer { file, found, known }),
        Ok(found) if found > 0 => Ok(found),
        Ok(_) | Err(_) => Err(StoreError::Corrupt {
            file,
            seq: None,
            what: "its format number is not one that any NEXUS writes".to_owned(),
        }),
    }
}

/// Brings the store from format `found` to the newest, all or nothing, after copying it aside.
pub(crate) fn bring_up_to_date(
    connection: &mut Connection,
    place: &Place,
    found: u32,
    migrations: &[&[&str]],
) -> Result<(), StoreError> {
    if found == known(migrations) {
        return Ok(());
    }
    let backup = place.beside(&format!(".v{found}.bak"));
    let failed = |source| StoreError::Migration {
        file: place.file.clone(),
        backup: backup.clone(),
        source: Box::new(source),
    };
    copy(connection, place, &backup)?;
    tracing::info!(from = found, backup = %backup.display(), "bringing the store up to date");
    migrate(connection, found, migrations)
        .map_err(|fault| failed(StoreError::at(&place.file, fault)))
}

/// Runs the migrations after format `found` in one transaction.
pub(crate) fn migrate(
    connection: &mut Connection,
    found: u32,
    migrations: &[&[&str]],
) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for statements in migrations.iter().skip(found as usize) {
        for statement in *statements {
            transaction.execute_batch(statement)?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known(migrations))?;
    transaction.commit()?;
    Ok(())
}

/// Copies the whole store to `backup`, which appears only when it is complete and on the disk.
fn copy(connection: &Connection, place: &Place, backup: &Path) -> Result<(), StoreError> {
    let unfinished = place.beside(".bak.new");
    let on_file = |error: io::Error| StoreError::io(&unfinished, &error);
    let on_copy = |error: rusqlite::Error| StoreError::sqlite(&unfinished, &error);
    remove_if_there(&unfinished)?;
    place::private_file()
        .write(true)
        .create_new(true)
        .open(&unfinished)
        .map_err(on_file)?;
    {
        let mut target = Connection::open(&unfinished).map_err(on_copy)?;
        Backup::new(connection, &mut target)
            .and_then(|copy| copy.run_to_completion(1024, Duration::ZERO, None))
            .map_err(on_copy)?;
    }
    place::sync_file(&unfinished)?;
    fs::rename(&unfinished, backup).map_err(on_file)?;
    place.sync_dir()
}

/// Removes `file`; that it is already gone is fine.
pub(crate) fn remove_if_there(file: &Path) -> Result<(), StoreError> {
    match fs::remove_file(file) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io(file, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewEvent, Store, StoreKey};
    use nexus_core::Timestamp;

    const SECOND: &[&str] = &[
        "ALTER TABLE task_summary ADD COLUMN colour TEXT",
        "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT",
        "DROP TABLE process",
    ];

    /// A store of format 1 with two events, and a plain connection to it.
    fn first_format() -> (tempfile::TempDir, Place, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let event = NewEvent {
            stream: "task",
            kind: "said",
            at: Timestamp::from_millis(1),
            body: "{}".to_owned(),
        };
        let mut store = Store::open(dir.path(), StoreKey::Plain).unwrap();
        store.append(&[event.clone(), event], &[]).unwrap();
        drop(store);
        let place = Place::new(dir.path());
        let connection = Connection::open(&place.file).unwrap();
        (dir, place, connection)
    }

    fn has_table(connection: &Connection, name: &str) -> bool {
        connection.table_exists(None, name).unwrap()
    }

    #[test]
    fn an_older_store_is_copied_aside_and_brought_up_to_date() {
        let (_dir, place, mut connection) = first_format();
        let migrations = &[MIGRATIONS[0], SECOND];
        bring_up_to_date(&mut connection, &place, 1, migrations).unwrap();
        assert_eq!(format(&connection, &place.file, migrations).unwrap(), 2);
        assert!(has_table(&connection, "extra") && !has_table(&connection, "process"));
        assert_eq!(event::head(&connection).unwrap().seq, 2);

        let aside = tempfile::tempdir().unwrap();
        let copy = place.beside(".v1.bak");
        fs::copy(copy, aside.path().join("nexus.db")).unwrap();
        let old = Store::open(aside.path(), StoreKey::Plain).unwrap();
        assert_eq!(old.read(0, 9).unwrap().len(), 2);
    }

    #[test]
    fn a_migration_that_fails_at_any_statement_changes_nothing_and_can_be_repeated() {
        for failing in 0..=SECOND.len() {
            let (_dir, place, mut connection) = first_format();
            let mut statements = SECOND.to_vec();
            statements.insert(failing, "SELECT no_such_function()");
            let error = bring_up_to_date(&mut connection, &place, 1, &[MIGRATIONS[0], &statements])
                .unwrap_err();
            assert!(matches!(error, StoreError::Migration { .. }), "{error}");
            assert!(error.to_string().contains("nexus.db.v1.bak"), "{error}");
            crate::verify::whole(&connection, None).unwrap();

            bring_up_to_date(&mut connection, &place, 1, &[MIGRATIONS[0], SECOND]).unwrap();
            assert!(has_table(&connection, "extra"));
        }
    }

    #[test]
    fn nothing_is_migrated_without_a_copy() {
        let (_dir, place, mut connection) = first_format();
        fs::create_dir(place.beside(".v1.bak")).unwrap();
        let error =
            bring_up_to_date(&mut connection, &place, 1, &[MIGRATIONS[0], SECOND]).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        crate::verify::whole(&connection, None).unwrap();
    }

    #[test]
    fn a_format_number_that_no_nexus_writes_is_damage() {
        let (_dir, place, connection) = first_format();
        for number in [0, -1] {
            connection
                .pragma_update(None, "user_version", number)
                .unwrap();
            let error = format(&connection, &place.file, MIGRATIONS).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
    }
}
