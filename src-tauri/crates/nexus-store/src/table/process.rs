//! The ledger of child processes: whom to look for, and end, after we ourselves were killed.

use super::{
    from_sql,
    sum::{self, RowSum, Sum, Table},
    to_sql,
};
use crate::fault::Fault;
use nexus_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

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

/// Part of format 2.
pub(crate) const ADD_SUM: &str = "ALTER TABLE process ADD COLUMN sum BLOB NOT NULL DEFAULT x''";

/// How many rows one clean-up removes at most, so that it never takes long.
const PRUNE_AT_ONCE: u32 = 10_000;

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

/// A row as it is stored, and whether it is as it was written.
struct Stored {
    row: LedgerRow,
    ended_at: Option<Timestamp>,
    sum: Sum,
}

impl Stored {
    fn is_whole(&self) -> bool {
        self.sum == self.due()
    }

    /// The sum that this content must have.
    fn due(&self) -> Sum {
        let row = &self.row;
        RowSum::of(Table::Process)
            .number(row.id)
            .number(row.pid.into())
            .number(to_sql(row.start_ticks))
            .text(&row.boot_id)
            .text(&row.tag)
            .text(&row.what)
            .number(row.started_at.as_millis())
            .maybe(self.ended_at.map(Timestamp::as_millis))
            .end()
    }
}

const COLUMNS: &str = "id, pid, start_ticks, boot_id, tag, what, started_at, ended_at, sum";

/// Notes that `process` runs and returns the row's id.
pub(crate) fn started(connection: &Connection, process: &NewProcess<'_>) -> Result<i64, Fault> {
    let id = connection
        .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM process")?
        .query_row([], |row| row.get(0))?;
    let mut stored = Stored {
        row: LedgerRow {
            id,
            pid: process.pid,
            start_ticks: process.start_ticks,
            boot_id: process.boot_id.to_owned(),
            tag: process.tag.to_owned(),
            what: process.what.to_owned(),
            started_at: process.started_at,
        },
        ended_at: None,
        sum: Sum::default(),
    };
    stored.sum = stored.due();
    put(connection, &stored)?;
    sum::changed(connection, Table::Process, None, [stored.sum])?;
    Ok(id)
}

/// Notes that the process of row `id` is gone. The first note stays.
pub(crate) fn ended(connection: &Connection, id: i64, at: Timestamp) -> Result<(), Fault> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM process WHERE id = ? AND ended_at IS NULL"
        ))?
        .query_row([id], decode)
        .optional()?;
    let Some(mut stored) = found else {
        return Ok(());
    };
    let (before, was_whole) = (stored.sum, stored.is_whole());
    stored.ended_at = Some(at);
    if was_whole {
        // A damaged row keeps its wrong sum, or the damage would be signed here.
        stored.sum = stored.due();
    }
    put(connection, &stored)?;
    sum::changed(connection, Table::Process, [before], [stored.sum])
}

/// The processes not known to have ended, the oldest first. Rows that are not as they were
/// written are left out: they may name anybody's process.
pub(crate) fn open(connection: &Connection) -> Result<Vec<LedgerRow>, Fault> {
    let open = rows(connection, "WHERE ended_at IS NULL ORDER BY id")?;
    let whole = |stored: &Stored| stored.is_whole();
    if open.unreadable > 0 || !open.rows.iter().all(whole) {
        tracing::warn!("damaged rows of the ledger are left out");
    }
    let whole = open.rows.into_iter().filter(whole);
    Ok(whole.map(|stored| stored.row).collect())
}

/// Forgets the processes that ended before `before`, a bounded number of them, and returns how
/// many those were.
pub(crate) fn prune(connection: &Connection, before: Timestamp) -> Result<u64, Fault> {
    let old = rows(
        connection,
        &format!(
            "WHERE ended_at < {} ORDER BY id LIMIT {PRUNE_AT_ONCE}",
            before.as_millis()
        ),
    )?;
    let old = old.rows;
    let mut delete = connection.prepare_cached("DELETE FROM process WHERE id = ?")?;
    for stored in &old {
        delete.execute([stored.row.id])?;
    }
    if !old.is_empty() {
        let gone = old.iter().map(|stored| stored.sum);
        sum::changed(connection, Table::Process, gone, None)?;
    }
    Ok(old.len() as u64)
}

