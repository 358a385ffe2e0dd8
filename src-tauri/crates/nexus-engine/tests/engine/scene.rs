//! A project, a data folder, a scripted team and an engine.

use async_trait::async_trait;
use nexus_agent::{
    Backend, Planner, RequestKey, Session, SessionCommand, SessionEvent, SessionSpec, ToolDecision,
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
pub(crate) enum Act {
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
    /// The account's limit is reached for an hour.
    Limit,
    NoLogin,
}

/// A team that does for each role what the script says, turn by turn; the last act repeats.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) acts: Mutex<Vec<(Role, Vec<Act>)>>,
    /// Opening this one's session fails by a mistake of ours, once.
    pub(crate) fragile: Mutex<Option<Role>>,
    /// What was prompted: role, and the prompt.
    pub(crate) heard: Mutex<Vec<(Role, String)>>,
    pub(crate) decisions: Arc<Mutex<Vec<ToolDecision>>>,
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
struct Crew(Arc<Scripted>);

#[async_trait]
impl Backend for Crew {
    fn starts_processes(&self) -> bool {
        false
    }

    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        let breaks = self
            .0
            .fragile
            .lock()
            .unwrap()
            .take_if(|role| *role == spec.role);
        assert!(breaks.is_none(), "as if by a mistake of ours");
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

pub(crate) async fn play(
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
            Act::Limit => TurnOutcome::RateLimited {
                until: Some(in_an_hour()),
                message: "limit".into(),
            },
            Act::NoLogin => TurnOutcome::AuthRequired {
                message: "401".into(),
            },
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
                if decided(&script, &mut orders).await.is_none() {
                    let how = TurnOutcome::Interrupted;
                    let _ = tell.send(SessionEvent::Closed { how }).await;
                    return;
                }
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

pub(crate) async fn decided(
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
pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) script: Arc<Scripted>,
    pub(crate) engine: Engine,
}

impl Scene {
    pub(crate) async fn new(acts: &[(Role, &[Act])]) -> Self {
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

    pub(crate) fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    pub(crate) async fn create(&self, change: impl FnOnce(&mut NewTask)) -> Arc<Task> {
        self.engine.trust(&self.project()).await.unwrap();
        let mut new = self.wish();
        change(&mut new);
        self.engine.create(new).await.unwrap()
    }

    /// What is asked for when nothing else is said.
    pub(crate) fn wish(&self) -> NewTask {
        NewTask {
            text: "Mend the sum".into(),
            title: None,
            folder: self.project(),
            team: Team::Claude,
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            start: true,
            attended: true,
            trust_once: false,
            priority: Priority::Normal,
            terms: Terms::default(),
        }
    }

    /// Waits until the task satisfies the condition.
    pub(crate) async fn until(
        &self,
        task: &Task,
        what: &str,
        condition: impl Fn(&Task) -> bool,
    ) -> Arc<Task> {
        until(&self.engine, task.id, what, condition).await
    }
}

pub(crate) async fn until(
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

pub(crate) async fn start(dir: &Path, script: &Arc<Scripted>, take_up: TakeUp) -> Engine {
    let team: Arc<dyn Backend> = Arc::new(Crew(Arc::clone(script)));
    start_with(dir, team, None, take_up).await
}

/// An engine with this team and this planner.
pub(crate) async fn start_with(
    dir: &Path,
    team: Arc<dyn Backend>,
    planner: Option<Arc<dyn Planner>>,
    take_up: TakeUp,
) -> Engine {
    let data = DataDir::new(dir.join("data"));
    // A child that another test is just starting has our lock until it becomes its program.
    let own = async {
        loop {
            match data.own().unwrap() {
                Ownership::Ours(lock) => return lock,
                Ownership::Taken => tokio::task::yield_now().await,
            }
        }
    };
    let lock = tokio::time::timeout(Duration::from_secs(10), own)
        .await
        .expect("nobody else owns it");
    let options = EngineOptions {
        data,
        backends: Backends {
            claude: Arc::clone(&team),
            practice: team,
            planner,
        },
        // The projects of these tests have no checks, so no guard is started.
        launcher: Launcher::new("/nonexistent/guard".into()),
        home: None,
        check_env: vec![],
        parallel_tasks: 2,
        tasks_per_project: None,
        seats: 8,
        silence_limit: Duration::from_secs(600),
        session_timeout: None,
        check_limit: Duration::from_secs(60),
        limits: nexus_workspace::Limits::default(),
        take_up,
    };
    Engine::start(options, lock).await.unwrap()
}

pub(crate) fn in_review(task: &Task) -> bool {
    task.state() == TaskState::Review
}

pub(crate) const MEND: &[Act] = &[Act::Write("sum.txt", "right\n")];

fn in_an_hour() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
        .after(Duration::from_secs(3600))
}
