//! `nexus task say` and `nexus task messages`: talk with the team.

use super::{print_json, task::path};
use crate::{
    exit,
    host::{self, Failure},
    output::{role_title, spelled},
    terminal::{clean, say},
};
use clap::Args;
use nexus_agent::Pace;
use nexus_api::view::*;
use std::path::PathBuf;

/// Tell an agent something, or the whole team.
#[derive(Debug, Args)]
pub(crate) struct Say {
    task: String,
    /// prime, aria, code, alpha, beta or team.
    #[arg(long, value_name = "WHO", default_value = "team")]
    to: String,
    /// What you say.
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// Interrupt whoever it is for. Otherwise it is read when the agent looks, or at the end
    /// of its turn.
    #[arg(long)]
    urgent: bool,
    /// A text file that goes with it. May be given several times.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// See what was said in a task, and who has read it.
#[derive(Debug, Args)]
pub(crate) struct Messages {
    task: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Say {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let whole = |file: &PathBuf| {
            let path = std::path::absolute(file).map_err(|error| {
                let text = format!("failed to read the path of {}: {error}", file.display());
                Failure::new(exit::USAGE, text)
            })?;
            Ok(path.to_string_lossy().into_owned())
        };
        let files: Result<Vec<String>, Failure> = self.files.iter().map(whole).collect();
        let said = SayBody {
            to: self.to,
            text: self.text,
            urgent: self.urgent,
            files: files?,
        };
        let connection = host::connect(Pace::Watch).await?;
        let client = connection.client();
        let ended = async {
            let path = path(&self.task, "messages");
            let card: TaskCard = client.post(&path, Some(&said)).await?;
            let messages: Vec<MessageView> = client.get(&path).await?;
            Ok::<_, nexus_api::CallError>((card, messages))
        }
        .await;
        super::execute::close(connection).await;
        let (card, messages) = ended?;
        let own = messages
            .iter()
            .rev()
            .find(|message| message.from == "person");
        let became = own.map(delivered).unwrap_or_default();
        say(&format!("{} {}: {became}", card.name, clean(&card.title)));
        Ok(exit::OK)
    }
}

impl Messages {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let path = path(&self.task, "messages");
        let messages: Vec<MessageView> = host::look().await?.get(&path).await?;
        if self.json {
            print_json(&messages);
            return Ok(exit::OK);
        }
        for message in &messages {
            say(&format!(
                "{} {} → {} ({}): {}",
                message.at.format("%H:%M:%S"),
                message.from,
                message.to,
                message.kind,
                delivered(message)
            ));
            for line in clean(&message.text).lines() {
                say(&format!("    {line}"));
            }
        }
        Ok(exit::OK)
    }
}

/// What became of a message, in words.
fn delivered(message: &MessageView) -> String {
    let readers: Vec<_> = message
        .read_by
        .iter()
        .map(|role| role_title(*role))
        .collect();
    match message.delivery {
        DeliveryView::Read => format!("read by {}", readers.join(", ")),
        DeliveryView::Waiting => "waits to be read".to_owned(),
        DeliveryView::Nobody => {
            "nobody it is for has a step left, so nobody reads it unless that changes".to_owned()
        }
        DeliveryView::Shown => spelled(message.delivery),
    }
}
