//! The run of one seed: virtual time, everything outside NEXUS, and NEXUS as long as it lives.

use crate::{
    books::Books,
    dice::Dice,
    engine::{Engine, Input},
    log::{DiskFault, Log, Row},
    machine::Machine,
    scenario::{Bug, Fault, Scenario},
};
use nexus_core::{
    Awake, Command, DayCaps, Desk, FailureKind, FloorEvent, Limits, PauseReason, Phase, TaskId,
    Team, Timestamp,
};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// Why what was under way does not go on.
#[derive(Clone, Debug)]
pub(crate) enum Halt {
    /// The program was killed.
    Killed,
    /// A promise was broken.
    Broken(String),
}

pub(crate) type Held = Result<(), Halt>;

pub(crate) fn broken(what: impl Into<String>) -> Held {
    Err(Halt::Broken(what.into()))
}

/// Where the program can be killed while it records a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Decided,
    Appended,
    Synced,
    Shown,
    Acted,
}

impl Moment {
    const ALL: [Self; 5] = [
        Self::Decided,
        Self::Appended,
        Self::Synced,
        Self::Shown,
        Self::Acted,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Decided => "killed before writing",
            Self::Appended => "killed before syncing",
            Self::Synced => "killed before showing",
            Self::Shown => "killed before acting",
            Self::Acted => "killed before answering",
        }
    }
}

/// Something that happens at its time. What carries a number of a life concerns only that one.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// Somebody starts NEXUS.
    Start,
    /// The person does something.
    Person,
    /// Something goes wrong.
    Fate,
    /// The dispatcher takes what waits.
    Batch { life: u32 },
    /// The dispatcher is woken by time.
    Wake { life: u32, number: u64 },
    /// A hand of this task has ended.
    Ended { life: u32, task: TaskId },
    /// A fruitless job has rested.
    Look { life: u32, task: TaskId },
    /// A job gets on.
    Job { life: u32, job: u64 },
    /// A sitter gets on.
    Sitter { life: u32, sitter: u64 },
    /// The agent of a sitter does something.
    Agent { life: u32, sitter: u64 },
    /// The log is tried again.
    Retry { life: u32 },
}

