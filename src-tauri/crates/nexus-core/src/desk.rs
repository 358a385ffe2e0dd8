//! The desk: all tasks side by side, and what a batch of orders and news means for them.
//!
//! A [`Desk`] is the sum of the facts that were recorded. A [`Draft`] is what a batch decided
//! beyond them and nobody has recorded yet: its facts are written to the log first, then
//! [`Desk::commit`] takes it over. A draft that could not be recorded is dropped, and nothing
//! of it happened. Writing, showing and acting are the dispatcher's; what a single task means
//! by an order is the task's; who is let in next is the queue's.

use crate::{
    Account, Answer, Command, Event, Floor, FloorEvent, PauseReason, Phase, Predecessor, Question,
    QueuedTask, Rejection, Report, Rule, RuleScope, Task, TaskId, TaskSpec, Team, Timestamp,
    handed_over,
    queue::{Queue, Tasks},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// All tasks and the floor, as of the last recorded fact. Cheap to clone: only pointers.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// The number of the last recorded fact.
    pub seq: u64,
    pub floor: Arc<Floor>,
    pub tasks: BTreeMap<TaskId, Arc<Task>>,
    pub awake: Awake,
}

/// Which tasks are worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awake {
    /// Whatever the log says is under way.
    All,
    /// Only those that were given an order since the start.
    Only(BTreeSet<TaskId>),
}

/// A fact as it goes into the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    OfTask {
        id: TaskId,
        at: Timestamp,
        event: Event,
    },
    OfFloor {
        at: Timestamp,
        event: FloorEvent,
    },
}

/// What a batch has decided and nobody has recorded yet.
#[derive(Clone, Debug)]
pub struct Draft {
    base: Desk,
    tasks: BTreeMap<TaskId, Arc<Task>>,
    floor: Option<Arc<Floor>>,
    woken: BTreeSet<TaskId>,
    facts: Vec<Fact>,
}

/// Why an order is not followed. Nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no task {0}")]
    NoTask(TaskId),
    #[error("the task is to wait for {}, and there is no such task", names(.0))]
    NothingToWaitFor(Vec<TaskId>),
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Default for Awake {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Awake {
    /// Is this task worked on?
    pub fn has(&self, task: TaskId) -> bool {
        match self {
            Self::All => true,
            Self::Only(tasks) => tasks.contains(&task),
        }
    }
}

impl Desk {
    /// A desk without tasks, for `parallel_tasks` of them at once.
    pub fn new(parallel_tasks: usize) -> Self {
        Self {
            floor: Arc::new(Floor::for_tasks(parallel_tasks)),
            ..Self::default()
        }
    }

    /// Folds one recorded fact in, as a replay of the log does. Facts of a task whose creation
    /// was not among them mean nothing.
    pub fn apply(&mut self, fact: Fact) {
        self.seq += 1;
        match fact {
            Fact::OfFloor { event, .. } => Arc::make_mut(&mut self.floor).apply(&event),
            Fact::OfTask { id, at, event } => match (self.tasks.get_mut(&id), event) {
                (None, Event::TaskCreated { spec }) => {
                    self.tasks.insert(id, Arc::new(Task::new(id, *spec, at)));
                }
                (Some(task), event) => {
                    Arc::make_mut(task).apply(&event, at);
                    if Floor::concerns(&event) {
                        Arc::make_mut(&mut self.floor).witness(&task.spec, &event, at);
                    }
                }
                (None, _) => {}
            },
        }
    }

    /// An empty draft on top of what is recorded.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft {
            base: self.clone(),
            tasks: BTreeMap::new(),
            floor: None,
            woken: BTreeSet::new(),
            facts: Vec::new(),
        }
    }

    /// Takes over a draft whose facts are recorded. It has to be the only one since this desk
    /// was as [`Desk::draft`] saw it.
    pub fn commit(&mut self, draft: &Draft) {
        self.seq += draft.facts.len() as u64;
        self.tasks
            .extend(draft.tasks.iter().map(|(id, task)| (*id, Arc::clone(task))));
        if let Some(floor) = &draft.floor {
            self.floor = Arc::clone(floor);
        }
        if let Awake::Only(awake) = &mut self.awake {
            awake.extend(&draft.woken);
        }
    }

    /// The tasks that are worked on.
    pub fn awake(&self) -> impl Iterator<Item = &Arc<Task>> {
        let tasks = self.tasks.values();
        tasks.filter(|task| self.awake.has(task.id))
    }

    /// The queued tasks, in the order in which they would be given a place, and after them those
    /// that something else holds.
    pub fn queue(&self, now: Timestamp) -> Vec<QueuedTask> {
        Queue::of(self, now).in_order()
    }

    /// The tasks that this one waits for because they are not done, in the order in which the
    /// person named them.
    pub fn waits_for(&self, task: &Task) -> Vec<Predecessor> {
        self.undone_before(task).map(Predecessor::of).collect()
    }

    /// When to look again although nothing happened: the earliest end of a wait.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let tasks = self.awake().filter_map(|task| task.next_wake());
        tasks.chain(self.floor.next_wake()).min()
    }
}

