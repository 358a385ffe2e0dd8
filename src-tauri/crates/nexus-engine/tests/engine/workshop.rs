//! A team whose agents do what the script says of each step, by its title, and a planner that
//! hands out one plan and rules as it is told. Steps can be made to wait for each other, which
//! only ends when they really work side by side.

use crate::scene::{start_with, until};
use async_trait::async_trait;
use nexus_agent::{
    Backend, Case, Judged, NoPlan, PlanBrief, Planned, Planner, RequestKey, Session,
    SessionCommand, SessionEvent, SessionSpec, Thinks, ToolDecision,
};
use nexus_core::*;
use nexus_engine::*;
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Barrier, mpsc};

/// What an agent does in a step.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Write(&'static str, &'static str),
    /// Goes on when as many agents have come here as the barrier waits for.
    Meet(Arc<Barrier>),
    /// Leaves a note.
    Note(Recipient, MessageKind, &'static str),
    /// Waits until it is interrupted.
    Hang,
    Crash,
    Verdict(Verdict),
    /// Writes text instead of handing in a result.
    Mumble(&'static str),
}

/// What the agents do, by a part of a step's title: a list for each turn; the last one repeats.
pub(crate) type Moves = BTreeMap<&'static str, VecDeque<Vec<Move>>>;

#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) moves: Mutex<Moves>,
    /// What was prompted: the place of the copy, and the prompt.
    pub(crate) heard: Mutex<Vec<(PathBuf, String)>>,
    pub(crate) rulings: Mutex<VecDeque<Ruling>>,
    pub(crate) cases: Mutex<Vec<Case>>,
}

impl Script {
    fn next(&self, prompt: &str) -> Vec<Move> {
        let first = prompt.lines().nth(1).unwrap_or_default();
        let mut moves = self.moves.lock().unwrap();
        let Some((_, turns)) = moves.iter_mut().find(|(title, _)| first.contains(*title)) else {
            return Vec::new();
        };
        if turns.len() > 1 {
            turns.pop_front().unwrap()
        } else {
            turns.front().cloned().unwrap_or_default()
        }
    }

    /// The prompts of steps whose title has this in it.
    pub(crate) fn prompts(&self, title: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let of_step = heard.iter().filter(|(_, prompt)| {
            let first = prompt.lines().nth(1).unwrap_or_default();
            first.contains(title)
        });
        of_step.map(|(_, prompt)| prompt.clone()).collect()
    }
}

#[derive(Debug)]
struct Agents(Arc<Script>);

#[async_trait]
impl Backend for Agents {
    fn starts_processes(&self) -> bool {
        false
    }

    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        assert!(spec.workspace.is_dir(), "{:?} is there", spec.workspace);
        let (commands, orders) = mpsc::channel(8);
        let (tell, events) = mpsc::channel(64);
        tokio::spawn(sit(Arc::clone(&self.0), spec, orders, tell));
        Ok(Session {
            process: None,
            commands,
            events,
        })
    }
}

async fn sit(
    script: Arc<Script>,
    spec: SessionSpec,
    mut orders: mpsc::Receiver<SessionCommand>,
    tell: mpsc::Sender<SessionEvent>,
) {
    let closed = |how| SessionEvent::Closed { how };
    while let Some(order) = orders.recv().await {
        let SessionCommand::Prompt(prompt) = order else {
            break;
        };
        let place = spec.workspace.clone();
        script.heard.lock().unwrap().push((place, prompt.clone()));
        let text = TurnUpdate::Text { text: "hm".into() };
        if tell.send(SessionEvent::Update(text)).await.is_err() {
            return;
        }
        let mut seat = Seat {
            spec: &spec,
            orders: &mut orders,
            tell: &tell,
        };
        let outcome = match seat.plays(script.next(&prompt)).await {
            Some(outcome) => outcome,
            None => {
                let _ = tell.send(closed(TurnOutcome::Interrupted)).await;
                return;
            }
        };
        if let TurnOutcome::Exited { .. } = outcome {
            let _ = tell.send(closed(outcome)).await;
            return;
        }
        let usage = Usage {
            input_tokens: 10,
            cost: Some(Usd::from_micros(100)),
            ..Usage::default()
        };
        let ended = SessionEvent::TurnEnded {
            outcome,
            usage,
            covers_lost: false,
            duration: Duration::from_millis(1500),
        };
        if tell.send(ended).await.is_err() {
            return;
        }
    }
    let _ = tell.send(closed(TurnOutcome::Interrupted)).await;
}

