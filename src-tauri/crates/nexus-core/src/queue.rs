//! The queue: which waiting task is given the next free place, and what each of them waits for.
//!
//! Nothing of it is stored. It follows from the tasks, the floor and the time, so that what is
//! shown of the queue is what will happen to it.

use crate::{
    Account, Floor, Hold, PauseReason, Phase, Predecessor, Priority, ProjectId, Task, TaskId,
    Timestamp,
};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

/// A queued task counts as one level more urgent for each of these that it has waited, up to
/// [`Priority::Critical`]. So after 45 minutes the least urgent of them is as urgent as any, and
/// none waits for ever behind tasks that come later.
pub const AGEING: Duration = Duration::from_secs(15 * 60);

/// A task in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedTask {
    pub id: TaskId,
    /// How urgent it is by now: its priority, risen with its time in the queue.
    pub level: Priority,
    pub waits: Wait,
}

/// What a queued task waits for. Where it is more than one thing, the first of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For somebody to have it worked on: this NEXUS leaves it alone.
    Nobody,
    /// For these tasks to be done.
    Tasks { before: Vec<Predecessor> },
    /// For what it had under way before it was stopped to end.
    Ending,
    /// For its account to be open again.
    Account { hold: Hold },
    /// For a day whose cap is not reached.
    Day { cap: PauseReason },
    /// For another task of its project to leave its place.
    Project { limit: usize },
    /// For a free place, and for nothing else.
    Place,
}

/// All tasks at one moment, whether they are recorded or only drafted.
pub(crate) trait Tasks {
    /// The floor at that moment.
    fn floor_now(&self) -> &Floor;
    fn all(&self) -> impl Iterator<Item = &Arc<Task>>;
    fn find(&self, id: TaskId) -> Option<&Arc<Task>>;
    /// Is this task worked on?
    fn is_awake(&self, id: TaskId) -> bool;

    /// The tasks this one has to wait for. One that is not there cannot be waited for.
    fn undone_before<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = &'a Task> {
        let before = task.after.iter().filter_map(|before| self.find(*before));
        let undone = before.filter(|before| before.phase != Phase::Done);
        undone.map(AsRef::as_ref)
    }
}

/// The queue at one moment.
pub(crate) struct Queue<'a, T> {
    tasks: &'a T,
    now: Timestamp,
    /// Tasks of each project that hold a place.
    at_work: BTreeMap<ProjectId, usize>,
    /// The number of the last place that each project was given; see [`Floor::served`].
    served: BTreeMap<ProjectId, u64>,
}

/// Where a task stands among those that could be given a place. The smallest gets the next one:
///
/// 1. the most urgent: its priority, risen by a level for each [`AGEING`] in the queue;
/// 2. among these, one whose project has the fewest tasks at work;
/// 3. among these, one whose project was given a place the longest ago, or never;
/// 4. among these, the one that has waited the longest in its present stay in the queue;
/// 5. and of those that have waited equally long, the one that was made first.
///
/// There is no other rule of order: two ranks compare as their fields do, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    level: Reverse<Priority>,
    at_work: usize,
    served: u64,
    waited: Reverse<Duration>,
    number: u32,
}

impl<'a, T: Tasks> Queue<'a, T> {
    pub(crate) fn of(tasks: &'a T, now: Timestamp) -> Self {
        let mut queue = Self {
            tasks,
            now,
            at_work: BTreeMap::new(),
            served: tasks.floor_now().served().clone(),
        };
        let at_work = |task: &&Arc<Task>| task.holds_place() && tasks.is_awake(task.id);
        for task in tasks.all().filter(at_work) {
            *queue.at_work.entry(task.spec.project).or_default() += 1;
        }
        queue
    }

