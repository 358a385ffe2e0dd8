//! The truth outside NEXUS: the clock, processes, conversations, copies and the person's
//! folders. It survives every crash, and it notices what must never happen to it.

use crate::sim::{Halt, Held, broken};
use nexus_core::{
    ApprovalId, BlobId, FileContent, FileKind, FileOperation, ProjectPath, Ruling, SeatId,
    SessionId, SnapshotId, StepId, TaskId, TaskSpec, Timestamp, TreeId, TurnId, TurnOutcome, Usage,
    Writes,
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

/// The name of a file.
pub(crate) fn path(index: usize) -> ProjectPath {
    ProjectPath::parse(&format!("f{index}")).unwrap()
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
        path: path(index),
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
    let index = operation.path.as_str().trim_start_matches('f');
    let index = index.parse().unwrap();
    (index, number(&operation.old), number(&operation.new))
}

/// Where an agent works: in the task's copy, or in a lane of its own beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) task: TaskId,
    pub(crate) lane: Option<SeatId>,
}

impl Place {
    pub(crate) fn of(task: TaskId, seat: SeatId) -> Self {
        let lane = seat.is_lane().then_some(seat);
        Self { task, lane }
    }

    pub(crate) fn copy(task: TaskId) -> Self {
        Self { task, lane: None }
    }
}

/// A running agent program.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) task: TaskId,
    pub(crate) seat: SeatId,
    pub(crate) session: SessionId,
    pub(crate) turn: Option<(TurnId, StepId)>,
}

impl Process {
    /// Is its agent at work where nobody else may be?
    fn writes_in(&self, place: Place) -> bool {
        self.turn.is_some()
            && self.seat.role.writes() == Writes::Workspace
            && Place::of(self.task, self.seat) == place
    }
}

/// A task's workspace on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    pub(crate) content: Option<Content>,
    /// What was put aside before it was removed.
    pub(crate) kept: Option<Content>,
    /// Jobs that work on it now.
    pub(crate) jobs: u32,
    /// The result of a lane is written to it, and not all of it is there yet.
    pub(crate) half_merged: bool,
    /// What the lane whose result is put together with it was branched off.
    seen_by_lane: Option<Content>,
    /// What it held when two sides were put together first, for a mistake.
    at_first_merge: Option<Content>,
}