/// Everything outside the program's memory.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) machine: Machine,
    pub(crate) log: Log,
    pub(crate) books: Books,
    agenda: BTreeMap<(i64, u64), Happening>,
    count: u64,
    pub(crate) life: u32,
    /// The log is about to be tried again.
    retries: bool,
    /// Faults have stopped.
    pub(crate) calm: bool,
    /// Where the next batch is cut short.
    pub(crate) doom: Option<Moment>,
    /// The next hand to get on ends without a word instead.
    pub(crate) hand_dies: bool,
    pub(crate) fate: Dice,
    pub(crate) people: Dice,
    pub(crate) agents: Dice,
    pub(crate) hands: Dice,
    /// Facts that were shown to somebody.
    pub(crate) shown: Vec<Row>,
    /// What the log alone says.
    pub(crate) replayed: Desk,
    /// The last things that happened, when somebody wants to know.
    story: Option<Vec<String>>,
    pub(crate) made: usize,
    /// What happened how often, by its name.
    seen: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(scenario: Scenario, told: bool) -> Self {
        let seed = scenario.seed;
        Self {
            machine: Machine::new(scenario.folders),
            log: Log::default(),
            books: Books::default(),
            agenda: BTreeMap::new(),
            count: 0,
            life: 0,
            retries: false,
            calm: false,
            doom: None,
            hand_dies: false,
            fate: Dice::new(seed, 2),
            people: Dice::new(seed, 3),
            agents: Dice::new(seed, 4),
            hands: Dice::new(seed, 5),
            shown: Vec::new(),
            replayed: Desk::new(scenario.parallel),
            story: told.then(Vec::new),
            made: 0,
            seen: BTreeMap::new(),
            scenario,
        }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.scenario.bug == Some(bug)
    }

    /// Do faults of this kind happen now?
    pub(crate) fn may(&self, fault: Fault) -> bool {
        !self.calm && self.scenario.faults.contains(&fault)
    }

    /// Puts a happening on the agenda, `wait` milliseconds from now.
    pub(crate) fn after(&mut self, wait: i64, happening: Happening) {
        self.count += 1;
        let at = self.machine.now + wait.max(0);
        self.agenda.insert((at, self.count), happening);
    }

    /// The same, after a wait that chance decides.
    pub(crate) fn soon(&mut self, from: i64, to: i64, happening: Happening) {
        let wait = self.hands.between(from, to);
        self.after(wait, happening);
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let now = self.machine.now;
            let what = what();
            story.push(format!("{:>10.3} s  {what}", now as f64 / 1000.0));
        }
    }

    fn next_three(&self) -> Vec<(i64, Happening)> {
        self.agenda
            .iter()
            .take(5)
            .map(|((at, _), h)| (*at, h.clone()))
            .collect()
    }
    /// Is a change half in its folder?
    fn is_half_applied(&self) -> bool {
        let mut tasks = self.machine.written.keys();
        tasks.any(|task| self.machine.is_half_applied(*task) && self.books.may_apply(*task))
    }

    /// Counts that this happened.
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Ends the program here, if this is where it was to end.
    pub(crate) fn pass(&mut self, moment: Moment) -> Held {
        if self.doom == Some(moment) {
            self.doom = None;
            self.saw(moment.name());
            return Err(Halt::Killed);
        }
        Ok(())
    }

    /// Will the dispatcher look at this task because a hand of it has ended?
    pub(crate) fn has_for(&self, task: TaskId) -> bool {
        self.agenda.values().any(|happening| {
            matches!(happening, Happening::Ended { life, task: of } if *life == self.life && *of == task)
        })
    }

    /// Reads what became safe in the log: by the books, and for the replay.
    pub(crate) fn read_on(&mut self) -> Held {
        while self.books.read < self.log.synced {
            let fact = self.log.rows[self.books.read].read();
            self.books.read(&fact, &mut self.machine)?;
            self.replayed.apply(fact);
        }
        Ok(())
    }

    /// The wall clock is set.
    fn set_clock(&mut self) {
        let hours = self.fate.between(-3, 4);
        self.machine.skew += hours * 3_600_000 + self.fate.between(-60_000, 60_000);
        let skew = self.machine.skew;
        self.tell(|| format!("the clock is set: {} s off", skew / 1000));
    }
}

/// What a run amounted to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) happenings: u64,
    pub(crate) facts: usize,
    pub(crate) lives: u32,
    pub(crate) turns: usize,
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub(crate) fn plus(mut self, other: Self) -> Self {
        for (what, times) in other.seen {
            *self.seen.entry(what).or_default() += times;
        }
        Self {
            happenings: self.happenings + other.happenings,
            facts: self.facts + other.facts,
            lives: self.lives + other.lives,
            turns: self.turns + other.turns,
            seen: self.seen,
        }
    }
}

/// A promise was broken in a run.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) scenario: Scenario,
    pub(crate) what: String,
    pub(crate) story: Vec<String>,
}

impl Failure {
    /// The same promise was broken, whichever task it was.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let words = |what: &str| what.replace(|letter: char| letter.is_ascii_digit(), "");
        words(&self.what) == words(&other.what)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = std::env::var("STORY")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(80usize);
        let skipped = self.story.len().saturating_sub(last);
        for line in &self.story[skipped..] {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.scenario.seed, self.what)?;
        writeln!(f, "with {:?}", self.scenario)?;
        write!(f, "again with NEXUS_SIM_SEED={}", self.scenario.seed)
    }
}

/// The most that may happen in a run, and the longest it may take, before it counts as stuck.
const MOST_HAPPENINGS: u64 = 60_000;
const LONGEST: i64 = 120 * 3_600_000;

