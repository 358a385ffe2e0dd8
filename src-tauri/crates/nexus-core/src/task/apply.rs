//! Folding facts in. Nothing here can fail, ask for the time, or decide anything.

use super::{
    AnswerInHand, Event, Phase, RoundReason, SessionRecord, Step, StepState, Task, Turn, Workspace,
};
use crate::{
    Account, Answer, AnsweredBy, CheckTime, Grant, Plan, Question, SharedContext, StepId, StepKind,
    Timestamp, TurnFact, TurnId, TurnOutcome, TurnReport, Usage, Usd, Writes,
};
use std::sync::Arc;

impl Task {
    /// Folds one recorded fact in.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        self.updated_at = at;
        self.run_clock(at);
        match event {
            // The creation made the value; see `Task::replay`.
            Event::TaskCreated { .. } => {}
            Event::TaskQueued => self.queue(at),
            Event::TaskStarted => {
                self.phase = Phase::Active;
                self.started_at.get_or_insert(at);
            }
            Event::PlanMade { plan } => self.take_plan(plan),
            Event::PlannerFailed { .. } => {}
            Event::WorkspacePrepared { workspace } => {
                self.workspace = Workspace::Ready(Arc::new(workspace.clone()));
            }
            Event::SetupRan { evidence } => self.setup = Some(Arc::new(evidence.clone())),
            Event::ChecksRan { run, changes } => {
                let run = Arc::new(run.clone());
                match run.time {
                    CheckTime::Baseline => self.baseline = Some(run),
                    CheckTime::After { .. } => {
                        self.evidence = Some(run);
                        self.changes = Arc::new(changes.clone());
                    }
                }
            }
            Event::StepStarted {
                step,
                turn,
                attempt,
                session,
                ..
            } => {
                self.begin_turn(*step, *turn, *attempt, *session, at);
            }
            Event::ProcessStarting { role, session } => {
                self.process_started(*role, *session, None, at);
            }
            Event::ProcessStarted { role, session, pid } => {
                self.process_started(*role, *session, Some(*pid), at);
            }
            Event::ProcessEnded { session, end, .. } => {
                self.process_ended(*session, *end);
            }
            Event::BaseTaken { step, base, .. } => {
                if let Some(step) = self.step_mut(*step) {
                    step.base = Some(base.clone());
                }
            }
            Event::WorkspaceReset { step, .. } => {
                if let Some(step) = self.step_mut(*step) {
                    step.reset_to = None;
                    step.was_reset = true;
                }
            }
            Event::WorkKept { .. } => {}
            Event::WentOutward { turn, command } => self.went_outward(*turn, command),
            Event::TurnStreaming { turn } => self.begin_streaming(*turn),
            Event::MessagePosted { message } => {
                self.message_count += 1;
                if let crate::Message::Assignment(assignment) = message.as_ref() {
                    let role = assignment.to.role();
                    let open = |step: &&mut Step| {
                        Some(step.planned.role) == role
                            && step.assignment.is_none()
                            && step.planned.title == assignment.payload.task.title
                    };
                    if let Some(step) = self.steps.iter_mut().find(open) {
                        step.assignment = Some(assignment.message_id.clone());
                    }
                }
                self.messages.push(Arc::new(message.as_ref().clone()));
            }
            Event::ProgressReported { turn, note } => {
                if let Some(step) = self.step_of(*turn) {
                    step.progress = Some(note.clone());
                }
            }
            Event::ResultSubmitted {
                turn,
                result,
                structured,
            } => {
                self.claimed(*turn, result, *structured);
                if let Some(step) = self.step_of(*turn) {
                    step.result = Some(Arc::new(result.as_ref().clone()));
                }
            }
            Event::ApprovalRequested { approval } => {
                self.approval_count += 1;
                self.approvals
                    .insert(approval.id, Arc::new(approval.as_ref().clone()));
            }
            Event::ApprovalAnswered { id, answer, by } => self.take_answer(*id, answer, *by, at),
            Event::ApprovalDetached { id } => self.move_approval(*id, None),
            Event::ApprovalReattached { id, turn } => self.move_approval(*id, Some(*turn)),
            Event::GrantRevoked { digest } => self.allowed.retain(|grant| grant.digest != *digest),
            Event::ApprovalWithdrawn { id } => {
                self.approvals.remove(id);
            }
            Event::TurnEnded { report } => self.end_turn(report, at),
            Event::StepEnded { step, structured } => {
                if let Some(step) = self.step_mut(*step) {
                    step.state = StepState::Done;
                    step.structured = *structured;
                    step.failures = 0;
                    step.trouble = None;
                    step.feedback.clear();
                    step.forget_base();
                }
            }
            Event::StepDelayed { step, until, why } => {
                if let Some(step) = self.step_mut(*step) {
                    step.state = match why {
                        super::Delay::Retry { .. } => StepState::Backoff { until: *until },
                        super::Delay::Limit { .. } => StepState::Parked { until: *until },
                    };
                }
            }
            Event::SessionReplaced {
                role,
                session,
                reset,
                ..
            } => self.replace_session_by(*role, *session, *reset),
            Event::Held { hold } => self.hold = Some(hold.clone()),
            Event::HoldLifted => self.hold = None,
            Event::RoundBegan { round, why } => self.begin_round(*round, why, at),
            Event::AttemptVerified { turn, standing, .. } => {
                self.attempt_verified(*turn, *standing);
            }
            Event::ReviewReached { verdict_failed } => {
                self.phase = Phase::Review {
                    verdict_failed: *verdict_failed,
                    conflicts: Vec::new(),
                    problem: None,
                };
            }
            Event::TaskPaused { why } => self.phase = Phase::Paused { why: *why },
            Event::TaskResumed => self.resume(at),
            Event::CancelRequested => {
                self.phase = Phase::Cancelled { reviewed: None };
                self.ended_at = Some(at);
                self.abandon_steps();
            }
            Event::TaskFailed { failure } => {
                self.phase = Phase::Failed {
                    failure: failure.clone(),
                };
                self.ended_at = Some(at);
            }
            Event::BudgetChanged { budget } => self.budget = *budget,
            Event::LimitsChanged { limits } => self.limits = *limits,
            Event::PriorityChanged { priority } => self.priority = *priority,
            Event::ContextShared { from, name, text } => {
                self.shared.push(Arc::new(SharedContext {
                    from: *from,
                    name: name.clone(),
                    text: text.clone(),
                }));
            }
            Event::Unchained => self.after.clear(),
            Event::AcceptBegan { .. } => {
                let verdict_failed = self.verdict_failed();
                self.phase = Phase::Accepting {
                    verdict_failed,
                    operations: None,
                };
            }
            Event::AcceptPlanned { operations } => {
                let verdict_failed = self.verdict_failed();
                let operations = Some(Arc::new(operations.clone()));
                self.phase = Phase::Accepting {
                    verdict_failed,
                    operations,
                };
            }
            Event::AcceptConflicted { conflicts } => {
                self.phase = Phase::Review {
                    verdict_failed: self.verdict_failed(),
                    conflicts: conflicts.clone(),
                    problem: None,
                };
            }
            Event::AcceptFailed { reason } => {
                self.phase = Phase::Review {
                    verdict_failed: self.verdict_failed(),
                    conflicts: Vec::new(),
                    problem: Some(reason.clone()),
                };
            }
            Event::Accepted => {
                self.phase = Phase::Done;
                self.ended_at = Some(at);
            }
            Event::Discarded => {
                self.phase = Phase::Cancelled {
                    reviewed: Some(self.verdict_failed()),
                };
                self.ended_at = Some(at);
            }
            Event::WorkspaceDropped { kept } => {
                if let Some(was) = self.workspace.prepared().cloned() {
                    self.workspace = Workspace::Dropped {
                        was,
                        kept: kept.clone(),
                    };
                }
            }
            Event::Restored => self.restore(),
            Event::WorkspaceRestored { path } => {
                if let Some(was) = self.workspace.prepared() {
                    let mut prepared = was.as_ref().clone();
                    prepared.path.clone_from(path);
                    self.workspace = Workspace::Ready(Arc::new(prepared));
                    // Kept content has no ignored files, so what set-up made is gone.
                    self.setup = None;
                }
            }
        }
    }

    fn take_plan(&mut self, plan: &Plan) {
        self.steps = plan.steps().iter().cloned().map(Step::planned).collect();
        self.plan = Some(Arc::new(plan.clone()));
    }

    fn begin_turn(
        &mut self,
        step_id: StepId,
        turn: TurnId,
        attempt: u32,
        session: crate::SessionId,
        at: Timestamp,
    ) {
        self.turn_steps.insert(turn, step_id);
        self.turns_taken += 1;
        let Some(step) = self.step_mut(step_id) else {
            return;
        };
        step.state = StepState::Running { turn };
        step.attempts = attempt;
        // A claim belongs to one turn: what an earlier one claimed says nothing about this.
        step.result = None;
        let role = step.planned.role;
        let begun = Turn {
            id: turn,
            step: step_id,
            role,
            attempt,
            session,
            started_at: at,
            streaming: false,
        };
        self.turns.insert(turn, begun);
        self.used(role, at);
        self.begin_attempt(step_id, turn, attempt, at);
        // What another one changes meanwhile would be undone with it.
        if role.writes() == Writes::Workspace {
            let others = self.steps.iter_mut();
            others
                .filter(|step| step.planned.id != step_id)
                .for_each(Step::forget_base);
        }
    }

    fn begin_streaming(&mut self, turn: TurnId) {
        let Some(running) = self.turns.get_mut(&turn) else {
            return;
        };
        running.streaming = true;
        if let Some(session) = self.sessions.get_mut(&running.role) {
            session.begun = true;
        }
        if let Some(attempt) = self.attempt_mut(turn) {
            attempt.course = TurnFact::Streaming;
        }
    }

    fn used(&mut self, role: crate::Role, at: Timestamp) {
        if let Some(session) = self.sessions.get_mut(&role) {
            session.used_at = Some(at);
        }
    }

    fn replace_session_by(&mut self, role: crate::Role, session: crate::SessionId, reset: bool) {
        let generation = self.sessions.get(&role).map_or(0, |old| old.generation + 1);
        self.sessions
            .insert(role, SessionRecord::new(session, generation));
        let of_role = self
            .steps
            .iter_mut()
            .filter(|step| step.planned.role == role);
        for step in of_role.filter(|_| reset) {
            step.reset_to.clone_from(&step.base);
        }
    }

    fn went_outward(&mut self, turn: TurnId, command: &str) {
        if let Some(step) = self.step_of(turn)
            && !step.outward.iter().any(|known| known == command)
        {
            step.outward.push(command.to_owned());
        }
    }

    fn move_approval(&mut self, id: crate::ApprovalId, turn: Option<TurnId>) {
        if let Some(approval) = self.approvals.get_mut(&id) {
            Arc::make_mut(approval).turn = turn;
        }
    }

    fn end_turn(&mut self, report: &TurnReport, at: Timestamp) {
        self.end_attempt(report);
        let Some(turn) = self.turns.remove(&report.turn) else {
            return;
        };
        self.used(turn.role, at);
        if let Some(session) = self.sessions.get_mut(&turn.role) {
            session.used = session.used.plus(report.usage);
            session.turns += u32::from(matches!(report.outcome, TurnOutcome::Completed { .. }));
        }
        self.count(&turn, report);
        let left = match self.phase {
            Phase::Cancelled { .. } => StepState::Cancelled,
            Phase::Failed { .. } => StepState::Failed,
            Phase::Backlog
            | Phase::Queued
            | Phase::Active
            | Phase::Paused { .. }
            | Phase::Review { .. }
            | Phase::Accepting { .. }
            | Phase::Done => StepState::Waiting,
        };
        let Some(step) = self.step_mut(turn.step) else {
            return;
        };
        step.duration_ms += report.duration_ms;
        if matches!(step.state, StepState::Running { .. }) {
            step.state = left;
        }
        match &report.outcome {
            TurnOutcome::Completed { .. } => {}
            // Cut short by us or by a limit: the agent did not fail, so no attempt is used up.
            TurnOutcome::Interrupted
            | TurnOutcome::OutputLost
            | TurnOutcome::BudgetExhausted
            | TurnOutcome::RateLimited { .. } => {
                step.attempts = step.attempts.saturating_sub(1);
                step.trouble = Some(report.outcome.describe());
            }
            TurnOutcome::TimedOut { .. }
            | TurnOutcome::Overloaded { .. }
            | TurnOutcome::AuthRequired { .. }
            | TurnOutcome::CreditExhausted { .. }
            | TurnOutcome::ContextExhausted { .. }
            | TurnOutcome::SessionLost { .. }
            | TurnOutcome::Refused { .. }
            | TurnOutcome::BadProtocol { .. }
            | TurnOutcome::Exited { .. }
            | TurnOutcome::Signalled { .. }
            | TurnOutcome::CouldNotStart { .. } => {
                step.failures += 1;
                step.trouble = Some(report.outcome.describe());
            }
        }
    }

    /// A turn whose end nobody saw, or whose use was not told, has used something, until a later
    /// one tells.
    fn count(&mut self, turn: &Turn, report: &TurnReport) {
        // Added up turn by turn: one without a price must not hide those that have one.
        self.money_spent = self.money_spent + report.usage.cost.unwrap_or_default();
        let paid = Account::of(self.spec.team).is_some();
        let finished = matches!(report.outcome, TurnOutcome::Completed { .. });
        let untold = finished && report.usage.tokens() == 0 && report.usage.cost.is_none();
        let unseen = report.outcome == TurnOutcome::OutputLost || (paid && untold);
        let of_role = self.steps.iter_mut();
        for step in of_role.filter(|step| step.planned.role == turn.role) {
            if step.planned.id == turn.step {
                step.usage = step.usage.plus(report.usage);
                step.uncounted += u32::from(unseen);
            }
            if report.covers_lost {
                step.uncounted = 0;
            }
        }
    }

    fn take_answer(
        &mut self,
        id: crate::ApprovalId,
        answer: &Answer,
        by: AnsweredBy,
        at: Timestamp,
    ) {
        let Some(approval) = self.approvals.remove(&id) else {
            return;
        };
        if by == AnsweredBy::NobodyThere {
            self.denied_unasked += 1;
        }
        self.hold_answer(&approval, answer, by);
        let allows = !matches!(answer, Answer::Deny { .. } | Answer::Text { .. });
        if let (Question::Tool { request, .. }, Some(turn), true) =
            (&approval.question, approval.turn, allows)
            && request.tool == "Bash"
        {
            self.went_outward(turn, request.object());
        }
        match (&approval.question, answer) {
            (Question::Tool { request, .. }, Answer::AllowForTask) => {
                self.allowed.push(Grant {
                    digest: request.digest(),
                    tool: request.tool.clone(),
                    object: request.object().to_owned(),
                    made_at: at,
                });
            }
            (Question::RoundsUsedUp { .. }, Answer::Allow | Answer::AllowForTask) => {
                self.extra_rounds += 1;
            }
            (Question::Tool { .. } | Question::Open { .. } | Question::RoundsUsedUp { .. }, _) => {}
        }
    }

    /// Keeps an answer that nobody waits for now, and forgets one that was used.
    fn hold_answer(&mut self, approval: &crate::Approval, answer: &Answer, by: AnsweredBy) {
        let digest = approval.question.digest();
        let role = approval.role;
        self.answers_in_hand
            .retain(|held| held.role != role || held.digest != digest);
        let is_detached = approval.turn.is_none() && approval.step.is_some();
        if is_detached && by == AnsweredBy::Person {
            self.answers_in_hand.push(AnswerInHand {
                role,
                digest,
                answer: answer.clone(),
            });
        }
    }

    /// Opens Code's and Beta's steps again; the person's wish also opens Alpha's.
    fn begin_round(&mut self, round: u32, why: &RoundReason, at: Timestamp) {
        self.round = round;
        let feedback = match why {
            RoundReason::Findings { findings } => {
                self.returns += 1;
                findings.clone()
            }
            RoundReason::Person { text } => {
                self.returns = 0;
                self.extra_rounds = 0;
                self.denied_unasked = 0;
                vec![text.clone()]
            }
        };
        let by_person = matches!(why, RoundReason::Person { .. });
        for step in &mut self.steps {
            let reopened = match step.planned.kind {
                StepKind::Analysis => false,
                StepKind::Implementation | StepKind::Validation => true,
                StepKind::Tests => by_person,
            };
            if reopened {
                step.state = StepState::Waiting;
                step.failures = 0;
                step.assignment = None;
                step.progress = None;
                step.feedback.clone_from(&feedback);
                step.forget_base();
            }
        }
        // The team goes on at once; a person's wish waits for a place like any other.
        if by_person {
            self.queue(at);
        } else {
            self.phase = Phase::Active;
        }
        self.ended_at = None;
    }

    fn queue(&mut self, at: Timestamp) {
        self.phase = Phase::Queued;
        self.queued_at = Some(at);
    }

    fn resume(&mut self, at: Timestamp) {
        self.queue(at);
        self.ended_at = None;
        for step in &mut self.steps {
            let waits = matches!(
                step.state,
                StepState::Failed | StepState::Backoff { .. } | StepState::Parked { .. }
            );
            if waits {
                step.state = StepState::Waiting;
            }
            step.failures = 0;
            // The person has seen what may have happened, and wants it to go on.
            step.outward.clear();
        }
    }

    fn abandon_steps(&mut self) {
        for step in &mut self.steps {
            if !matches!(step.state, StepState::Done | StepState::Running { .. }) {
                step.state = StepState::Cancelled;
            }
        }
    }

    fn restore(&mut self) {
        self.ended_at = None;
        if let Workspace::Ready(prepared) = &self.workspace {
            self.workspace = Workspace::Leaving(Arc::clone(prepared));
        }
        if let Phase::Cancelled {
            reviewed: Some(verdict_failed),
        } = self.phase
        {
            self.phase = Phase::Review {
                verdict_failed,
                conflicts: Vec::new(),
                problem: None,
            };
            return;
        }
        for step in &mut self.steps {
            if step.state == StepState::Cancelled {
                step.state = StepState::Waiting;
            }
        }
        self.phase = Phase::Paused {
            why: super::PauseReason::Person,
        };
    }

    fn verdict_failed(&self) -> bool {
        matches!(
            self.phase,
            Phase::Review {
                verdict_failed: true,
                ..
            } | Phase::Accepting {
                verdict_failed: true,
                ..
            }
        )
    }

    fn step_of(&mut self, turn: TurnId) -> Option<&mut Step> {
        let step = self.turns.get(&turn)?.step;
        self.step_mut(step)
    }
}

impl Step {
    fn planned(planned: crate::PlannedStep) -> Self {
        Self {
            planned,
            state: StepState::Waiting,
            attempts: 0,
            failures: 0,
            usage: Usage {
                cost: Some(Usd::ZERO),
                ..Usage::default()
            },
            uncounted: 0,
            duration_ms: 0,
            result: None,
            structured: false,
            progress: None,
            trouble: None,
            assignment: None,
            feedback: Vec::new(),
            history: Vec::new(),
            base: None,
            reset_to: None,
            was_reset: false,
            outward: Vec::new(),
        }
    }

    /// What the step began from means nothing any more.
    fn forget_base(&mut self) {
        self.base = None;
        self.reset_to = None;
        self.was_reset = false;
        self.outward.clear();
    }
}
