//! From the core's values to what is shown: no state, no decision, only words and shapes.

use crate::view::*;
use chrono::{DateTime, Utc};
use nexus_core::{
    Approval, ChangeKind, CheckRun, CheckTime, Command, Effect, Event, Evidence, FailureKind,
    FileChange, Message, Permissions, Phase, PlannerKind, Project, Question, Role, Severity,
    Standing, Step, StepResult, StepState, Task, TaskState, Team, Timestamp, ToolRequest,
    TurnUpdate, Usage, Usd, Verdict, Workspace, scratchpad,
};
use nexus_engine::{Change, DataDir, FolderFacts, TimelineEntry};
use std::{collections::BTreeMap, sync::Arc};

/// A moment as the wire has it.
pub fn time(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.as_millis()).unwrap_or(DateTime::UNIX_EPOCH)
}

fn dollars(cost: Option<Usd>) -> Option<f64> {
    cost.map(Usd::as_dollars)
}

/// A seat as the wire has it.
pub fn role(role: Role) -> RoleView {
    match role {
        Role::Prime => RoleView::Prime,
        Role::Aria => RoleView::Aria,
        Role::Code => RoleView::Code,
        Role::Alpha => RoleView::Alpha,
        Role::Beta => RoleView::Beta,
    }
}

fn state(state: TaskState) -> TaskStateView {
    match state {
        TaskState::Backlog => TaskStateView::Backlog,
        TaskState::Planning => TaskStateView::Planning,
        TaskState::Working => TaskStateView::Working,
        TaskState::NeedsYou => TaskStateView::NeedsYou,
        TaskState::Review => TaskStateView::Review,
        TaskState::Done => TaskStateView::Done,
        TaskState::Paused => TaskStateView::Paused,
        TaskState::Failed => TaskStateView::Failed,
        TaskState::Cancelled => TaskStateView::Cancelled,
    }
}

fn standing(standing: Standing) -> StandingView {
    match standing {
        Standing::NoChecks => StandingView::NoChecks,
        Standing::Green => StandingView::Green,
        Standing::BrokenByUs => StandingView::BrokenByUs,
        Standing::RedBefore => StandingView::RedBefore,
    }
}

fn team(team: Team) -> TeamView {
    match team {
        Team::Claude => TeamView::Claude,
        Team::Practice => TeamView::Practice,
    }
}

fn permissions(permissions: Permissions) -> PermissionsView {
    match permissions {
        Permissions::Ask => PermissionsView::Ask,
        Permissions::Workspace => PermissionsView::Workspace,
        Permissions::All => PermissionsView::All,
    }
}

/// A project.
pub fn project(project: &Project, trusted: bool) -> ProjectView {
    ProjectView {
        id: project.id.uuid(),
        name: project.name.clone(),
        path: project.path.clone(),
        trusted,
        practice: project.practice,
    }
}

/// All projects of a floor.
pub fn projects(floor: &nexus_core::Floor) -> Vec<ProjectView> {
    let known = floor.projects.values();
    known
        .map(|p| project(p, floor.trusted.contains_key(&p.id)))
        .collect()
}

/// What was found in a folder.
pub fn folder(facts: &FolderFacts) -> FolderView {
    let mut warnings = Vec::new();
    if facts.checks.is_empty() {
        warnings.push(
            "NEXUS found no checks here, so nothing will be proved about a change. Name some in .nexus/config.toml under [checks]".to_owned(),
        );
    }
    FolderView {
        path: facts.folder.path.to_string_lossy().into_owned(),
        name: facts.folder.name.clone(),
        git: facts.folder.is_git,
        trusted: facts.trusted,
        checks: facts.checks.iter().map(ToString::to_string).collect(),
        checks_from: if facts.checks_configured {
            ".nexus/config.toml"
        } else {
            "detected"
        }
        .into(),
        setup: facts.setup.command.as_ref().map(ToString::to_string),
        copied: facts.setup.copy.iter().map(ToString::to_string).collect(),
        instructions: facts.instructions.clone(),
        warnings,
    }
}

