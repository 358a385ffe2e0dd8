//! Lanes: the workspaces of agents that work side by side. Branched off the task's workspace
//! when their step begins, and put together with it when their step is done.

use super::{Tools, copy, seat::NOT_RECORDED};
use crate::{DataDir, EngineError};
use nexus_core::{ProjectPath, Report, SeatId, SnapshotId, StepId, Task, TaskId, TreeId, TurnId};
use nexus_workspace::{Merge, MergeLabels, Repository, Workspace, remove_workspace};
use std::{path::PathBuf, sync::Arc};

/// Where the agent of a seat works: the task's workspace, or the lane of the seat.
pub(super) fn place(data: &DataDir, task: TaskId, seat: SeatId) -> PathBuf {
    if seat.is_lane() {
        data.lane(task, seat)
    } else {
        data.workspace(task)
    }
}

/// The workspace in which the agent of a seat works, where it is there.
pub(super) fn open(
    data: &DataDir,
    task: &Task,
    seat: SeatId,
) -> Result<(Repository, Workspace), EngineError> {
    let repository = Repository::open(&data.repository(task.spec.project))?;
    let workspace = repository
        .open_workspace(&place(data, task.id, seat))
        .map_err(copy::storage)?;
    Ok((repository, workspace))
}

/// What nobody may do while another does: take a branch of the task's workspace, and write a
/// merge to it.
fn gate(tools: &Tools, task: TaskId) -> Arc<tokio::sync::Mutex<()>> {
    tools.locks.of(&format!("merge {task}"))
}

/// Sees to it that the lane of a turn's step is there, with the content of the task's workspace
/// when the step is begun. The error says why the turn cannot begin.
pub(super) async fn branch(tools: &Tools, task: &Arc<Task>, turn: TurnId) -> Result<(), String> {
    let Some(running) = task.turns.get(&turn).filter(|turn| turn.seat.is_lane()) else {
        return Ok(());
    };
    let has_base = task
        .step(running.step)
        .is_some_and(|step| step.base.is_some());
    let there = {
        let (data, task, seat) = (tools.options.data.clone(), Arc::clone(task), running.seat);
        off_thread(move || Ok(open(&data, &task, seat).is_ok())).await?
    };
    if has_base && there {
        return Ok(());
    }
    let gate = gate(tools, task.id);
    let _alone = gate.lock().await;
    let base = branch_off(tools, task, turn, running.seat).await?;
    let report = Report::BaseTaken { turn, base };
    let told = tools.inbox.tell(task.id, report).await;
    // A base that is not on record is none: the agent must not begin on it.
    told.map(drop).ok_or_else(|| NOT_RECORDED.to_owned())
}

async fn branch_off(
    tools: &Tools,
    task: &Arc<Task>,
    turn: TurnId,
    seat: SeatId,
) -> Result<SnapshotId, String> {
    let (data, task) = (tools.options.data.clone(), Arc::clone(task));
    off_thread(move || {
        let (repository, workspace) = copy::open(&data, &task).map_err(text)?;
        let label = format!("{}: where {} begins", task.spec.name(), seat.title());
        let snapshot = workspace.snapshot(&label).map_err(text)?;
        let name = format!("lane/{}/{turn}", task.id);
        repository.keep(&name, &snapshot.id).map_err(text)?;
        let lane = data.lane(task.id, seat);
        // What was left there by a step that never ended well is kept, then put away.
        if let Ok(left) = repository.open_workspace(&lane) {
            let left = left.snapshot("as a lane was left").map_err(text)?;
            let name = format!("lane-left/{}/{turn}", task.id);
            repository.keep(&name, &left.id).map_err(text)?;
        }
        workspace.branch(&snapshot.tree, &lane).map_err(text)?;
        Ok(snapshot.id)
    })
    .await
}

/// Puts a lane's result and the task's workspace together, as trees: writes nothing yet.
pub(super) async fn plan_merge(tools: &Tools, task: &Arc<Task>, id: StepId) {
    let Some(step) = task.step(id) else { return };
    let (Some(seat), Some(base)) = (step.seat_id(), step.base.clone()) else {
        return;
    };
    let title = step.planned.title.clone();
    let (data, of) = (tools.options.data.clone(), Arc::clone(task));
    let merged = off_thread(move || {
        let (repository, workspace) = copy::open(&data, &of).map_err(text)?;
        let (_, lane) = open(&data, &of, seat).map_err(text)?;
        let label = format!("{}: {} hands in", of.spec.name(), seat.title());
        let theirs = lane.snapshot(&label).map_err(text)?;
        let name = format!("handed-in/{}/{id}", of.id);
        repository.keep(&name, &theirs.id).map_err(text)?;
        let ours = workspace.snapshot("before a merge").map_err(text)?;
        let base = repository.tree_of(&base).map_err(text)?;
        let labels = MergeLabels {
            ours: "what was there",
            theirs: &title,
        };
        let merge = repository.merge(&base, &ours.tree, &theirs.tree, labels);
        merge.map_err(text)
    })
    .await;
    let (tree, conflicts) = match merged {
        Ok(Merge::Clean { tree }) => (tree, Vec::new()),
        Ok(Merge::Conflicted { tree, files }) => {
            let paths: Vec<ProjectPath> = files.into_iter().map(|file| file.path).collect();
            (tree, paths)
        }
        // It stays to be done, and is tried again after a rest.
        Err(reason) => {
            tracing::warn!(task = %task.id, reason, "a lane could not be merged");
            return;
        }
    };
    let report = Report::MergePlanned {
        step: id,
        tree,
        conflicts,
    };
    tools.inbox.tell(task.id, report).await;
}

/// Writes what was put together to the task's workspace. Repeating it finishes what a crash cut
/// short.
pub(super) async fn merge(tools: &Tools, task: &Arc<Task>, step: StepId, tree: TreeId) {
    let gate = gate(tools, task.id);
    let _alone = gate.lock().await;
    let (data, of) = (tools.options.data.clone(), Arc::clone(task));
    let written = off_thread(move || {
        let (_, workspace) = copy::open(&data, &of).map_err(text)?;
        workspace.restore(&tree).map_err(text)
    })
    .await;
    match written {
        Ok(()) => {
            tools.inbox.tell(task.id, Report::Merged { step }).await;
        }
        Err(reason) => tracing::warn!(task = %task.id, reason, "a merge could not be written"),
    }
}

/// Keeps what is in the task's lanes under hidden names, then removes them. Nothing is removed
/// that was not kept.
pub(super) fn drop_all(data: &DataDir, repository: &Repository, task: &Task) -> Result<(), String> {
    for seat in task.sessions.keys().filter(|seat| seat.is_lane()) {
        let lane = data.lane(task.id, *seat);
        if let Ok(workspace) = repository.open_workspace(&lane) {
            let label = format!("{}: the lane of {}", task.spec.name(), seat.title());
            let left = workspace.snapshot(&label).map_err(text)?;
            let name = format!("kept-lane/{}/{seat}", task.id);
            repository.keep(&name, &left.id).map_err(text)?;
        }
        remove_workspace(&lane).map_err(text)?;
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    format!("failed to {error}")
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err("NEXUS is stopping".to_owned()))
}