/// A copy beside the task's copy.
#[derive(Clone, Copy, Debug)]
struct Lane {
    content: Content,
    /// What it was branched off.
    from: Content,
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
    /// Who changed a place without having handed it in: for which step, in which conversation.
    unfinished: BTreeMap<Place, (StepId, SessionId)>,
    lanes: BTreeMap<Place, Lane>,
    /// Which step's agent wrote a number.
    authors: BTreeMap<u32, (TaskId, StepId)>,
    /// Numbers that stand for two sides with marks between them.
    pub(crate) marks: BTreeMap<u32, (u32, u32)>,
    /// Numbers that were in a task's copy, if only as a side of a conflict.
    reached: BTreeSet<(TaskId, u32)>,
    /// What the agents of lanes had written when they handed their steps in last.
    handed_in: BTreeMap<(TaskId, StepId), BTreeSet<u32>>,
    /// What the person asked for.
    pub(crate) wishes: BTreeMap<TaskId, TaskSpec>,
    /// Questions that the person has answered.
    pub(crate) answered: BTreeSet<(TaskId, ApprovalId)>,
    /// What Prime said last about a turn.
    pub(crate) rulings: BTreeMap<(TaskId, TurnId), Ruling>,
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
        if self
            .content(Place::of(process.task, process.seat))
            .is_none()
        {
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
        let (place, writes) = (Place::of(task, process.seat), process.seat.role.writes());
        let writer = |other: &Process| other.writes_in(place);
        if writes == Writes::Workspace && self.processes.values().any(writer) {
            return broken("two agents write in one place");
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

    /// What is in a place, if it is there.
    pub(crate) fn content(&self, place: Place) -> Option<Content> {
        match place.lane {
            None => self.copies.get(&place.task)?.content,
            Some(_) => self.lanes.get(&place).map(|lane| lane.content),
        }
    }

    fn content_mut(&mut self, place: Place) -> Option<&mut Content> {
        match place.lane {
            None => self.copies.get_mut(&place.task)?.content.as_mut(),
            Some(_) => self.lanes.get_mut(&place).map(|lane| &mut lane.content),
        }
    }

    /// A writing agent changes a file where it works.
    pub(crate) fn edit(&mut self, place: Place, step: StepId, session: SessionId, file: usize) {
        let number = self.new_number();
        self.unfinished.insert(place, (step, session));
        self.authors.insert(number, (place.task, step));
        if let Some(content) = self.content_mut(place) {
            content[file] = number;
        }
        if place.lane.is_none() {
            self.reached.insert((place.task, number));
        }
    }

    /// The files of a place that hold two sides with marks.
    pub(crate) fn marked(&self, place: Place) -> Vec<usize> {
        let content = self.content(place).unwrap_or_default();
        let files = (0..content.len()).filter(|file| self.marks.contains_key(&content[*file]));
        files.collect()
    }

    /// Somebody said that what is in the copy will do as it is.
    pub(crate) fn leaves_marks(&mut self, task: TaskId) {
        for number in self.content(Place::copy(task)).unwrap_or_default() {
            self.marks.remove(&number);
        }
    }

    /// What is in the place is known again: it was handed in, or undone.
    pub(crate) fn settles(&mut self, place: Place) {
        self.unfinished.remove(&place);
    }

    /// Undoes what the agent of a step has written.
    pub(crate) fn put_back(&mut self, place: Place, step: StepId, to: Content) -> Held {
        let now = self.content(place).unwrap_or(to);
        let author = Some(&(place.task, step));
        let is_undone = |file: &usize| now[*file] != to[*file];
        let mut undone = (0..now.len()).filter(is_undone);
        if undone.any(|file| self.authors.get(&now[file]) != author) {
            return broken("an undo takes away what another has written");
        }
        if let Some(content) = self.content_mut(place) {
            *content = to;
        }
        self.settles(place);
        Ok(())
    }

    /// An agent sets to work on a step: nobody else has left it half done.
    pub(crate) fn goes_on(&self, place: Place, step: StepId, session: SessionId) -> Held {
        match self.unfinished.get(&place) {
            Some((begun, by)) if *begun == step && *by != session => {
                broken("an agent goes on with work that it knows nothing of")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes a lane from the task's copy as it is now. A lane that is there is made anew.
    pub(crate) fn branch(&mut self, lane: Place) -> Held {
        let copy = Place::copy(lane.task);
        let Some(content) = self.content(copy) else {
            return broken("a lane is branched off a copy that is not there");
        };
        if self.copy(lane.task).half_merged {
            return broken("a lane is branched off a merge that is half written");
        }
        if self.processes.values().any(|agent| agent.writes_in(copy)) {
            return broken("a lane is branched off a copy in which an agent writes");
        }
        if !self.marked(copy).is_empty() {
            return broken("a lane is branched off a conflict");
        }
        if self.processes.values().any(|agent| agent.writes_in(lane)) {
            return broken("a lane is made anew while its agent is at work");
        }
        let from = content;
        self.lanes.insert(lane, Lane { content, from });
        self.settles(lane);
        Ok(())
    }

    /// The agent of a lane hands its step in: what it wrote must not be lost any more.
    pub(crate) fn hands_in(&mut self, place: Place, step: StepId) {
        let own = |number: &u32| self.authors.get(number) == Some(&(place.task, step));
        if place.lane.is_some() {
            let content = self.content(place).unwrap_or_default();
            let written = content.into_iter().filter(own).collect();
            self.handed_in.insert((place.task, step), written);
        }
    }

    /// What a lane's agent had written is nowhere any more, or is written anew.
    pub(crate) fn forgets(&mut self, task: TaskId, step: StepId) {
        self.handed_in.remove(&(task, step));
    }

    /// Empties a lane, for a mistake.
    pub(crate) fn loses_lane(&mut self, place: Place) {
        if let Some(lane) = self.lanes.get_mut(&place) {
            lane.content = lane.from;
        }
    }

    /// All that the agent of a lane has handed in is, or was, in the task's copy.
    pub(crate) fn expect_merged(&self, task: TaskId, step: StepId) -> Held {
        let written = self.handed_in.get(&(task, step)).into_iter().flatten();
        let mut lost = written.filter(|number| !self.reached.contains(&(task, **number)));
        match lost.next() {
            Some(number) => broken(format!("{number} of step {step} is lost with its lane")),
            None => Ok(()),
        }
    }

    /// Puts a lane and the task's copy together, file by file. Says which files conflict.
    /// `stale` takes the copy for what it was the first time.
    pub(crate) fn put_together(
        &mut self,
        lane: Place,
        base: Content,
        stale: bool,
    ) -> Option<(Content, Vec<ProjectPath>)> {
        let Lane { content, from } = *self.lanes.get(&lane)?;
        let copy = self.copy(lane.task);
        copy.seen_by_lane = Some(from);
        let now = copy.content?;
        let first = *copy.at_first_merge.get_or_insert(now);
        let ours = if stale { first } else { now };
        let mut both = ours;
        let mut conflicts = Vec::new();
        for (file, both) in both.iter_mut().enumerate() {
            let (was, one, other) = (base[file], ours[file], content[file]);
            if one == was {
                *both = other;
            } else if other != was && other != one {
                conflicts.push(path(file));
                *both = self.new_number();
                self.marks.insert(*both, (one, other));
            }
        }
        Some((both, conflicts))
    }

    /// Writes a file of what was put together to the task's copy.
    pub(crate) fn write_merged(&mut self, task: TaskId, file: usize, new: u32) -> Held {
        let place = Place::copy(task);
        if self.processes.values().any(|agent| agent.writes_in(place)) {
            return broken("a merge is written while an agent writes in the copy");
        }
        let (one, other) = self.marks.get(&new).copied().unwrap_or((new, new));
        let copy = self.copy(task);
        copy.half_merged = true;
        let seen = copy.seen_by_lane.map(|seen| seen[file]);
        let Some(content) = &mut copy.content else {
            return broken("a merge is written to a copy that is not there");
        };
        let old = std::mem::replace(&mut content[file], new);
        if ![Some(new), Some(one), Some(other), seen].contains(&Some(old)) {
            return broken(format!(
                "a merge takes {old} away, which its lane never saw"
            ));
        }
        let there = [new, one, other].map(|number| (task, number));
        self.reached.extend(there);
        Ok(())
    }

    /// The copy is gone, and its lanes with it.
    pub(crate) fn remove_copy(&mut self, task: TaskId) {
        self.copy(task).content = None;
        self.lanes.retain(|place, _| place.task != task);
        let in_lane = |place: &Place| place.task == task && place.lane.is_some();
        self.unfinished.retain(|place, _| !in_lane(place));
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
