//! What crosses the wire: plain data in the words of the screen, and nothing else.
//!
//! These types are the contract with the window, the browser and the command line. The core's
//! types stay inside; everything here is made from them in [`crate::present`].

mod care;
mod team;
mod templates;

pub use care::*;
pub use team::*;
pub use templates::*;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a task stands. Spelled the same in JSON, on the command line and on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStateView {
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

/// A seat of the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleView {
    Prime,
    Aria,
    Code,
    Alpha,
    Beta,
}

/// Who carries a task out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TeamView {
    /// Claude Code agents.
    Claude,
    /// A recorded run. Practice, no AI.
    Practice,
}

/// Who makes the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlannerView {
    /// The built-in pipeline: analysis, implementation, tests, validation.
    #[default]
    Standard,
    /// An OpenAI-compatible model.
    Openai,
    /// Claude Code itself, in a session of its own that reads only.
    Claude,
}

/// How urgent a task or a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PriorityView {
    Critical,
    High,
    #[default]
    Normal,
    Low,
}

/// How a task is gone about, beyond the wish itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TermsView {
    /// The plan is shown and waits for a yes before any agent begins.
    pub plan_first: bool,
    /// How many agents of one role may work side by side; `null` for 3.
    pub seats: Option<u32>,
    /// What has to be true of the result: judged by Beta and by the person.
    pub checklist: Vec<String>,
    /// Tasks that have to be done before this one is begun, by id or short name.
    pub after: Vec<String>,
    /// What those tasks handed over is told to this team.
    pub shares_context: bool,
    /// The name of the template it was made from.
    pub template: Option<String>,
}

/// How freely the agents may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionsView {
    Ask,
    #[default]
    Workspace,
    /// Any command may run. Not contained.
    All,
}

/// Everything the board needs to draw itself, and the point from which to listen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Board {
    /// Changes after this number are not in here yet.
    pub seq: u64,
    pub version: String,
    pub data_dir: String,
    pub projects: Vec<ProjectView>,
    /// Newest first.
    pub tasks: Vec<TaskCard>,
    /// Prime, Aria, Code, Alpha, Beta.
    pub agents: Vec<AgentView>,
    /// Accounts on which nothing is begun for now.
    pub holds: Vec<HoldView>,
    pub today: TodayView,
    /// Why nothing can be recorded now. Nothing is under way then, and nothing was lost.
    pub trouble: Option<String>,
}

/// Why nothing is begun for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    pub why: HoldReasonView,
    /// When it ends by itself; `null` when the person has to do something first.
    pub until: Option<DateTime<Utc>>,
    /// What happened and what to do next.
    pub text: String,
}

/// What sort of hold it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldReasonView {
    /// The account's usage limit is reached.
    Limit,
    /// The model service keeps failing.
    Service,
    Login,
    Credit,
}

/// What all tasks together used today, a day in UTC, and how much they may.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TodayView {
    pub spent: SpentView,
    pub caps: CapsView,
}

/// What was used.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SpentView {
    /// As far as prices are known.
    pub cost_usd: f64,
    /// Something was used whose price or amount is not known, so that the cost is the least.
    pub at_least: bool,
    pub tokens: u64,
    /// Time at work.
    pub seconds: u64,
    /// Prompts to agents.
    pub turns: u32,
}

/// Caps; `null` means none. At a cap work pauses and the person is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CapsView {
    pub cost_usd: Option<f64>,
    pub tokens: Option<u64>,
    pub seconds: Option<u64>,
    pub turns: Option<u32>,
}

/// A folder NEXUS was given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectView {
    pub id: Uuid,
    pub name: String,
    pub path: String,
    /// The person said that the folder's checks and set-up may run.
    pub trusted: bool,
    /// The bundled sample of the practice team.
    pub practice: bool,
}

/// What NEXUS found in a folder by looking, before anything in it was run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FolderView {
    pub path: String,
    pub name: String,
    pub git: bool,
    pub trusted: bool,
    /// Commands NEXUS would run as checks, as one would type them.
    pub checks: Vec<String>,
    /// Where the checks come from: `detected` or `.nexus/config.toml`.
    pub checks_from: String,
    /// The command NEXUS would run to set a copy up.
    pub setup: Option<String>,
    /// Beginnings of commands that agents may run beside the checks.
    pub allowed_commands: Vec<String>,
    /// Ignored things that are copied along because the checks need them.
    pub copied: Vec<String>,
    /// Files whose text is quoted to the agents.
    pub instructions: Vec<String>,
    pub warnings: Vec<String>,
}

