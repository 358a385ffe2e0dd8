//! A model service that answers from a script: the Messages API and chat completions.
//!
//! It listens on this machine only. A script is one JSON object:
//!
//! ```json
//! {
//!   "rules": [
//!     {"when": {"role": "code", "last_user": "add (\\S+)", "step": 1},
//!      "reply": {"text": "On it.", "tools": [
//!        {"name": "Write", "input": {"file_path": "{{cwd}}/{{1}}", "content": "hi\n"}}]}},
//!     {"when": {"last_user": "limit me"}, "times": 2,
//!      "reply": {"fault": {"type": "status", "status": 429, "retry_after": 1}}}
//!   ],
//!   "otherwise": {"text": "echo[{{turn}}]: {{last_user}}"}
//! }
//! ```
//!
//! Rules are tried in order. All conditions of `when` have to hold:
//!
//! - `api`: `messages` or `chat`.
//! - `role`: the system prompt has the line `You are …` of this seat.
//! - `system`, `last_user`, `last_tool_result`: a pattern found in the system prompt, in the
//!   last text that is the user's own, in the results of the tools that were just called.
//! - `tool`: a tool of this name is offered.
//! - `step`: which answer to the last user text this will be, from 1. `turn`: the same in the
//!   whole conversation.
//! - `hit`: how often everything else in this rule has held, this time included.
//!
//! A rule with `times` is passed over when it was used so often. A reply may have `text`,
//! `thinking`, `tools`, `usage` (`input`, `output`, `cache_read`, `cache_write`), a `delay_ms`
//! before it, as a model that thinks, and one `fault`: `status` (with `status`, `message`, `retry_after`), `hang` or `reset`. A fault
//! comes after the reply's text, if it has one, otherwise instead of everything. `answer` is a
//! fault that is written out: `status`, `headers`, `body` (so many `times`), a pause of
//! `pause_ms` after each of its events, and what comes `then`: `end`, `hang` or `reset`.
//!
//! Texts may use `{{last_user}}`, `{{tool_result}}`, `{{cwd}}`, `{{turn}}`, `{{step}}`,
//! `{{hit}}` and the groups `{{1}}`… of `last_user`.

mod chat;
mod messages;

use crate::script::{Pattern, Values, fill, fill_all, role_of};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use nexus_core::Role;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::pending,
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

/// How long an answer gets to be sent before its connection breaks.
const SENDING: Duration = Duration::from_millis(50);

/// What the service answers when.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub otherwise: Reply,
}

/// One rule of a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub when: When,
    #[serde(default)]
    pub times: Option<u32>,
    pub reply: Reply,
}

/// The conditions of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    pub api: Option<Api>,
    pub role: Option<Role>,
    pub system: Option<Pattern>,
    pub last_user: Option<Pattern>,
    pub last_tool_result: Option<Pattern>,
    pub tool: Option<String>,
    pub step: Option<usize>,
    pub turn: Option<usize>,
    pub hit: Option<u32>,
}

/// The services it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    Messages,
    Chat,
}

/// An answer of the model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub tools: Vec<ToolUse>,
    pub usage: Tokens,
    pub delay_ms: u64,
    pub fault: Option<Fault>,
}

/// A tool that the model calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolUse {
    pub name: String,
    #[serde(default)]
    pub input: Value,
}

/// What an answer is said to have used.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            input: 100,
            output: 20,
            cache_read: 0,
            cache_write: 0,
        }
    }
}

/// How the service fails.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    Status {
        status: u16,
        #[serde(default)]
        message: Option<String>,
        /// In seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// Says nothing more and keeps the connection.
    Hang,
    /// Breaks the connection.
    Reset,
    /// An answer that is written out.
    Answer {
        #[serde(default = "fine")]
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
        /// The body is sent so often.
        #[serde(default = "once")]
        times: usize,
        /// Waits so long after each event of the body.
        #[serde(default)]
        pause_ms: u64,
        #[serde(default)]
        then: Then,
    },
}

/// What comes after an answer that is written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    #[default]
    End,
    Hang,
    Reset,
}

fn fine() -> u16 {
    200
}

fn once() -> usize {
    1
}

/// A request as a rule sees it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    api: Api,
    model: String,
    streaming: bool,
    system: String,
    /// The user's own texts and the agent's, in order; the tools' results are apart.
    talk: Vec<Said>,
    tools: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Said {
    User(String),
    Agent,
    Tool(String),
}

impl Seen {
    fn last_user(&self) -> &str {
        let own = self.talk.iter().rev().find_map(|said| match said {
            Said::User(text) => Some(text.as_str()),
            Said::Agent | Said::Tool(_) => None,
        });
        own.unwrap_or_default()
    }

    /// The results of the tools that were called by the last answer.
    fn tool_result(&self) -> String {
        let since_answer = self
            .talk
            .iter()
            .rev()
            .take_while(|said| **said != Said::Agent);
        let mut results: Vec<_> = since_answer
            .filter_map(|said| match said {
                Said::Tool(text) => Some(text.as_str()),
                Said::User(_) | Said::Agent => None,
            })
            .collect();
        results.reverse();
        results.join("\n")
    }