struct Seat<'a> {
    spec: &'a SessionSpec,
    orders: &'a mut mpsc::Receiver<SessionCommand>,
    tell: &'a mpsc::Sender<SessionEvent>,
}

impl Seat<'_> {
    /// How the turn ends; `None` when the seat was closed meanwhile.
    async fn plays(&mut self, moves: Vec<Move>) -> Option<TurnOutcome> {
        let mut verdict = None;
        for next in moves {
            match next {
                Move::Write(path, content) => self.writes(path, content).await?,
                Move::Meet(barrier) => {
                    tokio::select! {
                        _ = barrier.wait() => {}
                        order = self.orders.recv() => match order {
                            Some(SessionCommand::Interrupt) => {
                                return Some(TurnOutcome::Interrupted);
                            }
                            _ => return None,
                        },
                    }
                }
                Move::Note(to, kind, text) => {
                    let text = text.to_owned();
                    self.calls(AgentCall::PostMessage { to, kind, text })
                        .await?;
                }
                Move::Hang => loop {
                    match self.orders.recv().await {
                        Some(SessionCommand::Interrupt) => return Some(TurnOutcome::Interrupted),
                        Some(SessionCommand::Close) | None => return None,
                        Some(_) => {}
                    }
                },
                Move::Crash => {
                    let stderr = "boom".to_owned();
                    return Some(TurnOutcome::Exited { code: 1, stderr });
                }
                Move::Verdict(given) => verdict = Some(given),
                Move::Mumble(text) => return Some(completed(text)),
            }
        }
        let result = StepResult {
            summary: "did it".into(),
            verdict,
            ..StepResult::default()
        };
        self.calls(AgentCall::SubmitResult { result }).await?;
        Some(completed("done"))
    }

    async fn writes(&mut self, path: &str, content: &str) -> Option<()> {
        let path = self.spec.workspace.join(path);
        let tool = ToolRequest {
            tool: "Write".into(),
            input: json!({ "file_path": path, "content": content }),
        };
        let request = RequestKey("w".into());
        let asked = SessionEvent::ToolAsked { request, tool };
        self.tell.send(asked).await.ok()?;
        match self.orders.recv().await? {
            SessionCommand::Decide {
                decision: ToolDecision::Allow,
                ..
            } => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
                Some(())
            }
            SessionCommand::Decide { .. } => Some(()),
            SessionCommand::Prompt(_)
            | SessionCommand::Interrupt
            | SessionCommand::Reply { .. }
            | SessionCommand::Close => None,
        }
    }

    async fn calls(&mut self, body: AgentCall) -> Option<()> {
        let call = RequestKey("c".into());
        let called = SessionEvent::Called { call, body };
        self.tell.send(called).await.ok()?;
        matches!(self.orders.recv().await?, SessionCommand::Reply { .. }).then_some(())
    }
}

fn completed(text: &str) -> TurnOutcome {
    TurnOutcome::Completed {
        text: text.to_owned(),
        denials: vec![],
    }
}

/// Hands out one plan, and rules as it is told; without a ruling it cannot say.
#[derive(Debug)]
struct Prime {
    plan: Plan,
    script: Arc<Script>,
}

/// What each call of it uses.
pub(crate) const PRIME_USES: Usage = Usage {
    input_tokens: 7,
    output_tokens: 0,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    cost: None,
};

#[async_trait]
impl Planner for Prime {
    async fn plan(&self, _: &PlanBrief, thinks: &Thinks) -> Result<Planned, NoPlan> {
        let _ = thinks.send("let me see".to_owned()).await;
        Ok(Planned {
            plan: self.plan.clone(),
            usage: PRIME_USES,
            model: "a model".into(),
            calls: 1,
        })
    }

