//! The one loop: takes what comes in, lets the core decide, records, shows, acts.
//!
//! Everything that waits in the queue is decided against a draft, recorded in one transaction
//! with one fsync, and only then shown, answered and acted upon. When recording fails nothing
//! of it happened, and the engine stops: an orchestrator that cannot remember must not act.

use crate::{
    Change, EngineError,
    changes::Hub,
    hands::Hands,
    state::{Shared, World},
};
use nexus_core::{
    Command, Event, Floor, FloorEvent, Phase, Report, Task, TaskId, TaskSpec, Timestamp, TurnId,
    TurnOutcome, TurnReport, Usage,
};
use nexus_store::{NewEvent, Store, TaskSummary};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{mpsc, oneshot};

/// The stream of facts about no single task.
pub(crate) const FLOOR_STREAM: &str = "floor";

/// How much is recorded together at most.
const BATCH: usize = 256;

/// Something for the dispatcher.
#[derive(Debug)]
pub(crate) enum Input {
    Create {
        id: TaskId,
        spec: Box<TaskSpec>,
        start: bool,
        reply: Reply<Arc<Task>>,
    },
    Order {
        task: TaskId,
        command: Command,
        reply: Reply<Arc<Task>>,
    },
    Floor {
        events: Vec<FloorEvent>,
        reply: Reply<()>,
    },
    /// News from a hand. The reply, where one waits, comes after the facts are recorded.
    News {
        task: TaskId,
        report: Report,
        reply: Option<oneshot::Sender<Vec<Event>>>,
    },
    /// See whether something owed to the task is not under way.
    Look { task: TaskId },
    /// Park every session and end.
    Stop { reply: oneshot::Sender<()> },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// Where hands and handles put their inputs.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(mpsc::Sender<Input>);

impl Inbox {
    /// Waits for a place in the queue. When the dispatcher is gone there is nobody to tell.
    pub(crate) async fn put(&self, input: Input) {
        let _ = self.0.send(input).await;
    }

    /// Reports news and waits until what follows from it is recorded.
    pub(crate) async fn tell(&self, task: TaskId, report: Report) -> Vec<Event> {
        let (reply, recorded) = oneshot::channel();
        self.put(Input::News {
            task,
            report,
            reply: Some(reply),
        })
        .await;
        recorded.await.unwrap_or_default()
    }
}

/// The present moment by the system's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) struct Dispatcher {
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) shared: Shared,
    pub(crate) hub: Hub,
    pub(crate) hands: Hands,
    pub(crate) inbox: mpsc::Receiver<Input>,
}

/// What a batch has decided and not yet recorded.
#[derive(Default)]
struct Draft {
    tasks: BTreeMap<TaskId, Task>,
    floor: Option<Floor>,
    facts: Vec<Fact>,
    answers: Vec<Answer>,
    /// Somebody wants the engine to end after this batch.
    stop: Option<oneshot::Sender<()>>,
}

enum Fact {
    OfTask {
        id: TaskId,
        at: Timestamp,
        event: Event,
    },
    OfFloor {
        at: Timestamp,
        event: FloorEvent,
    },
}

/// Somebody who is told once the batch is recorded.
enum Answer {
    Task {
        id: TaskId,
        reply: Reply<Arc<Task>>,
    },
    Done(Reply<()>),
    Events {
        events: Vec<Event>,
        reply: oneshot::Sender<Vec<Event>>,
    },
}

/// A channel to the dispatcher.
pub(crate) fn inbox() -> (Inbox, mpsc::Receiver<Input>) {
    let (sender, receiver) = mpsc::channel(1024);
    (Inbox(sender), receiver)
}

