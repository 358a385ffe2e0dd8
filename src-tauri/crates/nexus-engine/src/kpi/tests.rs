//! Figures of written-down logs, against numbers worked out by hand.

use super::*;
use nexus_core::*;
use nexus_store::{NewEvent, Store, StoreKey};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// A log that is being written, one fact a second unless told otherwise.
struct Script {
    _dir: tempfile::TempDir,
    store: Store,
    seconds: i64,
}

impl Script {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreKey::Plain).unwrap();
        Self {
            _dir: dir,
            store,
            seconds: 1_000_000,
        }
    }

    fn later(&mut self, seconds: i64) -> &mut Self {
        self.seconds += seconds;
        self
    }

    fn says(&mut self, task: u128, event: Event) -> &mut Self {
        self.all(task, &[event])
    }

    /// All at the same moment.
    fn all(&mut self, task: u128, events: &[Event]) -> &mut Self {
        let stream = Uuid::from_u128(task).to_string();
        let rows = events.iter().map(|event| NewEvent {
            stream: &stream,
            kind: event.kind(),
            at: Timestamp::from_millis(self.seconds * 1000),
            body: serde_json::to_string(event).unwrap(),
        });
        self.store.append(&rows.collect::<Vec<_>>(), &[]).unwrap();
        self
    }

    /// Makes a task, under way, with the standard plan.
    fn begins(&mut self, task: u128, team: Team) -> &mut Self {
        let spec = TaskSpec {
            number: 1,
            project: ProjectId::new(Uuid::from_u128(task % 10)),
            project_name: format!("project {}", task % 10),
            folder: "/home/me/demo".into(),
            title: "Fix the sum".into(),
            text: "The sum is wrong".into(),
            team,
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            priority: Priority::Normal,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: true,
            terms: Terms::default(),
        };
        let spec = Box::new(spec);
        let plan = Plan::standard("Fix the sum");
        self.all(
            task,
            &[
                Event::TaskCreated { spec },
                Event::TaskStarted,
                Event::PlanMade { plan },
            ],
        )
    }

    /// A turn of a step that takes so long, and says its first word after one second.
    fn turn(&mut self, task: u128, step: u32, turn: u32, seconds: i64, outcome: TurnOutcome) {
        self.started(task, step, turn)
            .later(1)
            .says(task, Event::TurnStreaming { turn: TurnId(turn) })
            .later(seconds - 1)
            .ended(task, turn, outcome);
    }

    fn started(&mut self, task: u128, step: u32, turn: u32) -> &mut Self {
        let event = Event::StepStarted {
            step: StepId(step),
            turn: TurnId(turn),
            attempt: 1,
            round: 1,
            session: TaskId::new(Uuid::from_u128(task)).session(SeatId::first(Role::Code), 0),
            seat: 0,
        };
        self.says(task, event)
    }

    fn ended(&mut self, task: u128, turn: u32, outcome: TurnOutcome) -> &mut Self {
        let finished = matches!(outcome, TurnOutcome::Completed { .. });
        let report = TurnReport {
            turn: TurnId(turn),
            outcome,
            usage: Usage::default(),
            // Says something else than the log's own times on purpose.
            duration_ms: 7,
            covers_lost: false,
        };
        self.says(task, Event::TurnEnded { report });
        if finished {
            let step = StepId((turn - 1) % 4 + 1);
            let structured = true;
            self.says(task, Event::StepEnded { step, structured });
        }
        self
    }

    fn checks(&mut self, task: u128, time: CheckTime, output: &str) -> &mut Self {
        let tree = TreeId::parse(&"a".repeat(40)).unwrap();
        let evidence = vec![Evidence {
            command: CommandLine::parse("make test").unwrap(),
            end: CommandEnd::Exited { code: 0 },
            output_sha256: String::new(),
            output_tail: output.into(),
            tree: tree.clone(),
            started_at: Timestamp::from_millis(0),
            duration_ms: 7,
        }];
        let run = CheckRun {
            time,
            tree,
            evidence,
        };
        let changes = Vec::new();
        self.says(task, Event::ChecksRan { run, changes })
    }

    fn process(&mut self, task: u128, role: Role, end: Option<ProcessEnd>) -> &mut Self {
        let session = TaskId::new(Uuid::from_u128(task)).session(SeatId::first(role), 0);
        let event = match end {
            None => Event::ProcessStarted {
                role,
                session,
                pid: 7,
            },
            Some(end) => Event::ProcessEnded { role, session, end },
        };
        self.says(task, event)
    }

    fn figures(self) -> Vec<Kpi> {
        let log = Log::Ours(Arc::new(Mutex::new(self.store)));
        tally(&log).unwrap().figures()
    }
}

fn done() -> TurnOutcome {
    TurnOutcome::Completed {
        text: "done".into(),
        denials: Vec::new(),
    }
}

