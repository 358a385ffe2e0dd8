//! What happened to a task: the facts its log holds, and the news they come from.

use super::{Limits, ProcessEnd, TaskSpec};
use crate::{
    Answer, AnsweredBy, Approval, ApprovalId, Author, CheckRun, CommandLine, Evidence, FileChange,
    FileOperation, Flag, Hold, Message, MessageKind, Plan, PlannedStep, PrimePurpose, Priority,
    ProjectPath, Question, Recipient, Role, Ruling, SessionId, SnapshotId, Standing, StepId,
    StepResult, TaskId, TreeId, TurnId, TurnReport, Usage, Usd,
};
use serde::{Deserialize, Serialize};

/// A recorded fact about a task. Never changed, never taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    TaskCreated {
        spec: Box<TaskSpec>,
    },
    /// The person wants it done; it waits for a free place.
    TaskQueued,
    /// It got a place.
    TaskStarted,
    PlanMade {
        plan: Plan,
    },
    /// The planner could not; the standard pipeline is used instead.
    PlannerFailed {
        reason: String,
    },
    /// What is not begun yet is planned anew.
    PlanRevised {
        version: u32,
        plan: Plan,
        by: Author,
        why: String,
    },
    /// NEXUS Prime was asked, whatever it answered.
    PrimeAsked {
        purpose: PrimePurpose,
        model: String,
        /// How many requests it took.
        calls: u32,
        usage: Usage,
    },
    WorkspacePrepared {
        workspace: PreparedWorkspace,
    },
    SetupRan {
        evidence: Evidence,
    },
    ChecksRan {
        run: CheckRun,
        changes: Vec<FileChange>,
    },
    StepStarted {
        step: StepId,
        turn: TurnId,
        attempt: u32,
        round: u32,
        session: SessionId,
        /// The number of the seat; see [`crate::SeatId`].
        #[serde(default, skip_serializing_if = "is_first")]
        seat: u32,
    },
    /// A session's process is about to be started.
    ProcessStarting {
        role: Role,
        session: SessionId,
    },
    /// A session's process was started.
    ProcessStarted {
        role: Role,
        session: SessionId,
        pid: u32,
    },
    /// It is gone, with everything it had started.
    ProcessEnded {
        role: Role,
        session: SessionId,
        end: ProcessEnd,
    },
    /// The workspace before a step's first change in this round, kept under a hidden name.
    BaseTaken {
        step: StepId,
        turn: TurnId,
        base: SnapshotId,
    },
    /// The workspace was put back to a step's base, because the agent that had begun the step
    /// no longer knows what it did. What was there is kept.
    WorkspaceReset {
        step: StepId,
        turn: TurnId,
        to: SnapshotId,
        kept: SnapshotId,
    },
    /// The workspace as it was just before its agent was stopped.
    WorkKept {
        turn: TurnId,
        snapshot: SnapshotId,
    },
    /// A command ran, or was about to, whose effects may reach beyond the workspace.
    WentOutward {
        turn: TurnId,
        command: String,
    },
    /// The agent's process said its first word in this turn.
    TurnStreaming {
        turn: TurnId,
    },
    MessagePosted {
        message: Box<Message>,
    },
    ProgressReported {
        turn: TurnId,
        note: String,
    },
    /// What the agent claims. A claim, not a fact about the work.
    ResultSubmitted {
        turn: TurnId,
        result: Box<StepResult>,
        /// `false` when the agent only wrote text and it was put into the form.
        #[serde(default = "yes")]
        structured: bool,
    },
    ApprovalRequested {
        approval: Box<Approval>,
    },
    ApprovalAnswered {
        id: ApprovalId,
        answer: Answer,
        by: AnsweredBy,
    },
    /// The process that asked is gone and its turn is taken again: the question stays open.
    ApprovalDetached {
        id: ApprovalId,
    },
    /// The same question was asked again, by this turn.
    ApprovalReattached {
        id: ApprovalId,
        turn: TurnId,
    },
    /// What was allowed for the whole task is asked about again.
    GrantRevoked {
        digest: String,
    },
    /// Nobody waits for the answer any more.
    ApprovalWithdrawn {
        id: ApprovalId,
    },
    TurnEnded {
        report: TurnReport,
    },
    /// An agent is about to write this file for the first time in its step.
    FileTouched {
        turn: TurnId,
        path: ProjectPath,
    },
    /// What a turn changed was looked at by the rules.
    WorkAudited {
        turn: TurnId,
        changes: Vec<FileChange>,
        flags: Vec<Flag>,
    },
    /// The turn is stopped because somebody has something urgent to say to its agent.
    TurnCalledOff {
        turn: TurnId,
    },
    /// The agent of this turn has read what concerns it of the first `count` messages.
    MessagesRead {
        turn: TurnId,
        count: usize,
    },
    /// The agent is done with the step; the others cannot build on it yet.
    StepHandedIn {
        step: StepId,
        structured: bool,
    },
    /// What becomes of a step that was handed in.
    Decided {
        step: StepId,
        turn: TurnId,
        ruling: Ruling,
        reason: String,
        by: Author,
    },
    /// The result of a lane and the task's workspace were put together. Where they conflict,
    /// the files hold both sides with marks, and a new step mends them.
    MergePlanned {
        step: StepId,
        tree: TreeId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conflicts: Vec<ProjectPath>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mended_by: Option<Box<PlannedStep>>,
    },
    /// The task's workspace holds what was planned.
    Merged {
        step: StepId,
    },
    /// What the checks, which NEXUS ran itself, say about the work of an attempt.
    AttemptVerified {
        step: StepId,
        turn: TurnId,
        standing: Standing,
    },
    /// The step's work is handed over.
    StepEnded {
        step: StepId,
        structured: bool,
    },
    /// The step is tried again after `until`.
    StepDelayed {
        step: StepId,
        until: crate::Timestamp,
        why: Delay,
    },
    /// A lost conversation was replaced by a new one that knows nothing yet.
    SessionReplaced {
        role: Role,
        session: SessionId,
        why: String,
        /// What the lost conversation had begun in the workspace is undone first.
        #[serde(default)]
        reset: bool,
        #[serde(default, skip_serializing_if = "is_first")]
        seat: u32,
    },
    /// Nothing is begun until the hold is over.
    Held {
        hold: Hold,
    },
    HoldLifted,
    /// Code has to mend what Beta, the checks or the person found.
    RoundBegan {
        round: u32,
        why: RoundReason,
    },
    ReviewReached {
        verdict_failed: bool,
    },
    TaskPaused {
        why: PauseReason,
    },
    TaskResumed,
    CancelRequested,
    TaskFailed {
        failure: Failure,
    },
    BudgetChanged {
        budget: Option<Usd>,
    },
    LimitsChanged {
        limits: Limits,
    },
    /// The person said how urgent it is.
    PriorityChanged {
        priority: Priority,
    },
    /// What a task that this one waited for handed over.
    ContextShared {
        from: TaskId,
        name: String,
        text: String,
    },
    /// The person has it wait no longer for other tasks.
    Unchained,
    AcceptBegan {
        although_red: bool,
    },
    AcceptPlanned {
        operations: Vec<FileOperation>,
    },
    /// The person's folder changed meanwhile; nothing was applied.
    AcceptConflicted {
        conflicts: Vec<String>,
    },
    AcceptFailed {
        reason: String,
    },
    Accepted,
    Discarded,
    /// The workspace is gone; its last content is kept under this snapshot.
    WorkspaceDropped {
        kept: Option<SnapshotId>,
    },
    /// The person brought the task back.
    Restored,
    /// The workspace is there again.
    WorkspaceRestored {
        path: String,
    },
}

