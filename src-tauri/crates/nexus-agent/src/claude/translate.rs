//! What a line of Claude Code means in the words of NEXUS.
//!
//! Pure functions from lines to updates, outcomes and usage. Which turn a line belongs to,
//! and what is answered to it, is `conversation`'s business.

use super::wire::{
    ApiRetry, Block, Content, Delta, Line, ModelUsage, RateLimitInfo, ResultLine, Spoken, Streamed,
    System,
};
use nexus_core::{Denial, Timestamp, ToolRequest, TurnOutcome, TurnUpdate, Usage, Usd};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest unknown line that is kept, in bytes.
const UNKNOWN_LIMIT: usize = 16 * 1024;
/// Longest text in an update, in bytes. Many updates may wait for a slow reader; what a turn
/// hands over is not cut.
const TEXT_LIMIT: usize = 64 * 1024;
/// Longest object of a tool call in an update, in bytes.
const OBJECT_LIMIT: usize = 200;

/// What `line`, which was written as `raw`, shows of a running turn.
pub(crate) fn updates(line: &Line, raw: &str) -> Vec<TurnUpdate> {
    match line {
        Line::Assistant(spoken) => said_by_the_agent(spoken, raw),
        Line::User(spoken) => tool_results(spoken),
        Line::StreamEvent(streamed) if streamed.parent_tool_use_id.is_none() => {
            delta(&streamed.event)
        }
        Line::System(System::ApiRetry(retry)) => vec![retrying(retry)],
        Line::System(System::Unknown) | Line::Unknown => vec![unknown(raw)],
        Line::RateLimitEvent { rate_limit_info } => vec![rate_limit(rate_limit_info)],
        Line::StreamEvent(_)
        | Line::System(
            System::Init { .. }
            | System::Status
            | System::ThinkingTokens
            | System::SessionStateChanged
            | System::SessionTitleChanged
            | System::BackgroundTasksChanged
            | System::TaskStarted
            | System::TaskUpdated
            | System::TaskProgress
            | System::TaskNotification
            | System::HookStarted
            | System::HookProgress
            | System::HookResponse,
        )
        | Line::Result(_)
        | Line::CommandLifecycle { .. }
        | Line::ControlRequest { .. }
        | Line::ControlResponse { .. }
        | Line::ControlCancelRequest { .. }
        | Line::KeepAlive => Vec::new(),
    }
}

/// A line that could not be read, or is of no known kind.
pub(crate) fn unknown(raw: &str) -> TurnUpdate {
    TurnUpdate::Unknown {
        line: cut(raw, UNKNOWN_LIMIT),
    }
}

fn said_by_the_agent(spoken: &Spoken, raw: &str) -> Vec<TurnUpdate> {
    // The made-up message that carries an API failure is no word of the agent; the turn's
    // outcome tells it.
    if spoken.error.is_some() {
        return Vec::new();
    }
    let by_subagent = spoken.parent_tool_use_id.is_some();
    let Content::Blocks(blocks) = &spoken.message.content else {
        return Vec::new();
    };
    let update = |block: &Block| match block {
        Block::Text { text } if !by_subagent => Some(TurnUpdate::Text {
            text: cut(text, TEXT_LIMIT),
        }),
        Block::Thinking { thinking } if !by_subagent => Some(TurnUpdate::Thinking {
            text: cut(thinking, TEXT_LIMIT),
        }),
        Block::RedactedThinking if !by_subagent => Some(TurnUpdate::Thinking {
            text: String::new(),
        }),
        Block::ToolUse { id, name, input } => Some(tool_started(id, name, input)),
        Block::Unknown => Some(unknown(raw)),
        Block::Text { .. }
        | Block::Thinking { .. }
        | Block::RedactedThinking
        | Block::ToolResult { .. } => None,
    };
    blocks.iter().filter_map(update).collect()
}

fn tool_started(id: &str, name: &str, input: &Value) -> TurnUpdate {
    let request = ToolRequest {
        tool: name.to_owned(),
        input: input.clone(),
    };
    let object = request.object().lines().next().unwrap_or_default();
    TurnUpdate::ToolStarted {
        call: id.to_owned(),
        tool: name.to_owned(),
        object: cut(object, OBJECT_LIMIT),
        input: cut_json(input, TurnUpdate::INPUT_LIMIT),
    }
}

