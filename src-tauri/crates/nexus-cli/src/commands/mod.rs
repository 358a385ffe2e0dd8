//! The commands, one file each.

mod agents;
mod approvals;
mod demo;
mod doctor;
mod execute;
mod keys;
mod kpi;
mod limits;
mod openapi;
pub(crate) mod plan;
mod resume;
mod sessions;
mod status;
mod stop;
mod talk;
mod task;
mod templates;
mod trash;

use crate::{host::Failure, output::Output};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// NEXUS: a team of coding agents that works in a copy of your project, proves what it did,
/// and changes your folder only when you accept.
#[derive(Debug, Parser)]
#[command(name = "nexus", version, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more about what happens, on stderr. Twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 998)]
    verbose: u8,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ok · 1 error · 2 usage · 3 the checks are red · 4 an answer is needed · 5 limit reached
            6 login, key or model service · 7 something is missing on this machine · 8 not found
            9 conflict or wrong state · 130 interrupted

Environment: NEXUS_DATA_DIR, NEXUS_CLAUDE_PROGRAM, NEXUS_ANTHROPIC_BASE_URL,
             NEXUS_SILENCE_LIMIT and NEXUS_SESSION_TIMEOUT (in seconds),
             NEXUS_OPENAI_BASE_URL, NEXUS_SECRETS=env (take ANTHROPIC_API_KEY and OPENAI_API_KEY
             from the environment instead of the keychain)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one task to its end.
    #[command(visible_alias = "run")]
    Execute(execute::Execute),
    /// Bring interrupted tasks to their end.
    Resume(resume::Resume),
    /// Pause everything that is under way. Everything is kept.
    Stop(stop::Stop),
    /// See what is under way.
    Status(status::Status),
    /// See and steer tasks.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// See what a task can be made from.
    Templates(templates::Templates),
    /// See what each agent does.
    Agents(agents::Agents),
    /// See and answer questions, and what was allowed for longer than once.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// See and replace the agents' conversations.
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// See and cap what all tasks together use in a day.
    Limits(limits::LimitsOfDay),
    /// Look at what NEXUS needs on this machine, and whether all it keeps agrees.
    Doctor(doctor::Doctor),
    /// See and bring back what the doctor has put aside.
    #[command(subcommand)]
    Trash(trash::Trash),
    /// See how well NEXUS does.
    Kpi(kpi::KeyFigures),
    /// Keep API keys in the system's keychain.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Watch the practice team work on a bundled sample. No AI, no key, no network.
    Demo(demo::Demo),
    /// Print the OpenAPI document of the API.
    #[command(hide = true)]
    Openapi(openapi::Openapi),
}

impl Cli {
    /// Sends the log to stderr, quiet unless asked.
    pub(crate) fn start_log(&self) {
        let level = match self.verbose {
            0 => "error",
            1 => "nexus=info,warn",
            _ => "debug",
        };
        let filter =
            EnvFilter::try_from_env("NEXUS_LOG_LEVEL").unwrap_or_else(|_| EnvFilter::new(level));
        // Only a second call could fail, and there is none.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .try_init();
    }

    /// Runs the command; the exit code says how it went.
    pub(crate) async fn run(self) -> u8 {
        let (output, ended) = match self.command {
            Command::Execute(command) => (command.output, command.run().await),
            Command::Resume(command) => (command.output, command.run().await),
            Command::Stop(command) => (Output::Text, command.run().await),
            Command::Approvals(command) => (Output::Text, command.run().await),
            Command::Sessions(command) => (Output::Text, command.run().await),
            Command::Limits(command) => (Output::Text, command.run().await),
            Command::Status(command) => (Output::Text, command.run().await),
            Command::Task(command) => (Output::Text, command.run().await),
            Command::Templates(command) => (Output::Text, command.run().await),
            Command::Agents(command) => (Output::Text, command.run().await),
            Command::Doctor(command) => (Output::Text, command.run().await),
            Command::Trash(command) => (Output::Text, command.run().await),
            Command::Kpi(command) => (Output::Text, command.run().await),
            Command::Keys(command) => (Output::Text, command.run().await),
            Command::Demo(command) => (Output::Text, command.run().await),
            Command::Openapi(command) => (Output::Text, command.run()),
        };
        ended.unwrap_or_else(|failure: Failure| failure.report(output))
    }
}

/// Prints a value as JSON for programs.
pub(crate) fn print_json(value: &impl serde::Serialize) {
    crate::terminal::say(&serde_json::to_string_pretty(value).unwrap_or_default());
}
