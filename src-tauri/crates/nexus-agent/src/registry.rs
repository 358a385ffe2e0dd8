//! Every backend there is. A new one adds its variant, its name and its line here.

use crate::{Backend, ClaudeCode, ClaudeConfig, Pace, Practice};
use std::sync::Arc;

/// A backend with what it needs.
#[derive(Clone, Debug)]
pub enum BackendConfig {
    Claude(Box<ClaudeConfig>),
    Practice(Pace),
}

impl BackendConfig {
    /// The name by which a person chooses it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claude(_) => "claude",
            Self::Practice(_) => "practice",
        }
    }

    /// The backend, ready to open sessions.
    pub fn build(self) -> Arc<dyn Backend> {
        match self {
            Self::Claude(config) => Arc::new(ClaudeCode::new(*config)),
            Self::Practice(pace) => Arc::new(Practice::new(pace)),
        }
    }
}
