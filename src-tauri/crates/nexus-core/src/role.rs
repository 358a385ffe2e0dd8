//! The seats of the team and the rights that come with each.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A seat of the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// NEXUS Prime: plans and decides. Where Claude Code plans, it reads; it changes nothing.
    Prime,
    /// Analyses; reads only.
    Aria,
    /// Implements.
    Code,
    /// Writes tests.
    Alpha,
    /// Validates; runs checks, edits nothing.
    Beta,
}

/// What an agent in a seat may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Nothing at all.
    Nothing,
    /// Anything inside the task's workspace.
    Workspace,
}

impl Role {
    /// The four seats filled by agents, in pipeline order.
    pub const AGENTS: [Self; 4] = [Self::Aria, Self::Code, Self::Alpha, Self::Beta];

    /// The short lower-case name used in JSON, file names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prime => "prime",
            Self::Aria => "aria",
            Self::Code => "code",
            Self::Alpha => "alpha",
            Self::Beta => "beta",
        }
    }

    /// The name people read.
    pub fn title(self) -> &'static str {
        match self {
            Self::Prime => "NEXUS Prime",
            Self::Aria => "Aria",
            Self::Code => "Code",
            Self::Alpha => "Alpha",
            Self::Beta => "Beta",
        }
    }

    /// The agent's name on the message bus.
    pub fn agent_id(self) -> &'static str {
        match self {
            Self::Prime => "nexus_prime",
            Self::Aria => "aria_coordinator",
            Self::Code => "code_developer",
            Self::Alpha => "alpha_test_creator",
            Self::Beta => "beta_test_validator",
        }
    }

    /// The built-in tools of the agent program that this seat is offered. Anything else does
    /// not exist for it.
    pub fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Prime => &["Read", "Glob", "Grep"],
            Self::Aria | Self::Beta => &["Read", "Glob", "Grep", "Bash", "AskUserQuestion"],
            Self::Code | Self::Alpha => &[
                "Read",
                "Glob",
                "Grep",
                "Bash",
                "Write",
                "Edit",
                "AskUserQuestion",
            ],
        }
    }

    /// What this seat may change.
    pub fn writes(self) -> Writes {
        match self {
            Self::Prime | Self::Aria | Self::Beta => Writes::Nothing,
            Self::Code | Self::Alpha => Writes::Workspace,
        }
    }

    /// May this seat run the project's own checks through its shell tool?
    pub fn runs_checks(self) -> bool {
        matches!(self, Self::Code | Self::Alpha | Self::Beta)
    }

    /// A session without a turn for this long gives its process up and comes back by resume.
    /// The concept document's `session_timeout`.
    pub fn session_timeout(self) -> std::time::Duration {
        std::time::Duration::from_secs(match self {
            Self::Prime | Self::Aria | Self::Code => 3600,
            Self::Alpha | Self::Beta => 1800,
        })
    }

    /// How often a failed attempt at a step is tried again before the task gives up.
    pub fn max_retries(self) -> u32 {
        match self {
            Self::Prime | Self::Aria | Self::Code => 3,
            Self::Alpha | Self::Beta => 2,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no seat of the team.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent `{0}`; the team is prime, aria, code, alpha and beta")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Prime]
            .into_iter()
            .chain(Self::AGENTS)
            .find(|role| role.name() == text || role.agent_id() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}
