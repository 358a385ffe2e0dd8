//! The hands: what is under way is made equal to what is owed, as the engine does it.
//!
//! The rules are those of the engine's own hands, one by one; only the work itself is played.

use crate::{
    engine::{Engine, Input, Reply},
    machine::{Content, Place, content_of, operations, path, snapshot, tree},
    scenario::{Bug, Fault},
    seat::{Seat, SeatOrder},
    sim::{Happening, Held, World, broken},
};
use nexus_core::{
    CheckRun, CheckTime, CommandEnd, CommandLine, Effect, Event, Evidence, Failure, FailureKind,
    FileChange, FileOperation, LineCount, Phase, Plan, PlannedStep, PlannerKind, PreparedWorkspace,
    PrimePurpose, Priority, ProjectPath, Report, Role, Ruling, SeatId, StepId, StepKind, Task,
    TaskId, TreeId, TurnId, TurnOutcome, TurnReport, Usage, Usd,
};
use std::{collections::BTreeMap, sync::Arc};

/// What is under way for one task.
#[derive(Default)]
pub(crate) struct TaskHands {
    jobs: Vec<u64>,
    pub(crate) seats: BTreeMap<SeatId, Seat>,
    /// Turns that were handed to their seat, so that none is handed over twice.
    handed: BTreeMap<TurnId, Handed>,
}

#[derive(Clone, Copy)]
struct Handed {
    seat: SeatId,
    /// Its end was reported in the seat's place, because the seat is gone.
    lost: bool,
}

/// A piece of work that ends by itself.
pub(crate) struct Job {
    task: Arc<Task>,
    effect: Effect,
    stop_asked: bool,
    stage: Stage,
    /// Two sides that were put together, and where they conflict.
    both: Option<(Content, Vec<ProjectPath>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// So many pieces of it are done.
    At(usize),
    /// It has reported, and waits until that is recorded.
    Telling,
    Finished,
}

/// How long a job that ended without a result rests before it is tried again.
const REST: i64 = 5000;

impl TaskHands {
    /// How many jobs, seats and handed turns are kept.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.jobs.len(), self.seats.len(), self.handed.len())
    }
}

impl Job {
    pub(crate) fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    pub(crate) fn is_at_work_for(&self, task: TaskId) -> bool {
        self.task.id == task && !self.is_finished()
    }

    /// Does it write the result of a lane to the task's copy?
    pub(crate) fn is_merging(&self, task: TaskId) -> bool {
        let inside = matches!(self.stage, Stage::At(done) if done > 0);
        self.task.id == task && inside && matches!(self.effect, Effect::Merge { .. })
    }
}

/// Does it change the task's copy, or run in it?
fn is_about_workspace(effect: &Effect) -> bool {
    match effect {
        Effect::PrepareWorkspace
        | Effect::RunSetup
        | Effect::RunChecks { .. }
        | Effect::PlanMerge { .. }
        | Effect::Merge { .. }
        | Effect::DropWorkspace
        | Effect::RestoreWorkspace { .. } => true,
        Effect::MakePlan
        | Effect::Judge { .. }
        | Effect::WarmSession { .. }
        | Effect::RunTurn { .. }
        | Effect::PlanApply
        | Effect::Apply { .. } => false,
    }
}

impl Engine {
    /// Looks again after something has ended.
    pub(crate) fn look_again(&mut self, task: TaskId, world: &mut World) -> Held {
        let Some(task) = self.desk.tasks.get(&task).cloned() else {
            return Ok(());
        };
        if self.closing {
            return Ok(());
        }
        let hands = self.hands.entry(task.id).or_default();
        let jobs = hands.jobs.iter().filter_map(|job| self.jobs.get(job));
        let ended = jobs.filter(|job| job.is_finished() && !job.stop_asked);
        let fruitless: Vec<Effect> = ended.map(|job| job.effect.clone()).collect();
        let owed = task.owed();
        let rests = fruitless.iter().any(|effect| owed.contains(effect));
        if rests && !world.has(Bug::ForgetsFruitless) {
            self.errand_begins(task.id);
            let life = world.life;
            world.after(
                REST,
                Happening::Look {
                    life,
                    task: task.id,
                },
            );
        }
        self.make_it_so(&task, &fruitless, world)
    }

