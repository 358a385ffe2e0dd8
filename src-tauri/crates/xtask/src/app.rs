//! Working on the desktop application: running it while editing, measuring, packaging.

use crate::program::{Done, Program};
use crate::{node, place, system, test};
use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Four phases with warm Claude Code processes beside one process per phase
    ///
    /// The model answers at once and from this machine, so what remains is the cost of the
    /// processes themselves.
    Real,
}

/// `cargo xtask dev`.
pub(crate) fn dev() -> Done {
    prepare_interface()?;
    tauri(&["dev"]).may_ask().show()
}

/// `cargo xtask bench`.
pub(crate) fn bench(bench: Bench) -> Done {
    match bench {
        Bench::Real => bench_real(),
    }
}

fn bench_real() -> Done {
    system::ensure(&[system::HEADLESS])?;
    node::ensure()?;
    let claude = crate::tools::ensure_claude()?;
    Program::cargo()
        .args([
            "run",
            "--locked",
            "--release",
            "--package=nexus-tests",
            "--bin=bench-real",
        ])
        .env("NEXUS_TEST_CLAUDE", claude)
        .show()
}

/// `cargo xtask package`.
pub(crate) fn package(bundles: &str) -> Done {
    prepare_interface()?;
    println!("Building the command line program, which the packages carry too:");
    Program::cargo()
        .args(["build", "--locked", "--release", "--package=nexus-cli"])
        .show()?;
    tauri(&["build", "--bundles", bundles]).show()?;
    let folder = place::target().join("release/bundle");
    println!("\nThe packages are in {}", folder.display());
    Ok(())
}

/// `cargo xtask setup`.
pub(crate) fn setup() -> Done {
    test::prepare_all()?;
    println!("Everything that the other commands need is installed.");
    Ok(())
}

/// Builds the page that the desktop program carries.
pub(crate) fn build_interface() -> Done {
    prepare_interface()?;
    println!("Building the user interface:");
    node::ui_script("build").show()
}

fn prepare_interface() -> Done {
    system::ensure(&[system::HEADLESS, system::WINDOW])?;
    node::ensure()?;
    node::install(&place::ui(), "the user interface")
}

/// The Tauri command line, told which package is meant: the one beside `tauri.conf.json` is no
/// default member.
fn tauri(arguments: &[&str]) -> Program {
    node::ui_script("tauri")
        .args(["--"])
        .args(arguments)
        .args(["--", "--package=nexus-desktop"])
}
