//! What a turn changed, looked at by rules before anybody builds on it.

use super::{Tools, lanes};
use nexus_core::{
    Report, Task, TurnId,
    duties::{Work, review},
};
use nexus_workspace::PatchLimit;
use std::sync::Arc;

/// Looks at what the step of this turn has changed since it was begun, and tells it. That it
/// could not be looked at is no reason to lose the turn.
pub(super) async fn audit(tools: &Tools, task: &Arc<Task>, turn: TurnId) {
    let (data, of) = (tools.options.data.clone(), Arc::clone(task));
    let looked = tokio::task::spawn_blocking(move || look(&data, &of, turn));
    match looked.await {
        Ok(Ok(Some(report))) => {
            tools.inbox.tell(task.id, report).await;
        }
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(reason)) => tracing::warn!(task = %task.id, reason, "a change was not looked at"),
    }
}

fn look(data: &crate::DataDir, task: &Task, turn: TurnId) -> Result<Option<Report>, String> {
    let Some(running) = task.turns.get(&turn) else {
        return Ok(None);
    };
    let Some(step) = task.step(running.step) else {
        return Ok(None);
    };
    let Some(base) = &step.base else {
        return Ok(None);
    };
    let (repository, workspace) = lanes::open(data, task, running.seat).map_err(text)?;
    let label = format!("{}: {} is done", task.spec.name(), running.seat.title());
    let now = workspace.snapshot(&label).map_err(text)?;
    let base = repository.tree_of(base).map_err(text)?;
    let changes = repository.diff(&base, &now.tree).map_err(text)?;
    let patches = repository
        .file_patches(&base, &now.tree, PatchLimit::default())
        .map_err(text)?;
    let mut flags = review(&Work {
        role: running.role(),
        paths: &step.planned.paths,
        alphas: &task.alphas,
        patches: &patches,
    });
    // Both sides of a conflict were there when the step that mends it began, so what is left
    // of them is in no patch.
    if step.mends.is_some() {
        let paths = step.planned.paths.iter();
        let paths: Vec<_> = paths
            .filter_map(|path| nexus_core::ProjectPath::parse(path).ok())
            .collect();
        let left = repository.marks_in(&now.tree, &paths).map_err(text)?;
        flags.retain(|flag| flag.kind != nexus_core::FlagKind::ConflictMarks);
        flags.extend(left.into_iter().map(|path| nexus_core::Flag {
            kind: nexus_core::FlagKind::ConflictMarks,
            path,
            line: String::new(),
        }));
    }
    Ok(Some(Report::Audited {
        turn,
        changes,
        flags,
    }))
}

fn text(error: impl std::fmt::Display) -> String {
    format!("failed to {error}")
}
