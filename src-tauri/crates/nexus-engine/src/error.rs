//! What can go wrong between an order and its being taken.

use nexus_core::{BadFields, BadSpec, Rejection};
use nexus_store::{StoreError, Trouble};
use nexus_workspace::{ConfigError, FolderError, GitError, RepositoryError, SnapshotError};
use std::{io, path::Path};

/// Why the engine did not do what it was asked. Displays as a sentence for a person.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What sort of thing it is, for hosts that have to tell.
    pub kind: ErrorKind,
    /// What happened and what to do next.
    pub message: String,
}

/// What sort of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself makes no sense.
    BadInput,
    /// There is no such thing.
    NotFound,
    /// The thing is in a state that does not allow it.
    WrongState,
    /// The checks are red and the person did not say that it does not matter.
    ChecksRed,
    /// The folder cannot be a project.
    BadFolder,
    /// The person has not said that the folder's commands may run.
    Untrusted,
    /// The folder holds more than a copy may hold.
    TooBig,
    /// The agent program is missing, too old or cannot be run.
    AgentProgram,
    /// Not logged in, or no key.
    Login,
    /// The keychain cannot be used.
    Keychain,
    /// The data folder cannot be used.
    DataFolder,
    /// The disk of the data folder is full.
    DiskFull,
    /// git is missing or too old.
    Git,
    /// NEXUS is on its way out.
    Stopping,
    /// A mistake of ours.
    Internal,
}

impl EngineError {
    /// An error of this kind with this sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn data_dir(path: &Path, source: io::Error) -> Self {
        Self::new(
            ErrorKind::DataFolder,
            format!(
                "the data folder cannot be used: {}: {source}. Make it writable for you, or name another in NEXUS_DATA_DIR",
                path.display()
            ),
        )
    }

    pub(crate) fn no_task(name: impl std::fmt::Display) -> Self {
        Self::new(
            ErrorKind::NotFound,
            format!("there is no task {name}; `nexus task list` shows those there are"),
        )
    }

    pub(crate) fn stopping() -> Self {
        Self::new(
            ErrorKind::Stopping,
            "NEXUS is stopping; start it again and repeat the request",
        )
    }
}

fn failed_to(error: impl std::fmt::Display) -> String {
    format!("failed to {error}")
}

impl From<Rejection> for EngineError {
    fn from(rejection: Rejection) -> Self {
        let kind = match &rejection {
            Rejection::ChecksRed { .. } => ErrorKind::ChecksRed,
            Rejection::NoSuchQuestion | Rejection::NoSuchGrant => ErrorKind::NotFound,
            Rejection::WrongAnswer { .. }
            | Rejection::EmptyRequest
            | Rejection::EmptyMessage
            | Rejection::MessageTooLong { .. }
            | Rejection::NoRecipient
            | Rejection::BadPlan(_)
            | Rejection::BudgetSpent { .. } => ErrorKind::BadInput,
            Rejection::WrongState { .. }
            | Rejection::NothingChanged
            | Rejection::NoPlan
            | Rejection::PlanChanged { .. }
            | Rejection::StepBegun { .. }
            | Rejection::NotChained
            | Rejection::QuestionChanged
            | Rejection::NoIdleSession { .. }
            | Rejection::CapReached { .. }
            | Rejection::DayCapReached => ErrorKind::WrongState,
        };
        Self::new(kind, rejection.to_string())
    }
}

impl From<BadSpec> for EngineError {
    fn from(error: BadSpec) -> Self {
        Self::new(ErrorKind::BadInput, error.to_string())
    }
}

impl From<BadFields> for EngineError {
    fn from(error: BadFields) -> Self {
        Self::new(ErrorKind::BadInput, error.to_string())
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        let trouble = error.trouble();
        let kind = if trouble == Trouble::DiskFull {
            ErrorKind::DiskFull
        } else {
            ErrorKind::DataFolder
        };
        let mut message = failed_to(error);
        if trouble.calls_for_a_backup() {
            message.push_str(
                "; `nexus doctor --fix` puts the latest verified backup in its place and keeps this one aside",
            );
        }
        Self::new(kind, message)
    }
}

impl From<FolderError> for EngineError {
    fn from(error: FolderError) -> Self {
        Self::new(ErrorKind::BadFolder, failed_to(error))
    }
}

impl From<ConfigError> for EngineError {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::BadFolder, failed_to(error))
    }
}

impl From<SnapshotError> for EngineError {
    fn from(error: SnapshotError) -> Self {
        let kind = match &error {
            SnapshotError::TooBig(_) => ErrorKind::TooBig,
            SnapshotError::Git(_) => ErrorKind::Git,
            SnapshotError::Storage { .. } => ErrorKind::DataFolder,
            SnapshotError::Unreadable { .. }
            | SnapshotError::UnreadableFile { .. }
            | SnapshotError::NotUtf8(_)
            | SnapshotError::BrokenGit(_)
            | SnapshotError::BadPattern(_) => ErrorKind::BadFolder,
        };
        Self::new(kind, failed_to(error))
    }
}

impl From<RepositoryError> for EngineError {
    fn from(error: RepositoryError) -> Self {
        Self::new(ErrorKind::DataFolder, failed_to(error))
    }
}

impl From<GitError> for EngineError {
    fn from(error: GitError) -> Self {
        Self::new(ErrorKind::Git, failed_to(error))
    }
}
