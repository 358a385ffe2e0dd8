//! A model service on this machine that answers as it is told, over both interfaces.

use super::*;
use crate::BaseUrl;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
    serve::Listener,
};
use futures::{StreamExt, stream};
use std::{
    collections::VecDeque,
    fmt,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(super) const APIS: [Api; 2] = [Api::Chat, Api::Responses];

/// What comes after the last piece of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    End,
    Hang,
    Break,
}

/// One answer of the service.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) then: Then,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.pieces.concat();
        let beginning = String::from_utf8_lossy(&body[..body.len().min(200)]);
        write!(f, "{} {beginning} … then {:?}", self.status, self.then)
    }
}

impl Answer {
    pub(super) fn of(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            pieces: vec![body.into()],
            then: Then::End,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json; charset=utf-8", body.to_string())
    }

    /// A stream of events with this data.
    pub(super) fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let lines = events.into_iter().map(|event| {
            let name = event["type"].as_str();
            let name = name.map_or(String::new(), |name| format!("event: {name}\n"));
            let data = event.as_str().map_or(event.to_string(), str::to_owned);
            format!("{name}data: {data}\n\n")
        });
        let body: String = lines.collect();
        Self::of(200, "text/event-stream", body)
    }

    pub(super) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }

    pub(super) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    /// The same, so many bytes at a time.
    pub(super) fn in_pieces(mut self, size: usize) -> Self {
        let body = self.pieces.concat();
        self.pieces = body.chunks(size).map(<[u8]>::to_vec).collect();
        self
    }
}

/// A failure as OpenAI spells one.
pub(super) fn fails(status: u16, code: &str, message: &str) -> Answer {
    let kind = if code.is_empty() { "some_error" } else { code };
    let error = json!({ "message": message, "type": kind, "param": null, "code": code });
    Answer::json(status, &json!({ "error": error }))
}

fn chat_usage() -> Value {
    json!({
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": { "cached_tokens": 40 },
    })
}

fn responses_usage() -> Value {
    json!({
        "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
        "input_tokens_details": { "cached_tokens": 40 },
    })
}

/// What each answer below is said to have used.
pub(super) fn used(answers: u64) -> Usage {
    Usage {
        input_tokens: 60 * answers,
        output_tokens: 20 * answers,
        cache_read_tokens: 40 * answers,
        ..Usage::default()
    }
}

/// The events of a stream in which the model says this, without the end.
pub(super) fn begins(api: Api, text: &str) -> Vec<Value> {
    let letters: Vec<_> = text.chars().collect();
    let pieces = letters
        .chunks(7)
        .map(|piece| piece.iter().collect::<String>());
    match api {
        Api::Chat => {
            let first = json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" }, "finish_reason": null }], "usage": null });
            let piece =
                |text: String| json!({ "choices": [{ "index": 0, "delta": { "content": text } }] });
            [first].into_iter().chain(pieces.map(piece)).collect()
        }
        Api::Responses => {
            let first = json!({ "type": "response.created", "response": { "status": "in_progress", "output": [] } });
            let piece =
                |text: String| json!({ "type": "response.output_text.delta", "delta": text });
            [first].into_iter().chain(pieces.map(piece)).collect()
        }
    }
}

/// The events that end a stream, for this reason, with these items of output.
pub(super) fn ends(api: Api, reason: &str, output: &Value) -> Vec<Value> {
    match api {
        Api::Chat => vec![
            json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }),
            json!({ "choices": [], "usage": chat_usage() }),
            json!("[DONE]"),
        ],
        Api::Responses => {
            let status = if reason == "stop" {
                "completed"
            } else {
                "incomplete"
            };
            let reason = match reason {
                "length" => "max_output_tokens",
                other => other,
            };
            vec![json!({ "type": format!("response.{status}"), "response": {
                "status": status, "error": null, "incomplete_details": { "reason": reason },
                "output": output, "usage": responses_usage(),
            } })]
        }
    }
}

/// The model says this, as it comes.
pub(super) fn says(api: Api, text: &str) -> Answer {
    let mut events = begins(api, text);
    let output = json!([{ "type": "reasoning", "summary": [] }, message(text)]);
    events.extend(ends(api, "stop", &output));
    Answer::events(events)
}

fn message(text: &str) -> Value {
    json!({ "type": "message", "content": [{ "type": "output_text", "text": text }] })
}