impl Draft {
    /// Makes a task, numbered after the last, and queues it when it is to `start`. The tasks it
    /// is to wait for have to be there already, so no two ever wait for each other.
    pub fn create(
        &mut self,
        id: TaskId,
        mut spec: TaskSpec,
        start: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let after = &mut spec.terms.after;
        let unknown = after.iter().filter(|before| self.task(**before).is_none());
        let unknown: Vec<TaskId> = unknown.copied().collect();
        if !unknown.is_empty() {
            return Err(Refusal::NothingToWaitFor(unknown));
        }
        let mut named = BTreeSet::new();
        after.retain(|before| named.insert(*before));
        let numbers = self.all().map(|task| task.spec.number);
        spec.number = numbers.max().unwrap_or(0) + 1;
        self.woken.insert(id);
        let task = Task::new(id, spec.clone(), now);
        let queued = if start {
            task.decide(&Command::Start, now)
        } else {
            Ok(Vec::new())
        };
        self.tasks.insert(id, Arc::new(task));
        let spec = Box::new(spec);
        self.add(id, vec![Event::TaskCreated { spec }], now);
        self.add(id, queued.unwrap_or_default(), now);
        Ok(())
    }

    /// Gives a task an order, and has it worked on from now on if the order means that.
    ///
    /// A task that was left in the middle is first brought to where its log ends. If it then
    /// refuses, it is let lie: a refused order must not set agents going.
    pub fn order(&mut self, id: TaskId, command: &Command, now: Timestamp) -> Result<(), Refusal> {
        let mut trial = self.clone();
        if *command == Command::Unchain {
            // It is told of those that are done all the same.
            trial.share_context(id, now);
        }
        if self.is_awake(id) {
            trial.follow(id, command, now)?;
        } else if sets_going(command) {
            trial.wake(id, command, now)?;
        } else {
            trial.note_down(id, command, now)?;
        }
        *self = trial;
        Ok(())
    }

    /// An order that has a task worked on again that was left.
    fn wake(&mut self, id: TaskId, command: &Command, now: Timestamp) -> Result<(), Refusal> {
        let was_unsure = self.task(id).is_some_and(is_unsure);
        self.cut_off(id, now);
        // The person has to see first what may have happened; a second order goes on.
        let is_news = !was_unsure && self.task(id).is_some_and(is_unsure);
        if !is_news || *command != Command::Resume {
            self.follow(id, command, now)?;
        }
        self.woken.insert(id);
        Ok(())
    }

    fn follow(&mut self, id: TaskId, command: &Command, now: Timestamp) -> Result<(), Refusal> {
        let task = Arc::clone(self.task(id).ok_or(Refusal::NoTask(id))?);
        let goes_on = matches!(
            command,
            Command::Start | Command::Resume | Command::RequestChanges { .. }
        );
        if *command == Command::Resume
            && Account::of(task.spec.team).is_some()
            && self.floor_now().day_cap_reached(now).is_some()
        {
            return Err(Rejection::DayCapReached.into());
        }
        let events = task.decide(command, now)?;
        self.add(id, events, now);
        if goes_on && let Some(opened) = self.floor_now().opened_by_order(task.spec.team) {
            self.floor(vec![opened], now);
            self.tell_team(task.spec.team, &Command::LiftHold, now);
        }
        self.keep_rule(&task, command, now);
        Ok(())
    }

    /// An answer that holds beyond the task becomes a standing rule.
    fn keep_rule(&mut self, task: &Task, command: &Command, now: Timestamp) {
        let Command::Answer {
            approval, answer, ..
        } = command
        else {
            return;
        };
        let scope = match answer {
            Answer::AllowForProject => RuleScope::Project {
                project: task.spec.project,
            },
            Answer::AllowAlways => RuleScope::Always,
            Answer::Allow | Answer::AllowForTask | Answer::Deny { .. } | Answer::Text { .. } => {
                return;
            }
        };
        let asked = task.approvals.get(approval).map(|asked| &asked.question);
        if let Some(Question::Tool { request, .. }) = asked {
            let rule = Rule {
                id: self.floor_now().next_rule(),
                scope,
                digest: request.digest(),
                tool: request.tool.clone(),
                object: request.object().to_owned(),
                made_at: now,
            };
            self.floor(vec![FloorEvent::RuleAdded { rule }], now);
        }
    }