impl Dispatcher {
    /// Runs until it is stopped or cannot record any more.
    pub(crate) async fn run(mut self) {
        let mut reply = None;
        if self.catch_up().await {
            while reply.is_none() {
                match self.next_batch().await {
                    Some(stop) => reply = stop,
                    None => break,
                }
            }
        }
        self.close().await;
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    /// Takes what waits, records what follows from it. `None` when that is over for good; the
    /// inner value is somebody who wants the engine to end.
    async fn next_batch(&mut self) -> Option<Option<oneshot::Sender<()>>> {
        let wake = self.next_wake();
        let first = tokio::select! {
            input = self.inbox.recv() => Some(input?),
            () = until(wake) => None,
            task = self.hands.ended() => {
                if let Some(task) = self.shared.task(task) {
                    self.hands.look_again(&task);
                }
                return Some(None);
            }
        };
        let mut draft = Draft::default();
        for input in first.into_iter().chain(self.waiting()) {
            self.decide(input, &mut draft);
        }
        let stop = draft.stop.take();
        self.let_time_pass(&mut draft);
        self.admit(&mut draft);
        self.record_or_fail(draft).await.then_some(stop)
    }

    /// Begins nothing more and waits until everything under way has ended, recording what it
    /// has to say: work that is done must not be done again.
    async fn close(&mut self) {
        let mut leaving = self.hands.let_go();
        loop {
            tokio::select! {
                ended = leaving.ended() => match ended {
                    Some(_) => {}
                    None => break,
                },
                Some(input) = self.inbox.recv() => self.last_words(input).await,
            }
        }
        self.inbox.close();
        while self.inbox.recv().await.is_some() {}
        self.hub.close();
    }

    /// Records news that comes while everything ends. Orders come too late.
    async fn last_words(&mut self, input: Input) {
        if matches!(input, Input::News { .. }) && self.shared.world().broken.is_none() {
            let mut draft = Draft::default();
            self.decide(input, &mut draft);
            self.record_or_fail(draft).await;
        }
    }

    /// After a start: whatever the log says is under way begins again, for the tasks that
    /// this engine works on. `false` when it cannot be recorded.
    async fn catch_up(&mut self) -> bool {
        let mut draft = Draft::default();
        let world = self.shared.world();
        for id in world.tasks.keys().filter(|id| world.awake.has(**id)) {
            self.cut_off(*id, &mut draft);
        }
        self.admit(&mut draft);
        if !self.record_or_fail(draft).await {
            return false;
        }
        let world = self.shared.world();
        for task in world.tasks.values().filter(|task| world.awake.has(task.id)) {
            self.hands.reconcile(task);
        }
        true
    }

    async fn record_or_fail(&mut self, draft: Draft) -> bool {
        // Once is enough: each try waits for the store.
        if self.shared.world().broken.is_some() {
            return false;
        }
        let recorded = self.record(draft).await;
        if let Err(why) = &recorded {
            tracing::error!(why, "the event log cannot be written; stopping");
            self.shared.fail(why);
        }
        recorded.is_ok()
    }

    /// Turns that the log leaves open ended with the process that ran them; how is not known.
    fn cut_off(&self, id: TaskId, draft: &mut Draft) {
        let turns = self
            .drafted(id, draft)
            .map(|task| task.turns.keys().copied().collect());
        let turns: Vec<TurnId> = turns.unwrap_or_default();
        for turn in turns {
            let report = Report::TurnEnded(TurnReport {
                turn,
                outcome: TurnOutcome::OutputLost,
                usage: Usage::default(),
                duration_ms: 0,
            });
            self.observe(id, &report, draft);
        }
    }

    /// What else waits in the queue, as far as it fits into one batch.
    fn waiting(&mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.inbox.try_recv().ok())
            .take(BATCH - 1)
            .collect()
    }

    fn next_wake(&self) -> Option<Timestamp> {
        let world = self.shared.world();
        let awake = world.tasks.values().filter(|task| world.awake.has(task.id));
        awake.filter_map(|task| task.next_wake()).min()
    }

    fn decide(&self, input: Input, draft: &mut Draft) {
        match input {
            Input::Create {
                id,
                spec,
                start,
                reply,
            } => {
                self.create(id, *spec, start, draft);
                draft.answers.push(Answer::Task { id, reply });
            }
            Input::Order {
                task,
                command,
                reply,
            } => self.order(task, &command, reply, draft),
            Input::Floor { events, reply } => {
                let mut floor = self.floor(draft);
                for event in events {
                    floor.apply(&event);
                    draft.facts.push(Fact::OfFloor { at: now(), event });
                }
                draft.floor = Some(floor);
                draft.answers.push(Answer::Done(reply));
            }
            Input::News {
                task,
                report,
                reply,
            } => {
                let events = self.observe(task, &report, draft);
                if let Some(reply) = reply {
                    draft.answers.push(Answer::Events { events, reply });
                }
            }
            Input::Look { task } => {
                if let Some(task) = self.drafted(task, draft) {
                    draft.add(task, Vec::new());
                }
            }
            Input::Stop { reply } => draft.stop = Some(reply),
        }
    }

