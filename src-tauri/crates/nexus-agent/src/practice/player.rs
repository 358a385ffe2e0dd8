//! One practice session: plays its part when it is prompted, and can be interrupted at every
//! point of it.

use super::{
    Pace,
    recording::{Alteration, Part, Step},
};
use crate::{CallReply, RequestKey, SessionCommand, SessionEvent, SessionSpec, ToolDecision};
use nexus_core::{AgentCall, Denial, Role, ToolRequest, TurnOutcome, TurnUpdate, Usage, Usd};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

/// What every agent says first.
const NOTICE: &str = "Practice recording: no AI is at work here, and these words were written beforehand. The changed files and the checks are real.";

/// How many letters of a text come at once, and how long they take.
const PIECE: usize = 12;
const PIECE_TIME: Duration = Duration::from_millis(70);
/// How long reading or writing a file takes.
const FILE_TIME: Duration = Duration::from_millis(400);
/// How long a thought takes.
const THOUGHT_TIME: Duration = Duration::from_millis(1200);

/// Plays the part of one agent.
pub(super) struct Player {
    pace: Pace,
    role: Role,
    workspace: PathBuf,
    part: Part,
    orders: mpsc::Receiver<SessionCommand>,
    events: mpsc::Sender<SessionEvent>,
    /// How many tool calls there were.
    calls: u32,
}

/// Why a turn ends before its end.
enum Stop {
    Interrupted,
    Closed,
}

/// What became of a step.
#[derive(PartialEq)]
enum Played {
    Whole,
    /// A change was not made, so what was recorded after it would not be true.
    Short,
}

/// What is remembered of the running turn.
#[derive(Default)]
struct Told {
    last_text: String,
    denials: Vec<Denial>,
}

