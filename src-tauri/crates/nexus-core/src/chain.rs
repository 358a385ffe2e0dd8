//! Tasks after tasks: what one waits for, and what it is told of the work it waited for.

use crate::{ChangeKind, FileChange, Phase, Step, StepState, Task, TaskId, TaskState};
use std::fmt::{self, Write};

/// A task that another one waits for, because it is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    pub id: TaskId,
    /// `T-3`.
    pub name: String,
    pub title: String,
    pub state: TaskState,
    /// How it ended, when it did: then it is waited for in vain until the person has done
    /// something about it, or about the wait.
    pub ended: Option<String>,
}

impl Predecessor {
    pub(crate) fn of(task: &Task) -> Self {
        let ended = match &task.phase {
            Phase::Failed { failure } => Some(failure.message.clone()),
            Phase::Cancelled { reviewed: None } => Some("it was cancelled".to_owned()),
            Phase::Cancelled { reviewed: Some(_) } => Some("its change was discarded".to_owned()),
            Phase::Backlog
            | Phase::Queued
            | Phase::Active
            | Phase::Paused { .. }
            | Phase::Review { .. }
            | Phase::Accepting { .. }
            | Phase::Done => None,
        };
        Self {
            id: task.id,
            name: task.spec.name(),
            title: task.spec.title.clone(),
            state: task.state(),
            ended,
        }
    }
}

impl fmt::Display for Predecessor {
    /// `T-3 (failed)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.state)
    }
}

/// What a task was told of one that it waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedContext {
    pub from: TaskId,
    /// `T-3`.
    pub name: String,
    /// See [`handed_over`].
    pub text: String,
}

/// The most that one task is told of another, in bytes.
pub const HANDED_OVER_LIMIT: usize = 8 * 1024;

/// How many changed files are named.
const FILES_NAMED: usize = 40;

/// What a task hands over to those that wait for it: its title, the files it changed, what its
/// agents say of their steps, and what they delivered; the latest first, so that the earliest is
/// cut off when it is more than [`HANDED_OVER_LIMIT`].
pub fn handed_over(predecessor: &Task) -> String {
    let mut text = format!("{}\n", predecessor.spec.title);
    if !predecessor.changes.is_empty() {
        let _ = writeln!(text, "Changed files: {}", named(&predecessor.changes));
    }
    let done = |step: &&Step| step.state == StepState::Done;
    let steps = predecessor.steps.iter().rev().filter(done);
    let results = steps.filter_map(|step| Some((step, step.result.as_deref()?)));
    for (step, result) in results.clone() {
        let (kind, role) = (step.planned.kind.name(), step.planned.role.title());
        let _ = writeln!(text, "\n{role} ({kind}): {}", result.summary);
    }
    for (step, result) in results.filter(|(_, result)| !result.deliverables.is_empty()) {
        let deliverables = serde_json::to_string_pretty(&result.deliverables).unwrap_or_default();
        let role = step.planned.role.title();
        let _ = writeln!(text, "\nDelivered by {role}:\n{deliverables}");
    }
    bounded(text)
}

fn named(changes: &[FileChange]) -> String {
    let name = |change: &FileChange| {
        let what = match change.change {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
        };
        format!("{} ({what})", change.path)
    };
    let mut names: Vec<_> = changes.iter().take(FILES_NAMED).map(name).collect();
    if changes.len() > FILES_NAMED {
        names.push(format!("and {} more", changes.len() - FILES_NAMED));
    }
    names.join(", ")
}

fn bounded(mut text: String) -> String {
    const CUT: &str = "\n(cut off here)";
    if text.len() > HANDED_OVER_LIMIT {
        text.truncate(text.floor_char_boundary(HANDED_OVER_LIMIT - CUT.len()));
        text.push_str(CUT);
    }
    text
}
