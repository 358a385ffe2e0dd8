//! Checksums of the tables beside the log: what the hash chain is for events, they are for rows
//! that change.
//!
//! Each row carries its own sum, so that a good row is told from a damaged one, and each table
//! the sum of all its rows, so that a missing or an extra one is noticed. A table whose sum is
//! absent is in doubt, which is also how a doubt is written down.

use super::{from_sql, to_sql};
use crate::fault::Fault;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// Part of format 2.
pub(crate) const CREATE: &str = "
    CREATE TABLE table_sum (
        of TEXT PRIMARY KEY,
        sum BLOB NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// A sum of one row, or of a table: all of its rows' sums, in any order.
pub(crate) type Sum = [u8; 32];

/// A table that has sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    TaskSummary,
    Process,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::TaskSummary => "task_summary",
            Self::Process => "process",
        }
    }
}

/// The sum of a row in the making: its columns are fed in their order.
#[derive(Debug)]
pub(crate) struct RowSum(Sha256);

impl RowSum {
    pub(crate) fn of(table: Table) -> Self {
        Self(Sha256::new().chain_update(format!("nexus {} v1\0", table.name())))
    }

    #[must_use]
    pub(crate) fn text(self, text: &str) -> Self {
        // With its length first, text cannot move from one column into the next unnoticed.
        let length = (text.len() as u64).to_le_bytes();
        Self(self.0.chain_update(length).chain_update(text))
    }

    #[must_use]
    pub(crate) fn number(self, number: i64) -> Self {
        Self(self.0.chain_update(number.to_le_bytes()))
    }

    #[must_use]
    pub(crate) fn maybe(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => Self(self.0.chain_update([1])).number(number),
            None => Self(self.0.chain_update([0])),
        }
    }

    pub(crate) fn end(self) -> Sum {
        self.0.finalize().into()
    }
}

/// Adds a row's sum to a table's, or takes it out again.
pub(crate) fn toggle(sum: &mut Sum, row: &Sum) {
    for (byte, other) in sum.iter_mut().zip(row) {
        *byte ^= other;
    }
}

/// What the table's sum should be, as it was last written; `None` when the table is in doubt.
pub(crate) fn stored(connection: &Connection, table: Table) -> Result<Option<Sum>, Fault> {
    let found: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sum FROM table_sum WHERE of = ?")?
        .query_row([table.name()], |row| row.get(0))
        .optional()?;
    // Bytes of another length were never written by us.
    Ok(found.and_then(|bytes| bytes.try_into().ok()))
}

/// Notes that rows with the sums `gone` made place for rows with the sums `came`. A table in
/// doubt stays in doubt.
pub(crate) fn changed(
    connection: &Connection,
    table: Table,
    gone: impl IntoIterator<Item = Sum>,
    came: impl IntoIterator<Item = Sum>,
) -> Result<(), Fault> {
    let Some(mut sum) = stored(connection, table)? else {
        return Ok(());
    };
    for row in gone.into_iter().chain(came) {
        toggle(&mut sum, &row);
    }
    set(connection, table, &sum)
}

/// Says that the table's sum is `sum`: it is in doubt no longer.
pub(crate) fn set(connection: &Connection, table: Table, sum: &Sum) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO table_sum (of, sum, revision) VALUES (?1, ?2, 1)
             ON CONFLICT (of) DO UPDATE SET sum = ?2, revision = revision + 1",
        )?
        .execute(params![table.name(), sum])?;
    Ok(())
}

/// Says that nobody knows whether the table is whole.
pub(crate) fn doubt(connection: &Connection, table: Table) -> Result<(), Fault> {
    connection.execute("DELETE FROM table_sum WHERE of = ?", [table.name()])?;
    Ok(())
}

/// A number that grows with every change of a table that has sums.
pub(crate) fn revision(connection: &Connection) -> Result<u64, Fault> {
    let numbers = connection
        .prepare_cached("SELECT revision FROM table_sum")?
        .query_map([], |row| from_sql(0, row.get(0)?))?
        .collect::<Result<Vec<_>, _>>()?;
    let total = numbers.into_iter().fold(0_u64, u64::saturating_add);
    // As far as SQLite can count.
    Ok(total.min(to_sql(u64::MAX).unsigned_abs()))
}
