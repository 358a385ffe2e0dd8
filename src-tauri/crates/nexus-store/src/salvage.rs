//! What can still be taken out of a store that cannot be trusted.
//!
//! Only events that are linked to the end of a verified backup count, so a salvaged log is as
//! good as one that was never damaged. The bad files are read as copies: SQLite would change
//! them by looking.

use crate::{
    StoreError, StoreKey, anchor,
    connection::{self, Access},
    fault::Fault,
    place::{self, Place},
    table::{
        event::{self, Head, NewEvent},
        process,
        sum::{self, Table},
    },
};
use rusqlite::Connection;
use std::{
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The bytes of SQLite's first page in a store.
const PAGE: usize = 4096;

/// A way to read a damaged database.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// With what was not yet moved from the write-ahead log into the database.
    log: bool,
    /// With the first page of the backup, which says where everything else is.
    first_page: bool,
}

/// The least invasive first.
const WAYS: [Way; 4] = [
    Way {
        log: true,
        first_page: false,
    },
    Way {
        log: false,
        first_page: false,
    },
    Way {
        log: true,
        first_page: true,
    },
    Way {
        log: false,
        first_page: true,
    },
];

/// Adds to `target`, which ends with `head` like the file `backup` it was made from, whatever
/// follows that in the bad files of `place`. Returns where it ends then.
///
/// The ledger of `target` becomes that of the bad files as far as its rows are whole.
pub(crate) fn take_over(
    place: &Place,
    backup: &Path,
    target: &mut Connection,
    head: Head,
) -> Result<Head, StoreError> {
    let mut target = Target {
        connection: target,
        head,
        has_ledger: false,
    };
    if fs::symlink_metadata(&place.file).is_ok_and(|it| it.is_file()) {
        place::make_folder(&place.set_aside())?;
        let copy = place.set_aside().join("reading.db");
        let noted = anchor::read(&place.anchor).unwrap_or_default();
        let recorded = noted.map_or(u64::MAX, |noted| noted.seq);
        for way in WAYS {
            if target.has_ledger && target.head.seq >= recorded {
                break;
            }
            let taken = read_copy(place, backup, &copy, way, &mut target);
            place::remove_database(&copy)?;
            taken?;
        }
    }
    if !target.has_ledger {
        sum::doubt(target.connection, Table::Process)
            .map_err(|fault| StoreError::at(&place.file, fault))?;
    }
    Ok(target.head)
}

/// What is being put together.
struct Target<'a> {
    connection: &'a mut Connection,
    head: Head,
    has_ledger: bool,
}

fn read_copy(
    place: &Place,
    backup: &Path,
    copy: &Path,
    way: Way,
    target: &mut Target<'_>,
) -> Result<(), StoreError> {
    place::remove_database(copy)?;
    place::copy_file(&place.file, copy)?;
    let log = place.beside("-wal");
    if way.log && fs::symlink_metadata(&log).is_ok_and(|it| it.is_file()) {
        place::copy_file(&log, &with_log(copy))?;
    }
    if way.first_page && replace_first_page(copy, backup, way.log).is_err() {
        return Ok(());
    }
    // That the copy cannot be read is what was to be expected; that its content cannot be
    // written into the target is not.
    let Ok(source) = connection::open(copy, StoreKey::Plain, Access::Write) else {
        return Ok(());
    };
    target
        .take(&source)
        .map_err(|fault| StoreError::at(&place.file, fault))
}

fn with_log(file: &Path) -> PathBuf {
    place::with_suffix(file, "-wal")
}

/// Puts the first page of `backup` over that of `copy`, and lets SQLite believe the length of
/// the file instead of the number that the page says.
fn replace_first_page(copy: &Path, backup: &Path, log: bool) -> std::io::Result<()> {
    let mut page = vec![0; PAGE];
    fs::File::open(backup)?.read_exact(&mut page)?;
    // The number of pages counts only while these two are equal.
    page[92] = !page[24];
    // A list of free pages that is not this file's.
    page[32..40].fill(0);
    // Whether there is a write-ahead log.
    page[18..20].fill(if log { 2 } else { 1 });
    let mut file = OpenOptions::new().write(true).open(copy)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&page)
}

impl Target<'_> {
    /// Takes over what `source` has beyond the target's end.
    fn take(&mut self, source: &Connection) -> Result<(), Fault> {
        let transaction = self.connection.transaction()?;
        let mut head = self.head.clone();
        let mut failed = None;
        let read = event::for_each_linked(source, &self.head, |event| {
            if failed.is_some() {
                return;
            }
            let again = NewEvent {
                stream: &event.stream,
                kind: &event.kind,
                at: event.at,
                body: event.body,
            };
            match event::insert(&transaction, &head, &again) {
                Ok(next) => head = next,
                Err(fault) => failed = Some(fault),
            }
        });
        if let Some(fault) = failed {
            return Err(fault);
        }
        if let Err(fault) = read {
            tracing::info!(last = head.seq, ?fault, "the bad file ends here");
        }
        let has_ledger = self.has_ledger || process::is_whole(source).is_ok();
        if has_ledger && !self.has_ledger {
            process::take_over(source, &transaction)?;
        }
        transaction.commit()?;
        self.head = head;
        self.has_ledger = has_ledger;
        Ok(())
    }
}
