//! Many tasks at once in one engine, with faults of the agents among them: each comes to the
//! ending it should, and memory, descriptors and disk do not grow more than the tasks do.
//!
//! The team is scripted and in this process, so that the engine is what is measured; copies,
//! snapshots and the log are real. How real agent processes end is tried elsewhere.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what this test sets up works, or it has to stop; it says what it measured"
)]

use async_trait::async_trait;
use nexus_agent::{Backend, RequestKey, Session, SessionCommand, SessionEvent, SessionSpec};
use nexus_core::*;
use nexus_engine::*;
use nexus_process::Launcher;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How many tasks run at once.
const PARALLEL: usize = 8;
/// Turns out of a thousand that go wrong.
const FAULTS: u64 = 50;
/// How much memory a task may cost for good: its facts and messages, which stay in memory so
/// that it can be shown at once.
const MEMORY_OF_A_TASK: f64 = 96.0 * 1024.0;
/// How much disk: its facts, transcripts, scratchpads and snapshots.
const DISK_OF_A_TASK: f64 = 96.0 * 1024.0;
/// No descriptor belongs to a task that is over. Git and copies come and go.
const DESCRIPTORS_OF_A_TASK: f64 = 0.02;
/// No run of this size takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// How a turn goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Exits,
    Crashes,
    IsSilent,
    Babbles,
    IsOverloaded,
    LosesItsSession,
    IsLimited,
    /// Exits at every attempt: the task cannot succeed.
    NeverWorks,
}

const KINDS: [Fault; 8] = [
    Fault::Exits,
    Fault::Crashes,
    Fault::IsSilent,
    Fault::Babbles,
    Fault::IsOverloaded,
    Fault::LosesItsSession,
    Fault::IsLimited,
    Fault::NeverWorks,
];

/// What goes wrong in a task's turns is settled by the seed, the task's number and the role.
fn fault_of(seed: u64, number: usize, role: Role) -> Option<Fault> {
    let mut mixed = seed ^ ((number as u64) << 8) ^ role as u64;
    for _ in 0..3 {
        mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 27;
    }
    let kind = KINDS[usize::try_from(mixed / 1000 % 8).unwrap_or_default()];
    // A limit holds every task for as long as the waking is spread over, so there are few.
    let kind = if kind == Fault::IsLimited && number % 250 > 24 {
        Fault::IsOverloaded
    } else {
        kind
    };
    (mixed % 1000 < FAULTS).then_some(kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_with_faults_come_to_their_endings_and_nothing_piles_up() {
    let nightly = std::env::var_os("NEXUS_NIGHTLY").is_some();
    let tasks = if nightly { 10_000 } else { 500 };
    let told = std::env::var("NEXUS_SEED").ok();
    let seed = told
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()));
    println!("seed {seed}: have its faults again with NEXUS_SEED={seed}");
    let soak = tokio::time::timeout(PATIENCE, soak(seed, tasks));
    soak.await.unwrap();
}

async fn soak(seed: u64, tasks: usize) {
    let began = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("sum.txt"), "wrong\n").unwrap();
    let crew = Arc::new(Crew {
        seed,
        hit: Mutex::new(BTreeMap::new()),
        tries: Mutex::new(HashMap::new()),
    });
    let engine = start(dir.path(), &crew).await;
    engine.trust(&project).await.unwrap();
    let next = Mutex::new(0..tasks);
    let endings = Mutex::new(Vec::new());
    let samples = Mutex::new(Vec::new());
    let one_after_the_other = async || {
        loop {
            let Some(number) = next.lock().unwrap().next() else {
                return;
            };
            let ending = bring_to_its_end(&engine, &project, number).await;
            let mut endings = endings.lock().unwrap();
            endings.push((number, ending));
            if endings.len() % (tasks / 50) == 0 {
                samples
                    .lock()
                    .unwrap()
                    .push(Sample::now(endings.len(), dir.path()));
            }
        }
    };
    futures::future::join_all((0..PARALLEL).map(|_| one_after_the_other())).await;
    engine.stop().await;
    let (endings, samples) = (endings.into_inner().unwrap(), samples.into_inner().unwrap());
    judge(seed, &crew, &endings, &samples, began.elapsed());
}

/// Makes a task, follows it until nothing more happens to it by itself, and puts it away.
async fn bring_to_its_end(engine: &Engine, project: &Path, number: usize) -> TaskState {
    let new = NewTask {
        text: format!("Mend the sum, number {number}."),
        title: None,
        folder: project.to_owned(),
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
    };
    let id = engine.create(new).await.unwrap().id;
    let ended = |task: &Task| {
        matches!(
            task.state(),
            TaskState::Review | TaskState::Failed | TaskState::Paused | TaskState::NeedsYou
        )
    };
    let ending = until(engine, id, ended).await;
    let away = if ending == TaskState::Review {
        Command::Discard
    } else {
        Command::Cancel
    };
    engine.order(id, away).await.unwrap();
    until(engine, id, |task| {
        task.state() == TaskState::Cancelled && matches!(task.workspace, Workspace::Dropped { .. })
    })
    .await;
    ending
}

