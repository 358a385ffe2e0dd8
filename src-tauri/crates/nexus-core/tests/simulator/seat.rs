//! Seats: a session, the process that carries it, and what its agent takes into its head.

use crate::{
    engine::{Engine, Input, Reply},
    hands::changes,
    machine::{Place, Process, content_of, path, snapshot},
    scenario::{Bug, Fault},
    sim::{Happening, Held, World, broken},
};
use nexus_core::{
    ApprovalId, Event, Finding, Flag, FlagKind, MessageKind, Permissions, ProcessEnd, Question,
    Recipient, Report, Role, SeatId, SessionId, Severity, Step, StepId, StepResult, TaskId,
    ToolRequest, TurnId, TurnOutcome, TurnReport, Usage, Usd, Verdict, Writes,
};
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// The dispatcher's end of a seat.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) session: SessionId,
    pub(crate) sitter: u64,
}

/// What the dispatcher may ask of a seat.
#[derive(Debug)]
pub(crate) enum SeatOrder {
    Run { turn: TurnId },
    Stop { turn: TurnId },
    Answered { id: ApprovalId },
}

/// Who sits there. Its number is also that of its process.
pub(crate) struct Sitter {
    id: u64,
    pub(crate) task: TaskId,
    seat: SeatId,
    session: SessionId,
    orders: VecDeque<SeatOrder>,
    /// The dispatcher has let go of its end.
    closed: bool,
    stage: Stage,
    open: bool,
    /// What the open process was told may be spent.
    opened_with: Option<Usd>,
    turn: Option<Running>,
    waiting: BTreeSet<ApprovalId>,
    /// When its latest turn began or ended.
    used_at: i64,
}

#[derive(Clone, Copy)]
struct Running {
    turn: TurnId,
    step: StepId,
    streaming: bool,
    stopping: bool,
    acts: u32,
}

#[derive(Debug)]
enum Stage {
    /// Waits until whoever carried this session before is gone.
    Locking,
    Opening {
        for_turn: bool,
    },
    /// Waits until nothing is being merged into the copy that its lane is branched off.
    Branching,
    Sitting,
    /// Waits until what was told is recorded.
    Telling(Then),
    Closing,
}

/// What follows when it is recorded.
#[derive(Debug)]
enum Then {
    GoOn,
    /// A question was put.
    Asked,
    /// The turn ends so.
    End(TurnOutcome),
    /// The turn has ended so, and its process is gone.
    Report(TurnOutcome, Usage),
    /// The process is there.
    Opened {
        for_turn: bool,
    },
    /// The turn begins from a known content.
    Prompt,
    /// The process has to be started anew.
    Open,
    /// No process is in the lane, so that it can be made.
    Branch,
    /// The lane is there, so that a process can be started in it.
    Branched,
    /// What was done is kept, so the agent may be stopped.
    Interrupt,
    /// So the seat may be left.
    Leave,
    /// The process is gone, and so is the sitter.
    Gone,
}

/// A session without a turn for this long gives its process up.
const IDLE: i64 = 1800 * 1000;

impl Sitter {
    /// Where its agent works.
    fn place(&self) -> Place {
        Place::of(self.task, self.seat)
    }

    fn writes(&self) -> bool {
        self.seat.role.writes() == Writes::Workspace
    }

    pub(crate) fn close(&mut self, world: &mut World) {
        self.closed = true;
        let (life, sitter) = (world.life, self.id);
        world.soon(0, 20, Happening::Sitter { life, sitter });
    }

    /// Does it run a turn, has it been given one, or is it about to leave?
    pub(crate) fn is_at_work(&self) -> bool {
        let given = |order: &SeatOrder| matches!(order, SeatOrder::Run { .. });
        self.turn.is_some()
            || self.closed
            || self.orders.iter().any(given)
            || matches!(self.stage, Stage::Telling(_))
    }
}

