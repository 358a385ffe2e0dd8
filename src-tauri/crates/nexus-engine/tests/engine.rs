//! The engine with a scripted backend: what is recorded, whatever the agents do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a scene that cannot be set is a failing test"
)]

use async_trait::async_trait;
use nexus_agent::{
    Backend, RequestKey, Session, SessionCommand, SessionEvent, SessionSpec, ToolDecision,
};
use nexus_core::*;
use nexus_engine::*;
use nexus_process::Launcher;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc;

/// What an agent does when it is prompted.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Says this and is done.
    Say(&'static str),
    /// Writes a file of the workspace after asking, then says so.
    Write(&'static str, &'static str),
    /// Asks to run a command.
    Bash(&'static str),
    Verdict(Verdict),
    /// Its process ends in the middle.
    Crash,
    /// Says nothing until it is interrupted.
    Hang,
}

/// A team that does for each role what the script says, turn by turn; the last act repeats.
#[derive(Debug, Default)]
struct Scripted {
    acts: Mutex<Vec<(Role, Vec<Act>)>>,
    /// What was prompted: role, and the prompt.
    heard: Mutex<Vec<(Role, String)>>,
    decisions: Arc<Mutex<Vec<ToolDecision>>>,
}

impl Scripted {
    fn next(&self, role: Role) -> Act {
        let mut acts = self.acts.lock().unwrap();
        let Some((_, acts)) = acts.iter_mut().find(|(r, _)| *r == role) else {
            return Act::Say("done");
        };
        if acts.len() > 1 {
            acts.remove(0)
        } else {
            acts[0]
        }
    }
}

#[derive(Debug)]
struct Team(Arc<Scripted>);

#[async_trait]
impl Backend for Team {
    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        let (commands, orders) = mpsc::channel(8);
        let (tell, events) = mpsc::channel(64);
        tokio::spawn(play(Arc::clone(&self.0), spec, orders, tell));
        Ok(Session {
            process: None,
            commands,
            events,
        })
    }
}

async fn play(
    script: Arc<Scripted>,
    spec: SessionSpec,
    mut orders: mpsc::Receiver<SessionCommand>,
    tell: mpsc::Sender<SessionEvent>,
) {
    while let Some(order) = orders.recv().await {
        let SessionCommand::Prompt(prompt) = order else {
            break;
        };
        script.heard.lock().unwrap().push((spec.role, prompt));
        let usage = Usage {
            input_tokens: 10,
            cost: Some(Usd::from_micros(100)),
            ..Usage::default()
        };
        let completed = |text: &str| TurnOutcome::Completed {
            text: text.into(),
            denials: vec![],
        };
        let text = TurnUpdate::Text {
            text: "at it".into(),
        };
        tell.send(SessionEvent::Update(text)).await.unwrap();
        let outcome = match script.next(spec.role) {
            Act::Say(text) => completed(text),
            Act::Crash => {
                let how = TurnOutcome::Exited {
                    code: 1,
                    stderr: "boom".into(),
                };
                tell.send(SessionEvent::Closed { how }).await.unwrap();
                return;
            }
            Act::Hang => loop {
                match orders.recv().await {
                    Some(SessionCommand::Interrupt) => break TurnOutcome::Interrupted,
                    Some(SessionCommand::Close) | None => {
                        let how = TurnOutcome::Interrupted;
                        let _ = tell.send(SessionEvent::Closed { how }).await;
                        return;
                    }
                    Some(_) => {}
                }
            },
            Act::Verdict(verdict) => {
                let result = StepResult {
                    summary: "judged".into(),
                    verdict: Some(verdict),
                    ..StepResult::default()
                };
                let call = RequestKey("c".into());
                let body = AgentCall::SubmitResult { result };
                tell.send(SessionEvent::Called { call, body })
                    .await
                    .unwrap();
                orders.recv().await;
                completed("judged")
            }
            Act::Write(path, content) => {
                let path = spec.workspace.join(path);
                let input = json!({ "file_path": path, "content": content });
                let tool = ToolRequest {
                    tool: "Write".into(),
                    input,
                };
                let request = RequestKey("w".into());
                tell.send(SessionEvent::ToolAsked { request, tool })
                    .await
                    .unwrap();
                if decided(&script, &mut orders).await == Some(ToolDecision::Allow) {
                    fs::write(path, content).unwrap();
                }
                completed("wrote")
            }
            Act::Bash(line) => {
                let tool = ToolRequest {
                    tool: "Bash".into(),
                    input: json!({ "command": line }),
                };
                let request = RequestKey("b".into());
                tell.send(SessionEvent::ToolAsked { request, tool })
                    .await
                    .unwrap();
                decided(&script, &mut orders).await;
                completed("ran")
            }
        };
        let ended = SessionEvent::TurnEnded {
            outcome,
            usage,
            covers_lost: false,
            duration: Duration::from_millis(3),
        };
        tell.send(ended).await.unwrap();
    }
    let how = TurnOutcome::Interrupted;
    let _ = tell.send(SessionEvent::Closed { how }).await;
}