    /// Makes what is under way for `task` what is owed to it.
    pub(crate) fn reconcile(&mut self, task: &Arc<Task>, world: &mut World) -> Held {
        self.make_it_so(task, &[], world)
    }

    fn make_it_so(&mut self, task: &Arc<Task>, resting: &[Effect], world: &mut World) -> Held {
        let owed = task.owed();
        self.hands.entry(task.id).or_default();
        self.forget_finished(task.id);
        self.stop_jobs(task.id, &owed, world);
        self.mourn(task, world);
        for effect in owed {
            match effect {
                Effect::WarmSession { seat, .. } => {
                    self.seat(task, seat, world);
                }
                Effect::RunTurn { turn } => self.run_turn(task, turn, world),
                effect @ (Effect::PrepareWorkspace
                | Effect::MakePlan
                | Effect::RunSetup
                | Effect::RunChecks { .. }
                | Effect::Judge { .. }
                | Effect::PlanMerge { .. }
                | Effect::Merge { .. }
                | Effect::PlanApply
                | Effect::Apply { .. }
                | Effect::DropWorkspace
                | Effect::RestoreWorkspace { .. }) => {
                    if !resting.contains(&effect) {
                        self.start(task, effect, world)?;
                    }
                }
            }
        }
        if world.has(Bug::AppliesDiscarded)
            && let Phase::Cancelled { reviewed: Some(_) } = task.phase
            && let (Some(was), Some(run)) = (task.workspace.prepared(), &task.evidence)
        {
            let from = content_of(was.tree.as_str());
            let operations = Arc::new(operations(from, content_of(run.tree.as_str())));
            self.start(task, Effect::Apply { operations }, world)?;
        }
        self.stop_unwanted_turns(task, world);
        self.close_unwanted_seats(task, world);
        Ok(())
    }

    fn forget_finished(&mut self, task: TaskId) {
        let jobs = &mut self.jobs;
        if let Some(hands) = self.hands.get_mut(&task) {
            hands.jobs.retain(|id| {
                let finished = jobs.get(id).is_none_or(Job::is_finished);
                if finished {
                    jobs.remove(id);
                }
                !finished
            });
        }
    }

    fn stop_jobs(&mut self, task: TaskId, owed: &[Effect], world: &mut World) {
        let Some(hands) = self.hands.get(&task) else {
            return;
        };
        for id in &hands.jobs {
            if let Some(job) = self.jobs.get_mut(id)
                && !owed.contains(&job.effect)
                && !job.stop_asked
            {
                job.stop_asked = true;
                let (life, job) = (world.life, *id);
                world.soon(0, 3000, Happening::Job { life, job });
            }
        }
    }

    /// Starts a job, unless it is under way or another one is busy in the same place.
    fn start(&mut self, task: &Arc<Task>, effect: Effect, world: &mut World) -> Held {
        let crowds = world.has(Bug::CrowdsCopy);
        let in_the_way = |job: &Job| {
            job.effect == effect
                || (!crowds && is_about_workspace(&job.effect) && is_about_workspace(&effect))
        };
        let Some(hands) = self.hands.get_mut(&task.id) else {
            return Ok(());
        };
        let mut jobs = hands.jobs.iter().filter_map(|job| self.jobs.get(job));
        if jobs.any(in_the_way) {
            return Ok(());
        }
        if matches!(effect, Effect::Judge { .. }) && world.books.is_at_cap(task.id) {
            return broken("Prime is asked although a cap is reached");
        }
        let asks_prime = matches!(effect, Effect::Judge { .. } | Effect::MakePlan);
        let is_claude = task.spec.planner == PlannerKind::Claude;
        let now = world.machine.wall();
        if asks_prime && is_claude && world.books.is_held(task.id, now) {
            return broken("Prime is asked on an account that is closed");
        }
        self.next_id += 1;
        let id = self.next_id;
        hands.jobs.push(id);
        world.tell(|| format!("{} begins {effect:?}", task.spec.name()));
        let job = Job {
            task: Arc::clone(task),
            effect,
            stop_asked: false,
            stage: Stage::At(0),
            both: None,
        };
        self.jobs.insert(id, job);
        let life = world.life;
        world.soon(1, 4000, Happening::Job { life, job: id });
        Ok(())
    }

