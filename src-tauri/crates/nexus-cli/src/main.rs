//! The `nexus` command: NEXUS without a window.
//!
//! It parses, calls the API (its own engine's or that of whoever owns the data folder), and
//! prints. Data goes to stdout, progress to stderr; the exit code says how it went.

mod commands;
mod exit;
mod follow;
mod host;
mod output;
mod terminal;

use clap::Parser;
use commands::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Agents and checks run under a guard, which is this executable again.
    if let Some(code) = nexus_process::guard::run_if_asked() {
        return code;
    }
    let cli = Cli::parse();
    cli.start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::complain(&format!("failed to start: {error}"));
            return ExitCode::from(exit::ERROR);
        }
    };
    let code = runtime.block_on(cli.run());
    // A thread that waits for the terminal must not keep the program alive.
    runtime.shutdown_background();
    ExitCode::from(code)
}
