//! The message bus: what Prime assigns, what agents answer, and the notes between them.
//!
//! An assignment and a response have the two published schemas; a note is the short form in
//! which agents address each other. All three are stored as events and projected into the
//! scratchpads.

use crate::{Recipient, Role, SessionId, StepResult, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// Name of a message: `msg_20250525_184530_abc123`, or `resp_…` for a response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// The id of `task`'s `count`th message, posted at `now`.
    pub fn mint(prefix: MessagePrefix, task: TaskId, count: u32, now: Timestamp) -> Self {
        let prefix = match prefix {
            MessagePrefix::Message => "msg",
            MessagePrefix::Response => "resp",
        };
        Self(format!(
            "{prefix}_{}_{}",
            now.compact(),
            task.message_suffix(count)
        ))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of the two id forms a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagePrefix {
    Message,
    Response,
}

/// An end of the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub agent_id: String,
    pub agent_type: AgentType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

impl Party {
    /// The agent in a seat, in its session if it has one.
    pub fn agent(role: Role, session_id: Option<SessionId>) -> Self {
        let agent_type = match role {
            Role::Prime => AgentType::OpenaiOrchestrator,
            Role::Aria | Role::Code | Role::Alpha | Role::Beta => AgentType::ClaudeCodeAgent,
        };
        Self {
            agent_id: role.agent_id().to_owned(),
            agent_type,
            session_id,
        }
    }

    /// The person at the board.
    pub fn person() -> Self {
        Self {
            agent_id: "person".to_owned(),
            agent_type: AgentType::Person,
            session_id: None,
        }
    }

    /// Is it the person?
    pub fn is_person(&self) -> bool {
        self.agent_type == AgentType::Person
    }

    /// The seat, when this end is one.
    pub fn role(&self) -> Option<Role> {
        self.agent_id.parse().ok()
    }
}

/// What kind of end it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentType {
    OpenaiOrchestrator,
    ClaudeCodeAgent,
    Person,
    Team,
}

/// How urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Critical,
}

impl Priority {
    /// All of them, the least urgent first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// So many levels more urgent, and never more than critical.
    #[must_use]
    pub fn risen(self, levels: usize) -> Self {
        let at_least = Self::ALL.into_iter().filter(|level| *level >= self);
        at_least
            .take(levels.saturating_add(1))
            .last()
            .unwrap_or(self)
    }
}

/// What a note is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    #[default]
    Note,
    Question,
    Answer,
    Warning,
}

/// Anything on the bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schema", rename_all = "snake_case")]
pub enum Message {
    Assignment(Box<Assignment>),
    Response(Box<Response>),
    Note(Note),
}

/// Prime → agent: do this step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub message_id: MessageId,
    pub timestamp: Timestamp,
    pub from: Party,
    pub to: Party,
    /// Always `task_assignment`.
    pub message_type: String,
    pub priority: Priority,
    pub payload: AssignmentPayload,
    pub response_expected: bool,
    pub timeout_seconds: u64,
}

/// The body of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssignmentPayload {
    pub task: AssignedTask,
}

/// The step, as it is told to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssignedTask {
    pub task_id: TaskId,
    /// The kind of step: analysis, implementation, tests, validation.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub description: String,
    pub requirements: Requirements,
}

/// What goes in, what must come out, and within which bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requirements {
    #[serde(default)]
    pub input_data: Map<String, Value>,
    #[serde(default)]
    pub expected_output: Map<String, Value>,
    #[serde(default)]
    pub constraints: Map<String, Value>,
}

/// Agent → Prime: the step is handed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub message_id: MessageId,
    pub response_to: MessageId,
    pub timestamp: Timestamp,
    pub from: Party,
    pub status: ResponseStatus,
    pub execution_time_seconds: f64,
    pub payload: ResponsePayload,
    /// `false` when the agent only wrote text and NEXUS put it into this form.
    pub structured: bool,
}

/// What the agent says of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseStatus {
    Completed,
    Failed,
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponsePayload {
    pub task_result: StepResult,
}

/// A note between agents, or between an agent and the person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub message_id: MessageId,
    pub timestamp: Timestamp,
    pub from: Party,
    pub to: Recipient,
    pub message_type: MessageKind,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_to: Option<MessageId>,
}

impl Message {
    /// The message's name.
    pub fn id(&self) -> &MessageId {
        match self {
            Self::Assignment(m) => &m.message_id,
            Self::Response(m) => &m.message_id,
            Self::Note(m) => &m.message_id,
        }
    }

    /// When it was posted.
    pub fn timestamp(&self) -> Timestamp {
        match self {
            Self::Assignment(m) => m.timestamp,
            Self::Response(m) => m.timestamp,
            Self::Note(m) => m.timestamp,
        }
    }

    /// Who posted it.
    pub fn from(&self) -> &Party {
        match self {
            Self::Assignment(m) => &m.from,
            Self::Response(m) => &m.from,
            Self::Note(m) => &m.from,
        }
    }

    /// Is `role` meant to read it? A response is for the next agent in line, so for all.
    pub fn concerns(&self, role: Role) -> bool {
        match self {
            Self::Assignment(m) => m.to.role() == Some(role),
            Self::Response(m) => m.from.role() != Some(role),
            Self::Note(m) => m.to == Recipient::Team || m.to.role() == Some(role),
        }
    }
}