/// A task as a card on the board.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskCard {
    pub id: Uuid,
    /// The short name people use: `T-14`.
    pub name: String,
    pub title: String,
    pub project_id: Uuid,
    pub project_name: String,
    pub state: TaskStateView,
    pub team: TeamView,
    /// Why it is where it is, or what the agent holding the ball does, in a few words.
    pub note: String,
    /// The seat that holds the ball.
    pub active_role: Option<RoleView>,
    pub stages: Vec<StageView>,
    /// What the person has to decide, when the state is `needs_you`.
    pub question: Option<ApprovalView>,
    pub tokens: u64,
    /// `null` while a price is not known.
    pub cost_usd: Option<f64>,
    /// A turn was cut off and what it used is not known: tokens and cost are the least.
    pub at_least: bool,
    pub budget_usd: Option<f64>,
    /// It was told to stop, and something of it still runs.
    pub stopping: bool,
    /// Why nothing of it is begun for now.
    pub hold: Option<HoldView>,
    /// Why it is paused.
    pub paused: Option<PauseView>,
    /// It was started and waits for a free place.
    pub queued: bool,
    /// It was left in the middle, and nobody works on it. `resume` carries it on.
    pub interrupted: bool,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// When work on it ended for good.
    pub ended_at: Option<DateTime<Utc>>,
    pub files_changed: Option<u32>,
    pub lines_added: Option<u32>,
    pub lines_removed: Option<u32>,
    pub standing: Option<StandingView>,
    pub priority: PriorityView,
    pub progress: ProgressView,
    /// How many agents are at work on it.
    pub at_work: u32,
    /// How many things in its changes somebody has to look at.
    pub flags: u32,
    /// Tasks that have to be done before this one is begun, and are not.
    pub waits_for: Vec<PredecessorView>,
    /// Where it is in the queue, from 1; `null` when something else than a place is waited for.
    pub queue_place: Option<u32>,
    /// Commands that may be given now.
    pub actions: Vec<ActionView>,
}

/// Why a task is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseView {
    Person,
    /// A cap of the task is reached: on money, tokens, working time or turns.
    Budget,
    Tokens,
    Time,
    Turns,
    /// A cap on the whole day is reached.
    Day,
    /// A command may have run whose effects nobody saw; the person has to say.
    Unsure,
    /// You did not say yes to the plan.
    Plan,
}

/// A command the person may give to a task now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionView {
    Start,
    Pause,
    Resume,
    Cancel,
    Accept,
    Discard,
    Restore,
    RequestChanges,
}

/// One monogram of the stage rail.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    pub role: RoleView,
    pub state: StageStateView,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageStateView {
    Waiting,
    Running,
    NeedsYou,
    Parked,
    Done,
    Failed,
    Skipped,
    Cancelled,
}

/// What the checks say, told apart from what was so before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandingView {
    NoChecks,
    Green,
    BrokenByUs,
    RedBefore,
}

/// A task with everything the task page shows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    pub card: TaskCard,
    /// The wish, whole.
    pub text: String,
    pub folder: String,
    /// The copy the agents work in; `null` until it is made and after it is gone.
    pub workspace: Option<String>,
    pub scratchpads: String,
    pub planner: PlannerView,
    pub permissions: PermissionsView,
    /// `true` when any command may run on this machine without being contained.
    pub not_contained: bool,
    pub steps: Vec<StepView>,
    pub sessions: Vec<SessionView>,
    pub spent: SpentView,
    pub caps: CapsView,
    /// What the person allowed for the rest of the task.
    pub grants: Vec<GrantView>,
    /// Checks on the untouched copy.
    pub baseline: Option<CheckRunView>,
    /// The latest checks after the work.
    pub evidence: Option<CheckRunView>,
    /// What the checks prove, in a sentence.
    pub standing_text: String,
    pub files: Vec<FileChangeView>,
    pub questions: Vec<ApprovalView>,
    /// Files that changed in the person's folder meanwhile and stop an accept.
    pub conflicts: Vec<String>,
    /// Why the task failed or is paused, with the next step.
    pub failure: Option<String>,
    /// `project`, `provider`, `environment` or `agent`, when the task failed.
    pub failure_kind: Option<String>,
    /// Beta said fail and the rounds are used up.
    pub verdict_failed: bool,
    /// What has to be true of the result.
    #[serde(default)]
    pub checklist: Vec<ChecklistItemView>,
    /// The work could not be done because nobody was there to answer a question.
    pub stuck_unasked: bool,
    /// The outcome in Beta's or the last agent's own words: a claim.
    pub summary: Option<String>,
    pub round: u32,
    pub max_rounds: u32,
    pub plan: PlanView,
    pub decisions: Vec<DecisionView>,
    pub prime: PrimeView,
    pub flags: Vec<FlagView>,
    pub overlaps: Vec<OverlapView>,
    pub milestones: Vec<MilestoneView>,
    pub terms: TermsView,
}