    /// A job takes its next piece of work, or ends.
    pub(crate) fn job_gets_on(&mut self, id: u64, world: &mut World) -> Held {
        let Some(job) = self.jobs.get(&id) else {
            return Ok(());
        };
        let Stage::At(done) = job.stage else {
            return Ok(());
        };
        if std::mem::take(&mut world.hand_dies) {
            world.tell(|| format!("the hand of {:?} dies", job.effect));
            world.saw("job died");
            self.leave_copy(id, world);
            self.job_ends(id, world);
            return Ok(());
        }
        let (task, effect, stopped) = (Arc::clone(&job.task), job.effect.clone(), job.stop_asked);
        let fails = world.may(Fault::Job) && world.hands.percent(8);
        let piece = Piece {
            id,
            task: &task,
            done,
            fails,
            stopped,
        };
        match effect {
            Effect::PrepareWorkspace => self.prepare(piece, world),
            Effect::MakePlan => self.plan(piece, world),
            Effect::RunSetup => self.set_up(piece, world),
            Effect::RunChecks { time } => self.check_work(piece, time, world),
            Effect::Judge { turn } => self.judge(piece, turn, world),
            Effect::PlanMerge { step } => self.plan_merge(piece, step, world),
            Effect::Merge { step, tree } => self.merge(piece, step, &tree, world),
            Effect::PlanApply => self.plan_apply(piece, world),
            Effect::Apply { operations } => self.apply(piece, &operations, world),
            Effect::DropWorkspace => self.drop_copy(piece, world),
            Effect::RestoreWorkspace { from } => {
                let from = content_of(from.as_str());
                self.restore_copy(piece, from, world)
            }
            Effect::WarmSession { .. } | Effect::RunTurn { .. } => Ok(()),
        }
    }

