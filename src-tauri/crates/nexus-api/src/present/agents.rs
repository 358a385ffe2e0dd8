//! The agent strip: what each seat does, over all tasks.

use super::{dollars, note, role, stage};
use crate::view::{AgentStateView, AgentView, StageStateView};
use nexus_core::{Phase, Role, Step, StepState, Task, Usage, Usd};
use std::sync::Arc;

/// Prime and the four agents, as the strip shows them.
pub fn agents(tasks: &[Arc<Task>]) -> Vec<AgentView> {
    std::iter::once(Role::Prime)
        .chain(Role::AGENTS)
        .map(|seat| agent(seat, tasks))
        .collect()
}

fn agent(seat: Role, tasks: &[Arc<Task>]) -> AgentView {
    let live = tasks.iter().filter(|task| task.holds_place());
    let steps = || {
        let all = live.clone();
        all.flat_map(|task| task.steps.iter().map(move |step| (task, step)))
            .filter(|(_, step)| step.planned.role == seat)
    };
    let usage = tasks
        .iter()
        .flat_map(|task| task.steps.iter().filter(|step| step.planned.role == seat))
        .fold(
            Usage {
                cost: Some(Usd::ZERO),
                ..Usage::default()
            },
            |sum, step| sum.plus(step.usage),
        );
    let busy = steps().find(|(_, step)| matches!(step.state, StepState::Running { .. }));
    let parked = steps().find(|(task, step)| stage(task, step) == StageStateView::Parked);
    let planning = live
        .clone()
        .find(|task| seat == Role::Prime && task.plan.is_none());
    let (state, note, task) = if let Some((task, step)) = busy {
        let starting = task
            .turns
            .values()
            .any(|t| t.role() == seat && !t.streaming);
        let state = if stage(task, step) == StageStateView::NeedsYou {
            AgentStateView::NeedsYou
        } else if !matches!(task.phase, Phase::Active) {
            AgentStateView::Stopping
        } else if starting {
            AgentStateView::Starting
        } else {
            AgentStateView::Working
        };
        (state, note(task), Some(task))
    } else if let Some((task, _)) = parked {
        (AgentStateView::Parked, note(task), Some(task))
    } else if let Some(task) = planning {
        (AgentStateView::Working, "planning".to_owned(), Some(task))
    } else {
        (AgentStateView::Idle, String::new(), None)
    };
    let waits = |(_, step): &(&Arc<Task>, &Step)| step.state == StepState::Waiting;
    AgentView {
        role: role(seat),
        name: seat.title().to_owned(),
        state,
        note,
        task_id: task.map(|task| task.id.uuid()),
        task_name: task.map(|task| task.spec.name()),
        cost_usd: dollars(usage.cost),
        tokens: usage.tokens(),
        queued: u32::try_from(steps().filter(waits).count()).unwrap_or(u32::MAX),
    }
}
