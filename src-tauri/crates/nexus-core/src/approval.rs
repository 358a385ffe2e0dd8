//! Questions that block a step until someone answers.

use crate::{ApprovalId, Estimate, Plan, ProjectId, Role, StepId, Timestamp, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How freely the agents of a task may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permissions {
    /// Every edit and every command is asked for.
    Ask,
    /// Edits in the workspace and the project's own checks go through; the rest is asked for.
    #[default]
    Workspace,
    /// Anything goes. Not contained.
    All,
}

/// A tool use that the agent program asks us to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRequest {
    pub tool: String,
    pub input: Value,
}

impl ToolRequest {
    /// What the tool is applied to, whole: the command, or the path. Empty where neither is
    /// given.
    pub fn object(&self) -> &str {
        [
            "command",
            "file_path",
            "notebook_path",
            "path",
            "url",
            "query",
            "pattern",
        ]
        .iter()
        .find_map(|key| self.input.get(key).and_then(Value::as_str))
        .unwrap_or_default()
    }

    /// SHA-256 of exactly what the tool would do, in hexadecimal: the tool and its input,
    /// without the words in which the agent describes it. Equal digests are the same request.
    pub fn digest(&self) -> String {
        let mut input = self.input.clone();
        if let Value::Object(fields) = &mut input {
            fields.remove("description");
        }
        // The keys of a JSON object are sorted, so that their order makes no difference.
        hexadecimal(&json!({ "tool": self.tool, "input": input }))
    }
}

fn hexadecimal(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Question {
    /// May this agent use this tool in this way?
    Tool {
        request: ToolRequest,
        /// Why NEXUS did not decide by itself.
        why: String,
    },
    /// The agent wants to know something.
    Open {
        question: String,
        /// Offered answers; any other text is fine too.
        options: Vec<String>,
    },
    /// Beta found faults in the last permitted round. Go on, or leave it?
    RoundsUsedUp { rounds: u32, findings: Vec<String> },
    /// Is this plan to be carried out?
    Plan {
        version: u32,
        /// A line for each step.
        outline: Vec<String>,
        /// SHA-256 of the whole plan, in hexadecimal.
        sha256: String,
        /// What the planner thinks it takes, all steps together; only where it says so of each.
        #[serde(default)]
        estimate: Option<Estimate>,
    },
    /// Is what was handed in for this step good enough to go on from?
    HandedIn {
        step: StepId,
        title: String,
        question: String,
    },
}

impl Question {
    /// Asks for a look at a plan.
    pub fn of_plan(version: u32, plan: &Plan) -> Self {
        let line = |step: &crate::PlannedStep| {
            let (id, who, title) = (step.id, step.role.title(), &step.title);
            format!("{id}. {who}: {title}")
        };
        Self::Plan {
            version,
            outline: plan.steps().iter().map(line).collect(),
            sha256: hexadecimal(&json!(plan.steps())),
            estimate: plan.estimate(),
        }
    }

    /// SHA-256 of exactly what is asked, in hexadecimal. An answer is bound to it.
    pub fn digest(&self) -> String {
        match self {
            Self::Tool { request, .. } => request.digest(),
            Self::Open { question, options } => hexadecimal(&json!([question, options])),
            Self::RoundsUsedUp { rounds, findings } => hexadecimal(&json!([rounds, findings])),
            Self::Plan {
                version, sha256, ..
            } => hexadecimal(&json!([version, sha256])),
            Self::HandedIn { step, question, .. } => hexadecimal(&json!([step, question])),
        }
    }
}

/// A question on the board. It is a recorded fact and outlives the process that asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    pub role: Role,
    /// The turn that waits; `None` when the task itself does, or nobody at the moment.
    pub turn: Option<TurnId>,
    /// The step that asked; `None` when the task itself did.
    #[serde(default)]
    pub step: Option<StepId>,
    pub question: Question,
    pub asked_at: Timestamp,
    /// Nobody having answered by then means no.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// What the person allowed for the rest of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Of the request; see [`ToolRequest::digest`].
    pub digest: String,
    pub tool: String,
    /// What it is applied to, for reading.
    pub object: String,
    pub made_at: Timestamp,
}

/// What the person allowed beyond one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    pub scope: RuleScope,
    /// Of the request; see [`ToolRequest::digest`].
    pub digest: String,
    pub tool: String,
    /// What it is applied to, for reading.
    pub object: String,
    pub made_at: Timestamp,
}

/// A standing rule, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub u32);

/// Where a standing rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RuleScope {
    Project { project: ProjectId },
    Always,
}

impl RuleScope {
    /// Does it hold in this project?
    pub fn covers(self, asked_in: ProjectId) -> bool {
        match self {
            Self::Project { project } => project == asked_in,
            Self::Always => true,
        }
    }
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// Yes, this time.
    Allow,
    /// Yes, and to the very same request for the rest of this task.
    AllowForTask,
    /// Yes, and to the very same request of any agent in this project from now on.
    AllowForProject,
    /// Yes, and to the very same request everywhere from now on.
    AllowAlways,
    /// No. The reason is told to the agent.
    Deny { reason: String },
    /// The answer to an open question.
    Text { text: String },
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    Person,
    /// Nobody could be asked: the task runs without a terminal or a window.
    NobodyThere,
    /// The same request was allowed for this task before.
    EarlierAnswer,
    /// A standing rule of the person.
    Rule,
    /// Nobody answered in time.
    Expired,
}