    /// The next piece of the job comes after a while.
    fn goes_on(&mut self, id: u64, done: usize, world: &mut World) -> Held {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stage = Stage::At(done);
        }
        let life = world.life;
        world.soon(1, 4000, Happening::Job { life, job: id });
        Ok(())
    }

    /// The job reports, and ends when that is recorded.
    fn reports(&mut self, id: u64, report: Report, world: &mut World) -> Held {
        self.leave_copy(id, world);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stage = Stage::Telling;
            let task = job.task.id;
            let reply = Reply::Job(id);
            self.put(
                Input::News {
                    task,
                    report,
                    reply,
                },
                world,
            );
        }
        Ok(())
    }

    /// The job ends without having said anything.
    fn ends_silently(&mut self, id: u64, world: &mut World) -> Held {
        self.leave_copy(id, world);
        self.job_ends(id, world);
        Ok(())
    }

    pub(crate) fn job_ends(&mut self, id: u64, world: &mut World) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.stage = Stage::Finished;
        let task = job.task.id;
        self.locks_of_job_end(id);
        if self.closing {
            self.jobs.remove(&id);
        }
        let life = world.life;
        world.soon(0, 4, Happening::Ended { life, task });
    }

    /// A job on the copy begins: no other may be there.
    fn enter_copy(&mut self, piece: &Piece<'_>, world: &mut World) -> Held {
        let copy = world.machine.copy(piece.task.id);
        copy.jobs += 1;
        if copy.jobs > 1 {
            return broken("two jobs work on one copy");
        }
        Ok(())
    }

    fn leave_copy(&mut self, id: u64, world: &mut World) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let inside = matches!(job.stage, Stage::At(done) if done > 0);
        if is_about_workspace(&job.effect) && inside {
            let copy = world.machine.copy(job.task.id);
            copy.jobs = copy.jobs.saturating_sub(1);
        }
    }

    fn prepare(&mut self, piece: Piece<'_>, world: &mut World) -> Held {
        let task = piece.task;
        if piece.done == 0 {
            self.enter_copy(&piece, world)?;
            world.machine.copy(task.id).content = None;
            return self.goes_on(piece.id, 1, world);
        }
        if piece.fails {
            return self.reports(piece.id, cannot("copy the folder"), world);
        }
        let folder: usize = task.spec.folder.parse().unwrap();
        let content = world.machine.folders[folder];
        world.machine.copy(task.id).content = Some(content);
        let command = |name: &str| CommandLine::new(name, []);
        let number = task.spec.number;
        let prepared = PreparedWorkspace {
            path: format!("copy/{number}"),
            base: snapshot(content),
            tree: tree(content),
            files: 3,
            checks: ["build", "test"][..(number % 3) as usize]
                .iter()
                .map(|name| command(name))
                .collect(),
            setup: number.is_multiple_of(2).then(|| command("install")),
            allowed_commands: Vec::new(),
            notes: Vec::new(),
        };
        self.reports(piece.id, Report::WorkspacePrepared(prepared), world)
    }

    fn plan(&mut self, piece: Piece<'_>, world: &mut World) -> Held {
        if piece.fails {
            let reason = "no answer".to_owned();
            return self.reports(piece.id, Report::PlannerFailed { reason }, world);
        }
        self.used_prime(piece.task.id, PrimePurpose::Plan, world);
        let mut steps = Vec::new();
        let many = 1 + world.hands.below(8);
        // Some planners let their steps wait for each other, some do not.
        let bound = world.hands.pick(&[0, 15, 40, 80]).copied().unwrap_or(40);
        for number in 1..=many {
            steps.push(some_step(number, bound, &steps, world));
        }
        let report = match Plan::new(steps) {
            Ok(plan) => Report::Planned(plan),
            Err(bad) => Report::PlannerFailed {
                reason: bad.to_string(),
            },
        };
        self.reports(piece.id, report, world)
    }

    fn set_up(&mut self, piece: Piece<'_>, world: &mut World) -> Held {
        if piece.done == 0 {
            self.enter_copy(&piece, world)?;
            return self.goes_on(piece.id, 1, world);
        }
        if piece.stopped {
            return self.ends_silently(piece.id, world);
        }
        let Some(content) = world.machine.copy(piece.task.id).content else {
            return broken("set-up runs in a copy that is not there");
        };
        let evidence = evidence("install", content, true, world);
        self.reports(piece.id, Report::SetupRan(evidence), world)
    }

    fn check_work(&mut self, piece: Piece<'_>, time: CheckTime, world: &mut World) -> Held {
        if piece.done == 0 {
            self.enter_copy(&piece, world)?;
            return self.goes_on(piece.id, 1, world);
        }
        if piece.stopped && world.hands.percent(70) {
            return self.ends_silently(piece.id, world);
        }
        let Some(content) = world.machine.copy(piece.task.id).content else {
            return broken("checks run in a copy that is not there");
        };
        if piece.fails {
            return self.reports(piece.id, cannot("run the checks"), world);
        }
        let Some(prepared) = piece.task.workspace.prepared() else {
            return self.ends_silently(piece.id, world);
        };
        let mut proofs = Vec::new();
        for command in &prepared.checks {
            let green = world.hands.percent(80);
            proofs.push(evidence(&command.program, content, green, world));
        }
        let changes = changes(content_of(prepared.tree.as_str()), content);
        let run = CheckRun {
            time,
            tree: tree(content),
            evidence: proofs,
        };
        self.reports(piece.id, Report::ChecksRan { run, changes }, world)
    }

    /// NEXUS Prime is asked what becomes of a step.
    fn judge(&mut self, piece: Piece<'_>, turn: TurnId, world: &mut World) -> Held {
        if piece.done == 0 {
            return self.goes_on(piece.id, 1, world);
        }
        if piece.stopped && world.hands.percent(50) {
            return self.ends_silently(piece.id, world);
        }
        let task = piece.task;
        self.used_prime(task.id, PrimePurpose::Judgement, world);
        if piece.fails {
            let reason = "no answer".to_owned();
            return self.reports(piece.id, Report::JudgeFailed { turn, reason }, world);
        }
        let mut ruling = some_ruling(task, world);
        world.saw(ruling.name());
        world
            .machine
            .rulings
            .insert((task.id, turn), ruling.clone());
        if world.has(Bug::IgnoresRuling) && matches!(ruling, Ruling::Retry { .. }) {
            ruling = Ruling::Accept;
        }
        let reason = "so it seems".to_owned();
        let report = Report::Judged {
            turn,
            ruling,
            reason,
        };
        self.reports(piece.id, report, world)
    }

    /// Prime was asked, and that has its price, whatever it answers.
    fn used_prime(&mut self, task: TaskId, purpose: PrimePurpose, world: &mut World) {
        let cost = u64::try_from(world.hands.below(10)).unwrap_or(0);
        let usage = Usage {
            input_tokens: 5,
            cost: world.hands.percent(90).then_some(Usd::from_micros(cost)),
            ..Usage::default()
        };
        let report = Report::PrimeAsked {
            purpose,
            model: "some".to_owned(),
            calls: 1,
            usage,
        };
        let reply = Reply::Nobody;
        self.put(
            Input::News {
                task,
                report,
                reply,
            },
            world,
        );
    }

    /// Puts a lane and the task's copy together, without writing to either.
    fn plan_merge(&mut self, piece: Piece<'_>, step: StepId, world: &mut World) -> Held {
        let task = piece.task;
        if piece.done == 0 {
            self.enter_copy(&piece, world)?;
            let planned = task.step(step).and_then(|step| {
                let lane = Place::of(task.id, step.seat_id()?);
                Some((lane, content_of(step.base.as_ref()?.as_str())))
            });
            let Some((lane, base)) = planned else {
                return broken("a step is merged that has no lane");
            };
            let stale = world.has(Bug::MergesTwice);
            let both = world.machine.put_together(lane, base, stale);
            if both.is_none() {
                return broken("a lane is merged that is not there");
            }
            if let Some(job) = self.jobs.get_mut(&piece.id) {
                job.both = both;
            }
            return self.goes_on(piece.id, 1, world);
        }
        if piece.stopped && world.hands.percent(70) {
            return self.ends_silently(piece.id, world);
        }
        if piece.fails {
            return self.reports(piece.id, cannot("put a lane together"), world);
        }
        let both = self.jobs.get_mut(&piece.id).and_then(|job| job.both.take());
        let Some((both, conflicts)) = both else {
            return self.ends_silently(piece.id, world);
        };
        if !conflicts.is_empty() {
            world.saw("conflict");
        }
        let report = Report::MergePlanned {
            step,
            tree: tree(both),
            conflicts,
        };
        self.reports(piece.id, report, world)
    }

    /// Writes what was put together to the task's copy, one file at a time.
    fn merge(&mut self, piece: Piece<'_>, step: StepId, tree: &TreeId, world: &mut World) -> Held {
        let task = piece.task.id;
        if piece.done == 0 {
            self.enter_copy(&piece, world)?;
            return self.goes_on(piece.id, 1, world);
        }
        if world.has(Bug::SkipsMerge) {
            return self.reports(piece.id, Report::Merged { step }, world);
        }
        if piece.stopped {
            return self.ends_silently(piece.id, world);
        }
        if piece.fails {
            return self.reports(piece.id, cannot("write a merge"), world);
        }
        let planned = content_of(tree.as_str());
        let Some(number) = planned.get(piece.done - 1) else {
            world.machine.copy(task).half_merged = false;
            return self.reports(piece.id, Report::Merged { step }, world);
        };
        world.machine.write_merged(task, piece.done - 1, *number)?;
        if world.has(Bug::BranchesDirty) {
            // Another lane, ahead of need.
            let (role, number) = (Role::Code, 99);
            world
                .machine
                .branch(Place::of(task, SeatId { role, number }))?;
        }
        self.goes_on(piece.id, piece.done + 1, world)
    }

    fn plan_apply(&mut self, piece: Piece<'_>, world: &mut World) -> Held {
        let task = piece.task;
        if !self.takes_folder(&piece, world) {
            return Ok(());
        }
        let (Some(was), Some(run)) = (task.workspace.prepared(), &task.evidence) else {
            return self.ends_silently(piece.id, world);
        };
        if piece.fails {
            let reason = "cannot read the folder".to_owned();
            return self.reports(piece.id, Report::ApplyFailed { reason }, world);
        }
        let from = content_of(was.tree.as_str());
        let operations = operations(from, content_of(run.tree.as_str()));
        let folder = task.spec.folder.parse().unwrap();
        let conflicts = world.machine.conflicts(folder, &operations);
        if !conflicts.is_empty() {
            return self.reports(piece.id, Report::ApplyConflicted { conflicts }, world);
        }
        if world.has(Bug::AppliesUnrecorded) {
            return self.apply(piece, &operations, world);
        }
        self.reports(piece.id, Report::ApplyPlanned { operations }, world)
    }

    /// Carries the journal out, one operation at a time.
    fn apply(&mut self, piece: Piece<'_>, operations: &[FileOperation], world: &mut World) -> Held {
        let task = piece.task;
        if !self.takes_folder(&piece, world) {
            return Ok(());
        }
        let folder = task.spec.folder.parse().unwrap();
        if piece.done == 0 {
            let conflicts = world.machine.conflicts(folder, operations);
            if !conflicts.is_empty() {
                // What an earlier try had written before it was cut short.
                for done in operations {
                    world.machine.take_back(task.id, folder, done);
                }
                return self.reports(piece.id, Report::ApplyConflicted { conflicts }, world);
            }
        }
        let Some(operation) = operations.get(piece.done) else {
            return self.reports(piece.id, Report::Applied, world);
        };
        let met = world
            .machine
            .conflicts(folder, std::slice::from_ref(operation));
        if piece.fails || !met.is_empty() {
            for done in operations {
                world.machine.take_back(task.id, folder, done);
            }
            let report = if met.is_empty() {
                let reason = "no space left".to_owned();
                Report::ApplyFailed { reason }
            } else {
                Report::ApplyConflicted { conflicts: met }
            };
            return self.reports(piece.id, report, world);
        }
        if !world.books.may_apply(task.id) {
            return broken("the folder is written although nobody may");
        }
        world.tell(|| format!("{} writes {}", task.spec.name(), operation.path));
        world.machine.write(task.id, folder, operation);
        self.goes_on(piece.id, piece.done + 1, world)
    }

    /// Puts the copy's content aside, then removes it.
    fn drop_copy(&mut self, piece: Piece<'_>, world: &mut World) -> Held {
        let task = piece.task.id;
        if piece.done == 0 {
            self.enter_copy(&piece, world)?;
            return self.goes_on(piece.id, 1, world);
        }
        if piece.fails {
            return self.ends_silently(piece.id, world);
        }
        if world.machine.works_for(task) {
            return broken("a copy is removed while an agent works in it");
        }
        let copy = world.machine.copy(task);
        if piece.done == 1 {
            copy.kept = copy.content.or(copy.kept);
            return self.goes_on(piece.id, 2, world);
        }
        let kept = copy.kept.map(snapshot);
        world.machine.remove_copy(task);
        world.tell(|| format!("the copy of {} is gone", piece.task.spec.name()));
        self.reports(piece.id, Report::WorkspaceDropped { kept }, world)
    }

    /// Makes the copy anew from what was kept.
    fn restore_copy(&mut self, piece: Piece<'_>, from: Content, world: &mut World) -> Held {
        let task = piece.task;
        let Some(was) = task.workspace.prepared() else {
            return self.ends_silently(piece.id, world);
        };
        match piece.done {
            0 => {
                self.enter_copy(&piece, world)?;
                world.machine.copy(task.id).content = None;
                self.goes_on(piece.id, 1, world)
            }
            _ if piece.fails => self.reports(piece.id, cannot("restore the copy"), world),
            1 => {
                let base = content_of(was.tree.as_str());
                world.machine.copy(task.id).content = Some(base);
                self.goes_on(piece.id, 2, world)
            }
            _ => {
                world.machine.copy(task.id).content = Some(from);
                let path = was.path.clone();
                self.reports(piece.id, Report::WorkspaceRestored { path }, world)
            }
        }
    }

    /// Takes the lock of the folder, or tries again in a moment.
    fn takes_folder(&mut self, piece: &Piece<'_>, world: &mut World) -> bool {
        let folder = &piece.task.spec.folder;
        let holder = *self.folder_locks.entry(folder.clone()).or_insert(piece.id);
        if holder == piece.id {
            return true;
        }
        let (life, job) = (world.life, piece.id);
        world.soon(50, 500, Happening::Job { life, job });
        false
    }

    fn locks_of_job_end(&mut self, id: u64) {
        self.folder_locks.retain(|_, holder| *holder != id);
    }

    /// Ends the turns of seats that are gone without having ended them.
    fn mourn(&mut self, task: &Task, world: &mut World) {
        let Some(hands) = self.hands.get_mut(&task.id) else {
            return;
        };
        hands.handed.retain(|turn, _| task.turns.contains_key(turn));
        let sitters = &self.sitters;
        let mut lost = Vec::new();
        for (turn, handed) in &mut hands.handed {
            let gone = hands
                .seats
                .get(&handed.seat)
                .is_none_or(|seat| !sitters.contains_key(&seat.sitter));
            if gone && !std::mem::replace(&mut handed.lost, true) {
                lost.push(*turn);
            }
        }
        for turn in lost {
            self.end_turn(task.id, turn, TurnOutcome::OutputLost, world);
        }
    }

    /// A seat, taken with the session the task has for it now.
    fn seat(&mut self, task: &Arc<Task>, id: SeatId, world: &mut World) -> Option<u64> {
        let session = task.sessions.get(&id)?.id;
        let known = self.hands.get(&task.id)?.seats.get(&id).copied();
        if let Some(seat) = known {
            if seat.session == session && self.sitters.contains_key(&seat.sitter) {
                return Some(seat.sitter);
            }
            self.leave_seat(task.id, id, world);
        }
        let sitter = self.take_seat(task.id, id, session, world);
        self.hands
            .get_mut(&task.id)?
            .seats
            .insert(id, Seat { session, sitter });
        Some(sitter)
    }

    fn run_turn(&mut self, task: &Arc<Task>, turn: TurnId, world: &mut World) {
        let handed = self
            .hands
            .get(&task.id)
            .is_some_and(|hands| hands.handed.contains_key(&turn));
        if handed && !world.has(Bug::HandsOverTwice) {
            return;
        }
        let Some(seat) = task.turns.get(&turn).map(|turn| turn.seat) else {
            return;
        };
        if let Some(sitter) = self.seat(task, seat, world) {
            self.seat_order(sitter, SeatOrder::Run { turn }, world);
            if let Some(hands) = self.hands.get_mut(&task.id) {
                hands.handed.insert(turn, Handed { seat, lost: false });
            }
        }
    }

    /// Stops turns that run although the task does not want them any more.
    fn stop_unwanted_turns(&mut self, task: &Task, world: &mut World) {
        let wanted = task.owed();
        let is_wanted = |turn: TurnId| wanted.contains(&Effect::RunTurn { turn });
        let unwanted: Vec<_> = task
            .turns
            .values()
            .filter(|turn| !is_wanted(turn.id))
            .map(|turn| (turn.id, turn.seat))
            .collect();
        for (turn, id) in unwanted {
            let Some(hands) = self.hands.get_mut(&task.id) else {
                return;
            };
            let seat = hands.seats.get(&id).map(|seat| seat.sitter);
            match (hands.handed.get(&turn), seat) {
                (Some(_), Some(sitter)) if world.has(Bug::SaysStoppedEarly) => {
                    self.seat_order(sitter, SeatOrder::Stop { turn }, world);
                    self.end_turn(task.id, turn, TurnOutcome::Interrupted, world);
                }
                (Some(_), Some(sitter)) => {
                    self.seat_order(sitter, SeatOrder::Stop { turn }, world);
                }
                // Its end is on its way.
                (Some(_), None) => {}
                // Called off before anybody had begun it.
                (None, _) => {
                    let handed = Handed {
                        seat: id,
                        lost: true,
                    };
                    hands.handed.insert(turn, handed);
                    self.end_turn(task.id, turn, TurnOutcome::Interrupted, world);
                }
            }
        }
    }

    /// Closes seats whose session is not wanted and that run nothing.
    fn close_unwanted_seats(&mut self, task: &Task, world: &mut World) {
        let owed = task.owed();
        let wanted = |id: SeatId| {
            owed.iter()
                .any(|effect| matches!(effect, Effect::WarmSession { seat, .. } if *seat == id))
                || task.turns.values().any(|turn| turn.seat == id)
        };
        let Some(hands) = self.hands.get(&task.id) else {
            return;
        };
        let unwanted: Vec<_> = hands
            .seats
            .keys()
            .copied()
            .filter(|seat| !wanted(*seat))
            .collect();
        for seat in unwanted {
            self.leave_seat(task.id, seat, world);
        }
    }

    /// Passes answers on to the seats that wait for them.
    pub(crate) fn heard(&mut self, task: &Task, events: &[&Event], world: &mut World) {
        let Some(hands) = self.hands.get(&task.id) else {
            return;
        };
        let sitters: Vec<u64> = hands.seats.values().map(|seat| seat.sitter).collect();
        for event in events {
            if let Event::ApprovalAnswered { id, .. } = event
                && !world.has(Bug::LosesAnswers)
            {
                for sitter in &sitters {
                    self.seat_order(*sitter, SeatOrder::Answered { id: *id }, world);
                }
            }
        }
    }

    /// Reports the end of a turn in the place of a seat.
    fn end_turn(&mut self, task: TaskId, turn: TurnId, outcome: TurnOutcome, world: &mut World) {
        self.errand_begins(task);
        let report = Report::TurnEnded(TurnReport {
            turn,
            outcome,
            usage: Usage::default(),
            duration_ms: 0,
            covers_lost: false,
        });
        let reply = Reply::Errand(task);
        self.put(
            Input::News {
                task,
                report,
                reply,
            },
            world,
        );
    }

    /// Begins nothing more, and asks everything to end.
    pub(crate) fn let_go(&mut self, world: &mut World) {
        if self.closing {
            return;
        }
        world.tell(|| "NEXUS is asked to end".to_owned());
        self.closing = true;
        for task in std::mem::take(&mut self.hands).into_keys() {
            let sitters = self.sitters.values_mut();
            for sitter in sitters.filter(|sitter| sitter.task == task) {
                sitter.close(world);
            }
        }
        self.jobs.retain(|_, job| !job.is_finished());
        for (id, job) in &mut self.jobs {
            job.stop_asked = true;
            let (life, job) = (world.life, *id);
            world.soon(0, 3000, Happening::Job { life, job });
        }
        // Who only rests before another look does not hold up the end.
        self.errands.clear();
    }
}

