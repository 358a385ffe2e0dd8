//! A seat of a task's team: one session, its process kept warm between turns, and whatever
//! the running turn waits for.

use super::{Crew, Tools, audit, keepsake, lanes, ledger, place};
use crate::{Change, changes::Live, dispatcher::now, monitor::FEEDBACK_FREQUENCY};
use futures::FutureExt;
use nexus_agent::{
    CallReply, Recorded, RequestKey, Session, SessionCommand, SessionEvent, SessionSpec,
    ToolDecision,
};
use nexus_core::{
    AgentCall, Answer, ApprovalId, Delivery, Event, Instruction, Permissions, Persona,
    PreparedWorkspace, ProcessEnd, Question, Report, Role, SeatId, SessionId, Task, TaskId,
    ToolRequest, TurnId, TurnOutcome, TurnReport, TurnUpdate, Usage, Usd, Writes,
    policy::{self, Ground, Judgement},
    scratchpad,
};
use nexus_store::{TranscriptLine, TranscriptWriter};
use nexus_workspace::Repository;
use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// What an agent is told when the log could not be written, before NEXUS stops.
pub(super) const NOT_RECORDED: &str = "NEXUS could not record this and is stopping";

/// What the dispatcher may ask of a seat.
#[derive(Debug)]
pub(super) enum SeatOrder {
    Run { turn: TurnId },
    Stop { turn: TurnId },
    Answered { id: ApprovalId, answer: Answer },
}

/// The dispatcher's end. Dropping it closes the session.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) session: SessionId,
    orders: mpsc::UnboundedSender<SeatOrder>,
}

impl Seat {
    pub(super) fn order(&self, order: SeatOrder) {
        // A seat that is gone has reported the end of its turn.
        let _ = self.orders.send(order);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.orders.is_closed()
    }
}

/// Takes a seat and warms its session up.
pub(super) fn take(
    tools: Tools,
    task: TaskId,
    seat: SeatId,
    session: SessionId,
    crew: &mut Crew,
) -> Seat {
    let (orders, coming) = mpsc::unbounded_channel();
    let sitter = Sitter {
        tools,
        task,
        seat,
        role: seat.role,
        session,
        open: None,
        opened_with: None,
        ledger: None,
        process_end: None,
        used_at: tokio::time::Instant::now(),
        heard_at: tokio::time::Instant::now(),
        stalled: false,
        turn: None,
        waiting: HashMap::new(),
        orders: Orders {
            coming,
            put_off: VecDeque::new(),
        },
    };
    let inbox = sitter.tools.inbox.clone();
    crew.spawn(task, async move {
        let sat = AssertUnwindSafe(sitter.sit()).catch_unwind().await;
        if sat.is_err() {
            tracing::error!(%seat, %task, "a seat failed by a mistake of ours");
            // Its process went with it: nobody must wait for it to be stopped.
            let report = Report::ProcessEnded {
                role: seat.role,
                session,
                end: ProcessEnd::Killed,
            };
            inbox.tell(task, report).await;
        }
    });
    Seat { session, orders }
}

/// Who sits there.
struct Sitter {
    tools: Tools,
    task: TaskId,
    seat: SeatId,
    role: Role,
    session: SessionId,
    open: Option<Session>,
    /// What the open process was told may be spent.
    opened_with: Option<Usd>,
    ledger: Option<i64>,
    /// How the open process ended, from when it is gone until that is on record.
    process_end: Option<ProcessEnd>,
    /// When its latest turn began or ended.
    used_at: tokio::time::Instant,
    /// When something last came from its program.
    heard_at: tokio::time::Instant,
    /// That nothing comes any more has been said.
    stalled: bool,
    turn: Option<RunningTurn>,
    waiting: HashMap<ApprovalId, Waiting>,
    orders: Orders,
}

/// What the dispatcher asks, in order.
struct Orders {
    coming: mpsc::UnboundedReceiver<SeatOrder>,
    /// Heard while the session was being opened, and still to be obeyed.
    put_off: VecDeque<SeatOrder>,
}

