//! `nexus task`: see and steer tasks by their short name (`T-3`) or id.

use super::print_json;
use crate::{
    exit,
    follow::{Follow, follow},
    host::{self, Failure},
    output::{Output, print_task, print_tasks, spelled},
    terminal::{self, clean, say},
};
use clap::{Args, Subcommand};
use futures::StreamExt;
use nexus_agent::Pace;
use nexus_api::{CallError, Client, Connection, view::*};
use serde::Serialize;

/// See and steer tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List all tasks, newest first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a task: its steps, evidence and files.
    Show {
        task: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what a task changed, as a unified diff.
    Diff {
        task: String,
        /// Only this file.
        #[arg(long)]
        path: Option<String>,
    },
    /// See a task's plan, or set what is not begun yet.
    Plan(super::plan::Plan),
    /// Tell an agent something, or the whole team.
    Say(super::talk::Say),
    /// See what was said in a task, and who has read it.
    Messages(super::talk::Messages),
    /// Apply a reviewed change to your folder.
    Accept {
        task: String,
        /// Apply although the checks are red.
        #[arg(long)]
        although_red: bool,
    },
    /// Put reviewed work aside. It is kept.
    Discard(Named),
    /// Stop a task for good. Its work is kept.
    Cancel(Named),
    /// Bring cancelled or discarded work back.
    Restore(Named),
    /// Stop a task's agents and keep everything.
    Pause(Named),
    /// Go on with a paused or failed task, to its end.
    Resume {
        task: String,
        /// Set the cost cap to this many dollars first.
        #[arg(long, value_name = "DOLLARS", value_parser = super::execute::dollars)]
        budget: Option<f64>,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Say how urgent a task is.
    Priority {
        task: String,
        #[arg(value_enum)]
        priority: super::execute::Priority,
    },
    /// Let a task wait for no other task any more.
    Unchain(Named),
    /// Set what a task may use up. A cap that is not named stays as it is.
    Limits {
        task: String,
        /// The cost cap in dollars.
        #[arg(long, value_name = "DOLLARS", value_parser = super::execute::dollars)]
        budget: Option<f64>,
        #[command(flatten)]
        caps: super::execute::Caps,
    },
    /// Send reviewed work back with a request, and follow it to its end.
    RequestChanges {
        task: String,
        /// What should be different.
        #[arg(long, value_name = "TEXT")]
        text: String,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// A task by its name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    task: String,
}

impl TaskCommand {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        match self {
            Self::List { json } => {
                let tasks: Vec<TaskCard> = host::look().await?.get("/tasks").await?;
                if json {
                    print_json(&tasks)
                } else {
                    print_tasks(&tasks)
                }
                Ok(exit::OK)
            }
            Self::Show { task, json } => {
                let task: TaskView = host::look().await?.get(&path(&task, "")).await?;
                if json {
                    print_json(&task)
                } else {
                    print_task(&task)
                }
                Ok(exit::OK)
            }
            Self::Diff { task, path: file } => diff(&task, file).await,
            Self::Plan(plan) => plan.run().await,
            Self::Say(say) => say.run().await,
            Self::Messages(messages) => messages.run().await,
            Self::Accept { task, although_red } => accept(&task, although_red).await,
            Self::Discard(named) => order(&named.task, "discard").await,
            Self::Cancel(named) => order(&named.task, "cancel").await,
            Self::Restore(named) => order(&named.task, "restore").await,
            Self::Pause(named) => order(&named.task, "pause").await,
            Self::Resume {
                task,
                budget,
                output,
            } => {
                if let Some(dollars) = budget {
                    set_budget(&task, dollars).await?;
                }
                go_on(&task, "resume", None::<&()>, output).await
            }
            Self::Priority { task, priority } => set_priority(&task, priority.view()).await,
            Self::Unchain(named) => say_order(&named.task, "unchain", None::<&()>).await,
            Self::Limits { task, budget, caps } => set_caps(&task, budget, caps).await,
            Self::RequestChanges { task, text, output } => {
                go_on(
                    &task,
                    "request-changes",
                    Some(&ChangeRequest { text }),
                    output,
                )
                .await
            }
        }
    }
}

/// The path of a task's operation. What cannot be part of a name becomes a `_`, which is in
/// none, so that the name is not found.
pub(super) fn path(task: &str, operation: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let mut name: String = task
        .chars()
        .map(|letter| if fits(letter) { letter } else { '_' })
        .collect();
    if name.is_empty() {
        name.push('_');
    }
    if operation.is_empty() {
        format!("/tasks/{name}")
    } else {
        format!("/tasks/{name}/{operation}")
    }
}

/// A text as the value of a query.
pub(super) fn encoded(text: &str) -> String {
    let letters = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    letters.collect()
}

async fn diff(task: &str, file: Option<String>) -> Result<u8, Failure> {
    let mut operation = "diff".to_owned();
    if let Some(file) = file {
        operation.push_str("?path=");
        operation.push_str(&encoded(&file));
    }
    let diff: DiffView = host::look().await?.get(&path(task, &operation)).await?;
    say(clean(&diff.patch).trim_end());
    if diff.truncated {
        terminal::complain("the diff is longer than what is shown; name a file with --path");
    }
    Ok(exit::OK)
}

/// Gives an order, waits until it has been followed, and says where the task is.
async fn order(task: &str, operation: &str) -> Result<u8, Failure> {
    let view = follow_order(task, operation, None::<&()>).await?;
    say(&format!(
        "{} {}: {}",
        view.card.name,
        clean(&view.card.title),
        spelled(view.card.state)
    ));
    Ok(exit::OK)
}

async fn set_priority(task: &str, priority: PriorityView) -> Result<u8, Failure> {
    say_order(task, "priority", Some(&PriorityBody { priority })).await
}

/// Gives an order that sets nothing going, and says where the task is then.
async fn say_order(
    task: &str,
    operation: &str,
    body: Option<&impl Serialize>,
) -> Result<u8, Failure> {
    let connection = host::connect(Pace::Watch).await?;
    let client = connection.client();
    let ended = client.post::<TaskCard>(&path(task, operation), body).await;
    super::execute::close(connection).await;
    let card = ended?;
    say(&format!(
        "{} {}: {}  {}",
        card.name,
        clean(&card.title),
        spelled(card.state),
        clean(&card.note)
    ));
    Ok(exit::OK)
}

async fn accept(task: &str, although_red: bool) -> Result<u8, Failure> {
    let view = follow_order(task, "accept", Some(&AcceptBody { although_red })).await?;
    print_task(&view);
    Ok(if view.card.state == TaskStateView::Done {
        exit::OK
    } else if view.conflicts.is_empty() {
        exit::ERROR
    } else {
        exit::CONFLICT
    })
}

/// Gives an order and waits until it has been followed. The owner may leave meanwhile, because
/// of this very order; then we take its place.
async fn follow_order(
    task: &str,
    operation: &str,
    body: Option<&impl Serialize>,
) -> Result<TaskView, Failure> {
    let mut connection = host::connect(Pace::Watch).await?;
    let path = path(task, operation);
    let ended = async {
        let mut client = connection.client();
        let card: TaskCard = client.post(&path, body).await?;
        loop {
            match settled(&client, &card).await {
                Err(CallError::Gone) if matches!(connection, Connection::Client(_)) => {
                    connection = host::connect(Pace::Watch).await?;
                    client = connection.client();
                    // What was begun is taken up by the next order; that it was given before
                    // is no matter.
                    let _ = client.post::<TaskCard>(&path, body).await;
                }
                ended => return Ok(ended?),
            }
        }
    }
    .await;
    super::execute::close(connection).await;
    ended
}

/// Waits until nothing is in motion any more: agents stopped, changes applied.
async fn settled(client: &Client, card: &TaskCard) -> Result<TaskView, CallError> {
    let board: Board = client.get("/board").await?;
    let mut changes = client.changes(board.seq).await?;
    loop {
        let view: TaskView = client.get(&format!("/tasks/{}", card.id)).await?;
        let moving = match view.card.state {
            TaskStateView::Working | TaskStateView::Planning | TaskStateView::NeedsYou => true,
            TaskStateView::Review => !view.card.actions.contains(&ActionView::Discard),
            TaskStateView::Backlog
            | TaskStateView::Done
            | TaskStateView::Paused
            | TaskStateView::Failed
            | TaskStateView::Cancelled => false,
        };
        if !moving {
            return Ok(view);
        }
        if changes.next().await.is_none() {
            changes = client.changes(board.seq).await?;
        }
    }
}

async fn set_caps(
    task: &str,
    budget: Option<f64>,
    caps: super::execute::Caps,
) -> Result<u8, Failure> {
    let connection = host::connect(Pace::Watch).await?;
    let client = connection.client();
    let ended = async {
        let known: TaskView = client.get(&path(task, "")).await?;
        let seconds = match caps.max_minutes {
            None => known.caps.seconds,
            Some(0) => None,
            Some(minutes) => Some(minutes.saturating_mul(60)),
        };
        let wanted = CapsView {
            cost_usd: budget.or(known.caps.cost_usd),
            tokens: caps.max_tokens.or(known.caps.tokens),
            seconds,
            turns: caps.max_turns.or(known.caps.turns),
        };
        client
            .call::<TaskCard>("PUT", &path(task, "caps"), Some(&wanted))
            .await
    }
    .await;
    super::execute::close(connection).await;
    let card = ended?;
    say(&format!("{} {}: limits set", card.name, clean(&card.title)));
    Ok(exit::OK)
}

async fn set_budget(task: &str, dollars: f64) -> Result<(), Failure> {
    let connection = host::connect(Pace::Watch).await?;
    let body = BudgetBody {
        budget_usd: Some(dollars),
    };
    let client = connection.client();
    let set = client
        .call::<TaskCard>("PUT", &path(task, "budget"), Some(&body))
        .await;
    super::execute::close(connection).await;
    Ok(set.map(drop)?)
}

/// Sets a task in motion again and follows it.
pub(super) async fn go_on(
    task: &str,
    operation: &str,
    body: Option<&impl Serialize>,
    output: Output,
) -> Result<u8, Failure> {
    let mut connection = host::connect(Pace::Watch).await?;
    let client = connection.client();
    let ended = async {
        let since = client.get::<Board>("/board").await?.seq;
        let card: TaskCard = client.post(&path(task, operation), body).await?;
        let attended = terminal::is_attended() && output == Output::Text;
        let how = Follow {
            output,
            accept: false,
            attended,
            pace: Pace::Watch,
        };
        follow(&mut connection, card.id, since, how).await
    }
    .await;
    super::execute::close(connection).await;
    ended
}
