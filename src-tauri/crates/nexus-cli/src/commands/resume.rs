//! `nexus resume`: brings what was interrupted to its end, as `nexus execute` would have.

use super::task;
use crate::{
    exit,
    follow::{Follow, follow},
    host::{self, Failure},
    output::Output,
    terminal,
};
use clap::Args;
use nexus_agent::Pace;
use nexus_api::{CallError, Client, Connection, view::*};

/// Bring interrupted tasks to their end.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// A task by its name; it may also be paused or failed. Without one, every task that was
    /// interrupted.
    task: Option<String>,
    /// How the result is printed, one result for each task.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

impl Resume {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        if let Some(name) = &self.task {
            return task::go_on(name, "resume", None::<&()>, self.output).await;
        }
        let mut connection = host::connect(Pace::Watch).await?;
        let ended = self.all(&mut connection).await;
        super::execute::close(connection).await;
        ended
    }

    /// Sets all of them going at once and follows them one after the other. The first code
    /// that is not 0 is the one of all.
    async fn all(&self, connection: &mut Connection) -> Result<u8, Failure> {
        let client = connection.client();
        let board: Board = client.get("/board").await?;
        let interrupted: Vec<TaskCard> = board
            .tasks
            .into_iter()
            .filter(|card| card.interrupted)
            .rev()
            .collect();
        if interrupted.is_empty() {
            return Ok(self.nothing());
        }
        for card in &interrupted {
            resume(&client, card).await?;
        }
        let mut code = exit::OK;
        for card in &interrupted {
            let how = Follow {
                output: self.output,
                accept: false,
                attended: terminal::is_attended() && self.output == Output::Text,
                pace: Pace::Watch,
            };
            let ended = follow(connection, card.id, board.seq, how).await?;
            if code == exit::OK {
                code = ended;
            }
            if ended == exit::INTERRUPTED {
                break;
            }
        }
        Ok(code)
    }

    fn nothing(&self) -> u8 {
        let text = "nothing was interrupted";
        match self.output {
            Output::Text => terminal::say(text),
            Output::Ndjson => {
                let line = serde_json::json!({
                    "type": "result", "task_id": null, "state": null, "text": text,
                });
                terminal::say(&line.to_string());
            }
        }
        exit::OK
    }
}

async fn resume(client: &Client, card: &TaskCard) -> Result<(), Failure> {
    let path = format!("/tasks/{}/resume", card.id);
    match client.post::<TaskCard>(&path, None::<&()>).await {
        Ok(_) => Ok(()),
        // It came to its end meanwhile; following it will say so.
        Err(CallError::Refused(_)) => Ok(()),
        Err(error @ CallError::Gone) => Err(error.into()),
    }
}
