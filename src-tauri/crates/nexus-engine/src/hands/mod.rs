//! The hands: what carries out what the core says is owed.
//!
//! [`Hands::reconcile`] compares what a task is owed with what is under way for it, starts
//! what is missing and stops what is no longer wanted. That is the whole of it, whether
//! things go well, were cancelled, or the program has just been started after a crash.

mod audit;
mod checks;
mod copy;
mod keepsake;
mod lanes;
mod ledger;
mod place;
mod prime;
pub(crate) mod scratchpads;
mod seat;

use crate::{
    EngineOptions,
    changes::Hub,
    dispatcher::{Inbox, Input},
    monitor::Monitor,
    state::Shared,
};
use nexus_core::{
    Answer, ApprovalId, Effect, Event, Report, SeatId, Task, TaskId, TurnId, TurnOutcome,
    TurnReport, Usage,
};
use nexus_store::{Store, Transcripts};
use seat::{Seat, SeatOrder};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// What every hand may use.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) options: Arc<EngineOptions>,
    pub(crate) inbox: Inbox,
    pub(crate) shared: Shared,
    pub(crate) hub: Hub,
    pub(crate) monitor: Monitor,
    pub(crate) transcripts: Transcripts,
    pub(crate) store: Arc<Mutex<Store>>,
    /// One accept per folder, one process per session, one writer per set of scratchpads.
    pub(crate) locks: Locks,
}

/// A lock for each thing that only one hand may touch at a time, by its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl Locks {
    pub(crate) fn of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }
}

/// Everything that is under way.
pub(crate) struct Hands {
    tools: Tools,
    tasks: BTreeMap<TaskId, TaskHands>,
    crew: Crew,
    /// Nothing new is begun.
    closing: bool,
}

/// The running hands, and which task each works for.
#[derive(Default)]
pub(crate) struct Crew {
    running: JoinSet<()>,
    owners: HashMap<tokio::task::Id, TaskId>,
}

impl Crew {
    fn spawn(
        &mut self,
        task: TaskId,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let handle = self.running.spawn(work);
        self.owners.insert(handle.id(), task);
        handle
    }

    /// The task of the next hand that ends, whether well or by a mistake of ours; `None` when
    /// there is no hand.
    pub(crate) async fn ended(&mut self) -> Option<TaskId> {
        loop {
            let id = match self.running.join_next_with_id().await? {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "a hand failed");
                    error.id()
                }
            };
            if let Some(task) = self.owners.remove(&id) {
                return Some(task);
            }
        }
    }
}

/// What is under way for one task.
#[derive(Default)]
struct TaskHands {
    jobs: Vec<Job>,
    seats: BTreeMap<SeatId, Seat>,
    /// Turns that were handed to their seat, so that none is handed over twice.
    handed: BTreeMap<TurnId, Handed>,
    /// How many messages the scratchpads show.
    projected: usize,
}

/// A turn that a seat was given.
#[derive(Clone, Copy)]
struct Handed {
    seat: SeatId,
    /// Its end was reported in the seat's place, because the seat is gone.
    lost: bool,
}

/// A piece of work that ends by itself. It is never forgotten before it has: some cannot be
/// stopped in the middle, and two must not work on one workspace.
struct Job {
    effect: Effect,
    /// Dropped to ask it to stop.
    stop: Option<watch::Sender<()>>,
    done: AbortHandle,
}

/// How long a piece of work that ended without a result rests before it is tried again.
const REST: Duration = Duration::from_secs(5);

impl Hands {
    pub(crate) fn new(tools: Tools) -> Self {
        Self {
            tools,
            tasks: BTreeMap::new(),
            crew: Crew::default(),
            closing: false,
        }
    }