impl Engine {
    pub(crate) fn take_seat(
        &mut self,
        task: TaskId,
        seat: SeatId,
        session: SessionId,
        world: &mut World,
    ) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let sitter = Sitter {
            id,
            task,
            seat,
            session,
            orders: VecDeque::new(),
            closed: false,
            stage: Stage::Locking,
            open: false,
            opened_with: None,
            turn: None,
            waiting: BTreeSet::new(),
            used_at: world.machine.now,
        };
        self.sitters.insert(id, sitter);
        let life = world.life;
        world.soon(0, 50, Happening::Sitter { life, sitter: id });
        id
    }

    pub(crate) fn leave_seat(&mut self, task: TaskId, id: SeatId, world: &mut World) {
        let hands = self.hands.get_mut(&task);
        let Some(seat) = hands.and_then(|hands| hands.seats.remove(&id)) else {
            return;
        };
        if let Some(sitter) = self.sitters.get_mut(&seat.sitter) {
            sitter.close(world);
        }
    }

    pub(crate) fn seat_order(&mut self, id: u64, order: SeatOrder, world: &mut World) {
        if let Some(sitter) = self.sitters.get_mut(&id) {
            sitter.orders.push_back(order);
            let life = world.life;
            world.soon(0, 20, Happening::Sitter { life, sitter: id });
        }
    }

    pub(crate) fn sitter_gets_on(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        if world.hand_dies && sitter.open {
            world.hand_dies = false;
            self.sitter_dies(id, world);
            return Ok(());
        }
        match sitter.stage {
            Stage::Locking => {
                let holder = *self.session_locks.entry(sitter.session).or_insert(id);
                if holder == id || world.has(Bug::SharesSessions) {
                    sitter.stage = Stage::Opening { for_turn: false };
                    self.sitter_later(id, 100, 4000, world);
                } else {
                    self.sitter_later(id, 50, 500, world);
                }
                Ok(())
            }
            Stage::Opening { for_turn } => self.opens(id, for_turn, world),
            Stage::Branching => self.branches(id, world),
            Stage::Sitting => self.sits(id, world),
            Stage::Telling(_) => Ok(()),
            Stage::Closing => {
                if self.process_is_gone(id, ProcessEnd::Closed, Then::Gone, world) {
                    return Ok(());
                }
                self.sitter_ends(id, world);
                Ok(())
            }
        }
    }

    /// Takes the next order, leaves when there are none to come, or parks an idle process.
    fn sits(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        if let Some(order) = sitter.orders.pop_front() {
            return self.obeys(id, order, world);
        }
        if sitter.closed {
            if let Some(running) = sitter.turn
                && self.keeps_work(id, running.turn, Then::Leave, world)
            {
                return Ok(());
            }
            self.leaves(id, world);
            return Ok(());
        }
        let idle = sitter.open && sitter.turn.is_none();
        if idle && world.machine.now >= sitter.used_at + IDLE {
            world.tell(|| "an idle process is given up".to_owned());
            world.saw("idle process given up");
            self.process_is_gone(id, ProcessEnd::Closed, Then::GoOn, world);
        }
        Ok(())
    }

    fn leaves(&mut self, id: u64, world: &mut World) {
        if let Some(sitter) = self.sitters.get_mut(&id) {
            sitter.stage = Stage::Closing;
            self.sitter_later(id, 0, 5000, world);
        }
    }

    /// The process has ended; that is told before anything follows from it. False when there
    /// was none.
    fn process_is_gone(&mut self, id: u64, end: ProcessEnd, then: Then, world: &mut World) -> bool {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return false;
        };
        if !std::mem::take(&mut sitter.open) {
            return false;
        }
        world.machine.processes.remove(&id);
        let (role, session) = (sitter.seat.role, sitter.session);
        self.tells(id, Report::ProcessEnded { role, session, end }, then, world);
        true
    }

    /// Nothing is stopped before what it did is kept. False when there is nothing to keep.
    fn keeps_work(&mut self, id: u64, turn: TurnId, then: Then, world: &mut World) -> bool {
        let Some(sitter) = self.sitters.get(&id) else {
            return false;
        };
        let content = world.machine.content(sitter.place());
        let Some(content) = content.filter(|_| sitter.writes()) else {
            return false;
        };
        let snapshot = snapshot(content);
        self.tells(id, Report::WorkKept { turn, snapshot }, then, world);
        true
    }

    fn sitter_later(&self, id: u64, from: i64, to: i64, world: &mut World) {
        let life = world.life;
        world.soon(from, to, Happening::Sitter { life, sitter: id });
    }

    fn agent_later(&self, id: u64, from: i64, to: i64, world: &mut World) {
        let life = world.life;
        world.soon(from, to, Happening::Agent { life, sitter: id });
    }

    /// The sitter is gone, and its process with it.
    fn sitter_ends(&mut self, id: u64, world: &mut World) {
        if let Some(sitter) = self.sitters.remove(&id) {
            world.machine.processes.remove(&id);
            if self.session_locks.get(&sitter.session) == Some(&id) {
                self.session_locks.remove(&sitter.session);
            }
            let (life, task) = (world.life, sitter.task);
            world.soon(0, 4, Happening::Ended { life, task });
        }
    }

    /// Whoever finds it dead says that its process is gone.
    fn sitter_dies(&mut self, id: u64, world: &mut World) {
        let Some(sitter) = self.sitters.get(&id) else {
            return;
        };
        world.tell(|| "a sitter dies".to_owned());
        world.saw("sitter died");
        let (task, role, session) = (sitter.task, sitter.seat.role, sitter.session);
        let end = ProcessEnd::Killed;
        let report = Report::ProcessEnded { role, session, end };
        self.sitter_ends(id, world);
        self.errand_begins(task);
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

    fn obeys(&mut self, id: u64, order: SeatOrder, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        match order {
            SeatOrder::Run { turn } => return self.begins(id, turn, world),
            SeatOrder::Stop { turn } => {
                let running = sitter.turn.as_mut();
                let running = running.filter(|running| running.turn == turn);
                if let Some(running) = running
                    && !std::mem::replace(&mut running.stopping, true)
                {
                    if self.keeps_work(id, turn, Then::Interrupt, world) {
                        return Ok(());
                    }
                    self.agent_later(id, 0, 3000, world);
                }
            }
            SeatOrder::Answered { id: answered } => {
                sitter.waiting.remove(&answered);
                self.agent_later(id, 1, 200, world);
            }
        }
        self.sitter_later(id, 0, 5, world);
        Ok(())
    }

    fn begins(&mut self, id: u64, turn: TurnId, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let Some(task) = self.desk.tasks.get(&sitter.task) else {
            return Ok(());
        };
        let step = task.turns.get(&turn).map(|turn| turn.step);
        sitter.turn = Some(Running {
            turn,
            step: step.unwrap_or(StepId(0)),
            streaming: false,
            stopping: false,
            acts: 0,
        });
        sitter.used_at = world.machine.now;
        let base = task.turns.get(&turn).and_then(|turn| {
            let step = task.step(turn.step)?;
            step.base.clone()
        });
        if sitter.seat.is_lane() && base.is_none() {
            if !self.process_is_gone(id, ProcessEnd::Closed, Then::Branch, world) {
                self.branches_later(id, world);
            }
            return Ok(());
        }
        // A process keeps to what it was told at its start, so under a cap it starts anew.
        if sitter.open && sitter.opened_with != task.budget_left() {
            self.process_is_gone(id, ProcessEnd::Closed, Then::Open, world);
            return Ok(());
        }
        if sitter.open {
            return self.knows_base(id, world);
        }
        self.opens_later(id, world);
        Ok(())
    }

    fn opens_later(&mut self, id: u64, world: &mut World) {
        if let Some(sitter) = self.sitters.get_mut(&id) {
            sitter.stage = Stage::Opening { for_turn: true };
            self.sitter_later(id, 100, 4000, world);
        }
    }

    fn branches_later(&mut self, id: u64, world: &mut World) {
        if let Some(sitter) = self.sitters.get_mut(&id) {
            sitter.stage = Stage::Branching;
            self.sitter_later(id, 1, 8000, world);
        }
    }

    /// Makes the lane of a step that begins, and takes the step's base with it.
    fn branches(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let Some(running) = sitter.turn else {
            return Ok(());
        };
        let (task, place) = (sitter.task, sitter.place());
        if self.jobs.values().any(|job| job.is_merging(task)) {
            self.sitter_later(id, 50, 500, world);
            return Ok(());
        }
        sitter.stage = Stage::Sitting;
        if world.may(Fault::Job) && world.hands.percent(3) {
            let message = "no space for a lane".to_owned();
            return self.ends(id, TurnOutcome::CouldNotStart { message }, world);
        }
        world.machine.branch(place)?;
        world.saw("branched");
        let content = world.machine.content(place).unwrap_or_default();
        let (turn, base) = (running.turn, snapshot(content));
        self.tells(id, Report::BaseTaken { turn, base }, Then::Branched, world);
        Ok(())
    }

    /// A turn that changes the copy begins from a known content: the step's base is taken, or
    /// what a lost conversation had begun is undone.
    fn knows_base(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let (Some(running), Some(task)) = (sitter.turn, self.desk.tasks.get(&sitter.task)) else {
            return Ok(());
        };
        let step = task.step(running.step);
        let place = sitter.place();
        let content = world.machine.content(place);
        let (Some(step), Some(content)) = (step, content) else {
            return self.prompts(id, world);
        };
        if !sitter.writes() {
            return self.prompts(id, world);
        }
        if world.may(Fault::Job) && world.hands.percent(3) {
            let message = "no space for a snapshot".to_owned();
            return self.ends(id, TurnOutcome::CouldNotStart { message }, world);
        }
        let turn = running.turn;
        if let Some(to) = step.reset_to.clone() {
            let kept = snapshot(content);
            let to_content = content_of(to.as_str());
            world.machine.put_back(place, running.step, to_content)?;
            world.saw(match place.lane {
                Some(_) => "lane put back",
                None => "copy put back",
            });
            let report = Report::WorkspaceReset { turn, to, kept };
            self.tells(id, report, Then::Prompt, world);
        } else if step.base.is_none() {
            let base = snapshot(content);
            self.tells(id, Report::BaseTaken { turn, base }, Then::Prompt, world);
        } else {
            return self.prompts(id, world);
        }
        Ok(())
    }

    fn opens(&mut self, id: u64, for_turn: bool, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        sitter.stage = Stage::Sitting;
        let there = world.machine.content(sitter.place()).is_some();
        let task = self.desk.tasks.get(&sitter.task);
        let in_use = |step: &Step| step.seat_id() == Some(sitter.seat) && step.base.is_some();
        // A lane is there once its step was begun; before that it is that of an earlier step.
        let is_new = sitter.seat.is_lane() && !task.is_some_and(|it| it.steps.iter().any(in_use));
        if !for_turn && (!there || is_new) {
            // It was about to close anyway, or its first turn will say so.
            self.sitter_later(id, 0, 5, world);
            return Ok(());
        }
        if world.may(Fault::Turn) && world.agents.percent(4) {
            self.sitter_later(id, 0, 5, world);
            let message = "no such program".to_owned();
            return if for_turn {
                self.ends(id, TurnOutcome::CouldNotStart { message }, world)
            } else {
                Ok(())
            };
        }
        let process = Process {
            task: sitter.task,
            seat: sitter.seat,
            session: sitter.session,
            turn: None,
        };
        world.machine.open(id, process)?;
        sitter.open = true;
        let task = self.desk.tasks.get(&sitter.task);
        sitter.opened_with = task.and_then(|task| task.budget_left());
        let report = Report::ProcessStarted {
            role: sitter.seat.role,
            session: sitter.session,
            pid: u32::try_from(id & 0xffff).unwrap_or(1),
        };
        self.tells(id, report, Then::Opened { for_turn }, world);
        Ok(())
    }

    fn prompts(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let Some(running) = sitter.turn else {
            return Ok(());
        };
        let task = self.desk.tasks.get(&sitter.task);
        if task
            .and_then(|task| task.prompt(running.turn, &[]))
            .is_none()
        {
            sitter.turn = None;
            return Ok(());
        }
        let step = task.and_then(|task| task.step(running.step));
        if sitter.writes() && step.is_none_or(|it| it.base.is_none()) {
            return broken("a writing turn begins from a content that is not on record");
        }
        world.machine.prompt(id, running.turn, running.step)?;
        self.sitter_later(id, 0, 5, world);
        self.agent_later(id, 50, 5000, world);
        Ok(())
    }

    /// Tells the dispatcher, and waits until it is recorded.
    fn tells(&mut self, id: u64, report: Report, then: Then, world: &mut World) {
        if let Some(sitter) = self.sitters.get_mut(&id) {
            sitter.stage = Stage::Telling(then);
            let task = sitter.task;
            let reply = Reply::Sitter(id);
            self.put(
                Input::News {
                    task,
                    report,
                    reply,
                },
                world,
            );
        }
    }

    pub(crate) fn sitter_is_answered(
        &mut self,
        id: u64,
        events: Option<Vec<Event>>,
        world: &mut World,
    ) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let Stage::Telling(then) = std::mem::replace(&mut sitter.stage, Stage::Sitting) else {
            return broken("somebody is answered who told nothing");
        };
        match then {
            // What could not be recorded begins nothing.
            Then::Opened { .. } | Then::Prompt | Then::Open | Then::Branch | Then::Branched
                if events.is_none() => {}
            Then::GoOn => {}
            Then::Asked => self.is_asked(id, &events.unwrap_or_default()),
            Then::End(outcome) => return self.ends(id, outcome, world),
            Then::Report(outcome, usage) => return self.reports_end(id, outcome, usage, world),
            Then::Opened { for_turn: true } => return self.knows_base(id, world),
            Then::Opened { for_turn: false } => {}
            Then::Prompt => return self.prompts(id, world),
            Then::Open | Then::Branched => {
                self.opens_later(id, world);
                return Ok(());
            }
            Then::Branch => {
                self.branches_later(id, world);
                return Ok(());
            }
            Then::Interrupt => {}
            Then::Leave => {
                self.leaves(id, world);
                return Ok(());
            }
            Then::Gone => {
                self.sitter_ends(id, world);
                return Ok(());
            }
        }
        self.sitter_later(id, 0, 5, world);
        self.sitter_later(id, IDLE, IDLE + 1000, world);
        self.agent_later(id, 50, 20_000, world);
        Ok(())
    }

    /// The agent waits, unless it was answered at once.
    fn is_asked(&mut self, id: u64, events: &[Event]) {
        let asked = events.iter().find_map(|event| match event {
            Event::ApprovalRequested { approval } => Some(approval.id),
            Event::ApprovalReattached { id, .. } => Some(*id),
            _ => None,
        });
        let answered = |event: &Event| matches!(event, Event::ApprovalAnswered { .. });
        if let (Some(sitter), Some(asked)) = (self.sitters.get_mut(&id), asked)
            && !events.iter().any(answered)
        {
            sitter.waiting.insert(asked);
        }
    }

    /// The agent does the next thing, or ends its turn.
    pub(crate) fn agent_acts(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let Some(running) = &mut sitter.turn else {
            return Ok(());
        };
        if !matches!(sitter.stage, Stage::Sitting) || !sitter.open {
            return Ok(());
        }
        if world
            .machine
            .processes
            .get(&id)
            .is_none_or(|p| p.turn.is_none())
        {
            return Ok(());
        }
        if running.stopping {
            let outcome = match world.agents.percent(80) {
                true => TurnOutcome::Interrupted,
                false if world.may(Fault::Turn) => some_outcome(world),
                false => completed(),
            };
            return self.concludes(id, outcome, world);
        }
        if !sitter.waiting.is_empty() {
            return self.agent_waits(id, world);
        }
        if !running.streaming {
            running.streaming = true;
            return self.first_word(id, world);
        }
        running.acts += 1;
        let over = running.acts > 6;
        self.next_act(id, over, world)
    }

    fn agent_waits(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let first = sitter.waiting.first().copied();
        if world.may(Fault::Turn)
            && let Some(asked) = first
        {
            if world.agents.percent(20) {
                sitter.waiting.remove(&asked);
                self.tells(id, Report::Withdrawn { id: asked }, Then::GoOn, world);
                return Ok(());
            }
            if world.agents.percent(20) {
                let stderr = String::new();
                return self.ends(id, TurnOutcome::Signalled { signal: 9, stderr }, world);
            }
        }
        Ok(())
    }

    fn first_word(&mut self, id: u64, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get(&id) else {
            return Ok(());
        };
        let Some(running) = sitter.turn else {
            return Ok(());
        };
        let task = self.desk.tasks.get(&sitter.task);
        let begun = task
            .and_then(|task| task.sessions.get(&sitter.seat))
            .is_some_and(|session| session.begun);
        if begun && !world.machine.conversations.contains(&sitter.session) {
            let message = "no conversation found".to_owned();
            return self.ends(id, TurnOutcome::SessionLost { message }, world);
        }
        world.machine.conversations.insert(sitter.session);
        world
            .machine
            .goes_on(sitter.place(), running.step, sitter.session)?;
        let turn = running.turn;
        self.tells(id, Report::TurnStreaming { turn }, Then::GoOn, world);
        Ok(())
    }

    fn next_act(&mut self, id: u64, over: bool, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get(&id) else {
            return Ok(());
        };
        let Some(running) = sitter.turn else {
            return Ok(());
        };
        let (turn, task) = (running.turn, sitter.task);
        let (place, session) = (sitter.place(), sitter.session);
        let chance = match over {
            true => 99,
            false if self.was_asking(task, running.step) => 50,
            false => world.agents.below(100),
        };
        let report = match chance {
            0..30 if sitter.writes() => {
                let file = world.agents.below(3);
                world.machine.edit(place, running.step, session, file);
                if world.agents.percent(40) {
                    let path = path(file);
                    self.tells(id, Report::Touched { turn, path }, Then::GoOn, world);
                    return Ok(());
                }
                self.agent_later(id, 50, 30_000, world);
                return Ok(());
            }
            0..32 => Report::MessagesRead { turn },
            32..36 => Report::Progress {
                turn,
                note: "half way".to_owned(),
            },
            36..44 => Report::Posted {
                turn,
                to: if world.agents.percent(70) {
                    Recipient::Team
                } else {
                    Recipient::Prime
                },
                kind: MessageKind::Note,
                text: format!("note {}", world.agents.below(4)),
            },
            44..50 => Report::Result {
                turn,
                result: Box::new(result(None)),
            },
            50..60 => {
                self.asks(id, (turn, running.step), task, world);
                return Ok(());
            }
            60..64 if self.may_reach_out(task) => Report::WentOutward {
                turn,
                command: "deploy".to_owned(),
            },
            _ => return self.finishes(id, turn, world),
        };
        self.tells(id, report, Then::GoOn, world);
        Ok(())
    }

    /// Was an earlier turn of this step cut off while it waited for an answer?
    fn was_asking(&self, task: TaskId, step: StepId) -> bool {
        let task = self.desk.tasks.get(&task).into_iter();
        let mut open = task.flat_map(|task| task.approvals.values());
        open.any(|open| was_cut_off(open, step))
    }

    fn may_reach_out(&self, task: TaskId) -> bool {
        let task = self.desk.tasks.get(&task);
        task.is_some_and(|task| task.spec.permissions == Permissions::All)
    }

    fn asks(&mut self, id: u64, (turn, step): (TurnId, StepId), task: TaskId, world: &mut World) {
        let open = self.desk.tasks.get(&task).into_iter();
        let mut open = open.flat_map(|task| task.approvals.values());
        // Whoever was interrupted while it waited asks the same again.
        let again = open.find(|open| was_cut_off(open, step));
        let question = match again {
            Some(open) => open.question.clone(),
            None => some_question(world),
        };
        let allowed_by_rule = match (&question, self.desk.tasks.get(&task)) {
            (Question::Tool { request, .. }, Some(task)) => {
                let floor = &self.desk.floor;
                floor.rule_for(task.spec.project, request).is_some()
            }
            _ => false,
        };
        let report = Report::Asked {
            turn,
            question,
            allowed_by_rule,
        };
        self.tells(id, report, Then::Asked, world);
    }

    /// The agent hands in what it has, and ends.
    fn finishes(&mut self, id: u64, turn: TurnId, world: &mut World) -> Held {
        let outcome = if world.may(Fault::Turn) && world.agents.percent(30) {
            some_outcome(world)
        } else {
            completed()
        };
        let judges = self.sitters.get(&id).map(|it| it.seat.role) == Some(Role::Beta);
        if judges && world.agents.percent(80) {
            let fails = world.agents.percent(if world.calm { 10 } else { 30 });
            let verdict = if fails { Verdict::Fail } else { Verdict::Pass };
            let mut result = result(Some(verdict));
            if fails && world.agents.percent(50) {
                result.findings[0].location = Some(format!("f{}", world.agents.below(3)));
            }
            let result = Box::new(result);
            let report = Report::Result { turn, result };
            self.tells(id, report, Then::End(outcome), world);
            return Ok(());
        }
        self.concludes(id, outcome, world)
    }

    /// The agent ends its turn. What it changed is looked at before it is handed in.
    fn concludes(&mut self, id: u64, outcome: TurnOutcome, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get(&id) else {
            return Ok(());
        };
        let finished = matches!(outcome, TurnOutcome::Completed { .. });
        let (Some(running), true) = (sitter.turn, finished && sitter.writes()) else {
            return self.ends(id, outcome, world);
        };
        let (place, session) = (sitter.place(), sitter.session);
        let step = self.desk.tasks.get(&sitter.task);
        let step = step.and_then(|task| task.step(running.step));
        let mends = step.is_some_and(|step| step.mends.is_some());
        let base = step.and_then(|step| step.base.as_ref());
        let base = base.map(|base| content_of(base.as_str()));
        if mends {
            for file in world.machine.marked(place) {
                if world.agents.percent(if world.calm { 90 } else { 60 }) {
                    world.machine.edit(place, running.step, session, file);
                }
            }
        }
        let now = world.machine.content(place).unwrap_or_default();
        let mut flags = Vec::new();
        if world.agents.percent(8) {
            flags.extend(some_flag(world));
        }
        // Who left marks once may leave them again.
        let left_some = step.is_some_and(|step| !step.flags.is_empty());
        if left_some && !world.calm && world.agents.percent(50) {
            flags.push(flag(FlagKind::ConflictMarks, world.agents.below(3)));
        }
        if mends {
            let left = world.machine.marked(place).into_iter();
            flags.extend(left.map(|file| flag(FlagKind::ConflictMarks, file)));
            world.saw(if flags.is_empty() {
                "mended"
            } else {
                "marks left"
            });
        }
        let report = Report::Audited {
            turn: running.turn,
            changes: changes(base.unwrap_or(now), now),
            flags,
        };
        self.tells(id, report, Then::End(outcome), world);
        Ok(())
    }

    /// The turn is over, however that came.
    fn ends(&mut self, id: u64, outcome: TurnOutcome, world: &mut World) -> Held {
        let Some(sitter) = self.sitters.get_mut(&id) else {
            return Ok(());
        };
        let Some(running) = sitter.turn else {
            return Ok(());
        };
        sitter.waiting.clear();
        sitter.used_at = world.machine.now;
        let begun = match world.machine.processes.get_mut(&id) {
            Some(process) => process.turn.take().is_some(),
            None => false,
        };
        let usage = if begun {
            some_usage(world)
        } else {
            Usage::default()
        };
        if let TurnOutcome::Completed { .. } = outcome {
            world.machine.hands_in(sitter.place(), running.step);
            if world.has(Bug::ForgetsLane) {
                world.machine.loses_lane(sitter.place());
            }
        }
        let truth = (sitter.task, running.turn);
        let known = world.machine.ends.insert(truth, (outcome.clone(), usage));
        if known.is_some() {
            return broken("a turn ended twice");
        }
        if ends_process(&outcome) {
            let then = Then::Report(outcome.clone(), usage);
            if self.process_is_gone(id, ProcessEnd::Killed, then, world) {
                return Ok(());
            }
        }
        self.reports_end(id, outcome, usage, world)
    }

    fn reports_end(
        &mut self,
        id: u64,
        outcome: TurnOutcome,
        usage: Usage,
        world: &mut World,
    ) -> Held {
        let Some(running) = self.sitters.get_mut(&id).and_then(|it| it.turn.take()) else {
            return Ok(());
        };
        let mut report = TurnReport {
            turn: running.turn,
            outcome,
            usage,
            duration_ms: 1000,
            covers_lost: false,
        };
        if world.has(Bug::CountsLimits)
            && let TurnOutcome::RateLimited { .. } = report.outcome
        {
            let stderr = "limit reached".to_owned();
            report.outcome = TurnOutcome::Exited { code: 1, stderr };
        }
        if world.has(Bug::LosesCost) {
            report.usage = Usage::default();
        }
        self.tells(id, Report::TurnEnded(report), Then::GoOn, world);
        Ok(())
    }
}

