//! `nexus agents`: what each seat of the team does. Only looks.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    output::{money, role_title, spelled},
    terminal::{line, say},
};
use clap::Args;
use nexus_api::view::{AgentView, SeatView};

/// What each seat of the team does.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// With `--json`: each agent at work, and what it does right now, instead of the roles.
    #[arg(long, requires = "json")]
    seats: bool,
}

impl Agents {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let client = host::look().await?;
        let agents: Vec<AgentView> = client.get("/agents").await?;
        let seats: Vec<SeatView> = client.get("/team").await?;
        if self.json && self.seats {
            print_json(&seats);
            return Ok(exit::OK);
        }
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
        for seat in &seats {
            print_seat(seat);
        }
        Ok(exit::OK)
    }
}

/// What one agent at work does right now.
fn print_seat(seat: &SeatView) {
    let doing = match (&seat.tool, &seat.object) {
        (Some(tool), Some(object)) => format!("{tool} {}", line(object, 50)),
        (Some(tool), None) => tool.clone(),
        (None, _) => String::new(),
    };
    let stalled = if seat.stalled { "  says nothing" } else { "" };
    say(&format!(
        "  {:<10} {:<10} {:<8} {} tokens  {}{stalled}  {doing}",
        seat.title,
        seat.state,
        seat.task_name,
        seat.tokens,
        line(seat.step_title.as_deref().unwrap_or_default(), 40),
    ));
}
