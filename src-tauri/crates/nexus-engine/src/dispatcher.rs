//! The one loop: takes what comes in, lets the core decide, records, shows, acts.
//!
//! Everything that waits in the queue is decided against a draft, recorded in one transaction
//! with one fsync, and only then shown, answered and acted upon. When recording fails nothing
//! of it happened, and the engine stops: an orchestrator that cannot remember must not act.

use crate::{Change, EngineError, changes::Hub, hands::Hands, state::Shared};
use nexus_core::{
    Command, Desk, Draft, Event, Fact, FloorEvent, Refusal, Report, Task, TaskId, TaskSpec, Team,
    Timestamp,
};
use nexus_store::{NewEvent, Store, TaskSummary};
use std::{
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
    /// Pause everything that is under way or waits to be.
    StopAll { reply: Reply<()> },
    /// Try a closed account again now.
    OpenAccount { team: Team, reply: Reply<()> },
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

/// A batch of inputs: what was decided, and who is told once it is recorded.
struct Batch {
    draft: Draft,
    answers: Vec<Answer>,
    /// Somebody wants the engine to end after this batch.
    stop: Option<oneshot::Sender<()>>,
    /// The moment all of it is decided at.
    at: Timestamp,
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
        let wake = self.shared.desk().next_wake();
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
        let mut batch = Batch::on(&self.shared.desk());
        for input in first.into_iter().chain(self.waiting()) {
            batch.decide(input);
        }
        let stop = batch.stop.take();
        batch.draft.let_time_pass(batch.at);
        batch.draft.admit(batch.at);
        self.record_or_fail(batch).await.then_some(stop)
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
            let mut batch = Batch::on(&self.shared.desk());
            batch.decide(input);
            self.record_or_fail(batch).await;
        }
    }

    /// After a start: whatever the log says is under way begins again, for the tasks that
    /// this engine works on. `false` when it cannot be recorded.
    async fn catch_up(&mut self) -> bool {
        let mut batch = Batch::on(&self.shared.desk());
        batch.draft.take_up(batch.at);
        if !self.record_or_fail(batch).await {
            return false;
        }
        for task in self.shared.desk().awake() {
            self.hands.reconcile(task);
        }
        true
    }

    async fn record_or_fail(&mut self, batch: Batch) -> bool {
        // Once is enough: each try waits for the store.
        if self.shared.world().broken.is_some() {
            return false;
        }
        let recorded = self.record(batch).await;
        if let Err(why) = &recorded {
            tracing::error!(why, "the event log cannot be written; stopping");
            self.shared.fail(why);
        }
        recorded.is_ok()
    }

    /// What else waits in the queue, as far as it fits into one batch.
    fn waiting(&mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.inbox.try_recv().ok())
            .take(BATCH - 1)
            .collect()
    }

    /// Records the batch; then, and only then, shows it, answers and acts.
    async fn record(&mut self, batch: Batch) -> Result<(), String> {
        let Batch { draft, answers, .. } = batch;
        let first = self.shared.seq() + 1;
        if !draft.facts().is_empty() {
            self.append(&draft, first).await?;
        }
        self.shared.commit(&draft);
        let desk = self.shared.desk();
        self.publish(first, draft.facts(), &desk);
        for task in draft.touched() {
            self.hands.heard(task, &draft.facts_of(task.id));
            if desk.awake.has(task.id) {
                self.hands.reconcile(task);
            }
        }
        for answer in answers {
            answer.give(&desk);
        }
        Ok(())
    }

    /// Writes the draft's facts into the log, numbered from `first` on.
    async fn append(&self, draft: &Draft, first: u64) -> Result<(), String> {
        let last = first + draft.facts().len() as u64 - 1;
        let rows: Vec<Row> = draft.facts().iter().map(Row::of).collect();
        let summaries: Vec<_> = draft.touched().map(|task| summary(task, last)).collect();
        let store = Arc::clone(&self.store);
        let stored = tokio::task::spawn_blocking(move || {
            let events: Vec<NewEvent<'_>> = rows.iter().map(Row::as_new).collect();
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.append(&events, &summaries).map(|_| ())
        });
        let stored = stored
            .await
            .map_err(|error| format!("failed to record: {error}"))?;
        stored.map_err(|error| format!("failed to {error}"))
    }

    fn publish(&self, first: u64, facts: &[Fact], desk: &Desk) {
        for (seq, fact) in (first..).zip(facts) {
            match fact {
                Fact::OfTask { id, at, event } => {
                    if let Some(task) = desk.tasks.get(id) {
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
                        floor: Arc::clone(&desk.floor),
                    });
                }
            }
        }
    }
}

impl Batch {
    /// An empty batch on top of what is recorded.
    fn on(desk: &Desk) -> Self {
        Self {
            draft: desk.draft(),
            answers: Vec::new(),
            stop: None,
            at: now(),
        }
    }

    fn decide(&mut self, input: Input) {
        match input {
            Input::Create {
                id,
                spec,
                start,
                reply,
            } => {
                self.draft.create(id, *spec, start, self.at);
                self.answers.push(Answer::Task { id, reply });
            }
            Input::Order {
                task: id,
                command,
                reply,
            } => match self.draft.order(id, &command, self.at) {
                Ok(()) => self.answers.push(Answer::Task { id, reply }),
                Err(refusal) => {
                    let _ = reply.send(Err(refused(refusal)));
                }
            },
            Input::Floor { events, reply } => {
                self.draft.floor(events, self.at);
                self.answers.push(Answer::Done(reply));
            }
            Input::StopAll { reply } => {
                self.draft.stop_all(self.at);
                self.answers.push(Answer::Done(reply));
            }
            Input::OpenAccount { team, reply } => {
                self.draft.open_account(team, self.at);
                self.answers.push(Answer::Done(reply));
            }
            Input::News {
                task,
                report,
                reply,
            } => {
                let events = self.draft.observe(task, &report, self.at);
                if let Some(reply) = reply {
                    self.answers.push(Answer::Events { events, reply });
                }
            }
            Input::Look { task } => self.draft.look(task),
            Input::Stop { reply } => self.stop = Some(reply),
        }
    }
}

fn refused(refusal: Refusal) -> EngineError {
    match refusal {
        Refusal::NoTask(id) => EngineError::no_task(id),
        Refusal::Rejected(rejection) => rejection.into(),
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
    fn of(fact: &Fact) -> Self {
        // Serialising these types cannot fail: they hold no maps with keys that are not text.
        match fact {
            Fact::OfTask { id, at, event } => Self {
                stream: id.to_string(),
                kind: event.kind(),
                at: *at,
                body: serde_json::to_string(event).unwrap_or_default(),
            },
            Fact::OfFloor { at, event } => Self {
                stream: FLOOR_STREAM.to_owned(),
                kind: event.kind(),
                at: *at,
                body: serde_json::to_string(event).unwrap_or_default(),
            },
        }
    }

    fn as_new(&self) -> NewEvent<'_> {
        NewEvent {
            stream: &self.stream,
            kind: self.kind,
            at: self.at,
            body: self.body.clone(),
        }
    }
}

impl Answer {
    fn give(self, desk: &Desk) {
        match self {
            Self::Task { id, reply } => {
                let task = desk.tasks.get(&id).cloned();
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

pub(crate) fn summary(task: &Task, last_seq: u64) -> TaskSummary {
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