/// A task as a card.
pub fn card(task: &Task) -> TaskCard {
    let usage = task.usage();
    let reviewed = task.evidence.is_some();
    let lines = |pick: fn(&nexus_core::LineCount) -> u32| {
        reviewed.then(|| {
            task.changes
                .iter()
                .filter_map(|c| c.lines.as_ref())
                .map(pick)
                .sum()
        })
    };
    TaskCard {
        id: task.id.uuid(),
        name: task.spec.name(),
        title: task.spec.title.clone(),
        project_id: task.spec.project.uuid(),
        project_name: task.spec.project_name.clone(),
        state: state(task.state()),
        team: team(task.spec.team),
        note: note(task),
        active_role: active_role(task).map(role),
        stages: stages(task),
        question: task.approvals.values().next().map(|a| approval(task, a)),
        tokens: usage.tokens(),
        cost_usd: dollars(usage.cost),
        budget_usd: dollars(task.budget),
        created_at: time(task.created_at),
        started_at: task.started_at.map(time),
        updated_at: time(task.updated_at),
        ended_at: task.ended_at.map(time),
        files_changed: reviewed.then(|| u32::try_from(task.changes.len()).unwrap_or(u32::MAX)),
        lines_added: lines(|l| l.added),
        lines_removed: lines(|l| l.removed),
        standing: task.standing().map(standing),
        actions: actions(task),
    }
}

/// The orders the task would follow now, asked of the task itself.
fn actions(task: &Task) -> Vec<ActionView> {
    let now = task.updated_at;
    let request = Command::RequestChanges {
        text: "?".to_owned(),
    };
    let orders = [
        (ActionView::Start, Command::Start),
        (ActionView::Pause, Command::Pause),
        (ActionView::Resume, Command::Resume),
        (ActionView::Cancel, Command::Cancel),
        (ActionView::Accept, Command::Accept { although_red: true }),
        (ActionView::RequestChanges, request),
        (ActionView::Discard, Command::Discard),
        (ActionView::Restore, Command::Restore),
    ];
    orders
        .into_iter()
        .filter(|(action, command)| {
            // In review cancelling is called discarding.
            let doubled =
                *action == ActionView::Cancel && matches!(task.phase, Phase::Review { .. });
            !doubled && task.decide(command, now).is_ok()
        })
        .map(|(action, _)| action)
        .collect()
}

fn active_role(task: &Task) -> Option<Role> {
    let asking = task.approvals.values().next().map(|approval| approval.role);
    asking.or_else(|| task.turns.values().next().map(|turn| turn.role))
}

/// Why the task is where it is, or what happens in it, in a few words.
fn note(task: &Task) -> String {
    match &task.phase {
        Phase::Backlog => String::new(),
        Phase::Queued => "waits for a free place".to_owned(),
        Phase::Active => active_note(task),
        Phase::Paused { .. } | Phase::Cancelled { .. } | Phase::Failed { .. }
            if !task.turns.is_empty() =>
        {
            "stopping…".to_owned()
        }
        Phase::Paused {
            why: nexus_core::PauseReason::Person,
        } => "paused by you".to_owned(),
        Phase::Paused {
            why: nexus_core::PauseReason::Budget,
        } => format!(
            "cost cap of {} reached: raise it and resume",
            task.budget.unwrap_or_default()
        ),
        Phase::Review {
            problem: Some(problem),
            ..
        } => problem.clone(),
        Phase::Review { conflicts, .. } if !conflicts.is_empty() => {
            format!("not applied: {}", conflicts.join(", "))
        }
        Phase::Review {
            verdict_failed: true,
            ..
        } => "Beta says fail".to_owned(),
        Phase::Review { .. } if task.changes.is_empty() => "changed no file".to_owned(),
        Phase::Review { .. } => task
            .standing()
            .map(|s| s.describe().to_owned())
            .unwrap_or_default(),
        Phase::Accepting { .. } => "applying…".to_owned(),
        Phase::Done => "applied".to_owned(),
        Phase::Failed { failure } => failure.message.clone(),
        Phase::Cancelled { reviewed: Some(_) } => "discarded".to_owned(),
        Phase::Cancelled { reviewed: None } => "cancelled".to_owned(),
    }
}

