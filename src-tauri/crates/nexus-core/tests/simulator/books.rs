//! A second opinion: what the log says, read by nobody's rules but these few.
//!
//! The books follow each task with counts of their own and never ask the task what it thinks.

use crate::{
    machine::{Content, Machine, Place, content_of, read_operation},
    sim::{Held, broken},
};
use nexus_core::{
    Account, Answer, AnsweredBy, ApprovalId, Author, CheckTime, Event, Fact, FailureKind,
    FloorEvent, Hold, Limits, Message, Plan, PlannedStep, PlannerKind, Question, Recipient,
    RoundReason, Ruling, SeatId, StepId, StepKind, TaskId, TaskSpec, Terms, Timestamp, TurnId,
    TurnOutcome, TurnReport, Usage, Verdict, Writes,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Books {
    accounts: BTreeMap<TaskId, TaskAccount>,
    /// Facts that were read so far.
    pub(crate) read: usize,
    closed: BTreeMap<Account, Hold>,
}

/// One task, as its facts tell.
#[derive(Debug, Default)]
struct TaskAccount {
    /// In the order of the plan.
    steps: Vec<StepAccount>,
    /// Turns that have not ended: their steps and seats.
    open: BTreeMap<TurnId, (StepId, SeatId)>,
    seen: BTreeSet<TurnId>,
    spent: u64,
    cap: Option<u64>,
    tokens: u64,
    turns: u32,
    limits: Limits,
    account: Option<Account>,
    planner: Option<PlannerKind>,
    /// How many agents of one role may be at work.
    seats: u32,
    /// The plan waits for the person's yes.
    plan_first: bool,
    version: u32,
    /// The version that the person said yes to.
    said_yes_to: Option<u32>,
    /// Plans that were put to the person.
    shown: BTreeMap<ApprovalId, u32>,
    /// Steps that somebody was asked about.
    asked_about: BTreeMap<ApprovalId, StepId>,
    /// A step about which nobody answered, so that it stays as it is.
    unanswered: Option<StepId>,
    /// What Prime wants the rest of the plan to be.
    wanted: Option<Vec<PlannedStep>>,
    /// The step whose lane is being put into the copy, until nothing is in its way any more.
    merging: Option<Merging>,
    /// The folder may be written.
    accepting: bool,
    journal_recorded: bool,
    /// What the latest checks ran on.
    checked: Option<Content>,
    /// Tasks that have to be accepted before it begins.
    after: BTreeSet<TaskId>,
    shares_context: bool,
    /// The tasks of whose work it was told.
    told_of: BTreeSet<TaskId>,
    accepted: bool,
    /// It had a place once.
    begun: bool,
    /// The work of this round was checked.
    is_checked: bool,
}

#[derive(Debug)]
struct Merging {
    step: StepId,
    planned: Content,
    mended_by: Option<StepId>,
    written: bool,
}

#[derive(Debug)]
struct StepAccount {
    planned: PlannedStep,
    /// It mends a conflict.
    mends: bool,
    /// A turn of it was started.
    begun: bool,
    done: bool,
    /// Turns that count as a try of the agent.
    tries: u32,
    failures: u32,
    completed: bool,
    /// It was handed in, and somebody has to say whether it will do.
    waits: bool,
    accepted: bool,
    /// Where it was taken last.
    seat: Option<SeatId>,
    /// Its lane was branched off.
    has_base: bool,
    /// The person has said something to its agent that it has not read.
    is_deaf: bool,
    /// The files that its latest work is known to have changed.
    touched: BTreeSet<String>,
    verdict: Option<Verdict>,
}

impl StepAccount {
    fn new(planned: &PlannedStep, mends: bool) -> Self {
        Self {
            planned: planned.clone(),
            mends,
            begun: false,
            done: false,
            tries: 0,
            failures: 0,
            completed: false,
            waits: false,
            accepted: false,
            seat: None,
            has_base: false,
            is_deaf: false,
            touched: BTreeSet::new(),
            verdict: None,
        }
    }

    fn is_of(&self, kind: StepKind) -> bool {
        self.planned.kind == kind
    }

    fn is_in_lane(&self) -> bool {
        self.seat.is_some_and(SeatId::is_lane)
    }

    /// It is to be done once more.
    fn opens_again(&mut self) {
        self.done = false;
        self.completed = false;
        self.waits = false;
        self.accepted = false;
        self.failures = 0;
        self.seat = None;
        self.has_base = false;
        self.verdict = None;
    }
}

impl Books {
    fn hear(&mut self, event: &FloorEvent) {
        match event {
            FloorEvent::AccountClosed { account, hold } => {
                self.closed.insert(*account, hold.clone());
            }
            FloorEvent::AccountOpened { account } => {
                self.closed.remove(account);
            }
            FloorEvent::DayBegan { .. }
            | FloorEvent::ProjectAdded { .. }
            | FloorEvent::ProjectTrusted { .. }
            | FloorEvent::RuleAdded { .. }
            | FloorEvent::RuleRevoked { .. }
            | FloorEvent::DayCapsSet { .. } => {}
        }
    }

    /// Has the task used up what it may?
    pub(crate) fn is_at_cap(&self, task: TaskId) -> bool {
        let account = self.accounts.get(&task);
        account.is_some_and(TaskAccount::is_at_cap)
    }

    /// Is the account of the task closed?
    pub(crate) fn is_held(&self, task: TaskId, at: Timestamp) -> bool {
        let account = self.accounts.get(&task);
        account.is_some_and(|account| account.is_held(&self.closed, at))
    }

    /// May the folder be written for this task now?
    pub(crate) fn may_apply(&self, task: TaskId) -> bool {
        let account = self.accounts.get(&task);
        account.is_some_and(|account| account.accepting && account.journal_recorded)
    }

    pub(crate) fn read(&mut self, fact: &Fact, machine: &mut Machine) -> Held {
        self.read += 1;
        let (id, event, at) = match fact {
            Fact::OfTask { id, event, at } => (id, event, *at),
            Fact::OfFloor { event, .. } => {
                self.hear(event);
                return Ok(());
            }
        };
        if let Event::TaskCreated { spec } = event {
            // What the person asked for counts, whatever was made of it.
            let wish = machine.wishes.get(id).unwrap_or(spec);
            let account = TaskAccount::of(wish);
            return match self.accounts.insert(*id, account) {
                None => Ok(()),
                Some(_) => broken("a task was made twice"),
            };
        }
        self.comes_after(*id, event)?;
        let closed = &self.closed;
        match self.accounts.get_mut(id) {
            Some(account)
                if matches!(event, Event::StepStarted { .. }) && account.is_held(closed, at) =>
            {
                broken("a turn was started on an account that is closed")
            }
            Some(account) => account.read(*id, event, machine),
            None => broken("a fact about a task that was never made"),
        }
    }

    /// Has everything been done that a task waits for, when it begins, and was it told of it?
    fn comes_after(&self, id: TaskId, event: &Event) -> Held {
        let Some(account) = self.accounts.get(&id).filter(|account| !account.begun) else {
            return Ok(());
        };
        let is_accepted = |task: &TaskId| self.accounts.get(task).is_some_and(|a| a.accepted);
        match event {
            Event::TaskStarted if !account.after.iter().all(is_accepted) => {
                broken("a task was let in before what it waits for was accepted")
            }
            Event::TaskStarted
                if account.shares_context && !account.told_of.is_superset(&account.after) =>
            {
                broken("a task was not told of the work it waited for")
            }
            Event::ContextShared { from, .. } if !account.shares_context || !is_accepted(from) => {
                broken("a task was told of work that it need not know of, or that is not done")
            }
            _ => Ok(()),
        }
    }
}

/// Does a turn that ends so count as a try of the agent? Limits, interrupts and our own end do
/// not.
fn counts(outcome: &TurnOutcome) -> bool {
    !matches!(
        outcome,
        TurnOutcome::Interrupted
            | TurnOutcome::OutputLost
            | TurnOutcome::BudgetExhausted
            | TurnOutcome::RateLimited { .. }
    )
}

impl TaskAccount {
    fn of(wish: &TaskSpec) -> Self {
        Self {
            cap: wish.budget.map(|cap| cap.as_micros()),
            limits: wish.limits,
            account: Account::of(wish.team),
            planner: Some(wish.planner),
            seats: wish.terms.seats.unwrap_or(Terms::SEATS),
            plan_first: wish.terms.plan_first,
            after: wish.terms.after.iter().copied().collect(),
            shares_context: wish.terms.shares_context,
            ..Self::default()
        }
    }

    fn read(&mut self, id: TaskId, event: &Event, machine: &mut Machine) -> Held {
        match event {
            Event::PlanMade { plan } => {
                let steps = plan.steps().iter();
                self.steps = steps.map(|step| StepAccount::new(step, false)).collect();
                self.version = 1;
            }
            Event::PlanRevised {
                version, plan, by, ..
            } => self.revised(*version, plan, *by)?,
            Event::PrimeAsked { usage, .. } => self.asked_prime(*usage)?,
            Event::StepStarted {
                step,
                turn,
                attempt,
                seat,
                ..
            } => {
                self.started(*step, *turn, *attempt, *seat)?;
                machine.forgets(id, *step);
            }
            Event::BaseTaken { step, .. } => {
                if let Some(step) = self.step(*step) {
                    step.has_base = true;
                }
            }
            Event::ResultSubmitted { turn, result, .. } => {
                if let Some(step) = self.step_of(*turn) {
                    step.verdict = result.verdict;
                }
            }
            Event::MessagePosted { message } => self.hears(message),
            Event::MessagesRead { turn, .. } => {
                if let Some(step) = self.step_of(*turn) {
                    step.is_deaf = false;
                }
            }
            Event::TurnEnded { report } => self.ended(id, report, machine)?,
            Event::WorkAudited { turn, changes, .. } => {
                if let Some(step) = self.step_of(*turn) {
                    let paths = changes.iter().map(|change| change.path.to_string());
                    step.touched = paths.collect();
                }
            }
            Event::StepHandedIn { step, .. } => self.handed_in(*step)?,
            Event::Decided {
                step,
                turn,
                ruling,
                by,
                ..
            } => self.decided((id, *turn), *step, ruling, *by, machine)?,
            Event::MergePlanned {
                step,
                tree,
                mended_by,
                ..
            } => self.merge_planned(*step, content_of(tree.as_str()), mended_by.as_deref())?,
            Event::Merged { step } => self.merged(id, *step, machine)?,
            Event::StepEnded { step, .. } => {
                self.handed_over(*step)?;
                self.is_home(id, *step, machine)?;
            }
            // The next conversation is told what was done so far.
            Event::SessionReplaced {
                reset: false,
                role,
                seat,
                ..
            } => {
                let (role, number) = (*role, *seat);
                if role.writes() == Writes::Workspace {
                    machine.settles(Place::of(id, SeatId { role, number }));
                }
            }
            Event::ApprovalRequested { approval } => match &approval.question {
                Question::Plan { version, .. } => {
                    self.shown.insert(approval.id, *version);
                }
                Question::HandedIn { step, .. } => {
                    self.asked_about.insert(approval.id, *step);
                }
                Question::Tool { .. } | Question::Open { .. } | Question::RoundsUsedUp { .. } => {}
            },
            Event::ApprovalAnswered {
                id: asked,
                answer,
                by,
            } => self.answered((id, *asked), answer, *by, machine)?,
            Event::RoundBegan { why, .. } => self.goes_round(why),
            Event::ReviewReached { verdict_failed } => {
                self.is_reviewed(id, *verdict_failed, machine)?;
            }
            Event::TaskFailed { failure } if failure.kind == FailureKind::Agent => {
                self.gave_up()?;
            }
            Event::TaskResumed => {
                for step in &mut self.steps {
                    step.failures = 0;
                }
            }
            Event::TaskStarted => self.begun = true,
            Event::ContextShared { from, .. } if !self.told_of.insert(*from) => {
                return broken("a task was told of the same work twice");
            }
            Event::Unchained => self.after.clear(),
            Event::CancelRequested => self.is_cancelled(),
            Event::WorkspaceRestored { .. } => self.loses_lanes(),
            Event::LimitsChanged { limits } => self.limits = *limits,
            Event::BudgetChanged { budget } => self.cap = budget.map(|cap| cap.as_micros()),
            Event::AcceptBegan { .. } => {
                self.accepting = true;
                self.journal_recorded = false;
                machine.begin_accept(id);
            }
            Event::AcceptPlanned { operations } => {
                self.journal_recorded = true;
                let as_checked = operations.iter().all(|operation| {
                    let (file, _, new) = read_operation(operation);
                    self.checked.is_some_and(|content| content[file] == new)
                });
                if !as_checked {
                    return broken("what is accepted is not what was checked");
                }
            }
            Event::Accepted => {
                self.accepting = false;
                self.accepted = true;
                machine.begin_accept(id);
            }
            Event::AcceptFailed { .. } | Event::AcceptConflicted { .. } => {
                self.accepting = false;
                if machine.is_half_applied(id) {
                    return broken("a change was given up although a part of it is applied");
                }
            }
            Event::ChecksRan { run, .. } => {
                self.checked = Some(content_of(run.tree.as_str()));
                let there = machine.copy(id).content;
                if there.is_some_and(|there| there != content_of(run.tree.as_str())) {
                    return broken("the evidence is not about the work that is there");
                }
                if let CheckTime::After { .. } = run.time {
                    self.is_checked = true;
                    self.expect_whole(id, machine)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, id: StepId) -> Option<&mut StepAccount> {
        self.steps.iter_mut().find(|step| step.planned.id == id)
    }

    fn step_of(&mut self, turn: TurnId) -> Option<&mut StepAccount> {
        let (step, _) = *self.open.get(&turn)?;
        self.step(step)
    }

    fn is_held(&self, closed: &BTreeMap<Account, Hold>, at: Timestamp) -> bool {
        let hold = self.account.and_then(|account| closed.get(&account));
        hold.is_some_and(|hold| !hold.is_over(at))
    }

    fn is_at_cap(&self) -> bool {
        self.cap.is_some_and(|cap| self.spent >= cap)
            || self.limits.tokens.is_some_and(|cap| self.tokens >= cap)
    }

    fn asked_prime(&mut self, usage: Usage) -> Held {
        self.tokens += usage.tokens();
        self.spent += usage.cost.map_or(0, |cost| cost.as_micros());
        match self.planner {
            Some(PlannerKind::Standard) | None => {
                broken("Prime was asked although the rules alone are to decide")
            }
            Some(PlannerKind::Openai | PlannerKind::Claude) => Ok(()),
        }
    }

    /// A new plan keeps what was begun. What is new to do has to be checked and judged.
    fn revised(&mut self, version: u32, plan: &Plan, by: Author) -> Held {
        if version != self.version + 1 {
            return broken("a version of the plan is missing");
        }
        let mut old = std::mem::take(&mut self.steps);
        for planned in plan.steps() {
            let known = old.iter().position(|step| step.planned.id == planned.id);
            let known = known.map(|place| old.swap_remove(place));
            self.steps.push(match known {
                Some(known) if known.begun || known.mends => {
                    if known.planned != *planned {
                        return broken("a step was planned anew after it was begun");
                    }
                    known
                }
                Some(_) | None => StepAccount::new(planned, false),
            });
        }
        if old.iter().any(|step| step.begun || step.mends) {
            return broken("a step was taken back from the plan after it was begun");
        }
        if by == Author::Prime {
            let wanted = self.wanted.take().unwrap_or_default();
            let planned = |wish: &PlannedStep| plan.steps().contains(wish);
            if !wanted.iter().all(planned) {
                return broken("what Prime planned is not in the plan");
            }
        }
        if by == Author::Person && self.said_yes_to.is_some() {
            self.said_yes_to = Some(version);
        }
        self.version = version;
        let is_new = |step: &StepAccount| !step.done && !step.is_of(StepKind::Validation);
        if self.is_checked && self.steps.iter().any(is_new) {
            self.is_checked = false;
            let judgements = self.steps.iter_mut();
            judgements
                .filter(|step| step.is_of(StepKind::Validation))
                .filter(|step| step.done || step.completed)
                .for_each(StepAccount::opens_again);
        }
        Ok(())
    }

    fn started(&mut self, step_id: StepId, turn: TurnId, attempt: u32, seat: u32) -> Held {
        if !self.seen.insert(turn) {
            return broken("a turn was started twice");
        }
        if self.open.values().any(|(open, _)| *open == step_id) {
            return broken("a step was started while its turn was open");
        }
        if self.cap.is_some_and(|cap| self.spent >= cap) {
            return broken("a turn was started after the cap was reached");
        }
        if self.limits.turns.is_some_and(|cap| self.turns >= cap)
            || self.limits.tokens.is_some_and(|cap| self.tokens >= cap)
        {
            return broken("a turn was started after a limit was reached");
        }
        if self.plan_first && self.said_yes_to != Some(self.version) {
            return broken("a turn was started before the person said yes to the plan");
        }
        self.turns += 1;
        let Some(role) = self.step(step_id).map(|step| step.planned.role) else {
            return broken("a step was started that is not planned");
        };
        let seat = SeatId { role, number: seat };
        self.has_room(seat)?;
        self.may_write(step_id, seat)?;
        self.open.insert(turn, (step_id, seat));
        let Some(step) = self.step(step_id) else {
            return Ok(());
        };
        if step.done {
            return broken("a step that was done was started again");
        }
        if step.accepted {
            return broken("a step that was accepted was started again");
        }
        step.begun = true;
        step.seat = Some(seat);
        step.completed = false;
        step.waits = false;
        step.is_deaf = false;
        step.verdict = None;
        step.tries += 1;
        if step.tries != attempt {
            return broken(format!(
                "attempt {attempt} was recorded, {} were used",
                step.tries
            ));
        }
        Ok(())
    }

    /// One turn to a seat, and no more of a role than may be.
    fn has_room(&self, seat: SeatId) -> Held {
        if self.open.values().any(|(_, taken)| *taken == seat) {
            return broken("a seat was given two turns");
        }
        let of_role = self.open.values().filter(|(_, at)| at.role == seat.role);
        if of_role.count() >= self.seats as usize {
            return broken("more agents of a role are at work than may be");
        }
        Ok(())
    }

    /// Nobody but who mends it writes beside a merge, or branches off it.
    fn may_write(&mut self, step: StepId, seat: SeatId) -> Held {
        if seat.role.writes() == Writes::Nothing {
            return Ok(());
        }
        let branched = self.step(step).is_some_and(|step| step.has_base);
        let apart = seat.is_lane() && branched;
        let in_the_way = |merging: &Merging| merging.mended_by != Some(step) || !merging.written;
        if !apart && self.merging.as_ref().is_some_and(in_the_way) {
            return broken("a step that writes was started in the middle of a merge");
        }
        Ok(())
    }

    fn ended(&mut self, id: TaskId, report: &TurnReport, machine: &Machine) -> Held {
        let Some((step, _)) = self.open.remove(&report.turn) else {
            return broken("the end of a turn was recorded twice");
        };
        self.tokens += report.usage.tokens();
        self.spent += report.usage.cost.map_or(0, |cost| cost.as_micros());
        let ours = matches!(
            report.outcome,
            TurnOutcome::OutputLost | TurnOutcome::Interrupted
        );
        // What the agent really said; when nobody heard it, we ended it ourselves.
        let outcome = match machine.ends.get(&(id, report.turn)) {
            Some((outcome, usage)) if !ours => {
                if *outcome != report.outcome || *usage != report.usage {
                    return broken("a turn is recorded to have ended otherwise than it did");
                }
                outcome
            }
            Some(_) | None => &report.outcome,
        };
        if let Some(step) = self.step(step) {
            step.completed = matches!(outcome, TurnOutcome::Completed { .. });
            if !counts(outcome) {
                step.tries -= 1;
            } else if !step.completed {
                step.failures += 1;
            }
        }
        Ok(())
    }

    /// Whoever is at work has to read what the person says to it before it is done.
    fn hears(&mut self, message: &Message) {
        let Message::Note(note) = message else {
            return;
        };
        if !note.from.is_person() {
            return;
        }
        let at_work = self.open.values().copied().collect::<Vec<_>>();
        for (step, seat) in at_work {
            let is_for_it = note.to == Recipient::Team || note.to.role() == Some(seat.role);
            if let Some(step) = self.step(step).filter(|_| is_for_it) {
                step.is_deaf = true;
            }
        }
    }

    fn handed_in(&mut self, step: StepId) -> Held {
        match self.step(step) {
            Some(step) if step.done => broken("a step that was done was handed in again"),
            Some(step) if step.completed => {
                step.waits = true;
                Ok(())
            }
            Some(_) => broken("a step was handed in whose turn had not finished"),
            None => broken("a step was handed in that is not planned"),
        }
    }

    fn decided(
        &mut self,
        turn: (TaskId, TurnId),
        step: StepId,
        ruling: &Ruling,
        by: Author,
        machine: &mut Machine,
    ) -> Held {
        let said = machine.rulings.get(&turn).filter(|_| by == Author::Prime);
        if said.is_some_and(|said| said.name() != ruling.name() && is_no(said)) {
            return broken("a step that Prime sent back was accepted");
        }
        if let Ruling::Replan { steps } = ruling {
            self.wanted = Some(steps.clone());
        }
        let unanswered = self.unanswered.take() == Some(step);
        let Some(step) = self.step(step) else {
            return broken("something is decided about a step that is not planned");
        };
        let sent_back = is_no(ruling);
        if sent_back && step.done {
            return broken("a step that was done was sent back");
        }
        if !step.completed {
            return broken("something is decided about a step that is not handed in");
        }
        if step.is_deaf && !sent_back {
            return broken("a step was accepted whose agent never heard what the person said");
        }
        step.accepted = !sent_back;
        if sent_back {
            step.completed = false;
            step.waits = false;
        } else if step.mends && (by == Author::Person || unanswered) {
            // Who was asked about marks that are left, or did not answer, lets them be.
            machine.leaves_marks(turn.0);
        }
        Ok(())
    }

    fn merge_planned(
        &mut self,
        id: StepId,
        planned: Content,
        mended_by: Option<&PlannedStep>,
    ) -> Held {
        if self.merging.is_some() {
            return broken("two merges are under way");
        }
        match self.step(id) {
            Some(step) if step.is_in_lane() && step.accepted && !step.done => {}
            Some(_) | None => return broken("a step is merged that was not accepted in a lane"),
        }
        self.merging = Some(Merging {
            step: id,
            planned,
            mended_by: mended_by.map(|step| step.id),
            written: false,
        });
        if let Some(step) = mended_by {
            self.steps.push(StepAccount::new(step, true));
            if self.said_yes_to == Some(self.version) {
                self.said_yes_to = Some(self.version + 1);
            }
            self.version += 1;
        }
        Ok(())
    }

    fn merged(&mut self, id: TaskId, step: StepId, machine: &mut Machine) -> Held {
        match &mut self.merging {
            Some(merging) if merging.step == step => {
                merging.written = true;
                if machine.copy(id).content != Some(merging.planned) {
                    return broken("a merge is recorded that was not written");
                }
                Ok(())
            }
            Some(_) | None => broken("a merge is recorded that nobody planned"),
        }
    }

    fn handed_over(&mut self, id: StepId) -> Held {
        let Some(step) = self.step(id) else {
            return broken("a step was handed over that is not planned");
        };
        if step.done {
            return broken("the outcome of a step was recorded twice");
        }
        if !step.completed {
            return broken("a step was handed over whose turn had not finished");
        }
        if step.waits && !step.accepted {
            return broken("a step is done that nobody has accepted");
        }
        step.done = true;
        step.failures = 0;
        Ok(())
    }

    /// What was done in a lane is in the task's copy when its step is done.
    fn is_home(&mut self, id: TaskId, step_id: StepId, machine: &mut Machine) -> Held {
        let Some(seat) = self.step(step_id).and_then(|step| step.seat) else {
            return Ok(());
        };
        if seat.role.writes() == Writes::Workspace {
            machine.settles(Place::of(id, seat));
        }
        if !seat.is_lane() {
            return Ok(());
        }
        let merging = self.merging.take();
        let Some(merging) = merging.filter(|merging| merging.step == step_id) else {
            return broken("a step in a lane is done that was not merged");
        };
        let is_mended = |by: StepId| self.steps.iter().any(|it| it.planned.id == by && it.done);
        if !merging.written || !merging.mended_by.is_none_or(is_mended) {
            return broken("a step in a lane is done before its merge is");
        }
        machine.expect_merged(id, step_id)
    }

    fn answered(
        &mut self,
        asked: (TaskId, ApprovalId),
        answer: &Answer,
        by: AnsweredBy,
        machine: &Machine,
    ) -> Held {
        if by == AnsweredBy::EarlierAnswer && self.asked_about.contains_key(&asked.1) {
            return broken("what was said of one hand-in is taken for another");
        }
        if by != AnsweredBy::Person {
            self.unanswered = self.asked_about.get(&asked.1).copied();
            return Ok(());
        }
        if !machine.answered.contains(&asked) {
            return broken("an answer of the person is recorded that they never gave");
        }
        if let (Some(version), Answer::Allow) = (self.shown.get(&asked.1), answer) {
            self.said_yes_to = Some(*version);
        }
        Ok(())
    }

    /// Everything is there: nothing has still to be done, merged or mended.
    fn expect_whole(&self, id: TaskId, machine: &Machine) -> Held {
        if self.merging.is_some() {
            return broken("checks ran in the middle of a merge");
        }
        let is_open = |step: &StepAccount| !step.done && !step.is_of(StepKind::Validation);
        if self.steps.iter().any(is_open) {
            return broken("checks ran before the work was done");
        }
        if !machine.marked(Place::copy(id)).is_empty() {
            return broken("checks ran although marks of a conflict are left");
        }
        Ok(())
    }

    fn is_reviewed(&self, id: TaskId, verdict_failed: bool, machine: &Machine) -> Held {
        self.expect_whole(id, machine)?;
        if !self.steps.iter().all(|step| step.done) {
            return broken("a task is in review although a step of it is not done");
        }
        if !self.is_checked {
            return broken("a task is in review without checks of its work");
        }
        let there = machine.content(Place::copy(id));
        if there.is_some() && there != self.checked {
            return broken("a task is in review with other work than was checked");
        }
        let fails = |step: &StepAccount| step.verdict == Some(Verdict::Fail);
        if !verdict_failed && self.steps.iter().any(fails) {
            return broken("a task is in review as good although Beta said fail");
        }
        Ok(())
    }

    /// What was handed in and is not on its way into the copy is done again if the task comes
    /// back.
    fn is_cancelled(&mut self) {
        let merging = self.merging.as_ref().map(|merging| merging.step);
        for step in &mut self.steps {
            if !step.done && Some(step.planned.id) != merging {
                step.completed = false;
                step.waits = false;
                step.accepted = false;
            }
        }
    }

    /// Lanes are not brought back with the copy.
    fn loses_lanes(&mut self) {
        let merging = self.merging.as_ref().map(|merging| merging.step);
        for step in &mut self.steps {
            if !step.done && step.is_in_lane() && Some(step.planned.id) != merging {
                step.seat = None;
                step.has_base = false;
            }
        }
    }

    /// A round goes back to whoever changed what the feedback names, else to whoever came
    /// last; and everything is judged again.
    fn goes_round(&mut self, why: &RoundReason) {
        self.is_checked = false;
        let (texts, by_person) = match why {
            RoundReason::Person { text } => (vec![text.clone()], true),
            RoundReason::Findings { findings } => (findings.clone(), false),
        };
        let is_code = |step: &StepAccount| step.is_of(StepKind::Implementation) && !step.mends;
        let has_code = self.steps.iter().any(is_code);
        let mut again: BTreeSet<StepId> = self.named(StepKind::Validation, None);
        again.extend(self.named(StepKind::Implementation, Some(&texts)));
        if by_person || !has_code {
            again.extend(self.named(StepKind::Tests, Some(&texts)));
        }
        let steps = self.steps.iter_mut();
        steps
            .filter(|step| again.contains(&step.planned.id))
            .for_each(StepAccount::opens_again);
    }

    /// The steps of a kind that these texts are about.
    fn named(&self, kind: StepKind, texts: Option<&[String]>) -> BTreeSet<StepId> {
        let of_kind: Vec<_> = self
            .steps
            .iter()
            .filter(|step| step.is_of(kind) && !step.mends)
            .collect();
        let Some(texts) = texts else {
            return of_kind.iter().map(|step| step.planned.id).collect();
        };
        let is_named = |path: &String| texts.iter().any(|text| text.contains(path.as_str()));
        let named: BTreeSet<_> = of_kind
            .iter()
            .filter(|step| step.touched.iter().any(is_named))
            .map(|step| step.planned.id)
            .collect();
        if named.is_empty() {
            return of_kind
                .last()
                .map(|step| step.planned.id)
                .into_iter()
                .collect();
        }
        named
    }

    fn gave_up(&self) -> Held {
        let mut steps = self.steps.iter();
        if steps.any(|step| step.failures > step.planned.role.max_retries()) {
            Ok(())
        } else {
            broken("a task was given up although no agent had failed too often")
        }
    }
}

fn is_no(ruling: &Ruling) -> bool {
    matches!(ruling, Ruling::Retry { .. })
}
