//! What should be under way in a state. The engine compares this with what is.

use super::{Phase, Step, StepState, Task, Workspace};
use crate::{
    CheckTime, FileOperation, SeatId, SessionId, SnapshotId, StepId, StepKind, Timestamp, TreeId,
    TurnId,
};
use std::sync::Arc;

/// Something the engine has to have under way. Two effects are the same piece of work when
/// they are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Copy the project and find its checks.
    PrepareWorkspace,
    /// Ask the planner.
    MakePlan,
    /// Keep a process ready for this session, so that its next turn starts at once.
    WarmSession {
        seat: SeatId,
        session: SessionId,
        resume: bool,
    },
    /// Run the set-up command in the copy.
    RunSetup,
    /// Run the project's checks in the copy.
    RunChecks { time: CheckTime },
    /// Have the agent take this turn.
    RunTurn { turn: TurnId },
    /// Have NEXUS Prime say what becomes of the step that this turn handed in.
    Judge { turn: TurnId },
    /// Put the result of a step's lane and the task's workspace together.
    PlanMerge { step: StepId },
    /// Write what was put together to the task's workspace.
    Merge { step: StepId, tree: TreeId },
    /// Compare the person's folder with what the change expects, and write the journal.
    PlanApply,
    /// Carry the journal out.
    Apply { operations: Arc<Vec<FileOperation>> },
    /// Keep the workspace's content and remove the workspace.
    DropWorkspace,
    /// Make the workspace anew from what was kept.
    RestoreWorkspace { from: SnapshotId },
}

impl Task {
    /// What should be under way now. A running turn that is not owed has to be stopped.
    pub fn owed(&self) -> Vec<Effect> {
        if matches!(self.workspace, Workspace::Leaving(_)) {
            return vec![Effect::DropWorkspace];
        }
        match &self.phase {
            Phase::Backlog | Phase::Queued | Phase::Paused { .. } | Phase::Failed { .. } => {
                Vec::new()
            }
            Phase::Active => self.owed_while_active(),
            Phase::Review { .. } => self.owed_workspace(),
            Phase::Accepting {
                operations: None, ..
            } => vec![Effect::PlanApply],
            Phase::Accepting {
                operations: Some(operations),
                ..
            } => {
                vec![Effect::Apply {
                    operations: Arc::clone(operations),
                }]
            }
            Phase::Done | Phase::Cancelled { .. } => match self.workspace {
                Workspace::Ready(_) if self.turns.is_empty() => vec![Effect::DropWorkspace],
                Workspace::Ready(_)
                | Workspace::NotMade
                | Workspace::Leaving(_)
                | Workspace::Dropped { .. } => Vec::new(),
            },
        }
    }

    fn owed_while_active(&self) -> Vec<Effect> {
        let mut owed = self.owed_workspace();
        if self.workspace == Workspace::NotMade {
            owed.push(Effect::PrepareWorkspace);
        }
        if self.plan.is_none() && !self.prime_is_held() {
            owed.push(Effect::MakePlan);
        }
        owed.extend(self.owed_checks());
        let wanted = self
            .turns
            .keys()
            .filter(|turn| !self.called_off.contains(turn));
        owed.extend(wanted.map(|turn| Effect::RunTurn { turn: *turn }));
        if matches!(self.workspace, Workspace::Ready(_)) {
            owed.extend(self.owed_judgements());
            owed.extend(self.owed_merge());
            owed.extend(self.owed_sessions());
        }
        owed
    }

    fn owed_workspace(&self) -> Vec<Effect> {
        match &self.workspace {
            Workspace::Dropped {
                kept: Some(from), ..
            } => {
                vec![Effect::RestoreWorkspace { from: from.clone() }]
            }
            Workspace::Dropped { kept: None, was } => {
                vec![Effect::RestoreWorkspace {
                    from: was.base.clone(),
                }]
            }
            Workspace::Ready(_) | Workspace::Leaving(_) | Workspace::NotMade => Vec::new(),
        }
    }

    fn owed_checks(&self) -> Option<Effect> {
        let Workspace::Ready(prepared) = &self.workspace else {
            return None;
        };
        if prepared.setup.is_some() && self.setup.is_none() {
            return Some(Effect::RunSetup);
        }
        if self.baseline.is_none() {
            return Some(Effect::RunChecks {
                time: CheckTime::Baseline,
            });
        }
        let work_done = !self.steps.is_empty()
            && self
                .steps
                .iter()
                .filter(|step| step.planned.kind != StepKind::Validation)
                .all(|step| step.state == StepState::Done);
        let time = CheckTime::After { round: self.round };
        (work_done && !self.has_evidence()).then_some(Effect::RunChecks { time })
    }

    /// The sessions of seats that still have something to do. Until somebody is at work only
    /// the first of them: starting all processes at once would make that one late. A process
    /// is told what may still be spent when it starts, so under a cap each starts in its turn.
    fn owed_sessions(&self) -> Vec<Effect> {
        if self.waits_for_plan() {
            return Vec::new();
        }
        let at_work = self.sessions.values().any(|session| session.begun);
        let mut seats: Vec<SeatId> = Vec::new();
        for step in self.steps.iter().filter(|step| self.wants_seat(step)) {
            let seat = step.seat_id();
            let seat = seat.unwrap_or(SeatId::first(step.planned.role));
            if !seats.contains(&seat) {
                seats.push(seat);
            }
        }
        seats.truncate(if at_work && self.budget.is_none() {
            seats.len()
        } else {
            1
        });
        let sessions = seats
            .iter()
            .filter_map(|seat| self.sessions.get_key_value(seat));
        sessions
            .map(|(seat, session)| Effect::WarmSession {
                seat: *seat,
                session: session.id,
                resume: session.begun,
            })
            .collect()
    }

    /// Will its seat have a turn, as far as can be told? A lane is there only once its step
    /// was begun, so its seat is not warmed before.
    fn wants_seat(&self, step: &Step) -> bool {
        match step.state {
            StepState::Done | StepState::HandedIn => false,
            StepState::Waiting
            | StepState::Running { .. }
            | StepState::Backoff { .. }
            | StepState::Parked { .. }
            | StepState::Failed
            | StepState::Cancelled => {
                if step.is_in_lane() {
                    step.base.is_some()
                } else {
                    step.seat.is_some() || !self.works_apart(step)
                }
            }
        }
    }

    /// When to look again although nothing happened: the earliest end of a wait.
    pub fn next_wake(&self) -> Option<Timestamp> {
        // Asked of every task at every batch, and most of them are not at work.
        if self.phase != Phase::Active {
            return None;
        }
        let questions = self.approvals.values().filter_map(|open| open.expires_at);
        let waits = questions
            .chain(self.hold.iter().filter_map(|hold| hold.until))
            .chain(self.time_runs_out())
            .chain(self.steps_due());
        waits.min()
    }

    /// Would this step be begun next, if nothing held the task?
    pub fn is_next(&self, step: &Step) -> bool {
        step.state == StepState::Waiting && self.dependencies_done(step)
    }

    fn steps_due(&self) -> impl Iterator<Item = Timestamp> {
        self.steps.iter().filter_map(|step| match step.state {
            // One that cannot begin then is looked at when what it waits for has happened.
            StepState::Backoff { until } | StepState::Parked { until } => {
                let may = !self.waits_for_plan() && self.may_begin(step, until);
                may.then_some(until)
            }
            StepState::Waiting
            | StepState::Running { .. }
            | StepState::HandedIn
            | StepState::Done
            | StepState::Failed
            | StepState::Cancelled => None,
        })
    }
}
