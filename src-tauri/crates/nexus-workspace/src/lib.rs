//! Isolated copies of the person's project, and the way back into it.
//!
//! This crate owns everything that is done with git: snapshots of a folder, the workspaces
//! that tasks and their lanes work in, the difference between two trees and what becomes of two
//! that are merged, and the accepted change that is written into the person's folder. It also
//! reads what a project says about itself (its `.nexus/config.toml`, its checks, its
//! instructions, its templates), because that is reading files too. It leaves running checks and deciding
//! anything to others.
//!
//! All git work uses a git directory that NEXUS owns. The person's `.git` is read, file by
//! file, for what is tracked, what is excluded and what is checked out; its objects are read by
//! git, which sees nothing else of it. Its configuration, hooks, filters and attributes never
//! run, and nothing is ever written there. The person's folder changes only in
//! [`Repository::apply`].
//!
//! Functions here block; callers on an async runtime run them where blocking is allowed.

mod apply;
mod config;
mod copy;
mod detect;
mod diff;
mod folder;
mod git;
mod history;
mod instructions;
mod merge;
mod patches;
mod person_git;
mod person_index;
mod plain_file;
mod repository;
mod rules;
mod snapshot;
mod templates;
mod walk;
mod workspace;

pub use apply::{ApplyError, Conflict, ConflictKind};
pub use config::{ConfigError, ProjectConfig, SetupCommand};
pub use copy::{NotCopied, NotCopiedReason};
pub use detect::{Setup, checks, detect_checks, detect_setup, setup};
pub use diff::{PATCH_LIMIT, Patch};
pub use folder::{Folder, FolderError, Surroundings, inspect_folder};
pub use git::{Git, GitError, GitVersion, MINIMUM_GIT};
pub use history::recent_subjects;
pub use instructions::{INSTRUCTION_LIMIT, Instruction, instructions};
pub use merge::{Merge, MergeConflict, MergeConflictKind, MergeLabels};
pub use patches::PatchLimit;
pub use person_git::BrokenGit;
pub use repository::{Repository, RepositoryError};
pub use rules::BadPattern;
pub use snapshot::{Snapshot, SnapshotError, Source};
pub use templates::{BrokenTemplate, templates};
pub use walk::{Heavy, Limits, SkipReason, Skipped, TooBig, TooMuch};
pub use workspace::{Workspace, WorkspaceError, remove_workspace};

#[cfg(test)]
#[cfg(unix)]
mod tests;
