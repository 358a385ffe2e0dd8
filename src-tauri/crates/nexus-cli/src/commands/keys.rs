//! `nexus keys`: API keys in the keychain. Values come from stdin or a hidden prompt, never
//! from an argument.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    terminal::{self, say},
};
use clap::{Subcommand, ValueEnum};
use nexus_api::ApiError;
use nexus_engine::EngineError;
use nexus_secrets::{SecretError, SecretName};

/// API keys in the keychain.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Save a key. Reads it from stdin, or asks without showing it.
    Set { name: KeyName },
    /// See which keys are saved. Shows their last four characters.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a key.
    Remove { name: KeyName },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeyName {
    Anthropic,
    Openai,
}

impl From<KeyName> for SecretName {
    fn from(name: KeyName) -> Self {
        match name {
            KeyName::Anthropic => Self::Anthropic,
            KeyName::Openai => Self::OpenAi,
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        ApiError::from(EngineError::from(error)).into()
    }
}

impl Keys {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let secrets = host::machine()?.secrets;
        match self {
            Self::Set { name } => {
                let name = SecretName::from(name);
                let value = terminal::ask_secret(&format!("{} key (not shown): ", name.as_str()))
                    .map_err(|e| {
                    Failure::new(exit::ERROR, format!("failed to read the key: {e}"))
                })?;
                secrets.set(name, value.into()).await?;
                say(&format!("saved the {} key", name.as_str()));
            }
            Self::List { json } => {
                let saved = secrets.list().await?;
                if json {
                    let keys: Vec<_> = saved
                        .iter()
                        .map(|s| serde_json::json!({ "name": s.name.as_str(), "last_four": s.last_four }))
                        .collect();
                    print_json(&keys);
                } else if saved.is_empty() {
                    say("no keys saved");
                } else {
                    for key in saved {
                        say(&format!("{:<10} …{}", key.name.as_str(), key.last_four));
                    }
                }
            }
            Self::Remove { name } => {
                let name = SecretName::from(name);
                secrets.remove(name).await?;
                say(&format!("removed the {} key", name.as_str()));
            }
        }
        Ok(exit::OK)
    }
}
