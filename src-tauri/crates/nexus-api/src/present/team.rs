//! What is planned, decided, noticed and said in a task, and who is at it.

use super::{dollars, priority, role, state, time};
use crate::view::*;
use nexus_core::{
    Author, Decision, Delivery, LaneMerge, Plan, PlanTakes, PlannedStep, Predecessor, SeatId,
    Standing, Step, StepKind, StepState, Task, Timestamp, Usual, Verdict, Workspace,
};
use nexus_engine::Pulse;
use std::{collections::BTreeMap, sync::Arc};

/// The plan of a task. `usual` is what steps took before.
pub fn plan(task: &Task, usual: &BTreeMap<StepKind, Usual>) -> PlanView {
    let plan = task.plan.as_deref();
    PlanView {
        version: task.plan_version,
        plan_first: task.spec.terms.plan_first,
        waiting: task.waits_for_plan(),
        editable: task.may_edit_plan(),
        steps: task
            .steps
            .iter()
            .map(|step| planned(&step.planned, step.is_begun()))
            .collect(),
        estimate: plan.and_then(Plan::takes_by_estimate).map(estimate),
        usual: plan
            .and_then(|plan| plan.takes_as_usual(usual))
            .map(estimate),
    }
}

/// Which tasks one waits for, and when it is its turn: what only the desk knows.
pub fn place(card: &mut TaskCard, waits: Vec<Predecessor>, place: Option<u32>) {
    card.waits_for = waits
        .into_iter()
        .map(|before| PredecessorView {
            id: before.id.uuid(),
            name: before.name,
            state: state(before.state),
            ended: before.ended,
        })
        .collect();
    card.queue_place = place;
    if let Some(note) = waiting_note(card) {
        card.note = note;
    }
}

fn waiting_note(card: &TaskCard) -> Option<String> {
    if !card.queued || card.stopping {
        return None;
    }
    let in_vain = card.waits_for.iter().find_map(|before| {
        let ended = before.ended.as_ref()?;
        Some(format!("waits for {}, in vain: {ended}", before.name))
    });
    let names: Vec<_> = card
        .waits_for
        .iter()
        .map(|before| before.name.as_str())
        .collect();
    let waits = (!names.is_empty()).then(|| format!("waits for {}", names.join(", ")));
    let place = card.queue_place.map(|place| match place {
        1 => "waits for a free place: next".to_owned(),
        place => format!("waits for a free place: number {place} in the queue"),
    });
    in_vain.or(waits).or(place)
}

fn estimate(takes: PlanTakes) -> EstimateView {
    EstimateView {
        seconds: takes.seconds,
        critical_seconds: takes.critical_seconds,
        cost_usd: dollars(takes.cost),
        samples: takes.samples,
    }
}

/// A step as it is planned.
pub(super) fn planned(step: &PlannedStep, begun: bool) -> PlanStepView {
    let PlannedStep {
        id,
        kind,
        role: who,
        title,
        description,
        requirements,
        after,
        priority: urgency,
        paths,
        checks,
        estimate,
        max_retries,
    } = step;
    PlanStepView {
        id: id.0,
        kind: step_kind(*kind),
        title: title.clone(),
        description: description.clone(),
        after: after.iter().map(|id| id.0).collect(),
        priority: priority(*urgency),
        paths: paths.clone(),
        checks: checks.clone(),
        estimate_seconds: estimate.map(|estimate| estimate.seconds),
        max_retries: *max_retries,
        estimate_usd: estimate.and_then(|estimate| dollars(estimate.cost)),
        requirements: serde_json::to_value(requirements).unwrap_or_default(),
        role: Some(role(*who)),
        begun,
    }
}

fn step_kind(kind: StepKind) -> StepKindView {
    match kind {
        StepKind::Analysis => StepKindView::Analysis,
        StepKind::Implementation => StepKindView::Implementation,
        StepKind::Tests => StepKindView::Tests,
        StepKind::Validation => StepKindView::Validation,
    }
}

pub(super) fn decision(decision: &Decision) -> DecisionView {
    DecisionView {
        at: time(decision.at),
        step: decision.step.0,
        turn: decision.turn.0,
        ruling: decision.ruling.name().to_owned(),
        reason: decision.reason.clone(),
        by: match decision.by {
            Author::Rules => AuthorView::Rules,
            Author::Prime => AuthorView::Prime,
            Author::Person => AuthorView::Person,
        },
    }
}

