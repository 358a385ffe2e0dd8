//! The plan before money is spent, and what becomes of a step that was handed in: the rules
//! decide where they suffice, NEXUS Prime where they do not, the person where Prime says so.

use super::{Event, PauseReason, PlannerKind, Rejection, Step, StepState, Task};
use crate::{
    Account, Approval, Author, Flag, FlagKind, Message, Phase, Plan, PlannedStep, Question, Role,
    Ruling, StepId, StepKind, StepResult, Timestamp, Turn, TurnId, Writes,
};
use std::sync::Arc;

/// How often a step is sent back by a ruling in one round before the person is asked.
pub const MAX_SENT_BACK: u32 = 2;

/// Below this an agent doubts its own result, from 0 to 1.
const LOW_CONFIDENCE: f64 = 0.5;

/// What was decided about a step that was handed in.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub at: Timestamp,
    pub step: StepId,
    pub turn: TurnId,
    pub ruling: Ruling,
    pub reason: String,
    pub by: Author,
}

impl Task {
    /// Has the person still to say yes to the plan?
    pub fn waits_for_plan(&self) -> bool {
        let looked_at = self.plan_approved == Some(self.plan_version);
        self.spec.terms.plan_first && self.plan.is_some() && !looked_at
    }

    /// Puts the plan to the person; nothing when it is put already.
    pub(super) fn ask_about_plan(&self, now: Timestamp) -> Vec<Event> {
        let Some(plan) = &self.plan else {
            return Vec::new();
        };
        let version_of = |open: &Approval| match &open.question {
            Question::Plan { version, .. } => Some(*version),
            Question::Tool { .. }
            | Question::Open { .. }
            | Question::RoundsUsedUp { .. }
            | Question::HandedIn { .. } => None,
        };
        let open = self.approvals.values();
        let (now_open, old): (Vec<_>, Vec<_>) = open
            .filter(|open| version_of(open).is_some())
            .partition(|open| version_of(open) == Some(self.plan_version));
        if !now_open.is_empty() {
            return Vec::new();
        }
        let withdrawn = old
            .iter()
            .map(|open| Event::ApprovalWithdrawn { id: open.id });
        let question = Question::of_plan(self.plan_version, plan);
        let asked = self.request(Role::Prime, None, question, false, now);
        withdrawn.chain(asked).collect()
    }

    /// Is there a plan, and is there still something to plan?
    pub fn may_edit_plan(&self) -> bool {
        self.plan.is_some() && self.is_before_review()
    }

    fn is_before_review(&self) -> bool {
        match self.phase {
            Phase::Backlog
            | Phase::Queued
            | Phase::Active
            | Phase::Paused { .. }
            | Phase::Failed { .. } => true,
            Phase::Review { .. }
            | Phase::Accepting { .. }
            | Phase::Done
            | Phase::Cancelled { .. } => false,
        }
    }

    pub(super) fn edit_plan(
        &self,
        edited: u32,
        steps: &[PlannedStep],
        command: &super::Command,
    ) -> Result<Vec<Event>, Rejection> {
        if !self.is_before_review() {
            return Err(self.refuse(command));
        }
        if self.plan.is_none() {
            return Err(Rejection::NoPlan);
        }
        if edited != self.plan_version {
            return Err(Rejection::PlanChanged {
                edited,
                version: self.plan_version,
            });
        }
        let kept = |begun: &PlannedStep| steps.iter().any(|step| step == begun);
        if let Some(gone) = self.begun_steps().find(|begun| !kept(begun)) {
            return Err(Rejection::StepBegun { step: gone.id });
        }
        let plan = Plan::new(steps.to_vec())?;
        if self.plan.as_deref() == Some(&plan) {
            return Ok(Vec::new());
        }
        Ok(self.revised(plan, Author::Person, "edited"))
    }

