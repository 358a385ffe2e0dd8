//! Copies of the project: made, restored, applied to the person's folder, and put away.

use super::Tools;
use crate::{DataDir, EngineError, ErrorKind, folder::fingerprint};
use nexus_core::{
    Failure, FailureKind, FileOperation, PreparedWorkspace, Report, SnapshotId, Task, TaskId,
    TaskSpec,
};
use nexus_workspace::{
    ApplyError, ProjectConfig, Repository, Source, Workspace, WorkspaceError, checks,
    remove_workspace, setup,
};
use std::{path::Path, sync::Arc};

/// Runs blocking work off the async threads. `None` when the program is ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Copies the folder and finds its checks.
pub(super) async fn prepare(tools: &Tools, task: &Task) {
    let (options, spec, id) = (Arc::clone(&tools.options), Arc::clone(&task.spec), task.id);
    let made = blocking(move || {
        let folder = Path::new(&spec.folder);
        let config = ProjectConfig::read(folder)?;
        let setup = setup(folder, &config);
        let checks = checks(folder, &config);
        trusted(&spec, &fingerprint(&checks, &setup, &config.allow_commands))?;
        let source = Source::new(folder, &config.exclude, options.limits.clone())?;
        let repository = Repository::open(&options.data.repository(spec.project))?;
        let snapshot = repository.snapshot(&source, &format!("{} before", spec.name()))?;
        repository.keep(&base_ref(id), &snapshot.id)?;
        let dir = options.data.workspace(id);
        crate::data_dir::private_dir(&options.data.task(id))?;
        // What a crash left half-known is made anew: nobody has worked in it.
        remove_workspace(&dir).map_err(storage)?;
        let workspace = repository
            .check_out(&source, &snapshot.id, &dir, &setup.copy)
            .map_err(storage)?;
        let skipped = snapshot.skipped.iter();
        let skipped = skipped.map(|s| format!("left out: {} ({})", s.path, s.reason));
        let not_copied = workspace
            .not_copied()
            .iter()
            .map(|n| format!("not copied: {} ({})", n.path, n.reason));
        Ok::<_, EngineError>(PreparedWorkspace {
            path: workspace.path().to_string_lossy().into_owned(),
            base: snapshot.id,
            tree: snapshot.tree,
            files: snapshot.files,
            checks,
            setup: setup.command,
            allowed_commands: config.allow_commands,
            notes: skipped.chain(not_copied).collect(),
        })
    })
    .await;
    let report = match made {
        None => return,
        Some(Ok(prepared)) => Report::WorkspacePrepared(prepared),
        Some(Err(error)) => Report::Failed(failure(&error)),
    };
    tools.inbox.tell(task.id, report).await;
}

/// Writes the journal of an accept, unless the person's folder has changed meanwhile.
pub(super) async fn plan_apply(tools: &Tools, task: &Task) {
    let lock = tools.locks.of(&task.spec.folder);
    let _one_at_a_time = lock.lock().await;
    let (Some(was), Some(evidence)) = (task.workspace.prepared(), &task.evidence) else {
        return;
    };
    let (base, tree) = (was.tree.clone(), evidence.tree.clone());
    let (data, spec) = (tools.options.data.clone(), Arc::clone(&task.spec));
    let planned = blocking(move || {
        let repository = Repository::open(&data.repository(spec.project)).map_err(text)?;
        let operations = repository.plan_apply(&base, &tree).map_err(text)?;
        let folder = Path::new(&spec.folder);
        let operations = repository.outstanding(folder, operations).map_err(text)?;
        let conflicts = repository.find_conflicts(folder, &operations);
        Ok::<_, String>((operations, conflicts.map_err(text)?))
    })
    .await;
    let report = match planned {
        None => return,
        Some(Err(reason)) => Report::ApplyFailed { reason },
        Some(Ok((operations, conflicts))) if conflicts.is_empty() => {
            Report::ApplyPlanned { operations }
        }
        Some(Ok((_, conflicts))) => Report::ApplyConflicted {
            conflicts: words(&conflicts),
        },
    };
    tools.inbox.tell(task.id, report).await;
}

