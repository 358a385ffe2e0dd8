//! A task and everything that belongs to it, as one value.
//!
//! [`Task::decide`] says what an order means, [`Task::observe`] what news means,
//! [`Task::apply`] folds a fact in, [`Task::owed`] says what should be under way, and
//! [`Task::next_wake`] when to look again. All of them are functions of the value alone, so
//! recovery after a crash is replay and then the same code.

mod apply;
mod attempt;
mod checklist;
mod command;
mod decide;
mod event;
mod lanes;
mod limits;
mod notes;
mod owed;
mod plans;
mod prompt;
mod spec;
mod turns;

pub use attempt::*;
pub use command::*;
use event::total;
pub use event::*;
pub use lanes::*;
pub use limits::*;
pub use notes::*;
pub use owed::*;
pub use plans::*;
pub use prompt::Instruction;
pub use spec::*;

use crate::{
    Answer, Approval, ApprovalId, CheckRun, Evidence, FileChange, FileOperation, Flag, Grant, Hold,
    Message, MessageId, Plan, PlannedStep, PrimeUse, Priority, ProjectPath, Role, SeatId,
    SessionId, SharedContext, SnapshotId, Standing, StepId, StepKind, StepResult, TaskId,
    Timestamp, TurnId, Usage, Usd, Verdict,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// How often Beta's findings go back to Code before the person is asked.
pub const MAX_ROUNDS: u32 = 3;

/// What the person wants, and how far it got.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub id: TaskId,
    pub spec: Arc<TaskSpec>,
    pub phase: Phase,
    pub plan: Option<Arc<Plan>>,
    /// Counts the plans it has had; 0 while there is none.
    pub plan_version: u32,
    /// The version that the person said yes to, where it had to be looked at.
    pub plan_approved: Option<u32>,
    pub steps: Vec<Step>,
    /// Turns that have not ended.
    pub turns: BTreeMap<TurnId, Turn>,
    /// Which step each turn, ended ones too, was for.
    pub turn_steps: BTreeMap<TurnId, StepId>,
    /// Running turns that are stopped because somebody has something urgent to say.
    pub called_off: BTreeSet<TurnId>,
    pub sessions: BTreeMap<SeatId, SessionRecord>,
    /// Processes whose end is not recorded yet. A lost session's may still be on its way out
    /// when that of the next one comes.
    pub processes: BTreeMap<SessionId, LiveProcess>,
    pub workspace: Workspace,
    /// How the set-up command ended, once it ran.
    pub setup: Option<Arc<Evidence>>,
    /// The checks on the untouched copy.
    pub baseline: Option<Arc<CheckRun>>,
    /// The latest checks after the work.
    pub evidence: Option<Arc<CheckRun>>,
    /// What differs between the copy as it was made and as it was last checked.
    pub changes: Arc<Vec<FileChange>>,
    pub messages: Vec<Arc<Message>>,
    /// Which notes were read, and by whom.
    pub receipts: BTreeMap<(MessageId, Role), Receipt>,
    /// What was decided, oldest first.
    pub decisions: Vec<Arc<Decision>>,
    /// What NEXUS Prime used.
    pub prime: PrimeUse,
    /// Files that Alpha wrote.
    pub alphas: BTreeSet<ProjectPath>,
    /// Questions that wait for an answer.
    pub approvals: BTreeMap<ApprovalId, Arc<Approval>>,
    /// Answers to questions whose process is gone, for when they are asked again.
    pub answers_in_hand: Vec<AnswerInHand>,
    /// Requests the person allowed for the whole task.
    pub allowed: Vec<Grant>,
    /// Why nothing is begun for now, and until when.
    pub hold: Option<Hold>,
    /// Counts passes through Code; 1 is the first.
    pub round: u32,
    /// How often findings went back to Code since the person last spoke.
    pub returns: u32,
    /// How many rounds were allowed beyond [`MAX_ROUNDS`].
    pub extra_rounds: u32,
    pub budget: Option<Usd>,
    /// The other caps.
    pub limits: Limits,
    /// Tasks that have to be done before it is given a place.
    pub after: Vec<TaskId>,
    /// What it was told of them.
    pub shared: Vec<Arc<SharedContext>>,
    /// How urgent it is, as the person last said.
    pub priority: Priority,
    /// When its present stay in the queue began; the latest one, when it is not there now.
    pub queued_at: Option<Timestamp>,
    /// Questions that were denied because nobody was there to answer.
    pub denied_unasked: u32,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    message_count: u32,
    approval_count: u32,
    turns_taken: u32,
    /// What its turns cost, as far as prices are known.
    money_spent: Usd,
    worked_millis: u64,
    /// The moment of the last fact.
    clock_at: Timestamp,
}

