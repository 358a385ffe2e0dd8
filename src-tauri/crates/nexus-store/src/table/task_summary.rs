//! One row per task, for lists: a projection of the log, written with the events it reflects.

use super::{
    from_sql,
    sum::{self, RowSum, Sum, Table},
    to_sql,
};
use crate::fault::Fault;
use nexus_core::{ProjectId, TaskId, Timestamp, Usd};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use std::str::FromStr;

/// Version 1 of the table.
pub(crate) const CREATE: &str = "
    CREATE TABLE task_summary (
        task TEXT PRIMARY KEY,
        project TEXT NOT NULL,
        title TEXT NOT NULL,
        state TEXT NOT NULL,
        cost_micros INTEGER,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        detail TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX task_summary_by_last_seq ON task_summary(last_seq);
";

/// Part of format 2.
pub(crate) const ADD_SUM: &str =
    "ALTER TABLE task_summary ADD COLUMN sum BLOB NOT NULL DEFAULT x''";

/// A task as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSummary {
    pub task: TaskId,
    pub project: ProjectId,
    pub title: String,
    /// The state's name as it is written in JSON.
    pub state: String,
    /// `None` while some part of it has no known price.
    pub cost: Option<Usd>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// The event this row reflects.
    pub last_seq: u64,
    /// Whatever else a list shows, as JSON.
    pub detail: String,
}

/// Which tasks a list is about. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryFilter {
    pub project: Option<ProjectId>,
    /// The state's name as it is written in JSON.
    pub state: Option<String>,
}

impl TaskSummary {
    /// The sum that this content must have.
    fn due(&self) -> Sum {
        RowSum::of(Table::TaskSummary)
            .text(&self.task.to_string())
            .text(&self.project.to_string())
            .text(&self.title)
            .text(&self.state)
            .maybe(self.cost.map(|cost| to_sql(cost.as_micros())))
            .number(self.created.as_millis())
            .number(self.updated.as_millis())
            .number(to_sql(self.last_seq))
            .text(&self.detail)
            .end()
    }
}

const COLUMNS: &str =
    "task, project, title, state, cost_micros, created, updated, last_seq, detail, sum";

/// Writes `summary` over the task's earlier one.
pub(crate) fn upsert(connection: &Connection, summary: &TaskSummary) -> Result<(), Fault> {
    let before: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sum FROM task_summary WHERE task = ?")?
        .query_row([summary.task.to_string()], |row| row.get(0))
        .optional()?;
    let now = put(connection, summary)?;
    let before = before.map(|sum| sum.try_into().unwrap_or_default());
    sum::changed(connection, Table::TaskSummary, before, [now])
}

/// Replaces all summaries by these, which ends every doubt about them.
pub(crate) fn replace(connection: &Connection, summaries: &[TaskSummary]) -> Result<(), Fault> {
    connection.execute("DELETE FROM task_summary", [])?;
    sum::set(connection, Table::TaskSummary, &Sum::default())?;
    summaries
        .iter()
        .try_for_each(|summary| upsert(connection, summary))
}

/// Whether every row is there and as it was written.
pub(crate) fn is_whole(connection: &Connection) -> Result<bool, Fault> {
    let mut total = Sum::default();
    for (summary, sum) in rows(connection, &SummaryFilter::default())? {
        if summary.due() != sum {
            return Ok(false);
        }
        sum::toggle(&mut total, &sum);
    }
    Ok(sum::stored(connection, Table::TaskSummary)? == Some(total))
}

/// Gives rows of the first format, which had no sums, theirs.
pub(crate) fn add_sums(connection: &Connection) -> Result<(), Fault> {
    let mut total = Sum::default();
    for (summary, _) in rows(connection, &SummaryFilter::default())? {
        sum::toggle(&mut total, &put(connection, &summary)?);
    }
    sum::set(connection, Table::TaskSummary, &total)
}

/// The summaries that `filter` names, the one that changed last first.
pub(crate) fn list(
    connection: &Connection,
    filter: &SummaryFilter,
) -> Result<Vec<TaskSummary>, Fault> {
    let found = rows(connection, filter)?.into_iter();
    let whole = |(summary, sum): (TaskSummary, Sum)| (summary.due() == sum).then_some(summary);
    found
        .map(|row| whole(row).ok_or_else(|| Fault::corrupt("a summary is not as it was written")))
        .collect()
}

/// Writes the row and returns its sum.
fn put(connection: &Connection, summary: &TaskSummary) -> Result<Sum, Fault> {
    let sum = summary.due();
    connection
        .prepare_cached(&format!(
            "INSERT OR REPLACE INTO task_summary ({COLUMNS})
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?
        .execute(params![
            summary.task.to_string(),
            summary.project.to_string(),
            summary.title,
            summary.state,
            summary.cost.map(|cost| to_sql(cost.as_micros())),
            summary.created.as_millis(),
            summary.updated.as_millis(),
            to_sql(summary.last_seq),
            summary.detail,
            sum,
        ])?;
    Ok(sum)
}

fn rows(connection: &Connection, filter: &SummaryFilter) -> Result<Vec<(TaskSummary, Sum)>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM task_summary
         WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR state = ?2)
         ORDER BY last_seq DESC, task"
    ))?;
    let project = filter.project.map(|project| project.to_string());
    let rows = statement
        .query_map(params![project, filter.state], decode)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<(TaskSummary, Sum)> {
    let cost: Option<i64> = row.get(4)?;
    let sum: Vec<u8> = row.get(9)?;
    let summary = TaskSummary {
        task: id(row, 0)?,
        project: id(row, 1)?,
        title: row.get(2)?,
        state: row.get(3)?,
        cost: cost
            .map(|micros| from_sql(4, micros))
            .transpose()?
            .map(Usd::from_micros),
        created: Timestamp::from_millis(row.get(5)?),
        updated: Timestamp::from_millis(row.get(6)?),
        last_seq: from_sql(7, row.get(7)?)?,
        detail: row.get(8)?,
    };
    // A sum of another length fits no content.
    Ok((summary, sum.try_into().unwrap_or_default()))
}

fn id<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