async fn until(engine: &Engine, id: TaskId, holds: impl Fn(&Task) -> bool) -> TaskState {
    let mut changes = engine.changes(engine.seq()).await.unwrap();
    loop {
        let task = engine.find(&id.to_string()).unwrap();
        if holds(&task) {
            return task.state();
        }
        if changes.next().await.is_none() {
            changes = engine.changes(engine.seq()).await.unwrap();
        }
    }
}

/// What there is of what could pile up.
#[derive(Clone, Copy, Debug)]
struct Sample {
    tasks: usize,
    memory: u64,
    descriptors: u64,
    disk: u64,
}

impl Sample {
    fn now(tasks: usize, dir: &Path) -> Self {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            tasks,
            memory: resident * rustix::param::page_size() as u64,
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count() as u64,
            disk: size_of_folder(&dir.join("data")),
        }
    }
}

fn size_of_folder(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_folder(&entry.path()),
            Ok(metadata) => metadata.len(),
            // It went away while we looked.
            Err(_) => 0,
        })
        .sum()
}

/// By how much something grows with each task: the slope of the best line through the samples,
/// without the first fifth, in which caches and pools fill.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn growth(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> f64 {
    let samples = &samples[samples.len() / 5..];
    let count = samples.len() as f64;
    let points: Vec<_> = samples
        .iter()
        .map(|s| (s.tasks as f64, of(s) as f64))
        .collect();
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let over: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    over / points
        .iter()
        .map(|(x, _)| (x - mean_x).powi(2))
        .sum::<f64>()
}

fn judge(
    seed: u64,
    crew: &Crew,
    endings: &[(usize, TaskState)],
    samples: &[Sample],
    took: Duration,
) {
    let right = |(number, ending): &&(usize, TaskState)| *ending == should_be(seed, *number);
    let wrong: Vec<_> = endings.iter().filter(|ending| !right(ending)).collect();
    let hit = crew.hit.lock().unwrap();
    let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
    let memory = growth(samples, |s| s.memory);
    let descriptors = growth(samples, |s| s.descriptors);
    let disk = growth(samples, |s| s.disk);
    println!(
        "\nfigures: soak: {} tasks, all ended, {} not as they should; {} faults {hit:?}; memory {} to {} MB ({:.0} kB a task), \
         descriptors {} to {} ({descriptors:.4} a task), disk {} to {} MB ({:.0} kB a task), {:.0} s, seed {seed}",
        endings.len(),
        wrong.len(),
        hit.values().sum::<usize>(),
        first.memory >> 20,
        last.memory >> 20,
        memory / 1024.0,
        first.descriptors,
        last.descriptors,
        first.disk >> 20,
        last.disk >> 20,
        disk / 1024.0,
        took.as_secs_f64(),
    );
    assert!(wrong.len() * 200 <= endings.len(), "{wrong:?}");
    assert!(!hit.is_empty(), "nothing went wrong, so nothing is shown");
    assert!(memory < MEMORY_OF_A_TASK, "{samples:?}");
    assert!(descriptors < DESCRIPTORS_OF_A_TASK, "{samples:?}");
    assert!(disk < DISK_OF_A_TASK, "{samples:?}");
}

/// The ending that a task has to come to.
fn should_be(seed: u64, number: usize) -> TaskState {
    let hopeless = |role| fault_of(seed, number, role) == Some(Fault::NeverWorks);
    if Role::AGENTS.into_iter().any(hopeless) {
        TaskState::Failed
    } else {
        TaskState::Review
    }
}

/// The team.
#[derive(Debug)]
struct Crew {
    seed: u64,
    hit: Mutex<BTreeMap<Fault, usize>>,
    /// How often a role was prompted in a task.
    tries: Mutex<HashMap<(usize, Role), usize>>,
}

#[derive(Debug)]
struct ScriptedTeam(Arc<Crew>);

