//! The ordered stream of changes, to any number of listeners.
//!
//! Recorded facts carry their number in the log. What a running turn shows is passed along
//! between them, carries the number of the last fact before it, and is best effort.

use nexus_core::{Event, Floor, Task, Timestamp, TurnId, TurnUpdate};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Something a listener hears.
#[derive(Clone, Debug)]
pub enum Change {
    /// A fact about a task was recorded; `task` is as it is after the whole batch.
    Fact {
        seq: u64,
        at: Timestamp,
        task: Arc<Task>,
        event: Arc<Event>,
    },
    /// The folders changed.
    Floor { seq: u64, floor: Arc<Floor> },
    /// A running turn showed something.
    Live {
        seq: u64,
        at: Timestamp,
        live: Arc<Live>,
    },
    /// NEXUS Prime says something on its way to a plan or a ruling. Not kept.
    Thinking {
        seq: u64,
        at: Timestamp,
        task: Arc<Task>,
        text: String,
    },
}

/// Where in the work something was shown, and what.
#[derive(Clone, Debug)]
pub struct Live {
    /// The task as it was then.
    pub task: Arc<Task>,
    pub turn: TurnId,
    /// The line of the transcript it became; `None` for what is not kept, such as a piece of
    /// text whose whole follows.
    pub line: Option<u64>,
    pub update: TurnUpdate,
}

impl Change {
    /// The number of the last fact this change knows of.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Fact { seq, .. }
            | Self::Floor { seq, .. }
            | Self::Live { seq, .. }
            | Self::Thinking { seq, .. } => *seq,
        }
    }
}

/// How far a listener may fall behind before it is dropped. What a turn shows is at most 64 KB,
/// so a listener that does not listen holds up 64 MB.
const BACKLOG: usize = 1024;

/// The sending end, shared by the dispatcher and the hands until the dispatcher ends.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Mutex<Option<broadcast::Sender<Change>>>>);

impl Hub {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(broadcast::channel(BACKLOG).0))))
    }

    pub(crate) fn publish(&self, change: Change) {
        if let Some(sender) = &*self.sender() {
            // Nobody listening is fine.
            let _ = sender.send(change);
        }
    }

    /// `None` when nothing will ever come.
    pub(crate) fn listen(&self) -> Option<broadcast::Receiver<Change>> {
        self.sender().as_ref().map(broadcast::Sender::subscribe)
    }

    /// Begins again after [`Hub::close`].
    pub(crate) fn open(&self) {
        self.sender()
            .get_or_insert_with(|| broadcast::channel(BACKLOG).0);
    }

    /// Ends every stream after what it has not heard yet.
    pub(crate) fn close(&self) {
        self.sender().take();
    }

    fn sender(&self) -> MutexGuard<'_, Option<broadcast::Sender<Change>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes in order: first those that were missed, then those that come.
#[derive(Debug)]
pub struct ChangeStream {
    pub(crate) missed: std::vec::IntoIter<Change>,
    pub(crate) seen: u64,
    pub(crate) coming: broadcast::Receiver<Change>,
}

impl ChangeStream {
    /// The next change; `None` when the engine is gone or this listener fell too far behind
    /// and has to come back with the last number it saw.
    pub async fn next(&mut self) -> Option<Change> {
        if let Some(change) = self.missed.next() {
            self.seen = self.seen.max(change.seq());
            return Some(change);
        }
        loop {
            let change = self.coming.recv().await.ok()?;
            // What a turn shows carries the number of a fact that may still be on its way, so
            // it says nothing about which facts were told.
            if matches!(change, Change::Live { .. } | Change::Thinking { .. }) {
                return Some(change);
            }
            // Recorded while the missed ones were read: already told.
            if change.seq() > self.seen {
                self.seen = change.seq();
                return Some(change);
            }
        }
    }
}
