//! Plans whose steps work side by side, from situation to outcome: a plan and a script of
//! orders and news go in, the recorded facts, what is owed and the state come out.
//!
//! A plan is written `1r 2c<1 3c<1 4b<2,3`: step 2 is for Code and waits for step 1. The
//! letters are r for Aria, c for Code, a for Alpha and b for Beta. A word of a script may name
//! its step: `done:2`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a script that does not fit is a failing test"
)]

use nexus_core::*;
use std::{fmt::Write, time::Duration};
use uuid::Uuid;

/// A task with any number of running turns: the script's words become orders and news.
struct Table {
    task: Task,
    log: Vec<(Event, Timestamp)>,
    now: Timestamp,
    said: String,
}

fn planned(plan: &str) -> Vec<PlannedStep> {
    let step = |word: &str| {
        let (head, after) = word.split_once('<').unwrap_or((word, ""));
        let (id, letter) = head.split_at(head.len() - 1);
        let kind = match letter {
            "r" => StepKind::Analysis,
            "c" => StepKind::Implementation,
            "a" => StepKind::Tests,
            "b" => StepKind::Validation,
            other => panic!("nobody is called `{other}`"),
        };
        let number = |text: &str| StepId(text.parse().unwrap());
        let after = after.split(',').filter(|text| !text.is_empty());
        PlannedStep {
            after: after.map(number).collect(),
            ..PlannedStep::new(number(id), kind, format!("Part {id}"), String::new())
        }
    };
    plan.split([' ', '+']).map(step).collect()
}

fn snapshot(letter: &str) -> SnapshotId {
    SnapshotId::parse(&letter.repeat(40)).unwrap()
}

fn tree(letter: &str) -> TreeId {
    TreeId::parse(&letter.repeat(40)).unwrap()
}

/// The file that a step changes.
fn file_of(step: StepId) -> ProjectPath {
    ProjectPath::parse(&format!("part{step}.rs")).unwrap()
}

fn changed(path: ProjectPath) -> Vec<FileChange> {
    let change = ChangeKind::Modified;
    vec![FileChange {
        path,
        change,
        lines: None,
    }]
}

impl Table {
    /// Options are words: `plan-first`, `unattended`, `seats:1`, `budget`, `claude-plans`.
    fn new(options: &str) -> Self {
        let has = |word: &str| options.split(' ').any(|option| option == word);
        let seats = options.split(' ').find_map(|it| it.strip_prefix("seats:"));
        let id = TaskId::new(Uuid::from_u128(1));
        let now = Timestamp::from_millis(1_748_198_730_000);
        let spec = TaskSpec {
            number: 1,
            project: ProjectId::new(Uuid::from_u128(2)),
            project_name: "demo".into(),
            folder: "/home/me/demo".into(),
            title: "Fix the sum".into(),
            text: "The sum is wrong".into(),
            team: Team::Claude,
            planner: if has("claude-plans") {
                PlannerKind::Claude
            } else {
                PlannerKind::Openai
            },
            permissions: Permissions::Workspace,
            priority: Priority::Normal,
            budget: has("budget").then(|| Usd::from_dollars(1.0).unwrap()),
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: !has("unattended"),
            terms: Terms {
                plan_first: has("plan-first"),
                seats: seats.map(|number| number.parse().unwrap()),
                ..Terms::default()
            },
        };
        let created = Event::TaskCreated {
            spec: Box::new(spec.clone()),
        };
        Self {
            task: Task::new(id, spec, now),
            log: vec![(created, now)],
            now,
            said: String::new(),
        }
    }

    /// A task whose copy is ready and whose plan is this; nothing has been said yet.
    fn with_plan(options: &str, plan: &str) -> Self {
        let mut table = Self::new(options);
        table.order(Command::Start);
        table.order(Command::Admit);
        table.word("prepared");
        table.news(Report::Planned(Plan::new(planned(plan)).unwrap()));
        table
    }

    fn record(&mut self, events: Vec<Event>) {
        for event in events {
            self.task.apply(&event, self.now);
            if let Some(words) = describe(&event) {
                writeln!(self.said, "  {words}").unwrap();
            }
            self.log.push((event, self.now));
        }
    }

    fn order(&mut self, command: Command) {
        match self.task.decide(&command, self.now) {
            Ok(events) => self.record(events),
            Err(rejection) => writeln!(self.said, "  refused: {rejection}").unwrap(),
        }
    }

    fn news(&mut self, report: Report) {
        let events = self.task.observe(&report, self.now);
        self.record(events);
    }

    fn step(&self, id: StepId) -> &Step {
        self.task.step(id).expect("the step is planned")
    }

    /// The turn that runs for a step.
    fn turn(&self, step: StepId) -> TurnId {
        let mut turns = self.task.turns.values();
        let turn = turns.find(|turn| turn.step == step);
        turn.unwrap_or_else(|| panic!("step {step} has no turn in:\n{}", self.said))
            .id
    }

    /// The turn that was a step's last.
    fn last_turn(&self, step: StepId) -> TurnId {
        self.step(step).history.last().expect("it was begun").turn
    }

    fn ends(&mut self, step: StepId, outcome: TurnOutcome) {
        let turn = self.turn(step);
        self.news(Report::TurnEnded(TurnReport {
            turn,
            outcome,
            usage: Usage {
                input_tokens: 100,
                cost: Usd::from_dollars(0.1),
                ..Usage::default()
            },
            duration_ms: 1500,
            covers_lost: false,
        }));
    }