    fn answers<'a>(talk: impl Iterator<Item = &'a Said>) -> usize {
        talk.filter(|said| **said == Said::Agent).count()
    }

    fn turn(&self) -> usize {
        1 + Self::answers(self.talk.iter())
    }

    fn step(&self) -> usize {
        let since_user = self.talk.iter().rev();
        1 + Self::answers(since_user.take_while(|said| !matches!(said, Said::User(_))))
    }

    /// Where the agent works, as its program tells the model.
    fn cwd(&self) -> String {
        let mark = "orking directory: ";
        let after = self.system.split_once(mark).map(|(_, after)| after);
        let line = after.and_then(|after| after.lines().next());
        line.unwrap_or_default().trim().to_owned()
    }
}

impl When {
    /// Does everything but `hit` hold?
    fn holds(&self, seen: &Seen) -> bool {
        let found = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_in(text))
        };
        let tool_result = seen.tool_result();
        self.api.is_none_or(|api| api == seen.api)
            && self
                .role
                .is_none_or(|role| role_of(&seen.system) == Some(role))
            && found(&self.system, &seen.system)
            && found(&self.last_user, seen.last_user())
            && (self.last_tool_result.is_none() || !tool_result.is_empty())
            && found(&self.last_tool_result, &tool_result)
            && self
                .tool
                .as_ref()
                .is_none_or(|tool| seen.tools.contains(tool))
            && self.step.is_none_or(|step| step == seen.step())
            && self.turn.is_none_or(|turn| turn == seen.turn())
    }
}

/// The service's memory.
#[derive(Debug)]
struct Service {
    script: Script,
    state: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    hits: Vec<u32>,
    used: Vec<u32>,
    requests: Vec<Request>,
}

/// A request that came, for tests to look at.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Service {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to this request, with its templates filled in.
    fn reply(&self, seen: &Seen) -> Reply {
        let mut counts = self.counts();
        counts.hits.resize(self.script.rules.len(), 0);
        counts.used.resize(self.script.rules.len(), 0);
        for (number, rule) in self.script.rules.iter().enumerate() {
            if !rule.when.holds(seen) {
                continue;
            }
            counts.hits[number] += 1;
            let hit = counts.hits[number];
            let used_up = rule.times.is_some_and(|times| counts.used[number] >= times);
            if used_up || rule.when.hit.is_some_and(|wanted| wanted != hit) {
                continue;
            }
            counts.used[number] += 1;
            return rule.reply.filled(&values(seen, &rule.when, hit));
        }
        let values = values(seen, &When::default(), 1);
        self.script.otherwise.filled(&values)
    }
}

fn values(seen: &Seen, when: &When, hit: u32) -> Values {
    let mut values = when
        .last_user
        .as_ref()
        .map(|pattern| pattern.groups(seen.last_user()))
        .unwrap_or_default();
    let known = [
        ("last_user", seen.last_user().to_owned()),
        ("tool_result", seen.tool_result()),
        ("cwd", seen.cwd()),
        ("turn", seen.turn().to_string()),
        ("step", seen.step().to_string()),
        ("hit", hit.to_string()),
    ];
    values.extend(known.map(|(name, value)| (name.to_owned(), value)));
    values
}

impl Reply {
    fn filled(&self, values: &Values) -> Self {
        let text = |text: &Option<String>| text.as_ref().map(|text| fill(text, values));
        let tools = self.tools.iter().map(|tool| ToolUse {
            name: tool.name.clone(),
            input: fill_all(&tool.input, values),
        });
        Self {
            text: text(&self.text),
            thinking: text(&self.thinking),
            tools: tools.collect(),
            usage: self.usage,
            delay_ms: self.delay_ms,
            fault: self.fault.clone(),
        }
    }
}

/// A running service; it ends when this is dropped.
#[derive(Debug)]
pub struct ScriptedApi {
    address: SocketAddr,
    service: Arc<Service>,
    serving: JoinHandle<()>,
}

impl ScriptedApi {
    /// Starts on a free port.
    pub async fn start(script: Script) -> io::Result<Self> {
        Self::start_on(script, 0).await
    }

    /// Starts with a script written as JSON. A bad script is a bad test, so it panics.
    pub async fn with(script: Value) -> Self {
        let script = serde_json::from_value(script);
        let script = script.unwrap_or_else(|error| panic!("a bad script: {error}"));
        let started = Self::start(script).await;
        started.unwrap_or_else(|error| panic!("no port on this machine: {error}"))
    }