/// A job on its way.
struct Piece<'a> {
    id: u64,
    task: &'a Task,
    /// So many pieces were done before.
    done: usize,
    fails: bool,
    stopped: bool,
}

fn cannot(what: &str) -> Report {
    Report::Failed(Failure {
        kind: FailureKind::Environment,
        message: format!("failed to {what}"),
    })
}

fn evidence(program: &str, content: Content, green: bool, world: &World) -> Evidence {
    Evidence {
        command: CommandLine::new(program, []),
        end: CommandEnd::Exited {
            code: i32::from(!green),
        },
        output_sha256: "0".repeat(64),
        output_tail: String::new(),
        tree: tree(content),
        started_at: world.machine.wall(),
        duration_ms: 7,
    }
}

/// What differs between two contents.
pub(crate) fn changes(from: Content, to: Content) -> Vec<FileChange> {
    let change = |operation: FileOperation| FileChange {
        path: operation.path,
        change: nexus_core::ChangeKind::Modified,
        lines: Some(LineCount::default()),
    };
    operations(from, to).into_iter().map(change).collect()
}

/// What Prime could say of a step: mostly that it will do.
fn some_ruling(task: &Task, world: &mut World) -> Ruling {
    let words = || "look again".to_owned();
    match world.hands.below(if world.calm { 12 } else { 8 }) {
        0 => Ruling::Retry { feedback: words() },
        1 => Ruling::Replan {
            steps: some_more_steps(task, world),
        },
        2 => Ruling::Ask { question: words() },
        _ => Ruling::Accept,
    }
}