/// A step with its attempts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    pub id: u32,
    pub role: RoleView,
    /// `analysis`, `implementation`, `tests` or `validation`.
    pub kind: String,
    pub title: String,
    pub description: String,
    pub after: Vec<u32>,
    /// The seat it was given: `Code`, `Code 2`. `null` while it is not begun in this round.
    pub seat: Option<String>,
    /// It works in a copy of its own.
    pub lane: bool,
    pub merge: Option<MergeView>,
    /// The step whose conflict it mends.
    pub mends: Option<u32>,
    /// Files it is known to have written.
    pub written: Vec<String>,
    pub state: StageStateView,
    pub attempts: u32,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
    pub duration_ms: u64,
    /// What the agent claims, in its own words.
    pub summary: Option<String>,
    /// `false` when the agent only wrote text and NEXUS put it into the form.
    pub structured: bool,
    /// `pass` or `fail`, from Beta.
    pub verdict: Option<String>,
    pub findings: Vec<FindingView>,
    /// The latest milestone it reported.
    pub progress: Option<String>,
    /// How its latest turn ended, when it did not simply finish.
    pub trouble: Option<String>,
    /// All tries at it, oldest first.
    pub history: Vec<AttemptView>,
}

/// One try at a step, and the four facts about it that are never mixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// Counts the turns of the task.
    pub turn_number: u32,
    /// Counts tries at the step; one that was interrupted is taken again under its number.
    pub attempt: u32,
    pub round: u32,
    pub session: Uuid,
    pub started_at: DateTime<Utc>,
    #[serde(flatten)]
    pub facts: FactsView,
}

/// What is known of an attempt, from four sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactsView {
    /// `not_started`, `running`, `closed`, `exited`, `signalled`, `killed`, or `swept` when it
    /// ended with an earlier NEXUS and was made sure to be gone.
    pub process: String,
    /// `starting`, `streaming`, or the name of its outcome: `completed`, `interrupted`,
    /// `output_lost`…
    pub turn: String,
    /// What the agent says: `none`, `text`, `done`, `pass` or `fail`.
    pub claim: String,
    /// What NEXUS found out itself: `pending`, `not_reached`, `not_applicable`, `no_checks`,
    /// `green`, `broken_by_us` or `red_before`. Only this makes a step count.
    pub verified: String,
}

/// An agent's conversation, as NEXUS keeps it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    pub id: Uuid,
    pub task_id: Uuid,
    pub task_name: String,
    pub role: RoleView,
    /// `Code`, `Code 2`.
    pub seat: String,
    pub state: SessionStateView,
    /// Counts how often a lost conversation was replaced.
    pub generation: u32,
    /// Turns that were finished in it.
    pub turns: u32,
    pub tokens: u64,
    pub cost_usd: Option<f64>,
    pub used_at: Option<DateTime<Utc>>,
    /// An idle process is given up after so many seconds and comes back by resume.
    pub idle_timeout_seconds: u64,
    /// The agent's process, while it lives.
    pub pid: Option<u32>,
}

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionStateView {
    /// Nothing was said in it yet.
    Fresh,
    /// Its process lives.
    Live,
    /// It has no process and can be resumed.
    Parked,
}

/// What the person allowed for the rest of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    pub task_id: Uuid,
    pub task_name: String,
    /// SHA-256 of the request that is allowed.
    pub digest: String,
    pub tool: String,
    /// What it is applied to.
    pub object: String,
    pub made_at: DateTime<Utc>,
}

/// What the person allowed beyond one task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    pub id: u32,
    pub scope: RuleScopeView,
    /// The project, when the rule holds in one only.
    pub project_name: Option<String>,
    pub digest: String,
    pub tool: String,
    pub object: String,
    pub made_at: DateTime<Utc>,
}

/// Where a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleScopeView {
    Project,
    Always,
}

/// Everything that was allowed for longer than once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AllowedView {
    pub rules: Vec<RuleView>,
    pub grants: Vec<GrantView>,
}

