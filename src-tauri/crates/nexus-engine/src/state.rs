//! The value everybody reads: all tasks and the floor, as of the last recorded fact.

use nexus_core::{Floor, Task, TaskId};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// All tasks and the floor. Replaced piece by piece by the dispatcher alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// The number of the last recorded fact.
    pub(crate) seq: u64,
    pub(crate) floor: Arc<Floor>,
    pub(crate) tasks: BTreeMap<TaskId, Arc<Task>>,
}

/// The world behind a lock that is held only to copy pointers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<RwLock<World>>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(RwLock::new(world)))
    }

    /// The world as it is now.
    pub(crate) fn world(&self) -> World {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// One task as it is now.
    pub(crate) fn task(&self, id: TaskId) -> Option<Arc<Task>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .tasks
            .get(&id)
            .cloned()
    }

    /// Lets everybody see what was recorded.
    pub(crate) fn update(&self, seq: u64, floor: Option<Floor>, tasks: Vec<Task>) {
        let mut world = self.0.write().unwrap_or_else(PoisonError::into_inner);
        world.seq = seq;
        if let Some(floor) = floor {
            world.floor = Arc::new(floor);
        }
        for task in tasks {
            world.tasks.insert(task.id, Arc::new(task));
        }
    }
}
