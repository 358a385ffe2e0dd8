//! Questions that block a step until someone answers.

use crate::{ApprovalId, Role, Timestamp, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
}

/// A question on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    pub role: Role,
    /// The turn that waits; `None` when the task itself does.
    pub turn: Option<TurnId>,
    pub question: Question,
    pub asked_at: Timestamp,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// Yes, this time.
    Allow,
    /// Yes, and to the very same request for the rest of this task.
    AllowForTask,
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
}
