//! A second opinion on who is let in: the facts, read by the rules of the queue as they are
//! written down, and not by the code that follows them.

use nexus_core::{
    AGEING, Account, Event, Fact, FloorEvent, Priority, ProjectId, RoundReason, TaskId, Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

/// What the facts say of the queue and the places.
#[derive(Debug)]
pub(crate) struct Ledger {
    places: usize,
    per_project: Option<usize>,
    tasks: BTreeMap<TaskId, Seen>,
    /// How many tasks of each project hold a place.
    at_work: BTreeMap<ProjectId, usize>,
    /// The number of the last place each project was given.
    served: BTreeMap<ProjectId, usize>,
    closed: bool,
    pub(crate) figures: Figures,
}

/// What a run amounted to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) places_given: usize,
    /// Of tasks that had to wait for others first.
    pub(crate) chained: usize,
    /// How often a task was let in before another that came earlier and was no less urgent.
    pub(crate) overtakings: usize,
    /// The most of them that one task saw in one stay.
    pub(crate) most_overtaken: usize,
    pub(crate) longest_wait: Duration,
    pub(crate) longest_stay: Duration,
    /// How long tasks waited that nothing but the places held, and how many of their own project
    /// were let in meanwhile.
    pub(crate) waits: Vec<(Duration, usize)>,
}

#[derive(Clone, Debug)]
struct Seen {
    project: ProjectId,
    number: u32,
    paid: bool,
    priority: Priority,
    /// Tasks that have to be done first.
    after: Vec<TaskId>,
    done: bool,
    place: Place,
    /// Turns that have not ended.
    turns: usize,
}

#[derive(Clone, Debug)]
enum Place {
    Outside,
    Queue(Stay),
    /// Has one, since then.
    Taken(Timestamp),
    /// Was told to leave it; it is free when the last turn has ended.
    Leaving(Timestamp),
}

/// A stay in the queue.
#[derive(Clone, Debug)]
struct Stay {
    since: Timestamp,
    /// Since when nothing but the places holds it.
    ready_since: Option<Timestamp>,
    overtaken: usize,
    /// Others of its project that were let in meanwhile.
    own: usize,
    /// By which projects it was overtaken while none of its own was at work.
    overtaken_by: BTreeMap<ProjectId, usize>,
}

impl Seen {
    fn holds_place(&self) -> bool {
        let held = matches!(self.place, Place::Taken(_) | Place::Leaving(_));
        held || self.turns > 0
    }

    fn stay(&self) -> Option<&Stay> {
        match &self.place {
            Place::Queue(stay) => Some(stay),
            Place::Outside | Place::Taken(_) | Place::Leaving(_) => None,
        }
    }

    /// Its priority, a level higher for each quarter of an hour in the queue.
    fn level(&self, now: Timestamp) -> u64 {
        let levels = [
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Critical,
        ];
        let own = levels.iter().take_while(|level| **level < self.priority);
        let waited = self.waited(now).as_secs() / AGEING.as_secs();
        (own.count() as u64 + waited).min(3)
    }

    fn waited(&self, now: Timestamp) -> Duration {
        self.stay()
            .map_or(Duration::ZERO, |stay| now.since(stay.since))
    }
}

impl Ledger {
    pub(crate) fn new(places: usize, per_project: Option<usize>) -> Self {
        Self {
            places,
            per_project,
            tasks: BTreeMap::new(),
            at_work: BTreeMap::new(),
            served: BTreeMap::new(),
            closed: false,
            figures: Figures::default(),
        }
    }

    /// Reads what is recorded.
    pub(crate) fn read(&mut self, facts: &[Fact], now: Timestamp) {
        for fact in facts {
            match fact {
                Fact::OfFloor { event, .. } => self.hear(event),
                Fact::OfTask { id, event, .. } => self.note(*id, event, now),
            }
        }
    }

    /// All that follows by itself is recorded: no place may be free that somebody could have.
    pub(crate) fn close(&mut self, now: Timestamp) {
        let free = self.places > self.taken();
        let idle = self
            .tasks
            .values()
            .find(|seen| free && self.may_enter(seen));
        assert!(
            idle.is_none(),
            "a place is free, and nobody has it: {idle:?}"
        );
        self.note_who_is_ready(now);
    }

