//! The `nexus` tools that every agent has, as an MCP server inside this process.
//!
//! Claude Code tunnels the server's JSON-RPC through its own pipe, so there is no socket and
//! no helper program. This file owns the tools' names, descriptions and schemas, and checks
//! every call against them. What a call does is the engine's business.

use jsonschema::Validator;
use nexus_core::{AgentCall, MessageKind, Recipient, StepResult};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The server's name: its tools are called `mcp__nexus__…` by the agent.
pub(crate) const SERVER: &str = "nexus";

/// The protocol version we answer with when the client names none.
const PROTOCOL: &str = "2025-06-18";

/// JSON-RPC's code for a method that does not exist.
const METHOD_NOT_FOUND: i64 = -32601;

/// What a message of the client means.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// This is the answer.
    Answer(Value),
    /// A checked tool call. Answer it under `id` when the engine has replied.
    Call { id: Value, body: AgentCall },
    /// The client no longer waits for the answer to the request `id`.
    Cancelled { id: Value },
}

/// The tools with their compiled schemas.
#[derive(Debug)]
pub(crate) struct Server {
    tools: Vec<Tool>,
}

#[derive(Debug)]
struct Tool {
    kind: ToolKind,
    schema: Value,
    /// `None` only if the schema were no schema, which a test rules out.
    validator: Option<Validator>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToolKind {
    PostMessage,
    ReadMessages,
    ReportProgress,
    AskPerson,
    SubmitResult,
}

impl ToolKind {
    const ALL: [Self; 5] = [
        Self::PostMessage,
        Self::ReadMessages,
        Self::ReportProgress,
        Self::AskPerson,
        Self::SubmitResult,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::PostMessage => "post_message",
            Self::ReadMessages => "read_messages",
            Self::ReportProgress => "report_progress",
            Self::AskPerson => "ask_person",
            Self::SubmitResult => "submit_result",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::PostMessage => {
                "Leave a note for another agent, for NEXUS Prime, for the whole team or for the person. It is delivered when this call returns."
            }
            Self::ReadMessages => "Read the notes and hand-overs addressed to you so far.",
            Self::ReportProgress => {
                "Say in one or two sentences where your work stands. The person sees it at once."
            }
            Self::AskPerson => {
                "Ask the person a question and wait for the answer. Use it only when you cannot go on without one."
            }
            Self::SubmitResult => {
                "Hand in the result of your step. Call it once, at the end. Be exact about what was done and what was not."
            }
        }
    }

    fn schema(self) -> Value {
        match self {
            Self::PostMessage => object(
                &["to", "text"],
                json!({
                    "to": {"enum": ["prime", "aria", "code", "alpha", "beta", "team", "person"]},
                    "kind": {"enum": ["note", "question", "answer", "warning"], "default": "note"},
                    "text": text("What to say, in Markdown."),
                }),
            ),
            Self::ReadMessages => object(&[], json!({})),
            Self::ReportProgress => {
                object(&["note"], json!({"note": text("Where the work stands.")}))
            }
            Self::AskPerson => object(
                &["question"],
                json!({
                    "question": text("One question, answerable as it stands."),
                    "options": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "Answers to choose from; any other answer is possible too.",
                    },
                }),
            ),
            Self::SubmitResult => submit_result_schema(),
        }
    }

    /// The call these arguments make. They were checked against the schema before, so an
    /// error here means that schema and type have drifted apart.
    fn call(self, arguments: Value) -> Result<AgentCall, String> {
        #[derive(Deserialize)]
        struct Note {
            to: Recipient,
            #[serde(default)]
            kind: MessageKind,
            text: String,
        }
        #[derive(Deserialize)]
        struct Progress {
            note: String,
        }
        #[derive(Deserialize)]
        struct Question {
            question: String,
            #[serde(default)]
            options: Vec<String>,
        }
        Ok(match self {
            Self::PostMessage => {
                let Note { to, kind, text } = read(arguments)?;
                AgentCall::PostMessage { to, kind, text }
            }
            Self::ReadMessages => AgentCall::ReadMessages,
            Self::ReportProgress => {
                let Progress { note } = read(arguments)?;
                AgentCall::ReportProgress { note }
            }
            Self::AskPerson => {
                let Question { question, options } = read(arguments)?;
                AgentCall::AskPerson { question, options }
            }
            Self::SubmitResult => AgentCall::SubmitResult {
                result: read::<StepResult>(arguments)?,
            },
        })
    }
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| error.to_string())
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": description})
}