    /// A new plan, and whatever it makes pointless: what was asked because nothing was left to
    /// do, and judgements of work that is more now.
    fn revised(&self, plan: Plan, by: Author, why: &str) -> Vec<Event> {
        let is_outdated = self.outdates_evidence(&plan);
        let judges = |id: StepId| {
            let step = self.step(id);
            is_outdated && step.is_some_and(|step| step.planned.kind == StepKind::Validation)
        };
        let is_pointless = |open: &&Arc<Approval>| match &open.question {
            Question::RoundsUsedUp { .. } => self.leaves_work(&plan),
            Question::HandedIn { step, .. } => judges(*step),
            Question::Tool { .. } | Question::Open { .. } | Question::Plan { .. } => false,
        };
        let pointless = self.approvals.values().filter(is_pointless);
        let mut events: Vec<_> = pointless
            .map(|open| Event::ApprovalWithdrawn { id: open.id })
            .collect();
        let judging = self.turns.values().filter(|turn| judges(turn.step));
        let called_off: Vec<_> = judging
            .filter(|turn| !self.called_off.contains(&turn.id))
            .map(|turn| Event::TurnCalledOff { turn: turn.id })
            .collect();
        events.push(Event::PlanRevised {
            version: self.plan_version + 1,
            plan,
            by,
            why: why.to_owned(),
        });
        events.extend(called_off);
        events
    }

    /// Is a step of this plan still to be done?
    fn leaves_work(&self, plan: &Plan) -> bool {
        plan.steps().iter().any(|step| !self.is_done(step.id))
    }

    /// Does this plan bring work that the checks of this round have not seen?
    pub(super) fn outdates_evidence(&self, plan: &Plan) -> bool {
        let work = |step: &&PlannedStep| step.kind != StepKind::Validation;
        let mut work = plan.steps().iter().filter(work);
        self.has_evidence() && work.any(|step| !self.is_done(step.id))
    }

    /// What is recorded of a step, so that it can neither leave the plan nor change in it.
    fn begun_steps(&self) -> impl Iterator<Item = &PlannedStep> {
        let begun = self.steps.iter().filter(|step| step.is_begun());
        begun.map(|step| &step.planned)
    }

    /// Does a model decide where the rules do not suffice?
    fn has_prime(&self) -> bool {
        match self.spec.planner {
            PlannerKind::Openai | PlannerKind::Claude => true,
            PlannerKind::Standard => false,
        }
    }

    /// The account that Prime would be asked on is closed for now.
    pub(super) fn prime_is_held(&self) -> bool {
        let on_the_teams = match self.spec.planner {
            PlannerKind::Claude => Account::of(self.spec.team).is_some(),
            PlannerKind::Openai | PlannerKind::Standard => false,
        };
        on_the_teams && self.hold.is_some()
    }

    /// What follows when a step is handed in and its turn is over.
    pub(super) fn handed_in(
        &self,
        turn: &Turn,
        step: &Step,
        result: &StepResult,
        structured: bool,
        now: Timestamp,
    ) -> Vec<Event> {
        let id = step.planned.id;
        if step.planned.kind == StepKind::Validation && !self.has_evidence() {
            let feedback = "the plan brought new work while you judged: judge all of it".to_owned();
            return vec![Event::Decided {
                step: id,
                turn: turn.id,
                reason: feedback.clone(),
                ruling: Ruling::Retry { feedback },
                by: Author::Rules,
            }];
        }
        let (marks, said) = (marks_left(step, self.round), self.unheard(turn));
        let by = said.as_ref().map_or(Author::Rules, |_| Author::Person);
        let feedback: Vec<String> = said.into_iter().chain(marks).collect();
        if !feedback.is_empty() {
            return self.send_back(turn.id, step, feedback.join("\n"), by, now);
        }
        let doubts = self.doubts(step, result, structured);
        if self.has_prime() && !doubts.is_empty() {
            return vec![Event::StepHandedIn {
                step: id,
                structured,
            }];
        }
        let reason = if doubts.is_empty() {
            "handed in; nothing speaks against it".to_owned()
        } else {
            format!(
                "{}; no model plans this task, so Beta and the checks judge it",
                doubts.join("; ")
            )
        };
        let accepted = Event::Decided {
            step: id,
            turn: turn.id,
            ruling: Ruling::Accept,
            reason,
            by: Author::Rules,
        };
        let done = if turn.seat.is_lane() {
            Event::StepHandedIn {
                step: id,
                structured,
            }
        } else {
            Event::StepEnded {
                step: id,
                structured,
            }
        };
        vec![done, accepted]
    }

