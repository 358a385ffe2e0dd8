//! Plays the engine's part towards a session, one turn at a time.

use nexus_agent::{CallReply, Session, SessionCommand, SessionEvent, ToolDecision};
use nexus_core::{AgentCall, ToolRequest, TurnOutcome, TurnUpdate, Usage};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// No single thing in these tests takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a turn showed.
#[derive(Debug)]
pub struct Turn {
    pub updates: Vec<TurnUpdate>,
    pub asked: Vec<ToolRequest>,
    pub calls: Vec<AgentCall>,
    /// How many questions were taken back.
    pub withdrawn: usize,
    pub outcome: TurnOutcome,
    pub usage: Usage,
    /// The usage holds what earlier turns of the session used unseen.
    pub covers_lost: bool,
}

impl Turn {
    /// The text of a completed turn. Panics for every other outcome.
    pub fn text(&self) -> &str {
        let TurnOutcome::Completed { text, .. } = &self.outcome else {
            panic!("the turn did not complete: {:?}", self.outcome);
        };
        text
    }
}

/// What the engine would do. Everything is refused unless told otherwise.
pub struct Engine<'a> {
    decide: Rule<'a, ToolRequest, Option<ToolDecision>>,
    reply: Rule<'a, AgentCall, CallReply>,
    interrupt_on: Rule<'a, SessionEvent, bool>,
}

type Rule<'a, Seen, Answer> = Box<dyn FnMut(&Seen) -> Answer + Send + 'a>;

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Default for Engine<'_> {
    fn default() -> Self {
        let reason = "not in this test".to_owned();
        Self {
            decide: Box::new(move |_| {
                Some(ToolDecision::Deny {
                    reason: reason.clone(),
                })
            }),
            reply: Box::new(|_| CallReply::Done {
                text: "ok".to_owned(),
            }),
            interrupt_on: Box::new(|_| false),
        }
    }
}

impl<'a> Engine<'a> {
    /// Decides about tools; `None` leaves the question open.
    #[must_use]
    pub fn deciding(
        mut self,
        decide: impl FnMut(&ToolRequest) -> Option<ToolDecision> + Send + 'a,
    ) -> Self {
        self.decide = Box::new(decide);
        self
    }

    /// Answers calls of `nexus` tools.
    #[must_use]
    pub fn replying(mut self, reply: impl FnMut(&AgentCall) -> CallReply + Send + 'a) -> Self {
        self.reply = Box::new(reply);
        self
    }

    /// Interrupts the turn at the first event for which this holds.
    #[must_use]
    pub fn interrupting_on(
        mut self,
        interrupt_on: impl FnMut(&SessionEvent) -> bool + Send + 'a,
    ) -> Self {
        self.interrupt_on = Box::new(interrupt_on);
        self
    }

    /// Gives the prompt and follows the turn to its end.
    pub async fn turn(&mut self, session: &mut Session, prompt: &str) -> Turn {
        order(session, SessionCommand::Prompt(prompt.to_owned())).await;
        let mut turn = Turn {
            updates: Vec::new(),
            asked: Vec::new(),
            calls: Vec::new(),
            withdrawn: 0,
            outcome: TurnOutcome::OutputLost,
            usage: Usage::default(),
            covers_lost: false,
        };
        let mut interrupted = false;
        loop {
            let event = next(session).await;
            if !interrupted && (self.interrupt_on)(&event) {
                interrupted = true;
                order(session, SessionCommand::Interrupt).await;
            }
            match event {
                SessionEvent::Update(update) => turn.updates.push(update),
                SessionEvent::ToolAsked { request, tool } => {
                    if let Some(decision) = (self.decide)(&tool) {
                        order(session, SessionCommand::Decide { request, decision }).await;
                    }
                    turn.asked.push(tool);
                }
                SessionEvent::Called { call, body } => {
                    let reply = (self.reply)(&body);
                    turn.calls.push(body);
                    order(session, SessionCommand::Reply { call, reply }).await;
                }
                SessionEvent::Withdrawn { .. } => turn.withdrawn += 1,
                SessionEvent::TurnEnded {
                    outcome,
                    usage,
                    covers_lost,
                    ..
                } => {
                    return Turn {
                        outcome,
                        usage,
                        covers_lost,
                        ..turn
                    };
                }
                SessionEvent::ProcessEnded { end } => {
                    panic!("the process ended in the middle of a turn: {end:?}")
                }
                SessionEvent::Closed { how } => panic!("closed in the middle of a turn: {how:?}"),
            }
        }
    }
}

/// Closes the session and waits until its process and all it started are gone.
pub async fn close(mut session: Session) -> TurnOutcome {
    order(&session, SessionCommand::Close).await;
    closed(&mut session).await
}

/// Waits for the session's last event.
pub async fn closed(session: &mut Session) -> TurnOutcome {
    loop {
        if let SessionEvent::Closed { how } = next(session).await {
            return how;
        }
    }
}

async fn order(session: &Session, command: SessionCommand) {
    let sent = within(session.commands.send(command)).await;
    assert!(sent.is_ok(), "the session takes no orders any more");
}

async fn next(session: &mut Session) -> SessionEvent {
    let event = within(session.events.recv()).await;
    event.unwrap_or_else(|| panic!("the session ended without a last event"))
}

/// What `future` gives. Panics when that takes too long.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("nothing happened for {PATIENCE:?}"))
}
