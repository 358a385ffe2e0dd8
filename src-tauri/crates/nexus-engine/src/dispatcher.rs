//! The one loop: takes what comes in, lets the core decide, records, shows, acts.
//!
//! Everything that waits in the queue is decided against a draft, recorded in one transaction
//! with one fsync, and only then shown, answered and acted upon. When recording fails nothing
//! of it happened, and everything under way is stopped: an orchestrator that cannot remember
//! must not act. It can still be looked at, and goes on as after a start once the log can be
//! written again.

use crate::{Change, EngineError, ErrorKind, changes::Hub, hands::Hands, state::Shared};
use nexus_core::{
    Command, Desk, Draft, Event, Fact, FloorEvent, Refusal, Report, Task, TaskId, TaskSpec, Team,
    Timestamp,
};
use nexus_store::{NewEvent, Reader, Store, StoreKey, TaskSummary};
use std::{
    collections::VecDeque,
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

    /// Reports news and waits until what follows from it is recorded. `None` when it could not
    /// be: then it did not happen, and nobody may be told that it did.
    pub(crate) async fn tell(&self, task: TaskId, report: Report) -> Option<Vec<Event>> {
        let (reply, recorded) = oneshot::channel();
        self.put(Input::News {
            task,
            report,
            reply: Some(reply),
        })
        .await;
        recorded.await.ok()
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
    /// The disk is full, and the room that was kept back is being used up.
    pub(crate) spends_reserve: bool,
    /// Room that was kept back was given up, and nothing is begun before it is kept again.
    pub(crate) owes_reserve: bool,
}

/// What the loop does next.
enum Next {
    /// Take what waits in the queue.
    Batch,
    /// The log cannot be written.
    Halt,
    /// Nobody needs the engine any more; somebody may wait for its end.
    End(Option<oneshot::Sender<()>>),
}

/// How long to wait before the log is tried again, when nobody wants anything.
const RETRY: Duration = Duration::from_secs(30);

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
    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut next = self.begin().await;
        let reply = loop {
            next = match next {
                Next::Batch => self.next_batch().await,
                Next::Halt => self.halt().await,
                Next::End(reply) => break reply,
            };
        };
        self.close().await;
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    async fn begin(&mut self) -> Next {
        if self.catch_up().await {
            self.back_up();
            Next::Batch
        } else {
            Next::Halt
        }
    }

    /// Takes what waits, records what follows from it.
    async fn next_batch(&mut self) -> Next {
        let wake = self.shared.desk().next_wake();
        let first = tokio::select! {
            input = self.inbox.recv() => match input {
                Some(input) => Some(input),
                None => return Next::End(None),
            },
            () = until(wake) => None,
            task = self.hands.ended() => {
                if let Some(task) = self.shared.task(task) {
                    self.hands.look_again(&task);
                }
                return Next::Batch;
            }
        };
        self.take(first).await
    }

    async fn take(&mut self, first: impl IntoIterator<Item = Input>) -> Next {
        let mut batch = Batch::on(&self.shared.desk());
        for input in first.into_iter().chain(self.waiting()) {
            batch.decide(input);
        }
        let stop = batch.stop.take();
        batch.draft.let_time_pass(batch.at);
        batch.draft.admit(batch.at);
        match (self.record_or_fail(batch).await, stop) {
            (_, Some(reply)) => Next::End(Some(reply)),
            (true, None) => Next::Batch,
            (false, None) => Next::Halt,
        }
    }

    /// The log cannot be written. Stops everything, answers what can be answered, and tries
    /// again when somebody wants something, or from time to time where it may pass by itself.
    async fn halt(&mut self) -> Next {
        let mut waiting = self.stop_hands().await;
        self.hub.close();
        loop {
            let input = match waiting.pop_front() {
                Some(input) => Some(input),
                None => tokio::select! {
                    input = self.inbox.recv() => match input {
                        Some(input) => Some(input),
                        None => return Next::End(None),
                    },
                    () = tokio::time::sleep(RETRY) => None,
                },
            };
            match input {
                Some(Input::Stop { reply }) => return Next::End(Some(reply)),
                // What was under way has ended and is taken up anew.
                Some(Input::News { .. } | Input::Look { .. }) => continue,
                Some(_) | None => {}
            }
            if self.can_record().await && self.catch_up().await {
                self.hub.open();
                return match input {
                    Some(input) => self.take(waiting_after(input, waiting)).await,
                    None => Next::Batch,
                };
            }
            if let (Some(input), Some(why)) = (input, self.shared.world().broken) {
                input.refuse(&why);
            }
        }
    }

    /// Asks everything to end and waits until it has. What it says meanwhile is recorded as
    /// far as the room goes that was kept back; beyond that it is as if this program had ended.
    ///
    /// Returns who wants something meanwhile: they are heard when it has ended.
    async fn stop_hands(&mut self) -> VecDeque<Input> {
        let mut leaving = self.hands.let_go();
        let mut waiting = VecDeque::new();
        loop {
            let input = tokio::select! {
                ended = leaving.ended() => match ended {
                    Some(_) => continue,
                    None => break,
                },
                Some(input) = self.inbox.recv() => input,
            };
            if !matches!(input, Input::News { .. }) {
                waiting.push_back(input);
            } else if self.spends_reserve {
                let mut batch = Batch::on(&self.shared.desk());
                batch.decide(input);
                self.spends_reserve = self.record(batch).await.is_ok();
            }
        }
        self.hands = self.hands.anew();
        waiting
    }

    /// Makes use of the room that was kept back for this moment.
    async fn release_reserve(&mut self) -> bool {
        let store = Arc::clone(&self.store);
        let given = tokio::task::spawn_blocking(move || {
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.release_reserve()
        });
        self.spends_reserve = matches!(given.await, Ok(Ok(1..)));
        self.owes_reserve |= self.spends_reserve;
        self.spends_reserve
    }

    /// Tries whether the log can be written again.
    async fn can_record(&mut self) -> bool {
        let (store, owes_reserve) = (Arc::clone(&self.store), self.owes_reserve);
        let tried = tokio::task::spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.try_to_write()?;
            // A disk that never had room for a reserve must not wait for one.
            if owes_reserve {
                store.keep_reserve()
            } else {
                Ok(true)
            }
        });
        match tried.await {
            Ok(Ok(true)) => {
                self.spends_reserve = false;
                self.owes_reserve = false;
                self.shared.mend();
                true
            }
            Ok(Err(error)) => {
                self.shared.fail(error.into());
                false
            }
            Ok(Ok(false)) | Err(_) => false,
        }
    }

    /// Keeps a verified copy of the log, beside the work.
    fn back_up(&self) {
        let root = self.hands.data().root().to_owned();
        tokio::task::spawn_blocking(move || {
            let made = Reader::open(&root, StoreKey::Plain).and_then(|reader| reader.back_up());
            match made {
                Ok(backup) => tracing::debug!(events = backup.events, "backed up"),
                Err(error) => tracing::warn!(%error, "no backup of the log"),
            }
        });
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
        let store = Arc::clone(&self.store);
        let kept = tokio::task::spawn_blocking(move || {
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.back_up().map(|_| ())
        });
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, "no backup of the log");
        }
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
            tracing::error!(%why, "the event log cannot be written; stopping");
            self.shared.fail(why.clone());
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
    async fn record(&mut self, batch: Batch) -> Result<(), EngineError> {
        let Batch { draft, answers, .. } = batch;
        let first = self.shared.seq() + 1;
        let mut trouble = None;
        if !draft.facts().is_empty()
            && let Err(why) = self.append(&draft, first).await
        {
            let kept_room = why.kind == ErrorKind::DiskFull
                && !self.spends_reserve
                && self.release_reserve().await;
            if !kept_room || self.append(&draft, first).await.is_err() {
                for answer in answers {
                    answer.refuse(&why);
                }
                return Err(why);
            }
            // These facts are safe, and they are the last for now.
            trouble = Some(why);
        }
        self.shared.commit(&draft);
        let desk = self.shared.desk();
        self.publish(first, draft.facts(), &desk);
        for task in draft.touched() {
            self.hands.heard(task, &draft.facts_of(task.id));
            if desk.awake.has(task.id) && trouble.is_none() {
                self.hands.reconcile(task);
            }
        }
        for answer in answers {
            answer.give(&desk);
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Writes the draft's facts into the log, numbered from `first` on.
    async fn append(&self, draft: &Draft, first: u64) -> Result<(), EngineError> {
        let last = first + draft.facts().len() as u64 - 1;
        let rows: Vec<Row> = draft.facts().iter().map(Row::of).collect();
        let summaries: Vec<_> = draft.touched().map(|task| summary(task, last)).collect();
        let store = Arc::clone(&self.store);
        let stored = tokio::task::spawn_blocking(move || {
            let events: Vec<NewEvent<'_>> = rows.iter().map(Row::as_new).collect();
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.append(&events, &summaries).map(|_| ())
        });
        let stored = stored.await.map_err(|_| EngineError::stopping())?;
        Ok(stored?)
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

impl Input {
    /// Says why it cannot be taken.
    fn refuse(self, why: &EngineError) {
        match self {
            Self::Create { reply, .. } | Self::Order { reply, .. } => {
                let _ = reply.send(Err(why.clone()));
            }
            Self::Floor { reply, .. }
            | Self::StopAll { reply }
            | Self::OpenAccount { reply, .. } => {
                let _ = reply.send(Err(why.clone()));
            }
            // What is not recorded did not happen.
            Self::News { .. } | Self::Look { .. } => {}
            Self::Stop { reply } => {
                let _ = reply.send(());
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
            } => match self.draft.create(id, *spec, start, self.at) {
                Ok(()) => self.answers.push(Answer::Task { id, reply }),
                Err(refusal) => {
                    let _ = reply.send(Err(refused(refusal)));
                }
            },
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
        Refusal::NothingToWaitFor(_) => EngineError::new(
            ErrorKind::NotFound,
            format!("{refusal}; `nexus task list` shows those there are"),
        ),
        Refusal::Rejected(rejection) => rejection.into(),
    }
}

/// Those who waited, in their order.
fn waiting_after(first: Input, others: VecDeque<Input>) -> impl Iterator<Item = Input> {
    std::iter::once(first).chain(others)
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

    /// Says that nothing of it happened.
    fn refuse(self, why: &EngineError) {
        match self {
            Self::Task { reply, .. } => {
                let _ = reply.send(Err(why.clone()));
            }
            Self::Done(reply) => {
                let _ = reply.send(Err(why.clone()));
            }
            // Who waits for it learns that nothing was recorded by getting no answer.
            Self::Events { .. } => {}
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
