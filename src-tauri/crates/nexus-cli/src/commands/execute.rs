//! `nexus execute`: one task, from the wish to the end.

use crate::{
    exit,
    follow::{Follow, follow},
    host::{self, Failure},
    output::Output,
    terminal,
};
use clap::{Args, ValueEnum};
use nexus_agent::Pace;
use nexus_api::{Connection, view::*};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What is wanted, where, and how freely.
#[derive(Debug, Args)]
pub(crate) struct Execute {
    /// What you want done, in your words. `-` reads it from stdin. With a template it takes the
    /// place of the text that the template makes.
    #[arg(long, value_name = "TEXT", required_unless_present = "template")]
    task: Option<String>,
    /// The folder to work on. Naming it here means that you trust it: its checks and its
    /// set-up command may run.
    #[arg(long, value_name = "DIR")]
    project: PathBuf,
    #[command(flatten)]
    wish: Wish,
    /// Who carries the task out.
    #[arg(long, value_enum, default_value_t)]
    team: Team,
    /// Who makes the plan.
    #[arg(long, value_enum, default_value_t)]
    planner: Planner,
    /// How freely the agents may act. `ask`: every edit and command is asked for.
    /// `workspace`: edits in the task's copy and the project's checks go through, the rest is
    /// asked for. `all`: any command may run; not contained.
    #[arg(long, value_enum, default_value_t)]
    permissions: Permissions,
    /// Apply the change to the folder when the checks are green or there are none.
    #[arg(long)]
    accept: bool,
    /// Pause when the task has cost this many dollars.
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    budget: Option<f64>,
    #[command(flatten)]
    caps: Caps,
    #[command(flatten)]
    terms: Terms,
    /// Say no to a question that nobody answers for this many seconds. A day by default.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    answer_within: Option<u64>,
    /// How the result is printed. Progress goes to stderr; with `ndjson` it goes to stdout as
    /// well, one change a line.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What the task is made from, beside the person's own words.
#[derive(Clone, Debug, Args)]
struct Wish {
    /// Make the task from this template. `nexus templates` lists them with their fields.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Fill in a field of the template. Again for each field, and for each line of one that has
    /// several.
    #[arg(long = "field", value_name = "NAME=VALUE", requires = "template", value_parser = field)]
    fields: Vec<(String, String)>,
    /// Something that has to be true of the result. Beta judges it, and so do you. Again for
    /// each.
    #[arg(long, value_name = "TEXT")]
    checklist: Vec<String>,
}

/// How the task is gone about.
#[derive(Clone, Debug, Args)]
struct Terms {
    /// How urgent it is. Normal, if no template says otherwise.
    #[arg(long, value_enum)]
    priority: Option<Priority>,
    /// Begin when this task is done, such as T-3. Again for each.
    #[arg(long, value_name = "TASK")]
    after: Vec<String>,
    /// Tell this team what the tasks named with --after handed over.
    #[arg(long, requires = "after")]
    share_context: bool,
    /// Show the plan, and wait for a yes before any agent begins.
    #[arg(long)]
    plan_first: bool,
    /// Let this many agents of one role work side by side. 3 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seats: Option<u32>,
}

/// Caps beside the one on money. At a cap the task pauses and everything is kept.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct Caps {
    /// Pause when the task has used this many tokens.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_tokens: Option<u64>,
    /// Pause when the task was at work for this many minutes; 0 for no cap. Two hours by
    /// default.
    #[arg(long, value_name = "MINUTES")]
    pub(super) max_minutes: Option<u64>,
    /// Pause after this many prompts to agents.
    #[arg(long, value_name = "TURNS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_turns: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Team {
    /// Claude Code agents.
    #[default]
    Claude,
    /// A recorded run on the bundled sample. Practice, no AI.
    Practice,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Planner {
    /// Analysis, implementation, tests, validation.
    #[default]
    Standard,
    /// An OpenAI-compatible model; needs a key.
    Openai,
    /// Claude Code itself, reading only.
    Claude,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
enum Permissions {
    Ask,
    #[default]
    Workspace,
    All,
}

/// How urgent a task is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Priority {
    Critical,
    High,
    Normal,
    Low,
}

impl Priority {
    /// As the wire has it.
    pub(super) fn view(self) -> PriorityView {
        match self {
            Self::Critical => PriorityView::Critical,
            Self::High => PriorityView::High,
            Self::Normal => PriorityView::Normal,
            Self::Low => PriorityView::Low,
        }
    }
}

/// Reads a field with its value.
fn field(text: &str) -> Result<(String, String), String> {
    let field = text.split_once('=');
    let (name, value) = field.ok_or("give the name of a field, `=`, and what to put there")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// Reads a cost cap. What is no number would become no cap at all on its way.
pub(super) fn dollars(text: &str) -> Result<f64, String> {
    let dollars = text.parse().ok();
    dollars
        .filter(|dollars: &f64| dollars.is_finite() && *dollars > 0.0)
        .ok_or_else(|| "give a number of dollars above zero".to_owned())
}

impl Wish {
    fn fields(&self) -> BTreeMap<String, String> {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &self.fields {
            let lines = fields.entry(name.clone()).or_default();
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(value);
        }
        fields
    }
}

impl Execute {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let text = self.text()?;
        let mut connection = host::connect(Pace::Watch).await?;
        let ended = self.carry_out(&mut connection, text).await;
        close(connection).await;
        ended
    }

    fn text(&self) -> Result<String, Failure> {
        match self.task.as_deref() {
            None => return Ok(String::new()),
            Some("-") => {}
            Some(text) => return Ok(text.to_owned()),
        }
        std::io::read_to_string(std::io::stdin()).map_err(|e| {
            Failure::new(
                exit::USAGE,
                format!("failed to read the task from stdin: {e}"),
            )
        })
    }

    async fn carry_out(&self, connection: &mut Connection, text: String) -> Result<u8, Failure> {
        let client = connection.client();
        let attended = terminal::is_attended() && self.output == Output::Text;
        let new = NewTask {
            text,
            fields: self.wish.fields(),
            title: None,
            folder: absolute(&self.project)?,
            team: match self.team {
                Team::Claude => TeamView::Claude,
                Team::Practice => TeamView::Practice,
            },
            planner: match self.planner {
                Planner::Standard => PlannerView::Standard,
                Planner::Openai => PlannerView::Openai,
                Planner::Claude => PlannerView::Claude,
            },
            permissions: match self.permissions {
                Permissions::Ask => PermissionsView::Ask,
                Permissions::Workspace => PermissionsView::Workspace,
                Permissions::All => PermissionsView::All,
            },
            budget_usd: self.budget,
            max_tokens: self.caps.max_tokens,
            max_seconds: self
                .caps
                .max_minutes
                .map(|minutes| minutes.saturating_mul(60)),
            max_turns: self.caps.max_turns,
            answer_within_seconds: self.answer_within,
            start: true,
            trust_once: true,
            unattended: !attended,
            priority: self.terms.priority.map(Priority::view),
            terms: TermsView {
                plan_first: self.terms.plan_first,
                seats: self.terms.seats,
                checklist: self.wish.checklist.clone(),
                after: self.terms.after.clone(),
                shares_context: self.terms.share_context,
                template: self.wish.template.clone(),
            },
        };
        if self.permissions == Permissions::All {
            terminal::tell("any command may run on this machine: not contained");
        }
        let since = client.get::<Board>("/board").await?.seq;
        let card: TaskCard = client.post("/tasks", Some(&new)).await?;
        let how = Follow {
            output: self.output,
            accept: self.accept,
            attended,
            pace: Pace::Watch,
        };
        follow(connection, card.id, since, how).await
    }
}

/// A folder's whole path, as seen from where the person is.
pub(super) fn absolute(folder: &Path) -> Result<String, Failure> {
    let unknown = |e| {
        Failure::new(
            exit::USAGE,
            format!("failed to read the folder's path: {e}"),
        )
    };
    let folder = std::path::absolute(folder).map_err(unknown)?;
    Ok(folder.to_string_lossy().into_owned())
}

/// Leaves; a second Ctrl-C does not wait for agents to end politely.
pub(super) async fn close(connection: Connection) {
    tokio::select! {
        () = connection.close() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
