//! The shapes of what is printed.

use crate::terminal::{clean, line, say};
use clap::ValueEnum;
use nexus_api::view::*;
use serde_json::{Value, json};

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Ndjson,
}

/// A JSON value's text: how an enum of the wire is spelled.
pub(crate) fn spelled(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// A name people read.
pub(crate) fn role_title(role: RoleView) -> &'static str {
    match role {
        RoleView::Prime => "NEXUS Prime",
        RoleView::Aria => "Aria",
        RoleView::Code => "Code",
        RoleView::Alpha => "Alpha",
        RoleView::Beta => "Beta",
    }
}

/// Money as it is known.
pub(crate) fn money(cost: Option<f64>) -> String {
    match cost {
        None => "cost unknown".to_owned(),
        Some(cost) if cost > 0.0 && cost < 0.01 => format!("${cost:.4}"),
        Some(cost) => format!("${cost:.2}"),
    }
}

/// The one line that ends an `ndjson` run.
pub(crate) fn result_line(task: &TaskView) -> Value {
    let steps = task.steps.iter().map(|step| {
        json!({
            "id": step.id,
            "role": step.role,
            "state": step.state,
            "attempts": step.attempts,
            "cost_usd": step.cost_usd,
            "history": step.history,
        })
    });
    let checks = task.evidence.iter().flat_map(|run| &run.checks);
    let evidence =
        checks.map(|e| json!({ "command": e.command, "exit_code": e.exit_code, "tree": e.tree }));
    let files = task
        .files
        .iter()
        .map(|f| json!({ "path": f.path, "change": f.change }));
    json!({
        "type": "result",
        "task_id": task.card.id,
        "name": task.card.name,
        "state": task.card.state,
        "steps": steps.collect::<Vec<_>>(),
        "evidence": evidence.collect::<Vec<_>>(),
        "standing": task.card.standing,
        "files": files.collect::<Vec<_>>(),
        "cost_usd": task.card.cost_usd,
        "cost_at_least": task.card.at_least,
        "paused": task.card.paused,
        "hold": task.card.hold,
        "scratchpads": task.scratchpads,
        "failure": task.failure,
        "practice": task.card.team == TeamView::Practice,
    })
}

/// A change as `ndjson` lines; none for text that is still being written. A line about a step
/// carries the four facts of the attempt: `process`, `turn`, `claim` and `verified`.
pub(crate) fn change_lines(change: &ChangeView) -> Vec<Value> {
    let (kind, seq, task, items, state) = match change {
        ChangeView::Event {
            seq,
            task_id,
            item,
            card,
        } => (
            "change",
            seq,
            task_id,
            std::slice::from_ref(item),
            Some(card.state),
        ),
        ChangeView::Live {
            seq,
            task_id,
            items,
        } => ("live", seq, task_id, items.as_slice(), None),
        ChangeView::Thinking { .. } | ChangeView::Projects { .. } => return Vec::new(),
    };
    let shown = items
        .iter()
        .filter(|item| item.kind != TimelineKind::TextDelta);
    let line = |item: &TimelineItem| {
        let facts = item.facts.as_ref();
        json!({
            "type": kind,
            "seq": seq,
            "task_id": task,
            "state": state,
            "at": item.at,
            "kind": item.kind,
            "role": item.role,
            "step": item.step,
            "attempt": item.attempt,
            "turn_number": item.turn,
            "process": facts.map(|facts| &facts.process),
            "turn": facts.map(|facts| &facts.turn),
            "claim": facts.map(|facts| &facts.claim),
            "verified": facts.map(|facts| &facts.verified),
            "ok": item.ok,
            "text": item.text,
            "detail": item.detail,
        })
    };
    shown.map(line).collect()
}

/// A finished task, for people.
pub(crate) fn print_task(task: &TaskView) {
    let card = &task.card;
    let practice = if card.team == TeamView::Practice {
        "  [practice, no AI]"
    } else {
        ""
    };
    say(&format!(
        "{} {}: {}{practice}",
        card.name,
        clean(&card.title),
        spelled(card.state)
    ));
    if let Some(failure) = &task.failure {
        say(&format!("  {}", clean(failure)));
    }
    for step in &task.steps {
        let verdict = step
            .verdict
            .as_ref()
            .map(|v| format!(" · {v}"))
            .unwrap_or_default();
        say(&format!(
            "  {:<5} {:<9} {} attempt{}{verdict} · {}",
            role_title(step.role),
            spelled(step.state),
            step.attempts,
            if step.attempts == 1 { "" } else { "s" },
            money(step.cost_usd),
        ));
    }
    crate::commands::plan::print_course(task);
    if let Some(run) = &task.evidence {
        for check in &run.checks {
            say(&format!(
                "  check {}: exit code {}, {} ms, tree {}",
                check.command,
                check.exit_code,
                check.duration_ms,
                &check.tree[..check.tree.len().min(10)]
            ));
        }
        say(&format!("  {}", task.standing_text));
    }
    for file in &task.files {
        let lines = match (file.added, file.removed) {
            (Some(added), Some(removed)) => format!(" +{added} −{removed}"),
            _ => " binary".to_owned(),
        };
        say(&format!("  {} {}{lines}", file.change, clean(&file.path)));
    }
    for conflict in &task.conflicts {
        say(&format!("  not applied: {}", clean(conflict)));
    }
    let least = if card.at_least { "at least " } else { "" };
    say(&format!(
        "  {least}{} · {} tokens",
        money(card.cost_usd),
        card.tokens
    ));
    say(&format!("  scratchpads: {}", task.scratchpads));
    if card.state == TaskStateView::Review {
        say(&format!(
            "  next: nexus task diff {0} · nexus task accept {0} · nexus task discard {0}",
            card.name
        ));
    }
}

/// Tasks as a table, for people.
pub(crate) fn print_tasks(tasks: &[TaskCard]) {
    if tasks.is_empty() {
        say("no tasks yet: nexus execute --task \"…\" --project DIR");
        return;
    }
    for task in tasks {
        say(&format!(
            "{:<6} {:<10} {:<40} {:<20} {}",
            task.name,
            spelled(task.state),
            line(&task.title, 40),
            line(&task.project_name, 20),
            line(&task.note, 60),
        ));
    }
}