/// Steps that go on from those of a task.
pub(crate) fn some_more_steps(task: &Task, world: &mut World) -> Vec<PlannedStep> {
    let mut steps: Vec<PlannedStep> = task.steps.iter().map(|it| it.planned.clone()).collect();
    let known = steps.len();
    let last = steps.iter().map(|step| step.id.0).max().unwrap_or(0);
    for number in 1..=1 + world.hands.below(2) {
        let number = last as usize + number;
        steps.push(some_step(number, 15, &steps, world));
    }
    steps.split_off(known)
}

/// A step of a plan that a planner could make: any kind, after some of those before it.
fn some_step(
    number: usize,
    bound: usize,
    before: &[PlannedStep],
    world: &mut World,
) -> PlannedStep {
    let kinds = [
        StepKind::Analysis,
        StepKind::Implementation,
        StepKind::Implementation,
        StepKind::Implementation,
        StepKind::Tests,
        StepKind::Validation,
    ];
    let kind = world.hands.pick(&kinds).copied().unwrap_or(kinds[0]);
    let mut step = PlannedStep::new(
        StepId(u32::try_from(number).unwrap()),
        kind,
        format!("{} {}", kind.name(), number % 3),
        String::new(),
    );
    for earlier in before {
        // Nothing waits for a judgement, which waits for everything.
        let may_wait = earlier.kind != StepKind::Validation || kind == StepKind::Validation;
        if may_wait && world.hands.percent(bound) {
            step.after.push(earlier.id);
        }
    }
    if world.hands.percent(20) {
        step.priority = Priority::High;
    }
    if world.hands.percent(30) {
        step.paths.push(path(world.hands.below(3)).to_string());
    }
    step
}
