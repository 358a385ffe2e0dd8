//! The tasks and their copies: what the log says there is, and what is there.

use super::{
    DifferenceCode as Code, Look,
    folder::{entries, is, partial},
    store::{self, Record},
    why,
};
use crate::hands::scratchpads;
use nexus_core::Workspace as Copy;
use nexus_core::{Event, Phase, SnapshotId, Task, TaskId, TreeId, scratchpad::Scratchpad};
use nexus_workspace::{Git, Repository, Workspace};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What is known of a copy that no task wants.
enum Unwanted {
    /// What it holds is kept elsewhere.
    Kept,
    /// It holds work that is kept nowhere else, or nobody can tell; this says which.
    Maybe(String),
}

impl Look<'_> {
    pub(super) fn at_tasks(&mut self, record: &Record) {
        // What it was last asked for says what it wants now, so nothing of it is told apart.
        let git = Git::find().ok();
        self.at_repositories(record);
        for task in record.desk.tasks.values() {
            if !self.owned {
                self.at_course(task);
                self.at_scratchpads(task);
            }
            self.at_copy(record, task, git.as_ref());
        }
    }

    /// Git directories that have to be there, and folders of projects.
    fn at_repositories(&mut self, record: &Record) {
        for project in record.desk.floor.projects.values() {
            let tasks = record.desk.tasks.values();
            let of_project = tasks.filter(|task| task.spec.project == project.id);
            let open: Vec<_> = of_project.filter(|task| is_open(task)).collect();
            let names: Vec<_> = open.iter().map(|task| task.spec.name()).collect();
            if names.is_empty() {
                continue;
            }
            if !Path::new(&project.path).is_dir() {
                let found = format!("it is not there, and {} may want it", names.join(", "));
                self.tell(Code::ProjectMissing, &project.path, found);
            }
            let needed = open.iter().any(|task| task.workspace.prepared().is_some());
            let place = self.data.repository(project.id);
            if needed && !is(&place, fs::FileType::is_dir) {
                let found = format!("it is not there, and {} may want it", names.join(", "));
                self.tell(Code::RepositoryMissing, place.display(), found);
            }
        }
    }

    /// Was the task left in the middle?
    fn at_course(&mut self, task: &Task) {
        let name = task.spec.name();
        if let Phase::Accepting { operations, .. } = &task.phase {
            let found = match operations {
                None => "the change was accepted, and nothing is applied yet".to_owned(),
                Some(operations) => format!(
                    "{} changes of files may be applied in {} or not",
                    operations.len(),
                    task.spec.folder
                ),
            };
            self.tell(Code::AcceptHalfApplied, name, found);
        } else if !task.is_at_rest() {
            let found = match (task.turns.len(), task.is_stopping()) {
                (0, false) => "it waits to go on".to_owned(),
                (0, true) => "it was told to stop, and its end is not on record".to_owned(),
                (turns, _) => format!("{turns} of its turns have no end on record"),
            };
            self.tell(Code::TaskInterrupted, name, found);
        }
    }

    fn at_scratchpads(&mut self, task: &Task) {
        let folder = self.data.scratchpads(task.id);
        let gone = |pad: &&Scratchpad| !folder.join(pad.file_name()).is_file();
        let missing: Vec<_> = Scratchpad::ALL.iter().filter(gone).collect();
        if task.messages.is_empty() || missing.is_empty() {
            return;
        }
        let found = format!("{} of its files are not there", missing.len());
        let fix = "writes them anew from the log";
        self.mend(
            Code::ScratchpadsMissing,
            folder.display(),
            found,
            fix,
            || scratchpads::write_all(&folder, task),
        );
    }

    fn at_copy(&mut self, record: &Record, task: &Task, git: Option<&Git>) {
        let place = self.data.workspace(task.id);
        let repository = git.and_then(|git| open(git, &self.data.repository(task.spec.project)));
        if is_open(task) {
            self.at_needed_content(task, repository.as_ref());
        }
        if matches!(task.workspace, Copy::NotMade | Copy::Dropped { .. }) {
            // A task on its way is about to make it, over what a crash has left.
            let on_its_way = matches!(task.phase, Phase::Queued | Phase::Active);
            if !self.owned && !on_its_way {
                self.at_unwanted_copy(record, Some(task), &place, &place);
            }
        }
        // What is done with is kept and removed by the next start.
        if !matches!(task.workspace, Copy::Ready(_)) || !is_open(task) {
            return;
        }
        if fs::symlink_metadata(&place).is_err() {
            self.at_missing_copy(record, task, repository.as_ref());
        } else if let Some(Err(error)) = repository.map(|it| it.open_workspace(&place)) {
            let found = format!("failed to {error}");
            self.tell(Code::WorkspaceForeign, place.display(), found);
        }
    }

    /// Is the content still there that the task would go on from?
    fn at_needed_content(&mut self, task: &Task, repository: Option<&Repository>) {
        let (Some(repository), Some(was)) = (repository, task.workspace.prepared()) else {
            return;
        };
        let kept = if let Copy::Dropped { kept, .. } = &task.workspace {
            kept.clone()
        } else {
            None
        };
        for (needed, what) in [(Some(was.base.clone()), "base"), (kept, "last content")] {
            let Some(needed) = needed else { continue };
            if let Err(error) = repository.tree_of(&needed) {
                let found = format!(
                    "the {what} of its copy, {}: failed to {error}",
                    needed.short()
                );
                self.tell(Code::SnapshotMissing, task.spec.name(), found);
            }
        }
    }

    fn at_missing_copy(&mut self, record: &Record, task: &Task, repository: Option<&Repository>) {
        let place = self.data.workspace(task.id).display().to_string();
        let name = task.spec.name();
        let content = record.contents.get(&task.id).cloned().unwrap_or_default();
        let there = |id: &SnapshotId| repository.is_some_and(|it| it.tree_of(id).is_ok());
        match (content.id.filter(there), content.at) {
            (Some(id), Some(at)) if !content.worked_since => {
                let found = format!("the copy of {name} is not there; its content of {at} is kept");
                let fix = "notes that it is gone; the task makes it anew from that content";
                let root = self.data.root().to_owned();
                self.mend(Code::WorkspaceMissing, place, found, fix, || {
                    let event = Event::WorkspaceDropped { kept: Some(id) };
                    store::record(&root, record, task.id, &event)
                });
            }
            (Some(_), Some(at)) => {
                let found = format!(
                    "the copy of {name} is not there; its content of {at} is kept, and an agent has worked in it since"
                );
                self.tell(Code::WorkspaceMissing, place, found);
            }
            (_, _) => {
                let found =
                    format!("the copy of {name} is not there, and no content of it is kept");
                self.tell(Code::WorkspaceMissing, place, found);
            }
        }
    }

    /// A copy, or what is left of one, that no task wants. `whole` is what is put aside with it.
    pub(super) fn at_unwanted_copy(
        &mut self,
        record: &Record,
        task: Option<&Task>,
        place: &Path,
        whole: &Path,
    ) {
        let half = partial(place);
        for copy in [place.to_owned(), half.clone()] {
            if fs::symlink_metadata(&copy).is_err() {
                continue;
            }
            // Nobody works in a copy before it is whole, and its content is kept before it is
            // taken apart.
            let state = if copy == half && is_marked(&copy) {
                Unwanted::Kept
            } else {
                self.state_of(record, task, &copy)
            };
            match state {
                Unwanted::Maybe(why) => {
                    self.tell(Code::WorkspaceDirtyUnkept, copy.display(), why);
                    return;
                }
                Unwanted::Kept if task.is_some() => {
                    let found = "its task does not want it";
                    self.set_aside(Code::WorkspaceOrphan, &copy, found);
                }
                Unwanted::Kept => {}
            }
        }
        if task.is_none() {
            self.set_aside(Code::WorkspaceOrphan, whole, "no task has this id");
        }
    }

    /// Looks whether what a copy holds is kept elsewhere.
    fn state_of(&self, record: &Record, task: Option<&Task>, copy: &Path) -> Unwanted {
        let Ok(git) = Git::find() else {
            return Unwanted::Maybe("git is not there to look into it".to_owned());
        };
        let places = match task {
            Some(task) => vec![self.data.repository(task.spec.project)],
            None => self.repositories(record),
        };
        let opened = places.iter().find_map(|place| {
            let repository = open(&git, place)?;
            let workspace = repository.open_workspace(copy).ok()?;
            // The base tells of which project it is a copy.
            repository.tree_of(workspace.base()).ok()?;
            Some((repository, workspace))
        });
        let Some((repository, workspace)) = opened else {
            return Unwanted::Maybe("NEXUS did not make it, or its base is gone".to_owned());
        };
        let id = task.map(|task| task.id).or_else(|| task_of(copy));
        match kept_trees(&repository, &workspace, id) {
            Err(error) => Unwanted::Maybe(format!("failed to {error}")),
            Ok(kept) => match workspace.snapshot("as the doctor found it") {
                Ok(found) if kept.contains(&found.tree) => Unwanted::Kept,
                Ok(found) => Unwanted::Maybe(format!(
                    "its content {} is not among what is kept",
                    found.tree.short()
                )),
                Err(error) => Unwanted::Maybe(format!("failed to {error}")),
            },
        }
    }

    fn repositories(&self, record: &Record) -> Vec<PathBuf> {
        let known = record.desk.floor.projects.keys();
        let known = known.map(|id| self.data.repository(*id));
        let there = entries(&self.data.root().join("projects")).into_iter();
        known.chain(there.map(|place| place.join("git"))).collect()
    }
}