/// One thing that has to be mended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FindingView {
    pub problem: String,
    pub location: Option<String>,
    pub severity: String,
    pub suggestion: Option<String>,
}

/// All checks of one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckRunView {
    pub tree: String,
    pub checks: Vec<EvidenceView>,
}

/// One check NEXUS ran.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EvidenceView {
    pub command: String,
    pub ok: bool,
    /// As a shell gives it: 124 for a timeout, 127 for a program that is not there.
    pub exit_code: i32,
    pub output_sha256: String,
    pub output_tail: String,
    pub tree: String,
    pub started_at: DateTime<Utc>,
    pub duration_ms: u64,
}

/// One changed file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileChangeView {
    pub path: String,
    /// `added`, `modified` or `deleted`.
    pub change: String,
    /// `null` for a binary file.
    pub added: Option<u32>,
    pub removed: Option<u32>,
}

/// A question that waits for the person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    pub id: Uuid,
    pub task_id: Uuid,
    pub role: RoleView,
    pub asked_at: DateTime<Utc>,
    pub kind: QuestionKindView,
    /// The question in a sentence.
    pub text: String,
    /// Exactly what would run or be written; never shortened.
    pub detail: String,
    /// Why NEXUS did not decide by itself.
    pub why: String,
    /// Offered answers to an open question.
    pub options: Vec<String>,
    /// SHA-256 of exactly what is asked. Sent back with the answer, it binds the answer to it.
    pub digest: String,
    /// Nobody having answered by then means no.
    pub expires_at: Option<DateTime<Utc>>,
    /// A process waits for the answer. When not, it takes the answer up when it asks again.
    pub waiting: bool,
}

/// What sort of answer a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKindView {
    /// Allow or deny a tool use.
    Tool,
    /// Any text.
    Open,
    /// Another round, or leave it: allow or deny.
    Rounds,
    /// Is the plan to be carried out? allow, or deny to pause.
    Plan,
    /// Is what was handed in good enough? allow, deny, or say in words what is missing.
    HandedIn,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    #[serde(rename = "type")]
    pub kind: AnswerKindView,
    /// Why not, for a no. Told to the agent.
    #[serde(default)]
    pub reason: String,
    /// The answer to an open question.
    #[serde(default)]
    pub text: String,
    /// The question's `digest` as it was shown; an answer to anything else is refused.
    #[serde(default)]
    pub digest: Option<String>,
}

/// What sort of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKindView {
    /// Yes, this once.
    Allow,
    /// The very same request is allowed for the rest of the task.
    AllowForTask,
    /// The very same request is allowed in this project from now on.
    AllowForProject,
    /// The very same request is allowed everywhere from now on.
    AllowAlways,
    Deny,
    Text,
}

impl AnswerBody {
    /// An answer without more words.
    pub fn plain(kind: AnswerKindView) -> Self {
        Self {
            kind,
            reason: String::new(),
            text: String::new(),
            digest: None,
        }
    }
}

/// What is known of a seat now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    pub role: RoleView,
    pub name: String,
    pub state: AgentStateView,
    /// What it does, in a few words.
    pub note: String,
    pub task_id: Option<Uuid>,
    pub task_name: Option<String>,
    pub cost_usd: Option<f64>,
    pub tokens: u64,
    /// Tasks waiting for this seat.
    pub queued: u32,
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStateView {
    Idle,
    Starting,
    Working,
    NeedsYou,
    Parked,
    Stopping,
}

/// A message on the bus.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    pub id: String,
    pub at: DateTime<Utc>,
    pub from: String,
    pub to: String,
    /// `assignment`, `response` or `note`.
    pub kind: String,
    /// The message in Markdown. Untrusted text.
    pub text: String,
    pub delivery: DeliveryView,
    pub read_by: Vec<RoleView>,
    pub structured: bool,
    /// The whole message in the published schema.
    #[schema(value_type = Object)]
    pub json: serde_json::Value,
}

/// A line of a task's timeline.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TimelineItem {
    /// Orders and names the line within its task: `e<seq>` for a recorded fact, `t<turn>.<n>`
    /// for a line of a transcript.
    pub id: String,
    pub at: DateTime<Utc>,
    pub role: Option<RoleView>,
    pub step: Option<u32>,
    pub turn: Option<u32>,
    pub kind: TimelineKind,
    /// One line in plain words.
    pub text: String,
    /// More, on demand: a tool's input or output, a thought, an answer. Untrusted text.
    pub detail: Option<String>,
    /// `false` marks a failure; `null` where that has no meaning.
    pub ok: Option<bool>,
    /// The call a `tool_ended` line belongs to, and its `tool_started`.
    pub call: Option<String>,
    /// The try at a step that the line is about.
    pub attempt: Option<u32>,
    /// What is known of that attempt now.
    pub facts: Option<FactsView>,
}

