//! A second opinion: what the log says, read by nobody's rules but these few.
//!
//! The books follow each task with counts of their own and never ask the task what it thinks.

use crate::{
    machine::{Content, Machine, content_of, read_operation},
    sim::{Held, broken},
};
use nexus_core::{
    Account, Event, Fact, FailureKind, FloorEvent, Hold, Limits, Role, RoundReason, StepId,
    StepKind, TaskId, Timestamp, TurnId, TurnOutcome, TurnReport,
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
    steps: BTreeMap<StepId, StepAccount>,
    /// Turns that have not ended, and their steps.
    open: BTreeMap<TurnId, StepId>,
    seen: BTreeSet<TurnId>,
    spent: u64,
    cap: Option<u64>,
    tokens: u64,
    turns: u32,
    limits: Limits,
    account: Option<Account>,
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
}

#[derive(Debug)]
struct StepAccount {
    kind: StepKind,
    role: Role,
    done: bool,
    /// Turns that count as a try of the agent.
    tries: u32,
    failures: u32,
    completed: bool,
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
            let account = TaskAccount {
                cap: spec.budget.map(|cap| cap.as_micros()),
                limits: spec.limits,
                account: Account::of(spec.team),
                after: spec.terms.after.iter().copied().collect(),
                shares_context: spec.terms.shares_context,
                ..TaskAccount::default()
            };
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
    fn read(&mut self, id: TaskId, event: &Event, machine: &mut Machine) -> Held {
        match event {
            Event::PlanMade { plan } => {
                for step in plan.steps() {
                    let account = StepAccount {
                        kind: step.kind,
                        role: step.role,
                        done: false,
                        tries: 0,
                        failures: 0,
                        completed: false,
                    };
                    self.steps.insert(step.id, account);
                }
            }
            Event::StepStarted {
                step,
                turn,
                attempt,
                ..
            } => self.started(*step, *turn, *attempt)?,
            Event::TurnEnded { report } => self.ended(id, report, machine)?,
            Event::StepEnded { step, .. } => {
                self.handed_over(*step)?;
                machine.settles(id);
            }
            // The next conversation is told what was done so far.
            Event::SessionReplaced { reset: false, .. } => machine.settles(id),
            Event::RoundBegan { why, .. } => self.goes_round(why),
            Event::TaskFailed { failure } if failure.kind == FailureKind::Agent => {
                self.gave_up()?;
            }
            Event::TaskResumed => {
                for step in self.steps.values_mut() {
                    step.failures = 0;
                }
            }
            Event::TaskStarted => self.begun = true,
            Event::ContextShared { from, .. } if !self.told_of.insert(*from) => {
                return broken("a task was told of the same work twice");
            }
            Event::Unchained => self.after.clear(),
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
            }
            _ => {}
        }
        Ok(())
    }

    fn is_held(&self, closed: &BTreeMap<Account, Hold>, at: Timestamp) -> bool {
        let hold = self.account.and_then(|account| closed.get(&account));
        hold.is_some_and(|hold| !hold.is_over(at))
    }

    fn started(&mut self, step_id: StepId, turn: TurnId, attempt: u32) -> Held {
        if !self.seen.insert(turn) {
            return broken("a turn was started twice");
        }
        if self.open.values().any(|open| *open == step_id) {
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
        self.turns += 1;
        let Some(role) = self.steps.get(&step_id).map(|step| step.role) else {
            return broken("a step was started that is not planned");
        };
        let of_role = |open: &StepId| self.steps.get(open).is_some_and(|step| step.role == role);
        if self.open.values().any(of_role) {
            return broken("a seat was given two turns");
        }
        self.open.insert(turn, step_id);
        let Some(step) = self.steps.get_mut(&step_id) else {
            return Ok(());
        };
        if step.done {
            return broken("a step that was done was started again");
        }
        step.completed = false;
        step.tries += 1;
        if step.tries != attempt {
            return broken(format!(
                "attempt {attempt} was recorded, {} were used",
                step.tries
            ));
        }
        Ok(())
    }

    fn ended(&mut self, id: TaskId, report: &TurnReport, machine: &Machine) -> Held {
        let Some(step) = self.open.remove(&report.turn) else {
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
        if let Some(step) = self.steps.get_mut(&step) {
            step.completed = matches!(outcome, TurnOutcome::Completed { .. });
            if !counts(outcome) {
                step.tries -= 1;
            } else if !step.completed {
                step.failures += 1;
            }
        }
        Ok(())
    }

    fn handed_over(&mut self, step: StepId) -> Held {
        let Some(step) = self.steps.get_mut(&step) else {
            return broken("a step was handed over that is not planned");
        };
        if step.done {
            return broken("the outcome of a step was recorded twice");
        }
        if !step.completed {
            return broken("a step was handed over whose turn had not finished");
        }
        step.done = true;
        step.failures = 0;
        Ok(())
    }

    fn goes_round(&mut self, why: &RoundReason) {
        let by_person = matches!(why, RoundReason::Person { .. });
        for step in self.steps.values_mut() {
            let again = match step.kind {
                StepKind::Analysis => false,
                StepKind::Implementation | StepKind::Validation => true,
                StepKind::Tests => by_person,
            };
            if again {
                step.done = false;
                step.completed = false;
                step.failures = 0;
            }
        }
    }

    fn gave_up(&self) -> Held {
        let mut steps = self.steps.values();
        if steps.any(|step| step.failures > step.role.max_retries()) {
            Ok(())
        } else {
            broken("a task was given up although no agent had failed too often")
        }
    }
}