pub(crate) struct Sim {
    pub(crate) world: World,
    pub(crate) engine: Option<Engine>,
    happenings: u64,
}

/// Runs a scenario to its end. `told` keeps the story for a failure.
pub(crate) fn run(scenario: &Scenario, told: bool) -> Result<Figures, Box<Failure>> {
    let mut sim = Sim {
        world: World::new(scenario.clone(), told),
        engine: None,
        happenings: 0,
    };
    match sim.run() {
        Ok(()) | Err(Halt::Killed) => Ok(Figures {
            happenings: sim.happenings,
            facts: sim.world.log.rows.len(),
            lives: sim.world.life,
            turns: sim.world.machine.prompted.len(),
            seen: sim.world.seen,
        }),
        Err(Halt::Broken(what)) => {
            sim.world.tell(|| "-- and here it breaks --".to_owned());
            Err(Box::new(Failure {
                scenario: scenario.clone(),
                what,
                story: sim.world.story.take().unwrap_or_default(),
            }))
        }
    }
}

impl Sim {
    fn run(&mut self) -> Held {
        self.world.after(0, Happening::Start);
        self.world.after(1, Happening::Person);
        self.world.after(2, Happening::Fate);
        for _ in 0..self.world.scenario.stormy {
            self.step()?;
        }
        self.calm_down()?;
        self.bring_to_rest("after the faults stopped")?;
        self.go_on_with_all()?;
        self.bring_to_rest("after everything was resumed")?;
        // Whoever reached out and is called off then waits for the person, and so does who has
        // lost what it had begun once too often.
        for _ in 0..3 {
            if self.tasks().iter().any(|(_, phase)| waits_for_look(phase)) {
                self.go_on_with_all()?;
                self.bring_to_rest("after the person has looked")?;
            }
        }
        self.accept_one_after_the_other()?;
        self.look_back()
    }

    /// The next thing happens. Nothing left to happen is the end of a run, or a fault.
    fn step(&mut self) -> Held {
        let Some(((at, _), happening)) = self.world.agenda.pop_first() else {
            return broken("nothing is left to happen");
        };
        self.world.machine.now = at;
        self.happenings += 1;
        match self.happen(happening) {
            Err(Halt::Killed) => self.killed(),
            other => other?,
        }
        self.check()
    }

    fn happen(&mut self, happening: Happening) -> Held {
        let alive = self.world.life;
        match happening {
            Happening::Start => return self.start(),
            Happening::Person => return self.person_acts(),
            Happening::Fate => return self.fate_strikes(),
            Happening::Batch { life }
            | Happening::Wake { life, .. }
            | Happening::Ended { life, .. }
            | Happening::Look { life, .. }
            | Happening::Job { life, .. }
            | Happening::Sitter { life, .. }
            | Happening::Agent { life, .. }
            | Happening::Retry { life } => {
                if life != alive {
                    return Ok(());
                }
            }
        }
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        match happening {
            Happening::Retry { .. } => {
                self.world.retries = false;
                engine.take_up_again(&mut self.world)?;
            }
            _ => engine.happen(&happening, &mut self.world)?,
        }
        self.may_be_over();
        Ok(())
    }

    /// Everything has ended after it was asked to: for good, or until the log can be written.
    fn may_be_over(&mut self) {
        let ended = self.engine.as_ref().filter(|engine| engine.is_over());
        let Some(engine) = ended else { return };
        if !engine.halted {
            self.over();
        } else if !self.world.retries {
            self.world.retries = true;
            let life = self.world.life;
            self.world.soon(1, 30_000, Happening::Retry { life });
        }
    }

