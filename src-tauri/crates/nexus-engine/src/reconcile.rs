//! Whether what is on record agrees with what is there: store, workspaces, processes, session
//! files, and the data folder itself.
//!
//! Looking changes nothing. Mending needs the data folder for itself, moves and never deletes,
//! and leaves alone whatever is not proved to be NEXUS's own and without work that is kept
//! nowhere else. Nothing here decides about a task: what was left in the middle is only named.

mod code;
mod folder;
mod process;
mod session;
mod store;
mod workspace;

pub use code::{DifferenceCode, Gravity};

use crate::{DataDir, Machine, Ownership, data_dir::OwnerLock};
use fs4::{FileExt, TryLockError};
use std::{fmt::Display, fs::File};

/// A difference between what is on record and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub code: DifferenceCode,
    /// The thing: a path, a task's short name, a session's id, a process number.
    pub what: String,
    pub found: String,
    /// What mending does; `None` when that is for a person.
    pub fix: Option<String>,
    pub fixed: bool,
}

/// What a look at everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pub differences: Vec<Difference>,
    /// Another NEXUS runs with this data folder, so nothing was mended, and what changes while
    /// it works was not looked at.
    pub owned: bool,
}

impl Machine {
    /// Compares what is on record with what is there, and with `mend` mends what can be mended
    /// without losing anything. Blocks.
    pub fn reconcile(&self, mend: bool) -> Reconciliation {
        // Nothing is there yet, so nothing can differ.
        if !self.data.root().is_dir() {
            return Reconciliation::default();
        }
        let (owned, lock) = self.own(mend);
        let mut look = Look {
            machine: self,
            data: &self.data,
            owned,
            lock,
            differences: Vec::new(),
        };
        look.at_everything();
        Reconciliation {
            differences: look.differences,
            owned,
        }
    }

    /// Whether another NEXUS owns the data folder, and the lock, where it is wanted and free.
    fn own(&self, wanted: bool) -> (bool, Option<OwnerLock>) {
        if wanted {
            return match self.data.own() {
                Ok(Ownership::Ours(lock)) => (false, Some(lock)),
                Ok(Ownership::Taken) => (true, None),
                Err(_) => (false, None),
            };
        }
        (self.data.is_owned(), None)
    }
}

impl DataDir {
    /// Does somebody hold the lock? Makes nothing.
    fn is_owned(&self) -> bool {
        // Without the file nobody ever owned the folder.
        let Ok(file) = File::open(self.lock_file()) else {
            return false;
        };
        matches!(
            FileExt::try_lock_shared(&file),
            Err(TryLockError::WouldBlock)
        )
    }
}

/// A look at everything, and what it has found so far.
struct Look<'a> {
    machine: &'a Machine,
    data: &'a DataDir,
    /// Another NEXUS is at work, and may change things meanwhile.
    owned: bool,
    /// Ours, when there is something to mend.
    lock: Option<OwnerLock>,
    differences: Vec<Difference>,
}

impl Look<'_> {
    fn at_everything(&mut self) {
        self.at_permissions();
        self.at_socket();
        self.at_set_aside();
        let Some(record) = self.at_store() else {
            // Without a record nothing can be told of the rest.
            return;
        };
        self.at_tasks(&record);
        if !self.owned {
            self.at_processes(&record);
        }
        // The folders of tasks without a record say whose conversations to look for.
        self.at_sessions(&record);
        if !self.owned {
            self.at_folders(&record);
        }
    }

    /// May things be changed?
    fn mends(&self) -> bool {
        self.lock.is_some()
    }

    /// A difference that only a person can do something about.
    fn tell(&mut self, code: DifferenceCode, what: impl Display, found: impl Display) {
        self.differences.push(Difference {
            code,
            what: what.to_string(),
            found: found.to_string(),
            fix: None,
            fixed: false,
        });
    }

    /// A difference that `mending` does away with.
    fn mend(
        &mut self,
        code: DifferenceCode,
        what: impl Display,
        found: impl Display,
        fix: impl Display,
        mending: impl FnOnce() -> Result<(), String>,
    ) {
        let mut difference = Difference {
            code,
            what: what.to_string(),
            found: found.to_string(),
            fix: Some(fix.to_string()),
            fixed: false,
        };
        if self.mends() {
            match mending() {
                Ok(()) => difference.fixed = true,
                Err(why) => difference
                    .found
                    .push_str(&format!("; mending it failed: {why}")),
            }
        }
        self.differences.push(difference);
    }
}

/// An error as the end of a sentence.
fn why(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
