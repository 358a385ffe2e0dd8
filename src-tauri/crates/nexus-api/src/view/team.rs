//! A plan and who carries it out: what is planned, decided, noticed, said and shown.

use super::{PriorityView, RoleView};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The plan of a task, as it is now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Counts the plans the task has had; 0 while there is none.
    pub version: u32,
    /// The plan has to be looked at before any agent begins.
    pub plan_first: bool,
    /// The person has still to say yes to it. The question is among the task's questions.
    pub waiting: bool,
    /// May be edited now.
    pub editable: bool,
    pub steps: Vec<PlanStepView>,
    /// What the planner thinks that all steps take; only where it says so of each.
    pub estimate: Option<EstimateView>,
    /// What steps like these took before, by this data folder's own history.
    pub usual: Option<EstimateView>,
}

/// What something is thought to take. A guess, and shown as one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EstimateView {
    /// Working time of agents, all steps added up.
    pub seconds: u64,
    /// The longest chain of steps that wait for each other: what it takes when everything
    /// that may run side by side does.
    pub critical_seconds: u64,
    /// `null` where no price is known.
    pub cost_usd: Option<f64>,
    /// How many finished steps the guess is made from; 0 for a planner's guess.
    pub samples: u32,
}

/// A step as it is planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanStepView {
    /// Unique in the plan.
    pub id: u32,
    /// analysis, implementation, tests, validation. Says who takes it.
    pub kind: StepKindView,
    pub title: String,
    #[serde(default)]
    pub description: String,
    /// Steps that have to be done first.
    #[serde(default)]
    pub after: Vec<u32>,
    #[serde(default)]
    pub priority: PriorityView,
    /// Files and folders it may touch; empty for anything.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Checks that prove it, as command lines.
    #[serde(default)]
    pub checks: Vec<String>,
    #[serde(default)]
    pub estimate_seconds: Option<u64>,
    #[serde(default)]
    pub estimate_usd: Option<f64>,
    /// How often a failed attempt is tried again; `null` for what the role usually gets.
    #[serde(default)]
    pub max_retries: Option<u32>,
    /// What goes in, what must come out, and within which bounds: `input_data`,
    /// `expected_output`, `constraints`.
    #[serde(default)]
    pub requirements: serde_json::Value,
    /// Who takes it. Follows from the kind; what is sent here is not looked at.
    #[serde(default)]
    pub role: Option<RoleView>,
    /// It was begun, so it stays as it is. What is sent here is not looked at.
    #[serde(default)]
    pub begun: bool,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKindView {
    Analysis,
    Implementation,
    Tests,
    Validation,
}

/// A plan as the person wants it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanBody {
    /// The version that was edited. An edit of an older one is refused.
    pub version: u32,
    pub steps: Vec<PlanStepView>,
}

/// Who decided, or changed a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorView {
    /// The rules of NEXUS, which use no tokens.
    Rules,
    /// The model that plans.
    Prime,
    Person,
}

/// What was decided about a step that was handed in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    pub at: DateTime<Utc>,
    pub step: u32,
    pub turn: u32,
    /// accept, retry, replan, ask.
    pub ruling: String,
    pub reason: String,
    pub by: AuthorView,
}

/// What NEXUS Prime used in a task. The supervisor itself uses nothing: it is rules.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PrimeView {
    /// The model that was asked last; `null` when none was.
    pub model: Option<String>,
    pub calls: u32,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
}

/// Something in a change that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlagView {
    pub step: u32,
    pub role: RoleView,
    /// In which round it was noticed.
    pub round: u32,
    /// A stable name, such as `assertion_deleted`.
    pub kind: String,
    pub path: String,
    /// The line that shows it; empty where it is about the whole file.
    pub line: String,
    /// What was noticed, in words.
    pub text: String,
    /// Tests or checks prove less than before.
    pub weakens_proof: bool,
}

/// Two steps under way at the same time that have to do with the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverlapView {
    pub first: u32,
    pub second: u32,
    pub path: String,
    /// Both have written it. Otherwise one has, and the other's plan names it.
    pub by_both: bool,
}

/// Where the result of a step that was done side by side with others is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeView {
    /// Waits to be put together with the work of the others.
    Due,
    Merging,
    /// It conflicts with the work of others; a step mends that.
    Mending,
}

/// A task that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PredecessorView {
    pub id: Uuid,
    /// `T-3`.
    pub name: String,
    pub state: super::TaskStateView,
    /// How it ended without being done: then it is waited for in vain until the person does
    /// something about it.
    pub ended: Option<String>,
}

/// How urgent a task is to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorityBody {
    pub priority: PriorityView,
}

/// Something the task has reached, or is going to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MilestoneView {
    /// What it is, in a few words.
    pub name: String,
    /// `null` while it is not reached.
    pub at: Option<DateTime<Utc>>,
}

/// How far the task is: finished steps, weighed by what the plan says each takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    pub steps_done: u32,
    pub steps: u32,
    /// From 0 to 1; `null` while there is no plan.
    pub share: Option<f64>,
}

/// A message of the person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SayBody {
    /// prime, aria, code, alpha, beta or team.
    pub to: String,
    pub text: String,
    /// Interrupt whoever it is for. Otherwise it is read when the agent looks, or at the end
    /// of its turn.
    #[serde(default)]
    pub urgent: bool,
    /// Text files that go with it, as absolute paths.
    #[serde(default)]
    pub files: Vec<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryView {
    /// It is for no agent: the person reads it, or Prime when it next decides.
    Shown,
    Read,
    /// Its agent gets it when it looks, or with its next prompt.
    Waiting,
    /// Its agent has nothing left to do, so nobody reads it unless that changes.
    Nobody,
}

/// An agent at work, or the seat of one, as it is right now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SeatView {
    /// The seat's short name: `code`, `code-2`.
    pub seat: String,
    /// The name people read: `Code`, `Code 2`.
    pub title: String,
    pub role: RoleView,
    pub task_id: Uuid,
    pub task_name: String,
    pub step: Option<u32>,
    pub step_title: Option<String>,
    /// starting, thinking, tool, needs_you, stopping, handed_in, parked, idle.
    pub state: String,
    /// The tool it uses now, and what it is applied to.
    pub tool: Option<String>,
    pub object: Option<String>,
    /// When something last came from its program.
    pub heard_at: Option<DateTime<Utc>>,
    /// It has said nothing for longer than it usually may, and nobody is waited for.
    pub stalled: bool,
    /// How long its conversation is, as of its latest request to the model.
    pub context_tokens: Option<u64>,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
    /// It works in a copy of its own.
    pub lane: bool,
    pub turn: Option<u32>,
    pub started_at: Option<DateTime<Utc>>,
}
