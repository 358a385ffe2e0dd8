//! Damage anywhere in the files is noticed, or it changed nothing that is read; and a backup is
//! always a way on.

use crate::{Numbers, all, append, event, nightly, open, summary};
use nexus_core::Timestamp;
use nexus_store::{
    Doubts, LedgerRow, NewProcess, Store, StoreError, StoredEvent, SummaryFilter, TaskSummary,
    backups, restore,
};
use rusqlite::{Connection, types::Value};
use std::{fs, panic, path::Path};

const DATABASE: &str = "nexus.db";
const WAL: &str = "nexus.db-wal";
const NOTE: &str = "nexus.head";
const PAGE: usize = 4096;

/// A store's files as they lie on the disk; what is `None` was removed.
#[derive(Clone)]
struct Files(Vec<(&'static str, Option<Vec<u8>>)>);

impl Files {
    fn of(dir: &Path, names: &[&'static str]) -> Self {
        let read = |name: &&'static str| (*name, Some(fs::read(dir.join(name)).unwrap()));
        Self(names.iter().map(read).collect())
    }

    fn write(&self, dir: &Path) {
        for (name, bytes) in &self.0 {
            if let Some(bytes) = bytes {
                fs::write(dir.join(name), bytes).unwrap();
            }
        }
    }

    fn get(&self, name: &str) -> &[u8] {
        let found = self.0.iter().find(|(it, _)| *it == name);
        found.and_then(|(_, bytes)| bytes.as_deref()).unwrap_or(&[])
    }
}

/// Everything a store says.
#[derive(Debug, PartialEq)]
struct Said {
    events: Vec<StoredEvent>,
    summaries: Vec<TaskSummary>,
    ledger: Vec<LedgerRow>,
}

fn said(store: &Store) -> Result<Said, StoreError> {
    Ok(Said {
        events: store.read(0, usize::MAX)?,
        summaries: store.summaries(&SummaryFilter::default())?,
        ledger: store.ledger_open()?,
    })
}

/// What the tests damage.
struct Originals {
    said: Said,
    rows: Vec<Vec<Value>>,
    /// The store was closed, and everything is in the database.
    closed: Files,
    /// It was killed, and half of it is in the write-ahead log.
    killed: Files,
    /// An earlier state of the killed one.
    earlier: Files,
    /// Another store of the same size.
    foreign: Files,
    /// The backups of its folder, made at event 45.
    backups: tempfile::TempDir,
}

fn fill(store: &mut Store, from: u64, to: u64, word: &str) {
    for n in from..=to {
        let mut event = event(n);
        event.body = format!("{{\"text\":\"{}\"}}", word.repeat(n as usize * 7));
        store.append(&[event], &[summary(n.into())]).unwrap();
        let id = store.ledger_started(&process(n as u32)).unwrap();
        if !n.is_multiple_of(3) {
            store.ledger_ended(id, Timestamp::from_millis(9)).unwrap();
        }
    }
}

fn process(pid: u32) -> NewProcess<'static> {
    NewProcess {
        pid,
        start_ticks: 77,
        boot_id: "boot",
        tag: "tag",
        what: "agent code",
        started_at: Timestamp::from_millis(5),
    }
}

fn originals() -> Originals {
    let all_names = [DATABASE, WAL, NOTE];
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), 30);
    let mut store = open(dir.path()).unwrap();
    fill(&mut store, 31, 45, "word ");
    let backups = tempfile::tempdir().unwrap();
    let backup = store.back_up().unwrap().path;
    fs::copy(&backup, backups.path().join(backup.file_name().unwrap())).unwrap();
    let earlier = Files::of(dir.path(), &all_names);
    fill(&mut store, 46, 60, "word ");
    let said = said(&store).unwrap();
    assert!(!store.doubts().any());
    let killed = Files::of(dir.path(), &all_names);
    drop(store);
    let closed = Files::of(dir.path(), &[DATABASE, NOTE]);
    let rows = rows(&closed).unwrap();

    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), 30);
    let mut store = open(dir.path()).unwrap();
    fill(&mut store, 31, 60, "else ");
    let foreign = Files::of(dir.path(), &all_names);
    Originals {
        said,
        rows,
        closed,
        killed,
        earlier,
        foreign,
        backups,
    }
}

