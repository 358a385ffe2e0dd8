//! The files of the agents' conversations.

use super::{DifferenceCode as Code, Look, store::Record, why};
use crate::{ErrorKind, dispatcher::now};
use nexus_agent::{SessionFile, SessionFiles};
use nexus_core::{Phase, Role, SeatId, SessionId, Task, TaskId, Team};
use std::{path::PathBuf, time::Duration};

/// How long the conversations of an accepted task stay where they are.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Look<'_> {
    /// Conversations that are missing, somebody else's, or nobody's any more.
    pub(super) fn at_sessions(&mut self, record: &Record) {
        let Some(files) = SessionFiles::of(&self.machine.environment) else {
            return;
        };
        for task in record.desk.tasks.values() {
            if task.spec.team != Team::Claude {
                continue;
            }
            match task.phase {
                Phase::Done => {
                    if task.ended_at.is_some_and(|ended| now().since(ended) > KEPT) {
                        let found =
                            format!("{} was accepted more than 30 days ago", task.spec.name());
                        self.at_conversations(&files, task.id, Some(task), &found);
                    }
                }
                Phase::Cancelled { .. } => {}
                Phase::Backlog
                | Phase::Queued
                | Phase::Active
                | Phase::Paused { .. }
                | Phase::Review { .. }
                | Phase::Accepting { .. }
                | Phase::Failed { .. } => self.at_live_conversations(&files, task),
            }
        }
        if !self.owned {
            for id in self.unknown_tasks(record) {
                self.at_conversations(&files, id, None, "its task is not on record");
            }
        }
    }

    /// The conversations that a task may carry on.
    fn at_live_conversations(&mut self, files: &SessionFiles, task: &Task) {
        for (seat, session) in task.sessions.iter().filter(|(_, session)| session.begun) {
            let what = format!("session {}", session.id);
            let of = format!("{seat} of {}", task.spec.name());
            match files.find(session.id) {
                Err(error) => {
                    let found = format!("{of}: its file cannot be looked for: {error}");
                    self.tell(Code::SessionFileMissing, what, found);
                }
                Ok(found) if found.is_empty() => {
                    let found = format!("{of}: there is no file of this name");
                    self.tell(Code::SessionFileMissing, what, found);
                }
                Ok(found) => {
                    for file in found.iter().filter(|file| !file.marked) {
                        let found = format!("{of}: {} bytes without its mark", file.bytes);
                        self.tell(Code::SessionFileForeign, file.path.display(), found);
                    }
                }
            }
        }
    }

    /// The conversations of a task that nobody will carry on.
    fn at_conversations(
        &mut self,
        files: &SessionFiles,
        id: TaskId,
        task: Option<&Task>,
        found: &str,
    ) {
        for session in sessions(id, task) {
            // What cannot be looked at is not proved to be ours.
            for file in files.find(session).unwrap_or_default() {
                if !file.marked {
                    let found = format!("{found}, and its mark is not in it");
                    self.tell(Code::SessionFileForeign, file.path.display(), found);
                    continue;
                }
                let fix = "moves it to the trash, from where `nexus trash restore` brings it back";
                let (data, what) = (self.data.clone(), file.path.display().to_string());
                self.mend(Code::SessionFileOrphan, what, found, fix, || {
                    put_aside(&data, files, &file, found)
                });
            }
        }
    }

    /// Tasks that have a folder and are not on record.
    fn unknown_tasks(&self, record: &Record) -> Vec<TaskId> {
        let folders = super::folder::entries(&self.data.root().join("tasks"));
        let named = folders.iter().filter_map(|path| path.file_name()?.to_str());
        let ids = named.filter_map(|name| name.parse::<TaskId>().ok());
        let unknown = ids.filter(|id| !record.desk.tasks.contains_key(id));
        unknown.collect()
    }
}

/// How often a session is replaced in a task of which nothing is known, at most.
const GENERATIONS: u32 = 3;

/// How many seats of a role such a task has, at most.
const SEATS: u32 = 8;

fn sessions(id: TaskId, task: Option<&Task>) -> Vec<SessionId> {
    let known = task.map(|task| {
        let sessions = task.sessions.iter();
        sessions
            .map(|(seat, session)| (*seat, session.generation))
            .collect()
    });
    let seats: Vec<(SeatId, u32)> = known.unwrap_or_else(|| {
        let seats = Role::AGENTS.into_iter().flat_map(|role| {
            let numbers = 0..SEATS;
            numbers.map(move |number| (SeatId { role, number }, GENERATIONS))
        });
        seats.collect()
    });
    seats
        .into_iter()
        .flat_map(|(seat, last)| (0..=last).map(move |generation| id.session(seat, generation)))
        .collect()
}

fn put_aside(
    data: &crate::DataDir,
    files: &SessionFiles,
    file: &SessionFile,
    found: &str,
) -> Result<(), String> {
    let name = format!("session-{0}-1/{0}.jsonl", file.session);
    let code = Code::SessionFileOrphan.as_str();
    let moved = data.make_item(&file.path, &PathBuf::from(name), code, found, |place| {
        files
            .move_aside(file, place)
            .map_err(|error| crate::EngineError::new(ErrorKind::DataFolder, error.to_string()))
    });
    moved.map(drop).map_err(why)
}