fn active_note(task: &Task) -> String {
    if let Some(approval) = task.approvals.values().next() {
        return question_text(approval);
    }
    if let Some(turn) = task.turns.values().next() {
        let step = task.step(turn.step);
        let progress = step.and_then(|step| step.progress.clone());
        let kind = step.map_or("work", |step| step.planned.kind.name());
        return progress.unwrap_or_else(|| {
            let doing = if turn.streaming {
                "at work on"
            } else {
                "starting"
            };
            format!("{doing} the {kind}")
        });
    }
    let parked = task.steps.iter().find_map(|step| match step.state {
        StepState::Parked { until } => Some(format!("usage limit: goes on at {until}")),
        StepState::Backoff { until } => Some(format!(
            "{}; tries again at {until}",
            step.trouble.as_deref().unwrap_or("failed")
        )),
        StepState::Waiting
        | StepState::Running { .. }
        | StepState::Done
        | StepState::Failed
        | StepState::Cancelled => None,
    });
    if let Some(parked) = parked {
        return parked;
    }
    let running = task.owed().into_iter().find_map(|effect| match effect {
        Effect::PrepareWorkspace => Some("copying the project"),
        Effect::MakePlan => Some("planning"),
        Effect::RunSetup => Some("setting the copy up"),
        Effect::RunChecks {
            time: CheckTime::Baseline,
        } => Some("running the checks before the work"),
        Effect::RunChecks {
            time: CheckTime::After { .. },
        } => Some("running the checks"),
        Effect::RestoreWorkspace { .. } => Some("restoring the workspace"),
        Effect::WarmSession { .. }
        | Effect::RunTurn { .. }
        | Effect::PlanApply
        | Effect::Apply { .. }
        | Effect::DropWorkspace => None,
    });
    running.unwrap_or("waiting").to_owned()
}

fn stages(task: &Task) -> Vec<StageView> {
    let roles = Role::AGENTS.into_iter().map(|seat| {
        let steps = task.steps.iter().filter(|step| step.planned.role == seat);
        let state = steps
            .map(|step| stage(task, step))
            .max_by_key(|s| weight(*s));
        StageView {
            role: role(seat),
            state: state.unwrap_or(StageStateView::Waiting),
        }
    });
    roles.collect()
}

/// Which of several steps of a seat its monogram shows.
fn weight(state: StageStateView) -> u8 {
    match state {
        StageStateView::NeedsYou => 7,
        StageStateView::Running => 6,
        StageStateView::Parked => 5,
        StageStateView::Failed => 4,
        StageStateView::Waiting => 3,
        StageStateView::Cancelled => 2,
        StageStateView::Skipped => 1,
        StageStateView::Done => 0,
    }
}

fn stage(task: &Task, step: &Step) -> StageStateView {
    match step.state {
        StepState::Waiting => StageStateView::Waiting,
        StepState::Running { turn } => {
            let asks = task
                .approvals
                .values()
                .any(|approval| approval.turn == Some(turn));
            if asks {
                StageStateView::NeedsYou
            } else {
                StageStateView::Running
            }
        }
        StepState::Backoff { .. } | StepState::Parked { .. } => StageStateView::Parked,
        StepState::Done => StageStateView::Done,
        StepState::Failed => StageStateView::Failed,
        StepState::Cancelled => StageStateView::Cancelled,
    }
}

/// A question.
pub fn approval(task: &Task, approval: &Approval) -> ApprovalView {
    let (kind, detail, why, options) = match &approval.question {
        Question::Tool { request, why } => (
            QuestionKindView::Tool,
            tool_detail(request),
            why.clone(),
            Vec::new(),
        ),
        Question::Open { question, options } => (
            QuestionKindView::Open,
            question.clone(),
            String::new(),
            options.clone(),
        ),
        Question::RoundsUsedUp { findings, .. } => (
            QuestionKindView::Rounds,
            findings.join("\n"),
            String::new(),
            Vec::new(),
        ),
    };
    ApprovalView {
        id: approval.id.uuid(),
        task_id: task.id.uuid(),
        role: role(approval.role),
        asked_at: time(approval.asked_at),
        kind,
        text: question_text(approval),
        detail,
        why,
        options,
    }
}