/// The content of the tables, read by SQLite alone and without any of our checks: the judge of
/// whether damage changed the meaning.
fn rows(files: &Files) -> rusqlite::Result<Vec<Vec<Value>>> {
    let dir = tempfile::tempdir().unwrap();
    files.write(dir.path());
    let connection = Connection::open(dir.path().join(DATABASE))?;
    let mut found = Vec::new();
    for sql in [
        "SELECT seq, at, stream, kind, body FROM event ORDER BY seq",
        "SELECT seq FROM event WHERE stream = 'odd' ORDER BY seq",
        "SELECT task, project, title, state, cost_micros, created, updated, last_seq, detail
         FROM task_summary ORDER BY task",
        "SELECT task FROM task_summary ORDER BY last_seq DESC, task",
        "SELECT id, pid, start_ticks, boot_id, tag, what, started_at, ended_at
         FROM process ORDER BY id",
        "SELECT id FROM process WHERE ended_at IS NULL ORDER BY id",
    ] {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect())?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// Changes `bytes` in one of the ways a disk, a file system or a program does.
fn damage(bytes: &mut Vec<u8>, foreign: &[u8], numbers: &mut Numbers) -> &'static str {
    let at = numbers.below(bytes.len());
    let page = at / PAGE * PAGE;
    let page_end = (page + PAGE).min(bytes.len());
    match numbers.below(10) {
        0..=2 => {
            bytes[at] ^= 1 << numbers.below(8);
            "a flipped bit"
        }
        3 => {
            let end = (at + 1 + numbers.below(64)).min(bytes.len());
            bytes[at..end].fill_with(|| numbers.next().to_le_bytes()[0]);
            "noise"
        }
        4 => {
            bytes.truncate(at);
            "a cut at any byte"
        }
        5 => {
            bytes.truncate(page);
            "a cut at a page"
        }
        6 => {
            bytes[page..page_end].fill(0);
            "an empty page"
        }
        7 => {
            let other = numbers.below(bytes.len()) / PAGE * PAGE;
            let length = (page_end - page).min(bytes.len() - other);
            let (first, second) = (page.min(other), page.max(other));
            if first + length <= second {
                let (left, right) = bytes.split_at_mut(second);
                left[first..first + length].swap_with_slice(&mut right[..length]);
            }
            "two swapped pages"
        }
        8 => {
            let other = numbers.below(bytes.len()) / PAGE * PAGE;
            let length = (page_end - page).min(bytes.len() - other);
            bytes.copy_within(other..other + length, page);
            "a page over another"
        }
        _ => {
            let end = page_end.min(foreign.len());
            if page < end {
                bytes[page..end].copy_from_slice(&foreign[page..end]);
            }
            "a page of another store"
        }
    }
}

/// Damages one of `files` and says what was done.
fn mutate(files: &mut Files, originals: &Originals, numbers: &mut Numbers) -> String {
    // The note is small and its damage harmless, so the others have most of the turns.
    let large = files.0.len() - 1;
    let which = match numbers.below(12) {
        0 => large,
        turn => turn % large,
    };
    let (name, content) = &mut files.0[which];
    let how = match numbers.below(12) {
        0 => {
            *content = None;
            "gone"
        }
        1 => {
            *content = Some(originals.foreign.get(name).to_vec());
            "that of another store"
        }
        2 => {
            *content = Some(originals.earlier.get(name).to_vec());
            "that of earlier"
        }
        _ => {
            let bytes = content.as_mut().unwrap();
            damage(bytes, originals.foreign.get(name), numbers)
        }
    };
    format!("{name}: {how}")
}

/// What a person would see of the store in `dir`.
fn look(dir: &Path) -> Result<(Said, Doubts), StoreError> {
    let mut store = open(dir)?;
    let doubts = store.doubts();
    let seen = Said {
        events: store.read(0, usize::MAX)?,
        // These may fail where they are in doubt; they may not panic.
        summaries: store
            .summaries(&SummaryFilter::default())
            .or_else(|error| doubts.summaries.then(Vec::new).ok_or(error))?,
        ledger: store
            .ledger_open()
            .or_else(|error| doubts.ledger.then(Vec::new).ok_or(error))?,
    };
    store.read_stream("odd").ok();
    store.append(&[event(99)], &[summary(99)]).ok();
    store.ledger_started(&process(99)).ok();
    store.back_up().ok();
    Ok((seen, doubts))
}

