//! `nexus sessions`: the agents' conversations.

use super::{print_json, task::path};
use crate::{
    exit,
    host::{self, Failure},
    output::{money, role_title, spelled},
    terminal::say,
};
use clap::Subcommand;
use nexus_agent::Pace;
use nexus_api::view::{SessionView, TaskCard};

/// The agents' conversations.
#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List the conversations, whether a process carries them or they are parked.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give up an agent's conversation. Its next turn begins a new one, told from the journal.
    Replace {
        task: String,
        /// aria, code, alpha or beta.
        role: String,
    },
}

impl Sessions {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        match self {
            Self::List { json } => list(json).await,
            Self::Replace { task, role } => {
                let fits = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
                let role: String = role.chars().filter(fits).collect();
                let operation = path(&task, &format!("sessions/{role}/replace"));
                let connection = host::connect(Pace::Watch).await?;
                let ended = connection
                    .client()
                    .post::<TaskCard>(&operation, None::<&()>)
                    .await;
                super::execute::close(connection).await;
                let card = ended?;
                say(&format!("{}: {role} begins a new conversation", card.name));
                Ok(exit::OK)
            }
        }
    }
}

async fn list(json: bool) -> Result<u8, Failure> {
    let sessions: Vec<SessionView> = host::look().await?.get("/sessions").await?;
    if json {
        print_json(&sessions);
        return Ok(exit::OK);
    }
    for session in &sessions {
        say(&format!(
            "{:<6} {:<6} {}  {:<6} {} turns  {}",
            session.task_name,
            role_title(session.role),
            session.id,
            spelled(session.state),
            session.turns,
            money(session.cost_usd),
        ));
    }
    Ok(exit::OK)
}