    async fn judge(&self, case: &Case, _: &Thinks) -> Result<Judged, NoPlan> {
        self.script.cases.lock().unwrap().push(case.clone());
        match self.script.rulings.lock().unwrap().pop_front() {
            Some(ruling) => Ok(Judged {
                ruling,
                reason: "because".into(),
                usage: PRIME_USES,
                model: "a model".into(),
                calls: 1,
            }),
            None => Err(NoPlan::unasked("it is not there")),
        }
    }
}

/// A data folder, a project, a plan and an engine.
pub(crate) struct Workshop {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) script: Arc<Script>,
    plan: Plan,
    pub(crate) engine: Engine,
}

impl Workshop {
    pub(crate) async fn with(plan: Plan, moves: Moves) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("sum.txt"), "one\ntwo\nthree\n").unwrap();
        let script = Arc::new(Script::default());
        *script.moves.lock().unwrap() = moves;
        let engine = engine(&dir, &script, &plan).await;
        Self {
            dir,
            script,
            plan,
            engine,
        }
    }

    /// Ends the engine and starts another on what it left.
    pub(crate) async fn restarts(self) -> Self {
        let Self {
            dir,
            script,
            plan,
            engine: old,
        } = self;
        old.stop().await;
        drop(old);
        let engine = engine(&dir, &script, &plan).await;
        Self {
            dir,
            script,
            plan,
            engine,
        }
    }

    pub(crate) async fn begins(&self, change: impl FnOnce(&mut NewTask)) -> Arc<Task> {
        let project = self.dir.path().join("project");
        self.engine.trust(&project).await.unwrap();
        let mut new = NewTask {
            text: "Mend the sum".into(),
            title: None,
            folder: project,
            team: Team::Claude,
            planner: PlannerKind::Openai,
            permissions: Permissions::Workspace,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            start: true,
            attended: true,
            trust_once: false,
            priority: Priority::Normal,
            terms: Terms::default(),
        };
        change(&mut new);
        self.engine.create(new).await.unwrap()
    }

    pub(crate) async fn until(
        &self,
        task: &Task,
        what: &str,
        condition: impl Fn(&Task) -> bool,
    ) -> Arc<Task> {
        until(&self.engine, task.id, what, condition).await
    }

    pub(crate) async fn order(&self, task: &Task, command: Command) -> Arc<Task> {
        self.engine.order(task.id, command).await.unwrap()
    }

    /// Accepts, and says what the project's file holds then.
    pub(crate) async fn accepted(&self, task: &Task, file: &str) -> String {
        let although_red = false;
        self.order(task, Command::Accept { although_red }).await;
        self.until(task, "done", |t| t.state() == TaskState::Done)
            .await;
        fs::read_to_string(self.dir.path().join("project").join(file)).unwrap_or_default()
    }
}

async fn engine(dir: &tempfile::TempDir, script: &Arc<Script>, plan: &Plan) -> Engine {
    let team: Arc<dyn Backend> = Arc::new(Agents(Arc::clone(script)));
    let planner: Arc<dyn Planner> = Arc::new(Prime {
        plan: plan.clone(),
        script: Arc::clone(script),
    });
    start_with(dir.path(), team, Some(planner), TakeUp::Everything).await
}

/// A plan from a line for each step: its kind, its title, and what it waits for.
pub(crate) fn plan(steps: &[(StepKind, &str, &[u32])]) -> Plan {
    let step = |(number, (kind, title, after)): (u32, &(StepKind, &str, &[u32]))| PlannedStep {
        after: after.iter().copied().map(StepId).collect(),
        ..PlannedStep::new(
            StepId(number),
            *kind,
            (*title).to_owned(),
            format!("do {title}"),
        )
    };
    Plan::new((1..).zip(steps).map(step).collect()).unwrap()
}

/// One turn of a step.
pub(crate) fn turn(moves: &[Move]) -> VecDeque<Vec<Move>> {
    VecDeque::from([moves.to_vec()])
}