    fn base(&mut self, step: StepId) {
        let turn = self.turn(step);
        if self.step(step).planned.role.writes() == Writes::Workspace
            && self.step(step).base.is_none()
        {
            let base = snapshot("d");
            self.news(Report::BaseTaken { turn, base });
        }
        self.news(Report::TurnStreaming { turn });
    }

    fn audit(&mut self, step: StepId, flags: Vec<FlagKind>) {
        let turn = self.turn(step);
        let flag = |kind| Flag {
            kind,
            path: file_of(step),
            line: String::new(),
        };
        self.news(Report::Audited {
            turn,
            changes: changed(file_of(step)),
            flags: flags.into_iter().map(flag).collect(),
        });
    }

    /// The agent of a step works and hands it in, in good form or in mere words.
    fn hands_in(&mut self, step: StepId, in_form: bool, flags: Vec<FlagKind>) {
        self.base(step);
        if self.step(step).planned.role.writes() == Writes::Workspace {
            self.audit(step, flags);
        }
        if in_form {
            self.result(step, None);
        }
        self.completes(step);
    }

    fn completes(&mut self, step: StepId) {
        self.ends(
            step,
            TurnOutcome::Completed {
                text: "all done".into(),
                denials: vec![],
            },
        );
    }

    fn result(&mut self, step: StepId, verdict: Option<Verdict>) {
        let turn = self.turn(step);
        let finding = Finding {
            problem: "off by one".into(),
            location: None,
            severity: Severity::High,
            suggestion: None,
        };
        let fails = verdict == Some(Verdict::Fail);
        let result = Box::new(StepResult {
            summary: "worked".into(),
            verdict,
            findings: fails.then_some(finding).into_iter().collect(),
            ..StepResult::default()
        });
        self.news(Report::Result { turn, result });
    }

    fn judged(&mut self, step: StepId, ruling: Ruling) {
        let turn = self.last_turn(step);
        self.news(Report::PrimeAsked {
            purpose: PrimePurpose::Judgement,
            model: "some".into(),
            calls: 1,
            usage: Usage {
                cost: Usd::from_dollars(0.1),
                ..Usage::default()
            },
        });
        let reason = "so it seems".into();
        self.news(Report::Judged {
            turn,
            ruling,
            reason,
        });
    }

    fn answer(&mut self, answer: Answer) {
        let first = self.task.approvals.keys().next();
        self.order(Command::Answer {
            approval: *first.expect("a question is open"),
            answer,
            digest: None,
        });
    }

    fn merge_planned(&mut self, step: StepId, conflicts: Vec<ProjectPath>) {
        self.news(Report::MergePlanned {
            step,
            tree: tree("e"),
            conflicts,
        });
    }

    fn checks(&mut self, time: CheckTime) {
        let run = CheckRun {
            time,
            tree: tree("a"),
            evidence: vec![],
        };
        let changes = match time {
            CheckTime::Baseline => vec![],
            CheckTime::After { .. } => changed(file_of(StepId(1))),
        };
        self.news(Report::ChecksRan { run, changes });
    }

    fn edit(&mut self, version: u32, plan: &str) {
        // What was begun has to stay as it is; the script names only what it is.
        let known = |step: PlannedStep| match self.task.step(step.id) {
            Some(known) if known.planned.after == step.after => known.planned.clone(),
            _ => step,
        };
        let steps = planned(plan).into_iter().map(known).collect();
        self.order(Command::EditPlan { version, steps });
    }

    fn say(&mut self, to: &str, urgent: bool) {
        let to = match to {
            "code" => Recipient::Code,
            "alpha" => Recipient::Alpha,
            "team" => Recipient::Team,
            other => panic!("nobody is called `{other}`"),
        };
        let text = "mind the gap".into();
        self.order(Command::Say { to, text, urgent });
    }