fn submit_result_schema() -> Value {
    let finding = object(
        &["problem"],
        json!({
            "problem": text("What is wrong."),
            "location": {"type": ["string", "null"], "description": "File, line or test."},
            "severity": {"enum": ["low", "medium", "high", "critical"], "default": "medium"},
            "suggestion": {"type": ["string", "null"]},
        }),
    );
    let judged = object(
        &["item", "met", "why"],
        json!({
            "item": text("The item, in the words of the checklist."),
            "met": {"type": "boolean", "description": "Is it true of the work?"},
            "why": text("What you saw that shows it."),
        }),
    );
    object(
        &["summary"],
        json!({
            "summary": text("What was done, in Markdown."),
            "confidence_score": {
                "type": ["number", "null"], "minimum": 0, "maximum": 1,
                "description": "How sure you are, from 0 to 1.",
            },
            "deliverables": {
                "type": "object",
                "description": "Named pieces of the result, such as technical_specification.",
            },
            "recommendations": {"type": "array", "items": {"type": "string"}},
            "verdict": {
                "enum": ["pass", "fail", null],
                "description": "Only for validation: is the work good as it is?",
            },
            "findings": {
                "type": "array", "items": finding,
                "description": "What has to be mended, when the verdict is fail.",
            },
            "checklist": {
                "type": "array", "items": judged,
                "description": "Only for validation, when the task has a checklist: every item, judged.",
            },
        }),
    )
}

impl Server {
    pub(crate) fn new() -> Self {
        let tools = ToolKind::ALL.map(|kind| {
            let schema = kind.schema();
            let validator = jsonschema::validator_for(&schema).ok();
            Tool {
                kind,
                schema,
                validator,
            }
        });
        Self {
            tools: tools.into(),
        }
    }

    /// Understands one JSON-RPC message of the client.
    pub(crate) fn hear(&self, message: &Value) -> Heard {
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let params = message.get("params").unwrap_or(&Value::Null);
        match message.get("method").and_then(Value::as_str) {
            Some("initialize") => Heard::Answer(result(&id, &server_info(params))),
            Some("ping") => Heard::Answer(result(&id, &json!({}))),
            Some("tools/list") => Heard::Answer(result(&id, &self.list())),
            Some("tools/call") => self.call(id, params),
            Some("notifications/cancelled") => Heard::Cancelled {
                id: params.get("requestId").cloned().unwrap_or(Value::Null),
            },
            // The tunnel wants an answer to notifications too.
            Some(name) if name.starts_with("notifications/") => Heard::Answer(acknowledgement()),
            method => Heard::Answer(unknown_method(&id, method.unwrap_or_default())),
        }
    }

    fn list(&self) -> Value {
        let tools: Vec<_> = self
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool.kind.name(),
                    "description": tool.kind.description(),
                    "inputSchema": tool.schema,
                    // Otherwise the agent would have to search for the tool before it sees it.
                    "_meta": {"anthropic/alwaysLoad": true},
                })
            })
            .collect();
        json!({ "tools": tools })
    }

    fn call(&self, id: Value, params: &Value) -> Heard {
        let name = params
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let arguments = params
            .get("arguments")
            .cloned()
            .unwrap_or_else(|| json!({}));
        let Some(tool) = self.tools.iter().find(|tool| tool.kind.name() == name) else {
            let names = ToolKind::ALL.map(ToolKind::name).join(", ");
            let reason = format!("there is no tool `{name}`; the tools are {names}");
            return Heard::Answer(failed(&id, &reason));
        };
        match tool
            .check(&arguments)
            .and_then(|()| tool.kind.call(arguments))
        {
            Ok(body) => Heard::Call { id, body },
            Err(faults) => {
                let reason = format!("{name} was not called: {faults}");
                Heard::Answer(failed(&id, &reason))
            }
        }
    }
}

impl Tool {
    /// Names each field that does not fit the schema, and why.
    fn check(&self, arguments: &Value) -> Result<(), String> {
        let Some(validator) = &self.validator else {
            return Ok(());
        };
        let faults: Vec<_> = validator
            .iter_errors(arguments)
            .map(|error| {
                let field = error.instance_path().to_string();
                match field.trim_start_matches('/') {
                    "" => error.to_string(),
                    field => format!("{field}: {error}"),
                }
            })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults.join("; "))
        }
    }
}