/// Whether every row is there and as it was written.
pub(crate) fn is_whole(connection: &Connection) -> Result<bool, Fault> {
    let mut total = Sum::default();
    let all = rows(connection, "ORDER BY id")?;
    for stored in &all.rows {
        if !stored.is_whole() {
            return Ok(false);
        }
        sum::toggle(&mut total, &stored.sum);
    }
    Ok(all.unreadable == 0 && sum::stored(connection, Table::Process)? == Some(total))
}

/// Takes the rows for good that are as they were written, and removes the others.
pub(crate) fn trust(connection: &Connection) -> Result<(), Fault> {
    let all = rows(connection, "ORDER BY id")?;
    connection.execute("DELETE FROM process", [])?;
    let mut total = Sum::default();
    for stored in all.rows.iter().filter(|stored| stored.is_whole()) {
        put(connection, stored)?;
        sum::toggle(&mut total, &stored.sum);
    }
    sum::set(connection, Table::Process, &total)
}

/// Gives rows of the first format, which had no sums, theirs.
pub(crate) fn add_sums(connection: &Connection) -> Result<(), Fault> {
    let mut total = Sum::default();
    for mut stored in rows(connection, "ORDER BY id")?.rows {
        stored.sum = stored.due();
        put(connection, &stored)?;
        sum::toggle(&mut total, &stored.sum);
    }
    sum::set(connection, Table::Process, &total)
}

/// Copies the whole rows of the ledger in `from` over those in `to`, which is in doubt
/// afterwards if that one was.
pub(crate) fn take_over(from: &Connection, to: &Connection) -> Result<(), Fault> {
    let whole = is_whole(from)?;
    for stored in rows(from, "ORDER BY id")?.rows {
        if stored.is_whole() {
            put(to, &stored)?;
        }
    }
    if whole {
        trust(to)
    } else {
        sum::doubt(to, Table::Process)
    }
}

fn put(connection: &Connection, stored: &Stored) -> Result<(), Fault> {
    let row = &stored.row;
    connection
        .prepare_cached(&format!(
            "INSERT OR REPLACE INTO process ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?
        .execute(params![
            row.id,
            row.pid,
            to_sql(row.start_ticks),
            row.boot_id,
            row.tag,
            row.what,
            row.started_at.as_millis(),
            stored.ended_at.map(Timestamp::as_millis),
            stored.sum,
        ])?;
    Ok(())
}

/// Rows, and how many there are besides that cannot be read.
struct Rows {
    rows: Vec<Stored>,
    unreadable: u64,
}

/// The rows that `which` names.
fn rows(connection: &Connection, which: &str) -> Result<Rows, Fault> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM process {which}"))?;
    let mut found = statement.query([])?;
    let (mut rows, mut unreadable) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        match decode(row) {
            Ok(stored) => rows.push(stored),
            Err(_) => unreadable += 1,
        }
    }
    Ok(Rows { rows, unreadable })
}

fn decode(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let ended_at: Option<i64> = row.get(7)?;
    let sum: Vec<u8> = row.get(8)?;
    Ok(Stored {
        row: LedgerRow {
            id: row.get(0)?,
            pid: row.get(1)?,
            start_ticks: from_sql(2, row.get(2)?)?,
            boot_id: row.get(3)?,
            tag: row.get(4)?,
            what: row.get(5)?,
            started_at: Timestamp::from_millis(row.get(6)?),
        },
        ended_at: ended_at.map(Timestamp::from_millis),
        // A sum of another length fits no content.
        sum: sum.try_into().unwrap_or_default(),
    })
}
