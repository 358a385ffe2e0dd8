//! What a host holds: orders in, the world and its changes out.

use crate::{
    Change, ChangeStream, DataDir, EngineError, EngineOptions, ErrorKind,
    changes::Hub,
    data_dir::{OwnerLock, private_dir},
    dispatcher::{Dispatcher, FLOOR_STREAM, Inbox, Input, inbox, now},
    hands::{Hands, Locks, Tools},
    options::TakeUp,
    state::{Awake, Shared, World},
};
use nexus_agent::{AGENT_TAG, Sample};
use nexus_core::{
    Answer, ApprovalId, Command, CommandLine, Event, Floor, FloorEvent, Permissions, PlannerKind,
    Priority, Project, ProjectId, ProjectPath, Task, TaskId, TaskSpec, Team, Timestamp, TurnId,
    TurnOutcome, TurnUpdate, Usd,
};
use nexus_process::{Leftover, ProcessIdentity, find_tagged, kill_leftover};
use nexus_store::{Reader, Store, StoreError, StoreKey, StoredEvent, Transcripts};
use nexus_workspace::{
    Folder, Patch, ProjectConfig, Repository, Setup, Source, Surroundings, checks, inspect_folder,
    instructions, setup,
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;
use uuid::Uuid;

/// The running orchestrator of one data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    options: Arc<EngineOptions>,
    inbox: Inbox,
    shared: Shared,
    hub: Hub,
    log: Log,
    transcripts: Transcripts,
    /// `None` for an engine that only reads.
    _lock: Option<Arc<OwnerLock>>,
}

/// Where the past is read from.
#[derive(Clone, Debug)]
enum Log {
    Ours(Arc<Mutex<Store>>),
    /// Nobody runs this data folder's engine; look, but record nothing.
    Theirs(Arc<Mutex<Reader>>),
    /// There is no store yet.
    Empty,
}

impl Log {
    fn read(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        match self {
            Self::Ours(store) => lock(store).read(after, limit),
            Self::Theirs(reader) => lock(reader).read(after, limit),
            Self::Empty => Ok(Vec::new()),
        }
    }

    fn read_stream(&self, stream: &str) -> Result<Vec<StoredEvent>, StoreError> {
        match self {
            Self::Ours(store) => lock(store).read_stream(stream),
            Self::Theirs(reader) => lock(reader).read_stream(stream),
            Self::Empty => Ok(Vec::new()),
        }
    }
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct NewTask {
    pub text: String,
    pub title: Option<String>,
    pub folder: PathBuf,
    pub team: Team,
    pub planner: PlannerKind,
    pub permissions: Permissions,
    pub budget: Option<Usd>,
    pub start: bool,
    pub attended: bool,
}

/// What was found in a folder by looking at it.
#[derive(Clone, Debug)]
pub struct FolderFacts {
    pub folder: Folder,
    pub checks: Vec<CommandLine>,
    /// The checks are named in the project's configuration, not detected.
    pub checks_configured: bool,
    pub setup: Setup,
    pub allowed_commands: Vec<CommandLine>,
    /// Files whose text is quoted to the agents.
    pub instructions: Vec<String>,
    /// The person trusted the folder with just these commands.
    pub trusted: bool,
    fingerprint: String,
}

/// A task's past: its facts, and what its turns showed.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Oldest first.
    pub entries: Vec<TimelineEntry>,
}

/// One line of the past.
#[derive(Clone, Debug)]
pub enum TimelineEntry {
    Fact {
        seq: u64,
        at: Timestamp,
        event: Box<Event>,
    },
    Shown {
        turn: TurnId,
        line: u64,
        at: Timestamp,
        update: TurnUpdate,
    },
}

impl TimelineEntry {
    /// When it was.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Fact { at, .. } | Self::Shown { at, .. } => *at,
        }
    }
}

/// How many lines of a turn's transcript a timeline shows; the rest is paged on demand.
const TURN_LINES: usize = 400;