    /// Hands that hold nothing yet.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.tools.clone())
    }

    /// Where everything is kept.
    pub(crate) fn data(&self) -> &crate::DataDir {
        &self.tools.options.data
    }

    /// The task for which something has ended. Waits for ever while nothing is under way.
    pub(crate) async fn ended(&mut self) -> TaskId {
        match self.crew.ended().await {
            Some(task) => task,
            None => std::future::pending().await,
        }
    }

    /// Looks again after something has ended: what could not begin beside it begins now, and
    /// what it was to bring about and did not is tried again after a rest.
    pub(crate) fn look_again(&mut self, task: &Arc<Task>) {
        let hands = self.tasks.entry(task.id).or_default();
        let ended = hands.jobs.iter().filter(|job| job.done.is_finished());
        let fruitless: Vec<_> = ended
            .filter(|job| job.stop.is_some())
            .map(|job| job.effect.clone())
            .collect();
        let owed = task.owed();
        if fruitless.iter().any(|effect| owed.contains(effect)) {
            let (inbox, id) = (self.tools.inbox.clone(), task.id);
            self.crew.spawn(id, async move {
                tokio::time::sleep(REST).await;
                inbox.put(Input::Look { task: id }).await;
            });
        }
        self.make_it_so(task, &fruitless);
    }

    /// Makes what is under way for `task` what is owed to it.
    pub(crate) fn reconcile(&mut self, task: &Arc<Task>) {
        self.make_it_so(task, &[]);
    }

    fn make_it_so(&mut self, task: &Arc<Task>, resting: &[Effect]) {
        if self.closing {
            return;
        }
        let owed = task.owed();
        let hands = self.tasks.entry(task.id).or_default();
        hands.jobs.retain(|job| !job.done.is_finished());
        for job in hands
            .jobs
            .iter_mut()
            .filter(|job| !owed.contains(&job.effect))
        {
            job.stop = None;
        }
        hands.mourn(task, &self.tools, &mut self.crew);
        for effect in owed {
            match effect {
                Effect::WarmSession { seat, .. } => {
                    hands.seat(task, seat, &self.tools, &mut self.crew);
                }
                Effect::RunTurn { turn } => {
                    hands.run_turn(task, turn, &self.tools, &mut self.crew);
                }
                effect @ (Effect::PrepareWorkspace
                | Effect::MakePlan
                | Effect::Judge { .. }
                | Effect::PlanMerge { .. }
                | Effect::Merge { .. }
                | Effect::RunSetup
                | Effect::RunChecks { .. }
                | Effect::PlanApply
                | Effect::Apply { .. }
                | Effect::DropWorkspace
                | Effect::RestoreWorkspace { .. }) => {
                    if !resting.contains(&effect) {
                        hands.start(task, effect, &self.tools, &mut self.crew);
                    }
                }
            }
        }
        hands.stop_unwanted_turns(task, &self.tools, &mut self.crew);
        hands.close_unwanted_seats(task);
        if task.messages.len() != hands.projected {
            hands.projected = task.messages.len();
            scratchpads::project(&self.tools, Arc::clone(task), &mut self.crew);
        }
    }

    /// Passes answers on to the seats that wait for them.
    pub(crate) fn heard(&mut self, task: &Task, events: &[&Event]) {
        let Some(hands) = self.tasks.get(&task.id) else {
            return;
        };
        for event in events {
            if let Event::ApprovalAnswered { id, answer, .. } = event {
                hands.answered(*id, answer);
            }
        }
    }

    /// Begins nothing more, asks everything to end, and hands over those that still have to.
    pub(crate) fn let_go(&mut self) -> Crew {
        self.closing = true;
        // Dropping the orders closes a seat politely; dropping a job's stop ends the job.
        self.tasks.clear();
        std::mem::take(&mut self.crew)
    }
}

/// Does it change the task's workspace, or run in it?
fn is_about_workspace(effect: &Effect) -> bool {
    match effect {
        Effect::PrepareWorkspace
        | Effect::RunSetup
        | Effect::RunChecks { .. }
        | Effect::PlanMerge { .. }
        | Effect::Merge { .. }
        | Effect::DropWorkspace
        | Effect::RestoreWorkspace { .. } => true,
        Effect::MakePlan
        | Effect::Judge { .. }
        | Effect::WarmSession { .. }
        | Effect::RunTurn { .. }
        | Effect::PlanApply
        | Effect::Apply { .. } => false,
    }
}

impl TaskHands {
    /// Starts a job, unless it is under way or another one is busy in the same place. Then it
    /// is looked at again when that has ended.
    fn start(&mut self, task: &Arc<Task>, effect: Effect, tools: &Tools, crew: &mut Crew) {
        let in_the_way = |job: &Job| {
            job.effect == effect || (is_about_workspace(&job.effect) && is_about_workspace(&effect))
        };
        if self.jobs.iter().any(in_the_way) {
            return;
        }
        let (stop, stopped) = watch::channel(());
        let (tools, id) = (tools.clone(), task.id);
        let (task, wanted) = (Arc::clone(task), effect.clone());
        let done = crew.spawn(id, async move {
            match wanted {
                Effect::PrepareWorkspace => copy::prepare(&tools, &task).await,
                Effect::MakePlan => prime::plan(&tools, &task).await,
                Effect::Judge { turn } => prime::judge(&tools, &task, turn).await,
                Effect::PlanMerge { step } => lanes::plan_merge(&tools, &task, step).await,
                Effect::Merge { step, tree } => lanes::merge(&tools, &task, step, tree).await,
                Effect::RunSetup => checks::set_up(&tools, &task, stopped).await,
                Effect::RunChecks { time } => checks::run(&tools, &task, time, stopped).await,
                Effect::PlanApply => copy::plan_apply(&tools, &task).await,
                Effect::Apply { operations } => copy::apply(&tools, &task, operations).await,
                Effect::DropWorkspace => copy::drop_workspace(&tools, &task).await,
                Effect::RestoreWorkspace { from } => copy::restore(&tools, &task, from).await,
                // Carried by seats.
                Effect::WarmSession { .. } | Effect::RunTurn { .. } => {}
            }
        });
        self.jobs.push(Job {
            effect,
            stop: Some(stop),
            done,
        });
    }