impl Orders {
    /// `None` when the dispatcher has let go.
    async fn next(&mut self) -> Option<SeatOrder> {
        match self.put_off.pop_front() {
            Some(order) => Some(order),
            None => self.coming.recv().await,
        }
    }
}

/// The turn that runs.
struct RunningTurn {
    id: TurnId,
    started: tokio::time::Instant,
    streaming: bool,
    /// It was told to stop; once is enough.
    stopping: bool,
    /// It is on record that a command of it may have effects elsewhere; once is enough.
    reached_out: bool,
    /// What it used holds what earlier turns of the session used unseen.
    covers_lost: bool,
    transcript: Option<TranscriptWriter>,
}

/// Somebody inside the agent program waits for an answer.
enum Waiting {
    Tool(RequestKey),
    /// The program's own question tool, with the questions in its words.
    OwnQuestion(RequestKey, Vec<String>),
    Call(RequestKey),
}

/// The program's own tool for asking the person.
const ASK_USER: &str = "AskUserQuestion";

impl Sitter {
    async fn sit(mut self) {
        // Two processes on one conversation would fork it silently, so whoever sat here before
        // has to be gone first.
        let lock = self.tools.locks.of(&self.session.to_string());
        let _alone = lock.lock().await;
        // Started ahead of need. If that fails, the turn will fail in the same way and say so.
        if self.has_place()
            && let Err(outcome) = self.ensure_open().await
        {
            tracing::debug!(seat = %self.seat, outcome = outcome.name(), "no warm session");
        }
        loop {
            let (idle, stall) = (self.idle_until(), self.stalls_at());
            tokio::select! {
                order = self.orders.next() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                event = next_event(&mut self.open) => self.heard(event).await,
                () = until(stall) => self.stalls().await,
                // Parked: the conversation stays, and comes back by resume.
                () = until(idle) => self.close().await,
            }
        }
        if let Some(turn) = self.turn.as_ref().map(|turn| turn.id) {
            self.keep_work(turn).await;
        }
        self.close().await;
    }

    /// Is the place where it works there? A lane comes with the first turn.
    fn has_place(&self) -> bool {
        !self.seat.is_lane()
            || lanes::place(&self.tools.options.data, self.task, self.seat).exists()
    }

    /// When a process that nobody uses is given up.
    fn idle_until(&self) -> Option<tokio::time::Instant> {
        let limit = self.tools.options.session_timeout;
        let limit = limit.unwrap_or(self.role.session_timeout());
        (self.open.is_some() && self.turn.is_none()).then(|| self.used_at + limit)
    }

    /// When its silence becomes worth saying. Waiting for an answer of ours is not silence.
    fn stalls_at(&self) -> Option<tokio::time::Instant> {
        let listens = self.turn.is_some() && self.open.is_some() && self.waiting.is_empty();
        (listens && !self.stalled).then(|| self.heard_at + FEEDBACK_FREQUENCY)
    }

    async fn stalls(&mut self) {
        self.stalled = true;
        self.tools.monitor.stalls(self.task, self.seat);
        let seconds = FEEDBACK_FREQUENCY.as_secs();
        let limit = self.tools.options.silence_limit.as_secs();
        let text = format!(
            "{} has said nothing for {seconds} s; it is stopped after {limit} s of silence",
            self.seat.title()
        );
        self.show_line(TurnUpdate::Note { text }).await;
    }

    async fn obey(&mut self, order: SeatOrder) {
        match order {
            SeatOrder::Run { turn } => self.begin(turn).await,
            SeatOrder::Stop { turn } => {
                if let Some(running) = self.turn.as_mut().filter(|running| running.id == turn)
                    && !std::mem::replace(&mut running.stopping, true)
                {
                    self.keep_work(turn).await;
                    self.send(SessionCommand::Interrupt).await;
                }
            }
            SeatOrder::Answered { id, answer } => {
                if let Some(waiting) = self.waiting.remove(&id) {
                    self.pass_on(waiting, answer).await;
                }
            }
        }
    }

    /// Nothing is stopped before what it did is kept.
    async fn keep_work(&self, turn: TurnId) {
        if self.role.writes() == Writes::Workspace
            && let Some(task) = self.tools.shared.task(self.task)
        {
            keepsake::before_stop(&self.tools, &task, turn).await;
        }
    }

