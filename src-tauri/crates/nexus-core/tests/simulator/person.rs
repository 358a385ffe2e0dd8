//! The person: makes tasks, gives orders at any moment, also senseless ones and also twice,
//! and answers questions.

use crate::{
    dice::Dice,
    engine::Input,
    hands::some_more_steps,
    sim::{Happening, Held, Sim, World, task_id},
};
use nexus_core::{
    ANSWER_WITHIN, Answer, ApprovalId, Command, DayCaps, FloorEvent, Limits, Permissions, Phase,
    PlannedStep, PlannerKind, Priority, ProjectId, Question, Recipient, Role, RuleId, Task, TaskId,
    TaskSpec, Team, Terms, Usd,
};
use std::sync::Arc;
use uuid::Uuid;

impl Sim {
    /// The person looks at the board and does something about it, or not.
    pub(crate) fn person_acts(&mut self) -> Held {
        let world = &mut self.world;
        let wait = if world.calm {
            world.people.between(5_000, 120_000)
        } else {
            world.people.between(50, 20_000)
        };
        world.after(wait, Happening::Person);
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        if !world.calm && world.made < world.scenario.tasks && world.people.percent(60) {
            let known: Vec<TaskId> = engine.desk.tasks.keys().copied().collect();
            let (id, spec) = some_task(&known, world);
            let start = world.people.percent(85);
            world.machine.wishes.insert(id, spec.clone());
            let spec = Box::new(spec);
            engine.put(Input::Create { id, spec, start }, world);
            return Ok(());
        }
        let tasks: Vec<Arc<Task>> = engine.desk.tasks.values().cloned().collect();
        if let Some((task, id, question)) = some_approval(&tasks, world) {
            let answer = some_answer(&question, world);
            let digest = match world.people.below(if world.calm { 2 } else { 20 }) {
                0 => None,
                19 => Some("of something else".to_owned()),
                _ => Some(question.digest()),
            };
            let command = Command::Answer {
                approval: id,
                answer,
                digest,
            };
            world.machine.answered.insert((task, id));
            let twice = world.people.percent(10);
            engine.order(task, command.clone(), world);
            if twice {
                engine.order(task, command, world);
            }
            return Ok(());
        }
        if world.calm || !world.people.percent(50) {
            return Ok(());
        }
        if world.people.percent(10) {
            let input = some_order_to_all(world);
            engine.put(input, world);
            return Ok(());
        }
        // What is ready to be looked at is looked at sooner than the rest.
        let is_ready = |task: &&Arc<Task>| matches!(task.phase, Phase::Review { .. });
        let ready: Vec<_> = tasks.iter().filter(is_ready).cloned().collect();
        let from = match ready.is_empty() || world.people.percent(60) {
            true => &tasks,
            false => &ready,
        };
        let Some(task) = world.people.pick(from).cloned() else {
            return Ok(());
        };
        let command = some_order(&task, world);
        if world.people.percent(15) {
            engine.order(task.id, command.clone(), world);
        }
        engine.order(task.id, command, world);
        Ok(())
    }
}

fn some_task(known: &[TaskId], world: &mut World) -> (TaskId, TaskSpec) {
    world.made += 1;
    let terms = some_terms(known, world);
    let people = &mut world.people;
    let cap = people.below(200) as u64 + 20;
    let seats = u32::try_from(people.below(4)).unwrap_or(0);
    let spec = TaskSpec {
        number: 0,
        project: ProjectId::new(Uuid::from_u128(2)),
        project_name: "demo".into(),
        folder: people.below(world.scenario.folders).to_string(),
        title: "Fix the sum".into(),
        text: "The sum is wrong".into(),
        team: if people.percent(85) {
            Team::Claude
        } else {
            Team::Practice
        },
        planner: match people.below(10) {
            0..3 => PlannerKind::Openai,
            3..6 => PlannerKind::Claude,
            _ => PlannerKind::Standard,
        },
        permissions: if people.percent(70) {
            Permissions::Workspace
        } else {
            Permissions::All
        },
        limits: some_limits(people),
        answer_within: if people.percent(50) {
            ANSWER_WITHIN
        } else {
            300
        },
        priority: some_priority(people),
        budget: people.percent(30).then_some(Usd::from_micros(cap)),
        fingerprint: String::new(),
        attended: people.percent(85),
        terms: Terms {
            plan_first: people.percent(25),
            seats: people.percent(70).then_some(1 + seats),
            ..terms
        },
    };
    (task_id(world.made), spec)
}