fn question_text(approval: &Approval) -> String {
    let who = approval.role.title();
    match &approval.question {
        Question::Tool { request, .. } => match request.tool.as_str() {
            "Bash" => format!("{who} wants to run: {}", one_line(request.object())),
            tool => format!("{who} wants to use {tool}: {}", one_line(request.object())),
        },
        Question::Open { question, .. } => format!("{who} asks: {}", one_line(question)),
        Question::RoundsUsedUp { rounds, .. } => {
            format!("{who} still says fail after {rounds} rounds. Go on, or leave it as it is?")
        }
    }
}

/// Everything that would happen, whole.
fn tool_detail(request: &ToolRequest) -> String {
    if request.tool == "Bash" {
        return request.object().to_owned();
    }
    serde_json::to_string_pretty(&request.input).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A task with everything its page shows.
pub fn task(task: &Task, data: &DataDir) -> TaskView {
    let (conflicts, problem) = match &task.phase {
        Phase::Review {
            conflicts, problem, ..
        } => (conflicts.clone(), problem.clone()),
        Phase::Failed { failure } => (Vec::new(), Some(failure.message.clone())),
        Phase::Backlog
        | Phase::Queued
        | Phase::Active
        | Phase::Paused { .. }
        | Phase::Accepting { .. }
        | Phase::Done
        | Phase::Cancelled { .. } => (Vec::new(), None),
    };
    let workspace = match &task.workspace {
        Workspace::Ready(prepared) => Some(prepared.path.clone()),
        Workspace::NotMade | Workspace::Dropped { .. } => None,
    };
    let last = task
        .steps
        .iter()
        .rev()
        .find_map(|step| step.result.as_deref());
    TaskView {
        card: card(task),
        text: task.spec.text.clone(),
        folder: task.spec.folder.clone(),
        workspace,
        scratchpads: data.scratchpads(task.id).to_string_lossy().into_owned(),
        planner: match task.spec.planner {
            PlannerKind::Standard => PlannerView::Standard,
            PlannerKind::Openai => PlannerView::Openai,
        },
        permissions: permissions(task.spec.permissions),
        not_contained: task.spec.permissions == Permissions::All,
        steps: task.steps.iter().map(|s| step(task, s)).collect(),
        baseline: task.baseline.as_deref().map(check_run),
        evidence: task.evidence.as_deref().map(check_run),
        standing_text: task
            .standing()
            .map_or("not checked yet", Standing::describe)
            .to_owned(),
        files: task.changes.iter().map(file).collect(),
        questions: task.approvals.values().map(|a| approval(task, a)).collect(),
        conflicts,
        failure: problem,
        failure_kind: match &task.phase {
            Phase::Failed { failure } => Some(failure_kind(failure.kind).to_owned()),
            Phase::Backlog
            | Phase::Queued
            | Phase::Active
            | Phase::Paused { .. }
            | Phase::Review { .. }
            | Phase::Accepting { .. }
            | Phase::Done
            | Phase::Cancelled { .. } => None,
        },
        verdict_failed: matches!(
            task.phase,
            Phase::Review {
                verdict_failed: true,
                ..
            }
        ),
        stuck_unasked: task.stuck_unasked(),
        summary: last.map(|result| result.summary.clone()),
        round: task.round,
        max_rounds: nexus_core::MAX_ROUNDS + task.extra_rounds + 1,
    }
}

fn failure_kind(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Project => "project",
        FailureKind::Provider => "provider",
        FailureKind::Environment => "environment",
        FailureKind::Agent => "agent",
    }
}

/// Messages, oldest first.
pub fn messages(task: &Task) -> Vec<MessageView> {
    task.messages.iter().map(|m| message(m)).collect()
}

fn step(task: &Task, step: &Step) -> StepView {
    let result = step.result.as_deref();
    let findings = result.map(|r| r.findings.as_slice()).unwrap_or_default();
    StepView {
        id: step.planned.id.0,
        role: role(step.planned.role),
        kind: step.planned.kind.name().to_owned(),
        title: step.planned.title.clone(),
        state: stage(task, step),
        attempts: step.attempts,
        tokens: step.usage.tokens(),
        cost_usd: dollars(step.usage.cost),
        duration_ms: step.duration_ms,
        summary: result.map(|result| result.summary.clone()),
        structured: step.structured,
        verdict: result
            .and_then(|r| r.verdict)
            .map(|verdict| verdict_name(verdict).to_owned()),
        findings: findings.iter().map(finding).collect(),
        progress: step.progress.clone(),
        trouble: step.trouble.clone(),
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
    }
}