fn figure<'a>(figures: &'a [Kpi], code: &str) -> &'a Kpi {
    figures.iter().find(|figure| figure.code == code).unwrap()
}

#[track_caller]
fn assert_figure(figures: &[Kpi], code: &str, value: f64, sample: u64, met: bool) {
    let found = figure(figures, code);
    let close = found.value.is_some_and(|it| (it - value).abs() < 1e-9);
    assert!(
        close && found.sample == sample && found.met() == Some(met),
        "{found:?}"
    );
}

/// The figures that nothing in a log measures.
const NEVER: [&str; 4] = [
    "code_quality_score",
    "documentation_completeness",
    "understanding_accuracy",
    "user_satisfaction",
];

#[test]
fn nothing_is_measured_of_nothing() {
    for figures in [
        tally(&Log::Empty).unwrap().figures(),
        Script::new().figures(),
    ] {
        assert_eq!(figures.len(), 11);
        for figure in &figures {
            let empty = figure.value.is_none() && figure.sample == 0 && figure.parts.is_empty();
            assert!(empty && figure.met().is_none(), "{figure:?}");
            assert!(!figure.note.is_empty() && !figure.formula.is_empty());
        }
    }
}

#[test]
fn the_practice_team_counts_for_nothing() {
    let mut script = Script::new();
    script.begins(1, Team::Practice);
    script.process(1, Role::Code, None);
    script.turn(1, 1, 1, 10, done());
    script.checks(1, CheckTime::After { round: 1 }, "TOTAL 10 1 90%");
    script.says(1, Event::Accepted);
    assert_eq!(script.figures(), tally(&Log::Empty).unwrap().figures());
}

#[test]
fn completion_is_counted_by_how_each_task_stands_now() {
    let mut script = Script::new();
    let failure = || Event::TaskFailed {
        failure: Failure {
            kind: FailureKind::Agent,
            message: "it kept failing".into(),
        },
    };
    for task in 1..=6 {
        script.begins(task, Team::Claude);
    }
    script.says(1, Event::Accepted).says(2, Event::Accepted);
    // It failed first, and was accepted in the end.
    script.says(3, failure()).says(3, Event::TaskResumed);
    script.says(3, Event::TaskStarted).says(3, Event::Accepted);
    script.says(4, failure());
    // Brought back, it may still go either way.
    script
        .says(5, Event::CancelRequested)
        .says(5, Event::Restored);
    script.says(6, Event::Discarded);
    let figures = script.figures();
    assert_figure(&figures, "task_completion_rate", 60.0, 5, false);
    let text = &figure(&figures, "task_completion_rate").note;
    assert_eq!(text, "3 accepted, 1 failed, 1 cancelled");
}

