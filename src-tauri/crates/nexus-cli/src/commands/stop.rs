//! `nexus stop`: pauses everything that is under way.

use crate::{
    exit,
    host::{self, Failure},
    terminal::say,
};
use clap::Args;
use futures::StreamExt;
use nexus_agent::Pace;
use nexus_api::{CallError, Client, view::*};

/// Pause everything that is under way or waits to be. Everything is kept.
#[derive(Debug, Args)]
pub(crate) struct Stop {}

impl Stop {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let connection = host::connect(Pace::Watch).await?;
        let client = connection.client();
        let ended = async {
            client
                .post::<serde_json::Value>("/stop", None::<&()>)
                .await?;
            settled(&client).await
        }
        .await;
        super::execute::close(connection).await;
        match ended {
            // Its owner was about one task that is paused now, and has left.
            Ok(()) | Err(CallError::Gone) => {
                say("everything has stopped; go on with `nexus resume TASK`")
            }
            Err(error) => return Err(error.into()),
        }
        Ok(exit::OK)
    }
}

/// Waits until nothing is being stopped any more.
async fn settled(client: &Client) -> Result<(), CallError> {
    let mut seq = 0;
    loop {
        let board: Board = client.get("/board").await?;
        if !board.tasks.iter().any(|task| task.stopping) {
            return Ok(());
        }
        let mut changes = client.changes(seq.max(board.seq)).await?;
        if let Some(change) = changes.next().await {
            seq = nexus_api::seq_of(&change);
        }
    }
}
