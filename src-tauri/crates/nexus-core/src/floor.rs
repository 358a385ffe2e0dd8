//! What stands above the tasks: the known folders, and how many tasks run at once.

use crate::{Phase, Priority, ProjectId, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap};

/// A recorded fact about no single task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FloorEvent {
    ProjectAdded {
        project: Project,
    },
    /// The person said that these commands may run for this folder. The fingerprint covers
    /// them: other commands are another question.
    ProjectTrusted {
        id: ProjectId,
        fingerprint: String,
    },
}

impl FloorEvent {
    /// The variant's name as it is written in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ProjectAdded { .. } => "project_added",
            Self::ProjectTrusted { .. } => "project_trusted",
        }
    }
}

/// A folder NEXUS was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    /// The folder's own name.
    pub name: String,
    /// Absolute, with links followed.
    pub path: String,
    /// The bundled sample of the practice team.
    pub practice: bool,
}

/// The known folders and the limits of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    pub projects: BTreeMap<ProjectId, Project>,
    /// Fingerprint of the commands each trusted folder was trusted with.
    pub trusted: BTreeMap<ProjectId, String>,
    /// How many tasks may be under way at once.
    pub parallel_tasks: usize,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            projects: BTreeMap::new(),
            trusted: BTreeMap::new(),
            parallel_tasks: 4,
        }
    }
}

impl Floor {
    /// Folds one recorded fact in.
    pub fn apply(&mut self, event: &FloorEvent) {
        match event {
            FloorEvent::ProjectAdded { project } => {
                self.projects.insert(project.id, project.clone());
            }
            FloorEvent::ProjectTrusted { id, fingerprint } => {
                self.trusted.insert(*id, fingerprint.clone());
            }
        }
    }

    /// The project at `path`.
    pub fn project_at(&self, path: &str) -> Option<&Project> {
        self.projects.values().find(|project| project.path == path)
    }

    /// The queued tasks that get a place now: by priority, then by age.
    pub fn admitted<'a>(&self, tasks: impl Iterator<Item = &'a Task> + Clone) -> Vec<TaskId> {
        let taken = tasks.clone().filter(|task| task.holds_place()).count();
        let free = self.parallel_tasks.saturating_sub(taken);
        let mut queued: Vec<(Reverse<Priority>, u32, TaskId)> = tasks
            .filter(|task| matches!(task.phase, Phase::Queued))
            .map(|task| (Reverse(task.spec.priority), task.spec.number, task.id))
            .collect();
        queued.sort_unstable();
        queued.into_iter().take(free).map(|(_, _, id)| id).collect()
    }
}