    /// Everybody has left, and nobody waits.
    pub(crate) fn assert_all_ended(&self) {
        let left = |seen: &&Seen| seen.holds_place() || seen.stay().is_some();
        let left: Vec<_> = self.tasks.values().filter(left).collect();
        assert!(left.is_empty(), "these have not ended: {left:?}");
    }

    /// After three quarters of an hour a task is as urgent as any. Then it waits for those of its
    /// own project that came before it; and for each of these, and itself, until the last one of
    /// its project has left its place and each other project was given one since.
    pub(crate) fn assert_nobody_starved(&self, projects: usize) {
        let stay = self.figures.longest_stay;
        let rounds = u32::try_from(projects.div_ceil(self.places)).unwrap() + 1;
        for (wait, own) in &self.figures.waits {
            let turns = u32::try_from(own + 1).unwrap();
            let longest = 3 * AGEING + turns * rounds * stay;
            assert!(*wait <= longest, "{wait:?}, and {own} of its project");
        }
    }

    fn hear(&mut self, event: &FloorEvent) {
        match event {
            FloorEvent::AccountClosed { .. } => self.closed = true,
            FloorEvent::AccountOpened { .. } => self.closed = false,
            FloorEvent::ProjectAdded { .. }
            | FloorEvent::ProjectTrusted { .. }
            | FloorEvent::RuleAdded { .. }
            | FloorEvent::RuleRevoked { .. }
            | FloorEvent::DayCapsSet { .. }
            | FloorEvent::DayBegan { .. } => {}
        }
    }

    fn note(&mut self, id: TaskId, event: &Event, now: Timestamp) {
        let held = self.tasks.get(&id).is_some_and(Seen::holds_place);
        self.note_down(id, event, now);
        let seen = &self.tasks[&id];
        let at_work = self.at_work.entry(seen.project).or_default();
        match (held, seen.holds_place()) {
            (false, true) => *at_work += 1,
            (true, false) => *at_work -= 1,
            (true, true) | (false, false) => {}
        }
    }

    fn note_down(&mut self, id: TaskId, event: &Event, now: Timestamp) {
        if let Event::TaskCreated { spec } = event {
            let seen = Seen {
                project: spec.project,
                number: spec.number,
                paid: Account::of(spec.team).is_some(),
                priority: spec.priority,
                after: spec.terms.after.clone(),
                done: false,
                place: Place::Outside,
                turns: 0,
            };
            self.tasks.insert(id, seen);
            return;
        }
        if *event == Event::TaskStarted {
            self.let_in(id, now);
            return;
        }
        let seen = self.tasks.get_mut(&id).unwrap();
        match event {
            Event::TaskQueued
            | Event::TaskResumed
            | Event::RoundBegan {
                why: RoundReason::Person { .. },
                ..
            } => {
                seen.place = Place::Queue(Stay {
                    since: now,
                    ready_since: None,
                    overtaken: 0,
                    own: 0,
                    overtaken_by: BTreeMap::new(),
                });
            }
            Event::PriorityChanged { priority } => seen.priority = *priority,
            Event::Unchained => seen.after.clear(),
            Event::Accepted => seen.done = true,
            Event::StepStarted { .. } => seen.turns += 1,
            Event::TurnEnded { .. } => seen.turns -= 1,
            Event::ReviewReached { .. }
            | Event::TaskPaused { .. }
            | Event::TaskFailed { .. }
            | Event::CancelRequested => {
                seen.place = match seen.place {
                    Place::Taken(since) | Place::Leaving(since) => Place::Leaving(since),
                    Place::Outside | Place::Queue(_) => Place::Outside,
                };
            }
            _ => {}
        }
        if let (Place::Leaving(since), 0) = (&seen.place, seen.turns) {
            let stay = now.since(*since);
            self.figures.longest_stay = self.figures.longest_stay.max(stay);
            seen.place = Place::Outside;
        }
    }

    fn taken(&self) -> usize {
        self.at_work.values().sum()
    }

    fn at_work_for(&self, project: ProjectId) -> usize {
        self.at_work.get(&project).copied().unwrap_or(0)
    }

    /// Does nothing but the number of places hold it?
    fn may_enter(&self, seen: &Seen) -> bool {
        let project_full = |limit: usize| self.at_work_for(seen.project) >= limit;
        seen.stay().is_some()
            && seen.turns == 0
            && seen.after.iter().all(|before| self.tasks[before].done)
            && !(seen.paid && self.closed)
            && !self.per_project.is_some_and(project_full)
    }

