//! `cargo xtask demo`: the practice team at work, in the window or in the terminal.
//!
//! The demo has a data folder of its own, so that it neither sees nor changes what the person
//! keeps in NEXUS.

use crate::program::{Done, Program};
use crate::{app, place, system};
use std::ffi::OsStr;

pub(crate) fn run(terminal: bool) -> Done {
    if terminal || !has_display() {
        return in_terminal();
    }
    in_window()
}

fn has_display() -> bool {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || named("DISPLAY") || named("WAYLAND_DISPLAY")
}

fn in_terminal() -> Done {
    println!("Showing the demo in the terminal, which needs no web-view libraries.");
    system::ensure(&[system::HEADLESS])?;
    println!("Building the command line program:");
    Program::cargo()
        .args(["build", "--locked", "--package=nexus-cli"])
        .show()?;
    start(place::built("debug", "nexus").as_os_str(), "demo")
}

fn in_window() -> Done {
    app::build_interface()?;
    println!("Building the desktop program:");
    Program::cargo()
        .args(["build", "--locked", "--package=nexus-desktop"])
        .show()?;
    start(place::built("debug", "nexus-desktop").as_os_str(), "--demo")
}

fn start(program: &OsStr, argument: &str) -> Done {
    Program::new(program)
        .args([argument])
        .env("NEXUS_DATA_DIR", place::target().join("demo"))
        .may_ask()
        .show()
}