/// An answer that came after the process that asked had gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerInHand {
    pub role: Role,
    /// Of the question it answers.
    pub digest: String,
    pub answer: Answer,
}

/// Where the task is on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Written down, not started.
    Backlog,
    /// Started; waits for a free place.
    Queued,
    /// The team is on it.
    Active,
    Paused {
        why: PauseReason,
    },
    /// The work is there, with evidence or the stated absence of checks.
    Review {
        verdict_failed: bool,
        conflicts: Vec<String>,
        problem: Option<String>,
    },
    /// Being applied to the person's folder. `operations` is the journal.
    Accepting {
        verdict_failed: bool,
        operations: Option<Arc<Vec<FileOperation>>>,
    },
    Done,
    Failed {
        failure: Failure,
    },
    /// Cancelled or discarded. `reviewed` tells whether it had reached review.
    Cancelled {
        reviewed: Option<bool>,
    },
}

/// The state everybody sees, spelled the same in JSON, on the command line and on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    Backlog,
    Planning,
    Working,
    NeedsYou,
    Review,
    Done,
    Paused,
    Failed,
    Cancelled,
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backlog => "backlog",
            Self::Planning => "planning",
            Self::Working => "working",
            Self::NeedsYou => "needs_you",
            Self::Review => "review",
            Self::Done => "done",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A planned step and how it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub planned: PlannedStep,
    pub state: StepState,
    /// Turns that were spent on it; those that a limit or we ourselves cut short do not count.
    pub attempts: u32,
    /// Failures in a row in the current round.
    pub failures: u32,
    pub usage: Usage,
    /// Turns that were cut off and whose use is not known, so that `usage` is the least.
    pub uncounted: u32,
    pub duration_ms: u64,
    /// What the agent claims, from its latest finished turn.
    pub result: Option<Arc<StepResult>>,
    /// `false` when the agent only wrote text.
    pub structured: bool,
    pub progress: Option<String>,
    /// How its latest turn ended, when it did not finish.
    pub trouble: Option<String>,
    /// The assignment its current round answers.
    pub assignment: Option<MessageId>,
    /// What has to be mended in this round.
    pub feedback: Vec<String>,
    /// All tries at it, oldest first.
    pub history: Vec<Attempt>,
    /// The workspace as it was when this round's work on the step began.
    pub base: Option<SnapshotId>,
    /// The workspace has to be put back to this before the next attempt.
    pub reset_to: Option<SnapshotId>,
    /// It was put back in this round, so nothing of the earlier attempts is left.
    pub was_reset: bool,
    /// Commands of this round whose effects may reach beyond the workspace.
    pub outward: Vec<String>,
    /// The number of the seat that took it in this round.
    pub seat: Option<u32>,
    /// The version of the plan when it was handed in last.
    pub handed_in_under: u32,
    /// What was handed in is good enough for the others to build on.
    pub accepted: bool,
    /// How far its result is on its way out of its lane.
    pub merge: Option<LaneMerge>,
    /// The step whose conflict this one mends.
    pub mends: Option<StepId>,
    /// Files its agent writes, as they are written.
    pub touching: BTreeSet<ProjectPath>,
    /// What its work of this round changed, when it was last looked at.
    pub touched: Arc<Vec<FileChange>>,
    /// Its change of this round was looked at.
    pub was_audited: bool,
    /// What the rules noticed in its changes, and in which round.
    pub flags: Vec<(u32, Flag)>,
    /// When it was last done.
    pub ended_at: Option<Timestamp>,
    /// How often it was sent back by a ruling in this round.
    pub sent_back: u32,
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Waits for its dependencies, its checks or its seat.
    Waiting,
    Running {
        turn: TurnId,
    },
    /// Tried again after `until`.
    Backoff {
        until: Timestamp,
    },
    /// The account's limit is reached until then.
    Parked {
        until: Timestamp,
    },
    /// Its agent has handed it in. It is being judged, or its result is being merged.
    HandedIn,
    Done,
    Failed,
    Cancelled,
}