fn tool_results(spoken: &Spoken) -> Vec<TurnUpdate> {
    let Content::Blocks(blocks) = &spoken.message.content else {
        return Vec::new();
    };
    let update = |block: &Block| match block {
        Block::ToolResult {
            tool_use_id,
            content,
            is_error,
        } => Some(TurnUpdate::ToolEnded {
            call: tool_use_id.clone(),
            ok: !is_error.unwrap_or(false),
            output: cut(&plain_text(content), TurnUpdate::OUTPUT_LIMIT),
        }),
        Block::Text { .. }
        | Block::Thinking { .. }
        | Block::RedactedThinking
        | Block::ToolUse { .. }
        | Block::Unknown => None,
    };
    blocks.iter().filter_map(update).collect()
}

/// The text of a tool's answer: a string, or the text blocks of a list.
fn plain_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn delta(streamed: &Streamed) -> Vec<TurnUpdate> {
    match streamed {
        Streamed::MessageStart { message } => {
            let sent = message.usage;
            let tokens = sent
                .input_tokens
                .saturating_add(sent.cache_read_input_tokens)
                .saturating_add(sent.cache_creation_input_tokens);
            (tokens > 0)
                .then_some(TurnUpdate::Context { tokens })
                .into_iter()
                .collect()
        }
        Streamed::ContentBlockDelta {
            delta: Delta::TextDelta { text },
        } => vec![TurnUpdate::TextDelta {
            text: cut(text, TEXT_LIMIT),
        }],
        Streamed::ContentBlockDelta {
            delta: Delta::Other,
        }
        | Streamed::Other => Vec::new(),
    }
}