    fn let_in(&mut self, id: TaskId, now: Timestamp) {
        let entering = self.tasks[&id].clone();
        assert!(
            self.taken() < self.places,
            "{id} has a place that is not free"
        );
        assert!(self.may_enter(&entering), "{id} may not have a place");
        for other in self.tasks.values() {
            let before = other.number != entering.number
                && self.may_enter(other)
                && self.comes_before(other, &entering, now);
            assert!(!before, "{entering:?} was let in before {other:?}");
        }
        self.count_overtaken(&entering, now);
        self.figures.places_given += 1;
        self.figures.chained += usize::from(!entering.after.is_empty());
        self.served
            .insert(entering.project, self.figures.places_given);
        self.leaves_queue(id, now);
        self.forgive(entering.project);
    }

    /// The rule: the more urgent; then the one whose project has fewer at work; then the one
    /// whose project was served longer ago; then the one that has waited longer; then the one
    /// that was made first.
    fn comes_before(&self, one: &Seen, other: &Seen, now: Timestamp) -> bool {
        if one.level(now) != other.level(now) {
            return one.level(now) > other.level(now);
        }
        let at_work = |seen: &Seen| self.at_work_for(seen.project);
        if at_work(one) != at_work(other) {
            return at_work(one) < at_work(other);
        }
        let served = |seen: &Seen| self.served.get(&seen.project);
        if served(one) != served(other) {
            return served(one) < served(other);
        }
        if one.waited(now) != other.waited(now) {
            return one.waited(now) > other.waited(now);
        }
        one.number < other.number
    }

    /// Those that came earlier and are no less urgent may be overtaken for the sake of fairness
    /// alone: while none of their project is at work, once by each other project.
    fn count_overtaken(&mut self, entering: &Seen, now: Timestamp) {
        let came = now.before(entering.waited(now));
        let passed: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, seen)| seen.number != entering.number && self.may_enter(seen))
            .filter(|(_, seen)| seen.stay().is_some_and(|stay| stay.since < came))
            .filter(|(_, seen)| seen.priority >= entering.priority)
            .map(|(id, _)| *id)
            .collect();
        for id in passed {
            let project = self.tasks[&id].project;
            assert_ne!(
                project, entering.project,
                "{id} was overtaken by its own project"
            );
            let project_waits = self.at_work_for(project) == 0;
            let Place::Queue(stay) = &mut self.tasks.get_mut(&id).unwrap().place else {
                continue;
            };
            stay.overtaken += 1;
            self.figures.overtakings += 1;
            self.figures.most_overtaken = self.figures.most_overtaken.max(stay.overtaken);
            if project_waits {
                let times = stay.overtaken_by.entry(entering.project).or_default();
                *times += 1;
                assert_eq!(*times, 1, "{id} was overtaken by one project again");
            }
        }
    }

    fn leaves_queue(&mut self, id: TaskId, now: Timestamp) {
        let seen = self.tasks.get_mut(&id).unwrap();
        let Place::Queue(stay) = &seen.place else {
            return;
        };
        let ready = stay.ready_since.map_or(Duration::ZERO, |at| now.since(at));
        self.figures.waits.push((ready, stay.own));
        self.figures.longest_wait = self.figures.longest_wait.max(ready);
        seen.place = Place::Taken(now);
    }

    /// A project was served: what was before counts no more for those of it that still wait.
    fn forgive(&mut self, project: ProjectId) {
        for seen in self
            .tasks
            .values_mut()
            .filter(|seen| seen.project == project)
        {
            if let Place::Queue(stay) = &mut seen.place {
                stay.overtaken_by.clear();
                stay.own += 1;
            }
        }
    }

    fn note_who_is_ready(&mut self, now: Timestamp) {
        let ready: Vec<bool> = self
            .tasks
            .values()
            .map(|seen| self.may_enter(seen))
            .collect();
        for (seen, ready) in self.tasks.values_mut().zip(ready) {
            if let Place::Queue(stay) = &mut seen.place {
                stay.ready_since = ready.then(|| stay.ready_since.unwrap_or(now));
                if stay.ready_since.is_none() {
                    stay.own = 0;
                }
            }
        }
    }
}
