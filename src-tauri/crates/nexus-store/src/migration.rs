//! How a store of an earlier NEXUS becomes one of this NEXUS, or stays as it was.

use crate::{
    StoreError, backup,
    connection::APPLICATION_ID,
    fault::Fault,
    place::Place,
    table::{event, process, sum, task_summary},
};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// One step from a format to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Sql(&'static str),
    /// What SQL cannot compute.
    Fill(fn(&Connection) -> Result<(), Fault>),
}

/// What brings a store from one format to the next. Entry 0 leads to format 1.
///
/// A released entry is never edited: a later one corrects it.
pub(crate) const MIGRATIONS: &[&[Step]] = &[
    &[
        Step::Sql(event::CREATE),
        Step::Sql(task_summary::CREATE),
        Step::Sql(process::CREATE),
    ],
    &[
        Step::Sql(sum::CREATE),
        Step::Sql(task_summary::ADD_SUM),
        Step::Sql(process::ADD_SUM),
        Step::Fill(task_summary::add_sums),
        Step::Fill(process::add_sums),
    ],
];

/// The format this NEXUS writes.
pub(crate) fn known(migrations: &[&[Step]]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// The format of an existing store. Refuses what is not a store, and what a later NEXUS made.
pub(crate) fn format(
    connection: &Connection,
    file: &Path,
    migrations: &[&[Step]],
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

/// Brings the store from format `found` to the newest, all or nothing, after a verified backup.
pub(crate) fn bring_up_to_date(
    connection: &mut Connection,
    place: &Place,
    found: u32,
    migrations: &[&[Step]],
) -> Result<(), StoreError> {
    if found == known(migrations) {
        return Ok(());
    }
    let backup = backup::before_migration(connection, place, found)?.path;
    let failed = |source| StoreError::Migration {
        file: place.file.clone(),
        backup: backup.clone(),
        source: Box::new(source),
    };
    tracing::info!(from = found, backup = %backup.display(), "bringing the store up to date");
    migrate(connection, found, migrations)
        .map_err(|fault| failed(StoreError::at(&place.file, fault)))
}

/// Runs the migrations after format `found` in one transaction.
pub(crate) fn migrate(
    connection: &mut Connection,
    found: u32,
    migrations: &[&[Step]],
) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in migrations.iter().skip(found as usize).copied().flatten() {
        match step {
            Step::Sql(statement) => transaction.execute_batch(statement)?,
            Step::Fill(fill) => fill(&transaction)?,
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known(migrations))?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        NewEvent, Store, StoreKey, backup, connection,
        table::event::{Head, insert},
        verify,
    };
    use nexus_core::Timestamp;
    use std::{cell::RefCell, fs, path::PathBuf};
    use tempfile::TempDir;

    const NEXT: &[Step] = &[
        Step::Sql("ALTER TABLE task_summary ADD COLUMN colour TEXT"),
        Step::Sql("CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT"),
        Step::Sql("DROP TABLE process"),
    ];
    const LAST: u32 = 2;

    /// What a later NEXUS would know.
    fn with(next: &[Step]) -> Vec<&[Step]> {
        MIGRATIONS.iter().copied().chain([next]).collect()
    }

    /// A store of the present format with two events, and a plain connection to it.
    fn present_format() -> (TempDir, Place, Connection) {
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

    fn the_backup(place: &Place) -> backup::Backup {
        let mut found = backup::backups(&place.dir).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn an_older_store_is_backed_up_and_brought_up_to_date() {
        let (_dir, place, mut connection) = present_format();
        let migrations = with(NEXT);
        bring_up_to_date(&mut connection, &place, LAST, &migrations).unwrap();
        let now = format(&connection, &place.file, &migrations).unwrap();
        assert_eq!(now, LAST + 1);
        assert!(has_table(&connection, "extra") && !has_table(&connection, "process"));
        assert_eq!(event::head(&connection).unwrap().seq, 2);

        let backup = the_backup(&place);
        assert_eq!((backup.before_migration, backup.events), (Some(LAST), 2));
        let aside = tempfile::tempdir().unwrap();
        fs::copy(backup.path, aside.path().join("nexus.db")).unwrap();
        let old = Store::open(aside.path(), StoreKey::Plain).unwrap();
        assert_eq!(old.read(0, 9).unwrap().len(), 2);
    }

    #[test]
    fn a_migration_that_fails_at_any_statement_changes_nothing_and_can_be_repeated() {
        for failing in 0..=NEXT.len() {
            let (_dir, place, mut connection) = present_format();
            let mut steps = NEXT.to_vec();
            steps.insert(failing, Step::Sql("SELECT no_such_function()"));
            let error = bring_up_to_date(&mut connection, &place, LAST, &with(&steps)).unwrap_err();
            assert!(matches!(error, StoreError::Migration { .. }), "{error}");
            assert!(error.to_string().contains("backups/nexus-"), "{error}");
            verify::whole(&connection, None).unwrap();

            bring_up_to_date(&mut connection, &place, LAST, &with(NEXT)).unwrap();
            assert!(has_table(&connection, "extra"));
            // The copy of the first try serves the second as well.
            the_backup(&place);
        }
    }

    #[test]
    fn nothing_is_migrated_without_a_copy() {
        let (_dir, place, mut connection) = present_format();
        fs::write(place.backups(), "in the way").unwrap();
        bring_up_to_date(&mut connection, &place, LAST, &with(NEXT)).unwrap_err();
        verify::whole(&connection, None).unwrap();
    }

    #[test]
    fn a_format_number_that_no_nexus_writes_is_damage() {
        let (_dir, place, connection) = present_format();
        for number in [0, -1] {
            connection
                .pragma_update(None, "user_version", number)
                .unwrap();
            let error = format(&connection, &place.file, MIGRATIONS).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
    }

    /// A store of the first format, large enough that its migration writes before it commits.
    fn first_format(dir: &Path) {
        let file = dir.join(Store::FILE);
        let mut connection = Connection::open(file).unwrap();
        connection::make_durable(&connection).unwrap();
        migrate(&mut connection, 0, &MIGRATIONS[..1]).unwrap();
        let transaction = connection.transaction().unwrap();
        let mut head = Head::EMPTY;
        for n in 0..200 {
            let event = NewEvent {
                stream: "task",
                kind: "said",
                at: Timestamp::from_millis(n),
                body: "x".repeat(500),
            };
            head = insert(&transaction, &head, &event).unwrap();
        }
        for n in 0..500 {
            transaction
                .execute(
                    "INSERT INTO process VALUES (?, 1, 2, 'boot', 'tag', ?, 3, NULL)",
                    (n, "w".repeat(300)),
                )
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    thread_local! {
        static IMAGES: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
    }

    /// What a kill at this moment would leave behind.
    #[expect(clippy::unnecessary_wraps, reason = "it is a step of a migration")]
    fn take_image(connection: &Connection) -> Result<(), Fault> {
        let from = PathBuf::from(connection.path().unwrap());
        let image = tempfile::tempdir().unwrap();
        connection.cache_flush().unwrap();
        for suffix in ["", "-wal"] {
            let name = format!("{}{suffix}", Store::FILE);
            let file = from.with_file_name(&name);
            if file.exists() {
                fs::copy(file, image.path().join(name)).unwrap();
            }
        }
        IMAGES.with_borrow_mut(|images| images.push(image));
        Ok(())
    }

    #[test]
    fn a_migration_killed_anywhere_leaves_the_old_store_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        first_format(dir.path());
        let place = Place::new(dir.path());
        let mut connection = Connection::open(&place.file).unwrap();
        let mut second = vec![Step::Fill(take_image)];
        for step in MIGRATIONS[1] {
            second.extend([*step, Step::Fill(take_image)]);
        }
        migrate(&mut connection, 1, &[MIGRATIONS[0], &second]).unwrap();
        take_image(&connection).unwrap();

        let images = IMAGES.take();
        let mut formats = Vec::new();
        for image in &images {
            let file = image.path().join(Store::FILE);
            let found = Connection::open(&file).unwrap();
            formats.push(format(&found, &file, MIGRATIONS).unwrap());
            verify::whole(&found, None).unwrap();
            drop(found);
            let store = Store::open(image.path(), StoreKey::Plain).unwrap();
            assert_eq!(store.last_seq().unwrap(), 200);
            assert_eq!(store.ledger_open().unwrap().len(), 500);
            assert!(!store.doubts().any());
        }
        let mut expected = vec![1; images.len() - 1];
        expected.push(2);
        assert_eq!(formats, expected);
    }
}