/// The task's copy of the project, as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedWorkspace {
    pub path: String,
    pub base: SnapshotId,
    pub tree: TreeId,
    pub files: u64,
    /// What is run as checks; empty when the project has none.
    pub checks: Vec<CommandLine>,
    /// What is run once to set the copy up.
    pub setup: Option<CommandLine>,
    /// Command prefixes that the project lets agents run, beside its checks.
    pub allowed_commands: Vec<CommandLine>,
    /// Things worth telling the person, such as what was left out of the copy.
    pub notes: Vec<String>,
}

/// Why a step waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Delay {
    /// It failed in a way that may pass.
    Retry {
        failure: u32,
        of: u32,
        trouble: String,
    },
    /// The account's limit is reached; costs no attempt.
    Limit { message: String },
}

/// Why Code has to go at it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoundReason {
    /// Beta said fail, or the checks are red where they were not before.
    Findings { findings: Vec<String> },
    /// The person asked for changes.
    Person { text: String },
}

/// Why a task is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    Person,
    /// The cost cap is reached.
    Budget,
    /// The cap on tokens is reached.
    Tokens,
    /// The cap on working time is reached.
    Time,
    /// The cap on turns is reached.
    Turns,
    /// A cap on the whole day's work is reached.
    Day,
    /// An agent was interrupted while a command may have had effects beyond the workspace.
    Unsure,
    /// The person did not say yes to the plan.
    Plan,
}

