//! Tasks from situation to outcome: a script of orders and news goes in, the recorded facts
//! and the state come out. The cases know nothing of the core's types.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a script that does not fit is a failing test"
)]

use nexus_core::*;
use uuid::Uuid;

/// A task at a desk: the script's words become orders and news.
struct Desk {
    task: Task,
    log: Vec<(Event, Timestamp)>,
    now: Timestamp,
    said: String,
}

impl Desk {
    fn new(options: &str) -> Self {
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
            planner: if options.contains("planner") {
                PlannerKind::Openai
            } else {
                PlannerKind::Standard
            },
            permissions: Permissions::Workspace,
            priority: Priority::Normal,
            budget: options
                .contains("budget")
                .then(|| Usd::from_dollars(1.0).unwrap()),
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: !options.contains("unattended"),
            terms: terms(options),
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

    fn record(&mut self, events: Vec<Event>) {
        for event in events {
            self.task.apply(&event, self.now);
            self.said.push_str(&format!("  {}\n", describe(&event)));
            self.log.push((event, self.now));
        }
    }

    fn order(&mut self, command: Command) {
        match self.task.decide(&command, self.now) {
            Ok(events) => self.record(events),
            Err(rejection) => self.said.push_str(&format!("  refused: {rejection}\n")),
        }
    }

    fn news(&mut self, report: Report) {
        let events = self.task.observe(&report, self.now);
        self.record(events);
    }

    /// The one turn that runs.
    fn turn(&self) -> TurnId {
        *self.task.turns.keys().next().expect("a turn runs")
    }

    fn ends(&mut self, outcome: TurnOutcome) {
        let usage = Usage {
            input_tokens: 100,
            cost: Usd::from_dollars(0.4),
            ..Usage::default()
        };
        let turn = self.turn();
        self.news(Report::TurnEnded(TurnReport {
            turn,
            outcome,
            usage,
            duration_ms: 1500,
            covers_lost: false,
        }));
    }

    fn checks(&mut self, time: CheckTime, code: Option<i32>) {
        let tree = TreeId::parse(&"a".repeat(40)).unwrap();
        let evidence = code.map(|code| Evidence {
            command: CommandLine::parse("make test").unwrap(),
            end: CommandEnd::Exited { code },
            output_sha256: "0".repeat(64),
            output_tail: "1 failed".into(),
            tree: tree.clone(),
            started_at: self.now,
            duration_ms: 7,
        });
        let change = FileChange {
            path: ProjectPath::parse("sum.py").unwrap(),
            change: ChangeKind::Modified,
            lines: Some(LineCount {
                added: 1,
                removed: 1,
            }),
        };
        let changes = match time {
            CheckTime::Baseline => vec![],
            CheckTime::After { .. } => vec![change],
        };
        let run = CheckRun {
            time,
            tree,
            evidence: evidence.into_iter().collect(),
        };
        self.news(Report::ChecksRan { run, changes });
    }

    fn result(&mut self, verdict: Option<Verdict>) {
        self.judges(verdict, vec![]);
    }

    /// Hands in a result that judges the items of the checklist.
    fn judges(&mut self, verdict: Option<Verdict>, judged: Vec<(&str, bool)>) {
        let judged = judged.into_iter().map(|(item, met)| Judged {
            item: item.into(),
            met,
            why: "I looked".into(),
        });
        let checklist = judged.collect();
        let turn = self.turn();
        let finding = Finding {
            problem: "off by one".into(),
            location: Some("sum.py:3".into()),
            severity: Severity::High,
            suggestion: None,
        };
        let findings = match verdict {
            Some(Verdict::Fail) => vec![finding],
            Some(Verdict::Pass) | None => vec![],
        };
        let result = StepResult {
            summary: "looked".into(),
            verdict,
            findings,
            checklist,
            ..StepResult::default()
        };
        self.news(Report::Result {
            turn,
            result: Box::new(result),
        });
    }

    fn word(&mut self, word: &str) {
        let done = |text: &str| TurnOutcome::Completed {
            text: text.into(),
            denials: vec![],
        };
        match word {
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
            "accept" => self.order(Command::Accept {
                although_red: false,
            }),
            "accept-red" => self.order(Command::Accept { although_red: true }),
            "discard" => self.order(Command::Discard),
            "restore" => self.order(Command::Restore),
            "follow-up" => self.order(Command::RequestChanges {
                text: "also round".into(),
            }),
            "raise" => self.order(Command::SetBudget {
                budget: Usd::from_dollars(9.0),
            }),
            "prepared" => self.news(Report::WorkspacePrepared(PreparedWorkspace {
                path: "/data/w".into(),
                base: SnapshotId::parse(&"b".repeat(40)).unwrap(),
                tree: TreeId::parse(&"c".repeat(40)).unwrap(),
                files: 3,
                checks: vec![CommandLine::parse("make test").unwrap()],
                setup: None,
                allowed_commands: vec![],
                notes: vec![],
            })),
            "no-plan" => self.news(Report::PlannerFailed {
                reason: "no answer".into(),
            }),
            "before-green" => self.checks(CheckTime::Baseline, Some(0)),
            "before-red" => self.checks(CheckTime::Baseline, Some(1)),
            "before-none" => self.checks(CheckTime::Baseline, None),
            "green" => self.checks(
                CheckTime::After {
                    round: self.task.round,
                },
                Some(0),
            ),
            "red" => self.checks(
                CheckTime::After {
                    round: self.task.round,
                },
                Some(1),
            ),
            "none" => self.checks(
                CheckTime::After {
                    round: self.task.round,
                },
                None,
            ),
            "says" => self.ends(done("all done")),
            "result" => self.result(None),
            "pass" => self.result(Some(Verdict::Pass)),
            "fail" => self.result(Some(Verdict::Fail)),
            "judges-all-met" => self.judges(
                Some(Verdict::Pass),
                vec![("it adds  up.", true), ("- It is fast", true)],
            ),
            "judges-one-unmet" => self.judges(
                Some(Verdict::Pass),
                vec![("It adds up", true), ("It is fast", false)],
            ),
            "judges-one" => self.judges(Some(Verdict::Pass), vec![("It is fast", true)]),
            "crash" => self.ends(TurnOutcome::Exited {
                code: 1,
                stderr: "boom".into(),
            }),
            "interrupted" => self.ends(TurnOutcome::Interrupted),
            "lost" => self.ends(TurnOutcome::SessionLost {
                message: "unknown id".into(),
            }),
            "auth" => self.ends(TurnOutcome::AuthRequired {
                message: "401".into(),
            }),
            "limit" => self.ends(TurnOutcome::RateLimited {
                until: Some(self.now.after(std::time::Duration::from_secs(3600))),
                message: "limit".into(),
            }),
            "asks" => self.news(Report::Asked {
                turn: self.turn(),
                question: Question::Tool {
                    request: ToolRequest {
                        tool: "Bash".into(),
                        input: serde_json::json!({"command": "curl example.org"}),
                    },
                    why: "not a check".into(),
                },
                allowed_by_rule: false,
            }),
            "yes" | "yes-for-task" | "yes-to-other" | "no" => {
                let approval = *self
                    .task
                    .approvals
                    .keys()
                    .next()
                    .expect("a question is open");
                let answer = match word {
                    "yes" | "yes-to-other" => Answer::Allow,
                    "yes-for-task" => Answer::AllowForTask,
                    _ => Answer::Deny {
                        reason: "no".into(),
                    },
                };
                let digest = (word == "yes-to-other").then(|| "something else".to_owned());
                self.order(Command::Answer {
                    approval,
                    answer,
                    digest,
                });
            }
            "process" => {
                let turn = self.task.turns[&self.turn()].clone();
                self.news(Report::ProcessStarted {
                    role: turn.role(),
                    session: turn.session,
                    pid: 77,
                });
            }
            "killed" => {
                let (session, process) = self.task.processes.first_key_value().expect("a process");
                let (role, session) = (process.role, *session);
                let end = ProcessEnd::Killed;
                self.news(Report::ProcessEnded { role, session, end });
            }
            "left" => self.news(Report::LeftBehind),
            "base" => self.news(Report::BaseTaken {
                turn: self.turn(),
                base: SnapshotId::parse(&"d".repeat(40)).unwrap(),
            }),
            "undone" => self.news(Report::WorkspaceReset {
                turn: self.turn(),
                to: SnapshotId::parse(&"d".repeat(40)).unwrap(),
                kept: SnapshotId::parse(&"e".repeat(40)).unwrap(),
            }),
            "reaches-out" => self.news(Report::WentOutward {
                turn: self.turn(),
                command: "git push".into(),
            }),
            "speaks" => self.news(Report::TurnStreaming { turn: self.turn() }),
            "new-session" => self.order(Command::ReplaceSession { role: Role::Code }),
            "other-limit" => self.order(Command::Hold(Hold {
                why: HoldReason::Limit,
                until: Some(self.now.after(std::time::Duration::from_secs(3600))),
                message: "limit".into(),
            })),
            "no-login" => self.order(Command::Hold(Hold {
                why: HoldReason::Login,
                until: None,
                message: "401".into(),
            })),
            "lift" => self.order(Command::LiftHold),
            "day-over" => self.order(Command::EndOfDay),
            "two-turns" => self.order(Command::SetLimits {
                limits: Limits {
                    turns: Some(2),
                    ..Limits::default()
                },
            }),
            "ten-seconds" => self.order(Command::SetLimits {
                limits: Limits {
                    seconds: Some(10),
                    ..Limits::default()
                },
            }),
            "planned" => self.news(Report::ApplyPlanned { operations: vec![] }),
            "conflict" => self.news(Report::ApplyConflicted {
                conflicts: vec!["sum.py".into()],
            }),
            "applied" => self.news(Report::Applied),
            "dropped" => self.news(Report::WorkspaceDropped { kept: None }),
            "wait" => {
                self.now = self.task.next_wake().expect("something waits");
                let events = self.task.tick(self.now);
                self.record(events);
            }
            other => panic!("the script has no word `{other}`"),
        }
    }
}

fn terms(options: &str) -> Terms {
    let mut checklist = vec!["It adds up".to_owned(), "It is fast".to_owned()];
    checklist.retain(|_| options.contains("checklist"));
    Terms {
        checklist,
        plan: plan(options).map(Box::new),
        ..Terms::default()
    }
}

fn plan(options: &str) -> Option<Plan> {
    if options.contains("only-code") {
        let kind = StepKind::Implementation;
        let step = PlannedStep::new(StepId(1), kind, "Do it".into(), "Do it".into());
        return Plan::new(vec![step]).ok();
    }
    let mut templates = Template::built_in().into_iter();
    let bug_fix = templates
        .find(|template| template.name == "bug-fix")
        .unwrap();
    bug_fix.plan.filter(|_| options.contains("bug-fix"))
}

fn describe(event: &Event) -> String {
    let more = match event {
        Event::StepStarted {
            step,
            turn,
            attempt,
            round,
            ..
        } => {
            format!(" step {step} turn {turn} attempt {attempt} round {round}")
        }
        Event::MessagePosted { message } => match message.as_ref() {
            Message::Assignment(m) => format!(" assignment → {}", m.to.agent_id),
            Message::Response(m) => {
                format!(
                    " response ← {} structured {}",
                    m.from.agent_id, m.structured
                )
            }
            Message::Note(_) => " note".into(),
        },
        Event::TurnEnded { report } => format!(" {}", report.outcome.name()),
        Event::ApprovalAnswered { answer, by, .. } => format!(" {answer:?} by {by:?}"),
        Event::ReviewReached { verdict_failed } => format!(" failed {verdict_failed}"),
        Event::TaskFailed { failure } => format!(" {:?}", failure.kind),
        Event::TaskPaused { why } => format!(" {why:?}"),
        Event::RoundBegan { round, .. } => format!(" {round}"),
        Event::Decided { ruling, by, .. } => format!(" {} by {by:?}", ruling.name()),
        _ => String::new(),
    };
    format!("{}{more}", event.kind())
}

/// Runs a script; shows what its last word led to, and where the task is after it.
fn after(options: &str, script: &str) -> String {
    let mut desk = Desk::new(options);
    for word in script.split_whitespace() {
        desk.said.clear();
        desk.word(word);
    }
    let again = Task::replay(desk.task.id, desk.log.clone()).expect("the log has a beginning");
    assert_eq!(again, desk.task, "replaying the log gives the same task");
    format!("{}{}", desk.said, desk.task.state())
}

/// Up to the moment when Code is at work.
const TO_CODE: &str = "start admit prepared before-green says";
/// Up to the moment when Beta is at work with green checks.
const TO_BETA: &str = "start admit prepared before-green says says says green";

#[test]
fn a_task_waits_for_a_place_and_then_begins_with_aria() {
    assert_eq!(after("", "start"), "  task_queued\nbacklog");
    assert_eq!(
        after("", "start admit"),
        "  task_started\n  plan_made\nplanning"
    );
    assert_eq!(
        after("", "start admit prepared"),
        "  workspace_prepared\n  message_posted assignment → aria_coordinator\n  step_started step 1 turn 1 attempt 1 round 1\nworking"
    );
}

#[test]
fn a_task_of_a_template_is_planned_by_it() {
    let script = "start admit prepared before-green says";
    assert!(after("", script).contains("assignment → code_developer"));
    assert!(after("bug-fix", script).contains("assignment → alpha_test_creator"));
    let script = format!("{script} says");
    assert!(after("bug-fix", &script).contains("assignment → code_developer"));
    let script = format!("{script} says green");
    assert!(after("bug-fix", &script).contains("assignment → beta_test_validator"));
}

#[test]
fn a_planner_is_asked_before_the_template_and_the_template_is_taken_when_it_fails() {
    let script = "start admit";
    assert_eq!(after("bug-fix planner", script), "  task_started\nplanning");
    let script = format!("{script} no-plan prepared before-green result says");
    assert!(after("bug-fix planner", &script).contains("assignment → alpha_test_creator"));
}

#[test]
fn code_waits_for_the_baseline() {
    assert_eq!(
        after("", "start admit prepared says"),
        "  result_submitted\n  message_posted response ← aria_coordinator structured false\n  turn_ended completed\n  step_ended\n  decided accept by Rules\nworking"
    );
    assert!(
        after("", "start admit prepared says before-green")
            .contains("step_started step 2 turn 2 attempt 1 round 1")
    );
}

#[test]
fn beta_waits_for_the_evidence_of_the_round() {
    assert!(!after("", "start admit prepared before-green says says says").contains("step 4"));
    assert!(after("", TO_BETA).contains("step_started step 4 turn 4 attempt 1 round 1"));
}

#[test]
fn a_passed_task_is_reviewed_and_only_accept_makes_it_done() {
    assert_eq!(
        after("", &format!("{TO_BETA} pass says")),
        "  message_posted response ← beta_test_validator structured true\n  turn_ended completed\n  step_ended\n  decided accept by Rules\n  review_reached failed false\nreview"
    );
    assert_eq!(
        after("", &format!("{TO_BETA} pass says accept")),
        "  accept_began\nreview"
    );
    assert_eq!(
        after("", &format!("{TO_BETA} pass says accept planned applied")),
        "  accepted\ndone"
    );
}

#[test]
fn a_conflict_stops_the_accept_and_loses_nothing() {
    let script = format!("{TO_BETA} pass says accept conflict");
    assert_eq!(after("", &script), "  accept_conflicted\nreview");
    assert_eq!(
        after("", &format!("{script} accept")),
        "  accept_began\nreview"
    );
    assert_eq!(
        after("", &format!("{script} applied")),
        "review",
        "stale news means nothing"
    );
}

#[test]
fn betas_fail_goes_back_to_code_three_times_and_then_the_person_is_asked() {
    let mut script = TO_BETA.to_owned();
    for round in 2..=4 {
        script.push_str(" fail says");
        assert!(
            after("", &script).contains(&format!("round_began {round}")),
            "{round}"
        );
        assert!(
            after("", &script).contains("step_started step 2"),
            "Code goes first"
        );
        script.push_str(" says green");
        assert!(
            after("", &script).contains("step_started step 4"),
            "then Beta, not Alpha"
        );
    }
    script.push_str(" fail says");
    let asked = after("", &script);
    assert!(
        asked.ends_with("  approval_requested\nneeds_you"),
        "{asked}"
    );
    assert!(after("", &format!("{script} yes")).contains("round_began 5"));
    assert!(after("", &format!("{script} no")).ends_with("review_reached failed true\nreview"));
    let alone = after("unattended", &script);
    assert!(
        alone.ends_with("review_reached failed true\nreview"),
        "{alone}"
    );
}

#[test]
fn checks_that_we_broke_go_back_to_code_whatever_beta_says() {
    let script = "start admit prepared before-green says says says red pass says";
    assert!(after("", script).contains("round_began 2"));
}

/// The findings that Code has to mend after this script.
fn mends(options: &str, script: &str) -> Vec<String> {
    let mut desk = Desk::new(options);
    script.split_whitespace().for_each(|word| desk.word(word));
    desk.task.step(StepId(2)).unwrap().feedback.clone()
}

#[test]
fn an_item_of_the_checklist_that_is_not_met_or_not_judged_goes_back_to_code() {
    let judged = |word: &str| mends("checklist", &format!("{TO_BETA} {word} says"));
    assert_eq!(
        judged("judges-one-unmet"),
        ["`It is fast` is not met: I looked"]
    );
    assert_eq!(judged("judges-one"), ["`It adds up` was not judged"]);
    assert_eq!(
        judged("fail"),
        [
            "off by one (sum.py:3)",
            "`It adds up` was not judged",
            "`It is fast` was not judged"
        ]
    );
    let again = format!("{TO_BETA} judges-one says says green");
    assert!(after("checklist", &again).contains("step_started step 4"));
    let judged = format!("{again} judges-all-met says");
    assert!(after("checklist", &judged).ends_with("review_reached failed false\nreview"));
}

#[test]
fn a_checklist_in_other_white_space_and_with_a_mark_is_the_same() {
    let script = format!("{TO_BETA} judges-all-met says");
    assert!(after("checklist", &script).ends_with("review_reached failed false\nreview"));
    let mut desk = Desk::new("checklist");
    script.split_whitespace().for_each(|word| desk.word(word));
    let judged = desk.task.judgements();
    assert!(judged.iter().all(|(_, judged)| judged.unwrap().met));
    let handed_over = scratchpad::body(desk.task.messages.last().unwrap());
    assert!(
        handed_over.contains("- [x] it adds  up.: I looked\n"),
        "{handed_over}"
    );
}

#[test]
fn a_plan_that_nobody_judges_leaves_the_checklist_to_the_person() {
    let script = "start admit prepared before-green says green";
    assert!(after("checklist only-code", script).ends_with("review_reached failed false\nreview"));
}

#[test]
fn only_what_was_judged_is_called_judged() {
    let mut desk = Desk::new("checklist");
    let script = format!("{TO_BETA} judges-one-unmet says");
    TO_BETA.split_whitespace().for_each(|word| desk.word(word));
    assert!(desk.task.judgements().iter().all(|(_, it)| it.is_none()));
    assert_eq!(desk.task.judgements().len(), 2);
    let mut desk = Desk::new("checklist");
    script.split_whitespace().for_each(|word| desk.word(word));
    assert!(
        desk.task.judgements().iter().all(|(_, it)| it.is_none()),
        "a round has begun, and nothing of it is judged yet"
    );
}

#[test]
fn the_team_is_told_the_checklist_and_beta_has_to_judge_it() {
    let prompt = |options: &str, script: &str| {
        let mut desk = Desk::new(options);
        script.split_whitespace().for_each(|word| desk.word(word));
        desk.task.prompt(desk.turn(), &[]).unwrap()
    };
    let to_alpha = format!("{TO_CODE} says");
    for script in [TO_CODE, &to_alpha, TO_BETA] {
        let told = prompt("checklist", script);
        assert!(told.contains("- It adds up\n- It is fast\n"), "{told}");
        assert_eq!(told.contains("Judge every one"), script == TO_BETA);
        assert!(!prompt("", script).contains("The checklist"));
    }
    assert!(prompt("checklist", &to_alpha).contains("Cover with a test"));
}

#[test]
fn checks_that_were_red_before_are_betas_to_judge() {
    let script = "start admit prepared before-red says says says red pass says";
    assert!(after("", script).ends_with("review"));
    assert!(after("", &format!("{script} accept")).contains("refused: the checks are not green"));
    assert_eq!(
        after("", &format!("{script} accept-red")),
        "  accept_began\nreview"
    );
}

#[test]
fn a_task_without_checks_says_so_and_may_be_accepted() {
    let script = "start admit prepared before-none says says says none pass says accept";
    assert_eq!(after("", script), "  accept_began\nreview");
}

#[test]
fn a_question_makes_the_task_need_you_until_it_is_answered() {
    let script = format!("{TO_CODE} asks");
    assert_eq!(after("", &script), "  approval_requested\nneeds_you");
    assert_eq!(
        after("", &format!("{script} yes")),
        "  approval_answered Allow by Person\nworking"
    );
    assert_eq!(
        after("", &format!("{script} says")).lines().next(),
        Some("  approval_withdrawn")
    );
}

#[test]
fn the_same_request_is_asked_once_when_it_was_allowed_for_the_task() {
    assert_eq!(
        after("", &format!("{TO_CODE} asks yes-for-task asks")),
        "  approval_requested\n  approval_answered Allow by EarlierAnswer\nworking"
    );
}

#[test]
fn an_unattended_task_denies_what_it_cannot_ask() {
    assert_eq!(
        after("unattended", &format!("{TO_CODE} asks")),
        "  approval_requested\n  approval_answered Deny { reason: \"nobody is there to be asked: this task runs unattended\" } by NobodyThere\nworking"
    );
}

#[test]
fn a_crash_is_tried_again_after_a_wait_and_not_for_ever() {
    let mut script = TO_CODE.to_owned();
    script.push_str(" crash");
    assert_eq!(
        after("", &script),
        "  turn_ended exited\n  step_delayed\nworking"
    );
    for attempt in 2..=4 {
        script.push_str(" wait");
        assert!(
            after("", &script).contains(&format!("attempt {attempt} ")),
            "{attempt}"
        );
        script.push_str(" crash");
    }
    assert_eq!(
        after("", &script),
        "  turn_ended exited\n  task_failed Agent\nfailed"
    );
    assert!(after("", &format!("{script} resume")).contains("step_started step 2"));
}

#[test]
fn a_limit_parks_the_step_and_costs_no_attempt() {
    let script = format!("{TO_CODE} limit");
    assert_eq!(
        after("", &script),
        "  turn_ended rate_limited\n  held\nworking"
    );
    let woken = after("", &format!("{script} wait"));
    assert!(
        woken.contains("hold_lifted") && woken.contains("attempt 1 "),
        "{woken}"
    );
}

#[test]
fn a_limit_that_another_task_met_holds_this_one_too() {
    let script = format!("{TO_CODE} other-limit says");
    assert!(
        !after("", &script).contains("step_started"),
        "nothing begins"
    );
    assert!(
        after("", &format!("{script} other-limit")).starts_with("working"),
        "once is enough"
    );
    assert!(after("", &format!("{script} wait")).contains("step_started step 3"));
    let script = format!("{TO_CODE} no-login says");
    assert!(!after("", &script).contains("step_started"));
    assert!(after("", &format!("{script} lift")).contains("step_started step 3"));
}

/// The four facts of every attempt so far.
fn facts(script: &str) -> String {
    let mut desk = Desk::new("");
    script.split_whitespace().for_each(|word| desk.word(word));
    let attempts = desk.task.steps.iter().flat_map(|step| {
        let facts = step.history.iter().map(|it| {
            format!(
                "{} {}.{}: {} {} {} {}\n",
                step.planned.role,
                it.round,
                it.number,
                it.process.name(),
                it.course.name(),
                it.claim.name(),
                it.verified.name()
            )
        });
        facts.collect::<Vec<_>>()
    });
    attempts.collect()
}

#[test]
fn an_attempt_has_four_facts_that_are_never_mixed() {
    let to_aria = "start admit prepared before-green";
    assert_eq!(
        facts(to_aria),
        "aria 1.1: not_started starting none pending\n"
    );
    assert_eq!(
        facts(&format!("{to_aria} process speaks result")),
        "aria 1.1: running streaming done pending\n"
    );
    assert_eq!(
        facts(&format!("{to_aria} process killed says process")),
        "aria 1.1: killed completed text not_applicable\ncode 1.1: running starting none pending\n",
        "the turn ended well although its process did not, and nothing of it was verified"
    );
    assert_eq!(
        facts(&format!("{TO_BETA} process fail says")),
        "aria 1.1: not_started completed text not_applicable\n\
         code 1.1: not_started completed text green\n\
         code 2.2: not_started starting none pending\n\
         alpha 1.1: not_started completed text green\n\
         beta 1.1: running completed fail green\n",
        "Beta claims a failure and the checks are green: both are kept"
    );
    assert_eq!(
        facts(&format!("{TO_CODE} process speaks left"))
            .lines()
            .nth(1),
        Some("code 1.1: swept output_lost none not_reached")
    );
}

#[test]
fn what_is_left_behind_is_closed_and_taken_again_under_the_same_number() {
    let script = format!("{TO_CODE} process speaks left");
    assert_eq!(
        after("", &script),
        "  process_ended\n  turn_ended output_lost\n  step_started step 2 turn 3 attempt 1 round 1\nworking"
    );
}

#[test]
fn a_step_whose_conversation_is_lost_begins_again_from_its_base() {
    let mut desk = Desk::new("");
    let script = format!("{TO_CODE} base speaks left lost wait");
    script.split_whitespace().for_each(|word| desk.word(word));
    let code = desk.task.step(StepId(2)).unwrap();
    assert_eq!(code.reset_to, code.base, "the unknown half is undone first");
    assert!(code.base.is_some());
    desk.word("undone");
    let code = desk.task.step(StepId(2)).unwrap();
    assert_eq!((&code.reset_to, code.was_reset), (&None, true));
    let prompt = desk.task.prompt(desk.turn(), &[]).unwrap();
    assert!(prompt.contains("was undone"), "{prompt}");
    assert!(
        prompt.contains("Your earlier conversation in this task is lost"),
        "{prompt}"
    );
}

#[test]
fn a_resumed_conversation_keeps_what_it_had_begun() {
    let mut desk = Desk::new("");
    let script = format!("{TO_CODE} base speaks left");
    script.split_whitespace().for_each(|word| desk.word(word));
    assert_eq!(desk.task.step(StepId(2)).unwrap().reset_to, None);
}

#[test]
fn an_interrupted_step_that_reached_out_is_put_to_the_person() {
    for end in ["left", "crash", "interrupted"] {
        let script = format!("{TO_CODE} reaches-out {end}");
        let asked = after("", &script);
        assert!(
            asked.ends_with("task_paused Unsure\npaused"),
            "{end}: {asked}"
        );
        assert!(after("", &format!("{script} resume")).contains("step_started step 2"));
    }
    let allowed = format!("{TO_CODE} asks yes crash");
    assert!(after("", &allowed).ends_with("task_paused Unsure\npaused"));
    assert!(after("", &format!("{TO_CODE} reaches-out says crash")).contains("step_delayed"));
}

#[test]
fn a_question_survives_its_process_and_takes_its_answer_along() {
    let asked = format!("{TO_CODE} asks left");
    assert!(after("", &asked).contains("approval_detached"));
    assert!(after("", &asked).ends_with("needs_you"), "it is still open");
    assert_eq!(
        after("", &format!("{asked} asks")),
        "  approval_reattached\nneeds_you"
    );
    assert_eq!(
        after("", &format!("{asked} yes asks")),
        "  approval_requested\n  approval_answered Allow by EarlierAnswer\nworking"
    );
    assert!(
        after("", &format!("{asked} yes asks asks")).ends_with("needs_you"),
        "it was an answer to one question"
    );
    assert!(after("", &format!("{asked} says")).contains("approval_withdrawn"));
}

#[test]
fn nobody_answering_in_time_is_a_no() {
    let script = format!("{TO_CODE} asks wait");
    assert_eq!(
        after("", &script),
        "  approval_answered Deny { reason: \"nobody answered within 86400 s, so the answer is no\" } by Expired\nworking"
    );
}

#[test]
fn an_answer_to_something_else_is_refused() {
    let said = after("", &format!("{TO_CODE} asks yes-to-other"));
    assert!(said.contains("refused: the question has changed"), "{said}");
    assert!(said.ends_with("needs_you"));
}

#[test]
fn caps_on_turns_and_time_pause_the_task() {
    let turns = after("", "start admit prepared before-green two-turns says says");
    assert!(turns.ends_with("task_paused Turns\npaused"), "{turns}");
    let time = after("", "start admit prepared before-green ten-seconds wait");
    assert_eq!(
        time, "  task_paused Time\nworking",
        "its turn is being stopped"
    );
    let script = "start admit prepared before-green ten-seconds wait interrupted resume";
    assert!(after("", script).contains("refused: the task's cap on working time"));
    let day = format!("{TO_CODE} day-over");
    assert_eq!(after("", &day), "  task_paused Day\nworking");
}

#[test]
fn an_idle_conversation_can_be_given_up() {
    let busy = format!("{TO_CODE} speaks new-session");
    assert!(after("", &busy).contains("refused"));
    let idle = format!("{TO_CODE} speaks says new-session");
    assert_eq!(after("", &idle), "  session_replaced\nworking");
}

#[test]
fn a_missing_login_stops_the_task_at_once() {
    assert_eq!(
        after("", &format!("{TO_CODE} auth")),
        "  turn_ended auth_required\n  task_failed Provider\nfailed"
    );
}

#[test]
fn a_lost_session_is_replaced_and_the_step_taken_again() {
    let script = format!("{TO_CODE} lost");
    assert_eq!(
        after("", &script),
        "  turn_ended session_lost\n  session_replaced\n  step_delayed\nworking"
    );
}

#[test]
fn pausing_says_paused_only_when_the_turn_has_stopped() {
    let script = format!("{TO_CODE} pause");
    assert_eq!(after("", &script), "  task_paused Person\nworking");
    assert_eq!(
        after("", &format!("{script} pause")),
        "working",
        "said twice is said once"
    );
    assert_eq!(
        after("", &format!("{script} resume")).lines().next(),
        Some("  task_resumed"),
        "it goes on when it has stopped"
    );
    let stopping = format!("{TO_CODE} process pause interrupted");
    assert!(
        after("", &stopping).ends_with("working"),
        "its process is still there"
    );
    assert!(after("", &format!("{stopping} killed")).ends_with("paused"));
    assert_eq!(
        after("", &format!("{script} interrupted")),
        "  turn_ended interrupted\npaused"
    );
    assert!(after("", &format!("{script} interrupted resume")).contains("attempt 1 "));
}

#[test]
fn a_turn_that_ends_by_itself_while_stopping_still_counts() {
    let script = format!("{TO_CODE} pause says resume");
    assert!(after("", &script).contains("step_started step 3"));
    assert_eq!(after("", &format!("{TO_CODE} cancel cancel")), "working");
}

#[test]
fn cancelling_stops_the_turn_and_can_be_taken_back() {
    let script = format!("{TO_CODE} cancel");
    assert_eq!(after("", &script), "  cancel_requested\nworking");
    let script = format!("{script} interrupted");
    assert_eq!(after("", &script), "  turn_ended interrupted\ncancelled");
    assert_eq!(
        after("", &format!("{script} restore")),
        "  restored\npaused"
    );
}

#[test]
fn discarded_work_comes_back_for_review() {
    let script = format!("{TO_BETA} pass says discard");
    assert_eq!(after("", &script), "  discarded\ncancelled");
    assert_eq!(
        after("", &format!("{script} dropped restore")),
        "  restored\nreview"
    );
    assert_eq!(
        after("", &format!("{script} restore dropped")),
        "  workspace_dropped\nreview",
        "what puts the copy away is not stopped in the middle"
    );
}

#[test]
fn a_follow_up_takes_code_alpha_and_beta_through_another_round() {
    let script = format!("{TO_BETA} pass says follow-up");
    assert!(
        after("", &script).ends_with("backlog"),
        "it waits for a place like any other"
    );
    let script = format!("{script} admit");
    assert!(after("", &script).contains("step_started step 2"));
    let script = format!("{script} says");
    assert!(after("", &script).contains("step_started step 3"));
    let script = format!("{script} says");
    assert!(
        !after("", &script).contains("step 4"),
        "the old evidence does not count"
    );
}

#[test]
fn the_cost_cap_pauses_the_task_before_the_next_turn() {
    let script = format!("{TO_BETA} pass says");
    assert!(after("", &script).ends_with("review"));
    let capped = "start admit prepared before-green says says says";
    assert!(
        after("budget", capped).ends_with("decided accept by Rules\nworking"),
        "nothing is due yet"
    );
    let capped = format!("{capped} green");
    assert!(after("budget", &capped).ends_with("task_paused Budget\npaused"));
    assert!(after("budget", &format!("{capped} resume")).contains("refused"));
    assert!(after("budget", &format!("{capped} raise resume")).contains("step_started step 4"));
}

#[test]
fn orders_that_make_no_sense_are_refused_with_a_sentence() {
    assert_eq!(
        after("", "accept"),
        "  refused: a task in state `backlog` cannot be accepted\nbacklog"
    );
    assert_eq!(
        after("", "start start"),
        "  refused: a task in state `backlog` cannot be started\nbacklog"
    );
}
