//! Snapshots of a task's workspace under hidden names: before a step's first change, before an
//! agent is stopped, and before anything is undone. What was ever in a workspace can be had
//! back.

use super::{Tools, lanes, seat::NOT_RECORDED};
use nexus_core::{Report, SeatId, SnapshotId, StepId, Task, TurnId};
use std::{sync::Arc, time::Duration};

/// How long stopping waits for a snapshot. It goes on in the background after that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sees to it that a turn which changes the workspace begins from a known content: undoes what
/// a lost conversation had begun, or remembers the content as the step's base. The error says
/// why the turn cannot begin.
pub(super) async fn prepare(tools: &Tools, task: &Arc<Task>, turn: TurnId) -> Result<(), String> {
    let Some(running) = task.turns.get(&turn) else {
        return Ok(());
    };
    let Some(step) = task.step(running.step) else {
        return Ok(());
    };
    let (id, seat) = (step.planned.id, running.seat);
    if let Some(to) = step.reset_to.clone() {
        let kept = put_back(tools, task, (turn, seat), &to).await?;
        let report = Report::WorkspaceReset { turn, to, kept };
        recorded(tools, task, report).await?;
    } else if step.base.is_none() {
        let name = base_ref(task, id, turn);
        let base = keep(tools, task, seat, name, "the base of a step").await?;
        recorded(tools, task, Report::BaseTaken { turn, base }).await?;
    }
    Ok(())
}

/// A base that is not on record is none: the agent must not begin on it.
async fn recorded(tools: &Tools, task: &Task, report: Report) -> Result<(), String> {
    let told = tools.inbox.tell(task.id, report).await;
    told.map(drop).ok_or_else(|| NOT_RECORDED.to_owned())
}

/// Keeps what an agent has done so far, before it is stopped.
pub(super) async fn before_stop(tools: &Tools, task: &Arc<Task>, turn: TurnId) {
    let Some(seat) = task.turns.get(&turn).map(|turn| turn.seat) else {
        return;
    };
    let name = format!("stop/{}/{turn}", task.id);
    let kept = keep(
        tools,
        task,
        seat,
        name,
        "as it was when its agent was stopped",
    );
    match tokio::time::timeout(PATIENCE, kept).await {
        Ok(Ok(snapshot)) => {
            tools
                .inbox
                .tell(task.id, Report::WorkKept { turn, snapshot })
                .await;
        }
        // The files themselves stay where they are; only the second copy is missing.
        Ok(Err(reason)) => tracing::warn!(task = %task.id, reason, "no snapshot before a stop"),
        Err(_) => tracing::warn!(task = %task.id, "the snapshot before a stop takes long"),
    }
}

async fn keep(
    tools: &Tools,
    task: &Arc<Task>,
    seat: SeatId,
    name: String,
    label: &'static str,
) -> Result<SnapshotId, String> {
    let (data, task) = (tools.options.data.clone(), Arc::clone(task));
    off_thread(move || {
        let (repository, workspace) = lanes::open(&data, &task, seat).map_err(text)?;
        let label = format!("{}: {label}", task.spec.name());
        let snapshot = workspace.snapshot(&label).map_err(text)?;
        repository.keep(&name, &snapshot.id).map_err(text)?;
        Ok(snapshot.id)
    })
    .await
}

/// Puts the workspace back to a snapshot and says under which one the rest is kept.
async fn put_back(
    tools: &Tools,
    task: &Arc<Task>,
    (turn, seat): (TurnId, SeatId),
    to: &SnapshotId,
) -> Result<SnapshotId, String> {
    let name = format!("undone/{}/{turn}", task.id);
    let kept = keep(
        tools,
        task,
        seat,
        name,
        "as a lost conversation had left it",
    )
    .await?;
    let (data, task, to) = (tools.options.data.clone(), Arc::clone(task), to.clone());
    off_thread(move || {
        let (repository, workspace) = lanes::open(&data, &task, seat).map_err(text)?;
        let tree = repository.tree_of(&to).map_err(text)?;
        workspace.restore(&tree).map_err(text)
    })
    .await?;
    Ok(kept)
}

fn base_ref(task: &Task, step: StepId, turn: TurnId) -> String {
    format!("step/{}/{step}-{turn}", task.id)
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
