//! The Responses API: how a request is spelled, and what an answer means.

use super::{
    events::Event,
    hearing::{Ending, Hearing},
    talk::{Manner, Request},
    trouble::Trouble,
};
use nexus_core::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const PATH: &str = "responses";

pub(super) fn request(request: &Request<'_>, manner: Manner) -> Value {
    let mut body = json!({
        "model": request.model,
        "input": request.said,
        // The conversation is sent whole each time; the service need not keep it.
        "store": false,
        "text": {
            "format": if manner.schema {
                json!({
                    "type": "json_schema", "name": request.form.name, "strict": true,
                    "schema": request.form.schema,
                })
            } else {
                json!({ "type": "json_object" })
            },
        },
    });
    if manner.stream {
        body["stream"] = json!(true);
    }
    body
}

#[derive(Deserialize)]
struct Response {
    status: Option<String>,
    error: Option<Value>,
    incomplete_details: Option<Incomplete>,
    #[serde(default)]
    output: Vec<Item>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

/// Something in a response: the message, or what came before it.
#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    content: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

/// An event of a stream, as far as one matters.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    r#type: String,
    delta: Option<Value>,
    response: Option<Value>,
    error: Option<Value>,
}

/// An answer that came in one piece.
pub(super) fn whole(body: &[u8], hearing: &mut Hearing<'_>) -> Result<(), Trouble> {
    let response: Response = serde_json::from_slice(body).map_err(|_| hearing.malformed())?;
    if response.status.is_none() && response.output.is_empty() && response.error.is_none() {
        return Err(hearing.malformed());
    }
    finish(response, hearing)
}

/// The next event of a stream. Says whether it was the last.
pub(super) fn event(event: &Event, hearing: &mut Hearing<'_>) -> Result<bool, Trouble> {
    let told: Value = serde_json::from_str(&event.data).map_err(|_| hearing.malformed())?;
    let Ok(whole) = Told::deserialize(&told) else {
        return Err(hearing.malformed());
    };
    let name = if whole.r#type.is_empty() {
        &event.name
    } else {
        &whole.r#type
    };
    if name.starts_with("response.") {
        hearing.understands();
    }
    let delta = whole.delta.as_ref().and_then(Value::as_str);
    let delta = delta.unwrap_or_default();
    match name.as_str() {
        "response.output_text.delta" => hearing.said(delta)?,
        "response.refusal.delta" => hearing.refused(delta),
        "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
            hearing.thought(delta);
        }
        "response.completed" | "response.incomplete" | "response.failed" => {
            let response = serde_json::from_value(whole.response.unwrap_or_default());
            finish(response.map_err(|_| hearing.malformed())?, hearing)?;
            return Ok(true);
        }
        "error" => {
            let error = whole.error.filter(|error| !error.is_null());
            return Err(hearing.trouble(error.as_ref().unwrap_or(&told)));
        }
        // Others say that something begins or ends, or repeat what was said.
        _ => {}
    }
    Ok(false)
}

/// Takes a response that is over, and what it says where that was not heard as it came.
fn finish(mut response: Response, hearing: &mut Hearing<'_>) -> Result<(), Trouble> {
    if let Some(used) = &response.usage {
        hearing.usage = usage(used);
    }
    if let Some(error) = response.error.filter(|error| !error.is_null()) {
        return Err(hearing.trouble(&error));
    }
    if hearing.has_words() {
        response.output.clear();
    }
    let messages = response.output.into_iter();
    let messages = messages.filter(|item| item.r#type == "message");
    for part in messages.flat_map(|item| item.content.unwrap_or_default()) {
        if let Some(refusal) = part.refusal {
            hearing.refused(&refusal);
        }
        if let Some(text) = part.text {
            hearing.said(&text)?;
        }
    }
    let reason = response
        .incomplete_details
        .and_then(|details| details.reason);
    hearing.ended(match (response.status.as_deref(), reason.as_deref()) {
        (Some("failed" | "cancelled"), _) => return Err(hearing.trouble(&Value::Null)),
        (Some("incomplete"), Some("content_filter")) => Ending::Filtered,
        (Some("incomplete"), _) => Ending::Limit,
        (Some(_) | None, _) => Ending::Whole,
    });
    Ok(())
}

/// What a response used. Tokens from the cache are among those of the input.
fn usage(used: &Value) -> Usage {
    let count = |name: &str| used.pointer(name).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("/input_tokens_details/cached_tokens");
    Usage {
        input_tokens: count("/input_tokens").saturating_sub(cached),
        output_tokens: count("/output_tokens"),
        cache_read_tokens: cached,
        ..Usage::default()
    }
}