/// May the task go on one day?
fn is_open(task: &Task) -> bool {
    match task.phase {
        Phase::Done | Phase::Cancelled { .. } => false,
        Phase::Backlog
        | Phase::Queued
        | Phase::Active
        | Phase::Paused { .. }
        | Phase::Review { .. }
        | Phase::Accepting { .. }
        | Phase::Failed { .. } => true,
    }
}

/// The git directory at `place`, which is not made where there is none.
fn open(git: &Git, place: &Path) -> Option<Repository> {
    if !is(place, fs::FileType::is_dir) {
        return None;
    }
    Repository::open_with(git.clone(), place).ok()
}

fn is_marked(copy: &Path) -> bool {
    is(&copy.join(".nexus-workspace"), fs::FileType::is_dir)
}

/// The task in whose folder a copy lies.
fn task_of(copy: &Path) -> Option<TaskId> {
    copy.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Everything that is kept of the task, and what the copy was made with.
fn kept_trees(
    repository: &Repository,
    workspace: &Workspace,
    id: Option<TaskId>,
) -> Result<BTreeSet<TreeId>, String> {
    let mut trees = BTreeSet::from([workspace.base_tree().clone()]);
    let id = id.map(|id| id.to_string());
    for name in [
        "base",
        "kept",
        "step",
        "stop",
        "undone",
        "lane",
        "handed-in",
    ] {
        let Some(id) = &id else { break };
        let kept = repository
            .kept_below(&format!("{name}/{id}"))
            .map_err(why)?;
        for snapshot in kept {
            trees.insert(repository.tree_of(&snapshot).map_err(why)?);
        }
    }
    Ok(trees)
}
