//! Processes of agents, and the ledger of them.

use super::{DifferenceCode as Code, Look, store::Record, why};
use crate::dispatcher::now;
use nexus_agent::AGENT_TAG;
use nexus_process::{
    Leftover, ProcessIdentity, Tag, boot_id, find_all_tagged, is_alive, kill_tagged,
};
use nexus_store::{LedgerRow, Store, StoreKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

/// Living processes of one session.
struct Left<'a> {
    session: String,
    processes: BTreeSet<ProcessIdentity>,
    rows: Vec<&'a LedgerRow>,
}

impl Look<'_> {
    /// Processes and rows of the ledger that are left although nobody is at work.
    pub(super) fn at_processes(&mut self, record: &Record) {
        let root = self.data.root().to_owned();
        let (left, stale) = sort(record);
        for left in left {
            let numbers: Vec<_> = left.processes.iter().map(|it| it.pid.to_string()).collect();
            let row = left.rows.first();
            let role = row.map_or("an agent of this data folder", |row| row.what.as_str());
            let found = format!("{role} runs as process {}", numbers.join(", "));
            let what = format!("session {}", left.session);
            let fix = "ends them with everything they started";
            self.mend(Code::ProcessLeft, what, found, fix, || end(&root, &left));
        }
        for row in stale {
            let found = format!("{}, started {}, is gone", row.what, row.started_at);
            let fix = "notes its end";
            let what = format!("process {}", row.pid);
            self.mend(Code::LedgerRowStale, what, found, fix, || {
                close(&root, &[row])
            });
        }
        if record.doubts.ledger {
            let found = "its sums do not agree with it";
            let fix = "forgets the damaged rows, after leftovers were looked for by their tag";
            let what = root.join(Store::FILE).display().to_string();
            self.mend(Code::LedgerDoubtful, what, found, fix, || {
                let mut store = Store::open(&root, StoreKey::Plain).map_err(why)?;
                store.ledger_trusted().map_err(why)
            });
        }
    }
}

/// What lives, by session, and the rows of what does not.
fn sort(record: &Record) -> (Vec<Left<'_>>, Vec<&LedgerRow>) {
    let ours = sessions(record);
    let mut left: BTreeMap<String, Left<'_>> = BTreeMap::new();
    let empty = |session: &str| Left {
        session: session.to_owned(),
        processes: BTreeSet::new(),
        rows: Vec::new(),
    };
    for (process, tag) in find_all_tagged(AGENT_TAG.as_ref()) {
        // Another data folder's agents carry other sessions.
        let Some(session) = tag.to_str().filter(|tag| ours.contains(*tag)) else {
            continue;
        };
        let of_session = left
            .entry(session.to_owned())
            .or_insert_with(|| empty(session));
        of_session.processes.insert(process);
    }
    let this_boot = boot_id();
    let mut stale = Vec::new();
    for row in &record.ledger {
        let root = ProcessIdentity {
            pid: row.pid,
            start_ticks: row.start_ticks,
        };
        let lives = Some(&row.boot_id) == this_boot.as_ref() && is_alive(root);
        if lives {
            let of_session = left
                .entry(row.tag.clone())
                .or_insert_with(|| empty(&row.tag));
            of_session.processes.insert(root);
        }
        match left.get_mut(&row.tag) {
            Some(of_session) => of_session.rows.push(row),
            None => stale.push(row),
        }
    }
    (left.into_values().collect(), stale)
}

/// Every session that was ever one of this data folder's.
fn sessions(record: &Record) -> BTreeSet<String> {
    let ledger = record.ledger.iter().map(|row| row.tag.clone());
    let tasks = record.desk.tasks.values().flat_map(|task| {
        task.sessions.iter().flat_map(move |(seat, session)| {
            (0..=session.generation).map(move |generation| task.id.session(*seat, generation))
        })
    });
    ledger.chain(tasks.map(|id| id.to_string())).collect()
}

/// Ends what is left, and notes that it is gone once it is.
fn end(root: &Path, left: &Left<'_>) -> Result<(), String> {
    let tag = Tag {
        name: AGENT_TAG.into(),
        value: OsString::from(&left.session),
    };
    let roots: Vec<_> = left.processes.iter().copied().collect();
    match kill_tagged(&roots, &tag) {
        Leftover::NothingThere | Leftover::Killed { .. } => close(root, &left.rows),
        Leftover::Survived { processes } => {
            let numbers: Vec<_> = processes.iter().map(|it| it.pid.to_string()).collect();
            Err(format!("process {} cannot be ended", numbers.join(", ")))
        }
    }
}

fn close(root: &Path, rows: &[&LedgerRow]) -> Result<(), String> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut store = Store::open(root, StoreKey::Plain).map_err(why)?;
    let mut ended = rows.iter();
    ended.try_for_each(|row| store.ledger_ended(row.id, now()).map_err(why))
}