    /// The task that is given a place now; `None` while no place is free or nobody may have it.
    pub(crate) fn next(&self) -> Option<&'a Task> {
        let taken: usize = self.at_work.values().sum();
        if taken >= self.tasks.floor_now().parallel_tasks {
            return None;
        }
        let ready = self.queued().filter(|task| self.waits(task) == Wait::Place);
        ready.min_by_key(|task| self.rank(task))
    }

    /// Those that wait for nothing but a place, in the order in which they would be given one if
    /// none of those at work ended before; then those that something else holds, in the order
    /// they would have now.
    pub(crate) fn in_order(mut self) -> Vec<QueuedTask> {
        let waiting = self.queued().map(|task| (task, self.waits(task)));
        let (ready, mut held): (Vec<_>, Vec<_>) =
            waiting.partition(|(_, waits)| *waits == Wait::Place);
        held.sort_by_cached_key(|(task, _)| self.rank(task));
        let ready = self.in_line(ready.into_iter().map(|(task, _)| task).collect());
        let ready = ready.into_iter().map(|task| (task, Wait::Place));
        let both = ready.chain(held);
        both.map(|(task, waits)| QueuedTask {
            id: task.id,
            level: level(task, self.now),
            waits,
        })
        .collect()
    }

    fn queued(&self) -> impl Iterator<Item = &'a Task> + use<'a, T> {
        let queued = |task: &&Task| task.phase == Phase::Queued;
        self.tasks.all().map(AsRef::as_ref).filter(queued)
    }

    fn waits(&self, task: &Task) -> Wait {
        let (floor, team) = (self.tasks.floor_now(), task.spec.team);
        if !self.tasks.is_awake(task.id) {
            return Wait::Nobody;
        }
        let before = self.tasks.undone_before(task).map(Predecessor::of);
        let before: Vec<_> = before.collect();
        if !before.is_empty() {
            return Wait::Tasks { before };
        }
        if task.is_stopping() {
            return Wait::Ending;
        }
        if let Some(hold) = floor.hold_on(team) {
            return Wait::Account { hold: hold.clone() };
        }
        if Account::of(team).is_some()
            && let Some(cap) = floor.day_cap_reached(self.now)
        {
            return Wait::Day { cap };
        }
        match self.limit_reached(task.spec.project) {
            Some(limit) => Wait::Project { limit },
            None => Wait::Place,
        }
    }

    fn rank(&self, task: &Task) -> Rank {
        let project = task.spec.project;
        Rank {
            level: Reverse(level(task, self.now)),
            at_work: self.at_work_for(project),
            served: self.served.get(&project).copied().unwrap_or(0),
            waited: Reverse(waited(task, self.now)),
            number: task.spec.number,
        }
    }

    fn limit_reached(&self, project: ProjectId) -> Option<usize> {
        let limit = self.tasks.floor_now().tasks_per_project?;
        (self.at_work_for(project) >= limit).then_some(limit)
    }

    fn at_work_for(&self, project: ProjectId) -> usize {
        self.at_work.get(&project).copied().unwrap_or(0)
    }

    /// Gives all of them places, one after the other. What a project is given changes the rank of
    /// its other tasks, but never their order among themselves. Those that would come over the
    /// limit of their project are the last.
    fn in_line(&mut self, mut tasks: Vec<&'a Task>) -> Vec<&'a Task> {
        tasks.sort_by_cached_key(|task| Reverse(self.rank(task)));
        let mut projects: BTreeMap<ProjectId, Vec<&Task>> = BTreeMap::new();
        for task in tasks {
            projects.entry(task.spec.project).or_default().push(task);
        }
        let mut line = Vec::new();
        while let Some(task) = self.take_first(&mut projects) {
            self.give_place(task.spec.project);
            line.push(task);
        }
        let mut others: Vec<_> = projects.into_values().flatten().collect();
        others.sort_by_cached_key(|task| self.rank(task));
        line.extend(others);
        line
    }

    /// Takes the first of the projects' first ones, which stand at the end of their lists.
    fn take_first(&self, projects: &mut BTreeMap<ProjectId, Vec<&'a Task>>) -> Option<&'a Task> {
        let open = |project: &&ProjectId| self.limit_reached(**project).is_none();
        let firsts = projects.keys().filter(open);
        let firsts = firsts.filter_map(|project| projects.get(project)?.last().copied());
        let first = firsts.min_by_key(|task| self.rank(task))?;
        projects.get_mut(&first.spec.project)?.pop()
    }

    fn give_place(&mut self, project: ProjectId) {
        let last = self.served.values().max().copied().unwrap_or(0);
        self.served.insert(project, last + 1);
        *self.at_work.entry(project).or_default() += 1;
    }
}

/// How urgent a queued task is by now.
fn level(task: &Task, now: Timestamp) -> Priority {
    let levels = waited(task, now).as_secs() / AGEING.as_secs();
    task.priority
        .risen(usize::try_from(levels).unwrap_or(usize::MAX))
}

/// How long it is in the queue. Nothing while the clock was set back to before it came.
fn waited(task: &Task, now: Timestamp) -> Duration {
    task.queued_at
        .map_or(Duration::ZERO, |since| now.since(since))
}
