//! The store and its backups, and what the log says of every task.

use super::{DifferenceCode as Code, Look, why};
use crate::{
    dispatcher::{now, summary},
    past::replay,
};
use nexus_core::{Desk, Event, Role, SnapshotId, StepId, TaskId, Timestamp, TurnId, Writes};
use nexus_store::{
    Backup, Doubts, LedgerRow, NewEvent, Reader, Store, StoreError, StoreKey, StoredEvent,
    TaskSummary, Trouble, backups, restore,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// How far the newest backup may be behind.
const BACKUP_LAG: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long there may be none.
const FIRST_BACKUP: Duration = Duration::from_secs(24 * 60 * 60);

/// What the log says.
pub(super) struct Record {
    pub(super) desk: Desk,
    pub(super) contents: BTreeMap<TaskId, Content>,
    /// Processes that are not known to be gone.
    pub(super) ledger: Vec<LedgerRow>,
    pub(super) doubts: Doubts,
}

/// The last content of a task's workspace that is on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Names a tree or a snapshot.
    pub(super) id: Option<SnapshotId>,
    pub(super) at: Option<Timestamp>,
    /// An agent that may change the workspace has been at work since.
    pub(super) worked_since: bool,
    last_seq: u64,
    writers: BTreeMap<StepId, bool>,
    writing: BTreeMap<TurnId, bool>,
    /// Turns that worked in a copy of their own.
    in_lanes: BTreeSet<TurnId>,
}

impl Look<'_> {
    /// Looks at the store; `None` when it cannot be read, or there is none.
    pub(super) fn at_store(&mut self) -> Option<Record> {
        let reader = match self.open_and_verify() {
            Ok(reader) => reader,
            Err(error) => self.at_trouble(&error)?,
        };
        let record = match read(&reader) {
            Ok(record) => record,
            Err(error) => {
                self.tell(Code::StoreNewer, self.file(), error);
                return None;
            }
        };
        self.at_backups(&reader);
        self.at_doubts(&record);
        Some(record)
    }

    fn open_and_verify(&self) -> Result<Reader, StoreError> {
        let reader = Reader::open(self.data.root(), StoreKey::Plain)?;
        reader.verify()?;
        Ok(reader)
    }

    fn file(&self) -> String {
        let file = self.data.root().join(Store::FILE);
        file.display().to_string()
    }

    /// Names what is wrong with the store, and mends it. The store as it is then, if it can be
    /// read.
    fn at_trouble(&mut self, error: &StoreError) -> Option<Reader> {
        let file = self.file();
        match error.trouble() {
            Trouble::Corrupt | Trouble::NotAStore => {
                self.put_backup_back(Code::StoreCorrupt, error);
            }
            Trouble::Absent if self.had_store() => {
                self.put_backup_back(Code::StoreMissing, &"it is not there");
            }
            Trouble::Absent => return None,
            Trouble::Newer => self.tell(Code::StoreNewer, file, error),
            Trouble::Older => {
                self.open_once(Code::StoreOlder, error, "brings it up to date");
            }
            Trouble::HalfRestored => {
                self.open_once(Code::StoreHalfRestored, error, "finishes that");
            }
            Trouble::DiskFull
            | Trouble::ReadOnly
            | Trouble::Io
            | Trouble::Vanished
            | Trouble::OtherWriter
            | Trouble::Busy
            | Trouble::Folder
            | Trouble::OldSqlite
            | Trouble::Unexpected => self.tell(Code::StoreUnusable, file, error),
        }
        self.open_and_verify().ok()
    }

    /// Has anything ever been recorded here?
    fn had_store(&self) -> bool {
        let left = ["nexus.head", "nexus.db-wal", "backups", "tasks"];
        left.iter().any(|name| self.data.root().join(name).exists())
    }

    fn put_backup_back(&mut self, code: Code, found: &dyn std::fmt::Display) {
        let (root, file) = (self.data.root().to_owned(), self.file());
        match backups(&root) {
            Ok(known) if !known.is_empty() => {
                let fix = format!(
                    "puts the backup of {} in its place, with what can still be read added, and keeps what is there in set-aside",
                    known[0].made_at
                );
                self.mend(code, file, found, fix, || put_back(&root, &known));
            }
            Ok(_) => self.tell(code, file, format!("{found}; there is no backup")),
            Err(error) => {
                let found = format!("{found}; the backups cannot be read: failed to {error}");
                self.tell(code, file, found);
            }
        }
    }

    /// What opening the store for writing mends by itself.
    fn open_once(&mut self, code: Code, found: &StoreError, fix: &str) {
        let root = self.data.root().to_owned();
        self.mend(code, self.file(), found, fix, || {
            Store::open(&root, StoreKey::Plain).map(drop).map_err(why)
        });
    }

    fn at_backups(&mut self, reader: &Reader) {
        let root = self.data.root().to_owned();
        let (Ok(first), Ok(last)) = (reader.read(0, 1), reader.last_seq()) else {
            return;
        };
        let newest = last.checked_sub(1).map(|after| reader.read(after, 1));
        let Some(Ok(newest)) = newest else { return };
        let (Some(first), Some(newest)) = (first.first(), newest.first()) else {
            return;
        };
        let fix = "makes one and reads it back";
        let made = || reader.back_up().map(drop).map_err(why);
        match backups(&root).unwrap_or_default().first() {
            None if now().since(first.at) > FIRST_BACKUP => {
                let found = format!("none, and {} events are recorded", newest.seq);
                let place = root.join("backups");
                self.mend(Code::BackupMissing, place.display(), found, fix, made);
            }
            Some(backup) if newest.at.since(backup.made_at) > BACKUP_LAG => {
                let found = format!(
                    "made {}, and events until {} are recorded",
                    backup.made_at, newest.at
                );
                let place = backup.path.display().to_string();
                self.mend(Code::BackupStale, place, found, fix, made);
            }
            None | Some(_) => {}
        }
    }

    fn at_doubts(&mut self, record: &Record) {
        if !record.doubts.summaries {
            return;
        }
        let root = self.data.root().to_owned();
        let summaries = record.summaries();
        let found = "their sums do not agree with them";
        let fix = "makes them anew from the log";
        self.mend(Code::SummariesDoubtful, self.file(), found, fix, || {
            let mut store = Store::open(&root, StoreKey::Plain).map_err(why)?;
            store.replace_summaries(&summaries).map_err(why)
        });
    }
}

