//! NEXUS Prime at work: a plan for a wish, and a ruling where the rules do not suffice.

use super::Tools;
use crate::{Change, dispatcher::now};
use nexus_agent::{Case, NoPlan, PlanBrief, Planner, Thinks};
use nexus_core::{
    PlannerKind, PrimePurpose, Report, StepState, Task, Terms, TurnId, Usage, Workspace,
};
use nexus_workspace::recent_subjects;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

/// How many words of a model wait to be shown before more of them are dropped.
const WORDS_IN_LINE: usize = 256;

/// How many commits of the project's history a planner is told.
const HISTORY: usize = 20;

/// Asks the planner of the task.
pub(super) async fn plan(tools: &Tools, task: &Arc<Task>) {
    let report = match planner(tools, task) {
        Some(planner) => {
            let brief = brief(task).await;
            let thinks = show_thinking(tools, task);
            match planner.plan(&brief, &thinks).await {
                Ok(planned) => {
                    let used = (planned.model, planned.calls, planned.usage);
                    tell_use(tools, task, PrimePurpose::Plan, used).await;
                    Report::Planned(planned.plan)
                }
                Err(no_plan) => {
                    tell_waste(tools, task, PrimePurpose::Plan, &no_plan).await;
                    Report::PlannerFailed {
                        reason: no_plan.reason,
                    }
                }
            }
        }
        None => Report::PlannerFailed {
            reason: "no planner is set up".to_owned(),
        },
    };
    tools.inbox.tell(task.id, report).await;
}

/// Asks what becomes of the step that a turn handed in.
pub(super) async fn judge(tools: &Tools, task: &Arc<Task>, turn: TurnId) {
    let Some(case) = case(task, turn) else { return };
    let report = match planner(tools, task) {
        Some(planner) => {
            let thinks = show_thinking(tools, task);
            match planner.judge(&case, &thinks).await {
                Ok(judged) => {
                    let used = (judged.model, judged.calls, judged.usage);
                    tell_use(tools, task, PrimePurpose::Judgement, used).await;
                    Report::Judged {
                        turn,
                        ruling: judged.ruling,
                        reason: judged.reason,
                    }
                }
                Err(no_plan) => {
                    tell_waste(tools, task, PrimePurpose::Judgement, &no_plan).await;
                    Report::JudgeFailed {
                        turn,
                        reason: no_plan.reason,
                    }
                }
            }
        }
        None => Report::JudgeFailed {
            turn,
            reason: "no planner is set up".to_owned(),
        },
    };
    tools.inbox.tell(task.id, report).await;
}

fn planner(tools: &Tools, task: &Task) -> Option<Arc<dyn Planner>> {
    let backends = &tools.options.backends;
    match task.spec.planner {
        PlannerKind::Openai => backends.planner.clone(),
        PlannerKind::Claude => Some(Arc::new(nexus_agent::ClaudePlanner::new(
            backends.of(task.spec.team),
        ))),
        PlannerKind::Standard => None,
    }
}

async fn brief(task: &Task) -> PlanBrief {
    let folder = PathBuf::from(&task.spec.folder);
    let of = folder.clone();
    let history = tokio::task::spawn_blocking(move || recent_subjects(&of, HISTORY)).await;
    let prepared = task.workspace.prepared();
    let checks = prepared.map(|prepared| &prepared.checks);
    PlanBrief {
        title: task.spec.title.clone(),
        wish: task.spec.text.clone(),
        workspace: workspace(task),
        checks: checks
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect(),
        checklist: task.spec.terms.checklist.clone(),
        seats: task.spec.terms.seats.unwrap_or(Terms::SEATS),
        history: history.unwrap_or_default(),
        folder,
    }
}

/// The task's copy of the project, where it is there.
fn workspace(task: &Task) -> Option<PathBuf> {
    match &task.workspace {
        Workspace::Ready(prepared) => Some(PathBuf::from(&prepared.path)),
        Workspace::NotMade | Workspace::Leaving(_) | Workspace::Dropped { .. } => None,
    }
}

/// What Prime is told of a step that was handed in.
fn case(task: &Task, turn: TurnId) -> Option<Case> {
    let step = task.step(*task.turn_steps.get(&turn)?)?;
    let result = step.result.as_deref().cloned().unwrap_or_default();
    let done = task
        .steps
        .iter()
        .filter(|step| step.state == StepState::Done);
    Some(Case {
        wish: task.spec.text.clone(),
        workspace: workspace(task),
        plan: task.steps.iter().map(|step| step.planned.clone()).collect(),
        done: done.map(|step| step.planned.id).collect(),
        step: step.planned.id,
        doubts: task.doubts(step, &result, step.structured),
        feedback_left: nexus_core::MAX_SENT_BACK.saturating_sub(step.sent_back),
        result,
    })
}

/// Shows what the model says while it says it. Nobody waits for those who watch.
fn show_thinking(tools: &Tools, task: &Arc<Task>) -> Thinks {
    let (thinks, mut words) = mpsc::channel::<String>(WORDS_IN_LINE);
    let (tools, task) = (tools.clone(), Arc::clone(task));
    tokio::spawn(async move {
        while let Some(text) = words.recv().await {
            let seq = tools.shared.seq();
            tools.hub.publish(Change::Thinking {
                seq,
                at: now(),
                task: Arc::clone(&task),
                text,
            });
        }
    });
    thinks
}

async fn tell_use(
    tools: &Tools,
    task: &Task,
    purpose: PrimePurpose,
    (model, calls, usage): (String, u32, Usage),
) {
    let report = Report::PrimeAsked {
        purpose,
        model,
        calls,
        usage,
    };
    tools.inbox.tell(task.id, report).await;
}

/// What was asked in vain was used all the same.
async fn tell_waste(tools: &Tools, task: &Task, purpose: PrimePurpose, no_plan: &NoPlan) {
    if no_plan.calls > 0 {
        let used = ("a model".to_owned(), no_plan.calls, no_plan.usage);
        tell_use(tools, task, purpose, used).await;
    }
}
