//! What an order means, what news means, and what follows from either.

use super::{
    Command, Effect, Event, MAX_ROUNDS, PauseReason, Phase, PlannerKind, Rejection, Report,
    RoundReason, Step, StepState, Task, Workspace,
};
use crate::{
    Answer, AnsweredBy, Approval, ApprovalId, CheckTime, Message, MessageId, MessageKind,
    MessagePrefix, Note, Party, Plan, Question, Recipient, Role, Standing, StepKind, Timestamp,
    TurnId, Verdict,
};

impl Task {
    /// Says what an order means now, with everything that follows from it. Touches nothing.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        let direct = match command {
            Command::Start => {
                self.only_if(self.phase == Phase::Backlog, command, Event::TaskQueued)?
            }
            Command::Admit => {
                self.only_if(self.phase == Phase::Queued, command, Event::TaskStarted)?
            }
            Command::Pause => self.pause(command)?,
            Command::Resume => self.resume_order(command)?,
            Command::Cancel => self.cancel(command)?,
            Command::Answer { approval, answer } => self.answer(*approval, answer)?,
            Command::RequestChanges { text } => self.request_changes(command, text)?,
            Command::SetBudget { budget } => {
                if let Some(cap) = *budget
                    && cap <= self.spent()
                {
                    return Err(Rejection::BudgetSpent {
                        cap,
                        spent: self.spent(),
                    });
                }
                vec![Event::BudgetChanged { budget: *budget }]
            }
            Command::Accept { although_red } => self.accept(command, *although_red)?,
            Command::Discard => {
                let may = matches!(self.phase, Phase::Review { .. });
                self.only_if(may, command, Event::Discarded)?
            }
            Command::Restore => {
                let may = matches!(self.phase, Phase::Cancelled { .. }) && self.turns.is_empty();
                self.only_if(may, command, Event::Restored)?
            }
        };
        Ok(self.settle(direct, now))
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
                    plan: Plan::standard(&self.spec.title),
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
                vec![Event::ChecksRan {
                    run: run.clone(),
                    changes: changes.clone(),
                }]
            }
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
                }]
            }
            Report::Asked { turn, question } => self.ask(*turn, question, now),
            Report::Withdrawn { id } if self.approvals.contains_key(id) => {
                vec![Event::ApprovalWithdrawn { id: *id }]
            }
            Report::TurnEnded(report) => self.turn_ended(report, now),
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
            Report::WorkspacePrepared(_)
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
        if self.phase != Phase::Active {
            return Vec::new();
        }
        if self.plan.is_none() && self.spec.planner == PlannerKind::Standard {
            return vec![Event::PlanMade {
                plan: Plan::standard(&self.spec.title),
            }];
        }
        if self.plan.is_none() || !matches!(self.workspace, Workspace::Ready(_)) {
            return Vec::new();
        }
        if let Some(step) = self.steps.iter().find(|step| self.may_begin(step, now)) {
            if self.is_broke() {
                return vec![Event::TaskPaused {
                    why: PauseReason::Budget,
                }];
            }
            return self.begin(step, now);
        }
        if self.steps.iter().all(|step| step.state == StepState::Done) {
            return self.conclude(now);
        }
        Vec::new()
    }

    /// May this step take a turn now?
    pub(super) fn may_begin(&self, step: &Step, now: Timestamp) -> bool {
        let due = match step.state {
            StepState::Waiting => true,
            StepState::Backoff { until } | StepState::Parked { until } => until <= now,
            StepState::Running { .. }
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
        let role_free = self
            .turns
            .values()
            .all(|turn| turn.role != step.planned.role);
        due && prepared && role_free && self.dependencies_done(step)
    }

    pub(super) fn dependencies_done(&self, step: &Step) -> bool {
        let done = |id| {
            self.step(id)
                .is_some_and(|before| before.state == StepState::Done)
        };
        step.planned.after.iter().copied().all(done)
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
        let Some(session) = self.sessions.get(&step.planned.role) else {
            return Vec::new();
        };
        if step.assignment.is_none() {
            let message = Box::new(self.assignment(step, session.id, now));
            return vec![Event::MessagePosted { message }];
        }
        vec![Event::StepStarted {
            step: step.planned.id,
            turn: self.next_turn(),
            attempt: step.attempts + 1,
            round: self.round,
            session: session.id,
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
        self.request(Role::Beta, None, question, now)
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
        if let Some(cap) = self.budget
            && self.is_broke()
        {
            return Err(Rejection::BudgetSpent {
                cap,
                spent: self.spent(),
            });
        }
        let halted = matches!(self.phase, Phase::Paused { .. } | Phase::Failed { .. });
        self.only_if(halted && self.turns.is_empty(), command, Event::TaskResumed)
    }

    fn withdrawals(&self) -> impl Iterator<Item = Event> {
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
            Phase::Done | Phase::Cancelled { .. } | Phase::Accepting { .. } => {
                Err(self.refuse(command))
            }
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

    fn answer(&self, id: ApprovalId, answer: &Answer) -> Result<Vec<Event>, Rejection> {
        let approval = self.approvals.get(&id).ok_or(Rejection::NoSuchQuestion)?;
        let expected = match (&approval.question, answer) {
            (Question::Open { .. }, Answer::Text { text }) if !text.trim().is_empty() => None,
            (Question::Open { .. }, Answer::Deny { .. }) => None,
            (Question::Open { .. }, _) => Some("an answer in words, or a refusal"),
            (_, Answer::Text { .. }) => Some("yes or no, not words"),
            (Question::RoundsUsedUp { .. }, Answer::AllowForTask) => Some("yes or no"),
            (_, Answer::Allow | Answer::AllowForTask | Answer::Deny { .. }) => None,
        };
        if let Some(expected) = expected {
            return Err(Rejection::WrongAnswer { expected });
        }
        Ok(self.answered(approval, answer.clone(), AnsweredBy::Person))
    }

    /// The answer, and what it means for the task itself where no turn waits for it.
    fn answered(&self, approval: &Approval, answer: Answer, by: AnsweredBy) -> Vec<Event> {
        let leave_it = matches!(approval.question, Question::RoundsUsedUp { .. })
            && matches!(answer, Answer::Deny { .. });
        let mut events = vec![Event::ApprovalAnswered {
            id: approval.id,
            answer,
            by,
        }];
        if leave_it {
            events.push(Event::ReviewReached {
                verdict_failed: true,
            });
        }
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

    fn refuse(&self, command: &Command) -> Rejection {
        Rejection::WrongState {
            state: self.state(),
            wanted: command.describe(),
        }
    }

    fn owes(&self, effect: &Effect) -> bool {
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
        let from = Party::agent(turn.role, Some(turn.session));
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

    fn ask(&self, turn: TurnId, question: &Question, now: Timestamp) -> Vec<Event> {
        let Some(turn) = self.turns.get(&turn) else {
            return Vec::new();
        };
        self.request(turn.role, Some(turn.id), question.clone(), now)
    }

    /// Puts a question, and answers it at once where that is possible or nobody is there.
    fn request(
        &self,
        role: Role,
        turn: Option<TurnId>,
        question: Question,
        now: Timestamp,
    ) -> Vec<Event> {
        let approval = Approval {
            id: self.id.approval(self.approval_count + 1),
            role,
            turn,
            question,
            asked_at: now,
        };
        let settled = match &approval.question {
            Question::Tool { request, .. } if self.allowed.contains(request) => {
                Some((Answer::Allow, AnsweredBy::EarlierAnswer))
            }
            Question::Tool { .. } | Question::Open { .. } | Question::RoundsUsedUp { .. } => {
                (!self.spec.attended).then(|| {
                    let reason = "nobody is there to be asked: this task runs unattended";
                    (
                        Answer::Deny {
                            reason: reason.to_owned(),
                        },
                        AnsweredBy::NobodyThere,
                    )
                })
            }
        };
        let mut events = vec![Event::ApprovalRequested {
            approval: Box::new(approval.clone()),
        }];
        if let Some((answer, by)) = settled {
            events.extend(self.answered(&approval, answer, by));
        }
        events
    }

    pub(super) fn mint(&self, prefix: MessagePrefix, now: Timestamp) -> MessageId {
        MessageId::mint(prefix, self.id, self.message_count + 1, now)
    }
}