/// A turn that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub id: TurnId,
    pub step: StepId,
    pub seat: SeatId,
    pub attempt: u32,
    pub session: SessionId,
    pub started_at: Timestamp,
    /// The agent has said something.
    pub streaming: bool,
    /// How many messages there were when it began: those are in its prompt.
    told: usize,
    /// How many messages there were when its agent looked last, or when it began.
    seen: usize,
}

impl Turn {
    /// The role of the agent that takes it.
    pub fn role(&self) -> Role {
        self.seat.role
    }
}

/// A conversation as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    pub id: SessionId,
    /// Counts replacements of a lost conversation.
    pub generation: u32,
    /// The agent has answered in it, so it can be resumed.
    pub begun: bool,
    /// How many of its turns were finished.
    pub turns: u32,
    /// What its recorded turns used.
    pub used: Usage,
    /// When its latest turn began or ended.
    pub used_at: Option<Timestamp>,
}

impl SessionRecord {
    /// A conversation nobody has begun.
    pub fn new(id: SessionId, generation: u32) -> Self {
        Self {
            id,
            generation,
            begun: false,
            turns: 0,
            used: total(std::iter::empty()),
            used_at: None,
        }
    }
}

/// The task's copy of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workspace {
    NotMade,
    Ready(Arc<PreparedWorkspace>),
    /// It was being put away when the person brought the task back. That is brought to its end
    /// before anything else, because how far it got is not known.
    Leaving(Arc<PreparedWorkspace>),
    /// Cleaned up; the last content is kept.
    Dropped {
        was: Arc<PreparedWorkspace>,
        kept: Option<SnapshotId>,
    },
}

impl Workspace {
    /// What is known of the copy, whether it is there or not.
    pub fn prepared(&self) -> Option<&Arc<PreparedWorkspace>> {
        match self {
            Self::NotMade => None,
            Self::Ready(prepared)
            | Self::Leaving(prepared)
            | Self::Dropped { was: prepared, .. } => Some(prepared),
        }
    }
}

impl Task {
    /// A task as its first event makes it.
    pub fn new(id: TaskId, spec: TaskSpec, now: Timestamp) -> Self {
        let sessions = Role::AGENTS.map(|role| {
            let seat = SeatId::first(role);
            (seat, SessionRecord::new(id.session(seat, 0), 0))
        });
        Self {
            id,
            budget: spec.budget,
            limits: spec.limits,
            priority: spec.priority,
            after: spec.terms.after.clone(),
            shared: Vec::new(),
            queued_at: None,
            spec: Arc::new(spec),
            phase: Phase::Backlog,
            plan: None,
            plan_version: 0,
            plan_approved: None,
            steps: Vec::new(),
            called_off: BTreeSet::new(),
            turns: BTreeMap::new(),
            turn_steps: BTreeMap::new(),
            sessions: sessions.into_iter().collect(),
            processes: BTreeMap::new(),
            workspace: Workspace::NotMade,
            setup: None,
            baseline: None,
            evidence: None,
            changes: Arc::default(),
            messages: Vec::new(),
            receipts: BTreeMap::new(),
            decisions: Vec::new(),
            prime: PrimeUse::default(),
            alphas: BTreeSet::new(),
            approvals: BTreeMap::new(),
            answers_in_hand: Vec::new(),
            allowed: Vec::new(),
            hold: None,
            round: 1,
            returns: 0,
            extra_rounds: 0,
            denied_unasked: 0,
            created_at: now,
            started_at: None,
            updated_at: now,
            ended_at: None,
            message_count: 0,
            approval_count: 0,
            turns_taken: 0,
            money_spent: Usd::ZERO,
            worked_millis: 0,
            clock_at: now,
        }
    }

    /// Rebuilds a task from its log; `None` when the log does not begin with its creation.
    pub fn replay(
        id: TaskId,
        events: impl IntoIterator<Item = (Event, Timestamp)>,
    ) -> Option<Self> {
        let mut events = events.into_iter();
        let mut task = match events.next()? {
            (Event::TaskCreated { spec }, at) => Self::new(id, *spec, at),
            _ => return None,
        };
        for (event, at) in events {
            task.apply(&event, at);
        }
        Some(task)
    }

    /// Told to stop, and something of it still runs.
    pub fn is_stopping(&self) -> bool {
        let halted = matches!(
            self.phase,
            Phase::Queued | Phase::Paused { .. } | Phase::Cancelled { .. } | Phase::Failed { .. }
        );
        halted && !(self.turns.is_empty() && self.processes.is_empty())
    }

