//! NEXUS while it lives: the dispatcher's loop in virtual time, around the very desk the engine
//! uses. What it holds is gone when it is killed.

use crate::{
    hands::{Job, TaskHands},
    log::{DiskFault, Row},
    scenario::Bug,
    seat::Sitter,
    sim::{Happening, Held, Moment, World, broken, until},
};
use nexus_core::{
    Awake, Command, Desk, Draft, Effect, Event, Fact, FloorEvent, Phase, QueuedTask, Report,
    StepState, Task, TaskId, TaskSpec, TaskState, Team, TurnId, Wait,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Something for the dispatcher.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Create {
        id: TaskId,
        spec: Box<TaskSpec>,
        start: bool,
    },
    Order {
        task: TaskId,
        command: Command,
    },
    News {
        task: TaskId,
        report: Report,
        reply: Reply,
    },
    Look {
        task: TaskId,
    },
    Floor {
        events: Vec<FloorEvent>,
    },
    StopAll,
    OpenAccount {
        team: Team,
    },
}

/// Who waits until the news is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Nobody,
    Job(u64),
    Sitter(u64),
    /// A short errand of the hands, done then.
    Errand(TaskId),
}

/// How much is recorded together at most.
const BATCH: usize = 256;

pub(crate) struct Engine {
    pub(crate) desk: Desk,
    pub(crate) inbox: VecDeque<Input>,
    pub(crate) hands: BTreeMap<TaskId, TaskHands>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) sitters: BTreeMap<u64, Sitter>,
    /// Short errands that are under way, such as waiting before a job is tried again.
    pub(crate) errands: BTreeMap<TaskId, u32>,
    /// Which job may write a folder.
    pub(crate) folder_locks: BTreeMap<String, u64>,
    /// Which sitter may run a process for a session.
    pub(crate) session_locks: BTreeMap<nexus_core::SessionId, u64>,
    /// News that was told before, for when it comes again.
    old_news: Vec<(TaskId, Report)>,
    pub(crate) closing: bool,
    /// The log could not be written. Everything ends, and is taken up when it can be.
    pub(crate) halted: bool,
    /// The disk is full, and the room that was kept back is being used up.
    spends_reserve: bool,
    /// Orders that wait until then.
    put_off: VecDeque<Input>,
    batch_is_due: bool,
    /// Since when turns are called off that have not ended.
    called_off: BTreeMap<(TaskId, TurnId), i64>,
    wake: u64,
    pub(crate) next_id: u64,
}

impl Engine {
    /// Reads the log.
    pub(crate) fn new(awake: Awake, world: &World) -> Self {
        let mut desk = Desk::new(world.scenario.parallel);
        let mut facts: Vec<Fact> = world.log.rows.iter().map(Row::read).collect();
        if world.has(Bug::ForgetsHandOver) {
            let is_hand_over = |fact: &Fact| matches!(fact, Fact::OfTask { event, .. } if matches!(event, Event::StepEnded { .. }));
            if let Some(last) = facts.iter().rposition(is_hand_over) {
                facts.remove(last);
            }
        }
        for fact in facts {
            desk.apply(fact);
        }
        desk.awake = awake;
        if world.has(Bug::DropsQueued) {
            let queued = |task: &&Arc<Task>| task.phase != Phase::Queued;
            let others = desk.tasks.values().filter(queued).map(|task| task.id);
            desk.awake = Awake::Only(others.collect());
        }
        if world.has(Bug::ForgetsChains) {
            let tasks = desk.tasks.values_mut();
            tasks.for_each(|task| Arc::make_mut(task).after.clear());
        }
        if world.has(Bug::IgnoresPlaces) {
            Arc::make_mut(&mut desk.floor).parallel_tasks = 99;
        }
        Self {
            desk,
            inbox: VecDeque::new(),
            hands: BTreeMap::new(),
            jobs: BTreeMap::new(),
            sitters: BTreeMap::new(),
            errands: BTreeMap::new(),
            folder_locks: BTreeMap::new(),
            session_locks: BTreeMap::new(),
            old_news: Vec::new(),
            closing: false,
            halted: false,
            spends_reserve: false,
            put_off: VecDeque::new(),
            batch_is_due: false,
            called_off: BTreeMap::new(),
            wake: 0,
            next_id: u64::from(world.life) << 32,
        }
    }