/// Was the question asked by a turn of this step that was cut off?
fn was_cut_off(open: &nexus_core::Approval, step: StepId) -> bool {
    let by_agent = matches!(open.question, Question::Tool { .. } | Question::Open { .. });
    by_agent && open.turn.is_none() && open.step == Some(step)
}

fn flag(kind: FlagKind, file: usize) -> Flag {
    Flag {
        kind,
        path: path(file),
        line: String::new(),
    }
}

/// Something that is noticed in a change.
fn some_flag(world: &mut World) -> Option<Flag> {
    let kinds = [
        FlagKind::TestsOfAnother,
        FlagKind::TestDeleted,
        FlagKind::AssertionDeleted,
        FlagKind::SkipAdded,
        FlagKind::ThresholdLoosened,
        FlagKind::CheckWeakened,
        FlagKind::OutsidePaths,
        FlagKind::ConflictMarks,
        FlagKind::ConflictMarks,
    ];
    let kind = *world.agents.pick(&kinds)?;
    Some(flag(kind, world.agents.below(3)))
}

fn completed() -> TurnOutcome {
    TurnOutcome::Completed {
        text: "done".to_owned(),
        denials: Vec::new(),
    }
}

/// Is the agent program gone after a turn that ended so?
fn ends_process(outcome: &TurnOutcome) -> bool {
    match outcome {
        TurnOutcome::Exited { .. }
        | TurnOutcome::Signalled { .. }
        | TurnOutcome::SessionLost { .. }
        | TurnOutcome::BadProtocol { .. }
        | TurnOutcome::TimedOut { .. }
        | TurnOutcome::AuthRequired { .. } => true,
        TurnOutcome::Completed { .. }
        | TurnOutcome::Interrupted
        | TurnOutcome::RateLimited { .. }
        | TurnOutcome::Overloaded { .. }
        | TurnOutcome::CreditExhausted { .. }
        | TurnOutcome::BudgetExhausted
        | TurnOutcome::ContextExhausted { .. }
        | TurnOutcome::Refused { .. }
        | TurnOutcome::CouldNotStart { .. }
        | TurnOutcome::OutputLost => false,
    }
}

