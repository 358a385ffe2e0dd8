//! Steps that work side by side: which seat takes a step, when a lane may be branched off the
//! task's workspace, and how its result comes back.
//!
//! A step that writes while another may write, too, works in a lane. Everything else works in
//! the task's workspace itself, alone. Results are merged one at a time, in the order in which
//! their steps are accepted; while a merge or its conflict is under way nobody else writes to
//! the task's workspace and nobody branches off it.

use super::{Effect, Event, Step, StepState, Task, Terms};
use crate::{
    FileChange, PlannedStep, ProjectPath, SeatId, StepId, StepKind, TreeId, TurnId, Writes,
};

/// How far the result of a lane is on its way into the task's workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneMerge {
    /// Nobody has put the two sides together yet.
    Due,
    /// Both sides together, being written to the workspace. Where they conflict the files hold
    /// both, with marks, for a step that mends them.
    Planned {
        tree: TreeId,
        mended_by: Option<StepId>,
    },
    /// The workspace holds both sides with marks, and this step mends them.
    Mending { by: StepId },
}

/// Two steps under way at the same time that have to do with the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub steps: (StepId, StepId),
    pub path: String,
    /// Both have written it. Otherwise one of them has, and the other's plan names it.
    pub by_both: bool,
}

impl Step {
    /// Has to be done, and is not.
    fn is_open(&self) -> bool {
        !matches!(self.state, StepState::Done | StepState::Cancelled)
    }

    fn writes(&self) -> bool {
        self.planned.role.writes() == Writes::Workspace
    }

    /// The seat it was given in this round.
    pub fn seat_id(&self) -> Option<SeatId> {
        let number = self.seat?;
        let role = self.planned.role;
        Some(SeatId { role, number })
    }

    /// It works, or is going to go on, in a workspace of its own.
    pub fn is_in_lane(&self) -> bool {
        self.seat_id().is_some_and(SeatId::is_lane)
    }

    /// It has written to the task's workspace, or may have, and is not done with it.
    fn holds_workspace(&self) -> bool {
        let at_it = matches!(self.state, StepState::Running { .. }) || self.base.is_some();
        self.writes() && self.is_open() && !self.is_in_lane() && at_it
    }

    /// A lane for it is being branched off, or has to be before it can go on.
    fn is_branching(&self) -> bool {
        let running = matches!(self.state, StepState::Running { .. });
        self.is_in_lane() && running && self.base.is_none()
    }
}

impl Task {
    /// Would it write at the same time as another step that is still to be done?
    pub(super) fn works_apart(&self, step: &Step) -> bool {
        let Some(plan) = &self.plan else { return false };
        let id = step.planned.id;
        let beside = |other: &&Step| {
            let other = &other.planned;
            other.id != id && !plan.is_before(id, other.id) && !plan.is_before(other.id, id)
        };
        let mut open = self.steps.iter().filter(|other| other.is_open());
        step.writes()
            && step.mends.is_none()
            && open.any(|other| other.writes() && other.mends.is_none() && beside(&other))
    }

    /// The seat that may take this step now; `None` when it has to wait for one.
    pub(super) fn free_seat(&self, step: &Step) -> Option<SeatId> {
        let role = step.planned.role;
        let turns = self.turns.values().filter(|turn| turn.role() == role);
        let at_work = u32::try_from(turns.count()).unwrap_or(u32::MAX);
        if at_work >= self.seats_of_a_role() {
            return None;
        }
        if let Some(seat) = step.seat_id() {
            return self.is_free(seat, step).then_some(seat);
        }
        if !step.writes() {
            let numbers = 0..self.seats_of_a_role();
            let mut seats = numbers.map(|number| SeatId { role, number });
            return seats.find(|seat| self.is_free(*seat, step));
        }
        if !self.works_apart(step) {
            let first = SeatId::first(role);
            return self.is_free(first, step).then_some(first);
        }
        // Lanes whose steps wait to be tried again keep their seats.
        let mut lanes = (1..).map(|number| SeatId { role, number });
        lanes.find(|seat| self.is_free(*seat, step))
    }

    /// How many agents of one role may be at work at once.
    fn seats_of_a_role(&self) -> u32 {
        self.spec.terms.seats.unwrap_or(Terms::SEATS).max(1)
    }

