//! One prompt, one stream, one outcome: what an agent backend reports about a turn.

use crate::{MessageKind, Role, Timestamp, TurnId, Usd};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something a running turn showed. Updates go to the transcript and to live views; no state
/// is ever recovered from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnUpdate {
    /// More of the text the agent is writing. Coalesced on its way to a view.
    TextDelta { text: String },
    /// A finished block of text.
    Text { text: String },
    /// The agent is thinking. The text may be empty where the program does not show it.
    Thinking { text: String },
    /// A tool was called.
    ToolStarted {
        /// The agent program's id of this call.
        call: String,
        tool: String,
        /// What it is applied to, in a few words: a path, a command, a pattern.
        object: String,
        /// The whole input, cut at [`TurnUpdate::INPUT_LIMIT`] bytes of JSON.
        #[serde(default)]
        input: Value,
    },
    /// The tool call came back.
    ToolEnded {
        call: String,
        ok: bool,
        /// The beginning of what it answered.
        output: String,
    },
    /// The model API failed and the agent program will try again by itself.
    Retrying {
        attempt: u32,
        max: u32,
        delay_ms: u64,
        /// HTTP status of the failure, where there was one.
        status: Option<u16>,
        error: String,
    },
    /// The account's usage limit is near or reached.
    RateLimit {
        /// `true` when requests are refused now.
        rejected: bool,
        /// When the limit lifts, if it was said.
        until: Option<Timestamp>,
        /// Share of the limit that is used, from 0 to 1.
        utilization: Option<f64>,
    },
    /// How long the conversation is now, as of a request to the model.
    Context { tokens: u64 },
    /// Something NEXUS itself has to say about this turn.
    Note { text: String },
    /// A line of the stream this version does not know, or could not read. Kept, never fatal.
    Unknown { line: String },
}

impl TurnUpdate {
    /// Longest tool input kept in an update, in bytes of JSON.
    pub const INPUT_LIMIT: usize = 64 * 1024;
    /// Longest tool output kept in an update, in bytes.
    pub const OUTPUT_LIMIT: usize = 16 * 1024;
}

/// Tokens and money of one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens, without those read from or written to the cache.
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    /// What the turn cost by the agent program's own account; `None` when it knows no price.
    pub cost: Option<Usd>,
}

impl Usage {
    /// Both together. The cost is known only while every part that used tokens has a price.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let used = |usage: Self| usage.tokens() > 0;
        let cost = match (self.cost, other.cost) {
            (Some(a), Some(b)) => Some(a + b),
            (Some(known), None) if !used(other) => Some(known),
            (None, Some(known)) if !used(self) => Some(known),
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_read_tokens: self
                .cache_read_tokens
                .saturating_add(other.cache_read_tokens),
            cache_write_tokens: self
                .cache_write_tokens
                .saturating_add(other.cache_write_tokens),
            cost,
        }
    }

    /// All tokens, cached ones included.
    pub fn tokens(self) -> u64 {
        // A service may say any number.
        self.input_tokens
            .saturating_add(self.output_tokens)
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_write_tokens)
    }
}

/// How a turn ended. Every ending of the agent program is one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The agent finished speaking. Says nothing about whether the work is right.
    Completed {
        /// Its last text; empty when it said nothing.
        text: String,
        /// Tools that were refused to it during the turn.
        denials: Vec<Denial>,
    },
    /// Stopped because we asked for it.
    Interrupted,
    /// Said nothing for `silent_seconds` and was stopped.
    TimedOut { silent_seconds: u64 },
    /// The account's limit is reached.
    RateLimited {
        until: Option<Timestamp>,
        message: String,
    },
    /// The model service is overloaded, failing or out of reach.
    Overloaded { message: String },
    /// The login or key is missing or refused.
    AuthRequired { message: String },
    /// The account cannot pay.
    CreditExhausted { message: String },
    /// The cost cap given to the program is used up.
    BudgetExhausted,
    /// The conversation is too long for the model.
    ContextExhausted { message: String },
    /// The program knows no conversation by this id.
    SessionLost { message: String },
    /// The model or its API refused the request in a way that repeating will not mend.
    Refused { message: String },
    /// The program said something that is not its protocol.
    BadProtocol { line: String },
    /// The program ended before its turn did.
    Exited { code: i32, stderr: String },
    /// The program was killed by a signal before its turn ended.
    Signalled { signal: i32, stderr: String },
    /// The program could not be started.
    CouldNotStart { message: String },
    /// NEXUS itself ended while the turn ran; what came after is not known.
    OutputLost,
}

/// A tool use that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub tool: String,
    /// What it would have been applied to.
    pub object: String,
}