/// The newest of the backups that is whole takes the place of the store.
fn put_back(root: &Path, known: &[Backup]) -> Result<(), String> {
    let mut troubles = Vec::new();
    for backup in known {
        match restore(root, backup) {
            Ok(_) => return Ok(()),
            Err(error) => troubles.push(format!("failed to {error}")),
        }
    }
    Err(troubles.join("; "))
}

fn read(reader: &Reader) -> Result<Record, String> {
    let mut contents: BTreeMap<TaskId, Content> = BTreeMap::new();
    let desk = replay(1, |each| {
        reader.for_each(0, |stored| {
            if let Ok(id) = stored.stream.parse() {
                contents.entry(id).or_default().see(&stored);
            }
            each(stored);
        })
    });
    Ok(Record {
        desk: desk.map_err(why)?,
        contents,
        ledger: reader.ledger_open().map_err(why)?,
        doubts: reader.doubts(),
    })
}

impl Record {
    fn summaries(&self) -> Vec<TaskSummary> {
        let tasks = self.desk.tasks.values();
        tasks
            .map(|task| {
                let seen = self.contents.get(&task.id);
                summary(task, seen.map_or(self.desk.seq, |seen| seen.last_seq))
            })
            .collect()
    }
}

impl Content {
    fn see(&mut self, stored: &StoredEvent) {
        self.last_seq = stored.seq;
        // Most events say nothing of this, and some are large.
        let speaks = [
            "plan_made",
            "plan_revised",
            "merge_planned",
            "workspace_prepared",
            "checks_ran",
            "step_started",
            "base_taken",
            "turn_streaming",
            "workspace_reset",
            "work_kept",
            "workspace_dropped",
        ];
        if !speaks.contains(&stored.kind.as_str()) {
            return;
        }
        if let Ok(event) = serde_json::from_str(&stored.body) {
            self.take(&event, stored.at);
        }
    }