    /// Stops whatever is under way or waits to be. Everything is kept.
    pub fn stop_all(&mut self, now: Timestamp) {
        for id in self.awake_ids() {
            if let Some(Ok(events)) = self.task(id).map(|task| task.decide(&Command::Pause, now)) {
                self.add(id, events, now);
            }
        }
    }

    /// Has an account that is closed tried again now.
    pub fn open_account(&mut self, team: Team, now: Timestamp) {
        if let Some(account) = Account::of(team)
            && self.floor_now().hold_on(team).is_some()
        {
            self.floor(vec![FloorEvent::AccountOpened { account }], now);
            self.tell_team(team, &Command::LiftHold, now);
        }
    }

    /// Takes news in and says what followed. News of an unknown task means nothing.
    pub fn observe(&mut self, id: TaskId, report: &Report, now: Timestamp) -> Vec<Event> {
        let Some(task) = self.task(id) else {
            return Vec::new();
        };
        let events = task.observe(report, now);
        self.add(id, events.clone(), now);
        events
    }

    /// Takes facts about no single task in.
    pub fn floor(&mut self, events: Vec<FloorEvent>, now: Timestamp) {
        let floor = self
            .floor
            .get_or_insert_with(|| Arc::clone(&self.base.floor));
        for event in events {
            Arc::make_mut(floor).apply(&event);
            self.facts.push(Fact::OfFloor { at: now, event });
        }
    }

    /// Has the task looked at, although nothing is known to have happened to it.
    pub fn look(&mut self, id: TaskId) {
        self.touch(id);
    }

    /// Turns and processes that the log leaves open ended with the NEXUS that ran them; how is
    /// not known.
    pub fn cut_off(&mut self, id: TaskId, now: Timestamp) {
        self.tell_of_account(id, now);
        self.observe(id, &Report::LeftBehind, now);
    }

    /// An order to a task that nobody works on, after it either: what the log leaves open is
    /// closed, and nothing is begun.
    fn note_down(&mut self, id: TaskId, command: &Command, now: Timestamp) -> Result<(), Refusal> {
        let closed = self.task(id).ok_or(Refusal::NoTask(id))?.left_behind(now);
        self.add(id, closed, now);
        let task = Arc::clone(self.task(id).ok_or(Refusal::NoTask(id))?);
        let events = task.decide_alone(command, now)?;
        self.add(id, events, now);
        self.keep_rule(&task, command, now);
        Ok(())
    }

    /// A task that was left, or stopped, has not heard what became of its account since.
    fn tell_of_account(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.task(id) else { return };
        let waits = task.hold.as_ref().is_some_and(|hold| hold.until.is_none());
        let news = match self.floor_now().hold_on(task.spec.team) {
            Some(hold) => Command::Hold(hold.clone()),
            None if waits => Command::LiftHold,
            None => return,
        };
        if let Ok(events) = task.decide(&news, now) {
            self.add(id, events, now);
        }
    }

    /// After a start: whatever the log says is under way was cut off, and goes on from there.
    pub fn take_up(&mut self, now: Timestamp) {
        for id in self.awake_ids() {
            self.cut_off(id, now);
        }
        self.admit(now);
    }

    /// Ends waits that are over.
    pub fn let_time_pass(&mut self, now: Timestamp) {
        let opened = self.floor_now().opened_by_time(now);
        if !opened.is_empty() {
            self.floor(opened, now);
        }
        let is_due = |task: &&Arc<Task>| task.next_wake().is_some_and(|wake| wake <= now);
        let due = self.all().filter(|task| self.is_awake(task.id));
        let due: Vec<TaskId> = due.filter(is_due).map(|task| task.id).collect();
        for id in due {
            if let Some(task) = self.task(id) {
                let events = task.tick(now);
                self.add(id, events, now);
            }
        }
    }