pub(super) fn prime(task: &Task) -> PrimeView {
    let used = &task.prime;
    PrimeView {
        model: used.model.clone(),
        calls: used.calls,
        tokens: used.usage.tokens(),
        cost_usd: if used.calls == 0 {
            Some(0.0)
        } else {
            dollars(used.usage.cost)
        },
    }
}

pub(super) fn flags(task: &Task) -> Vec<FlagView> {
    let of_step = |step: &Step| {
        let (id, who) = (step.planned.id.0, role(step.planned.role));
        let flags = step.flags.iter().map(move |(round, flag)| FlagView {
            step: id,
            role: who,
            round: *round,
            kind: flag.kind.name().to_owned(),
            path: flag.path.to_string(),
            line: flag.line.clone(),
            text: flag.kind.describe().to_owned(),
            weakens_proof: flag.kind.weakens_proof(),
        });
        flags.collect::<Vec<_>>()
    };
    task.steps.iter().flat_map(of_step).collect()
}

pub(super) fn overlaps(task: &Task) -> Vec<OverlapView> {
    let overlaps = task.overlaps().into_iter().map(|overlap| OverlapView {
        first: overlap.steps.0.0,
        second: overlap.steps.1.0,
        path: overlap.path,
        by_both: overlap.by_both,
    });
    overlaps.collect()
}

pub(super) fn merge(step: &Step) -> Option<MergeView> {
    step.merge.as_ref().map(|merge| match merge {
        LaneMerge::Due => MergeView::Due,
        LaneMerge::Planned { .. } => MergeView::Merging,
        LaneMerge::Mending { .. } => MergeView::Mending,
    })
}