/// What sort of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimelineKind {
    /// A recorded fact of the task.
    Fact,
    Message,
    Question,
    Check,
    Text,
    /// Text that is still being written; replaced by the `text` that follows.
    TextDelta,
    Thinking,
    ToolStarted,
    ToolEnded,
    Retry,
    Limit,
    Unknown,
}

/// One change, in order. A client that reconnects asks for those after the last `seq` it saw.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChangeView {
    /// A fact was recorded.
    Event {
        seq: u64,
        task_id: Uuid,
        item: TimelineItem,
        /// The card as it is after the fact.
        card: Box<TaskCard>,
    },
    /// Something a running turn showed. Not recorded as a fact; best effort.
    Live {
        seq: u64,
        task_id: Uuid,
        items: Vec<TimelineItem>,
    },
    /// NEXUS Prime says something on its way to a plan or a ruling: the next piece of it. Not
    /// recorded.
    Thinking {
        seq: u64,
        task_id: Uuid,
        text: String,
    },
    /// The list of projects changed.
    Projects {
        seq: u64,
        projects: Vec<ProjectView>,
        holds: Vec<HoldView>,
        today: TodayView,
    },
}

/// A new task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// What is wanted, in the person's words. At most 256 KB. When it is empty, the template of
    /// the `terms` is filled in; when not, only its plan is taken.
    pub text: String,
    /// What the template is filled in with.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// A title of at most 200 characters; taken from the text when left out.
    #[serde(default)]
    pub title: Option<String>,
    /// The folder to work on, as an absolute path. It has to be trusted.
    pub folder: String,
    #[serde(default = "claude")]
    pub team: TeamView,
    #[serde(default)]
    pub planner: PlannerView,
    #[serde(default)]
    pub permissions: PermissionsView,
    /// The task pauses and asks when it has cost this much.
    #[serde(default)]
    pub budget_usd: Option<f64>,
    /// The task pauses and asks when it has used so many tokens.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// The task pauses and asks when it was at work for so long. `null` for what the template
    /// says, else the usual two hours; 0 for no cap.
    #[serde(default)]
    pub max_seconds: Option<u64>,
    /// The task pauses and asks after so many prompts to agents.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// A question that nobody answers for so long is answered with no. `null` for a day.
    #[serde(default)]
    pub answer_within_seconds: Option<u64>,
    /// Start now, or leave it in the backlog.
    #[serde(default)]
    pub start: bool,
    /// The person trusts the folder with the commands it has now, for this task alone.
    #[serde(default)]
    pub trust_once: bool,
    /// Nobody can answer questions: what would be asked is denied and reported.
    #[serde(default)]
    pub unattended: bool,
    /// `null` for that of the template, else `normal`.
    #[serde(default)]
    pub priority: Option<PriorityView>,
    #[serde(default)]
    pub terms: TermsView,
}

fn claude() -> TeamView {
    TeamView::Claude
}

/// A folder to look at or to add.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderBody {
    pub path: String,
    /// The person trusts the folder: its checks and set-up may run, its instructions are quoted.
    #[serde(default)]
    pub trust: bool,
}

/// What the person wants changed in a task that is in review.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    pub text: String,
}

/// How to accept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptBody {
    /// Apply although the checks are red.
    #[serde(default)]
    pub although_red: bool,
}

/// A new cost cap.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    /// `null` removes the cap.
    pub budget_usd: Option<f64>,
}

/// A unified diff.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DiffView {
    pub patch: String,
    /// The diff was longer than what is sent.
    pub truncated: bool,
}

/// An API key, as far as anyone may see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// `anthropic` or `openai`.
    pub name: String,
    pub last_four: String,
    /// `keychain` or `environment`.
    pub source: String,
}

/// A key to keep.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    pub value: String,
}

impl std::fmt::Debug for KeyBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyBody(hidden)")
    }
}

/// Why a request was not met: RFC 9457 `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `docs/errors.md#<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A stable code; see `docs/errors.md`.
    pub code: String,
    pub title: String,
    /// What happened and what to do next.
    pub detail: String,
    pub status: u16,
}
