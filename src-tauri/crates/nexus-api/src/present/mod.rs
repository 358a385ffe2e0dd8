//! From the core's values to what is shown: no state, no decision, only words and shapes.

mod agents;
mod care;
mod team;
mod templates;
mod timeline;
mod trust;

pub use agents::agents;
pub use care::{difference, kpi, trashed};
pub use team::{place, plan, seats};
pub use templates::{filled, templates};
pub use timeline::{change, timeline};
pub use trust::{allowed, approvals, sessions};

use crate::view::*;
use chrono::{DateTime, Utc};
use nexus_core::{
    Approval, Attempt, ChangeKind, CheckRun, CheckTime, Command, Effect, Evidence, FailureKind,
    FileChange, Floor, Hold, HoldReason, Limits, Message, PauseReason, Permissions, Phase,
    PlannerKind, Priority, Project, Question, Role, Severity, Spent, Standing, Step, StepKind,
    StepState, Task, TaskState, Team, Timestamp, ToolRequest, Usd, Verdict, Workspace, scratchpad,
};
use nexus_engine::{DataDir, FolderFacts};

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

fn priority(priority: Priority) -> PriorityView {
    match priority {
        Priority::Critical => PriorityView::Critical,
        Priority::High => PriorityView::High,
        Priority::Normal => PriorityView::Normal,
        Priority::Low => PriorityView::Low,
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
pub fn projects(floor: &Floor) -> Vec<ProjectView> {
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
        allowed_commands: facts
            .allowed_commands
            .iter()
            .map(ToString::to_string)
            .collect(),
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
        at_least: task.is_partly_uncounted(),
        stopping: task.is_stopping(),
        hold: task.hold.as_ref().map(hold),
        paused: match task.phase {
            Phase::Paused { why } => Some(pause(why)),
            Phase::Backlog
            | Phase::Queued
            | Phase::Active
            | Phase::Review { .. }
            | Phase::Accepting { .. }
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Cancelled { .. } => None,
        },
        queued: task.phase == Phase::Queued,
        interrupted: false,
        budget_usd: dollars(task.budget),
        created_at: time(task.created_at),
        started_at: task.started_at.map(time),
        updated_at: time(task.updated_at),
        ended_at: task.ended_at.map(time),
        files_changed: reviewed.then(|| u32::try_from(task.changes.len()).unwrap_or(u32::MAX)),
        lines_added: lines(|l| l.added),
        lines_removed: lines(|l| l.removed),
        standing: task.standing().map(standing),
        priority: priority(task.priority),
        waits_for: Vec::new(),
        queue_place: None,
        progress: team::progress(task),
        at_work: u32::try_from(task.turns.len()).unwrap_or(u32::MAX),
        flags: u32::try_from(task.flags().count()).unwrap_or(u32::MAX),
        actions: actions(task),
    }
}

/// Why nothing is begun.
pub fn hold(hold: &Hold) -> HoldView {
    HoldView {
        why: match hold.why {
            HoldReason::Limit => HoldReasonView::Limit,
            HoldReason::Service => HoldReasonView::Service,
            HoldReason::Login => HoldReasonView::Login,
            HoldReason::Credit => HoldReasonView::Credit,
        },
        until: hold.until.map(time),
        text: hold.describe(),
    }
}

/// The accounts on which nothing is begun.
pub fn holds(floor: &Floor) -> Vec<HoldView> {
    floor.closed.values().map(hold).collect()
}

/// What the day used up.
pub fn today(floor: &Floor) -> TodayView {
    TodayView {
        spent: spent(&floor.today.spent),
        caps: caps(floor.day_caps.money, floor.day_caps.limits),
    }
}

fn spent(spent: &Spent) -> SpentView {
    SpentView {
        cost_usd: spent.money.as_dollars(),
        at_least: spent.unpriced,
        tokens: spent.tokens,
        seconds: spent.millis / 1000,
        turns: spent.turns,
    }
}

fn caps(money: Option<Usd>, limits: Limits) -> CapsView {
    CapsView {
        cost_usd: dollars(money),
        tokens: limits.tokens,
        seconds: limits.seconds,
        turns: limits.turns,
    }
}

/// The four facts of an attempt.
pub fn facts(attempt: &Attempt) -> FactsView {
    FactsView {
        process: attempt.process.name().to_owned(),
        turn: attempt.course.name().to_owned(),
        claim: attempt.claim.name().to_owned(),
        verified: attempt.verified.name().to_owned(),
    }
}

fn attempt(attempt: &Attempt) -> AttemptView {
    AttemptView {
        turn_number: attempt.turn.0,
        attempt: attempt.number,
        round: attempt.round,
        session: attempt.session.uuid(),
        started_at: time(attempt.started_at),
        facts: facts(attempt),
    }
}

/// The card of a task that its engine left in the middle and nobody has taken up since.
pub fn left_alone(task: &Task, mut card: TaskCard) -> TaskCard {
    if !task.is_at_rest() {
        card.interrupted = true;
        card.note = format!(
            "interrupted, nobody is at work: go on with `nexus resume {}`",
            card.name
        );
        card.active_role = None;
        card.question = None;
        for stage in &mut card.stages {
            stage.state = left_waiting(stage.state);
        }
    }
    card
}

/// A task page that does not say somebody is at work; see [`left_alone`].
pub fn page_left_alone(task: &Task, mut view: TaskView) -> TaskView {
    view.card = left_alone(task, view.card);
    // They stay open, and an answer is kept until it is asked again.
    for question in &mut view.questions {
        question.waiting = false;
    }
    for step in &mut view.steps {
        step.state = left_waiting(step.state);
    }
    view
}

/// What ran when its process ended waits to be taken again.
fn left_waiting(state: StageStateView) -> StageStateView {
    if matches!(state, StageStateView::Running | StageStateView::NeedsYou) {
        StageStateView::Waiting
    } else {
        state
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
            // An order that would change nothing is followed and not offered.
            let pointless = match action {
                ActionView::Pause => matches!(task.phase, Phase::Paused { .. }),
                ActionView::Resume => {
                    !matches!(task.phase, Phase::Paused { .. } | Phase::Failed { .. })
                        && !waits_for_person(task)
                }
                ActionView::Cancel => matches!(task.phase, Phase::Cancelled { .. }),
                ActionView::Start
                | ActionView::Accept
                | ActionView::Discard
                | ActionView::Restore
                | ActionView::RequestChanges => false,
            };
            // In review cancelling is called discarding.
            let doubled =
                *action == ActionView::Cancel && matches!(task.phase, Phase::Review { .. });
            !doubled && !pointless && task.decide(command, now).is_ok()
        })
        .map(|(action, _)| action)
        .collect()
}