impl Engine {
    /// Opens the store, replays the log, and takes up whatever was under way.
    pub async fn start(options: EngineOptions, lock: OwnerLock) -> Result<Self, EngineError> {
        let options = Arc::new(options);
        let root = options.data.root().to_owned();
        let (parallel_tasks, take_up) = (options.parallel_tasks, options.take_up);
        let opened = tokio::task::spawn_blocking(move || {
            let mut store = Store::open(&root, StoreKey::Plain)?;
            clear_leftovers(&mut store)?;
            let mut world = replay(parallel_tasks, |each| store.for_each(0, each))?;
            if take_up == TakeUp::Everything {
                world.awake = Awake::All;
            }
            Ok::<_, EngineError>((store, world))
        });
        let (store, world) = opened.await.map_err(|_| EngineError::stopping())??;
        let (inbox, receiver) = inbox();
        let store = Arc::new(Mutex::new(store));
        let engine = Self {
            transcripts: Transcripts::new(options.data.root()),
            options,
            inbox,
            shared: Shared::new(world),
            hub: Hub::new(),
            log: Log::Ours(Arc::clone(&store)),
            _lock: Some(Arc::new(lock)),
        };
        let tools = Tools {
            options: Arc::clone(&engine.options),
            inbox: engine.inbox.clone(),
            shared: engine.shared.clone(),
            hub: engine.hub.clone(),
            transcripts: engine.transcripts.clone(),
            store: Arc::clone(&store),
            locks: Locks::default(),
        };
        let dispatcher = Dispatcher {
            store,
            shared: engine.shared.clone(),
            hub: engine.hub.clone(),
            hands: Hands::new(tools),
            inbox: receiver,
        };
        tokio::spawn(dispatcher.run());
        Ok(engine)
    }

    /// Looks into a data folder without running anything: every order is refused, and nothing
    /// is made or changed.
    pub fn look_into(options: EngineOptions) -> Result<Self, EngineError> {
        let data = &options.data;
        let (log, world) = if data.root().join(Store::FILE).exists() {
            let reader = Reader::open(data.root(), StoreKey::Plain)?;
            let world = replay(options.parallel_tasks, |each| reader.for_each(0, each))?;
            (Log::Theirs(Arc::new(Mutex::new(reader))), world)
        } else {
            (Log::Empty, World::default())
        };
        // Nobody listens on the other end, so orders are answered with a refusal.
        let (inbox, _) = inbox();
        Ok(Self {
            transcripts: Transcripts::new(data.root()),
            options: Arc::new(options),
            inbox,
            shared: Shared::new(world),
            hub: Hub::new(),
            log,
            _lock: None,
        })
    }