    fn word(&mut self, word: &str) {
        let (verb, of) = word.split_once(':').unwrap_or((word, ""));
        let (number, more) = of.split_once(':').unwrap_or((of, ""));
        let step = || StepId(number.parse().expect("the word names a step"));
        match verb {
            "start" => self.order(Command::Start),
            "admit" => self.order(Command::Admit),
            "pause" => self.order(Command::Pause),
            "resume" => {
                self.order(Command::Resume);
                if self.task.phase == Phase::Queued {
                    self.order(Command::Admit);
                }
            }
            "cancel" => self.order(Command::Cancel),
            "restore" => self.order(Command::Restore),
            "prepared" => {
                self.news(Report::WorkspacePrepared(PreparedWorkspace {
                    path: "/data/w".into(),
                    base: snapshot("b"),
                    tree: tree("c"),
                    files: 3,
                    checks: vec![],
                    setup: None,
                    allowed_commands: vec![],
                    notes: vec![],
                }));
                self.checks(CheckTime::Baseline);
            }
            "dropped" => self.news(Report::WorkspaceDropped {
                kept: Some(snapshot("f")),
            }),
            "back" => self.news(Report::WorkspaceRestored {
                path: "/data/w".into(),
            }),
            "base" => self.base(step()),
            "done" => self.hands_in(step(), true, vec![]),
            "doubted" => self.hands_in(step(), false, vec![]),
            "marked" => self.hands_in(step(), true, vec![FlagKind::ConflictMarks]),
            "weakened" => self.hands_in(step(), true, vec![FlagKind::TestDeleted]),
            "completes" => self.completes(step()),
            "pass" | "fail" => {
                let verdict = [Verdict::Fail, Verdict::Pass][usize::from(verb == "pass")];
                self.result(step(), Some(verdict));
                self.completes(step());
            }
            "crash" => self.ends(
                step(),
                TurnOutcome::Exited {
                    code: 1,
                    stderr: "boom".into(),
                },
            ),
            "lost" => self.ends(
                step(),
                TurnOutcome::SessionLost {
                    message: "unknown id".into(),
                },
            ),
            "limit" => self.ends(
                step(),
                TurnOutcome::RateLimited {
                    until: Some(self.now.after(Duration::from_secs(3600))),
                    message: "limit".into(),
                },
            ),
            "interrupted" => self.ends(step(), TurnOutcome::Interrupted),
            "left" => self.news(Report::LeftBehind),
            "merge" => self.merge_planned(step(), vec![]),
            "conflict" => self.merge_planned(step(), vec![file_of(StepId(1))]),
            "merged" => self.news(Report::Merged { step: step() }),
            "prime-accepts" => self.judged(step(), Ruling::Accept),
            "prime-retries" => {
                let feedback = "look again".into();
                self.judged(step(), Ruling::Retry { feedback });
            }
            "prime-asks" => {
                let question = "good enough?".into();
                self.judged(step(), Ruling::Ask { question });
            }
            "prime-replans" => {
                let steps = planned(more);
                self.judged(step(), Ruling::Replan { steps });
            }
            "prime-fails" => self.news(Report::JudgeFailed {
                turn: self.last_turn(step()),
                reason: "no answer".into(),
            }),
            "yes" => self.answer(Answer::Allow),
            "no" => self.answer(Answer::Deny {
                reason: "no".into(),
            }),
            "words" => self.answer(Answer::Text {
                text: "like this".into(),
            }),
            "edit" => self.edit(self.task.plan_version, of),
            "edit-old" => self.edit(self.task.plan_version - 1, of),
            "say" => self.say(of, false),
            "urgent" => self.say(of, true),
            "reads" => self.news(Report::MessagesRead {
                turn: self.turn(step()),
            }),
            "checked" => self.checks(CheckTime::After {
                round: self.task.round,
            }),
            "undone" => self.news(Report::WorkspaceReset {
                turn: self.turn(step()),
                to: snapshot("d"),
                kept: snapshot("e"),
            }),
            "wait" => {
                self.now = self.task.next_wake().expect("something waits");
                let events = self.task.tick(self.now);
                self.record(events);
            }
            "later" => {
                self.now = self.now.after(Duration::from_secs(3600));
                let events = self.task.tick(self.now);
                self.record(events);
            }
            "goes-on" => self.goes_on(),
            other => panic!("the script has no word `{other}`"),
        }
    }

    fn script(&mut self, script: &str) -> &mut Self {
        for word in script.split_whitespace() {
            self.said.clear();
            self.word(word);
            let again = Task::replay(self.task.id, self.log.clone()).unwrap();
            assert_eq!(again, self.task, "a replay gives the same task");
        }
        self
    }

    /// Whatever is owed is done, and well, until the task rests in review.
    fn goes_on(&mut self) {
        for _ in 0..400 {
            match self.task.phase {
                Phase::Review { .. } => return,
                Phase::Paused { .. } | Phase::Failed { .. } if !self.task.is_stopping() => {
                    self.order(Command::Resume);
                }
                Phase::Queued if !self.task.is_stopping() => self.order(Command::Admit),
                Phase::Cancelled { .. } if self.task.is_at_rest() && self.owed().is_empty() => {
                    self.order(Command::Restore);
                }
                _ if !self.task.approvals.is_empty() => self.answer(Answer::Allow),
                _ => self.does_next(),
            }
        }
        panic!("it goes on for ever: {}", self.states());
    }

    fn does_next(&mut self) {
        let owed = self.task.owed();
        let works = |effect: &&Effect| !matches!(effect, Effect::WarmSession { .. });
        let stopped = self.task.turns.values().find(|turn| {
            let effect = Effect::RunTurn { turn: turn.id };
            !owed.contains(&effect)
        });
        if let Some(turn) = stopped {
            let step = turn.step;
            return self.ends(step, TurnOutcome::Interrupted);
        }
        match owed.iter().find(works) {
            Some(Effect::RunTurn { turn }) => {
                let step = self.task.turns[turn].step;
                let kind = self.step(step).planned.kind;
                match kind {
                    StepKind::Validation => self.word(&format!("pass:{step}")),
                    _ => self.word(&format!("done:{step}")),
                }
            }
            Some(Effect::Judge { turn }) => {
                let step = self.task.turn_steps[turn];
                self.judged(step, Ruling::Accept);
            }
            Some(Effect::PlanMerge { step }) => self.merge_planned(*step, vec![]),
            Some(Effect::Merge { step, .. }) => self.news(Report::Merged { step: *step }),
            Some(Effect::RunChecks { time }) => self.checks(*time),
            Some(Effect::DropWorkspace) => self.word("dropped"),
            Some(Effect::RestoreWorkspace { .. }) => self.word("back"),
            Some(other) => panic!("the table does not do {other:?}"),
            None if self.task.next_wake().is_some() => self.word("wait"),
            None => panic!(
                "stuck in {:?}: {}\n{}",
                self.task.phase,
                self.states(),
                self.said
            ),
        }
    }

