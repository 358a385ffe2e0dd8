//! Several tasks at one desk: what one of them meets, and what it means for the others.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be set is a failing test"
)]

use nexus_core::*;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Tasks at work, each with Aria's turn under way.
struct Scene {
    desk: Desk,
    now: Timestamp,
}

fn id(number: u128) -> TaskId {
    TaskId::new(Uuid::from_u128(number))
}

fn spec() -> TaskSpec {
    TaskSpec {
        number: 0,
        project: ProjectId::new(Uuid::from_u128(2)),
        project_name: "demo".into(),
        folder: "/home/me/demo".into(),
        title: "Fix the sum".into(),
        text: "The sum is wrong".into(),
        team: Team::Claude,
        planner: PlannerKind::Standard,
        permissions: Permissions::Workspace,
        priority: Priority::Normal,
        budget: None,
        limits: Limits::default(),
        answer_within: ANSWER_WITHIN,
        fingerprint: String::new(),
        attended: true,
        terms: Terms::default(),
    }
}

impl Scene {
    fn new(tasks: u128, places: usize) -> Self {
        let mut desk = Desk::new(places);
        desk.awake = Awake::All;
        let mut scene = Self {
            desk,
            now: Timestamp::from_millis(1_748_198_730_000),
        };
        for number in 1..=tasks {
            scene.make(number, spec());
            scene.news(number, Report::WorkspacePrepared(workspace()));
        }
        scene
    }

    fn make(&mut self, number: u128, spec: TaskSpec) {
        self.batch(|draft, now| draft.create(id(number), spec, true, now));
    }

    fn batch(&mut self, decide: impl FnOnce(&mut Draft, Timestamp)) {
        let mut draft = self.desk.draft();
        decide(&mut draft, self.now);
        draft.let_time_pass(self.now);
        draft.admit(self.now);
        self.desk.commit(&draft);
    }

    fn news(&mut self, number: u128, report: Report) {
        self.batch(|draft, now| {
            draft.observe(id(number), &report, now);
        });
    }

    fn ends(&mut self, number: u128, outcome: TurnOutcome) {
        let turn = *self.task(number).turns.keys().next().unwrap();
        let report = TurnReport {
            turn,
            outcome,
            usage: Usage::default(),
            duration_ms: 1,
            covers_lost: false,
        };
        self.news(number, Report::TurnEnded(report));
    }

    /// The task is cancelled, and whatever it had under way has ended.
    fn gives_up(&mut self, number: u128) {
        self.batch(|draft, now| draft.order(id(number), &Command::Cancel, now).unwrap());
        if !self.task(number).turns.is_empty() {
            self.ends(number, TurnOutcome::Interrupted);
        }
    }

    /// Who is in the queue, by their numbers, and what for.
    fn queue(&self) -> Vec<(u32, Wait)> {
        let queue = self.desk.queue(self.now).into_iter();
        let numbered = queue.map(|queued| (self.desk.tasks[&queued.id].spec.number, queued.waits));
        numbered.collect()
    }

    /// Goes to the next moment at which something happens by itself.
    fn wait(&mut self) {
        self.now = self.desk.next_wake().unwrap();
        self.batch(|_, _| {});
    }

    fn task(&self, number: u128) -> &Task {
        &self.desk.tasks[&id(number)]
    }

    fn closed(&self) -> Option<&Hold> {
        self.desk.floor.closed.get(&Account::Claude)
    }
}

fn workspace() -> PreparedWorkspace {
    PreparedWorkspace {
        path: "/w".into(),
        base: SnapshotId::parse(&"b".repeat(40)).unwrap(),
        tree: TreeId::parse(&"a".repeat(40)).unwrap(),
        files: 1,
        checks: vec![],
        setup: None,
        allowed_commands: vec![],
        notes: vec![],
    }
}

fn overloaded() -> TurnOutcome {
    TurnOutcome::Overloaded {
        message: "529".into(),
    }
}

#[test]
fn a_service_that_keeps_failing_is_rested_for_all_and_longer_each_time() {
    let mut scene = Scene::new(3, 3);
    let mut rests = Vec::new();
    // Twelve failures are what three tasks with three retries each can stand.
    let mut failures = 0;
    while rests.len() < 2 && failures < 12 {
        let busy = (1..=3).find(|number| !scene.task(*number).turns.is_empty());
        let Some(number) = busy else {
            scene.wait();
            continue;
        };
        let open = scene.closed().is_none();
        scene.ends(number, overloaded());
        failures += 1;
        if let Some(hold) = scene.closed().filter(|_| open) {
            assert_eq!(hold.why, HoldReason::Service);
            rests.push(hold.until.unwrap().since(scene.now));
            let active = (1..=3).filter(|number| scene.task(*number).phase == Phase::Active);
            assert!(
                active
                    .into_iter()
                    .all(|number| scene.task(number).hold.is_some()),
                "all of them rest"
            );
        }
    }
    assert_eq!(rests.len(), 2, "{failures} failures");
    assert!(rests[1] > rests[0], "{rests:?}");
}

