//! Every way in which a model service gives no answer, in words that name the next step.
//!
//! Services tell their failures apart by a status and a code; those that are compatible only
//! by and large leave the code out, so that their words have to do.

use super::{Api, PlannerSettings, hearing::ANSWER_LIMIT, key::Key};
use crate::{BaseUrl, planner::one_line};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// How much of a service's own words is passed on, in bytes.
const WORDS_LIMIT: usize = 300;
/// A service that asks for a longer wait is not waited for.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Why there is no answer. `said` is the status, where there was one, and the service's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "the model service refused the planner's key with status {status}: save another with `nexus keys set openai`"
    )]
    KeyRefused { status: u16 },
    #[error(
        "the model service does not let the planner's key act for its organisation{}: correct it in the settings, or take it out", named(.organisation)
    )]
    NotOfOrganisation { organisation: Option<String> },
    #[error(
        "the planner's key holds characters that no key has: save it again with `nexus keys set openai`"
    )]
    BadKey,
    #[error(
        "the account of the planner's key has no credit left ({said}): add some with the model service, or choose another planner"
    )]
    NoCredit { said: String },
    #[error("the model service takes no more requests now ({said}): plan again {}", when(.wait))]
    TooMany {
        said: String,
        wait: Option<Duration>,
    },
    #[error(
        "the model service has no model `{model}` for this key ({said}): name another in the settings"
    )]
    NoModel { model: String, said: String },
    #[error(
        "what has to be told is too long for the model `{model}` ({said}): shorten the wish, or name a model that takes more"
    )]
    TooMuchToTell { model: String, said: String },
    #[error("the model service failed ({said}): plan again later")]
    ServiceFailed {
        said: String,
        status: Option<u16>,
        wait: Option<Duration>,
    },
    #[error("the model service refused the request ({said})")]
    Rejected {
        said: String,
        objection: Option<Objection>,
    },
    #[error(
        "there is nothing that plans at {base_url} ({said}): correct the address of the model service, which includes its version"
    )]
    NothingThere { base_url: BaseUrl, said: String },
    #[error("no connection to the model service at {base_url} could be made: {reason}")]
    OutOfReach { base_url: BaseUrl, reason: String },
    #[error("the connection to the model service broke off: {reason}")]
    BrokeOff {
        reason: String,
        /// Something of the answer had come before.
        in_the_middle: bool,
    },
    #[error("the model service said nothing for {seconds} s: plan again later")]
    Silent { seconds: u64 },
    #[error("the model service ended its answer in the middle: plan again")]
    CutOff,
    #[error(
        "the model's answer was ended at the longest that `{model}` says: name a model that says more, or ask for less at once"
    )]
    EndedAtLimit { model: String },
    #[error("the model service's filter held the answer back: say the wish in other words")]
    Filtered,
    #[error("the model refused to answer: {words}")]
    Declined { words: String },
    #[error("the model service answered with something that is no {}: correct its address, or the interface in the settings", answer_name(*.api))]
    Malformed { api: Api },
    #[error("the model service answered with more than {ANSWER_LIMIT} bytes")]
    TooLong,
}

fn named(organisation: &Option<String>) -> String {
    let name = organisation.as_ref().map(|name| format!(" `{name}`"));
    name.unwrap_or_default()
}

fn when(wait: &Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("in {} s", wait.as_secs().max(1)),
        None => "later".to_owned(),
    }
}

fn answer_name(api: Api) -> &'static str {
    match api {
        Api::Chat => "chat completion",
        Api::Responses => "response",
    }
}

/// Something in a request that a service does not know, and that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// A form by schema.
    Schema,
    /// Counting what a stream used.
    StreamedUsage,
    /// An answer as it comes.
    Stream,
}

/// A trouble that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    Limit,
    Failure,
}

impl Trouble {
    /// The request itself failed. `in_the_middle` says whether something of the answer came.
    pub(super) fn of_connection(
        error: reqwest::Error,
        in_the_middle: bool,
        settings: &PlannerSettings,
    ) -> Self {
        if error.is_builder() {
            return Self::BadKey;
        }
        let is_connect = error.is_connect();
        let reason = reason(error);
        if is_connect {
            let base_url = settings.base_url.clone();
            return Self::OutOfReach { base_url, reason };
        }
        Self::BrokeOff {
            reason,
            in_the_middle,
        }
    }

