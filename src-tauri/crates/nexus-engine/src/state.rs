//! The value everybody reads: all tasks and the floor, as of the last recorded fact.

use nexus_core::{Floor, Task, TaskId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

/// All tasks and the floor. Replaced piece by piece by the dispatcher alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// The number of the last recorded fact.
    pub(crate) seq: u64,
    pub(crate) floor: Arc<Floor>,
    pub(crate) tasks: BTreeMap<TaskId, Arc<Task>>,
    pub(crate) awake: Awake,
    /// Why nothing can be recorded any more.
    pub(crate) broken: Option<Arc<str>>,
}

/// Which tasks this engine works on.
#[derive(Clone, Debug)]
pub(crate) enum Awake {
    /// Whatever the log says is under way.
    All,
    /// Only those that were given an order since the start.
    Only(BTreeSet<TaskId>),
}

impl Default for Awake {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Awake {
    pub(crate) fn has(&self, task: TaskId) -> bool {
        match self {
            Self::All => true,
            Self::Only(tasks) => tasks.contains(&task),
        }
    }
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

    /// The number of the last recorded fact.
    pub(crate) fn seq(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).seq
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

    /// Has the engine work on a task; `true` if it did not before.
    pub(crate) fn wake(&self, task: TaskId) -> bool {
        let mut world = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &mut world.awake {
            Awake::All => false,
            Awake::Only(tasks) => tasks.insert(task),
        }
    }

    /// Nothing can be recorded any more.
    pub(crate) fn fail(&self, why: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .broken = Some(why.into());
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