fn finding(finding: &nexus_core::Finding) -> FindingView {
    FindingView {
        problem: finding.problem.clone(),
        location: finding.location.clone(),
        severity: match finding.severity {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
        .to_owned(),
        suggestion: finding.suggestion.clone(),
    }
}

fn check_run(run: &CheckRun) -> CheckRunView {
    CheckRunView {
        tree: run.tree.to_string(),
        checks: run.evidence.iter().map(evidence).collect(),
    }
}

fn evidence(evidence: &Evidence) -> EvidenceView {
    EvidenceView {
        command: evidence.command.to_string(),
        ok: evidence.end.is_success(),
        exit_code: evidence.end.code(),
        output_sha256: evidence.output_sha256.clone(),
        output_tail: evidence.output_tail.clone(),
        tree: evidence.tree.to_string(),
        started_at: time(evidence.started_at),
        duration_ms: evidence.duration_ms,
    }
}

fn file(change: &FileChange) -> FileChangeView {
    FileChangeView {
        path: change.path.to_string(),
        change: change_name(change.change).to_owned(),
        added: change.lines.map(|lines| lines.added),
        removed: change.lines.map(|lines| lines.removed),
    }
}

fn change_name(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "modified",
        ChangeKind::Deleted => "deleted",
    }
}

fn message(message: &Message) -> MessageView {
    let (kind, to, structured) = match message {
        Message::Assignment(m) => ("assignment", m.to.agent_id.clone(), true),
        Message::Response(m) => ("response", "nexus_prime".to_owned(), m.structured),
        Message::Note(m) => ("note", format!("{:?}", m.to).to_lowercase(), true),
    };
    MessageView {
        id: message.id().to_string(),
        at: time(message.timestamp()),
        from: message.from().agent_id.clone(),
        to,
        kind: kind.to_owned(),
        text: scratchpad::body(message),
        structured,
        json: serde_json::to_value(message).unwrap_or_default(),
    }
}

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
    let parked = steps().find(|(_, step)| {
        matches!(
            step.state,
            StepState::Parked { .. } | StepState::Backoff { .. }
        )
    });
    let planning = live
        .clone()
        .find(|task| seat == Role::Prime && task.plan.is_none());
    let (state, note, task) = if let Some((task, step)) = busy {
        let state = match stage(task, step) {
            StageStateView::NeedsYou => AgentStateView::NeedsYou,
            _ if !matches!(task.phase, Phase::Active) => AgentStateView::Stopping,
            _ if task.turns.values().any(|t| t.role == seat && !t.streaming) => {
                AgentStateView::Starting
            }
            _ => AgentStateView::Working,
        };
        (state, note_of(task), Some(task))
    } else if let Some((task, _)) = parked {
        (AgentStateView::Parked, note_of(task), Some(task))
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

fn note_of(task: &Task) -> String {
    note(task)
}

/// A change as the wire has it.
pub fn change(change: &Change) -> ChangeView {
    match change {
        Change::Fact {
            seq,
            at,
            task,
            event,
        } => ChangeView::Event {
            seq: *seq,
            task_id: task.id.uuid(),
            item: fact(*seq, *at, event, &roles(task)),
            card: Box::new(card(task)),
        },
        Change::Floor { seq, floor } => ChangeView::Projects {
            seq: *seq,
            projects: projects(floor),
        },
        Change::Live { seq, at, live } => {
            let id = match live.line {
                Some(line) => format!("t{}.{line}", live.turn),
                None => format!("t{}.live", live.turn),
            };
            let mut item = shown(id, *at, live.turn.0, &live.update);
            item.role = Some(role(live.role));
            item.step = Some(live.step.0);
            ChangeView::Live {
                seq: *seq,
                task_id: live.task.uuid(),
                items: vec![item],
            }
        }
    }
}

/// Who takes which step.
type Seats = BTreeMap<u32, Role>;

fn roles(task: &Task) -> Seats {
    task.steps
        .iter()
        .map(|step| (step.planned.id.0, step.planned.role))
        .collect()
}

/// A task's past as lines.
pub fn timeline(task: &Task, entries: &[TimelineEntry]) -> Vec<TimelineItem> {
    let seats = roles(task);
    let mut turns: BTreeMap<u32, u32> = BTreeMap::new();
    for entry in entries {
        if let TimelineEntry::Fact { event, .. } = entry
            && let Event::StepStarted { step, turn, .. } = event.as_ref()
        {
            turns.insert(turn.0, step.0);
        }
    }
    let line = |entry: &TimelineEntry| {
        let mut item = match entry {
            TimelineEntry::Fact { seq, at, event } => fact(*seq, *at, event, &seats),
            TimelineEntry::Shown {
                turn,
                line,
                at,
                update,
                ..
            } => shown(format!("t{turn}.{line}"), *at, turn.0, update),
        };
        item.step = item.step.or_else(|| turns.get(&item.turn?).copied());
        item.role = item
            .role
            .or_else(|| seats.get(&item.step?).copied().map(role));
        item
    };
    entries.iter().map(line).collect()
}

fn fact(seq: u64, at: Timestamp, event: &Event, seats: &Seats) -> TimelineItem {
    let mut item = TimelineItem {
        id: format!("e{seq}"),
        at: time(at),
        role: None,
        step: None,
        turn: None,
        kind: TimelineKind::Fact,
        text: String::new(),
        detail: None,
        ok: None,
        call: None,
    };
    match event {
        Event::TaskCreated { .. } => item.text = "Task created".into(),
        Event::TaskQueued => item.text = "Waits for a free place".into(),
        Event::TaskStarted => item.text = "Started".into(),
        Event::PlanMade { plan } => {
            item.role = Some(RoleView::Prime);
            item.text = format!("Plan made: {} steps", plan.steps().len());
            let titles: Vec<_> = plan
                .steps()
                .iter()
                .map(|s| format!("{}. {}", s.id, s.title))
                .collect();
            item.detail = Some(titles.join("\n"));
        }
        Event::PlannerFailed { reason } => {
            item.role = Some(RoleView::Prime);
            item.ok = Some(false);
            item.text =
                format!("The planner could not plan ({reason}); the standard pipeline is used");
        }
        Event::WorkspacePrepared { workspace } => {
            item.text = format!("Copied the project: {} files", workspace.files);
            item.detail = (!workspace.notes.is_empty()).then(|| workspace.notes.join("\n"));
        }
        Event::SetupRan { evidence } => {
            check_line(&mut item, "Set-up", std::slice::from_ref(evidence))
        }
        Event::ChecksRan { run, .. } => {
            let when = match run.time {
                CheckTime::Baseline => "Checks before the work",
                CheckTime::After { .. } => "Checks after the work",
            };
            check_line(&mut item, when, &run.evidence);
        }
        Event::StepStarted {
            step,
            turn,
            attempt,
            round,
            ..
        } => {
            item.step = Some(step.0);
            item.turn = Some(turn.0);
            item.text = match (*attempt, *round) {
                (1, 1) => "Begins".to_owned(),
                (attempt, 1) => format!("Tries again (attempt {attempt})"),
                (attempt, round) => format!("Round {round}, attempt {attempt}"),
            };
        }
        Event::TurnStreaming { turn } => {
            item.turn = Some(turn.0);
            item.text = "At work".into();
        }
        Event::MessagePosted { message: posted } => {
            item.kind = TimelineKind::Message;
            item.role = posted.from().role().map(role);
            let view = message(posted);
            item.text = format!("Message to {}", view.to);
            item.detail = Some(view.text);
        }
        Event::ProgressReported { turn, note } => {
            item.turn = Some(turn.0);
            item.text.clone_from(note);
        }
        Event::ResultSubmitted { turn, result } => {
            item.turn = Some(turn.0);
            result_line(&mut item, result);
        }
        Event::ApprovalRequested { approval } => {
            item.kind = TimelineKind::Question;
            item.role = Some(role(approval.role));
            item.turn = approval.turn.map(|turn| turn.0);
            item.text = question_text(approval);
        }
        Event::ApprovalAnswered { answer, by, .. } => {
            item.kind = TimelineKind::Question;
            let who = match by {
                nexus_core::AnsweredBy::Person => "You answered",
                nexus_core::AnsweredBy::NobodyThere => "Nobody was there to answer",
                nexus_core::AnsweredBy::EarlierAnswer => "Answered as before",
            };
            let (what, ok) = match answer {
                nexus_core::Answer::Allow => ("allowed once".to_owned(), true),
                nexus_core::Answer::AllowForTask => ("allowed for this task".to_owned(), true),
                nexus_core::Answer::Deny { .. } => ("denied".to_owned(), false),
                nexus_core::Answer::Text { text } => (text.clone(), true),
            };
            item.ok = Some(ok);
            item.text = format!("{who}: {what}");
        }
        Event::ApprovalWithdrawn { .. } => {
            item.kind = TimelineKind::Question;
            item.text = "The question was withdrawn".into();
        }
        Event::TurnEnded { report } => {
            item.turn = Some(report.turn.0);
            let finished = matches!(report.outcome, nexus_core::TurnOutcome::Completed { .. });
            item.ok = Some(finished);
            item.text = format!("Turn {}", report.outcome.describe());
        }
        Event::StepEnded { step, structured } => {
            item.step = Some(step.0);
            item.ok = Some(true);
            item.text = if *structured {
                "Step handed over"
            } else {
                "Step handed over as plain text"
            }
            .into();
        }
        Event::StepDelayed { step, until, why } => {
            item.step = Some(step.0);
            item.kind = match why {
                nexus_core::Delay::Retry { .. } => TimelineKind::Retry,
                nexus_core::Delay::Limit { .. } => TimelineKind::Limit,
            };
            item.text = match why {
                nexus_core::Delay::Retry {
                    failure,
                    of,
                    trouble,
                } => {
                    format!("Failure {failure} of {of} ({trouble}); tries again at {until}")
                }
                nexus_core::Delay::Limit { message } => format!("{message}; goes on at {until}"),
            };
        }
        Event::SessionReplaced {
            role: seat, why, ..
        } => {
            item.role = Some(role(*seat));
            item.ok = Some(false);
            item.text = format!("Its conversation was lost and a new one begun: {why}");
        }
        Event::RoundBegan { round, why } => match why {
            nexus_core::RoundReason::Findings { findings } => {
                item.role = Some(RoleView::Prime);
                item.text = format!("Round {round}: goes back to Code");
                item.detail = Some(findings.join("\n"));
            }
            nexus_core::RoundReason::Person { text } => {
                item.text = format!("Round {round}: you asked for changes");
                item.detail = Some(text.clone());
            }
        },
        Event::ReviewReached { verdict_failed } => {
            item.ok = Some(!verdict_failed);
            item.text = "Ready for your review".into();
        }
        Event::TaskPaused { why } => {
            item.text = match why {
                nexus_core::PauseReason::Person => "Paused".into(),
                nexus_core::PauseReason::Budget => "Paused: the cost cap is reached".into(),
            };
        }
        Event::TaskResumed => item.text = "Resumed".into(),
        Event::CancelRequested => item.text = "Cancelled".into(),
        Event::TaskFailed { failure } => {
            item.ok = Some(false);
            item.text.clone_from(&failure.message);
        }
        Event::BudgetChanged { budget } => {
            item.text = match budget {
                Some(cap) => format!("Cost cap set to {cap}"),
                None => "Cost cap removed".to_owned(),
            };
        }
        Event::AcceptBegan { although_red: true } => {
            item.text = "Accepted although red; applying".into()
        }
        Event::AcceptBegan {
            although_red: false,
        } => item.text = "Accepted; applying".into(),
        Event::AcceptPlanned { operations } => {
            item.text = format!("Applying {} files", operations.len());
        }
        Event::AcceptConflicted { conflicts } => {
            item.ok = Some(false);
            item.text = "Not applied: your folder changed meanwhile".into();
            item.detail = Some(conflicts.join("\n"));
        }
        Event::AcceptFailed { reason } => {
            item.ok = Some(false);
            item.text = format!("Not applied: {reason}");
        }
        Event::Accepted => {
            item.ok = Some(true);
            item.text = "Applied to your folder".into();
        }
        Event::Discarded => item.text = "Discarded; it can be brought back".into(),
        Event::WorkspaceDropped { .. } => {
            item.text = "Workspace put away; its content is kept".into()
        }
        Event::Restored => item.text = "Brought back".into(),
        Event::WorkspaceRestored { .. } => item.text = "Workspace made anew".into(),
    }
    if item.role.is_none()
        && let Some(step) = item.step
    {
        item.role = seats.get(&step).copied().map(role);
    }
    item
}

fn check_line(item: &mut TimelineItem, when: &str, evidence: &[Evidence]) {
    item.kind = TimelineKind::Check;
    if evidence.is_empty() {
        item.text = format!("{when}: the project has none");
        return;
    }
    let green = evidence.iter().all(|e| e.end.is_success());
    item.ok = Some(green);
    let results: Vec<_> = evidence
        .iter()
        .map(|e| {
            let result = if e.end.is_success() { "green" } else { "red" };
            format!(
                "{} {result} (exit code {}, {} ms)",
                e.command,
                e.end.code(),
                e.duration_ms
            )
        })
        .collect();
    item.text = format!("{when}: {}", results.join(", "));
    let tails: Vec<_> = evidence.iter().map(|e| e.output_tail.clone()).collect();
    item.detail = Some(tails.join("\n"));
}

fn result_line(item: &mut TimelineItem, result: &StepResult) {
    item.text = match result.verdict {
        Some(verdict) => format!("Hands in: {}", verdict_name(verdict)),
        None => "Hands in its result".to_owned(),
    };
    item.ok = result.verdict.map(|verdict| verdict == Verdict::Pass);
    item.detail = Some(result.summary.clone());
}

fn shown(id: String, at: Timestamp, turn: u32, update: &TurnUpdate) -> TimelineItem {
    let mut item = TimelineItem {
        id,
        at: time(at),
        role: None,
        step: None,
        turn: Some(turn),
        kind: TimelineKind::Text,
        text: String::new(),
        detail: None,
        ok: None,
        call: None,
    };
    match update {
        TurnUpdate::TextDelta { text } => {
            item.kind = TimelineKind::TextDelta;
            item.text.clone_from(text);
        }
        TurnUpdate::Text { text } => item.text.clone_from(text),
        TurnUpdate::Thinking { text } => {
            item.kind = TimelineKind::Thinking;
            item.text = "thinking".into();
            item.detail = (!text.is_empty()).then(|| text.clone());
        }
        TurnUpdate::ToolStarted {
            call,
            tool,
            object,
            input,
        } => {
            item.kind = TimelineKind::ToolStarted;
            item.text = format!("{tool} {object}").trim_end().to_owned();
            item.detail = serde_json::to_string_pretty(input).ok();
            item.call = Some(call.clone());
        }
        TurnUpdate::ToolEnded { call, ok, output } => {
            item.kind = TimelineKind::ToolEnded;
            item.ok = Some(*ok);
            item.text = one_line(output);
            item.detail = Some(output.clone());
            item.call = Some(call.clone());
        }
        TurnUpdate::Retrying {
            attempt,
            max,
            delay_ms,
            status,
            error,
        } => {
            item.kind = TimelineKind::Retry;
            let status = status.map(|s| format!(" {s}")).unwrap_or_default();
            item.text = format!(
                "The model service failed ({error}{status}); try {attempt} of {max} in {delay_ms} ms"
            );
        }
        TurnUpdate::RateLimit {
            rejected,
            until,
            utilization,
        } => {
            item.kind = TimelineKind::Limit;
            let used = utilization
                .map(|u| format!(", {:.0} % used", u * 100.0))
                .unwrap_or_default();
            let until = until.map(|u| format!(" until {u}")).unwrap_or_default();
            let what = if *rejected {
                "Usage limit reached"
            } else {
                "Usage limit near"
            };
            item.text = format!("{what}{used}{until}");
        }
        TurnUpdate::Unknown { line } => {
            item.kind = TimelineKind::Unknown;
            item.text = "a line this version does not know".into();
            item.detail = Some(line.clone());
        }
    }
    item
}
