//! Which keys there are.

use crate::SecretError;
use std::{fmt, str::FromStr};

/// A key that NEXUS knows how to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretName {
    /// Pays for the agents, for people without a login to the agent program.
    Anthropic,
    /// Pays for the planner.
    OpenAi,
}

impl SecretName {
    /// Every name, in the order lists show them.
    pub const ALL: [Self; 2] = [Self::Anthropic, Self::OpenAi];

    /// The name as people write it, and the account's name in the keychain.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }

    /// The environment variable that carries the key where there is no keychain.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Anthropic => "ANTHROPIC_API_KEY",
            Self::OpenAi => "OPENAI_API_KEY",
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SecretName {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| SecretError::UnknownName {
                name: text.chars().take(40).collect(),
            })
    }
}