#[test]
fn response_times_are_those_of_turns_that_finished_and_asked_nobody() {
    let mut script = Script::new();
    script.begins(1, Team::Claude);
    for (turn, seconds) in [(1, 10), (5, 20), (9, 60)] {
        script.turn(1, 1, turn, seconds, done());
    }
    script.turn(1, 2, 2, 30, done());
    // Not an answer.
    script.turn(1, 2, 6, 500, TurnOutcome::Interrupted);
    // Mostly the person's time.
    script.started(1, 2, 10);
    let approval = Box::new(Approval {
        id: ApprovalId::new(Uuid::from_u128(3)),
        role: Role::Code,
        turn: Some(TurnId(10)),
        step: Some(StepId(2)),
        question: Question::Open {
            question: "Which one?".into(),
            options: Vec::new(),
        },
        asked_at: Timestamp::from_millis(0),
        expires_at: None,
    });
    script.says(1, Event::ApprovalRequested { approval });
    script.later(5000).ended(1, 10, done());

    let figures = script.figures();
    assert_figure(&figures, "response_time", 30.0, 4, false);
    let parts: Vec<_> = figure(&figures, "response_time")
        .parts
        .iter()
        .map(|part| (part.title.as_str(), part.value, part.sample))
        .collect();
    let expected = [
        ("aria: mean", 30.0, 3),
        ("aria: median", 20.0, 3),
        ("aria: 95 of 100 within", 60.0, 3),
        ("aria: mean to its first word", 1.0, 3),
        ("code: mean", 30.0, 1),
        ("code: median", 30.0, 1),
        ("code: 95 of 100 within", 30.0, 1),
        ("code: mean to its first word", 1.0, 1),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn a_seat_is_down_from_an_end_nobody_asked_for_until_it_is_back_or_the_task_rests() {
    let mut script = Script::new();
    script.begins(1, Team::Claude);
    // Up 60 s, closed as it should be: not down.
    script.process(1, Role::Aria, None).later(60);
    script
        .process(1, Role::Aria, Some(ProcessEnd::Closed))
        .later(100);
    // Up 20 s, lost, and back after 3 s for 17 s.
    script.process(1, Role::Code, None).later(20);
    script.process(1, Role::Code, Some(ProcessEnd::Signalled { signal: 9 }));
    script.later(3).process(1, Role::Code, None).later(17);
    // The engine was killed after a last fact, and started again 1000 s later.
    script.says(1, Event::TurnStreaming { turn: TurnId(1) });
    script
        .later(1000)
        .process(1, Role::Code, Some(ProcessEnd::Swept));
    script.later(1).process(1, Role::Code, None).later(2);
    // Lost again, and the person pauses after 1 s: nobody misses it after that.
    script.process(1, Role::Code, Some(ProcessEnd::Exited { code: 1 }));
    let why = PauseReason::Person;
    script.later(1).says(1, Event::TaskPaused { why });
    script.later(5000).process(1, Role::Code, None);
    // Killed while the task rests.
    script
        .process(1, Role::Code, Some(ProcessEnd::Killed))
        .later(50);
    script.says(1, Event::HoldLifted);
    let figures = script.figures();
    let (up, down) = (60.0 + 20.0 + 17.0 + 2.0, 3.0 + 1.0 + 1.0);
    let share = up * 100.0 / (up + down);
    assert_figure(&figures, "session_uptime", share, 5, false);
}

#[test]
fn a_process_that_still_runs_counts_until_the_tasks_last_fact() {
    let mut script = Script::new();
    script.begins(1, Team::Claude);
    script.process(1, Role::Code, None).later(10);
    script.says(1, Event::HoldLifted);
    assert_figure(&script.figures(), "session_uptime", 100.0, 1, true);
}

#[test]
fn returns_and_defects_are_told_apart_by_who_found_them() {
    let mut script = Script::new();
    script.begins(1, Team::Claude);
    for turn in 1..=4 {
        script.turn(1, turn, turn, 5, done());
    }
    let findings = vec!["the sum is off by one".into(), "no test".into()];
    let why = RoundReason::Findings { findings };
    script.says(1, Event::RoundBegan { round: 2, why });
    // Code and Beta again.
    script.turn(1, 2, 6, 5, done());
    script.turn(1, 4, 8, 5, done());
    let text = "name it better".into();
    let why = RoundReason::Person { text };
    script.says(1, Event::RoundBegan { round: 3, why });
    let figures = script.figures();
    // Aria, Code, Alpha, Code; Beta's judgement is handed to nobody of the team.
    assert_figure(&figures, "collaboration_efficiency", 75.0, 4, false);
    assert_figure(&figures, "bug_detection_rate", 200.0 / 3.0, 3, false);
    assert_figure(&figures, "system_reliability", 100.0, 6, true);
    for code in NEVER {
        assert_eq!(figure(&figures, code).value, None, "{code}");
    }
}

#[test]
fn a_turn_that_ended_with_nexus_counts_against_it() {
    let mut script = Script::new();
    script.begins(1, Team::Claude);
    script.turn(1, 1, 1, 5, done());
    script.turn(1, 2, 2, 5, TurnOutcome::OutputLost);
    script.turn(
        1,
        2,
        6,
        5,
        TurnOutcome::SessionLost {
            message: "gone".into(),
        },
    );
    script.turn(1, 2, 10, 5, done());
    assert_figure(&script.figures(), "system_reliability", 75.0, 4, false);
}

#[test]
fn coverage_is_what_the_latest_check_of_each_project_says() {
    let mut script = Script::new();
    for task in [1, 11, 2, 3] {
        script.begins(task, Team::Claude);
    }
    let after = CheckTime::After { round: 1 };
    script.checks(1, CheckTime::Baseline, "TOTAL 10 9 10%");
    script.checks(1, after, "TOTAL 10 2 80%");
    script.checks(11, after, "TOTAL 10 0 100%");
    script.checks(2, after, "12 passed");
    script.checks(3, after, "All files | 90 | 90 | 90 | 95 |");
    let figures = script.figures();
    assert_figure(&figures, "test_coverage", 97.5, 2, true);
    let parts = &figure(&figures, "test_coverage").parts;
    let parts: Vec<_> = parts
        .iter()
        .map(|it| (it.title.as_str(), it.value))
        .collect();
    assert_eq!(parts, [("project 1", 100.0), ("project 3", 95.0)]);
}

#[test]
fn a_log_of_many_pages_is_read_to_its_end() {
    let mut script = Script::new();
    script.begins(1, Team::Claude);
    let lines = vec![Event::HoldLifted; PAGE * 2];
    script.all(1, &lines).says(1, Event::Accepted);
    assert_figure(&script.figures(), "task_completion_rate", 100.0, 1, true);
}
