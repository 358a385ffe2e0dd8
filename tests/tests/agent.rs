//! The Claude Code backend and its process, against the scripted double: every way in which
//! a program can behave badly, with real processes and pipes.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_agent::{
    Backend, ClaudeCode, ClaudeConfig, ClaudePlanner, Credential, Environment, InstallError,
    NoPlan, PlanBrief, Planned, Planner, Recorded, Search, Session, SessionCommand, SessionEvent,
    SessionSpec, ToolDecision, Version,
};
use nexus_core::{AgentCall, Role, SessionId, TaskId, TurnOutcome, TurnUpdate, Usd};
use nexus_process::{Launcher, find_tagged};
use nexus_tests::drive::{Engine, close, closed, within};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use uuid::Uuid;

/// A home folder with a script, a project, and the double.
struct Bench {
    folder: TempDir,
    session: SessionId,
}

impl Bench {
    fn with(script: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "project"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let bench = Self {
            folder,
            session: TaskId::new(Uuid::new_v4()).session(nexus_core::SeatId::first(Role::Code), 0),
        };
        fs::write(bench.home().join("fake-claude.json"), script.to_string()).unwrap();
        bench
    }

    /// One that does these things at every prompt.
    fn doing(actions: Value) -> Self {
        Self::with(json!({"rules": [{"do": actions}]}))
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("project").canonicalize().unwrap()
    }

    fn environment(&self) -> Environment {
        Environment::of([
            ("HOME".into(), self.home().into()),
            ("PATH".into(), "/usr/bin:/bin".into()),
        ])
    }

    fn spec(&self) -> SessionSpec {
        SessionSpec {
            task: TaskId::new(Uuid::new_v4()),
            role: Role::Code,
            session: self.session,
            resume: false,
            workspace: self.project(),
            system_prompt: "You are Code".to_owned(),
            budget: None,
            silence_limit: Duration::from_secs(50),
            recorded: Recorded::default(),
        }
    }

    async fn backend(&self) -> ClaudeCode {
        let found = search_for(&double())
            .find(&launcher(), &self.environment())
            .await;
        ClaudeCode::new(ClaudeConfig {
            installation: found.unwrap(),
            launcher: launcher(),
            credential: Credential::Login,
            base_url: None,
            environment: self.environment(),
        })
    }

    async fn try_open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        within(self.backend().await.open(spec)).await
    }

    /// A plan for the project, by the program itself.
    async fn plan(&self, time_limit: Duration) -> Result<Planned, NoPlan> {
        let brief = PlanBrief {
            wish: "Mend it.".to_owned(),
            folder: self.project(),
            ..PlanBrief::default()
        };
        let (thinks, _) = mpsc::channel(1);
        let planner = ClaudePlanner::new(Arc::new(self.backend().await)).within(time_limit);
        within(planner.plan(&brief, &thinks)).await
    }

    /// The processes of the session that was started first.
    fn processes_of_first(&self) -> usize {
        let start = &self.log()[0]["start"];
        let args: Vec<_> = start.as_array().unwrap().iter().collect();
        let named = args.iter().position(|arg| **arg == "--session-id");
        let session = args[named.unwrap() + 1].as_str().unwrap();
        find_tagged("NEXUS_AGENT".as_ref(), session.as_ref()).len()
    }

    async fn open(&self) -> Session {
        self.try_open(self.spec()).await.unwrap()
    }

    /// The processes of this session that live.
    fn processes(&self) -> usize {
        find_tagged("NEXUS_AGENT".as_ref(), self.session.to_string().as_ref()).len()
    }

    /// What the double noted: its starts and prompts.
    fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.home().join(".fake-claude/log.jsonl")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_nexus-test-guard").into())
}

fn double() -> PathBuf {
    env!("CARGO_BIN_EXE_fake-claude").into()
}