    pub(crate) fn happen(&mut self, happening: &Happening, world: &mut World) -> Held {
        match happening {
            Happening::Batch { .. } => self.batch(world),
            Happening::Wake { number, .. } => self.woken(*number, world),
            Happening::Ended { task, .. } => self.look_again(*task, world),
            Happening::Look { task, .. } => {
                self.errand_done(*task);
                self.put(Input::Look { task: *task }, world);
                Ok(())
            }
            Happening::Job { job, .. } => self.job_gets_on(*job, world),
            Happening::Sitter { sitter, .. } => self.sitter_gets_on(*sitter, world),
            Happening::Agent { sitter, .. } => self.agent_acts(*sitter, world),
            Happening::Start | Happening::Person | Happening::Fate | Happening::Retry { .. } => {
                Ok(())
            }
        }
    }

    /// After a start: whatever the log says is under way begins again.
    pub(crate) fn catch_up(&mut self, world: &mut World) -> Held {
        let mut draft = self.desk.draft();
        if world.has(Bug::LeavesTurnsOpen) {
            draft.admit(world.machine.wall());
        } else {
            draft.take_up(world.machine.wall());
        }
        self.record(&draft, Vec::new(), world)?;
        if self.closing {
            return Ok(());
        }
        let awake: Vec<_> = self.desk.awake().cloned().collect();
        for task in awake {
            self.reconcile(&task, world)?;
        }
        self.set_alarm(world);
        Ok(())
    }

    /// Puts something into the dispatcher's queue.
    pub(crate) fn put(&mut self, input: Input, world: &mut World) {
        self.inbox.push_back(input);
        self.call_for_batch(world);
    }

    pub(crate) fn order(&mut self, task: TaskId, command: Command, world: &mut World) {
        world.tell(|| format!("the person: {command:?} {task}"));
        self.put(Input::Order { task, command }, world);
    }

    fn call_for_batch(&mut self, world: &mut World) {
        if !self.batch_is_due && !self.inbox.is_empty() {
            self.batch_is_due = true;
            let life = world.life;
            world.soon(0, 8, Happening::Batch { life });
        }
    }

    /// Takes what waits, or a part of it, and records what follows.
    fn batch(&mut self, world: &mut World) -> Held {
        self.batch_is_due = false;
        let waiting = self.inbox.len().min(BATCH);
        let taken = 1 + world.hands.below(waiting.max(1));
        let inputs: Vec<_> = self.inbox.drain(..taken.min(waiting)).collect();
        self.call_for_batch(world);
        if self.closing {
            return self.last_words(inputs, world);
        }
        let now = world.machine.wall();
        let mut draft = self.desk.draft();
        let mut replies = Vec::new();
        for input in inputs {
            self.decide(input, &mut draft, &mut replies, world);
        }
        if !world.has(Bug::LosesWakeUps) {
            draft.let_time_pass(now);
        }
        draft.admit(now);
        self.record(&draft, replies, world)?;
        self.set_alarm(world);
        Ok(())
    }

    /// Records news that comes while everything ends. Orders come too late, or wait.
    fn last_words(&mut self, inputs: Vec<Input>, world: &mut World) -> Held {
        for input in inputs {
            let Input::News { reply, .. } = &input else {
                if self.halted {
                    self.put_off.push_back(input);
                }
                continue;
            };
            if self.halted && !self.spends_reserve {
                self.answer(*reply, None, world)?;
                continue;
            }
            let mut draft = self.desk.draft();
            let mut replies = Vec::new();
            self.decide(input, &mut draft, &mut replies, world);
            self.record(&draft, replies, world)?;
        }
        Ok(())
    }

