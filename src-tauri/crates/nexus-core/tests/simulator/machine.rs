//! The truth outside NEXUS: the clock, processes, conversations, copies and the person's
//! folders. It survives every crash, and it notices what must never happen to it.

use crate::sim::{Halt, Held, broken};
use nexus_core::{
    BlobId, FileContent, FileKind, FileOperation, ProjectPath, SessionId, SnapshotId, StepId,
    TaskId, Timestamp, TreeId, TurnId, TurnOutcome, Usage,
};
use std::collections::{BTreeMap, BTreeSet};

/// Three files by the number of what is in them; 0 is no file.
pub(crate) type Content = [u32; 3];

/// The name of a content, as git would give one. It can be read back.
pub(crate) fn hex(content: Content) -> String {
    let [a, b, c] = content;
    format!("{a:08x}{b:08x}{c:08x}{:016x}", 0xc0ffee_u64)
}

pub(crate) fn content_of(hex: &str) -> Content {
    [0, 8, 16].map(|at| u32::from_str_radix(&hex[at..at + 8], 16).unwrap())
}

pub(crate) fn tree(content: Content) -> TreeId {
    TreeId::parse(&hex(content)).unwrap()
}

pub(crate) fn snapshot(content: Content) -> SnapshotId {
    SnapshotId::parse(&hex(content)).unwrap()
}

/// What turns `from` into `to`, file by file.
pub(crate) fn operations(from: Content, to: Content) -> Vec<FileOperation> {
    let file = |number: u32| {
        (number != 0).then(|| FileContent {
            blob: BlobId::parse(&hex([number, 0, 0])).unwrap(),
            kind: FileKind::Plain,
        })
    };
    let changed = (0..from.len()).filter(|index| from[*index] != to[*index]);
    let operation = |index: usize| FileOperation {
        path: ProjectPath::parse(&index.to_string()).unwrap(),
        old: file(from[index]),
        new: file(to[index]),
    };
    changed.map(operation).collect()
}

/// Where an operation is, what it expects and what it brings.
pub(crate) fn read_operation(operation: &FileOperation) -> (usize, u32, u32) {
    let number = |file: &Option<FileContent>| {
        let blob = file.as_ref().map(|file| content_of(file.blob.as_str())[0]);
        blob.unwrap_or(0)
    };
    let index = operation.path.as_str().parse().unwrap();
    (index, number(&operation.old), number(&operation.new))
}

/// A running agent program.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) task: TaskId,
    pub(crate) session: SessionId,
    pub(crate) turn: Option<(TurnId, StepId)>,
}

/// A task's workspace on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    pub(crate) content: Option<Content>,
    /// What was put aside before it was removed.
    pub(crate) kept: Option<Content>,
    /// Jobs that work on it now.
    pub(crate) jobs: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Milliseconds since the run began; never goes back.
    pub(crate) now: i64,
    /// How far the wall clock is off.
    pub(crate) skew: i64,
    pub(crate) processes: BTreeMap<u64, Process>,
    pub(crate) conversations: BTreeSet<SessionId>,
    pub(crate) copies: BTreeMap<TaskId, Copy>,
    pub(crate) folders: Vec<Content>,
    /// What an accept has written into a folder and nobody has changed since.
    pub(crate) written: BTreeMap<TaskId, (usize, BTreeSet<usize>)>,
    /// Turns that were ever begun by an agent.
    pub(crate) prompted: BTreeSet<(TaskId, TurnId)>,
    /// How turns really ended, and what they really cost.
    pub(crate) ends: BTreeMap<(TaskId, TurnId), (TurnOutcome, Usage)>,
    /// Who changed a copy without having handed it in: for which step, in which conversation.
    unfinished: BTreeMap<TaskId, (StepId, SessionId)>,
    last_number: u32,
}

impl Machine {
    /// A machine with so many folders, each with something in it.
    pub(crate) fn new(folders: usize) -> Self {
        let mut machine = Self {
            folders: vec![[0; 3]; folders],
            ..Self::default()
        };
        for folder in 0..folders {
            machine.person_edits(folder, 0);
            machine.person_edits(folder, 1);
        }
        machine
    }