impl Player {
    pub(super) fn new(
        pace: Pace,
        spec: SessionSpec,
        part: Part,
        orders: mpsc::Receiver<SessionCommand>,
        events: mpsc::Sender<SessionEvent>,
    ) -> Self {
        Self {
            pace,
            role: spec.role,
            workspace: spec.workspace,
            part,
            orders,
            events,
            calls: 0,
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(order) = self.orders.recv().await {
            match order {
                SessionCommand::Prompt(prompt) => {
                    if let Err(Stop::Closed) = self.turn(&prompt).await {
                        break;
                    }
                }
                SessionCommand::Close => break,
                // Nothing runs and nothing waits.
                SessionCommand::Interrupt
                | SessionCommand::Decide { .. }
                | SessionCommand::Reply { .. } => {}
            }
        }
        let how = TurnOutcome::Interrupted;
        // Nobody may be listening any more.
        let _ = self.events.send(SessionEvent::Closed { how }).await;
    }

    async fn turn(&mut self, prompt: &str) -> Result<(), Stop> {
        let started = Instant::now();
        let mut told = Told::default();
        let played = self.perform(round_of(prompt), &mut told).await;
        let outcome = match played {
            Ok(()) => TurnOutcome::Completed {
                text: told.last_text,
                denials: told.denials,
            },
            Err(Stop::Interrupted | Stop::Closed) => TurnOutcome::Interrupted,
        };
        let ended = SessionEvent::TurnEnded {
            outcome,
            usage: Usage {
                cost: Some(Usd::ZERO),
                ..Usage::default()
            },
            covers_lost: false,
            duration: started.elapsed(),
        };
        let heard = self.events.send(ended).await;
        match played {
            Err(Stop::Closed) => Err(Stop::Closed),
            Ok(()) | Err(Stop::Interrupted) => heard.map_err(|_| Stop::Closed),
        }
    }

    async fn perform(&mut self, round: u32, told: &mut Told) -> Result<(), Stop> {
        self.say(NOTICE, told).await?;
        let part = self.part.clone();
        if self.play(part.scene(round, &self.workspace), told).await? == Played::Short {
            self.play(part.otherwise(), told).await?;
        }
        Ok(())
    }

    async fn play(&mut self, steps: &[Step], told: &mut Told) -> Result<Played, Stop> {
        for step in steps {
            if self.step(step, told).await? == Played::Short {
                return Ok(Played::Short);
            }
        }
        Ok(Played::Whole)
    }

    async fn step(&mut self, step: &Step, told: &mut Told) -> Result<Played, Stop> {
        match step {
            Step::Wait(time) => self.wait(*time).await?,
            Step::Thinking(text) => {
                self.wait(THOUGHT_TIME).await?;
                let text = text.clone();
                self.show(TurnUpdate::Thinking { text }).await?;
            }
            Step::Text(text) => self.say(text, told).await?,
            Step::Read(path) => self.read(path).await?,
            Step::Grep(grep) => {
                let path = self.workspace.join(&grep.path);
                let input =
                    json!({ "pattern": grep.pattern, "path": path, "output_mode": "content" });
                self.recorded("Grep", input, FILE_TIME, &grep.found).await?;
            }
            Step::Bash(bash) => {
                let input = json!({ "command": bash.command, "description": bash.description });
                self.recorded("Bash", input, bash.takes, &bash.output)
                    .await?;
            }
            Step::Edit(edit) => {
                let change = json!({ "old_string": edit.old, "new_string": edit.new });
                let alteration = Alteration::Edit(edit.clone());
                return self.alter("Edit", &alteration, change, told).await;
            }
            Step::Write(write) => {
                let change = json!({ "content": write.content });
                let alteration = Alteration::Write(write.clone());
                return self.alter("Write", &alteration, change, told).await;
            }
            Step::Call(call) => self.call(call).await?,
        }
        Ok(Played::Whole)
    }

    /// Writes a text piece by piece.
    async fn say(&mut self, text: &str, told: &mut Told) -> Result<(), Stop> {
        for piece in pieces(text) {
            self.wait(PIECE_TIME).await?;
            self.show(TurnUpdate::TextDelta { text: piece }).await?;
        }
        told.last_text = text.to_owned();
        let text = text.to_owned();
        self.show(TurnUpdate::Text { text }).await
    }

    async fn read(&mut self, path: &str) -> Result<(), Stop> {
        let whole = self.workspace.join(path);
        let request = tool("Read", json!({ "file_path": whole }));
        let call = self.started(&request).await?;
        self.wait(FILE_TIME).await?;
        let (ok, output) = match tokio::fs::read_to_string(&whole).await {
            Ok(text) => (true, numbered(&text)),
            Err(error) => (false, format!("failed to read {path}: {error}")),
        };
        self.ended(call, ok, &output).await
    }

    /// A tool that is only shown.
    async fn recorded(
        &mut self,
        name: &str,
        input: Value,
        takes: Duration,
        output: &str,
    ) -> Result<(), Stop> {
        let call = self.started(&tool(name, input)).await?;
        self.wait(takes).await?;
        self.ended(call, true, output).await
    }

    /// Changes a file, when that is allowed.
    async fn alter(
        &mut self,
        name: &str,
        alteration: &Alteration,
        mut input: Value,
        told: &mut Told,
    ) -> Result<Played, Stop> {
        let path = alteration.path();
        input["file_path"] = json!(self.workspace.join(path));
        let request = tool(name, input);
        let call = self.started(&request).await?;
        let object = request.object().to_owned();
        let refusal = match self.ask(&call, request).await? {
            ToolDecision::Allow => None,
            ToolDecision::Deny { reason } => Some(reason),
            ToolDecision::Answered { .. } => Some("this was no question".to_owned()),
        };
        if let Some(reason) = refusal {
            let tool = name.to_owned();
            told.denials.push(Denial { tool, object });
            self.ended(call, false, &reason).await?;
            self.say(
                &format!("Changing {path} was refused to me: {reason}"),
                told,
            )
            .await?;
            return Ok(Played::Short);
        }
        self.wait(FILE_TIME).await?;
        if let Err(error) = self.make(alteration).await {
            self.ended(call, false, &error).await?;
            self.say(&format!("I could not change {path}: {error}."), told)
                .await?;
            return Ok(Played::Short);
        }
        self.ended(call, true, &format!("{path} has been updated."))
            .await?;
        Ok(Played::Whole)
    }

    async fn make(&self, alteration: &Alteration) -> Result<(), String> {
        let (alteration, workspace) = (alteration.clone(), self.workspace.clone());
        let made = tokio::task::spawn_blocking(move || alteration.make(&workspace)).await;
        match made {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(_) => Err("NEXUS is shutting down".to_owned()),
        }
    }

    /// Uses a tool of NEXUS, and waits for its reply.
    async fn call(&mut self, body: &AgentCall) -> Result<(), Stop> {
        let call = self.started(&nexus_tool(body)).await?;
        let key = RequestKey(call.clone());
        let called = SessionEvent::Called {
            call: key.clone(),
            body: body.clone(),
        };
        self.tell(called).await?;
        let reply = self
            .answer(&key, |order| match order {
                SessionCommand::Reply { call, reply } if call == key => Some(reply),
                SessionCommand::Prompt(_)
                | SessionCommand::Interrupt
                | SessionCommand::Decide { .. }
                | SessionCommand::Reply { .. }
                | SessionCommand::Close => None,
            })
            .await?;
        match reply {
            CallReply::Done { text } => self.ended(call, true, &text).await,
            CallReply::Failed { reason } => self.ended(call, false, &reason).await,
        }
    }

    /// Asks whether a tool may be used, and waits for the decision.
    async fn ask(&mut self, call: &str, tool: ToolRequest) -> Result<ToolDecision, Stop> {
        let key = RequestKey(call.to_owned());
        let request = key.clone();
        self.tell(SessionEvent::ToolAsked { request, tool }).await?;
        self.answer(&key, |order| match order {
            SessionCommand::Decide { request, decision } if request == key => Some(decision),
            SessionCommand::Prompt(_)
            | SessionCommand::Interrupt
            | SessionCommand::Decide { .. }
            | SessionCommand::Reply { .. }
            | SessionCommand::Close => None,
        })
        .await
    }

    /// Waits for the order in which `wanted` finds the answer to `key`. The question is taken
    /// back when the turn is stopped meanwhile.
    async fn answer<T>(
        &mut self,
        key: &RequestKey,
        mut wanted: impl FnMut(SessionCommand) -> Option<T>,
    ) -> Result<T, Stop> {
        loop {
            let order = self.orders.recv().await;
            if let Some(stop) = as_stop(order.as_ref()) {
                let request = key.clone();
                // Nobody may be listening any more.
                let _ = self.events.send(SessionEvent::Withdrawn { request }).await;
                return Err(stop);
            }
            if let Some(answer) = order.and_then(&mut wanted) {
                return Ok(answer);
            }
        }
    }

    async fn started(&mut self, request: &ToolRequest) -> Result<String, Stop> {
        self.calls += 1;
        let call = format!("practice-{}-{}", self.role, self.calls);
        self.show(TurnUpdate::ToolStarted {
            call: call.clone(),
            tool: request.tool.clone(),
            object: request.object().to_owned(),
            input: request.input.clone(),
        })
        .await?;
        Ok(call)
    }

    async fn ended(&mut self, call: String, ok: bool, output: &str) -> Result<(), Stop> {
        let end = output.floor_char_boundary(TurnUpdate::OUTPUT_LIMIT);
        let output = output[..end].to_owned();
        self.show(TurnUpdate::ToolEnded { call, ok, output }).await
    }

    async fn show(&mut self, update: TurnUpdate) -> Result<(), Stop> {
        self.tell(SessionEvent::Update(update)).await
    }

    async fn tell(&mut self, event: SessionEvent) -> Result<(), Stop> {
        tokio::select! {
            biased;
            stop = stopped(&mut self.orders) => Err(stop),
            told = self.events.send(event) => told.map_err(|_| Stop::Closed),
        }
    }

    async fn wait(&mut self, recorded: Duration) -> Result<(), Stop> {
        let time = self.pace.of(recorded);
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            stop = stopped(&mut self.orders) => Err(stop),
            () = sleep(time) => Ok(()),
        }
    }
}