    fn is_free(&self, seat: SeatId, step: &Step) -> bool {
        let has_turn = self.turns.values().any(|turn| turn.seat == seat);
        let has_lane = |other: &Step| {
            let is_another = other.planned.id != step.planned.id;
            is_another && other.is_open() && seat.is_lane() && other.seat_id() == Some(seat)
        };
        !has_turn && !self.steps.iter().any(has_lane)
    }

    /// May this step write where it works? One writes at a time, and to its end: what is taken
    /// as a step's base, and undone, must be its own.
    pub(super) fn may_write(&self, step: &Step, seat: SeatId) -> bool {
        if !step.writes() || (seat.is_lane() && step.base.is_some()) {
            return true;
        }
        let is_another = |other: &&Step| other.planned.id != step.planned.id;
        let mut others = self.steps.iter().filter(is_another);
        let is_new = step.base.is_none() && step.mends.is_none();
        // Two branch off at the same time without harm; a writer waits for both. It also lets
        // results that are ready go first: what is put together must not change meanwhile.
        let in_the_way = |other: &Step| {
            let mends_it = other.merge.as_ref().and_then(LaneMerge::mended_by);
            let mended_here = mends_it == Some(step.planned.id);
            other.holds_workspace()
                || (other.is_under_merge() && !mended_here)
                || (!seat.is_lane() && other.is_branching())
                || (!seat.is_lane() && is_new && other.merge == Some(LaneMerge::Due))
        };
        !others.any(in_the_way)
    }

    /// The first step whose result may be merged now, or whose merge has to be carried out.
    fn step_to_merge(&self) -> Option<&Step> {
        let mut merging = self.steps.iter().filter(|step| step.is_under_merge());
        if let Some(under_way) = merging.next() {
            return Some(under_way);
        }
        // Who branches off now must find neither half a merge nor a conflict.
        let in_the_way = |step: &Step| step.holds_workspace() || step.is_branching();
        if self.steps.iter().any(in_the_way) {
            return None;
        }
        self.next_in_line()
    }

    /// Of several, the one that was accepted first.
    fn next_in_line(&self) -> Option<&Step> {
        let due = |step: &&Step| step.accepted && step.merge == Some(LaneMerge::Due);
        let order = |step: &&Step| {
            let id = step.planned.id;
            self.decisions.iter().rposition(|made| made.step == id)
        };
        self.steps.iter().filter(due).min_by_key(order)
    }

    pub(super) fn owed_merge(&self) -> Option<Effect> {
        let step = self.step_to_merge()?;
        let id = step.planned.id;
        match step.merge.as_ref()? {
            LaneMerge::Due => Some(Effect::PlanMerge { step: id }),
            LaneMerge::Planned { tree, .. } => Some(Effect::Merge {
                step: id,
                tree: tree.clone(),
            }),
            LaneMerge::Mending { .. } => None,
        }
    }

    /// The two sides were put together.
    pub(super) fn merge_planned(
        &self,
        id: StepId,
        tree: &TreeId,
        conflicts: &[ProjectPath],
    ) -> Vec<Event> {
        let Some(step) = self
            .step(id)
            .filter(|_| self.owes(&Effect::PlanMerge { step: id }))
        else {
            return Vec::new();
        };
        let mended_by = (!conflicts.is_empty()).then(|| Box::new(self.mending(step, conflicts)));
        vec![Event::MergePlanned {
            step: id,
            tree: tree.clone(),
            conflicts: conflicts.to_vec(),
            mended_by,
        }]
    }

    /// The workspace holds what was planned. Where nothing is in conflict the step is done with
    /// that, whatever the task is told meanwhile.
    pub(super) fn merged(&self, id: StepId) -> Vec<Event> {
        let Some(step) = self.step(id) else {
            return Vec::new();
        };
        let merged = Event::Merged { step: id };
        match &step.merge {
            Some(LaneMerge::Planned {
                mended_by: None, ..
            }) => vec![merged, step.is_over()],
            Some(LaneMerge::Planned {
                mended_by: Some(_), ..
            }) => vec![merged],
            Some(LaneMerge::Due | LaneMerge::Mending { .. }) | None => Vec::new(),
        }
    }

