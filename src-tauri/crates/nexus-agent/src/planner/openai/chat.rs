//! Chat Completions: how a request is spelled, and what an answer means.

use super::{
    events::Event,
    hearing::{Ending, Hearing},
    talk::{Manner, Request},
    trouble::Trouble,
};
use nexus_core::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const PATH: &str = "chat/completions";
/// The last event of a stream.
const DONE: &str = "[DONE]";

pub(super) fn request(request: &Request<'_>, manner: Manner) -> Value {
    let mut body = json!({
        "model": request.model,
        "messages": request.said,
        "response_format": if manner.schema {
            json!({
                "type": "json_schema",
                "json_schema": {
                    "name": request.form.name, "strict": true, "schema": request.form.schema,
                },
            })
        } else {
            json!({ "type": "json_object" })
        },
    });
    if manner.stream {
        body["stream"] = json!(true);
    }
    if manner.stream && manner.counts_stream {
        body["stream_options"] = json!({ "include_usage": true });
    }
    body
}

/// A completion, or a piece of one in a stream.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of an answer that is whole.
    message: Option<Message>,
    /// Of a piece.
    delta: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
    /// What the model thinks, by the two names that services have for it.
    reasoning: Option<Value>,
    reasoning_content: Option<Value>,
}

/// An answer that came in one piece.
pub(super) fn whole(body: &[u8], hearing: &mut Hearing<'_>) -> Result<(), Trouble> {
    let completion = serde_json::from_slice(body).map_err(|_| hearing.malformed())?;
    take(completion, hearing)?;
    if hearing.is_understood() && !hearing.is_over() {
        // Not every service says why it ended what is whole.
        hearing.ended(Ending::Whole);
    }
    Ok(())
}

/// The next event of a stream. Says whether it was the last.
pub(super) fn event(event: &Event, hearing: &mut Hearing<'_>) -> Result<bool, Trouble> {
    if event.data.trim() == DONE {
        if !hearing.is_over() {
            hearing.ended(Ending::Whole);
        }
        return Ok(true);
    }
    let piece = serde_json::from_str(&event.data).map_err(|_| hearing.malformed())?;
    take(piece, hearing)?;
    Ok(false)
}

fn take(completion: Completion, hearing: &mut Hearing<'_>) -> Result<(), Trouble> {
    if let Some(used) = completion.usage.filter(|used| !used.is_null()) {
        hearing.usage = usage(&used);
    }
    if let Some(error) = completion.error.filter(|error| !error.is_null()) {
        return Err(hearing.trouble(&error));
    }
    let Some(choice) = completion.choices.into_iter().next() else {
        return Ok(());
    };
    hearing.understands();
    if let Some(message) = choice.message.or(choice.delta) {
        let thought = message.reasoning_content.or(message.reasoning);
        if let Some(thought) = thought.as_ref().and_then(Value::as_str) {
            hearing.thought(thought);
        }
        if let Some(content) = message.content {
            hearing.said(&content)?;
        }
        if let Some(refusal) = message.refusal {
            hearing.refused(&refusal);
        }
    }
    match choice.finish_reason.as_deref() {
        None | Some("") => {}
        Some("length") => hearing.ended(Ending::Limit),
        Some("content_filter") => hearing.ended(Ending::Filtered),
        // "stop", or what compatible services call it.
        Some(_) => hearing.ended(Ending::Whole),
    }
    Ok(())
}

/// What an answer used. Tokens from the cache are among those of the prompt.
fn usage(used: &Value) -> Usage {
    let count = |name: &str| used.pointer(name).and_then(Value::as_u64).unwrap_or(0);
    let cached = count("/prompt_tokens_details/cached_tokens");
    Usage {
        input_tokens: count("/prompt_tokens").saturating_sub(cached),
        output_tokens: count("/completion_tokens"),
        cache_read_tokens: cached,
        ..Usage::default()
    }
}