    /// What is under way, without the sessions that are kept warm.
    fn owed(&self) -> String {
        let word = |effect: Effect| match effect {
            Effect::RunTurn { turn } => Some(format!("run {}", self.task.turns[&turn].step)),
            Effect::Judge { turn } => Some(format!("judge {}", self.task.turn_steps[&turn])),
            Effect::PlanMerge { step } => Some(format!("plan merge {step}")),
            Effect::Merge { step, .. } => Some(format!("merge {step}")),
            Effect::RunChecks { .. } => Some("checks".to_owned()),
            Effect::DropWorkspace => Some("drop".to_owned()),
            Effect::RestoreWorkspace { .. } => Some("restore".to_owned()),
            Effect::WarmSession { .. } => None,
            other => panic!("the table does not know {other:?}"),
        };
        let words: Vec<_> = self.task.owed().into_iter().filter_map(word).collect();
        words.join(", ")
    }

    /// Where each step is, and who has it.
    fn states(&self) -> String {
        let word = |step: &Step| {
            let state = match step.state {
                StepState::Waiting => "waits",
                StepState::Running { .. } => "runs",
                StepState::Backoff { .. } => "rests",
                StepState::Parked { .. } => "is parked",
                StepState::HandedIn => "is handed in",
                StepState::Done => "done",
                StepState::Failed => "failed",
                StepState::Cancelled => "cancelled",
            };
            let seat = step.seat_id().filter(|_| step.state != StepState::Done);
            let at = seat.map(|seat| format!(" at {seat}")).unwrap_or_default();
            format!("{} {state}{at}", step.planned.id)
        };
        let words: Vec<_> = self.task.steps.iter().map(word).collect();
        words.join(", ")
    }
}

/// What matters of a fact for these scripts.
fn describe(event: &Event) -> Option<String> {
    let more = match event {
        Event::StepStarted {
            step,
            attempt,
            seat,
            ..
        } => format!(" {step} seat {seat} attempt {attempt}"),
        Event::StepHandedIn { step, .. } | Event::StepEnded { step, .. } => format!(" {step}"),
        Event::Decided {
            step, ruling, by, ..
        } => format!(" {step} {} by {by:?}", ruling.name()),
        Event::MergePlanned {
            step, mended_by, ..
        } => match mended_by {
            Some(by) => format!(" {step} mended by {}", by.id),
            None => format!(" {step}"),
        },
        Event::Merged { step } => format!(" {step}"),
        Event::PlanRevised { version, by, .. } => format!(" {version} by {by:?}"),
        Event::TurnEnded { report } => format!(" {}", report.outcome.name()),
        Event::TaskPaused { why } => format!(" {why:?}"),
        Event::TaskFailed { failure } => format!(" {:?}", failure.kind),
        Event::RoundBegan { round, .. } => format!(" {round}"),
        Event::ReviewReached { verdict_failed } => format!(" failed {verdict_failed}"),
        Event::ApprovalAnswered { by, .. } => format!(" by {by:?}"),
        // Told on the way, and nothing follows from them.
        Event::MessagePosted { .. }
        | Event::ResultSubmitted { .. }
        | Event::TurnStreaming { .. }
        | Event::WorkAudited { .. }
        | Event::PrimeAsked { .. }
        | Event::BaseTaken { .. } => return None,
        _ => String::new(),
    };
    Some(format!("{}{more}", event.kind()))
}

/// What the last word of a script led to, and where the task is then.
fn after(options: &str, plan: &str, script: &str) -> String {
    let mut table = Table::with_plan(options, plan);
    table.script(script);
    format!("{}{}", table.said, table.task.state())
}

/// What is under way after a script.
fn owed(options: &str, plan: &str, script: &str) -> String {
    Table::with_plan(options, plan).script(script).owed()
}

/// Where the steps are after a script.
fn states(options: &str, plan: &str, script: &str) -> String {
    Table::with_plan(options, plan).script(script).states()
}

/// Aria first, three side by side, one on top of two of them, tests, a last one, and Beta.
const EIGHT: &str = "1r 2c<1 3c<1 4c<1 5c<2,3 6a<4 7c<5,6 8b<7";
/// Two that work side by side, and Beta.
const TWO: &str = "1c 2c 3b<1,2";

#[test]
fn steps_that_write_side_by_side_have_a_lane_each() {
    assert_eq!(
        states("", EIGHT, "done:1"),
        "1 done, 2 runs at code-2, 3 runs at code-3, 4 runs at code-4, 5 waits, 6 waits, 7 waits, 8 waits"
    );
    assert_eq!(owed("", EIGHT, "done:1"), "run 2, run 3, run 4");
}

#[test]
fn a_plan_of_eight_steps_in_three_lanes_comes_to_its_end() {
    let script = "done:1 base:2 base:3 base:4 done:2 done:3";
    assert_eq!(
        owed("", EIGHT, script),
        "run 4, plan merge 2",
        "one at a time, in the order in which they were accepted"
    );
    let script = format!("{script} merge:2 merged:2");
    assert_eq!(
        after("", EIGHT, &script),
        "  merged 2\n  step_ended 2\nworking"
    );
    let script = format!("{script} merge:3 merged:3");
    let said = after("", EIGHT, &script);
    assert!(said.contains("step_started 5 seat 1"), "{said}");
    let script = format!("{script} done:4 base:5 merge:4 merged:4");
    let said = after("", EIGHT, &script);
    assert!(said.contains("step_started 6 seat 1"), "{said}");
    assert_eq!(
        after("", EIGHT, &format!("{script} goes-on"))
            .lines()
            .last(),
        Some("review")
    );
}

