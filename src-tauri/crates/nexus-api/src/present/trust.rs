//! What the person allowed, what is asked of them, and the conversations that are kept.

use super::{approval, dollars, role, time};
use crate::view::*;
use nexus_core::{Floor, RuleScope, Task};
use std::sync::Arc;

/// Every open question, oldest first.
pub fn approvals(tasks: &[Arc<Task>]) -> Vec<ApprovalView> {
    let open = tasks.iter().flat_map(|task| {
        let questions = task.approvals.values();
        questions.map(|asked| approval(task, asked))
    });
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|asked| asked.asked_at);
    open
}

/// Everything that was allowed for longer than once.
pub fn allowed(floor: &Floor, tasks: &[Arc<Task>]) -> AllowedView {
    let project_name = |scope: RuleScope| match scope {
        RuleScope::Project { project } => floor
            .projects
            .get(&project)
            .map(|project| project.name.clone()),
        RuleScope::Always => None,
    };
    let rules = floor.rules.values().map(|rule| RuleView {
        id: rule.id.0,
        scope: match rule.scope {
            RuleScope::Project { .. } => RuleScopeView::Project,
            RuleScope::Always => RuleScopeView::Always,
        },
        project_name: project_name(rule.scope),
        digest: rule.digest.clone(),
        tool: rule.tool.clone(),
        object: rule.object.clone(),
        made_at: time(rule.made_at),
    });
    AllowedView {
        rules: rules.collect(),
        grants: tasks.iter().flat_map(|task| grants(task)).collect(),
    }
}

/// What was allowed for the rest of a task.
pub(super) fn grants(task: &Task) -> Vec<GrantView> {
    let grants = task.allowed.iter().map(|grant| GrantView {
        task_id: task.id.uuid(),
        task_name: task.spec.name(),
        digest: grant.digest.clone(),
        tool: grant.tool.clone(),
        object: grant.object.clone(),
        made_at: time(grant.made_at),
    });
    grants.collect()
}

/// The conversations of all tasks.
pub fn sessions(tasks: &[Arc<Task>]) -> Vec<SessionView> {
    tasks.iter().flat_map(|task| sessions_of(task)).collect()
}

/// The conversations of one task, in the order of the pipeline.
pub(super) fn sessions_of(task: &Task) -> Vec<SessionView> {
    let sessions = task.sessions.iter().map(|(seat, session)| {
        let process = task.processes.get(&session.id);
        SessionView {
            id: session.id.uuid(),
            task_id: task.id.uuid(),
            task_name: task.spec.name(),
            role: role(seat.role),
            seat: seat.title(),
            state: match (process, session.begun) {
                (Some(_), _) => SessionStateView::Live,
                (None, true) => SessionStateView::Parked,
                (None, false) => SessionStateView::Fresh,
            },
            generation: session.generation,
            turns: session.turns,
            tokens: session.used.tokens(),
            cost_usd: dollars(session.used.cost),
            used_at: session.used_at.map(time),
            idle_timeout_seconds: seat.role.session_timeout().as_secs(),
            pid: process.and_then(|process| process.pid),
        }
    });
    sessions.collect()
}
