//! One row per task, for lists: a projection of the log, written with the events it reflects.

use super::{from_sql, to_sql};
use crate::fault::Fault;
use nexus_core::{ProjectId, TaskId, Timestamp, Usd};
use rusqlite::{Connection, Row, params, types::Type};
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

/// Writes `summary` over the task's earlier one.
pub(crate) fn upsert(connection: &Connection, summary: &TaskSummary) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO task_summary
             (task, project, title, state, cost_micros, created, updated, last_seq, detail)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
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
        ])?;
    Ok(())
}

/// Forgets every summary.
pub(crate) fn clear(connection: &Connection) -> Result<(), Fault> {
    connection.execute("DELETE FROM task_summary", [])?;
    Ok(())
}

/// The summaries that `filter` names, the one that changed last first.
pub(crate) fn list(
    connection: &Connection,
    filter: &SummaryFilter,
) -> Result<Vec<TaskSummary>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT task, project, title, state, cost_micros, created, updated, last_seq, detail
         FROM task_summary
         WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR state = ?2)
         ORDER BY last_seq DESC, task",
    )?;
    let project = filter.project.map(|project| project.to_string());
    let summaries = statement
        .query_map(params![project, filter.state], decode)?
        .collect::<Result<_, _>>()?;
    Ok(summaries)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<TaskSummary> {
    let cost: Option<i64> = row.get(4)?;
    Ok(TaskSummary {
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
    })
}

fn id<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