    /// The log can be written again: what was under way is taken up as after a start.
    pub(crate) fn take_up_again(&mut self, world: &mut World) -> Held {
        world.tell(|| "the log is tried again".to_owned());
        world.log.try_to_write();
        world.saw("log tried again");
        self.closing = false;
        self.halted = false;
        self.spends_reserve = false;
        self.inbox = std::mem::take(&mut self.put_off);
        self.catch_up(world)?;
        self.call_for_batch(world);
        Ok(())
    }

    fn decide(
        &mut self,
        input: Input,
        draft: &mut Draft,
        replies: &mut Vec<(Reply, Vec<Event>)>,
        world: &mut World,
    ) {
        let now = world.machine.wall();
        match input {
            Input::Create {
                id,
                mut spec,
                start,
            } => {
                if world.has(Bug::RunsBeforeYes) {
                    spec.terms.plan_first = false;
                }
                if let Err(refusal) = draft.create(id, *spec, start, now) {
                    world.saw("task refused");
                    world.tell(|| format!("refused: {refusal}"));
                }
            }
            Input::Order { task, command } => {
                if let Err(refusal) = draft.order(task, &command, now) {
                    world.tell(|| format!("refused: {refusal}"));
                }
            }
            Input::News {
                task,
                report,
                reply,
            } => {
                let events = draft.observe(task, &report, now);
                self.old_news.push((task, report));
                replies.push((reply, events));
            }
            Input::Look { task } => draft.look(task),
            Input::Floor { events } => draft.floor(events, now),
            Input::StopAll => draft.stop_all(now),
            Input::OpenAccount { team } => draft.open_account(team, now),
        }
    }

    /// Records a draft; then, and only then, shows it, acts and answers.
    fn record(
        &mut self,
        draft: &Draft,
        replies: Vec<(Reply, Vec<Event>)>,
        world: &mut World,
    ) -> Held {
        world.pass(Moment::Decided)?;
        let rows: Vec<_> = draft.facts().iter().map(Row::of).collect();
        for (row, fact) in rows.iter().zip(draft.facts()) {
            let kind = match fact {
                Fact::OfTask { event, .. } => event.kind(),
                Fact::OfFloor { event, .. } => event.kind(),
            };
            world.saw(kind);
            world.tell(|| format!("{kind} {}", row.body));
        }
        let mut last_for_now = false;
        if !rows.is_empty()
            && let Err(why) = world.log.append(rows.clone())
        {
            world.tell(|| format!("the log cannot be written: {why:?}"));
            let reserve = matches!(why, DiskFault::Full) && !self.spends_reserve;
            if reserve && world.log.append(rows.clone()).is_ok() {
                world.saw("reserve used");
                last_for_now = true;
            } else if !world.has(Bug::IgnoresFullDisk) {
                return self.fails(replies, world);
            }
        }
        world.pass(Moment::Appended)?;
        if world.has(Bug::ShowsBeforeSync) {
            self.show(draft, rows, world);
            world.pass(Moment::Synced)?;
            world.log.sync();
        } else {
            world.log.sync();
            world.pass(Moment::Synced)?;
            self.show(draft, rows, world);
        }
        world.read_on()?;
        self.compare(draft, world)?;
        self.count_places(draft, world)?;
        world.pass(Moment::Shown)?;
        for task in draft.touched() {
            self.heard(task, &draft.facts_of(task.id), world);
            if !self.closing && !last_for_now && self.desk.awake.has(task.id) {
                self.reconcile(task, world)?;
            }
        }
        world.pass(Moment::Acted)?;
        for (reply, events) in replies {
            self.answer(reply, Some(events), world)?;
        }
        if last_for_now {
            self.spends_reserve = true;
            self.halts(world);
        }
        Ok(())
    }

