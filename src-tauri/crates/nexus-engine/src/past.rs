//! The past of a data folder: reading the log, replaying it, and showing it.

use crate::{
    Change, EngineError, ErrorKind,
    dispatcher::{FLOOR_STREAM, now, summary},
};
use nexus_agent::AGENT_TAG;
use nexus_core::{Desk, Event, Fact, TaskId, Timestamp, TurnId, TurnUpdate};
use nexus_process::{Leftover, ProcessIdentity, Tag, kill_tagged};
use nexus_store::{Reader, Store, StoreError, StoredEvent, Transcripts};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where the past is read from.
#[derive(Clone, Debug)]
pub(crate) enum Log {
    Ours(Arc<Mutex<Store>>),
    /// Nobody runs this data folder's engine; look, but record nothing.
    Theirs(Arc<Mutex<Reader>>),
    /// There is no store yet.
    Empty,
}

impl Log {
    pub(crate) fn read(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        match self {
            Self::Ours(store) => lock(store).read(after, limit),
            Self::Theirs(reader) => lock(reader).read(after, limit),
            Self::Empty => Ok(Vec::new()),
        }
    }

    pub(crate) fn read_stream(&self, stream: &str) -> Result<Vec<StoredEvent>, StoreError> {
        match self {
            Self::Ours(store) => lock(store).read_stream(stream),
            Self::Theirs(reader) => lock(reader).read_stream(stream),
            Self::Empty => Ok(Vec::new()),
        }
    }
}

/// A task's past: its facts, and what its turns showed.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Oldest first.
    pub entries: Vec<TimelineEntry>,
}

/// One line of the past.
#[derive(Clone, Debug)]
pub enum TimelineEntry {
    Fact {
        seq: u64,
        at: Timestamp,
        event: Box<Event>,
    },
    Shown {
        turn: TurnId,
        line: u64,
        at: Timestamp,
        update: TurnUpdate,
    },
}

impl TimelineEntry {
    /// When it was.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Fact { at, .. } | Self::Shown { at, .. } => *at,
        }
    }
}

/// How many lines of a turn's transcript a timeline shows; the rest is paged on demand.
const TURN_LINES: usize = 400;

fn lock<T>(store: &Mutex<T>) -> MutexGuard<'_, T> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the ledger remembers processes that have ended.
const LEDGER_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many events are read at once.
pub(crate) const PAGE: usize = 1000;

pub(crate) fn read_after(log: &Log, since: u64) -> Result<Vec<StoredEvent>, EngineError> {
    let mut events = Vec::new();
    let mut after = since;
    loop {
        // The lock is let go between pages, so that recording never waits for a reader.
        let page = log.read(after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(events);
        };
        after = last.seq;
        events.extend(page);
    }
}

pub(crate) fn change_of(desk: &Desk, stored: StoredEvent) -> Option<Change> {
    if stored.stream == FLOOR_STREAM {
        return Some(Change::Floor {
            seq: stored.seq,
            floor: Arc::clone(&desk.floor),
        });
    }
    let task = desk.tasks.get(&stored.stream.parse().ok()?)?;
    Some(Change::Fact {
        seq: stored.seq,
        at: stored.at,
        task: Arc::clone(task),
        event: Arc::new(serde_json::from_str(&stored.body).ok()?),
    })
}

/// Makes sure that what an earlier run started is gone, and closes its ledger rows.
///
/// The guards have seen to it already when that run was killed; this is for a machine on which
/// a guard was killed as well.
///
/// A process that withstands being killed keeps its row: the doctor and the next start look
/// for it again.
pub(crate) fn clear_leftovers(store: &mut Store) -> Result<(), EngineError> {
    let this_boot = nexus_process::boot_id().unwrap_or_default();
    for row in store.ledger_open()? {
        let root = ProcessIdentity {
            pid: row.pid,
            start_ticks: row.start_ticks,
        };
        let gone = row.boot_id != this_boot || is_swept(&[root], &row.tag, &row.what);
        if gone {
            store.ledger_ended(row.id, now())?;
        }
    }
    store.ledger_prune(now().before(LEDGER_KEPT))?;
    Ok(())
}

