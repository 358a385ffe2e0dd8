//! The log: what happened, in order, never changed.
//!
//! Each event's hash covers the hash before it, so that a changed, missing or swapped event is
//! noticed by whoever reads on from there. Every read checks the links it passes.

use super::{from_sql, to_sql};
use crate::fault::Fault;
use nexus_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use sha2::{Digest, Sha256};

/// Version 1 of the table.
pub(crate) const CREATE: &str = "
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        stream TEXT NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX event_by_stream ON event(stream, seq);
    CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;
    CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;
    CREATE TRIGGER event_comes_next BEFORE INSERT ON event
        WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM event)
        BEGIN SELECT RAISE(ABORT, 'the event log has no gaps'); END;
";

/// A fact to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// What it is about: events of one stream can be read by themselves.
    pub stream: &'a str,
    pub kind: &'a str,
    pub at: Timestamp,
    /// JSON, which the store keeps byte for byte.
    pub body: String,
}

/// A recorded fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Counted from 1 over the whole log, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    pub stream: String,
    pub kind: String,
    pub body: String,
}

/// The end of the log: the last event's number and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) hash: [u8; 32],
}

impl Head {
    /// The end of a log without events.
    pub(crate) const EMPTY: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// The end after `event` is added.
    pub(crate) fn after(&self, event: &NewEvent<'_>) -> Self {
        self.then(event.at, event.stream, event.kind, &event.body)
    }

    fn then(&self, at: Timestamp, stream: &str, kind: &str, body: &str) -> Self {
        let seq = self.seq + 1;
        let mut hasher = Sha256::new()
            .chain_update(b"nexus event v1\0")
            .chain_update(self.hash)
            .chain_update(seq.to_le_bytes())
            .chain_update(at.as_millis().to_le_bytes());
        for text in [stream, kind, body] {
            // With its length first, text cannot move from one field into the next unnoticed.
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        Self {
            seq,
            hash: hasher.finalize().into(),
        }
    }
}

/// Adds `event` behind `head` and returns the new end.
pub(crate) fn insert(
    connection: &Connection,
    head: &Head,
    event: &NewEvent<'_>,
) -> Result<Head, Fault> {
    let next = head.after(event);
    connection
        .prepare_cached(
            "INSERT INTO event (seq, at, stream, kind, body, hash) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            to_sql(next.seq),
            event.at.as_millis(),
            event.stream,
            event.kind,
            event.body,
            next.hash
        ])?;
    Ok(next)
}

/// The end of the log as it is stored.
pub(crate) fn head(connection: &Connection) -> Result<Head, Fault> {
    let last = connection
        .prepare_cached("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(Head {
                seq: from_sql(0, row.get(0)?)?,
                hash: row.get(1)?,
            })
        })
        .optional()?;
    Ok(last.unwrap_or(Head::EMPTY))
}

/// The log up to and with event `seq`, if it is there.
pub(crate) fn head_at(connection: &Connection, seq: u64) -> Result<Option<Head>, Fault> {
    if seq == 0 {
        return Ok(Some(Head::EMPTY));
    }
    let hash = connection
        .prepare_cached("SELECT hash FROM event WHERE seq = ?")?
        .query_row([to_sql(seq)], |row| row.get(0))
        .optional()?;
    Ok(hash.map(|hash| Head { seq, hash }))
}

/// Hands `each` the events after `after`, at most `limit`, and returns the end it came to.
pub(crate) fn for_each(
    connection: &Connection,
    after: u64,
    limit: usize,
    mut each: impl FnMut(StoredEvent),
) -> Result<Head, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, stream, kind, body, hash FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query(params![to_sql(after), limit])?;
    let Some(head) = head_at(connection, after)? else {
        return nothing_after(rows, after);
    };
    follow(rows, head, &mut each)
}

/// Hands `each` the events that follow `head`, as far as they are readable and linked to it;
/// what ends that before the last one is the error.
pub(crate) fn for_each_linked(
    connection: &Connection,
    head: &Head,
    mut each: impl FnMut(StoredEvent),
) -> Result<Head, Fault> {
    let mut statement = connection.prepare(
        "SELECT seq, at, stream, kind, body, hash FROM event WHERE seq > ? ORDER BY seq",
    )?;
    follow(
        statement.query([to_sql(head.seq)])?,
        head.clone(),
        &mut each,
    )
}

/// Past the end of the log there is nothing to read; anywhere else an absent event is a loss.
fn nothing_after(mut rows: Rows<'_>, after: u64) -> Result<Head, Fault> {
    match rows.next()? {
        Some(_) => Err(Fault::event(after, "an event is missing")),
        None => Ok(Head {
            seq: after,
            ..Head::EMPTY
        }),
    }
}

fn follow(
    mut rows: Rows<'_>,
    mut head: Head,
    each: &mut impl FnMut(StoredEvent),
) -> Result<Head, Fault> {
    while let Some(row) = rows.next()? {
        let expected = head.seq + 1;
        let (event, hash) = decode(row)
            .map_err(|error| Fault::event(expected, &format!("an event is unreadable: {error}")))?;
        if event.seq != expected {
            return Err(Fault::event(expected, "an event is missing"));
        }
        head = linked(&head, &event, hash)?;
        each(event);
    }
    Ok(head)
}

/// The events of `stream`, in order.
pub(crate) fn of_stream(connection: &Connection, stream: &str) -> Result<Vec<StoredEvent>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, stream, kind, body, hash FROM event WHERE stream = ? ORDER BY seq",
    )?;
    let mut rows = statement.query([stream])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let (event, hash) = decode(row)?;
        let before = event.seq.saturating_sub(1);
        let Some(head) = head_at(connection, before)? else {
            return Err(Fault::event(before, "an event is missing"));
        };
        linked(&head, &event, hash)?;
        events.push(event);
    }
    Ok(events)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<(StoredEvent, [u8; 32])> {
    let event = StoredEvent {
        seq: from_sql(0, row.get(0)?)?,
        at: Timestamp::from_millis(row.get(1)?),
        stream: row.get(2)?,
        kind: row.get(3)?,
        body: row.get(4)?,
    };
    Ok((event, row.get(5)?))
}

/// The end after `event`, if `hash` is the one it must have there.
fn linked(head: &Head, event: &StoredEvent, hash: [u8; 32]) -> Result<Head, Fault> {
    let next = head.then(event.at, &event.stream, &event.kind, &event.body);
    if next.hash != hash {
        return Err(Fault::event(
            event.seq,
            "an event is not as it was written, or not in its place",
        ));
    }
    Ok(next)
}
