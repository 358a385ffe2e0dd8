//! `nexus approvals`: questions that wait, and what was allowed for longer than once.

use super::{print_json, task::path};
use crate::{
    exit,
    host::{self, Failure},
    output::{role_title, spelled},
    terminal::{clean, line, say},
};
use clap::{Subcommand, ValueEnum};
use nexus_agent::Pace;
use nexus_api::view::*;
use uuid::Uuid;

/// Questions that wait, and what was allowed for longer than once.
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List the questions that wait for an answer.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Answer a question.
    Answer {
        /// The question's id, as `list` prints it.
        id: Uuid,
        /// The answer. For a question in words, leave it out and give --text.
        #[arg(value_enum, required_unless_present = "text")]
        answer: Option<Yes>,
        /// The answer in words, or the reason of a no.
        #[arg(long, value_name = "TEXT")]
        text: Option<String>,
        /// The question's digest as you saw it; an answer to anything else is refused.
        #[arg(long, value_name = "SHA-256")]
        digest: Option<String>,
    },
    /// List what was allowed for a task, a project or always.
    Rules {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take back what was allowed: a rule by its number, or a task's by its digest.
    Revoke {
        /// The rule's number, or the digest of what a task may do.
        what: String,
        /// The task whose permission it is.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
}

/// Answers to a question about a tool.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Yes {
    /// Yes, this once.
    Once,
    /// Yes, and to the very same request for the rest of the task.
    Task,
    /// Yes, and to the very same request in this project from now on.
    Project,
    /// Yes, and to the very same request everywhere from now on.
    Always,
    /// No.
    Deny,
}

impl Approvals {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        match self {
            Self::List { json } => list(json).await,
            Self::Answer {
                id,
                answer,
                text,
                digest,
            } => {
                let body = body(answer, text, digest);
                let operation = format!("/approvals/{id}");
                let card: TaskCard = call("POST", &operation, Some(&body)).await?;
                say(&format!("{}: {}", card.name, spelled(card.state)));
                Ok(exit::OK)
            }
            Self::Rules { json } => rules(json).await,
            Self::Revoke { what, task } => {
                match task {
                    Some(task) => {
                        let operation = path(&task, &format!("grants/{}", word(&what)));
                        call::<TaskCard>("DELETE", &operation, None).await?;
                    }
                    None => {
                        let operation = format!("/rules/{}", word(&what));
                        call::<serde_json::Value>("DELETE", &operation, None).await?;
                    }
                }
                say("taken back; it is asked about again");
                Ok(exit::OK)
            }
        }
    }
}

/// What can stand in a path; the rest becomes a letter that no name has.
fn word(text: &str) -> String {
    let fits = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    text.chars().map(fits).collect()
}

fn body(answer: Option<Yes>, text: Option<String>, digest: Option<String>) -> AnswerBody {
    let text = text.unwrap_or_default();
    let (kind, reason, text) = match answer {
        None => (AnswerKindView::Text, String::new(), text),
        Some(Yes::Deny) => (AnswerKindView::Deny, text, String::new()),
        Some(Yes::Once) => (AnswerKindView::Allow, String::new(), text),
        Some(Yes::Task) => (AnswerKindView::AllowForTask, String::new(), text),
        Some(Yes::Project) => (AnswerKindView::AllowForProject, String::new(), text),
        Some(Yes::Always) => (AnswerKindView::AllowAlways, String::new(), text),
    };
    AnswerBody {
        kind,
        reason,
        text,
        digest,
    }
}

async fn list(json: bool) -> Result<u8, Failure> {
    let open: Vec<ApprovalView> = host::look().await?.get("/approvals").await?;
    if json {
        print_json(&open);
        return Ok(exit::OK);
    }
    if open.is_empty() {
        say("nothing waits for an answer");
    }
    for asked in &open {
        say(&format!(
            "{}  {:<5} {}",
            asked.id,
            role_title(asked.role),
            clean(&asked.text)
        ));
        say(&format!("  {}", clean(&asked.detail)));
        if let Some(end) = asked.expires_at {
            say(&format!("  answered with no at {end}"));
        }
    }
    Ok(exit::OK)
}

async fn rules(json: bool) -> Result<u8, Failure> {
    let allowed: AllowedView = host::look().await?.get("/rules").await?;
    if json {
        print_json(&allowed);
        return Ok(exit::OK);
    }
    if allowed.rules.is_empty() && allowed.grants.is_empty() {
        say("nothing is allowed for longer than once");
    }
    for rule in &allowed.rules {
        let place = rule.project_name.as_deref().unwrap_or("everywhere");
        say(&format!(
            "{:<5} {:<20} {} {}",
            rule.id,
            line(place, 20),
            rule.tool,
            clean(&rule.object)
        ));
    }
    for grant in &allowed.grants {
        say(&format!(
            "{:<5} {} {}  (digest {})",
            grant.task_name,
            grant.tool,
            clean(&grant.object),
            grant.digest
        ));
    }
    Ok(exit::OK)
}

async fn call<T: serde::de::DeserializeOwned>(
    method: &str,
    operation: &str,
    body: Option<&AnswerBody>,
) -> Result<T, Failure> {
    let connection = host::connect(Pace::Watch).await?;
    let ended = connection.client().call(method, operation, body).await;
    super::execute::close(connection).await;
    Ok(ended?)
}