#[derive(Debug, Default)]
struct Figures {
    mutations: usize,
    changes_of_meaning: usize,
    noticed: usize,
    harmless: usize,
    harmless_but_refused: usize,
    restored: usize,
    restored_without_loss: usize,
    /// Of the fifteen that are in no backup, over all that were restored.
    salvaged_events: u64,
}

#[test]
fn every_change_of_meaning_is_noticed_and_none_panics() {
    let originals = originals();
    let mut numbers = Numbers(20_240_601);
    let mut figures = Figures {
        mutations: if nightly() { 10_000 } else { 500 },
        ..Figures::default()
    };
    for round in 0..figures.mutations {
        let dir = tempfile::tempdir().unwrap();
        let original = if round % 2 == 0 {
            &originals.closed
        } else {
            &originals.killed
        };
        let mut files = original.clone();
        let how = mutate(&mut files, &originals, &mut numbers);
        let what = format!("round {round}: {how}");
        files.write(dir.path());

        let meaning_changed = rows(&files).ok().as_ref() != Some(&originals.rows);
        let seen = panic::catch_unwind(|| look(dir.path()));
        let noticed = match seen.unwrap_or_else(|_| panic!("{what}: panicked")) {
            Err(_) => true,
            Ok((seen, doubts)) => {
                let expected = &originals.said;
                assert_eq!(seen.events, expected.events, "{what}");
                let summaries_differ = seen.summaries != expected.summaries;
                let ledger_differs = seen.ledger != expected.ledger;
                assert!(!summaries_differ || doubts.summaries, "{what}: unnoticed");
                assert!(!ledger_differs || doubts.ledger, "{what}: unnoticed");
                doubts.any()
            }
        };
        assert!(!meaning_changed || noticed, "{what}: unnoticed");
        match (meaning_changed, noticed) {
            (true, _) => {
                figures.changes_of_meaning += 1;
                figures.noticed += usize::from(noticed);
            }
            (false, true) => figures.harmless_but_refused += 1,
            (false, false) => figures.harmless += 1,
        }
        if noticed && round % 5 == 0 {
            put_back(&files, &originals, &what, &mut figures);
        }
    }
    println!("{figures:?}");
    // Much of a database is unused space; but had the damage missed, this would show nothing.
    assert!(figures.changes_of_meaning > figures.mutations / 3);
    // Half of the rounds leave no file to salvage from, or one whose newest pages are gone.
    assert!(figures.restored_without_loss > 0);
    assert!(figures.salvaged_events as usize > 2 * figures.restored);
}

/// With a backup of its first 45 events, every damaged store can be made whole again, and what
/// it holds then is what was written, as far as it goes.
fn put_back(files: &Files, originals: &Originals, what: &str, figures: &mut Figures) {
    let dir = tempfile::tempdir().unwrap();
    files.write(dir.path());
    let kept = dir.path().join("backups");
    fs::create_dir(&kept).unwrap();
    for entry in fs::read_dir(originals.backups.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
    }
    let backup = backups(dir.path()).unwrap().remove(0);
    let restored = restore(dir.path(), &backup).unwrap_or_else(|error| panic!("{what}: {error}"));
    let store = open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let events = all(&store);
    assert_eq!(events.len() as u64, restored.events, "{what}");
    assert!(events.len() >= 45, "{what}");
    assert_eq!(events, originals.said.events[..events.len()], "{what}");
    if !store.doubts().ledger && restored.lost == 0 {
        // A ledger without doubt is of the backup's time at the earliest.
        assert!(store.ledger_open().unwrap().len() >= 5, "{what}");
    }
    figures.restored += 1;
    figures.restored_without_loss += usize::from(events.len() == 60);
    figures.salvaged_events += restored.salvaged;
}

#[test]
fn undamaged_files_show_what_was_written() {
    let originals = originals();
    for files in [&originals.closed, &originals.killed] {
        let dir = tempfile::tempdir().unwrap();
        files.write(dir.path());
        let (seen, doubts) = look(dir.path()).unwrap();
        assert_eq!(seen, originals.said);
        assert!(!doubts.any());
        assert_eq!(rows(files).unwrap(), originals.rows);
    }
}