/// Why a task could not be brought to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// What happened and what to do next.
    pub message: String,
}

/// What sort of thing went wrong, as far as a host has to tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The folder cannot be worked on.
    Project,
    /// Login, key, account or model service.
    Provider,
    /// Something is missing on this machine.
    Environment,
    /// An agent kept failing.
    Agent,
}

/// News from the engine's hands: what an effect met with. News can be stale but never wrong,
/// so unlike a command it cannot be rejected.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    WorkspacePrepared(PreparedWorkspace),
    Planned(Plan),
    PlannerFailed {
        reason: String,
    },
    SetupRan(Evidence),
    ChecksRan {
        run: CheckRun,
        changes: Vec<FileChange>,
    },
    ProcessStarting {
        role: Role,
        session: SessionId,
    },
    ProcessStarted {
        role: Role,
        session: SessionId,
        pid: u32,
    },
    ProcessEnded {
        role: Role,
        session: SessionId,
        end: ProcessEnd,
    },
    BaseTaken {
        turn: TurnId,
        base: SnapshotId,
    },
    WorkspaceReset {
        turn: TurnId,
        to: SnapshotId,
        kept: SnapshotId,
    },
    WorkKept {
        turn: TurnId,
        snapshot: SnapshotId,
    },
    WentOutward {
        turn: TurnId,
        command: String,
    },
    TurnStreaming {
        turn: TurnId,
    },
    Posted {
        turn: TurnId,
        to: Recipient,
        kind: MessageKind,
        text: String,
    },
    Progress {
        turn: TurnId,
        note: String,
    },
    Result {
        turn: TurnId,
        result: Box<StepResult>,
    },
    Asked {
        turn: TurnId,
        question: Question,
        /// A standing rule of the person allows it.
        allowed_by_rule: bool,
    },
    Withdrawn {
        id: ApprovalId,
    },
    TurnEnded(TurnReport),
    PrimeAsked {
        purpose: PrimePurpose,
        model: String,
        calls: u32,
        usage: Usage,
    },
    Touched {
        turn: TurnId,
        path: ProjectPath,
    },
    Audited {
        turn: TurnId,
        changes: Vec<FileChange>,
        flags: Vec<Flag>,
    },
    /// The agent was given all messages there are for it.
    MessagesRead {
        turn: TurnId,
    },
    Judged {
        turn: TurnId,
        ruling: Ruling,
        reason: String,
    },
    /// Prime could not be asked, or gave no usable answer.
    JudgeFailed {
        turn: TurnId,
        reason: String,
    },
    MergePlanned {
        step: StepId,
        tree: TreeId,
        conflicts: Vec<ProjectPath>,
    },
    Merged {
        step: StepId,
    },
    /// An earlier NEXUS ended while the task was under way. Its processes are gone: that has
    /// been made sure of.
    LeftBehind,
    ApplyPlanned {
        operations: Vec<FileOperation>,
    },
    ApplyConflicted {
        conflicts: Vec<String>,
    },
    ApplyFailed {
        reason: String,
    },
    Applied,
    WorkspaceDropped {
        kept: Option<SnapshotId>,
    },
    WorkspaceRestored {
        path: String,
    },
    /// Something this task cannot do without failed for good.
    Failed(Failure),
}

