//! What a host holds: orders in, the world and its changes out.

use crate::{
    ChangeStream, DataDir, EngineError, EngineOptions, ErrorKind, FolderFacts, TakeUp, Timeline,
    changes::Hub,
    data_dir::OwnerLock,
    dispatcher::{Dispatcher, Inbox, Input, Reply, inbox, now},
    folder::{find, look, write_sample},
    handed::quote_files,
    hands::{Hands, Locks, Tools},
    monitor::{Monitor, Pulse},
    past::{Log, change_of, clear_leftovers, entries, read_after, replay, settle_doubts},
    state::Shared,
    templates::Templates,
};
use nexus_agent::Sample;
use nexus_core::{
    ANSWER_WITHIN, Answer, ApprovalId, Awake, Command, DayCaps, Desk, Floor, FloorEvent, Limits,
    Permissions, PlannerKind, Predecessor, Priority, Project, ProjectId, ProjectPath, RuleId,
    SeatId, Task, TaskId, TaskSpec, Team, Terms, TurnOutcome, Usd, Wait,
};
use nexus_store::{Reader, Store, StoreKey, Transcripts};
use nexus_workspace::{Git, Patch, ProjectConfig, Repository, Source};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
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
    monitor: Monitor,
    log: Log,
    transcripts: Transcripts,
    /// `None` for an engine that only reads.
    _lock: Option<Arc<OwnerLock>>,
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
    pub limits: Limits,
    /// Seconds after which a question that nobody answered is answered with no.
    pub answer_within: u64,
    pub start: bool,
    pub attended: bool,
    /// The person trusts the folder with the commands it has now, for this task alone.
    pub trust_once: bool,
    pub priority: Priority,
    pub terms: Terms,
}

impl Engine {
    /// Opens the store, replays the log, and takes up whatever was under way.
    pub async fn start(options: EngineOptions, lock: OwnerLock) -> Result<Self, EngineError> {
        let options = Arc::new(options);
        let root = options.data.root().to_owned();
        let (parallel_tasks, take_up) = (options.parallel_tasks, options.take_up);
        let tasks_per_project = options.tasks_per_project;
        let opened = tokio::task::spawn_blocking(move || {
            let mut store = Store::open(&root, StoreKey::Plain)?;
            clear_leftovers(&mut store)?;
            let mut desk = replay(parallel_tasks, |each| store.for_each(0, each))?;
            Arc::make_mut(&mut desk.floor).tasks_per_project = tasks_per_project;
            settle_doubts(&mut store, &desk)?;
            if take_up == TakeUp::Everything {
                desk.awake = Awake::All;
            }
            Ok::<_, EngineError>((store, desk))
        });
        let (store, desk) = opened.await.map_err(|_| EngineError::stopping())??;
        let (inbox, receiver) = inbox();
        let store = Arc::new(Mutex::new(store));
        let engine = Self {
            transcripts: Transcripts::new(options.data.root()),
            options,
            inbox,
            shared: Shared::new(desk),
            hub: Hub::new(),
            monitor: Monitor::default(),
            log: Log::Ours(Arc::clone(&store)),
            _lock: Some(Arc::new(lock)),
        };
        let tools = Tools {
            options: Arc::clone(&engine.options),
            inbox: engine.inbox.clone(),
            shared: engine.shared.clone(),
            hub: engine.hub.clone(),
            monitor: engine.monitor.clone(),
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
            spends_reserve: false,
            owes_reserve: false,
        };
        tokio::spawn(dispatcher.run());
        Ok(engine)
    }