    /// Ends the turns of seats that are gone without having ended them.
    fn mourn(&mut self, task: &Task, tools: &Tools, crew: &mut Crew) {
        self.handed.retain(|turn, _| task.turns.contains_key(turn));
        for (turn, handed) in &mut self.handed {
            let gone = self.seats.get(&handed.seat).is_none_or(Seat::is_gone);
            if gone && !std::mem::replace(&mut handed.lost, true) {
                end_turn(task.id, *turn, TurnOutcome::OutputLost, tools, crew);
            }
        }
    }

    /// A seat, taken with the session the task has for it now.
    fn seat(
        &mut self,
        task: &Arc<Task>,
        id: SeatId,
        tools: &Tools,
        crew: &mut Crew,
    ) -> Option<&Seat> {
        let session = task.sessions.get(&id)?;
        let replaced = self
            .seats
            .get(&id)
            .is_some_and(|seat| seat.session != session.id || seat.is_gone());
        if replaced {
            // Dropping it closes the process of the lost session.
            self.seats.remove(&id);
        }
        Some(
            self.seats
                .entry(id)
                .or_insert_with(|| seat::take(tools.clone(), task.id, id, session.id, crew)),
        )
    }

    fn run_turn(&mut self, task: &Arc<Task>, turn: TurnId, tools: &Tools, crew: &mut Crew) {
        if self.handed.contains_key(&turn) {
            return;
        }
        let Some(id) = task.turns.get(&turn).map(|turn| turn.seat) else {
            return;
        };
        if let Some(seat) = self.seat(task, id, tools, crew) {
            seat.order(SeatOrder::Run { turn });
            let handed = Handed {
                seat: id,
                lost: false,
            };
            self.handed.insert(turn, handed);
        }
    }

    /// Stops turns that run although the task does not want them any more.
    fn stop_unwanted_turns(&mut self, task: &Task, tools: &Tools, crew: &mut Crew) {
        let wanted = task.owed();
        let is_wanted = |turn: TurnId| wanted.contains(&Effect::RunTurn { turn });
        for turn in task.turns.values().filter(|turn| !is_wanted(turn.id)) {
            match (self.handed.get(&turn.id), self.seats.get(&turn.seat)) {
                (Some(_), Some(seat)) => seat.order(SeatOrder::Stop { turn: turn.id }),
                // Its end is on its way.
                (Some(_), None) => {}
                // Called off before anybody had begun it.
                (None, _) => {
                    let handed = Handed {
                        seat: turn.seat,
                        lost: true,
                    };
                    self.handed.insert(turn.id, handed);
                    end_turn(task.id, turn.id, TurnOutcome::Interrupted, tools, crew);
                }
            }
        }
    }

    /// Closes seats whose session is not wanted and that run nothing.
    fn close_unwanted_seats(&mut self, task: &Task) {
        let owed = task.owed();
        let wanted = |id: SeatId| {
            owed.iter()
                .any(|effect| matches!(effect, Effect::WarmSession { seat, .. } if *seat == id))
                || task.turns.values().any(|turn| turn.seat == id)
        };
        self.seats.retain(|id, _| wanted(*id));
    }

    fn answered(&self, id: ApprovalId, answer: &Answer) {
        for seat in self.seats.values() {
            seat.order(SeatOrder::Answered {
                id,
                answer: answer.clone(),
            });
        }
    }
}

/// Reports the end of a turn in the place of a seat.
fn end_turn(task: TaskId, turn: TurnId, outcome: TurnOutcome, tools: &Tools, crew: &mut Crew) {
    let inbox = tools.inbox.clone();
    crew.spawn(task, async move {
        let report = TurnReport {
            turn,
            outcome,
            usage: Usage::default(),
            duration_ms: 0,
            covers_lost: false,
        };
        inbox.tell(task, Report::TurnEnded(report)).await;
    });
}