async fn decided(
    script: &Scripted,
    orders: &mut mpsc::Receiver<SessionCommand>,
) -> Option<ToolDecision> {
    match orders.recv().await {
        Some(SessionCommand::Decide { decision, .. }) => {
            script.decisions.lock().unwrap().push(decision.clone());
            Some(decision)
        }
        _ => None,
    }
}

/// A data folder, a project and an engine.
struct Scene {
    dir: tempfile::TempDir,
    script: Arc<Scripted>,
    engine: Engine,
}

impl Scene {
    async fn new(acts: &[(Role, &[Act])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("sum.txt"), "wrong\n").unwrap();
        let script = Arc::new(Scripted::default());
        *script.acts.lock().unwrap() = acts.iter().map(|(r, a)| (*r, a.to_vec())).collect();
        let engine = start(dir.path(), &script, TakeUp::Everything).await;
        Self {
            dir,
            script,
            engine,
        }
    }

    fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    async fn create(&self, change: impl FnOnce(&mut NewTask)) -> Arc<Task> {
        self.engine.trust(&self.project()).await.unwrap();
        let mut new = NewTask {
            text: "Mend the sum".into(),
            title: None,
            folder: self.project(),
            team: nexus_core::Team::Claude,
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            start: true,
            attended: true,
            trust_once: false,
        };
        change(&mut new);
        self.engine.create(new).await.unwrap()
    }

    /// Waits until the task satisfies the condition.
    async fn until(&self, task: &Task, what: &str, condition: impl Fn(&Task) -> bool) -> Arc<Task> {
        until(&self.engine, task.id, what, condition).await
    }
}

async fn until(
    engine: &Engine,
    id: TaskId,
    what: &str,
    condition: impl Fn(&Task) -> bool,
) -> Arc<Task> {
    let mut changes = engine.changes(0).await.unwrap();
    let wait = async {
        loop {
            let task = engine.find(&id.to_string()).unwrap();
            if condition(&task) {
                return task;
            }
            changes.next().await.expect("the engine goes on");
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), wait).await {
        Ok(task) => task,
        Err(_) => {
            let task = engine.find(&id.to_string()).unwrap();
            panic!(
                "not {what} in a minute; it is {} {:?}",
                task.state(),
                task.phase
            )
        }
    }
}

async fn start(dir: &Path, script: &Arc<Scripted>, take_up: TakeUp) -> Engine {
    let data = DataDir::new(dir.join("data"));
    let Ownership::Ours(lock) = data.own().unwrap() else {
        panic!("somebody owns it")
    };
    let team: Arc<dyn Backend> = Arc::new(Team(Arc::clone(script)));
    let options = EngineOptions {
        data,
        backends: Backends {
            claude: Arc::clone(&team),
            practice: team,
            planner: None,
        },
        // The projects of these tests have no checks, so no guard is started.
        launcher: Launcher::new("/nonexistent/guard".into()),
        home: None,
        check_env: vec![],
        parallel_tasks: 2,
        silence_limit: Duration::from_secs(600),
        session_timeout: None,
        check_limit: Duration::from_secs(60),
        limits: nexus_workspace::Limits::default(),
        take_up,
    };
    Engine::start(options, lock).await.unwrap()
}

fn in_review(task: &Task) -> bool {
    task.state() == TaskState::Review
}

const MEND: &[Act] = &[Act::Write("sum.txt", "right\n")];