    /// A step for Code that mends a conflict: both sides are in the files, with marks.
    fn mending(&self, step: &Step, conflicts: &[ProjectPath]) -> PlannedStep {
        let last = self.steps.iter().map(|step| step.planned.id.0).max();
        let files: Vec<_> = conflicts.iter().map(|path| format!("- {path}")).collect();
        let theirs = step.result.as_deref().map(|result| result.summary.as_str());
        let description = format!(
            "\"{}\" and other work that was done at the same time changed the same places. These files hold both sides between conflict marks (`<<<<<<<`, `=======`, `>>>>>>>`), or one of them where marks cannot show it:\n{}\nThe first side is what the workspace had, the second what \"{}\" hands in. Put both together so that each does what its author says, and leave no mark. Its author says: {}",
            step.planned.title,
            files.join("\n"),
            step.planned.title,
            theirs.unwrap_or("(nothing)"),
        );
        PlannedStep {
            priority: crate::Priority::High,
            paths: conflicts.iter().map(ToString::to_string).collect(),
            ..PlannedStep::new(
                StepId(last.unwrap_or(0) + 1),
                StepKind::Implementation,
                format!("Put together: {}", step.planned.title),
                description,
            )
        }
    }

    /// A step that is done because its conflict was mended.
    pub(super) fn merge_ended(&self) -> Option<Event> {
        let through = |step: &&Step| {
            let mended_by = step.merge.as_ref().and_then(LaneMerge::mended_by);
            step.state == StepState::HandedIn && mended_by.is_some_and(|by| self.is_done(by))
        };
        self.steps.iter().find(through).map(Step::is_over)
    }

    /// Where steps that are under way at the same time have to do with the same files.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let under_way = |step: &&Step| {
            step.writes() && step.mends.is_none() && step.is_open() && step.seat.is_some()
        };
        let steps: Vec<_> = self.steps.iter().filter(under_way).collect();
        let mut overlaps = Vec::new();
        for (place, one) in steps.iter().enumerate() {
            for other in &steps[place + 1..] {
                overlaps.extend(overlap(one, other));
            }
        }
        overlaps
    }

    pub(super) fn touched(&self, turn: TurnId, path: &ProjectPath) -> Vec<Event> {
        let known = |step: &Step| step.touching.contains(path);
        match self.turns.get(&turn).and_then(|turn| self.step(turn.step)) {
            Some(step) if !known(step) => vec![Event::FileTouched {
                turn,
                path: path.clone(),
            }],
            Some(_) | None => Vec::new(),
        }
    }
}

impl Step {
    /// What was handed in is there for the others to build on.
    pub(super) fn is_over(&self) -> Event {
        Event::StepEnded {
            step: self.planned.id,
            structured: self.structured,
        }
    }

    /// Both sides of its lane are being put into the workspace, or are there with marks.
    pub(super) fn is_under_merge(&self) -> bool {
        matches!(
            self.merge,
            Some(LaneMerge::Planned { .. } | LaneMerge::Mending { .. })
        ) && self.is_open()
    }

    /// All files it is known to have written in this round.
    pub fn written(&self) -> impl Iterator<Item = &ProjectPath> {
        let touched = self.touched.iter().map(|FileChange { path, .. }| path);
        let more = self.touching.iter();
        touched.chain(more)
    }
}

impl LaneMerge {
    fn mended_by(&self) -> Option<StepId> {
        match self {
            Self::Due | Self::Planned { .. } => None,
            Self::Mending { by } => Some(*by),
        }
    }
}

fn overlap(one: &Step, other: &Step) -> Vec<Overlap> {
    let steps = (one.planned.id, other.planned.id);
    let mut paths: Vec<(&ProjectPath, bool)> = Vec::new();
    for path in one.written() {
        let by_both = other.written().any(|written| written == path);
        let planned = other.planned.paths.iter();
        if by_both
            || planned
                .clone()
                .any(|declared| crate::duties::covers(declared, path))
        {
            paths.push((path, by_both));
        }
    }
    for path in other.written() {
        let mut planned = one.planned.paths.iter();
        if planned.any(|declared| crate::duties::covers(declared, path)) {
            paths.push((path, false));
        }
    }
    paths.sort_by_key(|(path, by_both)| (*path, !by_both));
    paths.dedup_by_key(|(path, _)| *path);
    let overlaps = paths.into_iter().map(|(path, by_both)| Overlap {
        steps,
        path: path.to_string(),
        by_both,
    });
    overlaps.collect()
}
