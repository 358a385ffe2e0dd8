//! What a host gives the engine to start with.

use crate::DataDir;
use nexus_agent::{Backend, Planner};
use nexus_core::Team;
use nexus_process::Launcher;
use nexus_workspace::Limits;
use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

/// What the engine needs from its host. The engine reads no environment of its own.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub data: DataDir,
    pub backends: Backends,
    /// Starts checks and set-up commands.
    pub launcher: Launcher,
    /// The person's home folder, which cannot be a project.
    pub home: Option<PathBuf>,
    /// The environment for checks and set-up; see [`crate::for_checks`].
    pub check_env: Vec<(OsString, OsString)>,
    /// How many tasks may be under way at once.
    pub parallel_tasks: usize,
    /// How many tasks of one project may be under way at once; `None` for no limit of its own.
    pub tasks_per_project: Option<usize>,
    /// How many agents of one role may work side by side in a task, at most.
    pub seats: u32,
    /// A turn that says nothing for this long is stopped.
    pub silence_limit: Duration,
    /// A process that nobody uses is given up after this long; `None` leaves it to the role.
    pub session_timeout: Option<Duration>,
    /// A check that runs longer is stopped, unless the project says otherwise.
    pub check_limit: Duration,
    /// How much of a folder is copied.
    pub limits: Limits,
    /// What becomes of tasks that an earlier process left in the middle.
    pub take_up: TakeUp,
}

/// What an engine does about tasks that an earlier process left in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeUp {
    /// Carries all of them on. For hosts that stay.
    Everything,
    /// Leaves each until it is given an order. For a command that is about one task.
    WhatIsOrdered,
}

impl EngineOptions {
    /// The defaults of the concept document: four tasks at once.
    pub const PARALLEL_TASKS: usize = 4;
    /// Ten minutes: longer than any pause of a working model, shorter than a person's patience.
    pub const SILENCE_LIMIT: Duration = Duration::from_secs(600);
    /// Twenty minutes for one check.
    pub const CHECK_LIMIT: Duration = Duration::from_secs(1200);
}

/// The agent backend of each team.
#[derive(Clone, Debug)]
pub struct Backends {
    pub claude: Arc<dyn Backend>,
    pub practice: Arc<dyn Backend>,
    /// Makes plans for tasks that ask for one; without it they get the standard pipeline.
    pub planner: Option<Arc<dyn Planner>>,
}

impl Backends {
    pub(crate) fn of(&self, team: Team) -> Arc<dyn Backend> {
        match team {
            Team::Claude => Arc::clone(&self.claude),
            Team::Practice => Arc::clone(&self.practice),
        }
    }
}