/// Carries the journal out. Repeating it after a crash finishes what was begun.
pub(super) async fn apply(tools: &Tools, task: &Task, operations: Arc<Vec<FileOperation>>) {
    let lock = tools.locks.of(&task.spec.folder);
    let _one_at_a_time = lock.lock().await;
    let (data, spec) = (tools.options.data.clone(), Arc::clone(&task.spec));
    let applied = blocking(move || {
        let repository = match Repository::open(&data.repository(spec.project)) {
            Ok(repository) => repository,
            Err(error) => {
                return Report::ApplyFailed {
                    reason: text(error),
                };
            }
        };
        let folder = Path::new(&spec.folder);
        match repository.apply(folder, &operations) {
            Ok(()) => Report::Applied,
            Err(ApplyError::Conflicts(conflicts)) => {
                conflicted(&repository, folder, &operations, &conflicts)
            }
            Err(error) => failed(&repository, folder, &operations, text(error)),
        }
    })
    .await;
    if let Some(report) = applied {
        tools.inbox.tell(task.id, report).await;
    }
}

/// A conflict that is met after an earlier call was cut short must not leave half a change:
/// what that call had done is undone, except where the person has gone on from it.
fn conflicted(
    repository: &Repository,
    folder: &Path,
    operations: &[FileOperation],
    conflicts: &[nexus_workspace::Conflict],
) -> Report {
    let mut conflicts = words(conflicts);
    match repository.roll_back(folder, operations) {
        Ok(left) => {
            let left = words(&left).into_iter();
            conflicts.extend(
                left.filter(|left| !conflicts.contains(left))
                    .collect::<Vec<_>>(),
            );
            Report::ApplyConflicted { conflicts }
        }
        Err(error) => Report::ApplyFailed {
            reason: format!(
                "{}; what an earlier try had applied could not be undone: {}",
                conflicts.join(", "),
                text(error)
            ),
        },
    }
}

/// The same for a failure: either the whole change is there, or nothing of it.
fn failed(
    repository: &Repository,
    folder: &Path,
    operations: &[FileOperation],
    mut reason: String,
) -> Report {
    match repository.roll_back(folder, operations) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => {
            let left = words(&left).join(", ");
            reason.push_str(&format!("; not undone, because it changed since: {left}"));
        }
        Err(error) => {
            let error = text(error);
            reason.push_str(&format!("; what was applied could not be undone: {error}"));
        }
    }
    Report::ApplyFailed { reason }
}

/// Keeps the workspace's content under a hidden name, then removes the workspace.
pub(super) async fn drop_workspace(tools: &Tools, task: &Arc<Task>) {
    let (data, spec, id) = (tools.options.data.clone(), Arc::clone(&task.spec), task.id);
    let task = Arc::clone(task);
    let kept = blocking(move || {
        let repository = Repository::open(&data.repository(spec.project)).map_err(text)?;
        let dir = data.workspace(id);
        let kept = match repository.open_workspace(&dir) {
            Ok(workspace) => {
                let label = format!("{} as it was left", spec.name());
                let snapshot = workspace.snapshot(&label).map_err(text)?;
                repository.keep(&kept_ref(id), &snapshot.id).map_err(text)?;
                Some(snapshot.id)
            }
            // Gone already: what was kept then is what there is.
            Err(_) => repository.kept(&kept_ref(id)).map_err(text)?,
        };
        super::lanes::drop_all(&data, &repository, &task)?;
        remove_workspace(&dir).map_err(text)?;
        Ok::<_, String>(kept)
    })
    .await;
    match kept {
        None => {}
        Some(Ok(kept)) => {
            tools
                .inbox
                .tell(id, Report::WorkspaceDropped { kept })
                .await;
        }
        // Nothing is deleted that was not kept first; it stays, and the next start tries again.
        Some(Err(reason)) => tracing::warn!(task = %id, reason, "the workspace stays"),
    }
}