fn search_for(program: &Path) -> Search {
    Search {
        named: Some(program.to_owned()),
        never_under: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_turn_shows_everything_it_does() {
    let bench = Bench::with(json!({"rules": [
        {"when": {"role": "beta"}, "do": [{"say": "wrong seat"}]},
        {"when": {"role": "code", "prompt": r"make (\S+)"}, "do": [
            {"think": "hm"},
            {"use": {"tool": "Write", "input": {"file_path": "{{cwd}}/{{1}}", "content": "one\n"}}},
            {"use": {"tool": "Edit", "input": {"file_path": "{{1}}", "old_string": "one", "new_string": "two"}}},
            {"use": {"tool": "Bash", "input": {"command": "rm -rf ."}, "output": "gone"}},
            {"call": {"tool": "report_progress", "with": {"note": "made {{1}}"}}},
            {"call": {"tool": "report_progress", "with": {"note": 3}}},
            {"usage": {"input": 10, "output": 5, "cost": 0.25}},
            {"say": "made it; {{last}}"},
        ]},
    ]}));
    let mut session = bench.open().await;
    let mut engine = Engine::default().deciding(|tool| {
        Some(match tool.tool.as_str() {
            "Bash" => ToolDecision::Deny {
                reason: "no".to_owned(),
            },
            _ => ToolDecision::Allow,
        })
    });
    let turn = engine.turn(&mut session, "please make a.txt").await;
    assert!(
        turn.text()
            .starts_with("made it; report_progress was not called: note"),
        "{turn:?}"
    );
    assert_eq!(
        fs::read_to_string(bench.project().join("a.txt")).unwrap(),
        "two\n"
    );
    assert_eq!(turn.asked.len(), 3);
    let note = "made a.txt".to_owned();
    assert_eq!(turn.calls, [AgentCall::ReportProgress { note }]);
    assert_eq!(turn.usage.cost, Usd::from_dollars(0.25));
    let TurnOutcome::Completed { denials, .. } = &turn.outcome else {
        panic!("{turn:?}");
    };
    assert_eq!(denials[0].object, "rm -rf .");
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_arguments_nor_the_environment_hold_a_secret() {
    let bench = Bench::doing(json!([]));
    close(bench.open().await).await;
    let start = &bench.log()[0];
    let args = start["start"].to_string();
    assert!(
        !args.contains("You are"),
        "the persona is on the command line: {args}"
    );
    let names: Vec<_> = start["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        names.contains(&"NEXUS_AGENT") && names.contains(&"HOME"),
        "{names:?}"
    );
    for name in names {
        let known = ["HOME", "PATH", "TERM", "NEXUS_AGENT", "MCP_TOOL_TIMEOUT"].contains(&name)
            || name.starts_with("CLAUDE_")
            || name.starts_with("DISABLE_");
        assert!(known, "{name} leaked to the agent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_and_an_unknown_one_is_lost() {
    let bench = Bench::with(json!({}));
    let mut session = bench.open().await;
    Engine::default().turn(&mut session, "one").await;
    close(session).await;
    let resumed = SessionSpec {
        resume: true,
        ..bench.spec()
    };
    let mut session = bench.try_open(resumed.clone()).await.unwrap();
    let turn = Engine::default().turn(&mut session, "two").await;
    assert_eq!(turn.text(), "echo[2]: two");
    close(session).await;
    let unknown = SessionSpec {
        session: TaskId::new(Uuid::new_v4()).session(nexus_core::SeatId::first(Role::Code), 0),
        ..resumed
    };
    let lost = bench.try_open(unknown).await.unwrap_err();
    assert!(matches!(lost, TurnOutcome::SessionLost { .. }), "{lost:?}");
}

/// The outcome of a turn that does these things, when it ends the process.
async fn broken_by(actions: Value) -> TurnOutcome {
    let bench = Bench::doing(actions);
    let mut session = bench.open().await;
    let turn = Engine::default().turn(&mut session, "go").await;
    let how = closed(&mut session).await;
    assert_eq!(turn.outcome, how);
    assert_eq!(bench.processes(), 0);
    turn.outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_in_the_middle_says_how_and_what_it_complained() {
    let exited = broken_by(json!([{"say": "hi"}, {"complain": "out of luck"}, {"exit": 3}])).await;
    let stderr = "out of luck".to_owned();
    assert_eq!(exited, TurnOutcome::Exited { code: 3, stderr });
    let crashed = broken_by(json!(["crash"])).await;
    assert!(
        matches!(crashed, TurnOutcome::Signalled { signal: 6, .. }),
        "{crashed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_flood_of_complaints_the_end_is_kept() {
    let flood = "x".repeat(200_000);
    let outcome =
        broken_by(json!([{"complain": flood}, {"complain": "the end"}, {"exit": 1}])).await;
    let TurnOutcome::Exited { stderr, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        stderr.ends_with("the end") && stderr.len() < 10_000,
        "{}",
        stderr.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_kept_and_does_not_end_the_turn() {
    let bench = Bench::doing(json!([
        {"print": "garbage"}, {"print": ""}, {"print": "{\"type\":\"tomorrow\"}"}, {"say": "fine"},
    ]));
    let mut session = bench.open().await;
    let turn = Engine::default().turn(&mut session, "go").await;
    assert_eq!(turn.text(), "fine");
    let is_unknown = |update: &&TurnUpdate| matches!(update, TurnUpdate::Unknown { .. });
    assert_eq!(turn.updates.iter().filter(is_unknown).count(), 2);
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_read_to_its_end() {
    let line = json!({"type": "keep_alive", "padding": "x".repeat(100_000)}).to_string();
    let mut actions = vec![json!({"print": line}); 200];
    actions.push(json!({"print": "y".repeat(9_000_000)}));
    actions.push(json!({"say": "done"}));
    let bench = Bench::doing(json!(actions));
    let mut session = bench.open().await;
    let turn = Engine::default().turn(&mut session, "go").await;
    assert_eq!(turn.text(), "done");
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_prompt_arrives_whole() {
    let bench = Bench::with(json!({"otherwise": [{"say": "read"}]}));
    let mut session = bench.open().await;
    let prompt = "long words ".repeat(200_000);
    let turn = Engine::default().turn(&mut session, &prompt).await;
    assert_eq!(turn.text(), "read");
    close(session).await;
    assert_eq!(bench.log()[1]["prompt"].as_str().unwrap(), prompt);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_service_have_their_outcomes_and_costs_are_unknown_without_a_price() {
    let bench = Bench::with(json!({"rules": [
        {"when": {"prompt": "limit"}, "do": [
            {"limit": {"status": "rejected", "resets_at": 1_795_999_999}},
            {"fail": {"status": 429, "kind": "rate_limit", "message": "You've hit your limit"}}]},
        {"when": {"prompt": "overload"}, "do": [
            {"retry": {"status": 529}},
            {"fail": {"status": 529, "kind": "overloaded", "message": "busy"}}]},
        {"when": {"prompt": "price"}, "do": [{"usage": {"input": 7}}, {"say": "free?"}]},
    ]}));
    let mut session = bench.open().await;
    let mut engine = Engine::default();
    let limited = engine.turn(&mut session, "limit").await.outcome;
    let TurnOutcome::RateLimited {
        until: Some(until), ..
    } = limited
    else {
        panic!("{limited:?}");
    };
    assert_eq!(until.as_millis(), 1_795_999_999_000);
    let overloaded = engine.turn(&mut session, "overload").await.outcome;
    assert!(
        matches!(overloaded, TurnOutcome::Overloaded { .. }),
        "{overloaded:?}"
    );
    let priceless = engine.turn(&mut session, "price").await.usage;
    assert_eq!((priceless.input_tokens, priceless.cost), (7, None));
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_an_engine_is_ended() {
    let bench = Bench::doing(json!([{"say": "hi"}, "hang"]));
    let Session {
        commands,
        mut events,
        ..
    } = bench.open().await;
    let prompt = SessionCommand::Prompt("go".to_owned());
    within(commands.send(prompt)).await.unwrap();
    let first = within(events.recv()).await;
    assert!(matches!(first, Some(SessionEvent::Update(_))), "{first:?}");
    assert!(bench.processes() > 0);
    drop(commands);
    let mut last = None;
    while let Some(event) = within(events.recv()).await {
        last = Some(event);
    }
    assert!(
        matches!(last, Some(SessionEvent::Closed { .. })),
        "{last:?}"
    );
    assert_eq!(bench.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_obeys_nothing_is_killed() {
    let bench = Bench::doing(json!([{"say": "la la la"}, "deafen"]));
    let mut session = bench.open().await;
    session
        .commands
        .send(SessionCommand::Prompt("go".to_owned()))
        .await
        .unwrap();
    let first = within(session.events.recv()).await;
    assert!(matches!(first, Some(SessionEvent::Update(_))), "{first:?}");
    assert_eq!(close(session).await, TurnOutcome::Interrupted);
    assert_eq!(bench.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_no_session_opens() {
    let bench = Bench::with(json!({"logged_in": false}));
    let refused = bench.try_open(bench.spec()).await.unwrap_err();
    assert!(
        matches!(refused, TurnOutcome::AuthRequired { .. }),
        "{refused:?}"
    );
    assert_eq!(bench.processes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_workspace_is_an_error_with_its_name() {
    let bench = Bench::with(json!({}));
    let spec = SessionSpec {
        workspace: bench.folder.path().join("nowhere"),
        ..bench.spec()
    };
    let failed = bench.try_open(spec).await.unwrap_err();
    assert!(
        matches!(failed, TurnOutcome::CouldNotStart { .. }),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_and_the_login_are_asked_for() {
    let bench = Bench::with(json!({"version": "2.4.0 (Claude Code)"}));
    let found = search_for(&double())
        .find(&launcher(), &bench.environment())
        .await
        .unwrap();
    assert_eq!(found.version, Version::new(2, 4, 0));
    let status = found
        .login(&launcher(), &bench.environment())
        .await
        .unwrap();
    assert!(status.logged_in);
    assert_eq!(status.plan.as_deref(), Some("max"));
}

/// What is wrong with a program that prints this as its version.
async fn fault_of(version: &str) -> InstallError {
    let bench = Bench::with(json!({ "version": version }));
    let found = search_for(&double())
        .find(&launcher(), &bench.environment())
        .await;
    found.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_program_is_an_error_that_says_what_to_do() {
    let old = fault_of("1.0.4 (Claude Code)").await;
    assert!(matches!(old, InstallError::Unsupported { .. }), "{old:?}");
    assert!(old.to_string().contains("2.1.197") && old.to_string().contains("claude update"));
    let odd = fault_of("hello").await;
    assert!(matches!(odd, InstallError::NotRunnable { .. }), "{odd:?}");

    let bench = Bench::with(json!({}));
    let missing = search_for(Path::new("/no/such/claude"));
    let missing = missing
        .find(&launcher(), &bench.environment())
        .await
        .unwrap_err();
    assert_eq!(
        missing,
        InstallError::NamedNotFound("/no/such/claude".into())
    );

    let broken = bench.home().join("claude");
    fs::write(&broken, "no program").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let broken = search_for(&broken)
        .find(&launcher(), &bench.environment())
        .await
        .unwrap_err();
    assert!(
        matches!(broken, InstallError::NotRunnable { .. }),
        "{broken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_reads_changes_nothing_and_leaves_no_process() {
    let steps = json!([
        {"kind": "implementation", "title": "Mend", "description": "All of it.", "after": []},
    ]);
    let answer = json!({"steps": steps}).to_string();
    let bench = Bench::with(json!({
        "rules": [{"when": {"prompt": "cannot be used"}, "do": [
            {"use": {"tool": "Write", "input": {"file_path": "{{cwd}}/a.txt", "content": "x"}}},
            {"call": {"tool": "submit_result", "with": {"summary": "done"}}},
            {"usage": {"input": 10, "output": 5, "cost": 0.25}},
            {"say": answer},
        ]}],
        "otherwise": [{"usage": {"input": 10, "output": 5, "cost": 0.25}}, {"say": "No."}],
    }));
    let planned = bench.plan(Duration::from_secs(50)).await.unwrap();
    assert_eq!(planned.plan.steps()[0].title, "Mend");
    assert_eq!(planned.calls, 2);
    assert_eq!(planned.usage.cost, Usd::from_dollars(0.5));
    assert_eq!(fs::read_dir(bench.project()).unwrap().count(), 0);
    assert_eq!(bench.processes_of_first(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_never_answers_leaves_no_process() {
    for never in ["hang", "deafen"] {
        let bench = Bench::doing(json!([{"say": "la la la"}, never]));
        let no_plan = bench.plan(Duration::from_secs(3)).await.unwrap_err();
        assert!(no_plan.reason.contains("within 3 s"), "{no_plan}");
        assert_eq!(bench.processes_of_first(), 0, "{never}");
    }
}