    async fn begin(&mut self, id: TurnId) {
        self.used_at = tokio::time::Instant::now();
        let Some(task) = self.tools.shared.task(self.task) else {
            return;
        };
        let transcript = self.tools.transcripts.writer(self.task, id);
        let transcript = transcript
            .inspect_err(|error| tracing::warn!(%error, "this turn keeps no transcript"))
            .ok();
        self.heard_at = tokio::time::Instant::now();
        self.stalled = false;
        self.tools.monitor.begins(self.task, self.seat, id, now());
        self.turn = Some(RunningTurn {
            id,
            started: tokio::time::Instant::now(),
            streaming: false,
            stopping: false,
            reached_out: false,
            covers_lost: false,
            transcript,
        });
        // A process keeps to what it was told at its start, so under a cap it starts anew.
        if self.open.is_some() && self.opened_with != task.budget_left() {
            self.close().await;
        }
        if let Err(message) = lanes::branch(&self.tools, &task, id).await {
            let outcome = TurnOutcome::CouldNotStart { message };
            self.end_turn(outcome, Usage::default(), None).await;
            return;
        }
        if let Err(outcome) = self.ensure_open().await {
            self.end_turn(outcome, Usage::default(), None).await;
            return;
        }
        let Some(task) = self.tools.shared.task(self.task) else {
            return;
        };
        if self.role.writes() == Writes::Workspace
            && let Err(message) = keepsake::prepare(&self.tools, &task, id).await
        {
            let outcome = TurnOutcome::CouldNotStart { message };
            self.end_turn(outcome, Usage::default(), None).await;
            return;
        }
        let Some(task) = self.tools.shared.task(self.task) else {
            return;
        };
        let instructions = self.instructions(&task).await;
        match task.prompt(id, &instructions) {
            Some(prompt) => self.send(SessionCommand::Prompt(prompt)).await,
            None => {
                self.turn = None;
                self.tools.monitor.ends(self.task, self.seat);
            }
        }
    }

    /// What the project itself tells agents, as it was when the copy was made: an agent must
    /// not instruct the others in the project's name.
    async fn instructions(&self, task: &Task) -> Vec<Instruction> {
        let Some(prepared) = task.workspace.prepared() else {
            return Vec::new();
        };
        let dir = self.tools.options.data.repository(task.spec.project);
        let tree = prepared.tree.clone();
        let read = tokio::task::spawn_blocking(move || {
            Repository::open(&dir).ok()?.instructions(&tree).ok()
        });
        let found = read.await.ok().flatten().unwrap_or_default().into_iter();
        found
            .map(|found| Instruction {
                path: found.path.to_string(),
                text: found.text,
                truncated: found.truncated,
            })
            .collect()
    }

    /// Opens the session's process unless it is open.
    async fn ensure_open(&mut self) -> Result<(), TurnOutcome> {
        if self.open.is_some() {
            return Ok(());
        }
        let Some(task) = self.tools.shared.task(self.task) else {
            return Err(TurnOutcome::Interrupted);
        };
        let Some(prepared) = task.workspace.prepared() else {
            return Err(TurnOutcome::CouldNotStart {
                message: "the task has no workspace".into(),
            });
        };
        let known = task.sessions.get(&self.seat);
        let begun = known.is_some_and(|session| session.begun);
        let recorded = known.map(|session| Recorded {
            turns: session.turns,
            used: Some(session.used),
        });
        let spec = SessionSpec {
            task: self.task,
            role: self.role,
            session: self.session,
            resume: begun,
            workspace: self.place(prepared),
            system_prompt: Persona::built_in(self.role)
                .map(|persona| persona.system_prompt())
                .unwrap_or_default(),
            budget: task.budget_left(),
            silence_limit: self.tools.options.silence_limit,
            recorded: recorded.unwrap_or_default(),
        };
        let backend = self.tools.options.backends.of(task.spec.team);
        let starts = backend.starts_processes();
        if starts {
            // On record before it is so: a task is not called stopped while one may come to be.
            let (role, session) = (self.role, self.session);
            let report = Report::ProcessStarting { role, session };
            self.tools.inbox.tell(self.task, report).await;
        }
        let session = match self.hear_while(backend.open(spec)).await {
            Ok(session) => session,
            Err(outcome) => {
                if starts {
                    self.tell_process_ended(ProcessEnd::NotStarted).await;
                }
                return Err(outcome);
            }
        };
        self.ledger = self.note_process(&session).await;
        if let Some(process) = session.process {
            let report = Report::ProcessStarted {
                role: self.role,
                session: self.session,
                pid: process.pid,
            };
            self.tools.inbox.tell(self.task, report).await;
        } else if starts {
            self.tell_process_ended(ProcessEnd::NotStarted).await;
        }
        self.opened_with = task.budget_left();
        self.open = Some(session);
        Ok(())
    }