pub(super) fn written(step: &Step) -> Vec<String> {
    let mut paths: Vec<_> = step.written().map(ToString::to_string).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

pub(super) fn progress(task: &Task) -> ProgressView {
    let count = |steps: usize| u32::try_from(steps).unwrap_or(u32::MAX);
    let done = task.steps.iter().filter(|s| s.state == StepState::Done);
    ProgressView {
        steps_done: count(done.count()),
        steps: count(task.steps.len()),
        share: task.progress(),
    }
}

/// What the task reaches on its way, in order. Only what its plan has.
pub(super) fn milestones(task: &Task) -> Vec<MilestoneView> {
    let reached = |name: &str, at: Option<Timestamp>| MilestoneView {
        name: name.to_owned(),
        at: at.map(time),
    };
    let kind = |kind: StepKind, name: &str| {
        let steps: Vec<_> = task
            .steps
            .iter()
            .filter(|s| s.planned.kind == kind)
            .collect();
        let done = steps.iter().all(|step| step.state == StepState::Done);
        let last = steps.iter().filter_map(|step| step.ended_at).max();
        (!steps.is_empty()).then(|| reached(name, last.filter(|_| done)))
    };
    let checked = task.evidence.as_deref().and_then(|run| {
        let last = run.evidence.last()?;
        Some(last.started_at)
    });
    let started = matches!(task.workspace, Workspace::NotMade);
    let milestones = [
        Some(reached("started", task.started_at.filter(|_| !started))),
        kind(StepKind::Analysis, "analysed"),
        kind(StepKind::Implementation, "implemented"),
        kind(StepKind::Tests, "tests written"),
        Some(reached("checked", checked)),
        kind(StepKind::Validation, "validated"),
        Some(reached("accepted", accepted_at(task))),
    ];
    milestones.into_iter().flatten().collect()
}

fn accepted_at(task: &Task) -> Option<Timestamp> {
    task.ended_at
        .filter(|_| task.phase == nexus_core::Phase::Done)
}

pub(super) fn terms(task: &Task) -> TermsView {
    let terms = &task.spec.terms;
    TermsView {
        plan_first: terms.plan_first,
        seats: terms.seats,
        checklist: terms.checklist.clone(),
        after: terms.after.iter().map(ToString::to_string).collect(),
        shares_context: terms.shares_context,
        template: terms.template.clone(),
    }
}

pub(super) fn delivery(delivery: &Delivery) -> DeliveryView {
    match delivery {
        Delivery::Shown => DeliveryView::Shown,
        Delivery::Read(_) => DeliveryView::Read,
        Delivery::Waiting => DeliveryView::Waiting,
        Delivery::Nobody => DeliveryView::Nobody,
    }
}

/// What the person has to know of work that was not good to the end.
pub(super) fn failed_note(task: &Task) -> String {
    let standing = task.standing().unwrap_or(Standing::NoChecks);
    match task.verdict() {
        // What NEXUS saw itself counts.
        Some(Verdict::Pass) => format!("Beta says pass, but not so: {}", standing.describe()),
        Some(Verdict::Fail) | None => "Beta says fail".to_owned(),
    }
}

/// What is known of work that waits for the person, and what they have to look at.
pub(super) fn review_note(task: &Task) -> String {
    let standing = task.standing().map_or("", Standing::describe);
    let weaker: Vec<_> = task
        .flags()
        .filter(|(_, flag)| flag.kind.weakens_proof())
        .collect();
    match weaker.as_slice() {
        [] => standing.to_owned(),
        [(step, flag), ..] => format!(
            "{standing}, but look at {} ({}): {}",
            flag.path,
            step.planned.role.title(),
            flag.kind.describe()
        ),
    }
}

/// What several agents do at once, in a few words.
pub(super) fn side_by_side(task: &Task) -> String {
    let who: Vec<_> = task.turns.values().map(|turn| turn.seat.title()).collect();
    format!("{} at work side by side", who.join(", "))
}

/// The agents at work, and the seats that wait to go on, of all tasks.
pub fn seats(
    tasks: &[Arc<Task>],
    pulses: &BTreeMap<(nexus_core::TaskId, SeatId), Pulse>,
) -> Vec<SeatView> {
    let at_it = tasks.iter().filter(|task| task.holds_place());
    let seats = at_it.flat_map(|task| {
        let seats = task.sessions.keys();
        seats.filter_map(|seat| self::seat(task, *seat, pulses.get(&(task.id, *seat))))
    });
    seats.collect()
}

/// A seat that has something to do with a step that is not done.
fn seat(task: &Task, id: SeatId, pulse: Option<&Pulse>) -> Option<SeatView> {
    let turn = task.turns.values().find(|turn| turn.seat == id);
    let step = match turn {
        Some(turn) => task.step(turn.step),
        None => {
            let mut steps = task.steps.iter();
            steps.find(|s| s.seat_id() == Some(id) && s.state != StepState::Done)
        }
    }?;
    let session = task.sessions.get(&id)?;
    let tool = pulse.and_then(|pulse| pulse.tool.as_ref());
    Some(SeatView {
        seat: id.to_string(),
        title: id.title(),
        role: role(id.role),
        task_id: task.id.uuid(),
        task_name: task.spec.name(),
        step: Some(step.planned.id.0),
        step_title: Some(step.planned.title.clone()),
        state: seat_state(task, id, step, pulse).to_owned(),
        tool: tool.map(|tool| tool.tool.clone()),
        object: tool.map(|tool| tool.object.clone()),
        heard_at: pulse.map(|pulse| time(pulse.heard_at)),
        stalled: pulse.is_some_and(|pulse| pulse.stalled),
        context_tokens: pulse.and_then(|pulse| pulse.context_tokens),
        tokens: session.used.tokens(),
        cost_usd: dollars(session.used.cost),
        lane: id.is_lane(),
        turn: turn.map(|turn| turn.id.0),
        started_at: turn.map(|turn| time(turn.started_at)),
    })
}

fn seat_state(task: &Task, id: SeatId, step: &Step, pulse: Option<&Pulse>) -> &'static str {
    let Some(turn) = task.turns.values().find(|turn| turn.seat == id) else {
        return match step.state {
            StepState::Backoff { .. } | StepState::Parked { .. } => "parked",
            StepState::HandedIn => "handed_in",
            StepState::Waiting
            | StepState::Running { .. }
            | StepState::Done
            | StepState::Failed
            | StepState::Cancelled => "idle",
        };
    };
    let asked = task
        .approvals
        .values()
        .any(|open| open.turn == Some(turn.id));
    let uses_tool = pulse.is_some_and(|pulse| pulse.tool.is_some());
    if asked {
        "needs_you"
    } else if task.is_stopping() || task.called_off.contains(&turn.id) {
        "stopping"
    } else if !turn.streaming {
        "starting"
    } else if uses_tool {
        "tool"
    } else {
        "thinking"
    }
}