/// Waits for an order to stop.
async fn stopped(orders: &mut mpsc::Receiver<SessionCommand>) -> Stop {
    loop {
        if let Some(stop) = as_stop(orders.recv().await.as_ref()) {
            return stop;
        }
    }
}

/// Is this an order to stop? `None` for an order stands for nobody who could give any.
fn as_stop(order: Option<&SessionCommand>) -> Option<Stop> {
    match order {
        Some(SessionCommand::Interrupt) => Some(Stop::Interrupted),
        Some(SessionCommand::Close) | None => Some(Stop::Closed),
        // Not now: a turn runs, and what is answered here is not what it asks.
        Some(
            SessionCommand::Prompt(_)
            | SessionCommand::Decide { .. }
            | SessionCommand::Reply { .. },
        ) => None,
    }
}

/// The round named at the end of the prompt's first paragraph, "(round N, attempt M)."; else
/// the first one.
fn round_of(prompt: &str) -> u32 {
    let (head, _) = prompt.split_once("\n\n").unwrap_or((prompt, ""));
    let number = head
        .rsplit_once("(round ")
        .and_then(|(_, rest)| rest.split_once(','))
        .map(|(number, _)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn tool(name: &str, input: Value) -> ToolRequest {
    ToolRequest {
        tool: name.to_owned(),
        input,
    }
}

/// A call as the use of the tool that agents make it with.
fn nexus_tool(body: &AgentCall) -> ToolRequest {
    let mut input = json!(body);
    let name = match input.as_object_mut().and_then(|input| input.remove("tool")) {
        Some(Value::String(name)) => name,
        Some(_) | None => String::new(),
    };
    let input = match input.get_mut("result") {
        Some(result) => result.take(),
        None => input,
    };
    tool(&format!("mcp__nexus__{name}"), input)
}

/// The text in pieces of whole words.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in text.split_inclusive(' ') {
        match pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push_str(word),
            Some(_) | None => pieces.push(word.to_owned()),
        }
    }
    pieces
}

/// A file as agents are shown it: with line numbers.
fn numbered(text: &str) -> String {
    let lines = text.lines().enumerate();
    let lines: Vec<_> = lines
        .map(|(n, line)| format!("{:>6}\t{line}", n + 1))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_is_the_last_one_named_in_the_first_paragraph() {
        let cases = [
            (
                "You are Code\nTake this step of the task: X (round 2, attempt 1).\n",
                2,
            ),
            (
                "You are Code\nTake: (round 7, attempt 1) of chess (round 3, attempt 2).",
                3,
            ),
            ("You are Code\nTake: Two\nlines (round 4, attempt 1).\n", 4),
            (
                "You are Code\nTake it.\n\n## The wish\n(round 5, attempt 1)",
                1,
            ),
            ("You are Code\n(round x, attempt 1)", 1),
            ("", 1),
        ];
        for (prompt, round) in cases {
            assert_eq!(round_of(prompt), round, "{prompt}");
        }
    }

    #[test]
    fn the_pieces_of_a_text_are_the_text() {
        for text in [
            "",
            "word",
            NOTICE,
            "ä ö ü ".repeat(20).as_str(),
            "two\nlines  here",
        ] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert!(pieces(NOTICE).len() > 5);
    }
}
