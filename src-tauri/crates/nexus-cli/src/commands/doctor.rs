//! `nexus doctor`: what is there and what is missing. Changes nothing.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    terminal::{clean, say},
};
use clap::Args;
use nexus_api::view::DoctorState;

/// What is there and what is missing.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let found = nexus_api::doctor(&host::machine()?, false).await;
        if self.json {
            print_json(&found);
        } else {
            for check in &found.checks {
                let mark = match check.state {
                    DoctorState::Ok => "✓",
                    DoctorState::Warning => "!",
                    DoctorState::Broken => "✗",
                };
                say(&format!(
                    "{mark} {:<22} {}",
                    check.title,
                    clean(&check.found)
                ));
                if !check.fix.is_empty() {
                    say(&format!("  {:<22} → {}", "", check.fix));
                }
            }
        }
        Ok(if found.ready {
            exit::OK
        } else {
            exit::ENVIRONMENT
        })
    }
}
