//! The event log on disk: facts as text, appended in one piece, safe once synced.

use crate::dice::Dice;
use nexus_core::{Event, Fact, FloorEvent, TaskId, Timestamp};
use std::rc::Rc;

/// A recorded fact, as it is on disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) task: Option<TaskId>,
    pub(crate) at: Timestamp,
    pub(crate) body: Rc<str>,
}

impl Row {
    pub(crate) fn of(fact: &Fact) -> Self {
        let (task, at, body) = match fact {
            Fact::OfTask { id, at, event } => (Some(*id), at, serde_json::to_string(event)),
            Fact::OfFloor { at, event } => (None, at, serde_json::to_string(event)),
        };
        Self {
            task,
            at: *at,
            body: body.unwrap().into(),
        }
    }

    pub(crate) fn read(&self) -> Fact {
        let at = self.at;
        match self.task {
            Some(id) => {
                let event: Event = serde_json::from_str(&self.body).unwrap();
                Fact::OfTask { id, at, event }
            }
            None => {
                let event: FloorEvent = serde_json::from_str(&self.body).unwrap();
                Fact::OfFloor { at, event }
            }
        }
    }
}

/// The next append does not go well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskFault {
    /// No space: nothing is written.
    Full,
    /// An I/O error while syncing: what was written may be there or not.
    Io,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) rows: Vec<Row>,
    /// How many of them survive whatever happens.
    pub(crate) synced: usize,
    pub(crate) fault: Option<DiskFault>,
    /// Rows whose sync failed: nobody sees them now, but after a crash they may be there. What
    /// is appended next takes their place.
    ghosts: Vec<Row>,
}

impl Log {
    /// Writes rows; they are safe only after [`Log::sync`].
    pub(crate) fn append(&mut self, rows: Vec<Row>) -> Result<(), DiskFault> {
        match self.fault.take() {
            None => {
                self.ghosts.clear();
                self.rows.extend(rows);
                Ok(())
            }
            Some(fault @ DiskFault::Full) => Err(fault),
            Some(fault @ DiskFault::Io) => {
                self.ghosts = rows;
                Err(fault)
            }
        }
    }

    /// Writes something that is no fact, to see whether that can be done again.
    pub(crate) fn try_to_write(&mut self) {
        self.ghosts.clear();
    }

    pub(crate) fn sync(&mut self) {
        self.synced = self.rows.len();
    }

    /// The program is gone: what was not synced is there as a whole or not at all.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        if dice.percent(50) {
            self.rows.truncate(self.synced);
            self.ghosts.clear();
        }
        self.rows.append(&mut self.ghosts);
        self.sync();
    }
}
