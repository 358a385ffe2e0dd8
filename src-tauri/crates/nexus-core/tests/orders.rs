//! Whatever is ordered and reported, in whatever order: replay gives the same task, the same
//! facts follow, and no effect is owed in a state that has come to rest.

#![expect(
    clippy::unwrap_used,
    reason = "a strategy that makes no value is a failing test"
)]

use nexus_core::*;
use proptest::prelude::*;
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Input {
    Order(Command),
    News(u8),
    Time,
}

fn input() -> impl Strategy<Value = Input> {
    let orders = prop::sample::select(vec![
        Command::Start,
        Command::Admit,
        Command::Pause,
        Command::Resume,
        Command::Cancel,
        Command::RequestChanges {
            text: "more".into(),
        },
        Command::Accept { although_red: true },
        Command::Discard,
        Command::Restore,
        Command::SetPriority {
            priority: Priority::High,
        },
        Command::Unchain,
    ]);
    // News is what drives a task on, so there is more of it.
    prop_oneof![
        2 => orders.prop_map(Input::Order),
        6 => (0..12_u8).prop_map(Input::News),
        1 => Just(Input::Time),
    ]
}

fn news(task: &Task, which: u8) -> Report {
    let tree = TreeId::parse(&"a".repeat(40)).unwrap();
    let turn = task.turns.keys().next().copied().unwrap_or(TurnId(999));
    let ended = |outcome| {
        let usage = Usage {
            cost: Some(Usd::from_micros(1)),
            ..Usage::default()
        };
        Report::TurnEnded(TurnReport {
            turn,
            outcome,
            usage,
            duration_ms: 1,
            covers_lost: false,
        })
    };
    let run = |time| CheckRun {
        time,
        tree: tree.clone(),
        evidence: vec![],
    };
    let change = FileChange {
        path: ProjectPath::parse("a").unwrap(),
        change: ChangeKind::Added,
        lines: None,
    };
    match which {
        0 => Report::WorkspacePrepared(PreparedWorkspace {
            path: "/w".into(),
            base: SnapshotId::parse(&"b".repeat(40)).unwrap(),
            tree: tree.clone(),
            files: 1,
            checks: vec![],
            setup: None,
            allowed_commands: vec![],
            notes: vec![],
        }),
        1 => Report::ChecksRan {
            run: run(CheckTime::Baseline),
            changes: vec![],
        },
        2 | 3 => Report::ChecksRan {
            run: run(CheckTime::After { round: task.round }),
            changes: vec![change],
        },
        4..=6 => ended(TurnOutcome::Completed {
            text: "done".into(),
            denials: vec![],
        }),
        7 => ended(TurnOutcome::Interrupted),
        8 => ended(TurnOutcome::Signalled {
            signal: 9,
            stderr: String::new(),
        }),
        9 => Report::Result {
            turn,
            result: Box::new(StepResult {
                verdict: Some(Verdict::Fail),
                ..StepResult::default()
            }),
        },
        10 => Report::Applied,
        _ => Report::WorkspaceDropped { kept: None },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_replays_to_the_same_task(inputs in prop::collection::vec(input(), 0..80)) {
        let id = TaskId::new(Uuid::from_u128(9));
        let mut now = Timestamp::from_millis(0);
        let spec = TaskSpec {
            number: 1,
            project: ProjectId::new(Uuid::from_u128(2)),
            project_name: "p".into(),
            folder: "/p".into(),
            title: "t".into(),
            text: "t".into(),
            team: Team::Claude,
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            priority: Priority::Normal,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: true,
            terms: Terms {
                after: vec![TaskId::new(Uuid::from_u128(3))],
                ..Terms::default()
            },
        };
        let mut log = vec![(Event::TaskCreated { spec: Box::new(spec.clone()) }, now)];
        let mut task = Task::new(id, spec, now);
        for input in inputs {
            now = now.after(std::time::Duration::from_secs(1));
            let before = task.clone();
            let events = match &input {
                Input::Order(command) => task.decide(command, now).unwrap_or_default(),
                Input::News(which) => task.observe(&news(&task, *which), now),
                Input::Time => {
                    now = task.next_wake().unwrap_or(now).max(now);
                    task.tick(now)
                }
            };
            prop_assert_eq!(&before, &task, "deciding touches nothing");
            let something_happened = !events.is_empty();
            for event in events {
                task.apply(&event, now);
                let text = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), &event);
                log.push((event, now));
            }
            if something_happened {
                prop_assert!(task.tick(now).is_empty(), "everything that follows was recorded");
            }
            let turns = task.owed().into_iter().filter(|e| matches!(e, Effect::RunTurn { .. }));
            if !task.holds_place() {
                prop_assert_eq!(turns.count(), 0);
            }
        }
        prop_assert_eq!(Task::replay(id, log).unwrap(), task);
    }
}
