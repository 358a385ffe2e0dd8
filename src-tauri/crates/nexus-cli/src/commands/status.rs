//! `nexus status`: what is under way. Only looks.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    output::{print_tasks, role_title, spelled},
    terminal::{line, say},
};
use clap::Args;
use nexus_api::view::*;

/// What is under way.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print the whole board as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let board: Board = host::look().await?.get("/board").await?;
        if self.json {
            print_json(&board);
            return Ok(exit::OK);
        }
        for agent in &board.agents {
            let task = agent.task_name.as_deref().unwrap_or("");
            say(&format!(
                "{:<12} {:<10} {task} {}",
                role_title(agent.role),
                spelled(agent.state),
                line(&agent.note, 80)
            ));
        }
        say("");
        let over = [TaskStateView::Done, TaskStateView::Cancelled];
        let open: Vec<_> = board
            .tasks
            .into_iter()
            .filter(|t| !over.contains(&t.state))
            .collect();
        print_tasks(&open);
        Ok(exit::OK)
    }
}