fn retrying(retry: &ApiRetry) -> TurnUpdate {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` clamps a float, and a nonsense delay may be any number"
    )]
    let delay_ms = retry.retry_delay_ms as u64;
    TurnUpdate::Retrying {
        attempt: retry.attempt,
        max: retry.max_retries,
        delay_ms,
        status: retry.error_status,
        error: retry.error.clone().unwrap_or_default(),
    }
}

/// Are requests refused by this account's limit now?
pub(crate) fn is_rejected(info: &RateLimitInfo) -> bool {
    info.status == "rejected"
}

/// When the limit lifts.
pub(crate) fn limit_until(info: &RateLimitInfo) -> Option<Timestamp> {
    let millis = info.resets_at? * 1000.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked first: the year 2286 at most"
    )]
    (0.0..1e13)
        .contains(&millis)
        .then(|| Timestamp::from_millis(millis as i64))
}

fn rate_limit(info: &RateLimitInfo) -> TurnUpdate {
    TurnUpdate::RateLimit {
        rejected: is_rejected(info),
        until: limit_until(info),
        utilization: info.utilization,
    }
}

/// What was seen during a turn and helps to judge its result.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The kind of the last API failure, as the program names it.
    pub(crate) error_kind: Option<String>,
    /// The account's limit rejected a request; when it lifts, if that was said.
    pub(crate) limit: Option<Option<Timestamp>>,
    /// The agent's last text.
    pub(crate) last_text: String,
}

/// How the turn ended that this result closes.
pub(crate) fn outcome(result: &ResultLine, seen: &Seen) -> TurnOutcome {
    if result.is_error {
        return failure(result, seen);
    }
    let text = result.result.clone().filter(|text| !text.is_empty());
    let denials = result.permission_denials.iter().map(|denied| {
        let request = ToolRequest {
            tool: denied.tool_name.clone(),
            input: denied.tool_input.clone(),
        };
        Denial {
            object: request.object().to_owned(),
            tool: request.tool,
        }
    });
    TurnOutcome::Completed {
        text: text.unwrap_or_else(|| seen.last_text.clone()),
        denials: denials.collect(),
    }
}

/// The words with which the program says that it knows no such session.
pub(crate) const NO_CONVERSATION: &str = "No conversation found";

fn failure(result: &ResultLine, seen: &Seen) -> TurnOutcome {
    let message = message_of(result);
    if message.contains(NO_CONVERSATION) {
        return TurnOutcome::SessionLost { message };
    }
    match result.terminal_reason.as_deref().unwrap_or_default() {
        "budget_exhausted" => return TurnOutcome::BudgetExhausted,
        "prompt_too_long" => return TurnOutcome::ContextExhausted { message },
        "aborted_streaming" | "aborted_tools" => return TurnOutcome::Interrupted,
        _ => {}
    }
    if result.subtype == "error_max_budget_usd" {
        return TurnOutcome::BudgetExhausted;
    }
    if is_api_failure(result, seen) {
        return api_failure(result.api_error_status, message, seen);
    }
    TurnOutcome::Refused { message }
}

/// Older versions give no reason but `completed` for an API failure; the status and the
/// made-up message tell it there.
fn is_api_failure(result: &ResultLine, seen: &Seen) -> bool {
    result.terminal_reason.as_deref() == Some("api_error")
        || result.api_error_status.is_some()
        || seen.error_kind.is_some()
}

/// Judges an API failure by the program's name for it, then by its HTTP status.
fn api_failure(status: Option<u16>, message: String, seen: &Seen) -> TurnOutcome {
    // The program calls it an invalid request, but a shorter conversation would be taken.
    if status == Some(413) {
        return TurnOutcome::ContextExhausted { message };
    }
    match seen.error_kind.as_deref().unwrap_or_default() {
        "billing_error" => return TurnOutcome::CreditExhausted { message },
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required"
        | "cloud_credential_error" => return TurnOutcome::AuthRequired { message },
        "invalid_request" | "model_not_found" | "max_output_tokens" => {
            return TurnOutcome::Refused { message };
        }
        _ => {}
    }
    if let Some(until) = seen.limit {
        return TurnOutcome::RateLimited { until, message };
    }
    match status {
        Some(401 | 403) => TurnOutcome::AuthRequired { message },
        Some(402) => TurnOutcome::CreditExhausted { message },
        Some(429) => TurnOutcome::RateLimited {
            until: None,
            message,
        },
        Some(408 | 409 | 500..) | None => TurnOutcome::Overloaded { message },
        Some(_) => TurnOutcome::Refused { message },
    }
}

fn message_of(result: &ResultLine) -> String {
    let words = match &result.result {
        Some(text) if !text.is_empty() => text.clone(),
        Some(_) | None => result.errors.join("; "),
    };
    let words = if words.is_empty() {
        result.subtype.clone()
    } else {
        words
    };
    cut(&words, TurnUpdate::OUTPUT_LIMIT)
}

/// What one process has reported so far, to tell a result's own usage from the total.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    cost_usd: f64,
}

impl Totals {
    /// What was used since the last result of this process.
    ///
    /// Newer versions say it per model. Older ones give the tokens of the turn and the total
    /// cost of the process, of which the last total is taken off.
    pub(crate) fn used(&mut self, result: &ResultLine) -> Usage {
        let total = result.total_cost_usd;
        let usage = match &result.model_usage_since_last_result {
            Some(models) => by_model(models),
            None => Usage {
                input_tokens: result.usage.input_tokens,
                output_tokens: result.usage.output_tokens,
                cache_read_tokens: result.usage.cache_read_input_tokens,
                cache_write_tokens: result.usage.cache_creation_input_tokens,
                cost: total
                    .filter(|_| prices_known(&result.model_usage))
                    .and_then(|total| Usd::from_dollars(total - self.cost_usd)),
            },
        };
        self.cost_usd = total.unwrap_or(self.cost_usd);
        usage
    }
}

pub(crate) fn by_model(models: &BTreeMap<String, ModelUsage>) -> Usage {
    let free = Usage {
        cost: Some(Usd::ZERO),
        ..Usage::default()
    };
    let sum = models.values().fold(free, |sum, model| {
        let cost = model.cost_usd.filter(|_| has_price(model));
        sum.plus(Usage {
            cost: cost.and_then(Usd::from_dollars),
            ..tokens_of(model)
        })
    });
    // An answer of no tokens is one whose service did not count them.
    let uncounted = models.values().any(|model| tokens_of(model).tokens() == 0);
    Usage {
        cost: sum.cost.filter(|_| !uncounted),
        ..sum
    }
}

fn tokens_of(model: &ModelUsage) -> Usage {
    Usage {
        input_tokens: model.input_tokens,
        output_tokens: model.output_tokens,
        cache_read_tokens: model.cache_read_input_tokens,
        cache_write_tokens: model.cache_creation_input_tokens,
        cost: None,
    }
}

fn prices_known(models: &BTreeMap<String, ModelUsage>) -> bool {
    models.values().all(has_price)
}

/// A model of unknown price is counted at zero by the program; that is no price.
fn has_price(model: &ModelUsage) -> bool {
    model.cost_basis.as_deref() != Some("unknown")
}

/// The beginning of `text`, at most `limit` bytes, with a mark where something was left out.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}

fn cut_json(value: &Value, limit: usize) -> Value {
    let text = value.to_string();
    if text.len() <= limit {
        value.clone()
    } else {
        Value::String(cut(&text, limit))
    }
}

#[cfg(test)]
mod tests;
