//! This process as a host: what it knows of the machine, and its way to an engine.

use crate::{exit, output::Output, terminal};
use nexus_agent::{Backend, Pace, Practice};
use nexus_api::{ApiError, CallError, Client, Connection};
use nexus_engine::{Machine, TakeUp};
use std::sync::Arc;

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// The stable code, where the API gave one.
    pub(crate) name: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            name: "error".to_owned(),
            message: message.into(),
        }
    }

    /// Prints it where the person or the program reading us looks for it.
    pub(crate) fn report(&self, output: Output) -> u8 {
        if output == Output::Ndjson {
            let line = serde_json::json!({
                "type": "error", "code": self.name, "detail": self.message,
            });
            terminal::say(&line.to_string());
        }
        terminal::complain(&self.message);
        self.code
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let problem = error.problem();
        let code = exit::of_problem(&problem);
        Self {
            code,
            name: problem.code,
            message: problem.detail,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => Self {
                code: exit::of_problem(&problem),
                name: problem.code,
                message: problem.detail,
            },
            CallError::Gone => Self {
                code: exit::ERROR,
                name: "gone".to_owned(),
                message: error.to_string(),
            },
        }
    }
}

/// The machine, as this process's environment describes it.
pub(crate) fn machine() -> Result<Machine, Failure> {
    let guard = std::env::current_exe()
        .map_err(|e| Failure::new(exit::ERROR, format!("failed to find my own program: {e}")))?;
    Machine::of(std::env::vars_os(), guard).map_err(|error| ApiError::from(error).into())
}

fn practice(pace: Pace) -> Arc<dyn Backend> {
    Arc::new(Practice::new(pace))
}

/// Owns the engine, or becomes a client of its owner.
pub(crate) async fn connect(pace: Pace) -> Result<Connection, Failure> {
    Ok(nexus_api::connect(machine()?, practice(pace), TakeUp::WhatIsOrdered).await?)
}

/// A way to look without waking anything.
pub(crate) async fn look() -> Result<Client, Failure> {
    Ok(nexus_api::look(machine()?, practice(Pace::Watch)).await?)
}
