//! The hands: what carries out what the core says is owed.
//!
//! [`Hands::reconcile`] compares what a task is owed with what is under way for it, starts
//! what is missing and stops what is no longer wanted. That is the whole of it, whether
//! things go well, were cancelled, or the program has just been started after a crash.

mod checks;
mod copy;
mod place;
mod scratchpads;
mod seat;

use crate::{EngineOptions, changes::Hub, dispatcher::Inbox, state::Shared};
use nexus_core::{
    Answer, ApprovalId, Effect, Event, Report, Role, Task, TaskId, TurnId, TurnOutcome, TurnReport,
    Usage,
};
use nexus_store::{Store, Transcripts};
use seat::{Seat, SeatOrder};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use tokio::{sync::watch, task::JoinSet};

/// What every hand may use.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) options: Arc<EngineOptions>,
    pub(crate) inbox: Inbox,
    pub(crate) shared: Shared,
    pub(crate) hub: Hub,
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
    running: JoinSet<()>,
}

/// What is under way for one task.
#[derive(Default)]
struct TaskHands {
    jobs: Vec<Job>,
    seats: BTreeMap<Role, Seat>,
    /// Turns that were handed to their seat, so that none is handed over twice.
    handed: BTreeMap<TurnId, Role>,
    /// How many messages the scratchpads show.
    projected: usize,
}

/// A piece of work that ends by itself.
struct Job {
    effect: Effect,
    /// Told to stop by dropping.
    stop: watch::Sender<()>,
    done: tokio::task::AbortHandle,
}

impl Hands {
    pub(crate) fn new(tools: Tools) -> Self {
        Self {
            tools,
            tasks: BTreeMap::new(),
            running: JoinSet::new(),
        }
    }

    /// Makes what is under way for `task` what is owed to it.
    pub(crate) fn reconcile(&mut self, task: &Arc<Task>) {
        while self.running.try_join_next().is_some() {}
        let owed = task.owed();
        let hands = self.tasks.entry(task.id).or_default();
        hands.jobs.retain(|job| !job.done.is_finished());
        hands.jobs.retain(|job| owed.contains(&job.effect));
        for effect in owed {
            match effect {
                Effect::WarmSession { role, .. } => {
                    hands.seat(task, role, &self.tools, &mut self.running);
                }
                Effect::RunTurn { turn } => {
                    hands.run_turn(task, turn, &self.tools, &mut self.running);
                }
                effect @ (Effect::PrepareWorkspace
                | Effect::MakePlan
                | Effect::RunSetup
                | Effect::RunChecks { .. }
                | Effect::PlanApply
                | Effect::Apply { .. }
                | Effect::DropWorkspace
                | Effect::RestoreWorkspace { .. }) => {
                    hands.start(task, effect, &self.tools, &mut self.running)
                }
            }
        }
        hands.stop_unwanted_turns(task, &self.tools, &mut self.running);
        hands.close_unwanted_seats(task);
        if task.messages.len() != hands.projected {
            hands.projected = task.messages.len();
            scratchpads::project(&self.tools, Arc::clone(task), &mut self.running);
        }
        if hands.is_idle() && task.is_at_rest() && hands.projected == task.messages.len() {
            hands.handed.clear();
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

    /// Closes every session politely and waits until all processes are gone.
    pub(crate) async fn close(&mut self) {
        for (_, hands) in std::mem::take(&mut self.tasks) {
            // Dropping the orders closes a seat; dropping a job's stop ends the job.
            drop(hands);
        }
        while self.running.join_next().await.is_some() {}
    }
}

impl TaskHands {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.seats.is_empty()
    }

    /// Starts a job unless it is under way.
    fn start(
        &mut self,
        task: &Arc<Task>,
        effect: Effect,
        tools: &Tools,
        running: &mut JoinSet<()>,
    ) {
        if self.jobs.iter().any(|job| job.effect == effect) {
            return;
        }
        let (stop, stopped) = watch::channel(());
        let (tools, task, wanted) = (tools.clone(), Arc::clone(task), effect.clone());
        let done = running.spawn(async move {
            match wanted {
                Effect::PrepareWorkspace => copy::prepare(&tools, &task).await,
                Effect::MakePlan => copy::plan(&tools, &task).await,
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
        self.jobs.push(Job { effect, stop, done });
    }

    /// The seat of a role, taken with the session the task has for it now.
    fn seat(
        &mut self,
        task: &Arc<Task>,
        role: Role,
        tools: &Tools,
        running: &mut JoinSet<()>,
    ) -> Option<&Seat> {
        let session = task.sessions.get(&role)?;
        let replaced = self
            .seats
            .get(&role)
            .is_some_and(|seat| seat.session != session.id || seat.is_gone());
        if replaced {
            // Dropping it closes the process of the lost session.
            self.seats.remove(&role);
        }
        Some(
            self.seats
                .entry(role)
                .or_insert_with(|| seat::take(tools.clone(), task.id, role, session.id, running)),
        )
    }

    fn run_turn(
        &mut self,
        task: &Arc<Task>,
        turn: TurnId,
        tools: &Tools,
        running: &mut JoinSet<()>,
    ) {
        if self.handed.contains_key(&turn) {
            return;
        }
        let Some(role) = task.turns.get(&turn).map(|turn| turn.role) else {
            return;
        };
        if let Some(seat) = self.seat(task, role, tools, running) {
            seat.order(SeatOrder::Run { turn });
            self.handed.insert(turn, role);
        }
    }

    /// Stops turns that run although the task does not want them any more.
    fn stop_unwanted_turns(&mut self, task: &Task, tools: &Tools, running: &mut JoinSet<()>) {
        let wanted = task.owed();
        let is_wanted = |turn: TurnId| wanted.contains(&Effect::RunTurn { turn });
        for turn in task.turns.values().filter(|turn| !is_wanted(turn.id)) {
            let was_handed = self.handed.insert(turn.id, turn.role).is_some();
            match self.seats.get(&turn.role) {
                Some(seat) if was_handed => seat.order(SeatOrder::Stop { turn: turn.id }),
                // Called off before anybody had begun it.
                _ if !was_handed => end_unbegun(task.id, turn.id, tools, running),
                _ => {}
            }
        }
        self.handed.retain(|turn, _| task.turns.contains_key(turn));
    }

    /// Closes seats whose session is not wanted and that run nothing.
    fn close_unwanted_seats(&mut self, task: &Task) {
        let owed = task.owed();
        let wanted = |role: Role| {
            owed.iter()
                .any(|effect| matches!(effect, Effect::WarmSession { role: r, .. } if *r == role))
                || task.turns.values().any(|turn| turn.role == role)
        };
        self.seats.retain(|role, _| wanted(*role));
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

/// Reports the end of a turn that no seat was ever given.
fn end_unbegun(task: TaskId, turn: TurnId, tools: &Tools, running: &mut JoinSet<()>) {
    let inbox = tools.inbox.clone();
    running.spawn(async move {
        let report = TurnReport {
            turn,
            outcome: TurnOutcome::Interrupted,
            usage: Usage::default(),
            duration_ms: 0,
        };
        inbox.tell(task, Report::TurnEnded(report)).await;
    });
}

impl Drop for Job {
    fn drop(&mut self) {
        // Closing the channel is the request to stop; a job that cannot be stopped in the
        // middle (a copy, an apply) ends by itself and its news is stale.
        let _ = self.stop.send(());
    }
}