    /// The copy in which its agent works.
    fn place(&self, prepared: &PreparedWorkspace) -> PathBuf {
        let shared = Path::new(&prepared.path);
        match shared.file_name() {
            // A lane is called like the copy it was branched off.
            Some(name) if self.seat.is_lane() => {
                lanes::place(&self.tools.options.data, self.task, self.seat).join(name)
            }
            Some(_) | None => shared.to_owned(),
        }
    }

    /// Opening may take as long as a program needs to get ready; being told to stop does not
    /// wait for that. Giving it up leaves no process.
    async fn hear_while(
        &mut self,
        opening: impl Future<Output = Result<Session, TurnOutcome>>,
    ) -> Result<Session, TurnOutcome> {
        let turn = self.turn.as_ref().map(|turn| turn.id);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                order = self.orders.coming.recv() => match order {
                    None => return Err(TurnOutcome::Interrupted),
                    Some(SeatOrder::Stop { turn: stopped }) if turn == Some(stopped) => {
                        return Err(TurnOutcome::Interrupted);
                    }
                    Some(order) => self.orders.put_off.push_back(order),
                },
            }
        }
    }

    /// Every process has a row in the ledger, so that the next start can find what is left.
    async fn note_process(&self, session: &Session) -> Option<i64> {
        let what = format!("{} of task {}", self.seat, self.task);
        let tag = self.session.to_string();
        ledger::started(&self.tools.store, session.process?, tag, what).await
    }

    async fn note_process_gone(&mut self) {
        ledger::ended(&self.tools.store, self.ledger.take()).await;
    }

    async fn heard(&mut self, event: Option<SessionEvent>) {
        self.heard_at = tokio::time::Instant::now();
        self.stalled = false;
        self.tools.monitor.heard(self.task, self.seat, now());
        match event {
            Some(SessionEvent::Update(update)) => self.show(update).await,
            Some(SessionEvent::ToolAsked { request, tool }) => self.asked(request, tool).await,
            Some(SessionEvent::Withdrawn { request }) => self.withdrawn(&request).await,
            Some(SessionEvent::Called { call, body }) => self.called(call, body).await,
            Some(SessionEvent::TurnEnded {
                outcome,
                usage,
                covers_lost,
                duration,
            }) => {
                if let Some(turn) = &mut self.turn {
                    turn.covers_lost = covers_lost;
                }
                self.end_turn(outcome, usage, Some(duration)).await;
            }
            Some(SessionEvent::ProcessEnded { end }) => self.process_end = Some(end),
            Some(SessionEvent::Closed { how }) => self.closed(how).await,
            None => self.closed(TurnOutcome::OutputLost).await,
        }
    }

    /// Keeps what the turn shows and passes it to whoever watches.
    async fn show(&mut self, update: TurnUpdate) {
        if let TurnUpdate::Context { .. } = update {
            // A number for the monitor, and no word of the agent.
            self.tools.monitor.shown(self.task, self.seat, &update);
            return;
        }
        let Some(turn) = &mut self.turn else { return };
        if !turn.streaming {
            turn.streaming = true;
            let report = Report::TurnStreaming { turn: turn.id };
            self.tools.inbox.tell(self.task, report).await;
        }
        self.tools.monitor.shown(self.task, self.seat, &update);
        self.show_line(update).await;
    }

    async fn show_line(&mut self, update: TurnUpdate) {
        let Some(turn) = &mut self.turn else { return };
        let at = now();
        // The whole text follows its pieces.
        let kept = !matches!(update, TurnUpdate::TextDelta { .. });
        let mut line = None;
        if kept && let Some(transcript) = &mut turn.transcript {
            let entry = TranscriptLine {
                at,
                update: update.clone(),
            };
            let written = transcript.append(&entry).and_then(|line| {
                transcript.flush()?;
                Ok(line)
            });
            match written {
                Ok(number) => line = number,
                Err(error) => {
                    tracing::warn!(%error, "the rest of this turn keeps no transcript");
                    turn.transcript = None;
                }
            }
        }
        let Some(task) = self.tools.shared.task(self.task) else {
            return;
        };
        let live = Live {
            task,
            turn: turn.id,
            line,
            update,
        };
        let seq = self.tools.shared.seq();
        self.tools.hub.publish(Change::Live {
            seq,
            at,
            live: Arc::new(live),
        });
    }

    async fn asked(&mut self, request: RequestKey, tool: ToolRequest) {
        let Some(task) = self.tools.shared.task(self.task) else {
            return;
        };
        if tool.tool == ASK_USER {
            self.own_question(request, &tool).await;
            return;
        }
        match self.judge(&task, &tool) {
            Judgement::Allow => {
                self.note_file(&task, &tool).await;
                let decision = if self.note_reach(&task, &tool).await {
                    ToolDecision::Allow
                } else {
                    ToolDecision::Deny {
                        reason: NOT_RECORDED.to_owned(),
                    }
                };
                self.decide(request, decision).await;
            }
            Judgement::Deny { reason } => {
                self.decide(request, ToolDecision::Deny { reason }).await;
            }
            Judgement::Ask { why } => {
                let question = Question::Tool { request: tool, why };
                self.ask(question, Waiting::Tool(request)).await;
            }
        }
    }

    /// Which file is being written is shown while it happens, for those who work beside.
    async fn note_file(&self, task: &Task, tool: &ToolRequest) {
        let (Some(turn), Some(prepared)) = (&self.turn, task.workspace.prepared()) else {
            return;
        };
        if policy::writes_file(tool)
            && let Some(path) = place::path_inside(tool, &self.place(prepared))
        {
            let turn = turn.id;
            let report = Report::Touched { turn, path };
            self.tools.inbox.tell(self.task, report).await;
        }
    }

    /// A command that only runs because everything may run can have effects that no copy
    /// undoes. That is on record before it runs; `false` when it could not be recorded.
    async fn note_reach(&mut self, task: &Task, tool: &ToolRequest) -> bool {
        let asked_otherwise = task.spec.permissions == Permissions::All
            && tool.tool == "Bash"
            && matches!(
                self.judge_as(task, tool, Permissions::Workspace),
                Judgement::Ask { .. }
            );
        if let Some(turn) = self.turn.as_mut().filter(|_| asked_otherwise)
            && !std::mem::replace(&mut turn.reached_out, true)
        {
            let report = Report::WentOutward {
                turn: turn.id,
                command: tool.object().to_owned(),
            };
            return self.tools.inbox.tell(self.task, report).await.is_some();
        }
        true
    }

    fn judge(&self, task: &Task, tool: &ToolRequest) -> Judgement {
        self.judge_as(task, tool, task.spec.permissions)
    }

    fn judge_as(&self, task: &Task, tool: &ToolRequest, permissions: Permissions) -> Judgement {
        let Some(prepared) = task.workspace.prepared() else {
            return Judgement::Deny {
                reason: "the task has no workspace".to_owned(),
            };
        };
        let ground = Ground {
            role: self.role,
            permissions,
            checks: &prepared.checks,
            allowed_commands: &prepared.allowed_commands,
            place: place::place_of(tool, &self.place(prepared)),
        };
        policy::judge(tool, &ground)
    }

    async fn own_question(&mut self, request: RequestKey, tool: &ToolRequest) {
        let asked = tool.input.get("questions").and_then(|q| q.as_array());
        let text = |value: &serde_json::Value, key: &str| {
            value
                .get(key)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let questions: Vec<_> = asked
            .into_iter()
            .flatten()
            .map(|q| text(q, "question"))
            .collect();
        // One question can offer its options; several are answered together, in words.
        let options = match asked.map(Vec::as_slice) {
            Some([only]) => only
                .get("options")
                .and_then(|o| o.as_array())
                .into_iter()
                .flatten()
                .map(|option| text(option, "label"))
                .collect(),
            _ => Vec::new(),
        };
        let question = Question::Open {
            question: questions.join("\n"),
            options,
        };
        self.ask(question, Waiting::OwnQuestion(request, questions))
            .await;
    }

    /// Puts a question to the person. It is recorded before anything waits for its answer.
    async fn ask(&mut self, question: Question, waiting: Waiting) {
        let Some(turn) = self.turn.as_ref().map(|turn| turn.id) else {
            let reason = "no turn is running".to_owned();
            self.pass_on(waiting, Answer::Deny { reason }).await;
            return;
        };
        let allowed_by_rule = self.has_rule(&question);
        let report = Report::Asked {
            turn,
            question,
            allowed_by_rule,
        };
        let events = self.tools.inbox.tell(self.task, report).await;
        let mut events = events.unwrap_or_default().into_iter();
        let id = events.find_map(|event| asked(&event));
        let answer = events.find_map(|event| {
            if let Event::ApprovalAnswered { answer, .. } = event {
                Some(answer)
            } else {
                None
            }
        });
        match (id, answer) {
            (_, Some(answer)) => self.pass_on(waiting, answer).await,
            (Some(id), None) => {
                self.waiting.insert(id, waiting);
            }
            (None, None) => {
                let reason = "the task does not want this turn any more".to_owned();
                self.pass_on(waiting, Answer::Deny { reason }).await;
            }
        }
    }

    /// Does a standing rule of the person allow it?
    fn has_rule(&self, question: &Question) -> bool {
        let Question::Tool { request, .. } = question else {
            return false;
        };
        let world = self.tools.shared.world();
        let Some(task) = world.desk.tasks.get(&self.task) else {
            return false;
        };
        world
            .desk
            .floor
            .rule_for(task.spec.project, request)
            .is_some()
    }

    async fn pass_on(&mut self, waiting: Waiting, answer: Answer) {
        match waiting {
            Waiting::Tool(request) => {
                let decision = match answer {
                    Answer::Allow
                    | Answer::AllowForTask
                    | Answer::AllowForProject
                    | Answer::AllowAlways => ToolDecision::Allow,
                    Answer::Deny { reason } | Answer::Text { text: reason } => {
                        ToolDecision::Deny { reason }
                    }
                };
                self.decide(request, decision).await;
            }
            Waiting::OwnQuestion(request, questions) => {
                let decision = match answer {
                    Answer::Text { text } => ToolDecision::Answered {
                        answers: questions.into_iter().map(|q| (q, text.clone())).collect(),
                    },
                    Answer::Deny { reason } => ToolDecision::Deny { reason },
                    Answer::Allow
                    | Answer::AllowForTask
                    | Answer::AllowForProject
                    | Answer::AllowAlways => ToolDecision::Allow,
                };
                self.decide(request, decision).await;
            }
            Waiting::Call(call) => {
                let reply = match answer {
                    Answer::Text { text } => CallReply::Done { text },
                    Answer::Deny { reason } => CallReply::Failed { reason },
                    Answer::Allow
                    | Answer::AllowForTask
                    | Answer::AllowForProject
                    | Answer::AllowAlways => CallReply::Done { text: "yes".into() },
                };
                self.send(SessionCommand::Reply { call, reply }).await;
            }
        }
    }

    async fn withdrawn(&mut self, request: &RequestKey) {
        let gone = self.waiting.iter().find_map(|(id, waiting)| {
            let (Waiting::Tool(key) | Waiting::OwnQuestion(key, _) | Waiting::Call(key)) = waiting;
            (key == request).then_some(*id)
        });
        if let Some(id) = gone {
            self.waiting.remove(&id);
            self.tools
                .inbox
                .tell(self.task, Report::Withdrawn { id })
                .await;
        }
    }

    /// An agent used one of our tools. It is answered when what it said is recorded.
    async fn called(&mut self, call: RequestKey, body: AgentCall) {
        let Some(turn) = self.turn.as_ref().map(|turn| turn.id) else {
            let reply = CallReply::Failed {
                reason: "no turn is running".to_owned(),
            };
            self.send(SessionCommand::Reply { call, reply }).await;
            return;
        };
        let (report, thanks) = match body {
            AgentCall::PostMessage { to, kind, text } => (
                Report::Posted {
                    turn,
                    to,
                    kind,
                    text,
                },
                "posted".to_owned(),
            ),
            AgentCall::ReportProgress { note } => {
                (Report::Progress { turn, note }, "noted".to_owned())
            }
            AgentCall::SubmitResult { result } => {
                let thanks = "recorded; end your turn now".to_owned();
                (
                    Report::Result {
                        turn,
                        result: Box::new(result),
                    },
                    thanks,
                )
            }
            AgentCall::AskPerson { question, options } => {
                let question = Question::Open { question, options };
                self.ask(question, Waiting::Call(call)).await;
                return;
            }
            AgentCall::ReadMessages => {
                let text = self.messages();
                let report = Report::MessagesRead { turn };
                let reply = match self.tools.inbox.tell(self.task, report).await {
                    Some(_) => CallReply::Done { text },
                    None => CallReply::Failed {
                        reason: NOT_RECORDED.to_owned(),
                    },
                };
                self.send(SessionCommand::Reply { call, reply }).await;
                return;
            }
        };
        let reply = match self.tools.inbox.tell(self.task, report).await {
            Some(events) => CallReply::Done {
                text: self.unless_nobody_reads(&events).unwrap_or(thanks),
            },
            None => CallReply::Failed {
                reason: NOT_RECORDED.to_owned(),
            },
        };
        self.send(SessionCommand::Reply { call, reply }).await;
    }

    /// What to say of a message that nobody is going to read.
    fn unless_nobody_reads(&self, events: &[Event]) -> Option<String> {
        let task = self.tools.shared.task(self.task)?;
        let is_lost = events.iter().any(|event| {
            matches!(event, Event::MessagePosted { message }
                if task.delivery(message) == Delivery::Nobody)
        });
        is_lost.then(|| {
            "posted, but nobody it is for has a step left in the plan: it is read only if that changes".to_owned()
        })
    }

    /// What the others have written for this seat.
    fn messages(&self) -> String {
        let Some(task) = self.tools.shared.task(self.task) else {
            return String::new();
        };
        let mine = task
            .messages
            .iter()
            .filter(|message| message.concerns(self.role));
        let texts: Vec<_> = mine
            .map(|m| format!("{} ({})\n{}", m.id(), m.timestamp(), scratchpad::body(m)))
            .collect();
        if texts.is_empty() {
            "no messages yet".to_owned()
        } else {
            texts.join("\n---\n")
        }
    }

    async fn decide(&mut self, request: RequestKey, decision: ToolDecision) {
        self.send(SessionCommand::Decide { request, decision })
            .await;
    }

    async fn send(&mut self, command: SessionCommand) {
        if let Some(session) = &self.open {
            // A session that is gone says so among its events.
            let _ = session.commands.send(command).await;
        }
    }

    async fn end_turn(&mut self, outcome: TurnOutcome, usage: Usage, took: Option<Duration>) {
        let Some(mut turn) = self.turn.take() else {
            return;
        };
        self.waiting.clear();
        self.tools.monitor.ends(self.task, self.seat);
        self.used_at = tokio::time::Instant::now();
        if let Some(transcript) = &mut turn.transcript
            && let Err(error) = transcript.flush()
        {
            tracing::warn!(%error, "the end of a transcript is lost");
        }
        if self.role == Role::Beta {
            self.undo_edits().await;
        }
        let finished = matches!(outcome, TurnOutcome::Completed { .. });
        if finished
            && self.role.writes() == Writes::Workspace
            && let Some(task) = self.tools.shared.task(self.task)
        {
            audit::audit(&self.tools, &task, turn.id).await;
        }
        let took = took.unwrap_or_else(|| turn.started.elapsed());
        let report = TurnReport {
            turn: turn.id,
            outcome,
            usage,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            covers_lost: turn.covers_lost,
        };
        self.tools
            .inbox
            .tell(self.task, Report::TurnEnded(report))
            .await;
    }

    /// Beta edits nothing it validates: whatever its commands left is put back, so that the
    /// evidence stays about what is shown.
    async fn undo_edits(&self) {
        let Some(task) = self.tools.shared.task(self.task) else {
            return;
        };
        let Some(tree) = task.evidence.as_ref().map(|run| run.tree.clone()) else {
            return;
        };
        let data = self.tools.options.data.clone();
        let undone = tokio::task::spawn_blocking(move || {
            let (_, workspace) = super::copy::open(&data, &task)?;
            workspace.restore(&tree).map_err(super::copy::storage)
        });
        if let Ok(Err(error)) = undone.await {
            tracing::warn!(%error, "the workspace could not be put back after validation");
        }
    }

    async fn closed(&mut self, how: TurnOutcome) {
        self.forget_process(&how).await;
        self.end_turn(how, Usage::default(), None).await;
    }

    /// The process is gone with everything it had started, and that is put on record.
    async fn forget_process(&mut self, how: &TurnOutcome) {
        let Some(session) = self.open.take() else {
            return;
        };
        self.note_process_gone().await;
        if session.process.is_some() {
            let end = self.process_end.take().unwrap_or_else(|| ending_of(how));
            self.tell_process_ended(end).await;
        }
    }

    async fn tell_process_ended(&self, end: ProcessEnd) {
        let report = Report::ProcessEnded {
            role: self.role,
            session: self.session,
            end,
        };
        self.tools.inbox.tell(self.task, report).await;
    }

    /// Closes the session politely and waits until its processes are gone.
    async fn close(&mut self) {
        self.send(SessionCommand::Close).await;
        while let Some(session) = &mut self.open {
            match session.events.recv().await {
                Some(SessionEvent::ProcessEnded { end }) => self.process_end = Some(end),
                Some(SessionEvent::Closed { how }) => self.forget_process(&how).await,
                None => self.forget_process(&TurnOutcome::Interrupted).await,
                Some(_) => {}
            }
        }
    }
}

