//! Whether a store still is what was written to it.

use crate::{
    anchor::Noted,
    fault::Fault,
    migration::{self, MIGRATIONS},
    table::{
        event::{self, Head},
        process, task_summary,
    },
};
use rusqlite::Connection;

/// Which of the tables beside the log cannot be trusted. The log itself always can, or the
/// store does not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// The summaries are not those that were written: make them anew from the log with
    /// [`Store::replace_summaries`](crate::Store::replace_summaries).
    pub summaries: bool,
    /// Rows of the ledger are missing or damaged: look for left processes by other means, then
    /// call [`Store::ledger_trusted`](crate::Store::ledger_trusted).
    pub ledger: bool,
}

impl Doubts {
    /// Whether there is one.
    pub fn any(self) -> bool {
        self.summaries || self.ledger
    }
}

/// Which of the tables beside the log are not as they were written.
pub(crate) fn doubts(connection: &Connection) -> Doubts {
    // What cannot be read is not as it was written either.
    Doubts {
        summaries: !task_summary::is_whole(connection).unwrap_or(false),
        ledger: !process::is_whole(connection).unwrap_or(false),
    }
}

/// Checks the structure, the definitions, the whole chain and where it ends. Returns its end.
pub(crate) fn whole(connection: &Connection, noted: Option<&Noted>) -> Result<Head, Fault> {
    structure(connection)?;
    definitions(connection)?;
    let head = event::for_each(connection, 0, usize::MAX, drop)?;
    if let Some(noted) = noted {
        reaches(connection, &head, noted)?;
    }
    Ok(head)
}

/// Pages, indexes and types fit together.
pub(crate) fn structure(connection: &Connection) -> Result<(), Fault> {
    let verdict: String =
        connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let first = verdict.lines().next().unwrap_or_default().trim();
    Err(Fault::corrupt(format!("its pages are damaged: {first}")))
}

/// The tables, indexes and triggers are those that the migrations up to its format make.
fn definitions(connection: &Connection) -> Result<(), Fault> {
    let mut fresh = Connection::open_in_memory()?;
    let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let up_to_it = MIGRATIONS.iter().take(format as usize).copied();
    migration::migrate(&mut fresh, 0, &up_to_it.collect::<Vec<_>>())?;
    if schema(connection)? == schema(&fresh)? {
        return Ok(());
    }
    Err(Fault::corrupt(
        "its tables are not defined as NEXUS defines them",
    ))
}

type Definition = (String, String, String, Option<String>);

fn schema(connection: &Connection) -> Result<Vec<Definition>, Fault> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")?;
    let definitions = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(definitions)
}

/// The log is not behind its note, and holds the history that was noted.
fn reaches(connection: &Connection, head: &Head, noted: &Noted) -> Result<(), Fault> {
    if noted.seq > head.seq {
        return Err(Fault::event(
            head.seq + 1,
            &format!(
                "it ends at event {} though event {} was recorded, so an old copy was put back \
                 or nexus.db-wal was lost",
                head.seq, noted.seq
            ),
        ));
    }
    match event::head_at(connection, noted.seq)? {
        Some(then) if then.hash == noted.hash => Ok(()),
        Some(_) | None => Err(Fault::event(
            noted.seq,
            "its history is not the one that nexus.head speaks of",
        )),
    }
}
