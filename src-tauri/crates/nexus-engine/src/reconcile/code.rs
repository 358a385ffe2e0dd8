//! The sorts of differences, how much each matters, and what it means.

/// How much a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is not as it should be, and nothing is lost.
    Warning,
    /// NEXUS cannot go on, or work is lost or may be.
    Error,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $code:literal, $gravity:ident, $meaning:literal;)*) => {
        /// The sorts of differences. Each has a section in `docs/doctor.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DifferenceCode {
            $($(#[$doc])* $name,)*
        }

        impl DifferenceCode {
            /// Every sort there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// A name that stays the same from version to version.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// How much it matters.
            pub fn gravity(self) -> Gravity {
                match self {
                    $(Self::$name => Gravity::$gravity,)*
                }
            }

            /// What it means, and what a person can do where nothing mends it.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

codes! {
    StoreCorrupt, "store_corrupt", Error,
        "What is recorded is not what was written. A verified backup takes its place, with what can still be read of the damaged file added; that file is kept in set-aside. Without a backup, move nexus.db and nexus.head away to start empty.";
    StoreMissing, "store_missing", Error,
        "Events were recorded here and their file is gone. Put it back, or let a verified backup take its place.";
    StoreNewer, "store_newer", Error,
        "A newer NEXUS wrote this store. Start that version; this one leaves it alone.";
    StoreOlder, "store_older", Note,
        "An earlier NEXUS wrote this store. The next start brings it up to date, after a copy was put aside.";
    StoreHalfRestored, "store_half_restored", Warning,
        "A backup was on its way back when NEXUS ended. The next start finishes that.";
    StoreUnusable, "store_unusable", Error,
        "The store cannot be read now. Nothing is wrong with it as far as is known: see to what is named, then look again.";
    SummariesDoubtful, "summaries_doubtful", Warning,
        "The summaries of tasks are not those that were written. They are made from the log, which is whole, and can be made anew.";
    LedgerDoubtful, "ledger_doubtful", Warning,
        "Rows of the ledger of processes are missing or damaged. Leftover processes are still found by their tag.";
    BackupMissing, "backup_missing", Warning,
        "Nothing but the one file holds what is recorded.";
    BackupStale, "backup_stale", Warning,
        "The newest backup is more than a week behind what is recorded.";
    SetAsidePresent, "set_aside_present", Note,
        "A store that a backup took the place of is kept here. Remove it yourself when it is not wanted any more.";
    OwnerSilent, "owner_silent", Error,
        "A process holds the data folder and does not answer. End it; then the next start carries on.";
    SocketStale, "socket_stale", Warning,
        "A NEXUS that was killed left its socket. Nobody listens on it.";
    SocketForeign, "socket_foreign", Error,
        "Something that is no socket is where NEXUS listens. Move it away.";
    PermissionsLoose, "permissions_loose", Warning,
        "Others on this machine could read what NEXUS keeps.";
    ProcessLeft, "process_left", Warning,
        "A process that NEXUS started runs although nobody is at work. The next start ends it as well.";
    LedgerRowStale, "ledger_row_stale", Warning,
        "The ledger says that a process runs, and it is gone.";
    TaskInterrupted, "task_interrupted", Note,
        "The task was left in the middle and nobody works on it. Nothing is lost: `nexus resume` carries it on.";
    AcceptHalfApplied, "accept_half_applied", Warning,
        "An accept was cut short: the folder may hold a part of the change. `nexus resume` with the task's name finishes it.";
    WorkspaceMissing, "workspace_missing", Error,
        "The copy that the task works in is gone. Where its last content is on record, the task makes the copy anew when it goes on; where work has been done since that nothing holds, discard or cancel the task, or put the folder back.";
    WorkspaceForeign, "workspace_foreign", Error,
        "Where the task's copy should be is something that NEXUS did not make. Move it away.";
    WorkspaceOrphan, "workspace_orphan", Warning,
        "No task wants this copy any more, and what it holds is kept elsewhere.";
    WorkspaceDirtyUnkept, "workspace_dirty_unkept", Warning,
        "No task wants this copy, but it holds changes that are kept nowhere else, or nobody can tell. Look at it, take what you need, then remove it yourself.";
    TranscriptOrphan, "transcript_orphan", Warning,
        "Transcripts, check outputs or scratchpads of a task that is not on record.";
    FolderForeign, "folder_foreign", Note,
        "NEXUS did not make this and leaves it alone.";
    RepositoryMissing, "repository_missing", Error,
        "The git directory that holds the snapshots of a project is gone, and with it what was kept of its tasks. Put it back, or discard or cancel the project's tasks.";
    RepositoryOrphan, "repository_orphan", Note,
        "Snapshots of a project that is not on record. They may be all that is left of its work, so they stay.";
    SnapshotMissing, "snapshot_missing", Error,
        "A content that the task needs is no longer in the git directory of its project. Discard or cancel the task, or put the git directory back.";
    ProjectMissing, "project_missing", Warning,
        "The folder of the project is gone. Put it back; its tasks wait.";
    ScratchpadsMissing, "scratchpads_missing", Warning,
        "The files that show a task's messages are not there. They are made from the log.";
    SessionFileMissing, "session_file_missing", Note,
        "Claude Code has no file of this conversation where NEXUS looks for it. If it does not know the conversation, the agent's next turn begins a new one, told from the journal.";
    SessionFileForeign, "session_file_foreign", Warning,
        "A file has the name of this conversation, but nothing in it proves that it is NEXUS's. Look at it, and move it away if it is not wanted.";
    SessionFileOrphan, "session_file_orphan", Note,
        "A conversation of NEXUS's agents that no task will carry on.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_section_that_says_how_much_it_matters_and_no_section_is_left_over() {
        let text = include_str!("../../../../../docs/doctor.md");
        let sections = text.split("\n## ").skip(1);
        let mut documented: Vec<_> = sections
            .map(|section| {
                let mut lines = section.lines();
                let code = lines.next().unwrap_or_default();
                let gravity = lines.next().unwrap_or_default().split('.').next();
                (code, gravity.unwrap_or_default().to_owned())
            })
            .collect();
        let mut codes: Vec<_> = DifferenceCode::ALL
            .iter()
            .map(|code| (code.as_str(), format!("{:?}", code.gravity())))
            .collect();
        documented.sort_unstable();
        codes.sort_unstable();
        assert_eq!(documented, codes);
    }
}
