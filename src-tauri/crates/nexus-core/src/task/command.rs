//! What a person can order a task to do, and why it may refuse.

use super::Limits;
use crate::{
    Answer, ApprovalId, BadPlan, Hold, PlannedStep, Priority, Recipient, Role, StepId, TaskState,
    Usd,
};

/// An order to a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begin, as soon as there is a free place.
    Start,
    /// Take the place. Given by the floor, not by a person.
    Admit,
    Pause,
    /// Go on after a pause or a failure.
    Resume,
    Cancel,
    Answer {
        approval: ApprovalId,
        answer: Answer,
        /// What the person saw, by its digest; an answer to something else is refused.
        digest: Option<String>,
    },
    /// Ask again about what was allowed for the whole task.
    Revoke {
        digest: String,
    },
    /// Begin nothing until the hold is over. Given by the floor, not by a person.
    Hold(Hold),
    /// The hold is over. Given by the floor, not by a person.
    LiftHold,
    /// A cap of the whole day is reached. Given by the floor, not by a person.
    EndOfDay,
    /// Give up a seat's conversation; its next turn begins a new one, told from the journal.
    ReplaceSession {
        role: Role,
    },
    /// Plan what is not begun yet anew. Steps that were begun have to be there as they are.
    EditPlan {
        /// The version that was edited; an edit of an older one is refused.
        version: u32,
        steps: Vec<PlannedStep>,
    },
    /// Tell an agent something, or the whole team.
    Say {
        to: Recipient,
        text: String,
        /// Whoever it is for is interrupted. Otherwise it is read when its turn is over, or
        /// when the agent looks.
        urgent: bool,
    },
    /// A follow-up to the same team in the same workspace.
    RequestChanges {
        text: String,
    },
    SetBudget {
        budget: Option<Usd>,
    },
    SetLimits {
        limits: Limits,
    },
    /// Say how urgent it is.
    SetPriority {
        priority: Priority,
    },
    /// Wait no longer for the tasks it was to come after.
    Unchain,
    /// Apply the change to the person's folder.
    Accept {
        although_red: bool,
    },
    Discard,
    /// Bring a discarded or cancelled task back.
    Restore,
}

impl Command {
    /// What the command asks for, to read after "cannot".
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Start | Self::Admit => "be started",
            Self::Pause => "be paused",
            Self::Resume => "be resumed",
            Self::Cancel => "be cancelled",
            Self::Answer { .. } => "take this answer",
            Self::Revoke { .. } => "take a permission back",
            Self::Hold(_) | Self::LiftHold | Self::EndOfDay => "be held",
            Self::ReplaceSession { .. } => "begin a new session",
            Self::EditPlan { .. } => "be planned anew",
            Self::Say { .. } => "take a message",
            Self::RequestChanges { .. } => "take a request for changes",
            Self::SetBudget { .. } => "take a cost cap",
            Self::SetLimits { .. } => "take a limit",
            Self::SetPriority { .. } => "take a priority",
            Self::Unchain => "be let go before the tasks it waits for",
            Self::Accept { .. } => "be accepted",
            Self::Discard => "be discarded",
            Self::Restore => "be brought back",
        }
    }
}

/// Why an order is not followed. Nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("a task in state `{state}` cannot {wanted}")]
    WrongState {
        state: TaskState,
        wanted: &'static str,
    },
    #[error("nobody asks this any more: the question was answered or withdrawn")]
    NoSuchQuestion,
    #[error(
        "the question has changed since it was shown: what would run now is not what was answered; look at it again"
    )]
    QuestionChanged,
    #[error("nothing of that kind is allowed for the task")]
    NoSuchGrant,
    #[error("{role} has no conversation that could be given up, or is in the middle of a turn")]
    NoIdleSession { role: Role },
    #[error("the task's cap on {what} is reached: raise it (`nexus task limits`), then resume")]
    CapReached { what: &'static str },
    #[error("today's cap for all tasks is reached: raise it (`nexus limits`), or resume tomorrow")]
    DayCapReached,
    #[error("this question takes {expected}")]
    WrongAnswer { expected: &'static str },
    #[error(
        "the checks are not green ({standing}); look at the evidence, then accept although red, request changes or discard"
    )]
    ChecksRed { standing: &'static str },
    #[error("the task waits for no other task")]
    NotChained,
    #[error("there is nothing to accept: the task changed no file")]
    NothingChanged,
    #[error("the task has no plan yet: wait until there is one")]
    NoPlan,
    #[error(
        "the plan has changed since version {edited}; version {version} is the latest: look at it and edit that one"
    )]
    PlanChanged { edited: u32, version: u32 },
    #[error("step {step} was begun, so it stays in the plan as it is")]
    StepBegun { step: StepId },
    #[error(transparent)]
    BadPlan(#[from] BadPlan),
    #[error("the message is empty: say something")]
    EmptyMessage,
    #[error(
        "the message has {bytes} bytes, at most {most} fit: put long material into a file of the project and name it"
    )]
    MessageTooLong { bytes: usize, most: usize },
    #[error("a message goes to prime, aria, code, alpha, beta or the team")]
    NoRecipient,
    #[error("the request for changes is empty: say what should be different")]
    EmptyRequest,
    #[error("the cap of {cap} is not above the {spent} that were spent already")]
    BudgetSpent { cap: Usd, spent: Usd },
}
