//! Changes on their way to the page: gathered for one frame, sent as one message.
//!
//! The page cannot slow its channel down, so at most [`MOST`] changes go out in a frame; what
//! does not fit waits in the interface, which drops a listener that is too slow. The page then
//! hears that the stream is lost and subscribes again from the last change that it saw.

use crate::door::Door;
use futures::stream::{Stream as Source, StreamExt as _};
use nexus_api::CallError;
use nexus_api::view::ChangeView;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tauri::State;
use tauri::async_runtime::JoinHandle;
use tauri::ipc::Channel;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long changes are gathered: one frame at 60 a second.
const FRAME: Duration = Duration::from_millis(16);

/// The most changes in one message.
const MOST: usize = 512;

/// The window's one subscription.
#[derive(Debug, Default)]
pub(crate) struct Stream(Mutex<Option<JoinHandle<()>>>);

/// What the page hears.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Heard {
    /// Changes, in order.
    Changes(Vec<ChangeView>),
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
    let client = door.client().await.map_err(|problem| problem.detail)?;
    let changes = match client.changes(since).await {
        Ok(changes) => changes,
        Err(CallError::Gone) => return Err(door.gone().detail),
        Err(CallError::Refused(problem)) => return Err(problem.detail),
    };
    stream.replace(tauri::async_runtime::spawn(async move {
        forward(changes, |heard| on_changes.send(heard).is_ok()).await;
    }));
    Ok(())
}

impl Stream {
    /// A page that was loaded anew has no use for what the old one listened to.
    fn replace(&self, task: JoinHandle<()>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = current.replace(task) {
            old.abort();
        }
    }
}

/// Passes changes on frame by frame, until there are no more or `send` says that nobody listens.
async fn forward(
    changes: impl Source<Item = ChangeView> + Unpin,
    mut send: impl FnMut(Heard) -> bool,
) {
    // The end may be met while a frame is gathered, and is then asked for once more.
    let mut changes = changes.fuse();
    while let Some(first) = changes.next().await {
        let frame = Instant::now() + FRAME;
        let batch = gather(&mut changes, first, frame).await;
        if !send(Heard::Changes(batch)) {
            return;
        }
        sleep_until(frame).await;
    }
    send(Heard::Lost("the stream of changes ended".to_owned()));
}

/// All that comes until the frame ends, or until it is enough.
async fn gather(
    changes: &mut (impl Source<Item = ChangeView> + Unpin),
    first: ChangeView,
    frame: Instant,
) -> Vec<ChangeView> {
    let mut batch = vec![first];
    while batch.len() < MOST {
        let Ok(Some(change)) = timeout_at(frame, changes.next()).await else {
            break;
        };
        batch.push(change);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    /// The numbers of the changes in each message; a lost stream is an empty one.
    async fn messages(changes: impl Source<Item = ChangeView> + Unpin) -> Vec<Vec<u64>> {
        let mut heard = Vec::new();
        forward(changes, |message| {
            heard.push(numbers(message));
            true
        })
        .await;
        heard
    }

    fn numbers(heard: Heard) -> Vec<u64> {
        let changes = match heard {
            Heard::Changes(changes) => changes,
            Heard::Lost(_) => Vec::new(),
        };
        changes.iter().map(nexus_api::seq_of).collect()
    }

    fn change(seq: u64) -> ChangeView {
        ChangeView::Live {
            seq,
            task_id: Default::default(),
            items: Vec::new(),
        }
    }

    /// Like the real stream, it must not be asked again after its end.
    fn many(count: u64) -> impl Source<Item = ChangeView> + Unpin {
        Box::pin(stream::unfold(1, move |seq| async move {
            (seq <= count).then(|| (change(seq), seq + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_frame_is_one_message() {
        let paced = Box::pin(many(4).then(async |change| {
            let within_a_frame = nexus_api::seq_of(&change) < 4;
            let pause = if within_a_frame { FRAME / 8 } else { 3 * FRAME };
            tokio::time::sleep(pause).await;
            change
        }));
        assert_eq!(messages(paced).await, [vec![1, 2, 3], vec![4], vec![]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_sent_frame_by_frame_in_order() {
        let all = 2 * MOST as u64 + 1;
        let began = Instant::now();
        let heard = messages(many(all)).await;
        assert!(began.elapsed() >= 2 * FRAME);
        let lengths: Vec<_> = heard.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MOST, MOST, 1, 0]);
        assert_eq!(heard.concat(), (1..=all).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_more_is_sent_when_nobody_listens() {
        let mut calls = 0;
        forward(many(3 * MOST as u64), |_| {
            calls += 1;
            false
        })
        .await;
        assert_eq!(calls, 1);
    }

    #[test]
    fn messages_are_written_as_the_page_reads_them() {
        let json = |heard| serde_json::to_value(heard).unwrap();
        let lost = json(Heard::Lost("gone".into()));
        assert_eq!(lost, serde_json::json!({ "lost": "gone" }));
        let changes = json(Heard::Changes(vec![change(7)]));
        assert_eq!(changes["changes"][0]["seq"], 7);
    }
}