    /// What the wall clock says.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_millis(1_750_000_000_000 + self.now + self.skew)
    }

    /// A content that was never seen before.
    pub(crate) fn new_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn copy(&mut self, task: TaskId) -> &mut Copy {
        self.copies.entry(task).or_default()
    }

    pub(crate) fn open(&mut self, id: u64, process: Process) -> Held {
        if self
            .processes
            .values()
            .any(|other| other.session == process.session)
        {
            return broken("two processes on one session");
        }
        if self.copy(process.task).content.is_none() {
            return broken("an agent is started in a copy that is not there");
        }
        self.processes.insert(id, process);
        Ok(())
    }

    /// The agent begins a turn.
    pub(crate) fn prompt(&mut self, id: u64, turn: TurnId, step: StepId) -> Held {
        let process = self.processes.get(&id).ok_or_else(|| {
            Halt::Broken("a turn is given to a process that is not there".to_owned())
        })?;
        let task = process.task;
        if !self.prompted.insert((task, turn)) {
            return broken("a turn is begun twice");
        }
        let of_step = |other: &Process| {
            other.task == task && other.turn.is_some_and(|(_, other)| other == step)
        };
        if self.processes.values().any(of_step) {
            return broken("two live turns for one step");
        }
        if let Some(process) = self.processes.get_mut(&id) {
            process.turn = Some((turn, step));
        }
        Ok(())
    }

    /// Does an agent work for this task right now?
    pub(crate) fn works_for(&self, task: TaskId) -> bool {
        let mut processes = self.processes.values();
        processes.any(|process| process.task == task && process.turn.is_some())
    }

    /// A writing agent changes a file of its copy.
    pub(crate) fn edit(&mut self, task: TaskId, step: StepId, session: SessionId, file: usize) {
        let number = self.new_number();
        self.unfinished.insert(task, (step, session));
        if let Some(content) = &mut self.copy(task).content {
            content[file] = number;
        }
    }

    /// What is in the copy is known again: it was handed in, or undone.
    pub(crate) fn settles(&mut self, task: TaskId) {
        self.unfinished.remove(&task);
    }

    pub(crate) fn put_back(&mut self, task: TaskId, to: Content) {
        self.copy(task).content = Some(to);
        self.settles(task);
    }

    /// An agent sets to work on a step: nobody else has left it half done.
    pub(crate) fn goes_on(&self, task: TaskId, step: StepId, session: SessionId) -> Held {
        match self.unfinished.get(&task) {
            Some((begun, by)) if *begun == step && *by != session => {
                broken("an agent goes on with work that it knows nothing of")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Everything the program had started ends with it.
    pub(crate) fn kill_all(&mut self) {
        self.processes.clear();
        for copy in self.copies.values_mut() {
            copy.jobs = 0;
        }
    }

    /// The operations that the folder does not let happen.
    pub(crate) fn conflicts(&self, folder: usize, operations: &[FileOperation]) -> Vec<String> {
        let met = operations.iter().filter(|operation| {
            let (file, old, new) = read_operation(operation);
            let found = self.folders[folder][file];
            found != old && found != new
        });
        met.map(|operation| operation.path.to_string()).collect()
    }

    pub(crate) fn write(&mut self, task: TaskId, folder: usize, operation: &FileOperation) {
        let (file, old, new) = read_operation(operation);
        if self.folders[folder][file] == old && old != new {
            self.folders[folder][file] = new;
            self.accept(task, folder).1.insert(file);
        }
    }

    fn accept(&mut self, task: TaskId, folder: usize) -> &mut (usize, BTreeSet<usize>) {
        self.written
            .entry(task)
            .or_insert_with(|| (folder, BTreeSet::new()))
    }

    /// A new accept begins.
    pub(crate) fn begin_accept(&mut self, task: TaskId) {
        self.written.remove(&task);
    }

    /// Is something of an accept in the folder that was not brought to its end?
    pub(crate) fn is_half_applied(&self, task: TaskId) -> bool {
        let written = self.written.get(&task);
        written.is_some_and(|(_, files)| !files.is_empty())
    }

    /// Turns what an accept had written back into what was there.
    pub(crate) fn take_back(&mut self, task: TaskId, folder: usize, operation: &FileOperation) {
        let (file, old, new) = read_operation(operation);
        let written = self.accept(task, folder).1.remove(&file);
        if written && self.folders[folder][file] == new {
            self.folders[folder][file] = old;
        }
    }

    /// The person changes a file of their own.
    pub(crate) fn person_edits(&mut self, folder: usize, file: usize) {
        self.folders[folder][file] = self.new_number();
    }
}
