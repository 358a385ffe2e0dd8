//! The value everybody reads: all tasks and the floor, as of the last recorded fact.

use crate::EngineError;
use nexus_core::{Desk, Draft, Task, TaskId};
use std::sync::{Arc, PoisonError, RwLock};

/// What is recorded, and whether more can be. Replaced piece by piece by the dispatcher alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) desk: Desk,
    /// Why nothing can be recorded any more.
    pub(crate) broken: Option<Arc<EngineError>>,
}

/// The world behind a lock that is held only to copy pointers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<RwLock<World>>);

impl Shared {
    pub(crate) fn new(desk: Desk) -> Self {
        Self(Arc::new(RwLock::new(World { desk, broken: None })))
    }

    /// The world as it is now.
    pub(crate) fn world(&self) -> World {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All tasks and the floor as they are now.
    pub(crate) fn desk(&self) -> Desk {
        let world = self.0.read().unwrap_or_else(PoisonError::into_inner);
        world.desk.clone()
    }

    /// The number of the last recorded fact.
    pub(crate) fn seq(&self) -> u64 {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .desk
            .seq
    }

    /// One task as it is now.
    pub(crate) fn task(&self, id: TaskId) -> Option<Arc<Task>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .desk
            .tasks
            .get(&id)
            .cloned()
    }

    /// Nothing can be recorded any more.
    pub(crate) fn fail(&self, why: EngineError) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .broken = Some(Arc::new(why));
    }

    /// More can be recorded again.
    pub(crate) fn mend(&self) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .broken = None;
    }

    /// Lets everybody see what was recorded.
    pub(crate) fn commit(&self, draft: &Draft) {
        let mut world = self.0.write().unwrap_or_else(PoisonError::into_inner);
        world.desk.commit(draft);
    }
}
