//! Damage anywhere in the files is noticed, or it changed nothing that is read.

use crate::{Numbers, all, append, event, open, summary};
use nexus_store::{Store, StoreError, StoredEvent, SummaryFilter};
use std::{fs, panic, path::Path};

const DATABASE: &str = "nexus.db";
const WAL: &str = "nexus.db-wal";
const NOTE: &str = "nexus.head";
const PAGE: usize = 4096;
const DAMAGES: usize = 500;

/// A store's files as they lie on the disk.
struct Files(Vec<(&'static str, Vec<u8>)>);

impl Files {
    fn of(dir: &Path, names: &[&'static str]) -> Self {
        let read = |name: &&'static str| (*name, fs::read(dir.join(name)).unwrap());
        Self(names.iter().map(read).collect())
    }

    fn write(&self, dir: &Path) {
        for (name, bytes) in &self.0 {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

/// Sixty events, half of them in the database proper, and the files when the store is closed
/// and when it was killed with the other half in its write-ahead log.
fn originals() -> (Vec<StoredEvent>, Files, Files) {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), 30);
    let mut store = open(dir.path()).unwrap();
    for n in 31..=60 {
        let mut event = event(n);
        event.body = format!("{{\"text\":\"{}\"}}", "word ".repeat(n as usize * 7));
        store.append(&[event], &[summary(n.into())]).unwrap();
    }
    let events = all(&store);
    let killed = Files::of(dir.path(), &[DATABASE, WAL, NOTE]);
    drop(store);
    let closed = Files::of(dir.path(), &[DATABASE, NOTE]);
    (events, closed, killed)
}

/// Changes `bytes` in one of the ways a disk, a file system or a program does.
fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) -> &'static str {
    let at = numbers.below(bytes.len());
    let page = at / PAGE * PAGE;
    let page_end = (page + PAGE).min(bytes.len());
    match numbers.below(8) {
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
        _ => {
            let other = numbers.below(bytes.len()) / PAGE * PAGE;
            let length = (page_end - page).min(bytes.len() - other);
            bytes.copy_within(other..other + length, page);
            "a page over another"
        }
    }
}

/// What a person would see of the store in `dir`.
fn look(dir: &Path) -> Result<Vec<StoredEvent>, StoreError> {
    let mut store: Store = open(dir)?;
    let events = store.read(0, usize::MAX)?;
    // These may fail; they may not panic.
    store.summaries(&SummaryFilter::default()).ok();
    store.ledger_open().ok();
    store.read_stream("odd").ok();
    store.append(&[event(99)], &[summary(99)]).ok();
    Ok(events)
}

#[test]
fn every_change_of_meaning_is_noticed_and_none_panics() {
    let (events, closed, killed) = originals();
    let mut numbers = Numbers(20_240_601);
    let mut noticed = 0;
    for round in 0..DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        let original = if round % 2 == 0 { &closed } else { &killed };
        let mut files = Files(original.0.clone());
        let which = numbers.below(files.0.len() * 8);
        // The note is small and its damage harmless, so the others have most of the turns.
        let which = if which == 0 {
            files.0.len() - 1
        } else {
            which % (files.0.len() - 1)
        };
        let (name, bytes) = &mut files.0[which];
        let how = damage(bytes, &mut numbers);
        let what = format!("round {round}: {how} in {name}");
        files.write(dir.path());

        match panic::catch_unwind(|| look(dir.path())) {
            Err(_) => panic!("{what}: panicked"),
            Ok(Err(_)) => noticed += 1,
            Ok(Ok(seen)) => assert_eq!(seen, events, "{what}: not noticed"),
        }
    }
    // Much of a database is unused space; but had the damage missed, this would show nothing.
    assert!(
        noticed > DAMAGES / 2,
        "only {noticed} of {DAMAGES} did any harm"
    );
}

#[test]
fn undamaged_files_show_what_was_written() {
    let (events, closed, killed) = originals();
    for files in [closed, killed] {
        let dir = tempfile::tempdir().unwrap();
        files.write(dir.path());
        assert_eq!(look(dir.path()).unwrap(), events);
    }
}
