//! `nexus demo`: the whole job in the terminal, with the practice team.

use super::execute::close;
use crate::{
    follow::{Follow, follow},
    host::{self, Failure},
    output::Output,
    terminal,
};
use clap::Args;
use nexus_agent::Pace;
use nexus_api::view::*;

/// Makes the bundled sample, lets the practice team mend it, and accepts the change.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Do not wait between the recorded steps.
    #[arg(long)]
    fast: bool,
    /// Stop at the review instead of accepting.
    #[arg(long)]
    no_accept: bool,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        terminal::tell(
            "practice, no AI: a recorded team on a bundled sample, with real files and real checks",
        );
        let pace = if self.fast { Pace::Fast } else { Pace::Watch };
        let mut connection = host::connect(pace).await?;
        let ended = async {
            let client = connection.client();
            let since = client.get::<Board>("/board").await?.seq;
            let card: TaskCard = client.post("/practice", None::<&()>).await?;
            let how = Follow {
                output: Output::Text,
                accept: !self.no_accept,
                attended: false,
                pace,
            };
            follow(&mut connection, card.id, since, how).await
        }
        .await;
        close(connection).await;
        ended
    }
}
