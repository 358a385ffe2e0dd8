//! Folding facts in. Nothing here can fail, ask for the time, or decide anything.

use super::{
    AnswerInHand, Decision, Event, LaneMerge, Phase, RoundReason, SessionRecord, Step, StepState,
    Task, Turn, Workspace,
};
use crate::{
    Account, Answer, AnsweredBy, Author, CheckTime, FileChange, Flag, FlagKind, Grant, Plan,
    PlannedStep, Question, Role, Ruling, SeatId, SharedContext, StepId, StepKind, Timestamp,
    TurnFact, TurnId, TurnOutcome, TurnReport, Usage, Usd, Writes,
};
use std::{collections::BTreeSet, sync::Arc};

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
            Event::PlanRevised {
                version, plan, by, ..
            } => self.revise_plan(*version, plan, *by),
            Event::PrimeAsked {
                model,
                calls,
                usage,
                ..
            } => {
                self.prime.calls += calls;
                self.prime.usage = self.prime.usage.plus(*usage);
                self.prime.model = Some(model.clone());
                self.money_spent = self.money_spent + usage.cost.unwrap_or_default();
            }
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
                seat,
                ..
            } => self.begin_turn(*step, *turn, *attempt, (*session, *seat), at),
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
            Event::TurnStreaming { turn } => self.begin_streaming(*turn, at),
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
            Event::FileTouched { turn, path } => {
                if let Some(step) = self.step_of(*turn) {
                    step.touching.insert(path.clone());
                }
            }
            Event::WorkAudited {
                turn,
                changes,
                flags,
            } => self.audited(*turn, changes, flags),
            Event::TurnCalledOff { turn } => {
                self.called_off.insert(*turn);
            }
            Event::MessagesRead { turn, count } => self.take_receipts(*turn, *count, at),
            Event::StepHandedIn { step, structured } => {
                let version = self.plan_version;
                if let Some(step) = self.step_mut(*step) {
                    step.state = StepState::HandedIn;
                    step.handed_in_under = version;
                    step.structured = *structured;
                    step.trouble = None;
                }
            }
            Event::Decided {
                step,
                turn,
                ruling,
                reason,
                by,
            } => {
                self.decisions.push(Arc::new(Decision {
                    at,
                    step: *step,
                    turn: *turn,
                    ruling: ruling.clone(),
                    reason: reason.clone(),
                    by: *by,
                }));
                self.decided(*step, ruling);
            }
            Event::MergePlanned {
                step,
                tree,
                mended_by,
                ..
            } => self.plan_merge(*step, tree, mended_by.as_deref()),
            Event::Merged { step } => {
                if let Some(step) = self.step_mut(*step) {
                    step.merge = match step.merge.take() {
                        Some(LaneMerge::Planned {
                            mended_by: Some(by),
                            ..
                        }) => Some(LaneMerge::Mending { by }),
                        Some(
                            LaneMerge::Due | LaneMerge::Planned { .. } | LaneMerge::Mending { .. },
                        )
                        | None => None,
                    };
                }
            }
            Event::StepEnded { step, structured } => {
                if let Some(step) = self.step_mut(*step) {
                    step.state = StepState::Done;
                    step.structured = *structured;
                    step.failures = 0;
                    step.trouble = None;
                    step.feedback.clear();
                    step.accepted = true;
                    step.merge = None;
                    step.ended_at = Some(at);
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
                seat,
                ..
            } => {
                let seat = SeatId {
                    role: *role,
                    number: *seat,
                };
                self.replace_session_by(seat, *session, *reset);
            }
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
                    // Lanes are not made anew: their steps begin on the workspace as it is.
                    let in_lanes = self.steps.iter_mut().filter(|step| step.is_in_lane());
                    let open = |step: &&mut Step| step.state != StepState::Done;
                    for step in in_lanes.filter(open).filter(|s| !s.is_under_merge()) {
                        step.lose_lane();
                    }
                }
            }
        }
    }

    fn take_plan(&mut self, plan: &Plan) {
        self.steps = plan.steps().iter().cloned().map(Step::planned).collect();
        self.plan = Some(Arc::new(plan.clone()));
        self.plan_version += 1;
    }

    /// Steps that were begun stay what they are; the others become what is planned now. Work
    /// that is new has to be checked, and judged with the rest.
    fn revise_plan(&mut self, version: u32, plan: &Plan, by: Author) {
        let is_outdated = self.outdates_evidence(plan);
        let mut old = std::mem::take(&mut self.steps);
        for planned in plan.steps() {
            let known = old.iter().position(|step| step.planned.id == planned.id);
            let step = match known.map(|place| old.swap_remove(place)) {
                Some(step) if step.is_begun() => step,
                Some(_) | None => Step::planned(planned.clone()),
            };
            self.steps.push(step);
        }
        if is_outdated {
            self.evidence = None;
            let judged = |step: &&mut Step| {
                step.planned.kind == StepKind::Validation
                    && matches!(step.state, StepState::Done | StepState::HandedIn)
            };
            let judgements = self.steps.iter_mut().filter(judged);
            judgements.for_each(|step| step.open_again(&[]));
        }
        self.plan = Some(Arc::new(plan.clone()));
        // Who edits a plan that was said yes to has looked at it.
        if by == Author::Person && self.plan_approved.is_some() {
            self.plan_approved = Some(version);
        }
        self.plan_version = version;
    }

    fn begin_turn(
        &mut self,
        step_id: StepId,
        turn: TurnId,
        attempt: u32,
        (session, number): (crate::SessionId, u32),
        at: Timestamp,
    ) {
        self.turn_steps.insert(turn, step_id);
        self.turns_taken += 1;
        let told = self.messages.len();
        let Some(step) = self.step_mut(step_id) else {
            return;
        };
        step.state = StepState::Running { turn };
        step.attempts = attempt;
        step.seat = Some(number);
        step.was_audited = false;
        // A claim belongs to one turn: what an earlier one claimed says nothing about this.
        step.result = None;
        let role = step.planned.role;
        let seat = SeatId { role, number };
        let begun = Turn {
            id: turn,
            step: step_id,
            seat,
            attempt,
            session,
            started_at: at,
            streaming: false,
            told,
            seen: told,
        };
        self.turns.insert(turn, begun);
        self.sessions
            .entry(seat)
            .or_insert_with(|| SessionRecord::new(session, 0));
        self.used(seat, at);
        self.begin_attempt(step_id, turn, attempt, at);
        // What another one changes meanwhile in the same place would be undone with it.
        if role.writes() == Writes::Workspace && !seat.is_lane() {
            let others = self.steps.iter_mut();
            others
                .filter(|step| step.planned.id != step_id && !step.is_in_lane())
                .for_each(Step::forget_base);
        }
    }

    fn begin_streaming(&mut self, turn: TurnId, at: Timestamp) {
        let Some(running) = self.turns.get_mut(&turn) else {
            return;
        };
        running.streaming = true;
        let told = running.told;
        if let Some(session) = self.sessions.get_mut(&running.seat) {
            session.begun = true;
        }
        if let Some(attempt) = self.attempt_mut(turn) {
            attempt.course = TurnFact::Streaming;
        }
        // It answers, so it has its prompt, and the prompt holds these.
        self.take_receipts(turn, told, at);
    }

    fn used(&mut self, seat: SeatId, at: Timestamp) {
        if let Some(session) = self.sessions.get_mut(&seat) {
            session.used_at = Some(at);
        }
    }

    fn replace_session_by(&mut self, seat: SeatId, session: crate::SessionId, reset: bool) {
        let generation = self.sessions.get(&seat).map_or(0, |old| old.generation + 1);
        self.sessions
            .insert(seat, SessionRecord::new(session, generation));
        let of_seat = self
            .steps
            .iter_mut()
            .filter(|step| step.planned.role == seat.role && step.seat.unwrap_or(0) == seat.number);
        for step in of_seat.filter(|_| reset) {
            step.reset_to.clone_from(&step.base);
        }
    }

    fn audited(&mut self, turn: TurnId, changes: &[FileChange], flags: &[Flag]) {
        let round = self.round;
        let Some(step) = self.step_of(turn) else {
            return;
        };
        step.was_audited = true;
        step.touched = Arc::new(changes.to_vec());
        // Marks that are left are seen each time anew, the rest stays to be judged.
        let marks = |flag: &Flag| flag.kind == FlagKind::ConflictMarks;
        step.flags.retain(|(_, flag)| !marks(flag));
        for flag in flags {
            let flag = (round, flag.clone());
            if !step.flags.contains(&flag) {
                step.flags.push(flag);
            }
        }
        if step.planned.role == Role::Alpha {
            let paths = changes.iter().map(|change| change.path.clone());
            self.alphas.extend(paths);
        }
    }

    fn decided(&mut self, id: StepId, ruling: &Ruling) {
        let Some(step) = self.step_mut(id) else {
            return;
        };
        match ruling {
            Ruling::Accept | Ruling::Replan { .. } => {
                step.accepted = true;
                if step.is_in_lane() && step.state == StepState::HandedIn {
                    step.merge = Some(LaneMerge::Due);
                }
            }
            Ruling::Retry { feedback } => {
                step.state = StepState::Waiting;
                step.accepted = false;
                step.sent_back += 1;
                step.trouble = None;
                step.feedback.push(feedback.clone());
            }
            Ruling::Ask { .. } => {}
        }
    }

    fn plan_merge(&mut self, id: StepId, tree: &crate::TreeId, mending: Option<&PlannedStep>) {
        let mended_by = mending.map(|planned| planned.id);
        if let Some(step) = self.step_mut(id) {
            step.merge = Some(LaneMerge::Planned {
                tree: tree.clone(),
                mended_by,
            });
        }
        let (Some(planned), Some(plan)) = (mending, &self.plan) else {
            return;
        };
        self.plan = Some(Arc::new(plan.with(planned.clone())));
        self.steps.push(Step {
            mends: Some(id),
            ..Step::planned(planned.clone())
        });
        // The rules added it; there is nothing in it to look at first.
        if self.plan_approved == Some(self.plan_version) {
            self.plan_approved = Some(self.plan_version + 1);
        }
        self.plan_version += 1;
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
        self.called_off.remove(&turn.id);
        self.used(turn.seat, at);
        if let Some(session) = self.sessions.get_mut(&turn.seat) {
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
        let seat = turn.seat;
        let of_seat = self
            .steps
            .iter_mut()
            .filter(|step| step.planned.role == seat.role && step.seat.unwrap_or(0) == seat.number);
        for step in of_seat {
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
            (Question::Plan { version, .. }, _) if allows => {
                self.plan_approved = Some(*version);
            }
            (
                Question::Tool { .. }
                | Question::Open { .. }
                | Question::RoundsUsedUp { .. }
                | Question::Plan { .. }
                | Question::HandedIn { .. },
                _,
            ) => {}
        }
    }

    /// Keeps an answer that nobody waits for now, and forgets one that was used.
    fn hold_answer(&mut self, approval: &crate::Approval, answer: &Answer, by: AnsweredBy) {
        let digest = approval.question.digest();
        let role = approval.role;
        self.answers_in_hand
            .retain(|held| held.role != role || held.digest != digest);
        // Only an agent asks the same again; what is asked about a step is asked each time anew.
        let by_agent = match approval.question {
            Question::Tool { .. } | Question::Open { .. } => true,
            Question::RoundsUsedUp { .. } | Question::Plan { .. } | Question::HandedIn { .. } => {
                false
            }
        };
        let is_detached = by_agent && approval.turn.is_none() && approval.step.is_some();
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
        let reopened = self.reopened_by(&feedback, by_person);
        for step in &mut self.steps {
            if reopened.contains(&step.planned.id) {
                step.open_again(&feedback);
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

    /// The steps that a round opens again: the judgements, and of the work the steps that the
    /// feedback is about. Where it names no file that a step changed, that is the last one.
    fn reopened_by(&self, feedback: &[String], by_person: bool) -> Vec<StepId> {
        let of_kind = |kind: StepKind| {
            let steps = self.steps.iter().filter(|step| step.mends.is_none());
            steps.filter(move |step| step.planned.kind == kind)
        };
        let named = |step: &&Step| {
            let mut paths = step.touched.iter().map(|change| change.path.as_str());
            paths.any(|path| feedback.iter().any(|text| text.contains(path)))
        };
        let id = |step: &Step| step.planned.id;
        let work = |kind: StepKind| -> Vec<StepId> {
            let about: Vec<_> = of_kind(kind).filter(named).map(id).collect();
            if about.is_empty() {
                of_kind(kind).next_back().map(id).into_iter().collect()
            } else {
                about
            }
        };
        let mut reopened: Vec<_> = of_kind(StepKind::Validation).map(id).collect();
        reopened.extend(work(StepKind::Implementation));
        // The person's wish may need other tests; a team without Code mends with Alpha.
        if by_person || of_kind(StepKind::Implementation).next().is_none() {
            reopened.extend(work(StepKind::Tests));
        }
        reopened
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
            let goes_on = matches!(step.state, StepState::Done | StepState::Running { .. });
            if !goes_on && !step.is_under_merge() {
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
    fn planned(planned: PlannedStep) -> Self {
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
            seat: None,
            handed_in_under: 0,
            accepted: false,
            merge: None,
            mends: None,
            touching: BTreeSet::new(),
            touched: Arc::default(),
            was_audited: false,
            flags: Vec::new(),
            ended_at: None,
            sent_back: 0,
        }
    }

    /// It has to be done once more, because of this.
    fn open_again(&mut self, feedback: &[String]) {
        self.state = StepState::Waiting;
        self.failures = 0;
        self.assignment = None;
        self.progress = None;
        self.feedback = feedback.to_vec();
        self.seat = None;
        self.accepted = false;
        self.merge = None;
        self.sent_back = 0;
        self.touching.clear();
        self.forget_base();
    }

    /// What was done in its lane is not there any more.
    fn lose_lane(&mut self) {
        self.seat = None;
        self.accepted = false;
        self.merge = None;
        self.touching.clear();
        self.forget_base();
        if self.state == StepState::HandedIn {
            self.state = StepState::Waiting;
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