    /// Everybody sees what was recorded.
    fn show(&mut self, draft: &Draft, rows: Vec<Row>, world: &mut World) {
        self.desk.commit(draft);
        world.shown.extend(rows);
    }

    /// The log cannot be written: nothing of the batch happened.
    fn fails(&mut self, replies: Vec<(Reply, Vec<Event>)>, world: &mut World) -> Held {
        self.spends_reserve = false;
        self.halts(world);
        for (reply, _) in replies {
            self.answer(reply, None, world)?;
        }
        Ok(())
    }

    fn halts(&mut self, world: &mut World) {
        if !self.closing {
            self.halted = true;
            self.let_go(world);
        }
    }

    /// Tells whoever waits that the news is recorded, and what followed; or that it is not.
    fn answer(&mut self, reply: Reply, events: Option<Vec<Event>>, world: &mut World) -> Held {
        match reply {
            Reply::Nobody => Ok(()),
            Reply::Job(job) => {
                self.job_ends(job, world);
                Ok(())
            }
            Reply::Sitter(sitter) => self.sitter_is_answered(sitter, events, world),
            Reply::Errand(task) => {
                self.errand_done(task);
                let life = world.life;
                world.after(0, Happening::Ended { life, task });
                Ok(())
            }
        }
    }

    pub(crate) fn errand_begins(&mut self, task: TaskId) {
        *self.errands.entry(task).or_default() += 1;
    }

    fn errand_done(&mut self, task: TaskId) {
        if let Some(errands) = self.errands.get_mut(&task) {
            *errands = errands.saturating_sub(1);
        }
    }

    /// Sleeps until the next wait ends, but never long: the clock may be set meanwhile.
    fn set_alarm(&mut self, world: &mut World) {
        let Some(wake) = self.desk.next_wake() else {
            return;
        };
        self.wake += 1;
        let (life, number) = (world.life, self.wake);
        let mut wait = until(wake, world.machine.wall());
        // Nobody sets the clock any more.
        if !world.calm {
            wait = wait.min(60_000);
        }
        world.after(wait, Happening::Wake { life, number });
    }

    fn woken(&mut self, number: u64, world: &mut World) -> Held {
        if number != self.wake || self.closing || world.has(Bug::LosesWakeUps) {
            return Ok(());
        }
        let now = world.machine.wall();
        if self.desk.next_wake().is_some_and(|wake| wake <= now) {
            let mut draft = self.desk.draft();
            draft.let_time_pass(now);
            draft.admit(now);
            self.record(&draft, Vec::new(), world)?;
            let late = |task: &Arc<Task>| task.next_wake().is_some_and(|wake| wake <= now);
            if !self.closing && self.desk.awake().any(late) {
                return broken("a task asks to be woken, and nothing comes of it");
            }
        }
        self.set_alarm(world);
        Ok(())
    }

    /// News that was told before comes once more.
    pub(crate) fn hear_old_news(&mut self, world: &mut World) {
        let about_turn = |news: &&(TaskId, Report)| turn_of(&news.1);
        let old: Vec<_> = self.old_news.iter().filter(about_turn).cloned().collect();
        if let Some((task, report)) = world.fate.pick(&old).cloned() {
            world.tell(|| format!("old news: {report:?}"));
            world.saw("old news");
            let reply = Reply::Nobody;
            self.put(
                Input::News {
                    task,
                    report,
                    reply,
                },
                world,
            );
        }
    }

    /// Everything has ended after it was asked to.
    pub(crate) fn is_over(&self) -> bool {
        self.closing
            && self.jobs.is_empty()
            && self.sitters.is_empty()
            && self.errands.values().all(|errands| *errands == 0)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        let busy = self.errands.values().any(|errands| *errands > 0);
        let jobs_done = self.jobs.values().all(|job| job.is_finished());
        let rest = self.desk.tasks.values().all(|task| self.rests(task));
        // One that leaves while its process starts has still to say so.
        let seated = self.sitters.values().all(|sitter| !sitter.is_at_work());
        !self.closing && self.inbox.is_empty() && !busy && jobs_done && seated && rest
    }