/// Sometimes it has to wait for others, and rarely for one that is not there.
fn some_terms(known: &[TaskId], world: &mut World) -> Terms {
    let people = &mut world.people;
    let mut after: Vec<TaskId> = Vec::new();
    if people.percent(40) {
        after.extend(people.pick(known));
        after.extend(people.pick(known));
    }
    if people.percent(3) {
        after.push(task_id(99));
    }
    Terms {
        after,
        shares_context: people.percent(50),
        ..Terms::default()
    }
}

fn some_priority(people: &mut Dice) -> Priority {
    people.pick(&Priority::ALL).copied().unwrap_or_default()
}

/// Mostly none.
fn some_limits(dice: &mut Dice) -> Limits {
    let mut limit = |most: usize| dice.percent(10).then(|| 1 + dice.below(most) as u64);
    Limits {
        tokens: limit(200),
        seconds: limit(1800),
        turns: limit(12).and_then(|turns| u32::try_from(turns).ok()),
    }
}

/// Something that concerns more than one task.
fn some_order_to_all(world: &mut World) -> Input {
    let dice = &mut world.people;
    match dice.below(4) {
        0 => Input::StopAll,
        1 => Input::OpenAccount { team: Team::Claude },
        2 => {
            let money = dice.below(400) as u64 + 1;
            let caps = DayCaps {
                money: dice.percent(50).then(|| Usd::from_micros(money)),
                limits: some_limits(dice),
            };
            let events = vec![FloorEvent::DayCapsSet { caps }];
            Input::Floor { events }
        }
        _ => {
            let id = RuleId(1);
            let events = vec![FloorEvent::RuleRevoked { id }];
            Input::Floor { events }
        }
    }
}

/// A question on the board, or one that was there; in a calm each is answered in time.
fn some_approval(tasks: &[Arc<Task>], world: &mut World) -> Option<(TaskId, ApprovalId, Question)> {
    let open = tasks.iter().flat_map(|task| {
        let of = |(id, approval): (&ApprovalId, &Arc<nexus_core::Approval>)| {
            (task.id, *id, approval.question.clone())
        };
        task.approvals.iter().map(of)
    });
    let open: Vec<_> = open.collect();
    if !world.calm && world.people.percent(5) {
        let task = world.people.pick(tasks)?.id;
        let question = Question::RoundsUsedUp {
            rounds: 0,
            findings: Vec::new(),
        };
        return Some((task, task.approval(1), question));
    }
    if world.calm || world.people.percent(60) {
        return world.people.pick(&open).cloned();
    }
    None
}

fn some_answer(question: &Question, world: &mut World) -> Answer {
    let deny = Answer::Deny {
        reason: "no".to_owned(),
    };
    if !world.calm && world.people.percent(8) {
        return Answer::AllowForTask;
    }
    match question {
        Question::Open { .. } => Answer::Text {
            text: "this one".to_owned(),
        },
        Question::Tool { .. } => match world.people.below(8) {
            0 | 1 => deny,
            2 | 3 => Answer::AllowForTask,
            4 => Answer::AllowForProject,
            5 => Answer::AllowAlways,
            _ => Answer::Allow,
        },
        Question::RoundsUsedUp { .. } if world.calm || world.people.percent(50) => deny,
        Question::RoundsUsedUp { .. } => Answer::Allow,
        Question::Plan { .. } if !world.calm && world.people.percent(20) => deny,
        Question::Plan { .. } => Answer::Allow,
        Question::HandedIn { .. } => match world.people.below(6) {
            0 => deny,
            1 => Answer::Text {
                text: "try harder".to_owned(),
            },
            _ => Answer::Allow,
        },
    }
}