/// Held until the person has done something about it and says so.
fn waits_for_person(task: &Task) -> bool {
    task.hold.as_ref().is_some_and(|hold| hold.until.is_none())
}

fn active_role(task: &Task) -> Option<Role> {
    let asking = task.approvals.values().next().map(|approval| approval.role);
    asking.or_else(|| task.turns.values().next().map(|turn| turn.role()))
}

/// Why the task is where it is, or what happens in it, in a few words.
fn note(task: &Task) -> String {
    if task.is_stopping() {
        return "stopping…".to_owned();
    }
    match &task.phase {
        Phase::Backlog => String::new(),
        Phase::Queued => "waits for a free place".to_owned(),
        Phase::Active => active_note(task),
        Phase::Paused { why } => pause_note(task, *why),
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
        } => team::failed_note(task),
        Phase::Review { .. } if task.changes.is_empty() => "changed no file".to_owned(),
        Phase::Review { .. } => team::review_note(task),
        Phase::Accepting { .. } => "applying…".to_owned(),
        Phase::Done => "applied".to_owned(),
        Phase::Failed { failure } => failure.message.clone(),
        Phase::Cancelled { reviewed: Some(_) } => "discarded".to_owned(),
        Phase::Cancelled { reviewed: None } => "cancelled".to_owned(),
    }
}