/// How the end of a session is put on record when its backend said nothing of a process.
fn ending_of(how: &TurnOutcome) -> ProcessEnd {
    match how {
        TurnOutcome::Exited { code: 0, .. }
        | TurnOutcome::Completed { .. }
        | TurnOutcome::Interrupted
        | TurnOutcome::BudgetExhausted => ProcessEnd::Closed,
        TurnOutcome::Exited { code, .. } => ProcessEnd::Exited { code: *code },
        TurnOutcome::Signalled { signal, .. } => ProcessEnd::Signalled { signal: *signal },
        TurnOutcome::TimedOut { .. }
        | TurnOutcome::RateLimited { .. }
        | TurnOutcome::Overloaded { .. }
        | TurnOutcome::AuthRequired { .. }
        | TurnOutcome::CreditExhausted { .. }
        | TurnOutcome::ContextExhausted { .. }
        | TurnOutcome::SessionLost { .. }
        | TurnOutcome::Refused { .. }
        | TurnOutcome::BadProtocol { .. }
        | TurnOutcome::CouldNotStart { .. }
        | TurnOutcome::OutputLost => ProcessEnd::Killed,
    }
}

/// The question that was put, or put once more.
fn asked(event: &Event) -> Option<ApprovalId> {
    if let Event::ApprovalRequested { approval } = event {
        Some(approval.id)
    } else if let Event::ApprovalReattached { id, .. } = event {
        Some(*id)
    } else {
        None
    }
}

/// Sleeps until a moment; for ever when there is none.
async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The next event of an open session; never, when none is open.
async fn next_event(session: &mut Option<Session>) -> Option<SessionEvent> {
    match session {
        Some(session) => session.events.recv().await,
        None => std::future::pending().await,
    }
}