/// Kills what is left of a process and whatever carries its tag; `false` when some survives.
fn is_swept(roots: &[ProcessIdentity], tag: &str, what: &str) -> bool {
    let tag = Tag {
        name: AGENT_TAG.into(),
        value: tag.into(),
    };
    match kill_tagged(roots, &tag) {
        Leftover::NothingThere => true,
        Leftover::Killed { processes } => {
            tracing::warn!(what, processes, "an earlier run had left a process");
            true
        }
        Leftover::Survived { processes } => {
            tracing::error!(
                what,
                ?processes,
                "a process of an earlier run cannot be killed"
            );
            false
        }
    }
}

/// Makes what is kept beside the log agree with it again, where a damage or a power loss left
/// a doubt: the summaries from the tasks, and the ledger by looking for every session.
pub(crate) fn settle_doubts(store: &mut Store, desk: &Desk) -> Result<(), EngineError> {
    let doubts = store.doubts();
    if doubts.summaries {
        let all: Vec<_> = desk
            .tasks
            .values()
            .map(|task| summary(task, desk.seq))
            .collect();
        store.replace_summaries(&all)?;
    }
    if doubts.ledger {
        let sessions = desk.tasks.values().flat_map(|task| task.sessions.values());
        // All of them are looked for, whatever became of the first.
        let swept: Vec<bool> = sessions
            .map(|session| is_swept(&[], &session.id.to_string(), "a session"))
            .collect();
        if swept.iter().all(|gone| *gone) {
            store.ledger_trusted()?;
        }
    }
    Ok(())
}

pub(crate) fn replay(
    parallel_tasks: usize,
    log: impl FnOnce(&mut dyn FnMut(StoredEvent)) -> Result<(), StoreError>,
) -> Result<Desk, EngineError> {
    let mut desk = Desk::new(parallel_tasks);
    let mut unreadable = None;
    log(&mut |stored| match fact_of(&stored) {
        Some(fact) => desk.apply(fact),
        None => {
            unreadable.get_or_insert((stored.seq, stored.kind));
        }
    })?;
    match unreadable {
        None => Ok(desk),
        Some((seq, kind)) => Err(EngineError::new(
            ErrorKind::DataFolder,
            format!(
                "failed to understand event {seq} (`{kind}`) of the log: a newer NEXUS may have written it; start that version"
            ),
        )),
    }
}

fn fact_of(stored: &StoredEvent) -> Option<Fact> {
    let at = stored.at;
    if stored.stream == FLOOR_STREAM {
        let event = serde_json::from_str(&stored.body).ok()?;
        return Some(Fact::OfFloor { at, event });
    }
    let id = stored.stream.parse().ok()?;
    let event = serde_json::from_str(&stored.body).ok()?;
    Some(Fact::OfTask { id, at, event })
}

pub(crate) fn entries(
    task: TaskId,
    stored: Vec<StoredEvent>,
    transcripts: &Transcripts,
) -> Result<Vec<TimelineEntry>, EngineError> {
    let mut entries = Vec::new();
    for stored in stored {
        let Ok(event) = serde_json::from_str::<Event>(&stored.body) else {
            continue;
        };
        if let Event::StepStarted { turn, .. } = &event {
            for kept in transcripts.tail(task, *turn, TURN_LINES)?.lines {
                entries.push(TimelineEntry::Shown {
                    turn: *turn,
                    line: kept.number,
                    at: kept.line.at,
                    update: kept.line.update,
                });
            }
        }
        entries.push(TimelineEntry::Fact {
            seq: stored.seq,
            at: stored.at,
            event: Box::new(event),
        });
    }
    // Stable: facts of the same moment keep the order of the log.
    entries.sort_by_key(TimelineEntry::at);
    Ok(entries)
}
