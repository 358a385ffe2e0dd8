//! `nexus agents`: what each seat of the team does. Only looks.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    output::{money, role_title, spelled},
    terminal::{line, say},
};
use clap::Args;
use nexus_api::view::AgentView;

/// What each seat of the team does.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Agents {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let agents: Vec<AgentView> = host::look().await?.get("/agents").await?;
        if self.json {
            print_json(&agents);
            return Ok(exit::OK);
        }
        for agent in &agents {
            say(&format!(
                "{:<12} {:<10} {:<8} {:<14} {} tokens  {}",
                role_title(agent.role),
                spelled(agent.state),
                agent.task_name.as_deref().unwrap_or("–"),
                money(agent.cost_usd),
                agent.tokens,
                line(&agent.note, 60)
            ));
        }
        Ok(exit::OK)
    }
}