    /// Why the rules alone do not know whether to go on from what was handed in. Also what
    /// Prime is told.
    pub fn doubts(&self, step: &Step, result: &StepResult, structured: bool) -> Vec<String> {
        let mut doubts = Vec::new();
        if !structured {
            doubts.push("it wrote text instead of handing in a result".to_owned());
        }
        if result
            .confidence_score
            .is_some_and(|score| score < LOW_CONFIDENCE)
        {
            doubts.push("it is not confident of its own result".to_owned());
        }
        let noticed = step
            .noticed(self.round)
            .filter(|flag| flag.kind.weakens_proof());
        doubts.extend(noticed.map(|flag| format!("{}: {}", flag.path, flag.kind.describe())));
        if step.planned.role.writes() == Writes::Workspace
            && step.was_audited
            && step.touched.is_empty()
        {
            doubts.push("it changed no file".to_owned());
        }
        let written = self.written_to_prime(step).into_iter();
        doubts.extend(written.map(|text| format!("somebody wrote to Prime: {text}")));
        doubts
    }

    /// What was written to Prime since the latest turn of a step began.
    fn written_to_prime(&self, step: &Step) -> Vec<&str> {
        let Some(began) = step.history.last().map(|last| last.started_at) else {
            return Vec::new();
        };
        let written = self
            .messages
            .iter()
            .filter_map(|message| match message.as_ref() {
                Message::Note(note) if note.to == crate::Recipient::Prime => Some(note),
                Message::Note(_) | Message::Assignment(_) | Message::Response(_) => None,
            });
        let lately = written.filter(|note| note.timestamp >= began);
        lately.map(|note| note.text.as_str()).collect()
    }

    /// A step that waits for Prime's ruling, and the turn it is about.
    pub(super) fn owed_judgements(&self) -> impl Iterator<Item = super::Effect> {
        let may_ask = !self.prime_is_held();
        let waits = move |step: &&Step| may_ask && self.waits_for_prime(step);
        let waiting = self.steps.iter().filter(waits);
        waiting.filter_map(|step| {
            let turn = step.history.last()?.turn;
            Some(super::Effect::Judge { turn })
        })
    }

    /// It was handed in, nobody else is asked about it, and it is Prime's to judge.
    fn waits_for_prime(&self, step: &Step) -> bool {
        self.is_unasked(step) && self.has_prime() && marks_left(step, self.round).is_none()
    }

    /// It was handed in, and nobody is asked about it.
    fn is_unasked(&self, step: &Step) -> bool {
        let id = step.planned.id;
        let mut open = self.approvals.values();
        let is_asked = open.any(|open| open.step == Some(id) && open.turn.is_none());
        step.waits_for_ruling() && !is_asked
    }

    /// Puts a question about a hand-in again that was withdrawn when the task stood still, and
    /// that is not Prime's to answer.
    pub(super) fn ask_again(&self, now: Timestamp) -> Vec<Event> {
        let is_the_persons = |step: &&Step| self.is_unasked(step) && !self.waits_for_prime(step);
        let Some(step) = self.steps.iter().find(is_the_persons) else {
            return Vec::new();
        };
        let question = marks_left(step, self.round);
        let question = question.unwrap_or_else(|| "is it good enough to go on from?".to_owned());
        self.ask_about(step, question, now)
    }

    /// The cap that keeps Prime from being asked. What it says costs like a turn, but is none.
    pub(super) fn prime_at_cap(&self, now: Timestamp) -> Option<PauseReason> {
        self.owed_judgements().next()?;
        let reached = self.cap_reached(now);
        reached.filter(|why| *why != PauseReason::Turns)
    }