    /// Looks into a data folder without running anything: every order is refused, and nothing
    /// is made or changed.
    pub fn look_into(options: EngineOptions) -> Result<Self, EngineError> {
        let data = &options.data;
        let (log, desk) = if data.root().join(Store::FILE).exists() {
            let reader = Reader::open(data.root(), StoreKey::Plain)?;
            let desk = replay(options.parallel_tasks, |each| reader.for_each(0, each))?;
            (Log::Theirs(Arc::new(Mutex::new(reader))), desk)
        } else {
            (Log::Empty, Desk::default())
        };
        // Nobody listens on the other end, so orders are answered with a refusal.
        let (inbox, _) = inbox();
        Ok(Self {
            transcripts: Transcripts::new(data.root()),
            options: Arc::new(options),
            inbox,
            shared: Shared::new(desk),
            hub: Hub::new(),
            monitor: Monitor::default(),
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

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The number of the last recorded fact.
    pub fn seq(&self) -> u64 {
        self.shared.seq()
    }

    /// Does this engine work on the task, as far as there is something to do? Not when the
    /// task was left by another process and nobody has given it an order since.
    pub fn works_on(&self, task: TaskId) -> bool {
        self.shared.desk().awake.has(task)
    }

    /// The folders and the limits.
    pub fn floor(&self) -> Arc<Floor> {
        self.shared.desk().floor
    }

    /// Why nothing can be recorded now, if that is so. Nothing is under way then.
    pub fn trouble(&self) -> Option<EngineError> {
        self.shared.world().broken.map(|why| why.as_ref().clone())
    }

    /// All tasks with the number of the last fact they reflect.
    pub fn tasks(&self) -> (u64, Vec<Arc<Task>>) {
        let desk = self.shared.desk();
        (desk.seq, desk.tasks.into_values().collect())
    }

    /// The tasks that this one waits for because they are not done.
    pub fn waits_for(&self, task: &Task) -> Vec<Predecessor> {
        if task.after.is_empty() {
            return Vec::new();
        }
        self.shared.desk().waits_for(task)
    }

    /// Where each task that waits for nothing but a place is in the queue, from 1.
    pub fn queue_places(&self) -> BTreeMap<TaskId, u32> {
        let queue = self.shared.desk().queue(now());
        let waiting = queue.iter().filter(|queued| queued.waits == Wait::Place);
        waiting.map(|queued| queued.id).zip(1..).collect()
    }

    /// What each agent at work does right now.
    pub fn pulses(&self) -> BTreeMap<(TaskId, SeatId), Pulse> {
        self.monitor.now()
    }

    /// A task by its id or its short name.
    pub fn find(&self, name: &str) -> Result<Arc<Task>, EngineError> {
        let desk = self.shared.desk();
        let by_id = name.parse().ok().and_then(|id: TaskId| desk.tasks.get(&id));
        let is_named = |task: &&Arc<Task>| task.spec.name().eq_ignore_ascii_case(name);
        let found = by_id.or_else(|| desk.tasks.values().find(is_named));
        found.cloned().ok_or_else(|| EngineError::no_task(name))
    }

    /// Looks at a folder; runs nothing in it.
    pub async fn inspect(&self, path: &Path) -> Result<FolderFacts, EngineError> {
        let (options, path) = (Arc::clone(&self.options), path.to_owned());
        let floor = self.floor();
        blocking(move || look(&options, &floor, &path)).await
    }

    /// The templates for work in a folder, or for work anywhere. They are text, so the folder
    /// need not be trusted.
    pub async fn templates(&self, folder: Option<&Path>) -> Result<Templates, EngineError> {
        let (options, folder) = (Arc::clone(&self.options), folder.map(Path::to_owned));
        blocking(move || match folder {
            None => Ok(Templates::anywhere()),
            Some(named) => Ok(Templates::of(&find(&options, &named)?, &named)),
        })
        .await
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
            self.record_on_floor(events).await?;
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
            priority: new.priority,
            budget: new.budget,
            limits: new.limits,
            answer_within: new.answer_within,
            fingerprint: String::new(),
            attended: new.attended,
            terms: new.terms,
        };
        // What the machine cannot carry is not promised.
        let seats = spec.terms.seats.unwrap_or(Terms::SEATS);
        if seats > self.options.seats {
            spec.terms.seats = Some(self.options.seats);
        }
        spec.check()?;
        let facts = self.inspect(&new.folder).await?;
        if !facts.trusted && !new.trust_once {
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
        spec.fingerprint = facts.fingerprint;
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
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            start: true,
            attended: true,
            trust_once: false,
            priority: Priority::Normal,
            terms: Terms::default(),
        })
        .await
    }

    /// Is the team there, and can the folder be copied?
    async fn preflight(&self, facts: &FolderFacts, team: Team) -> Result<(), EngineError> {
        let backend = self.options.backends.of(team);
        let (options, path) = (Arc::clone(&self.options), facts.folder.path.clone());
        let measured = blocking(move || {
            Git::find()?;
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

    /// A message with text files quoted in it. A file that is no text, or too large to be
    /// quoted, is refused by its name.
    pub async fn with_files(
        &self,
        text: String,
        files: Vec<String>,
    ) -> Result<String, EngineError> {
        blocking(move || quote_files(text, &files)).await
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
    /// `digest` is that of what the person saw; an answer to something else is refused.
    pub async fn answer(
        &self,
        id: ApprovalId,
        answer: Answer,
        digest: Option<String>,
    ) -> Result<Arc<Task>, EngineError> {
        let asks = |task: &&Arc<Task>| task.approvals.contains_key(&id);
        let desk = self.shared.desk();
        let Some(task) = desk.tasks.values().find(asks).map(|task| task.id) else {
            return Err(nexus_core::Rejection::NoSuchQuestion.into());
        };
        self.order(
            task,
            Command::Answer {
                approval: id,
                answer,
                digest,
            },
        )
        .await
    }

    /// Pauses everything that is under way or waits to be.
    pub async fn stop_all(&self) -> Result<(), EngineError> {
        self.ask(|reply| Input::StopAll { reply }).await
    }

    /// Has the account of a team tried again now, whatever it said last.
    pub async fn open_account(&self, team: Team) -> Result<(), EngineError> {
        self.ask(|reply| Input::OpenAccount { team, reply }).await
    }

    /// Takes a standing rule back.
    pub async fn revoke_rule(&self, id: RuleId) -> Result<(), EngineError> {
        if !self.floor().rules.contains_key(&id) {
            let message = format!(
                "there is no rule {}; `nexus approvals rules` lists them",
                id.0
            );
            return Err(EngineError::new(ErrorKind::NotFound, message));
        }
        self.record_on_floor(vec![FloorEvent::RuleRevoked { id }])
            .await
    }

    /// Caps what all tasks of a day may use up together.
    pub async fn set_day_caps(&self, caps: DayCaps) -> Result<(), EngineError> {
        self.record_on_floor(vec![FloorEvent::DayCapsSet { caps }])
            .await
    }

    async fn record_on_floor(&self, events: Vec<FloorEvent>) -> Result<(), EngineError> {
        self.ask(|reply| Input::Floor { events, reply }).await
    }

    async fn ask<T>(&self, input: impl FnOnce(Reply<T>) -> Input) -> Result<T, EngineError> {
        let (reply, done) = oneshot::channel();
        self.inbox.put(input(reply)).await;
        done.await.map_err(|_| EngineError::stopping())?
    }

    /// Changes after `since`, without a gap: first those recorded already, then those to come.
    pub async fn changes(&self, since: u64) -> Result<ChangeStream, EngineError> {
        // Listening begins before reading, so that nothing falls between the two.
        let coming = self.hub.listen();
        let world = self.shared.world();
        if let Some(why) = &world.broken {
            return Err(why.as_ref().clone());
        }
        let desk = world.desk;
        let coming = coming.ok_or_else(EngineError::stopping)?;
        let stored = if since < desk.seq {
            let log = self.log.clone();
            blocking(move || read_after(&log, since)).await?
        } else {
            Vec::new()
        };
        // What was recorded after this look at the world is still to be published, with the
        // tasks as they are then.
        let known = stored.into_iter().take_while(|event| event.seq <= desk.seq);
        let missed: Vec<_> = known.filter_map(|event| change_of(&desk, event)).collect();
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(EngineError::stopping()))
}