#[async_trait]
impl Backend for ScriptedTeam {
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

impl Crew {
    /// What goes wrong this time. Only the first try does, but for one kind.
    fn fault(&self, prompt: &str, role: Role) -> Option<Fault> {
        let (_, after) = prompt.split_once("Mend the sum, number ")?;
        let number = after.split('.').next()?.parse().ok()?;
        let fault = fault_of(self.seed, number, role)?;
        let mut tries = self.tries.lock().unwrap();
        let tries = tries.entry((number, role)).or_default();
        *tries += 1;
        if *tries > 1 && fault != Fault::NeverWorks {
            return None;
        }
        *self.hit.lock().unwrap().entry(fault).or_default() += 1;
        Some(fault)
    }
}

async fn play(
    crew: Arc<Crew>,
    spec: SessionSpec,
    mut orders: mpsc::Receiver<SessionCommand>,
    tell: mpsc::Sender<SessionEvent>,
) {
    // Whoever listens no more has gone, and so do we.
    let mut how = TurnOutcome::Interrupted;
    while let Some(SessionCommand::Prompt(prompt)) = orders.recv().await {
        let text = "at it".to_owned();
        let _ = tell
            .send(SessionEvent::Update(TurnUpdate::Text { text }))
            .await;
        let outcome = match crew.fault(&prompt, spec.role) {
            None => work(&spec, &mut orders, &tell).await,
            Some(fault) => outcome_of(fault),
        };
        let ends = matches!(
            outcome,
            TurnOutcome::Exited { .. }
                | TurnOutcome::Signalled { .. }
                | TurnOutcome::TimedOut { .. }
        );
        if ends {
            how = outcome;
            break;
        }
        let ended = SessionEvent::TurnEnded {
            outcome,
            usage: Usage::default(),
            covers_lost: false,
            duration: Duration::from_millis(3),
        };
        let _ = tell.send(ended).await;
    }
    let _ = tell.send(SessionEvent::Closed { how }).await;
}

fn outcome_of(fault: Fault) -> TurnOutcome {
    let message = format!("{fault:?}");
    match fault {
        Fault::Exits | Fault::NeverWorks => TurnOutcome::Exited {
            code: 1,
            stderr: message,
        },
        Fault::Crashes => TurnOutcome::Signalled {
            signal: 11,
            stderr: message,
        },
        Fault::IsSilent => TurnOutcome::TimedOut { silent_seconds: 1 },
        Fault::Babbles => TurnOutcome::BadProtocol { line: message },
        Fault::IsOverloaded => TurnOutcome::Overloaded { message },
        Fault::LosesItsSession => TurnOutcome::SessionLost { message },
        Fault::IsLimited => TurnOutcome::RateLimited {
            until: Some(soon()),
            message,
        },
    }
}

fn soon() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    let now = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap());
    now.after(Duration::from_millis(200))
}

/// Code writes a file after asking; everybody hands in a result.
async fn work(
    spec: &SessionSpec,
    orders: &mut mpsc::Receiver<SessionCommand>,
    tell: &mpsc::Sender<SessionEvent>,
) -> TurnOutcome {
    if spec.role == Role::Code {
        let path = spec.workspace.join("sum.txt");
        let tool = ToolRequest {
            tool: "Write".into(),
            input: json!({"file_path": path, "content": "right\n"}),
        };
        let request = RequestKey("write".into());
        let _ = tell.send(SessionEvent::ToolAsked { request, tool }).await;
        if !matches!(orders.recv().await, Some(SessionCommand::Decide { .. })) {
            return TurnOutcome::Interrupted;
        }
        fs::write(path, "right\n").unwrap();
    }
    let result = StepResult {
        summary: "as it should be".into(),
        verdict: (spec.role == Role::Beta).then_some(Verdict::Pass),
        ..StepResult::default()
    };
    let call = RequestKey("submit".into());
    let body = AgentCall::SubmitResult { result };
    let _ = tell.send(SessionEvent::Called { call, body }).await;
    if !matches!(orders.recv().await, Some(SessionCommand::Reply { .. })) {
        return TurnOutcome::Interrupted;
    }
    TurnOutcome::Completed {
        text: "done".into(),
        denials: vec![],
    }
}

async fn start(dir: &Path, crew: &Arc<Crew>) -> Engine {
    let data = DataDir::new(dir.join("data"));
    let Ownership::Ours(lock) = data.own().unwrap() else {
        panic!("nobody else knows this folder");
    };
    let team: Arc<dyn Backend> = Arc::new(ScriptedTeam(Arc::clone(crew)));
    let options = EngineOptions {
        data,
        backends: Backends {
            claude: Arc::clone(&team),
            practice: team,
            planner: None,
        },
        // The project has no checks, so no guard is started.
        launcher: Launcher::new("/nonexistent/guard".into()),
        home: None,
        check_env: vec![],
        parallel_tasks: PARALLEL,
        tasks_per_project: None,
        seats: 8,
        silence_limit: Duration::from_secs(600),
        session_timeout: None,
        check_limit: Duration::from_secs(60),
        limits: nexus_workspace::Limits::default(),
        take_up: TakeUp::Everything,
    };
    Engine::start(options, lock).await.unwrap()
}
