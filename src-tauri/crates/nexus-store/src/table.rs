//! The tables: each file holds one, with the SQL that makes it and every query on it.

pub(crate) mod event;
pub(crate) mod process;
pub(crate) mod sum;
pub(crate) mod task_summary;

/// The largest count SQLite can hold is 2^63-1, which no counter of ours reaches.
pub(crate) fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A stored count; a negative one was never written by us.
pub(crate) fn from_sql(column: usize, value: i64) -> rusqlite::Result<u64> {
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
