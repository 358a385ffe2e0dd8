//! The interface between the engine and an agent backend.

use async_trait::async_trait;
use nexus_core::{
    AgentCall, ProcessEnd, Role, SessionId, TaskId, ToolRequest, TurnOutcome, TurnUpdate, Usage,
    Usd,
};
use nexus_process::ProcessIdentity;
use std::{path::PathBuf, time::Duration};
use tokio::sync::mpsc;

/// A program that can carry agent sessions.
#[async_trait]
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Starts the session's process and returns as soon as it accepts a prompt.
    ///
    /// The error is the outcome a turn would have had: `CouldNotStart`, `AuthRequired`,
    /// `SessionLost`, `BadProtocol`…
    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome>;

    /// Are its sessions carried by processes?
    fn starts_processes(&self) -> bool {
        true
    }

    /// Whether a session could be opened now, as far as that can be told without one. The
    /// error is what [`Backend::open`] would answer.
    async fn ready(&self) -> Result<(), TurnOutcome> {
        Ok(())
    }
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    pub task: TaskId,
    pub role: Role,
    pub session: SessionId,
    /// The session had a turn before: carry on its conversation instead of starting one.
    pub resume: bool,
    /// The agent's current directory.
    pub workspace: PathBuf,
    /// The persona, added to the program's own system prompt.
    pub system_prompt: String,
    /// What may still be spent, where the task has a cap.
    pub budget: Option<Usd>,
    /// A running turn that says nothing for this long is stopped with
    /// [`TurnOutcome::TimedOut`]. Waiting for an answer of ours is not silence.
    pub silence_limit: Duration,
    /// What a resumed session has to remember, and what it is known to have used.
    pub recorded: Recorded,
}

/// What NEXUS has on record about a session that is resumed. By default nothing: then nothing
/// is held against what the program says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// How many of its turns ended with [`TurnOutcome::Completed`]. A session that does not
    /// know the last of them is lost.
    pub turns: u32,
    /// What all its turns used, as it was reported. What the program counted beyond that was
    /// lost by a kill, and is added to the next turn. `None` where that is not wanted.
    pub used: Option<Usage>,
}

/// An open session. Dropping it closes the process; [`SessionCommand::Close`] does so politely.
#[derive(Debug)]
pub struct Session {
    /// The agent's process, for the ledger. `None` where the backend has none.
    pub process: Option<ProcessIdentity>,
    pub commands: mpsc::Sender<SessionCommand>,
    /// Ends with [`SessionEvent::Closed`].
    pub events: mpsc::Receiver<SessionEvent>,
}

/// What the engine may ask of a session.
#[derive(Debug)]
pub enum SessionCommand {
    /// Begin a turn. Only while none is running.
    Prompt(String),
    /// Stop the running turn. It ends with [`TurnOutcome::Interrupted`] and the session stays.
    /// Escalates by itself (SIGTERM, then the whole process tree) when the program does not
    /// obey; then the session closes.
    Interrupt,
    /// Answer a [`SessionEvent::ToolAsked`].
    Decide {
        request: RequestKey,
        decision: ToolDecision,
    },
    /// Answer a [`SessionEvent::Called`].
    Reply { call: RequestKey, reply: CallReply },
    /// Close stdin, wait, SIGTERM, wait, kill the tree. Ends with [`SessionEvent::Closed`].
    Close,
}

/// The backend's name for something that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey(pub String);

/// May the tool be used?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolDecision {
    Allow,
    /// The reason is told to the agent.
    Deny {
        reason: String,
    },
    /// The person's answers to the agent's own question tool, as question → answer.
    Answered {
        answers: Vec<(String, String)>,
    },
}

/// What a `nexus` tool answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallReply {
    Done {
        text: String,
    },
    /// The call was understood but cannot be met; the agent sees it as a tool error.
    Failed {
        reason: String,
    },
}

/// What a session tells.
#[derive(Debug)]
pub enum SessionEvent {
    Update(TurnUpdate),
    /// The agent wants to use a tool and waits for [`SessionCommand::Decide`].
    ToolAsked {
        request: RequestKey,
        tool: ToolRequest,
    },
    /// A question was taken back (the turn was interrupted); nobody waits any more.
    Withdrawn {
        request: RequestKey,
    },
    /// The agent called a `nexus` tool and waits for [`SessionCommand::Reply`].
    Called {
        call: RequestKey,
        body: AgentCall,
    },
    /// The turn is over. Nothing more of it follows.
    TurnEnded {
        outcome: TurnOutcome,
        usage: Usage,
        /// The usage holds all that earlier turns of the session used without being recorded.
        covers_lost: bool,
        duration: Duration,
    },
    /// How the process itself ended, whatever that meant for the turn. Comes before
    /// [`Closed`](Self::Closed), from backends whose sessions have a process.
    ProcessEnded {
        end: ProcessEnd,
    },
    /// The process and everything it started are gone. Always the last event.
    Closed {
        how: TurnOutcome,
    },
}
