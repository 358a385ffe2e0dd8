//! Teams that pretend to work: whatever a task is owed is there after a while that chance
//! decides, and the person accepts what comes to review.

use crate::{
    dice::Dice,
    ledger::{Figures, Ledger},
};
use nexus_core::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// What is asked for in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) seed: u64,
    pub(crate) tasks: usize,
    pub(crate) projects: usize,
    pub(crate) places: usize,
    pub(crate) per_project: Option<usize>,
    /// The person changes their mind, and the account reaches its limit now and then.
    pub(crate) unsteady: bool,
}

/// A desk, and everybody around it.
pub(crate) struct Office {
    demand: Demand,
    dice: Dice,
    desk: Desk,
    now: Timestamp,
    /// What happens when. Of two things at the same moment chance says which comes first.
    agenda: BTreeMap<(Timestamp, usize, u64), Happening>,
    count: u64,
    /// Tasks that the person has seen to wait in vain.
    let_go: BTreeSet<TaskId>,
    /// What is being done for each task.
    under_way: BTreeMap<TaskId, Vec<Effect>>,
    ledger: Ledger,
}

enum Happening {
    Arrival(usize),
    Order(TaskId, Command),
    Done(TaskId, Effect),
    Wake,
}

const MINUTE: i64 = 60_000;

impl Office {
    /// An office where all tasks come within some hours, more quickly than they are done.
    pub(crate) fn new(demand: Demand) -> Self {
        let now = Timestamp::from_millis(1_748_198_730_000);
        let mut desk = Desk::new(demand.places);
        desk.awake = Awake::All;
        Arc::make_mut(&mut desk.floor).tasks_per_project = demand.per_project;
        let mut office = Self {
            demand,
            dice: Dice::new(demand.seed, 7),
            desk,
            now,
            agenda: BTreeMap::new(),
            count: 0,
            let_go: BTreeSet::new(),
            under_way: BTreeMap::new(),
            ledger: Ledger::new(demand.places, demand.per_project),
        };
        let hours = 1 + i64::try_from(demand.tasks).unwrap() / 100;
        for number in 0..demand.tasks {
            let wait = office.dice.between(0, hours * 60 * MINUTE);
            office.after(wait, Happening::Arrival(number));
        }
        office
    }

    /// Lets everything happen. Says what it amounted to.
    pub(crate) fn run(mut self) -> Figures {
        while let Some(((at, ..), happening)) = self.agenda.pop_first() {
            self.now = at;
            let mut draft = self.desk.draft();
            self.happen(happening, &mut draft);
            draft.let_time_pass(at);
            self.record(&draft);
            self.let_in();
            self.ledger.close(at);
            self.set_alarm();
        }
        self.ledger.assert_all_ended();
        self.ledger.assert_nobody_starved(self.demand.projects);
        self.ledger.figures
    }

    fn record(&mut self, draft: &Draft) {
        self.ledger.read(draft.facts(), self.now);
        self.desk.commit(draft);
        for task in draft.touched() {
            self.set_going(task);
        }
        if self.demand.unsteady {
            self.let_go_of_those_that_wait_in_vain();
        }
    }

    /// Gives free places away, and sees that it goes as the queue said.
    fn let_in(&mut self) {
        let mut draft = self.desk.draft();
        draft.admit(self.now);
        let started = draft.facts().iter().filter_map(|fact| match fact {
            Fact::OfTask { id, event, .. } => (*event == Event::TaskStarted).then_some(*id),
            Fact::OfFloor { .. } => None,
        });
        let started: Vec<TaskId> = started.collect();
        // In the large runs this would be most of the work.
        if self.demand.unsteady {
            let queue = self.desk.queue(self.now);
            let line = queue.iter().filter(|queued| queued.waits == Wait::Place);
            let line: Vec<TaskId> = line.map(|queued| queued.id).collect();
            assert!(line.starts_with(&started), "{started:?} of {line:?}");
        }
        self.record(&draft);
    }

    fn happen(&mut self, happening: Happening, draft: &mut Draft) {
        match happening {
            Happening::Arrival(number) => {
                let spec = self.some_spec();
                let id = task_id(number);
                draft.create(id, spec, true, self.now).unwrap();
                if self.demand.unsteady && self.dice.percent(25) {
                    self.change_of_mind(id);
                }
            }
            // An order that no longer fits is refused, and that is that.
            Happening::Order(id, command) => drop(draft.order(id, &command, self.now)),
            Happening::Done(id, effect) => {
                let under_way = self.under_way.entry(id).or_default();
                under_way.retain(|other| *other != effect);
                let task = Arc::clone(draft.task(id).unwrap());
                if let Some(report) = self.outcome(&task, &effect) {
                    draft.observe(id, &report, self.now);
                }
            }
            Happening::Wake => {}
        }
    }

    /// After a while the person notices.
    fn let_go_of_those_that_wait_in_vain(&mut self) {
        let in_vain = |queued: &QueuedTask| match &queued.waits {
            Wait::Tasks { before } => before.iter().any(|task| task.ended.is_some()),
            _ => false,
        };
        let queue = self.desk.queue(self.now).into_iter().filter(in_vain);
        let stuck: Vec<TaskId> = queue.map(|queued| queued.id).collect();
        for id in stuck {
            if self.let_go.insert(id) {
                let wait = self.dice.between(0, 30 * MINUTE);
                self.after(wait, Happening::Order(id, Command::Unchain));
            }
        }
    }

