//! Planners: what turns a wish into a plan, and judges a step that was handed in, when the
//! built-in rules do not.
//!
//! `openai` asks a model behind an OpenAI-compatible service, `claude` the person's own Claude
//! Code. Both are told the same: `words` is what, `shape` what the project is like, with
//! `mask` taking secrets out of it. Both answer in the same form, which `form` describes and
//! reads, and both are asked by `asking`, which sends back what cannot be used. What a model
//! answers is untrusted text: it becomes a plan only through [`Plan::new`].

mod asking;
mod claude;
mod form;
mod listing;
mod mask;
mod openai;
mod shape;
mod words;

pub use claude::ClaudePlanner;
pub use openai::{Api, OpenAiPlanner, PlannerSettings};

use async_trait::async_trait;
use nexus_core::{Plan, PlannedStep, Ruling, StepId, StepResult, Usage};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// What a planner is told to make a plan from.
#[derive(Clone, Debug, Default)]
pub struct PlanBrief {
    pub title: String,
    /// The person's words.
    pub wish: String,
    /// The project's folder.
    pub folder: PathBuf,
    /// The task's copy of it, where there is one: a planner that looks for itself looks there.
    pub workspace: Option<PathBuf>,
    /// The project's checks, as command lines.
    pub checks: Vec<String>,
    /// What has to be true of the result.
    pub checklist: Vec<String>,
    /// The subjects of the latest commits, newest first.
    pub history: Vec<String>,
    /// How many agents of one role may work side by side; none is one.
    pub seats: u32,
}

/// What a planner is told to judge a step.
#[derive(Clone, Debug)]
pub struct Case {
    /// The person's words.
    pub wish: String,
    /// The task's copy of the project, for a planner that looks for itself.
    pub workspace: Option<PathBuf>,
    /// All steps, done or not.
    pub plan: Vec<PlannedStep>,
    pub done: Vec<StepId>,
    /// The step that was handed in. It is not done before it is accepted.
    pub step: StepId,
    pub result: StepResult,
    /// Why the rules do not suffice.
    pub doubts: Vec<String>,
    /// How often the step may still be taken again with feedback.
    pub feedback_left: u32,
}

/// Words of a model as they come, for whoever watches. Best effort: a full or closed channel
/// is no reason to stop.
pub type Thinks = mpsc::Sender<String>;

/// A plan, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub plan: Plan,
    /// Of all that was asked for it; without a cost where no price is known.
    pub usage: Usage,
    /// The service's name of the model, or the program that chose one.
    pub model: String,
    /// How often a model was asked.
    pub calls: u32,
}

/// A ruling, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub ruling: Ruling,
    /// The model's reason, on one line.
    pub reason: String,
    /// Of all that was asked for it; without a cost where no price is known.
    pub usage: Usage,
    /// The service's name of the model, or the program that chose one.
    pub model: String,
    /// How often a model was asked.
    pub calls: u32,
}

/// Why a planner gave nothing, and what was spent in vain. The built-in rules are used instead,
/// and the reason is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoPlan {
    pub reason: String,
    /// As far as it is known: of an answer that was cut off, nobody says what it used.
    pub usage: Usage,
    pub calls: u32,
}

impl NoPlan {
    /// No model was asked, for this reason.
    pub fn unasked(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            usage: Usage::default(),
            calls: 0,
        }
    }
}

/// Something that makes plans and judges steps.
#[async_trait]
pub trait Planner: Send + Sync + std::fmt::Debug {
    /// A plan that satisfies [`Plan::new`], or the reason there is none.
    async fn plan(&self, brief: &PlanBrief, thinks: &Thinks) -> Result<Planned, NoPlan>;

    /// What becomes of a step that was handed in. The steps of another plan satisfy
    /// [`Plan::new`] together with those that are done.
    async fn judge(&self, case: &Case, thinks: &Thinks) -> Result<Judged, NoPlan>;
}

/// The text on one line, cut at `limit` bytes.
fn one_line(text: &str, limit: usize) -> String {
    let words: Vec<_> = text
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    line[..line.floor_char_boundary(limit)].to_owned()
}

#[cfg(test)]
mod tests;