impl Event {
    /// The variant's name as it is written in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TaskCreated { .. } => "task_created",
            Self::TaskQueued => "task_queued",
            Self::TaskStarted => "task_started",
            Self::PlanMade { .. } => "plan_made",
            Self::PlannerFailed { .. } => "planner_failed",
            Self::PlanRevised { .. } => "plan_revised",
            Self::PrimeAsked { .. } => "prime_asked",
            Self::WorkspacePrepared { .. } => "workspace_prepared",
            Self::SetupRan { .. } => "setup_ran",
            Self::ChecksRan { .. } => "checks_ran",
            Self::StepStarted { .. } => "step_started",
            Self::ProcessStarting { .. } => "process_starting",
            Self::ProcessStarted { .. } => "process_started",
            Self::ProcessEnded { .. } => "process_ended",
            Self::BaseTaken { .. } => "base_taken",
            Self::WorkspaceReset { .. } => "workspace_reset",
            Self::WorkKept { .. } => "work_kept",
            Self::WentOutward { .. } => "went_outward",
            Self::TurnStreaming { .. } => "turn_streaming",
            Self::MessagePosted { .. } => "message_posted",
            Self::ProgressReported { .. } => "progress_reported",
            Self::ResultSubmitted { .. } => "result_submitted",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::ApprovalAnswered { .. } => "approval_answered",
            Self::ApprovalDetached { .. } => "approval_detached",
            Self::ApprovalReattached { .. } => "approval_reattached",
            Self::GrantRevoked { .. } => "grant_revoked",
            Self::ApprovalWithdrawn { .. } => "approval_withdrawn",
            Self::TurnEnded { .. } => "turn_ended",
            Self::FileTouched { .. } => "file_touched",
            Self::WorkAudited { .. } => "work_audited",
            Self::TurnCalledOff { .. } => "turn_called_off",
            Self::MessagesRead { .. } => "messages_read",
            Self::StepHandedIn { .. } => "step_handed_in",
            Self::Decided { .. } => "decided",
            Self::MergePlanned { .. } => "merge_planned",
            Self::Merged { .. } => "merged",
            Self::AttemptVerified { .. } => "attempt_verified",
            Self::StepEnded { .. } => "step_ended",
            Self::StepDelayed { .. } => "step_delayed",
            Self::SessionReplaced { .. } => "session_replaced",
            Self::Held { .. } => "held",
            Self::HoldLifted => "hold_lifted",
            Self::RoundBegan { .. } => "round_began",
            Self::ReviewReached { .. } => "review_reached",
            Self::TaskPaused { .. } => "task_paused",
            Self::TaskResumed => "task_resumed",
            Self::CancelRequested => "cancel_requested",
            Self::TaskFailed { .. } => "task_failed",
            Self::BudgetChanged { .. } => "budget_changed",
            Self::LimitsChanged { .. } => "limits_changed",
            Self::PriorityChanged { .. } => "priority_changed",
            Self::ContextShared { .. } => "context_shared",
            Self::Unchained => "unchained",
            Self::AcceptBegan { .. } => "accept_began",
            Self::AcceptPlanned { .. } => "accept_planned",
            Self::AcceptConflicted { .. } => "accept_conflicted",
            Self::AcceptFailed { .. } => "accept_failed",
            Self::Accepted => "accepted",
            Self::Discarded => "discarded",
            Self::WorkspaceDropped { .. } => "workspace_dropped",
            Self::Restored => "restored",
            Self::WorkspaceRestored { .. } => "workspace_restored",
        }
    }
}

fn is_first(seat: &u32) -> bool {
    *seat == 0
}

fn yes() -> bool {
    true
}

/// Adds up usages; nothing when there are none.
pub(crate) fn total(usages: impl Iterator<Item = Usage>) -> Usage {
    usages.fold(
        Usage {
            cost: Some(Usd::ZERO),
            ..Usage::default()
        },
        Usage::plus,
    )
}