    /// Somebody starts NEXUS, unless it runs.
    fn start(&mut self) -> Held {
        if self.engine.is_some() {
            return Ok(());
        }
        self.world.life += 1;
        self.world.retries = false;
        let world = &mut self.world;
        world.read_on()?;
        for (number, shown) in world.shown.iter().enumerate() {
            if world.log.rows.get(number) != Some(shown) {
                return broken("a fact that was shown is not in the log any more");
            }
        }
        // Whatever is there now is seen by everybody from now on.
        world.shown.clone_from(&world.log.rows);
        let awake = if world.calm || world.fate.percent(75) {
            Awake::All
        } else {
            Awake::default()
        };
        let mut engine = Engine::new(awake, world);
        self.world.tell(|| "NEXUS starts".to_owned());
        engine.catch_up(&mut self.world)?;
        self.engine = Some(engine);
        self.may_be_over();
        Ok(())
    }

    /// The program was killed; somebody will start it again.
    fn killed(&mut self) {
        self.world.tell(|| "NEXUS is killed".to_owned());
        self.world.saw("killed");
        if self.world.is_half_applied() {
            self.world.saw("half applied when it was killed");
        }
        if self.world.machine.copies.values().any(|it| it.half_merged) {
            self.world.saw("half merged when it was killed");
        }
        self.world.log.crash(&mut self.world.fate);
        self.over();
    }

    fn over(&mut self) {
        self.world.log.crash(&mut self.world.fate);
        self.engine = None;
        self.world.machine.kill_all();
        let wait = self.world.fate.between(10, 20_000);
        self.world.after(wait, Happening::Start);
    }

    fn fate_strikes(&mut self) -> Held {
        if self.world.calm {
            return Ok(());
        }
        let wait = self.world.fate.between(500, 40_000);
        self.world.after(wait, Happening::Fate);
        let Some(fault) = self.world.fate.pick(&Fault::ALL).copied() else {
            return Ok(());
        };
        if !self.world.may(fault) {
            return Ok(());
        }
        let world = &mut self.world;
        match fault {
            Fault::Crash if world.fate.percent(30) => return Err(Halt::Killed),
            Fault::Crash => world.doom = world.fate.pick(&Moment::ALL).copied(),
            Fault::Stop => {
                if let Some(engine) = &mut self.engine {
                    engine.let_go(world);
                    engine.halted = false;
                    self.may_be_over();
                }
            }
            Fault::Disk => {
                let full = world.fate.percent(50);
                world.log.fault = Some(if full { DiskFault::Full } else { DiskFault::Io });
            }
            Fault::Clock => world.set_clock(),
            Fault::Hand => world.hand_dies = true,
            Fault::Stale => {
                if let Some(engine) = &mut self.engine {
                    engine.hear_old_news(world);
                }
            }
            Fault::Conversation => {
                let known: Vec<_> = world.machine.conversations.iter().copied().collect();
                if let Some(lost) = world.fate.pick(&known) {
                    world.machine.conversations.remove(lost);
                }
            }
            Fault::Edit => {
                let folder = world.fate.below(world.scenario.folders);
                let file = world.fate.below(3);
                world.tell(|| format!("the person changes file {file} of folder {folder}"));
                world.machine.person_edits(folder, file);
            }
            // Happen where turns and jobs end.
            Fault::Turn | Fault::Job => {}
        }
        Ok(())
    }

    /// No more faults; whoever sleeps is woken by a start that takes everything up.
    fn calm_down(&mut self) -> Held {
        self.world.tell(|| "-- the faults stop --".to_owned());
        self.world.calm = true;
        self.world.doom = None;
        self.world.hand_dies = false;
        self.world.log.fault = None;
        if let Some(engine) = &self.engine
            && engine.desk.awake != Awake::All
        {
            self.killed();
        }
        self.world.after(0, Happening::Start);
        self.world.after(1, Happening::Person);
        Ok(())
    }