    /// Parks every session and ends. Returns when all processes are gone; what was under way
    /// is taken up by the next start.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        self.inbox.put(Input::Stop { reply }).await;
        // When the dispatcher is gone already, so are its processes.
        let _ = done.await;
    }

    /// Where everything is kept.
    pub fn data(&self) -> &DataDir {
        &self.options.data
    }

    /// The number of the last recorded fact.
    pub fn seq(&self) -> u64 {
        self.shared.world().seq
    }

    /// Does this engine work on the task, as far as there is something to do? Not when the
    /// task was left by another process and nobody has given it an order since.
    pub fn works_on(&self, task: TaskId) -> bool {
        self.shared.world().awake.has(task)
    }

    /// The folders and the limits.
    pub fn floor(&self) -> Arc<Floor> {
        self.shared.world().floor
    }

    /// All tasks with the number of the last fact they reflect.
    pub fn tasks(&self) -> (u64, Vec<Arc<Task>>) {
        let world = self.shared.world();
        (world.seq, world.tasks.into_values().collect())
    }

    /// A task by its id or its short name.
    pub fn find(&self, name: &str) -> Result<Arc<Task>, EngineError> {
        let world = self.shared.world();
        let by_id = name
            .parse()
            .ok()
            .and_then(|id: TaskId| world.tasks.get(&id));
        let is_named = |task: &&Arc<Task>| task.spec.name().eq_ignore_ascii_case(name);
        let found = by_id.or_else(|| world.tasks.values().find(is_named));
        found.cloned().ok_or_else(|| EngineError::no_task(name))
    }

    /// Looks at a folder; runs nothing in it.
    pub async fn inspect(&self, path: &Path) -> Result<FolderFacts, EngineError> {
        let (options, path) = (Arc::clone(&self.options), path.to_owned());
        let floor = self.floor();
        blocking(move || look(&options, &floor, &path)).await
    }

    /// Adds a folder, and trusts it with the commands it has now.
    pub async fn trust(&self, path: &Path) -> Result<Project, EngineError> {
        let facts = self.inspect(path).await?;
        self.add(&facts, true, false).await
    }

    async fn add(
        &self,
        facts: &FolderFacts,
        trust: bool,
        practice: bool,
    ) -> Result<Project, EngineError> {
        let path = facts.folder.path.to_string_lossy().into_owned();
        let floor = self.floor();
        let mut events = Vec::new();
        let project = match floor.project_at(&path) {
            Some(known) => known.clone(),
            None => {
                let project = Project {
                    id: ProjectId::new(Uuid::now_v7()),
                    name: facts.folder.name.clone(),
                    path,
                    practice,
                };
                events.push(FloorEvent::ProjectAdded {
                    project: project.clone(),
                });
                project
            }
        };
        if trust && !facts.trusted {
            let fingerprint = facts.fingerprint.clone();
            events.push(FloorEvent::ProjectTrusted {
                id: project.id,
                fingerprint,
            });
        }
        if !events.is_empty() {
            let (reply, done) = oneshot::channel();
            self.inbox.put(Input::Floor { events, reply }).await;
            done.await.map_err(|_| EngineError::stopping())??;
        }
        Ok(project)
    }

    /// Makes a task for a trusted folder. Everything that can be seen to be in its way is an
    /// error now, and then there is no task.
    pub async fn create(&self, new: NewTask) -> Result<Arc<Task>, EngineError> {
        let title = new.title.clone().filter(|title| !title.trim().is_empty());
        let mut spec = TaskSpec {
            number: 0,
            project: ProjectId::new(Uuid::nil()),
            project_name: String::new(),
            folder: String::new(),
            title: title.unwrap_or_else(|| TaskSpec::title_from(&new.text)),
            text: new.text,
            team: new.team,
            planner: new.planner,
            permissions: new.permissions,
            priority: Priority::Normal,
            budget: new.budget,
            attended: new.attended,
        };
        spec.check()?;
        let facts = self.inspect(&new.folder).await?;
        if !facts.trusted {
            return Err(EngineError::new(
                ErrorKind::Untrusted,
                format!(
                    "{} is not trusted with the commands it has now: look at them and trust the folder first",
                    facts.folder.path.display()
                ),
            ));
        }
        if new.start {
            self.preflight(&facts, new.team).await?;
        }
        let project = self.add(&facts, false, false).await?;
        spec.project = project.id;
        spec.project_name = project.name;
        spec.folder = project.path;
        let (reply, created) = oneshot::channel();
        let id = TaskId::new(Uuid::now_v7());
        let input = Input::Create {
            id,
            spec: Box::new(spec),
            start: new.start,
            reply,
        };
        self.inbox.put(input).await;
        created.await.map_err(|_| EngineError::stopping())?
    }

    /// Makes a fresh copy of the bundled sample and starts the practice task on it. `path` is
    /// where its checks are looked for, as in `PATH`.
    pub async fn practice(&self, path: &OsStr) -> Result<Arc<Task>, EngineError> {
        let sample = Sample::choose(path).ok_or_else(|| {
            let message =
                "the practice sample needs python3 or Node.js for its checks; install one of them";
            EngineError::new(ErrorKind::AgentProgram, message)
        })?;
        let text = sample.task_text().to_owned();
        let samples = self.options.data.practice();
        let folder = blocking(move || write_sample(&sample, &samples)).await?;
        let facts = self.inspect(&folder).await?;
        self.add(&facts, true, true).await?;
        self.create(NewTask {
            text,
            title: None,
            folder,
            team: Team::Practice,
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            budget: None,
            start: true,
            attended: true,
        })
        .await
    }

    /// Is the team there, and can the folder be copied?
    async fn preflight(&self, facts: &FolderFacts, team: Team) -> Result<(), EngineError> {
        let backend = self.options.backends.of(team);
        let (options, path) = (Arc::clone(&self.options), facts.folder.path.clone());
        let measured = blocking(move || {
            let config = ProjectConfig::read(&path)?;
            let source = Source::new(&path, &config.exclude, options.limits.clone())?;
            Ok(source.measure()?)
        });
        let (ready, measured) = tokio::join!(backend.ready(), measured);
        measured?;
        ready.map_err(|outcome| {
            let kind = if matches!(outcome, TurnOutcome::AuthRequired { .. }) {
                ErrorKind::Login
            } else {
                ErrorKind::AgentProgram
            };
            EngineError::new(kind, outcome.describe())
        })
    }

    /// Orders a task to do something.
    pub async fn order(&self, task: TaskId, command: Command) -> Result<Arc<Task>, EngineError> {
        let (reply, followed) = oneshot::channel();
        self.inbox
            .put(Input::Order {
                task,
                command,
                reply,
            })
            .await;
        followed.await.map_err(|_| EngineError::stopping())?
    }

    /// Answers a question, whichever task it belongs to.
    pub async fn answer(&self, id: ApprovalId, answer: Answer) -> Result<Arc<Task>, EngineError> {
        let asks = |task: &&Arc<Task>| task.approvals.contains_key(&id);
        let world = self.shared.world();
        let Some(task) = world.tasks.values().find(asks).map(|task| task.id) else {
            return Err(nexus_core::Rejection::NoSuchQuestion.into());
        };
        self.order(
            task,
            Command::Answer {
                approval: id,
                answer,
            },
        )
        .await
    }

    /// Changes after `since`, without a gap: first those recorded already, then those to come.
    pub async fn changes(&self, since: u64) -> Result<ChangeStream, EngineError> {
        // Listening begins before reading, so that nothing falls between the two.
        let coming = self.hub.listen();
        let world = self.shared.world();
        if let Some(why) = &world.broken {
            return Err(EngineError::new(ErrorKind::DataFolder, why.as_ref()));
        }
        let coming = coming.ok_or_else(EngineError::stopping)?;
        let stored = if since < world.seq {
            let log = self.log.clone();
            blocking(move || read_after(&log, since)).await?
        } else {
            Vec::new()
        };
        // What was recorded after this look at the world is still to be published, with the
        // tasks as they are then.
        let known = stored
            .into_iter()
            .take_while(|event| event.seq <= world.seq);
        let missed: Vec<_> = known.filter_map(|event| change_of(&world, event)).collect();
        Ok(ChangeStream {
            missed: missed.into_iter(),
            seen: since,
            coming,
        })
    }

    /// What happened to a task, oldest first.
    pub async fn timeline(&self, task: &Arc<Task>) -> Result<Timeline, EngineError> {
        let (log, transcripts) = (self.log.clone(), self.transcripts.clone());
        let id = task.id;
        blocking(move || {
            let stored = log.read_stream(&id.to_string())?;
            Ok(Timeline {
                entries: entries(id, stored, &transcripts)?,
            })
        })
        .await
    }

    /// The difference a task made, as text: all of it, or that of one file.
    pub async fn patch(
        &self,
        task: &Task,
        path: Option<ProjectPath>,
    ) -> Result<Patch, EngineError> {
        let (Some(was), Some(evidence)) = (task.workspace.prepared(), &task.evidence) else {
            return Ok(Patch {
                text: String::new(),
                truncated: false,
            });
        };
        let (base, tree) = (was.tree.clone(), evidence.tree.clone());
        let dir = self.options.data.repository(task.spec.project);
        blocking(move || Ok(Repository::open(&dir)?.patch(&base, &tree, path.as_ref())?)).await
    }
}

