//! `cargo xtask …`: set-up, demo, checks, tests and packages of this repository.
//!
//! Every command does its own set-up and says what it installs and why. The modules own one
//! thing each: [`place`] where things are, [`program`] how programs are run, [`system`],
//! [`node`] and [`tools`] what has to be there first, [`steps`] how checks are run side by
//! side and reported, and the rest one command each.
#![expect(
    clippy::print_stdout,
    reason = "this is a developer's command line program: printing is its interface"
)]

mod app;
mod client;
mod demo;
mod node;
mod place;
mod program;
mod steps;
mod system;
mod test;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Set-up, demo, checks, tests and packages of NEXUS.
///
/// Start with `cargo xtask demo` to see NEXUS work, and `cargo xtask test` to check
/// everything. Each command installs what it needs, names it, and says why.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show NEXUS at work: the practice team on a bundled sample project
    ///
    /// With a display this builds and opens the desktop window. Without one it runs in the
    /// terminal and needs neither web-view libraries nor Node. No key, no Claude Code, no
    /// network use by the demo itself.
    Demo {
        /// Run in the terminal although there is a display
        #[arg(long)]
        terminal: bool,
    },
    /// Run every check and every test
    Test {
        /// Run one step and what it needs; `cargo xtask test --list` names them
        #[arg(long, value_name = "STEP")]
        only: Option<String>,
        /// Run the loops of the tests at their full size: kills, faults of the disk, seeds,
        /// floods. Takes hours. Sets NEXUS_NIGHTLY for the step `tests`, and nothing else
        #[arg(long)]
        nightly: bool,
        /// Name the steps and stop
        #[arg(long)]
        list: bool,
    },
    /// Run the quick checks: format, lints, spelling, dependencies
    Check {
        /// Run one step and what it needs; `cargo xtask check --list` names them
        #[arg(long, value_name = "STEP")]
        only: Option<String>,
        /// Name the steps and stop
        #[arg(long)]
        list: bool,
    },
    /// Open the desktop window with the user interface reloading as you edit
    Dev,
    /// Make the user interface's API types anew, after the API changed
    Client,
    /// Measure, and print the numbers
    #[command(subcommand)]
    Bench(app::Bench),
    /// Build installable packages of the desktop application
    Package {
        /// Kinds of package, separated by commas: deb, rpm, appimage, nsis, dmg
        #[arg(long, default_value = "deb")]
        bundles: String,
    },
    /// Install everything that the other commands need, and stop
    Setup,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo { terminal } => demo::run(terminal),
        Command::Test {
            only,
            nightly,
            list,
        } => test::everything(only.as_deref(), nightly, list),
        Command::Check { only, list } => test::quick(only.as_deref(), list),
        Command::Dev => app::dev(),
        Command::Client => client::generate(),
        Command::Bench(bench) => app::bench(bench),
        Command::Package { bundles } => app::package(&bundles),
        Command::Setup => app::setup(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("\ncargo xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