/// Any way a turn can end.
fn some_outcome(world: &mut World) -> TurnOutcome {
    let message = String::new();
    let stderr = String::new();
    match world.agents.below(18) {
        0 | 1 => completed(),
        2 => TurnOutcome::TimedOut {
            silent_seconds: 600,
        },
        3..6 => limit(world),
        6 => TurnOutcome::Overloaded { message },
        7 => TurnOutcome::AuthRequired { message },
        8 => TurnOutcome::CreditExhausted { message },
        9 => TurnOutcome::BudgetExhausted,
        10 => TurnOutcome::ContextExhausted { message },
        11 => TurnOutcome::SessionLost { message },
        12 => TurnOutcome::Refused { message },
        13 => TurnOutcome::BadProtocol {
            line: "}".to_owned(),
        },
        14 => TurnOutcome::Exited { code: 1, stderr },
        15 => TurnOutcome::Signalled { signal: 9, stderr },
        16 => TurnOutcome::OutputLost,
        _ => TurnOutcome::Interrupted,
    }
}

/// The account's limit, with or without an end, which may have passed by our clock.
fn limit(world: &mut World) -> TurnOutcome {
    let minutes = world.agents.below(300);
    let until = world
        .machine
        .wall()
        .after(Duration::from_secs(60 * minutes as u64));
    TurnOutcome::RateLimited {
        until: world.agents.percent(70).then_some(until),
        message: String::new(),
    }
}

fn some_usage(world: &mut World) -> Usage {
    let cost = u64::try_from(world.agents.below(40)).unwrap_or(0);
    Usage {
        input_tokens: 10,
        // Some models have no known price.
        cost: world.agents.percent(90).then_some(Usd::from_micros(cost)),
        ..Usage::default()
    }
}

fn some_question(world: &mut World) -> Question {
    if world.agents.percent(30) {
        return Question::Open {
            question: "which?".to_owned(),
            options: Vec::new(),
        };
    }
    let command = format!("make {}", world.agents.below(3));
    Question::Tool {
        request: ToolRequest {
            tool: "Bash".to_owned(),
            input: serde_json::json!({ "command": command }),
        },
        why: "it runs a command".to_owned(),
    }
}

fn result(verdict: Option<Verdict>) -> StepResult {
    let finding = Finding {
        problem: "wrong".to_owned(),
        location: None,
        severity: Severity::High,
        suggestion: None,
    };
    StepResult {
        summary: "worked".to_owned(),
        verdict,
        findings: (verdict == Some(Verdict::Fail))
            .then_some(finding)
            .into_iter()
            .collect(),
        ..StepResult::default()
    }
}