    /// Starts on this port, or on a free one for 0.
    pub async fn start_on(script: Script, port: u16) -> io::Result<Self> {
        let service = Arc::new(Service {
            script,
            state: Mutex::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let router = router(Arc::clone(&service));
        let serving = tokio::spawn(async move {
            // It serves until the task is aborted; an error ends it, and shows in the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            service,
            serving,
        })
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request to a model so far.
    pub fn requests(&self) -> Vec<Request> {
        self.service.counts().requests.clone()
    }
}

impl Drop for ScriptedApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Runs the service as a program: `SCRIPT.json [PORT]`. Prints its address, then serves.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the whole of a small program"
)]
pub async fn serve_for_ever(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(path) = arguments.next() else {
        eprintln!("give the path of a script, and a port if you like");
        return ExitCode::FAILURE;
    };
    let port = arguments
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(0);
    let script = std::fs::read_to_string(&path)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    let started = match script {
        Ok(script) => ScriptedApi::start_on(script, port)
            .await
            .map_err(|e| e.to_string()),
        Err(error) => Err(format!("{path}: {error}")),
    };
    match started {
        Ok(api) => {
            println!("{}", api.url());
            pending().await
        }
        Err(error) => {
            eprintln!("failed to serve {error}");
            ExitCode::FAILURE
        }
    }
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(|| async { "scripted" }))
        .route("/v1/messages", post(messages::answer))
        .route("/v1/messages/count_tokens", post(messages::count))
        .route("/v1/chat/completions", post(chat::answer))
        .route("/chat/completions", post(chat::answer))
        .fallback(|| async { failure(404, "not_found_error", "no such path") })
        .layer(DefaultBodyLimit::disable())
        .with_state(service)
}

type Shared = State<Arc<Service>>;

/// Notes the request and finds the reply to it, after the delay that it has.
async fn consider(
    service: &Service,
    path: &str,
    headers: HeaderMap,
    seen: &Seen,
    body: Value,
) -> Reply {
    let reply = service.reply(seen);
    service.counts().requests.push(Request {
        path: path.to_owned(),
        headers,
        body,
    });
    sleep(Duration::from_millis(reply.delay_ms)).await;
    reply
}

fn read(body: &Bytes) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn not_json() -> Response {
    failure(400, "invalid_request_error", "the request is not JSON")
}

fn failure(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    (status, Json(body)).into_response()
}

/// What both services call an error of this status.
fn kind_of(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

/// A fault that takes the place of the whole answer.
async fn fail(fault: &Fault) -> Response {
    match fault {
        Fault::Status {
            status,
            message,
            retry_after,
        } => {
            let message = message.as_deref().unwrap_or("as scripted");
            let mut response = failure(*status, kind_of(*status), message);
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, (*seconds).into());
            }
            response
        }
        Fault::Hang => pending().await,
        Fault::Reset => events(Vec::new(), Some(Fault::Reset)),
        Fault::Answer {
            status,
            headers,
            body,
            times,
            pause_ms,
            then,
        } => {
            let body = written_out(body, *times, Duration::from_millis(*pause_ms), *then);
            let mut response = Body::from_stream(body).into_response();
            *response.status_mut() =
                StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in headers {
                let name = HeaderName::from_bytes(name.as_bytes());
                let value = HeaderValue::from_str(value);
                if let (Ok(name), Ok(value)) = (name, value) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
    }
}

/// The body in pieces, with its end.
fn written_out(
    body: &str,
    times: usize,
    pause: Duration,
    then: Then,
) -> impl Stream<Item = io::Result<String>> + use<> {
    let whole = vec![body.to_owned()];
    let events = || body.split_inclusive("\n\n").map(str::to_owned).collect();
    let pieces = if pause.is_zero() { whole } else { events() };
    let pieces = vec![pieces; times].into_iter().flatten();
    let pieces = stream::iter(pieces).then(move |piece| async move {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        Ok(piece)
    });
    let end = stream::once(async move {
        match then {
            Then::End => None,
            Then::Hang => pending().await,
            Then::Reset => {
                // While this waits, the server sends what came before.
                sleep(SENDING).await;
                Some(Err(io::Error::other("broken as scripted")))
            }
        }
    });
    pieces.chain(end.filter_map(|end| async { end }))
}

/// One server-sent event.
struct Event {
    name: Option<&'static str>,
    data: String,
}

/// The events as a response that then ends, hangs or breaks.
fn events(events: Vec<Event>, fault: Option<Fault>) -> Response {
    let lines = events.into_iter().map(|Event { name, data }| {
        let name = name.map_or(String::new(), |name| format!("event: {name}\n"));
        Ok::<_, io::Error>(format!("{name}data: {data}\n\n"))
    });
    let end = stream::once(async move {
        match fault {
            Some(Fault::Hang) => pending().await,
            Some(Fault::Reset) => {
                // While this waits, the server sends what came before.
                tokio::task::yield_now().await;
                Some(Err(io::Error::other("broken as scripted")))
            }
            Some(Fault::Status { .. } | Fault::Answer { .. }) | None => None,
        }
    });
    let body = stream::iter(lines).chain(end.filter_map(|end| async { end }));
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    (headers, Body::from_stream(body)).into_response()
}

/// `text` in pieces, as a model sends it.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<_> = text.chars().collect();
    characters
        .chunks(24)
        .map(|piece| piece.iter().collect())
        .collect()
}