impl TurnOutcome {
    /// The outcome in a sentence for the person, naming the next step where there is one.
    pub fn describe(&self) -> String {
        match self {
            Self::Completed { denials, .. } if denials.is_empty() => "finished".to_owned(),
            Self::Completed { denials, .. } => {
                let tools: Vec<_> = denials
                    .iter()
                    .map(|d| format!("{} {}", d.tool, d.object).trim().to_owned())
                    .collect();
                format!("finished; refused to it: {}", tools.join(", "))
            }
            Self::Interrupted => "stopped on request".to_owned(),
            Self::TimedOut { silent_seconds } => {
                format!("said nothing for {silent_seconds} s and was stopped")
            }
            Self::RateLimited {
                until: Some(until),
                message,
            } => {
                format!("usage limit reached until {until}: {message}")
            }
            Self::RateLimited {
                until: None,
                message,
            } => {
                format!("usage limit reached: {message}")
            }
            Self::Overloaded { message } => format!("the model service failed: {message}"),
            Self::AuthRequired { message } => format!(
                "not logged in: {message}. Run `claude` once and log in, or save a key with `nexus keys set anthropic`"
            ),
            Self::CreditExhausted { message } => {
                format!("the account cannot pay: {message}. Add credit, then resume the task")
            }
            Self::BudgetExhausted => "the task's cost cap is used up".to_owned(),
            Self::ContextExhausted { message } => {
                format!("the conversation is too long for the model: {message}")
            }
            Self::SessionLost { message } => format!("the agent's session is gone: {message}"),
            Self::Refused { message } => format!("the request was refused: {message}"),
            Self::BadProtocol { line } => {
                format!("the agent program answered with something unreadable: {line}")
            }
            Self::Exited { code, stderr } => {
                format!("the agent program ended with code {code}: {stderr}")
            }
            Self::Signalled { signal, stderr } => {
                format!("the agent program was killed by signal {signal}: {stderr}")
            }
            Self::CouldNotStart { message } => {
                format!("the agent program could not be started: {message}")
            }
            Self::OutputLost => "NEXUS ended while this ran; its outcome is not known".to_owned(),
        }
    }

    /// The variant's name as it is written in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Interrupted => "interrupted",
            Self::TimedOut { .. } => "timed_out",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::AuthRequired { .. } => "auth_required",
            Self::CreditExhausted { .. } => "credit_exhausted",
            Self::BudgetExhausted => "budget_exhausted",
            Self::ContextExhausted { .. } => "context_exhausted",
            Self::SessionLost { .. } => "session_lost",
            Self::Refused { .. } => "refused",
            Self::BadProtocol { .. } => "bad_protocol",
            Self::Exited { .. } => "exited",
            Self::Signalled { .. } => "signalled",
            Self::CouldNotStart { .. } => "could_not_start",
            Self::OutputLost => "output_lost",
        }
    }
}

/// What an agent asks of NEXUS while its turn runs, through the in-process `nexus` tools.
/// Already checked against the tool's schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
pub enum AgentCall {
    /// Leave a note for another agent, Prime or the person.
    PostMessage {
        to: Recipient,
        kind: MessageKind,
        text: String,
    },
    /// See the notes and hand-overs addressed to this agent so far.
    ReadMessages,
    /// Say where the work stands.
    ReportProgress { note: String },
    /// Ask the person, and wait for the answer.
    AskPerson {
        question: String,
        options: Vec<String>,
    },
    /// Hand in the step's result.
    SubmitResult { result: StepResult },
}

/// Whom a note is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipient {
    Prime,
    Aria,
    Code,
    Alpha,
    Beta,
    /// The whole team.
    Team,
    Person,
}

impl Recipient {
    /// The seat, when the recipient is one.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Prime => Some(Role::Prime),
            Self::Aria => Some(Role::Aria),
            Self::Code => Some(Role::Code),
            Self::Alpha => Some(Role::Alpha),
            Self::Beta => Some(Role::Beta),
            Self::Team | Self::Person => None,
        }
    }
}

/// What an agent claims about its step when it hands it in. A claim, not a fact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    pub summary: String,
    /// From 0 to 1, by the agent's own account.
    #[serde(default)]
    pub confidence_score: Option<f64>,
    /// Named pieces of the result, such as `technical_specification`.
    #[serde(default)]
    pub deliverables: serde_json::Map<String, Value>,
    #[serde(default)]
    pub recommendations: Vec<String>,
    /// Beta's judgement; other roles leave it out.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// What has to be mended, when the verdict is `fail`.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Beta's judgement of the task's checklist; other roles leave it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Judged>,
}

/// One item of a checklist, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The item in its own words.
    pub item: String,
    /// Is it true of the work?
    pub met: bool,
    /// What was seen of it.
    pub why: String,
}

/// Beta's judgement of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
}

/// One thing that has to be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// Where: a file, a line, a test.
    #[serde(default)]
    pub location: Option<String>,
    #[serde(default)]
    pub severity: Severity,
    #[serde(default)]
    pub suggestion: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// The end of a turn, with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnReport {
    pub turn: TurnId,
    pub outcome: TurnOutcome,
    pub usage: Usage,
    /// Wall time from the prompt to the outcome.
    pub duration_ms: u64,
    /// The usage also holds what earlier turns of the session used without anybody seeing it.
    #[serde(default)]
    pub covers_lost: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_stays_known_until_tokens_without_a_price_join() {
        let priced = Usage {
            input_tokens: 10,
            cost: Some(Usd::from_micros(5)),
            ..Usage::default()
        };
        let unpriced = Usage {
            input_tokens: 10,
            ..Usage::default()
        };
        assert_eq!(
            Usage::default().plus(priced).cost,
            Some(Usd::from_micros(5))
        );
        assert_eq!(priced.plus(priced).cost, Some(Usd::from_micros(10)));
        assert_eq!(priced.plus(unpriced).cost, None);
    }

    #[test]
    fn no_number_of_tokens_is_too_large_to_be_added() {
        let huge = Usage {
            input_tokens: u64::MAX,
            output_tokens: u64::MAX,
            ..Usage::default()
        };
        assert_eq!(huge.plus(huge).tokens(), u64::MAX);
    }
}