fn pause(why: PauseReason) -> PauseView {
    match why {
        PauseReason::Person => PauseView::Person,
        PauseReason::Budget => PauseView::Budget,
        PauseReason::Tokens => PauseView::Tokens,
        PauseReason::Time => PauseView::Time,
        PauseReason::Turns => PauseView::Turns,
        PauseReason::Day => PauseView::Day,
        PauseReason::Unsure => PauseView::Unsure,
        PauseReason::Plan => PauseView::Plan,
    }
}

fn pause_note(task: &Task, why: PauseReason) -> String {
    let limits = task.limits;
    match why {
        PauseReason::Person => "paused by you".to_owned(),
        PauseReason::Budget => format!(
            "cost cap of {} reached: raise it and resume",
            task.budget.unwrap_or_default()
        ),
        PauseReason::Tokens => format!(
            "cap of {} tokens reached: raise it and resume",
            limits.tokens.unwrap_or_default()
        ),
        PauseReason::Time => format!(
            "cap of {} s at work reached: raise it and resume",
            limits.seconds.unwrap_or_default()
        ),
        PauseReason::Turns => format!(
            "cap of {} turns reached: raise it and resume",
            limits.turns.unwrap_or_default()
        ),
        PauseReason::Day => {
            "today's cap for all tasks is reached: raise it, or resume tomorrow".to_owned()
        }
        PauseReason::Plan => {
            "you did not say yes to the plan: edit it, or resume to be asked again".to_owned()
        }
        PauseReason::Unsure => {
            let commands: Vec<_> = task
                .steps
                .iter()
                .flat_map(|step| &step.outward)
                .map(|command| format!("`{}`", one_line(command)))
                .collect();
            format!(
                "interrupted while {} may have run: look at what it did, then resume to take the step again, or cancel",
                commands.join(", ")
            )
        }
    }
}

fn active_note(task: &Task) -> String {
    if let Some(approval) = task.approvals.values().next() {
        return question_text(approval);
    }
    if task.turns.len() > 1 {
        return team::side_by_side(task);
    }
    if let Some(turn) = task.turns.values().next() {
        let step = task.step(turn.step);
        let progress = step.and_then(|step| step.progress.clone());
        let kind = step.map(|step| step.planned.kind);
        return progress.unwrap_or_else(|| {
            let doing = match step.and_then(|step| step.mends) {
                Some(_) => "putting together what conflicts",
                None => kind.map_or("working", doing),
            };
            if turn.streaming {
                doing.to_owned()
            } else {
                format!("about to begin {doing}")
            }
        });
    }
    if let Some(hold) = &task.hold {
        return hold.describe();
    }
    let parked = task.steps.iter().find_map(|step| match step.state {
        StepState::Parked { until } => Some(format!("usage limit: goes on at {until}")),
        StepState::Backoff { until } => Some(format!(
            "{}; tries again at {until}",
            step.trouble.as_deref().unwrap_or("failed")
        )),
        StepState::Waiting
        | StepState::Running { .. }
        | StepState::HandedIn
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
        Effect::Judge { .. } => Some("NEXUS Prime looks at what was handed in"),
        Effect::PlanMerge { .. } | Effect::Merge { .. } => Some("putting the work together"),
        Effect::WarmSession { .. }
        | Effect::RunTurn { .. }
        | Effect::PlanApply
        | Effect::Apply { .. }
        | Effect::DropWorkspace => None,
    });
    running.unwrap_or("waiting").to_owned()
}