    /// Nothing more happens to it unless somebody speaks.
    fn rests(&self, task: &Task) -> bool {
        let for_ever = |hold: &nexus_core::Hold| hold.until.is_none();
        let held = task.hold.as_ref().is_some_and(for_ever) && task.turns.is_empty();
        let closed = self
            .desk
            .floor
            .hold_on(task.spec.team)
            .is_some_and(for_ever);
        let queued = task.phase == Phase::Queued && !task.is_stopping();
        let chained = !self.desk.waits_for(task).is_empty();
        task.is_at_rest() || held || (queued && (closed || chained))
    }

    /// What was committed is what the log alone says.
    fn compare(&self, draft: &Draft, world: &World) -> Held {
        for task in draft.touched() {
            let live = self.desk.tasks.get(&task.id);
            if world.replayed.tasks.get(&task.id) != live && !world.has(Bug::ForgetsChains) {
                return broken(format!("a replay gives another {}", task.spec.name()));
            }
        }
        if world.replayed.floor != self.desk.floor && !world.has(Bug::IgnoresPlaces) {
            return broken("a replay gives another floor");
        }
        Ok(())
    }

    /// No task is let in while all places are taken.
    fn count_places(&self, draft: &Draft, world: &World) -> Held {
        let admitted = draft.facts().iter().filter(|fact| {
            matches!(fact, Fact::OfTask { event, .. } if matches!(event, Event::TaskStarted))
        });
        let taken = self.desk.awake().filter(|task| task.holds_place()).count();
        let places = world.scenario.parallel;
        if admitted.count() > 0 && taken > places {
            return broken(format!("{taken} tasks are under way, {places} may be"));
        }
        Ok(())
    }

    /// What holds whatever happened last.
    pub(crate) fn check(&mut self, world: &World) -> Held {
        self.check_called_off(world)?;
        for task in self.desk.awake() {
            self.check_words(task, world)?;
            self.check_size(task)?;
            if !self.closing && !self.batch_is_due {
                self.check_goes_on(task, world)?;
            }
        }
        if self.inbox.len() > 1024 {
            return broken("the dispatcher's queue overflows");
        }
        Ok(())
    }

    /// Whoever is called off stops, and soon.
    fn check_called_off(&mut self, world: &World) -> Held {
        const LONGEST: i64 = 5 * 60 * 1000;
        let now = world.machine.now;
        let called = self.desk.awake().flat_map(|task| {
            let turns = task.called_off.iter();
            turns.map(|turn| (task.id, *turn))
        });
        let known = std::mem::take(&mut self.called_off);
        for turn in called {
            let run = Effect::RunTurn { turn: turn.1 };
            if self.desk.tasks[&turn.0].owed().contains(&run) {
                return broken("a turn is called off and wanted at once");
            }
            let since = known.get(&turn).copied().unwrap_or(now);
            if now > since + LONGEST && !self.closing {
                return broken("a turn goes on for ever although it was called off");
            }
            self.called_off.insert(turn, since);
        }
        Ok(())
    }

    /// "Paused" and its like are said only when nobody works any more.
    fn check_words(&self, task: &Task, world: &World) -> Held {
        let at_work = match task.state() {
            TaskState::Planning | TaskState::Working | TaskState::NeedsYou => true,
            TaskState::Backlog
            | TaskState::Review
            | TaskState::Done
            | TaskState::Paused
            | TaskState::Failed
            | TaskState::Cancelled => false,
        };
        if !at_work && world.machine.works_for(task.id) {
            let state = task.state();
            return broken(format!(
                "an agent works for a task that is said to be {state}"
            ));
        }
        Ok(())
    }