    /// The step of this turn, if Prime's ruling is what it waits for.
    fn owed_ruling(&self, turn: TurnId) -> Option<&Step> {
        let step = self.step(*self.turn_steps.get(&turn)?)?;
        let is_last = step.history.last().is_some_and(|last| last.turn == turn);
        (is_last && self.waits_for_prime(step)).then_some(step)
    }

    pub(super) fn judged(
        &self,
        turn: TurnId,
        ruling: &Ruling,
        reason: &str,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(step) = self.owed_ruling(turn) else {
            return Vec::new();
        };
        match ruling {
            Ruling::Accept => self.accepts(turn, step, reason, Author::Prime),
            Ruling::Retry { feedback } => {
                self.send_back(turn, step, feedback.clone(), Author::Prime, now)
            }
            Ruling::Replan { steps } => self.replanned(turn, step, steps, reason),
            Ruling::Ask { question } => self.ask_about(step, question.clone(), now),
        }
    }

    /// Prime cannot say: what the rules can tell has to do.
    pub(super) fn judge_failed(&self, turn: TurnId, reason: &str) -> Vec<Event> {
        let Some(step) = self.owed_ruling(turn) else {
            return Vec::new();
        };
        let reason =
            format!("Prime could not judge it ({reason}), so Beta and the checks judge it");
        self.accepts(turn, step, &reason, Author::Rules)
    }

    fn accepts(&self, turn: TurnId, step: &Step, reason: &str, by: Author) -> Vec<Event> {
        let accepted = Event::Decided {
            step: step.planned.id,
            turn,
            ruling: Ruling::Accept,
            reason: reason.to_owned(),
            by,
        };
        let over = self.over_unless_in_lane(step);
        std::iter::once(accepted).chain(over).collect()
    }

    /// What is accepted is done where nothing has to be merged, whatever the task is told
    /// meanwhile.
    fn over_unless_in_lane(&self, step: &Step) -> Option<Event> {
        (!step.is_in_lane()).then(|| step.is_over())
    }

    fn replanned(
        &self,
        turn: TurnId,
        step: &Step,
        new: &[PlannedStep],
        reason: &str,
    ) -> Vec<Event> {
        let begun: Vec<_> = self.begun_steps().cloned().collect();
        // Prime may not have seen what the person, a conflict or another ruling made of it.
        if step.handed_in_under != self.plan_version {
            let reason = format!(
                "{reason}; but the plan has changed since it was handed in, so what is planned stays"
            );
            return self.accepts(turn, step, &reason, Author::Prime);
        }
        let is_begun = |id: StepId| begun.iter().any(|begun| begun.id == id);
        let rest = new.iter().filter(|step| !is_begun(step.id)).cloned();
        match Plan::new(begun.iter().cloned().chain(rest).collect()) {
            Ok(plan) => {
                let decided = Event::Decided {
                    step: step.planned.id,
                    turn,
                    ruling: Ruling::Replan {
                        steps: new.to_vec(),
                    },
                    reason: reason.to_owned(),
                    by: Author::Prime,
                };
                let over = self.over_unless_in_lane(step);
                let revised = self.revised(plan, Author::Prime, reason);
                [decided].into_iter().chain(over).chain(revised).collect()
            }
            Err(bad) => {
                let reason = format!("{reason}; but {bad}, so the old one stays");
                self.accepts(turn, step, &reason, Author::Prime)
            }
        }
    }

    /// The same agent goes at it again, unless that was tried often enough.
    fn send_back(
        &self,
        turn: TurnId,
        step: &Step,
        feedback: String,
        by: Author,
        now: Timestamp,
    ) -> Vec<Event> {
        let handed_in = |step: &Step| match step.state {
            StepState::HandedIn => None,
            StepState::Waiting
            | StepState::Running { .. }
            | StepState::Backoff { .. }
            | StepState::Parked { .. }
            | StepState::Done
            | StepState::Failed
            | StepState::Cancelled => Some(Event::StepHandedIn {
                step: step.planned.id,
                structured: step.result.is_some(),
            }),
        };
        // What the person says is always heard.
        if step.sent_back >= MAX_SENT_BACK && by != Author::Person {
            let asked = self.ask_about(step, feedback, now);
            return handed_in(step).into_iter().chain(asked).collect();
        }
        vec![Event::Decided {
            step: step.planned.id,
            turn,
            reason: feedback.clone(),
            ruling: Ruling::Retry { feedback },
            by,
        }]
    }