#[test]
fn a_limit_wakes_the_tasks_one_after_the_other() {
    let mut scene = Scene::new(3, 3);
    let until = scene.now.after(Duration::from_secs(3600));
    let limit = TurnOutcome::RateLimited {
        until: Some(until),
        message: "limit".into(),
    };
    scene.ends(1, limit);
    assert_eq!(scene.closed().unwrap().until, Some(until));
    let wakes: Vec<_> = (1..=3)
        .map(|number| scene.task(number).hold.as_ref().unwrap().until.unwrap())
        .collect();
    let spread = wakes
        .iter()
        .all(|wake| *wake >= until && *wake <= until.after(WAKE_SPREAD));
    assert!(spread, "{wakes:?}");
    let mut apart = wakes.clone();
    apart.sort();
    apart.dedup();
    assert_eq!(apart.len(), 3, "{wakes:?}");
    scene.wait();
    assert!(scene.closed().is_none(), "it opens when it was said to");
    while (1..=3).any(|number| scene.task(number).hold.is_some()) {
        scene.wait();
    }
    assert_eq!(
        scene.task(1).steps[0].attempts,
        1,
        "and no attempt was used up"
    );
}

#[test]
fn what_is_stopped_together_stays_stopped() {
    let mut scene = Scene::new(3, 2);
    scene.batch(|draft, now| draft.stop_all(now));
    let person = PauseReason::Person;
    for number in 1..=3 {
        assert_eq!(scene.task(number).phase, Phase::Paused { why: person });
    }
    let before = scene.desk.seq;
    scene.batch(|draft, now| draft.stop_all(now));
    assert_eq!(scene.desk.seq, before, "said twice is said once");
}

#[test]
fn a_person_is_told_first_what_a_sleeping_task_may_have_done() {
    let mut scene = Scene::new(1, 1);
    let turn = *scene.task(1).turns.keys().next().unwrap();
    let command = "git push".to_owned();
    scene.news(1, Report::WentOutward { turn, command });
    scene.desk.awake = Awake::default();
    let unsure = PauseReason::Unsure;
    scene.batch(|draft, now| draft.order(id(1), &Command::Resume, now).unwrap());
    assert_eq!(scene.task(1).phase, Phase::Paused { why: unsure });
    scene.batch(|draft, now| draft.order(id(1), &Command::Resume, now).unwrap());
    assert_eq!(scene.task(1).phase, Phase::Active, "now it goes on");
}

#[test]
fn an_urgent_task_comes_first_and_may_become_urgent_later() {
    let mut scene = Scene::new(3, 1);
    let waits = |scene: &Scene, number| scene.task(number).phase == Phase::Queued;
    assert!(waits(&scene, 2) && waits(&scene, 3));
    let priority = Priority::High;
    let order = Command::SetPriority { priority };
    scene.batch(|draft, now| draft.order(id(3), &order, now).unwrap());
    scene.gives_up(1);
    assert!(waits(&scene, 2), "the older one is less urgent");
    assert_eq!(scene.task(3).phase, Phase::Active);
    let before = scene.desk.seq;
    scene.batch(|draft, now| draft.order(id(3), &order, now).unwrap());
    assert_eq!(scene.desk.seq, before, "said twice is said once");
}

#[test]
fn a_task_that_has_waited_is_not_passed_by_ever_more_urgent_ones() {
    let mut scene = Scene::new(1, 1);
    let low = TaskSpec {
        priority: Priority::Low,
        ..spec()
    };
    let critical = TaskSpec {
        priority: Priority::Critical,
        ..spec()
    };
    scene.make(2, low);
    let since = scene.now;
    let mut at_work = 1;
    for number in 3..20 {
        scene.now = scene.now.after(Duration::from_secs(600));
        scene.make(number, critical.clone());
        scene.gives_up(at_work);
        if scene.task(2).phase == Phase::Active {
            break;
        }
        at_work = number;
    }
    assert_eq!(scene.task(2).phase, Phase::Active);
    let waited = scene.now.since(since);
    assert!(
        waited <= 3 * AGEING + Duration::from_secs(600),
        "{waited:?}"
    );
    assert!(waited >= 3 * AGEING, "until then others were more urgent");
}

