//! What NEXUS recorded, read from a copy of its data folder by somebody who knows nothing but
//! the table's columns.

use rusqlite::{Connection, Row};
use serde_json::Value;
use std::{fs, io, path::Path};

/// A recorded fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    pub seq: u64,
    /// The task's id, or `floor`.
    pub stream: String,
    pub kind: String,
    pub body: Value,
}

/// The log of a data folder that nobody works on; empty when there is none yet.
///
/// The files are copied first: opening them would already mend what a kill left, which is for
/// NEXUS to do.
pub fn read(data: &Path) -> Vec<Fact> {
    read_copy(data).unwrap_or_else(|error| panic!("failed to read the log: {error}"))
}

fn read_copy(data: &Path) -> Result<Vec<Fact>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for name in ["nexus.db", "nexus.db-wal"] {
        match fs::copy(data.join(name), folder.path().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => drop(copied?),
        }
    }
    let copy = folder.path().join("nexus.db");
    if !copy.exists() {
        return Ok(Vec::new());
    }
    let store = Connection::open(copy)?;
    let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'event'";
    if store.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Vec::new());
    }
    let mut all = store.prepare("SELECT seq, stream, kind, body FROM event ORDER BY seq")?;
    let facts = all.query_map([], fact)?;
    Ok(facts.collect::<Result<_, _>>()?)
}

fn fact(row: &Row<'_>) -> rusqlite::Result<Fact> {
    let body: String = row.get(3)?;
    Ok(Fact {
        seq: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
        stream: row.get(1)?,
        kind: row.get(2)?,
        body: serde_json::from_str(&body).unwrap_or_default(),
    })
}