    fn bring_to_rest(&mut self, when: &str) -> Held {
        let (begun, limit) = (self.world.machine.now, self.happenings + MOST_HAPPENINGS);
        while !self.is_at_rest() {
            if self.happenings > limit || self.world.machine.now > begun + LONGEST {
                if std::env::var_os("DBG").is_some() {
                    for t in self.engine.iter().flat_map(|e| e.desk.tasks.values()) {
                        println!(
                            "DBG wall {:?} {} {:?} wake {:?} hold {:?} limits {:?} appr {:?} owed {:?} steps {:?}",
                            self.world.machine.wall(),
                            t.spec.name(),
                            t.phase,
                            t.next_wake(),
                            t.hold,
                            t.limits,
                            t.approvals,
                            t.owed(),
                            t.steps
                                .iter()
                                .map(|s| (
                                    s.planned.id,
                                    s.state,
                                    s.seat,
                                    s.base.is_some(),
                                    s.merge.clone()
                                ))
                                .collect::<Vec<_>>()
                        );
                    }
                    for e in self.engine.iter() {
                        println!(
                            "DBG inbox {} jobs {} sitters {}",
                            e.inbox.len(),
                            e.jobs.len(),
                            e.sitters.len()
                        );
                    }
                    println!("DBG next {:?}", self.world.next_three());
                }
                return broken(format!("{when}, {} does not come to rest", self.restless()));
            }
            self.step()?;
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        self.engine.as_ref().is_some_and(Engine::is_at_rest)
    }

    fn restless(&self) -> String {
        let tasks = self
            .engine
            .iter()
            .flat_map(|engine| engine.desk.tasks.values());
        let restless = tasks.filter(|task| !task.is_at_rest());
        let words = restless.map(|task| format!("{} ({:?})", task.spec.name(), task.phase));
        words.collect::<Vec<_>>().join(", ")
    }

    fn order(&mut self, task: TaskId, command: Command) {
        if let Some(engine) = &mut self.engine {
            engine.order(task, command, &mut self.world);
        }
    }

    fn tasks(&self) -> Vec<(TaskId, Phase)> {
        let tasks = self
            .engine
            .iter()
            .flat_map(|engine| engine.desk.tasks.values());
        tasks.map(|task| (task.id, task.phase.clone())).collect()
    }

    /// The person has everything done that was left.
    fn go_on_with_all(&mut self) -> Held {
        if let Some(engine) = &mut self.engine {
            let caps = DayCaps::default();
            let events = vec![FloorEvent::DayCapsSet { caps }];
            engine.put(Input::Floor { events }, &mut self.world);
            let team = Team::Claude;
            engine.put(Input::OpenAccount { team }, &mut self.world);
        }
        for (task, phase) in self.tasks() {
            match phase {
                Phase::Backlog => self.order(task, Command::Start),
                Phase::Cancelled { .. } => self.order(task, Command::Restore),
                Phase::Paused { .. }
                | Phase::Failed { .. }
                | Phase::Queued
                | Phase::Active
                | Phase::Review { .. }
                | Phase::Accepting { .. }
                | Phase::Done => {}
            }
            let limits = Limits::default();
            self.order(task, Command::SetBudget { budget: None });
            self.order(task, Command::SetLimits { limits });
            self.order(task, Command::Resume);
        }
        self.step()
    }

    /// The person looks at whatever waits for a look, and has it go on.
    fn have_looks(&mut self) -> Held {
        // Whoever reached out and is called off then waits for the person, and so does who has
        // lost what it had begun once too often.
        for _ in 0..3 {
            if self.tasks().iter().any(|(_, phase)| waits_for_look(phase)) {
                self.go_on_with_all()?;
                self.bring_to_rest("after the person has looked")?;
            }
        }
        Ok(())
    }

    /// What is in review is accepted, and what waited for it comes to its end in turn.
    fn accept_one_after_the_other(&mut self) -> Held {
        for _ in 0..=self.world.scenario.tasks {
            self.have_looks()?;
            self.expect_results()?;
            let asked = self.accept_all()?;
            self.bring_to_rest("after everything was accepted")?;
            self.let_go(&asked);
            self.bring_to_rest("after the chains were cut")?;
        }
        match self.waiting().first() {
            None => Ok(()),
            Some((task, before)) => broken(format!("{task} still waits for {before:?}")),
        }
    }

    /// Tasks in the queue, and those that each of them waits for.
    fn waiting(&self) -> Vec<(TaskId, Vec<TaskId>)> {
        let desk = self.engine.iter().map(|engine| &engine.desk);
        let tasks = desk.flat_map(|desk| desk.tasks.values().map(move |task| (desk, task)));
        let queued = tasks.filter(|(_, task)| task.phase == Phase::Queued);
        let before = |desk: &Desk, task| desk.waits_for(task).iter().map(|task| task.id).collect();
        queued
            .map(|(desk, task)| (task.id, before(desk, task)))
            .collect()
    }

    /// What could not be accepted although the person asked for it is not waited for any longer.
    fn let_go(&mut self, asked: &[TaskId]) {
        let tasks = self.tasks();
        let not_accepted = |id: &TaskId| {
            let same = |(task, phase): &(TaskId, Phase)| task == id && *phase != Phase::Done;
            asked.contains(id) && tasks.iter().any(same)
        };
        for (task, before) in self.waiting() {
            if before.iter().any(not_accepted) {
                self.order(task, Command::Unchain);
            }
        }
    }

    /// Without faults, whatever was left is brought to its end, or waits for what is.
    fn expect_results(&self) -> Held {
        let waiting = self.waiting();
        let is_chained = |id: TaskId| {
            let mut waiting = waiting.iter();
            waiting.any(|(task, before)| *task == id && !before.is_empty())
        };
        for (task, phase) in self.tasks() {
            match phase {
                Phase::Review { .. } | Phase::Done => {}
                Phase::Queued if is_chained(task) => {}
                Phase::Backlog
                | Phase::Queued
                | Phase::Active
                | Phase::Paused { .. }
                | Phase::Accepting { .. }
                | Phase::Failed { .. }
                | Phase::Cancelled { .. } => {
                    return broken(format!("{task} cannot be brought to its end: {phase:?}"));
                }
            }
        }
        Ok(())
    }

    /// Says which ones.
    fn accept_all(&mut self) -> Result<Vec<TaskId>, Halt> {
        let in_review = |(_, phase): &(TaskId, Phase)| matches!(phase, Phase::Review { .. });
        let tasks = self.tasks().into_iter().filter(in_review);
        let tasks: Vec<TaskId> = tasks.map(|(task, _)| task).collect();
        for task in &tasks {
            self.order(*task, Command::Accept { although_red: true });
        }
        self.step()?;
        Ok(tasks)
    }

    /// What holds after everything that happens.
    fn check(&mut self) -> Held {
        match &mut self.engine {
            Some(engine) => engine.check(&self.world),
            None => Ok(()),
        }
    }

    /// What holds in the end: the log alone tells everything.
    fn look_back(&mut self) -> Held {
        self.world.read_on()?;
        let mut desk = Desk::new(self.world.scenario.parallel);
        for row in &self.world.log.rows {
            desk.apply(row.read());
        }
        match &self.engine {
            Some(engine) if engine.desk.tasks != desk.tasks || engine.desk.seq != desk.seq => {
                broken("a replay of the whole log gives other tasks")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Has the person to look at something that comes from the time of the faults?
fn waits_for_look(phase: &Phase) -> bool {
    match phase {
        Phase::Paused { why } => *why == PauseReason::Unsure,
        Phase::Failed { failure } => failure.kind == FailureKind::Agent,
        Phase::Backlog
        | Phase::Queued
        | Phase::Active
        | Phase::Review { .. }
        | Phase::Accepting { .. }
        | Phase::Done
        | Phase::Cancelled { .. } => false,
    }
}

/// The id of the task that was made as the `number`th.
pub(crate) fn task_id(number: usize) -> TaskId {
    TaskId::new(Uuid::from_u128(0x1000 + number as u128))
}

/// Milliseconds from one moment to another, negative when it has passed.
pub(crate) fn until(moment: Timestamp, now: Timestamp) -> i64 {
    moment.as_millis() - now.as_millis()
}
