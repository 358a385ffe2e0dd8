//! The ledger of child processes: whom to look for, and end, after we ourselves were killed.

use super::{from_sql, to_sql};
use crate::fault::Fault;
use nexus_core::Timestamp;
use rusqlite::{Connection, Row, params};

/// Version 1 of the table.
pub(crate) const CREATE: &str = "
    CREATE TABLE process (
        id INTEGER PRIMARY KEY,
        pid INTEGER NOT NULL,
        start_ticks INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        tag TEXT NOT NULL,
        what TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        ended_at INTEGER
    ) STRICT;
    CREATE INDEX process_open ON process(id) WHERE ended_at IS NULL;
";

/// A process that was just started. The first three name it for good, since a pid comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProcess<'a> {
    pub pid: u32,
    /// When it started, in the kernel's ticks since the system did.
    pub start_ticks: u64,
    /// Which run of the system that was.
    pub boot_id: &'a str,
    /// What its environment carries, so that its descendants can be told from others.
    pub tag: &'a str,
    /// What it is for, in a few words.
    pub what: &'a str,
    pub started_at: Timestamp,
}

/// A process that is not known to have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub id: i64,
    pub pid: u32,
    pub start_ticks: u64,
    pub boot_id: String,
    pub tag: String,
    pub what: String,
    pub started_at: Timestamp,
}

/// Notes that `process` runs and returns the row's id.
pub(crate) fn started(connection: &Connection, process: &NewProcess<'_>) -> Result<i64, Fault> {
    connection
        .prepare_cached(
            "INSERT INTO process (pid, start_ticks, boot_id, tag, what, started_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            process.pid,
            to_sql(process.start_ticks),
            process.boot_id,
            process.tag,
            process.what,
            process.started_at.as_millis(),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// Notes that the process of row `id` is gone. The first note stays.
pub(crate) fn ended(connection: &Connection, id: i64, at: Timestamp) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE process SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL")?
        .execute(params![id, at.as_millis()])?;
    Ok(())
}

/// The processes not known to have ended, the oldest first.
pub(crate) fn open(connection: &Connection) -> Result<Vec<LedgerRow>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, pid, start_ticks, boot_id, tag, what, started_at
         FROM process WHERE ended_at IS NULL ORDER BY id",
    )?;
    let rows = statement.query_map([], decode)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    Ok(LedgerRow {
        id: row.get(0)?,
        pid: row.get(1)?,
        start_ticks: from_sql(2, row.get(2)?)?,
        boot_id: row.get(3)?,
        tag: row.get(4)?,
        what: row.get(5)?,
        started_at: Timestamp::from_millis(row.get(6)?),
    })
}