#[tokio::test(flavor = "multi_thread")]
async fn work_happens_in_a_copy_and_accept_brings_it_home() {
    let scene = Scene::new(&[
        (Role::Code, MEND),
        (Role::Beta, &[Act::Verdict(Verdict::Pass)]),
    ])
    .await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(
        fs::read_to_string(scene.project().join("sum.txt")).unwrap(),
        "wrong\n"
    );
    assert_eq!(task.standing(), Some(Standing::NoChecks));
    assert_eq!(task.changes.len(), 1);
    assert_eq!(task.usage().cost, Some(Usd::from_micros(400)));
    let patch = scene.engine.patch(&task, None).await.unwrap();
    assert!(patch.text.contains("+right"), "{}", patch.text);

    let accept = Command::Accept {
        although_red: false,
    };
    scene.engine.order(task.id, accept).await.unwrap();
    scene
        .until(&task, "done", |t| t.state() == TaskState::Done)
        .await;
    assert_eq!(
        fs::read_to_string(scene.project().join("sum.txt")).unwrap(),
        "right\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_meanwhile_is_never_overwritten() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    fs::write(scene.project().join("sum.txt"), "mine\n").unwrap();
    scene
        .engine
        .order(
            task.id,
            Command::Accept {
                although_red: false,
            },
        )
        .await
        .unwrap();
    let conflicted =
        |t: &Task| matches!(&t.phase, Phase::Review { conflicts, .. } if !conflicts.is_empty());
    scene.until(&task, "in conflict", conflicted).await;
    assert_eq!(
        fs::read_to_string(scene.project().join("sum.txt")).unwrap(),
        "mine\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_only_read_cannot_write() {
    let scene = Scene::new(&[(Role::Aria, MEND), (Role::Beta, MEND)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert!(task.changes.is_empty(), "{:?}", task.changes);
    let decisions = scene.script.decisions.lock().unwrap();
    assert!(
        decisions
            .iter()
            .all(|d| matches!(d, ToolDecision::Deny { .. })),
        "{decisions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_the_person_and_the_answer_reaches_the_agent() {
    let scene = Scene::new(&[(Role::Code, &[Act::Bash("curl example.org")])]).await;
    let task = scene.create(|_| {}).await;
    let task = scene
        .until(&task, "asking", |t| t.state() == TaskState::NeedsYou)
        .await;
    let (id, _) = task.approvals.first_key_value().unwrap();
    scene.engine.answer(*id, Answer::Allow, None).await.unwrap();
    scene.until(&task, "in review", in_review).await;
    assert_eq!(
        *scene.script.decisions.lock().unwrap(),
        [ToolDecision::Allow]
    );
    let error = scene
        .engine
        .answer(*id, Answer::Allow, None)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::NotFound,
        "a question is answered once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_agent_is_tried_again_and_the_attempt_counts() {
    let scene = Scene::new(&[(Role::Code, &[Act::Crash, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(task.steps[1].attempts, 2);
    let prompts = scene.script.heard.lock().unwrap();
    let second = prompts
        .iter()
        .filter(|(role, _)| *role == Role::Code)
        .nth(1)
        .unwrap();
    assert!(
        second
            .1
            .contains("An earlier attempt at this step did not finish")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn betas_findings_reach_code_in_the_next_round() {
    let verdicts = &[Act::Verdict(Verdict::Fail), Act::Verdict(Verdict::Pass)];
    let scene = Scene::new(&[(Role::Code, MEND), (Role::Beta, verdicts)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(
        (task.round, task.steps[1].attempts, task.steps[3].attempts),
        (2, 2, 2)
    );
    let prompts = scene.script.heard.lock().unwrap();
    let second = prompts
        .iter()
        .filter(|(role, _)| *role == Role::Code)
        .nth(1)
        .unwrap();
    assert!(second.1.contains("What has to be mended"), "{}", second.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_stops_the_turn_and_resume_takes_it_again() {
    let scene = Scene::new(&[(Role::Code, &[Act::Hang, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    let at_work = |t: &Task| {
        t.turns
            .values()
            .any(|turn| turn.role == Role::Code && turn.streaming)
    };
    scene.until(&task, "at work", at_work).await;
    scene.engine.order(task.id, Command::Pause).await.unwrap();
    scene
        .until(&task, "paused", |t| t.state() == TaskState::Paused)
        .await;
    scene.engine.order(task.id, Command::Resume).await.unwrap();
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(
        task.steps[1].attempts, 1,
        "what we cut short costs no attempt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ends_in_the_middle_is_carried_on_by_the_next() {
    let scene = Scene::new(&[(Role::Code, &[Act::Hang, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    let at_work = |t: &Task| {
        t.turns
            .values()
            .any(|turn| turn.role == Role::Code && turn.streaming)
    };
    scene.until(&task, "at work", at_work).await;
    scene.engine.stop().await;
    let Scene {
        dir,
        script,
        engine,
    } = scene;
    drop(engine);

    let engine = start(dir.path(), &script, TakeUp::Everything).await;
    let task = until(&engine, task.id, "in review", in_review).await;
    assert_eq!(task.changes.len(), 1);
    let aria = script
        .heard
        .lock()
        .unwrap()
        .iter()
        .filter(|(r, _)| *r == Role::Aria)
        .count();
    assert_eq!(aria, 1, "a finished step is not taken again");
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_work_is_put_away_and_comes_back() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    let workspace = PathBuf::from(&task.workspace.prepared().unwrap().path);
    scene.engine.order(task.id, Command::Discard).await.unwrap();
    let dropped = |t: &Task| matches!(t.workspace, Workspace::Dropped { kept: Some(_), .. });
    scene.until(&task, "put away", dropped).await;
    assert!(!workspace.exists());

    scene.engine.order(task.id, Command::Restore).await.unwrap();
    let there = |t: &Task| matches!(t.workspace, Workspace::Ready(_));
    let task = scene.until(&task, "back", there).await;
    assert_eq!(task.state(), TaskState::Review);
    let workspace = PathBuf::from(&task.workspace.prepared().unwrap().path);
    assert_eq!(
        fs::read_to_string(workspace.join("sum.txt")).unwrap(),
        "right\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_tasks_run_at_once_and_the_others_follow() {
    let scene = Scene::new(&[(Role::Aria, &[Act::Hang])]).await;
    let first = scene.create(|_| {}).await;
    let second = scene.create(|_| {}).await;
    let third = scene.create(|_| {}).await;
    let running = |t: &Task| !t.turns.is_empty();
    scene.until(&first, "running", running).await;
    scene.until(&second, "running", running).await;
    let waiting = scene.engine.find(&third.spec.name()).unwrap();
    assert_eq!(waiting.phase, Phase::Queued);
    scene.engine.order(first.id, Command::Cancel).await.unwrap();
    scene.until(&third, "running", running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_projected_into_six_files_that_others_cannot_read() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new(&[
        (Role::Aria, &[Act::Say("Line 1 is wrong.")]),
        (Role::Code, MEND),
    ])
    .await;
    let task = scene.create(|_| {}).await;
    scene.until(&task, "in review", in_review).await;
    // The files are written by a hand of their own; stopping waits for all hands.
    let dir = scene.engine.data().scratchpads(task.id);
    scene.engine.stop().await;
    for pad in scratchpad::Scratchpad::ALL {
        let mode = fs::metadata(dir.join(pad.file_name()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{pad:?}");
    }
    let text = fs::read_to_string(dir.join("aria_to_code.md")).unwrap();
    assert!(
        text.contains("Line 1 is wrong.") && text.contains("unstructured"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_comes_back_misses_nothing() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let task = scene.create(|_| {}).await;
    scene.until(&task, "in review", in_review).await;
    let last = scene.engine.seq();
    let mut changes = scene.engine.changes(3).await.unwrap();
    for seq in 4..=last {
        assert_eq!(changes.next().await.unwrap().seq(), seq);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_folder_gets_no_task() {
    let scene = Scene::new(&[]).await;
    let new = NewTask {
        text: "x".into(),
        title: None,
        folder: scene.project(),
        team: nexus_core::Team::Claude,
        planner: PlannerKind::Standard,
        permissions: Permissions::Workspace,
        budget: None,
        limits: Limits::default(),
        answer_within: ANSWER_WITHIN,
        start: true,
        attended: true,
        trust_once: false,
    };
    let error = scene.engine.create(new).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Untrusted);
    assert_eq!(scene.engine.seq(), 0, "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_about_one_task_does_not_wake_another() {
    let scene = Scene::new(&[(Role::Aria, &[Act::Hang, Act::Say("read it")])]).await;
    let task = scene.create(|_| {}).await;
    scene
        .until(&task, "at work", |t| {
            t.turns.values().any(|turn| turn.streaming)
        })
        .await;
    scene.engine.stop().await;
    let Scene {
        dir,
        script,
        engine,
    } = scene;
    let recorded = engine.seq();
    drop(engine);

    let engine = start(dir.path(), &script, TakeUp::WhatIsOrdered).await;
    assert!(!engine.works_on(task.id));
    engine.trust(&dir.path().join("project")).await.unwrap();
    assert_eq!(
        engine.seq(),
        recorded,
        "nothing happens to a task that nobody speaks of"
    );
    assert_eq!(script.heard.lock().unwrap().len(), 1);

    engine.order(task.id, Command::Pause).await.unwrap();
    let task = until(&engine, task.id, "paused", |t| {
        t.state() == TaskState::Paused
    })
    .await;
    engine.order(task.id, Command::Resume).await.unwrap();
    until(&engine, task.id, "in review", in_review).await;
}