    pub(super) fn take(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::PlanMade { plan } | Event::PlanRevised { plan, .. } => {
                let writes = |role: Role| role.writes() == Writes::Workspace;
                let steps = plan.steps().iter();
                self.writers = steps.map(|step| (step.id, writes(step.role))).collect();
            }
            // A lane is no part of the copy until it is merged.
            Event::StepStarted { turn, seat, .. } if *seat > 0 => {
                self.in_lanes.insert(*turn);
            }
            Event::StepStarted { step, turn, .. } => {
                let writes = self.writers.get(step) == Some(&true);
                self.writing.insert(*turn, writes);
                self.worked_since |= writes;
            }
            // A base is taken after the step has started, and before its agent is asked.
            Event::TurnStreaming { turn } => {
                self.worked_since |= self.writing.get(turn) == Some(&true);
            }
            Event::WorkspacePrepared { workspace } => self.is(Some(workspace.base.clone()), at),
            Event::ChecksRan { run, .. } => self.is(SnapshotId::parse(run.tree.as_str()), at),
            Event::BaseTaken { turn, .. }
            | Event::WorkspaceReset { turn, .. }
            | Event::WorkKept { turn, .. }
                if self.in_lanes.contains(turn) => {}
            Event::BaseTaken { base, .. } => self.is(Some(base.clone()), at),
            Event::WorkspaceReset { to, .. } => self.is(Some(to.clone()), at),
            Event::WorkKept { snapshot, .. } => self.is(Some(snapshot.clone()), at),
            Event::WorkspaceDropped { kept: Some(kept) } => self.is(Some(kept.clone()), at),
            // It is written to the copy next, and again if that was cut short.
            Event::MergePlanned {
                tree, mended_by, ..
            } => {
                let mending = mended_by.iter().map(|step| (step.id, true));
                self.writers.extend(mending);
                self.is(SnapshotId::parse(tree.as_str()), at);
            }
            Event::TaskCreated { .. }
            | Event::TaskQueued
            | Event::TaskStarted
            | Event::PlannerFailed { .. }
            | Event::PrimeAsked { .. }
            | Event::FileTouched { .. }
            | Event::WorkAudited { .. }
            | Event::TurnCalledOff { .. }
            | Event::MessagesRead { .. }
            | Event::StepHandedIn { .. }
            | Event::Decided { .. }
            | Event::Merged { .. }
            | Event::SetupRan { .. }
            | Event::ProcessStarting { .. }
            | Event::ProcessStarted { .. }
            | Event::ProcessEnded { .. }
            | Event::WentOutward { .. }
            | Event::MessagePosted { .. }
            | Event::ProgressReported { .. }
            | Event::AttemptVerified { .. }
            | Event::ResultSubmitted { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalAnswered { .. }
            | Event::ApprovalDetached { .. }
            | Event::ApprovalReattached { .. }
            | Event::GrantRevoked { .. }
            | Event::ApprovalWithdrawn { .. }
            | Event::TurnEnded { .. }
            | Event::StepEnded { .. }
            | Event::StepDelayed { .. }
            | Event::SessionReplaced { .. }
            | Event::Held { .. }
            | Event::HoldLifted
            | Event::RoundBegan { .. }
            | Event::ReviewReached { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed
            | Event::CancelRequested
            | Event::TaskFailed { .. }
            | Event::BudgetChanged { .. }
            | Event::LimitsChanged { .. }
            | Event::PriorityChanged { .. }
            | Event::ContextShared { .. }
            | Event::Unchained
            | Event::AcceptBegan { .. }
            | Event::AcceptPlanned { .. }
            | Event::AcceptConflicted { .. }
            | Event::AcceptFailed { .. }
            | Event::Accepted
            | Event::Discarded
            | Event::WorkspaceDropped { kept: None }
            | Event::Restored
            | Event::WorkspaceRestored { .. } => {}
        }
    }

    fn is(&mut self, id: Option<SnapshotId>, at: Timestamp) {
        self.id = id;
        self.at = Some(at);
        self.worked_since = false;
    }
}

/// Records a fact about a task while no engine runs.
pub(super) fn record(
    root: &Path,
    record: &Record,
    id: TaskId,
    event: &Event,
) -> Result<(), String> {
    let mut task = match record.desk.tasks.get(&id) {
        Some(task) => task.as_ref().clone(),
        None => return Err(format!("there is no task {id}")),
    };
    let (at, stream) = (now(), id.to_string());
    task.apply(event, at);
    let mut store = Store::open(root, StoreKey::Plain).map_err(why)?;
    let new = NewEvent {
        stream: &stream,
        kind: event.kind(),
        at,
        body: serde_json::to_string(event).map_err(why)?,
    };
    let seq = store.last_seq().map_err(why)? + 1;
    let recorded = store.append(&[new], &[summary(&task, seq)]);
    recorded.map(drop).map_err(why)
}