/// The steps of the plan in another order, with more of them, or without some.
fn some_edit(task: &Task, world: &mut World) -> Command {
    let mut steps: Vec<PlannedStep> = task.steps.iter().map(|it| it.planned.clone()).collect();
    let people = &mut world.people;
    if people.percent(40) && !steps.is_empty() {
        let first = people.below(steps.len());
        steps.rotate_left(first);
    }
    if people.percent(40) && !steps.is_empty() {
        let gone = steps.remove(people.below(steps.len()));
        for step in &mut steps {
            step.after.retain(|before| *before != gone.id);
        }
    }
    if people.percent(20)
        && let Some(any) = steps.last_mut()
    {
        any.description = "something else".to_owned();
    }
    let older = u32::from(people.percent(10));
    if people.percent(50) {
        steps.extend(some_more_steps(task, world));
    }
    Command::EditPlan {
        version: task.plan_version.saturating_sub(older),
        steps,
    }
}

fn some_words(people: &mut Dice) -> Command {
    let ends = [
        Recipient::Prime,
        Recipient::Aria,
        Recipient::Code,
        Recipient::Code,
        Recipient::Alpha,
        Recipient::Beta,
        Recipient::Team,
        Recipient::Person,
    ];
    let to = people.pick(&ends).copied().unwrap_or(Recipient::Team);
    let words = ["f1 matters", "and f2", " "];
    let text = people.pick(&words).copied().unwrap_or("");
    Command::Say {
        to,
        text: text.to_owned(),
        urgent: people.percent(50),
    }
}

/// Mostly something that makes sense for the task as it is, sometimes anything.
fn some_order(task: &Task, world: &mut World) -> Command {
    let edit = some_edit(task, world);
    let say = some_words(&mut world.people);
    let changes = Command::RequestChanges {
        text: ["more", "more in f0"][world.people.below(2)].to_owned(),
    };
    let people = &mut world.people;
    let cap = people
        .percent(50)
        .then(|| Usd::from_micros(people.below(400) as u64));
    let budget = if people.percent(60) {
        Command::SetBudget { budget: cap }
    } else {
        let limits = some_limits(people);
        Command::SetLimits { limits }
    };
    let priority = Command::SetPriority {
        priority: some_priority(people),
    };
    let roles = Role::AGENTS;
    let role = people.pick(&roles).copied().unwrap_or(Role::Code);
    let revoke = Command::Revoke {
        digest: task
            .allowed
            .first()
            .map_or_else(String::new, |grant| grant.digest.clone()),
    };
    let accept = Command::Accept {
        although_red: people.percent(60),
    };
    let sensible = match &task.phase {
        Phase::Backlog => vec![Command::Start, Command::Start, Command::Cancel],
        Phase::Queued => vec![
            Command::Pause,
            Command::Cancel,
            budget.clone(),
            priority.clone(),
            Command::Start,
            Command::Unchain,
            edit.clone(),
        ],
        Phase::Active => vec![
            Command::Pause,
            Command::Pause,
            Command::Cancel,
            budget.clone(),
            edit.clone(),
            say.clone(),
            say.clone(),
        ],
        Phase::Paused { .. } => vec![
            Command::Resume,
            Command::Resume,
            Command::Resume,
            Command::Cancel,
            budget.clone(),
            edit.clone(),
        ],
        Phase::Failed { .. } => vec![
            Command::Resume,
            Command::Resume,
            Command::Cancel,
            edit.clone(),
        ],
        Phase::Review { .. } => vec![
            accept.clone(),
            accept.clone(),
            changes.clone(),
            Command::Discard,
        ],
        Phase::Cancelled { .. } => vec![Command::Restore],
        Phase::Accepting { .. } | Phase::Done => vec![Command::Cancel, Command::Discard],
    };
    let anything = [
        Command::Start,
        Command::Pause,
        Command::Resume,
        Command::Cancel,
        changes,
        budget,
        priority,
        accept,
        Command::Unchain,
        Command::Discard,
        Command::Restore,
        Command::ReplaceSession { role },
        revoke,
        edit,
        say,
    ];
    let from = if people.percent(80) {
        &sensible[..]
    } else {
        &anything[..]
    };
    people.pick(from).cloned().unwrap_or(Command::Pause)
}