#[test]
fn a_conflict_is_mended_before_anybody_builds_on_it() {
    let script = "base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2";
    let said = after("", TWO, script);
    assert!(said.contains("merge_planned 2 mended by 4"), "{said}");
    assert_eq!(
        owed("", TWO, script),
        "merge 2",
        "nobody mends what is not there"
    );
    let script = format!("{script} merged:2");
    let said = after("", TWO, &script);
    assert!(said.contains("step_started 4 seat 0"), "{said}");
    let said = after("", TWO, &format!("{script} done:4"));
    assert!(
        said.contains("step_ended 4") && said.contains("step_ended 2"),
        "{said}"
    );
    assert_eq!(owed("", TWO, &format!("{script} done:4")), "checks");
}

#[test]
fn one_that_mends_a_conflict_and_leaves_marks_is_sent_back() {
    let script = "base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2 merged:2 marked:4";
    let said = after("", TWO, script);
    assert!(said.contains("decided 4 retry by Rules"), "{said}");
    let asked = after("", TWO, &format!("{script} marked:4 marked:4"));
    assert!(asked.ends_with("approval_requested\nneeds_you"), "{asked}");
}

#[test]
fn a_crash_in_the_middle_of_a_merge_writes_it_again() {
    let script = "base:1 base:2 done:1 merge:1";
    assert_eq!(owed("", TWO, script), "run 2, merge 1");
    let said = after("", TWO, &format!("{script} left"));
    assert!(said.contains("step_started 2 seat 2 attempt 1"), "{said}");
    assert_eq!(owed("", TWO, &format!("{script} left")), "run 2, merge 1");
    let unbranched = "base:1 done:1 left";
    assert_eq!(
        states("", TWO, unbranched),
        "1 is handed in at code-2, 2 runs at code-3, 3 waits"
    );
    after("", TWO, &format!("{script} left goes-on"));
}

#[test]
fn a_session_lost_in_a_lane_begins_again_from_the_lanes_base() {
    let mut table = Table::with_plan("", TWO);
    table.script("base:1 base:2 lost:2");
    assert_eq!(table.step(StepId(2)).reset_to, Some(snapshot("d")));
    assert_eq!(
        table.step(StepId(1)).reset_to,
        None,
        "the other lane is another's"
    );
    table.script("wait");
    assert_eq!(
        table.states(),
        "1 runs at code-2, 2 runs at code-3, 3 waits"
    );
    table.script("undone:2 goes-on");
}

#[test]
fn each_moment_of_lanes_can_be_cut_off_paused_or_cancelled_and_goes_on() {
    let script = [
        "base:1",
        "base:2",
        "done:1",
        "merge:1",
        "merged:1",
        "done:2",
        "conflict:2",
        "merged:2",
        "done:4",
        "checked",
    ];
    for end in 0..=script.len() {
        let so_far = script[..end].join(" ");
        for stop in [
            "pause",
            "pause resume",
            "left",
            "pause left",
            "cancel",
            "cancel left",
        ] {
            let said = after("", TWO, &format!("{so_far} {stop} goes-on"));
            assert!(said.ends_with("review"), "{so_far} {stop}: {said}");
        }
    }
}

#[test]
fn lanes_that_are_gone_with_a_cancelled_copy_are_done_again_on_it() {
    let script = "base:1 base:2 done:1 cancel interrupted:2 dropped restore back resume";
    assert_eq!(
        states("", TWO, script),
        "1 runs at code-2, 2 runs at code-3, 3 waits"
    );
    let merging = "base:1 base:2 done:1 merge:1 cancel interrupted:2 dropped restore back resume";
    assert_eq!(
        owed("", TWO, merging),
        "merge 1",
        "what was being written is in the copy that was kept"
    );
    after("", TWO, &format!("{merging} goes-on"));
}

#[test]
fn each_ruling_means_what_it_says() {
    let doubted = "base:1 base:2 doubted:1";
    assert_eq!(owed("", TWO, doubted), "run 2, judge 1");
    let of = |word: &str| after("", TWO, &format!("{doubted} {word}"));
    assert!(of("prime-accepts:1").contains("decided 1 accept by Prime"));
    let retried = of("prime-retries:1");
    assert!(
        retried.contains("step_started 1 seat 1 attempt 2"),
        "{retried}"
    );
    assert!(of("prime-asks:1").contains("approval_requested"));
    assert!(of("prime-asks:1 yes").contains("decided 1 accept by Person"));
    assert!(of("prime-asks:1 words").contains("step_started 1 seat 1 attempt 2"));
    assert!(of("prime-asks:1 no").contains("step_started 1 seat 1 attempt 2"));
    assert!(of("prime-fails:1").contains("decided 1 accept by Rules"));
    let replanned = of("prime-replans:1:9c<1,2+10b<9");
    assert!(replanned.contains("plan_revised 2 by Prime"), "{replanned}");
    let replanned = states("", TWO, &format!("{doubted} prime-replans:1:9c<1,2+10b<9"));
    assert_eq!(
        replanned,
        "1 is handed in at code-2, 2 runs at code-3, 9 waits, 10 waits"
    );
    let nonsense = of("prime-replans:1:9c<77");
    assert!(!nonsense.contains("plan_revised"), "{nonsense}");
    assert!(nonsense.contains("decided 1 accept by Prime"), "{nonsense}");
}

