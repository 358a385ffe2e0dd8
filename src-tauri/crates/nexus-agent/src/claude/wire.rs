//! The lines that Claude Code writes and reads, as types.
//!
//! Owns only the spelling: field names, tags, what may be missing. What a line means is said
//! by `translate`. Only fields that NEXUS uses are named; everything else, in every object, is
//! skipped, because each release adds some.

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One line of the program's output.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line {
    System(System),
    Assistant(Spoken),
    User(Spoken),
    StreamEvent(StreamEvent),
    Result(Box<ResultLine>),
    RateLimitEvent {
        rate_limit_info: RateLimitInfo,
    },
    CommandLifecycle {
        command_uuid: String,
        state: CommandState,
    },
    ControlRequest {
        request_id: String,
        request: Value,
    },
    ControlResponse {
        response: ControlAnswer,
    },
    ControlCancelRequest {
        request_id: String,
    },
    /// Sent to keep the pipe busy; says nothing.
    KeepAlive,
    #[serde(other)]
    Unknown,
}

/// A `system` line.
#[derive(Debug, Deserialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(crate) enum System {
    /// The start of a turn, not of the process.
    Init {
        session_id: String,
    },
    ApiRetry(ApiRetry),
    Status,
    ThinkingTokens,
    SessionStateChanged,
    SessionTitleChanged,
    BackgroundTasksChanged,
    TaskStarted,
    TaskUpdated,
    TaskProgress,
    TaskNotification,
    HookStarted,
    HookProgress,
    HookResponse,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApiRetry {
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(default)]
    pub(crate) max_retries: u32,
    #[serde(default)]
    pub(crate) retry_delay_ms: f64,
    #[serde(default)]
    pub(crate) error_status: Option<u16>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// An `assistant` or `user` line: a message, cut into one line per content block.
#[derive(Debug, Deserialize)]
pub(crate) struct Spoken {
    pub(crate) message: Message,
    /// Set when a subagent speaks.
    #[serde(default)]
    pub(crate) parent_tool_use_id: Option<String>,
    /// Set on the made-up message that carries an API failure.
    #[serde(default)]
    pub(crate) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) content: Content,
}

/// Blocks, or plain text, which only repeats a prompt.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Blocks(Vec<Block>),
    Text(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block {
    Text {
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
    },
    RedactedThinking,
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(default)]
        content: Value,
        #[serde(default)]
        is_error: Option<bool>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamEvent {
    pub(crate) event: Streamed,
    #[serde(default)]
    pub(crate) parent_tool_use_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Streamed {
    /// The model begins to answer; says how much it was sent.
    MessageStart {
        message: Begun,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Begun {
    #[serde(default)]
    pub(crate) usage: MessageUsage,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Delta {
    TextDelta {
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RateLimitInfo {
    #[serde(default)]
    pub(crate) status: String,
    /// Seconds since 1970.
    #[serde(default, rename = "resetsAt")]
    pub(crate) resets_at: Option<f64>,
    #[serde(default)]
    pub(crate) utilization: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommandState {
    Queued,
    Started,
    Completed,
    Cancelled,
    #[serde(other)]
    Unknown,
}

/// A `result` line: the end of some turn, not always of ours.
///
/// `subtype` is no status: an API failure says `success` with `is_error`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResultLine {
    pub(crate) subtype: String,
    pub(crate) is_error: bool,
    pub(crate) result: Option<String>,
    pub(crate) errors: Vec<String>,
    pub(crate) terminal_reason: Option<String>,
    pub(crate) api_error_status: Option<u16>,
    pub(crate) permission_denials: Vec<DeniedTool>,
    pub(crate) session_id: Option<String>,
    /// Set on turns that nobody asked for.
    pub(crate) origin: Option<Value>,
    /// The prompt this answers, where the version says so.
    pub(crate) user_message_uuid: Option<String>,
    pub(crate) user_message_uuids: Option<Vec<String>>,
    pub(crate) usage: MessageUsage,
    #[serde(rename = "modelUsage")]
    pub(crate) model_usage: BTreeMap<String, ModelUsage>,
    pub(crate) model_usage_since_last_result: Option<BTreeMap<String, ModelUsage>>,
    pub(crate) total_cost_usd: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DeniedTool {
    pub(crate) tool_name: String,
    #[serde(default)]
    pub(crate) tool_input: Value,
}

/// Tokens of the main conversation in one turn.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MessageUsage {
    #[serde(deserialize_with = "count")]
    pub(crate) input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) output_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) cache_read_input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) cache_creation_input_tokens: u64,
}

/// Tokens and money of one model, subagents included.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ModelUsage {
    #[serde(deserialize_with = "count")]
    pub(crate) input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) output_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) cache_read_input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub(crate) cache_creation_input_tokens: u64,
    #[serde(rename = "costUSD")]
    pub(crate) cost_usd: Option<f64>,
    pub(crate) cost_basis: Option<String>,
}

/// A number of tokens. The program passes on what a service says, which may be no number.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Ok(Value::deserialize(from)?.as_u64().unwrap_or_default())
}

/// The answer to a request of ours.
#[derive(Debug, Deserialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(crate) enum ControlAnswer {
    Success {
        request_id: String,
        #[serde(default)]
        response: Value,
    },
    Error {
        request_id: String,
        #[serde(default)]
        error: Value,
    },
    #[serde(other)]
    Unknown,
}

/// What the answer to `initialize` says about credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) token_source: Option<String>,
    pub(crate) api_key_source: Option<String>,
    pub(crate) subscription_type: Option<String>,
    pub(crate) api_provider: Option<String>,
}

/// What the answer to `get_context_usage` says about the conversation itself, in tokens. The
/// categories beside it also count what is in an empty one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContextUsage {
    pub(crate) message_breakdown: MessageBreakdown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageBreakdown {
    pub(crate) user_message_tokens: u64,
    pub(crate) assistant_message_tokens: u64,
}

/// What the program asks of us.
#[derive(Debug, Deserialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(crate) enum Asked {
    CanUseTool {
        tool_name: String,
        #[serde(default)]
        input: Value,
    },
    McpMessage {
        server_name: String,
        message: Value,
    },
    /// Something NEXUS never signed up for, such as a hook callback.
    #[serde(other)]
    Unknown,
}

/// One line of the program's input.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Said<'a> {
    User {
        message: Prompt<'a>,
        parent_tool_use_id: Option<&'a str>,
        uuid: Uuid,
        /// Written by a program: no slash command and no `@path` in it is expanded.
        client_composed: bool,
    },
    ControlRequest {
        request_id: &'a str,
        request: Request<'a>,
    },
    ControlResponse {
        response: Answer<'a>,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Prompt<'a> {
    pub(crate) role: &'static str,
    pub(crate) content: &'a str,
}

/// What we ask of the program.
#[derive(Debug, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(crate) enum Request<'a> {
    #[serde(rename_all = "camelCase")]
    Initialize {
        append_system_prompt: &'a str,
        sdk_mcp_servers: &'a [&'a str],
    },
    Interrupt,
    GetContextUsage,
}

/// Our answer to what the program asked.
#[derive(Debug, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(crate) enum Answer<'a> {
    Success {
        request_id: &'a str,
        response: Value,
    },
    Error {
        request_id: &'a str,
        error: &'a str,
    },
}

impl Said<'_> {
    /// The line, without its line feed.
    pub(crate) fn to_line(&self) -> String {
        // Only strings, numbers and `Value`s are inside, and those always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}