#[test]
fn a_queued_task_says_what_it_waits_for_and_what_holds_it_holds_no_other() {
    let mut scene = Scene::new(2, 1);
    let practice = TaskSpec {
        team: Team::Practice,
        ..spec()
    };
    scene.make(3, practice);
    assert_eq!(scene.queue(), [(2, Wait::Place), (3, Wait::Place)]);
    let message = "please log in".to_owned();
    scene.ends(1, TurnOutcome::AuthRequired { message });
    let hold = scene.closed().unwrap().clone();
    scene.gives_up(1);
    assert_eq!(scene.task(3).phase, Phase::Active, "it needs no account");
    assert_eq!(scene.queue(), [(2, Wait::Account { hold })]);

    let caps = DayCaps {
        money: Some(Usd::ZERO),
        limits: Limits::default(),
    };
    scene.batch(|draft, now| {
        draft.open_account(Team::Claude, now);
        draft.floor(vec![FloorEvent::DayCapsSet { caps }], now);
    });
    let cap = PauseReason::Budget;
    assert_eq!(scene.queue(), [(2, Wait::Day { cap })]);

    let caps = DayCaps::default();
    scene.batch(|draft, now| draft.floor(vec![FloorEvent::DayCapsSet { caps }], now));
    let floor = Arc::make_mut(&mut scene.desk.floor);
    (floor.parallel_tasks, floor.tasks_per_project) = (2, Some(1));
    scene.batch(|_, _| {});
    assert_eq!(scene.queue(), [(2, Wait::Project { limit: 1 })]);
    let other = TaskSpec {
        project: ProjectId::new(Uuid::from_u128(3)),
        ..spec()
    };
    scene.make(4, other);
    assert_eq!(scene.task(4).phase, Phase::Active, "of another project");

    scene.desk.awake = Awake::default();
    assert_eq!(scene.queue(), [(2, Wait::Nobody)]);
}

#[test]
fn what_was_stopped_and_goes_on_waits_for_its_own_end_first() {
    let mut scene = Scene::new(1, 2);
    scene.batch(|draft, now| draft.order(id(1), &Command::Pause, now).unwrap());
    scene.batch(|draft, now| draft.order(id(1), &Command::Resume, now).unwrap());
    assert_eq!(scene.queue(), [(1, Wait::Ending)]);
    scene.ends(1, TurnOutcome::Interrupted);
    assert_eq!(scene.queue(), []);
    assert_eq!(scene.task(1).phase, Phase::Active);
}

#[test]
fn a_task_that_was_stopped_does_not_wait_for_an_account_that_is_open() {
    let mut scene = Scene::new(2, 2);
    let message = "please log in".to_owned();
    scene.ends(2, TurnOutcome::AuthRequired { message });
    scene.batch(|draft, now| draft.order(id(1), &Command::Pause, now).unwrap());
    scene.ends(1, TurnOutcome::Interrupted);
    assert!(scene.task(1).hold.is_some());
    // Nobody works on the first while the second is gone on with, and meets a limit.
    scene.desk.awake = Awake::default();
    scene.batch(|draft, now| draft.order(id(2), &Command::Resume, now).unwrap());
    let limit = TurnOutcome::RateLimited {
        until: Some(scene.now.after(Duration::from_secs(600))),
        message: "limit".into(),
    };
    scene.ends(2, limit);
    scene.desk.awake = Awake::All;
    scene.batch(|draft, now| draft.take_up(now));
    while scene.closed().is_some() {
        scene.wait();
    }
    scene.batch(|draft, now| draft.order(id(1), &Command::Resume, now).unwrap());
    assert_eq!(scene.task(1).phase, Phase::Active);
    assert_eq!(scene.task(1).hold, None);
    assert_eq!(scene.task(1).turns.len(), 1, "it goes on");
}

#[test]
fn an_order_that_sets_nothing_going_begins_no_turn() {
    let mut scene = Scene::new(1, 1);
    scene.desk.awake = Awake::default();
    let budget = Usd::from_dollars(3.0);
    let order = Command::SetBudget { budget };
    scene.batch(|draft, now| draft.order(id(1), &order, now).unwrap());
    assert_eq!(scene.task(1).budget, budget);
    assert!(
        scene.task(1).turns.is_empty(),
        "what ran has ended, and nothing runs"
    );
    assert!(!scene.desk.awake.has(id(1)));
}