#[test]
fn a_plan_that_is_looked_at_first_begins_with_a_yes() {
    let table = Table::with_plan("plan-first", TWO);
    assert_eq!(table.states(), "1 waits, 2 waits, 3 waits");
    assert_eq!(table.task.state(), TaskState::NeedsYou);
    assert_eq!(
        states("plan-first", TWO, "yes"),
        "1 runs at code-2, 2 runs at code-3, 3 waits"
    );
    assert!(after("plan-first", TWO, "no").ends_with("task_paused Plan\npaused"));
    assert!(after("plan-first", TWO, "no resume").ends_with("approval_requested\nneeds_you"));
    let edited = after("plan-first", TWO, "edit:1c+2c");
    assert!(
        edited.contains("approval_withdrawn\n  approval_requested"),
        "another plan is another question: {edited}"
    );
    assert!(after("plan-first", TWO, "yes edit:1c+2c+3b<1,2+5a<1").contains("plan_revised"));
    let replanned = "yes base:1 base:2 doubted:1 prime-replans:1:9c<1,2+10b<9";
    assert!(after("plan-first", TWO, replanned).ends_with("approval_requested\nneeds_you"));
    assert!(after("plan-first", TWO, &format!("{replanned} goes-on")).ends_with("review"));
}

#[test]
fn what_was_begun_stays_in_the_plan_as_it_is() {
    let gone = after("", TWO, "base:1 edit:2c+3b<2");
    assert!(gone.contains("refused: step 1 was begun"), "{gone}");
    let changed = after("", TWO, "base:1 edit:1c<2+2c+3b<1,2");
    assert!(changed.contains("refused: step 1 was begun"), "{changed}");
    let old = after("", TWO, "edit:1c+2c+3b<1,2+4a edit-old:1c+2c");
    assert!(old.contains("refused: the plan has changed"), "{old}");
    let more = "base:1 base:2 edit:1c+2c+3b<1,2+4a<1";
    assert_eq!(
        states("", TWO, more),
        "1 runs at code-2, 2 runs at code-3, 3 waits, 4 waits"
    );
    assert!(after("", TWO, &format!("{more} goes-on")).ends_with("review"));
}

#[test]
fn something_urgent_interrupts_whoever_it_is_for_and_no_other() {
    let plan = "1c 2a 3b<1,2";
    let said = after("", plan, "base:1 base:2 urgent:code");
    assert_eq!(said, "  turn_called_off\nworking");
    assert_eq!(owed("", plan, "base:1 base:2 urgent:code"), "run 2");
    let again = after("", plan, "base:1 base:2 urgent:code interrupted:1");
    assert!(again.contains("step_started 1 seat 1 attempt 1"), "{again}");
    assert_eq!(owed("", plan, "base:1 base:2 urgent:team"), "");
    let finished = after("", plan, "base:1 base:2 urgent:code done:1");
    assert!(
        finished.contains("decided 1 retry by Person"),
        "one that finished before it heard is told: {finished}"
    );
    let heard = after("", plan, "base:1 base:2 say:code reads:1 done:1");
    assert!(heard.contains("decided 1 accept by Rules"), "{heard}");
}

#[test]
fn one_seat_takes_a_parallel_plan_one_step_after_the_other() {
    assert_eq!(
        states("seats:1", EIGHT, "done:1"),
        "1 done, 2 runs at code-2, 3 waits, 4 waits, 5 waits, 6 waits, 7 waits, 8 waits"
    );
    assert!(after("seats:1", EIGHT, "done:1 goes-on").ends_with("review"));
}

#[test]
fn prime_is_not_asked_beyond_a_cap() {
    // Each turn and each question to Prime costs a tenth of what may be spent.
    let chain = "1c 2c<1 3c<2 4c<3 5c<4 6c<5 7b<6";
    let mut script = "done:1".to_owned();
    for step in 2..6 {
        script.push_str(&format!(" doubted:{step} prime-accepts:{step}"));
    }
    let said = after("budget", chain, &format!("{script} doubted:6"));
    assert!(said.ends_with("task_paused Budget\npaused"), "{said}");
    assert_eq!(owed("", chain, &format!("{script} doubted:6")), "judge 6");
}

#[test]
fn what_is_accepted_or_merged_while_the_task_stands_still_is_done() {
    let merged = "base:1 base:2 done:1 merge:1 pause merged:1 interrupted:2";
    assert_eq!(
        states("", TWO, merged),
        "1 done, 2 waits at code-3, 3 waits"
    );
    let cancelled = "base:1 base:2 done:1 merge:1 cancel merged:1 interrupted:2";
    let back = format!("{cancelled} dropped restore back resume");
    assert_eq!(states("", TWO, &back), "1 done, 2 runs at code, 3 waits");
    let chain = "1c 2c<1 3b<2";
    assert_eq!(
        states(
            "",
            chain,
            "doubted:1 pause prime-accepts:1 cancel dropped restore back"
        ),
        "1 done, 2 waits, 3 waits"
    );
    let four = "1c 2c 3b<1,2 5r";
    let mended = "yes base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2 merged:2 doubted:5";
    let mended = format!("{mended} prime-replans:5:9c<1 done:6");
    let said = after("plan-first", four, &mended);
    assert!(
        said.contains("step_ended 2"),
        "the new plan waits, not the old work: {said}"
    );
    assert!(said.ends_with("needs_you"), "{said}");
}

#[test]
fn a_step_that_mends_a_conflict_stays_in_the_plan_before_it_is_begun() {
    let conflict = "base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2";
    let edited = after("", TWO, &format!("{conflict} edit:1c+2c+3b<1,2"));
    assert!(edited.contains("refused: step 4 was begun"), "{edited}");
    let four = "1c 2c 3b<1,2 5r";
    let conflict = format!("{conflict} doubted:5");
    let replanned = format!("{conflict} prime-replans:5:9c<1,2+10b<9");
    assert!(
        states("", four, &replanned).contains("6 waits"),
        "it is not Prime's to drop"
    );
    assert!(after("", four, &format!("{replanned} goes-on")).ends_with("review"));
}