    /// The service answered with this status and body instead.
    pub(super) fn of_answer(
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        key: &Key,
        settings: &PlannerSettings,
    ) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let complaint = Complaint::of(body.get("error").unwrap_or(&body), key);
        Self::of_complaint(Some(status), &complaint, asked_wait(headers), settings)
    }

    /// The service complains in the middle of an answer.
    pub(super) fn of_error(error: &Value, key: &Key, settings: &PlannerSettings) -> Self {
        Self::of_complaint(None, &Complaint::of(error, key), None, settings)
    }

    fn of_complaint(
        status: Option<u16>,
        complaint: &Complaint,
        wait: Option<Duration>,
        settings: &PlannerSettings,
    ) -> Self {
        let said = complaint.said(status);
        let model = settings.model.clone();
        if complaint.is(&["insufficient_quota", "billing"]) || status == Some(402) {
            return Self::NoCredit { said };
        }
        if complaint.is(&["organization"]) {
            let organisation = settings.organisation.clone();
            return Self::NotOfOrganisation { organisation };
        }
        if complaint.is(&["model_not_found"]) || (status == Some(404) && complaint.speaks("model"))
        {
            return Self::NoModel { model, said };
        }
        if complaint.is(&["context_length", "string_above_max_length"])
            || complaint.speaks("context length")
        {
            return Self::TooMuchToTell { model, said };
        }
        if complaint.is(&["content_filter"]) {
            return Self::Filtered;
        }
        match status {
            // What is said of a refused key may repeat a part of it.
            Some(status @ (401 | 403)) => Self::KeyRefused { status },
            Some(status) if complaint.is(&["invalid_api_key"]) => Self::KeyRefused { status },
            // The key does not follow to another address.
            Some(300..=399 | 404 | 405) => Self::NothingThere {
                base_url: settings.base_url.clone(),
                said,
            },
            Some(429) => Self::TooMany { said, wait },
            None if complaint.is(&["rate_limit", "too_many"]) => Self::TooMany { said, wait },
            Some(500..) | None => Self::ServiceFailed { said, status, wait },
            Some(_) => Self::Rejected {
                said,
                objection: complaint.objection(),
            },
        }
    }

    /// The model declines in these words.
    pub(super) fn declined(words: &str, key: &Key) -> Self {
        Self::Declined {
            words: one_line(&key.hide(words), WORDS_LIMIT),
        }
    }

    /// Whether it may pass, and after which wait; `usual` where the service asks for none.
    pub(super) fn passes(&self, usual: Duration) -> Option<(Passing, Duration)> {
        let bearable = |wait: &Option<Duration>| wait.is_none_or(|wait| wait <= WAIT_LIMIT);
        match self {
            // Without a word of the service, any wait would be a guess.
            Self::TooMany {
                wait: Some(wait), ..
            } if *wait <= WAIT_LIMIT => Some((Passing::Limit, *wait)),
            Self::ServiceFailed {
                status: Some(500 | 502 | 503 | 504),
                wait,
                ..
            } if bearable(wait) => Some((Passing::Failure, wait.unwrap_or(usual))),
            Self::BrokeOff {
                in_the_middle: false,
                ..
            } => Some((Passing::Failure, usual)),
            Self::KeyRefused { .. }
            | Self::NotOfOrganisation { .. }
            | Self::BadKey
            | Self::NoCredit { .. }
            | Self::TooMany { .. }
            | Self::NoModel { .. }
            | Self::TooMuchToTell { .. }
            | Self::ServiceFailed { .. }
            | Self::Rejected { .. }
            | Self::NothingThere { .. }
            | Self::OutOfReach { .. }
            | Self::BrokeOff { .. }
            | Self::Silent { .. }
            | Self::CutOff
            | Self::EndedAtLimit { .. }
            | Self::Filtered
            | Self::Declined { .. }
            | Self::Malformed { .. }
            | Self::TooLong => None,
        }
    }
}

/// How long the service asks to be left alone, where it says so in seconds.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1000.0);
    let seconds = seconds.or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What a service says of its failure.
#[derive(Debug, Default)]
struct Complaint {
    message: String,
    /// Its code, type and the parameter it is about, in small letters.
    code: String,
    kind: String,
    about: String,
}

impl Complaint {
    fn of(error: &Value, key: &Key) -> Self {
        let word = |name: &str| match error.get(name) {
            Some(Value::String(word)) => word.to_ascii_lowercase(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
                String::new()
            }
        };
        let text = |name: &str| error.get(name)?.as_str();
        let message = error.as_str().or_else(|| text("message"));
        let message = message.or_else(|| text("detail")).unwrap_or_default();
        Self {
            message: one_line(&key.hide(message), WORDS_LIMIT),
            code: word("code"),
            kind: word("type"),
            about: word("param"),
        }
    }

    /// Is one of these a part of its code or type?
    fn is(&self, names: &[&str]) -> bool {
        let mut names = names.iter();
        names.any(|name| self.code.contains(name) || self.kind.contains(name))
    }

    fn speaks(&self, of: &str) -> bool {
        self.message.to_ascii_lowercase().contains(of)
    }

    fn said(&self, status: Option<u16>) -> String {
        match (status, self.message.is_empty()) {
            (Some(status), true) => format!("status {status}"),
            (Some(status), false) => format!("status {status}: {}", self.message),
            (None, true) if self.code.is_empty() => "it gave no reason".to_owned(),
            (None, true) => one_line(&self.code, WORDS_LIMIT),
            (None, false) => self.message.clone(),
        }
    }

    fn objection(&self) -> Option<Objection> {
        let about = |what: &str| self.about.contains(what) || self.speaks(what);
        if about("stream_options") {
            return Some(Objection::StreamedUsage);
        }
        if ["response_format", "json_schema", "text.format"]
            .iter()
            .any(|what| about(what))
        {
            return Some(Objection::Schema);
        }
        about("stream").then_some(Objection::Stream)
    }
}

/// An error without the address, which may be anything, and with its cause.
pub(super) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    one_line(&cause.to_string(), WORDS_LIMIT)
}