    fn order(&self, id: TaskId, command: &Command, reply: Reply<Arc<Task>>, draft: &mut Draft) {
        let Some(task) = self.drafted(id, draft) else {
            let _ = reply.send(Err(EngineError::no_task(id)));
            return;
        };
        // A task that was left in the middle is first brought to where its log ends. If it
        // then refuses, it is let lie: a refused order must not set agents going.
        let asleep = !self.shared.world().awake.has(id);
        let mut trial = Draft::default();
        if asleep {
            trial.tasks.insert(id, task.clone());
            self.cut_off(id, &mut trial);
        }
        let task = trial.tasks.remove(&id).unwrap_or(task);
        let goes_on = asleep && *command == Command::Resume && task.phase == Phase::Active;
        let events = match task.decide(command, now()) {
            Ok(events) => events,
            Err(_) if goes_on => Vec::new(),
            Err(rejection) => {
                let _ = reply.send(Err(rejection.into()));
                return;
            }
        };
        self.shared.wake(id);
        draft.facts.append(&mut trial.facts);
        draft.add(task, events);
        draft.answers.push(Answer::Task { id, reply });
    }

    fn create(&self, id: TaskId, mut spec: TaskSpec, start: bool, draft: &mut Draft) {
        let world = self.shared.world();
        let known = world.tasks.values().map(|task| task.spec.number);
        let drafted = draft.tasks.values().map(|task| task.spec.number);
        spec.number = known.chain(drafted).max().unwrap_or(0) + 1;
        self.shared.wake(id);
        let at = now();
        let task = Task::new(id, spec.clone(), at);
        let queued = if start {
            task.decide(&Command::Start, at)
        } else {
            Ok(Vec::new())
        };
        let event = Event::TaskCreated {
            spec: Box::new(spec),
        };
        draft.facts.push(Fact::OfTask { id, at, event });
        draft.add(task, queued.unwrap_or_default());
    }

    fn observe(&self, id: TaskId, report: &Report, draft: &mut Draft) -> Vec<Event> {
        let Some(task) = self.drafted(id, draft) else {
            return Vec::new();
        };
        let events = task.observe(report, now());
        draft.add(task, events.clone());
        events
    }

    /// The task as the batch so far has it.
    fn drafted(&self, id: TaskId, draft: &Draft) -> Option<Task> {
        let drafted = draft.tasks.get(&id).cloned();
        drafted.or_else(|| self.shared.task(id).map(|task| task.as_ref().clone()))
    }

    fn floor(&self, draft: &Draft) -> Floor {
        draft
            .floor
            .clone()
            .unwrap_or_else(|| self.shared.world().floor.as_ref().clone())
    }

    /// Ends waits that are over.
    fn let_time_pass(&self, draft: &mut Draft) {
        let at = now();
        let world = self.shared.world();
        for task in world.tasks.values().filter(|task| world.awake.has(task.id)) {
            if task.next_wake().is_some_and(|wake| wake <= at)
                && let Some(task) = self.drafted(task.id, draft)
            {
                let events = task.tick(at);
                draft.add(task, events);
            }
        }
    }

    /// Gives free places to queued tasks.
    fn admit(&self, draft: &mut Draft) {
        let floor = self.floor(draft);
        let world = self.shared.world();
        let known = world
            .tasks
            .values()
            .filter(|task| world.awake.has(task.id) && !draft.tasks.contains_key(&task.id));
        let tasks: Vec<&Task> = known
            .map(AsRef::as_ref)
            .chain(draft.tasks.values())
            .collect();
        for id in floor.admitted(tasks.iter().copied()) {
            if let Some(task) = self.drafted(id, draft)
                && let Ok(events) = task.decide(&Command::Admit, now())
            {
                draft.add(task, events);
            }
        }
    }