/// What an agent does in a step of this kind, in one or two words.
fn doing(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Analysis => "analysing",
        StepKind::Implementation => "implementing",
        StepKind::Tests => "writing tests",
        StepKind::Validation => "validating",
    }
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
        StepState::Waiting if task.hold.is_some() && task.is_next(step) => StageStateView::Parked,
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
        StepState::HandedIn
            if task
                .approvals
                .values()
                .any(|a| a.step == Some(step.planned.id)) =>
        {
            StageStateView::NeedsYou
        }
        StepState::HandedIn => StageStateView::Running,
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
        Question::Plan { outline, .. } => (
            QuestionKindView::Plan,
            outline.join("\n"),
            "nothing is spent on agents before you say yes".to_owned(),
            Vec::new(),
        ),
        Question::HandedIn { question, .. } => (
            QuestionKindView::HandedIn,
            question.clone(),
            "yes goes on from it; no, or words, send it back".to_owned(),
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
        digest: approval.question.digest(),
        expires_at: approval.expires_at.map(time),
        waiting: approval.turn.is_some()
            || approval.step.is_none()
            || matches!(approval.question, Question::HandedIn { .. }),
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
        Question::RoundsUsedUp { rounds, findings } => {
            let first = findings.first().map(|finding| one_line(finding));
            format!(
                "After {rounds} rounds something is still to be mended: {}. Go on, or leave it as it is?",
                first.unwrap_or_default()
            )
        }
        Question::Plan {
            outline, version, ..
        } => {
            format!(
                "The plan has {} steps (version {version}). Carry it out?",
                outline.len()
            )
        }
        Question::HandedIn {
            title, question, ..
        } => {
            format!(
                "Is \"{title}\" good enough to go on from? {}",
                one_line(question)
            )
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
        Phase::Paused { .. } => (Vec::new(), Some(note(task))),
        Phase::Backlog
        | Phase::Queued
        | Phase::Active
        | Phase::Accepting { .. }
        | Phase::Done
        | Phase::Cancelled { .. } => (Vec::new(), None),
    };
    let workspace = match &task.workspace {
        Workspace::Ready(prepared) => Some(prepared.path.clone()),
        Workspace::NotMade | Workspace::Leaving(_) | Workspace::Dropped { .. } => None,
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
            PlannerKind::Claude => PlannerView::Claude,
        },
        permissions: permissions(task.spec.permissions),
        not_contained: task.spec.permissions == Permissions::All,
        steps: task.steps.iter().map(|s| step(task, s)).collect(),
        sessions: trust::sessions_of(task),
        spent: spent(&task.spent()),
        caps: caps(task.budget, task.limits),
        grants: trust::grants(task),
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
        checklist: templates::checklist(task),
        stuck_unasked: task.stuck_unasked(),
        summary: last.map(|result| result.summary.clone()),
        round: task.round,
        max_rounds: nexus_core::MAX_ROUNDS + task.extra_rounds + 1,
        plan: plan(task, &std::collections::BTreeMap::new()),
        decisions: task
            .decisions
            .iter()
            .map(|made| team::decision(made))
            .collect(),
        prime: team::prime(task),
        flags: team::flags(task),
        overlaps: team::overlaps(task),
        milestones: team::milestones(task),
        terms: team::terms(task),
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
    task.messages.iter().map(|m| message(task, m)).collect()
}

fn step(task: &Task, step: &Step) -> StepView {
    let result = step.result.as_deref();
    let findings = result.map(|r| r.findings.as_slice()).unwrap_or_default();
    StepView {
        id: step.planned.id.0,
        role: role(step.planned.role),
        kind: step.planned.kind.name().to_owned(),
        title: step.planned.title.clone(),
        description: step.planned.description.clone(),
        after: step.planned.after.iter().map(|id| id.0).collect(),
        seat: step.seat_id().map(nexus_core::SeatId::title),
        lane: step.is_in_lane(),
        merge: team::merge(step),
        mends: step.mends.map(|id| id.0),
        written: team::written(step),
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
        history: step.history.iter().map(attempt).collect(),
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

fn message(task: &Task, message: &Message) -> MessageView {
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
        delivery: team::delivery(&task.delivery(message)),
        read_by: task
            .readers(message.id())
            .map(|(reader, _)| role(reader))
            .collect(),
        structured,
        json: serde_json::to_value(message).unwrap_or_default(),
    }
}
