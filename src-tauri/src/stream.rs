//! Changes on their way to the page: gathered for one frame, sent as one message.
//!
//! They come from the interface as server-sent events, the same that a browser gets. The page
//! cannot slow its channel down, so at most [`MOST`] changes go out in a frame; what does not
//! fit waits in the interface, which drops a listener that is too slow. The page then hears
//! that the stream is lost and subscribes again from the last change that it saw.

use crate::door::Door;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tauri::State;
use tauri::ipc::Channel;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long changes are gathered: one frame at 60 a second.
const FRAME: Duration = Duration::from_millis(16);

/// The most changes in one message.
const MOST: usize = 512;

/// The window's one subscription.
#[derive(Debug, Default)]
pub(crate) struct Stream(Mutex<Option<AbortHandle>>);

/// What the page hears.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Heard {
    /// Changes in order, each as the interface wrote it.
    Changes(Vec<Box<RawValue>>),
    /// Nothing more comes, for this reason.
    Lost(String),
}

/// Sends all changes after `since` until the page subscribes again or goes away.
///
/// It returns when the stream is up, and is rejected when it cannot be.
#[tauri::command]
pub(crate) async fn subscribe(
    since: u64,
    on_changes: Channel<Heard>,
    door: State<'_, Door>,
    stream: State<'_, Stream>,
) -> Result<(), String> {
    let body = listen(&door, since).await?;
    let task = tauri::async_runtime::spawn(async move {
        let reason = forward(body, |heard| on_changes.send(heard).is_ok()).await;
        if let Some(reason) = reason {
            // A page that is gone does not need to hear it.
            let _ = on_changes.send(Heard::Lost(reason));
        }
    });
    stream.replace(task.inner().abort_handle());
    Ok(())
}

impl Stream {
    /// A page that was loaded anew has no use for what the old one listened to.
    fn replace(&self, task: AbortHandle) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = current.replace(task) {
            old.abort();
        }
    }
}

async fn listen(door: &Door, since: u64) -> Result<Body, String> {
    let request = Request::get(format!("/api/v1/events?since={since}"))
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let response = door
        .call(request)
        .await
        .map_err(|reason| reason.to_string())?;
    if !response.status().is_success() {
        return Err(format!("the interface answered {}", response.status()));
    }
    Ok(response.into_body())
}

/// Passes changes on frame by frame. Gives the reason why there are no more, or `None` when
/// nobody listens.
async fn forward(body: Body, mut send: impl FnMut(Heard) -> bool) -> Option<String> {
    let mut source = Source::new(body);
    loop {
        let first = match source.next().await {
            Ok(change) => change,
            Err(reason) => return Some(reason),
        };
        let frame = Instant::now() + FRAME;
        let (batch, lost) = gather(&mut source, first, frame).await;
        if !send(Heard::Changes(batch)) {
            return None;
        }
        if lost.is_some() {
            return lost;
        }
        sleep_until(frame).await;
    }
}

/// All that comes until the frame ends, with the reason if it was the last.
async fn gather(
    source: &mut Source,
    first: Box<RawValue>,
    frame: Instant,
) -> (Vec<Box<RawValue>>, Option<String>) {
    let mut batch = vec![first];
    while batch.len() < MOST {
        match timeout_at(frame, source.next()).await {
            Ok(Ok(change)) => batch.push(change),
            Ok(Err(reason)) => return (batch, Some(reason)),
            Err(_elapsed) => break,
        }
    }
    (batch, None)
}

/// The changes in a body of server-sent events.
struct Source {
    body: Body,
    events: Events,
}

impl Source {
    fn new(body: Body) -> Self {
        Self {
            body,
            events: Events::default(),
        }
    }

    /// The next change, or why there is none. May be dropped while it waits without losing any.
    async fn next(&mut self) -> Result<Box<RawValue>, String> {
        loop {
            if let Some(data) = self.events.pop() {
                return RawValue::from_string(data)
                    .map_err(|error| format!("a change could not be read: {error}"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    self.events.push(&bytes);
                }
                Some(Err(error)) => return Err(format!("the stream broke: {error}")),
                None => return Err("the stream ended".to_owned()),
            }
        }
    }
}

/// Cuts the bytes of server-sent events into the data of each.
#[derive(Debug, Default)]
struct Events {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// The data of the event that is not complete yet.
    data: String,
    ready: VecDeque<String>,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take_line(&String::from_utf8_lossy(&line));
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            if !self.data.is_empty() {
                self.ready.push_back(std::mem::take(&mut self.data));
            }
        } else if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
    }

    fn pop(&mut self) -> Option<String> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream::{self, StreamExt as _};

    /// What the page hears, changes as text.
    #[derive(Debug, PartialEq)]
    enum Message {
        Changes(Vec<String>),
        Lost(String),
    }

    /// Everything that is sent to the page for these pieces of a body, which then ends.
    async fn messages(pieces: Vec<String>) -> Vec<Message> {
        let pieces = stream::iter(pieces).map(Ok::<_, std::convert::Infallible>);
        let mut heard = Vec::new();
        let reason = forward(Body::from_stream(pieces), |message| {
            heard.push(in_text(message));
            true
        });
        let reason = reason.await.map(Message::Lost);
        heard.extend(reason);
        heard
    }

    fn in_text(heard: Heard) -> Message {
        match heard {
            Heard::Changes(changes) => Message::Changes(
                changes
                    .iter()
                    .map(|change| change.get().to_owned())
                    .collect(),
            ),
            Heard::Lost(reason) => Message::Lost(reason),
        }
    }

    fn changes(texts: &[&str]) -> Message {
        Message::Changes(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn lost(reason: &str) -> Message {
        Message::Lost(reason.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_frame_is_one_message() {
        let pieces = [
            "data: 1\n\nda",
            "ta: {\"a\":2}\n",
            "\n: still here\n\nid: 3\ndata:3\r\n\r\n",
        ];
        let expected = [changes(&["1", "{\"a\":2}", "3"]), lost("the stream ended")];
        assert_eq!(messages(pieces.map(str::to_owned).to_vec()).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_sent_frame_by_frame_in_order() {
        let all: Vec<String> = (0..2 * MOST + 1).map(|n| n.to_string()).collect();
        let flood = all
            .iter()
            .map(|n| format!("data: {n}\n\n"))
            .collect::<String>();
        let began = Instant::now();
        let heard = messages(vec![flood]).await;
        assert!(began.elapsed() >= 2 * FRAME);
        let lengths = heard.iter().map(|message| match message {
            Message::Changes(changes) => changes.len(),
            Message::Lost(_) => 0,
        });
        assert_eq!(lengths.collect::<Vec<_>>(), [MOST, MOST, 1, 0]);
        let sent = heard.into_iter().flat_map(|message| match message {
            Message::Changes(changes) => changes,
            Message::Lost(_) => Vec::new(),
        });
        assert_eq!(sent.collect::<Vec<_>>(), all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_no_json_ends_the_stream() {
        let heard = messages(vec!["data: 1\n\ndata: {oops\n\n".to_owned()]).await;
        assert_eq!(heard.first(), Some(&changes(&["1"])));
        assert!(matches!(heard.get(1), Some(Message::Lost(why)) if why.contains("be read")));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_more_is_sent_when_nobody_listens() {
        let mut calls = 0;
        let body = Body::from("data: 1\n\n");
        let reason = forward(body, |_| {
            calls += 1;
            false
        });
        assert_eq!(reason.await, None);
        assert_eq!(calls, 1);
    }
}
