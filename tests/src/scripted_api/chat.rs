//! Chat completions, as OpenAI and its many likenesses offer them.

use super::{
    Api, Event, Reply, Said, Seen, Shared, consider, events, fail, not_json, pieces, read,
};
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) async fn answer(State(service): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let Some(body) = read(&body) else {
        return not_json();
    };
    let seen = look(&body);
    let reply = consider(&service, "/v1/chat/completions", headers, &seen, body).await;
    match &reply.fault {
        Some(fault) if reply.text.is_none() => fail(fault).await,
        fault if seen.streaming => {
            let mut all = stream_of(&reply, &seen.model);
            if fault.is_some() {
                // The end of the message never comes.
                all.truncate(all.len() - 3);
            }
            events(all, fault.clone())
        }
        _ => Json(whole(&reply, &seen.model)).into_response(),
    }
}

fn look(body: &Value) -> Seen {
    let mut system = String::new();
    let mut talk = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let text = text_of(&message["content"]);
        match message["role"].as_str() {
            Some("system" | "developer") => {
                system.push_str(&text);
                system.push('\n');
            }
            Some("assistant") => talk.push(Said::Agent),
            Some("tool") => talk.push(Said::Tool(text)),
            _ => talk.push(Said::User(text)),
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
    Seen {
        api: Api::Chat,
        model: body["model"].as_str().unwrap_or("scripted").to_owned(),
        streaming: body["stream"] == true,
        system,
        talk,
        tools: tools.filter_map(name).collect(),
    }
}

fn text_of(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let parts = content.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part["text"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

fn calls(reply: &Reply) -> Vec<Value> {
    let call = |tool: &super::ToolUse| {
        json!({
            "id": format!("call_{}", Uuid::new_v4().simple()), "type": "function",
            "function": {"name": tool.name, "arguments": tool.input.to_string()},
        })
    };
    reply.tools.iter().map(call).collect()
}

fn finish_reason(reply: &Reply) -> &'static str {
    if reply.tools.is_empty() {
        "stop"
    } else {
        "tool_calls"
    }
}

fn usage(reply: &Reply) -> Value {
    let prompt = reply.usage.input + reply.usage.cache_read;
    json!({
        "prompt_tokens": prompt, "completion_tokens": reply.usage.output,
        "total_tokens": prompt + reply.usage.output,
        "prompt_tokens_details": {"cached_tokens": reply.usage.cache_read},
    })
}

fn whole(reply: &Reply, model: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.text, "refusal": null});
    if !reply.tools.is_empty() {
        message["tool_calls"] = calls(reply).into();
    }
    json!({
        "id": format!("chatcmpl-{}", Uuid::new_v4().simple()), "object": "chat.completion",
        "created": 0, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null,
            "finish_reason": finish_reason(reply)}],
        "usage": usage(reply),
    })
}

/// The message as events; the last three end it.
fn stream_of(reply: &Reply, model: &str) -> Vec<Event> {
    let id = format!("chatcmpl-{}", Uuid::new_v4().simple());
    let chunk = |choices: Value, usage: Value| {
        let data = json!({"id": id, "object": "chat.completion.chunk", "created": 0,
            "model": model, "choices": choices, "usage": usage});
        event(data.to_string())
    };
    let delta = |delta: Value, finish: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "finish_reason": finish}]),
            Value::Null,
        )
    };
    let mut all = vec![delta(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    for piece in pieces(reply.text.as_deref().unwrap_or_default()) {
        all.push(delta(json!({"content": piece}), Value::Null));
    }
    for (index, mut call) in calls(reply).into_iter().enumerate() {
        call["index"] = index.into();
        all.push(delta(json!({"tool_calls": [call]}), Value::Null));
    }
    all.push(delta(json!({}), finish_reason(reply).into()));
    all.push(chunk(json!([]), usage(reply)));
    all.push(event("[DONE]".to_owned()));
    all
}

fn event(data: String) -> Event {
    Event { name: None, data }
}