    /// Records the draft; then, and only then, shows it, answers and acts.
    async fn record(&mut self, draft: Draft) -> Result<(), String> {
        let first = self.shared.world().seq + 1;
        if !draft.facts.is_empty() {
            let last = first + draft.facts.len() as u64 - 1;
            let rows = draft.rows();
            let summaries: Vec<_> = draft
                .tasks
                .values()
                .map(|task| summary(task, last))
                .collect();
            let store = Arc::clone(&self.store);
            let stored = tokio::task::spawn_blocking(move || {
                let events: Vec<NewEvent<'_>> = rows.iter().map(Row::as_new).collect();
                let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
                store.append(&events, &summaries).map(|_| ())
            });
            let stored = stored
                .await
                .map_err(|error| format!("failed to record: {error}"))?;
            stored.map_err(|error| format!("failed to {error}"))?;
            self.shared.update(
                last,
                draft.floor.clone(),
                draft.tasks.values().cloned().collect(),
            );
        }
        let world = self.shared.world();
        self.publish(first, &draft.facts, &world);
        for id in draft.tasks.keys() {
            if let Some(task) = world.tasks.get(id) {
                self.hands.heard(task, &draft.facts_of(*id));
                self.hands.reconcile(task);
            }
        }
        for answer in draft.answers {
            answer.give(&world);
        }
        Ok(())
    }

    fn publish(&self, first: u64, facts: &[Fact], world: &World) {
        for (seq, fact) in (first..).zip(facts) {
            match fact {
                Fact::OfTask { id, at, event } => {
                    if let Some(task) = world.tasks.get(id) {
                        self.hub.publish(Change::Fact {
                            seq,
                            at: *at,
                            task: Arc::clone(task),
                            event: Arc::new(event.clone()),
                        });
                    }
                }
                Fact::OfFloor { .. } => {
                    self.hub.publish(Change::Floor {
                        seq,
                        floor: Arc::clone(&world.floor),
                    });
                }
            }
        }
    }
}

/// Sleeps until a moment of the wall clock; for ever when there is none.
async fn until(wake: Option<Timestamp>) {
    match wake {
        // A clock that is set back must not make us sleep past the moment for long.
        Some(wake) => tokio::time::sleep(wake.since(now()).min(Duration::from_secs(60))).await,
        None => std::future::pending().await,
    }
}

/// An event as text, ready for the store.
struct Row {
    stream: String,
    kind: &'static str,
    at: Timestamp,
    body: String,
}

impl Row {
    fn as_new(&self) -> NewEvent<'_> {
        NewEvent {
            stream: &self.stream,
            kind: self.kind,
            at: self.at,
            body: self.body.clone(),
        }
    }
}

impl Draft {
    fn add(&mut self, mut task: Task, events: Vec<Event>) {
        let at = now();
        for event in events {
            task.apply(&event, at);
            self.facts.push(Fact::OfTask {
                id: task.id,
                at,
                event,
            });
        }
        self.tasks.insert(task.id, task);
    }

    fn facts_of(&self, id: TaskId) -> Vec<&Event> {
        let events = self.facts.iter().filter_map(|fact| match fact {
            Fact::OfTask { id: of, event, .. } if *of == id => Some(event),
            Fact::OfTask { .. } | Fact::OfFloor { .. } => None,
        });
        events.collect()
    }

    fn rows(&self) -> Vec<Row> {
        // Serialising these types cannot fail: they hold no maps with keys that are not text.
        let rows = self.facts.iter().map(|fact| match fact {
            Fact::OfTask { id, at, event } => Row {
                stream: id.to_string(),
                kind: event.kind(),
                at: *at,
                body: serde_json::to_string(event).unwrap_or_default(),
            },
            Fact::OfFloor { at, event } => Row {
                stream: FLOOR_STREAM.to_owned(),
                kind: event.kind(),
                at: *at,
                body: serde_json::to_string(event).unwrap_or_default(),
            },
        });
        rows.collect()
    }
}

impl Answer {
    fn give(self, world: &World) {
        match self {
            Self::Task { id, reply } => {
                let task = world.tasks.get(&id).cloned();
                let _ = reply.send(task.ok_or_else(|| EngineError::no_task(id)));
            }
            Self::Done(reply) => {
                let _ = reply.send(Ok(()));
            }
            Self::Events { events, reply } => {
                let _ = reply.send(events);
            }
        }
    }
}

fn summary(task: &Task, last_seq: u64) -> TaskSummary {
    TaskSummary {
        task: task.id,
        project: task.spec.project,
        title: task.spec.title.clone(),
        state: task.state().to_string(),
        cost: task.usage().cost,
        created: task.created_at,
        updated: task.updated_at,
        last_seq,
        detail: serde_json::json!({
            "number": task.spec.number,
            "project_name": task.spec.project_name,
            "folder": task.spec.folder,
        })
        .to_string(),
    }
}