fn server_info(params: &Value) -> Value {
    let version = params.get("protocolVersion").and_then(Value::as_str);
    json!({
        "protocolVersion": version.unwrap_or(PROTOCOL),
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER, "version": env!("CARGO_PKG_VERSION")},
    })
}

fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// The answer to a notification.
pub(crate) fn acknowledgement() -> Value {
    result(&json!(0), &json!({}))
}

fn unknown_method(id: &Value, method: &str) -> Value {
    let message = format!("no method `{method}`");
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": METHOD_NOT_FOUND, "message": message}})
}

/// The answer to a call that was met.
pub(crate) fn done(id: &Value, text: &str) -> Value {
    let content = json!([{"type": "text", "text": text}]);
    result(id, &json!({ "content": content }))
}

/// The answer to a call that cannot be met; the agent sees a tool error.
pub(crate) fn failed(id: &Value, reason: &str) -> Value {
    let content = json!([{"type": "text", "text": reason}]);
    result(id, &json!({"content": content, "isError": true}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: &Value) -> Heard {
        Server::new().hear(&json!({
            "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": name, "arguments": arguments, "_meta": {"claudecode/toolUseId": "t"}},
        }))
    }

    #[test]
    fn every_tool_has_a_schema_that_compiles_and_is_loaded_at_once() {
        let server = Server::new();
        assert!(server.tools.iter().all(|tool| tool.validator.is_some()));
        let Heard::Answer(answer) = server.hear(&json!({"id": 1, "method": "tools/list"})) else {
            panic!("tools/list is answered");
        };
        insta::assert_json_snapshot!(answer);
    }

    #[test]
    fn well_formed_calls_become_typed_ones() {
        let calls = [
            (
                "post_message",
                json!({"to": "code", "text": "mind the cache"}),
            ),
            (
                "post_message",
                json!({"to": "team", "kind": "warning", "text": "the tests need Redis"}),
            ),
            ("read_messages", json!({})),
            ("report_progress", json!({"note": "half way"})),
            (
                "ask_person",
                json!({"question": "Which one?", "options": ["a", "b"]}),
            ),
            (
                "submit_result",
                json!({
                    "summary": "found two faults", "confidence_score": 0.8, "verdict": "fail",
                    "deliverables": {"test_report": {"failed": 2}},
                    "findings": [{"problem": "off by one", "location": "src/lib.rs:3"}],
                    "checklist": [{"item": "It adds up", "met": false, "why": "1 + 1 gives 3"}],
                    "something_new": true,
                }),
            ),
        ];
        let heard: Vec<_> = calls
            .iter()
            .map(|(name, arguments)| call(name, arguments))
            .collect();
        insta::assert_debug_snapshot!(heard);
    }

    #[test]
    fn a_call_that_does_not_fit_is_a_tool_error_that_names_the_field() {
        let cases = [
            (
                "post_message",
                json!({"to": "everyone", "text": "hi"}),
                "to",
            ),
            ("post_message", json!({"to": "code"}), "text"),
            ("post_message", json!({"to": "code", "text": ""}), "text"),
            ("ask_person", json!({"question": 3}), "question"),
            (
                "submit_result",
                json!({"summary": "x", "confidence_score": 1.5}),
                "confidence_score",
            ),
            (
                "submit_result",
                json!({"summary": "x", "findings": [{"location": "a"}]}),
                "problem",
            ),
            (
                "submit_result",
                json!({"summary": "x", "checklist": [{"item": "a", "met": true}]}),
                "why",
            ),
            ("delete_everything", json!({}), "post_message"),
        ];
        for (name, arguments, named) in cases {
            let Heard::Answer(answer) = call(name, &arguments) else {
                panic!("{name} {arguments} was accepted");
            };
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            let text = answer["result"]["content"][0]["text"].as_str().unwrap();
            assert!(text.contains(named), "{text} does not name {named}");
        }
    }

    #[test]
    fn notifications_are_acknowledged_and_unknown_methods_refused() {
        let server = Server::new();
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(server.hear(&note), Heard::Answer(acknowledgement()));
        let cancel = json!({"method": "notifications/cancelled", "params": {"requestId": 4}});
        assert_eq!(server.hear(&cancel), Heard::Cancelled { id: json!(4) });
        let Heard::Answer(answer) = server.hear(&json!({"id": 2, "method": "prompts/list"})) else {
            panic!("refused");
        };
        assert_eq!(answer["error"]["code"], METHOD_NOT_FOUND);
    }
}
