//! How the database is opened, and which promises its settings make.

use crate::{StoreError, fault::Fault, store::StoreKey};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{path::Path, time::Duration};

/// "NXS1" in the header of the file says whose it is.
pub(crate) const APPLICATION_ID: i32 = 0x4e58_5331;

/// 3.51.2 and earlier can damage a database in WAL mode that several connections use.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a lock of another process is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Opens the existing database `file`, without changing it yet.
pub(crate) fn open(file: &Path, key: StoreKey, access: Access) -> Result<Connection, StoreError> {
    let mode = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    open_as(file, file, key, mode)
}

/// Opens the database `file` on a disk that nobody can write to, where SQLite cannot make the
/// index of a write-ahead log that it reads by. There may be no such log.
pub(crate) fn open_unchanging(file: &Path, key: StoreKey) -> Result<Connection, StoreError> {
    let path = file.as_os_str().as_encoded_bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let encoded = path.iter().map(|&byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    });
    let name = format!("file:{}?immutable=1", encoded.collect::<String>());
    let mode = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    open_as(file, name.as_ref(), key, mode)
}

fn open_as(
    file: &Path,
    name: &Path,
    key: StoreKey,
    mode: OpenFlags,
) -> Result<Connection, StoreError> {
    refuse_old_sqlite(rusqlite::version_number(), rusqlite::version())?;
    let connection = Connection::open_with_flags(name, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| StoreError::sqlite(file, &error))?;
    match key {
        StoreKey::Plain => {}
    }
    distrust(&connection).map_err(|error| StoreError::sqlite(file, &error))?;
    Ok(connection)
}

/// Settings that keep a damaged or planted file from doing more than failing to be read.
fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // A file that shrinks under a memory map ends the process with a signal.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Settings that make a commit survive a power loss. The first one is stored in the file.
pub(crate) fn make_durable(connection: &Connection) -> Result<(), Fault> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::corrupt(format!(
            "its journal mode is {mode} and cannot be changed"
        )));
    }
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // After a burst, the write-ahead log gives the disk back.
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    wait_for_disk(connection, true)?;
    Ok(())
}

/// Whether a commit waits until it is on the disk (`true`) or only until the operating system
/// has it, which survives our own death but not a power loss.
pub(crate) fn wait_for_disk(connection: &Connection, wait: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", if wait { "full" } else { "normal" })
}

fn refuse_old_sqlite(number: i32, name: &str) -> Result<(), StoreError> {
    if number >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(StoreError::OldSqlite {
        found: name.to_owned(),
        needed: "3.51.3".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_with_the_damaging_fault_is_refused() {
        let error = refuse_old_sqlite(3_051_002, "3.51.2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "use SQLite 3.51.2: it can damage a store; build NEXUS with 3.51.3 or later"
        );
        refuse_old_sqlite(3_051_003, "3.51.3").unwrap();
    }
}