#[test]
fn one_fail_of_several_judgements_goes_back() {
    let plan = "1c 2b<1 3b<1";
    let good = after("", plan, "done:1 checked pass:2 pass:3");
    assert!(
        good.ends_with("review_reached failed false\nreview"),
        "{good}"
    );
    for bad in ["fail:2 pass:3", "pass:2 fail:3", "pass:3 fail:2"] {
        let said = after("", plan, &format!("done:1 checked {bad}"));
        assert!(said.contains("round_began 2"), "{bad}: {said}");
    }
}

#[test]
fn work_that_is_planned_after_the_checks_is_checked_and_judged_with_the_rest() {
    let chain = "1c 2b<1";
    let judged = "done:1 checked";
    let replanned = format!("{judged} doubted:2 prime-replans:2:3c<1");
    assert_eq!(
        states("", chain, &replanned),
        "1 done, 2 waits, 3 runs at code"
    );
    assert_eq!(owed("", chain, &format!("{replanned} done:3")), "checks");
    let said = after("", chain, &format!("{replanned} done:3 checked"));
    assert!(said.contains("step_started 2"), "{said}");

    let edited = format!("{judged} edit:1c+2b<1+3c<1");
    let said = after("", chain, &edited);
    assert!(
        said.contains("turn_called_off"),
        "Beta judges what is more now: {said}"
    );
    let said = after("", chain, &format!("{edited} pass:2"));
    assert!(said.contains("decided 2 retry by Rules"), "{said}");
    assert_eq!(
        owed("", chain, &format!("{edited} done:3 pass:2")),
        "checks"
    );
    assert!(after("", chain, &format!("{edited} goes-on")).ends_with("review"));
}

#[test]
fn a_question_that_a_new_plan_answers_is_not_asked_any_more() {
    let chain = "1c 2b<1";
    let mut asked = "done:1 checked fail:2".to_owned();
    for _ in 0..3 {
        asked.push_str(" done:1 checked fail:2");
    }
    assert!(after("", chain, &asked).ends_with("approval_requested\nneeds_you"));
    let edited = after("", chain, &format!("{asked} edit:1c+2b<1+3c<1"));
    assert!(edited.contains("approval_withdrawn"), "{edited}");
    assert!(edited.ends_with("working"), "{edited}");
}

#[test]
fn a_step_that_rests_wakes_nobody_while_the_plan_is_looked_at() {
    let four = "1c 2c 3b<1,2 5r";
    let script = "yes base:1 base:2 doubted:5 prime-replans:5:9c<1 crash:2";
    let mut table = Table::with_plan("plan-first", four);
    table.script(script);
    let expires = table.task.approvals.values().next().unwrap().expires_at;
    assert_eq!(table.task.next_wake(), expires);
    table.script("yes");
    assert!(table.task.next_wake() < expires, "now it is tried again");
    table.script("goes-on");
}

#[test]
fn prime_replaces_no_plan_that_it_has_not_seen() {
    let three = "1c 2c 3b<1,2";
    let both = "base:1 base:2 doubted:1";
    let new = "prime-replans:1:5c<1,2+6b<5";
    assert!(after("", three, &format!("{both} {new}")).contains("plan_revised"));
    let edited = format!("{both} edit:1c+2c+3b<1,2+5a<2 {new}");
    let said = after("", three, &edited);
    assert!(said.contains("decided 1 accept by Prime"), "{said}");
    assert!(
        !said.contains("plan_revised"),
        "what the person added stays: {said}"
    );
    let four = "1c 2c 3b<1,2 5r";
    let conflict = "base:1 base:2 doubted:5 done:1 merge:1 merged:1 done:2 conflict:2";
    let said = after("", four, &format!("{conflict} prime-replans:5:6c<1,2+7b<6"));
    assert!(
        !said.contains("plan_revised"),
        "6 mends the conflict: {said}"
    );
}

#[test]
fn prime_is_not_asked_beyond_a_cap_while_the_plan_is_looked_at() {
    let mut script = "yes".to_owned();
    for step in [1, 2, 4] {
        script.push_str(&format!(" doubted:{step} prime-accepts:{step}"));
    }
    let script = format!("{script} doubted:3 prime-replans:3:9c doubted:5 doubted:6");
    let said = after("budget plan-first", "1r 2r 3r 4r 5r 6r 7c<6", &script);
    assert!(said.ends_with("task_paused Budget\npaused"), "{said}");
}

#[test]
fn a_ruling_that_comes_twice_is_one_ruling() {
    let asked = "base:1 base:2 doubted:1 prime-asks:1";
    assert_eq!(
        after("", TWO, &format!("{asked} prime-asks:1")),
        "needs_you"
    );
    assert_eq!(
        after("", TWO, &format!("{asked} prime-accepts:1")),
        "needs_you"
    );
    let accepted = format!("{asked} yes");
    assert_eq!(
        after("", TWO, &format!("{accepted} prime-retries:1")),
        "working"
    );
}

