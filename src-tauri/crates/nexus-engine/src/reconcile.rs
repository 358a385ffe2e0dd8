//! Whether what is on record and what is there agree: store, workspaces, processes, session
//! files, and the data folder itself.

use crate::Machine;

/// A difference between what is on record and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub code: DifferenceCode,
    /// The thing: a path, a task's short name, a session's id, a process number.
    pub what: String,
    pub found: String,
    pub explanation: String,
    /// What a repair does; `None` when that is for a person.
    pub fix: Option<String>,
    pub fixed: bool,
}

/// How much a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is not as it should be, and nothing is lost.
    Warning,
    /// NEXUS cannot go on, or work may be lost.
    Error,
}

/// The sorts of differences. Each has a section in `docs/doctor.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceCode {
    PermissionsLoose,
}

impl DifferenceCode {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PermissionsLoose => "permissions_loose",
        }
    }

    /// How much it matters.
    pub fn gravity(self) -> Gravity {
        match self {
            Self::PermissionsLoose => Gravity::Warning,
        }
    }
}

/// What a look at everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pub differences: Vec<Difference>,
    /// Another NEXUS runs with this data folder, so nothing was repaired.
    pub owned: bool,
}

impl Machine {
    /// Compares what is on record with what is there, and with `repair` mends what can be
    /// mended without losing anything. Blocks.
    pub fn reconcile(&self, repair: bool) -> Reconciliation {
        let _ = repair;
        Reconciliation::default()
    }
}
