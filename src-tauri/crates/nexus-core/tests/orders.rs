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
    /// An edit of the plan: a step more, beside the others or after one of them.
    Edit(u32),
    /// An answer to the first question that is open.
    Answer(Answer),
    /// The kind of news, and which of the turns or steps it is about.
    News(u8, usize),
    /// One of the things that are under way gets on.
    Good(usize),
    Time,
}

fn input() -> impl Strategy<Value = Input> {
    let orders = prop::sample::select(vec![
        Command::Start,
        Command::Start,
        Command::Admit,
        Command::Admit,
        Command::Admit,
        Command::Pause,
        Command::Resume,
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
        Command::Say {
            to: Recipient::Code,
            text: "mind the gap".into(),
            urgent: true,
        },
        Command::Say {
            to: Recipient::Team,
            text: "mind the gap".into(),
            urgent: false,
        },
    ]);
    let answers = prop::sample::select(vec![
        Answer::Allow,
        Answer::Text {
            text: "like this".into(),
        },
        Answer::Deny {
            reason: "no".into(),
        },
    ]);
    // News is what drives a task on, so there is more of it.
    prop_oneof![
        2 => orders.prop_map(Input::Order),
        1 => (0..3_u32).prop_map(Input::Edit),
        2 => answers.prop_map(Input::Answer),
        8 => (0..24_u8, 0..4_usize).prop_map(|(kind, of)| Input::News(kind, of)),
        24 => (0..4_usize).prop_map(Input::Good),
        2 => Just(Input::Time),
    ]
}

/// Three that write side by side, a last one, and Beta.
fn side_by_side() -> Plan {
    let step = |id: u32, kind, after: &[u32]| PlannedStep {
        after: after.iter().copied().map(StepId).collect(),
        ..PlannedStep::new(StepId(id), kind, format!("Part {id}"), String::new())
    };
    let steps = vec![
        step(1, StepKind::Implementation, &[]),
        step(2, StepKind::Implementation, &[]),
        step(3, StepKind::Tests, &[]),
        step(4, StepKind::Implementation, &[1, 2]),
        step(5, StepKind::Validation, &[4]),
    ];
    Plan::new(steps).unwrap()
}

fn edit(task: &Task, after: u32) -> Command {
    let mut steps: Vec<PlannedStep> = task.steps.iter().map(|it| it.planned.clone()).collect();
    let last = steps.iter().map(|step| step.id.0).max().unwrap_or(0);
    let kind = StepKind::Implementation;
    let step = PlannedStep::new(StepId(last + 1), kind, "More".into(), String::new());
    steps.push(PlannedStep {
        after: (after > 0).then_some(StepId(after)).into_iter().collect(),
        ..step
    });
    Command::EditPlan {
        version: task.plan_version,
        steps,
    }
}

/// What comes of one of the things that are owed, if nothing goes wrong.
fn good(task: &Task, of: usize) -> Option<Report> {
    let owed = task.owed();
    let works = |effect: &&Effect| !matches!(effect, Effect::WarmSession { .. });
    let number = |which| Some(news(task, which, 0));
    match owed.iter().filter(works).cycle().nth(of)? {
        Effect::PrepareWorkspace => number(0),
        Effect::MakePlan => number(12),
        Effect::RunChecks { time } => number(if *time == CheckTime::Baseline { 1 } else { 2 }),
        Effect::RunTurn { turn } => {
            let place = task.turns.keys().position(|known| known == turn)?;
            let step = task.step(task.turns[turn].step)?;
            let writes = step.planned.role.writes() == Writes::Workspace;
            let which = if writes && step.base.is_none() { 13 } else { 4 };
            Some(news(task, which, place))
        }
        Effect::Judge { turn } => Some(Report::Judged {
            turn: *turn,
            ruling: Ruling::Accept,
            reason: "so it seems".into(),
        }),
        Effect::PlanMerge { step } => Some(Report::MergePlanned {
            step: *step,
            tree: TreeId::parse(&"a".repeat(40)).unwrap(),
            conflicts: vec![],
        }),
        Effect::Merge { step, .. } => Some(Report::Merged { step: *step }),
        Effect::DropWorkspace => number(11),
        Effect::RestoreWorkspace { .. } => number(21),
        Effect::Apply { .. } => number(10),
        Effect::PlanApply => Some(Report::ApplyPlanned { operations: vec![] }),
        Effect::RunSetup | Effect::WarmSession { .. } => None,
    }
}

fn news(task: &Task, which: u8, of: usize) -> Report {
    let tree = TreeId::parse(&"a".repeat(40)).unwrap();
    let turns = task.turns.keys().cycle().nth(of);
    let turn = turns.copied().unwrap_or(TurnId(999));
    let last = task.turn_steps.keys().rev().nth(of);
    let ended_turn = last.copied().unwrap_or(TurnId(999));
    let step = task.steps.get(of).map_or(StepId(99), |it| it.planned.id);
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
        11 => Report::WorkspaceDropped { kept: None },
        12 => Report::Planned(side_by_side()),
        13 | 14 => Report::BaseTaken {
            turn,
            base: SnapshotId::parse(&"d".repeat(40)).unwrap(),
        },
        15 => Report::MergePlanned {
            step,
            tree,
            conflicts: vec![],
        },
        16 => Report::MergePlanned {
            step,
            tree,
            conflicts: vec![ProjectPath::parse("a").unwrap()],
        },
        17 => Report::Merged { step },
        18 => Report::Judged {
            turn: ended_turn,
            ruling: Ruling::Accept,
            reason: "so it seems".into(),
        },
        19 => Report::Judged {
            turn: ended_turn,
            ruling: Ruling::Ask {
                question: "good enough?".into(),
            },
            reason: "so it seems".into(),
        },
        20 => Report::Audited {
            turn,
            changes: vec![],
            flags: vec![Flag {
                kind: FlagKind::ConflictMarks,
                path: ProjectPath::parse("a").unwrap(),
                line: String::new(),
            }],
        },
        21 => Report::WorkspaceRestored { path: "/w".into() },
        22 => Report::LeftBehind,
        _ => Report::TurnStreaming { turn },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_replays_to_the_same_task(
        planner in prop::sample::select(vec![PlannerKind::Standard, PlannerKind::Openai]),
        plan_first in prop::bool::weighted(0.3),
        inputs in prop::collection::vec(input(), 0..160),
    ) {
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
            planner,
            permissions: Permissions::Workspace,
            priority: Priority::Normal,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: true,
            terms: Terms {
                after: vec![TaskId::new(Uuid::from_u128(3))],
                plan_first,
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
                Input::Edit(after) => {
                    task.decide(&edit(&task, *after), now).unwrap_or_default()
                }
                Input::Answer(answer) => match task.approvals.keys().next() {
                    Some(approval) => {
                        let (approval, answer, digest) = (*approval, answer.clone(), None);
                        let command = Command::Answer { approval, answer, digest };
                        task.decide(&command, now).unwrap_or_default()
                    }
                    None => Vec::new(),
                },
                Input::Good(of) => match good(&task, *of) {
                    Some(report) => task.observe(&report, now),
                    None => Vec::new(),
                },
                Input::News(which, of) => task.observe(&news(&task, *which, *of), now),
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
                let wake = task.next_wake();
                prop_assert!(wake.is_none_or(|wake| wake > now), "nobody waits for the past");
            }
            let turns = task.owed().into_iter().filter(|e| matches!(e, Effect::RunTurn { .. }));
            if !task.holds_place() {
                prop_assert_eq!(turns.count(), 0);
            }
        }
        prop_assert_eq!(Task::replay(id, log).unwrap(), task);
    }
}
