//! Planners: what turns a wish into a plan when the standard pipeline does not.

mod listing;
mod openai;

pub use openai::OpenAiPlanner;

use async_trait::async_trait;
use nexus_core::Plan;
use std::path::PathBuf;

/// What a planner is told.
#[derive(Clone, Debug)]
pub struct PlanBrief {
    pub title: String,
    pub wish: String,
    /// The project's folder.
    pub folder: PathBuf,
}

/// Why there is no plan. The standard pipeline is used instead, and the reason is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPlan(pub String);

/// Something that makes plans.
#[async_trait]
pub trait Planner: Send + Sync + std::fmt::Debug {
    /// A plan that satisfies [`Plan::new`], or the reason there is none.
    async fn plan(&self, brief: &PlanBrief) -> Result<Plan, NoPlan>;
}

#[cfg(test)]
mod tests;
