//! Node packages: installed exactly as their lock file says, and only when it changed.

use crate::place;
use crate::program::{Done, Failure, Program};
use std::fs;
use std::path::Path;

/// Fails with the next step when there is no `npm`.
pub(crate) fn ensure() -> Done {
    if npm().args(["--version"]).read().is_some() {
        return Ok(());
    }
    Err(Failure::new(
        "npm was not found: install Node.js 20.19 or newer, which the user interface is built \
         with, and run this again",
    ))
}

/// Installs the packages of a folder that has a `package-lock.json`, without running any
/// script that they bring.
pub(crate) fn install(folder: &Path, why: &str) -> Done {
    let lock = fs::read(folder.join("package-lock.json")).map_err(|error| {
        let file = folder.join("package-lock.json");
        Failure::new(format!("{} could not be read: {error}", file.display()))
    })?;
    let stamp = folder.join("node_modules/.nexus-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let shown = folder.strip_prefix(place::root()).unwrap_or(folder);
    println!("Installing npm packages in {}: {why}", shown.display());
    npm()
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .within(folder)
        .show()?;
    Ok(fs::write(stamp, lock)?)
}

/// A script of the user interface's `package.json`.
pub(crate) fn ui_script(name: &str) -> Program {
    npm().args(["run", "--silent", name]).within(place::ui())
}

fn npm() -> Program {
    Program::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}