    fn ask_about(&self, step: &Step, question: String, now: Timestamp) -> Vec<Event> {
        let question = Question::HandedIn {
            step: step.planned.id,
            title: step.planned.title.clone(),
            question,
        };
        self.request_for(Some(step.planned.id), Role::Prime, question, now)
    }

    /// What the answer to a question about a step that was handed in means.
    pub(super) fn ruled_by_answer(
        &self,
        id: StepId,
        answer: &crate::Answer,
        by: crate::AnsweredBy,
    ) -> Vec<Event> {
        use crate::{Answer, AnsweredBy};
        let Some(step) = self.step(id).filter(|step| step.waits_for_ruling()) else {
            return Vec::new();
        };
        let Some(turn) = step.history.last().map(|attempt| attempt.turn) else {
            return Vec::new();
        };
        let (ruling, reason, by) = match (answer, by) {
            (Answer::Text { text }, _) => {
                let feedback = text.clone();
                (Ruling::Retry { feedback }, text.clone(), Author::Person)
            }
            (Answer::Deny { reason }, AnsweredBy::Person) => {
                let feedback = reason.clone();
                (Ruling::Retry { feedback }, reason.clone(), Author::Person)
            }
            (Answer::Deny { reason }, _) => (
                Ruling::Accept,
                format!("{reason}; so Beta and the checks judge it"),
                Author::Rules,
            ),
            (
                Answer::Allow
                | Answer::AllowForTask
                | Answer::AllowForProject
                | Answer::AllowAlways,
                _,
            ) => (
                Ruling::Accept,
                "the person said it will do".to_owned(),
                Author::Person,
            ),
        };
        let over = match ruling {
            Ruling::Accept | Ruling::Replan { .. } => self.over_unless_in_lane(step),
            Ruling::Retry { .. } | Ruling::Ask { .. } => None,
        };
        let decided = Event::Decided {
            step: id,
            turn,
            ruling,
            reason,
            by,
        };
        std::iter::once(decided).chain(over).collect()
    }

    /// Everything the rules noticed in the task's changes, by step.
    pub fn flags(&self) -> impl Iterator<Item = (&Step, &Flag)> {
        let each = |step| -> std::iter::Zip<_, _> {
            let step: &Step = step;
            std::iter::repeat(step).zip(step.flags.iter().map(|(_, flag)| flag))
        };
        self.steps.iter().flat_map(each)
    }
}

impl Step {
    /// How often a failed attempt at it is tried again before the task gives up.
    pub fn max_retries(&self) -> u32 {
        let by_role = self.planned.role.max_retries();
        self.planned.max_retries.unwrap_or(by_role)
    }

    /// Something is recorded of it, or another step waits for it to mend its conflict.
    pub fn is_begun(&self) -> bool {
        !self.history.is_empty() || self.state == StepState::Done || self.mends.is_some()
    }

    /// It was handed in, and nobody has said yet whether it will do.
    fn waits_for_ruling(&self) -> bool {
        self.state == StepState::HandedIn && !self.accepted
    }

    /// What the rules noticed in a round's changes.
    pub fn noticed(&self, round: u32) -> impl Iterator<Item = &Flag> {
        let flags = self.flags.iter();
        flags.filter_map(move |(of, flag)| (*of == round).then_some(flag))
    }
}

/// The feedback for a step that was to mend a conflict and left marks in the files.
fn marks_left(step: &Step, round: u32) -> Option<String> {
    let marks = step
        .noticed(round)
        .filter(|flag| flag.kind == FlagKind::ConflictMarks);
    let files: Vec<_> = marks.map(|flag| flag.path.to_string()).collect();
    (!files.is_empty()).then(|| {
        format!(
            "conflict marks are left in {}: put both sides together and remove the marks",
            files.join(", ")
        )
    })
}