/// The model says this, all at once.
pub(super) fn says_at_once(api: Api, text: &str) -> Answer {
    let body = match api {
        Api::Chat => {
            let message = json!({ "role": "assistant", "content": text, "refusal": null });
            json!({
                "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
                "usage": chat_usage(),
            })
        }
        Api::Responses => json!({
            "object": "response", "status": "completed", "error": null,
            "incomplete_details": null, "usage": responses_usage(),
            "output": [{ "type": "reasoning", "summary": [] }, message(text)],
        }),
    };
    Answer::json(200, &body)
}

/// The model refuses, as it comes.
pub(super) fn refuses(api: Api, words: &str) -> Answer {
    let mut events = begins(api, "");
    match api {
        Api::Chat => events.push(json!({ "choices": [{ "delta": { "refusal": words } }] })),
        Api::Responses => {
            events.push(json!({ "type": "response.refusal.delta", "delta": words }));
        }
    }
    let repeated =
        json!([{ "type": "message", "content": [{ "type": "refusal", "refusal": words }] }]);
    events.extend(ends(api, "stop", &repeated));
    Answer::events(events)
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Heard {
    /// What was said in the conversation, over either interface.
    pub(super) fn said(&self) -> &Vec<Value> {
        let said = self.body["messages"].as_array();
        said.or(self.body["input"].as_array()).unwrap()
    }

    /// The last thing that was said.
    pub(super) fn last(&self) -> &str {
        self.said().last().unwrap()["content"].as_str().unwrap()
    }
}

#[derive(Clone, Debug, Default)]
struct Service {
    script: Arc<Mutex<VecDeque<Answer>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A service that runs, and a project to plan for.
#[derive(Debug)]
pub(super) struct Place {
    service: Service,
    pub(super) settings: PlannerSettings,
    serving: JoinHandle<()>,
    pub(super) project: tempfile::TempDir,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Breaks the first connections off before it listens.
struct Rude {
    listener: TcpListener,
    breaks: usize,
}

impl Listener for Rude {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if self.breaks == 0 {
                return (stream, address);
            }
            self.breaks -= 1;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn answer(State(service): State<Service>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    service.heard.lock().unwrap().push(Heard {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap(),
    });
    let next = service.script.lock().unwrap().pop_front();
    let answer = next.expect("more was asked than the script answers");
    let pieces = stream::iter(
        answer
            .pieces
            .into_iter()
            .map(|piece| Ok(Bytes::from(piece))),
    );
    let end = stream::once(async move {
        match answer.then {
            Then::End => Ok(Bytes::new()),
            Then::Hang => pending().await,
            Then::Break => {
                // What was said so far is sent while there is nothing to add.
                tokio::task::yield_now().await;
                Err(io::Error::other("it breaks"))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(pieces.chain(end)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in answer.headers {
        let headers = response.headers_mut();
        headers.insert(name, value.parse().unwrap());
    }
    if (300..400).contains(&answer.status) {
        let elsewhere = "/v1/elsewhere".parse().unwrap();
        response.headers_mut().insert(header::LOCATION, elsewhere);
    }
    response
}

impl Place {
    pub(super) async fn with(api: Api, script: impl IntoIterator<Item = Answer>) -> Self {
        Self::breaking(api, 0, script).await
    }

    /// One that breaks so many connections off first.
    pub(super) async fn breaking(
        api: Api,
        breaks: usize,
        script: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let service = Service::default();
        service.script.lock().unwrap().extend(script);
        let routes = Router::new().fallback(answer).with_state(service.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Rude { listener, breaks };
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let base_url: BaseUrl = format!("http://{address}/v1/").parse().unwrap();
        Self {
            service,
            settings: PlannerSettings {
                api,
                retry_wait: Duration::ZERO,
                ..PlannerSettings::new(base_url, OpenAiPlanner::MODEL)
            },
            serving,
            project: project(),
        }
    }

    pub(super) fn planner(&self) -> OpenAiPlanner {
        OpenAiPlanner::new(self.settings.clone(), KEY.into()).unwrap()
    }

    pub(super) async fn plan(&self) -> Result<Planned, NoPlan> {
        let (thinks, _watched) = mpsc::channel(1000);
        let brief = brief(self.project.path());
        self.planner().plan(&brief, &thinks).await
    }

    pub(super) async fn judge(&self) -> Result<Judged, NoPlan> {
        let (thinks, _watched) = mpsc::channel(1000);
        self.planner().judge(&case(None), &thinks).await
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.service.heard.lock().unwrap().clone()
    }
}