    /// One in six comes after one or two others.
    fn some_terms(&mut self) -> Terms {
        let dice = &mut self.dice;
        let known: Vec<TaskId> = self.desk.tasks.keys().copied().collect();
        let mut after: Vec<TaskId> = Vec::new();
        if dice.percent(17) {
            after.extend(dice.pick(&known));
            after.extend(dice.pick(&known));
        }
        Terms {
            after,
            shares_context: true,
            ..Terms::default()
        }
    }

    fn some_spec(&mut self) -> TaskSpec {
        let terms = self.some_terms();
        let dice = &mut self.dice;
        // A few of the projects ask for most of the tasks.
        let most = 1 + dice.below(self.demand.projects);
        let project = dice.below(most);
        TaskSpec {
            number: 0,
            project: ProjectId::new(Uuid::from_u128(1 + project as u128)),
            project_name: format!("project {project}"),
            folder: format!("/home/me/{project}"),
            title: "Fix the sum".into(),
            text: "The sum is wrong".into(),
            team: if dice.percent(80) {
                Team::Claude
            } else {
                Team::Practice
            },
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            priority: dice.pick(&Priority::ALL).copied().unwrap(),
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: true,
            terms,
        }
    }

    /// Sooner or later the person wants something else of a task.
    fn change_of_mind(&mut self, id: TaskId) {
        let priority = self.dice.pick(&Priority::ALL).copied().unwrap();
        let wait = self.dice.between(0, 300 * MINUTE);
        let order = Happening::Order;
        match self.dice.below(3) {
            0 => self.after(wait, order(id, Command::SetPriority { priority })),
            1 => {
                self.after(wait, order(id, Command::Pause));
                let pause = self.dice.between(0, 60 * MINUTE);
                self.after(wait + pause, order(id, Command::Resume));
            }
            _ => self.after(wait, order(id, Command::Cancel)),
        }
    }

    /// Begins what is owed to a task and not under way yet.
    fn set_going(&mut self, task: &Arc<Task>) {
        let owed = task.owed();
        let under_way = self.under_way.entry(task.id).or_default();
        let is_work = |effect: &Effect| !matches!(effect, Effect::WarmSession { .. });
        let new = owed
            .into_iter()
            .filter(|e| is_work(e) && !under_way.contains(e));
        let new: Vec<_> = new.collect();
        under_way.extend(new.iter().cloned());
        for effect in new {
            let takes = match effect {
                Effect::RunTurn { .. } => self.dice.between(MINUTE / 2, 20 * MINUTE),
                _ => self.dice.between(100, MINUTE),
            };
            self.after(takes, Happening::Done(task.id, effect));
        }
        if let Phase::Review { .. } = task.phase {
            let look = self.dice.between(0, 10 * MINUTE);
            let accept = Command::Accept { although_red: true };
            self.after(look, Happening::Order(task.id, accept));
        }
    }

    /// How a piece of work ended. One that is wanted no longer was stopped.
    fn outcome(&mut self, task: &Task, effect: &Effect) -> Option<Report> {
        let wanted = task.owed().contains(effect);
        let tree = TreeId::parse(&"a".repeat(40)).unwrap();
        let report = match effect {
            Effect::RunTurn { turn } => return self.turn_ends(*turn, wanted),
            Effect::PrepareWorkspace => Report::WorkspacePrepared(PreparedWorkspace {
                path: "/w".into(),
                base: SnapshotId::parse(&"b".repeat(40)).unwrap(),
                tree,
                files: 1,
                checks: vec![],
                setup: None,
                allowed_commands: vec![],
                notes: vec![],
            }),
            Effect::RunChecks { time } => Report::ChecksRan {
                run: CheckRun {
                    time: *time,
                    tree,
                    evidence: vec![],
                },
                changes: vec![FileChange {
                    path: ProjectPath::parse("sum.py").unwrap(),
                    change: ChangeKind::Modified,
                    lines: None,
                }],
            },
            Effect::PlanApply => Report::ApplyPlanned { operations: vec![] },
            Effect::Apply { .. } => Report::Applied,
            Effect::DropWorkspace => Report::WorkspaceDropped { kept: None },
            Effect::RestoreWorkspace { .. } => Report::WorkspaceRestored { path: "/w".into() },
            // No model plans these tasks, and their plans are a line.
            Effect::MakePlan
            | Effect::Judge { .. }
            | Effect::PlanMerge { .. }
            | Effect::Merge { .. }
            | Effect::RunSetup
            | Effect::WarmSession { .. } => return None,
        };
        wanted.then_some(report)
    }

    fn turn_ends(&mut self, turn: TurnId, wanted: bool) -> Option<Report> {
        let until = self.now.after(Duration::from_secs(600));
        let outcome = if !wanted {
            TurnOutcome::Interrupted
        } else if self.demand.unsteady && self.dice.percent(2) {
            TurnOutcome::RateLimited {
                until: Some(until),
                message: "limit".into(),
            }
        } else {
            TurnOutcome::Completed {
                text: "done".into(),
                denials: vec![],
            }
        };
        Some(Report::TurnEnded(TurnReport {
            turn,
            outcome,
            usage: Usage::default(),
            duration_ms: 1,
            covers_lost: false,
        }))
    }

    fn set_alarm(&mut self) {
        if let Some(wake) = self.desk.next_wake() {
            self.count += 1;
            let at = wake.max(self.now);
            self.agenda.insert((at, 0, self.count), Happening::Wake);
        }
    }

    fn after(&mut self, millis: i64, happening: Happening) {
        let wait = Duration::from_millis(u64::try_from(millis).unwrap());
        self.count += 1;
        let key = (self.now.after(wait), self.dice.below(1000), self.count);
        self.agenda.insert(key, happening);
    }
}

fn task_id(number: usize) -> TaskId {
    TaskId::new(Uuid::from_u128(1000 + number as u128))
}