#[test]
fn a_merge_waits_for_lanes_that_are_being_branched_off() {
    let three = "1c 2c 3c 4b<1,2,3";
    assert_eq!(owed("", three, "base:1 done:2"), "run 1, run 3");
    assert_eq!(
        owed("", three, "base:1 base:3 done:2"),
        "run 1, run 3, plan merge 2"
    );
    let unbranched = "base:1 done:2 crash:3";
    assert_eq!(
        owed("", three, unbranched),
        "run 1, plan merge 2",
        "it is not branched off until it is tried again"
    );
    let merged = format!("{unbranched} merge:2 merged:2 wait");
    assert_eq!(owed("", three, &merged), "run 1, run 3");
}

#[test]
fn what_is_ready_to_be_merged_goes_before_who_would_write_to_the_copy() {
    // 1 was begun as the only one, and ended before its base was taken; 3 came with an edit.
    let two = "1c 2b<1";
    let beside = "crash:1 edit:1c+2b<1+3c";
    let ready = format!("{beside} base:3 done:3 later");
    assert_eq!(owed("", two, &ready), "plan merge 3");
    let merged = format!("{ready} merge:3 merged:3");
    assert_eq!(owed("", two, &merged), "run 1");
    assert_eq!(
        owed("", two, &format!("{beside} later")),
        "run 3",
        "nobody writes to what a lane is being branched off"
    );
    assert_eq!(
        owed("", two, &format!("{beside} base:3 later done:3")),
        "run 1",
        "nothing is merged into what somebody writes to"
    );
}

#[test]
fn results_are_merged_in_the_order_in_which_they_were_accepted() {
    let both = "base:1 base:2 doubted:1 done:2";
    assert_eq!(owed("", TWO, both), "judge 1, plan merge 2");
    let both = format!("{both} prime-accepts:1");
    assert_eq!(owed("", TWO, &both), "plan merge 2");
    assert_eq!(
        owed("", TWO, &format!("{both} merge:2 merged:2")),
        "plan merge 1"
    );
}

#[test]
fn what_was_said_of_one_hand_in_is_not_said_of_the_next() {
    let again = "base:1 base:2 doubted:1 prime-asks:1 words doubted:1 prime-asks:1";
    assert_eq!(after("", TWO, again), "  approval_requested\nneeds_you");
}

#[test]
fn each_agent_of_a_role_hears_what_is_said_to_it() {
    let said = "base:1 base:2 say:code reads:1 done:1";
    assert!(after("", TWO, said).contains("decided 1 accept by Rules"));
    let deaf = after("", TWO, &format!("{said} done:2"));
    assert!(deaf.contains("decided 2 retry by Person"), "{deaf}");
    let heard = after("", TWO, "base:1 base:2 say:code reads:1 reads:2 done:2");
    assert!(heard.contains("decided 2 accept by Rules"), "{heard}");
}

#[test]
fn time_runs_out_for_a_task_that_has_reached_another_cap_as_well() {
    let merging = "base:1 base:2 done:1 done:2 merge:1 merged:1 merge:2";
    let mut table = Table::with_plan("", TWO);
    table.script(merging);
    let limits = Limits {
        tokens: Some(1),
        seconds: Some(10),
        ..Limits::default()
    };
    table.order(Command::SetLimits { limits });
    assert_eq!(table.owed(), "merge 2", "a merge costs no tokens");
    table.script("wait");
    assert_eq!(table.said, "  task_paused Time\n");
    assert_eq!(table.task.next_wake(), None);
}

#[test]
fn marks_that_are_left_are_the_persons_to_judge_however_often_the_task_stood_still() {
    let conflict = "base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2 merged:2";
    let asked = format!("{conflict} marked:4 marked:4 marked:4");
    let again = after("", TWO, &format!("{asked} pause resume"));
    assert!(again.ends_with("approval_requested\nneeds_you"), "{again}");
    assert_eq!(
        owed("", TWO, &format!("{asked} pause resume")),
        "",
        "Prime is not asked"
    );
    assert!(after("", TWO, &format!("{asked} pause resume yes")).contains("step_ended 2"));
    let alone = after("unattended", TWO, &asked);
    assert!(alone.contains("decided 4 accept by Rules"), "{alone}");
}

#[test]
fn what_the_person_says_is_heard_before_they_are_asked_about_marks() {
    let conflict = "base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2 merged:2";
    let said = format!("{conflict} marked:4 marked:4 say:code marked:4");
    let said = after("", TWO, &said);
    assert!(said.contains("decided 4 retry by Person"), "{said}");
    assert!(said.contains("step_started 4"), "{said}");
}

#[test]
fn prime_is_not_asked_on_an_account_that_is_closed() {
    let held = "base:1 base:2 doubted:1 limit:2";
    assert_eq!(owed("claude-plans", TWO, held), "");
    assert_eq!(
        owed("claude-plans", TWO, &format!("{held} wait")),
        "run 2, judge 1"
    );
    assert_eq!(
        owed("", TWO, held),
        "judge 1",
        "this one is on another account"
    );
}

#[test]
fn one_that_fails_to_mend_a_conflict_is_tried_again_and_not_for_ever() {
    let mut script = "base:1 base:2 done:1 merge:1 merged:1 done:2 conflict:2 merged:2".to_owned();
    for _ in 0..3 {
        script.push_str(" crash:4 wait");
    }
    let failed = after("", TWO, &format!("{script} crash:4"));
    assert!(failed.ends_with("task_failed Agent\nfailed"), "{failed}");
    let resumed = states("", TWO, &format!("{script} crash:4 resume"));
    assert!(
        resumed.contains("2 is handed in") && resumed.contains("4 runs"),
        "{resumed}"
    );
    assert!(after("", TWO, &format!("{script} crash:4 goes-on")).ends_with("review"));
}