    /// A task takes no more room than its work needs.
    fn check_size(&self, task: &Task) -> Held {
        let running = task
            .steps
            .iter()
            .filter(|step| matches!(step.state, StepState::Running { .. }))
            .count();
        let hands = self.hands.get(&task.id);
        let (jobs, seats, handed) = hands.map_or((0, 0, 0), TaskHands::sizes);
        if task.turns.len() > 16 || running > task.turns.len() {
            return broken("more turns run than there are seats");
        }
        let steps = task.steps.len();
        if jobs > 6 + steps || seats > task.sessions.len() || handed > 16 {
            return broken(format!(
                "{jobs} jobs, {seats} seats and {handed} turns are kept for one task"
            ));
        }
        Ok(())
    }

    /// Something is under way, somebody is asked, or a wait will end: nothing is stuck.
    fn check_goes_on(&self, task: &Task, world: &World) -> Held {
        if self.rests(task) || !task.approvals.is_empty() || task.next_wake().is_some() {
            return Ok(());
        }
        if task.phase == Phase::Queued && !task.is_stopping() {
            return self.check_waits_rightly(task, world);
        }
        let id = task.id;
        let job = self.jobs.values().any(|job| job.is_at_work_for(id));
        let sits = |sitter: &Sitter| sitter.task == id && sitter.is_at_work();
        let errand = self.errands.get(&id).is_some_and(|errands| *errands > 0);
        if job || errand || self.sitters.values().any(sits) || world.has_for(id) {
            return Ok(());
        }
        broken(format!(
            "{} is stuck in {:?}: nothing is under way, nobody is asked, and no wait will end",
            task.spec.name(),
            task.phase
        ))
    }

    /// A task waits for a place only while there is none, or nothing may begin.
    fn check_waits_rightly(&self, task: &Task, world: &World) -> Held {
        let now = world.machine.wall();
        // The alarm rings at this moment, or within a minute when the clock was set.
        if self.desk.next_wake().is_some_and(|wake| wake <= now) {
            return Ok(());
        }
        let taken = self.desk.awake().filter(|task| task.holds_place()).count();
        let queue = self.desk.queue(now);
        let waits_for_place = |of: &QueuedTask| of.id == task.id && of.waits == Wait::Place;
        if taken < world.scenario.parallel && queue.iter().any(waits_for_place) {
            return broken(format!(
                "{} waits although a place is free",
                task.spec.name()
            ));
        }
        Ok(())
    }
}

/// Is it about a turn?
fn turn_of(report: &Report) -> bool {
    match report {
        Report::TurnStreaming { .. }
        | Report::Posted { .. }
        | Report::Progress { .. }
        | Report::Result { .. }
        | Report::Asked { .. }
        | Report::Withdrawn { .. }
        | Report::BaseTaken { .. }
        | Report::WorkspaceReset { .. }
        | Report::WorkKept { .. }
        | Report::WentOutward { .. }
        | Report::Touched { .. }
        | Report::Audited { .. }
        | Report::MessagesRead { .. }
        | Report::Judged { .. }
        | Report::JudgeFailed { .. }
        | Report::TurnEnded(_) => true,
        Report::WorkspacePrepared(_)
        | Report::Planned(_)
        | Report::PlannerFailed { .. }
        | Report::SetupRan(_)
        | Report::ChecksRan { .. }
        | Report::ProcessStarting { .. }
        | Report::ProcessStarted { .. }
        | Report::ProcessEnded { .. }
        | Report::PrimeAsked { .. }
        | Report::MergePlanned { .. }
        | Report::Merged { .. }
        | Report::LeftBehind
        | Report::ApplyPlanned { .. }
        | Report::ApplyConflicted { .. }
        | Report::ApplyFailed { .. }
        | Report::Applied
        | Report::WorkspaceDropped { .. }
        | Report::WorkspaceRestored { .. }
        | Report::Failed(_) => false,
    }
}
