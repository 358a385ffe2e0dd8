//! What an order means, what news means, and what follows from either.

use super::{
    AnswerInHand, Command, Effect, Event, MAX_ROUNDS, PauseReason, Phase, PlannerKind, ProcessEnd,
    Rejection, Report, RoundReason, Step, StepState, Task, Turn, Workspace,
};
use crate::{
    Answer, AnsweredBy, Approval, ApprovalId, CheckTime, Hold, Message, MessageId, MessageKind,
    MessagePrefix, Note, Party, Question, Recipient, Role, SnapshotId, Standing, StepId, StepKind,
    Timestamp, TurnId, TurnOutcome, TurnReport, Usage, Verdict, WAKE_SPREAD,
};
use std::{sync::Arc, time::Duration};

impl Task {
    /// Says what an order means now, with everything that follows from it. Touches nothing.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        Ok(self.settle(self.decide_alone(command, now)?, now))
    }

    /// What the order alone means. What follows from it is found when somebody works on the
    /// task.
    pub(crate) fn decide_alone(
        &self,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let direct = match command {
            Command::Start => {
                self.only_if(self.phase == Phase::Backlog, command, Event::TaskQueued)?
            }
            Command::Admit => {
                let may = self.phase == Phase::Queued && !self.is_stopping();
                self.only_if(may, command, Event::TaskStarted)?
            }
            Command::Pause => self.pause(command)?,
            Command::Resume => self.resume_order(command)?,
            Command::Cancel => self.cancel(command)?,
            Command::Answer {
                approval,
                answer,
                digest,
            } => self.answer(*approval, answer, digest.as_deref())?,
            Command::Revoke { digest } => self.revoke(digest)?,
            Command::Hold(hold) => self.held(hold),
            Command::LiftHold if self.hold.is_some() => vec![Event::HoldLifted],
            Command::LiftHold => Vec::new(),
            Command::EndOfDay => self.end_of_day(),
            Command::ReplaceSession { role } => self.give_up_session(*role)?,
            Command::EditPlan { version, steps } => self.edit_plan(*version, steps, command)?,
            Command::Say { to, text, urgent } => self.say(*to, text, *urgent, command, now)?,
            Command::RequestChanges { text } => self.request_changes(command, text)?,
            Command::SetBudget { budget } => {
                let spent = self.spent().money;
                if let Some(cap) = *budget
                    && cap <= spent
                {
                    return Err(Rejection::BudgetSpent { cap, spent });
                }
                vec![Event::BudgetChanged { budget: *budget }]
            }
            Command::SetLimits { limits } => vec![Event::LimitsChanged { limits: *limits }],
            Command::SetPriority { priority } if self.priority == *priority => Vec::new(),
            Command::SetPriority { priority } => vec![Event::PriorityChanged {
                priority: *priority,
            }],
            // It waited for them before it was first given a place, and never after.
            Command::Unchain if self.after.is_empty() || self.started_at.is_some() => {
                return Err(Rejection::NotChained);
            }
            Command::Unchain => vec![Event::Unchained],
            Command::Accept { although_red } => self.accept(command, *although_red)?,
            Command::Discard => {
                let may = matches!(self.phase, Phase::Review { .. });
                self.only_if(may, command, Event::Discarded)?
            }
            Command::Restore => {
                let may = matches!(self.phase, Phase::Cancelled { .. }) && !self.is_stopping();
                self.only_if(may, command, Event::Restored)?
            }
        };
        Ok(direct)
    }

    /// Says what news means now, with everything that follows from it. Stale news means
    /// nothing.
    pub fn observe(&self, report: &Report, now: Timestamp) -> Vec<Event> {
        let direct = match report {
            Report::WorkspacePrepared(workspace) if self.workspace == Workspace::NotMade => {
                vec![Event::WorkspacePrepared {
                    workspace: workspace.clone(),
                }]
            }
            Report::Planned(plan) if self.plan.is_none() => {
                vec![Event::PlanMade { plan: plan.clone() }]
            }
            Report::PlannerFailed { reason } if self.plan.is_none() => vec![
                Event::PlannerFailed {
                    reason: reason.clone(),
                },
                Event::PlanMade {
                    plan: self.spec.own_plan(),
                },
            ],
            Report::SetupRan(evidence) if self.setup.is_none() => {
                vec![Event::SetupRan {
                    evidence: evidence.clone(),
                }]
            }
            Report::ChecksRan { run, changes }
                if self.owes(&Effect::RunChecks { time: run.time }) =>
            {
                let mut events = vec![Event::ChecksRan {
                    run: run.clone(),
                    changes: changes.clone(),
                }];
                if let CheckTime::After { .. } = run.time {
                    events.extend(self.verifications(run));
                }
                events
            }
            Report::ProcessStarting { role, session } => vec![Event::ProcessStarting {
                role: *role,
                session: *session,
            }],
            Report::ProcessStarted { role, session, pid } => vec![Event::ProcessStarted {
                role: *role,
                session: *session,
                pid: *pid,
            }],
            Report::ProcessEnded { role, session, end } if self.processes.contains_key(session) => {
                vec![Event::ProcessEnded {
                    role: *role,
                    session: *session,
                    end: *end,
                }]
            }
            Report::BaseTaken { turn, base } => self.base_taken(*turn, base),
            Report::WorkspaceReset { turn, to, kept } => self.workspace_reset(*turn, to, kept),
            Report::WorkKept { turn, snapshot } if self.turns.contains_key(turn) => {
                vec![Event::WorkKept {
                    turn: *turn,
                    snapshot: snapshot.clone(),
                }]
            }
            Report::WentOutward { turn, command } if self.turns.contains_key(turn) => {
                vec![Event::WentOutward {
                    turn: *turn,
                    command: command.clone(),
                }]
            }
            Report::LeftBehind => self.left_behind(now),
            Report::TurnStreaming { turn } => self.streaming(*turn),
            Report::Posted {
                turn,
                to,
                kind,
                text,
            } => self.post(*turn, *to, *kind, text, now),
            Report::Progress { turn, note } if self.turns.contains_key(turn) => {
                vec![Event::ProgressReported {
                    turn: *turn,
                    note: note.clone(),
                }]
            }
            Report::Result { turn, result } if self.turns.contains_key(turn) => {
                vec![Event::ResultSubmitted {
                    turn: *turn,
                    result: result.clone(),
                    structured: true,
                }]
            }
            Report::Asked {
                turn,
                question,
                allowed_by_rule,
            } => self.ask(*turn, question, *allowed_by_rule, now),
            Report::Withdrawn { id } if self.approvals.contains_key(id) => {
                vec![Event::ApprovalWithdrawn { id: *id }]
            }
            Report::TurnEnded(report) => self.turn_ended(report, now),
            Report::PrimeAsked {
                purpose,
                model,
                calls,
                usage,
            } => vec![Event::PrimeAsked {
                purpose: *purpose,
                model: model.clone(),
                calls: *calls,
                usage: *usage,
            }],
            Report::Touched { turn, path } => self.touched(*turn, path),
            Report::Audited {
                turn,
                changes,
                flags,
            } if self.turns.contains_key(turn) => vec![Event::WorkAudited {
                turn: *turn,
                changes: changes.clone(),
                flags: flags.clone(),
            }],
            Report::MessagesRead { turn } => self.read(*turn),
            Report::Judged {
                turn,
                ruling,
                reason,
            } => self.judged(*turn, ruling, reason, now),
            Report::JudgeFailed { turn, reason } => self.judge_failed(*turn, reason),
            Report::MergePlanned {
                step,
                tree,
                conflicts,
            } => self.merge_planned(*step, tree, conflicts),
            Report::Merged { step } => self.merged(*step),
            Report::ApplyPlanned { operations } if self.is_accepting() => {
                vec![Event::AcceptPlanned {
                    operations: operations.clone(),
                }]
            }
            Report::ApplyConflicted { conflicts } if self.is_accepting() => {
                vec![Event::AcceptConflicted {
                    conflicts: conflicts.clone(),
                }]
            }
            Report::ApplyFailed { reason } if self.is_accepting() => {
                vec![Event::AcceptFailed {
                    reason: reason.clone(),
                }]
            }
            Report::Applied if self.is_accepting() => vec![Event::Accepted],
            Report::WorkspaceDropped { kept } if self.owes(&Effect::DropWorkspace) => {
                vec![Event::WorkspaceDropped { kept: kept.clone() }]
            }
            Report::WorkspaceRestored { path } if self.is_dropped() => {
                vec![Event::WorkspaceRestored { path: path.clone() }]
            }
            Report::Failed(failure) if self.phase == Phase::Active => {
                vec![Event::TaskFailed {
                    failure: failure.clone(),
                }]
            }
            // Stale: the state it speaks of has passed.
            Report::ProcessEnded { .. }
            | Report::Audited { .. }
            | Report::WorkKept { .. }
            | Report::WentOutward { .. }
            | Report::WorkspacePrepared(_)
            | Report::Planned(_)
            | Report::PlannerFailed { .. }
            | Report::SetupRan(_)
            | Report::ChecksRan { .. }
            | Report::WorkspaceDropped { .. }
            | Report::WorkspaceRestored { .. }
            | Report::Progress { .. }
            | Report::Result { .. }
            | Report::Withdrawn { .. }
            | Report::ApplyPlanned { .. }
            | Report::ApplyConflicted { .. }
            | Report::ApplyFailed { .. }
            | Report::Applied
            | Report::Failed(_) => Vec::new(),
        };
        self.settle(direct, now)
    }

    /// Says what has to happen because time passed.
    pub fn tick(&self, now: Timestamp) -> Vec<Event> {
        self.settle(Vec::new(), now)
    }

    /// Adds to `direct` whatever follows from it, until nothing more does.
    fn settle(&self, direct: Vec<Event>, now: Timestamp) -> Vec<Event> {
        let mut task = self.clone();
        let mut events = Vec::new();
        let mut next = direct;
        loop {
            for event in &next {
                task.apply(event, now);
            }
            events.append(&mut next);
            next = task.advance(now);
            if next.is_empty() {
                return events;
            }
        }
    }

    /// The next thing that follows from the state by itself.
    fn advance(&self, now: Timestamp) -> Vec<Event> {
        let expired = self.expire(now);
        if !expired.is_empty() {
            return expired;
        }
        if self.phase != Phase::Active {
            return Vec::new();
        }
        if self.hold.as_ref().is_some_and(|hold| hold.is_over(now)) {
            return vec![Event::HoldLifted];
        }
        if self.time_is_up(now) {
            return self.stop_at_cap(PauseReason::Time);
        }
        if self.plan.is_none() && self.spec.planner == PlannerKind::Standard {
            return vec![Event::PlanMade {
                plan: self.spec.own_plan(),
            }];
        }
        if let Some(ended) = self.merge_ended() {
            return vec![ended];
        }
        let asked = self.ask_again(now);
        if !asked.is_empty() {
            return asked;
        }
        if let Some(why) = self.prime_at_cap(now) {
            return self.stop_at_cap(why);
        }
        if self.waits_for_plan() {
            return self.ask_about_plan(now);
        }
        if self.plan.is_none() || !matches!(self.workspace, Workspace::Ready(_)) {
            return Vec::new();
        }
        if let Some(step) = self.next_step(now) {
            return match self.cap_reached(now) {
                Some(why) => self.stop_at_cap(why),
                None => self.begin(step, now),
            };
        }
        if self.steps.iter().all(|step| step.state == StepState::Done) {
            return self.conclude(now);
        }
        Vec::new()
    }

    /// The step that begins next: the most urgent, of several the first.
    fn next_step(&self, now: Timestamp) -> Option<&Step> {
        let ready = self.steps.iter().filter(|step| self.may_begin(step, now));
        ready.min_by_key(|step| std::cmp::Reverse(step.planned.priority))
    }

    /// May this step take a turn now?
    pub(super) fn may_begin(&self, step: &Step, now: Timestamp) -> bool {
        let due = match step.state {
            StepState::Waiting => true,
            StepState::Backoff { until } | StepState::Parked { until } => until <= now,
            StepState::Running { .. }
            | StepState::HandedIn
            | StepState::Done
            | StepState::Failed
            | StepState::Cancelled => false,
        };
        let prepared = match step.planned.kind {
            StepKind::Analysis => true,
            StepKind::Implementation | StepKind::Tests => {
                self.is_set_up() && self.baseline.is_some()
            }
            StepKind::Validation => self.is_set_up() && self.has_evidence(),
        };
        let held = self.hold.as_ref().is_some_and(|hold| !hold.is_over(now));
        let may_write = |seat| self.may_write(step, seat);
        due && prepared
            && !held
            && self.dependencies_done(step)
            && self.free_seat(step).is_some_and(may_write)
    }

    pub(super) fn dependencies_done(&self, step: &Step) -> bool {
        step.planned
            .after
            .iter()
            .all(|before| self.is_done(*before))
    }

    /// Is this step of the plan done?
    pub(super) fn is_done(&self, id: StepId) -> bool {
        let step = self.step(id);
        step.is_some_and(|step| step.state == StepState::Done)
    }

    /// Is the copy ready for checks and for work that needs what they need?
    fn is_set_up(&self) -> bool {
        let needed = self
            .workspace
            .prepared()
            .is_some_and(|prepared| prepared.setup.is_some());
        !needed || self.setup.is_some()
    }

    /// Were the checks taken on the work of this round?
    pub(super) fn has_evidence(&self) -> bool {
        self.evidence
            .as_deref()
            .is_some_and(|run| run.time == CheckTime::After { round: self.round })
    }

    fn begin(&self, step: &Step, now: Timestamp) -> Vec<Event> {
        let Some(seat) = self.free_seat(step) else {
            return Vec::new();
        };
        let known = self.sessions.get(&seat).map(|session| session.id);
        let session = known.unwrap_or_else(|| self.id.session(seat, 0));
        if step.assignment.is_none() {
            let message = Box::new(self.assignment(step, session, now));
            return vec![Event::MessagePosted { message }];
        }
        vec![Event::StepStarted {
            step: step.planned.id,
            turn: self.next_turn(),
            attempt: step.attempts + 1,
            round: self.round,
            session,
            seat: seat.number,
        }]
    }

    fn next_turn(&self) -> TurnId {
        let last = self
            .turn_steps
            .last_key_value()
            .map_or(0, |(turn, _)| turn.0);
        TurnId(last + 1)
    }

    /// All steps are done: look at what was proved, and go round again, ask, or hand over.
    fn conclude(&self, now: Timestamp) -> Vec<Event> {
        let Some(standing) = self.standing().filter(|_| self.has_evidence()) else {
            return Vec::new();
        };
        let findings = self.findings(standing);
        if findings.is_empty() {
            return vec![Event::ReviewReached {
                verdict_failed: false,
            }];
        }
        if self.returns < MAX_ROUNDS + self.extra_rounds {
            let why = RoundReason::Findings { findings };
            return vec![Event::RoundBegan {
                round: self.round + 1,
                why,
            }];
        }
        if !self.approvals.is_empty() {
            return Vec::new();
        }
        let question = Question::RoundsUsedUp {
            rounds: self.returns,
            findings,
        };
        self.request(Role::Beta, None, question, false, now)
    }

    /// What has to be mended: what Beta found, and what the checks show whatever Beta said.
    fn findings(&self, standing: Standing) -> Vec<String> {
        let mut findings = Vec::new();
        if self.verdict() == Some(Verdict::Fail) {
            let results = self.steps.iter().filter_map(|step| step.result.as_deref());
            let beta = results.filter(|result| result.verdict == Some(Verdict::Fail));
            for result in beta {
                findings.extend(result.findings.iter().map(|finding| {
                    let place = finding.location.as_deref().map(|l| format!(" ({l})"));
                    let mend = finding
                        .suggestion
                        .as_deref()
                        .map(|s| format!(". Suggestion: {s}"));
                    format!(
                        "{}{}{}",
                        finding.problem,
                        place.unwrap_or_default(),
                        mend.unwrap_or_default()
                    )
                }));
                if result.findings.is_empty() {
                    findings.push(result.summary.clone());
                }
            }
        }
        findings.extend(self.unmet());
        if standing == Standing::BrokenByUs {
            let red = self.evidence.iter().flat_map(|run| &run.evidence);
            findings.extend(red.filter(|e| !e.end.is_success()).map(|e| {
                format!(
                    "`{}` fails with code {}, and did not before the change. The end of its output:\n{}",
                    e.command,
                    e.end.code(),
                    e.output_tail
                )
            }));
        }
        findings
    }

    fn pause(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        // Said twice, it is still what was wanted.
        if matches!(self.phase, Phase::Paused { .. }) {
            return Ok(Vec::new());
        }
        let may = matches!(self.phase, Phase::Active | Phase::Queued);
        let paused = Event::TaskPaused {
            why: PauseReason::Person,
        };
        let mut events = self.only_if(may, command, paused)?;
        // The turns that asked are stopped, so nobody waits for an answer.
        events.splice(0..0, self.withdrawals());
        Ok(events)
    }

    fn resume_order(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        // It does already, or will as soon as somebody works on it.
        if matches!(
            self.phase,
            Phase::Active | Phase::Queued | Phase::Accepting { .. }
        ) {
            return Ok(Vec::new());
        }
        let spent = self.spent();
        match spent.over(self.budget, self.limits) {
            Some(PauseReason::Tokens) => return Err(Rejection::CapReached { what: "tokens" }),
            Some(PauseReason::Time) => {
                return Err(Rejection::CapReached {
                    what: "working time",
                });
            }
            Some(PauseReason::Turns) => return Err(Rejection::CapReached { what: "turns" }),
            Some(
                PauseReason::Budget
                | PauseReason::Person
                | PauseReason::Day
                | PauseReason::Unsure
                | PauseReason::Plan,
            ) => {
                return Err(Rejection::BudgetSpent {
                    cap: self.budget.unwrap_or_default(),
                    spent: spent.money,
                });
            }
            None => {}
        }
        let halted = matches!(self.phase, Phase::Paused { .. } | Phase::Failed { .. });
        self.only_if(halted, command, Event::TaskResumed)
    }

    pub(super) fn withdrawals(&self) -> impl Iterator<Item = Event> {
        self.approvals
            .keys()
            .map(|id| Event::ApprovalWithdrawn { id: *id })
    }

    fn only_if(&self, may: bool, command: &Command, event: Event) -> Result<Vec<Event>, Rejection> {
        if may {
            Ok(vec![event])
        } else {
            Err(self.refuse(command))
        }
    }

    fn cancel(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match self.phase {
            // Said twice, it is still what was wanted.
            Phase::Cancelled { .. } => Ok(Vec::new()),
            Phase::Done | Phase::Accepting { .. } => Err(self.refuse(command)),
            Phase::Review { .. } => Ok(vec![Event::Discarded]),
            Phase::Backlog
            | Phase::Queued
            | Phase::Active
            | Phase::Paused { .. }
            | Phase::Failed { .. } => {
                Ok(self.withdrawals().chain([Event::CancelRequested]).collect())
            }
        }
    }

    fn answer(
        &self,
        id: ApprovalId,
        answer: &Answer,
        digest: Option<&str>,
    ) -> Result<Vec<Event>, Rejection> {
        let approval = self.approvals.get(&id).ok_or(Rejection::NoSuchQuestion)?;
        if digest.is_some_and(|seen| seen != approval.question.digest()) {
            return Err(Rejection::QuestionChanged);
        }
        let expected = match (&approval.question, answer) {
            (Question::Open { .. }, Answer::Text { text }) if !text.trim().is_empty() => None,
            (Question::Open { .. }, Answer::Deny { .. }) => None,
            (Question::Open { .. }, _) => Some("an answer in words, or a refusal"),
            (Question::HandedIn { .. }, Answer::Text { text }) if !text.trim().is_empty() => None,
            (_, Answer::Text { .. }) => Some("yes or no, not words"),
            (_, Answer::Allow | Answer::Deny { .. }) => None,
            (
                Question::Tool { .. },
                Answer::AllowForTask | Answer::AllowForProject | Answer::AllowAlways,
            ) => None,
            (
                Question::RoundsUsedUp { .. } | Question::Plan { .. } | Question::HandedIn { .. },
                Answer::AllowForTask | Answer::AllowForProject | Answer::AllowAlways,
            ) => Some("yes or no"),
        };
        if let Some(expected) = expected {
            return Err(Rejection::WrongAnswer { expected });
        }
        Ok(self.answered(approval, answer.clone(), AnsweredBy::Person))
    }

    /// The answer, and what it means for the task itself where no turn waits for it.
    fn answered(&self, approval: &Approval, answer: Answer, by: AnsweredBy) -> Vec<Event> {
        let is_no = matches!(answer, Answer::Deny { .. });
        let follows = match &approval.question {
            Question::RoundsUsedUp { .. } if is_no => vec![Event::ReviewReached {
                verdict_failed: true,
            }],
            Question::Plan { .. } if is_no => {
                let why = PauseReason::Plan;
                let others = self.approvals.keys().filter(|id| **id != approval.id);
                let withdrawn = others.map(|id| Event::ApprovalWithdrawn { id: *id });
                withdrawn.chain([Event::TaskPaused { why }]).collect()
            }
            Question::HandedIn { step, .. } => self.ruled_by_answer(*step, &answer, by),
            Question::Tool { .. }
            | Question::Open { .. }
            | Question::RoundsUsedUp { .. }
            | Question::Plan { .. } => Vec::new(),
        };
        let mut events = vec![Event::ApprovalAnswered {
            id: approval.id,
            answer,
            by,
        }];
        events.extend(follows);
        events
    }

    fn request_changes(&self, command: &Command, text: &str) -> Result<Vec<Event>, Rejection> {
        if text.trim().is_empty() {
            return Err(Rejection::EmptyRequest);
        }
        let why = RoundReason::Person {
            text: text.to_owned(),
        };
        let round = Event::RoundBegan {
            round: self.round + 1,
            why,
        };
        self.only_if(matches!(self.phase, Phase::Review { .. }), command, round)
    }

    fn accept(&self, command: &Command, although_red: bool) -> Result<Vec<Event>, Rejection> {
        let Phase::Review { .. } = self.phase else {
            return Err(self.refuse(command));
        };
        if self.changes.is_empty() {
            return Err(Rejection::NothingChanged);
        }
        match self.standing() {
            Some(standing) if !standing.allows_accept() && !although_red => {
                Err(Rejection::ChecksRed {
                    standing: standing.describe(),
                })
            }
            _ => Ok(vec![Event::AcceptBegan { although_red }]),
        }
    }

    pub(super) fn refuse(&self, command: &Command) -> Rejection {
        Rejection::WrongState {
            state: self.state(),
            wanted: command.describe(),
        }
    }

    pub(super) fn owes(&self, effect: &Effect) -> bool {
        self.owed().contains(effect)
    }

    fn is_dropped(&self) -> bool {
        matches!(self.workspace, Workspace::Dropped { .. })
    }

    fn is_accepting(&self) -> bool {
        matches!(self.phase, Phase::Accepting { .. })
    }

    fn streaming(&self, turn: TurnId) -> Vec<Event> {
        match self.turns.get(&turn) {
            Some(known) if !known.streaming => vec![Event::TurnStreaming { turn }],
            _ => Vec::new(),
        }
    }

    fn post(
        &self,
        turn: TurnId,
        to: Recipient,
        kind: MessageKind,
        text: &str,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(turn) = self.turns.get(&turn) else {
            return Vec::new();
        };
        let from = Party::agent(turn.role(), Some(turn.session));
        let same = |message: &Message| {
            matches!(message, Message::Note(note)
                if note.from == from && note.to == to && note.text == text)
        };
        // After a resume an agent may post again what it posted before the interruption.
        if self.messages.iter().any(|message| same(message)) {
            return Vec::new();
        }
        let note = Note {
            message_id: self.mint(MessagePrefix::Message, now),
            timestamp: now,
            from,
            to,
            message_type: kind,
            text: text.to_owned(),
            response_to: None,
        };
        vec![Event::MessagePosted {
            message: Box::new(Message::Note(note)),
        }]
    }

    fn ask(
        &self,
        turn: TurnId,
        question: &Question,
        allowed_by_rule: bool,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(turn) = self.turns.get(&turn) else {
            return Vec::new();
        };
        let digest = question.digest();
        let same = |open: &&Arc<Approval>| {
            open.turn.is_none() && open.role == turn.role() && open.question.digest() == digest
        };
        // Its process was interrupted while it waited, and asks again.
        if let Some(open) = self.approvals.values().find(same) {
            return vec![Event::ApprovalReattached {
                id: open.id,
                turn: turn.id,
            }];
        }
        self.request(
            turn.role(),
            Some(turn),
            question.clone(),
            allowed_by_rule,
            now,
        )
    }

    /// The answer that was given while nobody waited for it.
    fn answer_in_hand(&self, role: Role, question: &Question) -> Option<Answer> {
        let digest = question.digest();
        let fits = |held: &&AnswerInHand| held.role == role && held.digest == digest;
        self.answers_in_hand
            .iter()
            .find(fits)
            .map(|held| held.answer.clone())
    }

    /// The answer to a question that the person need not be asked.
    fn settled(
        &self,
        role: Role,
        question: &Question,
        allowed_by_rule: bool,
    ) -> Option<(Answer, AnsweredBy)> {
        if let Some(answer) = self.answer_in_hand(role, question) {
            return Some((answer, AnsweredBy::EarlierAnswer));
        }
        if let Question::Tool { request, .. } = question {
            let digest = request.digest();
            if self.allowed.iter().any(|grant| grant.digest == digest) {
                return Some((Answer::Allow, AnsweredBy::EarlierAnswer));
            }
            if allowed_by_rule {
                return Some((Answer::Allow, AnsweredBy::Rule));
            }
        }
        // A plan is put to the person to be looked at, so it waits for one.
        let may_wait = matches!(question, Question::Plan { .. });
        (!self.spec.attended && !may_wait).then(|| {
            let reason = "nobody is there to be asked: this task runs unattended".to_owned();
            (Answer::Deny { reason }, AnsweredBy::NobodyThere)
        })
    }

    /// Puts a question, and answers it at once where that is possible or nobody is there.
    pub(super) fn request(
        &self,
        role: Role,
        turn: Option<&Turn>,
        question: Question,
        allowed_by_rule: bool,
        now: Timestamp,
    ) -> Vec<Event> {
        let approval = Approval {
            turn: turn.map(|turn| turn.id),
            ..self.approval(role, turn.map(|turn| turn.step), question, now)
        };
        self.put(approval, allowed_by_rule)
    }

    /// Puts a question about a step that no turn waits for.
    pub(super) fn request_for(
        &self,
        step: Option<StepId>,
        role: Role,
        question: Question,
        now: Timestamp,
    ) -> Vec<Event> {
        self.put(self.approval(role, step, question, now), false)
    }

    fn approval(
        &self,
        role: Role,
        step: Option<StepId>,
        question: Question,
        now: Timestamp,
    ) -> Approval {
        let limit = Duration::from_secs(self.spec.answer_within);
        Approval {
            id: self.id.approval(self.approval_count + 1),
            role,
            turn: None,
            step,
            question,
            asked_at: now,
            expires_at: Some(now.after(limit)),
        }
    }

    fn put(&self, approval: Approval, allowed_by_rule: bool) -> Vec<Event> {
        let role = approval.role;
        let settled = self.settled(role, &approval.question, allowed_by_rule);
        let mut events = vec![Event::ApprovalRequested {
            approval: Box::new(approval.clone()),
        }];
        if let Some((answer, by)) = settled {
            events.extend(self.answered(&approval, answer, by));
        }
        events
    }

    /// Answers a question with no that nobody has answered in time.
    fn expire(&self, now: Timestamp) -> Vec<Event> {
        let is_late = |open: &&Arc<Approval>| open.expires_at.is_some_and(|end| end <= now);
        let Some(late) = self.approvals.values().find(is_late) else {
            return Vec::new();
        };
        let reason = format!(
            "nobody answered within {} s, so the answer is no",
            self.spec.answer_within
        );
        self.answered(late, Answer::Deny { reason }, AnsweredBy::Expired)
    }

    fn revoke(&self, digest: &str) -> Result<Vec<Event>, Rejection> {
        if !self.allowed.iter().any(|grant| grant.digest == digest) {
            return Err(Rejection::NoSuchGrant);
        }
        Ok(vec![Event::GrantRevoked {
            digest: digest.to_owned(),
        }])
    }

    /// Holds what is under way; what is not begins under the floor's eyes anyway.
    fn held(&self, hold: &Hold) -> Vec<Event> {
        if self.phase != Phase::Active {
            return Vec::new();
        }
        let hold = self.spread_out(hold);
        if self.hold.as_ref() == Some(&hold) {
            return Vec::new();
        }
        vec![Event::Held { hold }]
    }

    /// Tasks that wait for the same moment wake one after the other.
    pub(super) fn spread_out(&self, hold: &Hold) -> Hold {
        let late = self.id.spread("wake", WAKE_SPREAD);
        Hold {
            until: hold.until.map(|until| until.after(late)),
            ..hold.clone()
        }
    }

    fn end_of_day(&self) -> Vec<Event> {
        if self.phase != Phase::Active {
            return Vec::new();
        }
        self.stop_at_cap(PauseReason::Day)
    }

    fn give_up_session(&self, role: Role) -> Result<Vec<Event>, Rejection> {
        let idle = |seat| self.turns.values().all(|turn| turn.seat != seat);
        let of_role = self.sessions.iter().filter(|(seat, _)| seat.role == role);
        let given_up: Vec<_> = of_role
            .filter(|(seat, session)| session.begun && idle(**seat))
            .map(|(seat, session)| Event::SessionReplaced {
                role,
                session: self.id.session(*seat, session.generation + 1),
                why: "given up on request".to_owned(),
                reset: false,
                seat: seat.number,
            })
            .collect();
        if given_up.is_empty() {
            Err(Rejection::NoIdleSession { role })
        } else {
            Ok(given_up)
        }
    }

    fn base_taken(&self, turn: TurnId, base: &SnapshotId) -> Vec<Event> {
        let event = |turn: &Turn| Event::BaseTaken {
            step: turn.step,
            turn: turn.id,
            base: base.clone(),
        };
        self.turns.get(&turn).map(event).into_iter().collect()
    }

    fn workspace_reset(&self, turn: TurnId, to: &SnapshotId, kept: &SnapshotId) -> Vec<Event> {
        let event = |turn: &Turn| Event::WorkspaceReset {
            step: turn.step,
            turn: turn.id,
            to: to.clone(),
            kept: kept.clone(),
        };
        self.turns.get(&turn).map(event).into_iter().collect()
    }

    /// Closes what the log leaves open: the processes are gone, the turns ended with them.
    pub(crate) fn left_behind(&self, now: Timestamp) -> Vec<Event> {
        let mut task = self.clone();
        let mut events: Vec<_> = self
            .processes
            .iter()
            .map(|(session, process)| Event::ProcessEnded {
                role: process.role,
                session: *session,
                end: ProcessEnd::Swept,
            })
            .collect();
        for turn in self.turns.keys() {
            let report = TurnReport {
                turn: *turn,
                outcome: TurnOutcome::OutputLost,
                usage: Usage::default(),
                duration_ms: 0,
                covers_lost: false,
            };
            // Each end may change what the next one means.
            let ended = task.turn_ended(&report, now);
            ended.iter().for_each(|event| task.apply(event, now));
            events.extend(ended);
        }
        events
    }

    pub(super) fn mint(&self, prefix: MessagePrefix, now: Timestamp) -> MessageId {
        MessageId::mint(prefix, self.id, self.message_count + 1, now)
    }
}
