//! What is decided about a step that was handed in, by whom, and what NEXUS Prime used for it.

use crate::{PlannedStep, Usage};
use serde::{Deserialize, Serialize};

/// What is decided about a step that was handed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ruling {
    /// The others may build on it.
    Accept,
    /// The same agent goes at it again.
    Retry { feedback: String },
    /// It is accepted, and what is left of the plan is replaced by these steps.
    Replan { steps: Vec<PlannedStep> },
    /// The person has to say.
    Ask { question: String },
}

impl Ruling {
    /// The ruling in one word, as it is written in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Retry { .. } => "retry",
            Self::Replan { .. } => "replan",
            Self::Ask { .. } => "ask",
        }
    }
}

/// Who decided, or changed a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The rules of NEXUS, which use no tokens.
    Rules,
    /// The model that plans.
    Prime,
    Person,
}

/// What NEXUS Prime was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrimePurpose {
    Plan,
    Judgement,
}

/// What NEXUS Prime used in a task. The rules use nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrimeUse {
    pub calls: u32,
    pub usage: Usage,
    /// The model that was asked last.
    pub model: Option<String>,
}