/// Makes the workspace anew from what was kept.
pub(super) async fn restore(tools: &Tools, task: &Task, from: SnapshotId) {
    let Some(was) = task.workspace.prepared().cloned() else {
        return;
    };
    let (options, spec, id) = (Arc::clone(&tools.options), Arc::clone(&task.spec), task.id);
    let made = blocking(move || {
        let folder = Path::new(&spec.folder);
        let config = ProjectConfig::read(folder)?;
        let source = Source::new(folder, &config.exclude, options.limits.clone())?;
        let repository = Repository::open(&options.data.repository(spec.project))?;
        let dir = options.data.workspace(id);
        remove_workspace(&dir).map_err(storage)?;
        let setup = setup(folder, &config);
        let checks = checks(folder, &config);
        trusted(&spec, &fingerprint(&checks, &setup, &config.allow_commands))?;
        let copy = setup.copy;
        let workspace = repository
            .check_out(&source, &was.base, &dir, &copy)
            .map_err(storage)?;
        let tree = repository.tree_of(&from)?;
        workspace.restore(&tree).map_err(storage)?;
        Ok::<_, EngineError>(workspace.path().to_string_lossy().into_owned())
    })
    .await;
    let report = match made {
        None => return,
        Some(Ok(path)) => Report::WorkspaceRestored { path },
        Some(Err(error)) => {
            tracing::warn!(task = %task.id, %error, "the workspace could not be restored");
            Report::Failed(failure(&error))
        }
    };
    tools.inbox.tell(task.id, report).await;
}

/// The task's workspace, where it is there.
pub(super) fn open(data: &DataDir, task: &Task) -> Result<(Repository, Workspace), EngineError> {
    let repository = Repository::open(&data.repository(task.spec.project))?;
    let workspace = repository
        .open_workspace(&data.workspace(task.id))
        .map_err(storage)?;
    Ok((repository, workspace))
}

/// The commands are those that the person trusted for this task.
fn trusted(spec: &TaskSpec, found: &str) -> Result<(), EngineError> {
    if spec.fingerprint == found {
        return Ok(());
    }
    Err(EngineError::new(
        ErrorKind::Untrusted,
        format!(
            "the checks, set-up or allowed commands of {} changed since this task was made: look at them and make the task anew",
            spec.folder
        ),
    ))
}

fn base_ref(task: TaskId) -> String {
    format!("base/{task}")
}

fn kept_ref(task: TaskId) -> String {
    format!("kept/{task}")
}

pub(super) fn storage(error: WorkspaceError) -> EngineError {
    match error {
        WorkspaceError::Snapshot(error) => error.into(),
        WorkspaceError::Git(error) => error.into(),
        error @ (WorkspaceError::Exists(_)
        | WorkspaceError::NotAWorkspace(_)
        | WorkspaceError::Storage { .. }
        | WorkspaceError::StillChanging(_)) => EngineError::new(ErrorKind::DataFolder, text(error)),
    }
}

pub(super) fn failure(error: &EngineError) -> Failure {
    let kind = match error.kind {
        ErrorKind::BadFolder | ErrorKind::TooBig | ErrorKind::Untrusted => FailureKind::Project,
        ErrorKind::Login | ErrorKind::Keychain => FailureKind::Provider,
        ErrorKind::BadInput
        | ErrorKind::NotFound
        | ErrorKind::WrongState
        | ErrorKind::ChecksRed
        | ErrorKind::AgentProgram
        | ErrorKind::DataFolder
        | ErrorKind::DiskFull
        | ErrorKind::Git
        | ErrorKind::Stopping
        | ErrorKind::Internal => FailureKind::Environment,
    };
    Failure {
        kind,
        message: error.message.clone(),
    }
}

fn words(conflicts: &[nexus_workspace::Conflict]) -> Vec<String> {
    conflicts
        .iter()
        .map(|c| format!("{}: {}", c.path, c.what))
        .collect()
}

fn text(error: impl std::fmt::Display) -> String {
    format!("failed to {error}")
}
