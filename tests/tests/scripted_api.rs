//! The scripted model service answers as its script says. The Messages API is shown by the
//! contract tests; these show chat completions and the rules.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::{drive::within, scripted_api::ScriptedApi};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Status and body of the answer to this request.
async fn post(api: &ScriptedApi, path: &str, body: &Value) -> (u16, String) {
    let address = api.url().replace("http://", "");
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within(exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

async fn chat(api: &ScriptedApi, messages: Value) -> (u16, Value) {
    let body = json!({"model": "m", "messages": messages});
    let (status, body) = post(api, "/v1/chat/completions", &body).await;
    (status, serde_json::from_str(&body).unwrap())
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[tokio::test]
async fn the_first_rule_that_holds_answers() {
    let api = ScriptedApi::with(json!({"rules": [
        {"when": {"role": "beta"}, "reply": {"text": "for Beta"}},
        {"when": {"last_user": "add (\\w+)"}, "times": 1, "reply": {"text": "added {{1}}"}},
        {"when": {"last_user": "count", "hit": 2}, "reply": {"text": "second"}},
        {"when": {"step": 2, "last_tool_result": "4"}, "reply": {"text": "the tool said {{tool_result}}"}},
    ], "otherwise": {"text": "{{turn}}: {{last_user}}"}}))
    .await;
    let text = async |messages: Value| {
        let (status, answer) = chat(&api, messages).await;
        assert_eq!(status, 200);
        answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let beta = json!([{"role": "system", "content": "You are Beta"}, {"role": "user", "content": "add x"}]);
    assert_eq!(text(beta).await, "for Beta");
    assert_eq!(text(user("add tests")).await, "added tests");
    assert_eq!(text(user("add tests")).await, "1: add tests");
    assert_eq!(text(user("count")).await, "1: count");
    assert_eq!(text(user("count")).await, "second");
    let after_tool = json!([
        {"role": "user", "content": "add up"},
        {"role": "assistant", "tool_calls": []},
        {"role": "tool", "content": "4"},
    ]);
    assert_eq!(text(after_tool).await, "the tool said 4");
    assert_eq!(api.requests().len(), 6);
}

#[tokio::test]
async fn a_chat_completion_has_tool_calls_usage_and_a_stream() {
    let api = ScriptedApi::with(json!({"otherwise": {"text": "{\"steps\": []}",
        "tools": [{"name": "plan", "input": {"n": 1}}],
        "usage": {"input": 30, "output": 4, "cache_read": 10}}}))
    .await;
    let (_, answer) = chat(&api, user("plan")).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(
        (&call["name"], &call["arguments"]),
        (&json!("plan"), &json!("{\"n\":1}"))
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 40);

    let body = json!({"model": "m", "stream": true, "messages": user("plan")});
    let (_, stream) = post(&api, "/v1/chat/completions", &body).await;
    let events: Vec<_> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let pieces = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let text: String = pieces
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(text, "{\"steps\": []}");
}

#[tokio::test]
async fn faults_come_as_scripted() {
    let api = ScriptedApi::with(json!({"rules": [
        {"when": {"last_user": "limit"}, "reply": {"fault": {"type": "status", "status": 429, "message": "slow down"}}},
        {"when": {"last_user": "break"}, "reply": {"text": "only the beginning", "fault": {"type": "reset"}}},
    ]}))
    .await;
    let (status, answer) = chat(&api, user("limit")).await;
    assert_eq!(
        (status, &answer["error"]["message"]),
        (429, &json!("slow down"))
    );
    let body = json!({"model": "m", "stream": true, "messages": user("break")});
    let (_, stream) = post(&api, "/v1/chat/completions", &body).await;
    assert!(
        stream.contains("only the beginning") && !stream.contains("[DONE]"),
        "{stream}"
    );
    let (status, _) = post(&api, "/elsewhere", &json!({})).await;
    assert_eq!(status, 404);
}