/// Writes the sample into the first free folder of its name.
fn write_sample(sample: &Sample, samples: &Path) -> Result<PathBuf, EngineError> {
    private_dir(samples)?;
    for number in 1.. {
        let folder = samples.join(format!("sample-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => {
                sample
                    .write_to(&folder)
                    .map_err(|e| EngineError::data_dir(&folder, e))?;
                return Ok(folder);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(EngineError::data_dir(&folder, error)),
        }
    }
    Err(EngineError::stopping())
}

fn look(options: &EngineOptions, floor: &Floor, path: &Path) -> Result<FolderFacts, EngineError> {
    let around = Surroundings {
        home: options.home.as_deref(),
        data: options.data.root(),
    };
    let folder = inspect_folder(path, around)?;
    let config = ProjectConfig::read(&folder.path)?;
    let (checks, setup) = (checks(&folder.path, &config), setup(&folder.path, &config));
    let fingerprint = fingerprint(&checks, &setup, &config.allow_commands);
    let known = floor.project_at(&folder.path.to_string_lossy());
    let trusted = known.is_some_and(|p| floor.trusted.get(&p.id) == Some(&fingerprint));
    Ok(FolderFacts {
        checks_configured: config.checks.is_some(),
        instructions: instructions(&folder.path)
            .iter()
            .map(|i| i.path.to_string())
            .collect(),
        allowed_commands: config.allow_commands,
        folder,
        checks,
        setup,
        trusted,
        fingerprint,
    })
}

/// Covers exactly what the person is shown and trusts: the commands that would run.
fn fingerprint(checks: &[CommandLine], setup: &Setup, allowed: &[CommandLine]) -> String {
    let shown = serde_json::json!([checks, setup.command, allowed]).to_string();
    let digest = Sha256::digest(shown);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(store: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many events are read at once.
const PAGE: usize = 1000;

fn read_after(log: &Log, since: u64) -> Result<Vec<StoredEvent>, EngineError> {
    let mut events = Vec::new();
    let mut after = since;
    loop {
        // The lock is let go between pages, so that recording never waits for a reader.
        let page = log.read(after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(events);
        };
        after = last.seq;
        events.extend(page);
    }
}

fn change_of(world: &World, stored: StoredEvent) -> Option<Change> {
    if stored.stream == FLOOR_STREAM {
        return Some(Change::Floor {
            seq: stored.seq,
            floor: Arc::clone(&world.floor),
        });
    }
    let task = world.tasks.get(&stored.stream.parse().ok()?)?;
    Some(Change::Fact {
        seq: stored.seq,
        at: stored.at,
        task: Arc::clone(task),
        event: Arc::new(serde_json::from_str(&stored.body).ok()?),
    })
}

/// Makes sure that what an earlier run started is gone, and closes its ledger rows.
///
/// The guards have seen to it already when that run was killed; this is for a machine on which
/// a guard was killed as well.
fn clear_leftovers(store: &mut Store) -> Result<(), EngineError> {
    let this_boot = nexus_process::boot_id().unwrap_or_default();
    for row in store.ledger_open()? {
        if row.boot_id == this_boot {
            let root = ProcessIdentity {
                pid: row.pid,
                start_ticks: row.start_ticks,
            };
            let mut roots = vec![root];
            roots.extend(find_tagged(AGENT_TAG.as_ref(), row.tag.as_ref()));
            let left = kill_leftover(&roots);
            if !matches!(left, Leftover::NothingThere) {
                tracing::warn!(what = row.what, ?left, "an earlier run had left a process");
            }
        }
        store.ledger_ended(row.id, now())?;
    }
    Ok(())
}

fn replay(
    parallel_tasks: usize,
    log: impl FnOnce(&mut dyn FnMut(StoredEvent)) -> Result<(), StoreError>,
) -> Result<World, EngineError> {
    let mut floor = Floor {
        parallel_tasks,
        ..Floor::default()
    };
    let mut logs: BTreeMap<TaskId, Vec<(Event, Timestamp)>> = BTreeMap::new();
    let (mut seq, mut unreadable) = (0, None);
    log(&mut |stored| {
        seq = stored.seq;
        let read = if stored.stream == FLOOR_STREAM {
            serde_json::from_str(&stored.body)
                .map(|event| floor.apply(&event))
                .ok()
        } else {
            let event = serde_json::from_str(&stored.body).ok();
            event
                .zip(stored.stream.parse().ok())
                .map(|(event, id): (_, TaskId)| {
                    logs.entry(id).or_default().push((event, stored.at));
                })
        };
        if read.is_none() {
            unreadable.get_or_insert((stored.seq, stored.kind));
        }
    })?;
    if let Some((seq, kind)) = unreadable {
        return Err(EngineError::new(
            ErrorKind::DataFolder,
            format!(
                "failed to understand event {seq} (`{kind}`) of the log: a newer NEXUS may have written it; start that version"
            ),
        ));
    }
    let tasks = logs
        .into_iter()
        .filter_map(|(id, log)| Task::replay(id, log));
    let tasks = tasks.map(|task| (task.id, Arc::new(task))).collect();
    Ok(World {
        seq,
        floor: Arc::new(floor),
        tasks,
        ..World::default()
    })
}

fn entries(
    task: TaskId,
    stored: Vec<StoredEvent>,
    transcripts: &Transcripts,
) -> Result<Vec<TimelineEntry>, EngineError> {
    let mut entries = Vec::new();
    for stored in stored {
        let Ok(event) = serde_json::from_str::<Event>(&stored.body) else {
            continue;
        };
        if let Event::StepStarted { turn, .. } = &event {
            for kept in transcripts.tail(task, *turn, TURN_LINES)?.lines {
                entries.push(TimelineEntry::Shown {
                    turn: *turn,
                    line: kept.number,
                    at: kept.line.at,
                    update: kept.line.update,
                });
            }
        }
        entries.push(TimelineEntry::Fact {
            seq: stored.seq,
            at: stored.at,
            event: Box::new(event),
        });
    }
    // Stable: facts of the same moment keep the order of the log.
    entries.sort_by_key(TimelineEntry::at);
    Ok(entries)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(EngineError::stopping()))
}

/// The present moment, for hosts that stamp something of their own.
impl Engine {
    /// Now, by the clock the log uses.
    pub fn now(&self) -> Timestamp {
        now()
    }
}
