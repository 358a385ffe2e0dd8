//! The Messages API.

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
    let reply = consider(&service, "/v1/messages", headers, &seen, body).await;
    match &reply.fault {
        Some(fault) if reply.text.is_none() => fail(fault).await,
        fault if seen.streaming => {
            let mut all = stream_of(&reply, &seen.model);
            if fault.is_some() {
                // The end of the message never comes.
                all.truncate(all.len() - 2);
            }
            events(all, fault.clone())
        }
        _ => Json(whole(&reply, &seen.model)).into_response(),
    }
}

pub(super) async fn count(body: Bytes) -> Response {
    Json(json!({"input_tokens": body.len() / 4})).into_response()
}

fn look(body: &Value) -> Seen {
    let mut system = text_of(&body["system"]);
    let mut talk = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let content = &message["content"];
        match message["role"].as_str() {
            Some("assistant") => talk.push(Said::Agent),
            Some("system") => {
                system.push('\n');
                system.push_str(&text_of(content));
            }
            _ => talk.extend(said_by_user(content)),
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    let name = |tool: &Value| tool["name"].as_str().map(str::to_owned);
    Seen {
        api: Api::Messages,
        model: body["model"].as_str().unwrap_or("scripted").to_owned(),
        streaming: body["stream"] == true,
        system,
        talk,
        tools: tools.filter_map(name).collect(),
    }
}

fn said_by_user(content: &Value) -> Vec<Said> {
    let blocks = content.as_array().into_iter().flatten();
    let results = blocks.filter(|block| block["type"] == "tool_result");
    let mut said: Vec<_> = results
        .map(|block| Said::Tool(text_of(&block["content"])))
        .collect();
    let text = without_reminders(&text_of(content));
    if !text.trim().is_empty() {
        said.push(Said::User(text.trim().to_owned()));
    }
    said
}

/// Without what the agent program adds to a prompt on its own account.
fn without_reminders(text: &str) -> String {
    let mut own = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<system-reminder>") {
        own.push_str(before);
        rest = after
            .split_once("</system-reminder>")
            .map_or("", |(_, after)| after);
    }
    own + rest
}

/// A text, or the text blocks of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn blocks(reply: &Reply) -> Vec<Value> {
    let thinking = reply.thinking.iter().map(
        |thinking| json!({"type": "thinking", "thinking": thinking, "signature": "c2NyaXB0ZWQ="}),
    );
    let text = reply
        .text
        .iter()
        .map(|text| json!({"type": "text", "text": text}));
    let tools = reply.tools.iter().map(|tool| {
        let id = format!("toolu_{}", Uuid::new_v4().simple());
        json!({"type": "tool_use", "id": id, "name": tool.name, "input": tool.input})
    });
    thinking.chain(text).chain(tools).collect()
}

fn stop_reason(reply: &Reply) -> &'static str {
    if reply.tools.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    }
}

fn usage(reply: &Reply, output: u64) -> Value {
    json!({
        "input_tokens": reply.usage.input, "output_tokens": output,
        "cache_read_input_tokens": reply.usage.cache_read,
        "cache_creation_input_tokens": reply.usage.cache_write,
        "service_tier": "standard",
    })
}

fn whole(reply: &Reply, model: &str) -> Value {
    json!({
        "id": format!("msg_{}", Uuid::new_v4().simple()), "type": "message",
        "role": "assistant", "model": model, "content": blocks(reply),
        "stop_reason": stop_reason(reply), "stop_sequence": null,
        "usage": usage(reply, reply.usage.output),
    })
}

/// The message as events; the last two end it.
fn stream_of(reply: &Reply, model: &str) -> Vec<Event> {
    let mut start = whole(reply, model);
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"] = usage(reply, 1);
    let mut all = vec![event(
        "message_start",
        &json!({"type": "message_start", "message": start}),
    )];
    for (index, block) in blocks(reply).iter().enumerate() {
        all.extend(stream_of_block(index, block));
    }
    all.push(event(
        "message_delta",
        &json!({"type": "message_delta",
            "delta": {"stop_reason": stop_reason(reply), "stop_sequence": null},
            "usage": {"output_tokens": reply.usage.output}}),
    ));
    all.push(event("message_stop", &json!({"type": "message_stop"})));
    all
}

fn stream_of_block(index: usize, block: &Value) -> Vec<Event> {
    let (kind, field, text) = match block["type"].as_str() {
        Some("text") => (
            "text_delta",
            "text",
            block["text"].as_str().map(str::to_owned),
        ),
        Some("thinking") => {
            let thinking = block["thinking"].as_str().map(str::to_owned);
            ("thinking_delta", "thinking", thinking)
        }
        _ => (
            "input_json_delta",
            "partial_json",
            Some(block["input"].to_string()),
        ),
    };
    let mut start = block.clone();
    match kind {
        "input_json_delta" => start["input"] = json!({}),
        _ => start[field] = json!(""),
    }
    let delta = |delta: Value| {
        let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
        event("content_block_delta", &data)
    };
    let begin = json!({"type": "content_block_start", "index": index, "content_block": start});
    let mut all = vec![event("content_block_start", &begin)];
    let pieces = pieces(&text.unwrap_or_default());
    all.extend(
        pieces
            .iter()
            .map(|piece| delta(json!({"type": kind, field: piece}))),
    );
    if let Some(signature) = block["signature"].as_str() {
        all.push(delta(
            json!({"type": "signature_delta", "signature": signature}),
        ));
    }
    let end = json!({"type": "content_block_stop", "index": index});
    all.push(event("content_block_stop", &end));
    all
}

fn event(name: &'static str, data: &Value) -> Event {
    Event {
        name: Some(name),
        data: data.to_string(),
    }
}