    /// Gives free places to queued tasks.
    pub fn admit(&mut self, now: Timestamp) {
        // One at a time: who is let in changes whose turn it is, and may stop at once, at a cap,
        // and leave its place to the next.
        while let Some(task) = Queue::of(self, now).next() {
            let id = task.id;
            self.tell_of_account(id, now);
            self.share_context(id, now);
            match self.task(id).map(|task| task.decide(&Command::Admit, now)) {
                Some(Ok(events)) => self.add(id, events, now),
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Tells a task what those before it handed over, as far as they are done and it wants to
    /// know and was not told.
    fn share_context(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.task(id).filter(|task| task.spec.terms.shares_context) else {
            return;
        };
        let is_told = |before: TaskId| task.shared.iter().any(|shared| shared.from == before);
        let untold = task.after.iter().filter(|before| !is_told(**before));
        let tasks = untold.filter_map(|before| self.task(*before));
        let done = tasks.filter(|before| before.phase == Phase::Done);
        let shared = done.map(|before| Event::ContextShared {
            from: before.id,
            name: before.spec.name(),
            text: handed_over(before),
        });
        self.add(id, shared.collect(), now);
    }

    /// The task as the batch so far has it.
    pub fn task(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(&id).or_else(|| self.base.tasks.get(&id))
    }

    /// The tasks that something was decided for, or that are to be looked at, as they are then.
    pub fn touched(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// What has to be recorded, in order.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// What has to be recorded about one task, in order.
    pub fn facts_of(&self, id: TaskId) -> Vec<&Event> {
        let events = self.facts.iter().filter_map(|fact| match fact {
            Fact::OfTask { id: of, event, .. } if *of == id => Some(event),
            Fact::OfTask { .. } | Fact::OfFloor { .. } => None,
        });
        events.collect()
    }

    /// Gives every task of a team that is worked on an order of the floor's.
    fn tell_team(&mut self, team: Team, command: &Command, now: Timestamp) {
        for id in self.awake_ids() {
            let task = self.task(id).filter(|task| task.spec.team == team);
            if let Some(Ok(events)) = task.map(|task| task.decide(command, now)) {
                self.add(id, events, now);
            }
        }
    }

    /// What a task's facts mean for all that share its account.
    fn spread_the_news(&mut self, team: Team, events: &[Event], now: Timestamp) {
        if let Some((account, hold)) = self.floor_now().closes(team, events, now) {
            let command = Command::Hold(hold.clone());
            self.floor(vec![FloorEvent::AccountClosed { account, hold }], now);
            self.tell_team(team, &command, now);
        }
    }

    fn awake_ids(&self) -> Vec<TaskId> {
        let ids = self.all().map(|task| task.id);
        ids.filter(|id| self.is_awake(*id)).collect()
    }

    fn add(&mut self, id: TaskId, events: Vec<Event>, at: Timestamp) {
        let Some(task) = self.touch(id) else { return };
        for event in &events {
            Arc::make_mut(task).apply(event, at);
        }
        let (spec, team) = (Arc::clone(&task.spec), task.spec.team);
        let facts = events.iter().cloned();
        self.facts
            .extend(facts.map(|event| Fact::OfTask { id, at, event }));
        let floor = events.iter().filter(|event| Floor::concerns(event));
        let floor: Vec<Event> = floor.cloned().collect();
        if floor.is_empty() {
            return;
        }
        let known = self
            .floor
            .get_or_insert_with(|| Arc::clone(&self.base.floor));
        let known = Arc::make_mut(known);
        let mut day_is_over = false;
        for event in &floor {
            known.witness(&spec, event, at);
            // What began after that in the same breath is called off again.
            let ended = matches!(event, Event::TurnEnded { .. });
            day_is_over |= ended && known.day_cap_reached(at).is_some();
        }
        self.spread_the_news(team, &floor, at);
        if day_is_over && Account::of(team).is_some() {
            self.tell_team(team, &Command::EndOfDay, at);
        }
    }

    fn touch(&mut self, id: TaskId) -> Option<&mut Arc<Task>> {
        let task = self.task(id).cloned()?;
        Some(self.tasks.entry(id).or_insert(task))
    }
}

impl Tasks for Desk {
    fn floor_now(&self) -> &Floor {
        &self.floor
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    fn find(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(&id)
    }

    fn is_awake(&self, id: TaskId) -> bool {
        self.awake.has(id)
    }
}

impl Tasks for Draft {
    fn floor_now(&self) -> &Floor {
        self.floor.as_ref().unwrap_or(&self.base.floor)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Task>> {
        let known = self.base.tasks.values();
        let untouched = known.filter(|task| !self.tasks.contains_key(&task.id));
        untouched.chain(self.tasks.values())
    }

    fn find(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.task(id)
    }

    fn is_awake(&self, id: TaskId) -> bool {
        self.woken.contains(&id) || self.base.awake.has(id)
    }
}

fn names(tasks: &[TaskId]) -> String {
    let names: Vec<_> = tasks.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Does it wait for the person to say whether a command may have run?
fn is_unsure(task: &Arc<Task>) -> bool {
    let why = PauseReason::Unsure;
    task.phase == Phase::Paused { why }
}

/// Does the order mean that somebody has to do something about the task now?
fn sets_going(command: &Command) -> bool {
    match command {
        Command::Answer { .. }
        | Command::Revoke { .. }
        | Command::SetBudget { .. }
        | Command::SetLimits { .. }
        | Command::SetPriority { .. }
        | Command::Unchain
        | Command::ReplaceSession { .. }
        | Command::Hold(_)
        | Command::LiftHold
        | Command::EditPlan { .. }
        | Command::Say { .. }
        | Command::EndOfDay => false,
        Command::Start
        | Command::Admit
        | Command::Pause
        | Command::Resume
        | Command::Cancel
        | Command::RequestChanges { .. }
        | Command::Accept { .. }
        | Command::Discard
        | Command::Restore => true,
    }
}