    /// The state everybody sees. "Stopped" words are not used before it is true: while turns
    /// or processes of a paused or cancelled task still run, it is `working`.
    pub fn state(&self) -> TaskState {
        if self.is_stopping() {
            return TaskState::Working;
        }
        match &self.phase {
            Phase::Backlog | Phase::Queued => TaskState::Backlog,
            Phase::Active if !self.approvals.is_empty() => TaskState::NeedsYou,
            Phase::Active if self.plan.is_none() => TaskState::Planning,
            Phase::Active if self.workspace == Workspace::NotMade => TaskState::Planning,
            Phase::Active => TaskState::Working,
            Phase::Paused { .. } => TaskState::Paused,
            Phase::Review { .. } | Phase::Accepting { .. } => TaskState::Review,
            Phase::Done => TaskState::Done,
            Phase::Failed { .. } => TaskState::Failed,
            Phase::Cancelled { .. } => TaskState::Cancelled,
        }
    }

    /// Nothing more will happen to it unless somebody speaks.
    pub fn is_at_rest(&self) -> bool {
        match &self.phase {
            Phase::Backlog | Phase::Done | Phase::Review { .. } => true,
            Phase::Paused { .. } | Phase::Failed { .. } | Phase::Cancelled { .. } => {
                !self.is_stopping()
            }
            Phase::Queued | Phase::Active | Phase::Accepting { .. } => false,
        }
    }

    /// Does it hold one of the floor's places?
    pub fn holds_place(&self) -> bool {
        matches!(self.phase, Phase::Active) || self.is_stopping()
    }

    /// Tokens and money of all its turns, and of NEXUS Prime.
    pub fn usage(&self) -> Usage {
        let steps = self.steps.iter().map(|step| step.usage);
        total(steps.chain([self.prime.usage]))
    }

    /// Some of what it used is not known: its usage is the least.
    pub fn is_partly_uncounted(&self) -> bool {
        self.steps.iter().any(|step| step.uncounted > 0)
    }

    /// What the latest checks prove; `None` before any were taken after the work.
    pub fn standing(&self) -> Option<Standing> {
        let after = self.evidence.as_deref()?;
        Some(Standing::of(self.baseline.as_deref(), after))
    }

    /// Beta's latest judgement; where several judge, it is good only if none says fail.
    pub fn verdict(&self) -> Option<Verdict> {
        let done = self
            .steps
            .iter()
            .filter(|step| step.planned.kind == StepKind::Validation)
            .filter(|step| step.state == StepState::Done);
        let mut verdicts = done.filter_map(|step| step.result.as_deref()?.verdict);
        let first = verdicts.next()?;
        let fails = first == Verdict::Fail || verdicts.any(|next| next == Verdict::Fail);
        Some(if fails { Verdict::Fail } else { first })
    }

    /// How far it is, from 0 to 1: finished steps, weighed by what the plan says each takes.
    /// `None` without a plan.
    pub fn progress(&self) -> Option<f64> {
        let all_estimated = self
            .steps
            .iter()
            .all(|step| step.planned.estimate.is_some());
        let weight = |step: &Step| match step.planned.estimate {
            Some(estimate) if all_estimated => estimate.seconds.max(1),
            Some(_) | None => 1,
        };
        let done = self
            .steps
            .iter()
            .filter(|step| step.state == StepState::Done);
        let (done, all) = (
            done.map(weight).sum::<u64>(),
            self.steps.iter().map(weight).sum::<u64>(),
        );
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of seconds, shown in per cent"
        )]
        (all > 0).then(|| done as f64 / all as f64)
    }

    /// The step by its number.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.planned.id == id)
    }

    /// The agents could not do their work because nobody was there to answer a question.
    pub fn stuck_unasked(&self) -> bool {
        self.denied_unasked > 0
            && (self.changes.is_empty()
                || matches!(
                    self.phase,
                    Phase::Review {
                        verdict_failed: true,
                        ..
                    }
                ))
    }

    fn step_mut(&mut self, id: StepId) -> Option<&mut Step> {
        self.steps.iter_mut().find(|step| step.planned.id == id)
    }

    /// What may still be spent, where there is a cap.
    pub fn budget_left(&self) -> Option<Usd> {
        self.budget.map(|cap| cap.minus(self.spent().money))
    }
}
